/* SPDX-License-Identifier: Apache-2.0 */
/* journal_epoch.c - epochs: what was taken between two starts, each with a writer id and a sequence of its own.
 *
 * So a journal that was deleted, restored or cloned can never fall behind a fence that it does not know. How
 * far an epoch is, is noted now and then: after a crash the storage's fence tells. */
#include "journal_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { EPOCH_SIZE = 4, ROW_FIXED = WRITER_SIZE + 8, GAP_SIZE = 16 };

void utapi_journal_entry_key(uint32_t epoch, uint64_t sequence, unsigned char ret[ENTRY_KEY_SIZE])
{
    utapi_lmdbenv_put_u32(ret, epoch);
    utapi_lmdbenv_put_u64(ret + EPOCH_SIZE, sequence);
}

/* ---- rows --------------------------------------------------------------------------------- */

int utapi_journal_epoch_put(journal *self, MDB_txn *txn, const journal_epoch *epoch, uint64_t applied)
{
    unsigned char number[EPOCH_SIZE];
    unsigned char row[ROW_FIXED + GAPS_MOST * GAP_SIZE];
    utapi_lmdbenv_put_u32(number, epoch->number);
    memcpy(row, epoch->writer, WRITER_SIZE);
    utapi_lmdbenv_put_u64(row + WRITER_SIZE, applied);
    for (size_t i = 0; i < epoch->gap_count; i++) {
        utapi_lmdbenv_put_u64(row + ROW_FIXED + GAP_SIZE * i, epoch->gaps[i].from);
        utapi_lmdbenv_put_u64(row + ROW_FIXED + GAP_SIZE * i + 8, epoch->gaps[i].to);
    }
    MDB_val key = utapi_lmdbenv_val(number, sizeof number);
    MDB_val value = utapi_lmdbenv_val(row, ROW_FIXED + GAP_SIZE * epoch->gap_count);
    return mdb_put(txn, self->env.tables[JOURNAL_WRITER], &key, &value, 0);
}

static bool row_decode(MDB_val key, MDB_val value, journal_epoch *ret)
{
    const unsigned char *row = value.mv_data;
    if (key.mv_size != EPOCH_SIZE || value.mv_size < ROW_FIXED ||
        (value.mv_size - ROW_FIXED) % GAP_SIZE != 0 || (value.mv_size - ROW_FIXED) / GAP_SIZE > GAPS_MOST)
        return false;
    *ret = (journal_epoch){.number = utapi_lmdbenv_get_u32(key.mv_data)};
    memcpy(ret->writer, row, WRITER_SIZE);
    ret->applied = ret->stored_applied = utapi_lmdbenv_get_u64(row + WRITER_SIZE);
    ret->gap_count = (value.mv_size - ROW_FIXED) / GAP_SIZE;
    for (size_t i = 0; i < ret->gap_count; i++) {
        ret->gaps[i].from = utapi_lmdbenv_get_u64(row + ROW_FIXED + GAP_SIZE * i);
        ret->gaps[i].to = utapi_lmdbenv_get_u64(row + ROW_FIXED + GAP_SIZE * i + 8);
    }
    return true;
}

static bool key_is_of(MDB_val key, uint32_t epoch)
{
    return key.mv_size == ENTRY_KEY_SIZE && utapi_lmdbenv_get_u32(key.mv_data) == epoch;
}

/* Where a group ends. One that cannot be read is taken for one event: its successor tells better. */
static uint64_t group_end(MDB_val key, MDB_val value)
{
    journal_group group;
    const uint64_t first = utapi_lmdbenv_get_u64((const unsigned char *)key.mv_data + EPOCH_SIZE);
    if (utapi_journal_decode(value.mv_data, value.mv_size, &group, NULL) != UTAPI_OK)
        return first + 1;
    free(group.entries);
    return first + group.count;
}

int utapi_journal_epoch_end(journal *self, MDB_txn *txn, uint32_t epoch, uint64_t otherwise, uint64_t *ret)
{
    MDB_cursor *cursor = NULL;
    unsigned char bytes[ENTRY_KEY_SIZE];
    MDB_val key, value;
    *ret = otherwise;
    int rc = mdb_cursor_open(txn, self->env.tables[JOURNAL_ENTRY], &cursor);
    if (rc != 0)
        return rc;
    utapi_journal_entry_key(epoch, UINT64_MAX, bytes);
    key = utapi_lmdbenv_val(bytes, sizeof bytes);
    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    rc = mdb_cursor_get(cursor, &key, &value, rc == 0 ? MDB_PREV : MDB_LAST);
    if (rc == 0 && key_is_of(key, epoch)) {
        const uint64_t end = group_end(key, value);
        *ret = end > otherwise ? end : otherwise;
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int epoch_begins_at(journal *self, MDB_txn *txn, uint32_t epoch, uint64_t otherwise, uint64_t *ret)
{
    MDB_cursor *cursor = NULL;
    unsigned char bytes[ENTRY_KEY_SIZE];
    MDB_val value;
    *ret = otherwise;
    int rc = mdb_cursor_open(txn, self->env.tables[JOURNAL_ENTRY], &cursor);
    if (rc != 0)
        return rc;
    utapi_journal_entry_key(epoch, 0, bytes);
    MDB_val key = utapi_lmdbenv_val(bytes, sizeof bytes);
    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    if (rc == 0 && key_is_of(key, epoch))
        *ret = utapi_lmdbenv_get_u64((const unsigned char *)key.mv_data + EPOCH_SIZE);
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* ---- starting ----------------------------------------------------------------------------- */

static void epoch_append(journal *self, journal_epoch *epoch)
{
    if (self->newest == NULL)
        self->oldest = epoch;
    else
        self->newest->next_epoch = epoch;
    self->newest = epoch;
}

static int epoch_load(journal *self, MDB_txn *txn, const journal_epoch *row)
{
    journal_epoch *epoch = malloc(sizeof *epoch);
    if (epoch == NULL)
        return ENOMEM;
    *epoch = *row;
    epoch_append(self, epoch);
    const int rc = utapi_journal_epoch_end(self, txn, epoch->number, epoch->applied, &epoch->next);
    return rc != 0 ? rc : epoch_begins_at(self, txn, epoch->number, epoch->next, &epoch->deleted);
}

static int epochs_load(journal *self, MDB_txn *txn)
{
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    journal_epoch row;
    int rc = mdb_cursor_open(txn, self->env.tables[JOURNAL_WRITER], &cursor);
    if (rc != 0)
        return rc;
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        rc = row_decode(key, value, &row) ? epoch_load(self, txn, &row) : MDB_CORRUPTED;
        if (rc != 0)
            break;
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int utapi_journal_number_load(journal *self, MDB_txn *txn, const char *name, uint64_t *ret)
{
    MDB_val key = utapi_lmdbenv_val(name, strlen(name));
    MDB_val value;
    const int rc = mdb_get(txn, self->env.tables[JOURNAL_META], &key, &value);
    if (rc == 0 && value.mv_size == 8)
        *ret = utapi_lmdbenv_get_u64(value.mv_data);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int utapi_journal_number_put(const journal *self, MDB_txn *txn, const char *name, uint64_t number)
{
    unsigned char bytes[8];
    utapi_lmdbenv_put_u64(bytes, number);
    MDB_val key = utapi_lmdbenv_val(name, strlen(name));
    MDB_val value = utapi_lmdbenv_val(bytes, sizeof bytes);
    return mdb_put(txn, self->env.tables[JOURNAL_META], &key, &value, 0);
}

static const char *const gone_names[UTAPI_LEVEL_COUNT] = {
    [UTAPI_BUCKETS] = "gone",         [UTAPI_ACCOUNTS] = "gone accounts",   [UTAPI_USERS] = "gone users",
    [UTAPI_SERVICE] = "gone service", [UTAPI_LOCATIONS] = "gone locations",
};

int utapi_journal_gone_put(const journal *self, MDB_txn *txn, utapi_level level, int64_t gone_ms)
{
    return utapi_journal_number_put(self, txn, gone_names[level], (uint64_t)gone_ms);
}

static int gone_load(journal *self, MDB_txn *txn)
{
    int rc = 0;
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT && rc == 0; level++) {
        uint64_t gone = (uint64_t)INT64_MIN;
        rc = utapi_journal_number_load(self, txn, gone_names[level], &gone);
        self->gone_newest_ms[level] = (int64_t)gone;
    }
    return rc;
}

static bool writer_draw(unsigned char ret[WRITER_SIZE])
{
    return getrandom(ret, WRITER_SIZE, 0) == WRITER_SIZE;
}

utapi_status utapi_journal_epoch_begin(journal *self, utapi_error *err)
{
    MDB_txn *txn = NULL;
    journal_epoch *epoch = calloc(1, sizeof *epoch);
    if (epoch == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "the journal");
    if (!writer_draw(epoch->writer)) {
        free(epoch);
        return utapi_fail(err, UTAPI_UNAVAILABLE, "the journal: no random numbers: %s", strerror(errno));
    }
    epoch->number = self->newest != NULL ? self->newest->number + 1 : 1;
    utapi_status status = utapi_journal_write_begin(self, &txn, err);
    if (status != UTAPI_OK) {
        free(epoch);
        return status;
    }
    const int rc = utapi_journal_epoch_put(self, txn, epoch, 0);
    status = utapi_journal_write_end(self, txn,
                                     rc == 0 ? UTAPI_OK : utapi_journal_fail(err, rc, "a new writer"), err);
    pthread_mutex_lock(&self->lock);
    if (status == UTAPI_OK) {
        epoch_append(self, epoch);
        utapi_journal_pending_clear(self, 0);
        self->settle = 0;
    } else
        free(epoch);
    pthread_mutex_unlock(&self->lock);
    utapi_lmdbenv_write_leave(&self->env);
    return status;
}

utapi_status utapi_journal_epochs_load(journal *self, utapi_error *err)
{
    utapi_lmdbenv_reader *reader;
    utapi_status status = utapi_lmdbenv_read_begin(&self->env, &reader, err);
    if (status != UTAPI_OK)
        return status;
    MDB_txn *const txn = reader->txn;
    int rc = epochs_load(self, txn);
    if (rc == 0)
        rc = utapi_journal_number_load(self, txn, "lost", &self->lost);
    if (rc == 0)
        rc = gone_load(self, txn);
    if (rc == 0)
        rc = utapi_journal_refused_count(self, txn, &self->refused);
    if (rc == 0)
        rc = utapi_journal_acknowledged_load(self, txn, &self->acknowledged);
    utapi_lmdbenv_read_end(&self->env, reader);
    if (rc != 0)
        return utapi_journal_fail(err, rc, "what was left");
    const journal_epoch *waiting = utapi_journal_waiting_epoch(self);
    if (waiting != NULL)
        self->oldest_ms = utapi_journal_taken_at(self, waiting->number, waiting->applied);
    return utapi_journal_epoch_begin(self, err);
}

void utapi_journal_epochs_free(journal *self)
{
    for (journal_epoch *epoch; (epoch = self->oldest) != NULL; free(epoch))
        self->oldest = epoch->next_epoch;
    self->newest = NULL;
}

/* ---- how far they are --------------------------------------------------------------------- */

journal_epoch *utapi_journal_waiting_epoch(const journal *self)
{
    journal_epoch *epoch = self->oldest;
    while (epoch != NULL && epoch->applied >= epoch->next)
        epoch = epoch->next_epoch;
    return epoch;
}

uint64_t utapi_journal_waiting(const journal *self)
{
    uint64_t waiting = 0;
    for (const journal_epoch *epoch = self->oldest; epoch != NULL; epoch = epoch->next_epoch)
        waiting += epoch->next > epoch->applied ? epoch->next - epoch->applied : 0;
    return waiting;
}

/* ---- gaps --------------------------------------------------------------------------------- */

/* Adds [from, to) to the gaps that are known; returns how many of its events were not in one yet. */
static uint64_t gaps_add(journal_epoch *epoch, uint64_t from, uint64_t to)
{
    journal_gap all = {.from = from, .to = to};
    uint64_t added = to - from;
    size_t kept = 0;
    for (size_t i = 0; i < epoch->gap_count; i++) {
        const journal_gap gap = epoch->gaps[i];
        if (gap.to < from || gap.from > to) {
            epoch->gaps[kept++] = gap;
            continue;
        }
        const uint64_t low = gap.from > from ? gap.from : from;
        const uint64_t high = gap.to < to ? gap.to : to;
        added -= high - low;
        all.from = gap.from < all.from ? gap.from : all.from;
        all.to = gap.to > all.to ? gap.to : all.to;
    }
    if (kept == GAPS_MOST) /* the oldest one is let go of: it was counted */
        memmove(&epoch->gaps[0], &epoch->gaps[1], --kept * sizeof *epoch->gaps);
    epoch->gaps[kept++] = all;
    epoch->gap_count = kept;
    return added;
}

utapi_status utapi_journal_gap_note(journal *self, journal_epoch *epoch, uint64_t from, uint64_t to,
                                    utapi_error *err)
{
    MDB_txn *txn = NULL;
    pthread_mutex_lock(&self->lock);
    journal_epoch noted = *epoch; /* only the drain thread changes gaps */
    pthread_mutex_unlock(&self->lock);
    const uint64_t added = gaps_add(&noted, from, to);
    if (added == 0)
        return UTAPI_OK;
    utapi_status status = utapi_journal_write_begin(self, &txn, err);
    if (status != UTAPI_OK)
        return status;
    int rc = utapi_journal_number_put(self, txn, "lost", self->lost + added);
    if (rc == 0)
        rc = utapi_journal_epoch_put(self, txn, &noted, noted.stored_applied);
    status =
        utapi_journal_write_end(self, txn, rc == 0 ? UTAPI_OK : utapi_journal_fail(err, rc, "a gap"), err);
    if (status == UTAPI_OK) {
        pthread_mutex_lock(&self->lock);
        memcpy(epoch->gaps, noted.gaps, sizeof noted.gaps);
        epoch->gap_count = noted.gap_count;
        self->lost += added;
        pthread_mutex_unlock(&self->lock);
    }
    utapi_lmdbenv_write_leave(&self->env);
    return status;
}
