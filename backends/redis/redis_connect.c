/* SPDX-License-Identifier: Apache-2.0 */
/* redis_connect.c - from a URI to a context that can be used: the master's address, the login, the database.
 *
 * Where the URI names Sentinels, one of them is asked first. What it says is believed only if the server there says of
 * itself that it is a master. */
#include "redis_context.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

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

utapi_status utapi_redis_context_no_reply(const redisContext *context, utapi_status status, utapi_error *err)
{
    const bool late = context->err == REDIS_ERR_IO && errno == EAGAIN; /* hiredis leaves read()'s errno */
    return utapi_fail(err, status, "Redis: %s", late ? "no reply in time" : context->errstr);
}

utapi_status utapi_redis_context_call(redisContext *context, int count, const char **words, redisReply **ret,
                                      utapi_error *err)
{
    redisReply *reply = redisCommandArgv(context, count, words, NULL);
    if (reply == NULL)
        return utapi_redis_context_no_reply(context, UTAPI_UNAVAILABLE, err);
    if (reply->type == REDIS_REPLY_ERROR) {
        (void)utapi_fail(err, UTAPI_UNAVAILABLE, "Redis: %s: %s", words[0], reply->str);
        freeReplyObject(reply);
        return UTAPI_UNAVAILABLE;
    }
    *ret = reply;
    return UTAPI_OK;
}

/* Who does not know AUTH (it was renamed, or is an old Sentinel's) repeats its words, or the first bytes of
 * them, behind a comma. */
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
        return utapi_redis_context_no_reply(context, UTAPI_UNAVAILABLE, err);
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
        status = utapi_redis_context_call(context, 3, question, &reply, err);
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
    const utapi_status status = utapi_redis_context_call(context, 1, question, &reply, err);
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
    redisReply *reply = NULL;
    (void)snprintf(database, sizeof database, "%u", uri->database);
    utapi_status status = server_login(context, uri->user, uri->password, err);
    /* Where a password was forgotten, the server says so here; of a script it would say only that it is too long. */
    if (status == UTAPI_OK && (uri->database != 0 || uri->password == NULL))
        status = utapi_redis_context_call(context, 2, select, &reply, err);
    freeReplyObject(reply);
    return status;
}

utapi_status utapi_redis_context_open(const redis_uri *uri, size_t endpoint, bool *ret_answers,
                                      redisContext **ret, utapi_error *err)
{
    const redis_endpoint *named = uri->endpoint_count > 0 ? &uri->endpoints[endpoint] : NULL;
    redisContext *context = NULL;
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
        status = server_open(uri, "Redis", host, port, &context, err);
    if (status == UTAPI_OK)
        status = context_begin(context, uri, err);
    if (status == UTAPI_OK && uri->master_name != NULL)
        status = role_check(context, host, port, err);
    free(found);
    if (status == UTAPI_OK)
        *ret = context;
    else if (context != NULL)
        redisFree(context);
    return status;
}
