/* SPDX-License-Identifier: Apache-2.0 */
/* redis_rights.c - see redis_rights.h.
 *
 * Within MULTI Redis looks at the user's rights when a command comes, and carries nothing out before EXEC, which comes
 * first, where there is nothing to carry out, and never again. Other refusals (a Redis that is full, a replica, a command
 * that an older Redis does not know) say nothing of rights: whoever uses the command meets them. */
#include "redis_rights.h"
#include "redis_link_internal.h"

#include <stdio.h>
#include <string.h>

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

void utapi_redis_connection_check_acl(redis_connection *connection, const redis_acl *acl)
{
    connection->acl = acl;
}

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

/* One more reply; a right that is lacking is told of unless another one was. */
static utapi_status reply_see(redis_connection *connection, const char *right, utapi_status before,
                              utapi_error *err)
{
    void *got = NULL;
    if (redisGetReply(connection->context, &got) != REDIS_OK)
        return redis_link_no_reply(connection->context, UTAPI_UNAVAILABLE, err);
    const redisReply *reply = got;
    const bool is_new = before == UTAPI_OK && is_refusal(reply);
    const utapi_status status = is_new ? lacking(right, connection->uri->prefix, reply->str, err) : before;
    freeReplyObject(got);
    return status;
}

/* Waited for alone: where it is refused, what follows would be carried out. */
static utapi_status multi_begin(redis_connection *connection, utapi_error *err)
{
    redisReply *reply = redisCommand(connection->context, "MULTI");
    utapi_status status = UTAPI_OK;
    if (reply == NULL)
        return redis_link_no_reply(connection->context, UTAPI_UNAVAILABLE, err);
    if (is_refusal(reply))
        status = lacking("MULTI", connection->uri->prefix, reply->str, err);
    else if (reply->type == REDIS_REPLY_ERROR)
        status = utapi_fail(err, UTAPI_UNAVAILABLE, "Redis: MULTI: %.180s", reply->str);
    freeReplyObject(reply);
    return status;
}

static utapi_status exec_see(redis_connection *connection, utapi_error *err)
{
    if (redisAppendCommand(connection->context, "EXEC") != REDIS_OK)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a command for Redis");
    return reply_see(connection, "EXEC", UTAPI_OK, err);
}

utapi_status utapi_redis_acl_check(redis_connection *connection, utapi_error *err)
{
    utapi_status status = exec_see(connection, err);
    if (status == UTAPI_OK)
        status = multi_begin(connection, err);
    if (status != UTAPI_OK)
        return status;
    for (const redis_acl *right = connection->acl; *right != NULL; right++)
        if (redisAppendCommand(connection->context, *right, connection->uri->prefix,
                               connection->uri->prefix) != REDIS_OK)
            return utapi_fail(err, UTAPI_NO_MEMORY, "a command for Redis");
    if (redisAppendCommand(connection->context, "DISCARD") != REDIS_OK)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a command for Redis");
    for (const redis_acl *right = connection->acl; *right != NULL && connection->context->err == 0; right++)
        status = reply_see(connection, *right, status, err);
    return connection->context->err == 0 ? reply_see(connection, "DISCARD", status, err) : status;
}
