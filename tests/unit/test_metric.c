/* SPDX-License-Identifier: Apache-2.0 */
/* test_metric.c - names, and arithmetic at the edge of 64 bits. */
#include "check.h"
#include "utapi/metric.h"

#include <string.h>

static utapi_error err;

static void operations_come_in_the_order_of_listmetrics(void **state)
{
    (void)state;
    assert_int_equal(UTAPI_OPERATION_COUNT, 56);
    assert_string_equal(utapi_operation_name(UTAPI_OP_DELETE_BUCKET), "DeleteBucket");
    assert_string_equal(utapi_operation_name((utapi_operation)44), "ReplicateDelete");
    assert_string_equal(utapi_operation_name((utapi_operation)55), "PutBucketTagging");
}

static void operations_are_found_without_regard_to_case(void **state)
{
    (void)state;
    utapi_operation found = UTAPI_OP_NONE;
    assert_true(utapi_operation_find(utapi_string_of("LISTBUCKET"), &found));
    assert_int_equal(found, UTAPI_OP_LIST_BUCKET);
    assert_false(utapi_operation_find(utapi_string_of("ListBucke"), &found));
    assert_false(utapi_operation_find(utapi_string_of(""), &found));
    assert_int_equal(found, UTAPI_OP_LIST_BUCKET);
}

static void levels_are_found_by_their_exact_name(void **state)
{
    (void)state;
    for (unsigned i = 0; i < UTAPI_LEVEL_COUNT; i++) {
        utapi_level found = UTAPI_LEVEL_COUNT;
        assert_true(utapi_level_find(utapi_string_of(utapi_level_name((utapi_level)i)), &found));
        assert_int_equal(found, i);
    }
    utapi_level untouched = UTAPI_USERS;
    assert_false(utapi_level_find(utapi_string_of("Buckets"), &untouched));
    assert_int_equal(untouched, UTAPI_USERS);
}

static void a_metric_is_found_by_its_name(void **state)
{
    (void)state;
    assert_string_equal(utapi_metric_name(UTAPI_STORAGE_UTILIZED), "storageUtilized");
    assert_string_equal(utapi_metric_name(UTAPI_OUTGOING_BYTES), "outgoingBytes");
    assert_string_equal(utapi_metric_name(UTAPI_FIRST_OPERATION + UTAPI_OP_PUT_OBJECT), "PutObject");
    for (unsigned m = 0; m < UTAPI_METRIC_COUNT; m++)
        assert_int_equal(utapi_metric_find(utapi_string_of(utapi_metric_name(m))), m);
    assert_int_equal(utapi_metric_find(utapi_string_of("storageutilized")), UTAPI_METRIC_COUNT);
}

static void an_absent_amount_is_zero(void **state)
{
    (void)state;
    utapi_amounts amounts;
    memset(&amounts, 0xAB, sizeof amounts);
    utapi_amounts_clear(&amounts);
    for (unsigned m = 0; m < UTAPI_METRIC_COUNT; m++)
        assert_int_equal(utapi_amounts_get(&amounts, m), 0);
    utapi_amounts other = {.present = 0};
    utapi_amounts_set(&other, UTAPI_INCOMING_BYTES, 0);
    assert_true(utapi_amounts_equal(&amounts, &other));
    utapi_amounts_set(&other, UTAPI_INCOMING_BYTES, 1);
    assert_false(utapi_amounts_equal(&amounts, &other));
}

static void totals_go_beyond_64_bits_and_come_back(void **state)
{
    (void)state;
    utapi_amounts totals = {.present = 0}, most = {.present = 0};
    utapi_amounts_add_one(&most, UTAPI_STORAGE_UTILIZED, INT64_MAX);
    utapi_amounts_add_one(&most, UTAPI_NUMBER_OF_OBJECTS, INT64_MIN);
    for (int i = 0; i < 1000; i++)
        utapi_amounts_add(&totals, &most);
    assert_true(utapi_amounts_get(&totals, UTAPI_STORAGE_UTILIZED) == (utapi_wide)INT64_MAX * 1000);
    assert_true(utapi_amounts_get(&totals, UTAPI_NUMBER_OF_OBJECTS) == (utapi_wide)INT64_MIN * 1000);
    for (int i = 0; i < 999; i++)
        utapi_amounts_subtract(&totals, &most);
    assert_true(utapi_amounts_equal(&totals, &most));
}

static void a_number_is_cut_to_what_an_answer_holds(void **state)
{
    (void)state;
    const utapi_wide beyond = (utapi_wide)1 << 63;
    assert_true(utapi_wide_fits(beyond - 1) && utapi_wide_fits(-beyond));
    assert_false(utapi_wide_fits(beyond) || utapi_wide_fits(-beyond - 1));
    assert_true(utapi_wide_cut(beyond) == INT64_MAX && utapi_wide_cut(beyond - 1) == INT64_MAX);
    assert_true(utapi_wide_cut(-beyond) == -INT64_MAX && utapi_wide_cut(-5) == -5);
}

static void a_number_is_written_in_digits(void **state)
{
    (void)state;
    char text[UTAPI_WIDE_TEXT_SIZE];
    assert_string_equal(utapi_wide_text(0, text), "0");
    assert_string_equal(utapi_wide_text(-7, text), "-7");
    assert_string_equal(utapi_wide_text(INT64_MAX, text), "9223372036854775807");
    const utapi_wide lowest = -(((utapi_wide)1 << 126) - 1) * 2 - 2;
    assert_string_equal(utapi_wide_text(lowest, text), "-170141183460469231731687303715884105728");
}

static void the_first_detail_of_an_error_wins(void **state)
{
    (void)state;
    utapi_error_clear(&err);
    assert_int_equal(utapi_fail_at(&err, UTAPI_INVALID, 3, "cause %d", 1), UTAPI_INVALID);
    assert_int_equal(utapi_fail(&err, UTAPI_NO_MEMORY, "later"), UTAPI_NO_MEMORY);
    assert_string_equal(err.detail, "cause 1");
    assert_int_equal(err.status, UTAPI_INVALID);
    assert_int_equal(err.index, 3);
    assert_int_equal(utapi_fail(NULL, UTAPI_INVALID, "nobody listens"), UTAPI_INVALID);
    utapi_error_clear(NULL);
    utapi_error_clear(&err);
    assert_string_equal(utapi_status_text((utapi_status)999), "unknown status");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_come_in_the_order_of_listmetrics),
        cmocka_unit_test(operations_are_found_without_regard_to_case),
        cmocka_unit_test(levels_are_found_by_their_exact_name),
        cmocka_unit_test(a_metric_is_found_by_its_name),
        cmocka_unit_test(an_absent_amount_is_zero),
        cmocka_unit_test(totals_go_beyond_64_bits_and_come_back),
        cmocka_unit_test(a_number_is_cut_to_what_an_answer_holds),
        cmocka_unit_test(a_number_is_written_in_digits),
        cmocka_unit_test(the_first_detail_of_an_error_wins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
