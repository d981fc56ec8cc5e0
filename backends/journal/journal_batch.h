/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_batch.h - a delivery batch: what is handed to the storage at once, read from the log.
 *
 * A batch joins groups as long as they stay exact together: it gets the times of its newest group, so no scheduled
 * expiry may fall due between the first and the last of them, and they lie close together. It may begin and end
 * inside a group, for the sequence counts events. What is not there any more, or cannot be read, is a gap; dead
 * letters are left out again.
 */
#ifndef JOURNAL_JOURNAL_BATCH_H
#define JOURNAL_JOURNAL_BATCH_H

#include "journal_dead_letters.h"
#include "journal_weights.h"

typedef struct journal_batch {
    enum { BATCH_EVENTS, BATCH_GAP, BATCH_DEAD_LETTER } kind;
    utapi_batch batch;    /* fenced; it borrows the entries */
    utapi_entry *entries; /* owned, as the next */
    void **groups;        /* the bytes that the entries' strings lie in */
    size_t group_count;
    int64_t oldest_ms; /* when its first group was accepted */
} journal_batch;

/** Reads the next batch of an incarnation, of at most so many events. Free it, whatever is returned. */
UTAPI_MUST_USE utapi_status utapi_journal_batch_read(journal_log *log, journal_dead_letters *letters,
                                                     const journal_span *span, size_t max,
                                                     journal_weights *weights, journal_batch *ret,
                                                     utapi_error *err);
void utapi_journal_batch_free(journal_batch *batch);

#endif
