/* SPDX-License-Identifier: Apache-2.0 */
/* test_unfit.c - keys that hold what nobody of us puts there: nothing is counted twice, nobody is held up for long, and
 * what cannot be decided is reported with the key. */
#include "reading.h"

#include "redis_write.h"

#include <string.h>

#define HOUR INT64_C(3600000)

static utapi_entry entry_of(const char *bucket, utapi_operation operation, int64_t time_ms)
{
    return (utapi_entry){
        .time_ms = time_ms, .resource = {[UTAPI_BUCKETS] = utapi_string_of(bucket)}, .operation = operation};
}

static utapi_entry put_into(const char *bucket, int64_t time_ms)
{
    utapi_entry entry = entry_of(bucket, UTAPI_OP_PUT_OBJECT, time_ms);
    entry.delta[UTAPI_STORAGE_UTILIZED] = 1;
    return entry;
}

static utapi_status deliver(reading *r, utapi_entry *entries, size_t count)
{
    utapi_applied applied;
    const utapi_batch batch = {.entries = entries, .count = count, .now_ms = r->now_ms};
    return utapi_redis_apply(&r->backend.base, &batch, &applied, &r->err);
}

/* A script that failed half-way would count the other bucket, and be run again. */
static void a_key_of_ours_of_another_type_lets_a_delivery_count_once(void **state)
{
    static const char *const keys[] = {
        "s3:buckets:b:+utapid:created",
        "s3:buckets:b:+utapid:late",
        "s3:buckets:b:+utapid:odd",
        "s3:buckets:b:+utapid:gone",
        "s3:buckets:b:+utapid:since",
        "s3:utapid:late",
        "s3:utapid:due",
        "s3:utapid:sweeping",
        "s3:utapid:forgotten",
    };
    static const char *const writings[] = {"SET %s junk", "LPUSH %s junk"};
    reading *r = *state;
    long long expected = 0;
    for (size_t i = 0; i < sizeof keys / sizeof *keys * 2; i++) {
        const int64_t early_ms = r->now_ms - 72 * HOUR;
        utapi_entry entries[] = {
            put_into("a", r->now_ms),
            entry_of("b", UTAPI_OP_CREATE_BUCKET, early_ms),
            put_into("b", early_ms),
            entry_of("b", UTAPI_OP_DELETE_BUCKET, r->now_ms),
            entry_of("b", UTAPI_OP_DELETE_BUCKET, r->now_ms),
        };
        entries[3].expiry = UTAPI_EXPIRE_NOW;
        entries[4].expiry = UTAPI_EXPIRE_LATER;
        entries[4].expire_at_ms = r->now_ms + HOUR;
        raw(r, "DEL %s", keys[i / 2]);
        raw(r, writings[i % 2], keys[i / 2]);
        CHECK_OK(deliver(r, entries, sizeof entries / sizeof *entries), &r->err);
        assert_int_equal(raw_number(r, "GET s3:buckets:a:storageUtilized:counter"), ++expected);
    }
}

static void corrections_that_are_none_hold_no_expiry_up(void **state)
{
    static const char *const writings[] = {"SET s3:buckets:b:+utapid:shifts junk",
                                           "RPUSH s3:buckets:b:+utapid:shifts junk"};
    reading *r = *state;
    for (size_t i = 0; i < 2; i++) {
        write_put(r, "b", r->now_ms);
        raw(r, writings[i]);
        CHECK_OK(
            utapi_redis_expire(&r->backend.base, UTAPI_BUCKETS, utapi_string_of("b"), r->now_ms, &r->err),
            &r->err);
        assert_int_equal(raw_number(r, "EXISTS s3:buckets:b:storageUtilized"), 0);
    }
}

static void a_mark_that_is_too_long_is_none(void **state)
{
    reading *r = *state;
    raw(r, "SET s3:utapid:forgotten 1");
    raw(r, "SET s3:buckets:b:+utapid:gone 111111111111111111111111");
    write_put(r, "b", r->now_ms);
    assert_int_equal(raw_number(r, "GET s3:buckets:b:storageUtilized:counter"), 1);
    CHECK_OK(utapi_redis_expire(&r->backend.base, UTAPI_BUCKETS, utapi_string_of("b"), r->now_ms, &r->err),
             &r->err);
    assert_int_equal(raw_number(r, "GET s3:buckets:b:+utapid:gone"), r->now_ms);
}

static void a_number_of_late_writes_that_cannot_grow_begins_anew(void **state)
{
    reading *r = *state;
    raw(r, "SET s3:utapid:late 9223372036854775807");
    write_put(r, "b", r->now_ms - 72 * HOUR);
    assert_int_equal(raw_number(r, "GET s3:buckets:b:storageUtilized:counter"), 1);
}

static void expect_reported(reading *r, utapi_status expected, utapi_status status, const char *key)
{
    assert_int_equal(status, expected);
    if (strstr(r->err.detail, key) == NULL)
        fail_msg("%s: %s", key, r->err.detail);
    utapi_error_clear(&r->err);
}

static void tend(reading *r)
{
    CHECK_OK(utapi_redis_maintain(&r->backend.base, r->now_ms, r->now_ms, &r->err), &r->err);
}

/* ---- states ------------------------------------------------------------------------------- */

static const char *const states[] = {"storageUtilized", "numberOfObjects"};

static void a_state_of_another_type_expires_with_its_bucket(void **state)
{
    reading *r = *state;
    for (int i = 0; i < 2; i++) {
        utapi_entry entries[] = {put_into("a", r->now_ms), entry_of("b", UTAPI_OP_DELETE_BUCKET, r->now_ms)};
        entries[1].expiry = UTAPI_EXPIRE_NOW;
        raw(r, "SET s3:buckets:b:%s junk", states[i]);
        raw(r, "RPUSH s3:buckets:b:+utapid:shifts %b", "s 0 1 900000", (size_t)12);
        CHECK_OK(deliver(r, entries, 2), &r->err);
        assert_int_equal(raw_number(r, "EXISTS s3:buckets:b:%s", states[i]), 0);
        assert_int_equal(raw_number(r, "GET s3:buckets:a:storageUtilized:counter"), i + 1);
    }
}

/* Left alone, the scheduled expiry would come up again and again, or be dropped with nothing expired. */
static void a_state_of_another_type_expires_when_it_was_scheduled(void **state)
{
    reading *r = *state;
    for (int i = 0; i < 4; i++) {
        utapi_entry other = put_into("a", r->now_ms);
        raw_flow(r, "b", interval_now(r), "ListBucket", 1);
        raw(r, "SET s3:buckets:b:%s junk", states[i % 2]);
        raw(r, "ZADD s3:utapid:due %lld b", (long long)r->now_ms);
        if (i < 2)
            tend(r);
        else
            CHECK_OK(deliver(r, &other, 1), &r->err);
        assert_int_equal(raw_number(r, "GET s3:buckets:b:+utapid:gone"), r->now_ms);
        assert_int_equal(raw_number(r, "EXISTS s3:buckets:b:%s", states[i % 2]), 0);
        assert_int_equal(raw_number(r, "EXISTS s3:buckets:%lld:b:ListBucket", (long long)interval_now(r)), 0);
        assert_int_equal(raw_number(r, "EXISTS s3:utapid:due"), 0);
        raw(r, "DEL s3:buckets:b:+utapid:gone");
    }
}

static void a_counter_of_another_type_becomes_the_newest_state(void **state)
{
    reading *r = *state;
    write_put(r, "b", r->now_ms - HOUR);
    write_put(r, "b", r->now_ms);
    raw(r, "DEL s3:buckets:b:storageUtilized:counter");
    raw(r, "RPUSH s3:buckets:b:storageUtilized:counter junk");
    CHECK_OK(
        utapi_redis_expire(&r->backend.base, UTAPI_BUCKETS, utapi_string_of("b"), r->now_ms - HOUR, &r->err),
        &r->err);
    assert_int_equal(raw_number(r, "GET s3:buckets:b:storageUtilized:counter"), 1);
    write_put(r, "b", r->now_ms);
    assert_int_equal(query_bucket(r, "b", 0, interval_now(r)).storage_utilized[1], 2);
}

static void a_state_that_is_no_number_stays_so_until_the_counter_changes(void **state)
{
    reading *r = *state;
    write_put(r, "b", r->now_ms - 2 * HOUR);
    write_put(r, "b", r->now_ms - HOUR);
    raw(r, "ZADD s3:buckets:b:storageUtilized %lld NaN:node", (long long)interval_now(r));
    CHECK_OK(utapi_redis_expire(&r->backend.base, UTAPI_BUCKETS, utapi_string_of("b"), r->now_ms - 2 * HOUR,
                                &r->err),
             &r->err);
    assert_int_equal(query_bucket(r, "b", 0, interval_now(r)).storage_utilized[1], 0);
    write_put(r, "b", r->now_ms - HOUR);
    assert_int_equal(query_bucket(r, "b", 0, interval_now(r)).storage_utilized[1], 2);
}

static void a_member_between_two_intervals_does_not_lead_the_sweep_astray(void **state)
{
    reading *r = *state;
    raw_flow(r, "b", INTERVAL, "PutObject", 1);
    raw(r, "ZADD s3:buckets:b:storageUtilized 1.5 5:node");
    CHECK_OK(utapi_redis_expire(&r->backend.base, UTAPI_BUCKETS, utapi_string_of("b"), 4 * INTERVAL, &r->err),
             &r->err);
    tend(r);
    assert_int_equal(raw_number(r, "EXISTS s3:utapid:sweeping"), 0);
    assert_int_equal(raw_number(r, "EXISTS s3:buckets:900000:b:PutObject"), 0);
}

static void corrections_of_a_state_without_members_are_worked_off(void **state)
{
    reading *r = *state;
    raw(r, "SET s3:buckets:b:storageUtilized junk");
    raw(r, "ZADD s3:buckets:b:numberOfObjects 0 1:node");
    raw(r, "RPUSH s3:buckets:b:+utapid:shifts %b %b", "s 0 1 900000", (size_t)12, "o 0 1 900000", (size_t)12);
    raw(r, "SADD s3:utapid:shifting buckets:b");
    tend(r);
    assert_int_equal(raw_number(r, "EXISTS s3:utapid:shifting"), 0);
    redisReply *members = redisCommand(r->raw, "ZRANGE s3:buckets:b:numberOfObjects 0 0");
    assert_non_null(members);
    assert_int_equal(strncmp(members->element[0]->str, "2:", 2), 0);
    freeReplyObject(members);
    assert_int_equal(raw_number(r, "STRLEN s3:buckets:b:storageUtilized"), 4); /* nobody deleted the bucket */
}

/* ---- numbers at the edge ------------------------------------------------------------------- */

/* 6e18 and a pending -5e18: what comes before that is worked off would not fit on its way. */
static void a_large_late_amount_waits_for_pending_corrections(void **state)
{
    reading *r = *state;
    char correction[80];
    utapi_entry late = put_into("b", INTERVAL);
    late.delta[UTAPI_STORAGE_UTILIZED] = INT64_C(4000000000000000000);
    for (int i = 1; i < 10; i++)
        raw(r, "ZADD s3:buckets:b:storageUtilized %lld 6000000000000000000:%d", (long long)(i * INTERVAL), i);
    raw(r, "ZADD s3:buckets:b:storageUtilized %lld 1000000000000000000:10", (long long)(10 * INTERVAL));
    raw(r, "SET s3:buckets:b:storageUtilized:counter 1000000000000000000");
    const int size = snprintf(correction, sizeof correction, "s %lld -5000000000000000000 %lld",
                              (long long)INTERVAL, (long long)(10 * INTERVAL));
    raw(r, "RPUSH s3:buckets:b:+utapid:shifts %b", correction, (size_t)size);
    raw(r, "SADD s3:utapid:shifting buckets:b");
    CHECK_OK(deliver(r, &late, 1), &r->err);
    tend(r);
    for (int i = 1; i <= 10; i++)
        assert_true(query_bucket(r, "b", i * INTERVAL, i * INTERVAL).storage_utilized[1] ==
                    INT64_C(5000000000000000000));
}

static void a_counter_beyond_64_bits_refuses_what_would_bring_it_back(void **state)
{
    reading *r = *state;
    utapi_entry entries[] = {put_into("a", r->now_ms), put_into("b", r->now_ms)};
    entries[1].delta[UTAPI_STORAGE_UTILIZED] = -1;
    raw(r, "SET s3:buckets:b:storageUtilized:counter 9223372036854775808");
    expect_reported(r, UTAPI_CORRUPT, deliver(r, entries, 2), "s3:buckets:b:storageUtilized:counter");
    assert_int_equal(raw_number(r, "EXISTS s3:buckets:a:storageUtilized:counter"), 0);
}

/* One after the other, as they came: what fits beside it counts, and so does the same event at the other levels. */
static void a_full_counter_tells_what_does_not_fit_and_where(void **state)
{
    enum { COUNT = 5 };
    reading *r = *state;
    utapi_entry entries[COUNT] = {put_into("b", r->now_ms), put_into("b", r->now_ms),
                                  put_into("b", r->now_ms), put_into("c", r->now_ms),
                                  put_into("b", r->now_ms - HOUR)};
    utapi_level_set unfit[COUNT] = {0};
    utapi_applied applied;
    utapi_batch batch = {.entries = entries, .count = COUNT, .now_ms = r->now_ms, .unfit = unfit};
    for (size_t i = 0; i < COUNT; i++)
        entries[i].resource[UTAPI_ACCOUNTS] = utapi_string_of(i == 1 ? "poisoner" : "a");
    entries[1].delta[UTAPI_STORAGE_UTILIZED] = INT64_MAX;
    entries[3].delta[UTAPI_STORAGE_UTILIZED] =
        INT64_MAX; /* fits its bucket, and not the account beside the others */
    static const utapi_level_set expected[COUNT] = {
        [1] = UTAPI_LEVEL_BIT(UTAPI_BUCKETS), [3] = UTAPI_LEVEL_BIT(UTAPI_ACCOUNTS)};
    utapi_level_set told[COUNT] = {0};
    for (int round = 0; round < 2; round++) { /* a bucket, then an account */
        expect_reported(r, UTAPI_OVERFLOW, utapi_redis_apply(&r->backend.base, &batch, &applied, &r->err),
                        "does not fit 64 bits");
        assert_int_equal(raw_number(r, "EXISTS s3:buckets:b:storageUtilized:counter"), 0);
        for (size_t i = 0; i < COUNT; i++) {
            for (unsigned level = 0; level < UTAPI_LEVEL_COUNT; level++)
                if ((unfit[i] & UTAPI_LEVEL_BIT(level)) != 0)
                    entries[i].resource[level].size = 0;
            told[i] |= unfit[i];
            unfit[i] = 0;
        }
    }
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(told[i], expected[i]);
    CHECK_OK(utapi_redis_apply(&r->backend.base, &batch, &applied, &r->err), &r->err);
    assert_int_equal(raw_number(r, "GET s3:buckets:b:storageUtilized:counter"), 3);
    assert_int_equal(raw_number(r, "GET s3:accounts:a:storageUtilized:counter"), 3);
    assert_true(raw_number(r, "GET s3:accounts:poisoner:storageUtilized:counter") == INT64_MAX);
}

static void a_corrupt_key_is_told_of_all_that_would_write_it(void **state)
{
    reading *r = *state;
    utapi_entry entries[] = {put_into("b", r->now_ms), entry_of("b", UTAPI_OP_GET_OBJECT, r->now_ms),
                             put_into("c", r->now_ms)};
    utapi_level_set unfit[3] = {0};
    utapi_applied applied;
    const utapi_batch batch = {.entries = entries, .count = 3, .now_ms = r->now_ms, .unfit = unfit};
    raw(r, "SET s3:buckets:b:storageUtilized:counter junk");
    expect_reported(r, UTAPI_CORRUPT, utapi_redis_apply(&r->backend.base, &batch, &applied, &r->err),
                    "s3:buckets:b:storageUtilized:counter");
    assert_int_equal(unfit[0], UTAPI_LEVEL_BIT(UTAPI_BUCKETS));
    assert_int_equal(unfit[1], 0); /* it writes other keys */
    assert_int_equal(unfit[2], 0);
}

/* To expire what was below zero raises what came after: only then does the last event not fit. */
static void what_comes_behind_an_expiry_is_refused_before_anything_is_written(void **state)
{
    static const int64_t after[] = {INT64_MAX, INT64_C(1) << 62, 7};
    static const int64_t before[] = {-5, -(INT64_C(1) << 62) - 8, -INT64_MAX};
    reading *r = *state;
    for (size_t i = 0; i < 3; i++) {
        utapi_entry first = put_into("b", r->now_ms - 2 * HOUR), second = put_into("b", r->now_ms - HOUR);
        utapi_entry entries[] = {put_into("a", r->now_ms),
                                 entry_of("b", UTAPI_OP_DELETE_BUCKET, r->now_ms - 2 * HOUR),
                                 put_into("b", r->now_ms)};
        first.delta[UTAPI_STORAGE_UTILIZED] = before[i];
        second.delta[UTAPI_STORAGE_UTILIZED] = after[i];
        entries[1].expiry = UTAPI_EXPIRE_NOW;
        entries[2].delta[UTAPI_STORAGE_UTILIZED] = i == 2 ? INT64_MAX - 6 : INT64_C(1) << 62;
        raw(r, "FLUSHALL");
        CHECK_OK(deliver(r, &first, 1), &r->err);
        CHECK_OK(deliver(r, &second, 1), &r->err);
        expect_reported(r, UTAPI_OVERFLOW, deliver(r, entries, 3), "s3:buckets:b:storageUtilized:counter");
        assert_int_equal(raw_number(r, "EXISTS s3:buckets:a:storageUtilized:counter"), 0);
        CHECK_OK(deliver(r, entries, 2), &r->err); /* apart, as a journal has it */
        expect_reported(r, UTAPI_OVERFLOW, deliver(r, entries + 2, 1),
                        "s3:buckets:b:storageUtilized:counter");
        assert_int_equal(raw_number(r, "GET s3:buckets:a:storageUtilized:counter"), 1);
    }
}

/* ---- lists of what is to be done ---------------------------------------------------------- */

static void lists_of_another_type_hold_no_upkeep_up(void **state)
{
    static const char *const lists[] = {"due", "shifting", "sweeping"};
    reading *r = *state;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        raw(r, "SET s3:utapid:%s junk", lists[i]);
        tend(r);
        assert_int_equal(raw_number(r, "EXISTS s3:utapid:%s", lists[i]), 0);
    }
}

static void what_is_no_sweep_is_dropped(void **state)
{
    static const char *const sweeps[][2] = {
        {"odd", "0 900000"},
        {"buckets:b", "junk"},
        {"buckets:b", "0 "},
        {"buckets:b", "1111111111111111 2222222222222222"},
    };
    reading *r = *state;
    for (size_t i = 0; i < sizeof sweeps / sizeof *sweeps; i++) {
        raw(r, "HSET s3:utapid:sweeping %s %b", sweeps[i][0], sweeps[i][1], strlen(sweeps[i][1]));
        tend(r);
        assert_int_equal(raw_number(r, "EXISTS s3:utapid:sweeping"), 0);
    }
}

static void a_scheduled_expiry_at_no_time_is_none(void **state)
{
    static const char *const times[] = {"-inf", "-1", "1e300"};
    reading *r = *state;
    for (int i = 0; i < 3; i++) {
        write_put(r, "b", r->now_ms);
        raw(r, "ZADD s3:utapid:due %s b", times[i]);
        CHECK_OK(utapi_redis_maintain(&r->backend.base, INT64_MAX, r->now_ms, &r->err), &r->err);
        assert_int_equal(raw_number(r, "EXISTS s3:buckets:b:+utapid:gone"), 0);
        write_put(r, "a", r->now_ms);
        assert_int_equal(raw_number(r, "GET s3:buckets:a:storageUtilized:counter"), i + 1);
    }
}

/* ---- what cannot be decided ------------------------------------------------------------------ */

/* An event that was refused would be lost; one that is handed over again waits until somebody looks. */
static void a_fence_that_is_none_lets_events_wait(void **state)
{
    static const char *const writings[] = {"SET %b junk", "SET %b -1", "LPUSH %b 1"};
    reading *r = *state;
    utapi_entry entry = put_into("b", r->now_ms);
    utapi_applied applied;
    const utapi_batch batch = {
        .entries = &entry, .count = 1, .now_ms = r->now_ms, .fence = {.writer = {7}, .from = 0, .to = 1}};
    redis_key key = {0};
    utapi_redis_key_fence(&key, "s3", batch.fence.writer);
    utapi_query query = {.level = UTAPI_BUCKETS};
    uint64_t fence;
    memcpy(query.writer, batch.fence.writer, sizeof query.writer);
    for (size_t i = 0; i < sizeof writings / sizeof *writings; i++) {
        raw(r, "DEL %b", key.bytes, key.size);
        raw(r, writings[i], key.bytes, key.size);
        expect_reported(r, UTAPI_UNAVAILABLE, utapi_redis_apply(&r->backend.base, &batch, &applied, &r->err),
                        key.bytes);
        expect_reported(r, UTAPI_CORRUPT, utapi_redis_read(&r->backend.base, &query, NULL, &fence, &r->err),
                        key.bytes);
    }
    raw(r, "DEL %b", key.bytes, key.size);
    CHECK_OK(utapi_redis_apply(&r->backend.base, &batch, &applied, &r->err), &r->err);
    assert_int_equal(raw_number(r, "GET s3:buckets:b:storageUtilized:counter"), 1);
}

static void a_query_reports_which_key_is_of_another_type(void **state)
{
    static const char *const keys[] = {"s3:buckets:b:storageUtilized", "s3:buckets:b:+utapid:odd",
                                       "s3:buckets:b:+utapid:late"};
    reading *r = *state;
    const utapi_string name = utapi_string_of("b");
    const utapi_query query = {.level = UTAPI_BUCKETS, .names = &name, .count = 1, .end = interval_now(r)};
    utapi_usage usage;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        raw(r, "SET %s junk", keys[i]);
        expect_reported(r, UTAPI_CORRUPT, utapi_redis_read(&r->backend.base, &query, &usage, NULL, &r->err),
                        keys[i]);
        raw(r, "DEL %s", keys[i]);
    }
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        READING_CASE(a_key_of_ours_of_another_type_lets_a_delivery_count_once),
        READING_CASE(corrections_that_are_none_hold_no_expiry_up),
        READING_CASE(a_mark_that_is_too_long_is_none),
        READING_CASE(a_number_of_late_writes_that_cannot_grow_begins_anew),
        READING_CASE(a_state_of_another_type_expires_with_its_bucket),
        READING_CASE(a_state_of_another_type_expires_when_it_was_scheduled),
        READING_CASE(a_counter_of_another_type_becomes_the_newest_state),
        READING_CASE(a_state_that_is_no_number_stays_so_until_the_counter_changes),
        READING_CASE(a_member_between_two_intervals_does_not_lead_the_sweep_astray),
        READING_CASE(a_large_late_amount_waits_for_pending_corrections),
        READING_CASE(corrections_of_a_state_without_members_are_worked_off),
        READING_CASE(a_counter_beyond_64_bits_refuses_what_would_bring_it_back),
        READING_CASE(what_comes_behind_an_expiry_is_refused_before_anything_is_written),
        READING_CASE(a_full_counter_tells_what_does_not_fit_and_where),
        READING_CASE(a_corrupt_key_is_told_of_all_that_would_write_it),
        READING_CASE(lists_of_another_type_hold_no_upkeep_up),
        READING_CASE(what_is_no_sweep_is_dropped),
        READING_CASE(a_scheduled_expiry_at_no_time_is_none),
        READING_CASE(a_fence_that_is_none_lets_events_wait),
        READING_CASE(a_query_reports_which_key_is_of_another_type),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
