/* SPDX-License-Identifier: Apache-2.0 */
/* redis_probe.c - what a writer wants to know of a server before it sends anything: the user's rights, and whether the
 * append-only file may end in half a transaction.
 *
 * Within MULTI Redis looks at the user's rights when a command comes, and carries nothing out before EXEC, which comes
 * first, where there is nothing to carry out, and never again. Other refusals (a Redis that is full, a replica,
 * a command that an older Redis does not know) say nothing of rights: whoever uses the command meets them. */
#include "redis_context.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- rights ------------------------------------------------------------------------------- */

/* Every command of lua/ and of the C files, then every family of keys (INCRBY both reads and writes), and the channel.
 * Not asked for is what a refusal of harms nothing: BGREWRITEAOF, and what a connection begins with anyway. */
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

static utapi_status lacking(const char *right, const char *prefix, const char *said, utapi_error *err)
{
    const char *position = strstr(right, "%s");
    const size_t size = position != NULL ? (size_t)(position - right) : strlen(right);
    const size_t rest = position != NULL ? strcspn(position + 2, "%") : 0; /* a second key is the same one */
    return utapi_fail(err, UTAPI_UNAVAILABLE, "Redis: the user lacks a right: %.*s%s%.*s: %.100s", (int)size,
                      right, position != NULL ? prefix : "", (int)rest, position != NULL ? position + 2 : "",
                      said);
}

/* That of EXEC begins with EXECABORT. */
static bool is_refusal(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR && strstr(reply->str, "NOPERM ") != NULL;
}

/* One more reply; a right that is lacking is reported unless another one was. */
static utapi_status reply_see(redisContext *context, const char *right, const char *prefix,
                              utapi_status before, utapi_error *err)
{
    void *got = NULL;
    if (redisGetReply(context, &got) != REDIS_OK)
        return utapi_redis_context_no_reply(context, UTAPI_UNAVAILABLE, err);
    const redisReply *reply = got;
    const bool is_new = before == UTAPI_OK && is_refusal(reply);
    const utapi_status status = is_new ? lacking(right, prefix, reply->str, err) : before;
    freeReplyObject(got);
    return status;
}

/* EXEC without a MULTI, then MULTI. It is waited for alone: where it is refused, what follows would be carried out. */
static utapi_status multi_begin(redisContext *context, const char *prefix, utapi_error *err)
{
    if (redisAppendCommand(context, "EXEC") != REDIS_OK)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a command for Redis");
    utapi_status status = reply_see(context, "EXEC", prefix, UTAPI_OK, err);
    if (status != UTAPI_OK)
        return status;
    redisReply *reply = redisCommand(context, "MULTI");
    if (reply == NULL)
        return utapi_redis_context_no_reply(context, UTAPI_UNAVAILABLE, err);
    if (is_refusal(reply))
        status = lacking("MULTI", prefix, reply->str, err);
    else if (reply->type == REDIS_REPLY_ERROR)
        status = utapi_fail(err, UTAPI_UNAVAILABLE, "Redis: MULTI: %.180s", reply->str);
    freeReplyObject(reply);
    return status;
}

utapi_status utapi_redis_probe_acl(redisContext *context, const redis_acl *commands, const char *prefix,
                                   utapi_error *err)
{
    utapi_status status = multi_begin(context, prefix, err);
    if (status != UTAPI_OK)
        return status;
    for (const redis_acl *command = commands; *command != NULL; command++)
        if (redisAppendCommand(context, *command, prefix, prefix) != REDIS_OK)
            return utapi_fail(err, UTAPI_NO_MEMORY, "a command for Redis");
    if (redisAppendCommand(context, "DISCARD") != REDIS_OK)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a command for Redis");
    for (const redis_acl *command = commands; *command != NULL && context->err == 0; command++)
        status = reply_see(context, *command, prefix, status, err);
    return context->err == 0 ? reply_see(context, "DISCARD", prefix, status, err) : status;
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
    redisReply *reply = NULL;
    const char *question[] = {"INFO", "persistence"};
    utapi_status status = utapi_redis_context_call(context, 2, question, &reply, err);
    if (status != UTAPI_OK)
        return status;
    const bool is_text = reply->type == REDIS_REPLY_STRING;
    const utapi_string info = {is_text ? reply->str : "", is_text ? (size_t)reply->len : 0};
    if (is_text)
        *ret = (redis_aof){.is_rewritten = utapi_redis_info_aof_is_rewritten(info),
                           .is_under_way = utapi_redis_info_number(info, "aof_rewrite_in_progress") != 0 ||
                                           utapi_redis_info_number(info, "aof_rewrite_scheduled") != 0};
    freeReplyObject(reply);
    if (!is_text)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "Redis: INFO: no text");
    if (ret->is_rewritten || ret->is_under_way)
        return UTAPI_OK;

    reply = redisCommand(context, "BGREWRITEAOF");
    if (reply == NULL)
        return utapi_redis_context_no_reply(context, UTAPI_UNAVAILABLE, err);
    /* Another utapid may have asked a moment ago. */
    ret->is_under_way = reply->type != REDIS_REPLY_ERROR || strstr(reply->str, "in progress") != NULL;
    ret->is_refused = !ret->is_under_way;
    freeReplyObject(reply);
    return UTAPI_OK;
}
