/* SPDX-License-Identifier: Apache-2.0 */
/**
 * json_cursor.h - steps through plain JSON, for the quick ways through events (json_scan.c) and queries (json_list.c).
 * For this folder alone.
 *
 * Each step takes what it is named after and moves on, or answers false, wherever it has stopped then: the text is not
 * plain, and the full reader's. Pure.
 */
#ifndef JSON_CURSOR_H
#define JSON_CURSOR_H

#include "utapi/string.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct json_cursor {
    const char *at, *end;
} json_cursor;

static inline void json_space_skip(json_cursor *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
        s->at++;
}

/* Skips space and one character; false if another stands there. */
static inline bool json_char_take(json_cursor *s, char wanted)
{
    json_space_skip(s);
    if (s->at == s->end || *s->at != wanted)
        return false;
    s->at++;
    return true;
}

/* A string without escapes and control characters. Bytes beyond ASCII must be UTF-8. */
static inline bool json_string_take(json_cursor *s, utapi_string *ret)
{
    if (!json_char_take(s, '"'))
        return false;
    const char *begin = s->at;
    unsigned char beyond_ascii = 0;
    for (; s->at < s->end && *s->at != '"'; s->at++) {
        const unsigned char byte = (unsigned char)*s->at;
        if (byte < 0x20 || byte == '\\')
            return false;
        beyond_ascii |= byte;
    }
    *ret = (utapi_string){begin, (size_t)(s->at - begin)};
    return json_char_take(s, '"') && (beyond_ascii < 0x80 || utapi_string_is_text(*ret));
}

static inline bool json_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* An integer that surely fits: no fraction, no exponent, no leading zero. */
static inline bool json_integer_take(json_cursor *s, int64_t *ret)
{
    enum { DIGITS_MAX = 18 };
    int64_t value = 0;
    const bool negative = s->at < s->end && *s->at == '-';
    const char *first = s->at += negative;
    for (; s->at < s->end && json_is_digit(*s->at) && s->at - first < DIGITS_MAX; s->at++)
        value = value * 10 + (*s->at - '0');
    const ptrdiff_t digits = s->at - first;
    if (digits == 0 || (*first == '0' && digits > 1) || s->at == s->end || json_is_digit(*s->at))
        return false;
    *ret = negative ? -value : value;
    return *s->at != '.' && *s->at != 'e' && *s->at != 'E';
}

static inline bool json_null_take(json_cursor *s)
{
    static const char word[] = "null";
    if (s->end - s->at < (ptrdiff_t)sizeof word - 1 || memcmp(s->at, word, sizeof word - 1) != 0)
        return false;
    s->at += sizeof word - 1;
    return true;
}

#endif
