/* SPDX-License-Identifier: Apache-2.0 */
/**
 * backend_journal.h - what a journal tells of itself: what waits, and what was lost.
 *
 * A journal is a backend that stands before a storage: what it accepts is durable in it, and delivered to the storage
 * later. It answers utapi_backend_stats() at once, with what the storage said a moment ago: no older than the last
 * maintenance. This is a fourth table of the contract, behind utapi_backend_ops.journal: optional as a whole. Threads
 * as in backend.h.
 */
#ifndef UTAPI_BACKEND_JOURNAL_H
#define UTAPI_BACKEND_JOURNAL_H

#include "utapi/backend.h"

/** How a journal is doing. */
typedef struct utapi_journal_stats {
    uint64_t capacity_bytes; /* never zero where there is a journal */
    uint64_t used_bytes;
    uint64_t waiting;  /* events that were accepted and are not stored yet */
    int64_t oldest_ms; /* wall clock at which the oldest of them was accepted; 0: none waits */
    uint64_t lost;     /* events, ever, that the storage lost and the journal no longer had */
    uint64_t lost_acknowledged;
} utapi_journal_stats;

typedef void utapi_journal_stats_fn(utapi_backend *self, utapi_journal_stats *ret);

/** Every slot is required. */
typedef struct utapi_journal_ops {
    /** Answers at once. */
    utapi_journal_stats_fn *stats;
} utapi_journal_ops;

/** Calls the slot; all zero where there is no journal. */
void utapi_backend_journal_stats(utapi_backend *self, utapi_journal_stats *ret);

#endif
