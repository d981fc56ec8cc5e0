/* SPDX-License-Identifier: Apache-2.0 */
/* redis_scan.c - walking through all keys that match a pattern, a step at a time, so that Redis serves others in
 * between. A key may come twice. */
#include "redis_read.h"

#include "utapi/scoped.h"

#include <stdlib.h>
#include <string.h>

UTAPI_AUTO_DEFINE(redisReply, freeReplyObject)

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
    const bool was_pinned = redis_link_is_pinned(connection);
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
