/* SPDX-License-Identifier: Apache-2.0 */
/* journal_seen.c - which uuids were taken within the window.
 *
 * The key begins with the event's own time, so the uuids of a group lie together and share pages; the value is
 * the time of the taking, which is what the window is measured on. Expiry walks through the times that are
 * older than the window, in slices, round and round. */
#include "journal_internal.h"

#include "utapi/scoped.h"

#include <string.h>

enum { TIME_SIZE = 8, TAKEN_SIZE = 8, KEY_MOST = TIME_SIZE + UTAPI_NAME_MAX + 1 };

typedef struct seen_uuid {
    size_t index; /* of the entry */
    size_t size;  /* of the key */
    unsigned char key[KEY_MOST];
} seen_uuid;

static void uuid_init(seen_uuid *uuid, const utapi_entry *entry, size_t index)
{
    uuid->index = index;
    utapi_lmdbenv_put_u64(uuid->key, (uint64_t)entry->uuid_time_ms);
    uuid->size = TIME_SIZE + UTAPI_LMDBENV_UUID_SIZE;
    if (utapi_lmdbenv_uuid_pack(entry->uuid, uuid->key + TIME_SIZE))
        return;
    /* A NUL behind it from 16 bytes on: so none is ever taken for a packed one. */
    memcpy(uuid->key + TIME_SIZE, entry->uuid.data, entry->uuid.size);
    uuid->size = TIME_SIZE + entry->uuid.size;
    if (entry->uuid.size >= UTAPI_LMDBENV_UUID_SIZE)
        uuid->key[uuid->size++] = '\0';
}

static int uuid_order(const void *left_uuid, const void *right_uuid)
{
    const seen_uuid *left = *(seen_uuid *const *)left_uuid;
    const seen_uuid *right = *(seen_uuid *const *)right_uuid;
    const int order = memcmp(left->key, right->key, left->size < right->size ? left->size : right->size);
    if (order != 0)
        return order;
    if (left->size != right->size)
        return left->size < right->size ? -1 : 1;
    return left->index < right->index ? -1 : 1;
}

static bool taking_is_over(const journal *self, MDB_val value, int64_t accepted_ms)
{
    return value.mv_size != TAKEN_SIZE ||
           (int64_t)utapi_lmdbenv_get_u64(value.mv_data) < accepted_ms - self->window_ms;
}

static int uuid_take(const journal *self, MDB_cursor *seen, const seen_uuid *uuid, int64_t accepted_ms,
                     bool *ret_known)
{
    unsigned char taken[TAKEN_SIZE];
    utapi_lmdbenv_put_u64(taken, (uint64_t)accepted_ms);
    MDB_val key = utapi_lmdbenv_val(uuid->key, uuid->size);
    MDB_val value = utapi_lmdbenv_val(taken, sizeof taken);
    const int rc = mdb_cursor_put(seen, &key, &value, MDB_NOOVERWRITE);
    *ret_known = rc == MDB_KEYEXIST && !taking_is_over(self, value, accepted_ms);
    if (rc != MDB_KEYEXIST || *ret_known)
        return rc == MDB_KEYEXIST ? 0 : rc;
    value = utapi_lmdbenv_val(taken, sizeof taken); /* expiry has not come to it yet */
    return mdb_cursor_put(seen, &key, &value, 0);
}

/* In the order of the keys: then each page is touched once. */
static int uuids_take(const journal *self, MDB_txn *txn, const utapi_batch *batch, seen_uuid **sorted,
                      size_t count, bool *skip, size_t *ret_repeated)
{
    MDB_cursor *seen = NULL;
    int rc = mdb_cursor_open(txn, self->env.tables[JOURNAL_SEEN], &seen);
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = uuid_take(self, seen, sorted[i], batch->accepted_ms, &skip[sorted[i]->index]);
        *ret_repeated += skip[sorted[i]->index];
    }
    if (seen != NULL)
        mdb_cursor_close(seen);
    return rc;
}

utapi_status utapi_journal_seen_take(journal *self, MDB_txn *txn, const utapi_batch *batch, bool *skip,
                                     size_t *ret_repeated, utapi_error *err)
{
    *ret_repeated = 0;
    if (self->window_ms == 0)
        return UTAPI_OK;
    UTAPI_AUTO_FREE seen_uuid *uuids = malloc((batch->count + 1) * sizeof *uuids);
    UTAPI_AUTO_FREE seen_uuid **sorted = malloc((batch->count + 1) * sizeof *sorted);
    if (uuids == NULL || sorted == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "%zu uuids", batch->count);
    size_t count = 0;
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->entries[i].uuid.size == 0)
            continue;
        uuid_init(&uuids[count], &batch->entries[i], i);
        sorted[count] = &uuids[count];
        count++;
    }
    qsort(sorted, count, sizeof *sorted, uuid_order);
    const int rc = uuids_take(self, txn, batch, sorted, count, skip, ret_repeated);
    return rc == 0 ? UTAPI_OK : utapi_journal_fail(err, rc, "storing uuids");
}

int utapi_journal_seen_drop(journal *self, MDB_txn *txn, const utapi_entry *entry)
{
    seen_uuid uuid;
    if (entry->uuid.size == 0)
        return 0;
    uuid_init(&uuid, entry, 0);
    MDB_val key = utapi_lmdbenv_val(uuid.key, uuid.size);
    const int rc = mdb_del(txn, self->env.tables[JOURNAL_SEEN], &key, NULL);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* ---- expiry ------------------------------------------------------------------------------- */

/* Walks on from the sweep; returns 0 with the sweep moved on, MDB_NOTFOUND at the end of a round. */
static int sweep_run(journal *self, MDB_cursor *seen, int64_t accepted_ms, size_t most)
{
    const int64_t oldest_ms = accepted_ms - self->window_ms;
    MDB_val value;
    if (self->sweep_size == 0) { /* where a round begins; LMDB takes no key of no bytes */
        memset(self->sweep, 0, TIME_SIZE);
        self->sweep_size = TIME_SIZE;
    }
    MDB_val key = utapi_lmdbenv_val(self->sweep, self->sweep_size);
    int rc = mdb_cursor_get(seen, &key, &value, MDB_SET_RANGE);
    for (size_t i = 0; i < most && rc == 0; i++) {
        if (key.mv_size < TIME_SIZE || key.mv_size > sizeof self->sweep ||
            (int64_t)utapi_lmdbenv_get_u64(key.mv_data) >= oldest_ms)
            return MDB_NOTFOUND;
        memcpy(self->sweep, key.mv_data, key.mv_size);
        self->sweep_size = key.mv_size;
        if (taking_is_over(self, value, accepted_ms)) {
            rc = mdb_cursor_del(seen, 0);
            key = utapi_lmdbenv_val(self->sweep, self->sweep_size);
            if (rc == 0)
                rc = mdb_cursor_get(seen, &key, &value, MDB_SET_RANGE);
        } else
            rc = mdb_cursor_get(seen, &key, &value, MDB_NEXT);
    }
    return rc;
}

utapi_status utapi_journal_seen_expire(journal *self, MDB_txn *txn, int64_t accepted_ms, size_t most,
                                       utapi_error *err)
{
    MDB_cursor *seen = NULL;
    int rc = mdb_cursor_open(txn, self->env.tables[JOURNAL_SEEN], &seen);
    if (rc == 0)
        rc = sweep_run(self, seen, accepted_ms, most);
    if (rc != 0)
        self->sweep_size = 0;
    if (seen != NULL)
        mdb_cursor_close(seen);
    return rc == 0 || rc == MDB_NOTFOUND ? UTAPI_OK : utapi_journal_fail(err, rc, "dropping uuids");
}

utapi_status utapi_journal_seen_tend(journal *self, int64_t accepted_ms, utapi_error *err)
{
    MDB_txn *txn = NULL;
    utapi_status status = utapi_journal_write_begin(self, &txn, err);
    if (status != UTAPI_OK)
        return status;
    status = utapi_journal_seen_expire(self, txn, accepted_ms, JOURNAL_SEEN_SLICE, err);
    status = utapi_journal_write_end(self, txn, status, err);
    utapi_lmdbenv_write_leave(&self->env);
    return status;
}
