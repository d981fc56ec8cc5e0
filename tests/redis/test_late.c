/* SPDX-License-Identifier: Apache-2.0 */
/* test_late.c - late writes, while rollups are made, dropped and made again. */
#include "reading.h"

#include "redis_write.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a script does for a late event: the flow, the state, and the resource info, in one step. */
static void late_write(reading *r, utapi_interval interval, int number)
{
    const long long day = (long long)(interval - interval % DAY);
    raw(r, "MULTI");
    raw_flow(r, "b", interval, "PutObject", 1);
    raw(r, "SET s3:utapid:late %d", number);
    raw(r, "ZADD s3:buckets:b:+utapid:late %d %lld", number, day);
    raw(r, "DEL s3:buckets:b:+utapid:%lld", day);
    raw(r, "ZREMRANGEBYSCORE s3:buckets:b:numberOfObjects 900000 900000");
    raw(r, "ZADD s3:buckets:b:numberOfObjects 900000 %d:uuid", number);
    raw(r, "EXEC");
}

static void a_late_write_is_in_the_next_answer(void **state)
{
    reading *r = *state;
    const utapi_interval first = closed_day(r, 5);
    for (int i = 1; i <= 5; i++) {
        late_write(r, first + i * 7 * INTERVAL, i);
        const utapi_usage usage = query_bucket(r, "b", first, first + 3 * DAY - INTERVAL);
        assert_int_equal(puts_of(&usage), i);
        assert_int_equal(usage.number_of_objects[1], i);
    }
}

/* What a journal does that catches up. */
typedef struct backlog {
    reading *r;
    atomic_bool stop;
    atomic_uint written;
} backlog;

static void *backlog_run(void *ctx)
{
    backlog *me = ctx;
    while (!atomic_load(&me->stop)) {
        write_put(me->r, "b", closed_day(me->r, 0));
        atomic_fetch_add(&me->written, 1);
    }
    return NULL;
}

static void late_writes_into_a_day_spoil_no_summary_of_others(void **state)
{
    reading *r = *state;
    const utapi_interval first = closed_day(r, 5);
    backlog late = {.r = r};
    pthread_t writer;
    raw(r, "SET s3:buckets:b:storageUtilized:counter 1");
    const int64_t sum = write_days(r, "b", first, 5);
    assert_int_equal(pthread_create(&writer, NULL, backlog_run, &late), 0);
    while (atomic_load(&late.written) == 0)
        usleep(1000);
    const utapi_usage others = query_bucket(r, "b", first, first + 5 * DAY - INTERVAL);
    const long long made = summaries(r, "b");
    const utapi_usage both = query_bucket(r, "b", first, closed_day(r, 0) + DAY - INTERVAL);
    atomic_store(&late.stop, true);
    pthread_join(writer, NULL);
    assert_int_equal(puts_of(&others), sum);
    assert_int_equal(made, 5);
    assert_true(puts_of(&both) > sum);
}

enum { SCATTERED = 400 };

static void *scatter_run(void *ctx)
{
    backlog *me = ctx;
    const utapi_interval first = closed_day(me->r, 80);
    const utapi_interval block = first + REDIS_MONTH_MS - first % REDIS_MONTH_MS;
    for (int i = 0; i < SCATTERED; i++)
        write_put(me->r, "b", block + i * 7 % REDIS_MONTH_DAYS * DAY);
    atomic_store(&me->stop, true);
    return NULL;
}

/* While late writes scatter over its days, a block is made and dropped again and again. */
static void no_block_is_older_than_a_late_write(void **state)
{
    reading *r = *state;
    utapi_interval first = closed_day(r, 80);
    first += REDIS_MONTH_MS - first % REDIS_MONTH_MS;
    const utapi_interval last = first + REDIS_MONTH_MS - INTERVAL;
    backlog late = {.r = r};
    pthread_t writer;
    const utapi_string name = utapi_string_of("b");
    const utapi_query query = {
        .level = UTAPI_BUCKETS, .names = &name, .count = 1, .start = first, .end = last};
    int64_t before = 0;
    bool shrank = false;
    assert_int_equal(pthread_create(&writer, NULL, scatter_run, &late), 0);
    while (!atomic_load(&late.stop)) {
        utapi_usage usage;
        if (utapi_redis_read(&r->backend.base, &query, &usage, NULL, NULL) != UTAPI_OK)
            continue;
        shrank |= puts_of(&usage) < before || puts_of(&usage) != usage.number_of_objects[1];
        before = puts_of(&usage);
    }
    pthread_join(writer, NULL);
    assert_false(shrank);
    for (int again = 0; again < 2; again++) {
        const utapi_usage usage = query_bucket(r, "b", first, last);
        assert_int_equal(puts_of(&usage), SCATTERED);
    }
}

/* A Node client lets all keys of a bucket expire that it finds; a late write comes; and they expire. */
static void a_mark_of_a_late_write_outlives_what_expires(void **state)
{
    reading *r = *state;
    const utapi_interval first = closed_day(r, 5);
    write_put(r, "b", first);
    raw(r, "PEXPIRE s3:buckets:b:+utapid:late 20");
    const long long before = raw_number(r, "ZSCORE s3:buckets:b:+utapid:late %lld", (long long)first);
    write_put(r, "b", first);
    assert_int_equal(raw_number(r, "PTTL s3:buckets:b:+utapid:late"), -1);
    assert_true(raw_number(r, "ZSCORE s3:buckets:b:+utapid:late %lld", (long long)first) > before);
    raw(r, "FLUSHALL");
    write_put(r, "b", first); /* no number comes twice */
    assert_true(raw_number(r, "ZSCORE s3:buckets:b:+utapid:late %lld", (long long)first) > before);
    raw(r, "SET s3:buckets:b:+utapid:since %lld", (long long)closed_day(r, 0));
    write_put(r, "b", first);
    raw(r, "PEXPIRE s3:buckets:b:+utapid:odd 20");
    write_put(r, "b", first);
    assert_int_equal(raw_number(r, "PTTL s3:buckets:b:+utapid:odd"), -1);
}

enum { READERS = 3, LATE_WRITES = 1500 };

typedef struct reader {
    reading *r;
    atomic_bool *stop;
    utapi_interval start, end;
    size_t answers, mixed; /* mixed: a late write is in one half */
    utapi_status failure;
} reader;

static void *reader_run(void *ctx)
{
    reader *me = ctx;
    const utapi_string name = utapi_string_of("b");
    const utapi_query query = {
        .level = UTAPI_BUCKETS, .names = &name, .count = 1, .start = me->start, .end = me->end};
    while (!atomic_load(me->stop)) {
        utapi_usage usage;
        const utapi_status status = utapi_redis_read(&me->r->backend.base, &query, &usage, NULL, NULL);
        me->answers += status == UTAPI_OK;
        me->mixed += status == UTAPI_OK && puts_of(&usage) != usage.number_of_objects[1];
        if (status != UTAPI_OK && status != UTAPI_UNAVAILABLE)
            me->failure = status;
    }
    return NULL;
}

/* Whole days, and days that the range cuts. */
static void an_answer_holds_a_late_write_wholly_or_not_at_all(void **state)
{
    reading *r = *state;
    atomic_bool stop = false;
    const utapi_interval first = closed_day(r, 5);
    pthread_t threads[READERS];
    reader readers[READERS];
    for (int i = 0; i < READERS; i++) {
        readers[i] = (reader){.r = r, .stop = &stop, .start = first - i * INTERVAL, .end = first + 4 * DAY};
        assert_int_equal(pthread_create(&threads[i], NULL, reader_run, &readers[i]), 0);
    }
    for (int i = 1; i <= LATE_WRITES; i++)
        late_write(r, first + i * 41 % (4 * 96) * INTERVAL, i);
    atomic_store(&stop, true);
    for (int i = 0; i < READERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(readers[i].failure, UTAPI_OK);
        assert_int_equal(readers[i].mixed, 0);
    }
    const utapi_usage usage = query_bucket(r, "b", first, first + 4 * DAY);
    assert_int_equal(puts_of(&usage), LATE_WRITES);
}

/* ---- pending corrections ------------------------------------------------------------------ */

enum { MEMBERS = 300, SPAN = 2 * MEMBERS - 2, CORRECTIONS = 4 * SPAN };

static long long scripts_run(reading *r)
{
    redisReply *reply = redisCommand(r->raw, "INFO commandstats");
    assert_non_null(reply);
    const char *found = strstr(reply->str, "cmdstat_evalsha:calls=");
    const long long count = found != NULL ? strtoll(strchr(found, '=') + 1, NULL, 10) : 0;
    freeReplyObject(reply);
    return count;
}

static utapi_interval pile_interval(const reading *r, int i)
{
    return interval_now(r) + (i - SPAN) * INTERVAL;
}

static void correction_add(reading *r, char state, int from, int delta, int cursor)
{
    char text[80];
    const int size = snprintf(text, sizeof text, "%c %lld %d %lld", state, (long long)pile_interval(r, from),
                              delta, (long long)pile_interval(r, cursor));
    raw(r, "RPUSH s3:buckets:b:+utapid:shifts %b", text, (size_t)size);
}

/* Four corrections of one byte and four of two objects begin in each interval. */
static void corrections_add(reading *r)
{
    for (int i = 0; i < CORRECTIONS; i++) {
        correction_add(r, 's', i * 7 % SPAN, 1, SPAN);
        correction_add(r, 'o', i * 7 % SPAN, 2, SPAN);
    }
}

/* Every second interval has a member, and its number is the state there. The newest alone has the corrections. */
static void pile_up(reading *r)
{
    static const char *const metrics[] = {"storageUtilized", "numberOfObjects"};
    for (int m = 0; m < 2; m++) {
        const int now = SPAN / 2 + (m + 1) * CORRECTIONS;
        for (int i = 0; i < MEMBERS; i++)
            raw(r, "ZADD s3:buckets:b:%s %lld %d:%d", metrics[m], (long long)pile_interval(r, 2 * i),
                2 * i < SPAN ? i : now, i);
        raw(r, "SET s3:buckets:b:%s:counter %d", metrics[m], now);
    }
    corrections_add(r);
    raw(r, "SADD s3:utapid:shifting buckets:b");
}

static void expect_pile(reading *r)
{
    for (int i = 0; i < SPAN; i++) {
        const utapi_usage usage = query_bucket(r, "b", pile_interval(r, i), pile_interval(r, i));
        assert_int_equal(usage.storage_utilized[1], i / 2 + 4 * (i + 1));
        assert_int_equal(usage.number_of_objects[1], i / 2 + 8 * (i + 1));
    }
    assert_int_equal(raw_number(r, "GET s3:buckets:b:storageUtilized:counter"), SPAN / 2 + CORRECTIONS);
}

static void many_corrections_share_the_way_through_the_members(void **state)
{
    reading *r = *state;
    pile_up(r);
    CHECK_OK(utapi_redis_corrections_work(&r->backend, utapi_string_of("buckets"), utapi_string_of("b"), 20,
                                          &r->err),
             &r->err);
    expect_pile(r); /* in the midst of it */
    const long long before = scripts_run(r);
    CHECK_OK(utapi_redis_corrections_work(&r->backend, utapi_string_of("buckets"), utapi_string_of("b"),
                                          100000, &r->err),
             &r->err);
    assert_in_range(scripts_run(r) - before, 1, CORRECTIONS / 4);
    assert_int_equal(raw_number(r, "EXISTS s3:buckets:b:+utapid:shifts"), 0);
    assert_int_equal(raw_number(r, "EXISTS s3:utapid:shifting"), 0);
    assert_int_equal(raw_number(r, "ZCARD s3:buckets:b:storageUtilized"), SPAN + 1);
    expect_pile(r);
}

/* A delete marker of a Node client (docs/specification.md#differences-from-utapi). */
static void a_late_event_finds_the_counter_where_the_newest_state_is_none(void **state)
{
    reading *r = *state;
    raw(r, "SET s3:buckets:b:storageUtilized:counter 1000");
    raw(r, "ZADD s3:buckets:b:storageUtilized %lld 1000:node", (long long)(interval_now(r) - 4 * INTERVAL));
    raw(r, "ZADD s3:buckets:b:storageUtilized %lld NaN:node", (long long)interval_now(r));
    write_put(r, "b", interval_now(r) - 2 * INTERVAL);
    for (int back = 0; back < 4; back++) {
        const utapi_interval at = interval_now(r) - back * INTERVAL;
        assert_int_equal(query_bucket(r, "b", at, at).storage_utilized[1], back < 3 ? 1001 : 1000);
    }
}

static void a_pile_of_corrections_is_worked_off_before_another_late_event(void **state)
{
    reading *r = *state;
    pile_up(r);
    corrections_add(r);
    corrections_add(r);
    write_put(r, "b", r->now_ms); /* not late: it waits for nothing */
    assert_int_equal(raw_number(r, "LLEN s3:buckets:b:+utapid:shifts"), 6 * CORRECTIONS);
    write_put(r, "b", pile_interval(r, 0));
    assert_in_range(raw_number(r, "LLEN s3:buckets:b:+utapid:shifts"), 0, 2);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        READING_CASE(a_late_write_is_in_the_next_answer),
        READING_CASE(late_writes_into_a_day_spoil_no_summary_of_others),
        READING_CASE(no_block_is_older_than_a_late_write),
        READING_CASE(a_mark_of_a_late_write_outlives_what_expires),
        READING_CASE(an_answer_holds_a_late_write_wholly_or_not_at_all),
        READING_CASE(many_corrections_share_the_way_through_the_members),
        READING_CASE(a_late_event_finds_the_counter_where_the_newest_state_is_none),
        READING_CASE(a_pile_of_corrections_is_worked_off_before_another_late_event),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
