/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_dead_letters.h - events that the storage can never store: kept, shown to the operator, acknowledged by him.
 *
 * A lock of its own guards the counts; what is stored lies in the log's environment. Safe from any thread.
 */
#ifndef JOURNAL_JOURNAL_DEAD_LETTERS_H
#define JOURNAL_JOURNAL_DEAD_LETTERS_H

#include "journal_log.h"

#include <pthread.h>

typedef struct journal_dead_letters {
    journal_log *log;     /* borrowed */
    pthread_mutex_t lock; /* guards what follows */
    uint64_t count;       /* ever; the next are what was acknowledged, ever */
    uint64_t count_acknowledged, lost_acknowledged;
} journal_dead_letters;

/** Loads the counts. */
UTAPI_MUST_USE utapi_status utapi_journal_dead_letters_open(journal_dead_letters *self, journal_log *log,
                                                            utapi_error *err);
void utapi_journal_dead_letters_close(journal_dead_letters *self);

/** Keeps the events of a fenced batch, and why. One that is there already is there once. Errors as in append. */
UTAPI_MUST_USE utapi_status utapi_journal_dead_letters_add(journal_dead_letters *self, uint32_t incarnation,
                                                           const utapi_batch *batch, utapi_status why,
                                                           const char *reason, utapi_error *err);

/** The sequence of the next one of an incarnation, in [from, until); `until` if there is none. */
UTAPI_MUST_USE utapi_status utapi_journal_dead_letters_next(journal_dead_letters *self, uint32_t incarnation,
                                                            uint64_t from, uint64_t until, uint64_t *ret,
                                                            utapi_error *err);

/** As utapi_journal_refused(). */
UTAPI_MUST_USE utapi_status utapi_journal_dead_letters_list(journal_dead_letters *self,
                                                            utapi_refused_cb *on_letter, void *ctx,
                                                            utapi_error *err);

/** As utapi_journal_acknowledge(). */
UTAPI_MUST_USE utapi_status utapi_journal_dead_letters_acknowledge(journal_dead_letters *self,
                                                                   const utapi_acknowledgement *what,
                                                                   utapi_error *err);

/** Adds the counts. */
void utapi_journal_dead_letters_stats(journal_dead_letters *self, utapi_stats *stats);

#endif
