/* SPDX-License-Identifier: Apache-2.0 */
/* lmdb_rows.c - a resource's rows of running totals: what is added, at the newest or before it, and what expires.
 *
 * The newest row of a resource stands in `resource`, where the rows that change lie close together; the first
 * write of a later interval moves it to `history`. It holds what is true. A row of history is less than that by the
 * late deltas up to it (rows/late.h): those of `late`, and those that the newest row holds. */
#include "lmdb_internal.h"

#include <string.h>

enum { RESOURCE_HEAD = 8 + 4 }; /* id, newest interval; then the row */

int utapi_lmdb_history_floor(MDB_cursor *history, uint64_t id, utapi_interval interval, MDB_val *ret_row)
{
    lmdb_key wanted;
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
        return utapi_snapshot_decode(row.mv_data, row.mv_size, ret, NULL, err);
    return rc == MDB_NOTFOUND ? UTAPI_OK : utapi_lmdb_fail(err, rc, "looking a row up");
}

/* ---- rows as bytes ------------------------------------------------------------------------ */

utapi_status utapi_lmdb_resource_decode(MDB_val value, lmdb_resource *ret, utapi_error *err)
{
    if (value.mv_size < RESOURCE_HEAD)
        return utapi_fail(err, UTAPI_CORRUPT, "a stored resource of %zu bytes is too short", value.mv_size);
    const unsigned char *bytes = value.mv_data;
    ret->id = utapi_lmdbenv_get_u64(bytes);
    ret->newest = utapi_interval_at(utapi_lmdbenv_get_u32(bytes + 8));
    return utapi_snapshot_decode(bytes + RESOURCE_HEAD, value.mv_size - RESOURCE_HEAD, &ret->totals,
                                 &ret->fields, err);
}

static utapi_status resource_load(lmdb_write *write, const lmdb_key *key, lmdb_resource *ret,
                                  utapi_error *err)
{
    MDB_val value;
    bool found;
    ret->id = 0;
    ret->newest = LMDB_NO_ROWS;
    ret->fields = (utapi_snapshot_fields){.has_late = false};
    utapi_amounts_clear(&ret->totals);
    utapi_status status = utapi_lmdb_get(write, LMDB_RESOURCE, key, &value, &found, err);
    if (status == UTAPI_OK && found)
        status = utapi_lmdb_resource_decode(value, ret, err);
    if (status == UTAPI_OK && ret->fields.held_size > 0) /* what is borrowed goes with the next write */
        ret->fields.held = memcpy(ret->held, ret->fields.held, ret->fields.held_size);
    return status;
}

static utapi_status resource_store(lmdb_write *write, const lmdb_key *key, const lmdb_resource *resource,
                                   utapi_error *err)
{
    unsigned char value[RESOURCE_HEAD + UTAPI_SNAPSHOT_MAX];
    size_t size;
    utapi_lmdbenv_put_u64(value, resource->id);
    utapi_lmdbenv_put_u32(value + 8, utapi_interval_number(resource->newest));
    const utapi_status status =
        utapi_lmdb_row_encode(write, &resource->totals, &resource->fields, value + RESOURCE_HEAD, &size, err);
    return status == UTAPI_OK ? utapi_lmdb_put(write, LMDB_RESOURCE, key, value, RESOURCE_HEAD + size, err)
                              : status;
}

/* Stores a row of history as it is. */
static utapi_status history_put(lmdb_write *write, uint64_t id, utapi_interval interval,
                                const utapi_amounts *stored, utapi_error *err)
{
    lmdb_key key;
    unsigned char row[UTAPI_SNAPSHOT_MAX];
    size_t size;
    utapi_lmdb_history_key(id, interval, &key);
    const utapi_status status = utapi_lmdb_row_encode(write, stored, NULL, row, &size, err);
    return status == UTAPI_OK ? utapi_lmdb_put(write, LMDB_HISTORY, &key, row, size, err) : status;
}

/* The newest row becomes history. */
static utapi_status newest_leave(lmdb_write *write, const lmdb_resource *resource, utapi_error *err)
{
    if (!utapi_lmdb_late_any(resource))
        return history_put(write, resource->id, resource->newest, &resource->totals, err);
    MDB_cursor *late = NULL;
    utapi_amounts sum = {.present = 0}, stored;
    utapi_status status = utapi_lmdb_cursor(write, LMDB_LATE, &late, err);
    if (status == UTAPI_OK)
        status = utapi_lmdb_late_sum(late, resource, resource->newest, &sum, err);
    utapi_amounts_copy(&resource->totals, &stored);
    utapi_amounts_subtract(&stored, &sum);
    return status == UTAPI_OK ? history_put(write, resource->id, resource->newest, &stored, err) : status;
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

/* From which interval on late deltas rewrite rows: no more than a few rows are later, of the first few resources. */
static utapi_status rewriting_begin(lmdb_write *write, const lmdb_resource *resource, utapi_interval first,
                                    utapi_interval *ret, utapi_error *err)
{
    MDB_cursor *history = NULL;
    utapi_status status = utapi_lmdb_cursor(write, LMDB_HISTORY, &history, err);
    MDB_val key, row;
    *ret = resource->newest;
    if (status != UTAPI_OK || write->rewritten == UTAPI_LATE_REWRITTEN)
        return status;
    int rc = utapi_lmdb_history_floor(history, resource->id, resource->newest, &row);
    for (unsigned later = 0; rc == 0 && *ret > first; later++) {
        rc = mdb_cursor_get(history, &key, &row, later == 0 ? MDB_GET_CURRENT : MDB_PREV);
        if (rc == 0 && !utapi_lmdb_history_is_of(key, resource->id, ret))
            rc = MDB_NOTFOUND;
        if (rc == 0 && later == UTAPI_LATE_FEW_ROWS)
            return UTAPI_OK;
    }
    *ret = rc == MDB_NOTFOUND ? first : *ret; /* there are no more rows than that */
    return rc == 0 || rc == MDB_NOTFOUND ? UTAPI_OK : utapi_lmdb_fail(err, rc, "counting rows");
}

/* Where rewriting is: two ascending sequences are merged in one walk. A row takes the sum of all deltas up to it; a
 * delta without a row makes one from the row before. */
typedef struct row_walk {
    MDB_cursor *history;
    uint64_t id;
    bool at_row;             /* there is a row of history left */
    utapi_interval interval; /* of it */
    utapi_amounts totals;    /* of it, as it is stored, like */
    utapi_amounts before;    /* those of the row before it as they are now */
} row_walk;

/* Moves to a row: SET_RANGE with *key, or NEXT. */
static utapi_status walk_to(row_walk *walk, MDB_val *key, MDB_cursor_op op, utapi_error *err)
{
    MDB_val row;
    const int rc = mdb_cursor_get(walk->history, key, &row, op);
    walk->at_row = rc == 0 && utapi_lmdb_history_is_of(*key, walk->id, &walk->interval);
    if (walk->at_row)
        return utapi_snapshot_decode(row.mv_data, row.mv_size, &walk->totals, NULL, err);
    return rc == 0 || rc == MDB_NOTFOUND ? UTAPI_OK : utapi_lmdb_fail(err, rc, "walking through history");
}

/* Writes `before` as an interval's row, and moves on to the row after it. */
static utapi_status walk_put(lmdb_write *write, row_walk *walk, utapi_interval interval, utapi_error *err)
{
    MDB_val key;
    const utapi_status status = history_put(write, walk->id, interval, &walk->before, err);
    return status == UTAPI_OK ? walk_to(walk, &key, MDB_NEXT, err) : status;
}

static utapi_status rows_rewrite(lmdb_write *write, lmdb_resource *resource, lmdb_deltas *deltas,
                                 utapi_error *err)
{
    row_walk walk = {.id = resource->id};
    const utapi_interval first = deltas->next.interval;
    utapi_amounts sums = {.present = 0};
    lmdb_key at;
    bool has_before;
    write->rewritten++;
    utapi_status status = utapi_lmdb_cursor(write, LMDB_HISTORY, &walk.history, err);
    if (status == UTAPI_OK)
        status = utapi_lmdb_history_at(walk.history, walk.id, first, &walk.before, &has_before, err);
    if (status != UTAPI_OK)
        return status;
    if (!has_before) /* a row at `first` itself is written anew before anything is made from it */
        utapi_amounts_clear(&walk.before);
    utapi_lmdb_history_key(walk.id, first, &at);
    MDB_val key = utapi_lmdb_key_val(&at);
    status = walk_to(&walk, &key, MDB_SET_RANGE, err);
    while (status == UTAPI_OK) {
        const utapi_interval_delta *next = &deltas->next;
        const bool is_late = deltas->more && next->interval < resource->newest;
        if (is_late && (!walk.at_row || next->interval <= walk.interval)) {
            utapi_amounts_add(&sums, &next->sums);
            if (!walk.at_row || next->interval < walk.interval) {
                utapi_amounts_add(&walk.before, &next->sums);
                status = walk_put(write, &walk, next->interval, err);
            }
            deltas_next(deltas);
        } else if (walk.at_row) {
            utapi_amounts_copy(&walk.totals, &walk.before);
            utapi_amounts_add(&walk.before, &sums);
            status = walk_put(write, &walk, walk.interval, err);
        } else
            break;
    }
    utapi_amounts_add(&resource->totals, &sums);
    return status;
}

/* Puts the deltas before an interval among those that the newest row holds. False, and nothing changed: there is not
 * room for all, or what it holds cannot be read. */
static bool late_hold(lmdb_resource *resource, lmdb_deltas *deltas, utapi_interval before)
{
    const lmdb_deltas begin = *deltas;
    utapi_late_walk walk = utapi_late_held(&resource->fields);
    utapi_late_holding holding = {.size = 0};
    utapi_amounts sums = {.present = 0};
    utapi_interval_delta held;
    bool more = utapi_late_held_next(&walk, &held), fits = true;
    while (fits && (more || (deltas->more && deltas->next.interval < before))) {
        utapi_interval_delta *next = &deltas->next;
        const bool is_late = deltas->more && next->interval < before;
        if (more && (!is_late || held.interval < next->interval)) {
            fits = utapi_late_hold(&holding, &held);
            more = utapi_late_held_next(&walk, &held);
            continue;
        }
        utapi_amounts_add(&sums, &next->sums);
        if (more && held.interval == next->interval) {
            utapi_amounts_add(&next->sums, &held.sums);
            more = utapi_late_held_next(&walk, &held);
        }
        fits = utapi_late_hold(&holding, next);
        deltas_next(deltas);
    }
    if (!fits || utapi_late_held_end(&walk, NULL) != UTAPI_OK) {
        *deltas = begin;
        return false;
    }
    resource->fields.held = memcpy(resource->held, holding.bytes, holding.size);
    resource->fields.held_size = holding.size;
    utapi_amounts_add(&resource->totals, &sums);
    return true;
}

/* Keeps the deltas before an interval beside the rows. */
static utapi_status late_keep(lmdb_write *write, lmdb_resource *resource, lmdb_deltas *deltas,
                              utapi_interval before, utapi_error *err)
{
    lmdb_late late;
    if (late_hold(resource, deltas, before))
        return UTAPI_OK;
    if (resource->fields.held_size > 0) {
        const utapi_status status = utapi_lmdb_late_release(write, resource, err);
        if (status != UTAPI_OK || late_hold(resource, deltas, before))
            return status;
    }
    utapi_lmdb_late_begin(resource->id, &late);
    utapi_status status = UTAPI_OK;
    for (; status == UTAPI_OK && deltas->more && deltas->next.interval < before; deltas_next(deltas)) {
        status = utapi_lmdb_late_add(write, &late, deltas->next.interval, &deltas->next.sums, err);
        utapi_amounts_add(&resource->totals, &deltas->next.sums);
        resource->fields.has_late = true;
    }
    return status == UTAPI_OK ? utapi_lmdb_late_end(write, &late, err) : status;
}

/* Counts the deltas before the newest row. */
static utapi_status rows_add_late(lmdb_write *write, lmdb_resource *resource, lmdb_deltas *deltas,
                                  utapi_error *err)
{
    utapi_interval from = resource->newest;
    utapi_status status = rewriting_begin(write, resource, deltas->next.interval, &from, err);
    if (status == UTAPI_OK && deltas->next.interval < from)
        status = late_keep(write, resource, deltas, from, err);
    if (status == UTAPI_OK && deltas->more && deltas->next.interval < resource->newest)
        status = rows_rewrite(write, resource, deltas, err);
    return status;
}

/* ---- adding at the newest ----------------------------------------------------------------- */

utapi_status utapi_lmdb_rows_add(lmdb_write *write, const lmdb_key *key, lmdb_deltas *deltas,
                                 utapi_error *err)
{
    deltas_next(deltas);
    if (!deltas->more)
        return UTAPI_OK;
    lmdb_resource resource;
    utapi_status status = resource_load(write, key, &resource, err);
    if (status == UTAPI_OK && deltas->next.interval < resource.newest)
        status = rows_add_late(write, &resource, deltas, err);
    for (; deltas->more && status == UTAPI_OK; deltas_next(deltas)) {
        if (resource.newest == LMDB_NO_ROWS)
            resource.id = write->next_id++;
        else if (deltas->next.interval != resource.newest)
            status = newest_leave(write, &resource, err);
        resource.newest = deltas->next.interval;
        utapi_amounts_add(&resource.totals, &deltas->next.sums);
    }
    return status == UTAPI_OK ? resource_store(write, key, &resource, err) : status;
}

/* ---- expiry ------------------------------------------------------------------------------- */

/* The totals at an interval are taken away there, as a late delta: no row after it changes. The row there is kept as it
 * is, since later ones may be made from it; those before it can go. */
static utapi_status rows_rebase(lmdb_write *write, lmdb_resource *resource, utapi_interval until,
                                utapi_error *err)
{
    MDB_cursor *history = NULL, *late = NULL;
    lmdb_late taken;
    utapi_amounts stored, totals = {.present = 0}, gone = {.present = 0};
    bool found = false;
    utapi_status status = utapi_lmdb_late_release(write, resource, err);
    if (status == UTAPI_OK)
        status = utapi_lmdb_cursor(write, LMDB_HISTORY, &history, err);
    if (status == UTAPI_OK)
        status = utapi_lmdb_history_at(history, resource->id, until, &stored, &found, err);
    if (status == UTAPI_OK && found) {
        utapi_amounts_copy(&stored, &totals);
        status = history_put(write, resource->id, until, &stored, err);
    }
    if (status == UTAPI_OK)
        status = utapi_lmdb_cursor(write, LMDB_LATE, &late, err);
    if (status == UTAPI_OK)
        status = utapi_lmdb_late_sum(late, resource, until, &totals, err);
    if (status != UTAPI_OK || (!found && !resource->fields.has_late))
        return status; /* nothing was before */
    utapi_amounts_subtract(&gone, &totals);
    utapi_amounts_subtract(&resource->totals, &totals);
    resource->fields = (utapi_snapshot_fields){.has_late = true, .base = until};
    utapi_lmdb_late_begin(resource->id, &taken);
    status = utapi_lmdb_late_add(write, &taken, until, &gone, err);
    if (status == UTAPI_OK)
        status = utapi_lmdb_late_end(write, &taken, err);
    return status == UTAPI_OK ? utapi_lmdb_garbage_add(write, resource->id, until, err) : status;
}

utapi_status utapi_lmdb_rows_expire(lmdb_write *write, const lmdb_key *key, utapi_interval until,
                                    utapi_error *err)
{
    lmdb_resource resource;
    utapi_status status = resource_load(write, key, &resource, err);
    if (status != UTAPI_OK || resource.newest == LMDB_NO_ROWS || until < 0)
        return status;
    if (until >= resource.newest) { /* nothing came after */
        status = utapi_lmdb_garbage_add(write, resource.id, LMDB_NO_MORE, err);
        return status == UTAPI_OK ? utapi_lmdb_del(write, LMDB_RESOURCE, key, err) : status;
    }
    status = rows_rebase(write, &resource, until, err);
    return status == UTAPI_OK ? resource_store(write, key, &resource, err) : status;
}
