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

static void a_total_reaches_the_edge_but_never_wraps(void **state)
{
    (void)state;
    utapi_amounts totals = {.present = 0};
    utapi_sums sums = {.present = 0};
    utapi_sums_add(&sums, UTAPI_STORAGE_UTILIZED, INT64_MAX);
    CHECK_OK(utapi_amounts_add(&totals, &sums, &err), &err);
    assert_true(utapi_amounts_get(&totals, UTAPI_STORAGE_UTILIZED) == INT64_MAX);

    utapi_amounts one = {.present = 0};
    utapi_amounts_set(&one, UTAPI_NUMBER_OF_OBJECTS, 5);
    utapi_amounts_set(&one, UTAPI_STORAGE_UTILIZED, 1);
    assert_int_equal(utapi_amounts_add_delta(&totals, &one, &err), UTAPI_OVERFLOW);
    assert_non_null(strstr(err.detail, "storageUtilized"));
    utapi_error_clear(&err);
    assert_int_equal(utapi_amounts_get(&totals, UTAPI_NUMBER_OF_OBJECTS), 0);

    utapi_amounts lowest = {.present = 0};
    utapi_amounts_set(&lowest, UTAPI_STORAGE_UTILIZED, INT64_MIN);
    utapi_amounts zero = {.present = 0};
    CHECK_STATUS(UTAPI_OVERFLOW, utapi_amounts_subtract(&zero, &lowest, &err), &err);
}

static void sums_go_beyond_64_bits_and_come_back(void **state)
{
    (void)state;
    utapi_sums sums = {.present = 0};
    for (int i = 0; i < 1000; i++)
        utapi_sums_add(&sums, UTAPI_STORAGE_UTILIZED, INT64_MAX);
    for (int i = 0; i < 999; i++)
        utapi_sums_add(&sums, UTAPI_STORAGE_UTILIZED, -INT64_MAX);
    utapi_amounts totals = {.present = 0};
    CHECK_OK(utapi_amounts_add(&totals, &sums, &err), &err);
    assert_true(utapi_amounts_get(&totals, UTAPI_STORAGE_UTILIZED) == INT64_MAX);
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
        cmocka_unit_test(a_total_reaches_the_edge_but_never_wraps),
        cmocka_unit_test(sums_go_beyond_64_bits_and_come_back),
        cmocka_unit_test(the_first_detail_of_an_error_wins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
