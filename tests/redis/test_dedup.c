/* SPDX-License-Identifier: Apache-2.0 */
/* test_dedup.c - the hashes that uuids are kept in: which one is looked at, how long each stays, and that it goes. */
#include "reading.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEDUP  "s3:utapid:seen"
#define WINDOW (INT64_C(3600000))

enum { UUIDS_MOST = 2500 };

typedef struct uuids {
    utapi_entry entries[UUIDS_MOST];
    char texts[UUIDS_MOST][16];
} uuids;

static int seen_setup(void **state)
{
    const int failed = reading_setup(state);
    if (failed == 0)
        ((reading *)*state)->backend.window_ms = WINDOW;
    return failed;
}

#define SEEN_CASE(name) cmocka_unit_test_setup_teardown(name, seen_setup, reading_teardown)

/* Takes so many uuids, their own times `apart_ms` from each other; returns how many were known. */
static size_t take_many(reading *r, size_t count, int64_t first_ms, int64_t apart_ms, int64_t accepted_ms)
{
    uuids *all = calloc(1, sizeof *all);
    assert_non_null(all);
    for (size_t i = 0; i < count; i++) {
        const int size = snprintf(all->texts[i], sizeof all->texts[i], "uuid-%zu", i);
        all->entries[i] = (utapi_entry){.time_ms = r->now_ms,
                                        .accepted_ms = accepted_ms,
                                        .resource = {[UTAPI_BUCKETS] = utapi_string_of("b")},
                                        .operation = UTAPI_OP_PUT_OBJECT,
                                        .uuid = {all->texts[i], (size_t)size},
                                        .uuid_time_ms = first_ms + (int64_t)i * apart_ms};
    }
    utapi_applied applied;
    const utapi_batch batch = {.entries = all->entries, .count = count, .now_ms = r->now_ms};
    CHECK_OK(utapi_redis_apply(&r->backend.base, &batch, &applied, &r->err), &r->err);
    free(all);
    return applied.repeated;
}

static size_t take(reading *r, int64_t uuid_time_ms, int64_t accepted_ms)
{
    return take_many(r, 1, uuid_time_ms, 0, accepted_ms);
}

static void uuids_of_many_hours_are_each_found_again(void **state)
{
    reading *r = *state;
    const int64_t first_ms = r->now_ms - 300 * 4 * INTERVAL;
    assert_int_equal(take_many(r, 300, first_ms, 4 * INTERVAL, r->now_ms), 0);
    assert_int_equal(take_many(r, 300, first_ms, 4 * INTERVAL, r->now_ms), 300);
    assert_int_equal(raw_number(r, "ZCARD " DEDUP), 300);
}

static void more_uuids_of_one_moment_than_a_command_takes(void **state)
{
    reading *r = *state;
    assert_int_equal(take_many(r, UUIDS_MOST, r->now_ms, 0, r->now_ms), 0);
    assert_int_equal(take_many(r, UUIDS_MOST, r->now_ms, 0, r->now_ms), UUIDS_MOST);
    assert_int_equal(raw_number(r, "ZCARD " DEDUP), 1);
}

static void a_uuid_is_known_until_the_window_s_last_millisecond(void **state)
{
    reading *r = *state;
    assert_int_equal(take(r, 7, r->now_ms), 0);
    assert_int_equal(take(r, 7, r->now_ms + WINDOW), 1);
    assert_int_equal(take(r, 7, r->now_ms + WINDOW + 1), 0);
    assert_int_equal(take(r, 7, r->now_ms + 2 * WINDOW), 1); /* from then on again */
}

/* A batch joins what was accepted at different times: each is judged by its own. */
static void a_uuid_is_judged_by_its_own_time(void **state)
{
    reading *r = *state;
    assert_int_equal(take(r, 7, r->now_ms), 0);
    utapi_entry entries[2];
    for (size_t i = 0; i < 2; i++)
        entries[i] = (utapi_entry){.time_ms = r->now_ms,
                                   .resource = {[UTAPI_BUCKETS] = utapi_string_of("b")},
                                   .operation = UTAPI_OP_PUT_OBJECT,
                                   .uuid = utapi_string_of(i == 0 ? "uuid-0" : "uuid-1"),
                                   .uuid_time_ms = 7,
                                   .accepted_ms = r->now_ms + WINDOW + (int64_t)i * 1000};
    const utapi_batch batch = {.entries = entries, .count = 2, .now_ms = r->now_ms};
    utapi_applied applied;
    CHECK_OK(utapi_redis_apply(&r->backend.base, &batch, &applied, &r->err), &r->err);
    assert_int_equal(applied.repeated, 1);
}

static void what_was_taken_the_day_before_is_known(void **state)
{
    reading *r = *state;
    r->backend.window_ms = DAY;
    raw(r, "HSET " DEDUP ":%lld:0 7:uuid-0 %lld", (long long)(r->now_ms / DAY - 1),
        (long long)(r->now_ms - DAY));
    assert_int_equal(take(r, 7, r->now_ms), 1);
    assert_int_equal(take(r, 7, r->now_ms + 1), 0);
}

static void a_uuid_whose_time_is_no_number_was_not_taken(void **state)
{
    reading *r = *state;
    raw(r, "HSET " DEDUP ":%lld:0 7:uuid-0 junk", (long long)(r->now_ms / DAY));
    assert_int_equal(take(r, 7, r->now_ms), 0);
    assert_int_equal(take(r, 7, r->now_ms), 1);
}

static void a_taking_keeps_its_hash_for_the_window(void **state)
{
    reading *r = *state;
    char key[64];
    snprintf(key, sizeof key, DEDUP ":%lld:0", (long long)(r->now_ms / DAY));
    take(r, 1, r->now_ms);
    const long long until = raw_number(r, "ZSCORE " DEDUP " %s", key);
    assert_in_range(until, r->now_ms + WINDOW, r->now_ms + WINDOW + 60000);
    r->backend.window_ms = 2 * WINDOW;
    take(r, 2, r->now_ms);
    assert_true(raw_number(r, "ZSCORE " DEDUP " %s", key) >= until + WINDOW);
    r->backend.window_ms = WINDOW; /* of another utapid: it may not shorten what this one promised */
    take(r, 3, r->now_ms);
    assert_true(raw_number(r, "ZSCORE " DEDUP " %s", key) >= until + WINDOW);
    assert_int_equal(raw_number(r, "TTL %s", key), -1); /* Redis would free all of it at once */
}

static void hashes_that_are_over_go(void **state)
{
    reading *r = *state;
    take_many(r, 20, r->now_ms, 1000, r->now_ms);
    for (int i = 0; i < 20; i++)
        raw(r, "ZADD " DEDUP " %lld " DEDUP ":%lld:%lld", (long long)(r->now_ms - 1),
            (long long)(r->now_ms / DAY), (long long)(r->now_ms / 1000 + i));
    for (int i = 0; i < 3; i++) /* several at a time */
        take(r, i, r->now_ms);
    assert_int_equal(raw_number(r, "ZCARD " DEDUP), 1);
    assert_int_equal(raw_number(r, "EXISTS " DEDUP ":%lld:%lld", (long long)(r->now_ms / DAY),
                                (long long)(r->now_ms / 1000)),
                     0);
    assert_int_equal(take(r, 0, r->now_ms), 1);
}

static void a_hash_is_a_table_from_its_first_uuid(void **state)
{
    reading *r = *state;
    take(r, 7, r->now_ms);
    redisReply *reply =
        redisCommand(r->raw, "OBJECT ENCODING " DEDUP ":%lld:0", (long long)(r->now_ms / DAY));
    assert_non_null(reply);
    assert_string_equal(reply->str, "hashtable");
    freeReplyObject(reply);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        SEEN_CASE(uuids_of_many_hours_are_each_found_again),
        SEEN_CASE(more_uuids_of_one_moment_than_a_command_takes),
        SEEN_CASE(a_uuid_is_known_until_the_window_s_last_millisecond),
        SEEN_CASE(a_uuid_is_judged_by_its_own_time),
        SEEN_CASE(what_was_taken_the_day_before_is_known),
        SEEN_CASE(a_uuid_whose_time_is_no_number_was_not_taken),
        SEEN_CASE(a_taking_keeps_its_hash_for_the_window),
        SEEN_CASE(hashes_that_are_over_go),
        SEEN_CASE(a_hash_is_a_table_from_its_first_uuid),
    };
    return cmocka_run_group_tests_name("redis.dedup", cases, NULL, NULL);
}
