/* SPDX-License-Identifier: Apache-2.0 */
/**
 * json_text.c - the buffer doubles; strings are copied in runs between the characters that need an escape.
 */
#include "json/json_text.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 512

bool json_text_reserve(json_text *text, size_t size)
{
    if (text->failed)
        return false;
    if (text->capacity - text->size >= size)
        return true;

    size_t capacity = text->capacity > 0 ? text->capacity : FIRST_CAPACITY;
    while (capacity - text->size < size && capacity <= SIZE_MAX / 2)
        capacity *= 2;
    char *data = capacity - text->size >= size ? realloc(text->data, capacity) : NULL;
    if (data == NULL) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->capacity = capacity;
    return true;
}

static void add_escape(json_text *text, unsigned char byte)
{
    static const char hex[] = "0123456789abcdef";
    static const char letters[] = "\"\"\\\\\bb\ff\nn\rr\tt"; /* pairs: a character, and its letter */
    for (size_t i = 0; letters[i] != '\0'; i += 2) {
        if ((unsigned char)letters[i] == byte) {
            json_text_add(text, (const char[]){'\\', letters[i + 1]}, 2);
            return;
        }
    }
    json_text_add(text, (const char[]){'\\', 'u', '0', '0', hex[byte >> 4], hex[byte & 15]}, 6);
}

void json_text_add_string(json_text *text, utapi_string value)
{
    const bool is_text = utapi_string_is_text(value);
    size_t copied = 0;

    JSON_TEXT_LITERAL(text, "\"");
    for (size_t at = 0; at < value.size; at++) {
        const unsigned char byte = (unsigned char)value.data[at];
        const bool is_wrong = byte >= 0x80 && !is_text;
        if (byte >= 0x20 && byte != '"' && byte != '\\' && !is_wrong)
            continue;
        json_text_add(text, value.data + copied, at - copied);
        copied = at + 1;
        if (is_wrong)
            JSON_TEXT_LITERAL(text, "?");
        else
            add_escape(text, byte);
    }
    if (copied < value.size)
        json_text_add(text, value.data + copied, value.size - copied);
    JSON_TEXT_LITERAL(text, "\"");
}

void json_text_add_integer(json_text *text, int64_t value)
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
    json_text_add(text, digits + first, sizeof digits - first);
}

char *json_text_take(json_text *text, size_t *ret_size)
{
    json_text_add(text, "", 1);
    if (text->failed) {
        json_text_done(text);
        return NULL;
    }
    char *data = text->data;
    *ret_size = text->size - 1;
    *text = (json_text){0};
    return data;
}

void json_text_done(json_text *text)
{
    free(text->data);
    *text = (json_text){0};
}
