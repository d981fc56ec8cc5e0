/* SPDX-License-Identifier: Apache-2.0 */
/* redis_backend.c - the contract's side: opening, closing, stats. */
#include "redis_query.h"

#include "utapi/clock.h"
#include "utapi/scoped.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

UTAPI_AUTO_DEFINE(redisReply, freeReplyObject)

enum { CLOCK_SKEW_MAX_MS = 60000 };

/* ---- stats ------------------------------------------------------------------------------ */

/* A section of INFO. *ret is owned. */
static utapi_status info_read(redis_connection *connection, const char *section, redisReply **ret,
                              utapi_error *err)
{
    utapi_redis_args_words(&connection->args, "INFO", section, NULL);
    const utapi_status status = utapi_redis_connection_call(connection, ret, err);
    if (status == UTAPI_OK && (*ret)->type != REDIS_REPLY_STRING)
        return utapi_fail(err, UTAPI_CORRUPT, "Redis: INFO without an answer");
    return status;
}

/* How far Redis's clock is ahead, but for half of the time that the question takes. */
static utapi_status skew_read(redis_connection *connection, int64_t *ret_ms, utapi_error *err)
{
    int64_t redis_ms = 0;
    const int64_t asked_ms = utapi_wall_ms();
    const utapi_status status = utapi_redis_time(connection, &redis_ms, err);
    *ret_ms = redis_ms - (asked_ms + utapi_wall_ms()) / 2;
    return status;
}

static utapi_status stats_read(redis_backend *self, redis_connection *connection, utapi_storage_stats *ret,
                               utapi_error *err)
{
    UTAPI_AUTO(redisReply) *memory = NULL, *persistence = NULL;
    utapi_status status = info_read(connection, "memory", &memory, err);
    int64_t skew_ms = 0;
    if (status == UTAPI_OK && atomic_load(&self->writer->aof_failed))
        status = info_read(connection, "persistence", &persistence, err);
    if (status == UTAPI_OK)
        status = skew_read(connection, &skew_ms, err);
    if (status != UTAPI_OK)
        return status;
    const utapi_string info = redis_text_of(memory), policy = utapi_redis_info_find(info, "maxmemory_policy");
    *ret = (utapi_storage_stats){.used_bytes = utapi_redis_info_number(info, "used_memory"),
                                 .capacity_bytes = utapi_redis_info_number(info, "maxmemory"),
                                 .clock_skew_ms = skew_ms};
    if (policy.size > 0 && !utapi_string_equal(policy, utapi_string_of("noeviction")))
        (void)snprintf(
            ret->warning, sizeof ret->warning,
            "Redis may drop figures when memory is short: maxmemory-policy is %.*s, not noeviction",
            (int)(policy.size < 32 ? policy.size : 32), policy.data);
    else if (persistence != NULL && !utapi_redis_info_aof_is_rewritten(redis_text_of(persistence)))
        (void)snprintf(
            ret->warning, sizeof ret->warning,
            "Redis did not write its append-only file anew after it was started, and its next start "
            "may count twice: run BGREWRITEAOF");
    else if (skew_ms > CLOCK_SKEW_MAX_MS || skew_ms < -CLOCK_SKEW_MAX_MS)
        (void)snprintf(
            ret->warning, sizeof ret->warning,
            "Redis's clock and this machine's are %lld s apart: buckets expire by the one that is behind",
            (long long)(skew_ms < 0 ? -skew_ms : skew_ms) / 1000);
    return UTAPI_OK;
}

utapi_status utapi_redis_stats(utapi_backend *base, utapi_storage_stats *ret, utapi_error *err)
{
    redis_backend *self = (redis_backend *)base;
    redis_connection *connection = utapi_redis_pool_take(self->pool);
    if (connection == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a connection to Redis");
    const utapi_status status = stats_read(self, connection, ret, err);
    utapi_redis_pool_give(self->pool, connection);
    return status;
}

/* ---- opening and closing ------------------------------------------------------------------ */

/* Half-built ones too. */
static void redis_close(utapi_backend *base)
{
    redis_backend *self = (redis_backend *)base;
    utapi_redis_connection_free(self->writer);
    utapi_redis_pool_free(self->pool);
    utapi_redis_uri_done(&self->uri);
    pthread_mutex_destroy(&self->scanning);
    pthread_mutex_destroy(&self->writing);
    free(self);
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
    self->window_ms = options->dedup_window_ms;
    self->script_percent = 100;
    pthread_mutex_init(&self->writing, NULL);
    pthread_mutex_init(&self->scanning, NULL);
    utapi_status status = utapi_redis_uri_parse(options->location, &self->uri, err);
    if (status == UTAPI_OK) {
        self->pool = utapi_redis_pool_new(&self->uri);
        self->writer = utapi_redis_connection_new(&self->uri);
        if (self->pool == NULL || self->writer == NULL ||
            getrandom(&self->nonce, sizeof self->nonce, 0) != (ssize_t)sizeof self->nonce)
            status = utapi_fail(err, UTAPI_NO_MEMORY, "the redis backend");
    }
    if (status != UTAPI_OK) {
        redis_close(&self->base);
        return status;
    }
    assert(self->writer != NULL);
    self->writer->checks_aof = true;
    self->writer->acl = utapi_redis_acl_writer;
    *ret = &self->base;
    return UTAPI_OK;
}

static const utapi_admin_ops redis_admin = {
    .list = utapi_redis_list,
    .export = utapi_redis_export,
    .adjust = utapi_redis_adjust,
    .expire = utapi_redis_expire,
    .fences = utapi_redis_fences,
    .audit = utapi_redis_audit,
    .note = utapi_redis_note,
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
