/* SPDX-License-Identifier: Apache-2.0 */
/* test_times.c - the times that --start and --end accept, and how they are rounded out to intervals. */
#include "check.h"
#include "ctl/times.h"

#include <stdio.h>
#include <string.h>

#define MINUTE INT64_C(60000)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)

#define MAY_1 INT64_C(1714521600000)                              /* 2024-05-01T00:00:00Z */
#define NOW   (MAY_1 + 2 * DAY + 10 * HOUR + 20 * MINUTE + 30000) /* 2024-05-03T10:20:30Z */

static const struct {
    const char *text;
    int64_t start_ms; /* as --start */
    int64_t end_ms;   /* as --end */
} times[] = {
    {"1714521600000", MAY_1, MAY_1 - 1},
    {"1714521600001", MAY_1, MAY_1 + 15 * MINUTE - 1},
    {"1714522499999", MAY_1, MAY_1 + 15 * MINUTE - 1},
    {"@1714521600", MAY_1, MAY_1 - 1},
    {"now", MAY_1 + 2 * DAY + 10 * HOUR + 15 * MINUTE, MAY_1 + 2 * DAY + 10 * HOUR + 30 * MINUTE - 1},
    {"NOW", MAY_1 + 2 * DAY + 10 * HOUR + 15 * MINUTE, MAY_1 + 2 * DAY + 10 * HOUR + 30 * MINUTE - 1},
    {"today", MAY_1 + 2 * DAY, MAY_1 + 3 * DAY - 1},
    {"yesterday", MAY_1 + DAY, MAY_1 + 2 * DAY - 1},
    {"2024-05-01", MAY_1, MAY_1 + DAY - 1},
    {"2024-05", MAY_1, MAY_1 + 31 * DAY - 1},
    {"2023-12", MAY_1 - 152 * DAY, MAY_1 - 121 * DAY - 1},
    {"2024-02-29", MAY_1 - 62 * DAY, MAY_1 - 61 * DAY - 1},
    {"2024-05-01T00:00", MAY_1, MAY_1 - 1},
    {"2024-05-01T10:30", MAY_1 + 10 * HOUR + 30 * MINUTE, MAY_1 + 10 * HOUR + 30 * MINUTE - 1},
    {"2024-05-01T10:31", MAY_1 + 10 * HOUR + 30 * MINUTE, MAY_1 + 10 * HOUR + 45 * MINUTE - 1},
    {"2024-05-01 10:44:59", MAY_1 + 10 * HOUR + 30 * MINUTE, MAY_1 + 10 * HOUR + 45 * MINUTE - 1},
    {"2024-05-01T10:44:59.999Z", MAY_1 + 10 * HOUR + 30 * MINUTE, MAY_1 + 10 * HOUR + 45 * MINUTE - 1},
    {"2024-05-01T10:45:00.0009", MAY_1 + 10 * HOUR + 45 * MINUTE, MAY_1 + 10 * HOUR + 45 * MINUTE - 1},
    {"2024-05-01T02:00+02:00", MAY_1, MAY_1 - 1},
    {"2024-04-30T19:00-0500", MAY_1, MAY_1 - 1},
    {"7d", NOW - 7 * DAY - 5 * MINUTE - 30000, NOW - 7 * DAY + 9 * MINUTE + 30000 - 1},
    {"7d ago", NOW - 7 * DAY - 5 * MINUTE - 30000, NOW - 7 * DAY + 9 * MINUTE + 30000 - 1},
    {"2 weeks ago", NOW - 14 * DAY - 5 * MINUTE - 30000, NOW - 14 * DAY + 9 * MINUTE + 30000 - 1},
    {"20 min", NOW - 20 * MINUTE - 30000, NOW - 5 * MINUTE - 30000 - 1},
    {"3 hours ago", NOW - 3 * HOUR - 5 * MINUTE - 30000, NOW - 3 * HOUR + 9 * MINUTE + 30000 - 1},
    {"30s", NOW - 5 * MINUTE - 30000, NOW + 9 * MINUTE + 30000 - 1},
    {"1970-01-01", 0, DAY - 1},
    {"9999-12-31", INT64_C(253402214400000), INT64_C(253402300799999)},
};

static void times_are_rounded_out_to_intervals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        time_span span;
        utapi_error err = {0};
        CHECK_OK(time_parse(times[i].text, NOW, &span, &err), &err);
        if (time_round_start(&span) != times[i].start_ms || time_round_end(&span) != times[i].end_ms)
            fail_msg("%s: %lld to %lld, not %lld to %lld", times[i].text, (long long)time_round_start(&span),
                     (long long)time_round_end(&span), (long long)times[i].start_ms,
                     (long long)times[i].end_ms);
    }
}

static void what_is_no_time_is_quoted(void **state)
{
    static const char *const texts[] = {
        "",
        " ",
        "soon",
        "-1",
        "1714521600000x",
        "12345678901234567890",
        "2024-13-01",
        "2024-02-30",
        "2024-2-1",
        "2024-05-01T",
        "2024-05-01T10",
        "2024-05-01T10:60",
        "2024-05-01T24:00",
        "2024-05-01T10:30:",
        "2024-05-01T10:30:15.",
        "2024-05-01T10:30+2",
        "2024-05-01T10:30Z+02:00",
        "7 d ago now",
        "7y",
        "d",
        "@",
        "1969-12-31",
        "1970-01-01T00:00+01:00",
        "99999 w ago",
        "2024-05-01 ",
        "999999999w",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        time_span span;
        utapi_error err = {0};
        char quoted[80];
        (void)snprintf(quoted, sizeof quoted, "\"%s\"", texts[i]);
        if (time_parse(texts[i], NOW, &span, &err) != UTAPI_INVALID || strstr(err.detail, quoted) == NULL)
            fail_msg("%s was accepted, or refused with \"%s\"", quoted, err.detail);
    }
}

static void seconds_are_printed_where_there_are_some(void **state)
{
    (void)state;
    assert_string_equal(time_format(MAY_1).text, "2024-05-01 00:00");
    assert_string_equal(time_format(NOW).text, "2024-05-03 10:20:30");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_rounded_out_to_intervals),
        cmocka_unit_test(what_is_no_time_is_quoted),
        cmocka_unit_test(seconds_are_printed_where_there_are_some),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
