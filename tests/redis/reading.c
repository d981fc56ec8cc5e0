/* SPDX-License-Identifier: Apache-2.0 */
#include "reading.h"

#include <stdlib.h>

static void *raw_run(reading *r, const char *format, va_list arguments)
{
    redisReply *reply = redisvCommand(r->raw, format, arguments);
    assert_non_null(reply);
    if (reply->type == REDIS_REPLY_ERROR)
        fail_msg("%s: %s", format, reply->str);
    return reply;
}

void raw(reading *r, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    freeReplyObject(raw_run(r, format, arguments));
    va_end(arguments);
}

long long raw_number(reading *r, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    redisReply *reply = raw_run(r, format, arguments);
    va_end(arguments);
    const long long number =
        reply->type == REDIS_REPLY_STRING ? strtoll(reply->str, NULL, 10) : reply->integer;
    freeReplyObject(reply);
    return number;
}

void raw_flow(reading *r, const char *bucket, utapi_interval interval, const char *metric, long long amount)
{
    raw(r, "INCRBY s3:buckets:%lld:%s:%s %lld", (long long)interval, bucket, metric, amount);
}

void write_put(reading *r, const char *bucket, int64_t time_ms)
{
    utapi_applied applied;
    const utapi_entry entry = {.time_ms = time_ms,
                               .accepted_ms = r->now_ms,
                               .resource = {[UTAPI_BUCKETS] = utapi_string_of(bucket)},
                               .operation = UTAPI_OP_PUT_OBJECT,
                               .delta = {1, 1, 1, 0}};
    const utapi_batch batch = {.entries = &entry, .count = 1, .now_ms = r->now_ms};
    CHECK_OK(utapi_redis_apply(&r->backend.base, &batch, &applied, &r->err), &r->err);
}

static void read_clock(reading *r)
{
    redisReply *reply = redisCommand(r->raw, "TIME");
    assert_non_null(reply);
    assert_int_equal(reply->elements, 2);
    r->now_ms = strtoll(reply->element[0]->str, NULL, 10) * 1000;
    r->today = r->now_ms - r->now_ms % DAY;
    freeReplyObject(reply);
}

int reading_setup(void **state)
{
    reading *r = calloc(1, sizeof *r);
    assert_non_null(r);
    redis_server_start(&r->server);
    r->raw = redisConnectUnix(r->server.socket);
    assert_non_null(r->raw);
    assert_int_equal(r->raw->err, 0);
    char uri[512];
    snprintf(uri, sizeof uri, "redis+unix://%s", r->server.socket);
    utapi_error_clear(&r->err);
    CHECK_OK(utapi_redis_uri_parse(uri, &r->backend.uri, &r->err), &r->err);
    r->backend.pool = utapi_redis_pool_new(&r->backend.uri);
    assert_non_null(r->backend.pool);
    r->backend.writer = utapi_redis_connection_new(&r->backend.uri);
    r->backend.script_percent = 100;
    assert_non_null(r->backend.writer);
    assert_int_equal(pthread_mutex_init(&r->backend.writing, NULL), 0);
    read_clock(r);
    *state = r;
    return 0;
}

int reading_teardown(void **state)
{
    reading *r = *state;
    utapi_redis_connection_free(r->backend.writer);
    pthread_mutex_destroy(&r->backend.writing);
    utapi_redis_pool_free(r->backend.pool);
    utapi_redis_uri_done(&r->backend.uri);
    redisFree(r->raw);
    redis_server_stop(&r->server);
    free(r);
    return 0;
}

utapi_interval closed_day(const reading *r, int back)
{
    return r->today - (2 + back) * DAY;
}

utapi_interval interval_now(const reading *r)
{
    return utapi_interval_of(r->now_ms);
}

utapi_usage ask(reading *r, utapi_level level, const char *name, utapi_interval start, utapi_interval end)
{
    const utapi_string names[] = {utapi_string_of(name)};
    const utapi_query query = {.level = level, .names = names, .count = 1, .start = start, .end = end};
    utapi_usage usage;
    utapi_status status = UTAPI_UNAVAILABLE;
    for (int i = 0; i < 100 && status == UTAPI_UNAVAILABLE;
         i++) { /* a slow machine sums up in several goes */
        utapi_error_clear(&r->err);
        status = utapi_redis_read(&r->backend.base, &query, &usage, NULL, &r->err);
    }
    CHECK_OK(status, &r->err);
    return usage;
}

utapi_usage query_bucket(reading *r, const char *bucket, utapi_interval start, utapi_interval end)
{
    return ask(r, UTAPI_BUCKETS, bucket, start, end);
}

int64_t puts_of(const utapi_usage *usage)
{
    return (int64_t)utapi_amounts_get(&usage->flows, UTAPI_FIRST_OPERATION + UTAPI_OP_PUT_OBJECT);
}

int64_t write_days(reading *r, const char *bucket, utapi_interval first, int days)
{
    int64_t sum = 0;
    for (int d = 0; d < days; d++)
        for (int i = 0; i < 96; i += 5) {
            raw_flow(r, bucket, first + d * DAY + i * INTERVAL, "PutObject", d + i);
            raw_flow(r, bucket, first + d * DAY + i * INTERVAL, "incomingBytes", 1000);
            sum += d + i;
        }
    return sum;
}

long long summaries(reading *r, const char *name)
{
    redisReply *keys = redisCommand(r->raw, "KEYS s3:buckets:%s:+utapid:1*", name);
    assert_non_null(keys);
    const long long count = (long long)keys->elements;
    freeReplyObject(keys);
    return count;
}

void write_others(reading *r, int count)
{
    for (int i = 0; i < count; i++)
        redisAppendCommand(r->raw, "SET other:%d 1", i);
    for (int i = 0; i < count; i++) {
        void *reply = NULL;
        assert_int_equal(redisGetReply(r->raw, &reply), REDIS_OK);
        freeReplyObject(reply);
    }
}
