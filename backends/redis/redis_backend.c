/* SPDX-License-Identifier: Apache-2.0 */
/* redis_backend.c - the contract's side: opening, closing, figures. */
#include "redis_internal.h"

#include "utapi/scoped.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Redis serves nobody else while a script runs. One of so many cells and uuids takes one to two milliseconds, and five to eight
 * where every event is late (tests/system/test_redis_limits.py). */
enum { LARGEST_STEP = 150 };

/* ---- figures ------------------------------------------------------------------------------ */

/* The value of "name:value" in what INFO answers; empty if there is none. */
static utapi_string info_find(utapi_string info, const char *name)
{
    const size_t size = strlen(name);
    for (const char *line = info.data; line != NULL && line < info.data + info.size;) {
        const char *end = memchr(line, '\r', (size_t)(info.data + info.size - line));
        if (end == NULL)
            break;
        if ((size_t)(end - line) > size && memcmp(line, name, size) == 0 && line[size] == ':')
            return (utapi_string){line + size + 1, (size_t)(end - line) - size - 1};
        line = end + 2;
    }
    return (utapi_string){"", 0};
}

static uint64_t info_number(utapi_string info, const char *name)
{
    const utapi_string text = info_find(info, name);
    return text.size > 0 ? strtoull(text.data, NULL, 10) : 0;
}

static void stats_fill(utapi_string info, utapi_stats *ret)
{
    const utapi_string policy = info_find(info, "maxmemory_policy");
    *ret = (utapi_stats){.used_bytes = info_number(info, "used_memory"),
                         .capacity_bytes = info_number(info, "maxmemory")};
    if (policy.size > 0 && !utapi_string_equal(policy, utapi_string_of("noeviction")))
        (void)snprintf(
            ret->trouble, sizeof ret->trouble,
            "Redis may drop figures when memory is short: maxmemory-policy is %.*s, not noeviction",
            (int)(policy.size < 32 ? policy.size : 32), policy.data);
}

utapi_status utapi_redis_stats(utapi_backend *base, utapi_stats *ret, utapi_error *err)
{
    redis_backend *self = (redis_backend *)base;
    redis_args args = {0};
    redisReply *reply = NULL;
    redis_link *link = redis_pool_take(self->pool);
    if (link == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a connection to Redis");
    redis_args_add(&args, "INFO");
    redis_args_add(&args, "memory");
    utapi_status status = redis_link_ask(link, &args, &reply, err);
    redis_pool_give(self->pool, link);
    redis_args_done(&args);
    if (status != UTAPI_OK)
        return status;
    if (reply->type == REDIS_REPLY_STRING)
        stats_fill((utapi_string){reply->str, (size_t)reply->len}, ret);
    else
        status = utapi_fail(err, UTAPI_CORRUPT, "Redis: INFO without an answer");
    freeReplyObject(reply);
    return status;
}

/* ---- opening and closing ------------------------------------------------------------------ */

/* Takes half-built ones too. */
static void redis_close(utapi_backend *base)
{
    redis_backend *self = (redis_backend *)base;
    redis_link_free(self->writer);
    redis_pool_free(self->pool);
    redis_uri_done(&self->uri);
    pthread_mutex_destroy(&self->writing);
    free(self);
}

static utapi_status redis_begin(redis_backend *self, const utapi_backend_options *options, utapi_error *err)
{
    const utapi_status status = redis_uri_parse(options->location, &self->uri, err);
    if (status != UTAPI_OK)
        return status;
    self->window_ms = options->dedup_window_ms;
    self->pool = redis_pool_new(&self->uri);
    self->writer = redis_link_new(&self->uri);
    if (self->pool == NULL || self->writer == NULL ||
        getrandom(&self->unique, sizeof self->unique, 0) != (ssize_t)sizeof self->unique)
        return utapi_fail(err, UTAPI_NO_MEMORY, "the redis backend");
    return UTAPI_OK;
}

static utapi_status redis_open(const utapi_backend_options *options, utapi_backend **ret, utapi_error *err)
{
    if (options->location == NULL || options->location[0] == '\0')
        return utapi_fail(err, UTAPI_INVALID, "the URI of a Redis is needed");
    if (options->dedup_window_ms < 0)
        return utapi_fail(err, UTAPI_INVALID, "a de-duplication window below zero");
    redis_backend *self = calloc(1, sizeof *self);
    if (self == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "the redis backend");
    self->base.ops = &utapi_redis_backend;
    pthread_mutex_init(&self->writing, NULL);
    const utapi_status status = redis_begin(self, options, err);
    if (status == UTAPI_OK)
        *ret = &self->base;
    else
        redis_close(&self->base);
    return status;
}

const utapi_backend_ops utapi_redis_backend = {
    .version = UTAPI_BACKEND_VERSION,
    .name = "redis",
    .largest_step = LARGEST_STEP,
    .open = redis_open,
    .apply = utapi_redis_apply,
    .read = utapi_redis_read,
    .visit = utapi_redis_visit,
    .changes = utapi_redis_changes,
    .adjust = utapi_redis_adjust,
    .forget = utapi_redis_forget,
    .tend = utapi_redis_tend,
    .stats = utapi_redis_stats,
    .close = redis_close,
};
