/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis_context.h - what is done with a bare hiredis context before a connection (redis_connection.h) has it:
 * connecting and probing.
 *
 * Any failure here means that there is no connection: UTAPI_UNAVAILABLE, with a reason that holds no password, or
 * UTAPI_NO_MEMORY. A context belongs to one thread at a time.
 */
#ifndef REDIS_REDIS_CONTEXT_H
#define REDIS_REDIS_CONTEXT_H

#include "redis_uri.h"
#include "utapi/string.h"

#include <hiredis/hiredis.h>
#include <stdbool.h>

/**
 * Connects to the server that a URI names, or to the master that one of its Sentinels names, logs in and selects the
 * database.
 *
 * @param endpoint     which of the URI's endpoints, if it has any
 * @param ret_answers  false where that is a Sentinel that says nothing at all
 * @param ret          owned: redisFree()
 */
UTAPI_MUST_USE utapi_status utapi_redis_context_open(const redis_uri *uri, size_t endpoint, bool *ret_answers,
                                                     redisContext **ret, utapi_error *err);

/** Sends a command and waits for its reply. *ret is owned: freeReplyObject(). An error reply is a failure. */
UTAPI_MUST_USE utapi_status utapi_redis_context_call(redisContext *context, int count, const char **words,
                                                     redisReply **ret, utapi_error *err);

/** Fails with a status for want of a whole reply, and says why. */
utapi_status utapi_redis_context_no_reply(const redisContext *context, utapi_status status, utapi_error *err);

/* ---- probes ------------------------------------------------------------------------------- */

/** A command of each kind, with "%s" where the prefix stands in its key; a NULL ends them. */
typedef const char *redis_acl;

extern const redis_acl utapi_redis_acl_writer[]; /* scripts and commands of the storage */
extern const redis_acl utapi_redis_acl_replay[]; /* those of utapi_replay.h */

/**
 * Asks whether the user may run each of these commands, without running any. A server without ACLs grants all.
 *
 * A script is not rolled back: what an ACL refuses in its middle leaves half of it done, and a batch that is delivered
 * again counts that half each time. So a connection whose scripts change something begins with this.
 *
 * @return UTAPI_UNAVAILABLE, with the first command that is refused and Redis's own words
 */
UTAPI_MUST_USE utapi_status utapi_redis_probe_acl(redisContext *context, const redis_acl *commands,
                                                  const char *prefix, utapi_error *err);

/** How it stands with the append-only file. */
typedef enum redis_aof {
    REDIS_AOF_REWRITTEN, /* it was written anew since the server started, or there is none */
    REDIS_AOF_UNDER_WAY, /* it is being written anew, or will be */
    REDIS_AOF_REFUSED,   /* nobody may have it written anew, for want of a right or of memory */
} redis_aof;

/**
 * Has the server write its append-only file anew, unless that was done since it started.
 *
 * A crash may cut the file within a transaction. Redis 7.0 drops what it cannot read of it, but leaves the first half:
 * that is carried out when the file is loaded another time, together with what was written behind it. So a batch that
 * was sent again would count twice, under a right fence. A file that was written anew has no such end. The server
 * itself says whether it was, so nobody has to remember, and of many utapid that come at once the first has it done.
 */
UTAPI_MUST_USE utapi_status utapi_redis_probe_aof(redisContext *context, redis_aof *ret, utapi_error *err);

/* ---- INFO --------------------------------------------------------------------------------- */

/** The value of "name:value" in what INFO answers, borrowed; empty if there is none. */
utapi_string utapi_redis_info_find(utapi_string info, const char *name);
uint64_t utapi_redis_info_number(utapi_string info, const char *name);

/** Whether the append-only file was written anew since the server started, or there is none. info: INFO persistence. */
bool utapi_redis_info_aof_is_rewritten(utapi_string info);

#endif
