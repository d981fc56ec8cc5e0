/* SPDX-License-Identifier: Apache-2.0 */
/* test_rollups.c - rollups of closed days: made once, dropped, made again, and never stored when they may be
 * wrong. */
#include "reading.h"

#include <string.h>

static void drop_flows(reading *r)
{
    redisReply *keys = redisCommand(r->raw, "KEYS s3:buckets:*Object");
    assert_non_null(keys);
    for (size_t i = 0; i < keys->elements; i++)
        raw(r, "DEL %s", keys->element[i]->str);
    freeReplyObject(keys);
}

static void a_closed_day_is_summed_up_once(void **state)
{
    reading *r = *state;
    const utapi_interval first = closed_day(r, 5);
    raw(r, "SET s3:buckets:b:storageUtilized:counter 1");
    const int64_t sum = write_days(r, "b", first, 3);
    utapi_usage usage = query_bucket(r, "b", first, first + 4 * DAY - INTERVAL);
    assert_int_equal(puts_of(&usage), sum);
    assert_int_equal(utapi_amounts_get(&usage.flows, UTAPI_INCOMING_BYTES), 3 * 20 * 1000);
    assert_int_equal(summaries(r, "b"), 4); /* the empty day too */
    drop_flows(r);
    usage = query_bucket(r, "b", first, first + 4 * DAY - INTERVAL);
    assert_int_equal(puts_of(&usage), sum);
    usage = query_bucket(r, "b", first, first + DAY - INTERVAL);
    assert_int_equal(puts_of(&usage), 19 * 20 / 2 * 5);
}

/* Every key of a day is there: then it is asked for each, not for those that there are. */
static void a_day_of_every_key_is_summed_up(void **state)
{
    reading *r = *state;
    const utapi_interval first = closed_day(r, 0);
    for (int i = 0; i < 96; i++) {
        for (unsigned m = UTAPI_INCOMING_BYTES; m < UTAPI_METRIC_COUNT; m++)
            redisAppendCommand(r->raw, "SET s3:buckets:%lld:b:%s %u", first + i * INTERVAL,
                               utapi_metric_name((utapi_metric)m), m);
        for (unsigned m = UTAPI_INCOMING_BYTES; m < UTAPI_METRIC_COUNT; m++) {
            void *reply = NULL;
            assert_int_equal(redisGetReply(r->raw, &reply), REDIS_OK);
            freeReplyObject(reply);
        }
    }
    for (int again = 0; again < 2; again++) {
        const utapi_usage usage = query_bucket(r, "b", first, first + DAY - INTERVAL);
        for (unsigned m = UTAPI_INCOMING_BYTES; m < UTAPI_METRIC_COUNT; m++)
            assert_int_equal(utapi_amounts_get(&usage.flows, m), 96 * m);
    }
    assert_int_equal(summaries(r, "b"), 1);
}

static void summaries_may_be_dropped_or_spoilt(void **state)
{
    reading *r = *state;
    const utapi_interval first = closed_day(r, 5), last = first + 3 * DAY - INTERVAL;
    const int64_t sum = write_days(r, "b", first, 3);
    for (int i = 0; i < 4; i++) {
        const utapi_usage usage = query_bucket(r, "b", first, last);
        assert_int_equal(puts_of(&usage), sum);
        assert_int_equal(summaries(r, "b"), 3);
        const long long day = first + DAY;
        raw(r, "DEL s3:buckets:b:+utapid:%lld", day);
        if (i == 1)
            raw(r, "SET s3:buckets:b:+utapid:%lld spoilt", day);
        if (i == 2)
            raw(r, "LPUSH s3:buckets:b:+utapid:%lld spoilt", day);
    }
}

static void open_days_count_at_once(void **state)
{
    reading *r = *state;
    const utapi_interval now = interval_now(r), start = closed_day(r, 0);
    for (int i = 1; i <= 3; i++) {
        raw_flow(r, "b", now, "PutObject", 1);
        const utapi_usage usage = query_bucket(r, "b", start, now);
        assert_int_equal(puts_of(&usage), i);
    }
    /* A Node client's clock may be ahead. */
    raw_flow(r, "b", now + 3 * INTERVAL, "PutObject", 10);
    const utapi_usage usage = query_bucket(r, "b", start, start + 30 * DAY);
    assert_int_equal(puts_of(&usage), 13);
}

static void ranges_may_begin_and_end_within_days(void **state)
{
    reading *r = *state;
    const utapi_interval first = closed_day(r, 5);
    for (int i = 0; i < 3 * 96; i++)
        raw_flow(r, "b", first + i * INTERVAL, "PutObject", 1);
    static const int ranges[][2] = {{0, 0},   {5, 95},   {95, 96},   {1, 287},
                                    {0, 286}, {96, 191}, {100, 150}, {90, 200}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        const utapi_usage usage =
            query_bucket(r, "b", first + ranges[i][0] * INTERVAL, first + ranges[i][1] * INTERVAL);
        assert_int_equal(puts_of(&usage), ranges[i][1] - ranges[i][0] + 1);
    }
}

/* ---- ranges without end ------------------------------------------------------------------- */

static void a_query_from_the_epoch_leaves_no_trail_of_empty_days(void **state)
{
    reading *r = *state;
    const utapi_interval first = closed_day(r, 5);
    raw(r, "SET s3:buckets:b:storageUtilized:counter 1");
    const int64_t sum = write_days(r, "b", first, 3);
    for (int i = 0; i < 2; i++) {
        const utapi_usage usage = query_bucket(r, "b", 0, UTAPI_INTERVAL_MAX);
        assert_int_equal(puts_of(&usage), sum);
        assert_true(summaries(r, "b") < 10);
        assert_int_equal(raw_number(r, "GET s3:buckets:b:+utapid:since"), first);
    }
    raw(r, "DEL s3:buckets:b:+utapid:since"); /* slower, and right */
    const utapi_usage usage = query_bucket(r, "b", 0, UTAPI_INTERVAL_MAX);
    assert_int_equal(puts_of(&usage), sum);
}

static void what_scripts_wrote_outside_the_bounds_is_found(void **state)
{
    reading *r = *state;
    const long long days[] = {0, 14610 * DAY, closed_day(r, 10), r->today + 100 * DAY, 44739242 * DAY};
    raw(r, "SET s3:buckets:b:+utapid:since %lld", (long long)closed_day(r, 5));
    for (size_t i = 0; i < sizeof days / sizeof *days; i++) {
        raw(r, "ZADD s3:buckets:b:+utapid:odd %lld %lld", days[i], days[i]);
        raw_flow(r, "b", days[i] + 10 * INTERVAL, "PutObject", 1);
    }
    utapi_usage usage = query_bucket(r, "b", 0, UTAPI_INTERVAL_MAX);
    assert_int_equal(puts_of(&usage), 5);
    usage = query_bucket(r, "b", INTERVAL, r->today + 200 * DAY);
    assert_int_equal(puts_of(&usage), 4);
    usage = query_bucket(r, "b", 14610 * DAY, 14611 * DAY);
    assert_int_equal(puts_of(&usage), 1);
}

static void an_unknown_name_leaves_only_what_goes_by_itself(void **state)
{
    reading *r = *state;
    const utapi_usage usage = query_bucket(r, "nobody", closed_day(r, 3), interval_now(r));
    assert_int_equal(usage.flows.present, 0);
    redisReply *keys = redisCommand(r->raw, "KEYS *");
    assert_non_null(keys);
    for (size_t i = 0; i < keys->elements; i++)
        if (strstr(keys->element[i]->str, "nobody") != NULL)
            assert_true(raw_number(r, "PTTL %s", keys->element[i]->str) > 0);
    freeReplyObject(keys);
}

/* ---- blocks of days ----------------------------------------------------------------------- */

static long long blocks(reading *r, const char *name)
{
    redisReply *keys = redisCommand(r->raw, "KEYS s3:buckets:%s:+utapid:m*", name);
    assert_non_null(keys);
    const long long count = (long long)keys->elements;
    freeReplyObject(keys);
    return count;
}

static void thirty_two_days_have_one_summary_together(void **state)
{
    reading *r = *state;
    utapi_interval first = closed_day(r, 80);
    first += REDIS_MONTH_MS - first % REDIS_MONTH_MS;
    const utapi_interval last = first + REDIS_MONTH_MS - INTERVAL;
    raw(r, "SET s3:buckets:b:storageUtilized:counter 1");
    int64_t sum = 0;
    for (int d = 0; d < REDIS_MONTH_DAYS; d += 3, sum++)
        raw_flow(r, "b", first + d * DAY + d * INTERVAL, "PutObject", 1);
    utapi_usage usage = query_bucket(r, "b", first + DAY, last);
    assert_int_equal(puts_of(&usage), sum - 1);
    assert_int_equal(blocks(r, "b"), 0); /* a part of one */
    for (int i = 0; i < 4; i++) {
        usage = query_bucket(r, "b", first - i * DAY, last + i * DAY);
        assert_int_equal(puts_of(&usage), sum);
        assert_int_equal(blocks(r, "b"), 1);
    }
    drop_flows(r);
    for (long long day = first; day < last; day += DAY) /* it stands alone */
        raw(r, "DEL s3:buckets:b:+utapid:%lld", day);
    usage = query_bucket(r, "b", first, last);
    assert_int_equal(puts_of(&usage), sum);
}

/* All days of a block were asked for before, in parts, so that they have rollups; a day beside it was not. */
static void a_block_that_is_missing_hides_no_other_day(void **state)
{
    reading *r = *state;
    utapi_interval first = closed_day(r, 80);
    first += REDIS_MONTH_MS - first % REDIS_MONTH_MS;
    raw(r, "SET s3:buckets:b:storageUtilized:counter 1");
    for (int d = -1; d <= REDIS_MONTH_DAYS; d++)
        raw_flow(r, "b", first + d * DAY, "PutObject", 1);
    for (int d = 0; d < REDIS_MONTH_DAYS; d += 8) {
        const utapi_usage usage = query_bucket(r, "b", first + d * DAY, first + (d + 8) * DAY - INTERVAL);
        assert_int_equal(puts_of(&usage), 8);
    }
    const utapi_usage usage = query_bucket(r, "b", first - DAY, first + REDIS_MONTH_MS + DAY - INTERVAL);
    assert_int_equal(puts_of(&usage), REDIS_MONTH_DAYS + 2);
}

static void a_block_goes_with_any_of_its_days(void **state)
{
    reading *r = *state;
    utapi_interval first = closed_day(r, 80);
    first += REDIS_MONTH_MS - first % REDIS_MONTH_MS;
    const utapi_interval last = first + REDIS_MONTH_MS - INTERVAL;
    for (int i = 1; i <= 3; i++) {
        write_put(r, "b", first + (i - 1) * 7 * DAY); /* its script drops the block */
        assert_int_equal(blocks(r, "b"), 0);
        utapi_usage usage = query_bucket(r, "b", first, last);
        assert_int_equal(puts_of(&usage), i);
        assert_int_equal(blocks(r, "b"), 1);
        usage = query_bucket(r, "b", first, last);
        assert_int_equal(puts_of(&usage), i);
    }
    raw(r, "SET s3:buckets:b:+utapid:m%lld spoilt", (long long)first);
    const utapi_usage usage = query_bucket(r, "b", first, last);
    assert_int_equal(puts_of(&usage), 3);
}

static void a_block_expires_with_the_first_of_its_days(void **state)
{
    reading *r = *state;
    utapi_interval first = closed_day(r, 80);
    first += REDIS_MONTH_MS - first % REDIS_MONTH_MS;
    const long long sixth = first + 5 * DAY;
    raw_flow(r, "b", first, "PutObject", 3);
    raw_flow(r, "b", sixth, "PutObject", 3);
    raw(r, "EXPIRE s3:buckets:%lld:b:PutObject 500", sixth);
    (void)query_bucket(r, "b", first, first + REDIS_MONTH_MS - INTERVAL);
    const long long left = raw_number(r, "PTTL s3:buckets:b:+utapid:m%lld", (long long)first);
    assert_true(left > 0 && left <= 500000);
}

/* ---- names of keys ------------------------------------------------------------------------ */

/* The patterns whose keys a Node client lets expire when the bucket "utapid" is deleted. */
static void a_deleted_bucket_named_utapid_takes_nothing_of_others(void **state)
{
    reading *r = *state;
    static const char *const own[] = {"odd", "since", "late", "gone"};
    write_put(r, "photos", closed_day(r, 3));
    write_put(r, "photos", INTERVAL); /* before anybody counted */
    (void)query_bucket(r, "photos", REDIS_FIRST_DAY, interval_now(r));
    write_put(r, "photos", closed_day(r, 2));
    (void)query_bucket(r, "photos", 0, interval_now(r));
    assert_true(summaries(r, "photos") > 0);
    CHECK_OK(utapi_redis_expire(&r->backend.base, UTAPI_BUCKETS, utapi_string_of("photos"), closed_day(r, 3),
                                &r->err),
             &r->err);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        assert_int_equal(raw_number(r, "EXISTS s3:buckets:photos:+utapid:%s", own[i]), 1);
    redisReply *keys = redisCommand(r->raw, "KEYS s3:buckets:*:utapid:*");
    assert_non_null(keys);
    assert_int_equal(keys->elements, 0);
    freeReplyObject(keys);
}

/* ---- what must not be stored -------------------------------------------------------------- */

/* A Node server's deleteBucket lets all keys of a bucket expire. */
static void summaries_of_an_expiring_bucket_go_with_it(void **state)
{
    reading *r = *state;
    const utapi_interval first = closed_day(r, 5);
    raw(r, "SET s3:buckets:b:storageUtilized:counter 1 EX 1000");
    raw_flow(r, "b", first, "PutObject", 3);
    raw_flow(r, "counted", first, "PutObject", 4);
    raw(r, "EXPIRE s3:buckets:%lld:counted:PutObject 500", (long long)first);
    raw_flow(r, "counted", first + 5 * INTERVAL, "PutObject", 1); /* it was made again */
    utapi_usage usage = query_bucket(r, "b", first, first + 2 * DAY - INTERVAL);
    assert_int_equal(puts_of(&usage), 3);
    for (int d = 0; d < 2; d++) {
        const long long left = raw_number(r, "PTTL s3:buckets:b:+utapid:%lld", first + d * DAY);
        assert_true(left > 0 && left <= 1000000);
    }
    usage = query_bucket(r, "counted", first, first + DAY - INTERVAL);
    assert_int_equal(puts_of(&usage), 5);
    const long long left = raw_number(r, "PTTL s3:buckets:counted:+utapid:%lld", (long long)first);
    assert_true(left > 0 && left <= 500000);
}

/* Runs the script as a reader would that began at `late`: one value, of the third day of all. */
static long long rollup_store(reading *r, const char *late, const char *source)
{
    redis_connection *connection = utapi_redis_pool_take(r->backend.pool);
    redisReply *reply = NULL;
    static const char *const before[] = {"s3:utapid:late",
                                         "s3:buckets:b:+utapid:late",
                                         "s3:buckets:b:storageUtilized:counter",
                                         "s3:buckets:b:numberOfObjects:counter",
                                         "s3:buckets:b:storageUtilized",
                                         "s3:buckets:b:numberOfObjects",
                                         "target"};
    static const char *const after[] = {"60000", "172800000", "259200000", "1", "value"};
    assert_non_null(connection);
    utapi_redis_args_script(&connection->args, sizeof before / sizeof *before + 1);
    for (size_t i = 0; i < sizeof before / sizeof *before; i++)
        utapi_redis_args_add(&connection->args, before[i]);
    utapi_redis_args_add(&connection->args, source);
    utapi_redis_args_add(&connection->args, late);
    for (size_t i = 0; i < sizeof after / sizeof *after; i++)
        utapi_redis_args_add(&connection->args, after[i]);
    CHECK_OK(utapi_redis_connection_run(connection, REDIS_SCRIPT_STORE_ROLLUP, &reply, &r->err), &r->err);
    assert_int_equal(reply->elements, 1);
    const long long stored = reply->element[0]->integer;
    freeReplyObject(reply);
    utapi_redis_pool_give(r->backend.pool, connection);
    return stored;
}

static void sums_that_may_be_wrong_are_not_stored(void **state)
{
    reading *r = *state;
    raw(r, "SET s3:buckets:b:storageUtilized:counter 1");
    raw(r, "SET source 1");
    assert_int_equal(rollup_store(r, "1", "source"), 0); /* Redis was emptied */
    raw(r, "SET s3:utapid:late 7");
    raw(r, "ZADD s3:buckets:b:+utapid:late 5 172800000 6 86400000 7 259200000");
    assert_int_equal(rollup_store(r, "0", "source"), 0); /* a late write came */
    assert_int_equal(rollup_store(r, "4", "source"), 0);
    assert_int_equal(rollup_store(r, "7", "gone"), 0); /* what was read is not there any more */
    assert_int_equal(rollup_store(r, "8", "source"), 0);
    assert_int_equal(raw_number(r, "EXISTS target"), 0);
    assert_int_equal(rollup_store(r, "5", "source"), 1); /* what came later was of other days */
    assert_int_equal(raw_number(r, "PTTL target"), -1);
    raw(r, "PEXPIRE source 30000");
    assert_int_equal(rollup_store(r, "7", "source"), 1);
    assert_true(raw_number(r, "PTTL target") <= 30000);
    raw(r, "DEL s3:buckets:b:storageUtilized:counter");
}

/* Redis queues no command of a MULTI then, not even one that reads. */
static void a_full_redis_answers(void **state)
{
    reading *r = *state;
    const utapi_interval first = closed_day(r, 5), now = interval_now(r);
    const int64_t sum = write_days(r, "b", first, 3);
    raw_flow(r, "b", now, "PutObject", 7);
    raw(r, "ZADD s3:buckets:b:storageUtilized %lld 50:u", (long long)first);
    raw(r, "CONFIG SET maxmemory 1");
    const utapi_interval starts[] = {0, first, first + INTERVAL}; /* the first interval counted none */
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        const utapi_usage usage = query_bucket(r, "b", starts[i], now);
        assert_int_equal(puts_of(&usage), sum + 7);
        assert_int_equal(usage.storage_utilized[1], 50);
        assert_int_equal(summaries(r, "b"), 0);
        raw(r, "CLIENT KILL TYPE normal SKIPME yes");
    }
    raw(r, "CONFIG SET maxmemory 0");
    for (int full = 0; full < 2; full++) {
        const utapi_usage usage = query_bucket(r, "b", first, now);
        assert_int_equal(puts_of(&usage), sum + 7);
        assert_true(summaries(r, "b") > 0);
        raw(r, "CONFIG SET maxmemory 1");
    }
    assert_int_equal(ask(r, UTAPI_LOCATIONS, "nowhere", first, now).flows.present, 0);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        READING_CASE(a_closed_day_is_summed_up_once),
        READING_CASE(a_day_of_every_key_is_summed_up),
        READING_CASE(summaries_may_be_dropped_or_spoilt),
        READING_CASE(open_days_count_at_once),
        READING_CASE(ranges_may_begin_and_end_within_days),
        READING_CASE(a_query_from_the_epoch_leaves_no_trail_of_empty_days),
        READING_CASE(what_scripts_wrote_outside_the_bounds_is_found),
        READING_CASE(an_unknown_name_leaves_only_what_goes_by_itself),
        READING_CASE(thirty_two_days_have_one_summary_together),
        READING_CASE(a_block_that_is_missing_hides_no_other_day),
        READING_CASE(a_block_goes_with_any_of_its_days),
        READING_CASE(a_block_expires_with_the_first_of_its_days),
        READING_CASE(a_deleted_bucket_named_utapid_takes_nothing_of_others),
        READING_CASE(summaries_of_an_expiring_bucket_go_with_it),
        READING_CASE(sums_that_may_be_wrong_are_not_stored),
        READING_CASE(a_full_redis_answers),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
