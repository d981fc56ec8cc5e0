/* SPDX-License-Identifier: Apache-2.0 */
/* test_batch.c - the order in which an aggregation hands out deltas, and what it sums. */
#include "check.h"
#include "utapi/batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static utapi_error err;

static utapi_entry entry(const char *bucket, int64_t time_ms, int64_t storage)
{
    return (utapi_entry){
        .time_ms = time_ms,
        .resource = {[UTAPI_BUCKETS] = utapi_string_of(bucket), [UTAPI_SERVICE] = utapi_string_of("s3")},
        .operation = UTAPI_OP_PUT_OBJECT,
        .delta = {[UTAPI_STORAGE_UTILIZED] = storage},
    };
}

static utapi_aggregation *aggregation_of(const utapi_entry *entries, size_t count, const bool *skip)
{
    const utapi_batch batch = {.entries = entries, .count = count};
    utapi_aggregation *sums = NULL;
    CHECK_OK(utapi_aggregation_new(&batch, skip, &sums, &err), &err);
    return sums;
}

static void expect_run(utapi_aggregation *sums, utapi_level level, const char *name, utapi_resource_run *ret)
{
    assert_true(utapi_aggregation_next(sums, ret));
    assert_int_equal(ret->level, level);
    assert_true(utapi_string_equal(ret->name, utapi_string_of(name)));
}

static void expect_delta(utapi_aggregation *sums, utapi_resource_run *run, utapi_interval interval,
                         int64_t storage, int64_t puts)
{
    utapi_interval_delta delta;
    assert_true(utapi_aggregation_sum(sums, run, INT64_MIN, &delta));
    assert_int_equal(delta.interval, interval);
    assert_int_equal((int64_t)delta.sums.of[UTAPI_STORAGE_UTILIZED], storage);
    assert_int_equal((int64_t)delta.sums.of[UTAPI_FIRST_OPERATION + UTAPI_OP_PUT_OBJECT], puts);
}

static void expect_no_delta(utapi_aggregation *sums, utapi_resource_run *run)
{
    utapi_interval_delta delta;
    assert_false(utapi_aggregation_sum(sums, run, INT64_MIN, &delta));
}

static void resources_and_intervals_come_in_ascending_order(void **state)
{
    (void)state;
    const utapi_entry entries[] = {
        entry("bb", 900001, 1), entry("a", 5, 2),          entry("bb", 3, 4),
        entry("bb", 900002, 8), entry("a\xc3\xa9", 0, 16),
    };
    utapi_aggregation *sums = aggregation_of(entries, 5, NULL);
    utapi_resource_run run;
    expect_run(sums, UTAPI_BUCKETS, "a", &run);
    expect_delta(sums, &run, 0, 2, 1);
    expect_no_delta(sums, &run);
    expect_run(sums, UTAPI_BUCKETS, "a\xc3\xa9", &run);
    expect_delta(sums, &run, 0, 16, 1);
    expect_run(sums, UTAPI_BUCKETS, "bb", &run);
    expect_delta(sums, &run, 0, 4, 1);
    expect_delta(sums, &run, 900000, 9, 2);
    expect_no_delta(sums, &run);
    expect_run(sums, UTAPI_SERVICE, "s3", &run);
    expect_delta(sums, &run, 0, 22, 3);
    expect_delta(sums, &run, 900000, 9, 2);
    assert_false(utapi_aggregation_next(sums, &run));
    utapi_aggregation_free(sums);
}

static void names_that_share_eight_bytes_stay_apart(void **state)
{
    (void)state;
    const utapi_entry entries[] = {entry("prefix-12", 0, 1), entry("prefix-1", 0, 2),
                                   entry("prefix-13", 0, 4)};
    utapi_aggregation *sums = aggregation_of(entries, 3, NULL);
    utapi_resource_run run;
    expect_run(sums, UTAPI_BUCKETS, "prefix-1", &run);
    expect_run(sums, UTAPI_BUCKETS, "prefix-12", &run);
    expect_run(sums, UTAPI_BUCKETS, "prefix-13", &run);
    expect_delta(sums, &run, 0, 4, 1);
    utapi_aggregation_free(sums);
}

static void repetitions_count_nowhere(void **state)
{
    (void)state;
    const utapi_entry entries[] = {entry("a", 0, 1), entry("a", 0, 2), entry("b", 0, 4)};
    const bool skip[] = {false, true, true};
    utapi_aggregation *sums = aggregation_of(entries, 3, skip);
    utapi_resource_run run;
    expect_run(sums, UTAPI_BUCKETS, "a", &run);
    expect_delta(sums, &run, 0, 1, 1);
    expect_run(sums, UTAPI_SERVICE, "s3", &run);
    expect_delta(sums, &run, 0, 1, 1);
    assert_false(utapi_aggregation_next(sums, &run));
    utapi_aggregation_free(sums);
}

static void an_expiry_parts_what_came_before_it_from_what_came_after(void **state)
{
    (void)state;
    utapi_entry entries[] = {entry("a", 7, 1), entry("b", 900000, 16), entry("a", 6, 2), entry("b", 6, 4),
                             entry("a", 5, 8)};
    entries[2].expiry = UTAPI_EXPIRE_NOW;
    utapi_aggregation *sums = aggregation_of(entries, 5, NULL);
    utapi_resource_run run;
    expect_run(sums, UTAPI_BUCKETS, "a", &run);
    assert_ptr_equal(run.expiry, &entries[2]);
    expect_delta(sums, &run, 0, 3, 2);
    expect_run(sums, UTAPI_BUCKETS, "a", &run);
    assert_null(run.expiry);
    expect_delta(sums, &run, 0, 8, 1);
    expect_run(sums, UTAPI_BUCKETS, "b", &run);
    assert_null(run.expiry);
    expect_delta(sums, &run, 0, 4, 1);
    expect_delta(sums, &run, 900000, 16, 1); /* one segment: the expiry is another's */
    expect_run(sums, UTAPI_SERVICE, "s3", &run);
    assert_null(run.expiry);
    expect_delta(sums, &run, 0, 15, 4);
    assert_false(utapi_aggregation_next(sums, &run));
    utapi_aggregation_free(sums);
}

static void entries_of_an_earlier_time_can_be_left_out(void **state)
{
    (void)state;
    const utapi_entry entries[] = {entry("a", 900000, 1), entry("a", 900002, 2), entry("a", 5, 4)};
    utapi_aggregation *sums = aggregation_of(entries, 3, NULL);
    utapi_resource_run run;
    utapi_interval_delta delta;
    expect_run(sums, UTAPI_BUCKETS, "a", &run);
    assert_true(utapi_aggregation_sum(sums, &run, 900001, &delta));
    assert_int_equal(delta.interval, 900000);
    assert_int_equal((int64_t)delta.sums.of[UTAPI_STORAGE_UTILIZED], 2);
    assert_false(utapi_aggregation_sum(sums, &run, 900001, &delta));
    utapi_aggregation_free(sums);
}

static unsigned draw(unsigned below)
{
    static uint64_t state = 7;
    state = state * UINT64_C(6364136223846793005) + 1;
    return (unsigned)(state >> 33) % below;
}

/* Names that are alike for up to 31 bytes, each of them many times, in a few intervals and at random. */
static void any_names_come_each_once_and_in_order(void **state)
{
    enum { ENTRIES = 5000, NAMES = 700, LONGEST = 40 };
    static char names[NAMES][LONGEST];
    static utapi_entry entries[ENTRIES];
    (void)state;
    for (int i = 0; i < NAMES; i++)
        (void)snprintf(names[i], LONGEST, "%.*s%d", (int)draw(32), "abcdefgh\xc3\xa9ijklmnopqrstuvwxyzABCDEF",
                       i);
    int64_t expected = 0;
    for (int i = 0; i < ENTRIES; i++) {
        entries[i] = entry(names[draw(NAMES)], draw(4) * INT64_C(900000), i);
        expected += i;
    }
    utapi_aggregation *sums = aggregation_of(entries, ENTRIES, NULL);
    utapi_resource_run run;
    utapi_interval_delta delta;
    utapi_string last = {"", 0};
    int64_t total = 0;
    while (utapi_aggregation_next(sums, &run) && run.level == UTAPI_BUCKETS) {
        assert_true(utapi_string_compare(last, run.name) < 0);
        last = run.name;
        for (utapi_interval before = -1; utapi_aggregation_sum(sums, &run, INT64_MIN, &delta);
             before = delta.interval) {
            assert_true(before < delta.interval);
            total += (int64_t)delta.sums.of[UTAPI_STORAGE_UTILIZED];
        }
    }
    assert_int_equal(total, expected);
    assert_false(utapi_aggregation_next(sums, &run)); /* the service was the last */
    utapi_aggregation_free(sums);
}

static void an_empty_batch_folds_to_nothing(void **state)
{
    (void)state;
    utapi_aggregation *sums = aggregation_of(NULL, 0, NULL);
    utapi_resource_run run;
    assert_false(utapi_aggregation_next(sums, &run));
    utapi_aggregation_free(sums);
    utapi_aggregation_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resources_and_intervals_come_in_ascending_order),
        cmocka_unit_test(names_that_share_eight_bytes_stay_apart),
        cmocka_unit_test(repetitions_count_nowhere),
        cmocka_unit_test(an_expiry_parts_what_came_before_it_from_what_came_after),
        cmocka_unit_test(entries_of_an_earlier_time_can_be_left_out),
        cmocka_unit_test(any_names_come_each_once_and_in_order),
        cmocka_unit_test(an_empty_batch_folds_to_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
