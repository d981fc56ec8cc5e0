/* SPDX-License-Identifier: Apache-2.0 */
/* lmdb_read.c - the slots that read: each query is answered from one snapshot, by a few look-ups a name however
 * long its range.
 *
 * What LMDB hands out points into its map and is valid until the transaction ends, so it is decoded at once.
 * Names and fences are listed in chunks, each from a snapshot of its own: a slow caller then holds none. */
#include "lmdb_internal.h"

#include "utapi/scoped.h"
#include "utapi/snapshot.h"

#include <string.h>

/* Finds a resource in the reader's snapshot; a name that cannot be is unknown. */
static utapi_status resource_find(const lmdb_backend *self, const utapi_lmdbenv_reader *reader,
                                  utapi_level level, utapi_string name, lmdb_resource *ret, bool *ret_found,
                                  utapi_error *err)
{
    lmdb_key key;
    MDB_val value;
    *ret_found = utapi_lmdb_resource_key(level, name, &key, NULL) == UTAPI_OK;
    if (!*ret_found)
        return UTAPI_OK;
    MDB_val at = utapi_lmdb_key_val(&key);
    const int rc = mdb_get(reader->txn, self->env.tables[LMDB_RESOURCE], &at, &value);
    *ret_found = rc == 0;
    if (rc == 0)
        return utapi_lmdb_resource_decode(value, ret, err);
    return rc == MDB_NOTFOUND ? UTAPI_OK : utapi_lmdb_fail(err, rc, "looking a resource up");
}

/* A row that was looked for. */
typedef struct read_row {
    utapi_amounts decoded;
    const utapi_amounts *totals; /* NULL: there is none */
} read_row;

/* A name that is asked for, in a reader's snapshot. */
typedef struct read_walk {
    MDB_cursor *history, *late; /* the latter only where there are late sums under keys */
    lmdb_resource resource;
} read_walk;

static utapi_status walk_begin(const lmdb_backend *self, const utapi_lmdbenv_reader *reader,
                               utapi_level level, utapi_string name, read_walk *ret, bool *ret_found,
                               utapi_error *err)
{
    ret->history = reader->cursor;
    ret->late = NULL;
    const utapi_status status = resource_find(self, reader, level, name, &ret->resource, ret_found, err);
    if (status != UTAPI_OK || !*ret_found || !ret->resource.fields.has_late)
        return status;
    const int rc = mdb_cursor_open(reader->txn, self->env.tables[LMDB_LATE], &ret->late);
    return rc == 0 ? UTAPI_OK : utapi_lmdb_fail(err, rc, "a cursor");
}

static void walk_end(read_walk *walk)
{
    if (walk->late != NULL)
        mdb_cursor_close(walk->late);
}

static utapi_status row_find(const read_walk *walk, utapi_interval interval, read_row *ret, utapi_error *err)
{
    const lmdb_resource *resource = &walk->resource;
    bool found;
    ret->totals = &resource->totals;
    if (interval >= resource->newest)
        return UTAPI_OK;
    ret->totals = NULL;
    if (interval < resource->fields.base)
        return UTAPI_OK;
    const utapi_status status =
        utapi_lmdb_history_at(walk->history, resource->id, interval, &ret->decoded, &found, err);
    const bool any_late = utapi_lmdb_late_any(resource);
    if (status != UTAPI_OK || (!found && !any_late))
        return status;
    if (!found)
        utapi_amounts_clear(&ret->decoded);
    ret->totals = &ret->decoded;
    return any_late ? utapi_lmdb_late_sum(walk->late, resource, interval, &ret->decoded, err) : UTAPI_OK;
}

/* The row of the range's first interval is the one that comes next, if it has one; else it is the row before it. After
 * row_find(): the cursor stands on that, unless there is none or it is not of history. */
static utapi_status row_find_next(const read_walk *walk, utapi_interval interval, const read_row *before,
                                  read_row *ret, utapi_error *err)
{
    MDB_val key, row;
    utapi_interval found;
    if (interval >= walk->resource.newest || before->totals == NULL || utapi_lmdb_late_any(&walk->resource))
        return row_find(walk, interval, ret, err);
    ret->totals = before->totals;
    const int rc = mdb_cursor_get(walk->history, &key, &row, MDB_NEXT);
    if (rc == 0 && utapi_lmdb_history_is_of(key, walk->resource.id, &found) && found <= interval) {
        ret->totals = &ret->decoded;
        return utapi_snapshot_decode(row.mv_data, row.mv_size, &ret->decoded, NULL, err);
    }
    return rc == 0 || rc == MDB_NOTFOUND ? UTAPI_OK : utapi_lmdb_fail(err, rc, "looking the next row up");
}

static utapi_status usage_find(const lmdb_backend *self, const utapi_lmdbenv_reader *reader,
                               const utapi_query *query, utapi_string name, utapi_usage *ret,
                               utapi_error *err)
{
    read_walk walk;
    bool found;
    utapi_status status = walk_begin(self, reader, query->level, name, &walk, &found, err);
    if (status != UTAPI_OK)
        return status;
    utapi_usage_clear(ret);
    if (!found)
        return UTAPI_OK;
    read_row before, first, last;
    status = row_find(&walk, query->start - 1, &before, err);
    if (status == UTAPI_OK)
        status = row_find_next(&walk, query->start, &before, &first, err);
    if (status == UTAPI_OK)
        status = row_find(&walk, query->end, &last, err);
    if (status == UTAPI_OK)
        utapi_usage_of_rows(before.totals, first.totals, last.totals, ret);
    walk_end(&walk);
    return status;
}

static utapi_status fence_find(const lmdb_backend *self, const utapi_lmdbenv_reader *reader,
                               const unsigned char *writer, uint64_t *ret, utapi_error *err)
{
    lmdb_key key;
    MDB_val value;
    utapi_lmdb_fence_key(writer, &key);
    MDB_val at = utapi_lmdb_key_val(&key);
    const int rc = mdb_get(reader->txn, self->env.tables[LMDB_META], &at, &value);
    *ret = rc == 0 && value.mv_size == 8 ? utapi_lmdbenv_get_u64(value.mv_data) : 0;
    return rc == 0 || rc == MDB_NOTFOUND ? UTAPI_OK : utapi_lmdb_fail(err, rc, "looking a fence up");
}

utapi_status utapi_lmdb_read(utapi_backend *base, const utapi_query *query, utapi_usage *ret,
                             uint64_t *ret_fences, utapi_error *err)
{
    lmdb_backend *self = (lmdb_backend *)base;
    utapi_lmdbenv_reader *reader = NULL;
    utapi_status status = utapi_lmdbenv_read_begin(&self->env, &reader, err);
    if (status != UTAPI_OK)
        return status;
    for (size_t i = 0; i < query->count && status == UTAPI_OK; i++)
        status = usage_find(self, reader, query, query->names[i], &ret[i], err);
    if (ret_fences != NULL && status == UTAPI_OK)
        status = fence_find(self, reader, query->writer, ret_fences, err);
    for (size_t i = 1; ret_fences != NULL && i < query->count; i++)
        ret_fences[i] = ret_fences[0];
    utapi_lmdbenv_read_end(&self->env, reader);
    return status;
}

utapi_status utapi_lmdb_knows(utapi_backend *base, utapi_level level, utapi_string name, bool *ret,
                              utapi_error *err)
{
    lmdb_backend *self = (lmdb_backend *)base;
    utapi_lmdbenv_reader *reader = NULL;
    lmdb_resource resource;
    utapi_status status = utapi_lmdbenv_read_begin(&self->env, &reader, err);
    if (status != UTAPI_OK)
        return status;
    status = resource_find(self, reader, level, name, &resource, ret, err);
    utapi_lmdbenv_read_end(&self->env, reader);
    return status;
}

/* ---- export ------------------------------------------------------------------------------- */

/* An export under way, at one resource. */
typedef struct export_walk {
    lmdb_backend *self;
    const utapi_export *what;
    utapi_export_cb *on_row;
    void *ctx;
    utapi_level level;
    utapi_string name;
    utapi_amounts before; /* the totals of the row before; what deltas are the difference to */
    bool stopped;
    utapi_status status; /* of the first resource that could not be exported */
    utapi_error *err;
} export_walk;

/* Hands the totals of an interval out, or the difference to those before it. */
static void totals_export(export_walk *walk, utapi_interval interval, const utapi_amounts *totals)
{
    utapi_amounts delta;
    utapi_export_row row = {walk->level, walk->name, interval, totals};
    if (walk->what->form == UTAPI_EXPORT_DELTAS) {
        utapi_amounts_copy(totals, &delta);
        utapi_amounts_subtract(&delta, &walk->before);
        utapi_amounts_copy(totals, &walk->before);
        row.amounts = &delta;
    }
    if (interval >= walk->what->start || walk->what->form == UTAPI_EXPORT_TOTALS)
        walk->stopped = !walk->on_row(walk->ctx, &row);
}

/* The first row of history at or after an interval; LMDB_NO_MORE. */
static utapi_status history_next(const read_walk *walk, utapi_interval from, utapi_interval *ret,
                                 utapi_error *err)
{
    lmdb_key first;
    utapi_lmdb_history_key(walk->resource.id, from, &first);
    MDB_val key = utapi_lmdb_key_val(&first);
    const int rc =
        from > UTAPI_INTERVAL_MAX ? MDB_NOTFOUND : mdb_cursor_get(walk->history, &key, NULL, MDB_SET_RANGE);
    if (rc != 0 || !utapi_lmdb_history_is_of(key, walk->resource.id, ret))
        *ret = LMDB_NO_MORE;
    return rc == 0 || rc == MDB_NOTFOUND ? UTAPI_OK : utapi_lmdb_fail(err, rc, "walking through history");
}

/* The first interval at or after one in which something changed: one with a row, or with a late delta. */
static utapi_status change_next(const read_walk *walk, utapi_interval from, utapi_interval *ret,
                                utapi_error *err)
{
    utapi_interval late = LMDB_NO_MORE;
    utapi_status status = history_next(walk, from, ret, err);
    if (status == UTAPI_OK)
        status = utapi_lmdb_late_next(walk->late, &walk->resource, from, &late, err);
    *ret = late < *ret ? late : *ret;
    if (*ret == LMDB_NO_MORE && from <= walk->resource.newest)
        *ret = walk->resource.newest;
    return status;
}

/* The last one before an interval, from which an export begins; the first of all if there is none. */
static utapi_status change_before(const read_walk *walk, utapi_interval start, utapi_interval *ret,
                                  utapi_error *err)
{
    const lmdb_resource *resource = &walk->resource;
    utapi_interval late = LMDB_NO_ROWS;
    MDB_val key, row;
    utapi_status status = UTAPI_OK;
    *ret = resource->newest;
    if (resource->newest < start)
        return UTAPI_OK;
    *ret = resource->fields.base;
    if (start <= resource->fields.base)
        return UTAPI_OK;
    int rc = utapi_lmdb_history_floor(walk->history, resource->id, start - 1, &row);
    if (rc == 0)
        rc = mdb_cursor_get(walk->history, &key, &row, MDB_GET_CURRENT);
    if (rc == 0)
        (void)utapi_lmdb_history_is_of(key, resource->id, ret);
    else if (rc != MDB_NOTFOUND)
        status = utapi_lmdb_fail(err, rc, "looking a row up");
    if (status == UTAPI_OK)
        status = utapi_lmdb_late_before(walk->late, resource, start - 1, &late, err);
    *ret = late > *ret ? late : *ret;
    return status;
}

/* An expiry leaves a row where it took all away. */
static bool is_expiry(const lmdb_resource *resource, utapi_interval at, const utapi_amounts *totals)
{
    static const utapi_amounts nothing = {.present = 0};
    return totals == NULL || (at == resource->fields.base && utapi_amounts_equal(totals, &nothing));
}

static utapi_status resource_export(export_walk *walk, utapi_level level, utapi_string name)
{
    utapi_lmdbenv_reader *reader = NULL;
    read_walk read;
    bool found;
    walk->level = level;
    walk->name = name;
    utapi_amounts_clear(&walk->before);
    utapi_status status = utapi_lmdbenv_read_begin(&walk->self->env, &reader, walk->err);
    if (status != UTAPI_OK)
        return status;
    status = walk_begin(walk->self, reader, level, name, &read, &found, walk->err);
    if (status == UTAPI_OK && found) {
        utapi_interval at;
        status = change_before(&read, walk->what->start, &at, walk->err);
        if (status == UTAPI_OK)
            status = change_next(&read, at, &at, walk->err);
        while (status == UTAPI_OK && !walk->stopped && at <= walk->what->end) {
            read_row row;
            status = row_find(&read, at, &row, walk->err);
            if (status == UTAPI_OK && !is_expiry(&read.resource, at, row.totals))
                totals_export(walk, at, row.totals);
            if (status == UTAPI_OK)
                status = change_next(&read, at + UTAPI_INTERVAL_MS, &at, walk->err);
        }
        walk_end(&read);
    }
    utapi_lmdbenv_read_end(&walk->self->env, reader);
    return status;
}

static bool on_listed(void *ctx, utapi_string name)
{
    export_walk *walk = ctx;
    walk->status = resource_export(walk, walk->level, name);
    return walk->status == UTAPI_OK && !walk->stopped;
}

utapi_status utapi_lmdb_export(utapi_backend *base, const utapi_export *what, utapi_export_cb *on_row,
                               utapi_unreadable_cb *on_unreadable, void *ctx, utapi_error *err)
{
    (void)on_unreadable; /* a row that cannot be read is an error: nobody else writes here */
    export_walk walk = {.self = (lmdb_backend *)base, .what = what, .on_row = on_row, .ctx = ctx, .err = err};
    const bool all = what->level == UTAPI_LEVEL_COUNT;
    const unsigned first = all ? 0 : what->level, end = all ? UTAPI_LEVEL_COUNT : first + 1;
    utapi_status status = UTAPI_OK;
    for (unsigned level = first; level < end && status == UTAPI_OK && !walk.stopped; level++) {
        walk.level = (utapi_level)level;
        if (what->name.size > 0)
            status = resource_export(&walk, walk.level, what->name);
        else
            status = utapi_lmdb_list(base, walk.level, on_listed, &walk, err);
        if (walk.status != UTAPI_OK)
            status = walk.status;
    }
    return status;
}

/* ---- listing ----------------------------------------------------------------------------- */

enum { LIST_CHUNK = 128 };

typedef struct list_chunk {
    size_t count;
    lmdb_key keys[LIST_CHUNK];
} list_chunk;

/* Collects keys of a table that begin as `after` does, in its first bytes, and are greater. */
static utapi_status chunk_fill(lmdb_backend *self, unsigned table, const lmdb_key *after, size_t first,
                               list_chunk *chunk, utapi_error *err)
{
    utapi_lmdbenv_reader *reader = NULL;
    const utapi_status status = utapi_lmdbenv_read_begin(&self->env, &reader, err);
    if (status != UTAPI_OK)
        return status;
    MDB_cursor *cursor = NULL;
    MDB_val key = utapi_lmdb_key_val(after);
    chunk->count = 0;
    int rc = mdb_cursor_open(reader->txn, self->env.tables[table], &cursor);
    if (rc == 0) {
        rc = mdb_cursor_get(cursor, &key, NULL, MDB_SET_RANGE);
        if (rc == 0 && key.mv_size == after->size && memcmp(key.mv_data, after->bytes, after->size) == 0)
            rc = mdb_cursor_get(cursor, &key, NULL, MDB_NEXT);
        while (rc == 0 && key.mv_size >= first && memcmp(key.mv_data, after->bytes, first) == 0 &&
               chunk->count < LIST_CHUNK) {
            lmdb_key *copy = &chunk->keys[chunk->count++];
            copy->size = key.mv_size;
            memcpy(copy->bytes, key.mv_data, key.mv_size);
            rc = mdb_cursor_get(cursor, &key, NULL, MDB_NEXT);
        }
        mdb_cursor_close(cursor);
    }
    utapi_lmdbenv_read_end(&self->env, reader);
    return rc == 0 || rc == MDB_NOTFOUND ? UTAPI_OK : utapi_lmdb_fail(err, rc, "walking through keys");
}

utapi_status utapi_lmdb_list(utapi_backend *base, utapi_level level, utapi_resource_cb *on_resource,
                             void *ctx, utapi_error *err)
{
    lmdb_backend *self = (lmdb_backend *)base;
    UTAPI_AUTO_FREE list_chunk *chunk = malloc(sizeof *chunk);
    if (chunk == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "listing resources");
    lmdb_key after = {.size = 1, .bytes = {(unsigned char)level}}; /* less than every name of the level */
    do {
        const utapi_status status = chunk_fill(self, LMDB_RESOURCE, &after, 1, chunk, err);
        if (status != UTAPI_OK)
            return status;
        for (size_t i = 0; i < chunk->count; i++) {
            const lmdb_key *key = &chunk->keys[i];
            if (!on_resource(ctx,
                             (utapi_string){.data = (const char *)key->bytes + 1, .size = key->size - 1}))
                return UTAPI_OK;
        }
        if (chunk->count > 0)
            after = chunk->keys[chunk->count - 1];
    } while (chunk->count == LIST_CHUNK);
    return UTAPI_OK;
}

utapi_status utapi_lmdb_fences(utapi_backend *base, utapi_fence_cb *on_fence, void *ctx, utapi_error *err)
{
    UTAPI_AUTO_FREE list_chunk *chunk = malloc(sizeof *chunk);
    if (chunk == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "reading fences");
    lmdb_key after;
    bool more = true;
    utapi_lmdb_fence_key(NULL, &after);
    const size_t first = after.size;
    do {
        utapi_status status = chunk_fill((lmdb_backend *)base, LMDB_META, &after, first, chunk, err);
        for (size_t i = 0; status == UTAPI_OK && more && i < chunk->count; i++) {
            utapi_query query = {.level = UTAPI_SERVICE};
            uint64_t fence = 0;
            memcpy(query.writer, chunk->keys[i].bytes + first, sizeof query.writer);
            status = utapi_lmdb_read(base, &query, NULL, &fence, err);
            if (status == UTAPI_OK && fence > 0)
                more = on_fence(ctx, query.writer, fence);
        }
        if (status != UTAPI_OK)
            return status;
        if (chunk->count > 0)
            after = chunk->keys[chunk->count - 1];
    } while (more && chunk->count == LIST_CHUNK);
    return UTAPI_OK;
}
