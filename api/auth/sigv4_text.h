/* SPDX-License-Identifier: Apache-2.0 */
/**
 * sigv4_text.h - a text that grows while it is written: canonical requests and strings to sign.
 *
 * A failed allocation is remembered, and what is added afterwards is dropped: the writer looks once, at
 * the end. `sigv4_text text = {0};` is an empty one.
 */
#ifndef AUTH_SIGV4_TEXT_H
#define AUTH_SIGV4_TEXT_H

#include "utapi/string.h"

typedef struct sigv4_text {
    char *data; /* owned: freed by sigv4_text_done(); not NUL-terminated */
    size_t size;
    size_t capacity;
    bool failed; /* memory ran out; the text is not whole */
} sigv4_text;

void sigv4_text_add(sigv4_text *text, utapi_string piece);

static inline void sigv4_text_add_char(sigv4_text *text, char byte)
{
    if (!text->failed && text->size < text->capacity)
        text->data[text->size++] = byte;
    else
        sigv4_text_add(text, (utapi_string){&byte, 1});
}

/** Adds a NUL-terminated piece. */
void sigv4_text_add_literal(sigv4_text *text, const char *piece);

/** What was written so far. Valid until the text changes. */
utapi_string sigv4_text_view(const sigv4_text *text);

/** What SigV4 takes for white space. */
static inline bool sigv4_is_blank(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/** Frees what the text owns and makes it empty. */
void sigv4_text_done(sigv4_text *text);

#endif
