/* SPDX-License-Identifier: Apache-2.0 */
/**
 * utapi_replay.h - takes over what a Node client left in its local cache (docs/specification.md#local-cache).
 *
 * An element moves, in one step, from the tail of the list `s3:utapireplay` into a sorted set of our own, and there it
 * gets a uuid that stays its own: so it can be counted and counted again, from whichever point a crash leaves it at,
 * until it is known to be durable elsewhere. What an element says is no matter here.
 *
 *     s3:utapireplay          V1's list: clients push at its head, so the oldest stands at its tail
 *     s3:utapireplay:lock     who replays; Node's job waits while it is there
 *     s3:utapid:replay        sorted set, score: a number N, member "<N>-<digest>:<element>": taken, not yet done with
 *     s3:utapid:replay:last   the newest N
 *     s3:utapid:replay:origin digest of the first element: what tells this cache's uuids from another's
 *     s3:utapid:replay:refused  list of "<reason>\n<element>": what can never be counted
 *
 * A utapi_replay belongs to one thread at a time.
 */
#ifndef REDIS_UTAPI_REPLAY_H
#define REDIS_UTAPI_REPLAY_H

#include "utapi/status.h"
#include "utapi/string.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct utapi_replay utapi_replay;

/** How long the lock lasts unless it is taken again: what a crash costs those who wait for it. */
#define UTAPI_REPLAY_LOCK_S 30

/** One element. Borrowed: valid until the next call of utapi_replay_take() or utapi_replay_close(). */
typedef struct utapi_leftover {
    int64_t number;
    utapi_string uuid;
    utapi_string text; /* the element as the client wrote it: any bytes */
} utapi_leftover;

/*
 * Every function below answers UTAPI_UNAVAILABLE if nothing happened, UTAPI_UNCERTAIN if that is not known, and
 * UTAPI_CORRUPT where a key holds something else than it should. Each may be repeated after any of them.
 */

/**
 * Makes ready to take over from a Redis; nothing is connected yet.
 *
 * @param uri  as in redis_uri.h; copied
 * @param ret  owned: close with utapi_replay_close()
 * @return UTAPI_INVALID for a URI that cannot be read, without naming a password; UTAPI_NO_MEMORY
 */
UTAPI_MUST_USE utapi_status utapi_replay_open(const char *uri, utapi_replay **ret, utapi_error *err);
void utapi_replay_close(utapi_replay *replay); /* NULL is fine */

/** Takes the lock, or makes ours last anew. *ret: whether it is ours now. */
UTAPI_MUST_USE utapi_status utapi_replay_lock(utapi_replay *replay, bool *ret, utapi_error *err);

/** Gives the lock back, if it is ours. */
UTAPI_MUST_USE utapi_status utapi_replay_unlock(utapi_replay *replay, utapi_error *err);

/**
 * The oldest elements that are not done with: those that were taken before, or else the next of the list, at most a
 * hundred, and one MiB unless a single one is larger.
 *
 * @param ret        borrowed, as their strings: valid until the next call
 * @param ret_count  0: nothing is left
 */
UTAPI_MUST_USE utapi_status utapi_replay_take(utapi_replay *replay, const utapi_leftover **ret,
                                              size_t *ret_count, utapi_error *err);

/**
 * How many elements stand aside, since they can never be counted, as of the last successful utapi_replay_take():
 * whoever refused them. They stay until somebody removes them from s3:utapid:replay:refused.
 */
uint64_t utapi_replay_refused(const utapi_replay *replay);

/** Ends the story of all that the last call of utapi_replay_take() gave: they count. */
UTAPI_MUST_USE utapi_status utapi_replay_done(utapi_replay *replay, utapi_error *err);

/** Sets an element aside, with the reason, which holds no line feed. */
UTAPI_MUST_USE utapi_status utapi_replay_refuse(utapi_replay *replay, const utapi_leftover *leftover,
                                                const char *reason, utapi_error *err);

#endif
