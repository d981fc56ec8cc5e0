/* SPDX-License-Identifier: Apache-2.0 */
/* times.c - tries each way of writing a time, in a table, until one fits the whole text. */
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

typedef bool parse_fn(const char *text, int64_t now_ms, time_span *ret);

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

/* Exactly `digits` digits, then the character `after` unless that is 0. */
static bool take_field(const char **text, int digits, char after, int64_t *ret)
{
    const char *start = *text;
    if (!take_number(text, digits, ret) || *text - start != digits)
        return false;
    if (after == '\0')
        return true;
    return *(*text)++ == after;
}

/* ---- since the epoch ---------------------------------------------------------------------- */

static bool parse_ms(const char *text, int64_t now_ms, time_span *ret)
{
    int64_t value;
    (void)now_ms;
    if (!take_number(&text, 15, &value) || *text != '\0' || value > MAX_TIME_MS)
        return false;
    *ret = point(value);
    return true;
}

static bool parse_seconds(const char *text, int64_t now_ms, time_span *ret)
{
    int64_t value;
    (void)now_ms;
    if (*text++ != '@' || !take_number(&text, 12, &value) || *text != '\0' || value > MAX_TIME_MS / SECOND_MS)
        return false;
    *ret = point(value * SECOND_MS);
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

/* False for a date that the calendar does not have: timegm() would make another of it. */
static bool calendar_ms(int64_t year, int64_t month, int64_t day, int64_t *ret)
{
    if (year < 1970 || month < 1 || month > 12 || day < 1)
        return false;
    struct tm date = {.tm_year = (int)year - 1900, .tm_mon = (int)month - 1, .tm_mday = (int)day};
    const time_t seconds = timegm(&date);
    *ret = (int64_t)seconds * SECOND_MS;
    return date.tm_mday == (int)day && date.tm_mon == (int)month - 1;
}

static bool parse_month(const char *text, int64_t now_ms, time_span *ret)
{
    int64_t year;
    int64_t month;
    (void)now_ms;
    if (!take_field(&text, 4, '-', &year) || !take_field(&text, 2, '\0', &month) || *text != '\0')
        return false;
    const bool is_last = month == 12;
    return calendar_ms(year, month, 1, &ret->first_ms) &&
           calendar_ms(is_last ? year + 1 : year, is_last ? 1 : month + 1, 1, &ret->after_ms);
}

static bool take_date(const char **text, int64_t *ret)
{
    int64_t year;
    int64_t month;
    int64_t day;
    return take_field(text, 4, '-', &year) && take_field(text, 2, '-', &month) &&
           take_field(text, 2, '\0', &day) && calendar_ms(year, month, day, ret);
}

static bool parse_day(const char *text, int64_t now_ms, time_span *ret)
{
    int64_t day_ms;
    (void)now_ms;
    if (!take_date(&text, &day_ms) || *text != '\0')
        return false;
    *ret = day_of(day_ms);
    return true;
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
    int64_t hours;
    int64_t minutes;
    int64_t seconds = 0;
    int64_t fraction_ms = 0;
    if (!take_field(text, 2, ':', &hours) || !take_field(text, 2, '\0', &minutes))
        return false;
    if (**text == ':') {
        (*text)++;
        if (!take_field(text, 2, '\0', &seconds))
            return false;
        if (**text == '.' && !take_fraction(text, &fraction_ms))
            return false;
    }
    *ret_ms = hours * HOUR_MS + minutes * MINUTE_MS + seconds * SECOND_MS + fraction_ms;
    return hours < 24 && minutes < 60 && seconds < 60;
}

/* "", "Z", "+02:00", "-0530" */
static bool take_offset(const char **text, int64_t *ret_ms)
{
    int64_t hours;
    int64_t minutes;
    *ret_ms = 0;
    if (**text == 'Z' || **text == 'z') {
        (*text)++;
        return true;
    }
    if (**text != '+' && **text != '-')
        return true;
    const int sign = *(*text)++ == '-' ? -1 : 1;
    if (!take_field(text, 2, '\0', &hours))
        return false;
    *text += **text == ':' ? 1 : 0;
    if (!take_field(text, 2, '\0', &minutes) || hours > 23 || minutes > 59)
        return false;
    *ret_ms = sign * (hours * HOUR_MS + minutes * MINUTE_MS);
    return true;
}

static bool parse_instant(const char *text, int64_t now_ms, time_span *ret)
{
    int64_t day_ms;
    int64_t clock_ms;
    int64_t offset_ms;
    (void)now_ms;
    if (!take_date(&text, &day_ms) || (*text != 'T' && *text != 't' && *text != ' '))
        return false;
    text++;
    if (!take_clock(&text, &clock_ms) || !take_offset(&text, &offset_ms) || *text != '\0')
        return false;
    *ret = point(day_ms + clock_ms - offset_ms);
    return ret->first_ms >= 0;
}

/* ---- all of them -------------------------------------------------------------------------- */

utapi_status time_parse(const char *text, int64_t now_ms, time_span *ret, utapi_error *err)
{
    static parse_fn *const parsers[] = {parse_ms,  parse_seconds, parse_word,   parse_ago,
                                        parse_day, parse_month,   parse_instant};
    for (size_t i = 0; i < sizeof parsers / sizeof *parsers; i++) {
        time_span span;
        if (parsers[i](text, now_ms, &span)) {
            *ret = span;
            return UTAPI_OK;
        }
    }
    return utapi_fail(err, UTAPI_INVALID,
                      "\"%.60s\" is no time; write it as 2024-05-01, 2024-05-01T10:30, 7d, \"2 weeks ago\", "
                      "yesterday, now, or in milliseconds",
                      text);
}

int64_t time_round_start(const time_span *span)
{
    return utapi_interval_of(span->first_ms);
}

int64_t time_round_end(const time_span *span)
{
    return utapi_interval_of(span->after_ms - 1) + UTAPI_INTERVAL_MS - 1;
}

void time_format(int64_t time_ms, char ret[TIME_TEXT_BYTES])
{
    const time_t seconds = (time_t)(time_ms / SECOND_MS);
    struct tm parts;
    if (gmtime_r(&seconds, &parts) == NULL ||
        strftime(ret, TIME_TEXT_BYTES, parts.tm_sec != 0 ? "%Y-%m-%d %H:%M:%S" : "%Y-%m-%d %H:%M", &parts) ==
            0)
        (void)snprintf(ret, TIME_TEXT_BYTES, "%lld ms", (long long)time_ms);
}
