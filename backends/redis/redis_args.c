/* SPDX-License-Identifier: Apache-2.0 */
/* redis_args.c - two arrays as hiredis wants them, and blocks for bytes that were copied. Blocks never move, since
 * arguments point into them. */
#include "redis_args.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY_FIRST = 32, BLOCK_BYTES = 4096 };

/* A block of copied bytes; the newest is the first of the list. */
struct redis_text {
    struct redis_text *next;
    size_t used, capacity;
    char bytes[];
};

static bool args_grow(redis_args *args)
{
    const size_t capacity = args->capacity != 0 ? 2 * args->capacity : CAPACITY_FIRST;
    const char **words = realloc(args->words, capacity * sizeof *words);
    if (words == NULL)
        return false;
    args->words = words;
    size_t *sizes = realloc(args->sizes, capacity * sizeof *sizes);
    if (sizes == NULL)
        return false;
    args->sizes = sizes;
    args->capacity = capacity;
    return true;
}

void utapi_redis_args_bytes(redis_args *args, const void *bytes, size_t size)
{
    if (args->failed || (args->count == args->capacity && !args_grow(args))) {
        args->failed = true;
        return;
    }
    args->words[args->count] = bytes;
    args->sizes[args->count++] = size;
}

void utapi_redis_args_add(redis_args *args, const char *word)
{
    utapi_redis_args_bytes(args, word, strlen(word));
}

/* Where `size` bytes can be kept; NULL: out of memory. */
static char *text_take(redis_args *args, size_t size)
{
    struct redis_text *block = args->kept;
    if (block == NULL || block->capacity - block->used < size) {
        const size_t capacity = size > BLOCK_BYTES ? size : BLOCK_BYTES;
        block = malloc(sizeof *block + capacity);
        if (block == NULL)
            return NULL;
        *block = (struct redis_text){.next = args->kept, .capacity = capacity};
        args->kept = block;
    }
    char *at = block->bytes + block->used;
    block->used += size;
    return at;
}

void utapi_redis_args_copy(redis_args *args, const void *bytes, size_t size)
{
    char *copy = text_take(args, size);
    if (copy == NULL) {
        args->failed = true;
        return;
    }
    if (size != 0)
        memcpy(copy, bytes, size);
    utapi_redis_args_bytes(args, copy, size);
}

void utapi_redis_args_joined(redis_args *args, utapi_string left, utapi_string right)
{
    char *copy = text_take(args, left.size + 1 + right.size);
    if (copy == NULL) {
        args->failed = true;
        return;
    }
    memcpy(copy, left.data, left.size);
    copy[left.size] = ':';
    memcpy(copy + left.size + 1, right.data, right.size);
    utapi_redis_args_bytes(args, copy, left.size + 1 + right.size);
}

void utapi_redis_args_number(redis_args *args, int64_t number)
{
    char text[24];
    const int size = snprintf(text, sizeof text, "%" PRId64, number);
    utapi_redis_args_copy(args, text, (size_t)size);
}

void utapi_redis_args_script(redis_args *args, size_t keys)
{
    utapi_redis_args_add(args, "EVALSHA");
    utapi_redis_args_add(args, "");
    utapi_redis_args_number(args, (int64_t)keys);
}

/* Frees all blocks but the newest. */
static void texts_trim(redis_args *args)
{
    if (args->kept == NULL)
        return;
    for (struct redis_text *block; (block = args->kept->next) != NULL; free(block))
        args->kept->next = block->next;
}

void utapi_redis_args_clear(redis_args *args)
{
    args->count = 0;
    args->failed = false;
    texts_trim(args);
    if (args->kept != NULL)
        args->kept->used = 0;
}

void utapi_redis_args_done(redis_args *args)
{
    texts_trim(args);
    free(args->kept);
    free(args->words);
    free(args->sizes);
    *args = (redis_args){0};
}
