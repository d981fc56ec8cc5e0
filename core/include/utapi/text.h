/* SPDX-License-Identifier: Apache-2.0 */
/**
 * text.h - a text that grows while it is written.
 *
 * A failed allocation is remembered, and what is added afterwards is dropped: the writer looks once, at the end.
 * `utapi_text text = {0};` is an empty one. It belongs to one thread at a time.
 */
#ifndef UTAPI_TEXT_H
#define UTAPI_TEXT_H

#include "utapi/string.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef struct utapi_text {
    char *data; /* owned: utapi_text_done(), or whoever takes it with utapi_text_take(); not NUL-terminated */
    size_t size;
    size_t capacity;
    bool failed; /* memory ran out; the text is not whole */
} utapi_text;

/** Makes room at once for `more` bytes; false if there is none. The capacity doubles, so n bytes cost O(n). */
bool utapi_text_reserve(utapi_text *text, size_t more);

/** Adds bytes as they are. */
static inline void utapi_text_add(utapi_text *text, const char *data, size_t size)
{
    if (size == 0 ||
        ((text->failed || text->capacity - text->size < size) && !utapi_text_reserve(text, size)))
        return;
    memcpy(text->data + text->size, data, size);
    text->size += size;
}

/** Adds a string, one byte, or a NUL-terminated piece. */
static inline void utapi_text_add_string(utapi_text *text, utapi_string piece)
{
    utapi_text_add(text, piece.data, piece.size);
}

static inline void utapi_text_add_char(utapi_text *text, char byte)
{
    utapi_text_add(text, &byte, 1);
}

static inline void utapi_text_add_literal(utapi_text *text, const char *piece)
{
    utapi_text_add(text, piece, strlen(piece));
}

/** What was written so far. Valid until the text changes. */
static inline utapi_string utapi_text_view(const utapi_text *text)
{
    return (utapi_string){text->data, text->size};
}

/**
 * Ends the writing, and leaves the text empty.
 *
 * @param ret_size  bytes; a NUL that is not counted follows them. Untouched on failure
 * @return owned: free(). NULL if memory ran out: what was written is freed
 */
char *utapi_text_take(utapi_text *text, size_t *ret_size);

/** Frees what was written and makes the text empty. */
void utapi_text_done(utapi_text *text);

#endif
