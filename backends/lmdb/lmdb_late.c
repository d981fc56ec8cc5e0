/* SPDX-License-Identifier: Apache-2.0 */
/* lmdb_late.c - what comes late: it changes the rows of history from its own interval on, in one walk.
 *
 * Two ascending sequences are merged: the rows of history and the cells that are earlier than the newest row.
 * A row takes the sum of all cells up to it; a cell without a row makes one from the row before. */
#include "lmdb_internal.h"

#include "utapi/snapshot.h"

int utapi_lmdb_history_floor(MDB_cursor *history, uint64_t id, utapi_interval interval, MDB_val *ret_row)
{
    lmdb_key wanted;
    if (interval < 0)
        return MDB_NOTFOUND;
    utapi_lmdb_history_key(id, interval < UTAPI_INTERVAL_MAX ? interval : UTAPI_INTERVAL_MAX, &wanted);
    MDB_val key = utapi_lmdb_key_val(&wanted);
    utapi_interval found;
    int rc = mdb_cursor_get(history, &key, ret_row, MDB_SET_RANGE);
    if (rc == 0 && utapi_lmdb_history_is_of(key, id, &found) && found <= interval)
        return 0;
    if (rc == 0)
        rc = mdb_cursor_get(history, &key, ret_row, MDB_PREV);
    else if (rc == MDB_NOTFOUND)
        rc = mdb_cursor_get(history, &key, ret_row, MDB_LAST);
    return rc == 0 && !utapi_lmdb_history_is_of(key, id, &found) ? MDB_NOTFOUND : rc;
}

/* Where the walk is. */
typedef struct late_walk {
    MDB_cursor *history;
    uint64_t id;
    bool at_row;             /* there is a row of history left */
    utapi_interval interval; /* of it */
    utapi_amounts totals;    /* of it */
    utapi_amounts before;    /* totals, as they are now, of the row before it */
} late_walk;

/* Moves to a row: SET_RANGE with *key, or NEXT. */
static utapi_status walk_to(late_walk *walk, MDB_val *key, MDB_cursor_op op, utapi_error *err)
{
    MDB_val row;
    const int rc = mdb_cursor_get(walk->history, key, &row, op);
    walk->at_row = rc == 0 && utapi_lmdb_history_is_of(*key, walk->id, &walk->interval);
    if (walk->at_row)
        return utapi_snapshot_decode(row.mv_data, row.mv_size, &walk->totals, err);
    return rc == 0 || rc == MDB_NOTFOUND ? UTAPI_OK : utapi_lmdb_fail(err, rc, "walking through history");
}

static utapi_status walk_begin(late_walk *walk, utapi_interval interval, utapi_error *err)
{
    MDB_val row;
    utapi_status status = UTAPI_OK;
    utapi_amounts_clear(&walk->before);
    const int rc = utapi_lmdb_history_floor(walk->history, walk->id, interval - UTAPI_INTERVAL_MS, &row);
    if (rc == 0)
        status = utapi_snapshot_decode(row.mv_data, row.mv_size, &walk->before, err);
    else if (rc != MDB_NOTFOUND)
        return utapi_lmdb_fail(err, rc, "the row before a late event");
    if (status != UTAPI_OK)
        return status;
    lmdb_key first;
    utapi_lmdb_history_key(walk->id, interval, &first);
    MDB_val key = utapi_lmdb_key_val(&first);
    return walk_to(walk, &key, MDB_SET_RANGE, err);
}

/* Writes a row, where the cursor then stands. */
static utapi_status walk_put(late_walk *walk, utapi_interval interval, const utapi_amounts *totals,
                             utapi_error *err)
{
    lmdb_key at;
    unsigned char row[UTAPI_SNAPSHOT_MAX];
    utapi_lmdb_history_key(walk->id, interval, &at);
    MDB_val key = utapi_lmdb_key_val(&at);
    MDB_val data = utapi_lmdbenv_val(row, utapi_snapshot_encode(totals, row));
    const int rc = mdb_cursor_put(walk->history, &key, &data, 0);
    return rc == 0 ? UTAPI_OK : utapi_lmdb_fail(err, rc, "storing a late event");
}

/* Takes the next cell; makes its row if there is none. */
static utapi_status walk_take_cell(late_walk *walk, lmdb_intake *intake, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    const utapi_interval interval = intake->cell.interval;
    utapi_sums_merge(&intake->sums, &intake->cell.sums);
    if (!walk->at_row || interval != walk->interval) {
        MDB_val key;
        status = utapi_amounts_add(&walk->before, &intake->cell.sums, err);
        if (status == UTAPI_OK)
            status = walk_put(walk, interval, &walk->before, err);
        if (status == UTAPI_OK)
            status = walk_to(walk, &key, MDB_NEXT, err);
    }
    utapi_lmdb_intake_next(intake);
    return status;
}

/* Adds the sum so far to the row, and moves on. */
static utapi_status walk_change_row(late_walk *walk, const lmdb_intake *intake, utapi_error *err)
{
    MDB_val key;
    utapi_status status = utapi_amounts_add(&walk->totals, &intake->sums, err);
    if (status == UTAPI_OK)
        status = walk_put(walk, walk->interval, &walk->totals, err);
    utapi_amounts_copy(&walk->totals, &walk->before);
    return status == UTAPI_OK ? walk_to(walk, &key, MDB_NEXT, err) : status;
}

utapi_status utapi_lmdb_rows_add_late(lmdb_write *write, const lmdb_resource *resource, lmdb_intake *intake,
                                      utapi_error *err)
{
    late_walk walk = {.id = resource->id};
    utapi_status status = utapi_lmdb_cursor(write, LMDB_HISTORY, &walk.history, err);
    if (status == UTAPI_OK)
        status = walk_begin(&walk, intake->cell.interval, err);
    while (status == UTAPI_OK) {
        const bool late = intake->more && intake->cell.interval < resource->newest;
        if (late && (!walk.at_row || intake->cell.interval <= walk.interval))
            status = walk_take_cell(&walk, intake, err);
        else if (walk.at_row)
            status = walk_change_row(&walk, intake, err);
        else
            break;
    }
    return status;
}
