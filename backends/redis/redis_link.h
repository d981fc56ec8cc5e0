/* SPDX-License-Identifier: Apache-2.0 */
/**
 * redis_link.h - one connection to the Redis that a URI names, made anew whenever it broke.
 *
 * A link belongs to one thread at a time. It connects at its first use: finds the master (through Sentinels where
 * the URI has some: one that answers first, its word checked with ROLE), logs in, selects the database, asks whether
 * the user has the rights that are needed, loads the scripts. After a failure the next use connects again, no sooner
 * than a back-off that doubles, with jitter, up to 5 s; until then it fails at once.
 *
 * What every call returns:
 *   UTAPI_UNAVAILABLE  nothing was executed: no connection, or Redis said so (LOADING, READONLY, MASTERDOWN,
 *                      BUSY, OOM, NOAUTH, NOPERM, MISCONF, ...); the detail carries Redis's own words
 *   UTAPI_UNCERTAIN    after the command was sent the connection broke, no reply came in time, or an error that says
 *                      nothing of what was done (a script raised it, or it is of no kind that is known)
 *   UTAPI_CORRUPT      WRONGTYPE, or a reply of a shape that the command cannot have
 * After each of the first two the connection is dropped where that helps: READONLY and MASTERDOWN ask for the
 * master anew, NOPERM for the rights, NOSCRIPT loads the scripts and repeats once, by itself.
 */
#ifndef REDIS_REDIS_LINK_H
#define REDIS_REDIS_LINK_H

#include "redis_script.h"
#include "redis_uri.h"
#include "utapi/string.h"

#include <hiredis/hiredis.h>
#include <stdbool.h>

typedef struct redis_connection redis_connection;

/** Words of a command; grows as needed. Bytes are borrowed until it is sent, unless utapi_redis_args_copy() took them. */
typedef struct redis_args {
    const char **words;
    size_t *sizes;
    size_t count, capacity;
    struct redis_text *kept; /* of utapi_redis_args_copy() and utapi_redis_args_number() */
    bool failed;             /* memory ran out: sending answers UTAPI_NO_MEMORY */
} redis_args;

void utapi_redis_args_add(redis_args *args, const char *word);                 /* borrowed */
void utapi_redis_args_bytes(redis_args *args, const void *bytes, size_t size); /* borrowed */
void utapi_redis_args_copy(redis_args *args, const void *bytes, size_t size);
void utapi_redis_args_number(redis_args *args, int64_t number);
void utapi_redis_args_joined(redis_args *args, utapi_string left,
                             utapi_string right); /* with a colon; copied */
void utapi_redis_args_clear(redis_args *args);    /* empties it, keeps its memory */
void utapi_redis_args_done(redis_args *args);

/** A link; nothing is connected yet. uri: borrowed as long as the link lives. NULL: out of memory. */
redis_connection *utapi_redis_connection_new(const redis_uri *uri);
void utapi_redis_connection_free(redis_connection *connection);

/**
 * Pins a link to the connection that it has, for commands that must all be answered by one server, or lets it go. While it
 * is pinned a lost connection is not made anew: commands answer UTAPI_UNCERTAIN, and were not sent.
 */
void utapi_redis_connection_pin(redis_connection *connection, bool pinned);
bool redis_link_is_pinned(const redis_connection *connection);

/** Sends a command and waits for its reply. *ret is owned: freeReplyObject(). An error reply is a failure. */
UTAPI_MUST_USE utapi_status utapi_redis_connection_call(redis_connection *connection, redis_args *args,
                                                        redisReply **ret, utapi_error *err);

/** As utapi_redis_connection_call(), with EVALSHA of a script: args begin with the number of keys. */
UTAPI_MUST_USE utapi_status utapi_redis_connection_run(redis_connection *connection, redis_script script,
                                                       redis_args *args, redisReply **ret, utapi_error *err);

/**
 * Pipelines: utapi_redis_connection_queue() puts a command into the buffer; utapi_redis_connection_next() sends what is there and waits
 * for the next reply, in order. Every queued command's reply must be fetched, until one call fails: then
 * all that were queued are gone. An error reply fails its own utapi_redis_connection_next() as above.
 */
UTAPI_MUST_USE utapi_status utapi_redis_connection_queue(redis_connection *connection, redis_args *args,
                                                         utapi_error *err);
UTAPI_MUST_USE utapi_status utapi_redis_connection_next(redis_connection *connection, redisReply **ret,
                                                        utapi_error *err);

/* ---- links for many threads --------------------------------------------------------------- */

typedef struct redis_pool redis_pool;

/** A pool of links. uri: borrowed. NULL: out of memory. */
redis_pool *utapi_redis_pool_new(const redis_uri *uri);
void utapi_redis_pool_free(redis_pool *pool); /* all links must have been given back */

/** Takes a link that nobody uses, or a new one; never waits. NULL: out of memory. Thread-safe. */
redis_connection *utapi_redis_pool_take(redis_pool *pool);
void utapi_redis_pool_give(redis_pool *pool, redis_connection *connection);

#endif
