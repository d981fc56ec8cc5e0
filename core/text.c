/* SPDX-License-Identifier: Apache-2.0 */
/* text.c - room for a growing text, and its end. */
#include "utapi/text.h"

#include <stdint.h>
#include <stdlib.h>

enum { FIRST_CAPACITY = 512 };

bool utapi_text_reserve(utapi_text *text, size_t more)
{
    if (text->failed)
        return false;
    if (text->capacity - text->size >= more)
        return true;

    size_t capacity = text->capacity > 0 ? text->capacity : FIRST_CAPACITY;
    while (capacity - text->size < more && capacity <= SIZE_MAX / 2)
        capacity *= 2;
    char *data = capacity - text->size >= more ? realloc(text->data, capacity) : NULL;
    if (data == NULL) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->capacity = capacity;
    return true;
}

char *utapi_text_take(utapi_text *text, size_t *ret_size)
{
    utapi_text_add_char(text, '\0');
    if (text->failed) {
        utapi_text_done(text);
        return NULL;
    }
    char *data = text->data;
    *ret_size = text->size - 1;
    *text = (utapi_text){0};
    return data;
}

void utapi_text_done(utapi_text *text)
{
    free(text->data);
    *text = (utapi_text){0};
}
