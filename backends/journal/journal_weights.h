/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_weights.h - how much of what waits a shared storage is given at once: entries are weighed as the contract
 * has it (largest_step of utapi/backend.h).
 */
#ifndef JOURNAL_JOURNAL_WEIGHTS_H
#define JOURNAL_JOURNAL_WEIGHTS_H

#include "utapi/backend.h"

/** Cells that are known to have been delivered lately. */
enum { JOURNAL_LATELY = 4096 };

/* Distinct (resource, interval) of a batch so far, and operations in them, by hash: a collision makes a batch
 * too large by one. */
typedef struct journal_weights {
    uint64_t *slots;  /* 0: free; owned */
    uint64_t *lately; /* JOURNAL_LATELY of the delivery's; borrowed */
    size_t warm, cold, operations, entries, max, mask;
} journal_weights;

/** Begins a batch of no more than `max`; 0: any. Free it with free(ret->slots). False: no memory. */
bool utapi_journal_weights_new(journal_weights *ret, size_t max, uint64_t *lately);

/** Counts an entry in that was accepted at a time; false if it does not fit any more. */
bool utapi_journal_weights_add(journal_weights *self, const utapi_entry *entry, int64_t now_ms, bool first);

#endif
