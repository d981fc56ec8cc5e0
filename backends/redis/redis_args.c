/* SPDX-License-Identifier: Apache-2.0 */
/* redis_args.c - two arrays as hiredis wants them, and blocks for bytes that were copied. Blocks never move, since
 * arguments point into them. */
#include "redis_args.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY_FIRST = 32, BLOCK_BYTES = 4096 };

/* A block of copied bytes; the newest and largest is the first of the list. */
struct redis_text {
    struct redis_text *next;
    size_t used, capacity;
    char bytes[];
};

void utapi_redis_args_bytes(redis_args *args, const void *bytes, size_t size)
{
    if (args->count == args->capacity) {
        const size_t capacity = args->capacity != 0 ? 2 * args->capacity : CAPACITY_FIRST;
        const char **words = realloc(args->words, capacity * sizeof *words);
        args->words = words != NULL ? words : args->words;
        size_t *sizes = realloc(args->sizes, capacity * sizeof *sizes);
        args->sizes = sizes != NULL ? sizes : args->sizes;
        if (words == NULL || sizes == NULL) {
            args->failed = true;
            return;
        }
        args->capacity = capacity;
    }
    args->words[args->count] = bytes;
    args->sizes[args->count++] = size;
}

void utapi_redis_args_add(redis_args *args, const char *word)
{
    utapi_redis_args_bytes(args, word, strlen(word));
}

void utapi_redis_args_words(redis_args *args, ...)
{
    va_list words;
    va_start(words, args);
    for (const char *word; (word = va_arg(words, const char *)) != NULL;)
        utapi_redis_args_add(args, word);
    va_end(words);
}

/* An argument of `size` bytes, to be filled in; NULL: out of memory. */
static char *args_reserve(redis_args *args, size_t size)
{
    struct redis_text *block = args->kept;
    if (block == NULL || block->capacity - block->used < size) {
        size_t capacity = block != NULL ? 2 * block->capacity : BLOCK_BYTES;
        if (capacity < size)
            capacity = size;
        block = malloc(sizeof *block + capacity);
        if (block == NULL) {
            args->failed = true;
            return NULL;
        }
        *block = (struct redis_text){.next = args->kept, .capacity = capacity};
        args->kept = block;
    }
    char *at = block->bytes + block->used;
    block->used += size;
    utapi_redis_args_bytes(args, at, size);
    return at;
}

void utapi_redis_args_copy(redis_args *args, const void *bytes, size_t size)
{
    char *copy = args_reserve(args, size);
    if (copy != NULL && size != 0)
        memcpy(copy, bytes, size);
}

void utapi_redis_args_joined(redis_args *args, utapi_string left, utapi_string right)
{
    char *copy = args_reserve(args, left.size + 1 + right.size);
    if (copy == NULL)
        return;
    memcpy(copy, left.data, left.size);
    copy[left.size] = ':';
    memcpy(copy + left.size + 1, right.data, right.size);
}

void utapi_redis_args_format(redis_args *args, const char *format, ...)
{
    char text[64];
    va_list values;
    va_start(values, format);
    const int size = vsnprintf(text, sizeof text, format, values);
    va_end(values);
    utapi_redis_args_copy(args, text, (size_t)size);
}

void utapi_redis_args_number(redis_args *args, int64_t number)
{
    utapi_redis_args_format(args, "%" PRId64, number);
}

void utapi_redis_args_script(redis_args *args, size_t keys)
{
    utapi_redis_args_words(args, "EVALSHA", "", NULL);
    utapi_redis_args_number(args, (int64_t)keys);
}

void utapi_redis_args_clear(redis_args *args)
{
    args->count = 0;
    args->failed = false;
    if (args->kept == NULL)
        return;
    for (struct redis_text *block; (block = args->kept->next) != NULL; free(block))
        args->kept->next = block->next;
    args->kept->used = 0;
}

void utapi_redis_args_done(redis_args *args)
{
    utapi_redis_args_clear(args);
    free(args->kept);
    free(args->words);
    free(args->sizes);
    *args = (redis_args){0};
}
