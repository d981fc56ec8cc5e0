/* SPDX-License-Identifier: Apache-2.0 */
/* redis_maintain.c - what scripts leave for later, in steps that are each short: pending corrections,
 * expiries that are due, flows of what has expired. Any utapid may do it; two at once do each step once. */
#include "redis_query.h"
#include "redis_write.h"

#include "utapi/scoped.h"

#include <string.h>

UTAPI_AUTO_DEFINE(redisReply, freeReplyObject)

static const utapi_fence no_fence = {.from = 0};

enum { CORRECTIONS_AT_REST = 64, DUE_AT_REST = 16, SWEEPS_AT_REST = 32 };

/* Begins a command on a key that lists what is to be done. */
static redis_args *list_begin(redis_backend *self, const char *command, const char *what)
{
    utapi_redis_args_add(&self->writer->args, command);
    utapi_redis_args_own(&self->writer->args, self->uri.prefix, what);
    return &self->writer->args;
}

/* Sends it. What somebody else left there of another type is dropped, as the scripts do. */
static utapi_status list_read(redis_backend *self, const char *what, redisReply **ret, utapi_error *err)
{
    const utapi_status status = utapi_redis_connection_call(self->writer, ret, err);
    if (status != UTAPI_CORRUPT)
        return status;
    utapi_error_clear(err);
    list_begin(self, "DEL", what);
    return utapi_redis_connection_call(self->writer, ret, err);
}

typedef utapi_status step_fn(redis_backend *self, utapi_string who, utapi_error *err);

/* One step for elements of a set or a hash, whichever come. */
static utapi_status each_do(redis_backend *self, const char *command, const char *what, unsigned max,
                            step_fn *step, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    for (unsigned i = 0; i < max && status == UTAPI_OK; i++) {
        UTAPI_AUTO(redisReply) *reply = NULL;
        list_begin(self, command, what);
        status = list_read(self, what, &reply, err);
        if (status != UTAPI_OK || redis_text_of(reply).size == 0)
            return status;
        status = step(self, redis_text_of(reply), err);
    }
    return status;
}

/* ---- pending corrections ---------------------------------------------------------------- */

utapi_status utapi_redis_corrections_work(redis_backend *self, utapi_string level, utapi_string name,
                                          unsigned max, utapi_error *err)
{
    redis_args *args = &self->writer->args;
    utapi_status status = UTAPI_OK;
    int64_t left = 1;
    for (unsigned i = 0; i < max && left > 0 && status == UTAPI_OK; i++) {
        utapi_redis_args_script(args, 0);
        utapi_redis_args_add(args, self->uri.prefix);
        utapi_redis_args_bytes(args, level.data, level.size);
        utapi_redis_args_bytes(args, name.data, name.size);
        utapi_redis_encode_nonce(args, self);
        status = utapi_redis_connection_run_number(self->writer, REDIS_SCRIPT_CORRECT, &left, err);
    }
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

utapi_status utapi_redis_expire_one(redis_backend *self, const char *level, utapi_string name,
                                    int64_t time_ms, const utapi_fence *fence, utapi_error *err)
{
    redis_args *args = &self->writer->args;
    for (;;) {
        UTAPI_AUTO(redisReply) *reply = NULL;
        utapi_redis_encode_fence(args, self->uri.prefix, fence);
        utapi_redis_args_words(args, self->uri.prefix, level, NULL);
        utapi_redis_args_bytes(args, name.data, name.size);
        if (time_ms == INT64_MIN)
            utapi_redis_args_add(args, "");
        else
            utapi_redis_args_number(args, time_ms);
        utapi_redis_encode_nonce(args, self);
        utapi_redis_args_format(args, "%llu", (unsigned long long)fence->from);
        utapi_status status = utapi_redis_connection_run(self->writer, REDIS_SCRIPT_EXPIRE, &reply, err);
        if (status != UTAPI_OK || !utapi_string_equal(redis_text_of(reply), utapi_string_of("CORRECTIONS")))
            return status;
        status = utapi_redis_corrections_work(self, utapi_string_of(level), name, 1, err);
        if (status != UTAPI_OK)
            return status;
    }
}

utapi_status utapi_redis_expire(utapi_backend *base, utapi_level level, utapi_string name, int64_t time_ms,
                                utapi_error *err)
{
    redis_backend *self = (redis_backend *)base;
    if (name.size == 0 || name.size > UTAPI_NAME_MAX)
        return utapi_fail(err, UTAPI_INVALID, "a name of %zu bytes, expected 1 to %d", name.size,
                          UTAPI_NAME_MAX);
    if (time_ms < 0 || utapi_interval_of(time_ms) > UTAPI_INTERVAL_MAX)
        return utapi_fail(err, UTAPI_INVALID, "an expiry at %lld ms", (long long)time_ms);
    pthread_mutex_lock(&self->writing);
    const utapi_status status =
        utapi_redis_expire_one(self, utapi_level_name(level), name, time_ms, &no_fence, err);
    pthread_mutex_unlock(&self->writing);
    return status;
}

/* Due is what is due by both clocks: one that is ahead expires nobody's buckets. */
static utapi_status due_maintain(redis_backend *self, int64_t now_ms, utapi_error *err)
{
    UTAPI_AUTO(redisReply) *reply = NULL;
    int64_t redis_ms;
    const utapi_status told = utapi_redis_time(self->writer, &redis_ms, err);
    if (told != UTAPI_OK)
        return told;
    redis_args *args = list_begin(self, "ZRANGEBYSCORE", "due");
    utapi_redis_args_add(args, "-inf");
    utapi_redis_args_number(args, now_ms < redis_ms ? now_ms : redis_ms);
    utapi_redis_args_words(args, "LIMIT", "0", NULL);
    utapi_redis_args_number(args, DUE_AT_REST);
    utapi_status status = list_read(self, "due", &reply, err);
    for (size_t i = 0; status == UTAPI_OK && i < reply->elements; i++)
        status = utapi_redis_expire_one(self, utapi_level_name(UTAPI_BUCKETS),
                                        redis_text_of(reply->element[i]), INT64_MIN, &no_fence, err);
    return status;
}

/* ---- flows of what has expired ---------------------------------------------------------- */

static utapi_status sweep_step(redis_backend *self, utapi_string who, utapi_error *err)
{
    redis_args *args = &self->writer->args;
    int64_t left;
    utapi_redis_args_script(args, 0);
    utapi_redis_args_add(args, self->uri.prefix);
    utapi_redis_args_bytes(args, who.data, who.size);
    return utapi_redis_connection_run_number(self->writer, REDIS_SCRIPT_SWEEP, &left, err);
}

utapi_status utapi_redis_maintain(utapi_backend *base, int64_t now_ms, int64_t accepted_ms, utapi_error *err)
{
    redis_backend *self = (redis_backend *)base;
    (void)accepted_ms; /* Redis drops uuids by itself */
    pthread_mutex_lock(&self->writing);
    utapi_status status = UTAPI_OK;
    if (!self->is_fenced) /* else a delivery does it: Redis may have lost what came before them */
        status = due_maintain(self, now_ms, err);
    if (status == UTAPI_OK)
        status = utapi_redis_corrections_maintain(self, CORRECTIONS_AT_REST, err);
    if (status == UTAPI_OK)
        status = each_do(self, "HRANDFIELD", "sweeping", SWEEPS_AT_REST, sweep_step, err);
    pthread_mutex_unlock(&self->writing);
    return status;
}
