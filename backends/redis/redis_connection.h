/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis_connection.h - a connection to the Redis that a URI names, made anew whenever it broke, and a pool of them.
 *
 * A connection belongs to one thread at a time. It connects at its first use: finds the master (through Sentinels where
 * the URI has some: one that answers first, its word checked with ROLE), logs in, selects the database, probes what it
 * is set to, loads the scripts. After a failure the next use connects again, no sooner than a back-off that doubles,
 * with jitter, up to 5 s; until then it fails at once.
 *
 * What every call returns:
 *   UTAPI_UNAVAILABLE  nothing was executed: no connection, or Redis said so (LOADING, READONLY, MASTERDOWN,
 *                      BUSY, OOM, NOAUTH, NOPERM, MISCONF, ...); the detail carries Redis's own words
 *   UTAPI_UNCERTAIN    after the command was sent the connection broke, no reply came in time, or an error that says
 *                      nothing of what was done (a script raised it, or it is of no kind that is known)
 *   UTAPI_CORRUPT      WRONGTYPE, or a reply of a shape that the command cannot have
 * After each of the first two the connection is dropped where that helps: READONLY and MASTERDOWN look for the
 * master anew, NOPERM for the rights, NOSCRIPT loads the scripts and repeats once, by itself.
 */
#ifndef REDIS_REDIS_CONNECTION_H
#define REDIS_REDIS_CONNECTION_H

#include "redis_args.h"
#include "redis_context.h"

#include <stdatomic.h>

/** The scripts of lua/, compiled in: each runs as one step, and nobody else is served meanwhile. */
typedef enum redis_script {
#define REDIS_SCRIPT(name, file) REDIS_SCRIPT_##name,
#include "redis_scripts.def"
#undef REDIS_SCRIPT
    REDIS_SCRIPT_COUNT
} redis_script;

enum { REDIS_SHA_SIZE = 40 };

/** Its owner uses the first members; the others are for redis_connection.c, and for tests that have no time to wait. */
typedef struct redis_connection {
    redis_args args;      /* the command that is being put together; sending it empties it */
    const redis_acl *acl; /* borrowed: it begins with utapi_redis_probe_acl(); NULL: it does not */

    /* It begins with utapi_redis_probe_aof(), and fails until the file is written anew, for ten minutes at most. */
    bool checks_aof;
    atomic_bool aof_failed; /* it adds to a file that could not be; read from any thread */

    /* It stays with the server that it is connected to, for commands that must all be answered by one server: a lost
     * connection is not made anew. Commands answer UTAPI_UNCERTAIN then, and were not sent. */
    bool pinned;

    struct redis_connection *next; /* in a pool */
    const redis_uri *uri;          /* borrowed */
    redisContext *context;         /* NULL: not connected */
    int64_t aof_since_ms;          /* monotonic: it waits for the file; 0: it does not */
    size_t first_endpoint;         /* the one that answered last */
    int64_t retry_at_ms;           /* monotonic: no sooner is connecting tried */
    unsigned delay_ms;             /* of the last back-off; 0 after a success */
    unsigned random;               /* for jitter */
    size_t queued;                 /* replies that are still to come */
    utapi_error why;               /* the last failure to connect, reported while waiting */
    char shas[REDIS_SCRIPT_COUNT][REDIS_SHA_SIZE + 1];
} redis_connection;

/** Nothing is connected yet. uri: borrowed as long as the connection lives. NULL: out of memory. */
redis_connection *utapi_redis_connection_new(const redis_uri *uri);
void utapi_redis_connection_free(redis_connection *connection);

/** Gives the server up; the next use connects again. */
void utapi_redis_connection_drop(redis_connection *connection);

/** Sends connection->args and waits for the reply. *ret is owned: freeReplyObject(). An error reply is a failure. */
UTAPI_MUST_USE utapi_status utapi_redis_connection_call(redis_connection *connection, redisReply **ret,
                                                        utapi_error *err);

/** As utapi_redis_connection_call(), of a script: the arguments begin with utapi_redis_args_script(). */
UTAPI_MUST_USE utapi_status utapi_redis_connection_run(redis_connection *connection, redis_script script,
                                                       redisReply **ret, utapi_error *err);

/** As utapi_redis_connection_run(), of a script that answers with a number. */
UTAPI_MUST_USE utapi_status utapi_redis_connection_run_number(redis_connection *connection,
                                                              redis_script script, int64_t *ret,
                                                              utapi_error *err);

/**
 * Pipelines: utapi_redis_connection_queue() puts connection->args into the buffer; utapi_redis_connection_next() sends
 * what is there and waits for the next reply, in order. Every queued command's reply must be fetched, until one call
 * fails: then all that were queued are gone. An error reply fails its own utapi_redis_connection_next() as above.
 */
UTAPI_MUST_USE utapi_status utapi_redis_connection_queue(redis_connection *connection, utapi_error *err);
UTAPI_MUST_USE utapi_status utapi_redis_connection_next(redis_connection *connection, redisReply **ret,
                                                        utapi_error *err);

/** A reply's text, borrowed; absent if it is of another type. */
static inline utapi_string redis_text_of(const redisReply *reply)
{
    const bool is_text = reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS;
    return is_text ? (utapi_string){reply->str, (size_t)reply->len} : (utapi_string){NULL, 0};
}

static inline bool redis_is_array(const redisReply *reply, size_t count)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements == count;
}

/* ---- connections for many threads --------------------------------------------------------- */

typedef struct redis_pool redis_pool;

/** uri: borrowed. NULL: out of memory. */
redis_pool *utapi_redis_pool_new(const redis_uri *uri);
void utapi_redis_pool_free(redis_pool *pool); /* all connections must have been given back */

/** Takes a connection that nobody uses, or a new one; never waits. NULL: out of memory. Thread-safe. */
redis_connection *utapi_redis_pool_take(redis_pool *pool);
void utapi_redis_pool_give(redis_pool *pool, redis_connection *connection);

#endif
