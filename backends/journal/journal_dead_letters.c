/* SPDX-License-Identifier: Apache-2.0 */
/* journal_dead_letters.c - the table of dead letters.
 *
 * A row is a status, the reason with its length, and the event as a record of one. Its key is the event's own place, so
 * an event that is refused twice is there once. Of one that was acknowledged a stub stays, the first two bytes, for as
 * long as the event itself may have to be delivered again. */
#include "journal_dead_letters.h"

#include "journal_store.h"

#include "utapi/codec.h"
#include "utapi/scoped.h"

#include <errno.h>
#include <string.h>

enum { STUB_SIZE = 2, REASON_MAX = 200, ID_SIZE = 2 * JOURNAL_KEY_SIZE, ROWS_AT_ONCE = 256 };

/* Numbers on disk: rows of which the stub alone is left, and all that was ever acknowledged. */
static const char stubs_name[] = "heads", letters_name[] = "refused acknowledged",
                  lost_name[] = "lost acknowledged";

/* What is acknowledged, and how many letters there ever were. */
typedef struct counts {
    uint64_t ever, letters, lost;
} counts;

static int counts_get(const journal_log *log, MDB_txn *txn, counts *ret)
{
    MDB_stat stat;
    uint64_t stubs = 0;
    *ret = (counts){.ever = 0};
    int rc = mdb_stat(txn, log->env.tables[JOURNAL_DEAD_LETTER], &stat);
    if (rc == 0)
        rc = utapi_journal_number_get(log, txn, stubs_name, &stubs);
    if (rc == 0)
        rc = utapi_journal_number_get(log, txn, letters_name, &ret->letters);
    if (rc == 0)
        rc = utapi_journal_number_get(log, txn, lost_name, &ret->lost);
    if (rc == 0)
        ret->ever = stat.ms_entries - stubs + ret->letters;
    return rc;
}

static void counts_publish(journal_dead_letters *self, const counts *now)
{
    pthread_mutex_lock(&self->lock);
    self->count = now->ever;
    self->count_acknowledged = now->letters;
    self->lost_acknowledged = now->lost;
    pthread_mutex_unlock(&self->lock);
}

utapi_status utapi_journal_dead_letters_open(journal_dead_letters *self, journal_log *log, utapi_error *err)
{
    utapi_lmdbenv_reader *reader;
    counts now;
    *self = (journal_dead_letters){.log = log};
    pthread_mutex_init(&self->lock, NULL);
    const utapi_status status = utapi_lmdbenv_read_begin(&log->env, &reader, err);
    if (status != UTAPI_OK)
        return status;
    const int rc = counts_get(log, reader->txn, &now);
    utapi_lmdbenv_read_end(&log->env, reader);
    if (rc != 0)
        return utapi_journal_code(err, rc, "dead letters");
    counts_publish(self, &now);
    return UTAPI_OK;
}

void utapi_journal_dead_letters_close(journal_dead_letters *self)
{
    if (self->log != NULL)
        pthread_mutex_destroy(&self->lock);
}

void utapi_journal_dead_letters_stats(journal_dead_letters *self, utapi_stats *stats)
{
    pthread_mutex_lock(&self->lock);
    stats->journal.refused = self->count;
    stats->journal.refused_acknowledged = self->count_acknowledged;
    stats->journal.lost_acknowledged = self->lost_acknowledged;
    pthread_mutex_unlock(&self->lock);
}

/* ---- rows --------------------------------------------------------------------------------- */

static int row_put(const journal_log *log, MDB_txn *txn, MDB_val key, const utapi_batch *one,
                   utapi_status why, const char *reason)
{
    const size_t length = strnlen(reason, REASON_MAX);
    UTAPI_AUTO_FREE unsigned char *row = malloc(STUB_SIZE + length + utapi_journal_record_max(one));
    if (row == NULL)
        return ENOMEM;
    row[0] = (unsigned char)why;
    row[1] = (unsigned char)length;
    memcpy(row + STUB_SIZE, reason, length);
    unsigned char *record = row + STUB_SIZE + length;
    const size_t size = utapi_journal_record_encode(one, NULL, record);
    MDB_val value = utapi_lmdbenv_val(row, STUB_SIZE + length + size);
    return mdb_put(txn, log->env.tables[JOURNAL_DEAD_LETTER], &key, &value, 0);
}

/* The parts of a row; the record's entries are owned. False where it cannot be read: the reason is "" if even
 * that cannot. */
static bool row_read(MDB_val value, journal_record *ret, char ret_reason[static REASON_MAX + 1])
{
    const unsigned char *row = value.mv_data;
    *ret_reason = '\0';
    if (value.mv_size < STUB_SIZE || row[1] > value.mv_size - STUB_SIZE || row[1] > REASON_MAX)
        return false;
    memcpy(ret_reason, row + STUB_SIZE, row[1]);
    ret_reason[row[1]] = '\0';
    const size_t head = STUB_SIZE + (size_t)row[1];
    return utapi_journal_record_decode(row + head, value.mv_size - head, ret, NULL) == UTAPI_OK;
}

static bool row_is_stub(MDB_val value)
{
    return value.mv_size == STUB_SIZE;
}

/* Whether a row's event may have to be delivered again: it must be known then that it is a dead letter. */
static bool event_is_kept(journal_log *log, MDB_val key)
{
    const unsigned char *bytes = key.mv_data;
    return key.mv_size == JOURNAL_KEY_SIZE &&
           utapi_journal_log_keeps(log, utapi_lmdbenv_get_u32(bytes), utapi_lmdbenv_get_u64(bytes + 4));
}

utapi_status utapi_journal_dead_letters_add(journal_dead_letters *self, uint32_t incarnation,
                                            const utapi_batch *batch, utapi_status why, const char *reason,
                                            utapi_error *err)
{
    MDB_txn *txn = NULL;
    counts now;
    utapi_status status = utapi_journal_write_begin(self->log, &txn, err);
    if (status != UTAPI_OK)
        return status;
    int rc = 0;
    for (size_t i = 0; i < batch->count && rc == 0; i++) {
        unsigned char bytes[JOURNAL_KEY_SIZE];
        const utapi_batch one = {.entries = &batch->entries[i],
                                 .count = 1,
                                 .now_ms = batch->now_ms,
                                 .accepted_ms = batch->accepted_ms};
        utapi_journal_key(incarnation, batch->fence.from + i, bytes);
        rc = row_put(self->log, txn, utapi_lmdbenv_val(bytes, sizeof bytes), &one, why, reason);
    }
    if (rc == 0)
        rc = counts_get(self->log, txn, &now);
    status = utapi_journal_write_end(self->log, txn, utapi_journal_code(err, rc, "a dead letter"), err);
    if (status == UTAPI_OK)
        counts_publish(self, &now);
    utapi_lmdbenv_write_leave(&self->log->env);
    return status;
}

utapi_status utapi_journal_dead_letters_next(journal_dead_letters *self, uint32_t incarnation, uint64_t from,
                                             uint64_t until, uint64_t *ret, utapi_error *err)
{
    utapi_lmdbenv_reader *reader;
    MDB_cursor *cursor = NULL;
    unsigned char bytes[JOURNAL_KEY_SIZE];
    MDB_val value;
    uint64_t sequence;
    *ret = until;
    const utapi_status status = utapi_lmdbenv_read_begin(&self->log->env, &reader, err);
    if (status != UTAPI_OK)
        return status;
    utapi_journal_key(incarnation, from, bytes);
    MDB_val key = utapi_lmdbenv_val(bytes, sizeof bytes);
    int rc = mdb_cursor_open(reader->txn, self->log->env.tables[JOURNAL_DEAD_LETTER], &cursor);
    if (rc == 0)
        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    if (rc == 0 && utapi_journal_key_is_of(key, incarnation, &sequence) && sequence < until)
        *ret = sequence;
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    utapi_lmdbenv_read_end(&self->log->env, reader);
    return utapi_journal_code(err, rc == MDB_NOTFOUND ? 0 : rc, "reading");
}

/* Ids are a row's key in hex. */
static bool id_read(utapi_string id, unsigned char ret[static JOURNAL_KEY_SIZE])
{
    return id.size == ID_SIZE && utapi_hex_get(id.data, ret, JOURNAL_KEY_SIZE);
}

/* ---- acknowledging ------------------------------------------------------------------------ */

/* Whoever has taken note of an event may push it again, once what refused it is mended: its uuid is not known then. */
static int uuid_release(journal_log *log, MDB_txn *txn, MDB_val row)
{
    journal_record record;
    char reason[REASON_MAX + 1];
    if (!row_read(row, &record, reason))
        return 0;
    const int rc = utapi_dedup_remove(&log->dedup, txn, &record.entries[0]);
    free(record.entries);
    return rc;
}

/* Leaves the stub of the row under the cursor, or nothing. */
static int row_acknowledge(MDB_cursor *cursor, unsigned char bytes[static JOURNAL_KEY_SIZE], bool is_kept)
{
    static const unsigned char stub[STUB_SIZE] = {0};
    if (!is_kept)
        return mdb_cursor_del(cursor, 0);
    MDB_val key = utapi_lmdbenv_val(bytes, JOURNAL_KEY_SIZE), value = utapi_lmdbenv_val(stub, sizeof stub);
    return mdb_cursor_put(cursor, &key, &value, MDB_CURRENT);
}

/* Acknowledges rows; one that is not there, or was acknowledged before, is passed over. Adds up how many were not. */
static int rows_acknowledge(journal_log *log, MDB_txn *txn, const utapi_string *ids, size_t count,
                            uint64_t *letters)
{
    MDB_cursor *cursor = NULL;
    int rc = mdb_cursor_open(txn, log->env.tables[JOURNAL_DEAD_LETTER], &cursor);
    for (size_t i = 0; i < count && rc == 0; i++) {
        unsigned char bytes[JOURNAL_KEY_SIZE];
        MDB_val value;
        if (!id_read(ids[i], bytes))
            continue;
        MDB_val key = utapi_lmdbenv_val(bytes, sizeof bytes);
        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_KEY);
        if (rc == 0 && !row_is_stub(value)) {
            rc = uuid_release(log, txn, value); /* what was found is not valid any more */
            key = utapi_lmdbenv_val(bytes, sizeof bytes);
            if (rc == 0)
                rc = row_acknowledge(cursor, bytes, event_is_kept(log, key));
            ++*letters;
        }
        rc = rc == MDB_NOTFOUND ? 0 : rc;
    }
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    return rc;
}

/* Takes stubs away that nobody needs any more; *ret_left: how many are needed. */
static int stubs_drop(journal_log *log, MDB_txn *txn, uint64_t *ret_left)
{
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    *ret_left = 0;
    int rc = mdb_cursor_open(txn, log->env.tables[JOURNAL_DEAD_LETTER], &cursor);
    while (rc == 0 && (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        if (!row_is_stub(value))
            continue;
        if (event_is_kept(log, key))
            ++*ret_left;
        else
            rc = mdb_cursor_del(cursor, 0);
    }
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* As much as goes into one transaction, for a full journal has little room for copies. */
static utapi_status part_acknowledge(journal_dead_letters *self, const utapi_string *ids, size_t count,
                                     uint64_t lost, utapi_error *err)
{
    journal_log *log = self->log;
    MDB_txn *txn = NULL;
    counts now;
    uint64_t stubs = 0;
    utapi_status status = utapi_journal_write_begin(log, &txn, err);
    if (status != UTAPI_OK)
        return status;
    int rc = counts_get(log, txn, &now);
    if (rc == 0)
        rc = rows_acknowledge(log, txn, ids, count, &now.letters);
    if (rc == 0)
        rc = stubs_drop(log, txn, &stubs);
    now.lost = lost > now.lost ? lost : now.lost;
    if (rc == 0)
        rc = utapi_journal_number_put(log, txn, stubs_name, stubs);
    if (rc == 0)
        rc = utapi_journal_number_put(log, txn, letters_name, now.letters);
    if (rc == 0)
        rc = utapi_journal_number_put(log, txn, lost_name, now.lost);
    status = utapi_journal_write_end(log, txn, utapi_journal_code(err, rc, "an acknowledgement"), err);
    if (status == UTAPI_OK)
        counts_publish(self, &now);
    utapi_lmdbenv_write_leave(&log->env);
    return status;
}

utapi_status utapi_journal_dead_letters_acknowledge(journal_dead_letters *self,
                                                    const utapi_acknowledgement *what, utapi_error *err)
{
    unsigned char bytes[JOURNAL_KEY_SIZE];
    pthread_mutex_lock(&self->log->lock);
    const uint64_t lost = self->log->lost;
    pthread_mutex_unlock(&self->log->lock);
    if (what->lost > lost)
        return utapi_fail(err, UTAPI_INVALID, "lost: no more than %llu were", (unsigned long long)lost);
    for (size_t i = 0; i < what->count; i++)
        if (!id_read(what->refused[i], bytes))
            return utapi_fail(err, UTAPI_INVALID, "refused[%zu]: expected an id, as events are listed with",
                              i);
    utapi_status status = UTAPI_OK;
    size_t from = 0;
    do {
        const size_t count = what->count - from < ROWS_AT_ONCE ? what->count - from : ROWS_AT_ONCE;
        status = part_acknowledge(self, what->refused + from, count, what->lost, err);
        from += count;
    } while (status == UTAPI_OK && from < what->count);
    return status;
}

/* ---- listing ------------------------------------------------------------------------------ */

/* A row that cannot be read is shown as an event of which only that is known. */
static bool row_show(MDB_val key, MDB_val value, utapi_refused_cb *on_letter, void *ctx)
{
    static const utapi_entry unknown = {.operation = UTAPI_OP_NONE};
    char id[ID_SIZE + 1], reason[REASON_MAX + 1];
    journal_record record;
    *utapi_hex_put(id, key.mv_data, key.mv_size) = '\0';
    if (!row_read(value, &record, reason))
        return on_letter(ctx, id, &unknown, UTAPI_CORRUPT,
                         *reason != '\0' ? reason : "the journal holds a row that cannot be read");
    const utapi_status why = (utapi_status) * (const unsigned char *)value.mv_data;
    const bool more = on_letter(ctx, id, &record.entries[0], why, reason);
    free(record.entries);
    return more;
}

utapi_status utapi_journal_dead_letters_list(journal_dead_letters *self, utapi_refused_cb *on_letter,
                                             void *ctx, utapi_error *err)
{
    utapi_lmdbenv_reader *reader;
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    const utapi_status status = utapi_lmdbenv_read_begin(&self->log->env, &reader, err);
    if (status != UTAPI_OK)
        return status;
    int rc = mdb_cursor_open(reader->txn, self->log->env.tables[JOURNAL_DEAD_LETTER], &cursor);
    while (rc == 0) {
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        if (rc == 0 && key.mv_size == JOURNAL_KEY_SIZE && !row_is_stub(value) &&
            !row_show(key, value, on_letter, ctx))
            break;
    }
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    utapi_lmdbenv_read_end(&self->log->env, reader);
    return utapi_journal_code(err, rc == MDB_NOTFOUND ? 0 : rc, "reading");
}
