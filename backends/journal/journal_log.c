/* SPDX-License-Identifier: Apache-2.0 */
/* journal_log.c - incarnations: what was taken between two starts, each with a writer id and a sequence of its own.
 *
 * So a journal that was deleted, restored or cloned can never fall behind a fence that it does not know. How
 * far an incarnation is, is noted now and then: after a crash the storage's fence tells. */
#include "journal_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { INCARNATION_SIZE = 4, ROW_FIXED = WRITER_SIZE + 8, GAP_SIZE = 16 };

void utapi_journal_entry_key(uint32_t incarnation, uint64_t sequence, unsigned char ret[ENTRY_KEY_SIZE])
{
    utapi_env_put_u32(ret, incarnation);
    utapi_env_put_u64(ret + INCARNATION_SIZE, sequence);
}

/* ---- rows --------------------------------------------------------------------------------- */

int utapi_journal_incarnation_put(journal *self, MDB_txn *txn, const journal_incarnation *incarnation,
                                  uint64_t applied)
{
    unsigned char number[INCARNATION_SIZE];
    unsigned char row[ROW_FIXED + GAPS_MOST * GAP_SIZE];
    utapi_env_put_u32(number, incarnation->number);
    memcpy(row, incarnation->writer, WRITER_SIZE);
    utapi_env_put_u64(row + WRITER_SIZE, applied);
    for (size_t i = 0; i < incarnation->gap_count; i++) {
        utapi_env_put_u64(row + ROW_FIXED + GAP_SIZE * i, incarnation->gaps[i].from);
        utapi_env_put_u64(row + ROW_FIXED + GAP_SIZE * i + 8, incarnation->gaps[i].to);
    }
    MDB_val key = utapi_env_val(number, sizeof number);
    MDB_val value = utapi_env_val(row, ROW_FIXED + GAP_SIZE * incarnation->gap_count);
    return mdb_put(txn, self->env.tables[JOURNAL_WRITER], &key, &value, 0);
}

static bool row_decode(MDB_val key, MDB_val value, journal_incarnation *ret)
{
    const unsigned char *row = value.mv_data;
    if (key.mv_size != INCARNATION_SIZE || value.mv_size < ROW_FIXED ||
        (value.mv_size - ROW_FIXED) % GAP_SIZE != 0 || (value.mv_size - ROW_FIXED) / GAP_SIZE > GAPS_MOST)
        return false;
    *ret = (journal_incarnation){.number = utapi_env_get_u32(key.mv_data)};
    memcpy(ret->writer, row, WRITER_SIZE);
    ret->applied = ret->stored_applied = utapi_env_get_u64(row + WRITER_SIZE);
    ret->gap_count = (value.mv_size - ROW_FIXED) / GAP_SIZE;
    for (size_t i = 0; i < ret->gap_count; i++) {
        ret->gaps[i].from = utapi_env_get_u64(row + ROW_FIXED + GAP_SIZE * i);
        ret->gaps[i].to = utapi_env_get_u64(row + ROW_FIXED + GAP_SIZE * i + 8);
    }
    return true;
}

static bool key_is_of(MDB_val key, uint32_t incarnation)
{
    return key.mv_size == ENTRY_KEY_SIZE && utapi_env_get_u32(key.mv_data) == incarnation;
}

/* Where a group ends. One that cannot be read is taken for one event: its successor tells better. */
static uint64_t group_end(MDB_val key, MDB_val value)
{
    journal_group group;
    const uint64_t first = utapi_env_get_u64((const unsigned char *)key.mv_data + INCARNATION_SIZE);
    if (utapi_journal_decode(value.mv_data, value.mv_size, &group, NULL) != UTAPI_OK)
        return first + 1;
    free(group.entries);
    return first + group.count;
}

int utapi_journal_incarnation_end(journal *self, MDB_txn *txn, uint32_t incarnation, uint64_t otherwise,
                                  uint64_t *ret)
{
    MDB_cursor *cursor = NULL;
    unsigned char bytes[ENTRY_KEY_SIZE];
    MDB_val key, value;
    *ret = otherwise;
    int rc = mdb_cursor_open(txn, self->env.tables[JOURNAL_ENTRY], &cursor);
    if (rc != 0)
        return rc;
    utapi_journal_entry_key(incarnation, UINT64_MAX, bytes);
    key = utapi_env_val(bytes, sizeof bytes);
    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    rc = mdb_cursor_get(cursor, &key, &value, rc == 0 ? MDB_PREV : MDB_LAST);
    if (rc == 0 && key_is_of(key, incarnation)) {
        const uint64_t end = group_end(key, value);
        *ret = end > otherwise ? end : otherwise;
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int incarnation_begins_at(journal *self, MDB_txn *txn, uint32_t incarnation, uint64_t otherwise,
                                 uint64_t *ret)
{
    MDB_cursor *cursor = NULL;
    unsigned char bytes[ENTRY_KEY_SIZE];
    MDB_val value;
    *ret = otherwise;
    int rc = mdb_cursor_open(txn, self->env.tables[JOURNAL_ENTRY], &cursor);
    if (rc != 0)
        return rc;
    utapi_journal_entry_key(incarnation, 0, bytes);
    MDB_val key = utapi_env_val(bytes, sizeof bytes);
    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    if (rc == 0 && key_is_of(key, incarnation))
        *ret = utapi_env_get_u64((const unsigned char *)key.mv_data + INCARNATION_SIZE);
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* ---- starting ----------------------------------------------------------------------------- */

static void incarnation_append(journal *self, journal_incarnation *incarnation)
{
    if (self->newest == NULL)
        self->oldest = incarnation;
    else
        self->newest->next_incarnation = incarnation;
    self->newest = incarnation;
}

static int incarnation_load(journal *self, MDB_txn *txn, const journal_incarnation *row)
{
    journal_incarnation *incarnation = malloc(sizeof *incarnation);
    if (incarnation == NULL)
        return ENOMEM;
    *incarnation = *row;
    incarnation_append(self, incarnation);
    const int rc = utapi_journal_incarnation_end(self, txn, incarnation->number, incarnation->applied,
                                                 &incarnation->next);
    return rc != 0 ? rc
                   : incarnation_begins_at(self, txn, incarnation->number, incarnation->next,
                                           &incarnation->deleted);
}

static int incarnations_load(journal *self, MDB_txn *txn)
{
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    journal_incarnation row;
    int rc = mdb_cursor_open(txn, self->env.tables[JOURNAL_WRITER], &cursor);
    if (rc != 0)
        return rc;
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        rc = row_decode(key, value, &row) ? incarnation_load(self, txn, &row) : MDB_CORRUPTED;
        if (rc != 0)
            break;
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int utapi_journal_number_load(journal *self, MDB_txn *txn, const char *name, uint64_t *ret)
{
    MDB_val key = utapi_env_val(name, strlen(name));
    MDB_val value;
    const int rc = mdb_get(txn, self->env.tables[JOURNAL_META], &key, &value);
    if (rc == 0 && value.mv_size == 8)
        *ret = utapi_env_get_u64(value.mv_data);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int utapi_journal_number_put(const journal *self, MDB_txn *txn, const char *name, uint64_t number)
{
    unsigned char bytes[8];
    utapi_env_put_u64(bytes, number);
    MDB_val key = utapi_env_val(name, strlen(name));
    MDB_val value = utapi_env_val(bytes, sizeof bytes);
    return mdb_put(txn, self->env.tables[JOURNAL_META], &key, &value, 0);
}

static const char *const tombstone_names[UTAPI_LEVEL_COUNT] = {
    [UTAPI_BUCKETS] = "gone",         [UTAPI_ACCOUNTS] = "gone accounts",   [UTAPI_USERS] = "gone users",
    [UTAPI_SERVICE] = "gone service", [UTAPI_LOCATIONS] = "gone locations",
};

int utapi_journal_tombstone_put(const journal *self, MDB_txn *txn, utapi_level level, int64_t tombstone_ms)
{
    return utapi_journal_number_put(self, txn, tombstone_names[level], (uint64_t)tombstone_ms);
}

static int tombstones_load(journal *self, MDB_txn *txn)
{
    int rc = 0;
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT && rc == 0; level++) {
        uint64_t gone = (uint64_t)INT64_MIN;
        rc = utapi_journal_number_load(self, txn, tombstone_names[level], &gone);
        self->tombstone_ms[level] = (int64_t)gone;
    }
    return rc;
}

static bool writer_draw(unsigned char ret[WRITER_SIZE])
{
    return getrandom(ret, WRITER_SIZE, 0) == WRITER_SIZE;
}

utapi_status utapi_journal_incarnation_begin(journal *self, utapi_error *err)
{
    MDB_txn *txn = NULL;
    journal_incarnation *incarnation = calloc(1, sizeof *incarnation);
    if (incarnation == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "the journal");
    if (!writer_draw(incarnation->writer)) {
        free(incarnation);
        return utapi_fail(err, UTAPI_UNAVAILABLE, "the journal: no random numbers: %s", strerror(errno));
    }
    incarnation->number = self->newest != NULL ? self->newest->number + 1 : 1;
    utapi_status status = utapi_journal_write_begin(self, &txn, err);
    if (status != UTAPI_OK) {
        free(incarnation);
        return status;
    }
    const int rc = utapi_journal_incarnation_put(self, txn, incarnation, 0);
    status = utapi_journal_write_end(self, txn,
                                     rc == 0 ? UTAPI_OK : utapi_journal_fail(err, rc, "a new writer"), err);
    pthread_mutex_lock(&self->lock);
    if (status == UTAPI_OK) {
        incarnation_append(self, incarnation);
        utapi_journal_pending_clear(self, 0);
        self->resolve = 0;
    } else
        free(incarnation);
    pthread_mutex_unlock(&self->lock);
    utapi_env_write_leave(&self->env);
    return status;
}

utapi_status utapi_journal_incarnations_load(journal *self, utapi_error *err)
{
    utapi_env_reader *reader;
    utapi_status status = utapi_env_read_begin(&self->env, &reader, err);
    if (status != UTAPI_OK)
        return status;
    MDB_txn *const txn = reader->txn;
    int rc = incarnations_load(self, txn);
    if (rc == 0)
        rc = utapi_journal_number_load(self, txn, "lost", &self->lost);
    if (rc == 0)
        rc = tombstones_load(self, txn);
    if (rc == 0)
        rc = utapi_journal_dead_letter_count(self, txn, &self->refused);
    if (rc == 0)
        rc = utapi_journal_acknowledged_load(self, txn, &self->acknowledged);
    utapi_env_read_end(&self->env, reader);
    if (rc != 0)
        return utapi_journal_fail(err, rc, "what was left");
    const journal_incarnation *waiting = utapi_journal_waiting_incarnation(self);
    if (waiting != NULL)
        self->oldest_ms = utapi_journal_accepted_at(self, waiting->number, waiting->applied);
    return utapi_journal_incarnation_begin(self, err);
}

void utapi_journal_incarnations_free(journal *self)
{
    for (journal_incarnation *incarnation; (incarnation = self->oldest) != NULL; free(incarnation))
        self->oldest = incarnation->next_incarnation;
    self->newest = NULL;
}

/* ---- how far they are --------------------------------------------------------------------- */

journal_incarnation *utapi_journal_waiting_incarnation(const journal *self)
{
    journal_incarnation *incarnation = self->oldest;
    while (incarnation != NULL && incarnation->applied >= incarnation->next)
        incarnation = incarnation->next_incarnation;
    return incarnation;
}

uint64_t utapi_journal_waiting(const journal *self)
{
    uint64_t waiting = 0;
    for (const journal_incarnation *incarnation = self->oldest; incarnation != NULL;
         incarnation = incarnation->next_incarnation)
        waiting += incarnation->next > incarnation->applied ? incarnation->next - incarnation->applied : 0;
    return waiting;
}

/* ---- gaps --------------------------------------------------------------------------------- */

/* Adds [from, to) to the gaps that are known; returns how many of its events were not in one yet. */
static uint64_t gaps_add(journal_incarnation *incarnation, uint64_t from, uint64_t to)
{
    journal_gap all = {.from = from, .to = to};
    uint64_t added = to - from;
    size_t kept = 0;
    for (size_t i = 0; i < incarnation->gap_count; i++) {
        const journal_gap gap = incarnation->gaps[i];
        if (gap.to < from || gap.from > to) {
            incarnation->gaps[kept++] = gap;
            continue;
        }
        const uint64_t low = gap.from > from ? gap.from : from;
        const uint64_t high = gap.to < to ? gap.to : to;
        added -= high - low;
        all.from = gap.from < all.from ? gap.from : all.from;
        all.to = gap.to > all.to ? gap.to : all.to;
    }
    if (kept == GAPS_MOST) /* the oldest one is let go of: it was counted */
        memmove(&incarnation->gaps[0], &incarnation->gaps[1], --kept * sizeof *incarnation->gaps);
    incarnation->gaps[kept++] = all;
    incarnation->gap_count = kept;
    return added;
}

utapi_status utapi_journal_gap_note(journal *self, journal_incarnation *incarnation, uint64_t from,
                                    uint64_t to, utapi_error *err)
{
    MDB_txn *txn = NULL;
    pthread_mutex_lock(&self->lock);
    journal_incarnation noted = *incarnation; /* only the delivery thread changes gaps */
    pthread_mutex_unlock(&self->lock);
    const uint64_t added = gaps_add(&noted, from, to);
    if (added == 0)
        return UTAPI_OK;
    utapi_status status = utapi_journal_write_begin(self, &txn, err);
    if (status != UTAPI_OK)
        return status;
    int rc = utapi_journal_number_put(self, txn, "lost", self->lost + added);
    if (rc == 0)
        rc = utapi_journal_incarnation_put(self, txn, &noted, noted.stored_applied);
    status =
        utapi_journal_write_end(self, txn, rc == 0 ? UTAPI_OK : utapi_journal_fail(err, rc, "a gap"), err);
    if (status == UTAPI_OK) {
        pthread_mutex_lock(&self->lock);
        memcpy(incarnation->gaps, noted.gaps, sizeof noted.gaps);
        incarnation->gap_count = noted.gap_count;
        self->lost += added;
        pthread_mutex_unlock(&self->lock);
    }
    utapi_env_write_leave(&self->env);
    return status;
}
