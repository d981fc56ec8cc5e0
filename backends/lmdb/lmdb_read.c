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

static utapi_status row_find(const utapi_lmdbenv_reader *reader, const lmdb_resource *resource,
                             utapi_interval interval, read_row *ret, utapi_error *err)
{
    bool found;
    ret->totals = &resource->totals;
    if (interval >= resource->newest)
        return UTAPI_OK;
    const utapi_status status =
        utapi_lmdb_history_at(reader->cursor, resource->id, interval, &ret->decoded, &found, err);
    ret->totals = found ? &ret->decoded : NULL;
    return status;
}

/* The row of the range's first interval is the one that comes next, if it has one; else it is the row before it. After
 * row_find(): the cursor stands on that, unless there is none or it is not of history. */
static utapi_status row_find_next(const utapi_lmdbenv_reader *reader, const lmdb_resource *resource,
                                  utapi_interval interval, const read_row *before, read_row *ret,
                                  utapi_error *err)
{
    MDB_val key, row;
    utapi_interval found;
    if (interval >= resource->newest || before->totals == NULL)
        return row_find(reader, resource, interval, ret, err);
    ret->totals = before->totals;
    const int rc = mdb_cursor_get(reader->cursor, &key, &row, MDB_NEXT);
    if (rc == 0 && utapi_lmdb_history_is_of(key, resource->id, &found) && found <= interval) {
        ret->totals = &ret->decoded;
        return utapi_snapshot_decode(row.mv_data, row.mv_size, &ret->decoded, err);
    }
    return rc == 0 || rc == MDB_NOTFOUND ? UTAPI_OK : utapi_lmdb_fail(err, rc, "looking the next row up");
}

static utapi_status usage_find(const lmdb_backend *self, const utapi_lmdbenv_reader *reader,
                               const utapi_query *query, utapi_string name, utapi_usage *ret,
                               utapi_error *err)
{
    lmdb_resource resource;
    bool found;
    utapi_status status = resource_find(self, reader, query->level, name, &resource, &found, err);
    if (status != UTAPI_OK)
        return status;
    utapi_usage_clear(ret);
    if (!found)
        return UTAPI_OK;
    read_row before, first, last;
    status = row_find(reader, &resource, query->start - 1, &before, err);
    if (status == UTAPI_OK)
        status = row_find_next(reader, &resource, query->start, &before, &first, err);
    if (status == UTAPI_OK)
        status = row_find(reader, &resource, query->end, &last, err);
    return status == UTAPI_OK ? utapi_usage_of_rows(before.totals, first.totals, last.totals, ret, err)
                              : status;
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

/* Hands a row out, as totals or as the difference to the row before it. */
static utapi_status row_export(export_walk *walk, utapi_interval interval, const utapi_amounts *totals)
{
    utapi_amounts delta;
    utapi_export_row row = {walk->level, walk->name, interval, totals};
    if (walk->what->form == UTAPI_EXPORT_DELTAS) {
        utapi_amounts_copy(totals, &delta);
        row.amounts = &delta;
        const utapi_status status = utapi_amounts_subtract(&delta, &walk->before, walk->err);
        if (status != UTAPI_OK)
            return status;
        utapi_amounts_copy(totals, &walk->before);
    }
    if (interval >= walk->what->start || walk->what->form == UTAPI_EXPORT_TOTALS)
        walk->stopped = !walk->on_row(walk->ctx, &row);
    return UTAPI_OK;
}

/* From the newest row of history before start on. */
static utapi_status history_export(export_walk *walk, MDB_cursor *history, uint64_t id)
{
    MDB_val key, row;
    utapi_interval interval;
    utapi_amounts totals;
    int rc = utapi_lmdb_history_floor(history, id, walk->what->start - 1, &row);
    if (rc == 0)
        rc = mdb_cursor_get(history, &key, &row, MDB_GET_CURRENT);
    else if (rc == MDB_NOTFOUND) {
        lmdb_key first;
        utapi_lmdb_history_key(id, 0, &first); /* no row is before start: the first is the one to begin at */
        key = utapi_lmdb_key_val(&first);
        rc = mdb_cursor_get(history, &key, &row, MDB_SET_RANGE);
    }
    while (rc == 0 && !walk->stopped && utapi_lmdb_history_is_of(key, id, &interval) &&
           interval <= walk->what->end) {
        utapi_status status = utapi_snapshot_decode(row.mv_data, row.mv_size, &totals, walk->err);
        if (status == UTAPI_OK)
            status = row_export(walk, interval, &totals);
        if (status != UTAPI_OK)
            return status;
        rc = mdb_cursor_get(history, &key, &row, MDB_NEXT);
    }
    return rc == 0 || rc == MDB_NOTFOUND ? UTAPI_OK
                                         : utapi_lmdb_fail(walk->err, rc, "walking through history");
}

static utapi_status resource_export(export_walk *walk, utapi_level level, utapi_string name)
{
    utapi_lmdbenv_reader *reader = NULL;
    lmdb_resource resource;
    bool found;
    walk->level = level;
    walk->name = name;
    utapi_amounts_clear(&walk->before);
    utapi_status status = utapi_lmdbenv_read_begin(&walk->self->env, &reader, walk->err);
    if (status != UTAPI_OK)
        return status;
    status = resource_find(walk->self, reader, level, name, &resource, &found, walk->err);
    if (status == UTAPI_OK && found) {
        if (resource.newest >= walk->what->start) /* else it is itself the newest row before start */
            status = history_export(walk, reader->cursor, resource.id);
        if (status == UTAPI_OK && !walk->stopped && resource.newest <= walk->what->end)
            status = row_export(walk, resource.newest, &resource.totals);
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
