/* SPDX-License-Identifier: Apache-2.0 */
/* journal_dead_letters.c - dead letters of the journal, and the places of those that the storage refused.
 *
 * Letters are in a table of their own (lmdbenv/letters.h). Of an event that was refused at its delivery a stub stays at
 * its own place, for as long as the event may have to be delivered again: a zero, and the levels at which it is
 * a letter, 0 for all. So it is a letter once, and a hole from then on: at these levels, or as a whole. Earlier
 * versions kept the letter itself there: a status, the reason with its length, and the event as a record of one.
 * These are read as long as there are any, and become stubs when they are acknowledged or pushed again. */
#include "journal_dead_letters.h"

#include "journal_store.h"

#include "utapi/codec.h"
#include "utapi/scoped.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    STUB_SIZE = 2,
    DETAIL_MAX = 200,
    OLD_ID_SIZE = 2 * JOURNAL_KEY_SIZE,
    ROWS_AT_ONCE = 256,
    SWEEP_MIN = 4096
};

static const unsigned char stub[STUB_SIZE] = {0};

/* Numbers on disk: rows that are stubs; of the letters of earlier versions those that were acknowledged, ever. */
static const char stubs_name[] = "heads", old_name[] = "refused acknowledged",
                  lost_name[] = "lost acknowledged";

static utapi_reason reason_of(utapi_status status)
{
    return status == UTAPI_OVERFLOW  ? UTAPI_REASON_OVERFLOW
           : status == UTAPI_INVALID ? UTAPI_REASON_INVALID
           : status == UTAPI_CORRUPT ? UTAPI_REASON_CORRUPT
           : status == UTAPI_FENCED  ? UTAPI_REASON_FENCED
                                     : UTAPI_REASON_OTHER;
}

/* ---- letters of earlier versions ---------------------------------------------------------- */

/* The parts of a row; the record's entries are owned. False where it cannot be read: the detail is "" if even
 * that cannot. */
static bool row_read(MDB_val value, utapi_record *ret, char ret_detail[static DETAIL_MAX + 1])
{
    const unsigned char *row = value.mv_data;
    *ret_detail = '\0';
    if (value.mv_size < STUB_SIZE || row[1] > value.mv_size - STUB_SIZE || row[1] > DETAIL_MAX)
        return false;
    memcpy(ret_detail, row + STUB_SIZE, row[1]);
    ret_detail[row[1]] = '\0';
    const size_t head = STUB_SIZE + (size_t)row[1];
    return utapi_record_decode(row + head, value.mv_size - head, ret, NULL) == UTAPI_OK;
}

static bool row_is_stub(MDB_val value)
{
    return value.mv_size == STUB_SIZE;
}

/* Their ids are a row's key in hex. */
static bool old_id_read(utapi_string id, unsigned char ret[static JOURNAL_KEY_SIZE])
{
    return id.size == OLD_ID_SIZE && utapi_hex_get(id.data, ret, JOURNAL_KEY_SIZE);
}

/* Makes a stub of the letter with an id; *ret_found: there was one. */
static int old_letter_take(journal_log *log, MDB_txn *txn, utapi_string id, bool forget, bool *ret_found)
{
    unsigned char bytes[JOURNAL_KEY_SIZE];
    char detail[DETAIL_MAX + 1];
    utapi_record record = {.entries = NULL};
    uint64_t stubs = 0, old = 0;
    MDB_val value;
    *ret_found = false;
    if (!old_id_read(id, bytes))
        return 0;
    MDB_val key = utapi_lmdbenv_val(bytes, sizeof bytes);
    int rc = mdb_get(txn, log->env.tables[JOURNAL_REFUSED], &key, &value);
    if (rc != 0 || row_is_stub(value))
        return rc == MDB_NOTFOUND ? 0 : rc;
    *ret_found = true;
    if (forget && row_read(value, &record, detail))
        rc = utapi_dedup_remove(&log->dedup, txn, &record.entries[0]);
    free(record.entries);
    value = utapi_lmdbenv_val(stub, sizeof stub);
    if (rc == 0)
        rc = mdb_put(txn, log->env.tables[JOURNAL_REFUSED], &key, &value, 0);
    if (rc == 0)
        rc = utapi_journal_number_get(log, txn, stubs_name, &stubs);
    if (rc == 0)
        rc = utapi_journal_number_put(log, txn, stubs_name, stubs + 1);
    if (rc == 0)
        rc = utapi_journal_number_get(log, txn, old_name, &old);
    return rc == 0 ? utapi_journal_number_put(log, txn, old_name, old + 1) : rc;
}

/* A row that cannot be read is shown as an event of which only that is known. */
static bool old_letter_show(MDB_val key, MDB_val value, utapi_dead_letter_cb *on_letter, void *ctx)
{
    static const utapi_entry unknown = {.operation = UTAPI_OP_NONE};
    char id[OLD_ID_SIZE + 1], detail[DETAIL_MAX + 1];
    utapi_record record = {.entries = NULL};
    utapi_dead_letter letter = {
        .id = id, .entry = &unknown, .reason = UTAPI_REASON_CORRUPT, .detail = detail, .levels = 0};
    *utapi_hex_put(id, key.mv_data, key.mv_size) = '\0';
    if (row_read(value, &record, detail)) {
        const utapi_status status = (utapi_status) * (const unsigned char *)value.mv_data;
        letter.entry = &record.entries[0];
        letter.reason = reason_of(status);
        letter.levels = UTAPI_ALL_LEVELS;
        letter.kept_ms = record.now_ms;
        if (*detail == '\0')
            letter.detail = utapi_status_text(status);
    } else if (*detail == '\0')
        letter.detail = "the journal holds a row that cannot be read";
    const bool more = on_letter(ctx, &letter);
    free(record.entries);
    return more;
}

static int old_letters_list(journal_log *log, MDB_txn *txn, utapi_dead_letter_cb *on_letter, void *ctx,
                            bool *ret_more)
{
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    *ret_more = true;
    int rc = mdb_cursor_open(txn, log->env.tables[JOURNAL_REFUSED], &cursor);
    while (rc == 0 && *ret_more && (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0)
        if (key.mv_size == JOURNAL_KEY_SIZE && !row_is_stub(value))
            *ret_more = old_letter_show(key, value, on_letter, ctx);
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* ---- places ------------------------------------------------------------------------------- */

/* Takes stubs away of events that will never be delivered again; *ret_left: how many stubs are left. */
static int stubs_drop(journal_log *log, MDB_txn *txn, uint64_t *ret_left)
{
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    *ret_left = 0;
    int rc = mdb_cursor_open(txn, log->env.tables[JOURNAL_REFUSED], &cursor);
    while (rc == 0 && (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        if (!row_is_stub(value))
            continue;
        const unsigned char *bytes = key.mv_data;
        if (key.mv_size == JOURNAL_KEY_SIZE &&
            utapi_journal_log_keeps(log, utapi_lmdbenv_get_u32(bytes), utapi_lmdbenv_get_u64(bytes + 4)))
            ++*ret_left;
        else
            rc = mdb_cursor_del(cursor, 0);
    }
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    rc = rc == MDB_NOTFOUND ? 0 : rc;
    return rc == 0 ? utapi_journal_number_put(log, txn, stubs_name, *ret_left) : rc;
}

/* Once there are twice as many as the last time left, for looking at each costs. */
static int stubs_sweep(journal_dead_letters *self, MDB_txn *txn)
{
    uint64_t stubs = 0;
    int rc = utapi_journal_number_get(self->log, txn, stubs_name, &stubs);
    if (rc != 0 || stubs < self->sweep_at || stubs < SWEEP_MIN)
        return rc;
    rc = stubs_drop(self->log, txn, &stubs);
    self->sweep_at = 2 * stubs;
    return rc;
}

/* The levels of a stub, 0 for all; an older letter's are all. */
static utapi_level_set levels_of(MDB_val value)
{
    return row_is_stub(value) ? ((const unsigned char *)value.mv_data)[1] : 0;
}

/* What an entry still counts for. */
static utapi_level_set levels_left(const utapi_entry *entry)
{
    utapi_level_set left = 0;
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT; level++)
        if (entry->resource[level].size > 0)
            left |= UTAPI_LEVEL_BIT(level);
    return left;
}

/* Keeps an event as a letter, at some levels or at all that it still counts for, unless its place says that it is one
 * there. */
static int letter_add(journal_log *log, MDB_txn *txn, uint32_t incarnation, const utapi_entry *entry,
                      int64_t now_ms, utapi_level_set levels, const utapi_refusal *why)
{
    unsigned char bytes[JOURNAL_KEY_SIZE];
    unsigned char place[STUB_SIZE] = {0};
    uint64_t stubs = 0;
    utapi_journal_key(incarnation, entry->sequence, bytes);
    MDB_val key = utapi_lmdbenv_val(bytes, sizeof bytes), value;
    int rc = mdb_get(txn, log->env.tables[JOURNAL_REFUSED], &key, &value);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return rc;
    const bool is_there = rc == 0;
    const utapi_level_set before = is_there ? levels_of(value) : 0;
    if (is_there && (before == 0 || (levels & ~before) == 0))
        return 0;
    const bool is_all = (levels_left(entry) & ~before & ~levels) == 0;
    place[1] = is_all ? 0 : (unsigned char)(before | levels);
    value = utapi_lmdbenv_val(place, sizeof place);
    rc = mdb_put(txn, log->env.tables[JOURNAL_REFUSED], &key, &value, 0);
    if (rc == 0 && !is_there)
        rc = utapi_journal_number_get(log, txn, stubs_name, &stubs);
    if (rc == 0 && !is_there)
        rc = utapi_journal_number_put(log, txn, stubs_name, stubs + 1);
    return rc == 0 ? utapi_letters_keep(&log->letters, txn, entry, now_ms, levels & ~before, why) : rc;
}

utapi_status utapi_journal_dead_letters_add(journal_dead_letters *self, uint32_t incarnation,
                                            const utapi_batch *batch, utapi_status why, const char *detail,
                                            utapi_error *err)
{
    MDB_txn *txn = NULL;
    const utapi_refusal refusal = {.reason = reason_of(why),
                                   .detail = *detail != '\0' ? detail : utapi_status_text(why)};
    utapi_status status = utapi_journal_write_begin(self->log, &txn, err);
    if (status != UTAPI_OK)
        return status;
    int rc = 0;
    for (size_t i = 0; i < batch->count && rc == 0; i++) {
        const utapi_level_set levels = batch->unfit != NULL ? batch->unfit[i] : UTAPI_ALL_LEVELS;
        if (levels != 0)
            rc = letter_add(self->log, txn, incarnation, &batch->entries[i], batch->now_ms, levels, &refusal);
    }
    if (rc == 0)
        rc = stubs_sweep(self, txn);
    status = utapi_journal_write_end(self->log, txn, utapi_journal_code(err, rc, "a dead letter"), err);
    utapi_lmdbenv_write_leave(&self->log->env);
    return status;
}

utapi_status utapi_journal_dead_letters_find(journal_dead_letters *self, uint32_t incarnation, uint64_t from,
                                             uint64_t until, journal_letter *ret, size_t max,
                                             size_t *ret_count, utapi_error *err)
{
    utapi_lmdbenv_reader *reader;
    MDB_cursor *cursor = NULL;
    unsigned char bytes[JOURNAL_KEY_SIZE];
    MDB_val value;
    uint64_t sequence;
    size_t count = 0;
    const utapi_status status = utapi_lmdbenv_read_begin(&self->log->env, &reader, err);
    if (status != UTAPI_OK)
        return status;
    utapi_journal_key(incarnation, from, bytes);
    MDB_val key = utapi_lmdbenv_val(bytes, sizeof bytes);
    int rc = mdb_cursor_open(reader->txn, self->log->env.tables[JOURNAL_REFUSED], &cursor);
    if (rc == 0)
        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (rc == 0 && count < max && utapi_journal_key_is_of(key, incarnation, &sequence) &&
           sequence < until) {
        ret[count++] = (journal_letter){sequence, levels_of(value)};
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    *ret_count = count;
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    utapi_lmdbenv_read_end(&self->log->env, reader);
    return utapi_journal_code(err, rc == MDB_NOTFOUND ? 0 : rc, "reading");
}

/* ---- taking and acknowledging ------------------------------------------------------------- */

utapi_status utapi_journal_letters_apply(journal_log *log, MDB_txn *txn, const utapi_batch *batch, bool *skip,
                                         size_t *repeated, utapi_error *err)
{
    const size_t before = *repeated;
    utapi_status status = utapi_letters_apply(&log->letters, txn, batch, skip, repeated, err);
    if (*repeated == before)
        return status;
    for (size_t i = 0; i < batch->count && status == UTAPI_OK;
         i++) { /* it may be a letter of an earlier version */
        bool found = false;
        if (skip[i] && batch->entries[i].letter.size > 0)
            status = utapi_journal_code(
                err, old_letter_take(log, txn, batch->entries[i].letter, false, &found), "a dead letter");
        *repeated -= found;
        skip[i] = skip[i] && !found;
    }
    return status;
}

/* As much as goes into one transaction, for a full journal has little room for copies. */
static utapi_status part_acknowledge(journal_dead_letters *self, const utapi_string *ids, size_t count,
                                     uint64_t lost, utapi_error *err)
{
    journal_log *log = self->log;
    MDB_txn *txn = NULL;
    uint64_t stubs = 0, lost_before = 0;
    bool found;
    utapi_status status = utapi_journal_write_begin(log, &txn, err);
    if (status != UTAPI_OK)
        return status;
    int rc = utapi_letters_drop(&log->letters, txn, ids, count);
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = old_letter_take(log, txn, ids[i], true, &found);
    if (rc == 0)
        rc = stubs_drop(log, txn, &stubs);
    if (rc == 0)
        rc = utapi_journal_number_get(log, txn, lost_name, &lost_before);
    if (rc == 0 && lost > lost_before)
        rc = utapi_journal_number_put(log, txn, lost_name, lost);
    status = utapi_journal_write_end(log, txn, utapi_journal_code(err, rc, "an acknowledgement"), err);
    utapi_lmdbenv_write_leave(&log->env);
    return status;
}

utapi_status utapi_journal_dead_letters_acknowledge(journal_dead_letters *self,
                                                    const utapi_acknowledgement *what, utapi_error *err)
{
    unsigned char bytes[UTAPI_LETTERS_KEY_SIZE];
    pthread_mutex_lock(&self->log->lock);
    const uint64_t lost = self->log->lost;
    pthread_mutex_unlock(&self->log->lock);
    if (what->lost > lost)
        return utapi_fail(err, UTAPI_INVALID, "lost: no more than %llu were", (unsigned long long)lost);
    for (size_t i = 0; i < what->count; i++)
        if (!old_id_read(what->ids[i], bytes) && !utapi_letters_key(what->ids[i], bytes))
            return utapi_fail_at(err, UTAPI_INVALID, i, "expected an id, as letters are listed with");
    utapi_status status = UTAPI_OK;
    size_t from = 0;
    do {
        const size_t count = what->count - from < ROWS_AT_ONCE ? what->count - from : ROWS_AT_ONCE;
        status = part_acknowledge(self, what->ids + from, count, what->lost, err);
        from += count;
    } while (status == UTAPI_OK && from < what->count);
    return status;
}

/* ---- listing and figures ------------------------------------------------------------------ */

utapi_status utapi_journal_dead_letters_list(journal_dead_letters *self, utapi_dead_letter_cb *on_letter,
                                             void *ctx, utapi_error *err)
{
    utapi_lmdbenv_reader *reader;
    bool more;
    const utapi_status status = utapi_lmdbenv_read_begin(&self->log->env, &reader, err);
    if (status != UTAPI_OK)
        return status;
    int rc = old_letters_list(self->log, reader->txn, on_letter, ctx, &more);
    if (rc == 0 && more)
        rc = utapi_letters_list(&self->log->letters, reader->txn, on_letter, ctx, &more);
    utapi_lmdbenv_read_end(&self->log->env, reader);
    return utapi_journal_code(err, rc, "reading");
}

utapi_status utapi_journal_dead_letters_stats(journal_dead_letters *self, utapi_dead_letter_stats *ret,
                                              uint64_t *ret_lost_acknowledged, utapi_error *err)
{
    utapi_lmdbenv_reader *reader;
    MDB_stat refused = {.ms_entries = 0};
    uint64_t stubs = 0, old_acknowledged = 0;
    const journal_log *log = self->log;
    const utapi_status status = utapi_lmdbenv_read_begin(&self->log->env, &reader, err);
    if (status != UTAPI_OK)
        return status;
    int rc = utapi_letters_stats(&log->letters, reader->txn, ret);
    if (rc == 0)
        rc = mdb_stat(reader->txn, log->env.tables[JOURNAL_REFUSED], &refused);
    if (rc == 0)
        rc = utapi_journal_number_get(log, reader->txn, stubs_name, &stubs);
    if (rc == 0)
        rc = utapi_journal_number_get(log, reader->txn, old_name, &old_acknowledged);
    if (rc == 0)
        rc = utapi_journal_number_get(log, reader->txn, lost_name, ret_lost_acknowledged);
    utapi_lmdbenv_read_end(&self->log->env, reader);
    if (rc != 0)
        return utapi_journal_code(err, rc, "dead letters");
    ret->kept += refused.ms_entries - stubs;
    ret->ever[UTAPI_REASON_OTHER] += refused.ms_entries - stubs + old_acknowledged;
    return UTAPI_OK;
}
