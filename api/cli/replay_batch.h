/* SPDX-License-Identifier: Apache-2.0 */
/**
 * replay_batch.h - elements of a local cache on their way into the engine, and those that can never get there.
 */
#ifndef CLI_REPLAY_BATCH_H
#define CLI_REPLAY_BATCH_H

#include "backends/registry.h"
#include "utapi/engine.h"

/**
 * Counts elements: afterwards each of them counts durably, or was set aside, with a line in the log.
 *
 * @return UTAPI_UNAVAILABLE, UTAPI_UNCERTAIN, ... as the engine and the cache answer: some of them may count by now, and
 *         the same elements again are safe
 */
UTAPI_MUST_USE utapi_status replay_batch_count(utapi_engine *engine, utapi_replay *cache,
                                               const utapi_leftover *leftovers, size_t count,
                                               size_t *ret_counted, utapi_error *err);

#endif
