/* SPDX-License-Identifier: Apache-2.0 */
/* edges_questions.c - read, rows, visit, stats, adjust, and fences. */
#include "edges.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- read --------------------------------------------------------------------------------- */

static void read_answers_in_the_order_of_the_names(void **state)
{
    edges *c = edges_of(state);
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

/* Late events, forgettings and levels all the same. */
static void the_current_states_are_those_of_the_newest_interval(void **state)
{
    edges *c = edges_of(state);
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
                         .end = UTAPI_INTERVAL_MAX,
                         .current_only = true};
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
    edges *c = edges_of(state);
    const utapi_query query = {.level = UTAPI_USERS, .start = INTERVAL(0), .end = INTERVAL(0)};
    uint64_t fence = 7;
    CHECK_OK(utapi_backend_read(c->backend, &query, NULL, &fence, &c->err), &c->err);
    assert_int_equal(fence, 0);
}

/* ---- rows --------------------------------------------------------------------------------- */

typedef struct collected {
    size_t count, most;
    int interval[16];
    int64_t bytes[16];
} collected;

static bool collect_row(void *ctx, utapi_interval interval, const utapi_amounts *totals)
{
    collected *rows = ctx;
    rows->interval[rows->count] = (int)((interval - INTERVAL(0)) / UTAPI_INTERVAL_MS);
    rows->bytes[rows->count++] = utapi_amounts_get(totals, UTAPI_STORAGE_UTILIZED);
    return rows->count < rows->most;
}

static void rows_begin_with_the_newest_before_the_range(void **state)
{
    edges *c = edges_of(state);
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
        CHECK_OK(utapi_backend_rows(c->backend, UTAPI_BUCKETS, S("b"), INTERVAL(expected[i].start),
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

/* ---- visit and stats ---------------------------------------------------------------------- */

typedef struct visited {
    unsigned count, most;
    uint64_t seen[16]; /* a bit for each name */
} visited;

static bool visit_one(void *ctx, utapi_string name)
{
    visited *names = ctx;
    char text[16] = "";
    assert_in_range(name.size, 1, sizeof text - 1);
    memcpy(text, name.data, name.size);
    assert_int_equal(text[0], 'b');
    const long long number = strtoll(text + 1, NULL, 10);
    assert_in_range(number, 0, 1023);
    names->seen[number / 64] ^= UINT64_C(1) << number % 64;
    return ++names->count < names->most;
}

static void visit_comes_by_every_resource_of_a_level_once(void **state)
{
    edges *c = edges_of(state);
    char names[ENTRIES_MAX][8];
    for (int batch = 0; batch < 4; batch++) {
        for (int i = 0; i < ENTRIES_MAX; i++) {
            snprintf(names[i], sizeof names[i], "b%d", batch * ENTRIES_MAX + i);
            put(c, names[i], INTERVAL(0), 1)->resource[UTAPI_USERS] = S("someone");
        }
        apply(c);
    }
    visited all = {.most = 5000};
    CHECK_OK(utapi_backend_list(c->backend, UTAPI_BUCKETS, visit_one, &all, &c->err), &c->err);
    assert_int_equal(all.count, 1024);
    for (int i = 0; i < 16; i++)
        assert_true(all.seen[i] == UINT64_MAX);
    visited none = {.most = 5000};
    CHECK_OK(utapi_backend_list(c->backend, UTAPI_ACCOUNTS, visit_one, &none, &c->err), &c->err);
    assert_int_equal(none.count, 0);
    visited some = {.most = 300};
    CHECK_OK(utapi_backend_list(c->backend, UTAPI_BUCKETS, visit_one, &some, &c->err), &c->err);
    assert_int_equal(some.count, 300);

    if (edges_kind.ops->rows == NULL)
        return; /* nor does it count resources */
    utapi_stats stats;
    CHECK_OK(utapi_backend_maintain(c->backend, c->now_ms, c->accepted_ms, &c->err), &c->err);
    CHECK_OK(utapi_backend_stats(c->backend, &stats, &c->err), &c->err);
    assert_int_equal(stats.resources, 1026);
    assert_int_equal(stats.rows, 1026);
    assert_int_equal(stats.uuids, 0);
    assert_true(stats.used_bytes <= stats.capacity_bytes);
}

/* ---- adjust ------------------------------------------------------------------------------- */

static utapi_status adjust(edges *c, const char *bucket, int interval, utapi_metric metric, int64_t amount)
{
    utapi_amounts delta;
    utapi_amounts_clear(&delta);
    utapi_amounts_set(&delta, metric, amount);
    const utapi_adjustment adjustment = {
        .level = UTAPI_BUCKETS, .name = S(bucket), .interval = INTERVAL(interval), .delta = &delta};
    return utapi_backend_adjust(c->backend, &adjustment, 1, &c->err);
}

static void a_correction_reaches_its_row_and_every_later_one(void **state)
{
    edges *c = edges_of(state);
    put(c, "b", INTERVAL(0), 1);
    put(c, "b", INTERVAL(10), 1);
    put(c, "b", INTERVAL(20), 1);
    apply(c);
    CHECK_OK(adjust(c, "b", 10, UTAPI_STORAGE_UTILIZED, 100), &c->err);
    expect_rows(c, "b", "0:1 10:102 20:103 ");
    CHECK_OK(adjust(c, "b", 15, UTAPI_STORAGE_UTILIZED, -50), &c->err);
    CHECK_OK(adjust(c, "b", 30, UTAPI_STORAGE_UTILIZED, 7), &c->err);
    expect_rows(c, "b", "0:1 10:102 15:52 20:53 30:60 ");
    assert_int_equal(service_bytes(c), 3);
    CHECK_OK(adjust(c, "b", 0, UTAPI_FIRST_OPERATION + UTAPI_OP_GET_OBJECT, 4), &c->err);
    const utapi_usage usage = usage_of(c, UTAPI_BUCKETS, S("b"), INTERVAL(0), INTERVAL(0));
    assert_int_equal(utapi_amounts_get(&usage.flows, UTAPI_FIRST_OPERATION + UTAPI_OP_GET_OBJECT), 4);
}

static void a_correction_that_does_not_fit_changes_nothing(void **state)
{
    edges *c = edges_of(state);
    put(c, "b", INTERVAL(0), 1);
    put(c, "b", INTERVAL(10), INT64_MAX - 1);
    apply(c);
    CHECK_STATUS(UTAPI_OVERFLOW, adjust(c, "b", 0, UTAPI_STORAGE_UTILIZED, 1), &c->err);
    expect_rows(c, "b", "0:1 10:9223372036854775807 ");
}

/* ---- fences ------------------------------------------------------------------------------- */

static uint64_t fence_of(edges *c, unsigned char writer)
{
    utapi_query query = {.level = UTAPI_BUCKETS, .start = INTERVAL(0), .end = INTERVAL(0)};
    memset(query.writer, writer, sizeof query.writer);
    uint64_t fence = 4711;
    CHECK_OK(utapi_backend_read(c->backend, &query, NULL, &fence, &c->err), &c->err);
    return fence;
}

static void set_fence(edges *c, unsigned char writer, uint64_t from, uint64_t to)
{
    memset(c->fence.writer, writer, sizeof c->fence.writer);
    c->fence.from = from;
    c->fence.to = to;
}

static void a_hand_over_counts_only_where_the_fence_stands(void **state)
{
    edges *c = edges_of(state);
    set_fence(c, 1, 0, 10);
    put(c, "b", INTERVAL(0), 1);
    apply(c);
    assert_int_equal(c->applied.fence, 10);

    static const uint64_t elsewhere[] = {0, 5, 9, 11, UINT64_MAX};
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++) {
        set_fence(c, 1, elsewhere[i], 20);
        put_uuid(c, "u", "b", INTERVAL(0), 1);
        c->applied.fence = 4711;
        apply_fails(c, UTAPI_FENCED);
        assert_int_equal(c->applied.fence, 10);
    }
    assert_int_equal(bucket_bytes(c, "b"), 1);
    set_fence(c, 1, 10, UINT64_MAX);
    put_uuid(c, "u", "b", INTERVAL(0), 1);
    apply(c);
    assert_int_equal(c->applied.repeated, 0);
    assert_true(c->applied.fence == UINT64_MAX);
    assert_int_equal(bucket_bytes(c, "b"), 2);
}

static void each_writer_has_a_fence_of_its_own(void **state)
{
    edges *c = edges_of(state);
    set_fence(c, 1, 0, 10);
    apply(c);
    set_fence(c, 2, 0, 3);
    apply(c);
    assert_int_equal(fence_of(c, 1), 10);
    assert_int_equal(fence_of(c, 2), 3);
    assert_int_equal(fence_of(c, 3), 0);
    set_fence(c, 0, 99, 100); /* nobody: no fence at all */
    put(c, "b", INTERVAL(0), 1);
    apply(c);
    assert_int_equal(c->applied.fence, 0);
    assert_int_equal(fence_of(c, 0), 0);
    assert_int_equal(bucket_bytes(c, "b"), 1);
}

static void a_refused_batch_moves_no_fence(void **state)
{
    edges *c = edges_of(state);
    put(c, "b", INTERVAL(0), INT64_MAX);
    apply(c);
    set_fence(c, 1, 0, 10);
    put(c, "b", INTERVAL(0), 1);
    apply_fails(c, UTAPI_OVERFLOW);
    assert_int_equal(fence_of(c, 1), 0);
    set_fence(c, 1, 0, 4);
    apply(c);
    assert_int_equal(fence_of(c, 1), 4);
    if (edges_kind.durable) {
        edges_reopen(c);
        assert_int_equal(fence_of(c, 1), 4);
    }
}

int cases_questions(void)
{
    const struct CMUnitTest cases[] = {
        EDGES_CASE(read_answers_in_the_order_of_the_names),
        EDGES_CASE(the_current_states_are_those_of_the_newest_interval),
        EDGES_CASE(a_question_about_nobody_is_answered),
        EDGES_CASE(rows_begin_with_the_newest_before_the_range),
        EDGES_CASE(visit_comes_by_every_resource_of_a_level_once),
        EDGES_CASE(a_correction_reaches_its_row_and_every_later_one),
        EDGES_CASE(a_correction_that_does_not_fit_changes_nothing),
        EDGES_CASE(a_hand_over_counts_only_where_the_fence_stands),
        EDGES_CASE(each_writer_has_a_fence_of_its_own),
        EDGES_CASE(a_refused_batch_moves_no_fence),
    };
    return RUN_CASES("questions", cases);
}
