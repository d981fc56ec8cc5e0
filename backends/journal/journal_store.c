/* SPDX-License-Identifier: Apache-2.0 */
/* journal_store.c - the ground that the files of the log stand on: tables, keys, rows, and how a write begins
 * and ends. */
#include "journal_store.h"

#include <stdlib.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)

enum { NUMBER_SIZE = 4, GAP_SIZE = 16, ROW_FIXED = JOURNAL_WRITER_SIZE + 8 };

static const char *const table_names[JOURNAL_TABLE_COUNT] = {
    [JOURNAL_ENTRY] = "entry",   [JOURNAL_DEDUP] = "seen",      [JOURNAL_DUE] = "due",
    [JOURNAL_WRITER] = "writer", [JOURNAL_REFUSED] = "refused", [JOURNAL_LETTERS] = "dead",
    [JOURNAL_META] = "meta",
};

const utapi_lmdbenv_layout utapi_journal_layout = {
    .tables = table_names,
    .table_count = JOURNAL_TABLE_COUNT,
    .reader_table = JOURNAL_ENTRY,
    .readers = 126,
    .format_first = 1,
    .format = 2, /* acts */
    .map_default_bytes = 4096 * MIB,
    .map_min_bytes = 256 * MIB,
    .reserve_min_bytes = 16 * MIB,
    .small_map_bytes = 64 * MIB,
    .lock_file = "journal.lock",
    .prefix = "the journal: ",
    .full = "the journal is full",
    .name = "the journal",
    .in_use = "another process uses this journal",
};

utapi_status utapi_journal_code(utapi_error *err, int rc, const char *doing)
{
    return rc == 0 ? UTAPI_OK : utapi_lmdbenv_fail(&utapi_journal_layout, err, rc, doing);
}

/* ---- keys --------------------------------------------------------------------------------- */

void utapi_journal_key(uint32_t incarnation, uint64_t sequence, unsigned char ret[JOURNAL_KEY_SIZE])
{
    utapi_lmdbenv_put_u32(ret, incarnation);
    utapi_lmdbenv_put_u64(ret + 4, sequence);
}

bool utapi_journal_key_is_of(MDB_val key, uint32_t incarnation, uint64_t *ret_sequence)
{
    if (key.mv_size != JOURNAL_KEY_SIZE || utapi_lmdbenv_get_u32(key.mv_data) != incarnation)
        return false;
    *ret_sequence = utapi_lmdbenv_get_u64((const unsigned char *)key.mv_data + 4);
    return true;
}

int utapi_journal_record_seek(MDB_cursor *cursor, uint32_t incarnation, uint64_t sequence, MDB_val *key,
                              MDB_val *value)
{
    unsigned char bytes[JOURNAL_KEY_SIZE];
    utapi_journal_key(incarnation, sequence, bytes);
    *key = utapi_lmdbenv_val(bytes, sizeof bytes);
    return mdb_cursor_get(cursor, key, value, MDB_SET_RANGE);
}

int utapi_journal_record_find(MDB_cursor *cursor, uint32_t incarnation, uint64_t sequence, MDB_val *key,
                              MDB_val *value)
{
    uint64_t first;
    int rc = utapi_journal_record_seek(cursor, incarnation, sequence, key, value);
    if (rc == 0 && utapi_journal_key_is_of(*key, incarnation, &first) && first == sequence)
        return 0;
    rc = mdb_cursor_get(cursor, key, value, rc == 0 ? MDB_PREV : MDB_LAST);
    if (rc == 0 && utapi_journal_key_is_of(*key, incarnation, &first))
        return 0;
    return utapi_journal_record_seek(cursor, incarnation, sequence, key, value);
}

int utapi_journal_bounds(const journal_log *log, MDB_txn *txn, uint32_t incarnation, uint64_t *first,
                         uint64_t *end)
{
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    uint64_t last;
    int rc = mdb_cursor_open(txn, log->env.tables[JOURNAL_ENTRY], &cursor);
    if (rc != 0)
        return rc;
    rc = utapi_journal_record_seek(cursor, incarnation, 0, &key, &value);
    if (rc == 0 && utapi_journal_key_is_of(key, incarnation, first))
        rc = utapi_journal_record_find(cursor, incarnation, UINT64_MAX, &key, &value);
    if (rc == 0 && utapi_journal_key_is_of(key, incarnation, &last)) {
        /* A record that cannot be read is taken for one event: its successor would tell better. */
        utapi_record record = {.count = 1, .entries = NULL};
        const utapi_status status = utapi_record_decode(value.mv_data, value.mv_size, &record, NULL);
        *end = last + (status == UTAPI_OK ? record.count : 1);
        if (status == UTAPI_OK)
            free(record.entries);
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int64_t utapi_journal_log_accepted_at(journal_log *log, uint32_t incarnation, uint64_t sequence)
{
    utapi_lmdbenv_reader *reader;
    MDB_val key, value;
    int64_t now_ms = 0;
    if (utapi_lmdbenv_read_begin(&log->env, &reader, NULL) != UTAPI_OK)
        return 0;
    if (utapi_journal_record_find(reader->cursor, incarnation, sequence, &key, &value) != 0 ||
        !utapi_record_peek(value.mv_data, value.mv_size, &now_ms))
        now_ms = 0;
    utapi_lmdbenv_read_end(&log->env, reader);
    return now_ms;
}

/* ---- incarnations in memory, with the lock held ------------------------------------------- */

uint64_t utapi_journal_waiting_of(const journal_incarnation *one)
{
    return one->next > one->stored ? one->next - one->stored : 0;
}

void utapi_journal_observe(journal_log *log, const journal_appended *appended)
{
    const journal_incarnation *newest = log->newest;
    journal_standing standing = {
        .incarnation = newest->number, .stored = newest->stored, .next = newest->next};
    memcpy(standing.writer, newest->writer, sizeof standing.writer);
    memcpy(standing.tombstone_ms, log->tombstone_ms, sizeof standing.tombstone_ms);
    for (const journal_incarnation *one = log->oldest; one != newest; one = one->next_one)
        standing.older += utapi_journal_waiting_of(one);
    log->observer(log->ctx, &standing, appended);
}

journal_incarnation *utapi_journal_incarnation(const journal_log *log, uint32_t number)
{
    journal_incarnation *one = log->oldest;
    while (one != NULL && one->number != number)
        one = one->next_one;
    return one;
}

/* ---- writes ------------------------------------------------------------------------------- */

/* After a commit of which the outcome is not known: takes up what is really there. Nobody who asked for it to be
 * stored was told that it is, and nobody that it is not. */
static int outcome_look_up(journal_log *log, MDB_txn *txn)
{
    journal_incarnation *newest = log->newest; /* only a write replaces it */
    uint64_t first = 0, end = 0;
    const int rc = utapi_journal_bounds(log, txn, newest->number, &first, &end);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&log->lock);
    if (end > newest->next) {
        newest->next = end;
        utapi_journal_observe(log, NULL);
    }
    pthread_mutex_unlock(&log->lock);
    log->outcome_unknown = false;
    return 0;
}

utapi_status utapi_journal_write_begin(journal_log *log, MDB_txn **ret, utapi_error *err)
{
    const utapi_status status = utapi_lmdbenv_write_begin(&log->env, ret, err);
    if (status != UTAPI_OK || !log->outcome_unknown)
        return status;
    const int rc = outcome_look_up(log, *ret);
    if (rc == 0)
        return UTAPI_OK;
    mdb_txn_abort(*ret);
    utapi_lmdbenv_write_leave(&log->env);
    return utapi_journal_code(err, rc, "beginning to write");
}

utapi_status utapi_journal_write_end(journal_log *log, MDB_txn *txn, utapi_status status, utapi_error *err)
{
    const bool is_commit = status == UTAPI_OK;
    status = utapi_lmdbenv_write_end(&log->env, txn, status, err);
    log->outcome_unknown |= is_commit && status == UTAPI_UNCERTAIN;
    return status;
}

/* ---- rows --------------------------------------------------------------------------------- */

int utapi_journal_incarnation_put(journal_log *log, MDB_txn *txn, const journal_incarnation *one,
                                  uint64_t stored)
{
    unsigned char number[NUMBER_SIZE];
    unsigned char row[ROW_FIXED + JOURNAL_GAPS_MAX * GAP_SIZE];
    utapi_lmdbenv_put_u32(number, one->number);
    memcpy(row, one->writer, JOURNAL_WRITER_SIZE);
    utapi_lmdbenv_put_u64(row + JOURNAL_WRITER_SIZE, stored);
    for (size_t i = 0; i < one->gap_count; i++) {
        utapi_lmdbenv_put_u64(row + ROW_FIXED + GAP_SIZE * i, one->gaps[i].from);
        utapi_lmdbenv_put_u64(row + ROW_FIXED + GAP_SIZE * i + 8, one->gaps[i].to);
    }
    MDB_val key = utapi_lmdbenv_val(number, sizeof number);
    MDB_val value = utapi_lmdbenv_val(row, ROW_FIXED + GAP_SIZE * one->gap_count);
    return mdb_put(txn, log->env.tables[JOURNAL_WRITER], &key, &value, 0);
}

bool utapi_journal_incarnation_get(MDB_val key, MDB_val value, journal_incarnation *ret)
{
    const unsigned char *row = value.mv_data;
    if (key.mv_size != NUMBER_SIZE || value.mv_size < ROW_FIXED ||
        (value.mv_size - ROW_FIXED) % GAP_SIZE != 0 ||
        (value.mv_size - ROW_FIXED) / GAP_SIZE > JOURNAL_GAPS_MAX)
        return false;
    *ret = (journal_incarnation){.number = utapi_lmdbenv_get_u32(key.mv_data)};
    memcpy(ret->writer, row, JOURNAL_WRITER_SIZE);
    ret->stored = ret->noted = utapi_lmdbenv_get_u64(row + JOURNAL_WRITER_SIZE);
    ret->gap_count = (value.mv_size - ROW_FIXED) / GAP_SIZE;
    for (size_t i = 0; i < ret->gap_count; i++) {
        ret->gaps[i].from = utapi_lmdbenv_get_u64(row + ROW_FIXED + GAP_SIZE * i);
        ret->gaps[i].to = utapi_lmdbenv_get_u64(row + ROW_FIXED + GAP_SIZE * i + 8);
    }
    return true;
}

int utapi_journal_number_get(const journal_log *log, MDB_txn *txn, const char *name, uint64_t *ret)
{
    MDB_val key = utapi_lmdbenv_val(name, strlen(name));
    MDB_val value;
    const int rc = mdb_get(txn, log->env.tables[JOURNAL_META], &key, &value);
    if (rc == 0 && value.mv_size == 8)
        *ret = utapi_lmdbenv_get_u64(value.mv_data);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int utapi_journal_number_put(const journal_log *log, MDB_txn *txn, const char *name, uint64_t number)
{
    unsigned char bytes[8];
    utapi_lmdbenv_put_u64(bytes, number);
    MDB_val key = utapi_lmdbenv_val(name, strlen(name));
    MDB_val value = utapi_lmdbenv_val(bytes, sizeof bytes);
    return mdb_put(txn, log->env.tables[JOURNAL_META], &key, &value, 0);
}

static const char *const tombstone_names[UTAPI_LEVEL_COUNT] = {
    [UTAPI_BUCKETS] = "gone",         [UTAPI_ACCOUNTS] = "gone accounts",   [UTAPI_USERS] = "gone users",
    [UTAPI_SERVICE] = "gone service", [UTAPI_LOCATIONS] = "gone locations",
};

int utapi_journal_tombstone_get(const journal_log *log, MDB_txn *txn, utapi_level level, int64_t *ret)
{
    uint64_t time_ms = (uint64_t)INT64_MIN;
    const int rc = utapi_journal_number_get(log, txn, tombstone_names[level], &time_ms);
    *ret = (int64_t)time_ms;
    return rc;
}

int utapi_journal_tombstone_put(const journal_log *log, MDB_txn *txn, utapi_level level, int64_t time_ms)
{
    return utapi_journal_number_put(log, txn, tombstone_names[level], (uint64_t)time_ms);
}
