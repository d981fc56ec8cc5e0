/* SPDX-License-Identifier: Apache-2.0 */
/* redis_connection.c - connecting with a back-off, commands over one connection, what their failures mean, and the
 * pool.
 *
 * hiredis reports a broken connection by no reply at all, and a refusal by a reply of a type of its own. */
#include "redis_connection.h"

#include "utapi/clock.h"
#include "utapi/scoped.h"

#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

UTAPI_AUTO_DEFINE(redisReply, freeReplyObject)

/* After AOF_WAIT_MAX_MS the file is added to as it is: events must not wait for ever for a rare accident. */
enum { DELAY_FIRST_MS = 50, DELAY_MAX_MS = 5000, AOF_WAIT_MAX_MS = 600000 };

/* redis_scripts.cmake makes the included file from lua/. */
static const char *const script_texts[REDIS_SCRIPT_COUNT] = {
#define REDIS_SCRIPT_TEXT(name, text) [REDIS_SCRIPT_##name] = text,
#include "redis_scripts.inc"
#undef REDIS_SCRIPT_TEXT
};

redis_connection *utapi_redis_connection_new(const redis_uri *uri)
{
    redis_connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL)
        return NULL;
    connection->uri = uri;
    if (getrandom(&connection->random, sizeof connection->random, 0) != (ssize_t)sizeof connection->random)
        connection->random =
            (unsigned)((uintptr_t)connection >> 4); /* it only spreads those who come back at once */
    return connection;
}

void utapi_redis_connection_drop(redis_connection *connection)
{
    if (connection->context != NULL)
        redisFree(connection->context);
    connection->context = NULL;
    connection->queued = 0;
}

void utapi_redis_connection_free(redis_connection *connection)
{
    if (connection == NULL)
        return;
    utapi_redis_connection_drop(connection);
    utapi_redis_args_done(&connection->args);
    free(connection);
}

/* ---- connecting --------------------------------------------------------------------------- */

static utapi_status aof_check(redis_connection *connection, utapi_error *err)
{
    redis_aof aof;
    const utapi_status status = utapi_redis_probe_aof(connection->context, &aof, err);
    if (status != UTAPI_OK)
        return status;
    const int64_t now_ms = utapi_monotonic_ms();
    if (aof != REDIS_AOF_UNDER_WAY)
        connection->aof_since_ms = 0;
    else if (connection->aof_since_ms == 0)
        connection->aof_since_ms = now_ms;
    const bool waits = connection->aof_since_ms != 0 && now_ms - connection->aof_since_ms <= AOF_WAIT_MAX_MS;
    atomic_store(&connection->aof_failed, aof != REDIS_AOF_REWRITTEN && !waits);
    if (!waits)
        return UTAPI_OK;
    return utapi_fail(err, UTAPI_UNAVAILABLE,
                      "Redis was started, and writes its append-only file anew before more is added");
}

/* Scripts are loaded at once: inside a pipeline a missing one cannot be made good. */
static utapi_status scripts_load(redis_connection *connection, utapi_error *err)
{
    for (unsigned i = 0; i < REDIS_SCRIPT_COUNT; i++) {
        UTAPI_AUTO(redisReply) *reply = NULL;
        const char *load[] = {"SCRIPT", "LOAD", script_texts[i]};
        const utapi_status status = utapi_redis_context_call(connection->context, 3, load, &reply, err);
        if (status != UTAPI_OK)
            return status;
        assert(reply != NULL);
        if (reply->type != REDIS_REPLY_STRING || reply->len != REDIS_SHA_SIZE)
            return utapi_fail(err, UTAPI_UNAVAILABLE, "Redis did not load a script");
        memcpy(connection->shas[i], reply->str, REDIS_SHA_SIZE + 1);
    }
    return UTAPI_OK;
}

/* A Sentinel that is away says nothing of why there is no connection: what is reported is why the last one
 * that answered did not help. */
static utapi_status endpoints_try(redis_connection *connection, utapi_error *ret_why)
{
    const size_t count = connection->uri->endpoint_count > 0 ? connection->uri->endpoint_count : 1;
    bool some_answered = false;
    for (size_t i = 0; i < count; i++) {
        const size_t endpoint = (connection->first_endpoint + i) % count;
        const redis_uri *uri = connection->uri;
        bool answers;
        utapi_error err;
        utapi_error_clear(&err);
        utapi_status status = utapi_redis_context_open(uri, endpoint, &answers, &connection->context, &err);
        if (status == UTAPI_OK && connection->acl != NULL)
            status = utapi_redis_probe_acl(connection->context, connection->acl, uri->prefix, &err);
        if (status == UTAPI_OK && connection->checks_aof)
            status = aof_check(connection, &err);
        if (status == UTAPI_OK)
            status = scripts_load(connection, &err);
        if (status == UTAPI_OK) {
            connection->first_endpoint = endpoint;
            return UTAPI_OK;
        }
        utapi_redis_connection_drop(connection);
        if (answers || !some_answered)
            *ret_why = err;
        some_answered |= answers;
    }
    return ret_why->status;
}

/* Doubles the back-off, and spreads it: many that lost one server must not come back all at once. */
static void back_off(redis_connection *connection)
{
    connection->delay_ms = connection->delay_ms == 0 ? DELAY_FIRST_MS : connection->delay_ms * 2;
    if (connection->delay_ms > DELAY_MAX_MS)
        connection->delay_ms = DELAY_MAX_MS;
    connection->random = connection->random * 1103515245U + 12345U;
    connection->retry_at_ms = utapi_monotonic_ms() + connection->delay_ms / 2 +
                              (connection->random >> 8) % (connection->delay_ms / 2 + 1);
}

static utapi_status connection_connect(redis_connection *connection, utapi_error *err)
{
    if (connection->context != NULL)
        return UTAPI_OK;
    if (connection->delay_ms == 0 || utapi_monotonic_ms() >= connection->retry_at_ms) {
        utapi_error_clear(&connection->why);
        if (endpoints_try(connection, &connection->why) == UTAPI_OK) {
            connection->delay_ms = 0;
            return UTAPI_OK;
        }
        back_off(connection);
    }
    return utapi_fail(err, connection->why.status, "%s", connection->why.detail);
}

/* ---- failures ----------------------------------------------------------------------------- */

/* The first word of an error reply. What a script meets before its first write comes as itself (OOM, READONLY).
 * Any other word says nothing of what was done: what a script raises has a text of Redis's own behind ERR (of
 * any kind before Redis 7, even READONLY), and a proxy that lost its Redis has words of its own. Such a command
 * is repeated, never given up. */
static const struct {
    const char *word;
    utapi_status status;
    bool drop; /* another connection may do better */
} refusals[] = {
    {"NOSCRIPT", UTAPI_UNAVAILABLE, true},    {"READONLY", UTAPI_UNAVAILABLE, true},
    {"MASTERDOWN", UTAPI_UNAVAILABLE, true},  {"LOADING", UTAPI_UNAVAILABLE, false},
    {"BUSY", UTAPI_UNAVAILABLE, false},       {"OOM", UTAPI_UNAVAILABLE, false},
    {"MISCONF", UTAPI_UNAVAILABLE, false},    {"NOREPLICAS", UTAPI_UNAVAILABLE, false},
    {"NOAUTH", UTAPI_UNAVAILABLE, true},      {"WRONGPASS", UTAPI_UNAVAILABLE, true},
    {"NOPERM", UTAPI_UNAVAILABLE, true},      {"EXECABORT", UTAPI_UNAVAILABLE, false},
    {"CLUSTERDOWN", UTAPI_UNAVAILABLE, true}, {"MOVED", UTAPI_UNAVAILABLE, true},
    {"WRONGTYPE", UTAPI_CORRUPT, false},
};

/* What an error reply means for the caller. */
static utapi_status connection_refused(redis_connection *connection, const redisReply *reply,
                                       utapi_error *err)
{
    const size_t size = strcspn(reply->str, " ");
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        if (strlen(refusals[i].word) != size || memcmp(refusals[i].word, reply->str, size) != 0)
            continue;
        if (refusals[i].drop)
            utapi_redis_connection_drop(connection);
        return utapi_fail(err, refusals[i].status, "Redis: %.180s", reply->str);
    }
    utapi_redis_connection_drop(
        connection); /* it may be a proxy's word, or of a server that is no master any more */
    return utapi_fail(err, UTAPI_UNCERTAIN, "Redis: %.180s", reply->str);
}

/* ---- commands ----------------------------------------------------------------------------- */

static utapi_status connection_ready(redis_connection *connection, utapi_error *err)
{
    if (connection->args.failed)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a command for Redis");
    if (connection->context != NULL && connection->queued == 0) {
        /* Nothing can be there to read before a command is sent, unless the server hung up. */
        struct pollfd waiting = {.fd = connection->context->fd, .events = POLLIN};
        if (poll(&waiting, 1, 0) != 0)
            utapi_redis_connection_drop(connection);
    }
    if (connection->context == NULL && connection->pinned)
        return utapi_fail(err, UTAPI_UNCERTAIN, "Redis: the connection was lost between two commands");
    return connection_connect(connection, err);
}

/* Leaves the arguments as they are. */
static utapi_status args_queue(redis_connection *connection, utapi_error *err)
{
    const redis_args *args = &connection->args;
    const utapi_status status = connection_ready(connection, err);
    if (status != UTAPI_OK) {
        /* Nobody fetches these replies: the next user must not take them for its own. */
        if (connection->queued > 0)
            utapi_redis_connection_drop(connection);
        return status;
    }
    if (redisAppendCommandArgv(connection->context, (int)args->count, args->words, args->sizes) != REDIS_OK) {
        utapi_redis_connection_drop(connection);
        return utapi_fail(err, UTAPI_NO_MEMORY, "a command for Redis");
    }
    connection->queued++;
    return UTAPI_OK;
}

utapi_status utapi_redis_connection_queue(redis_connection *connection, utapi_error *err)
{
    const utapi_status status = args_queue(connection, err);
    utapi_redis_args_clear(&connection->args);
    return status;
}

/* After a failure nobody fetches what else was queued. */
static void replies_discard(redis_connection *connection)
{
    while (connection->context != NULL && connection->queued > 0) {
        void *reply = NULL;
        if (redisGetReply(connection->context, &reply) != REDIS_OK)
            utapi_redis_connection_drop(connection);
        else
            connection->queued--;
        freeReplyObject(reply);
    }
}

utapi_status utapi_redis_connection_next(redis_connection *connection, redisReply **ret, utapi_error *err)
{
    void *reply = NULL;
    if (connection->context == NULL) /* a reply before this one said that the server is not the right one */
        return utapi_fail(err, UTAPI_UNAVAILABLE, "Redis: the connection was given up");
    if (redisGetReply(connection->context, &reply) != REDIS_OK) {
        const utapi_status status = utapi_redis_context_no_reply(connection->context, UTAPI_UNCERTAIN, err);
        utapi_redis_connection_drop(connection);
        return status;
    }
    connection->queued--;
    redisReply *got = reply;
    if (got->type != REDIS_REPLY_ERROR) {
        *ret = got;
        return UTAPI_OK;
    }
    const utapi_status status = connection_refused(connection, got, err);
    freeReplyObject(got);
    replies_discard(connection);
    return status;
}

utapi_status utapi_redis_connection_call(redis_connection *connection, redisReply **ret, utapi_error *err)
{
    const utapi_status status = utapi_redis_connection_queue(connection, err);
    return status == UTAPI_OK ? utapi_redis_connection_next(connection, ret, err) : status;
}

utapi_status utapi_redis_connection_run(redis_connection *connection, redis_script script, redisReply **ret,
                                        utapi_error *err)
{
    utapi_error why;
    utapi_status status = UTAPI_UNAVAILABLE;
    assert(connection->args.failed || connection->args.count > 2);
    for (unsigned tries = 0; tries < 2 && status != UTAPI_OK; tries++) {
        utapi_error_clear(&why);
        status = connection_ready(connection, &why); /* the digest is known once it is connected */
        if (status == UTAPI_OK) {
            connection->args.words[1] = connection->shas[script];
            connection->args.sizes[1] = REDIS_SHA_SIZE;
            status = args_queue(connection, &why);
        }
        if (status == UTAPI_OK)
            status = utapi_redis_connection_next(connection, ret, &why);
        if (strncmp(why.detail, "Redis: NOSCRIPT", strlen("Redis: NOSCRIPT")) !=
            0) /* the next connection loads it */
            break;
    }
    utapi_redis_args_clear(&connection->args);
    return status == UTAPI_OK ? UTAPI_OK : utapi_fail(err, status, "%s", why.detail);
}

utapi_status utapi_redis_connection_run_number(redis_connection *connection, redis_script script,
                                               int64_t *ret, utapi_error *err)
{
    UTAPI_AUTO(redisReply) *reply = NULL;
    const utapi_status status = utapi_redis_connection_run(connection, script, &reply, err);
    if (status != UTAPI_OK)
        return status;
    assert(reply != NULL);
    if (reply->type != REDIS_REPLY_INTEGER)
        return utapi_fail(err, UTAPI_CORRUPT, "Redis: an unknown answer of a script");
    *ret = reply->integer;
    return UTAPI_OK;
}

/* ---- the pool ----------------------------------------------------------------------------- */

/* The one that was given back last goes first, since it is the warmest. One that has no connection goes last: where no
 * more can be made, those that are there answer. */
struct redis_pool {
    const redis_uri *uri; /* borrowed */
    pthread_mutex_t lock; /* guards the list */
    redis_connection *idle;
};

redis_pool *utapi_redis_pool_new(const redis_uri *uri)
{
    redis_pool *pool = calloc(1, sizeof *pool);
    if (pool == NULL)
        return NULL;
    pool->uri = uri;
    pthread_mutex_init(&pool->lock, NULL);
    return pool;
}

void utapi_redis_pool_free(redis_pool *pool)
{
    if (pool == NULL)
        return;
    for (redis_connection *connection; (connection = pool->idle) != NULL;) {
        pool->idle = connection->next;
        utapi_redis_connection_free(connection);
    }
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

redis_connection *utapi_redis_pool_take(redis_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    redis_connection *connection = pool->idle;
    if (connection != NULL)
        pool->idle = connection->next;
    pthread_mutex_unlock(&pool->lock);
    return connection != NULL ? connection : utapi_redis_connection_new(pool->uri);
}

void utapi_redis_pool_give(redis_pool *pool, redis_connection *connection)
{
    pthread_mutex_lock(&pool->lock);
    redis_connection **position = &pool->idle;
    while (connection->context == NULL && *position != NULL)
        position = &(*position)->next;
    connection->next = *position;
    *position = connection;
    pthread_mutex_unlock(&pool->lock);
}
