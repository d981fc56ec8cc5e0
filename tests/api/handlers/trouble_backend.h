/* SPDX-License-Identifier: Apache-2.0 */
/**
 * trouble_backend.h - storage round another one, that is slow, stands still or fails when a test says so.
 */
#ifndef TROUBLE_BACKEND_H
#define TROUBLE_BACKEND_H

#include "utapi/backend_dead_letters.h"
#include "utapi/backend_journal.h"

#include <pthread.h>
#include <stdatomic.h>

typedef struct trouble_backend {
    utapi_backend base;
    utapi_backend_ops ops;            /* its own: a test may give it a journal */
    utapi_backend *inner;             /* borrowed */
    atomic_uint apply_ms;             /* how long each apply sleeps first */
    _Atomic utapi_status apply_says;  /* not UTAPI_OK: apply fails so, and stores nothing */
    _Atomic utapi_status read_says;   /* likewise, for questions */
    _Atomic utapi_status stats_says;  /* likewise */
    const utapi_storage_stats *shown; /* what stats tells; NULL: what the storage inside does. Borrowed */
    utapi_journal_stats journal;      /* what trouble_journal_stats() tells */
    utapi_dead_letter_stats letters;  /* what trouble_letter_stats() tells */
    atomic_uint applies, reads;       /* calls of apply and read, those that are held included */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t released;
    bool held;       /* apply waits while set */
    bool reads_held; /* read does */
} trouble_backend;

/** Makes one without trouble, round inner. */
void trouble_backend_init(trouble_backend *self, utapi_backend *inner);

/** The slot of a journal's table that tells what `journal` says. */
utapi_journal_stats_fn trouble_journal_stats;

/** The slot of a table of dead letters that tells what `letters` says. Unless a test gives it such a table, its letters
 * are those of the storage inside. */
utapi_dead_letter_stats_fn trouble_letter_stats;

void trouble_backend_done(trouble_backend *self);

/** Makes apply wait (true), or lets it go on. */
void trouble_backend_hold(trouble_backend *self, bool held);

/** Likewise, read. */
void trouble_backend_hold_reads(trouble_backend *self, bool held);

/** Waits until read was called that often. */
void trouble_backend_wait_reads(trouble_backend *self, unsigned reads);

/** Waits until apply was called that often. */
void trouble_backend_wait_applies(trouble_backend *self, unsigned applies);

#endif
