/* SPDX-License-Identifier: Apache-2.0 */
/* redis_backend.c - the contract's side: opening, closing, stats. */
#include "redis_internal.h"

#include "utapi/scoped.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* ---- stats ------------------------------------------------------------------------------ */

static void memory_fill(utapi_string info, utapi_storage_stats *ret)
{
    const utapi_string policy = utapi_redis_info_find(info, "maxmemory_policy");
    ret->used_bytes = utapi_redis_info_number(info, "used_memory");
    ret->capacity_bytes = utapi_redis_info_number(info, "maxmemory");
    if (policy.size > 0 && !utapi_string_equal(policy, utapi_string_of("noeviction")))
        (void)snprintf(
            ret->warning, sizeof ret->warning,
            "Redis may drop figures when memory is short: maxmemory-policy is %.*s, not noeviction",
            (int)(policy.size < 32 ? policy.size : 32), policy.data);
}

static void persistence_fill(utapi_string info, utapi_storage_stats *ret)
{
    if (*ret->warning == '\0' && !utapi_redis_info_aof_is_rewritten(info))
        (void)snprintf(
            ret->warning, sizeof ret->warning,
            "Redis did not write its append-only file anew after it was started, and its next start "
            "may count twice: run BGREWRITEAOF");
}

typedef void info_fill(utapi_string info, utapi_storage_stats *ret);

static utapi_status info_ask(redis_connection *connection, const char *section, info_fill *fill,
                             utapi_storage_stats *ret, utapi_error *err)
{
    redis_args args = {0};
    redisReply *reply = NULL;
    utapi_redis_args_add(&args, "INFO");
    utapi_redis_args_add(&args, section);
    utapi_status status = utapi_redis_connection_call(connection, &args, &reply, err);
    utapi_redis_args_done(&args);
    if (status != UTAPI_OK)
        return status;
    if (reply->type == REDIS_REPLY_STRING)
        fill((utapi_string){reply->str, (size_t)reply->len}, ret);
    else
        status = utapi_fail(err, UTAPI_CORRUPT, "Redis: INFO without an answer");
    freeReplyObject(reply);
    return status;
}

utapi_status utapi_redis_stats(utapi_backend *base, utapi_storage_stats *ret, utapi_error *err)
{
    redis_backend *self = (redis_backend *)base;
    utapi_storage_stats stats = {.resources = 0};
    redis_connection *connection = utapi_redis_pool_take(self->pool);
    if (connection == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a connection to Redis");
    utapi_status status = info_ask(connection, "memory", memory_fill, &stats, err);
    if (status == UTAPI_OK && utapi_redis_connection_aof_failed(self->writer))
        status = info_ask(connection, "persistence", persistence_fill, &stats, err);
    utapi_redis_pool_give(self->pool, connection);
    if (status == UTAPI_OK)
        *ret = stats;
    return status;
}

/* ---- opening and closing ------------------------------------------------------------------ */

/* Takes half-built ones too. */
static void redis_close(utapi_backend *base)
{
    redis_backend *self = (redis_backend *)base;
    utapi_redis_connection_free(self->writer);
    utapi_redis_pool_free(self->pool);
    utapi_redis_uri_done(&self->uri);
    pthread_mutex_destroy(&self->walking);
    pthread_mutex_destroy(&self->writing);
    free(self);
}

static utapi_status redis_begin(redis_backend *self, const utapi_backend_options *options, utapi_error *err)
{
    const utapi_status status = utapi_redis_uri_parse(options->location, &self->uri, err);
    if (status != UTAPI_OK)
        return status;
    self->window_ms = options->dedup_window_ms;
    self->pool = utapi_redis_pool_new(&self->uri);
    self->writer = utapi_redis_connection_new(&self->uri);
    if (self->pool == NULL || self->writer == NULL ||
        getrandom(&self->nonce, sizeof self->nonce, 0) != (ssize_t)sizeof self->nonce)
        return utapi_fail(err, UTAPI_NO_MEMORY, "the redis backend");
    utapi_redis_connection_check_aof(self->writer);
    utapi_redis_connection_check_acl(self->writer, utapi_redis_acl_writer);
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
    pthread_mutex_init(&self->walking, NULL);
    const utapi_status status = redis_begin(self, options, err);
    if (status == UTAPI_OK)
        *ret = &self->base;
    else
        redis_close(&self->base);
    return status;
}

static const utapi_admin_ops redis_admin = {
    .list = utapi_redis_list,
    .export = utapi_redis_export,
    .adjust = utapi_redis_adjust,
    .expire = utapi_redis_expire,
    .fences = utapi_redis_fences,
};

const utapi_backend_ops utapi_redis_backend = {
    .version = UTAPI_BACKEND_VERSION,
    .name = "redis",
    .is_shared = true,
    .open = redis_open,
    .apply = utapi_redis_apply,
    .read = utapi_redis_read,
    .stats = utapi_redis_stats,
    .maintain = utapi_redis_maintain,
    .close = redis_close,
    .admin = &redis_admin,
};
