/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timestamp.c - dates as headers carry them.
 *
 * Each form is a pattern; scan() walks pattern and text side by side. strptime() would not do: it takes
 * the names of months from the locale, and is lenient about blanks and digits.
 */
#include "auth/timestamp.h"

#include <string.h>
#include <time.h>

/* %a %A: weekday, short or whole   %d %e: day, with 0 or with a blank   %b %m: month, name or number
 * %Y %y: year of four digits or two   %H %M %S: time; anything else stands for itself */
#define ISO_BASIC "%Y%m%dT%H%M%SZ"
static const char *const date_forms[] = {
    "%a, %d %b %Y %H:%M:%S GMT", /* IMF-fixdate */
    "%A, %d-%b-%y %H:%M:%S GMT", /* RFC 850 */
    "%a %b %e %H:%M:%S %Y",      /* asctime */
    ISO_BASIC,
};

static const char *const weekdays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                       "Thursday", "Friday", "Saturday"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

static bool take_digits(utapi_string *rest, size_t count, int *ret)
{
    if (rest->size < count)
        return false;
    int value = 0;
    for (size_t i = 0; i < count; i++) {
        if (rest->data[i] < '0' || rest->data[i] > '9')
            return false;
        value = value * 10 + (rest->data[i] - '0');
    }
    *rest = (utapi_string){rest->data + count, rest->size - count};
    *ret = value;
    return true;
}

static bool take_literal(utapi_string *rest, const char *literal, size_t size)
{
    if (rest->size < size || memcmp(rest->data, literal, size) != 0)
        return false;
    *rest = (utapi_string){rest->data + size, rest->size - size};
    return true;
}

/* One of the names, or its first `letters` letters where that is not 0; *ret is its place in the list. */
static bool take_name(utapi_string *rest, const char *const *names, size_t count, size_t letters, int *ret)
{
    for (size_t i = 0; i < count; i++) {
        if (take_literal(rest, names[i], letters != 0 ? letters : strlen(names[i]))) {
            *ret = (int)i;
            return true;
        }
    }
    return false;
}

static bool take_month_number(utapi_string *rest, int *ret)
{
    if (!take_digits(rest, 2, ret))
        return false;
    *ret -= 1;
    return true;
}

/* Two digits mean 1970 to 2069: what is far from now is refused later anyway. */
static bool take_year(utapi_string *rest, size_t digits, int *ret)
{
    if (!take_digits(rest, digits, ret))
        return false;
    if (digits == 2)
        *ret += *ret < 70 ? 100 : 0;
    else
        *ret -= 1900;
    return true;
}

static bool take_field(utapi_string *rest, char field, struct tm *ret)
{
    switch (field) {
    case 'a':
        return take_name(rest, weekdays, 7, 3, &ret->tm_wday);
    case 'A':
        return take_name(rest, weekdays, 7, 0, &ret->tm_wday);
    case 'd':
        return take_digits(rest, 2, &ret->tm_mday);
    case 'e':
        return take_literal(rest, " ", 1) ? take_digits(rest, 1, &ret->tm_mday)
                                          : take_digits(rest, 2, &ret->tm_mday);
    case 'b':
        return take_name(rest, months, 12, 3, &ret->tm_mon);
    case 'm':
        return take_month_number(rest, &ret->tm_mon);
    case 'Y':
        return take_year(rest, 4, &ret->tm_year);
    case 'y':
        return take_year(rest, 2, &ret->tm_year);
    case 'H':
        return take_digits(rest, 2, &ret->tm_hour);
    case 'M':
        return take_digits(rest, 2, &ret->tm_min);
    case 'S':
        return take_digits(rest, 2, &ret->tm_sec);
    default:
        return false;
    }
}

/* Whether the whole text has the form of the pattern. */
static bool scan(utapi_string text, const char *pattern, struct tm *ret)
{
    *ret = (struct tm){0};
    for (; *pattern != '\0'; pattern++) {
        if (*pattern == '%' ? !take_field(&text, *++pattern, ret) : !take_literal(&text, pattern, 1))
            return false;
    }
    return text.size == 0;
}

/* False for a day or a time that does not exist: timegm() would carry 31 February over into March. */
static bool resolve(const struct tm *parts, timestamp *ret)
{
    struct tm carried = *parts;
    const time_t seconds = timegm(&carried);
    if (carried.tm_mday != parts->tm_mday || carried.tm_mon != parts->tm_mon ||
        carried.tm_year != parts->tm_year || carried.tm_hour != parts->tm_hour ||
        carried.tm_min != parts->tm_min || carried.tm_sec != parts->tm_sec)
        return false;
    timestamp time = {.time_ms = (int64_t)seconds * 1000};
    if (strftime(time.text, sizeof time.text, ISO_BASIC, &carried) != TIMESTAMP_BYTES)
        return false;
    *ret = time;
    return true;
}

bool timestamp_parse_amz(utapi_string text, timestamp *ret)
{
    struct tm parts;
    return scan(text, ISO_BASIC, &parts) && resolve(&parts, ret);
}

bool timestamp_parse_date(utapi_string text, timestamp *ret)
{
    struct tm parts;
    for (size_t i = 0; i < sizeof date_forms / sizeof *date_forms; i++) {
        if (scan(text, date_forms[i], &parts))
            return resolve(&parts, ret);
    }
    return false;
}

utapi_string timestamp_day(const timestamp *time)
{
    return (utapi_string){time->text, 8};
}
