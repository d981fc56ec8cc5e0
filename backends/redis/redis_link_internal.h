/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis_link_internal.h - what redis_link.c, redis_connect.c, redis_args.c and redis_pool.c share.
 */
#ifndef REDIS_REDIS_LINK_INTERNAL_H
#define REDIS_REDIS_LINK_INTERNAL_H

#include "redis_link.h"

#include <stdatomic.h>

enum { REDIS_SHA_SIZE = 40 };

struct redis_connection {
    redis_connection *next; /* in a pool */
    const redis_uri *uri;
    redisContext *context; /* NULL: not connected */
    bool pinned;
    const char *const *acl; /* redis_rights.h; NULL: none are asked for */
    bool checks_aof;        /* redis_rewrite.h, as the next two */
    int64_t aof_since_ms;   /* by the steady clock: it waits for the file; 0: it does not */
    atomic_bool aof_failed; /* it did not wait to the end */
    size_t first_endpoint;  /* of the Sentinels: the one that answered last */
    int64_t retry_at_ms;    /* by the steady clock: no sooner is connecting tried */
    unsigned delay_ms;      /* of the last back-off; 0 after a success */
    unsigned random;        /* for jitter */
    size_t queued;          /* replies that are still to come */
    utapi_status why;       /* the last failure to connect, told while waiting */
    char reason[160];
    char shas[REDIS_SCRIPT_COUNT][REDIS_SHA_SIZE + 1];
};

/** Connects, unless it is connected or must wait. UTAPI_UNAVAILABLE. */
UTAPI_MUST_USE utapi_status utapi_redis_connection_connect(redis_connection *connection, utapi_error *err);

/** Drops the connection; the next use connects again. */
void utapi_redis_connection_drop(redis_connection *connection);

/** What an error reply means for the caller; drops the connection where that helps. */
utapi_status utapi_redis_connection_refused(redis_connection *connection, const redisReply *reply,
                                            utapi_error *err);

/** Fails for want of a whole reply, with the reason. */
utapi_status redis_link_no_reply(const redisContext *context, utapi_status status, utapi_error *err);

/** EVALSHA and its digest before the words of a script's call; false: out of memory. */
bool utapi_redis_args_push_front(redis_args *args, const char *first, const char *second);
void utapi_redis_args_pop_front(redis_args *args);

#endif
