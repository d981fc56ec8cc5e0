/* SPDX-License-Identifier: Apache-2.0 */
/* lmdb_letters.c - the slots for dead letters: lmdbenv/letters.h in transactions. */
#include "lmdb_internal.h"

enum { DROPPED_AT_ONCE = 256 };

static utapi_status lmdb_letters_list(utapi_backend *base, utapi_dead_letter_cb *on_letter, void *ctx,
                                      utapi_error *err)
{
    lmdb_backend *self = (lmdb_backend *)base;
    utapi_lmdbenv_reader *reader = NULL;
    bool more;
    const utapi_status status = utapi_lmdbenv_read_begin(&self->env, &reader, err);
    if (status != UTAPI_OK)
        return status;
    const int rc = utapi_letters_list(&self->letters, reader->txn, on_letter, ctx, &more);
    utapi_lmdbenv_read_end(&self->env, reader);
    return rc == 0 ? UTAPI_OK : utapi_lmdb_fail(err, rc, "reading dead letters");
}

static utapi_status lmdb_letters_stats(utapi_backend *base, utapi_dead_letter_stats *ret, utapi_error *err)
{
    lmdb_backend *self = (lmdb_backend *)base;
    utapi_lmdbenv_reader *reader = NULL;
    const utapi_status status = utapi_lmdbenv_read_begin(&self->env, &reader, err);
    if (status != UTAPI_OK)
        return status;
    const int rc = utapi_letters_stats(&self->letters, reader->txn, ret);
    utapi_lmdbenv_read_end(&self->env, reader);
    return rc == 0 ? UTAPI_OK : utapi_lmdb_fail(err, rc, "counting dead letters");
}

/* In parts, for a full map has little room for copies. */
static utapi_status lmdb_letters_acknowledge(utapi_backend *base, const utapi_acknowledgement *what,
                                             utapi_error *err)
{
    unsigned char key[UTAPI_LETTERS_KEY_SIZE];
    lmdb_backend *self = (lmdb_backend *)base;
    utapi_status status = UTAPI_OK;
    if (what->lost > 0)
        return utapi_fail(err, UTAPI_INVALID, "lost: without a journal nothing is");
    for (size_t i = 0; i < what->count; i++)
        if (!utapi_letters_key(what->ids[i], key))
            return utapi_fail_at(err, UTAPI_INVALID, i, "expected an id, as letters are listed with");
    for (size_t from = 0; status == UTAPI_OK && from < what->count; from += DROPPED_AT_ONCE) {
        lmdb_write write;
        const size_t left = what->count - from;
        status = utapi_lmdb_write_begin(self, &write, err);
        if (status != UTAPI_OK)
            return status;
        const int rc = utapi_letters_drop(&self->letters, write.txn, what->ids + from,
                                          left < DROPPED_AT_ONCE ? left : DROPPED_AT_ONCE);
        status = rc == 0 ? UTAPI_OK : utapi_lmdb_fail(err, rc, "acknowledging");
        status = utapi_lmdb_write_end(&write, status, err);
    }
    return status;
}

const utapi_dead_letter_ops utapi_lmdb_letters = {
    .list = lmdb_letters_list,
    .acknowledge = lmdb_letters_acknowledge,
    .stats = lmdb_letters_stats,
};
