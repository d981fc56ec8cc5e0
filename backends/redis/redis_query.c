/* SPDX-License-Identifier: Apache-2.0 */
/* redis_query.c - what all that reads stands on: commands and their replies, and scanning the keys that match a
 * pattern, a step at a time, so that Redis serves others in between. */
#include "redis_query.h"

#include "utapi/scoped.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

UTAPI_AUTO_DEFINE(redisReply, freeReplyObject)

/* ---- commands and replies ------------------------------------------------------------------ */

void utapi_redis_query_key(redis_reading *reading, const char *what)
{
    utapi_redis_args_resource(&reading->connection->args, reading->prefix, reading->level, reading->name,
                              what);
}

redis_args *utapi_redis_query_begin(redis_reading *reading, const char *command, const char *what)
{
    utapi_redis_args_add(&reading->connection->args, command);
    utapi_redis_query_key(reading, what);
    return &reading->connection->args;
}

void utapi_redis_query_queue(redis_reading *reading)
{
    redis_args *args = &reading->connection->args, *gathered = &reading->gathered;
    if (reading->is_gathering) { /* for snapshot.lua */
        utapi_redis_args_number(gathered, (int64_t)args->count);
        for (size_t i = 0; i < args->count; i++)
            utapi_redis_args_copy(gathered, args->words[i], args->sizes[i]);
        gathered->failed |= args->failed;
        utapi_redis_args_clear(args);
    } else if (reading->failed.status != UTAPI_OK)
        utapi_redis_args_clear(args);
    else if (utapi_redis_connection_queue(reading->connection, &reading->failed) == UTAPI_OK)
        reading->waiting++;
    else
        reading->waiting = 0;
}

utapi_status utapi_redis_query_next(redis_reading *reading, redisReply **ret, utapi_error *err)
{
    utapi_status status = reading->failed.status;
    if (status == UTAPI_OK)
        status = utapi_redis_connection_next(reading->connection, ret, err);
    else
        (void)utapi_fail(err, status, "%s", reading->failed.detail);
    utapi_error_clear(&reading->failed);
    reading->waiting = status == UTAPI_OK ? reading->waiting - 1 : 0;
    return status;
}

const redisReply *utapi_redis_reply_next(redis_replies *left)
{
    static const redisReply nothing = {.type = -1};
    return left->at < left->end ? *left->at++ : &nothing;
}

void utapi_redis_query_drain(redis_reading *reading)
{
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

utapi_status utapi_redis_time_parse(const redisReply *reply, int64_t *ret_ms, utapi_error *err)
{
    int64_t seconds, micros; /* since the epoch, and of that second */
    if (!redis_is_array(reply, 2) || reply->element[0]->type != REDIS_REPLY_STRING ||
        reply->element[1]->type != REDIS_REPLY_STRING || !utapi_redis_integer(reply->element[0], &seconds) ||
        !utapi_redis_integer(reply->element[1], &micros) || seconds < 0 ||
        seconds > UTAPI_INTERVAL_MAX / 1000)
        return utapi_fail(err, UTAPI_CORRUPT, "TIME: an answer of another shape than Redis gives");
    *ret_ms = seconds * 1000 + micros / 1000;
    return UTAPI_OK;
}

utapi_status utapi_redis_time(redis_connection *connection, int64_t *ret_ms, utapi_error *err)
{
    redisReply *reply = NULL;
    utapi_redis_args_add(&connection->args, "TIME");
    utapi_status status = utapi_redis_connection_call(connection, &reply, err);
    if (status == UTAPI_OK)
        status = utapi_redis_time_parse(reply, ret_ms, err);
    freeReplyObject(reply);
    return status;
}

bool utapi_redis_integer_alone(utapi_string text, int64_t *ret)
{
    if (text.size == 0)
        return false;
    char *end;
    errno = 0;
    const long long number = strtoll(text.data, &end, 10);
    if (errno != 0 || end != text.data + text.size)
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
    redis_key key;
    utapi_redis_key_resource(&key, reading->prefix, reading->level, reading->name, what);
    return utapi_fail(err, UTAPI_CORRUPT, "%.*s: %.100s", (int)key.size, key.bytes,
                      reply->type == REDIS_REPLY_ERROR ? reply->str : "holds what nobody puts there");
}

void *utapi_redis_append(void *array, size_t *count, size_t *capacity, size_t element_size)
{
    enum { MIN_CAPACITY = 32 };
    char *elements;
    memcpy(&elements, array, sizeof elements);
    if (*count == *capacity) {
        const size_t wanted = *capacity > 0 ? 2 * *capacity : MIN_CAPACITY;
        elements = realloc(elements, wanted * element_size);
        if (elements == NULL)
            return NULL;
        memcpy(array, &elements, sizeof elements);
        *capacity = wanted;
    }
    return elements + (*count)++ * element_size;
}

/* ---- scanning the keys --------------------------------------------------------------------- */

/* Keys that one step looks at: a few tenths of a millisecond. */
#define SCAN_COUNT "1000"

/* A cursor says where a SCAN goes on: a number of up to 20 digits; "0" at both ends. */
enum { CURSOR_SIZE = 24 };

/* One step; moves the cursor on. */
static utapi_status scan_step(redis_connection *connection, const char *pattern,
                              char cursor[static CURSOR_SIZE], redis_scan_fn *on_key, void *ctx,
                              bool *ret_stop, utapi_error *err)
{
    UTAPI_AUTO(redisReply) *reply = NULL;
    utapi_redis_args_words(&connection->args, "SCAN", cursor, "MATCH", pattern, "COUNT", SCAN_COUNT, NULL);
    utapi_status status = utapi_redis_connection_call(connection, &reply, err);
    connection->pinned = true; /* another server knows nothing of this cursor */
    if (status != UTAPI_OK)
        return status;
    if (!redis_is_array(reply, 2) || reply->element[0]->type != REDIS_REPLY_STRING ||
        reply->element[0]->len >= CURSOR_SIZE || reply->element[1]->type != REDIS_REPLY_ARRAY)
        return utapi_fail(err, UTAPI_CORRUPT, "SCAN: an answer of another shape than Redis gives");
    memcpy(cursor, reply->element[0]->str, reply->element[0]->len + 1);
    const redisReply *keys = reply->element[1];
    for (size_t i = 0; status == UTAPI_OK && i < keys->elements && !*ret_stop; i++)
        if (keys->element[i]->type == REDIS_REPLY_STRING)
            status = on_key(ctx, redis_text_of(keys->element[i]), ret_stop, err);
    *ret_stop |= strcmp(cursor, "0") == 0;
    return status;
}

utapi_status utapi_redis_scan(redis_connection *connection, const char *pattern, int64_t give_up_ms,
                              redis_scan_fn *on_key, void *ctx, utapi_error *err)
{
    const bool was_pinned = connection->pinned;
    char cursor[CURSOR_SIZE] = "0";
    bool stop = false;
    utapi_status status = scan_step(connection, pattern, cursor, on_key, ctx, &stop, err);
    while (status == UTAPI_OK && !stop) {
        if (utapi_monotonic_ms() > give_up_ms)
            status = utapi_fail(err, UTAPI_UNAVAILABLE, "scanning the keys of Redis takes too long");
        else
            status = scan_step(connection, pattern, cursor, on_key, ctx, &stop, err);
    }
    connection->pinned = was_pinned;
    return status;
}

char *utapi_redis_glob_put(char *at, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != '\0' && strchr("*?[]\\^-", bytes[i]) != NULL)
            *at++ = '\\';
        *at++ = bytes[i];
    }
    return at;
}

utapi_status utapi_redis_scan_word(redis_connection *connection, const char *prefix, const char *word,
                                   size_t *ret_head, redis_scan_fn *on_key, void *ctx, utapi_error *err)
{
    *ret_head = strlen(prefix) + strlen(word) + 2;
    UTAPI_AUTO_FREE char *pattern = malloc(2 * *ret_head + 2);
    if (pattern == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "scanning the keys");
    char *at = utapi_redis_glob_put(pattern, prefix, strlen(prefix));
    *at++ = ':';
    at = utapi_redis_glob_put(at, word, strlen(word));
    memcpy(at, ":*", sizeof ":*");
    return utapi_redis_scan(connection, pattern, REDIS_NEVER, on_key, ctx, err);
}

typedef struct level_scan {
    size_t head;
    bool is_location, stopped;
    redis_scan_level_fn *on_key;
    void *ctx;
} level_scan;

static utapi_status level_key(void *ctx, utapi_string key, bool *stop, utapi_error *err)
{
    level_scan *scan = ctx;
    redis_parsed_key parsed;
    if (key.size <= scan->head ||
        !utapi_redis_key_parse((utapi_string){key.data + scan->head, key.size - scan->head},
                               scan->is_location, &parsed))
        return UTAPI_OK;
    const utapi_status status = scan->on_key(scan->ctx, key, &parsed, stop, err);
    scan->stopped = *stop;
    return status;
}

utapi_status utapi_redis_scan_level(redis_connection *connection, const char *prefix, utapi_level level,
                                    redis_scan_level_fn *on_key, void *ctx, utapi_error *err)
{
    level_scan scan = {.on_key = on_key, .ctx = ctx};
    const utapi_status status =
        utapi_redis_scan_word(connection, prefix, utapi_level_name(level), &scan.head, level_key, &scan, err);
    if (status != UTAPI_OK || scan.stopped || level != UTAPI_LOCATIONS)
        return status;
    scan.is_location = true;
    return utapi_redis_scan_word(connection, prefix, REDIS_LOCATION, &scan.head, level_key, &scan, err);
}
