/* SPDX-License-Identifier: Apache-2.0 */
/* counting.c - where an entry counts: levels, intervals, names; states, flows, and what comes late. */
#include "contract.h"

#include <string.h>

static int64_t puts_of(const utapi_usage *usage)
{
    return (int64_t)utapi_amounts_get(&usage->flows, UTAPI_FIRST_OPERATION + UTAPI_OP_PUT_OBJECT);
}

static int64_t incoming_of(const utapi_usage *usage)
{
    return (int64_t)utapi_amounts_get(&usage->flows, UTAPI_INCOMING_BYTES);
}

static void an_unknown_resource_has_no_usage(void **state)
{
    contract *c = *state;
    const utapi_usage usage = usage_ever(c, "nobody");
    assert_int_equal(usage.storage_utilized[1], 0);
    assert_true(usage.flows.present == 0);
}

static void state_is_that_of_the_newest_interval_and_flows_are_summed(void **state)
{
    contract *c = *state;
    const utapi_entry entries[] = {entry_put("b", T0 + 5, 10), entry_put("b", T0 + HOUR, 20),
                                   entry_put("b", T0 + 2 * HOUR, -5)};
    CHECK_OK(apply_entries(c, entries, 3), &c->err);
    const utapi_string b = utapi_string_of("b");

    utapi_usage usage = usage_of(c, UTAPI_BUCKETS, b, T0, T0 + 2 * HOUR);
    assert_int_equal(usage.storage_utilized[0],
                     10); /* a change in the first interval is in the first figure */
    assert_int_equal(usage.storage_utilized[1], 25);
    assert_int_equal(usage.number_of_objects[1], 3);
    assert_int_equal(puts_of(&usage), 3);
    assert_int_equal(incoming_of(&usage), 30);

    usage = usage_of(c, UTAPI_BUCKETS, b, T0 + 15 * MINUTE, T0 + HOUR);
    assert_int_equal(usage.storage_utilized[0], 10);
    assert_int_equal(usage.storage_utilized[1], 30);
    assert_int_equal(puts_of(&usage), 1);

    usage = usage_of(c, UTAPI_BUCKETS, b, T0 + 3 * HOUR, T0 + 4 * HOUR);
    assert_int_equal(usage.storage_utilized[0], 25);
    assert_int_equal(puts_of(&usage), 0);

    usage = usage_of(c, UTAPI_BUCKETS, b, T0 - HOUR, T0 - 15 * MINUTE);
    assert_int_equal(usage.storage_utilized[1], 0);
    assert_int_equal(puts_of(&usage), 0);
}

static void ranges_may_reach_before_the_epoch(void **state)
{
    contract *c = *state;
    CHECK_OK(apply_entry(c, entry_put("b", 0, 7)), &c->err);
    const utapi_string b = utapi_string_of("b");
    utapi_usage usage = usage_of(c, UTAPI_BUCKETS, b, -UTAPI_INTERVAL_MS, -UTAPI_INTERVAL_MS);
    assert_int_equal(usage.storage_utilized[1], 0);
    usage = usage_of(c, UTAPI_BUCKETS, b, -UTAPI_INTERVAL_MS, 0);
    assert_int_equal(usage.storage_utilized[0], 0);
    assert_int_equal(usage.storage_utilized[1], 7);
    assert_int_equal(puts_of(&usage), 1);
    usage = usage_of(c, UTAPI_BUCKETS, b, 0, 0);
    assert_int_equal(usage.storage_utilized[0], 7);
    usage = usage_of(c, UTAPI_BUCKETS, b, 0, UTAPI_INTERVAL_MAX);
    assert_int_equal(puts_of(&usage), 1);
}

static void a_late_event_reaches_every_later_row(void **state)
{
    contract *c = *state;
    for (int day = 0; day < 10; day++)
        CHECK_OK(apply_entry(c, entry_put("b", T0 + day * DAY, 100)), &c->err);
    const utapi_entry late[] = {entry_put("b", T0 + 3 * DAY + 5, 1), entry_put("b", T0 + 7 * DAY + HOUR, 10),
                                entry_put("b", T0 - DAY, 1000)};
    CHECK_OK(apply_entries(c, late, 3), &c->err);
    assert_int_equal(bytes_at(c, "b", T0 - 2 * DAY), 0);
    assert_int_equal(bytes_at(c, "b", T0 - DAY), 1000);
    assert_int_equal(bytes_at(c, "b", T0), 1100);
    assert_int_equal(bytes_at(c, "b", T0 + 3 * DAY), 1401);
    assert_int_equal(bytes_at(c, "b", T0 + 7 * DAY), 1801);
    assert_int_equal(bytes_at(c, "b", T0 + 7 * DAY + HOUR), 1811);
    assert_int_equal(bytes_at(c, "b", T0 + 9 * DAY), 2011);
    const utapi_usage usage = usage_of(c, UTAPI_BUCKETS, utapi_string_of("b"), T0 + 3 * DAY, T0 + 3 * DAY);
    assert_int_equal(puts_of(&usage), 2);
}

static void names_are_opaque_and_stay_apart(void **state)
{
    contract *c = *state;
    char longest[UTAPI_NAME_MAX + 1] = "";
    memset(longest, 'x', UTAPI_NAME_MAX);
    char nearly[UTAPI_NAME_MAX + 1];
    memcpy(nearly, longest, sizeof nearly);
    nearly[UTAPI_NAME_MAX - 1] = 'y';
    const char *const names[] = {"a",
                                 "ab",
                                 "a:b",
                                 "a/b",
                                 "a%2Fb",
                                 "counter",
                                 "a:counter",
                                 "\xc3\xa9",
                                 "\xf0\x9f\x98\x80",
                                 " ",
                                 "a\nb",
                                 "A",
                                 longest,
                                 nearly,
                                 "storageUtilized",
                                 "1700006400000"};
    const size_t count = sizeof names / sizeof *names;
    for (size_t i = 0; i < count; i++)
        CHECK_OK(apply_entry(c, entry_put(names[i], T0, (int64_t)i + 1)), &c->err);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(bytes_at(c, names[i], T0), i + 1);
    assert_int_equal(bytes_at(c, "x", T0), 0);
    assert_int_equal(bytes_at(c, "s3", T0), 0); /* another level's */
}

static void levels_stay_apart(void **state)
{
    contract *c = *state;
    utapi_entry entry = entry_put("same", T0, 5);
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT; level++)
        entry.resource[level] = utapi_string_of(level == UTAPI_USERS ? "" : "same");
    CHECK_OK(apply_entry(c, entry), &c->err);
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT; level++) {
        const utapi_usage usage = usage_of(c, (utapi_level)level, utapi_string_of("same"), T0, T0);
        assert_int_equal(usage.storage_utilized[1], level == UTAPI_USERS ? 0 : 5);
    }
}

static void one_question_may_name_many(void **state)
{
    contract *c = *state;
    const utapi_entry entries[] = {entry_put("a", T0, 1), entry_put("c", T0, 3)};
    CHECK_OK(apply_entries(c, entries, 2), &c->err);
    const utapi_string names[] = {utapi_string_of("c"), utapi_string_of("b"), utapi_string_of("a"),
                                  utapi_string_of("c"), utapi_string_of("")};
    const utapi_query query = {.level = UTAPI_BUCKETS, .names = names, .count = 5, .start = T0, .end = T0};
    utapi_usage usages[5];
    CHECK_OK(utapi_backend_read(c->backend, &query, usages, NULL, &c->err), &c->err);
    static const int64_t expected[] = {3, 0, 1, 3, 0};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(usages[i].storage_utilized[1], expected[i]);
}

static void every_operation_is_kept(void **state)
{
    contract *c = *state;
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
    contract *c = *state;
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
    contract *c = *state;
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
    contract *c = *state;
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
    contract *c = *state;
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
    contract *c = *state;
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
    contract *c = *state;
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
    contract *c = *state;
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
    contract *c = *state;
    put(c, "b", INTERVAL(0), 5);
    apply(c);
    apply(c);
    assert_int_equal(bucket_bytes(c, "b"), 5);
    assert_int_equal(c->applied.repeated, 0);
    assert_int_equal(c->applied.fence, 0);
}

const struct CMUnitTest contract_counting[] = {
    CASE(an_unknown_resource_has_no_usage),
    CASE(state_is_that_of_the_newest_interval_and_flows_are_summed),
    CASE(ranges_may_reach_before_the_epoch),
    CASE(a_late_event_reaches_every_later_row),
    CASE(names_are_opaque_and_stay_apart),
    CASE(levels_stay_apart),
    CASE(one_question_may_name_many),
    CASE(every_operation_is_kept),
    CASE(states_are_those_of_the_newest_interval_until_a_bound),
    CASE(flows_are_summed_from_the_first_interval_to_the_last),
    CASE(a_late_entry_reaches_every_later_row),
    CASE(a_late_entry_makes_its_own_row_from_the_one_before),
    CASE(late_and_new_entries_of_one_batch_are_sorted_out),
    CASE(a_bucket_takes_late_entries_of_its_own_alone),
    CASE(the_last_interval_of_all_counts_too),
    CASE(an_empty_batch_changes_nothing),
    {.name = NULL},
};
