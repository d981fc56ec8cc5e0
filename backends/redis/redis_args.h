/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis_args.h - the arguments of a command, as hiredis wants them.
 *
 * Running out of memory is remembered, and reported when the command is sent: who adds arguments need not look at each.
 */
#ifndef REDIS_REDIS_ARGS_H
#define REDIS_REDIS_ARGS_H

#include "utapi/string.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** `redis_args args = {0};` has none. Bytes are borrowed until it is sent, unless they are said to be copied. */
typedef struct redis_args {
    const char **words;
    size_t *sizes;
    size_t count, capacity;
    struct redis_text *kept; /* owned: copied bytes */
    bool failed;             /* memory ran out: sending answers UTAPI_NO_MEMORY */
} redis_args;

void utapi_redis_args_add(redis_args *args, const char *word);                 /* borrowed */
void utapi_redis_args_bytes(redis_args *args, const void *bytes, size_t size); /* borrowed */
void utapi_redis_args_words(redis_args *args, ...); /* borrowed; a NULL ends them */
void utapi_redis_args_copy(redis_args *args, const void *bytes, size_t size);
void utapi_redis_args_number(redis_args *args, int64_t number);

/** One argument of less than 64 bytes, as printf() makes it; copied. */
__attribute__((format(printf, 2, 3))) void utapi_redis_args_format(redis_args *args, const char *format, ...);

/** "<left>:<right>"; copied. */
void utapi_redis_args_joined(redis_args *args, utapi_string left, utapi_string right);

/** Begins the call of a script: a place for its digest, which its connection knows, and how many keys follow. */
void utapi_redis_args_script(redis_args *args, size_t keys);

void utapi_redis_args_clear(redis_args *args); /* empties it, keeps its memory */
void utapi_redis_args_done(redis_args *args);

#endif
