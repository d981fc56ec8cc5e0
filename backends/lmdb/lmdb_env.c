/* SPDX-License-Identifier: Apache-2.0 */
/* lmdb_env.c - the environment's tables and their keys, and writes in it. */
#include "lmdb_internal.h"

#include <string.h>

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static const char *const table_names[LMDB_TABLE_COUNT] = {
    [LMDB_RESOURCE] = "resource", [LMDB_HISTORY] = "history", [LMDB_DEDUP] = "seen",
    [LMDB_TOMBSTONE] = "gone",    [LMDB_SCHEDULE] = "due",    [LMDB_LATE] = "late",
    [LMDB_GARBAGE] = "garbage",   [LMDB_LETTERS] = "dead",    [LMDB_AUDIT] = "audit",
    [LMDB_META] = "meta",
};

const utapi_lmdbenv_layout utapi_lmdb_layout = {
    .tables = table_names,
    .table_count = LMDB_TABLE_COUNT,
    .reader_table = LMDB_HISTORY,
    .readers = 1022,
    .format_first = 1,
    .format = 2, /* rows of version 2, late sums */
    .map_default_bytes = 64 * GIB,
    .map_min_bytes = GIB,
    .reserve_min_bytes = 64 * MIB,
    .small_map_bytes = 256 * MIB,
    .lock_file = "utapi.lock",
    .prefix = "",
    .full = "the map is full",
    .name = "the map",
    .in_use = "another process uses this directory",
};

utapi_status utapi_lmdb_resource_key(utapi_level level, utapi_string name, lmdb_key *ret, utapi_error *err)
{
    if (name.size == 0 || name.size > UTAPI_NAME_MAX)
        return utapi_fail(err, UTAPI_INVALID, "a name of %zu bytes, expected 1 to %d", name.size,
                          UTAPI_NAME_MAX);
    ret->bytes[0] = (unsigned char)level;
    memcpy(ret->bytes + 1, name.data, name.size);
    ret->size = 1 + name.size;
    return UTAPI_OK;
}

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

void utapi_lmdb_fence_key(const unsigned char *writer, lmdb_key *ret)
{
    static const char prefix[] = "fence ";
    const size_t size = sizeof((utapi_fence *)NULL)->writer;
    ret->size = sizeof prefix - 1;
    memcpy(ret->bytes, prefix, ret->size);
    if (writer == NULL)
        return;
    memcpy(ret->bytes + ret->size, writer, size);
    ret->size += size;
}

/* ---- writing ------------------------------------------------------------------------------ */

static const lmdb_key next_id_key = {.size = 7, .bytes = "next id"};

utapi_status utapi_lmdb_write_begin(lmdb_backend *self, lmdb_write *ret, utapi_error *err)
{
    MDB_stat stat;
    MDB_val value;
    bool found = false;
    *ret = (lmdb_write){.self = self, .now_ms = INT64_MIN};
    utapi_status status = utapi_lmdbenv_write_begin(&self->env, &ret->txn, err);
    if (status != UTAPI_OK)
        return status;
    const int rc = mdb_stat(ret->txn, self->env.tables[LMDB_TOMBSTONE], &stat);
    if (rc != 0)
        status = utapi_lmdb_fail(err, rc, "beginning to write");
    else {
        ret->any_tombstone = stat.ms_entries > 0;
        status = utapi_lmdb_get(ret, LMDB_META, &next_id_key, &value, &found, err);
    }
    if (status != UTAPI_OK)
        return utapi_lmdb_write_end(ret, status, err);
    if (found && value.mv_size == 8)
        ret->next_id = ret->stored_next_id = utapi_lmdbenv_get_u64(value.mv_data);
    return UTAPI_OK;
}

utapi_status utapi_lmdb_write_end(lmdb_write *write, utapi_status status, utapi_error *err)
{
    lmdb_backend *self = write->self;
    if (status == UTAPI_OK && write->next_id != write->stored_next_id) {
        unsigned char bytes[8];
        utapi_lmdbenv_put_u64(bytes, write->next_id);
        status = utapi_lmdb_put(write, LMDB_META, &next_id_key, bytes, sizeof bytes, err);
    }
    status = utapi_lmdbenv_write_end(&self->env, write->txn, status, err);
    if (status == UTAPI_OK && write->is_raised)
        self->env.format = utapi_lmdb_layout.format;
    utapi_lmdbenv_write_leave(&self->env);
    return status;
}

utapi_status utapi_lmdb_row_encode(lmdb_write *write, const utapi_amounts *totals,
                                   const utapi_snapshot_fields *fields, unsigned char *buffer,
                                   size_t *ret_size, utapi_error *err)
{
    *ret_size = utapi_snapshot_encode(totals, fields, buffer);
    if (utapi_snapshot_version(buffer) == 1 || write->is_raised ||
        write->self->env.format == utapi_lmdb_layout.format)
        return UTAPI_OK;
    write->is_raised = true;
    return utapi_lmdbenv_raise(&write->self->env, write->txn, err);
}

utapi_status utapi_lmdb_cursor(lmdb_write *write, lmdb_table table, MDB_cursor **ret, utapi_error *err)
{
    if (write->cursors[table] == NULL) {
        const int rc = mdb_cursor_open(write->txn, write->self->env.tables[table], &write->cursors[table]);
        if (rc != 0)
            return utapi_lmdb_fail(err, rc, "a cursor");
    }
    *ret = write->cursors[table];
    return UTAPI_OK;
}

utapi_status utapi_lmdb_get(lmdb_write *write, lmdb_table table, const lmdb_key *key, MDB_val *ret_value,
                            bool *ret_found, utapi_error *err)
{
    MDB_cursor *cursor = NULL;
    const utapi_status status = utapi_lmdb_cursor(write, table, &cursor, err);
    if (status != UTAPI_OK)
        return status;
    /* With a cursor, a key on the page of the one before it is found without a walk from the root. */
    MDB_val at = utapi_lmdb_key_val(key);
    const int rc = mdb_cursor_get(cursor, &at, ret_value, MDB_SET_KEY);
    *ret_found = rc == 0;
    return rc == 0 || rc == MDB_NOTFOUND ? UTAPI_OK : utapi_lmdb_fail(err, rc, "looking up");
}

utapi_status utapi_lmdb_put(lmdb_write *write, lmdb_table table, const lmdb_key *key, const void *value,
                            size_t size, utapi_error *err)
{
    MDB_cursor *cursor = NULL;
    const utapi_status status = utapi_lmdb_cursor(write, table, &cursor, err);
    if (status != UTAPI_OK)
        return status;
    MDB_val at = utapi_lmdb_key_val(key);
    MDB_val data = utapi_lmdbenv_val(value, size);
    const int rc = mdb_cursor_put(cursor, &at, &data, 0);
    return rc == 0 ? UTAPI_OK : utapi_lmdb_fail(err, rc, "storing");
}

utapi_status utapi_lmdb_del(lmdb_write *write, lmdb_table table, const lmdb_key *key, utapi_error *err)
{
    MDB_val at = utapi_lmdb_key_val(key);
    const int rc = mdb_del(write->txn, write->self->env.tables[table], &at, NULL);
    return rc == 0 || rc == MDB_NOTFOUND ? UTAPI_OK : utapi_lmdb_fail(err, rc, "deleting");
}
