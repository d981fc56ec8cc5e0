/* SPDX-License-Identifier: Apache-2.0 */
/**
 * json_text.h - JSON as it is written: a buffer that grows, with the escapes of RFC 8259.
 *
 * Running out of memory is remembered, so that a writer checks once, at the end. Belongs to one thread.
 */
#ifndef JSON_TEXT_H
#define JSON_TEXT_H

#include "utapi/string.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef struct json_text {
    char *data; /* owned: json_text_done(), or whoever takes it with json_text_take() */
    size_t size;
    size_t capacity;
    bool failed; /* out of memory: what was added since is lost */
} json_text;

/** Makes room at once for what is to come; false if there is none. */
bool json_text_reserve(json_text *text, size_t size);

/** Adds bytes as they are. */
static inline void json_text_add(json_text *text, const char *data, size_t size)
{
    if (size == 0 || ((text->failed || text->capacity - text->size < size) && !json_text_reserve(text, size)))
        return;
    memcpy(text->data + text->size, data, size);
    text->size += size;
}

/** Adds a piece of JSON that stands in the source: JSON_TEXT_LITERAL(text, "{\"code\":"). */
#define JSON_TEXT_LITERAL(text, literal) json_text_add((text), "" literal, sizeof(literal) - 1)

/** Adds a string with its quotes. Bytes that are not UTF-8 become "?", so that the JSON stays valid. */
void json_text_add_string(json_text *text, utapi_string value);

/** Adds a number. */
void json_text_add_integer(json_text *text, int64_t value);

/**
 * Ends the writing.
 *
 * @param ret_size  bytes; a NUL that is not counted follows them
 * @return owned: free(). NULL if memory ran out; text is then freed
 */
char *json_text_take(json_text *text, size_t *ret_size);

/** Frees what was written. */
void json_text_done(json_text *text);

#endif
