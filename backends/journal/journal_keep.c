/* SPDX-License-Identifier: Apache-2.0 */
/* journal_keep.c - how long things stay: groups that were applied, uuids, appointments, and the epochs themselves.
 *
 * A group stays for a while after it was applied, measured on a clock that is never stepped and begins anew
 * with each start: so it stays longer rather than shorter. Only the drain thread notes marks. */
#include "journal_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* So many epochs stay known after nothing is left of them: what the storage loses of them is still counted. */
enum { DROP_SLICE = 1000, DUE_SLICE = 1000, EPOCHS_KEPT = 16 };

/* ---- marks -------------------------------------------------------------------------------- */

static void mark_set(const journal *self, journal_epoch *epoch, int64_t at_ms)
{
    if (epoch->mark_count > 0) {
        const journal_mark *last = &epoch->marks[epoch->mark_count - 1];
        if (last->applied > epoch->applied) /* it was sent again from earlier on */
            epoch->mark_count = 0;
        else if (at_ms - last->at_ms < self->keep_ms / (MARKS_MOST - 4))
            return;
    }
    if (epoch->mark_count == MARKS_MOST)
        memmove(&epoch->marks[0], &epoch->marks[1], --epoch->mark_count * sizeof *epoch->marks);
    epoch->marks[epoch->mark_count++] = (journal_mark){.at_ms = at_ms, .applied = epoch->applied};
}

/* What is earlier than this was kept long enough. */
static uint64_t kept_until(const journal *self, const journal_epoch *epoch, int64_t at_ms)
{
    uint64_t until = 0;
    for (size_t i = 0; i < epoch->mark_count && epoch->marks[i].at_ms <= at_ms - self->keep_ms; i++)
        until = epoch->marks[i].applied;
    return until < epoch->applied ? until : epoch->applied;
}

/* ---- groups ------------------------------------------------------------------------------- */

/* Deletes groups of an epoch that end at or before `until`: the next one's key tells where one ends. */
static int groups_drop(journal *self, MDB_txn *txn, uint32_t epoch, uint64_t next, uint64_t until,
                       size_t most, size_t *ret_dropped, uint64_t *ret_deleted)
{
    MDB_cursor *cursor = NULL;
    int rc = mdb_cursor_open(txn, self->env.tables[JOURNAL_ENTRY], &cursor);
    while (rc == 0 && *ret_dropped < most) {
        unsigned char bytes[ENTRY_KEY_SIZE];
        MDB_val value;
        utapi_journal_entry_key(epoch, 0, bytes);
        MDB_val key = utapi_lmdbenv_val(bytes, sizeof bytes);
        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
        if (rc != 0 || key.mv_size != ENTRY_KEY_SIZE || utapi_lmdbenv_get_u32(key.mv_data) != epoch)
            break;
        uint64_t end = next;
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        if (rc == 0 && key.mv_size == ENTRY_KEY_SIZE && utapi_lmdbenv_get_u32(key.mv_data) == epoch)
            end = utapi_lmdbenv_get_u64((const unsigned char *)key.mv_data + 4);
        if ((rc != 0 && rc != MDB_NOTFOUND) || end > until)
            break;
        utapi_journal_entry_key(epoch, 0, bytes);
        key = utapi_lmdbenv_val(bytes, sizeof bytes);
        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
        if (rc == 0)
            rc = mdb_cursor_del(cursor, 0);
        *ret_deleted = end;
        ++*ret_dropped;
    }
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* What a slice is to do with an epoch, and what it did. */
typedef struct drop {
    journal_epoch *epoch;
    uint64_t next, applied, until, deleted;
    bool ends; /* nothing is left of it */
} drop;

enum { DROPS_MOST = 64 };

/* What is stored never goes back: where nothing is kept it alone tells, after a restart, what the storage lost. */
static uint64_t applied_most(const journal_epoch *epoch)
{
    return epoch->applied > epoch->stored_applied ? epoch->applied : epoch->stored_applied;
}

/* The first epochs with which there is something to do: with the others it is another time's. */
static size_t drops_plan(journal *self, int64_t at_ms, bool at_once, drop *ret)
{
    size_t count = 0;
    pthread_mutex_lock(&self->lock);
    for (journal_epoch *epoch = self->oldest; epoch != NULL && count < DROPS_MOST;
         epoch = epoch->next_epoch) {
        const uint64_t until = at_once ? epoch->applied : kept_until(self, epoch, at_ms);
        if (until <= epoch->deleted && (at_once || epoch->applied <= epoch->stored_applied))
            continue;
        ret[count++] = (drop){.epoch = epoch,
                              .next = epoch->next,
                              .applied = applied_most(epoch),
                              .until = until,
                              .deleted = epoch->deleted};
    }
    pthread_mutex_unlock(&self->lock);
    return count;
}

static int drop_run(journal *self, MDB_txn *txn, drop *todo, size_t most, size_t *ret_dropped)
{
    int rc = 0;
    if (todo->until > todo->deleted)
        rc = groups_drop(self, txn, todo->epoch->number, todo->next, todo->until, most, ret_dropped,
                         &todo->deleted);
    if (rc == 0 && (todo->applied != todo->epoch->stored_applied || todo->deleted != todo->epoch->deleted))
        rc = utapi_journal_epoch_put(self, txn, todo->epoch, todo->applied);
    return rc;
}

static void drops_publish(journal *self, const drop *drops, size_t count)
{
    pthread_mutex_lock(&self->lock);
    for (size_t i = 0; i < count; i++) {
        drops[i].epoch->deleted = drops[i].deleted;
        drops[i].epoch->stored_applied = drops[i].applied;
    }
    pthread_mutex_unlock(&self->lock);
}

utapi_status utapi_journal_drop_applied(journal *self, size_t most, size_t *ret_dropped, utapi_error *err)
{
    MDB_txn *txn = NULL;
    drop drops[DROPS_MOST];
    *ret_dropped = 0;
    utapi_status status = utapi_journal_write_begin(self, &txn, err);
    if (status != UTAPI_OK)
        return status;
    const size_t count = drops_plan(self, 0, true, drops);
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = drop_run(self, txn, &drops[i], most, ret_dropped);
    status = rc == 0 ? UTAPI_OK : utapi_journal_fail(err, rc, "making room");
    status = utapi_journal_write_end(self, txn, status, err);
    if (status == UTAPI_OK)
        drops_publish(self, drops, count);
    utapi_lmdbenv_write_leave(&self->env);
    return status;
}

/* ---- appointments and epochs that are over ------------------------------------------------ */

/* Appointments earlier than all that is kept can part no groups any more. */
static int due_drop(journal *self, MDB_txn *txn, int64_t before_ms)
{
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    int rc = mdb_cursor_open(txn, self->env.tables[JOURNAL_DUE], &cursor);
    for (size_t i = 0; rc == 0 && i < DUE_SLICE; i++) {
        rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
        if (rc != 0 || (key.mv_size == 8 && utapi_lmdbenv_get_u64(key.mv_data) >= (uint64_t)before_ms))
            break;
        rc = mdb_cursor_del(cursor, 0);
    }
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static bool epoch_is_over(const journal *self, const journal_epoch *epoch)
{
    return epoch != self->newest && epoch->applied >= epoch->next && epoch->deleted >= epoch->next;
}

static int epoch_forget(journal *self, MDB_txn *txn, const journal_epoch *epoch)
{
    unsigned char number[4];
    utapi_lmdbenv_put_u32(number, epoch->number);
    MDB_val key = utapi_lmdbenv_val(number, sizeof number);
    const int rc = mdb_del(txn, self->env.tables[JOURNAL_WRITER], &key, NULL);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* The oldest epoch if it is over, and enough later ones are there. */
static journal_epoch *epoch_ended(journal *self)
{
    size_t count = 0;
    pthread_mutex_lock(&self->lock);
    journal_epoch *oldest = self->oldest;
    for (const journal_epoch *epoch = oldest; epoch != NULL && count <= EPOCHS_KEPT;
         epoch = epoch->next_epoch)
        count++;
    const bool ended = count > EPOCHS_KEPT && epoch_is_over(self, oldest);
    pthread_mutex_unlock(&self->lock);
    return ended ? oldest : NULL;
}

static utapi_status epoch_end(journal *self, journal_epoch *epoch, utapi_error *err)
{
    MDB_txn *txn = NULL;
    utapi_status status = utapi_journal_write_begin(self, &txn, err);
    if (status != UTAPI_OK)
        return status;
    const int rc = epoch_forget(self, txn, epoch);
    status = rc == 0 ? UTAPI_OK : utapi_journal_fail(err, rc, "a writer");
    status = utapi_journal_write_end(self, txn, status, err);
    if (status == UTAPI_OK) {
        pthread_mutex_lock(&self->lock);
        self->oldest = epoch->next_epoch;
        pthread_mutex_unlock(&self->lock);
        free(epoch);
    }
    utapi_lmdbenv_write_leave(&self->env);
    return status;
}

static utapi_status epochs_end(journal *self, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    for (journal_epoch *epoch; status == UTAPI_OK && (epoch = epoch_ended(self)) != NULL;)
        status = epoch_end(self, epoch, err);
    return status;
}

/* ---- each second -------------------------------------------------------------------------- */

static int upkeep_run(journal *self, MDB_txn *txn, drop *drops, size_t count, int64_t accepted_ms)
{
    size_t dropped = 0;
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = drop_run(self, txn, &drops[i], DROP_SLICE, &dropped);
    if (rc == 0 && utapi_journal_seen_expire(self, txn, accepted_ms, JOURNAL_SEEN_SLICE, NULL) != UTAPI_OK)
        rc = MDB_BAD_TXN;
    return rc;
}

utapi_status utapi_journal_upkeep(journal *self, utapi_error *err)
{
    MDB_txn *txn = NULL;
    drop drops[DROPS_MOST];
    const int64_t at_ms = self->tuning.monotonic_ms();
    pthread_mutex_lock(&self->lock);
    const bool full = self->full;
    for (journal_epoch *epoch = self->oldest; epoch != NULL; epoch = epoch->next_epoch)
        mark_set(self, epoch, at_ms);
    assert(self->oldest != NULL); /* there is always the epoch that takes */
    const int64_t accepted_ms = self->accepted_ms;
    const uint32_t oldest = self->oldest->number;
    const uint64_t deleted = self->oldest->deleted;
    pthread_mutex_unlock(&self->lock);
    if (full) /* those who were refused may be long in coming back: it is not theirs to find room */
        (void)!utapi_journal_make_room(self, NULL);

    const bool expired =
        self->sweep_size == 0 && self->expired_ms == accepted_ms; /* takers need not be waited for */
    if (drops_plan(self, at_ms, false, drops) == 0 && expired)
        return epochs_end(self, err);
    const int64_t kept_from_ms = utapi_journal_taken_at(self, oldest, deleted);
    utapi_status status = utapi_journal_write_begin(self, &txn, err);
    if (status != UTAPI_OK)
        return status;
    const size_t count = drops_plan(self, at_ms, false, drops);
    int rc = upkeep_run(self, txn, drops, count, accepted_ms);
    if (rc == 0 && kept_from_ms > 0)
        rc = due_drop(self, txn, kept_from_ms);
    status = rc == 0 ? UTAPI_OK : utapi_journal_fail(err, rc, "upkeep");
    status = utapi_journal_write_end(self, txn, status, err);
    if (status == UTAPI_OK) {
        drops_publish(self, drops, count);
        self->expired_ms = accepted_ms;
    }
    utapi_lmdbenv_write_leave(&self->env);
    return status == UTAPI_OK ? epochs_end(self, err) : status;
}
