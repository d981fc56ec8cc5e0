/* SPDX-License-Identifier: Apache-2.0 */
/* test_usage.c - state and flow from rows of totals (docs/specification.md#reply). */
#include "check.h"
#include "utapi/usage.h"

static utapi_amounts row(int64_t storage, int64_t objects, int64_t in, int64_t puts)
{
    utapi_amounts totals = {.present = 0};
    utapi_amounts_set(&totals, UTAPI_STORAGE_UTILIZED, storage);
    utapi_amounts_set(&totals, UTAPI_NUMBER_OF_OBJECTS, objects);
    utapi_amounts_set(&totals, UTAPI_INCOMING_BYTES, in);
    utapi_amounts_set(&totals, UTAPI_FIRST_OPERATION + UTAPI_OP_PUT_OBJECT, puts);
    return totals;
}

static void state_is_that_of_the_first_and_the_last_row(void **state)
{
    (void)state;
    const utapi_amounts before = row(1, 1, 1, 1), first = row(5, 2, 9, 3), last = row(4, 7, 20, 8);
    utapi_usage usage;
    utapi_usage_of_rows(&before, &first, &last, &usage);
    assert_int_equal(usage.storage_utilized[0], 5);
    assert_int_equal(usage.storage_utilized[1], 4);
    assert_int_equal(usage.number_of_objects[0], 2);
    assert_int_equal(usage.number_of_objects[1], 7);
    assert_int_equal(utapi_amounts_get(&usage.flows, UTAPI_INCOMING_BYTES), 19);
    assert_int_equal(utapi_amounts_get(&usage.flows, UTAPI_FIRST_OPERATION + UTAPI_OP_PUT_OBJECT), 7);
    assert_int_equal(utapi_amounts_get(&usage.flows, UTAPI_STORAGE_UTILIZED), 0);
}

static void a_missing_row_has_zero_totals(void **state)
{
    (void)state;
    const utapi_amounts last = row(4, 7, 20, 8);
    utapi_usage usage;
    utapi_usage_of_rows(NULL, NULL, &last, &usage);
    assert_int_equal(usage.storage_utilized[0], 0);
    assert_int_equal(utapi_amounts_get(&usage.flows, UTAPI_INCOMING_BYTES), 20);
    utapi_usage_of_rows(NULL, NULL, NULL, &usage);
    assert_int_equal(usage.storage_utilized[1], 0);
    assert_true(usage.flows.present == 0);
}

static void a_figure_beyond_64_bits_is_cut_in_the_answer_alone(void **state)
{
    (void)state;
    const utapi_amounts before = row(0, 0, -2, 0), last = row(0, 0, INT64_MAX, 0);
    utapi_usage usage;
    utapi_usage_of_rows(&before, &before, &last, &usage);
    assert_true(utapi_amounts_get(&usage.flows, UTAPI_INCOMING_BYTES) == (utapi_wide)INT64_MAX + 2);
    usage.storage_utilized[1] = (utapi_wide)1 << 63;
    usage.number_of_objects[0] = -((utapi_wide)1 << 100);
    assert_int_equal(utapi_usage_clamp(&usage), 2); /* what is below zero is no state, however far */
    assert_true(utapi_amounts_get(&usage.flows, UTAPI_INCOMING_BYTES) == INT64_MAX);
    assert_true(usage.storage_utilized[1] == INT64_MAX);
    assert_int_equal(usage.number_of_objects[0], 0);
    assert_int_equal(utapi_usage_clamp(&usage), 0);
}

static void state_is_never_shown_below_zero(void **state)
{
    (void)state;
    utapi_usage usage = {.storage_utilized = {-5, 3}, .number_of_objects = {2, INT64_MIN}};
    utapi_usage_clamp(&usage);
    assert_int_equal(usage.storage_utilized[0], 0);
    assert_int_equal(usage.storage_utilized[1], 3);
    assert_int_equal(usage.number_of_objects[0], 2);
    assert_int_equal(usage.number_of_objects[1], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(state_is_that_of_the_first_and_the_last_row),
        cmocka_unit_test(a_missing_row_has_zero_totals),
        cmocka_unit_test(a_figure_beyond_64_bits_is_cut_in_the_answer_alone),
        cmocka_unit_test(state_is_never_shown_below_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
