/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_internal.h - the journal as a whole: the log on disk, the index of what waits, the delivery, and the dead
 * letters; and what tests set otherwise.
 *
 * Each part has a struct, a lock and a header of its own. Locks are taken in this order: the environment's
 * `writing`, the log's, then any one of the others but the delivery's, which is taken before the index's. None is
 * held while the storage works.
 */
#ifndef JOURNAL_JOURNAL_INTERNAL_H
#define JOURNAL_JOURNAL_INTERNAL_H

#include "journal_delivery.h"

typedef struct journal_tuning {
    int64_t (*monotonic_ms)(void); /* the clock that retention goes by */
    journal_patience patience;
    journal_pace pace;
    size_t pending_events; /* the most in memory */
    size_t pending_bytes;
} journal_tuning;

extern const journal_tuning utapi_journal_tuning;

typedef struct journal {
    utapi_backend base;
    utapi_backend *storage; /* owned */
    journal_patience patience;
    journal_log *log; /* owned; NULL: it could not be opened */
    journal_pending pending;
    journal_dead_letters letters;
    journal_delivery delivery;
} journal;

/** As utapi_journal_open(), for tests. */
UTAPI_MUST_USE utapi_status utapi_journal_open_tuned(utapi_backend *storage,
                                                     const utapi_journal_options *options,
                                                     const journal_tuning *tuning, utapi_backend **ret,
                                                     utapi_error *err);

#endif
