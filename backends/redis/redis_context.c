/* SPDX-License-Identifier: Apache-2.0 */
/* redis_context.c - from a URI to a context that can be used (the master's address, the login, the database), and
 * what a writer wants to know of its server before it sends anything (the user's rights, and whether the
 * append-only file may end in half a transaction).
 *
 * Where the URI names Sentinels, one of them is queried first. What it says is believed only if the server there says
 * of itself that it is a master. */
#include "redis_context.h"

#include "utapi/scoped.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

UTAPI_AUTO_DEFINE(redisContext, redisFree)
UTAPI_AUTO_DEFINE(redisReply, freeReplyObject)

/* ---- one server --------------------------------------------------------------------------- */

static struct timeval time_of(unsigned ms)
{
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};
}

/* who: what it is called where it does not answer. */
static utapi_status server_open(const redis_uri *uri, const char *who, const char *host, uint16_t port,
                                redisContext **ret, utapi_error *err)
{
    const struct timeval connecting = time_of(uri->connect_timeout_ms), waiting = time_of(uri->timeout_ms);
    UTAPI_AUTO(redisContext) *context = host != NULL
                                            ? redisConnectWithTimeout(host, port, connecting)
                                            : redisConnectUnixWithTimeout(uri->socket_path, connecting);
    if (context == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a connection to Redis");
    if (context->err != 0 || redisSetTimeout(context, waiting) != REDIS_OK ||
        (host != NULL && redisEnableKeepAlive(context) != REDIS_OK))
        return host != NULL
                   ? utapi_fail(err, UTAPI_UNAVAILABLE, "%s at %s:%u: %s", who, host, port, context->errstr)
                   : utapi_fail(err, UTAPI_UNAVAILABLE, "%s at %s: %s", who, uri->socket_path,
                                context->errstr);
    *ret = UTAPI_TAKE(context);
    return UTAPI_OK;
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
    UTAPI_AUTO(redisReply) *reply = user != NULL ? redisCommandArgv(context, 3, with_user, NULL)
                                                 : redisCommandArgv(context, 2, alone, NULL);
    if (reply == NULL)
        return utapi_redis_context_no_reply(context, UTAPI_UNAVAILABLE, err);
    return reply->type == REDIS_REPLY_ERROR ? login_refused(reply->str, password, err) : UTAPI_OK;
}

/* ---- the whole way ------------------------------------------------------------------------ */

/* Where a Sentinel says that the master is. `host` is owned. *ret_answers: whether it says anything at all. */
static utapi_status sentinel_query(const redis_uri *uri, const redis_endpoint *sentinel, bool *ret_answers,
                                   char **ret_host, uint16_t *ret_port, utapi_error *err)
{
    UTAPI_AUTO(redisContext) *context = NULL;
    UTAPI_AUTO(redisReply) *reply = NULL;
    const char *query[] = {"SENTINEL", "get-master-addr-by-name", uri->master_name};
    *ret_answers = false;
    utapi_status status = server_open(uri, "the Sentinel", sentinel->host, sentinel->port, &context, err);
    if (status != UTAPI_OK)
        return status;
    assert(context != NULL);
    status = server_login(context, uri->sentinel_user, uri->sentinel_password, err);
    if (status == UTAPI_OK)
        status = utapi_redis_context_call(context, 3, query, &reply, err);
    *ret_answers = context->err == 0;
    if (status != UTAPI_OK)
        return status;
    assert(reply != NULL);
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING || reply->element[1]->type != REDIS_REPLY_STRING)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "the Sentinel at %s:%u knows no master \"%s\"",
                          sentinel->host, sentinel->port, uri->master_name);
    const unsigned long port = strtoul(reply->element[1]->str, NULL, 10);
    if (port == 0 || port > UINT16_MAX)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "the Sentinel at %s:%u tells no port of \"%s\"",
                          sentinel->host, sentinel->port, uri->master_name);
    *ret_port = (uint16_t)port;
    *ret_host = strdup(reply->element[0]->str);
    return *ret_host != NULL ? UTAPI_OK : utapi_fail(err, UTAPI_NO_MEMORY, "a connection to Redis");
}

static utapi_status role_check(redisContext *context, const char *host, uint16_t port, utapi_error *err)
{
    UTAPI_AUTO(redisReply) *reply = NULL;
    const utapi_status status = utapi_redis_context_call(context, 1, (const char *[]){"ROLE"}, &reply, err);
    assert(status != UTAPI_OK || reply != NULL);
    if (status == UTAPI_OK &&
        (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0 ||
         reply->element[0]->type != REDIS_REPLY_STRING || strcmp(reply->element[0]->str, "master") != 0))
        return utapi_fail(err, UTAPI_UNAVAILABLE, "Redis at %s:%u is not a master (yet)", host, port);
    return status;
}

utapi_status utapi_redis_context_open(const redis_uri *uri, size_t endpoint, bool *ret_answers,
                                      redisContext **ret, utapi_error *err)
{
    const redis_endpoint *named = uri->endpoint_count > 0 ? &uri->endpoints[endpoint] : NULL;
    UTAPI_AUTO(redisContext) *context = NULL;
    UTAPI_AUTO(redisReply) *reply = NULL;
    UTAPI_AUTO_FREE char *found = NULL;
    const char *host = named != NULL ? named->host : NULL;
    uint16_t port = named != NULL ? named->port : 0;
    char database[16];
    utapi_status status = UTAPI_OK;
    assert(named != NULL || uri->master_name == NULL); /* a URI with Sentinels names some */
    *ret_answers = true;
    if (uri->master_name != NULL) {
        status = sentinel_query(uri, named, ret_answers, &found, &port, err);
        host = found;
    }
    if (status == UTAPI_OK)
        status = server_open(uri, "Redis", host, port, &context, err);
    assert(status != UTAPI_OK || context != NULL);
    if (status == UTAPI_OK)
        status = server_login(context, uri->user, uri->password, err);
    (void)snprintf(database, sizeof database, "%u", uri->database);
    /* Where a password is missing, the server says so here; of a script it would say only that it is too long. */
    if (status == UTAPI_OK && (uri->database != 0 || uri->password == NULL))
        status = utapi_redis_context_call(context, 2, (const char *[]){"SELECT", database}, &reply, err);
    if (status == UTAPI_OK && uri->master_name != NULL)
        status = role_check(context, host, port, err);
    if (status == UTAPI_OK)
        *ret = UTAPI_TAKE(context);
    return status;
}

/* ---- rights ------------------------------------------------------------------------------- */

/* Within MULTI Redis looks at the user's rights when a command comes, and carries nothing out before EXEC, which comes
 * first, where there is nothing to carry out, and never again. Other refusals (a Redis that is full, a replica,
 * a command that an older Redis does not know) say nothing of rights: whoever uses the command finds out. */

/* Every command of lua/ and of the C files, then every family of keys (INCRBY both reads and writes), and the channel.
 * Not among them is what a refusal of harms nothing: BGREWRITEAOF, and what a connection begins with anyway. */
const redis_acl utapi_redis_acl_writer[] = {
    "DBSIZE",
    "DEL %s:utapid:rights",
    "EVALSHA 0 0",
    "EXISTS %s:utapid:rights",
    "GET %s:utapid:rights",
    "HDEL %s:utapid:rights 0",
    "HGET %s:utapid:rights 0",
    "HMGET %s:utapid:rights 0",
    "HRANDFIELD %s:utapid:rights",
    "HSET %s:utapid:rights 0 0",
    "INCR %s:utapid:rights",
    "INCRBY %s:utapid:rights 0",
    "INFO memory",
    "LLEN %s:utapid:rights",
    "LPUSH %s:utapid:rights 0",
    "LRANGE %s:utapid:rights 0 0",
    "LTRIM %s:utapid:rights 0 0",
    "MGET %s:utapid:rights",
    "PERSIST %s:utapid:rights",
    "PEXPIRE %s:utapid:rights 1",
    "PTTL %s:utapid:rights",
    "RENAME %s:utapid:rights %s:utapid:rights",
    "RPUSH %s:utapid:rights 0",
    "SADD %s:utapid:rights 0",
    "SCAN 0",
    "SCARD %s:utapid:rights",
    "SET %s:utapid:rights 0",
    "SRANDMEMBER %s:utapid:rights",
    "SREM %s:utapid:rights 0",
    "TIME",
    "TYPE %s:utapid:rights",
    "UNLINK %s:utapid:rights",
    "ZADD %s:utapid:rights 0 0",
    "ZCARD %s:utapid:rights",
    "ZCOUNT %s:utapid:rights 0 0",
    "ZRANGE %s:utapid:rights 0 0",
    "ZRANGEBYSCORE %s:utapid:rights 0 0",
    "ZRANGESTORE %s:utapid:rights %s:utapid:rights 0 0",
    "ZREM %s:utapid:rights 0",
    "ZREMRANGEBYSCORE %s:utapid:rights 0 0",
    "ZREVRANGE %s:utapid:rights 0 0",
    "ZREVRANGEBYSCORE %s:utapid:rights 0 0",
    "ZSCORE %s:utapid:rights 0",
    "INCRBY %s:buckets:+utapid:rights 0",
    "INCRBY %s:accounts:+utapid:rights 0",
    "INCRBY %s:users:+utapid:rights 0",
    "INCRBY %s:service:+utapid:rights 0",
    "INCRBY %s:locations:+utapid:rights 0",
    "INCRBY %s:location:+utapid:rights 0",
    "PUBLISH %s:event:+utapid 0",
    NULL,
};

/* A client's list has the same name whatever the prefix. */
const redis_acl utapi_redis_acl_replay[] = {
    "DEL s3:utapireplay:lock",
    "EVALSHA 0 0",
    "GET s3:utapireplay:lock",
    "INCRBY s3:utapid:replay:last 0",
    "LLEN s3:utapid:replay:refused",
    "LRANGE s3:utapireplay 0 0",
    "LTRIM s3:utapireplay 0 -1",
    "RPUSH s3:utapid:replay:refused 0",
    "SET s3:utapireplay:lock 0",
    "ZADD s3:utapid:replay 0 0",
    "ZRANGE s3:utapid:replay 0 0",
    "ZRANGEBYSCORE s3:utapid:replay 0 0",
    "ZREM s3:utapid:replay 0",
    "ZREMRANGEBYSCORE s3:utapid:replay 0 0",
    "GET s3:utapid:replay:origin",
    "SET s3:utapid:replay:origin 0",
    NULL,
};

/* A right that is lacking, with its first key filled in: a second one is the same. */
static utapi_status lacking(const char *right, const char *prefix, const char *said, utapi_error *err)
{
    const size_t size = strcspn(right, "%");
    const char *rest = right[size] != '\0' ? right + size + 2 : "";
    return utapi_fail(err, UTAPI_UNAVAILABLE, "Redis: the user lacks a right: %.*s%s%.*s: %.100s", (int)size,
                      right, right[size] != '\0' ? prefix : "", (int)strcspn(rest, "%"), rest, said);
}

/* That of EXEC begins with EXECABORT. */
static bool is_refusal(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR && strstr(reply->str, "NOPERM ") != NULL;
}

/* One more reply; a right that is lacking is reported unless another one was. */
static utapi_status reply_check(redisContext *context, const char *right, const char *prefix,
                                utapi_status before, utapi_error *err)
{
    void *got = NULL;
    if (redisGetReply(context, &got) != REDIS_OK)
        return utapi_redis_context_no_reply(context, UTAPI_UNAVAILABLE, err);
    UTAPI_AUTO(redisReply) *reply = got;
    return before == UTAPI_OK && is_refusal(reply) ? lacking(right, prefix, reply->str, err) : before;
}

/* EXEC without a MULTI, then MULTI. It is waited for alone: where it is refused, what follows would be carried out. */
static utapi_status multi_begin(redisContext *context, utapi_error *err)
{
    if (redisAppendCommand(context, "EXEC") != REDIS_OK)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a command for Redis");
    const utapi_status status = reply_check(context, "EXEC", "", UTAPI_OK, err);
    if (status != UTAPI_OK)
        return status;
    UTAPI_AUTO(redisReply) *reply = redisCommand(context, "MULTI");
    if (reply == NULL)
        return utapi_redis_context_no_reply(context, UTAPI_UNAVAILABLE, err);
    if (is_refusal(reply))
        return lacking("MULTI", "", reply->str, err);
    if (reply->type == REDIS_REPLY_ERROR)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "Redis: MULTI: %.180s", reply->str);
    return UTAPI_OK;
}

utapi_status utapi_redis_probe_acl(redisContext *context, const redis_acl *commands, const char *prefix,
                                   utapi_error *err)
{
    utapi_status status = multi_begin(context, err);
    if (status != UTAPI_OK)
        return status;
    for (const redis_acl *command = commands; *command != NULL; command++)
        if (redisAppendCommand(context, *command, prefix, prefix) != REDIS_OK)
            return utapi_fail(err, UTAPI_NO_MEMORY, "a command for Redis");
    if (redisAppendCommand(context, "DISCARD") != REDIS_OK)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a command for Redis");
    for (const redis_acl *command = commands; *command != NULL && context->err == 0; command++)
        status = reply_check(context, *command, prefix, status, err);
    return context->err == 0 ? reply_check(context, "DISCARD", "", status, err) : status;
}

/* ---- INFO --------------------------------------------------------------------------------- */

utapi_string utapi_redis_info_find(utapi_string info, const char *name)
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

uint64_t utapi_redis_info_number(utapi_string info, const char *name)
{
    const utapi_string text = utapi_redis_info_find(info, name);
    return text.size > 0 ? strtoull(text.data, NULL, 10) : 0;
}

/* The time that the last rewrite of this server's life took is -1 before there was one. */
bool utapi_redis_info_aof_is_rewritten(utapi_string info)
{
    const utapi_string took = utapi_redis_info_find(info, "aof_last_rewrite_time_sec");
    return utapi_redis_info_number(info, "aof_enabled") == 0 ||
           (took.size > 0 && *took.data != '-' &&
            utapi_string_equal(utapi_redis_info_find(info, "aof_last_bgrewrite_status"),
                               utapi_string_of("ok")));
}

/* ---- the append-only file ----------------------------------------------------------------- */

utapi_status utapi_redis_probe_aof(redisContext *context, redis_aof *ret, utapi_error *err)
{
    UTAPI_AUTO(redisReply) *info = NULL;
    const char *query[] = {"INFO", "persistence"};
    const utapi_status status = utapi_redis_context_call(context, 2, query, &info, err);
    if (status != UTAPI_OK)
        return status;
    assert(info != NULL);
    if (info->type != REDIS_REPLY_STRING)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "Redis: INFO: no text");
    const utapi_string text = {info->str, (size_t)info->len};
    *ret = utapi_redis_info_aof_is_rewritten(text) ? REDIS_AOF_REWRITTEN : REDIS_AOF_UNDER_WAY;
    if (*ret == REDIS_AOF_REWRITTEN || utapi_redis_info_number(text, "aof_rewrite_in_progress") != 0 ||
        utapi_redis_info_number(text, "aof_rewrite_scheduled") != 0)
        return UTAPI_OK;

    UTAPI_AUTO(redisReply) *reply = redisCommand(context, "BGREWRITEAOF");
    if (reply == NULL)
        return utapi_redis_context_no_reply(context, UTAPI_UNAVAILABLE, err);
    /* Another utapid may have done that a moment ago. */
    if (reply->type == REDIS_REPLY_ERROR && strstr(reply->str, "in progress") == NULL)
        *ret = REDIS_AOF_REFUSED;
    return UTAPI_OK;
}
