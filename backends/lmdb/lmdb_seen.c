/* SPDX-License-Identifier: Apache-2.0 */
/* lmdb_seen.c - which uuids were taken within the window.
 *
 * The key begins with the event's own time, so the uuids of a group lie together and share pages; the value
 * is the interval of the taking, which is what the window is measured on. Expiry walks through the times that
 * are older than the window, in slices, round and round: an event may be taken long after its own time, so
 * each row says for itself whether it may go. */
#include "lmdb_internal.h"

#include "utapi/scoped.h"

#include <string.h>

enum { TIME_SIZE = 8, TAKEN_SIZE = 4 };

/* One uuid of a batch, as its key will be. */
typedef struct seen_uuid {
    uint64_t time;
    const unsigned char *raw; /* NULL: it is packed */
    size_t size;              /* of it in the key */
    size_t index;             /* of the entry */
    unsigned char packed[UTAPI_LMDBENV_UUID_SIZE];
} seen_uuid;

static void uuid_init(seen_uuid *uuid, const utapi_entry *entry, size_t index)
{
    uuid->time = (uint64_t)entry->uuid_time_ms;
    uuid->index = index;
    uuid->raw = NULL;
    uuid->size = UTAPI_LMDBENV_UUID_SIZE;
    if (utapi_lmdbenv_uuid_pack(entry->uuid, uuid->packed))
        return;
    uuid->raw = (const unsigned char *)entry->uuid.data;
    /* One byte more, a NUL, from 16 bytes on: so none of them is ever taken for a packed one, or another. */
    uuid->size = entry->uuid.size + (entry->uuid.size >= UTAPI_LMDBENV_UUID_SIZE ? 1 : 0);
}

static void uuid_key(const seen_uuid *uuid, lmdb_key *ret)
{
    utapi_lmdbenv_put_u64(ret->bytes, uuid->time);
    ret->size = TIME_SIZE + uuid->size;
    if (uuid->raw == NULL)
        memcpy(ret->bytes + TIME_SIZE, uuid->packed, UTAPI_LMDBENV_UUID_SIZE);
    else {
        ret->bytes[ret->size - 1] = '\0';
        memcpy(ret->bytes + TIME_SIZE, uuid->raw,
               uuid->size - (uuid->size > UTAPI_LMDBENV_UUID_SIZE ? 1 : 0));
    }
}

/* By time, then mostly by what follows: sorted enough for pages to be touched once each, and exactly enough
 * for equal ones to stand in the order of the batch. */
static int uuid_order(const void *left_uuid, const void *right_uuid)
{
    const seen_uuid *left = left_uuid;
    const seen_uuid *right = right_uuid;
    if (left->time != right->time)
        return left->time < right->time ? -1 : 1;
    const size_t shorter = left->size < right->size ? left->size : right->size;
    const size_t bytes =
        shorter > UTAPI_LMDBENV_UUID_SIZE ? shorter - 1 : shorter; /* a raw one's NUL is not in memory */
    const int order = memcmp(left->raw != NULL ? left->raw : left->packed,
                             right->raw != NULL ? right->raw : right->packed, bytes);
    if (order != 0)
        return order;
    if (left->size != right->size)
        return left->size < right->size ? -1 : 1;
    return left->index < right->index ? -1 : 1;
}

/* Whether a taking is older than the window. */
static bool taking_is_over(const lmdb_backend *self, MDB_val value, int64_t taken_ms)
{
    if (value.mv_size != TAKEN_SIZE)
        return true; /* none of ours */
    const utapi_interval taken = utapi_interval_at(utapi_lmdbenv_get_u32(value.mv_data));
    return taken + UTAPI_INTERVAL_MS - 1 < taken_ms - self->window_ms;
}

static utapi_status uuid_take(lmdb_write *write, MDB_cursor *seen, const seen_uuid *uuid, int64_t taken_ms,
                              bool *ret_known, utapi_error *err)
{
    lmdb_key key;
    unsigned char taken[TAKEN_SIZE];
    uuid_key(uuid, &key);
    utapi_lmdbenv_put_u32(taken, utapi_interval_number(utapi_interval_of(taken_ms)));
    MDB_val at = utapi_lmdb_key_val(&key);
    MDB_val value = utapi_lmdbenv_val(taken, sizeof taken);
    int rc = mdb_cursor_put(seen, &at, &value, MDB_NOOVERWRITE);
    *ret_known = rc == MDB_KEYEXIST && !taking_is_over(write->self, value, taken_ms);
    if (rc == MDB_KEYEXIST && !*ret_known) { /* expiry has not come to it yet */
        value = utapi_lmdbenv_val(taken, sizeof taken);
        rc = mdb_cursor_put(seen, &at, &value, 0);
    }
    return rc == 0 || *ret_known ? UTAPI_OK : utapi_lmdb_fail(err, rc, "storing uuids");
}

utapi_status utapi_lmdb_seen_take(lmdb_write *write, const utapi_batch *batch, bool *skip,
                                  size_t *ret_repeated, utapi_error *err)
{
    *ret_repeated = 0;
    if (write->self->window_ms == 0)
        return UTAPI_OK;
    UTAPI_AUTO_FREE seen_uuid *uuids = malloc((batch->count + 1) * sizeof *uuids);
    if (uuids == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "%zu uuids", batch->count);
    size_t count = 0;
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->entries[i].uuid.size > UTAPI_NAME_MAX)
            return utapi_fail_at(err, UTAPI_INVALID, i, "uuid: longer than %d bytes", UTAPI_NAME_MAX);
        if (batch->entries[i].uuid.size > 0)
            uuid_init(&uuids[count++], &batch->entries[i], i);
    }
    qsort(uuids, count, sizeof *uuids, uuid_order);

    MDB_cursor *seen = NULL;
    utapi_status status = utapi_lmdb_cursor(write, LMDB_SEEN, &seen, err);
    for (size_t i = 0; i < count && status == UTAPI_OK; i++) {
        bool *known = &skip[uuids[i].index];
        status = uuid_take(write, seen, &uuids[i], batch->taken_ms, known, err);
        *ret_repeated += *known;
    }
    return status;
}

/* ---- expiry ------------------------------------------------------------------------------- */

static void key_copy(MDB_val from, lmdb_key *to)
{
    to->size = from.mv_size < LMDB_KEY_MAX ? from.mv_size : LMDB_KEY_MAX;
    memcpy(to->bytes, from.mv_data, to->size);
}

/* Where a round begins: at the earliest time. (LMDB takes no key of no bytes.) */
static const lmdb_key sweep_start = {.size = TIME_SIZE};

utapi_status utapi_lmdb_seen_expire(lmdb_write *write, int64_t taken_ms, size_t most, utapi_error *err)
{
    const int64_t oldest_ms = taken_ms - write->self->window_ms;
    lmdb_key *sweep = &write->self->sweep;
    MDB_cursor *seen = NULL;
    MDB_val value;
    const utapi_status status = utapi_lmdb_cursor(write, LMDB_SEEN, &seen, err);
    if (status != UTAPI_OK || oldest_ms <= 0)
        return status;
    if (sweep->size == 0)
        *sweep = sweep_start;

    MDB_val key = utapi_lmdb_key_val(sweep);
    int rc = mdb_cursor_get(seen, &key, &value, MDB_SET_RANGE);
    for (size_t i = 0; i < most && rc == 0; i++) {
        if (key.mv_size < TIME_SIZE || utapi_lmdbenv_get_u64(key.mv_data) >= (uint64_t)oldest_ms) {
            *sweep = sweep_start;
            return UTAPI_OK;
        }
        if (!taking_is_over(write->self, value, taken_ms)) {
            rc = mdb_cursor_get(seen, &key, &value, MDB_NEXT);
            continue;
        }
        key_copy(key, sweep); /* the page that it stands on is about to change */
        rc = mdb_cursor_del(seen, 0);
        key = utapi_lmdb_key_val(sweep);
        if (rc == 0)
            rc = mdb_cursor_get(seen, &key, &value, MDB_SET_RANGE);
    }
    if (rc == 0)
        key_copy(key, sweep);
    else
        *sweep = sweep_start;
    return rc == 0 || rc == MDB_NOTFOUND ? UTAPI_OK : utapi_lmdb_fail(err, rc, "dropping uuids");
}
