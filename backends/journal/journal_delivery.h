/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_delivery.h - the thread that delivers what waits to the storage: in order, each event once.
 *
 * Nobody calls it but who starts and stops it. What is wanted of it stands in the index (journal_pending.h), what
 * is to be delivered in the log; both are told how far it is. A lock of its own guards what it found out about the
 * storage.
 */
#ifndef JOURNAL_JOURNAL_DELIVERY_H
#define JOURNAL_JOURNAL_DELIVERY_H

#include "journal_batch.h"
#include "journal_pending.h"

/* How it goes about it. */
typedef struct journal_pace {
    int64_t tick_ms;     /* between two looks at the storage's fences while nothing happens */
    int64_t back_off_ms; /* the first one */
    int64_t stalled_ms;  /* a storage that does not answer for longer is warned of */
    size_t batch_events; /* the most at once */
    int64_t gather_ms;   /* how long events may wait to be delivered together; 0: not at all */
} journal_pace;

typedef struct journal_delivery {
    utapi_backend *storage; /* borrowed, as all of these */
    journal_log *log;
    journal_pending *pending;
    journal_dead_letters *letters;
    journal_pace pace;

    pthread_mutex_t lock;      /* guards what follows */
    utapi_stats storage_stats; /* as last seen, its trouble included */
    int64_t heartbeat_ms;      /* when the last round began */
    char fatal[160];           /* a warning that only an operator can end */

    pthread_t thread;
    bool started;
    uint64_t lately[JOURNAL_LATELY]; /* the thread's own: for the weights */
} journal_delivery;

/** Starts the thread. The members above the lock are filled. */
UTAPI_MUST_USE utapi_status utapi_journal_delivery_start(journal_delivery *self, utapi_error *err);

/** Ends it. One that was never started, or is all zero, may be stopped too. */
void utapi_journal_delivery_stop(journal_delivery *self);

/** The storage's figures as last seen, and the first of its warnings, of those of the index, and of this thread. */
void utapi_journal_delivery_stats(journal_delivery *self, utapi_stats *ret);

#endif
