/* SPDX-License-Identifier: Apache-2.0 */
/**
 * replay.h - a thread of utapid that counts what V1 clients could not deliver (docs/specification.md#local-cache).
 *
 * Once a minute it takes over what the local cache holds, each event at its own time, exactly once whatever crashes
 * in between; docs/migrating.md tells the rules. What can never be counted is set aside there and logged; while some is
 * there, the engine's stats say so. What keeps it from its work is logged, and is in the engine's stats until it is over.
 */
#ifndef DAEMON_REPLAY_H
#define DAEMON_REPLAY_H

#include "utapi/engine.h"

typedef struct replay replay;

/**
 * Starts the thread.
 *
 * @param uri     of the local cache; borrowed for the call; holds a password perhaps
 * @param engine  borrowed: must outlive the replay
 * @param ret     owned: stop with replay_stop()
 * @return UTAPI_INVALID for a URI that cannot be read; UTAPI_NO_MEMORY
 */
UTAPI_MUST_USE utapi_status replay_start(const char *uri, utapi_engine *engine, replay **ret,
                                         utapi_error *err);

/** Waits for what is under way, and stops; NULL is fine. */
void replay_stop(replay *self);

#endif
