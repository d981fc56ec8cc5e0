/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sigv4_text.c - the growing text of sigv4_text.h. Capacity doubles, so that a text of n bytes costs O(n).
 */
#include "auth/sigv4_text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 1024U

/* Room for `more` bytes; false once memory has run out. */
static bool make_room(sigv4_text *text, size_t more)
{
    if (text->failed)
        return false;
    if (more <= text->capacity - text->size)
        return true;

    size_t capacity = text->capacity == 0 ? FIRST_CAPACITY : text->capacity;
    while (capacity - text->size < more && capacity <= SIZE_MAX / 2)
        capacity *= 2;
    char *data = capacity - text->size < more ? NULL : realloc(text->data, capacity);
    if (data == NULL) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->capacity = capacity;
    return true;
}

void sigv4_text_add(sigv4_text *text, utapi_string piece)
{
    if (piece.size == 0 || !make_room(text, piece.size))
        return;
    memcpy(text->data + text->size, piece.data, piece.size);
    text->size += piece.size;
}

void sigv4_text_add_literal(sigv4_text *text, const char *piece)
{
    sigv4_text_add(text, utapi_string_of(piece));
}

utapi_string sigv4_text_view(const sigv4_text *text)
{
    return (utapi_string){text->data, text->size};
}

void sigv4_text_done(sigv4_text *text)
{
    free(text->data);
    *text = (sigv4_text){0};
}
