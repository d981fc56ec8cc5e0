/* SPDX-License-Identifier: Apache-2.0 */
/* test_histogram.c - durations come back within a sixty-fourth, and quantiles are those of a sorted list. */
#include "check.h"
#include "histogram.h"

#include <stdlib.h>

static void short_durations_are_exact(void **state)
{
    (void)state;
    for (int64_t ns = 0; ns < HISTOGRAM_EXACT; ns++) {
        histogram one = {0};
        histogram_add(&one, ns);
        histogram_add(&one, 1000); /* so that the longest is not what limits the answer */
        assert_int_equal(histogram_quantile_ns(&one, 0.5), ns);
    }
}

static void every_duration_is_off_by_a_sixty_fourth_at_most(void **state)
{
    (void)state;
    for (uint64_t ns = 1; ns <= INT64_MAX / 3; ns += ns / 3 + 1) {
        histogram one = {0};
        histogram_add(&one, (int64_t)ns);
        histogram_add(&one, INT64_MAX);
        const uint64_t told_ns = histogram_quantile_ns(&one, 0.5);
        assert_true(told_ns >= ns);
        assert_true(told_ns - ns <= ns / 64);
    }
}

static void the_longest_is_exact_and_below_zero_is_zero(void **state)
{
    (void)state;
    histogram some = {0};
    assert_int_equal(histogram_quantile_ns(&some, 0.99), 0);
    histogram_add(&some, -5);
    assert_int_equal(histogram_quantile_ns(&some, 1), 0);
    histogram_add(&some, 123456789);
    assert_int_equal(histogram_quantile_ns(&some, 1), 123456789);
    assert_int_equal(some.max_ns, 123456789);
    histogram_add(&some, INT64_MAX);
    assert_int_equal(histogram_quantile_ns(&some, 1), INT64_MAX);
}

static void quantiles_are_those_of_a_sorted_list(void **state)
{
    (void)state;
    histogram hundred = {0};
    for (int64_t i = 1; i <= 100; i++)
        histogram_add(&hundred, i);
    assert_int_equal(histogram_quantile_ns(&hundred, 0.5), 50);
    assert_int_equal(histogram_quantile_ns(&hundred, 0.99), 99);
    assert_int_equal(histogram_quantile_ns(&hundred, 0.999), 100);
    assert_int_equal(histogram_quantile_ns(&hundred, 0), 1);
}

static void merged_ones_count_as_one(void **state)
{
    (void)state;
    histogram low = {0};
    histogram high = {0};
    for (int64_t i = 1; i <= 50; i++) {
        histogram_add(&low, i);
        histogram_add(&high, i + 50);
    }
    histogram_merge(&low, &high);
    assert_int_equal(low.count, 100);
    assert_int_equal(low.max_ns, 100);
    assert_int_equal(histogram_quantile_ns(&low, 0.75), 75);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_durations_are_exact),
        cmocka_unit_test(every_duration_is_off_by_a_sixty_fourth_at_most),
        cmocka_unit_test(the_longest_is_exact_and_below_zero_is_zero),
        cmocka_unit_test(quantiles_are_those_of_a_sorted_list),
        cmocka_unit_test(merged_ones_count_as_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
