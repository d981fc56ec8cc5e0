/* SPDX-License-Identifier: Apache-2.0 */
/* redis_rewrite.c - see redis_rewrite.h.
 *
 * The server itself tells whether it has written its file anew since it started, so nobody has to remember for it, and
 * of many utapid that come at once the first one asks. A second one finds it under way. */
#include "redis_rewrite.h"
#include "redis_link_internal.h"

#include "utapi/clock.h"

#include <stdlib.h>
#include <string.h>

/* After so long the file is added to as it is: events must not wait for ever for a rare accident. */
enum { WAIT_MOST_MS = 600000 };

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
bool utapi_redis_aof_is_done(utapi_string info)
{
    const utapi_string took = utapi_redis_info_find(info, "aof_last_rewrite_time_sec");
    return utapi_redis_info_number(info, "aof_enabled") == 0 ||
           (took.size > 0 && *took.data != '-' &&
            utapi_string_equal(utapi_redis_info_find(info, "aof_last_bgrewrite_status"),
                               utapi_string_of("ok")));
}

static bool is_under_way(utapi_string info)
{
    return utapi_redis_info_number(info, "aof_rewrite_in_progress") != 0 ||
           utapi_redis_info_number(info, "aof_rewrite_scheduled") != 0;
}

/* ---- asking ------------------------------------------------------------------------------- */

/* *ret_begun is false where the server refuses, for want of a right or of memory. */
static utapi_status rewrite_begin(redis_connection *connection, bool *ret_begun, utapi_error *err)
{
    redisReply *reply = redisCommand(connection->context, "BGREWRITEAOF");
    if (reply == NULL)
        return redis_link_no_reply(connection->context, UTAPI_UNAVAILABLE, err);
    /* Another utapid may have asked a moment ago. */
    *ret_begun = reply->type != REDIS_REPLY_ERROR || strstr(reply->str, "in progress") != NULL;
    freeReplyObject(reply);
    return UTAPI_OK;
}

static bool is_too_long(redis_connection *connection)
{
    if (connection->aof_since_ms == 0)
        connection->aof_since_ms = utapi_monotonic_ms();
    return utapi_monotonic_ms() - connection->aof_since_ms > WAIT_MOST_MS;
}

static utapi_status rewrite_ask(redis_connection *connection, bool under_way, utapi_error *err)
{
    bool begun = true;
    utapi_status status = UTAPI_OK;
    if (!under_way)
        status = rewrite_begin(connection, &begun, err);
    if (status != UTAPI_OK)
        return status;
    atomic_store(&connection->aof_failed, !begun || is_too_long(connection));
    if (atomic_load(&connection->aof_failed))
        return UTAPI_OK;
    return utapi_fail(err, UTAPI_UNAVAILABLE,
                      "Redis was started, and writes its append-only file anew before more is added");
}

static utapi_status info_ask(redis_connection *connection, bool *ret_done, bool *ret_under_way,
                             utapi_error *err)
{
    redisReply *reply = redisCommand(connection->context, "INFO persistence");
    utapi_status status = UTAPI_OK;
    if (reply == NULL)
        return redis_link_no_reply(connection->context, UTAPI_UNAVAILABLE, err);
    const utapi_string info = {reply->str, (size_t)reply->len};
    if (reply->type == REDIS_REPLY_STRING) {
        *ret_done = utapi_redis_aof_is_done(info);
        *ret_under_way = is_under_way(info);
    } else {
        const bool has_words = reply->type == REDIS_REPLY_ERROR;
        status = utapi_fail(err, UTAPI_UNAVAILABLE, "Redis: INFO: %s", has_words ? reply->str : "no text");
    }
    freeReplyObject(reply);
    return status;
}

utapi_status utapi_redis_aof_check(redis_connection *connection, utapi_error *err)
{
    bool done = false, under_way = false;
    const utapi_status status = info_ask(connection, &done, &under_way, err);
    if (status != UTAPI_OK)
        return status;
    if (!done)
        return rewrite_ask(connection, under_way, err);
    connection->aof_since_ms = 0;
    atomic_store(&connection->aof_failed, false);
    return UTAPI_OK;
}

void utapi_redis_connection_check_aof(redis_connection *connection)
{
    connection->checks_aof = true;
}

bool utapi_redis_aof_failed(const redis_connection *connection)
{
    return atomic_load(&connection->aof_failed);
}
