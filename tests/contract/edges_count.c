/* SPDX-License-Identifier: Apache-2.0 */
/* edges_count.c - where an entry counts: levels, intervals, names; and what a range then says. */
#include "edges.h"

#include <string.h>

static void every_operation_is_kept(void **state)
{
    edges *c = edges_of(state);
    for (unsigned o = 0; o < UTAPI_OPERATION_COUNT; o++)
        put(c, "b", INTERVAL(o % 3), 1)->operation = (utapi_operation)o;
    apply(c);
    const utapi_usage usage = usage_of(c, UTAPI_BUCKETS, S("b"), FIRST, LAST);
    for (unsigned o = 0; o < UTAPI_OPERATION_COUNT; o++)
        assert_int_equal(utapi_amounts_get(&usage.flows, UTAPI_FIRST_OPERATION + o), 1);
}

/* A change inside the first interval is in the first figure already (docs/specification.md#reply). */
static void states_are_those_of_the_newest_interval_until_a_bound(void **state)
{
    edges *c = edges_of(state);
    put(c, "b", INTERVAL(10) + 899999, 100);
    put(c, "b", INTERVAL(20), 10);
    apply(c);

    static const struct {
        int start, end;
        int64_t first, last;
    } expected[] = {
        {8, 9, 0, 0},       {9, 10, 0, 100},    {10, 10, 100, 100}, {11, 19, 100, 100},
        {10, 20, 100, 110}, {20, 20, 110, 110}, {21, 22, 110, 110}, {0, 50, 0, 110},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const utapi_usage usage =
            usage_of(c, UTAPI_BUCKETS, S("b"), INTERVAL(expected[i].start), INTERVAL(expected[i].end));
        assert_int_equal(usage.storage_utilized[0], expected[i].first);
        assert_int_equal(usage.storage_utilized[1], expected[i].last);
    }
}

static void flows_are_summed_from_the_first_interval_to_the_last(void **state)
{
    edges *c = edges_of(state);
    for (int i = 0; i < 10; i++)
        put(c, "b", INTERVAL(i) + i, INT64_C(1) << i);
    apply(c);
    for (int start = 0; start < 10; start++)
        for (int end = start; end < 10; end++) {
            const utapi_usage usage = usage_of(c, UTAPI_BUCKETS, S("b"), INTERVAL(start), INTERVAL(end));
            assert_int_equal(utapi_amounts_get(&usage.flows, UTAPI_INCOMING_BYTES),
                             (INT64_C(1) << (end + 1)) - (INT64_C(1) << start));
        }
}

static void a_late_entry_reaches_every_later_row(void **state)
{
    edges *c = edges_of(state);
    for (int i = 10; i < 15; i++) {
        put(c, "b", INTERVAL(i), 1);
        apply(c);
    }
    put(c, "b", INTERVAL(12), 100);
    apply(c);
    expect_rows(c, "b", "10:1 11:2 12:103 13:104 14:105 ");
}

static void a_late_entry_makes_its_own_row_from_the_one_before(void **state)
{
    edges *c = edges_of(state);
    put(c, "b", INTERVAL(10), 1);
    put(c, "b", INTERVAL(20), 1);
    put(c, "b", INTERVAL(30), 1);
    apply(c);
    put(c, "b", INTERVAL(15), 100);
    apply(c);
    expect_rows(c, "b", "10:1 15:101 20:102 30:103 ");
    put(c, "b", INTERVAL(5), 1000);
    apply(c);
    expect_rows(c, "b", "5:1000 10:1001 15:1101 20:1102 30:1103 ");
}

static void late_and_new_entries_of_one_batch_are_sorted_out(void **state)
{
    edges *c = edges_of(state);
    for (int i = 10; i <= 30; i += 10)
        put(c, "b", INTERVAL(i), 1);
    apply(c);
    static const int order[] = {35, 5, 20, 7, 30, 25, 40, 20, 26};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        put(c, "b", INTERVAL(order[i]), 100);
    apply(c);
    expect_rows(c, "b", "5:100 7:200 10:201 20:402 25:502 26:602 30:703 35:803 40:903 ");
}

static void a_bucket_takes_late_entries_of_its_own_alone(void **state)
{
    edges *c = edges_of(state);
    for (int i = 0; i < 5; i++) {
        put(c, "a", INTERVAL(i), 1);
        put(c, "b", INTERVAL(i), 1);
        put(c, "c", INTERVAL(i), 1);
        apply(c);
    }
    put(c, "b", INTERVAL(-5), 100);
    apply(c);
    expect_rows(c, "a", "0:1 1:2 2:3 3:4 4:5 ");
    expect_rows(c, "b", "-5:100 0:101 1:102 2:103 3:104 4:105 ");
    expect_rows(c, "c", "0:1 1:2 2:3 3:4 4:5 ");
}

static void the_last_interval_of_all_counts_too(void **state)
{
    edges *c = edges_of(state);
    put(c, "b", UTAPI_INTERVAL_MAX, 5);
    apply(c);
    put(c, "b", UTAPI_INTERVAL_MAX - UTAPI_INTERVAL_MS, 6);
    apply(c);
    const utapi_usage usage =
        usage_of(c, UTAPI_BUCKETS, S("b"), UTAPI_INTERVAL_MAX, UTAPI_INTERVAL_MAX + 7 * UTAPI_INTERVAL_MS);
    assert_int_equal(usage.storage_utilized[0], 11);
    assert_int_equal(utapi_amounts_get(&usage.flows, UTAPI_INCOMING_BYTES), 5);
}

static void an_empty_batch_changes_nothing(void **state)
{
    edges *c = edges_of(state);
    put(c, "b", INTERVAL(0), 5);
    apply(c);
    apply(c);
    assert_int_equal(bucket_bytes(c, "b"), 5);
    assert_int_equal(c->applied.repeated, 0);
    assert_int_equal(c->applied.fence, 0);
}

/* ---- names -------------------------------------------------------------------------------- */

int cases_count(void)
{
    const struct CMUnitTest cases[] = {
        EDGES_CASE(every_operation_is_kept),
        EDGES_CASE(states_are_those_of_the_newest_interval_until_a_bound),
        EDGES_CASE(flows_are_summed_from_the_first_interval_to_the_last),
        EDGES_CASE(a_late_entry_reaches_every_later_row),
        EDGES_CASE(a_late_entry_makes_its_own_row_from_the_one_before),
        EDGES_CASE(late_and_new_entries_of_one_batch_are_sorted_out),
        EDGES_CASE(a_bucket_takes_late_entries_of_its_own_alone),
        EDGES_CASE(the_last_interval_of_all_counts_too),
        EDGES_CASE(an_empty_batch_changes_nothing),
    };
    return RUN_CASES("counting", cases);
}
