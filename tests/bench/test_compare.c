/* SPDX-License-Identifier: Apache-2.0 */
/* test_compare.c - only what lies beyond the spread of both runs has moved. */
#include "check.h"
#include "compare.h"
#include "result.h"

static json_t *document_of(const char *workload, double rate, double spread, unsigned repeats)
{
    bench_series series = {.count = 0};
    for (unsigned i = 0; i < repeats; i++)
        series_add(&series, rate + spread * ((double)i - ((double)repeats - 1) / 2));
    json_t *values = json_array();
    for (unsigned i = 0; i < repeats; i++)
        json_array_append_new(values, json_real(series.values[i]));
    return json_pack("{s:i, s:[{s:s, s:s, s:s, s:{s:f, s:f, s:f, s:o}}]}", "format", 1, "results", "workload",
                     workload, "backend", "lmdb", "transport", "http", "per_s", "median",
                     series_median(&series), "least", series_least(&series), "most", series_most(&series),
                     "repeats", values);
}

static compare_counts compared(json_t *before, json_t *after)
{
    compare_counts counts;
    FILE *nowhere = fopen("/dev/null", "w");
    assert_non_null(nowhere);
    compare_documents(before, after, nowhere, &counts);
    fclose(nowhere);
    json_decref(before);
    json_decref(after);
    return counts;
}

static void a_run_equals_itself(void **state)
{
    (void)state;
    const compare_counts counts =
        compared(document_of("ingest.64", 1000, 10, 3), document_of("ingest.64", 1000, 10, 3));
    assert_int_equal(counts.compared, 1);
    assert_int_equal(counts.better + counts.worse + counts.missing, 0);
}

static void a_loss_beyond_the_noise_is_worse_and_a_gain_is_better(void **state)
{
    (void)state;
    compare_counts counts =
        compared(document_of("ingest.64", 1000, 10, 3), document_of("ingest.64", 900, 10, 3));
    assert_int_equal(counts.worse, 1);
    assert_int_equal(counts.better, 0);
    counts = compared(document_of("ingest.64", 1000, 10, 3), document_of("ingest.64", 1100, 10, 3));
    assert_int_equal(counts.worse, 0);
    assert_int_equal(counts.better, 1);
}

static void what_lies_within_the_spread_of_either_run_is_noise(void **state)
{
    (void)state;
    assert_int_equal(
        compared(document_of("ingest.64", 1000, 100, 3), document_of("ingest.64", 850, 1, 3)).worse, 0);
    assert_int_equal(
        compared(document_of("ingest.64", 1000, 1, 3), document_of("ingest.64", 850, 100, 3)).worse, 0);
    assert_int_equal(
        compared(document_of("ingest.64", 1000, 1, 3), document_of("ingest.64", 960, 1, 3)).worse, 0);
}

static void fewer_than_three_repetitions_are_trusted_less(void **state)
{
    (void)state;
    assert_int_equal(
        compared(document_of("ingest.64", 1000, 0, 1), document_of("ingest.64", 920, 0, 1)).worse, 0);
    assert_int_equal(
        compared(document_of("ingest.64", 1000, 0, 3), document_of("ingest.64", 920, 0, 3)).worse, 1);
}

static void lines_of_one_run_alone_are_told(void **state)
{
    (void)state;
    const compare_counts counts =
        compared(document_of("ingest.64", 1000, 0, 3), document_of("list.day", 1000, 0, 3));
    assert_int_equal(counts.compared, 0);
    assert_int_equal(counts.missing, 2);
}

static void the_median_of_an_even_number_lies_between(void **state)
{
    (void)state;
    bench_series series = {.count = 0};
    assert_true(series_median(&series) == 0);
    series_add(&series, 4);
    series_add(&series, 1);
    assert_true(series_median(&series) == 2.5);
    series_add(&series, 9);
    assert_true(series_median(&series) == 4);
    assert_true(series_least(&series) == 1);
    assert_true(series_most(&series) == 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_equals_itself),
        cmocka_unit_test(a_loss_beyond_the_noise_is_worse_and_a_gain_is_better),
        cmocka_unit_test(what_lies_within_the_spread_of_either_run_is_noise),
        cmocka_unit_test(fewer_than_three_repetitions_are_trusted_less),
        cmocka_unit_test(lines_of_one_run_alone_are_told),
        cmocka_unit_test(the_median_of_an_even_number_lies_between),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
