/* SPDX-License-Identifier: Apache-2.0 */
/* journal_dedup.c - which uuids were accepted within the window.
 *
 * The key begins with the event's own time, so the uuids of a group lie together and share pages. The value is the time
 * at which it was accepted, which the window is measured on. Expiry goes through the times that are older than the
 * window, in slices, round and round. */
#include "journal_store.h"

#include "utapi/scoped.h"

#include <errno.h>
#include <string.h>

enum { TIME_SIZE = 8, ACCEPTED_SIZE = 8, KEY_MAX = TIME_SIZE + UTAPI_NAME_MAX + 1 };

typedef struct dedup_uuid {
    size_t index; /* of the entry */
    size_t size;  /* of the key */
    unsigned char key[KEY_MAX];
} dedup_uuid;

static void uuid_init(dedup_uuid *uuid, const utapi_entry *entry, size_t index)
{
    uuid->index = index;
    utapi_env_put_u64(uuid->key, (uint64_t)entry->uuid_time_ms);
    uuid->size = TIME_SIZE + UTAPI_ENV_UUID_SIZE;
    if (utapi_env_uuid_pack(entry->uuid, uuid->key + TIME_SIZE))
        return;
    /* A NUL behind it from 16 bytes on: so none is mistaken for a packed one. */
    memcpy(uuid->key + TIME_SIZE, entry->uuid.data, entry->uuid.size);
    uuid->size = TIME_SIZE + entry->uuid.size;
    if (entry->uuid.size >= UTAPI_ENV_UUID_SIZE)
        uuid->key[uuid->size++] = '\0';
}

static int uuid_order(const void *left_uuid, const void *right_uuid)
{
    const dedup_uuid *left = *(dedup_uuid *const *)left_uuid;
    const dedup_uuid *right = *(dedup_uuid *const *)right_uuid;
    const int order = memcmp(left->key, right->key, left->size < right->size ? left->size : right->size);
    if (order != 0)
        return order;
    if (left->size != right->size)
        return left->size < right->size ? -1 : 1;
    return left->index < right->index ? -1 : 1;
}

static bool window_is_over(const journal_log *log, MDB_val value, int64_t accepted_ms)
{
    return value.mv_size != ACCEPTED_SIZE ||
           (int64_t)utapi_env_get_u64(value.mv_data) < accepted_ms - log->window_ms;
}

static int uuid_add(const journal_log *log, MDB_cursor *seen, const dedup_uuid *uuid, int64_t accepted_ms,
                    bool *ret_known)
{
    unsigned char accepted[ACCEPTED_SIZE];
    utapi_env_put_u64(accepted, (uint64_t)accepted_ms);
    MDB_val key = utapi_env_val(uuid->key, uuid->size);
    MDB_val value = utapi_env_val(accepted, sizeof accepted);
    const int rc = mdb_cursor_put(seen, &key, &value, MDB_NOOVERWRITE);
    *ret_known = rc == MDB_KEYEXIST && !window_is_over(log, value, accepted_ms);
    if (rc != MDB_KEYEXIST || *ret_known)
        return rc == MDB_KEYEXIST ? 0 : rc;
    value = utapi_env_val(accepted, sizeof accepted); /* expiry has not come to it yet */
    return mdb_cursor_put(seen, &key, &value, 0);
}

/* In the order of the keys: then each page is touched once. */
static int uuids_add(const journal_log *log, MDB_txn *txn, const utapi_batch *batch, dedup_uuid **sorted,
                     size_t count, bool *skip, size_t *ret_repeated)
{
    MDB_cursor *seen = NULL;
    int rc = mdb_cursor_open(txn, log->env.tables[JOURNAL_DEDUP], &seen);
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = uuid_add(log, seen, sorted[i], batch->taken_ms, &skip[sorted[i]->index]);
        *ret_repeated += skip[sorted[i]->index];
    }
    if (seen != NULL)
        mdb_cursor_close(seen);
    return rc;
}

int utapi_journal_dedup_batch(journal_log *log, MDB_txn *txn, const utapi_batch *batch, bool *skip,
                              size_t *ret_repeated)
{
    *ret_repeated = 0;
    if (log->window_ms == 0)
        return 0;
    UTAPI_AUTO_FREE dedup_uuid *uuids = malloc((batch->count + 1) * sizeof *uuids);
    UTAPI_AUTO_FREE dedup_uuid **sorted = malloc((batch->count + 1) * sizeof *sorted);
    if (uuids == NULL || sorted == NULL)
        return ENOMEM;
    size_t count = 0;
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->entries[i].uuid.size == 0)
            continue;
        uuid_init(&uuids[count], &batch->entries[i], i);
        sorted[count] = &uuids[count];
        count++;
    }
    qsort(sorted, count, sizeof *sorted, uuid_order);
    return uuids_add(log, txn, batch, sorted, count, skip, ret_repeated);
}

int utapi_journal_dedup_drop(journal_log *log, MDB_txn *txn, const utapi_entry *entry)
{
    dedup_uuid uuid;
    if (entry->uuid.size == 0)
        return 0;
    uuid_init(&uuid, entry, 0);
    MDB_val key = utapi_env_val(uuid.key, uuid.size);
    const int rc = mdb_del(txn, log->env.tables[JOURNAL_DEDUP], &key, NULL);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* ---- expiry ------------------------------------------------------------------------------- */

/* Walks on from the sweep; returns 0 with the sweep moved on, MDB_NOTFOUND at the end of a round. */
static int sweep_run(journal_log *log, MDB_cursor *seen, int64_t accepted_ms, size_t max)
{
    const int64_t oldest_ms = accepted_ms - log->window_ms;
    MDB_val value;
    if (log->sweep_size == 0) { /* where a round begins; LMDB takes no key of no bytes */
        memset(log->sweep, 0, TIME_SIZE);
        log->sweep_size = TIME_SIZE;
    }
    MDB_val key = utapi_env_val(log->sweep, log->sweep_size);
    int rc = mdb_cursor_get(seen, &key, &value, MDB_SET_RANGE);
    for (size_t i = 0; i < max && rc == 0; i++) {
        if (key.mv_size < TIME_SIZE || key.mv_size > sizeof log->sweep ||
            (int64_t)utapi_env_get_u64(key.mv_data) >= oldest_ms)
            return MDB_NOTFOUND;
        memcpy(log->sweep, key.mv_data, key.mv_size);
        log->sweep_size = key.mv_size;
        if (window_is_over(log, value, accepted_ms)) {
            rc = mdb_cursor_del(seen, 0);
            key = utapi_env_val(log->sweep, log->sweep_size);
            if (rc == 0)
                rc = mdb_cursor_get(seen, &key, &value, MDB_SET_RANGE);
        } else
            rc = mdb_cursor_get(seen, &key, &value, MDB_NEXT);
    }
    return rc;
}

int utapi_journal_dedup_expire(journal_log *log, MDB_txn *txn, int64_t accepted_ms, size_t max)
{
    MDB_cursor *seen = NULL;
    int rc = mdb_cursor_open(txn, log->env.tables[JOURNAL_DEDUP], &seen);
    if (rc == 0)
        rc = sweep_run(log, seen, accepted_ms, max);
    if (rc != 0)
        log->sweep_size = 0;
    if (seen != NULL)
        mdb_cursor_close(seen);
    return rc == MDB_NOTFOUND ? 0 : rc;
}
