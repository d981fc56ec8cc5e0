/* SPDX-License-Identifier: Apache-2.0 */
/* reading.c - answers to many names, rows, lists of names, figures. */
#include "contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct noted {
    size_t count, stop_after;
    char names[8][16];
    utapi_interval intervals[8];
    int64_t bytes[8];
} noted;

static bool note_resource(void *ctx, utapi_string name)
{
    noted *seen = ctx;
    assert_in_range(name.size, 1, sizeof seen->names[0] - 1);
    memcpy(seen->names[seen->count++], name.data, name.size);
    return seen->count != seen->stop_after;
}

static void a_list_names_each_resource_of_a_level_once(void **state)
{
    contract *c = *state;
    const utapi_entry entries[] = {entry_put("a", T0, 1), entry_put("bb", T0, 1), entry_put("a", T0 + DAY, 1),
                                   entry_put("ccc", T0, 0)};
    CHECK_OK(apply_entries(c, entries, 4), &c->err);
    noted seen = {.stop_after = 0};
    CHECK_OK(utapi_backend_list(c->backend, UTAPI_BUCKETS, note_resource, &seen, &c->err), &c->err);
    assert_int_equal(seen.count, 3);
    unsigned sizes = 0;
    for (size_t i = 0; i < seen.count; i++)
        sizes |= 1U << strlen(seen.names[i]);
    assert_int_equal(sizes, 1U << 1 | 1U << 2 | 1U << 3);
    seen = (noted){.stop_after = 2};
    CHECK_OK(utapi_backend_list(c->backend, UTAPI_BUCKETS, note_resource, &seen, &c->err), &c->err);
    assert_int_equal(seen.count, 2);
    seen = (noted){.stop_after = 0};
    CHECK_OK(utapi_backend_list(c->backend, UTAPI_USERS, note_resource, &seen, &c->err), &c->err);
    assert_int_equal(seen.count, 0);
}

static bool note_row(void *ctx, utapi_interval interval, const utapi_amounts *totals)
{
    noted *seen = ctx;
    seen->intervals[seen->count] = interval;
    seen->bytes[seen->count++] = (int64_t)utapi_amounts_get(totals, UTAPI_STORAGE_UTILIZED);
    return seen->count != seen->stop_after;
}

static void rows_begin_with_the_one_before_the_range(void **state)
{
    contract *c = *state;
    for (int day = 0; day < 5; day++)
        CHECK_OK(apply_entry(c, entry_put("b", T0 + day * DAY, 1)), &c->err);
    CHECK_OK(apply_entry(c, entry_put("a", T0, 50)), &c->err);
    CHECK_OK(apply_entry(c, entry_put("c", T0, 60)), &c->err);
    const utapi_string b = utapi_string_of("b");
    noted seen = {.stop_after = 0};
    CHECK_OK(export_rows(c->backend, UTAPI_BUCKETS, b, T0 + 2 * DAY, T0 + 3 * DAY, note_row, &seen, &c->err),
             &c->err);
    assert_int_equal(seen.count, 3);
    for (size_t i = 0; i < seen.count; i++) {
        assert_int_equal(seen.intervals[i], T0 + (int64_t)(i + 1) * DAY);
        assert_int_equal(seen.bytes[i], i + 2);
    }
    seen = (noted){.stop_after = 0};
    CHECK_OK(export_rows(c->backend, UTAPI_BUCKETS, b, 0, T0 + 1000 * DAY, note_row, &seen, &c->err),
             &c->err);
    assert_int_equal(seen.count, 5);
    seen = (noted){.stop_after = 0};
    CHECK_OK(export_rows(c->backend, UTAPI_BUCKETS, b, T0 + 9 * DAY, T0 + 9 * DAY, note_row, &seen, &c->err),
             &c->err);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.bytes[0], 5);
    seen = (noted){.stop_after = 1};
    CHECK_OK(export_rows(c->backend, UTAPI_BUCKETS, b, 0, T0 + 9 * DAY, note_row, &seen, &c->err), &c->err);
    assert_int_equal(seen.count, 1);
    seen = (noted){.stop_after = 0};
    CHECK_OK(
        export_rows(c->backend, UTAPI_BUCKETS, utapi_string_of("nobody"), 0, T0, note_row, &seen, &c->err),
        &c->err);
    assert_int_equal(seen.count, 0);
}

static void stats_count_resources_rows_and_uuids(void **state)
{
    contract *c = *state;
    const utapi_entry entries[] = {entry_put_uuid("u1", "a", T0, 1), entry_put_uuid("u2", "a", T0 + DAY, 1),
                                   entry_put("b", T0, 1)};
    CHECK_OK(apply_entries(c, entries, 3), &c->err);
    utapi_storage_stats stats;
    CHECK_OK(utapi_backend_stats(c->backend, &stats, &c->err), &c->err);
    assert_int_equal(stats.resources, 3); /* a, b, and the service */
    assert_int_equal(stats.rows, 5);
    assert_int_equal(stats.uuids, 2);
    assert_true(stats.used_bytes <= stats.capacity_bytes);
}

static void read_answers_in_the_order_of_the_names(void **state)
{
    contract *c = *state;
    put(c, "a", INTERVAL(0), 1);
    put(c, "b", INTERVAL(0), 2);
    apply(c);
    char too_long[600];
    memset(too_long, 'x', sizeof too_long);
    const utapi_string names[] = {S("b"), S("unknown"), S("a"), S("b"), {too_long, sizeof too_long}, S("")};
    const utapi_query query = {
        .level = UTAPI_BUCKETS, .names = names, .count = 6, .start = INTERVAL(0), .end = INTERVAL(0)};
    static const int64_t expected[] = {2, 0, 1, 2, 0, 0};
    utapi_usage usages[6];
    memset(usages, 0xFF, sizeof usages);
    CHECK_OK(utapi_backend_read(c->backend, &query, usages, NULL, &c->err), &c->err);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(usages[i].storage_utilized[0], expected[i]);
        assert_int_equal(usages[i].storage_utilized[1], expected[i]);
        assert_int_equal(utapi_amounts_get(&usages[i].flows, UTAPI_INCOMING_BYTES), expected[i]);
    }
}

/* Late events, expiries and levels all the same. */
static void the_current_states_are_those_of_the_newest_interval(void **state)
{
    contract *c = *state;
    put(c, "a", INTERVAL(9), 5);
    put(c, "b", INTERVAL(9), 7);
    apply(c);
    put(c, "a", INTERVAL(0), 3);
    put(c, "a", INTERVAL(4), -9);
    delete_bucket(c, "b", INTERVAL(4));
    apply(c);
    const utapi_string names[] = {S("b"), S("unknown"), S("a")};
    utapi_usage usages[3];
    utapi_query query = {.level = UTAPI_BUCKETS,
                         .names = names,
                         .count = 3,
                         .start = UTAPI_INTERVAL_MAX,
                         .end = UTAPI_INTERVAL_MAX};
    static const int64_t bytes[] = {7, 0, -1}, objects[] = {1, 0, 3};
    CHECK_OK(utapi_backend_read(c->backend, &query, usages, NULL, &c->err), &c->err);
    for (size_t i = 0; i < 3; i++)
        for (size_t bound = 0; bound < 2; bound++) {
            assert_int_equal(usages[i].storage_utilized[bound], bytes[i]);
            assert_int_equal(usages[i].number_of_objects[bound], objects[i]);
        }
    delete_bucket(c, "b", INTERVAL(9));
    apply(c);
    query.count = 1;
    CHECK_OK(utapi_backend_read(c->backend, &query, usages, NULL, &c->err), &c->err);
    assert_int_equal(usages[0].storage_utilized[1], 0);
    assert_int_equal(usages[0].number_of_objects[1], 0);
}

static void a_question_about_nobody_is_answered(void **state)
{
    contract *c = *state;
    const utapi_query query = {.level = UTAPI_USERS, .start = INTERVAL(0), .end = INTERVAL(0)};
    uint64_t fence = 7;
    CHECK_OK(utapi_backend_read(c->backend, &query, NULL, &fence, &c->err), &c->err);
    assert_int_equal(fence, 0);
}

typedef struct collected {
    size_t count, most;
    int interval[16];
    int64_t bytes[16];
} collected;

static bool collect_row(void *ctx, utapi_interval interval, const utapi_amounts *totals)
{
    collected *rows = ctx;
    rows->interval[rows->count] = (int)((interval - INTERVAL(0)) / UTAPI_INTERVAL_MS);
    rows->bytes[rows->count++] = (int64_t)utapi_amounts_get(totals, UTAPI_STORAGE_UTILIZED);
    return rows->count < rows->most;
}

static void rows_begin_with_the_newest_before_the_range(void **state)
{
    contract *c = *state;
    for (int i = 0; i < 5; i++) {
        put(c, "b", INTERVAL(10 * i), 1);
        put(c, "c", INTERVAL(10 * i), 1);
        apply(c);
    }
    static const struct {
        int start, end;
        size_t most, count;
        int first, last;
    } expected[] = {
        {-5, 100, 16, 5, 0, 40},  {0, 100, 16, 5, 0, 40},  {1, 100, 16, 5, 0, 40},  {10, 100, 16, 5, 0, 40},
        {11, 100, 16, 4, 10, 40}, {40, 40, 16, 2, 30, 40}, {41, 50, 16, 1, 40, 40}, {-9, -1, 16, 0, 0, 0},
        {5, 25, 16, 3, 0, 20},    {5, 9, 16, 1, 0, 0},     {0, 100, 2, 2, 0, 10},   {35, 100, 1, 1, 30, 30},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        collected rows = {.most = expected[i].most};
        CHECK_OK(export_rows(c->backend, UTAPI_BUCKETS, S("b"), INTERVAL(expected[i].start),
                             INTERVAL(expected[i].end), collect_row, &rows, &c->err),
                 &c->err);
        assert_int_equal(rows.count, expected[i].count);
        if (rows.count > 0) {
            assert_int_equal(rows.interval[0], expected[i].first);
            assert_int_equal(rows.interval[rows.count - 1], expected[i].last);
            assert_int_equal(rows.bytes[rows.count - 1], expected[i].last / 10 + 1);
        }
    }
}

typedef struct listed_names {
    unsigned count, most;
    uint64_t seen[16]; /* a bit for each name */
} listed_names;

static bool note_name(void *ctx, utapi_string name)
{
    listed_names *names = ctx;
    char text[16] = "";
    assert_in_range(name.size, 1, sizeof text - 1);
    memcpy(text, name.data, name.size);
    assert_int_equal(text[0], 'b');
    const long long number = strtoll(text + 1, NULL, 10);
    assert_in_range(number, 0, 1023);
    names->seen[number / 64] ^= UINT64_C(1) << number % 64;
    return ++names->count < names->most;
}

static void a_list_holds_a_thousand_resources_once_each(void **state)
{
    contract *c = *state;
    char names[CONTRACT_ENTRIES_MAX][8];
    for (int batch = 0; batch < 4; batch++) {
        for (int i = 0; i < CONTRACT_ENTRIES_MAX; i++) {
            snprintf(names[i], sizeof names[i], "b%d", batch * CONTRACT_ENTRIES_MAX + i);
            put(c, names[i], INTERVAL(0), 1)->resource[UTAPI_USERS] = S("someone");
        }
        apply(c);
    }
    listed_names all = {.most = 5000};
    CHECK_OK(utapi_backend_list(c->backend, UTAPI_BUCKETS, note_name, &all, &c->err), &c->err);
    assert_int_equal(all.count, 1024);
    for (int i = 0; i < 16; i++)
        assert_true(all.seen[i] == UINT64_MAX);
    listed_names none = {.most = 5000};
    CHECK_OK(utapi_backend_list(c->backend, UTAPI_ACCOUNTS, note_name, &none, &c->err), &c->err);
    assert_int_equal(none.count, 0);
    listed_names some = {.most = 300};
    CHECK_OK(utapi_backend_list(c->backend, UTAPI_BUCKETS, note_name, &some, &c->err), &c->err);
    assert_int_equal(some.count, 300);

    if (!contract_keeps_totals(c))
        return; /* nor does it count resources */
    utapi_storage_stats stats;
    CHECK_OK(utapi_backend_maintain(c->backend, c->now_ms, c->accepted_ms, &c->err), &c->err);
    CHECK_OK(utapi_backend_stats(c->backend, &stats, &c->err), &c->err);
    assert_int_equal(stats.resources, 1026);
    assert_int_equal(stats.rows, 1026);
    assert_int_equal(stats.uuids, 0);
    assert_true(stats.used_bytes <= stats.capacity_bytes);
}

/* A row of the epoch's own interval is in the range that begins there, not before it. */
static void nothing_comes_before_the_first_interval(void **state)
{
    contract *c = *state;
    put(c, "b", INTERVAL(0), 7);
    put(c, "b", INTERVAL(1), 7);
    apply(c);
    put(c, "b", 0, 5);
    apply(c);
    const utapi_usage usage = usage_of(c, UTAPI_BUCKETS, S("b"), 0, 0);
    assert_int_equal(usage.storage_utilized[1], 5);
    assert_int_equal(utapi_amounts_get(&usage.flows, UTAPI_INCOMING_BYTES), 5);
}

static bool knows(contract *c, utapi_level level, utapi_string name)
{
    bool known = true;
    CHECK_OK(utapi_backend_knows(c->backend, level, name, &known, &c->err), &c->err);
    return known;
}

static void what_is_listed_is_known(void **state)
{
    static const char too_long[UTAPI_NAME_MAX + 1] = {'n'};
    contract *c = *state;
    if (c->backend->ops->admin->knows == NULL)
        skip();
    assert_false(knows(c, UTAPI_BUCKETS, S("b")));
    put(c, "b", T0, 1);
    apply(c);
    assert_true(knows(c, UTAPI_BUCKETS, S("b")));
    assert_true(knows(c, UTAPI_SERVICE, S("s3")));
    assert_false(knows(c, UTAPI_USERS, S("b")));
    assert_false(knows(c, UTAPI_BUCKETS, S("bb")));
    assert_false(knows(c, UTAPI_BUCKETS, (utapi_string){too_long, sizeof too_long}));
    expire_bucket(c, "b", T0 + DAY);
    assert_int_equal(knows(c, UTAPI_BUCKETS, S("b")), is_known(c, UTAPI_BUCKETS, "b"));
    assert_false(knows(c, UTAPI_BUCKETS, S("b")));
}

const struct CMUnitTest contract_reading[] = {
    CASE(what_is_listed_is_known),
    CASE(a_list_names_each_resource_of_a_level_once),
    CASE(rows_begin_with_the_one_before_the_range),
    CASE(stats_count_resources_rows_and_uuids),
    CASE(read_answers_in_the_order_of_the_names),
    CASE(the_current_states_are_those_of_the_newest_interval),
    CASE(a_question_about_nobody_is_answered),
    CASE(rows_begin_with_the_newest_before_the_range),
    CASE(a_list_holds_a_thousand_resources_once_each),
    CASE(nothing_comes_before_the_first_interval),
    {.name = NULL},
};
