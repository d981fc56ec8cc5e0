/* SPDX-License-Identifier: Apache-2.0 */
/* redis_maintain.c - what scripts leave for later, in steps that are each short: pending corrections,
 * expiries that are due, flows of what has expired. Any utapid may do it; two at once do each step once. */
#include "redis_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const utapi_fence no_fence = {.from = 0};

enum { CORRECTIONS_AT_REST = 64, DUE_AT_REST = 16, SWEEPS_AT_REST = 32 };

/* Asks a key that lists what is to be done, with more arguments. What somebody else left there of
 * another type is dropped, as the scripts do. */
static utapi_status list_ask(redis_backend *self, const char *command, const char *what,
                             const char *const *more, redisReply **ret, utapi_error *err)
{
    redis_args args = {0};
    redis_key key;
    utapi_redis_key_own(&key, self->uri.prefix, what);
    utapi_redis_args_add(&args, command);
    utapi_redis_args_key(&args, &key);
    for (; *more != NULL; more++)
        utapi_redis_args_add(&args, *more);
    utapi_status status = utapi_redis_connection_call(self->writer, &args, ret, err);
    if (status == UTAPI_CORRUPT) {
        utapi_error_clear(err);
        utapi_redis_args_clear(&args);
        utapi_redis_args_add(&args, "DEL");
        utapi_redis_args_key(&args, &key);
        status = utapi_redis_connection_call(self->writer, &args, ret, err);
    }
    utapi_redis_args_done(&args);
    return status;
}

typedef utapi_status step_fn(redis_backend *self, utapi_string who, utapi_error *err);

/* One step for elements of a set or a hash, whichever come. */
static utapi_status each_do(redis_backend *self, const char *command, const char *what, unsigned max,
                            step_fn *step, utapi_error *err)
{
    for (unsigned i = 0; i < max; i++) {
        redisReply *reply = NULL;
        utapi_status status = list_ask(self, command, what, (const char *const[]){NULL}, &reply, err);
        if (status != UTAPI_OK)
            return status;
        const utapi_string who = redis_text_of(reply);
        const bool is_some = who.size > 0;
        if (is_some)
            status = step(self, who, err);
        freeReplyObject(reply);
        if (status != UTAPI_OK || !is_some)
            return status;
    }
    return UTAPI_OK;
}

static utapi_status integer_take(redisReply *reply, bool *ret_more, utapi_error *err)
{
    const bool is_number = reply->type == REDIS_REPLY_INTEGER;
    *ret_more = is_number && reply->integer > 0;
    freeReplyObject(reply);
    return is_number ? UTAPI_OK : utapi_fail(err, UTAPI_CORRUPT, "Redis: an unknown answer of a script");
}

/* ---- pending corrections ---------------------------------------------------------------- */

utapi_status utapi_redis_corrections_work(redis_backend *self, utapi_string level, utapi_string name,
                                          unsigned max, utapi_error *err)
{
    redis_args args = {0};
    utapi_status status = UTAPI_OK;
    bool more = true;
    for (unsigned i = 0; i < max && more && status == UTAPI_OK; i++) {
        redisReply *reply = NULL;
        utapi_redis_args_clear(&args);
        utapi_redis_args_script(&args, 0);
        utapi_redis_args_add(&args, self->uri.prefix);
        utapi_redis_args_bytes(&args, level.data, level.size);
        utapi_redis_args_bytes(&args, name.data, name.size);
        utapi_redis_encode_nonce(&args, self);
        status = utapi_redis_connection_run(self->writer, REDIS_SCRIPT_CORRECT, &args, &reply, err);
        if (status == UTAPI_OK)
            status = integer_take(reply, &more, err);
    }
    utapi_redis_args_done(&args);
    return status;
}

/* One script for an entry of `shifting`: "level:name". */
static utapi_status corrections_step(redis_backend *self, utapi_string who, utapi_error *err)
{
    const char *colon = memchr(who.data, ':', who.size);
    if (colon == NULL)
        return UTAPI_OK;
    const size_t size = (size_t)(colon - who.data);
    return utapi_redis_corrections_work(self, (utapi_string){who.data, size},
                                        (utapi_string){colon + 1, who.size - size - 1}, 1, err);
}

utapi_status utapi_redis_corrections_maintain(redis_backend *self, unsigned max, utapi_error *err)
{
    return each_do(self, "SRANDMEMBER", "shifting", max, corrections_step, err);
}

/* ---- expiries -------------------------------------------------------------------------- */

static utapi_status expire_try(redis_backend *self, const char *level, utapi_string name, int64_t time_ms,
                               const utapi_fence *fence, bool *ret_shifts, utapi_error *err)
{
    redis_args args = {0};
    redisReply *reply = NULL;
    utapi_redis_encode_fence(&args, self->uri.prefix, fence);
    utapi_redis_args_add(&args, self->uri.prefix);
    utapi_redis_args_add(&args, level);
    utapi_redis_args_bytes(&args, name.data, name.size);
    if (time_ms == INT64_MIN)
        utapi_redis_args_add(&args, "");
    else
        utapi_redis_args_number(&args, time_ms);
    utapi_redis_encode_nonce(&args, self);
    utapi_redis_encode_number(&args, fence->from);
    const utapi_status status =
        utapi_redis_connection_run(self->writer, REDIS_SCRIPT_EXPIRE, &args, &reply, err);
    utapi_redis_args_done(&args);
    if (status != UTAPI_OK)
        return status;
    *ret_shifts = utapi_string_equal(redis_text_of(reply), utapi_string_of("CORRECTIONS"));
    freeReplyObject(reply);
    return UTAPI_OK;
}

utapi_status utapi_redis_expire_one(redis_backend *self, const char *level, utapi_string name,
                                    int64_t time_ms, const utapi_fence *fence, utapi_error *err)
{
    bool corrections = true;
    utapi_status status = UTAPI_OK;
    while (corrections && status == UTAPI_OK) {
        status = expire_try(self, level, name, time_ms, fence, &corrections, err);
        if (status == UTAPI_OK && corrections)
            status = utapi_redis_corrections_work(self, utapi_string_of(level), name, 1, err);
    }
    return status;
}

utapi_status utapi_redis_expire(utapi_backend *base, utapi_level level, utapi_string name, int64_t time_ms,
                                utapi_error *err)
{
    redis_backend *self = (redis_backend *)base;
    if (name.size == 0 || name.size > UTAPI_NAME_MAX)
        return utapi_fail(err, UTAPI_INVALID, "a name of %zu bytes, expected 1 to %d", name.size,
                          UTAPI_NAME_MAX);
    if (time_ms < 0 || utapi_interval_of(time_ms) > UTAPI_INTERVAL_MAX)
        return utapi_fail(err, UTAPI_INVALID, "a forgetting at %lld ms", (long long)time_ms);
    pthread_mutex_lock(&self->writing);
    const utapi_status status =
        utapi_redis_expire_one(self, utapi_level_name(level), name, time_ms, &no_fence, err);
    pthread_mutex_unlock(&self->writing);
    return status;
}

static utapi_status due_maintain(redis_backend *self, int64_t now_ms, unsigned max, utapi_error *err)
{
    redisReply *reply = NULL;
    char now[24], count[16];
    (void)snprintf(now, sizeof now, "%lld", (long long)now_ms);
    (void)snprintf(count, sizeof count, "%u", max);
    utapi_status status =
        list_ask(self, "ZRANGEBYSCORE", "due", (const char *const[]){"-inf", now, "LIMIT", "0", count, NULL},
                 &reply, err);
    for (size_t i = 0; status == UTAPI_OK && i < reply->elements; i++)
        status = utapi_redis_expire_one(self, utapi_level_name(UTAPI_BUCKETS),
                                        redis_text_of(reply->element[i]), INT64_MIN, &no_fence, err);
    freeReplyObject(reply);
    return status;
}

/* ---- flows of what has expired ---------------------------------------------------------- */

static utapi_status sweep_step(redis_backend *self, utapi_string who, utapi_error *err)
{
    redis_args args = {0};
    redisReply *reply = NULL;
    bool more;
    utapi_redis_args_script(&args, 0);
    utapi_redis_args_add(&args, self->uri.prefix);
    utapi_redis_args_bytes(&args, who.data, who.size);
    const utapi_status status =
        utapi_redis_connection_run(self->writer, REDIS_SCRIPT_SWEEP, &args, &reply, err);
    utapi_redis_args_done(&args);
    return status == UTAPI_OK ? integer_take(reply, &more, err) : status;
}

static utapi_status sweeps_maintain(redis_backend *self, unsigned max, utapi_error *err)
{
    return each_do(self, "HRANDFIELD", "sweeping", max, sweep_step, err);
}

utapi_status utapi_redis_maintain(utapi_backend *base, int64_t now_ms, int64_t accepted_ms, utapi_error *err)
{
    redis_backend *self = (redis_backend *)base;
    (void)accepted_ms; /* Redis drops uuids by itself */
    pthread_mutex_lock(&self->writing);
    utapi_status status = UTAPI_OK;
    if (!self->is_fenced) /* else a delivery does it: Redis may have lost what came before them */
        status = due_maintain(self, now_ms, DUE_AT_REST, err);
    if (status == UTAPI_OK)
        status = utapi_redis_corrections_maintain(self, CORRECTIONS_AT_REST, err);
    if (status == UTAPI_OK)
        status = sweeps_maintain(self, SWEEPS_AT_REST, err);
    pthread_mutex_unlock(&self->writing);
    return status;
}
