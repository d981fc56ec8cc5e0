/* SPDX-License-Identifier: Apache-2.0 */
/* test_interval.c - which interval a time belongs to, and which ranges may be asked for. */
#include "check.h"
#include "utapi/interval.h"

static utapi_error err;

static void a_time_belongs_to_the_interval_that_began_last(void **state)
{
    (void)state;
    assert_int_equal(utapi_interval_of(0), 0);
    assert_int_equal(utapi_interval_of(899999), 0);
    assert_int_equal(utapi_interval_of(900000), 900000);
    assert_int_equal(utapi_interval_of(-1), -900000);
    assert_int_equal(utapi_interval_of(-900000), -900000);
    assert_int_equal(utapi_interval_of(-900001), -1800000);
}

static void an_interval_and_its_number_are_the_same_thing(void **state)
{
    (void)state;
    assert_int_equal(utapi_interval_number(utapi_interval_of(1700006462313)), 1888896);
    assert_int_equal(utapi_interval_at(1888896), 1700006400000);
    assert_true(utapi_interval_at(0xFFFFFFFFU) == UTAPI_INTERVAL_MAX);
}

static utapi_status range(int64_t start_ms, int64_t end_ms)
{
    utapi_range ignored;
    return utapi_range_of(start_ms, &end_ms, 1795441850000, &ignored, NULL);
}

static utapi_status range_until_now(int64_t start_ms)
{
    utapi_range ignored;
    return utapi_range_of(start_ms, NULL, 1795441850000, &ignored, NULL);
}

static void a_range_lies_on_intervals(void **state)
{
    (void)state;
    assert_int_equal(range(1795437900000, 1795441499999), UTAPI_OK);
    assert_int_equal(range(1795437900000, 1795438799999), UTAPI_OK);
    assert_int_equal(range(-900000, -1), UTAPI_OK);
    assert_int_equal(range(0, 899999), UTAPI_OK);
    assert_int_equal(range(1795477500000, 1795481099999), UTAPI_OK); /* both in the future */
    assert_int_equal(range(1795437900001, 1795441499999), UTAPI_INVALID);
    assert_int_equal(range(1795437900000, 1795441499998), UTAPI_INVALID);
    assert_int_equal(range(1795437900000, 1795438800000), UTAPI_INVALID);
    assert_int_equal(range(1795437900000, 1795437899999), UTAPI_INVALID);
    assert_int_equal(range(0, 0), UTAPI_INVALID);
}

static void a_range_stays_within_what_a_date_can_hold(void **state)
{
    (void)state;
    assert_int_equal(range(INT64_MIN, INT64_MAX), UTAPI_INVALID);
    assert_int_equal(range(0, INT64_MAX), UTAPI_INVALID);
    assert_int_equal(range_until_now(INT64_MIN), UTAPI_INVALID);
    assert_int_equal(range_until_now(INT64_MAX), UTAPI_INVALID);
    assert_int_equal(range_until_now(8640000000000000), UTAPI_INVALID);
}

static void a_range_without_an_end_goes_until_now(void **state)
{
    (void)state;
    utapi_range now;
    CHECK_OK(utapi_range_of(1795437900000, NULL, 1795441850123, &now, &err), &err);
    assert_int_equal(now.start_ms, 1795437900000);
    assert_int_equal(now.end_ms, 1795441850123);
    assert_int_equal(range_until_now(1795477500000), UTAPI_INVALID);
}

static void recent_is_from_the_interval_before_this_one(void **state)
{
    (void)state;
    const utapi_range recent = utapi_range_recent(1700010902000);
    assert_int_equal(recent.start_ms, 1700010000000);
    assert_int_equal(recent.end_ms, 1700010902000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_time_belongs_to_the_interval_that_began_last),
        cmocka_unit_test(an_interval_and_its_number_are_the_same_thing),
        cmocka_unit_test(a_range_lies_on_intervals),
        cmocka_unit_test(a_range_stays_within_what_a_date_can_hold),
        cmocka_unit_test(a_range_without_an_end_goes_until_now),
        cmocka_unit_test(recent_is_from_the_interval_before_this_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
