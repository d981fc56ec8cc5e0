/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dedup.h - a table of uuids that were accepted within a window of time.
 *
 *     key     the event's own time (8 bytes, big-endian; 0 without one), uuid
 *     value   when it was accepted, in the table's unit: what the window is measured on
 *
 * A uuid in its canonical form is packed into 16 bytes; any other stands as it is, with a NUL behind it from 16
 * bytes on, so that none is ever equal to a packed one. Events of one group have neighbouring times, so their uuids
 * share pages.
 *
 * All that takes a transaction is called by one writer at a time, within utapi_lmdbenv_write_begin().
 */
#ifndef LMDBENV_DEDUP_H
#define LMDBENV_DEDUP_H

#include "lmdbenv.h"

#include "utapi/batch.h"

/* How a table stores when a uuid was accepted. It never changes: rows on disk depend on it. */
typedef enum utapi_dedup_unit {
    UTAPI_DEDUP_MS,       /* 8 bytes: milliseconds */
    UTAPI_DEDUP_INTERVALS /* 4 bytes: the interval's number. A uuid stays known up to one interval longer */
} utapi_dedup_unit;

enum { UTAPI_DEDUP_KEY_MAX = 8 + UTAPI_NAME_MAX + 1 };

typedef struct utapi_dedup {
    const utapi_lmdbenv *env;
    unsigned table; /* of env->tables */
    utapi_dedup_unit unit;
    int64_t window_ms; /* 0: nothing is remembered */

    atomic_size_t sweep_size; /* where the next slice of expiry begins; 0: at the beginning of a round */
    unsigned char sweep[UTAPI_DEDUP_KEY_MAX];
} utapi_dedup;

/**
 * Remembers the uuids of a batch; those of dead letters that are pushed again are not looked at.
 *
 * @param skip          for each entry; becomes true where its uuid was known, from before or from earlier in the batch
 * @param ret_repeated  how many were
 * @return UTAPI_INVALID: a uuid that is too long; UTAPI_NO_MEMORY, or a code of LMDB as a status. The transaction
 *         holds some of them after an error: abort it
 */
UTAPI_MUST_USE utapi_status utapi_dedup_add(const utapi_dedup *self, MDB_txn *txn, const utapi_batch *batch,
                                            bool *skip, size_t *ret_repeated, utapi_error *err);

/** Drops the uuid of an entry, if it has one that is known. Answers LMDB's code. */
UTAPI_MUST_USE int utapi_dedup_remove(const utapi_dedup *self, MDB_txn *txn, const utapi_entry *entry);

/**
 * One slice of expiry: looks at no more than `max` uuids, from where the last slice ended, and drops those that were
 * accepted before the window. A round ends at the first event time within the window.
 */
UTAPI_MUST_USE utapi_status utapi_dedup_expire(utapi_dedup *self, MDB_txn *txn, int64_t accepted_ms,
                                               size_t max, utapi_error *err);

/** Whether the last slice ended a round. From any thread. */
static inline bool utapi_dedup_round_ended(const utapi_dedup *self)
{
    return atomic_load(&self->sweep_size) == 0;
}

#endif
