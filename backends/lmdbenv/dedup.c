/* SPDX-License-Identifier: Apache-2.0 */
/* dedup.c - uuids into a table, in the order of its keys, and out of it in slices, round and round.
 *
 * An event may be accepted long after its own time, so each row says for itself whether it may go. */
#include "dedup.h"

#include "utapi/codec.h"
#include "utapi/interval.h"
#include "utapi/scoped.h"

#include <stdlib.h>
#include <string.h>

enum { TIME_SIZE = 8, PACKED_SIZE = 16 };

/* One uuid of a batch. Sorted as it is, for it is smaller than its key may be. */
typedef struct dedup_uuid {
    uint64_t time;
    const char *raw; /* NULL: it is packed */
    size_t size;     /* of it in the key */
    size_t index;    /* of the entry */
    unsigned char packed[PACKED_SIZE];
} dedup_uuid;

/* Packs 8-4-4-4-12 digits in lower case; false for any other form. */
static bool uuid_pack(utapi_string uuid, unsigned char ret[static PACKED_SIZE])
{
    const char *at = uuid.data;
    return uuid.size == 36 && at[8] == '-' && at[13] == '-' && at[18] == '-' && at[23] == '-' &&
           utapi_hex_get(at, ret, 4) && utapi_hex_get(at + 9, ret + 4, 2) &&
           utapi_hex_get(at + 14, ret + 6, 2) && utapi_hex_get(at + 19, ret + 8, 2) &&
           utapi_hex_get(at + 24, ret + 10, 6);
}

static void uuid_init(dedup_uuid *uuid, const utapi_entry *entry, size_t index)
{
    uuid->time = (uint64_t)entry->uuid_time_ms;
    uuid->index = index;
    uuid->raw = NULL;
    uuid->size = PACKED_SIZE;
    if (uuid_pack(entry->uuid, uuid->packed))
        return;
    uuid->raw = entry->uuid.data;
    uuid->size = entry->uuid.size + (entry->uuid.size >= PACKED_SIZE ? 1 : 0); /* a NUL */
}

static MDB_val uuid_key(const dedup_uuid *uuid, unsigned char ret[static UTAPI_DEDUP_KEY_MAX])
{
    utapi_lmdbenv_put_u64(ret, uuid->time);
    if (uuid->raw == NULL)
        memcpy(ret + TIME_SIZE, uuid->packed, PACKED_SIZE);
    else {
        ret[TIME_SIZE + uuid->size - 1] = '\0';
        memcpy(ret + TIME_SIZE, uuid->raw, uuid->size - (uuid->size > PACKED_SIZE ? 1 : 0));
    }
    return utapi_lmdbenv_val(ret, TIME_SIZE + uuid->size);
}

/* By time, then mostly by what follows: sorted enough for pages to be touched once each, and exactly enough
 * for equal ones to stand in the order of the batch. */
static int uuid_order(const void *left_uuid, const void *right_uuid)
{
    const dedup_uuid *left = left_uuid;
    const dedup_uuid *right = right_uuid;
    if (left->time != right->time)
        return left->time < right->time ? -1 : 1;
    const size_t shorter = left->size < right->size ? left->size : right->size;
    const size_t bytes = shorter > PACKED_SIZE ? shorter - 1 : shorter; /* a raw one's NUL is not in memory */
    const int order = memcmp(left->raw != NULL ? left->raw : (const char *)left->packed,
                             right->raw != NULL ? right->raw : (const char *)right->packed, bytes);
    if (order != 0)
        return order;
    if (left->size != right->size)
        return left->size < right->size ? -1 : 1;
    return left->index < right->index ? -1 : 1;
}

static size_t value_size(const utapi_dedup *self)
{
    return self->unit == UTAPI_DEDUP_MS ? 8 : 4;
}

/* Whether a uuid was accepted before the window. */
static bool value_is_over(const utapi_dedup *self, MDB_val value, int64_t now_ms)
{
    if (value.mv_size != value_size(self))
        return true; /* none of ours */
    const int64_t last_ms =
        self->unit == UTAPI_DEDUP_MS
            ? (int64_t)utapi_lmdbenv_get_u64(value.mv_data)
            : utapi_interval_at(utapi_lmdbenv_get_u32(value.mv_data)) + UTAPI_INTERVAL_MS - 1;
    return last_ms < now_ms - self->window_ms;
}

static int uuid_add(const utapi_dedup *self, MDB_cursor *cursor, const dedup_uuid *uuid, int64_t accepted_ms,
                    bool *ret_known)
{
    unsigned char bytes[UTAPI_DEDUP_KEY_MAX], accepted[8];
    if (self->unit == UTAPI_DEDUP_MS)
        utapi_lmdbenv_put_u64(accepted, (uint64_t)accepted_ms);
    else
        utapi_lmdbenv_put_u32(accepted, utapi_interval_number(utapi_interval_of(accepted_ms)));
    const MDB_val now = utapi_lmdbenv_val(accepted, value_size(self));
    MDB_val key = uuid_key(uuid, bytes);
    MDB_val value = now;
    const int rc = mdb_cursor_put(cursor, &key, &value, MDB_NOOVERWRITE);
    *ret_known = rc == MDB_KEYEXIST && !value_is_over(self, value, accepted_ms);
    if (rc != MDB_KEYEXIST || *ret_known)
        return rc == MDB_KEYEXIST ? 0 : rc;
    value = now; /* expiry has not come to it yet */
    return mdb_cursor_put(cursor, &key, &value, 0);
}

utapi_status utapi_dedup_add(const utapi_dedup *self, MDB_txn *txn, const utapi_batch *batch, bool *skip,
                             size_t *ret_repeated, utapi_error *err)
{
    *ret_repeated = 0;
    if (self->window_ms == 0)
        return UTAPI_OK;
    UTAPI_AUTO_FREE dedup_uuid *uuids = malloc((batch->count + 1) * sizeof *uuids);
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

    MDB_cursor *cursor = NULL;
    int rc = mdb_cursor_open(txn, self->env->tables[self->table], &cursor);
    for (size_t i = 0; i < count && rc == 0; i++) {
        bool *known = &skip[uuids[i].index];
        rc = uuid_add(self, cursor, &uuids[i], batch->entries[uuids[i].index].accepted_ms, known);
        *ret_repeated += *known;
    }
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    return rc == 0 ? UTAPI_OK : utapi_lmdbenv_fail(self->env->layout, err, rc, "storing uuids");
}

int utapi_dedup_remove(const utapi_dedup *self, MDB_txn *txn, const utapi_entry *entry)
{
    unsigned char bytes[UTAPI_DEDUP_KEY_MAX];
    dedup_uuid uuid;
    if (entry->uuid.size == 0)
        return 0;
    uuid_init(&uuid, entry, 0);
    MDB_val key = uuid_key(&uuid, bytes);
    const int rc = mdb_del(txn, self->env->tables[self->table], &key, NULL);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* Goes on from the sweep. MDB_NOTFOUND: the round is at its end. */
static int sweep_on(utapi_dedup *self, MDB_cursor *cursor, int64_t now_ms, size_t max)
{
    const int64_t oldest_ms = now_ms > 0 ? now_ms - self->window_ms : 0; /* a batch may hold no entry */
    MDB_val value;
    size_t size = self->sweep_size;
    if (size == 0) { /* LMDB takes no key of no bytes */
        memset(self->sweep, 0, TIME_SIZE);
        size = TIME_SIZE;
    }
    MDB_val key = utapi_lmdbenv_val(self->sweep, size);
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    for (size_t i = 0; i < max && rc == 0; i++) {
        if (key.mv_size < TIME_SIZE || key.mv_size > sizeof self->sweep || oldest_ms <= 0 ||
            utapi_lmdbenv_get_u64(key.mv_data) >= (uint64_t)oldest_ms)
            return MDB_NOTFOUND;
        /* A copy, for the page that it stands on is about to change. */
        memcpy(self->sweep, key.mv_data, key.mv_size);
        self->sweep_size = key.mv_size;
        if (!value_is_over(self, value, now_ms)) {
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
            continue;
        }
        rc = mdb_cursor_del(cursor, 0);
        key = utapi_lmdbenv_val(self->sweep, self->sweep_size);
        if (rc == 0)
            rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    }
    return rc;
}

utapi_status utapi_dedup_expire(utapi_dedup *self, MDB_txn *txn, int64_t accepted_ms, size_t max,
                                utapi_error *err)
{
    MDB_cursor *cursor = NULL;
    int rc = mdb_cursor_open(txn, self->env->tables[self->table], &cursor);
    if (rc == 0)
        rc = sweep_on(self, cursor, accepted_ms, max);
    if (rc != 0)
        self->sweep_size = 0;
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    return rc == 0 || rc == MDB_NOTFOUND ? UTAPI_OK
                                         : utapi_lmdbenv_fail(self->env->layout, err, rc, "dropping uuids");
}
