/* SPDX-License-Identifier: Apache-2.0 */
/* times.c - tries each way of writing a time until one fits the whole text. */
#include "ctl/times.h"

#include "utapi/interval.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define SECOND_MS INT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS   (60 * MINUTE_MS)
#define DAY_MS    (24 * HOUR_MS)

/* The last millisecond of the year 9999. */
#define MAX_TIME_MS INT64_C(253402300799999)

static time_span point(int64_t time_ms)
{
    return (time_span){time_ms, time_ms};
}

static time_span day_of(int64_t time_ms)
{
    const int64_t first_ms = time_ms - time_ms % DAY_MS;
    return (time_span){first_ms, first_ms + DAY_MS};
}

/* A number of at most `most` digits; moves *text behind it. */
static bool take_number(const char **text, int most, int64_t *ret)
{
    int64_t value = 0;
    int digits = 0;
    for (; digits < most && isdigit((unsigned char)**text); digits++, (*text)++)
        value = value * 10 + (**text - '0');
    *ret = value;
    return digits > 0;
}

/* Reads by a pattern, "4-2" for four digits, a '-' and two digits; moves *text behind them. */
static bool take_fields(const char **text, const char *pattern, int64_t *ret)
{
    for (; *pattern != '\0'; pattern++) {
        const int digits = *pattern - '0';
        const char *start = *text;
        if (!isdigit((unsigned char)*pattern)) {
            if (*(*text)++ != *pattern)
                return false;
        } else if (!take_number(text, digits, ret++) || *text - start != digits)
            return false;
    }
    return true;
}

/* Milliseconds since the epoch, or seconds behind an '@'. */
static bool parse_epoch(const char *text, time_span *ret)
{
    int64_t value;
    const bool is_seconds = *text == '@';
    const int64_t unit_ms = is_seconds ? SECOND_MS : 1;
    text += is_seconds;
    if (!take_number(&text, 15, &value) || *text != '\0' || value > MAX_TIME_MS / unit_ms)
        return false;
    *ret = point(value * unit_ms);
    return true;
}

/* ---- words -------------------------------------------------------------------------------- */

static bool parse_word(const char *text, int64_t now_ms, time_span *ret)
{
    if (strcasecmp(text, "now") == 0)
        *ret = point(now_ms);
    else if (strcasecmp(text, "today") == 0)
        *ret = day_of(now_ms);
    else if (strcasecmp(text, "yesterday") == 0)
        *ret = day_of(now_ms - DAY_MS);
    else
        return false;
    return true;
}

static const struct {
    const char *name;
    int64_t ms;
} units[] = {
    {"s", SECOND_MS},      {"sec", SECOND_MS}, {"second", SECOND_MS}, {"seconds", SECOND_MS},
    {"m", MINUTE_MS},      {"min", MINUTE_MS}, {"minute", MINUTE_MS}, {"minutes", MINUTE_MS},
    {"h", HOUR_MS},        {"hour", HOUR_MS},  {"hours", HOUR_MS},    {"d", DAY_MS},
    {"day", DAY_MS},       {"days", DAY_MS},   {"w", 7 * DAY_MS},     {"week", 7 * DAY_MS},
    {"weeks", 7 * DAY_MS},
};

/* "7d", "7 days ago": one number, one unit. */
static bool parse_ago(const char *text, int64_t now_ms, time_span *ret)
{
    int64_t count;
    if (!take_number(&text, 9, &count))
        return false;
    text += strspn(text, " ");
    const size_t size = strcspn(text, " ");
    const char *rest = text + size + strspn(text + size, " ");
    if (*rest != '\0' && strcasecmp(rest, "ago") != 0)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strlen(units[i].name) != size || strncasecmp(units[i].name, text, size) != 0)
            continue;
        if (count * units[i].ms > now_ms)
            return false; /* before the epoch */
        *ret = point(now_ms - count * units[i].ms);
        return true;
    }
    return false;
}

/* ---- calendar ----------------------------------------------------------------------------- */

/* date: year, month, day. False for one that the calendar does not have: timegm() would make another of it. */
static bool calendar_ms(const int64_t date[3], int64_t *ret)
{
    struct tm parts = {.tm_year = (int)date[0] - 1900, .tm_mon = (int)date[1] - 1, .tm_mday = (int)date[2]};
    if (date[0] < 1970 || date[1] < 1 || date[1] > 12 || date[2] < 1)
        return false;
    *ret = (int64_t)timegm(&parts) * SECOND_MS;
    return parts.tm_mday == (int)date[2] && parts.tm_mon == (int)date[1] - 1;
}

/* ".5", ".123": the digits beyond milliseconds are dropped. */
static bool take_fraction(const char **text, int64_t *ret_ms)
{
    int64_t weight = 100;
    if (!isdigit((unsigned char)*++*text))
        return false;
    for (; isdigit((unsigned char)**text); (*text)++, weight /= 10)
        *ret_ms += (**text - '0') * weight;
    return true;
}

/* "10:30", "10:30:15", "10:30:15.5" */
static bool take_clock(const char **text, int64_t *ret_ms)
{
    int64_t fields[3] = {0}, fraction_ms = 0;
    if (!take_fields(text, "2:2", fields))
        return false;
    if (**text == ':' &&
        (!take_fields(text, ":2", fields + 2) || (**text == '.' && !take_fraction(text, &fraction_ms))))
        return false;
    *ret_ms = fields[0] * HOUR_MS + fields[1] * MINUTE_MS + fields[2] * SECOND_MS + fraction_ms;
    return fields[0] < 24 && fields[1] < 60 && fields[2] < 60;
}

/* "", "Z", "+02:00", "-0530" */
static bool take_offset(const char **text, int64_t *ret_ms)
{
    int64_t fields[2] = {0};
    const char sign = **text;
    *ret_ms = 0;
    if (sign == '\0')
        return true;
    (*text)++;
    if (sign == 'Z' || sign == 'z')
        return true;
    if ((sign != '+' && sign != '-') || !take_fields(text, "2", fields))
        return false;
    *text += **text == ':' ? 1 : 0;
    if (!take_fields(text, "2", fields + 1) || fields[0] > 23 || fields[1] > 59)
        return false;
    *ret_ms = (sign == '-' ? -1 : 1) * (fields[0] * HOUR_MS + fields[1] * MINUTE_MS);
    return true;
}

/* "2024-05", "2024-05-01", "2024-05-01T10:30" and on. */
static bool parse_calendar(const char *text, time_span *ret)
{
    int64_t date[] = {0, 0, 1}, clock_ms, offset_ms;
    if (!take_fields(&text, "4-2", date))
        return false;
    if (*text == '\0') {
        const int64_t next[] = {date[0] + date[1] / 12, date[1] % 12 + 1, 1};
        return calendar_ms(date, &ret->first_ms) && calendar_ms(next, &ret->after_ms);
    }
    if (!take_fields(&text, "-2", date + 2) || !calendar_ms(date, &ret->first_ms))
        return false;
    *ret = day_of(ret->first_ms);
    if (*text == '\0')
        return true;
    if (*text != 'T' && *text != 't' && *text != ' ')
        return false;
    text++;
    if (!take_clock(&text, &clock_ms) || !take_offset(&text, &offset_ms) || *text != '\0')
        return false;
    *ret = point(ret->first_ms + clock_ms - offset_ms);
    return ret->first_ms >= 0;
}

/* ---- all of them -------------------------------------------------------------------------- */

utapi_status time_parse(const char *text, int64_t now_ms, time_span *ret, utapi_error *err)
{
    time_span span;
    if (!parse_epoch(text, &span) && !parse_calendar(text, &span) && !parse_word(text, now_ms, &span) &&
        !parse_ago(text, now_ms, &span))
        return utapi_fail(
            err, UTAPI_INVALID,
            "\"%.60s\" is no time; write it as 2024-05-01, 2024-05-01T10:30, 7d, \"2 weeks ago\", "
            "yesterday, now, or in milliseconds",
            text);
    *ret = span;
    return UTAPI_OK;
}

int64_t time_round_start(const time_span *span)
{
    return utapi_interval_of(span->first_ms);
}

int64_t time_round_end(const time_span *span)
{
    return utapi_interval_of(span->after_ms - 1) + UTAPI_INTERVAL_MS - 1;
}

format_text time_format(int64_t time_ms)
{
    const time_t seconds = (time_t)(time_ms / SECOND_MS);
    struct tm parts;
    format_text ret;
    if (gmtime_r(&seconds, &parts) == NULL ||
        strftime(ret.text, sizeof ret.text, parts.tm_sec != 0 ? "%Y-%m-%d %H:%M:%S" : "%Y-%m-%d %H:%M",
                 &parts) == 0)
        (void)snprintf(ret.text, sizeof ret.text, "%lld ms", (long long)time_ms);
    return ret;
}
