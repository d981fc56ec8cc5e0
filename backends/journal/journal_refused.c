/* SPDX-License-Identifier: Apache-2.0 */
/* journal_refused.c - events that the storage can never take: kept aside, shown to the operator.
 *
 * A row is a status, the reason with its length, and the event as a group of one. Its key is the event's own
 * place, so that one which is refused twice is there once. */
#include "journal_internal.h"

#include "utapi/scoped.h"

#include <errno.h>
#include <string.h>

enum { HEAD_SIZE = 2, REASON_MOST = 200 };

int utapi_journal_refused_count(journal *self, MDB_txn *txn, uint64_t *ret)
{
    MDB_stat stat;
    const int rc = mdb_stat(txn, self->tables[JOURNAL_REFUSED], &stat);
    if (rc == 0)
        *ret = stat.ms_entries;
    return rc;
}

static int refused_put(const journal *self, MDB_txn *txn, MDB_val key, const utapi_batch *one,
                       utapi_status why, const char *reason)
{
    const size_t length = strnlen(reason, REASON_MOST);
    UTAPI_AUTO_FREE unsigned char *row = malloc(HEAD_SIZE + length + utapi_journal_encoded_most(one));
    if (row == NULL)
        return ENOMEM;
    row[0] = (unsigned char)why;
    row[1] = (unsigned char)length;
    memcpy(row + HEAD_SIZE, reason, length);
    const size_t size = HEAD_SIZE + length + utapi_journal_encode(one, NULL, row + HEAD_SIZE + length);
    MDB_val value = utapi_journal_val(row, size);
    return mdb_put(txn, self->tables[JOURNAL_REFUSED], &key, &value, 0);
}

utapi_status utapi_journal_refuse(journal *self, uint32_t epoch, const journal_step *step, utapi_status why,
                                  const char *reason, utapi_error *err)
{
    MDB_txn *txn = NULL;
    uint64_t refused = 0;
    utapi_status status = utapi_journal_write_begin(self, &txn, err);
    if (status != UTAPI_OK)
        return status;
    int rc = 0;
    for (size_t i = 0; i < step->batch.count && rc == 0; i++) {
        unsigned char bytes[ENTRY_KEY_SIZE];
        const utapi_batch one = {.entries = &step->entries[i],
                                 .count = 1,
                                 .now_ms = step->batch.now_ms,
                                 .taken_ms = step->batch.taken_ms};
        utapi_journal_entry_key(epoch, step->from + i, bytes);
        rc = refused_put(self, txn, utapi_journal_val(bytes, sizeof bytes), &one, why, reason);
    }
    if (rc == 0)
        rc = utapi_journal_refused_count(self, txn, &refused);
    status = rc == 0 ? UTAPI_OK : utapi_journal_fail(err, rc, "keeping an event aside");
    status = utapi_journal_write_end(self, txn, status, err);
    if (status == UTAPI_OK) {
        pthread_mutex_lock(&self->lock);
        self->refused = refused;
        pthread_mutex_unlock(&self->lock);
    }
    utapi_journal_write_leave(self);
    return status;
}

/* ---- showing ------------------------------------------------------------------------------ */

/* A row that cannot be read is shown as an event of which only that is known. */
static bool refused_show(MDB_val value, utapi_refused_cb *on_refused, void *ctx)
{
    static const utapi_entry unknown = {.operation = UTAPI_OP_NONE};
    const unsigned char *row = value.mv_data;
    journal_group group;
    if (value.mv_size < HEAD_SIZE || row[1] > value.mv_size - HEAD_SIZE || row[1] > REASON_MOST)
        return on_refused(ctx, &unknown, UTAPI_CORRUPT, "the journal holds a row that cannot be read");
    char reason[REASON_MOST + 1] = "";
    memcpy(reason, row + HEAD_SIZE, row[1]);
    const size_t head = HEAD_SIZE + (size_t)row[1];
    if (utapi_journal_decode(row + head, value.mv_size - head, &group, NULL) != UTAPI_OK)
        return on_refused(ctx, &unknown, UTAPI_CORRUPT, reason);
    const bool more = on_refused(ctx, &group.entries[0], (utapi_status)row[0], reason);
    free(group.entries);
    return more;
}

utapi_status utapi_journal_refused(utapi_backend *base, utapi_refused_cb *on_refused, void *ctx,
                                   utapi_error *err)
{
    if (base->ops->apply != utapi_journal_apply)
        return utapi_fail(err, UTAPI_NOT_SUPPORTED, "there is no journal before this storage");
    journal *self = (journal *)base;
    MDB_txn *txn = NULL;
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    const utapi_status status = utapi_journal_read_begin(self, &txn, err);
    if (status != UTAPI_OK)
        return status;
    int rc = mdb_cursor_open(txn, self->tables[JOURNAL_REFUSED], &cursor);
    while (rc == 0) {
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        if (rc == 0 && !refused_show(value, on_refused, ctx))
            break;
    }
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    utapi_journal_read_end(self, txn);
    return rc == 0 || rc == MDB_NOTFOUND ? UTAPI_OK : utapi_journal_fail(err, rc, "reading");
}
