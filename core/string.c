/* SPDX-License-Identifier: Apache-2.0 */
/* string.c - comparing borrowed bytes, and telling text from other bytes (RFC 3629). */
#include "utapi/string.h"

#include <stdint.h>
#include <string.h>

utapi_string utapi_string_of(const char *text)
{
    return (utapi_string){.data = text, .size = text != NULL ? strlen(text) : 0};
}

bool utapi_string_equal(utapi_string left, utapi_string right)
{
    return left.size == right.size && (left.size == 0 || memcmp(left.data, right.data, left.size) == 0);
}

int utapi_string_compare(utapi_string left, utapi_string right)
{
    const size_t shorter = left.size < right.size ? left.size : right.size;
    const int order = shorter != 0 ? memcmp(left.data, right.data, shorter) : 0;
    if (order != 0)
        return order;
    return (left.size > right.size) - (left.size < right.size);
}

/* What may follow a lead byte: the RFC's table of well-formed sequences, which leaves out overlong forms,
 * surrogates and what lies above U+10FFFF by narrowing the second byte. */
static const struct utf8_lead {
    unsigned char first, last;             /* the lead bytes of this row */
    unsigned char tail;                    /* bytes that follow */
    unsigned char second_low, second_high; /* what the first of them may be */
} utf8_leads[] = {
    {0x01, 0x7F, 0, 0x00, 0x00}, {0xC2, 0xDF, 1, 0x80, 0xBF}, {0xE0, 0xE0, 2, 0xA0, 0xBF},
    {0xE1, 0xEC, 2, 0x80, 0xBF}, {0xED, 0xED, 2, 0x80, 0x9F}, {0xEE, 0xEF, 2, 0x80, 0xBF},
    {0xF0, 0xF0, 3, 0x90, 0xBF}, {0xF1, 0xF3, 3, 0x80, 0xBF}, {0xF4, 0xF4, 3, 0x80, 0x8F},
};

static const struct utf8_lead *utf8_lead_of(unsigned char byte)
{
    for (size_t i = 0; i < sizeof utf8_leads / sizeof *utf8_leads; i++)
        if (byte >= utf8_leads[i].first && byte <= utf8_leads[i].last)
            return &utf8_leads[i];
    return NULL;
}

/* Skips eight bytes at a time as long as they are ASCII without NUL: most names are nothing else. */
static const unsigned char *ascii_skip(const unsigned char *at, const unsigned char *end)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
    for (uint64_t eight; end - at >= (ptrdiff_t)sizeof eight; at += sizeof eight) {
        memcpy(&eight, at, sizeof eight);
        if (((eight | (eight - ones)) & tops) != 0) /* a byte from 0x80 on, or one that is zero */
            break;
    }
    return at;
}

bool utapi_string_is_text(utapi_string text)
{
    if (text.size == 0)
        return true; /* data may be NULL */
    const unsigned char *at = (const unsigned char *)text.data;
    const unsigned char *const end = at + text.size;
    at = ascii_skip(at, end);
    while (at < end) {
        const struct utf8_lead *lead = utf8_lead_of(*at++);
        if (lead == NULL || end - at < lead->tail)
            return false;
        if (lead->tail > 0 && (at[0] < lead->second_low || at[0] > lead->second_high))
            return false;
        for (unsigned i = 1; i < lead->tail; i++)
            if (at[i] < 0x80 || at[i] > 0xBF)
                return false;
        at += lead->tail;
    }
    return true;
}

utapi_string utapi_string_cut(utapi_string text, size_t max)
{
    if (text.size <= max)
        return text;
    while (max > 0 && ((unsigned char)text.data[max] & 0xC0U) == 0x80) /* a byte that continues one */
        max--;
    return (utapi_string){text.data, max};
}
