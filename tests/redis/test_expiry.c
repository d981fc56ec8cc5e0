/* SPDX-License-Identifier: Apache-2.0 */
/* test_expiry.c - what is left in Redis of a bucket that was deleted: by utapid, and by a Node client. */
#include "reading.h"

#include "redis_write.h"

#include <unistd.h>

#define HOUR  INT64_C(3600000)
#define FLOWS "s3:buckets:[0-9]*:b:*"

static utapi_entry entry_of(utapi_operation operation, int64_t time_ms)
{
    return (utapi_entry){
        .time_ms = time_ms, .resource = {[UTAPI_BUCKETS] = utapi_string_of("b")}, .operation = operation};
}

static void count(reading *r, utapi_entry entry)
{
    utapi_applied applied;
    const utapi_batch batch = {.entries = &entry, .count = 1, .now_ms = r->now_ms};
    CHECK_OK(utapi_redis_apply(&r->backend.base, &batch, &applied, &r->err), &r->err);
}

/* Until nothing is left to be swept. */
static void tend(reading *r, int64_t now_ms)
{
    do
        CHECK_OK(utapi_redis_maintain(&r->backend.base, now_ms, now_ms, &r->err), &r->err);
    while (raw_number(r, "HLEN s3:utapid:sweeping") > 0);
}

static size_t keys_like(reading *r, const char *pattern)
{
    redisReply *keys = redisCommand(r->raw, "KEYS %s", pattern);
    assert_non_null(keys);
    const size_t found = keys->elements;
    freeReplyObject(keys);
    return found;
}

/* ---- by utapid ---------------------------------------------------------------------------- */

/* Created, listed within the next three hours, and only then written to. Returns when that was. */
static int64_t bucket_live(reading *r, int64_t first_ms)
{
    count(r, entry_of(UTAPI_OP_CREATE_BUCKET, first_ms));
    for (int i = 1; i < 6; i++)
        count(r, entry_of(UTAPI_OP_LIST_BUCKET, first_ms + i * HOUR / 2));
    write_put(r, "b", first_ms + 3 * HOUR);
    return first_ms + 3 * HOUR;
}

static void nothing_stays_of_a_bucket_that_was_empty_for_long(void **state)
{
    reading *r = *state;
    for (int life = 0; life < 2; life++) { /* the second time under the same name */
        const int64_t first_ms = r->now_ms - (2 - life) * 6 * HOUR;
        utapi_entry deletion = entry_of(UTAPI_OP_DELETE_BUCKET, bucket_live(r, first_ms) + HOUR);
        assert_int_equal(keys_like(r, FLOWS), 8);
        assert_int_equal(raw_number(r, "EXISTS s3:buckets:b:+utapid:created"), 1);
        deletion.expiry = UTAPI_EXPIRE_NOW;
        count(r, deletion);
        tend(r, r->now_ms);
        assert_int_equal(keys_like(r, FLOWS), 0);
        assert_int_equal(raw_number(r, "EXISTS s3:buckets:b:+utapid:created"), 0);
    }
}

static void nothing_stays_when_a_scheduled_expiry_is_due(void **state)
{
    reading *r = *state;
    utapi_entry deletion = entry_of(UTAPI_OP_DELETE_BUCKET, bucket_live(r, r->now_ms - 6 * HOUR) + HOUR);
    deletion.expiry = UTAPI_EXPIRE_LATER;
    deletion.expire_at_ms = r->now_ms + 1;
    count(r, deletion);
    tend(r, r->now_ms);
    assert_int_equal(keys_like(r, FLOWS), 9);
    usleep(5000); /* due is what is due by Redis's clock too */
    tend(r, r->now_ms + HOUR);
    assert_int_equal(keys_like(r, FLOWS), 0);
}

/* It may be another server than it was: what it lost is sent again first. */
static void nothing_expires_past_a_fence_that_stands_elsewhere(void **state)
{
    reading *r = *state;
    const utapi_fence behind = {.writer = {7}, .from = 3};
    const utapi_batch fenced = {.now_ms = r->now_ms, .fence = {.writer = {7}, .to = 2}};
    utapi_applied applied;
    count(r, entry_of(UTAPI_OP_LIST_BUCKET, r->now_ms));
    CHECK_OK(utapi_redis_apply(&r->backend.base, &fenced, &applied, &r->err), &r->err);
    raw(r, "ZADD s3:utapid:due %lld b", (long long)r->now_ms);
    CHECK_OK(utapi_redis_maintain(&r->backend.base, r->now_ms, r->now_ms, &r->err), &r->err);
    CHECK_OK(
        utapi_redis_expire_one(&r->backend, "buckets", utapi_string_of("b"), INT64_MIN, &behind, &r->err),
        &r->err);
    assert_int_equal(keys_like(r, FLOWS), 1);
    const utapi_batch next = {.now_ms = r->now_ms, .fence = {.writer = {7}, .from = 2, .to = 2}};
    CHECK_OK(utapi_redis_apply(&r->backend.base, &next, &applied, &r->err), &r->err);
    assert_int_equal(keys_like(r, FLOWS), 0);
    assert_int_equal(raw_number(r, "EXISTS s3:utapid:due"), 0);
}

static void the_first_of_several_creations_counts(void **state)
{
    static const int hours[] = {4, 5, 3}; /* in no order */
    reading *r = *state;
    for (size_t i = 0; i < sizeof hours / sizeof *hours; i++)
        count(r, entry_of(UTAPI_OP_CREATE_BUCKET, r->now_ms - hours[i] * HOUR));
    CHECK_OK(utapi_redis_expire(&r->backend.base, UTAPI_BUCKETS, utapi_string_of("b"), r->now_ms, &r->err),
             &r->err);
    tend(r, r->now_ms);
    assert_int_equal(keys_like(r, FLOWS), 0);
}

static void a_creation_after_a_late_expiry_stays_known(void **state)
{
    reading *r = *state;
    count(r, entry_of(UTAPI_OP_CREATE_BUCKET, r->now_ms - HOUR));
    CHECK_OK(utapi_redis_expire(&r->backend.base, UTAPI_BUCKETS, utapi_string_of("b"), r->now_ms - 2 * HOUR,
                                &r->err),
             &r->err);
    tend(r, r->now_ms);
    assert_int_equal(raw_number(r, "ZSCORE s3:buckets:b:+utapid:created at"),
                     utapi_interval_of(r->now_ms - HOUR));
    assert_int_equal(keys_like(r, FLOWS), 1);
}

static bool name_check(void *ctx, utapi_string name)
{
    ++*(int *)ctx;
    assert_true(utapi_string_equal(name, utapi_string_of("b")));
    return true;
}

static void the_key_of_a_creation_is_no_resource(void **state)
{
    reading *r = *state;
    int names = 0;
    count(r, entry_of(UTAPI_OP_CREATE_BUCKET, r->now_ms));
    CHECK_OK(utapi_redis_list(&r->backend.base, UTAPI_BUCKETS, name_check, &names, &r->err), &r->err);
    assert_int_equal(names, 1);
}

/* ---- by a Node client --------------------------------------------------------------------- */

/* What a Node client does at the end of a deleteBucket. Returns how many keys that were. */
static size_t node_expire(reading *r)
{
    redisReply *keys = redisCommand(r->raw, "KEYS s3:buckets:*b:*");
    assert_non_null(keys);
    const size_t found = keys->elements;
    for (size_t i = 0; i < found; i++)
        raw(r, "EXPIRE %s 600", keys->element[i]->str);
    freeReplyObject(keys);
    return found;
}

static size_t expiring(reading *r)
{
    redisReply *keys = redisCommand(r->raw, "KEYS s3:buckets:*b:*");
    assert_non_null(keys);
    size_t found = 0;
    for (size_t i = 0; i < keys->elements; i++)
        found += raw_number(r, "TTL %s", keys->element[i]->str) >= 0;
    freeReplyObject(keys);
    return found;
}

/* All within one interval: what the new bucket is counted in is there already, and would go with the old one. */
static void a_bucket_that_is_created_anew_keeps_what_it_counts(void **state)
{
    reading *r = *state;
    const long long before = interval_now(r) - INTERVAL;
    raw_flow(r, "b", before, "PutObject", 1); /* may go */
    raw(r, "ZADD s3:buckets:b:storageUtilized %lld 0:node", before);
    raw(r, "ZADD s3:buckets:b:numberOfObjects %lld 0:node", before);
    write_put(r, "b", r->now_ms);
    raw_flow(r, "b", interval_now(r), "DeleteBucket", 1);
    raw(r, "RPUSH s3:buckets:b:+utapid:shifts owed");
    raw(r, "SET s3:buckets:b:+utapid:gone 1");
    raw(r, "ZADD s3:buckets:b:+utapid:created %lld at", before);
    const size_t keys = node_expire(r);
    write_put(r, "b", r->now_ms); /* an event of the old one, taken before */
    assert_int_equal(expiring(r), keys);
    count(r, entry_of(UTAPI_OP_CREATE_BUCKET, r->now_ms));
    assert_int_equal(expiring(r), 1);
    write_put(r, "b", r->now_ms);
    assert_int_equal(expiring(r), 1);
    assert_int_equal(raw_number(r, "GET s3:buckets:b:storageUtilized:counter"), 3);
}

/* A set that is empty for a moment would lose the time, and list what is gone for ever. */
static void a_set_of_one_state_keeps_the_time_at_which_it_goes(void **state)
{
    reading *r = *state;
    write_put(r, "b", r->now_ms);
    assert_true(node_expire(r) > 0);
    write_put(r, "b", r->now_ms);            /* the same interval */
    write_put(r, "b", r->now_ms - INTERVAL); /* an earlier one */
    assert_true(raw_number(r, "TTL s3:buckets:b:storageUtilized") > 0);
    assert_true(raw_number(r, "TTL s3:buckets:b:numberOfObjects") > 0);
    CHECK_OK(utapi_redis_expire(&r->backend.base, UTAPI_BUCKETS, utapi_string_of("b"), r->now_ms - INTERVAL,
                                &r->err),
             &r->err);
    assert_int_equal(raw_number(r, "ZCARD s3:buckets:b:storageUtilized"), 1);
    assert_true(raw_number(r, "TTL s3:buckets:b:storageUtilized") > 0);
}

/* It never held an object: only the interval's own flows show it. */
static void a_bucket_that_was_always_empty_is_created_anew(void **state)
{
    reading *r = *state;
    raw_flow(r, "b", interval_now(r), "CreateBucket", 1);
    raw_flow(r, "b", interval_now(r), "ListBucket", 1);
    raw_flow(r, "b", interval_now(r), "DeleteBucket", 1);
    assert_int_equal(node_expire(r), 3);
    count(r, entry_of(UTAPI_OP_CREATE_BUCKET, r->now_ms));
    assert_int_equal(expiring(r), 0);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        READING_CASE(nothing_stays_of_a_bucket_that_was_empty_for_long),
        READING_CASE(nothing_stays_when_a_scheduled_expiry_is_due),
        READING_CASE(nothing_expires_past_a_fence_that_stands_elsewhere),
        READING_CASE(the_first_of_several_creations_counts),
        READING_CASE(a_creation_after_a_late_expiry_stays_known),
        READING_CASE(the_key_of_a_creation_is_no_resource),
        READING_CASE(a_bucket_that_is_created_anew_keeps_what_it_counts),
        READING_CASE(a_set_of_one_state_keeps_the_time_at_which_it_goes),
        READING_CASE(a_bucket_that_was_always_empty_is_created_anew),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
