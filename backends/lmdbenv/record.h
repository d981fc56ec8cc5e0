/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.h - the stored form of a group of entries: what one apply() brought, or a part of it; or an operator's act, in
 * a record of its own.
 *
 * Pure functions; record.c tells the bytes.
 */
#ifndef LMDBENV_RECORD_H
#define LMDBENV_RECORD_H

#include "utapi/batch.h"
#include "utapi/status.h"

typedef struct utapi_record {
    int64_t now_ms; /* of the batch that brought it */
    size_t count;
    utapi_entry *entries; /* owned: free(); what they point to lies there, or in the bytes; no sequence */
    bool is_raised;       /* an entry was to expire its bucket at a time that its own group had reached */
} utapi_record;

/**
 * When an entry expires its bucket that does so later: not before its own group's now_ms is over, so that where a
 * group is cut changes nothing. Earlier versions stored such times: reading raises them too.
 */
int64_t utapi_record_expire_at(const utapi_entry *entry, int64_t now_ms);

/** No record of a batch takes more bytes. */
size_t utapi_record_max(const utapi_batch *batch);

/**
 * Writes a record of entries that were accepted at the same moment. Their sequences are not in it.
 *
 * @param skip    for each entry: true if it is left out; NULL: none is
 * @param buffer  of utapi_record_max() bytes
 * @return the bytes written
 */
size_t utapi_record_encode(const utapi_batch *batch, const bool *skip, unsigned char *buffer);

/** Reads a record. Trusts nothing. UTAPI_CORRUPT, UTAPI_NO_MEMORY; ret->entries is owned: free(). */
UTAPI_MUST_USE utapi_status utapi_record_decode(const void *data, size_t size, utapi_record *ret,
                                                utapi_error *err);

/** When a record was accepted, from its first bytes alone: nothing else is looked at. False: it cannot be read. */
bool utapi_record_peek(const void *data, size_t size, int64_t *ret_now_ms);

#endif
