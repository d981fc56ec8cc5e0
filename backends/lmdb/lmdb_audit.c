/* SPDX-License-Identifier: Apache-2.0 */
/* lmdb_audit.c - the table of what operators did: rows by number, and the number of each id. */
#include "lmdb_internal.h"

#include "utapi/scoped.h"

enum { NUMBER_SIZE = 8 };

static void row_key(uint64_t number, lmdb_key *ret)
{
    ret->bytes[0] = LMDB_AUDIT_ROW;
    utapi_lmdbenv_put_u64(ret->bytes + 1, number);
    ret->size = 1 + NUMBER_SIZE;
}

static utapi_status id_key(utapi_string id, lmdb_key *ret, utapi_error *err)
{
    if (id.size == 0 || id.size > UTAPI_ADMIN_ID_MAX)
        return utapi_fail(err, UTAPI_INVALID, "an id of %zu bytes", id.size);
    ret->bytes[0] = LMDB_AUDIT_ID;
    memcpy(ret->bytes + 1, id.data, id.size);
    ret->size = 1 + id.size;
    return UTAPI_OK;
}

/* Whether a key is of a row; the keys of ids come before those. */
static bool key_is_row(MDB_val key, uint64_t *ret_number)
{
    const unsigned char *bytes = key.mv_data;
    if (key.mv_size != 1 + NUMBER_SIZE || bytes[0] != LMDB_AUDIT_ROW)
        return false;
    *ret_number = utapi_lmdbenv_get_u64(bytes + 1);
    return true;
}

utapi_status utapi_lmdb_act_find(lmdb_write *write, utapi_string id, bool *ret_known, utapi_error *err)
{
    lmdb_key key;
    MDB_val value;
    const utapi_status status = id_key(id, &key, err);
    return status == UTAPI_OK ? utapi_lmdb_get(write, LMDB_AUDIT, &key, &value, ret_known, err) : status;
}

/* Deletes the oldest rows, and their ids, where there are more than may be kept. A few at a time. */
static utapi_status acts_drop(lmdb_write *write, MDB_cursor *audit, utapi_error *err)
{
    enum { DROPPED_MAX = 64 };
    lmdb_key first, id;
    utapi_status status = UTAPI_OK;
    MDB_stat stat;
    int rc = mdb_stat(write->txn, write->self->env.tables[LMDB_AUDIT], &stat);
    row_key(0, &first);
    for (unsigned i = 0; i < DROPPED_MAX && rc == 0 && stat.ms_entries / 2 > write->self->max_acts + i; i++) {
        MDB_val key = utapi_lmdb_key_val(&first), value;
        utapi_audit_row row;
        rc = mdb_cursor_get(audit, &key, &value, MDB_SET_RANGE);
        if (rc == 0)
            status = utapi_audit_row_decode(value.mv_data, value.mv_size, &row, err);
        if (rc == 0 && status == UTAPI_OK)
            status = id_key(row.act.id, &id, err);
        if (status != UTAPI_OK)
            return status;
        if (rc == 0)
            rc = mdb_cursor_del(audit, 0);
        if (rc == 0)
            status = utapi_lmdb_del(write, LMDB_AUDIT, &id, err);
    }
    return rc == 0 ? status : utapi_lmdb_fail(err, rc, "dropping old acts");
}

utapi_status utapi_lmdb_act_note(lmdb_write *write, const utapi_audit_row *row, utapi_error *err)
{
    MDB_cursor *audit = NULL;
    MDB_val last;
    lmdb_key key;
    unsigned char bytes[NUMBER_SIZE];
    uint64_t number = 0;
    UTAPI_AUTO_FREE unsigned char *encoded = malloc(utapi_audit_row_max(&row->act));
    if (encoded == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a row of the audit");
    utapi_status status = utapi_lmdb_cursor(write, LMDB_AUDIT, &audit, err);
    if (status != UTAPI_OK)
        return status;
    const int rc = mdb_cursor_get(audit, &last, NULL, MDB_LAST);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return utapi_lmdb_fail(err, rc, "looking the last act up");
    if (rc == 0 && key_is_row(last, &number))
        number++;
    utapi_lmdbenv_put_u64(bytes, number);
    status = id_key(row->act.id, &key, err);
    if (status == UTAPI_OK)
        status = utapi_lmdb_put(write, LMDB_AUDIT, &key, bytes, sizeof bytes, err);
    row_key(number, &key);
    if (status == UTAPI_OK)
        status = utapi_lmdb_put(write, LMDB_AUDIT, &key, encoded, utapi_audit_row_encode(row, encoded), err);
    return status == UTAPI_OK ? acts_drop(write, audit, err) : status;
}

utapi_status utapi_lmdb_note(utapi_backend *base, const utapi_audit_row *rows, size_t count, utapi_error *err)
{
    lmdb_write write;
    utapi_status status = utapi_lmdb_write_begin((lmdb_backend *)base, &write, err);
    if (status != UTAPI_OK)
        return status;
    for (size_t i = 0; i < count && status == UTAPI_OK; i++) {
        bool is_known = false;
        status = utapi_lmdb_act_find(&write, rows[i].act.id, &is_known, err);
        if (status == UTAPI_OK && !is_known)
            status = utapi_lmdb_act_note(&write, &rows[i], err);
    }
    return utapi_lmdb_write_end(&write, status, err);
}

/* ---- figures ------------------------------------------------------------------------------ */

static utapi_status totals_at(lmdb_write *write, const lmdb_resource *resource, utapi_interval interval,
                              utapi_amounts *ret, utapi_error *err)
{
    MDB_cursor *history = NULL, *late = NULL;
    bool found = false;
    utapi_amounts_clear(ret);
    if (interval >= resource->newest)
        utapi_amounts_copy(&resource->totals, ret);
    if (interval >= resource->newest || interval < resource->fields.base)
        return UTAPI_OK;
    utapi_status status = utapi_lmdb_cursor(write, LMDB_HISTORY, &history, err);
    if (status == UTAPI_OK)
        status = utapi_lmdb_history_at(history, resource->id, interval, ret, &found, err);
    if (status == UTAPI_OK)
        status = utapi_lmdb_cursor(write, LMDB_LATE, &late, err);
    return status == UTAPI_OK ? utapi_lmdb_late_sum(late, resource, interval, ret, err) : status;
}

utapi_status utapi_lmdb_act_figures(lmdb_write *write, const lmdb_key *key, utapi_interval interval,
                                    utapi_amounts *ret, utapi_error *err)
{
    lmdb_resource resource;
    utapi_amounts before;
    MDB_val value;
    bool found;
    utapi_amounts_clear(ret);
    utapi_status status = utapi_lmdb_get(write, LMDB_RESOURCE, key, &value, &found, err);
    if (status == UTAPI_OK && found)
        status = utapi_lmdb_resource_decode(value, &resource, err);
    if (status != UTAPI_OK || !found)
        return status;
    status = totals_at(write, &resource, interval, ret, err);
    if (status == UTAPI_OK)
        status = totals_at(write, &resource, interval - UTAPI_INTERVAL_MS, &before, err);
    if (status != UTAPI_OK)
        return status;
    utapi_amounts_subtract(ret, &before);
    for (unsigned m = 0; m < UTAPI_INCOMING_BYTES; m++)
        utapi_amounts_set(ret, m, utapi_amounts_get(&resource.totals, m));
    return UTAPI_OK;
}

/* ---- listing ------------------------------------------------------------------------------ */

utapi_status utapi_lmdb_audit(utapi_backend *base, utapi_audit_cb *on_row, void *ctx, utapi_error *err)
{
    lmdb_backend *self = (lmdb_backend *)base;
    utapi_lmdbenv_reader *reader = NULL;
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    uint64_t number;
    utapi_status status = utapi_lmdbenv_read_begin(&self->env, &reader, err);
    if (status != UTAPI_OK)
        return status;
    int rc = mdb_cursor_open(reader->txn, self->env.tables[LMDB_AUDIT], &cursor);
    if (rc == 0)
        rc = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
    while (rc == 0 && status == UTAPI_OK && key_is_row(key, &number)) {
        utapi_audit_row row;
        status = utapi_audit_row_decode(value.mv_data, value.mv_size, &row, err);
        if (status != UTAPI_OK || !on_row(ctx, &row))
            break;
        rc = mdb_cursor_get(cursor, &key, &value, MDB_PREV);
    }
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    utapi_lmdbenv_read_end(&self->env, reader);
    return rc == 0 || rc == MDB_NOTFOUND ? status : utapi_lmdb_fail(err, rc, "reading the audit");
}
