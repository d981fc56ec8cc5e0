/* SPDX-License-Identifier: Apache-2.0 */
/* lmdb_rows.c - a resource's rows of running totals: what is added, at the newest or before it, and what expires.
 *
 * The newest row of a resource stands in `resource`, where the rows that change lie close together; the first
 * write of a later interval moves it to `history`. */
#include "lmdb_internal.h"

#include "utapi/snapshot.h"

enum { RESOURCE_HEAD = 8 + 4 }; /* id, newest interval; then the row */

void utapi_lmdb_history_key(uint64_t id, utapi_interval interval, lmdb_key *ret)
{
    utapi_lmdbenv_put_u64(ret->bytes, id);
    utapi_lmdbenv_put_u32(ret->bytes + 8, utapi_interval_number(interval));
    ret->size = 8 + 4;
}

bool utapi_lmdb_history_is_of(MDB_val key, uint64_t id, utapi_interval *ret_interval)
{
    const unsigned char *bytes = key.mv_data;
    if (key.mv_size != 8 + 4 || utapi_lmdbenv_get_u64(bytes) != id)
        return false;
    *ret_interval = utapi_interval_at(utapi_lmdbenv_get_u32(bytes + 8));
    return true;
}

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

utapi_status utapi_lmdb_history_at(MDB_cursor *history, uint64_t id, utapi_interval interval,
                                   utapi_amounts *ret, bool *ret_found, utapi_error *err)
{
    MDB_val row;
    const int rc = utapi_lmdb_history_floor(history, id, interval, &row);
    *ret_found = rc == 0;
    if (rc == 0)
        return utapi_snapshot_decode(row.mv_data, row.mv_size, ret, err);
    return rc == MDB_NOTFOUND ? UTAPI_OK : utapi_lmdb_fail(err, rc, "looking a row up");
}

utapi_status utapi_lmdb_resource_decode(MDB_val value, lmdb_resource *ret, utapi_error *err)
{
    if (value.mv_size < RESOURCE_HEAD)
        return utapi_fail(err, UTAPI_CORRUPT, "a stored resource of %zu bytes is too short", value.mv_size);
    const unsigned char *bytes = value.mv_data;
    ret->id = utapi_lmdbenv_get_u64(bytes);
    ret->newest = utapi_interval_at(utapi_lmdbenv_get_u32(bytes + 8));
    return utapi_snapshot_decode(bytes + RESOURCE_HEAD, value.mv_size - RESOURCE_HEAD, &ret->totals, err);
}

static utapi_status resource_load(lmdb_write *write, const lmdb_key *key, lmdb_resource *ret,
                                  utapi_error *err)
{
    MDB_val value;
    bool found;
    const utapi_status status = utapi_lmdb_get(write, LMDB_RESOURCE, key, &value, &found, err);
    if (status != UTAPI_OK || found)
        return status == UTAPI_OK ? utapi_lmdb_resource_decode(value, ret, err) : status;
    ret->id = 0;
    ret->newest = LMDB_NO_ROWS;
    utapi_amounts_clear(&ret->totals);
    return UTAPI_OK;
}

static utapi_status resource_store(lmdb_write *write, const lmdb_key *key, const lmdb_resource *resource,
                                   utapi_error *err)
{
    unsigned char value[RESOURCE_HEAD + UTAPI_SNAPSHOT_MAX];
    utapi_lmdbenv_put_u64(value, resource->id);
    utapi_lmdbenv_put_u32(value + 8, utapi_interval_number(resource->newest));
    const size_t size = RESOURCE_HEAD + utapi_snapshot_encode(&resource->totals, value + RESOURCE_HEAD);
    return utapi_lmdb_put(write, LMDB_RESOURCE, key, value, size, err);
}

static utapi_status history_store(lmdb_write *write, const lmdb_resource *resource, utapi_error *err)
{
    lmdb_key key;
    unsigned char row[UTAPI_SNAPSHOT_MAX];
    utapi_lmdb_history_key(resource->id, resource->newest, &key);
    const size_t size = utapi_snapshot_encode(&resource->totals, row);
    return utapi_lmdb_put(write, LMDB_HISTORY, &key, row, size, err);
}

/* ---- what a resource takes ------------------------------------------------------------------- */

static void deltas_next(lmdb_deltas *deltas)
{
    deltas->more = false;
    if (deltas->aggregation == NULL) {
        if (deltas->once != NULL)
            deltas->next = *deltas->once;
        deltas->more = deltas->once != NULL;
        deltas->once = NULL;
        return;
    }
    while (!deltas->more &&
           utapi_aggregation_sum(deltas->aggregation, &deltas->run, deltas->not_before_ms, &deltas->next)) {
        deltas->counted = true;
        deltas->more = deltas->next.interval > deltas->after;
    }
}

/* ---- adding in the past ------------------------------------------------------------------- */

/* Two ascending sequences are merged in one walk: the rows of history, and the deltas that are earlier than the newest row.
 * A row takes the sum of all deltas up to it; a delta without a row makes one from the row before. */

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

/* Writes `before` as an interval's row, and moves on to the row after it. */
static utapi_status walk_put(late_walk *walk, utapi_interval interval, utapi_error *err)
{
    lmdb_key at;
    unsigned char row[UTAPI_SNAPSHOT_MAX];
    utapi_lmdb_history_key(walk->id, interval, &at);
    MDB_val key = utapi_lmdb_key_val(&at);
    MDB_val data = utapi_lmdbenv_val(row, utapi_snapshot_encode(&walk->before, row));
    const int rc = mdb_cursor_put(walk->history, &key, &data, 0);
    return rc == 0 ? walk_to(walk, &key, MDB_NEXT, err) : utapi_lmdb_fail(err, rc, "storing a late event");
}

/* Adds the deltas before the newest row, and leaves in deltas->sums what that one is to take. */
static utapi_status rows_add_late(lmdb_write *write, const lmdb_resource *resource, lmdb_deltas *deltas,
                                  utapi_error *err)
{
    late_walk walk = {.id = resource->id};
    const utapi_interval first = deltas->next.interval;
    lmdb_key at;
    bool has_before;
    utapi_status status = utapi_lmdb_cursor(write, LMDB_HISTORY, &walk.history, err);
    if (status == UTAPI_OK)
        status = utapi_lmdb_history_at(walk.history, walk.id, first - UTAPI_INTERVAL_MS, &walk.before,
                                       &has_before, err);
    if (status != UTAPI_OK)
        return status;
    if (!has_before)
        utapi_amounts_clear(&walk.before);
    utapi_lmdb_history_key(walk.id, first, &at);
    MDB_val key = utapi_lmdb_key_val(&at);
    status = walk_to(&walk, &key, MDB_SET_RANGE, err);
    while (status == UTAPI_OK) {
        const utapi_interval interval = deltas->next.interval;
        const bool is_late = deltas->more && interval < resource->newest;
        if (is_late && (!walk.at_row || interval <= walk.interval)) {
            utapi_sums_merge(&deltas->sums, &deltas->next.sums);
            if (!walk.at_row || interval < walk.interval) {
                status = utapi_amounts_add(&walk.before, &deltas->next.sums, err);
                if (status == UTAPI_OK)
                    status = walk_put(&walk, interval, err);
            }
            deltas_next(deltas);
        } else if (walk.at_row) {
            status = utapi_amounts_add(&walk.totals, &deltas->sums, err);
            utapi_amounts_copy(&walk.totals, &walk.before);
            if (status == UTAPI_OK)
                status = walk_put(&walk, walk.interval, err);
        } else
            break;
    }
    return status;
}

/* ---- adding at the newest ----------------------------------------------------------------- */

/* Each row is changed once, by the sum of all deltas up to it: a total that leaves 64 bits between two deltas and comes back
 * is no overflow. */
utapi_status utapi_lmdb_rows_add(lmdb_write *write, const lmdb_key *key, lmdb_deltas *deltas,
                                 utapi_error *err)
{
    deltas_next(deltas);
    if (!deltas->more)
        return UTAPI_OK;
    lmdb_resource resource = {.newest = LMDB_NO_ROWS};
    utapi_status status = resource_load(write, key, &resource, err);
    deltas->sums.present = 0;
    if (status == UTAPI_OK && deltas->next.interval < resource.newest)
        status = rows_add_late(write, &resource, deltas, err);
    for (; deltas->more && status == UTAPI_OK; deltas_next(deltas)) {
        if (resource.newest == LMDB_NO_ROWS)
            resource.id = write->next_id++;
        else if (deltas->next.interval !=
                 resource.newest) { /* the newest so far takes its due, and is history */
            status = utapi_amounts_add(&resource.totals, &deltas->sums, err);
            if (status == UTAPI_OK)
                status = history_store(write, &resource, err);
            deltas->sums.present = 0;
        }
        resource.newest = deltas->next.interval;
        utapi_sums_merge(&deltas->sums, &deltas->next.sums);
    }
    if (status == UTAPI_OK)
        status = utapi_amounts_add(&resource.totals, &deltas->sums, err);
    return status == UTAPI_OK ? resource_store(write, key, &resource, err) : status;
}

/* ---- expiry ------------------------------------------------------------------------------- */

/* Takes the first rows of a resource away, up to and including an interval. */
static utapi_status history_delete(lmdb_write *write, uint64_t id, utapi_interval until, utapi_error *err)
{
    MDB_cursor *history = NULL;
    utapi_status status = utapi_lmdb_cursor(write, LMDB_HISTORY, &history, err);
    lmdb_key first;
    utapi_lmdb_history_key(id, 0, &first);
    int rc = 0;
    while (status == UTAPI_OK && rc == 0) {
        MDB_val key = utapi_lmdb_key_val(&first);
        utapi_interval interval;
        rc = mdb_cursor_get(history, &key, NULL, MDB_SET_RANGE);
        if (rc == MDB_NOTFOUND ||
            (rc == 0 && (!utapi_lmdb_history_is_of(key, id, &interval) || interval > until)))
            return UTAPI_OK;
        if (rc == 0)
            rc = mdb_cursor_del(history, 0);
    }
    return rc == 0 ? status : utapi_lmdb_fail(err, rc, "deleting rows");
}

/* Takes base away from the rows of history after an interval; with `try`, only finds out whether that works. */
static utapi_status history_rebase(lmdb_write *write, uint64_t id, utapi_interval until,
                                   const utapi_amounts *base, bool try, utapi_error *err)
{
    MDB_cursor *history = NULL;
    utapi_status status = utapi_lmdb_cursor(write, LMDB_HISTORY, &history, err);
    if (status != UTAPI_OK || until >= UTAPI_INTERVAL_MAX)
        return status;
    lmdb_key at;
    utapi_lmdb_history_key(id, until + UTAPI_INTERVAL_MS, &at);
    MDB_val key = utapi_lmdb_key_val(&at);
    MDB_val row;
    utapi_interval interval;
    int rc = mdb_cursor_get(history, &key, &row, MDB_SET_RANGE);
    while (rc == 0 && utapi_lmdb_history_is_of(key, id, &interval)) {
        lmdb_resource later = {.id = id, .newest = interval};
        status = utapi_snapshot_decode(row.mv_data, row.mv_size, &later.totals, err);
        if (status == UTAPI_OK)
            status = utapi_amounts_subtract(&later.totals, base, err);
        if (status == UTAPI_OK && !try)
            status = history_store(write, &later, err);
        if (status != UTAPI_OK)
            return status;
        rc = mdb_cursor_get(history, &key, &row, MDB_NEXT);
    }
    return rc == 0 || rc == MDB_NOTFOUND ? UTAPI_OK : utapi_lmdb_fail(err, rc, "rows after an expiry");
}

utapi_status utapi_lmdb_rows_expire(lmdb_write *write, const lmdb_key *key, utapi_interval until,
                                    utapi_error *err)
{
    lmdb_resource resource = {.newest = LMDB_NO_ROWS};
    MDB_cursor *history = NULL;
    utapi_amounts base;
    bool found = false;
    utapi_status status = resource_load(write, key, &resource, err);
    if (status != UTAPI_OK || resource.newest == LMDB_NO_ROWS || until < 0)
        return status;
    if (until >= resource.newest) { /* nothing came after */
        status = history_delete(write, resource.id, until, err);
        return status == UTAPI_OK ? utapi_lmdb_del(write, LMDB_RESOURCE, key, err) : status;
    }
    status = utapi_lmdb_cursor(write, LMDB_HISTORY, &history, err);
    if (status == UTAPI_OK)
        status = utapi_lmdb_history_at(history, resource.id, until, &base, &found, err);
    if (status != UTAPI_OK || !found)
        return status;
    status = utapi_amounts_subtract(&resource.totals, &base, err);
    if (status == UTAPI_OK)
        status = history_rebase(write, resource.id, until, &base, true, err);
    if (status == UTAPI_OK)
        status = history_rebase(write, resource.id, until, &base, false, err);
    if (status == UTAPI_OK)
        status = history_delete(write, resource.id, until, err);
    return status == UTAPI_OK ? resource_store(write, key, &resource, err) : status;
}
