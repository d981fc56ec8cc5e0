/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_timestamp.c - which dates are read, and to which time.
 */
#include "auth/timestamp.h"
#include "check.h"

/* 2026-11-23T13:50:54Z */
#define NOW_MS INT64_C(1795441854000)

static void every_form_of_a_date_header_means_the_same_time(void **state)
{
    (void)state;
    static const char *const dates[] = {"Mon, 23 Nov 2026 13:50:54 GMT", "Monday, 23-Nov-26 13:50:54 GMT",
                                        "Mon Nov 23 13:50:54 2026", "20261123T135054Z"};
    for (size_t i = 0; i < sizeof dates / sizeof *dates; i++) {
        timestamp time;
        assert_true(timestamp_parse_date(utapi_string_of(dates[i]), &time));
        assert_int_equal(time.time_ms, NOW_MS);
        assert_string_equal(time.text, "20261123T135054Z");
    }
}

static void asctime_pads_the_day_with_a_blank(void **state)
{
    (void)state;
    timestamp time;
    assert_true(timestamp_parse_date(utapi_string_of("Sun Nov  6 08:49:37 1994"), &time));
    assert_int_equal(time.time_ms, INT64_C(784111777000));
    assert_true(timestamp_parse_date(utapi_string_of("Sunday, 06-Nov-94 08:49:37 GMT"), &time));
    assert_int_equal(time.time_ms, INT64_C(784111777000));
}

static void the_day_is_the_first_eight_bytes(void **state)
{
    (void)state;
    timestamp time;
    assert_true(timestamp_parse_amz(utapi_string_of("20240229T000000Z"), &time));
    assert_true(utapi_string_equal(timestamp_day(&time), utapi_string_of("20240229")));
}

static void a_date_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const dates[] = {
        "",
        "garbage",
        "20261123",
        "20261123T135054",
        "20261123T135054ZZ",
        "20261123t135054Z",
        "20261123T1350545",
        "20261123Txx0000Z",
        "2026112 T135054Z",
        "+0261123T135054Z",
        "20261323T135054Z", /* month 13 */
        "20261100T135054Z",
        "20230229T135054Z", /* not a leap year */
        "20261123T240000Z",
        "20261123T136000Z",
        "20261123T135060Z", /* no leap second in POSIX time */
        "00000000T000000Z",
        "Mon, 23 Nov 2026 13:50:54",
        "Mon, 23 Nov 2026 13:50:54 CET",
        "Mon, 31 Feb 2026 13:50:54 GMT",
        "Mon, 23 Foo 2026 13:50:54 GMT",
        "Xyz, 23 Nov 2026 13:50:54 GMT",
        "2026-11-23T13:50:54Z",
    };
    timestamp time = {.time_ms = 7};
    for (size_t i = 0; i < sizeof dates / sizeof *dates; i++) {
        if (timestamp_parse_date(utapi_string_of(dates[i]), &time))
            fail_msg("read: %s", dates[i]);
        assert_false(timestamp_parse_amz(utapi_string_of(dates[i]), &time));
    }
    assert_int_equal(time.time_ms, 7); /* written on success only */
}

static void x_amz_date_has_one_form(void **state)
{
    (void)state;
    timestamp time;
    assert_true(timestamp_parse_amz(utapi_string_of("20261123T135054Z"), &time));
    assert_false(timestamp_parse_amz(utapi_string_of("Mon, 23 Nov 2026 13:50:54 GMT"), &time));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_a_date_header_means_the_same_time),
        cmocka_unit_test(asctime_pads_the_day_with_a_blank),
        cmocka_unit_test(the_day_is_the_first_eight_bytes),
        cmocka_unit_test(a_date_that_is_none_is_refused),
        cmocka_unit_test(x_amz_date_has_one_form),
    };
    return cmocka_run_group_tests_name("timestamp", tests, NULL, NULL);
}
