/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_batch.h - a delivery batch: what is applied to the storage at once, read from the log.
 *
 * A batch joins groups as long as they stay exact together: it gets the now_ms of its newest group, so no scheduled
 * expiry may fall due between the first and the last of them, and they lie close together. An operator's act is alone
 * in its batch. A batch may begin and end inside a group, for each event has a sequence. What is a dead letter, is not
 * there any more, or cannot be read, is a hole in the sequences: the fence passes it, and no entry bears it.
 */
#ifndef JOURNAL_JOURNAL_BATCH_H
#define JOURNAL_JOURNAL_BATCH_H

#include "journal_dead_letters.h"

typedef struct journal_batch {
    utapi_batch
        batch; /* fenced; it borrows the entries, and owns unfit. Without any it passes over holes alone */
    utapi_entry *entries; /* owned, as the next */
    void **groups;        /* the bytes that the entries' strings lie in */
    size_t group_count;
    int64_t oldest_ms; /* when its first entry was accepted, on the wall clock; 0 without entries */
} journal_batch;

/**
 * Reads the next batch of an incarnation of which something waits, of at most so many events. What is not there any
 * more is counted as lost, durably. Free it, whatever is returned.
 */
UTAPI_MUST_USE utapi_status utapi_journal_batch_read(journal_log *log, journal_dead_letters *letters,
                                                     const journal_span *span, size_t max, journal_batch *ret,
                                                     utapi_error *err);
void utapi_journal_batch_free(journal_batch *batch);

#endif
