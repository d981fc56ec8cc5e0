/* SPDX-License-Identifier: Apache-2.0 */
/* journal_retention.c - how long things stay: groups that are stored, uuids, scheduled expiries, and incarnations.
 *
 * A group stays for a while after it was stored, so that there is something to send if the storage loses it. The while
 * is measured on a clock that is never stepped and begins anew with each start: so it stays longer rather than shorter.
 * Where room runs out, groups that are stored go sooner. */
#include "journal_store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROOM_SLICE = 2000,
    DROP_SLICE = 1000,
    DUE_SLICE = 1000,
    DEDUP_SLICE = 2000, /* short beside a sync of the disk */
    DROPS_MAX = 64,
    INCARNATIONS_KEPT =
        16 /* so many stay known after nothing is left of them: what is lost of them still counts */
};

/* ---- what may go, with the lock held ------------------------------------------------------ */

static void mark_set(const journal_log *log, journal_incarnation *one, int64_t at_ms)
{
    if (one->mark_count > 0 &&
        at_ms - one->marks[one->mark_count - 1].at_ms < log->retention_ms / (JOURNAL_MARKS_MAX - 4))
        return;
    if (one->mark_count == JOURNAL_MARKS_MAX)
        memmove(&one->marks[0], &one->marks[1], --one->mark_count * sizeof *one->marks);
    one->marks[one->mark_count++] = (journal_mark){.at_ms = at_ms, .stored = one->stored};
}

/* What is earlier than this was kept long enough. */
static uint64_t kept_until(const journal_log *log, const journal_incarnation *one, int64_t at_ms)
{
    uint64_t until = 0;
    for (size_t i = 0; i < one->mark_count && one->marks[i].at_ms <= at_ms - log->retention_ms; i++)
        until = one->marks[i].stored;
    return until < one->stored ? until : one->stored;
}

/* What is to be done with an incarnation, and what was done. */
typedef struct drop {
    journal_incarnation *one;
    uint64_t next, until;
    uint64_t
        noted; /* never goes back: where nothing is kept it alone tells, after a restart, what was lost */
    uint64_t kept_from;
} drop;

/* The first incarnations with which there is something to do: with the others it is another time's. */
static size_t drops_plan(journal_log *log, int64_t at_ms, bool at_once, drop ret[static DROPS_MAX])
{
    size_t count = 0;
    pthread_mutex_lock(&log->lock);
    for (journal_incarnation *one = log->oldest; one != NULL && count < DROPS_MAX; one = one->next_one) {
        const uint64_t until = at_once ? one->stored : kept_until(log, one, at_ms);
        if (until > one->kept_from || (!at_once && one->stored > one->noted))
            ret[count++] = (drop){.one = one,
                                  .next = one->next,
                                  .until = until,
                                  .noted = one->stored > one->noted ? one->stored : one->noted,
                                  .kept_from = one->kept_from};
    }
    pthread_mutex_unlock(&log->lock);
    return count;
}

/* ---- dropping groups ---------------------------------------------------------------------- */

/* Where the first record of an incarnation ends: the next one's key tells. The cursor stands on the first one
 * afterwards; MDB_NOTFOUND: there is none. */
static int first_end(MDB_cursor *cursor, const drop *todo, uint64_t *ret_end)
{
    unsigned char bytes[JOURNAL_KEY_SIZE];
    const uint32_t number = todo->one->number;
    MDB_val value;
    uint64_t sequence;
    utapi_journal_key(number, todo->kept_from, bytes);
    MDB_val key = utapi_lmdbenv_val(bytes, sizeof bytes);
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    if (rc != 0 || !utapi_journal_key_is_of(key, number, &sequence))
        return rc != 0 ? rc : MDB_NOTFOUND;
    rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    *ret_end = rc == 0 && utapi_journal_key_is_of(key, number, &sequence) ? sequence : todo->next;
    if (rc == 0)
        return mdb_cursor_get(cursor, &key, &value, MDB_PREV);
    return rc == MDB_NOTFOUND ? mdb_cursor_get(cursor, &key, &value, MDB_LAST) : rc;
}

/* Deletes records that end at or before todo->until, as long as fewer than `max` were, and notes how far events
 * are stored. */
static int drop_run(journal_log *log, MDB_txn *txn, drop *todo, size_t max, size_t *dropped)
{
    MDB_cursor *cursor = NULL;
    uint64_t end = 0;
    int rc = mdb_cursor_open(txn, log->env.tables[JOURNAL_ENTRY], &cursor);
    while (rc == 0 && todo->kept_from < todo->until && *dropped < max) {
        rc = first_end(cursor, todo, &end);
        if (rc != 0 || end > todo->until)
            break;
        rc = mdb_cursor_del(cursor, 0);
        todo->kept_from = end;
        ++*dropped;
    }
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    if (rc == MDB_NOTFOUND) /* a part that could not be read, or never came to be */
        todo->kept_from = todo->until;
    else if (rc != 0)
        return rc;
    if (todo->noted == todo->one->noted && todo->kept_from == todo->one->kept_from)
        return 0;
    return utapi_journal_incarnation_put(log, txn, todo->one, todo->noted);
}

static int drops_run(journal_log *log, MDB_txn *txn, drop *drops, size_t count, size_t max,
                     size_t *ret_dropped)
{
    int rc = 0;
    *ret_dropped = 0;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = drop_run(log, txn, &drops[i], max, ret_dropped);
    return rc;
}

static void drops_publish(journal_log *log, const drop *drops, size_t count)
{
    pthread_mutex_lock(&log->lock);
    for (size_t i = 0; i < count; i++) {
        drops[i].one->kept_from = drops[i].kept_from;
        drops[i].one->noted = drops[i].noted;
    }
    pthread_mutex_unlock(&log->lock);
}

utapi_status utapi_journal_drop_stored(journal_log *log, size_t max, size_t *ret_dropped, utapi_error *err)
{
    MDB_txn *txn = NULL;
    drop drops[DROPS_MAX];
    utapi_status status = utapi_journal_write_begin(log, &txn, err);
    if (status != UTAPI_OK)
        return status;
    const size_t count = drops_plan(log, 0, true, drops);
    const int rc = drops_run(log, txn, drops, count, max, ret_dropped);
    status = utapi_journal_write_end(log, txn, utapi_journal_code(err, rc, "making room"), err);
    if (status == UTAPI_OK)
        drops_publish(log, drops, count);
    utapi_lmdbenv_write_leave(&log->env);
    return status;
}

/* ---- room --------------------------------------------------------------------------------- */

/* Deletes slice by slice what is stored, until there is room, or nothing is left to delete. */
static utapi_status room_search(journal_log *log, utapi_error *err)
{
    const uint64_t limit = utapi_lmdbenv_room_pages(&log->env);
    for (size_t dropped = ROOM_SLICE;;) {
        uint64_t used;
        utapi_status status = utapi_lmdbenv_used_pages(&log->env, limit, &used, err);
        if (status != UTAPI_OK)
            return status;
        if (used <= limit || dropped == 0) {
            pthread_mutex_lock(&log->lock);
            log->full = used > limit;
            pthread_mutex_unlock(&log->lock);
            return used <= limit ? UTAPI_OK : utapi_lmdbenv_fail_full(&log->env, used, err);
        }
        status = utapi_journal_drop_stored(log, ROOM_SLICE, &dropped, err);
        if (status != UTAPI_OK)
            return status;
    }
}

/* Whoever comes while another searches, searches too: nobody is let through before room was found. */
utapi_status utapi_journal_make_room(journal_log *log, uint64_t size, utapi_error *err)
{
    pthread_mutex_lock(&log->env.writing);
    log->accepted_since += size;
    const bool due = log->accepted_since > log->env.reserve_pages * log->env.page_size / 16;
    pthread_mutex_unlock(&log->env.writing);
    if (!due)
        return UTAPI_OK;
    const utapi_status status = room_search(log, err);
    if (status != UTAPI_OK)
        return status;
    pthread_mutex_lock(&log->env.writing);
    log->accepted_since = size;
    pthread_mutex_unlock(&log->env.writing);
    return UTAPI_OK;
}

/* ---- incarnations that are over ----------------------------------------------------------- */

/* The oldest incarnation if nothing is left of it, and enough later ones are there. */
static journal_incarnation *oldest_ended(journal_log *log)
{
    size_t count = 0;
    pthread_mutex_lock(&log->lock);
    journal_incarnation *oldest = log->oldest;
    for (const journal_incarnation *one = oldest; one != NULL && count <= INCARNATIONS_KEPT;
         one = one->next_one)
        count++;
    const bool ended =
        count > INCARNATIONS_KEPT && oldest->stored >= oldest->next && oldest->kept_from >= oldest->next;
    pthread_mutex_unlock(&log->lock);
    return ended ? oldest : NULL;
}

static utapi_status incarnations_end(journal_log *log, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    for (journal_incarnation *one; status == UTAPI_OK && (one = oldest_ended(log)) != NULL;) {
        MDB_txn *txn = NULL;
        unsigned char number[4];
        status = utapi_journal_write_begin(log, &txn, err);
        if (status != UTAPI_OK)
            break;
        utapi_lmdbenv_put_u32(number, one->number);
        MDB_val key = utapi_lmdbenv_val(number, sizeof number);
        const int rc = mdb_del(txn, log->env.tables[JOURNAL_WRITER], &key, NULL);
        status = utapi_journal_write_end(
            log, txn, utapi_journal_code(err, rc == MDB_NOTFOUND ? 0 : rc, "a writer"), err);
        if (status == UTAPI_OK) {
            pthread_mutex_lock(&log->lock);
            log->oldest = one->next_one;
            pthread_mutex_unlock(&log->lock);
            free(one);
        }
        utapi_lmdbenv_write_leave(&log->env);
    }
    return status;
}

/* ---- each second -------------------------------------------------------------------------- */

/* Scheduled expiries earlier than all that is kept can part no groups any more. */
static int dues_drop(journal_log *log, MDB_txn *txn, int64_t before_ms)
{
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    int rc = mdb_cursor_open(txn, log->env.tables[JOURNAL_DUE], &cursor);
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

utapi_status utapi_journal_log_maintain(journal_log *log, int64_t accepted_ms, utapi_error *err)
{
    MDB_txn *txn = NULL;
    utapi_status status = utapi_journal_write_begin(log, &txn, err);
    if (status != UTAPI_OK)
        return status;
    status = utapi_dedup_expire(&log->dedup, txn, accepted_ms, DEDUP_SLICE, err);
    status = utapi_journal_write_end(log, txn, status, err);
    utapi_lmdbenv_write_leave(&log->env);
    return status;
}

utapi_status utapi_journal_log_retain(journal_log *log, int64_t accepted_ms, utapi_error *err)
{
    MDB_txn *txn = NULL;
    drop drops[DROPS_MAX];
    size_t dropped = 0;
    const int64_t at_ms = log->monotonic_ms();
    pthread_mutex_lock(&log->lock);
    assert(log->oldest != NULL); /* there is always the incarnation that accepts */
    const bool full = log->full;
    const uint32_t oldest = log->oldest->number;
    const uint64_t kept_from = log->oldest->kept_from;
    for (journal_incarnation *one = log->oldest; one != NULL; one = one->next_one)
        mark_set(log, one, at_ms);
    pthread_mutex_unlock(&log->lock);
    if (full) /* those who were refused may be long in coming back: it is not theirs to find room */
        (void)!utapi_journal_make_room(log, 0, NULL);

    const bool uuids_are_done = utapi_dedup_round_ended(&log->dedup) && log->expired_ms == accepted_ms;
    if (drops_plan(log, at_ms, false, drops) == 0 && uuids_are_done)
        return incarnations_end(log, err); /* without a write: nobody need wait for it */
    const int64_t kept_from_ms = utapi_journal_log_accepted_at(log, oldest, kept_from);
    utapi_status status = utapi_journal_write_begin(log, &txn, err);
    if (status != UTAPI_OK)
        return status;
    const size_t count = drops_plan(log, at_ms, false, drops); /* an append may have made room since */
    int rc = drops_run(log, txn, drops, count, DROP_SLICE, &dropped);
    if (rc == 0 && kept_from_ms > 0)
        rc = dues_drop(log, txn, kept_from_ms);
    status = utapi_journal_code(err, rc, "retention");
    if (status == UTAPI_OK)
        status = utapi_dedup_expire(&log->dedup, txn, accepted_ms, DEDUP_SLICE, err);
    status = utapi_journal_write_end(log, txn, status, err);
    if (status == UTAPI_OK) {
        drops_publish(log, drops, count);
        log->expired_ms = accepted_ms;
    }
    utapi_lmdbenv_write_leave(&log->env);
    return status == UTAPI_OK ? incarnations_end(log, err) : status;
}
