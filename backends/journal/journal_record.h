/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_record.h - the stored form of a group of entries: what one apply() brought, or a part of it.
 *
 * Pure functions; journal_record.c tells the bytes.
 */
#ifndef JOURNAL_JOURNAL_RECORD_H
#define JOURNAL_JOURNAL_RECORD_H

#include "utapi/batch.h"
#include "utapi/status.h"

typedef struct journal_record {
    int64_t now_ms, accepted_ms; /* of the batch that brought it */
    size_t count;
    utapi_entry *entries; /* owned: free(); their strings are borrowed from the bytes that were decoded */
} journal_record;

/** No record of a batch takes more bytes. */
size_t utapi_journal_record_max(const utapi_batch *batch);

/**
 * Writes a record.
 *
 * @param skip    for each entry: true if it is left out; NULL: none is
 * @param buffer  of utapi_journal_record_max() bytes
 * @return the bytes written
 */
size_t utapi_journal_record_encode(const utapi_batch *batch, const bool *skip, unsigned char *buffer);

/** Reads a record. Trusts nothing. UTAPI_CORRUPT, UTAPI_NO_MEMORY; ret->entries is owned: free(). */
UTAPI_MUST_USE utapi_status utapi_journal_record_decode(const void *data, size_t size, journal_record *ret,
                                                        utapi_error *err);

/** When a record was accepted, from its first bytes alone: nothing else is looked at. False: it cannot be read. */
bool utapi_journal_record_peek(const void *data, size_t size, int64_t *ret_now_ms);

#endif
