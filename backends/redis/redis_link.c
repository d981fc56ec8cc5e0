/* SPDX-License-Identifier: Apache-2.0 */
/* redis_link.c - commands over one connection, and what their failures mean.
 *
 * hiredis tells of a broken connection by no reply at all, and of a refusal by a reply of a type of its own. */
#include "redis_link_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

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

void utapi_redis_connection_free(redis_connection *connection)
{
    if (connection == NULL)
        return;
    utapi_redis_connection_drop(connection);
    free(connection);
}

void utapi_redis_connection_pin(redis_connection *connection, bool pinned)
{
    connection->pinned = pinned;
}

bool redis_link_is_pinned(const redis_connection *connection)
{
    return connection->pinned;
}

/* ---- failures ----------------------------------------------------------------------------- */

/* The first word of an error reply. What a script meets before its first write comes as itself (OOM, READONLY). Any other
 * word says nothing of what was done: what a script raises has a text of Redis's own behind ERR (of any kind before Redis
 * 7, even READONLY), and a proxy that lost its Redis has words of its own. Such a command is repeated, never given up. */
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

utapi_status utapi_redis_connection_refused(redis_connection *connection, const redisReply *reply,
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

utapi_status redis_link_no_reply(const redisContext *context, utapi_status status, utapi_error *err)
{
    const bool generation =
        context->err == REDIS_ERR_IO && errno == EAGAIN; /* hiredis leaves read()'s errno */
    return utapi_fail(err, status, "Redis: %s", generation ? "no reply in time" : context->errstr);
}

static utapi_status link_broke(redis_connection *connection, utapi_error *err)
{
    const utapi_status status = redis_link_no_reply(connection->context, UTAPI_UNCERTAIN, err);
    utapi_redis_connection_drop(connection);
    return status;
}

/* ---- commands ----------------------------------------------------------------------------- */

/* Nothing can be there to read before a command is sent, unless the server hung up. */
static bool link_is_stale(const redis_connection *connection)
{
    struct pollfd waiting = {.fd = connection->context->fd, .events = POLLIN};
    return connection->queued == 0 && poll(&waiting, 1, 0) != 0;
}

static utapi_status link_ready(redis_connection *connection, const redis_args *args, utapi_error *err)
{
    if (args->failed)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a command for Redis");
    if (connection->context != NULL && link_is_stale(connection))
        utapi_redis_connection_drop(connection);
    if (connection->context == NULL && connection->pinned)
        return utapi_fail(err, UTAPI_UNCERTAIN, "Redis: the connection was lost between two commands");
    return utapi_redis_connection_connect(connection, err);
}

utapi_status utapi_redis_connection_queue(redis_connection *connection, redis_args *args, utapi_error *err)
{
    const utapi_status status = link_ready(connection, args, err);
    if (status != UTAPI_OK) {
        if (connection->queued >
            0) /* nobody fetches these replies: the next user must not take them for its own */
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
    if (redisGetReply(connection->context, &reply) != REDIS_OK)
        return link_broke(connection, err);
    connection->queued--;
    redisReply *got = reply;
    if (got->type != REDIS_REPLY_ERROR) {
        *ret = got;
        return UTAPI_OK;
    }
    const utapi_status status = utapi_redis_connection_refused(connection, got, err);
    freeReplyObject(got);
    replies_discard(connection);
    return status;
}

utapi_status utapi_redis_connection_call(redis_connection *connection, redis_args *args, redisReply **ret,
                                         utapi_error *err)
{
    const utapi_status status = utapi_redis_connection_queue(connection, args, err);
    return status == UTAPI_OK ? utapi_redis_connection_next(connection, ret, err) : status;
}

static utapi_status script_try(redis_connection *connection, redis_script script, redis_args *args,
                               redisReply **ret, utapi_error *err)
{
    utapi_status status = link_ready(connection, args, err); /* the digest is known once it is connected */
    if (status != UTAPI_OK)
        return status;
    if (!utapi_redis_args_push_front(args, "EVALSHA", connection->shas[script]))
        return utapi_fail(err, UTAPI_NO_MEMORY, "a command for Redis");
    status = utapi_redis_connection_call(connection, args, ret, err);
    utapi_redis_args_pop_front(args);
    return status;
}

utapi_status utapi_redis_connection_run(redis_connection *connection, redis_script script, redis_args *args,
                                        redisReply **ret, utapi_error *err)
{
    static const char no_script[] = "Redis: NOSCRIPT";
    utapi_error first;
    utapi_error_clear(&first);
    const utapi_status status = script_try(connection, script, args, ret, &first);
    if (status == UTAPI_OK)
        return UTAPI_OK;
    const bool was_flushed = strncmp(first.detail, no_script, sizeof no_script - 1) == 0;
    if (was_flushed) /* the next connection loads it */
        return script_try(connection, script, args, ret, err);
    return utapi_fail(err, status, "%s", first.detail);
}
