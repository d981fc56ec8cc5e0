/* SPDX-License-Identifier: Apache-2.0 */
/*
 * letters.h - a table of dead letters (utapi/backend_dead_letters.h), and what is counted of them.
 *
 *     key     number (8 bytes, big-endian, in the order in which they were kept), 16 random bytes
 *     value   form, reason, levels (1 byte each), kept_ms (8 bytes), detail, source (each a byte of length before it),
 *             the event (record.h), CRC-32C
 *
 * A letter's id is its key in hex. Counts are rows of `meta`: "dead ever <reason>", "dead dropped <reason> <source>".
 *
 * All that takes a transaction is called by one writer at a time, within utapi_lmdbenv_write_begin(). An error leaves
 * the transaction half done: abort it.
 */
#ifndef LMDBENV_LETTERS_H
#define LMDBENV_LETTERS_H

#include "dedup.h"
#include "lmdbenv.h"

#include "utapi/backend_dead_letters.h"

enum { UTAPI_LETTERS_KEY_SIZE = 8 + 16 };

typedef struct utapi_letters {
    utapi_lmdbenv *env;
    const utapi_dedup *dedup; /* where an acknowledged letter's uuid is forgotten */
    unsigned table;           /* of env->tables */
    uint64_t max;             /* so many are kept */
} utapi_letters;

/**
 * Keeps an event as a letter or, where there are too many, counts it.
 *
 * @param now_ms  wall clock; also when its group was accepted, which a scheduled expiry lies behind
 * @param levels  at which it did not count
 * @return a code of LMDB, or an errno
 */
UTAPI_MUST_USE int utapi_letters_keep(const utapi_letters *self, MDB_txn *txn, const utapi_entry *entry,
                                      int64_t now_ms, utapi_level_set levels, const utapi_refusal *why);

/**
 * Does what a batch asks for: keeps entries that are refused, and takes letters that are pushed again. After
 * utapi_dedup_add().
 *
 * @param skip      in and out, for each entry: becomes true where it is not to be counted
 * @param repeated  in and out: one more for each letter that was not there
 */
UTAPI_MUST_USE utapi_status utapi_letters_apply(const utapi_letters *self, MDB_txn *txn,
                                                const utapi_batch *batch, bool *skip, size_t *repeated,
                                                utapi_error *err);

/** More than the letters of a batch take, beside what the record of the batch would. */
size_t utapi_letters_size_max(const utapi_batch *batch);

/** Whether it can be the id of a letter; its key then. */
bool utapi_letters_key(utapi_string id, unsigned char ret[static UTAPI_LETTERS_KEY_SIZE]);

/** Drops letters, and their uuids: what acknowledges does in one transaction. What cannot be an id is passed over. */
UTAPI_MUST_USE int utapi_letters_drop(const utapi_letters *self, MDB_txn *txn, const utapi_string *ids,
                                      size_t count);

/** Calls on_letter for each letter, the oldest first, from one snapshot. *ret_more: it never stopped. LMDB's code. */
UTAPI_MUST_USE int utapi_letters_list(const utapi_letters *self, MDB_txn *txn,
                                      utapi_dead_letter_cb *on_letter, void *ctx, bool *ret_more);

/** Whether a row can be read. */
bool utapi_letters_row_fits(MDB_val key, MDB_val value);

/** Adds up what there is, as of a snapshot. LMDB's code. */
UTAPI_MUST_USE int utapi_letters_stats(const utapi_letters *self, MDB_txn *txn, utapi_dead_letter_stats *ret);

#endif
