/* SPDX-License-Identifier: Apache-2.0 */
/* redis_connect.c - from a URI to a connection that can be used: the master's address, the login, the rights, the scripts.
 *
 * Where the URI names Sentinels, each connection begins by asking them: the one that answered last is asked first, and
 * what it says is believed only if the server there says of itself that it is a master. */
#include "redis_link_internal.h"
#include "redis_rewrite.h"
#include "redis_rights.h"

#include "utapi/clock.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

enum { DELAY_FIRST_MS = 50, DELAY_MOST_MS = 5000 };

static struct timeval time_of(unsigned ms)
{
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};
}

/* ---- one server --------------------------------------------------------------------------- */

/* who: what it is called where it does not answer. */
static utapi_status server_open(const redis_uri *uri, const char *who, const char *host, uint16_t port,
                                redisContext **ret, utapi_error *err)
{
    const struct timeval connecting = time_of(uri->connect_timeout_ms), waiting = time_of(uri->timeout_ms);
    redisContext *context = host != NULL ? redisConnectWithTimeout(host, port, connecting)
                                         : redisConnectUnixWithTimeout(uri->socket_path, connecting);
    if (context == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a connection to Redis");
    if (context->err == 0 && redisSetTimeout(context, waiting) == REDIS_OK &&
        (host == NULL || redisEnableKeepAlive(context) == REDIS_OK)) {
        *ret = context;
        return UTAPI_OK;
    }
    if (host != NULL)
        (void)utapi_fail(err, UTAPI_UNAVAILABLE, "%s at %s:%u: %s", who, host, port, context->errstr);
    else
        (void)utapi_fail(err, UTAPI_UNAVAILABLE, "%s at %s: %s", who, uri->socket_path, context->errstr);
    redisFree(context);
    return UTAPI_UNAVAILABLE;
}

/* Asks while connecting: a failure of any kind means that there is no connection. */
static utapi_status server_ask(redisContext *context, int count, const char **words, redisReply **ret,
                               utapi_error *err)
{
    redisReply *reply = redisCommandArgv(context, count, words, NULL);
    if (reply == NULL)
        return redis_link_no_reply(context, UTAPI_UNAVAILABLE, err);
    if (reply->type == REDIS_REPLY_ERROR) {
        (void)utapi_fail(err, UTAPI_UNAVAILABLE, "Redis: %s: %s", words[0], reply->str);
        freeReplyObject(reply);
        return UTAPI_UNAVAILABLE;
    }
    *ret = reply;
    return UTAPI_OK;
}

static utapi_status server_tell(redisContext *context, int count, const char **words, utapi_error *err)
{
    redisReply *reply = NULL;
    const utapi_status status = server_ask(context, count, words, &reply, err);
    freeReplyObject(reply);
    return status;
}

/* Who does not know AUTH (it was renamed, or is an old Sentinel's) repeats its words, or the first bytes of them, behind a
 * comma. */
static utapi_status login_refused(const char *said, const char *password, utapi_error *err)
{
    size_t size = strcspn(said, ",");
    if (memmem(said, size, password, strlen(password)) != NULL)
        size = strcspn(said, " ");
    if (memmem(said, size, password, strlen(password)) != NULL)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "Redis: AUTH: refused");
    return utapi_fail(err, UTAPI_UNAVAILABLE, "Redis: AUTH: %.*s", (int)size, said);
}

static utapi_status server_login(redisContext *context, const char *user, const char *password,
                                 utapi_error *err)
{
    const char *with_user[] = {"AUTH", user, password}, *alone[] = {"AUTH", password};
    if (password == NULL)
        return UTAPI_OK;
    redisReply *reply = user != NULL ? redisCommandArgv(context, 3, with_user, NULL)
                                     : redisCommandArgv(context, 2, alone, NULL);
    if (reply == NULL)
        return redis_link_no_reply(context, UTAPI_UNAVAILABLE, err);
    const utapi_status status =
        reply->type == REDIS_REPLY_ERROR ? login_refused(reply->str, password, err) : UTAPI_OK;
    freeReplyObject(reply);
    return status;
}

/* ---- Sentinels ---------------------------------------------------------------------------- */

/* An address as a Sentinel tells it. `host` is owned. */
static utapi_status address_take(const redisReply *reply, const redis_uri *uri,
                                 const redis_endpoint *sentinel, char **ret_host, uint16_t *ret_port,
                                 utapi_error *err)
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING || reply->element[1]->type != REDIS_REPLY_STRING)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "the Sentinel at %s:%u knows no master \"%s\"",
                          sentinel->host, sentinel->port, uri->master_name);
    const unsigned long port = strtoul(reply->element[1]->str, NULL, 10);
    if (port == 0 || port > UINT16_MAX)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "the Sentinel at %s:%u tells no port of \"%s\"",
                          sentinel->host, sentinel->port, uri->master_name);
    *ret_host = strdup(reply->element[0]->str);
    *ret_port = (uint16_t)port;
    return *ret_host != NULL ? UTAPI_OK : utapi_fail(err, UTAPI_NO_MEMORY, "a connection to Redis");
}

/* Where a Sentinel says that the master is. `host` is owned. *ret_answers: whether it says anything at all. */
static utapi_status sentinel_ask(const redis_uri *uri, const redis_endpoint *sentinel, bool *ret_answers,
                                 char **ret_host, uint16_t *ret_port, utapi_error *err)
{
    redisContext *context = NULL;
    redisReply *reply = NULL;
    const char *question[] = {"SENTINEL", "get-master-addr-by-name", uri->master_name};
    utapi_status status = server_open(uri, "the Sentinel", sentinel->host, sentinel->port, &context, err);
    *ret_answers = false;
    if (status != UTAPI_OK)
        return status;
    assert(context != NULL);
    status = server_login(context, uri->sentinel_user, uri->sentinel_password, err);
    if (status == UTAPI_OK)
        status = server_ask(context, 3, question, &reply, err);
    assert(status != UTAPI_OK || reply != NULL);
    if (status == UTAPI_OK)
        status = address_take(reply, uri, sentinel, ret_host, ret_port, err);
    *ret_answers = context->err == 0;
    freeReplyObject(reply);
    redisFree(context);
    return status;
}

static utapi_status role_check(redisContext *context, const char *host, uint16_t port, utapi_error *err)
{
    const char *question[] = {"ROLE"};
    redisReply *reply = NULL;
    const utapi_status status = server_ask(context, 1, question, &reply, err);
    if (status != UTAPI_OK)
        return status;
    assert(reply != NULL);
    const bool is_master = reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
                           reply->element[0]->type == REDIS_REPLY_STRING &&
                           strcmp(reply->element[0]->str, "master") == 0;
    freeReplyObject(reply);
    if (!is_master)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "Redis at %s:%u is not a master (yet)", host, port);
    return UTAPI_OK;
}

/* ---- the whole way ------------------------------------------------------------------------ */

static utapi_status context_begin(redisContext *context, const redis_uri *uri, utapi_error *err)
{
    char database[16];
    const char *select[] = {"SELECT", database};
    (void)snprintf(database, sizeof database, "%u", uri->database);
    utapi_status status = server_login(context, uri->user, uri->password, err);
    /* Where a password was forgotten, the server says so here; of a script it would say only that it is too long. */
    if (status == UTAPI_OK && (uri->database != 0 || uri->password == NULL))
        status = server_tell(context, 2, select, err);
    return status;
}

/* Opens what a Sentinel names, or the one server. *ret_answers is false where that Sentinel does not answer. */
static utapi_status master_open(redis_connection *connection, size_t endpoint, bool *ret_answers,
                                utapi_error *err)
{
    const redis_uri *uri = connection->uri;
    const redis_endpoint *named = uri->endpoint_count > 0 ? &uri->endpoints[endpoint] : NULL;
    char *found = NULL;
    const char *host = named != NULL ? named->host : NULL;
    uint16_t port = named != NULL ? named->port : 0;
    utapi_status status = UTAPI_OK;
    assert(named != NULL || uri->master_name == NULL); /* a URI with Sentinels names some */
    *ret_answers = true;
    if (uri->master_name != NULL) {
        status = sentinel_ask(uri, named, ret_answers, &found, &port, err);
        host = found;
    }
    if (status == UTAPI_OK)
        status = server_open(uri, "Redis", host, port, &connection->context, err);
    if (status == UTAPI_OK)
        status = context_begin(connection->context, uri, err);
    if (status == UTAPI_OK && uri->master_name != NULL)
        status = role_check(connection->context, host, port, err);
    if (status == UTAPI_OK && connection->acl != NULL)
        status = utapi_redis_acl_check(connection, err);
    if (status == UTAPI_OK && connection->checks_aof)
        status = utapi_redis_aof_check(connection, err);
    if (status != UTAPI_OK)
        utapi_redis_connection_drop(connection);
    free(found);
    return status;
}

/* Scripts are loaded at once: inside a pipeline a missing one cannot be made good. */
static utapi_status scripts_load(redis_connection *connection, utapi_error *err)
{
    for (unsigned i = 0; i < REDIS_SCRIPT_COUNT; i++) {
        const char *load[] = {"SCRIPT", "LOAD", utapi_redis_script_text((redis_script)i)};
        redisReply *reply = NULL;
        const utapi_status status = server_ask(connection->context, 3, load, &reply, err);
        if (status != UTAPI_OK)
            return status;
        assert(reply != NULL);
        const bool is_sha = reply->type == REDIS_REPLY_STRING && reply->len == REDIS_SHA_SIZE;
        if (is_sha)
            memcpy(connection->shas[i], reply->str, REDIS_SHA_SIZE + 1);
        freeReplyObject(reply);
        if (!is_sha)
            return utapi_fail(err, UTAPI_UNAVAILABLE, "Redis did not load a script");
    }
    return UTAPI_OK;
}

/* A Sentinel that is away says nothing of why there is no connection: what is told is why the last one that answered did
 * not help. */
static utapi_status endpoints_try(redis_connection *connection, utapi_error *ret_why)
{
    const size_t count = connection->uri->endpoint_count > 0 ? connection->uri->endpoint_count : 1;
    bool some_answered = false;
    for (size_t i = 0; i < count; i++) {
        const size_t endpoint = (connection->first_endpoint + i) % count;
        bool answers;
        utapi_error err;
        utapi_error_clear(&err);
        utapi_status status = master_open(connection, endpoint, &answers, &err);
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
    if (connection->delay_ms > DELAY_MOST_MS)
        connection->delay_ms = DELAY_MOST_MS;
    connection->random = connection->random * 1103515245U + 12345U;
    connection->retry_at_ms = utapi_monotonic_ms() + connection->delay_ms / 2 +
                              (connection->random >> 8) % (connection->delay_ms / 2 + 1);
}

utapi_status utapi_redis_connection_connect(redis_connection *connection, utapi_error *err)
{
    utapi_error why;
    if (connection->context != NULL)
        return UTAPI_OK;
    if (connection->delay_ms != 0 && utapi_monotonic_ms() < connection->retry_at_ms)
        return utapi_fail(err, connection->why, "%s", connection->reason);
    utapi_error_clear(&why);
    const utapi_status status = endpoints_try(connection, &why);
    if (status == UTAPI_OK) {
        connection->delay_ms = 0;
        return UTAPI_OK;
    }
    back_off(connection);
    connection->why = status;
    (void)snprintf(connection->reason, sizeof connection->reason, "%.*s", (int)sizeof connection->reason - 1,
                   why.detail);
    return utapi_fail(err, status, "%s", connection->reason);
}

void utapi_redis_connection_drop(redis_connection *connection)
{
    if (connection->context != NULL)
        redisFree(connection->context);
    connection->context = NULL;
    connection->queued = 0;
}
