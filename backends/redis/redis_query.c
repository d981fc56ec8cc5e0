/* SPDX-License-Identifier: Apache-2.0 */
/* redis_query.c - what all that reads stands on: commands and their replies, and walking through all keys that match a
 * pattern, a step at a time, so that Redis serves others in between. */
#include "redis_query.h"

#include "utapi/scoped.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

UTAPI_AUTO_DEFINE(redisReply, freeReplyObject)

/* ---- commands and replies ------------------------------------------------------------------ */

utapi_status utapi_redis_query_reserve(redis_reading *reading, size_t size, utapi_error *err)
{
    if (size <= reading->text_capacity)
        return UTAPI_OK;
    char *text = realloc(reading->text, size);
    if (text == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "putting a command together");
    reading->text = text;
    reading->text_capacity = size;
    return UTAPI_OK;
}

/* Arguments of snapshot.lua. They are copied, for those who queue them borrow them until a command is sent. */
static void gather(redis_reading *reading)
{
    const redis_args *args = &reading->args;
    utapi_redis_args_number(&reading->gathered, (int64_t)args->count);
    for (size_t i = 0; i < args->count; i++)
        utapi_redis_args_copy(&reading->gathered, args->words[i], args->sizes[i]);
    reading->gathered.failed |= args->failed;
    utapi_redis_args_clear(&reading->args);
}

utapi_status utapi_redis_query_queue(redis_reading *reading, utapi_error *err)
{
    if (reading->is_gathering) {
        gather(reading);
        return UTAPI_OK;
    }
    const utapi_status status = utapi_redis_connection_queue(reading->connection, &reading->args, err);
    utapi_redis_args_clear(&reading->args);
    reading->waiting = status == UTAPI_OK ? reading->waiting + 1 : 0;
    return status;
}

utapi_status utapi_redis_query_queue_key(redis_reading *reading, const char *command, const char *what,
                                         const char *word, const char *more, utapi_error *err)
{
    redis_key key;
    utapi_redis_key_resource(&key, reading->prefix, reading->level, reading->name, what);
    utapi_redis_args_add(&reading->args, command);
    utapi_redis_args_bytes(&reading->args, key.bytes, key.size);
    if (word != NULL)
        utapi_redis_args_add(&reading->args, word);
    if (more != NULL)
        utapi_redis_args_add(&reading->args, more);
    return utapi_redis_query_queue(reading, err);
}

utapi_status utapi_redis_query_next(redis_reading *reading, redisReply **ret, utapi_error *err)
{
    const utapi_status status = utapi_redis_connection_next(reading->connection, ret, err);
    reading->waiting = status == UTAPI_OK ? reading->waiting - 1 : 0;
    return status;
}

void utapi_redis_query_drain(redis_reading *reading)
{
    utapi_redis_args_clear(&reading->args);
    while (reading->waiting > 0) {
        UTAPI_AUTO(redisReply) *reply = NULL;
        if (utapi_redis_query_next(reading, &reply, NULL) != UTAPI_OK)
            return;
    }
}

utapi_status utapi_redis_only_read(utapi_status status, utapi_error *err)
{
    if (status != UTAPI_UNCERTAIN)
        return status;
    if (err != NULL)
        err->status = UTAPI_UNAVAILABLE;
    return UTAPI_UNAVAILABLE;
}

bool utapi_redis_integer(const redisReply *value, int64_t *ret)
{
    errno = 0; /* hiredis ends each text with a NUL */
    *ret = strtoll(value->str, NULL, 10);
    return errno == 0;
}

bool utapi_redis_integer_alone(const redisReply *reply, int64_t *ret)
{
    if (reply->type != REDIS_REPLY_STRING || reply->len == 0)
        return false;
    char *end;
    errno = 0;
    const long long number = strtoll(reply->str, &end, 10);
    if (errno != 0 || end != reply->str + reply->len)
        return false;
    *ret = number;
    return true;
}

bool utapi_redis_is_expired(const redisReply *tombstone, utapi_interval interval)
{
    int64_t expired_ms;
    return tombstone->type == REDIS_REPLY_STRING && utapi_redis_integer(tombstone, &expired_ms) &&
           interval < utapi_interval_of(expired_ms);
}

utapi_status utapi_redis_query_corrupt(const redis_reading *reading, const char *what,
                                       const redisReply *reply, utapi_error *err)
{
    const bool has_words = reply->type == REDIS_REPLY_ERROR;
    return utapi_fail(err, UTAPI_CORRUPT, "%s:%s:%.*s:%s: %.*s", reading->prefix,
                      utapi_level_name(reading->level), (int)reading->name.size, reading->name.data, what,
                      has_words ? (int)reply->len : 31,
                      has_words ? reply->str : "holds what nobody puts there...");
}

void *utapi_redis_grow(void *array, size_t count, size_t *capacity, size_t element_size)
{
    enum { MIN_CAPACITY = 32 };
    if (count < *capacity)
        return array;
    const size_t wanted = *capacity > 0 ? 2 * *capacity : MIN_CAPACITY;
    void *grown = realloc(array, wanted * element_size);
    if (grown != NULL)
        *capacity = wanted;
    return grown;
}

/* ---- walking through the keys ------------------------------------------------------------- */

/* Keys that one step looks at: a few tenths of a millisecond. */
#define SCAN_COUNT "1000"

char *utapi_redis_glob_put(char *at, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != '\0' && strchr("*?[]\\^-", bytes[i]) != NULL)
            *at++ = '\\';
        *at++ = bytes[i];
    }
    return at;
}

/* Where a SCAN goes on: a number of up to 20 digits; "0" at both ends. */
typedef struct scan_cursor {
    char digits[24];
} scan_cursor;

static utapi_status scan_ask(redis_connection *connection, const char *pattern, const scan_cursor *cursor,
                             redisReply **ret, utapi_error *err)
{
    const char *const words[] = {"SCAN", cursor->digits, "MATCH", pattern, "COUNT", SCAN_COUNT};
    redis_args args = {0};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        utapi_redis_args_add(&args, words[i]);
    utapi_status status = utapi_redis_connection_call(connection, &args, ret, err);
    utapi_redis_args_done(&args);
    if (status == UTAPI_OK &&
        ((*ret)->type != REDIS_REPLY_ARRAY || (*ret)->elements != 2 ||
         (*ret)->element[0]->type != REDIS_REPLY_STRING || (*ret)->element[0]->len >= sizeof cursor->digits ||
         (*ret)->element[1]->type != REDIS_REPLY_ARRAY))
        status = utapi_fail(err, UTAPI_CORRUPT, "SCAN: an answer of another shape than Redis gives");
    return status;
}

static utapi_status keys_tell(const redisReply *keys, redis_scan_fn *on_key, void *ctx, bool *ret_stop,
                              utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    for (size_t i = 0; status == UTAPI_OK && i < keys->elements && !*ret_stop; i++) {
        const redisReply *key = keys->element[i];
        if (key->type == REDIS_REPLY_STRING)
            status = on_key(ctx, (utapi_string){key->str, key->len}, ret_stop, err);
    }
    return status;
}

/* One step; moves the cursor on. */
static utapi_status scan_step(redis_connection *connection, const char *pattern, scan_cursor *cursor,
                              redis_scan_fn *on_key, void *ctx, bool *ret_stop, utapi_error *err)
{
    UTAPI_AUTO(redisReply) *reply = NULL;
    const utapi_status status = scan_ask(connection, pattern, cursor, &reply, err);
    utapi_redis_connection_pin(connection, true); /* another server knows nothing of this cursor */
    if (status != UTAPI_OK)
        return status;
    memcpy(cursor->digits, reply->element[0]->str, reply->element[0]->len + 1);
    const utapi_status told = keys_tell(reply->element[1], on_key, ctx, ret_stop, err);
    *ret_stop |= strcmp(cursor->digits, "0") == 0;
    return told;
}

utapi_status utapi_redis_scan(redis_connection *connection, const char *pattern, int64_t give_up_ms,
                              redis_scan_fn *on_key, void *ctx, utapi_error *err)
{
    const bool was_pinned = connection->pinned;
    scan_cursor cursor = {"0"};
    bool stop = false;
    utapi_status status = scan_step(connection, pattern, &cursor, on_key, ctx, &stop, err);
    while (status == UTAPI_OK && !stop) {
        if (utapi_monotonic_ms() > give_up_ms)
            status = utapi_fail(err, UTAPI_UNAVAILABLE, "walking through the keys of Redis takes too long");
        else
            status = scan_step(connection, pattern, &cursor, on_key, ctx, &stop, err);
    }
    utapi_redis_connection_pin(connection, was_pinned);
    return status;
}

utapi_status utapi_redis_scan_word(redis_connection *connection, const char *prefix, const char *word,
                                   size_t *ret_head, redis_scan_fn *on_key, void *ctx, utapi_error *err)
{
    *ret_head = strlen(prefix) + strlen(word) + 2;
    UTAPI_AUTO_FREE char *pattern = malloc(2 * *ret_head + 2);
    if (pattern == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "walking through the keys");
    char *at = utapi_redis_glob_put(pattern, prefix, strlen(prefix));
    *at++ = ':';
    at = utapi_redis_glob_put(at, word, strlen(word));
    memcpy(at, ":*", sizeof ":*");
    return utapi_redis_scan(connection, pattern, REDIS_NEVER, on_key, ctx, err);
}
