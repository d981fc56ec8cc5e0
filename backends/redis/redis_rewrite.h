/* SPDX-License-Identifier: Apache-2.0 */
/**
 * redis_rewrite.h - an append-only file that may end in half a transaction is written anew before anything is added.
 *
 * A crash may cut Redis's file within a transaction. Redis 7.0 drops what it cannot read of it, but leaves the first
 * half: that is carried out when the file is loaded another time, together with what was written behind it. So a
 * hand-over that was sent again would count twice, under a right fence. A file that was written anew since the server
 * started has no such end.
 */
#ifndef REDIS_REDIS_REWRITE_H
#define REDIS_REDIS_REWRITE_H

#include "redis_link.h"

/** The value of "name:value" in what INFO answers, borrowed; empty if there is none. */
utapi_string utapi_redis_info_find(utapi_string info, const char *name);
uint64_t utapi_redis_info_number(utapi_string info, const char *name);

/** Whether the file was written anew since the server started, or there is none. info: INFO persistence. */
bool utapi_redis_aof_is_done(utapi_string info);

/**
 * Asks a server, to which a writer has just connected, to write its file anew, unless that is done.
 *
 * @return UTAPI_UNAVAILABLE  it is being done, or the server does not tell: connect again later
 *         UTAPI_OK           it is done; or it cannot be, or takes too long: then stats tell
 */
UTAPI_MUST_USE utapi_status utapi_redis_aof_check(redis_connection *connection, utapi_error *err);

/** Makes a link one of a writer: each of its connections begins with utapi_redis_aof_check(). */
void utapi_redis_connection_check_aof(redis_connection *connection);

/** Whether its newest connection adds to a file that could not be written anew. From any thread. */
bool utapi_redis_aof_failed(const redis_connection *connection);

#endif
