/* SPDX-License-Identifier: Apache-2.0 */
/* test_keyscan.c - queries that nobody made before: one scan of the keys for all of their names, over
 * one connection, and not for ever. */
#include "reading.h"

#include "redis_query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long long scan_steps(reading *r)
{
    redisReply *info = redisCommand(r->raw, "INFO commandstats");
    assert_non_null(info);
    const char *calls = strstr(info->str, "cmdstat_scan:calls=");
    const long long count = calls != NULL ? strtoll(calls + strlen("cmdstat_scan:calls="), NULL, 10) : 0;
    freeReplyObject(info);
    return count;
}

enum { INVENTED = 60, REAL = 3 };

/* A year, of names that nobody ever wrote, and of three that somebody did: in one query, or name by name. */
static void one_scan_serves_all_names_of_a_query(void **state)
{
    reading *r = *state;
    char text[INVENTED][16];
    utapi_string names[2 * REAL + INVENTED];
    utapi_usage usages[2 * REAL + INVENTED];
    const utapi_interval start = closed_day(r, 365);
    static const char *const real[REAL] = {"a", "9", "z:900000:z"};
    write_others(r, 12000);
    for (int i = 0; i < REAL; i++) {
        names[i] = names[REAL + INVENTED + i] = utapi_string_of(real[i]); /* twice */
        raw_flow(r, real[i], closed_day(r, 200), "PutObject", 1);
        raw_flow(r, real[i], closed_day(r, 100 + i), "PutObject", 10);
        raw_flow(r, real[i], interval_now(r), "PutObject", 100);
        raw(r, "SET s3:buckets:%s:storageUtilized:counter 1", real[i]);
    }
    for (int i = 0; i < INVENTED; i++) {
        snprintf(text[i], sizeof text[i], "invented-%d", i);
        names[REAL + i] = utapi_string_of(text[i]);
    }
    const utapi_query query = {.level = UTAPI_BUCKETS,
                               .names = names,
                               .count = 2 * REAL + INVENTED,
                               .start = start,
                               .end = interval_now(r)};
    raw(r, "CONFIG RESETSTAT");
    const long long keys = raw_number(r, "DBSIZE");
    CHECK_OK(utapi_redis_read(&r->backend.base, &query, usages, NULL, &r->err), &r->err);
    for (int i = 0; i < 2 * REAL + INVENTED; i++)
        assert_int_equal(puts_of(&usages[i]), i < REAL || i >= REAL + INVENTED ? 111 : 0);
    assert_in_range(scan_steps(r), 12, 48); /* a scan takes some 17 */
    assert_true(raw_number(r, "DBSIZE") - keys < INVENTED + REAL * 220);
}

static void a_query_ends_when_its_time_is_over(void **state)
{
    reading *r = *state;
    const utapi_string name = utapi_string_of("b");
    write_others(r, 5000);
    utapi_usage usage;
    utapi_query query = {.level = UTAPI_BUCKETS,
                         .names = &name,
                         .count = 1,
                         .start = closed_day(r, 365),
                         .end = interval_now(r),
                         .deadline_ms = 1};
    assert_int_equal(utapi_redis_read(&r->backend.base, &query, &usage, NULL, &r->err), UTAPI_UNAVAILABLE);
    query.deadline_ms = 0;
    utapi_error_clear(&r->err);
    CHECK_OK(utapi_redis_read(&r->backend.base, &query, &usage, NULL, &r->err), &r->err);
}

typedef struct interrupted {
    reading *r;
    size_t keys;
} interrupted;

/* What a Sentinel does to the connections of a former master. */
static utapi_status interrupt(void *ctx, utapi_string key, bool *stop, utapi_error *err)
{
    interrupted *me = ctx;
    (void)key;
    (void)stop;
    (void)err;
    if (me->keys++ == 0)
        raw(me->r, "CLIENT KILL TYPE normal");
    return UTAPI_OK;
}

/* A cursor means nothing to another server, nor to the same one after a start. */
static void a_scan_does_not_go_on_over_another_connection(void **state)
{
    reading *r = *state;
    interrupted me = {.r = r};
    write_others(r, 5000);
    redis_connection *connection = utapi_redis_pool_take(r->backend.pool);
    assert_non_null(connection);
    assert_int_equal(utapi_redis_scan(connection, "*", REDIS_NEVER, interrupt, &me, &r->err),
                     UTAPI_UNCERTAIN);
    assert_in_range(me.keys, 1, 4999);
    me.keys = 1; /* it is not interrupted again */
    utapi_error_clear(&r->err);
    CHECK_OK(utapi_redis_scan(connection, "other:*", REDIS_NEVER, interrupt, &me, &r->err), &r->err);
    assert_in_range(me.keys, 5001, SIZE_MAX);
    utapi_redis_pool_give(r->backend.pool, connection);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        READING_CASE(one_scan_serves_all_names_of_a_query),
        READING_CASE(a_query_ends_when_its_time_is_over),
        READING_CASE(a_scan_does_not_go_on_over_another_connection),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
