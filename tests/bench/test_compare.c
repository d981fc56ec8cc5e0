/* SPDX-License-Identifier: Apache-2.0 */
/* test_compare.c - only what lies beyond the noise of both runs has moved, and what cannot be compared is told. */
#include "check.h"
#include "compare.h"
#include "result.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *document_with(const char *workload, const bench_series *series)
{
    json_t *values = json_array();
    for (unsigned i = 0; i < series->count; i++)
        json_array_append_new(values, json_real(series->values[i]));
    return json_pack("{s:i, s:f, s:i, s:[{s:s, s:s, s:s, s:{s:f, s:f, s:f, s:o}}]}", "format", 1,
                     "duration_s", 2.0, "seed", 1, "results", "workload", workload, "backend", "lmdb",
                     "transport", "http", "per_s", "median", series_median(series), "least",
                     series_least(series), "most", series_most(series), "repeats", values);
}

static json_t *document_of(const char *workload, double rate, double spread, unsigned repeats)
{
    bench_series series = {.count = 0};
    for (unsigned i = 0; i < repeats; i++)
        series_add(&series, rate + spread * ((double)i - ((double)repeats - 1) / 2));
    return document_with(workload, &series);
}

static json_t *document_of_three(double first, double second, double third)
{
    return document_with("ingest.64", &(bench_series){.count = 3, .values = {first, second, third}});
}

static json_t *line_of(json_t *document)
{
    return json_array_get(json_object_get(document, "results"), 0);
}

/* What is printed is owned by the caller. */
static compare_counts compared_and_said(json_t *before, json_t *after, char **ret_said)
{
    compare_counts counts;
    size_t size;
    FILE *out = open_memstream(ret_said, &size);
    assert_non_null(out);
    compare_documents(before, after, out, &counts);
    fclose(out);
    json_decref(before);
    json_decref(after);
    return counts;
}

static compare_counts compared(json_t *before, json_t *after)
{
    char *said;
    const compare_counts counts = compared_and_said(before, after, &said);
    free(said);
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

static void one_outlier_hides_no_loss(void **state)
{
    (void)state;
    assert_int_equal(compared(document_of_three(100, 101, 99), document_of_three(10, 10, 110)).worse, 1);
    assert_int_equal(compared(document_of_three(100, 1000, 99), document_of_three(50, 51, 49)).worse, 1);
}

static void what_halves_has_moved_however_noisy(void **state)
{
    (void)state;
    assert_int_equal(compared(document_of_three(60, 100, 140), document_of_three(1, 1, 1)).worse, 1);
    assert_int_equal(compared(document_of_three(60, 100, 140), document_of_three(201, 201, 201)).better, 1);
}

static void lines_of_one_run_alone_are_told(void **state)
{
    (void)state;
    const compare_counts counts =
        compared(document_of("ingest.64", 1000, 0, 3), document_of("list.day", 1000, 0, 3));
    assert_int_equal(counts.compared, 0);
    assert_int_equal(counts.missing, 2);
    assert_true(compare_is_regression(&counts));
}

static void a_figure_of_one_run_alone_is_told(void **state)
{
    (void)state;
    json_t *before = document_of("ingest.64", 1000, 0, 3);
    json_t *after = document_of("ingest.64", 1000, 0, 3);
    char *said;
    json_object_set(line_of(before), "p99_us", json_object_get(line_of(before), "per_s"));
    const compare_counts counts = compared_and_said(before, after, &said);
    assert_int_equal(counts.missing, 1);
    assert_true(compare_is_regression(&counts));
    assert_non_null(strstr(said, "only in the first: ingest.64 lmdb http, p99 us\n"));
    free(said);
}

static void requests_that_failed_are_told(void **state)
{
    (void)state;
    json_t *after = document_of("ingest.64", 1000, 0, 3);
    char *said;
    json_object_set_new(line_of(after), "failed", json_integer(7));
    const compare_counts counts = compared_and_said(document_of("ingest.64", 1000, 0, 3), after, &said);
    assert_int_equal(counts.failed, 1);
    assert_true(compare_is_regression(&counts));
    assert_non_null(strstr(said, "7 requests in the second\n"));
    free(said);
}

static void other_settings_are_told(void **state)
{
    (void)state;
    json_t *after = document_of("ingest.64", 1000, 0, 3);
    char *said;
    json_object_set_new(after, "duration_s", json_integer(60));
    json_object_set_new(after, "seed", json_integer(7));
    const compare_counts counts = compared_and_said(document_of("ingest.64", 1000, 0, 3), after, &said);
    assert_int_equal(counts.settings, 2);
    assert_false(compare_is_regression(&counts));
    assert_non_null(strstr(said, "not the same settings: duration_s 2 and 60, seed 1 and 7\n"));
    free(said);
}

static void what_was_nothing_is_new(void **state)
{
    (void)state;
    char *said;
    const compare_counts counts =
        compared_and_said(document_of("ingest.64", 0, 0, 3), document_of("ingest.64", 1000, 0, 3), &said);
    assert_int_equal(counts.better, 1);
    assert_non_null(strstr(said, "(new)\n"));
    free(said);
}

static void nothing_to_compare_is_no_success(void **state)
{
    (void)state;
    json_t *empty = json_pack("{s:[]}", "results");
    const compare_counts counts = compared(empty, json_incref(empty));
    assert_true(compare_is_regression(&counts));
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
    assert_true(series_deviation(&series) == 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_equals_itself),
        cmocka_unit_test(a_loss_beyond_the_noise_is_worse_and_a_gain_is_better),
        cmocka_unit_test(what_lies_within_the_spread_of_either_run_is_noise),
        cmocka_unit_test(fewer_than_three_repetitions_are_trusted_less),
        cmocka_unit_test(one_outlier_hides_no_loss),
        cmocka_unit_test(what_halves_has_moved_however_noisy),
        cmocka_unit_test(lines_of_one_run_alone_are_told),
        cmocka_unit_test(a_figure_of_one_run_alone_is_told),
        cmocka_unit_test(requests_that_failed_are_told),
        cmocka_unit_test(other_settings_are_told),
        cmocka_unit_test(what_was_nothing_is_new),
        cmocka_unit_test(nothing_to_compare_is_no_success),
        cmocka_unit_test(the_median_of_an_even_number_lies_between),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
