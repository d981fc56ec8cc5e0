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

/* One uuid of a batch. */
typedef struct dedup_uuid {
    size_t index; /* of the entry */
    size_t size;  /* of the key */
    unsigned char
        key[TIME_SIZE + PACKED_SIZE]; /* as much of it as a packed one has, which is what it is sorted by */
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

/* The key of an entry's uuid. Gives its size: that of a packed one is no other's. */
static size_t uuid_key(const utapi_entry *entry, unsigned char ret[static UTAPI_DEDUP_KEY_MAX])
{
    const utapi_string uuid = entry->uuid;
    utapi_lmdbenv_put_u64(ret, (uint64_t)entry->uuid_time_ms);
    if (uuid_pack(uuid, ret + TIME_SIZE))
        return TIME_SIZE + PACKED_SIZE;
    memcpy(ret + TIME_SIZE, uuid.data, uuid.size);
    ret[TIME_SIZE + uuid.size] = '\0';
    return TIME_SIZE + uuid.size + (uuid.size >= PACKED_SIZE);
}

/* Sorted enough for pages to be touched once each, and exactly enough for equal ones to stand in the order of the
 * batch. */
static int uuid_order(const void *left_uuid, const void *right_uuid)
{
    const dedup_uuid *left = left_uuid, *right = right_uuid;
    const int order = memcmp(left->key, right->key, sizeof left->key);
    return order != 0 ? order : (left->index > right->index) - (left->index < right->index);
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

/* Adds a uuid, or its time of acceptance where expiry has not come to the one before yet. */
static int uuid_add(const utapi_dedup *self, MDB_cursor *cursor, MDB_val key, int64_t accepted_ms,
                    bool *ret_known)
{
    unsigned char accepted[8];
    if (self->unit == UTAPI_DEDUP_MS)
        utapi_lmdbenv_put_u64(accepted, (uint64_t)accepted_ms);
    else
        utapi_lmdbenv_put_u32(accepted, utapi_interval_number(utapi_interval_of(accepted_ms)));
    const MDB_val now = utapi_lmdbenv_val(accepted, value_size(self));
    MDB_val value = now;
    const int rc = mdb_cursor_put(cursor, &key, &value, MDB_NOOVERWRITE);
    if (rc != MDB_KEYEXIST)
        return rc;
    *ret_known = !value_is_over(self, value, accepted_ms);
    value = now;
    return *ret_known ? 0 : mdb_cursor_put(cursor, &key, &value, 0);
}

utapi_status utapi_dedup_add(const utapi_dedup *self, MDB_txn *txn, const utapi_batch *batch, bool *skip,
                             size_t *ret_repeated, utapi_error *err)
{
    unsigned char key[UTAPI_DEDUP_KEY_MAX] = {0};
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
        if (batch->entries[i].uuid.size == 0 || batch->entries[i].letter.size > 0)
            continue;
        dedup_uuid *uuid = &uuids[count++];
        *uuid = (dedup_uuid){.index = i, .size = uuid_key(&batch->entries[i], key)};
        memcpy(uuid->key, key, uuid->size < sizeof uuid->key ? uuid->size : sizeof uuid->key);
    }
    qsort(uuids, count, sizeof *uuids, uuid_order);

    MDB_cursor *cursor = NULL;
    int rc = mdb_cursor_open(txn, self->env->tables[self->table], &cursor);
    for (size_t i = 0; i < count && rc == 0; i++) {
        const utapi_entry *entry = &batch->entries[uuids[i].index];
        const bool is_whole = uuids[i].size <= sizeof uuids[i].key;
        const unsigned char *bytes = is_whole ? uuids[i].key : key;
        bool *known = &skip[uuids[i].index];
        if (!is_whole)
            (void)uuid_key(entry, key);
        rc = uuid_add(self, cursor, utapi_lmdbenv_val(bytes, uuids[i].size), entry->accepted_ms, known);
        *ret_repeated += *known;
    }
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    return rc == 0 ? UTAPI_OK : utapi_lmdbenv_fail(self->env->layout, err, rc, "storing uuids");
}

int utapi_dedup_remove(const utapi_dedup *self, MDB_txn *txn, const utapi_entry *entry)
{
    unsigned char bytes[UTAPI_DEDUP_KEY_MAX];
    if (entry->uuid.size == 0)
        return 0;
    MDB_val key = utapi_lmdbenv_val(bytes, uuid_key(entry, bytes));
    const int rc = mdb_del(txn, self->env->tables[self->table], &key, NULL);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

utapi_status utapi_dedup_expire(utapi_dedup *self, MDB_txn *txn, int64_t accepted_ms, size_t max,
                                utapi_error *err)
{
    const int64_t oldest_ms =
        accepted_ms > 0 ? accepted_ms - self->window_ms : 0; /* a batch may hold no entry */
    MDB_cursor *cursor = NULL;
    MDB_val value;
    size_t size = self->sweep_size;
    if (size == 0) { /* LMDB takes no key of no bytes */
        memset(self->sweep, 0, TIME_SIZE);
        size = TIME_SIZE;
    }
    MDB_val key = utapi_lmdbenv_val(self->sweep, size);
    int rc = mdb_cursor_open(txn, self->env->tables[self->table], &cursor);
    if (rc == 0)
        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    for (size_t i = 0; i < max && rc == 0; i++) {
        if (key.mv_size < TIME_SIZE || key.mv_size > sizeof self->sweep || oldest_ms <= 0 ||
            utapi_lmdbenv_get_u64(key.mv_data) >= (uint64_t)oldest_ms) {
            rc = MDB_NOTFOUND; /* the round is at its end */
            break;
        }
        /* A copy, for the page that it stands on is about to change. */
        memcpy(self->sweep, key.mv_data, key.mv_size);
        self->sweep_size = key.mv_size;
        const bool is_over = value_is_over(self, value, accepted_ms);
        if (is_over)
            rc = mdb_cursor_del(cursor, 0);
        key = utapi_lmdbenv_val(self->sweep, self->sweep_size);
        if (rc == 0)
            rc = mdb_cursor_get(cursor, &key, &value, is_over ? MDB_SET_RANGE : MDB_NEXT);
    }
    if (rc != 0)
        self->sweep_size = 0;
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    return rc == 0 || rc == MDB_NOTFOUND ? UTAPI_OK
                                         : utapi_lmdbenv_fail(self->env->layout, err, rc, "dropping uuids");
}
