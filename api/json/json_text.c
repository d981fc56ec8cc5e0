/* SPDX-License-Identifier: Apache-2.0 */
/**
 * json_text.c - strings are copied in runs between the characters that need an escape.
 */
#include "json/json_text.h"

#include "utapi/codec.h"

static void add_escape(utapi_text *text, unsigned char byte)
{
    static const char letters[] = "\"\"\\\\\bb\ff\nn\rr\tt"; /* pairs: a character, and its letter */
    for (size_t i = 0; letters[i] != '\0'; i += 2) {
        if ((unsigned char)letters[i] == byte) {
            utapi_text_add(text, (const char[]){'\\', letters[i + 1]}, 2);
            return;
        }
    }
    char escape[6] = {'\\', 'u', '0', '0'};
    utapi_hex_put(escape + 4, &byte, 1);
    utapi_text_add(text, escape, sizeof escape);
}

void json_text_add_string(utapi_text *text, utapi_string value)
{
    const bool is_text = utapi_string_is_text(value);
    size_t copied = 0;

    JSON_TEXT_LITERAL(text, "\"");
    for (size_t at = 0; at < value.size; at++) {
        const unsigned char byte = (unsigned char)value.data[at];
        const bool is_wrong = byte >= 0x80 && !is_text;
        if (byte >= 0x20 && byte != '"' && byte != '\\' && !is_wrong)
            continue;
        utapi_text_add(text, value.data + copied, at - copied);
        copied = at + 1;
        if (is_wrong)
            JSON_TEXT_LITERAL(text, "?");
        else
            add_escape(text, byte);
    }
    if (copied < value.size)
        utapi_text_add(text, value.data + copied, value.size - copied);
    JSON_TEXT_LITERAL(text, "\"");
}

void json_text_add_integer(utapi_text *text, int64_t value)
{
    char digits[20];
    size_t first = sizeof digits;
    /* Unsigned, for the magnitude of INT64_MIN has no signed form. */
    uint64_t rest = value < 0 ? UINT64_C(0) - (uint64_t)value : (uint64_t)value;

    do {
        digits[--first] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0)
        digits[--first] = '-';
    utapi_text_add(text, digits + first, sizeof digits - first);
}

void json_text_add_name(utapi_text *text, const char *name)
{
    if (text->size > 0 && text->data[text->size - 1] != '{')
        JSON_TEXT_LITERAL(text, ",");
    json_text_add_string(text, utapi_string_of(name));
    JSON_TEXT_LITERAL(text, ":");
}

void json_text_add_integer_member(utapi_text *text, const char *name, int64_t value)
{
    json_text_add_name(text, name);
    json_text_add_integer(text, value);
}

void json_text_add_count_member(utapi_text *text, const char *name, uint64_t value)
{
    json_text_add_integer_member(text, name, value <= INT64_MAX ? (int64_t)value : INT64_MAX);
}

void json_text_add_string_member(utapi_text *text, const char *name, utapi_string value)
{
    if (value.size == 0)
        return;
    json_text_add_name(text, name);
    json_text_add_string(text, value);
}
