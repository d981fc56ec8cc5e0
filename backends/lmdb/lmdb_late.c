/* SPDX-License-Identifier: Apache-2.0 */
/* lmdb_late.c - what stands beside the rows of a resource: late sums (rows/late.h), and what is left to delete. */
#include "lmdb_internal.h"

#include <errno.h>

/* ---- late sums ---------------------------------------------------------------------------- */

enum { LATE_KEY_SIZE = 8 + 1 + 4 };

static void late_key(uint64_t id, unsigned resolution, uint32_t number, lmdb_key *ret)
{
    utapi_lmdbenv_put_u64(ret->bytes, id);
    ret->bytes[8] = (unsigned char)resolution;
    utapi_lmdbenv_put_u32(ret->bytes + 9, number);
    ret->size = LATE_KEY_SIZE;
}

/* Whether a key is of a resource and a resolution, and of which number. */
static bool late_is_of(MDB_val key, uint64_t id, unsigned resolution, uint32_t *ret)
{
    const unsigned char *bytes = key.mv_data;
    if (key.mv_size != LATE_KEY_SIZE || utapi_lmdbenv_get_u64(bytes) != id || bytes[8] != resolution)
        return false;
    *ret = utapi_lmdbenv_get_u32(bytes + 9);
    return true;
}

/* Adds what is pending of a resolution to what is stored. */
static utapi_status late_store(lmdb_write *write, lmdb_late *late, unsigned resolution, utapi_error *err)
{
    lmdb_late_step *step = &late->steps[resolution];
    lmdb_key key;
    MDB_val stored;
    unsigned char row[UTAPI_SNAPSHOT_MAX];
    size_t size;
    bool found;
    if (!step->is_pending)
        return UTAPI_OK;
    step->is_pending = false;
    late_key(late->id, resolution, step->number, &key);
    utapi_status status = utapi_lmdb_get(write, LMDB_LATE, &key, &stored, &found, err);
    if (status == UTAPI_OK && found) {
        utapi_amounts before;
        status = utapi_snapshot_decode(stored.mv_data, stored.mv_size, &before, NULL, err);
        if (status == UTAPI_OK)
            utapi_amounts_add(&step->sum, &before);
    }
    if (status == UTAPI_OK)
        status = utapi_lmdb_row_encode(write, &step->sum, NULL, row, &size, err);
    return status == UTAPI_OK ? utapi_lmdb_put(write, LMDB_LATE, &key, row, size, err) : status;
}

utapi_status utapi_lmdb_late_add(lmdb_write *write, lmdb_late *late, utapi_interval interval,
                                 const utapi_amounts *delta, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    for (unsigned resolution = 0; resolution < UTAPI_LATE_RESOLUTIONS && status == UTAPI_OK; resolution++) {
        lmdb_late_step *step = &late->steps[resolution];
        const uint32_t number = utapi_late_key(utapi_interval_number(interval), resolution);
        if (step->is_pending && step->number != number)
            status = late_store(write, late, resolution, err);
        if (!step->is_pending)
            utapi_amounts_clear(&step->sum);
        step->is_pending = true;
        step->number = number;
        utapi_amounts_add(&step->sum, delta);
    }
    return status;
}

utapi_status utapi_lmdb_late_end(lmdb_write *write, lmdb_late *late, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    for (unsigned resolution = 0; resolution < UTAPI_LATE_RESOLUTIONS && status == UTAPI_OK; resolution++)
        status = late_store(write, late, resolution, err);
    return status;
}

utapi_status utapi_lmdb_late_release(lmdb_write *write, lmdb_resource *resource, utapi_error *err)
{
    utapi_late_walk held = utapi_late_held(&resource->fields);
    utapi_interval_delta delta;
    utapi_status status = UTAPI_OK;
    lmdb_late late;
    utapi_lmdb_late_begin(resource->id, &late);
    while (status == UTAPI_OK && utapi_late_held_next(&held, &delta)) {
        status = utapi_lmdb_late_add(write, &late, delta.interval, &delta.sums, err);
        resource->fields.has_late = true;
    }
    resource->fields.held_size = 0;
    if (status == UTAPI_OK)
        status = utapi_late_held_end(&held, err);
    return status == UTAPI_OK ? utapi_lmdb_late_end(write, &late, err) : status;
}

/* ---- reading them --------------------------------------------------------------------------- */

/* Adds the late sums of some keys of a resolution. */
static utapi_status range_sum(MDB_cursor *late, uint64_t id, const utapi_late_range *range,
                              utapi_amounts *totals, utapi_error *err)
{
    lmdb_key first;
    uint32_t number;
    MDB_val row;
    late_key(id, range->resolution, range->first, &first);
    MDB_val key = utapi_lmdb_key_val(&first);
    int rc = mdb_cursor_get(late, &key, &row, MDB_SET_RANGE);
    while (rc == 0 && late_is_of(key, id, range->resolution, &number) && number <= range->last) {
        utapi_amounts sum;
        const utapi_status status = utapi_snapshot_decode(row.mv_data, row.mv_size, &sum, NULL, err);
        if (status != UTAPI_OK)
            return status;
        utapi_amounts_add(totals, &sum);
        rc = mdb_cursor_get(late, &key, &row, MDB_NEXT);
    }
    return rc == 0 || rc == MDB_NOTFOUND ? UTAPI_OK : utapi_lmdb_fail(err, rc, "adding late sums up");
}

utapi_status utapi_lmdb_late_sum(MDB_cursor *late, const lmdb_resource *resource, utapi_interval interval,
                                 utapi_amounts *totals, utapi_error *err)
{
    utapi_late_range ranges[UTAPI_LATE_RESOLUTIONS];
    utapi_late_walk held = utapi_late_held(&resource->fields);
    utapi_interval_delta delta;
    while (utapi_late_held_next(&held, &delta) && delta.interval <= interval)
        utapi_amounts_add(totals, &delta.sums);
    utapi_status status = utapi_late_held_end(&held, err);
    if (!resource->fields.has_late || interval < 0)
        return status;
    const unsigned count = utapi_late_ranges(utapi_interval_number(interval), ranges);
    for (unsigned i = 0; i < count && status == UTAPI_OK; i++)
        status = range_sum(late, resource->id, &ranges[i], totals, err);
    return status;
}

utapi_status utapi_lmdb_late_next(MDB_cursor *late, const lmdb_resource *resource, utapi_interval from,
                                  utapi_interval *ret, utapi_error *err)
{
    lmdb_key first;
    uint32_t number;
    utapi_late_walk held = utapi_late_held(&resource->fields);
    utapi_interval_delta delta = {.interval = from - 1};
    while (delta.interval < from && utapi_late_held_next(&held, &delta))
        continue;
    *ret = delta.interval >= from ? delta.interval : LMDB_NO_MORE;
    const utapi_status status = utapi_late_held_end(&held, err);
    if (!resource->fields.has_late || from > UTAPI_INTERVAL_MAX || status != UTAPI_OK)
        return status;
    late_key(resource->id, 0, utapi_interval_number(from), &first);
    MDB_val key = utapi_lmdb_key_val(&first);
    const int rc = mdb_cursor_get(late, &key, NULL, MDB_SET_RANGE);
    if (rc == 0 && late_is_of(key, resource->id, 0, &number) && utapi_interval_at(number) < *ret)
        *ret = utapi_interval_at(number);
    return rc == 0 || rc == MDB_NOTFOUND ? UTAPI_OK : utapi_lmdb_fail(err, rc, "walking through late sums");
}

utapi_status utapi_lmdb_late_before(MDB_cursor *late, const lmdb_resource *resource, utapi_interval until,
                                    utapi_interval *ret, utapi_error *err)
{
    lmdb_key past;
    uint32_t number = 0;
    MDB_val row;
    utapi_late_walk held = utapi_late_held(&resource->fields);
    utapi_interval_delta delta;
    *ret = LMDB_NO_ROWS;
    while (utapi_late_held_next(&held, &delta) && delta.interval <= until)
        *ret = delta.interval;
    const utapi_status status = utapi_late_held_end(&held, err);
    if (!resource->fields.has_late || until < 0 || status != UTAPI_OK)
        return status;
    late_key(resource->id, 0, utapi_interval_number(until), &past);
    MDB_val key = utapi_lmdb_key_val(&past);
    int rc = mdb_cursor_get(late, &key, &row, MDB_SET_RANGE);
    if (rc != 0 || !late_is_of(key, resource->id, 0, &number) || number != utapi_interval_number(until))
        rc = mdb_cursor_get(late, &key, &row, rc == 0 ? MDB_PREV : MDB_LAST);
    if (rc == 0 && late_is_of(key, resource->id, 0, &number) && utapi_interval_at(number) > *ret)
        *ret = utapi_interval_at(number);
    return rc == 0 || rc == MDB_NOTFOUND ? UTAPI_OK : utapi_lmdb_fail(err, rc, "walking through late sums");
}

/* ---- what is left to delete ---------------------------------------------------------------- */

/* An id under which nothing but later rows is wanted has an entry in `garbage`; they go a few at a time. */

utapi_status utapi_lmdb_garbage_add(lmdb_write *write, uint64_t id, utapi_interval before, utapi_error *err)
{
    unsigned char number[4];
    lmdb_key key = {.size = 8};
    utapi_lmdbenv_put_u64(key.bytes, id);
    const bool all = before == LMDB_NO_MORE;
    if (!all)
        utapi_lmdbenv_put_u32(number, utapi_interval_number(before));
    return utapi_lmdb_put(write, LMDB_GARBAGE, &key, number, all ? 0 : sizeof number, err);
}

/* Deletes keys of a table that begin with an id, up to a number of history's; *left is how many still may go. */
static int keys_delete(lmdb_write *write, lmdb_table table, uint64_t id, utapi_interval before, size_t *left,
                       utapi_error *err)
{
    MDB_cursor *cursor = NULL;
    unsigned char prefix[8];
    int rc = 0;
    if (utapi_lmdb_cursor(write, table, &cursor, err) != UTAPI_OK)
        return ENOMEM;
    utapi_lmdbenv_put_u64(prefix, id);
    for (; *left > 0; --*left) {
        MDB_val key = utapi_lmdbenv_val(prefix, sizeof prefix);
        utapi_interval interval;
        rc = mdb_cursor_get(cursor, &key, NULL, MDB_SET_RANGE);
        if (rc != 0 || key.mv_size < sizeof prefix || memcmp(key.mv_data, prefix, sizeof prefix) != 0 ||
            (before != LMDB_NO_MORE && utapi_lmdb_history_is_of(key, id, &interval) && interval >= before))
            break;
        rc = mdb_cursor_del(cursor, 0);
        if (rc != 0)
            break;
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

utapi_status utapi_lmdb_garbage_delete(lmdb_write *write, size_t max, utapi_error *err)
{
    MDB_cursor *garbage = NULL;
    utapi_status status = utapi_lmdb_cursor(write, LMDB_GARBAGE, &garbage, err);
    int rc = 0;
    for (size_t left = max; left > 0 && rc == 0 && status == UTAPI_OK;) {
        MDB_val key, value;
        rc = mdb_cursor_get(garbage, &key, &value, MDB_FIRST);
        if (rc != 0)
            break;
        if (key.mv_size != 8 || (value.mv_size != 0 && value.mv_size != 4))
            return utapi_fail(err, UTAPI_CORRUPT, "an entry of garbage of %zu bytes", key.mv_size);
        const uint64_t id = utapi_lmdbenv_get_u64(key.mv_data);
        const bool all = value.mv_size == 0;
        const utapi_interval before =
            all ? LMDB_NO_MORE : utapi_interval_at(utapi_lmdbenv_get_u32(value.mv_data));
        rc = keys_delete(write, LMDB_HISTORY, id, before, &left, err);
        if (rc == 0 && all)
            rc = keys_delete(write, LMDB_LATE, id, before, &left, err);
        if (rc == 0 && left > 0) {
            lmdb_key done = {.size = 8};
            utapi_lmdbenv_put_u64(done.bytes, id);
            status = utapi_lmdb_del(write, LMDB_GARBAGE, &done, err);
            left--; /* an id that had no rows is work too */
        }
    }
    return rc == 0 || rc == MDB_NOTFOUND ? status : utapi_lmdb_fail(err, rc, "deleting what expired");
}
