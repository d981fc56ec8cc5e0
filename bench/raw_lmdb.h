/* SPDX-License-Identifier: Apache-2.0 */
/**
 * raw_lmdb.h - LMDB alone, with the rows that the meter would write and look up for a workload.
 *
 * Tables, keys and the sizes of values are the meter's; so is what one transaction touches: each resource of a group
 * once, its older row in an interval that is new to it, the rows after a late event, each uuid. What is left out is
 * all that makes a meter of it: names, rules, sums, checksums, fences, expiry. One thread at a time.
 */
#ifndef BENCH_RAW_LMDB_H
#define BENCH_RAW_LMDB_H

#include "generator.h"
#include "utapi/status.h"

typedef struct raw_lmdb raw_lmdb;

/**
 * Opens a store, and fills it as the workload asks.
 *
 * @param folder  an empty one; borrowed for the call, as generator
 * @param generator  what to draw from: its copy begins at the workload's own requests
 * @param events  how many a group has at most; at least the workload's batch
 * @param ret     owned: raw_lmdb_close()
 * @return UTAPI_NO_MEMORY; UTAPI_UNAVAILABLE: what LMDB says
 */
UTAPI_MUST_USE utapi_status raw_lmdb_open(const char *folder, const bench_generator *generator,
                                          unsigned events, raw_lmdb **ret, utapi_error *err);
void raw_lmdb_close(raw_lmdb *self);

/**
 * Draws requests until their events fill a group, or so many questions were drawn where there are no events. Questions
 * are answered at once, each from a snapshot of its own.
 *
 * @param ret_requests  how many were drawn
 * @param ret_events    how many events the group has
 * @return UTAPI_UNAVAILABLE: what LMDB says
 */
UTAPI_MUST_USE utapi_status raw_lmdb_draw(raw_lmdb *self, unsigned *ret_requests, unsigned *ret_events,
                                          utapi_error *err);

/**
 * Stores the group that was drawn, in one durable transaction. UTAPI_UNAVAILABLE: what LMDB says; nothing is
 * stored.
 */
UTAPI_MUST_USE utapi_status raw_lmdb_store(raw_lmdb *self, utapi_error *err);

/**
 * Adds uuids to a storage of the meter's that nobody has open: as many as it says, of events of one day, each taken
 * when it happened.
 *
 * @param folder  of the storage
 * @param end_ms  when that day ends; before the times of all uuids that the storage knows
 * @return UTAPI_UNAVAILABLE: what LMDB says, or it was interrupted; some of them may be stored
 */
UTAPI_MUST_USE utapi_status raw_lmdb_add_uuids(const char *folder, unsigned count, int64_t end_ms,
                                               utapi_error *err);

#endif
