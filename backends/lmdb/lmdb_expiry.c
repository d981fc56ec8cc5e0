/* SPDX-License-Identifier: Apache-2.0 */
/* lmdb_expiry.c - until when a resource is forgotten, when it is to be, and so what of a run still counts.
 *
 * `gone` holds both times of a resource; `due` holds each appointment once more, in the order of time. */
#include "lmdb_internal.h"

#include <string.h>

#define NEVER_EXPIRED INT64_MIN
#define NOT_SCHEDULED INT64_MAX

enum { TIME_SIZE = 8 };

/* A row of `gone`; none is stored for a resource that was never forgotten and is not to be. */
typedef struct tombstone {
    int64_t expired_ms;
    int64_t due_ms;
} tombstone;

/* Times that sort as bytes do, those before the epoch too. */
static void put_time(unsigned char *at, int64_t time_ms)
{
    utapi_lmdbenv_put_u64(at, (uint64_t)time_ms ^ UINT64_C(1) << 63);
}

static int64_t get_time(const unsigned char *at)
{
    return (int64_t)(utapi_lmdbenv_get_u64(at) ^ UINT64_C(1) << 63);
}

static utapi_status tombstone_load(lmdb_write *write, const lmdb_key *key, tombstone *ret, utapi_error *err)
{
    MDB_val value;
    bool found = false;
    *ret = (tombstone){.expired_ms = NEVER_EXPIRED, .due_ms = NOT_SCHEDULED};
    if (!write->any_tombstone)
        return UTAPI_OK;
    const utapi_status status = utapi_lmdb_get(write, LMDB_TOMBSTONE, key, &value, &found, err);
    if (status != UTAPI_OK || !found)
        return status;
    if (value.mv_size != TIME_SIZE + TIME_SIZE)
        return utapi_fail(err, UTAPI_CORRUPT, "a stored forgetting of %zu bytes", value.mv_size);
    ret->expired_ms = get_time(value.mv_data);
    ret->due_ms = get_time((const unsigned char *)value.mv_data + TIME_SIZE);
    return UTAPI_OK;
}

static void schedule_key(int64_t due_ms, const lmdb_key *key, lmdb_key *ret)
{
    put_time(ret->bytes, due_ms);
    memcpy(ret->bytes + TIME_SIZE, key->bytes, key->size);
    ret->size = TIME_SIZE + key->size;
}

static utapi_status schedule_move(lmdb_write *write, const lmdb_key *key, int64_t from_ms, int64_t to_ms,
                                  utapi_error *err)
{
    lmdb_key due;
    utapi_status status = UTAPI_OK;
    if (from_ms != NOT_SCHEDULED) {
        schedule_key(from_ms, key, &due);
        status = utapi_lmdb_del(write, LMDB_SCHEDULE, &due, err);
    }
    if (status == UTAPI_OK && to_ms != NOT_SCHEDULED) {
        schedule_key(to_ms, key, &due);
        status = utapi_lmdb_put(write, LMDB_SCHEDULE, &due, "", 0, err);
    }
    return status;
}

static utapi_status tombstone_store(lmdb_write *write, const lmdb_key *key, const tombstone *from,
                                    const tombstone *to, utapi_error *err)
{
    unsigned char value[TIME_SIZE + TIME_SIZE];
    utapi_status status = UTAPI_OK;
    if (from->due_ms != to->due_ms)
        status = schedule_move(write, key, from->due_ms, to->due_ms, err);
    else if (from->expired_ms == to->expired_ms)
        return UTAPI_OK;
    if (status != UTAPI_OK)
        return status;
    if (to->expired_ms == NEVER_EXPIRED && to->due_ms == NOT_SCHEDULED)
        return utapi_lmdb_del(write, LMDB_TOMBSTONE, key, err);
    put_time(value, to->expired_ms);
    put_time(value + TIME_SIZE, to->due_ms);
    write->any_tombstone = true;
    return utapi_lmdb_put(write, LMDB_TOMBSTONE, key, value, sizeof value, err);
}

/* Takes the rows away, unless the resource was forgotten at a later time. */
static utapi_status tombstone_advance(lmdb_write *write, const lmdb_key *key, int64_t time_ms, tombstone *row,
                                      utapi_error *err)
{
    if (time_ms < row->expired_ms)
        return UTAPI_OK;
    row->expired_ms = time_ms;
    return time_ms < 0 ? UTAPI_OK : utapi_lmdb_rows_expire(write, key, utapi_interval_of(time_ms), err);
}

utapi_status utapi_lmdb_expire(lmdb_write *write, utapi_level level, utapi_string name, int64_t time_ms,
                               utapi_error *err)
{
    lmdb_key key;
    tombstone before;
    utapi_status status = utapi_lmdb_resource_key(level, name, &key, err);
    if (status == UTAPI_OK)
        status = tombstone_load(write, &key, &before, err);
    if (status != UTAPI_OK)
        return status;
    tombstone after = before;
    status = tombstone_advance(write, &key, time_ms, &after, err);
    return status == UTAPI_OK ? tombstone_store(write, &key, &before, &after, err) : status;
}

/* ---- appointments ------------------------------------------------------------------------- */

/* The earliest appointment, if it is due. */
static utapi_status schedule_first(lmdb_write *write, int64_t now_ms, lmdb_key *ret, bool *ret_found,
                                   utapi_error *err)
{
    MDB_cursor *schedule = NULL;
    MDB_val key;
    *ret_found = false;
    const utapi_status status = utapi_lmdb_cursor(write, LMDB_SCHEDULE, &schedule, err);
    if (status != UTAPI_OK)
        return status;
    const int rc = mdb_cursor_get(schedule, &key, NULL, MDB_FIRST);
    if (rc != 0)
        return rc == MDB_NOTFOUND ? UTAPI_OK : utapi_lmdb_fail(err, rc, "appointments");
    if (key.mv_size <= TIME_SIZE || key.mv_size > LMDB_KEY_MAX)
        return utapi_fail(err, UTAPI_CORRUPT, "a stored appointment of %zu bytes", key.mv_size);
    *ret_found = get_time(key.mv_data) <= now_ms;
    ret->size = key.mv_size - TIME_SIZE;
    memcpy(ret->bytes, (const unsigned char *)key.mv_data + TIME_SIZE, ret->size);
    return UTAPI_OK;
}

static utapi_status schedule_carry_out(lmdb_write *write, const lmdb_key *key, utapi_error *err)
{
    tombstone before;
    write->any_tombstone = true;
    utapi_status status = tombstone_load(write, key, &before, err);
    if (status != UTAPI_OK)
        return status;
    tombstone after = before;
    status = tombstone_advance(write, key, before.due_ms, &after, err);
    if (status == UTAPI_OVERFLOW) { /* it can never be kept, and nobody else shall wait for it */
        utapi_error_clear(err);
        after = before;
        status = UTAPI_OK;
    }
    after.due_ms = NOT_SCHEDULED;
    return status == UTAPI_OK ? tombstone_store(write, key, &before, &after, err) : status;
}

utapi_status utapi_lmdb_expire_due(lmdb_write *write, int64_t now_ms, size_t most, utapi_error *err)
{
    lmdb_key key;
    bool found = true;
    utapi_status status = UTAPI_OK;
    for (size_t i = 0; i < most && found && status == UTAPI_OK; i++) {
        status = schedule_first(write, now_ms, &key, &found, err);
        if (status == UTAPI_OK && found)
            status = schedule_carry_out(write, &key, err);
    }
    return status;
}

/* ---- a run of a fold ---------------------------------------------------------------------- */

utapi_status utapi_lmdb_run_apply(lmdb_write *write, const utapi_fold *fold, const utapi_run *run,
                                  utapi_error *err)
{
    lmdb_key key;
    tombstone before;
    utapi_status status = utapi_lmdb_resource_key(run->level, run->name, &key, err);
    if (status == UTAPI_OK)
        status = tombstone_load(write, &key, &before, err);
    if (status != UTAPI_OK)
        return status;
    tombstone after = before;
    const utapi_entry *forget = run->forget;
    if (forget != NULL && forget->time_ms < before.expired_ms)
        forget = NULL; /* it was forgotten since */

    lmdb_deltas deltas = {.fold = fold, .run = *run, .not_before_ms = before.expired_ms, .after = INT64_MIN};
    if (forget != NULL && forget->forget == UTAPI_FORGET_NOW) {
        /* First, so that what is counted only to be taken away cannot overflow. */
        status = tombstone_advance(write, &key, forget->time_ms, &after, err);
        deltas.after = utapi_interval_of(forget->time_ms);
    }
    if (status == UTAPI_OK)
        status = utapi_lmdb_rows_add(write, &key, &deltas, err);
    if (deltas.counted)
        after.due_ms = NOT_SCHEDULED;
    if (forget != NULL && forget->forget == UTAPI_FORGET_LATER)
        after.due_ms = forget->forget_at_ms;
    return status == UTAPI_OK ? tombstone_store(write, &key, &before, &after, err) : status;
}
