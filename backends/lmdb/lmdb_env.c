/* SPDX-License-Identifier: Apache-2.0 */
/* lmdb_env.c - transactions: how they begin and end, what becomes of a failed commit, how full the map is.
 *
 * Every transaction runs inside the gate, which is shared; it is taken alone only to open an environment
 * again that LMDB gave up. So readers wait for no writer, and nobody holds a handle of a closed environment. */
#include "lmdb_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

/* ---- bytes -------------------------------------------------------------------------------- */

void utapi_lmdb_put_u64(unsigned char *at, uint64_t number)
{
    for (unsigned i = 0; i < 8; i++)
        at[i] = (unsigned char)(number >> (56 - 8 * i));
}

void utapi_lmdb_put_u32(unsigned char *at, uint32_t number)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (unsigned char)(number >> (24 - 8 * i));
}

uint64_t utapi_lmdb_get_u64(const unsigned char *at)
{
    return (uint64_t)utapi_lmdb_get_u32(at) << 32 | utapi_lmdb_get_u32(at + 4);
}

uint32_t utapi_lmdb_get_u32(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

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

/* ---- errors ------------------------------------------------------------------------------- */

utapi_status utapi_lmdb_fail(utapi_error *err, int rc, const char *doing)
{
    static const struct {
        int rc;
        utapi_status status;
    } known[] = {
        {ENOMEM, UTAPI_NO_MEMORY},
        {MDB_CORRUPTED, UTAPI_CORRUPT},
        {MDB_PAGE_NOTFOUND, UTAPI_CORRUPT},
        {MDB_INVALID, UTAPI_CORRUPT},
        {MDB_VERSION_MISMATCH, UTAPI_CORRUPT},
        {MDB_INCOMPATIBLE, UTAPI_CORRUPT},
        {MDB_BAD_VALSIZE, UTAPI_INVALID},
    };
    utapi_status status = UTAPI_UNAVAILABLE; /* no room, no reader's place, a disk that fails */
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].rc == rc)
            status = known[i].status;
    return utapi_fail(err, status, "%s: %s", doing, mdb_strerror(rc));
}

/* ---- the gate ----------------------------------------------------------------------------- */

static utapi_status env_open_again(lmdb_backend *self, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    pthread_rwlock_wrlock(&self->gate);
    if (atomic_load(&self->broken)) {
        utapi_lmdb_env_close(self);
        status = utapi_lmdb_env_open(self, err);
        if (status == UTAPI_OK)
            atomic_store(&self->broken, false);
    }
    pthread_rwlock_unlock(&self->gate);
    return status;
}

static utapi_status gate_enter(lmdb_backend *self, utapi_error *err)
{
    for (;;) {
        pthread_rwlock_rdlock(&self->gate);
        if (!atomic_load(&self->broken))
            return UTAPI_OK;
        pthread_rwlock_unlock(&self->gate);
        const utapi_status status = env_open_again(self, err);
        if (status != UTAPI_OK)
            return status;
    }
}

static void gate_leave(lmdb_backend *self)
{
    pthread_rwlock_unlock(&self->gate);
}

/* ---- reading ------------------------------------------------------------------------------ */

static void reader_free(lmdb_reader *reader)
{
    if (reader->history != NULL)
        mdb_cursor_close(reader->history);
    if (reader->txn != NULL)
        mdb_txn_abort(reader->txn);
    free(reader);
}

/* Beginning copies the page that holds the roots of transaction N; the commit of N + 2 overwrites that page
 * and only then says so. A beginner that was held up meanwhile holds a copy that is newer than its number,
 * or half of one: its next question could be answered from before this one. So it begins again. */
static int reader_renew(lmdb_backend *self, lmdb_reader *reader)
{
    for (;;) {
        const int rc = mdb_txn_renew(reader->txn);
        if (rc != 0)
            return rc;
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load(&self->committing) < mdb_txn_id(reader->txn) + 2)
            return mdb_cursor_renew(reader->txn, reader->history);
        mdb_txn_reset(reader->txn);
    }
}

static int reader_new(lmdb_backend *self, lmdb_reader **ret)
{
    lmdb_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return ENOMEM;
    int rc = mdb_txn_begin(self->env, NULL, MDB_RDONLY, &reader->txn);
    if (rc == 0)
        rc = mdb_cursor_open(reader->txn, self->tables[LMDB_HISTORY], &reader->history);
    if (rc == 0)
        mdb_txn_reset(reader->txn);
    if (rc != 0) {
        reader_free(reader);
        return rc;
    }
    *ret = reader;
    return 0;
}

static lmdb_reader *pool_take(lmdb_backend *self)
{
    pthread_mutex_lock(&self->pool_lock);
    lmdb_reader *reader = self->pool;
    if (reader != NULL)
        self->pool = reader->next;
    pthread_mutex_unlock(&self->pool_lock);
    return reader;
}

utapi_status utapi_lmdb_read_begin(lmdb_backend *self, lmdb_reader **ret, utapi_error *err)
{
    const utapi_status status = gate_enter(self, err);
    if (status != UTAPI_OK)
        return status;
    lmdb_reader *reader = pool_take(self);
    int rc = reader == NULL ? reader_new(self, &reader) : 0;
    if (rc == 0) {
        rc = reader_renew(self, reader);
        if (rc != 0)
            reader_free(reader);
    }
    if (rc != 0) {
        gate_leave(self);
        return utapi_lmdb_fail(err, rc, "beginning to read");
    }
    *ret = reader;
    return UTAPI_OK;
}

void utapi_lmdb_read_end(lmdb_backend *self, lmdb_reader *reader)
{
    mdb_txn_reset(reader->txn); /* an old snapshot that is held keeps pages from being used again */
    pthread_mutex_lock(&self->pool_lock);
    reader->next = self->pool;
    self->pool = reader;
    pthread_mutex_unlock(&self->pool_lock);
    gate_leave(self);
}

/* ---- writing ------------------------------------------------------------------------------ */

static const lmdb_key next_id_key = {.size = 7, .bytes = "next id"};

static utapi_status write_prepare(lmdb_write *write, utapi_error *err)
{
    MDB_stat stat;
    MDB_val value;
    bool found;
    int rc = mdb_stat(write->txn, write->self->tables[LMDB_GONE], &stat);
    if (rc != 0)
        return utapi_lmdb_fail(err, rc, "beginning to write");
    write->any_gone = stat.ms_entries > 0;
    const utapi_status status = utapi_lmdb_get(write, LMDB_META, &next_id_key, &value, &found, err);
    if (status == UTAPI_OK && found && value.mv_size == 8)
        write->next_id = write->stored_next_id = utapi_lmdb_get_u64(value.mv_data);
    return status;
}

utapi_status utapi_lmdb_write_begin(lmdb_backend *self, lmdb_write *ret, utapi_error *err)
{
    utapi_status status = gate_enter(self, err);
    if (status != UTAPI_OK)
        return status;
    pthread_mutex_lock(&self->writing);
    *ret = (lmdb_write){.self = self};
    const int rc = mdb_txn_begin(self->env, NULL, 0, &ret->txn);
    if (rc != 0) {
        pthread_mutex_unlock(&self->writing);
        gate_leave(self);
        return utapi_lmdb_fail(err, rc, "beginning to write");
    }
    status = write_prepare(ret, err);
    return status == UTAPI_OK ? UTAPI_OK : utapi_lmdb_write_end(ret, status, err);
}

/* LMDB calls a write that came back short an I/O error. Where the disk has less room than a write takes, that is why. */
static int commit_code(const lmdb_backend *self, int rc)
{
    enum { WRITE_MOST = 1 << 20 };
    struct statvfs disk;
    if (rc == EIO && statvfs(self->location, &disk) == 0 &&
        (uint64_t)disk.f_bavail * disk.f_frsize < WRITE_MOST)
        return ENOSPC;
    return rc;
}

/* A commit writes pages, syncs, and then writes the one page that makes them count. LMDB gives the environment
 * up only if that last step fails: so whether a write can begin tells whether anything may be stored. */
static utapi_status commit_failed(lmdb_backend *self, int rc, utapi_error *err)
{
    MDB_txn *probe;
    if (mdb_txn_begin(self->env, NULL, 0, &probe) == 0) {
        mdb_txn_abort(probe);
        return utapi_lmdb_fail(err, rc, "storing");
    }
    atomic_store(&self->broken, true);
    return utapi_fail(err, UTAPI_UNCERTAIN, "storing: %s", mdb_strerror(rc));
}

utapi_status utapi_lmdb_write_end(lmdb_write *write, utapi_status status, utapi_error *err)
{
    lmdb_backend *self = write->self;
    if (status == UTAPI_OK && write->next_id != write->stored_next_id) {
        unsigned char bytes[8];
        utapi_lmdb_put_u64(bytes, write->next_id);
        status = utapi_lmdb_put(write, LMDB_META, &next_id_key, bytes, sizeof bytes, err);
    }
    if (status != UTAPI_OK)
        mdb_txn_abort(write->txn);
    else {
        atomic_store(&self->committing, mdb_txn_id(write->txn));
        const int rc = mdb_txn_commit(write->txn);
        if (rc != 0)
            status = commit_failed(self, commit_code(self, rc), err);
    }
    pthread_mutex_unlock(&self->writing);
    gate_leave(self);
    return status;
}

utapi_status utapi_lmdb_cursor(lmdb_write *write, lmdb_table table, MDB_cursor **ret, utapi_error *err)
{
    if (write->cursors[table] == NULL) {
        const int rc = mdb_cursor_open(write->txn, write->self->tables[table], &write->cursors[table]);
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
    MDB_val data = utapi_lmdb_val(value, size);
    const int rc = mdb_cursor_put(cursor, &at, &data, 0);
    return rc == 0 ? UTAPI_OK : utapi_lmdb_fail(err, rc, "storing");
}

utapi_status utapi_lmdb_del(lmdb_write *write, lmdb_table table, const lmdb_key *key, utapi_error *err)
{
    MDB_val at = utapi_lmdb_key_val(key);
    const int rc = mdb_del(write->txn, write->self->tables[table], &at, NULL);
    return rc == 0 || rc == MDB_NOTFOUND ? UTAPI_OK : utapi_lmdb_fail(err, rc, "deleting");
}

/* ---- space -------------------------------------------------------------------------------- */

/* Sums the free list: each of its values begins with how many pages it holds. */
static int free_pages_count(const lmdb_reader *reader, uint64_t *ret)
{
    enum { FREE_LIST = 0 }; /* LMDB's own table; only readers may open it */
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    int rc = mdb_cursor_open(reader->txn, FREE_LIST, &cursor);
    if (rc != 0)
        return rc;
    *ret = 0;
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        size_t count;
        memcpy(&count, value.mv_data, sizeof count);
        *ret += count;
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* Counts once for each state of the storage; an asker that is behind another counts for itself alone. */
static int free_pages(lmdb_backend *self, const lmdb_reader *reader, uint64_t *ret)
{
    const size_t txn = mdb_txn_id(reader->txn);
    pthread_mutex_lock(&self->space_lock);
    const bool counted = self->space_txn == txn;
    *ret = self->free_pages;
    pthread_mutex_unlock(&self->space_lock);
    if (counted)
        return 0;
    const int rc = free_pages_count(reader, ret);
    if (rc == 0) {
        pthread_mutex_lock(&self->space_lock);
        self->space_txn = txn;
        self->free_pages = *ret;
        pthread_mutex_unlock(&self->space_lock);
    }
    return rc;
}

/* Pages up to the last one that was ever used, less free ones. Those are counted only if the former are more
 * than `enough`. */
static utapi_status pages_used(lmdb_backend *self, uint64_t enough, uint64_t *ret, utapi_error *err)
{
    lmdb_reader *reader = NULL;
    const utapi_status status = utapi_lmdb_read_begin(self, &reader, err);
    if (status != UTAPI_OK)
        return status;
    assert(reader != NULL); /* success promises one */
    MDB_envinfo info;
    uint64_t left_free = 0;
    int rc = mdb_env_info(self->env, &info);
    const uint64_t ever = (uint64_t)info.me_last_pgno + 1;
    if (rc == 0 && ever > enough)
        rc = free_pages(self, reader, &left_free);
    *ret = ever > left_free ? ever - left_free : 0;
    utapi_lmdb_read_end(self, reader);
    return rc == 0 ? UTAPI_OK : utapi_lmdb_fail(err, rc, "counting pages");
}

utapi_status utapi_lmdb_used_pages(lmdb_backend *self, uint64_t *ret, utapi_error *err)
{
    return pages_used(self, 0, ret, err);
}

utapi_status utapi_lmdb_check_space(lmdb_backend *self, utapi_error *err)
{
    const uint64_t limit = self->map_pages - self->reserve_pages;
    uint64_t used;
    const utapi_status status = pages_used(self, limit, &used, err);
    if (status != UTAPI_OK || used <= limit)
        return status;
    return utapi_fail(err, UTAPI_UNAVAILABLE, "the map is full: %llu of %llu MiB, less a reserve",
                      (unsigned long long)(used * self->page_size >> 20),
                      (unsigned long long)(self->map_pages * self->page_size >> 20));
}
