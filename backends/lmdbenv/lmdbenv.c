/* SPDX-License-Identifier: Apache-2.0 */
/* lmdbenv.c - transactions: how they begin and end, what becomes of a failed commit, how full the map is.
 *
 * Every transaction runs inside the gate, which is shared; it is held alone only to open an environment
 * again that LMDB gave up. So readers wait for no writer, and nobody holds a handle of a closed environment. */
#include "lmdbenv.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

/* ---- the gate ----------------------------------------------------------------------------- */

static utapi_status gate_enter(utapi_lmdbenv *env, utapi_error *err)
{
    pthread_rwlock_rdlock(&env->gate);
    while (atomic_load(&env->broken)) {
        pthread_rwlock_unlock(&env->gate);
        pthread_rwlock_wrlock(&env->gate);
        const utapi_status status = atomic_load(&env->broken) ? utapi_lmdbenv_reopen(env, err) : UTAPI_OK;
        pthread_rwlock_unlock(&env->gate);
        if (status != UTAPI_OK)
            return status;
        pthread_rwlock_rdlock(&env->gate);
    }
    return UTAPI_OK;
}

/* ---- reading ------------------------------------------------------------------------------ */

/* Beginning copies the page that holds the roots of transaction N; the commit of N + 2 overwrites that page and
 * only then says so. A beginner that was held up meanwhile may hold half of one, or an older one than it was
 * told of: then what was just stored would look as if it were lost. So it begins again. */
static int reader_renew(utapi_lmdbenv *env, utapi_lmdbenv_reader *reader)
{
    const size_t oldest = atomic_load(&env->committed);
    for (;;) {
        const int rc = mdb_txn_renew(reader->txn);
        if (rc != 0)
            return rc;
        atomic_thread_fence(memory_order_acquire);
        const size_t id = mdb_txn_id(reader->txn);
        if (id >= oldest && atomic_load(&env->committing) < id + 2)
            return mdb_cursor_renew(reader->txn, reader->cursor);
        mdb_txn_reset(reader->txn);
    }
}

static int reader_new(utapi_lmdbenv *env, utapi_lmdbenv_reader *ret)
{
    int rc = mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &ret->txn);
    if (rc == 0)
        rc = mdb_cursor_open(ret->txn, env->tables[env->layout->reader_table], &ret->cursor);
    if (rc == 0)
        mdb_txn_reset(ret->txn);
    return rc;
}

utapi_status utapi_lmdbenv_read_begin(utapi_lmdbenv *env, utapi_lmdbenv_reader **ret, utapi_error *err)
{
    const utapi_status status = gate_enter(env, err);
    if (status != UTAPI_OK)
        return status;
    int rc = 0;
    pthread_mutex_lock(&env->lock);
    utapi_lmdbenv_reader *reader = env->pool;
    if (reader != NULL)
        env->pool = reader->next;
    pthread_mutex_unlock(&env->lock);
    if (reader == NULL) {
        reader = calloc(1, sizeof *reader);
        rc = reader != NULL ? reader_new(env, reader) : ENOMEM;
    }
    if (rc == 0)
        rc = reader_renew(env, reader);
    if (rc == 0) {
        *ret = reader;
        return UTAPI_OK;
    }
    if (reader != NULL)
        utapi_lmdbenv_reader_free(reader);
    pthread_rwlock_unlock(&env->gate);
    return utapi_lmdbenv_fail(env->layout, err, rc, "beginning to read");
}

void utapi_lmdbenv_read_end(utapi_lmdbenv *env, utapi_lmdbenv_reader *reader)
{
    mdb_txn_reset(reader->txn); /* an old snapshot that is held keeps pages from being used again */
    pthread_mutex_lock(&env->lock);
    reader->next = env->pool;
    env->pool = reader;
    pthread_mutex_unlock(&env->lock);
    pthread_rwlock_unlock(&env->gate);
}

/* ---- writing ------------------------------------------------------------------------------ */

utapi_status utapi_lmdbenv_write_begin(utapi_lmdbenv *env, MDB_txn **ret, utapi_error *err)
{
    const utapi_status status = gate_enter(env, err);
    if (status != UTAPI_OK)
        return status;
    pthread_mutex_lock(&env->writing);
    const int rc = mdb_txn_begin(env->mdb, NULL, 0, ret);
    if (rc == 0)
        return UTAPI_OK;
    utapi_lmdbenv_write_leave(env);
    return utapi_lmdbenv_fail(env->layout, err, rc, "beginning to write");
}

/* A commit writes pages, syncs, and then writes the one page that makes them count. LMDB gives the environment
 * up only if that last step fails: so whether a write can begin tells whether anything may be stored. */
static utapi_status commit_failed(utapi_lmdbenv *env, int rc, utapi_error *err)
{
    enum { WRITE_MAX_BYTES = 1 << 20 };
    struct statvfs disk;
    MDB_txn *probe;
    /* LMDB calls a write that came back short an I/O error. Where the disk has less room than a write takes, that is
     * why. */
    if (rc == EIO && statvfs(env->location, &disk) == 0 &&
        (uint64_t)disk.f_bavail * disk.f_frsize < WRITE_MAX_BYTES)
        rc = ENOSPC;
    if (mdb_txn_begin(env->mdb, NULL, 0, &probe) == 0) {
        mdb_txn_abort(probe);
        return utapi_lmdbenv_fail(env->layout, err, rc, "storing");
    }
    atomic_store(&env->broken, true);
    return utapi_fail(err, UTAPI_UNCERTAIN, "%sstoring: %s", env->layout->prefix, mdb_strerror(rc));
}

utapi_status utapi_lmdbenv_write_end(utapi_lmdbenv *env, MDB_txn *txn, utapi_status status, utapi_error *err)
{
    if (status != UTAPI_OK) {
        mdb_txn_abort(txn);
        return status;
    }
    MDB_envinfo info;
    atomic_store(&env->committing, mdb_txn_id(txn));
    const int rc = mdb_txn_commit(txn);
    if (rc != 0)
        return commit_failed(env, rc, err);
    /* A transaction that changed nothing leaves no trace, nor its number. */
    if (mdb_env_info(env->mdb, &info) == 0)
        atomic_store(&env->committed, info.me_last_txnid);
    return UTAPI_OK;
}

void utapi_lmdbenv_write_leave(utapi_lmdbenv *env)
{
    pthread_mutex_unlock(&env->writing);
    pthread_rwlock_unlock(&env->gate);
}

/* ---- space -------------------------------------------------------------------------------- */

/* Sums the free list: each of its values begins with how many pages it holds. */
static int free_pages_count(MDB_txn *txn, uint64_t *ret)
{
    enum { FREE_LIST = 0 }; /* LMDB's own table; only readers may open it */
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    int rc = mdb_cursor_open(txn, FREE_LIST, &cursor);
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

/* Counts once for each state of the environment; an asker that is behind another counts for itself alone. */
static int free_pages(utapi_lmdbenv *env, MDB_txn *txn, uint64_t *ret)
{
    const size_t id = mdb_txn_id(txn);
    pthread_mutex_lock(&env->lock);
    const bool counted = env->space_txn == id;
    *ret = env->free_pages;
    pthread_mutex_unlock(&env->lock);
    if (counted)
        return 0;
    const int rc = free_pages_count(txn, ret);
    if (rc == 0) {
        pthread_mutex_lock(&env->lock);
        env->space_txn = id;
        env->free_pages = *ret;
        pthread_mutex_unlock(&env->lock);
    }
    return rc;
}

utapi_status utapi_lmdbenv_used_pages(utapi_lmdbenv *env, uint64_t enough, uint64_t *ret, utapi_error *err)
{
    utapi_lmdbenv_reader *reader = NULL;
    const utapi_status status = utapi_lmdbenv_read_begin(env, &reader, err);
    if (status != UTAPI_OK)
        return status;
    assert(reader != NULL); /* success promises one */
    MDB_envinfo info;
    uint64_t left_free = 0;
    int rc = mdb_env_info(env->mdb, &info);
    const uint64_t ever = (uint64_t)info.me_last_pgno + 1;
    if (rc == 0 && ever > enough)
        rc = free_pages(env, reader->txn, &left_free);
    *ret = ever > left_free ? ever - left_free : 0;
    utapi_lmdbenv_read_end(env, reader);
    return rc == 0 ? UTAPI_OK : utapi_lmdbenv_fail(env->layout, err, rc, "counting pages");
}

uint64_t utapi_lmdbenv_room_pages(const utapi_lmdbenv *env)
{
    return env->map_pages - env->reserve_pages;
}

void utapi_lmdbenv_warn(const utapi_lmdbenv *env, uint64_t used_pages, char *ret, size_t size)
{
    enum { WARNED_PERCENT = 80, WHOLE = 100 };
    struct statvfs disk;
    const uint64_t room = utapi_lmdbenv_room_pages(env);
    const uint64_t rest = used_pages < room ? (room - used_pages) * env->page_size : 0;
    *ret = '\0';
    if (used_pages * WHOLE >= room * WARNED_PERCENT) {
        (void)snprintf(ret, size, "%s is nearly full: %llu %% of its room are used", env->layout->name,
                       (unsigned long long)(used_pages * WHOLE / room));
        return;
    }
    if (statvfs(env->location, &disk) != 0)
        return;
    const uint64_t used = disk.f_blocks - disk.f_bfree, whole = used + disk.f_bavail;
    const uint64_t left = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (left < rest && used * WHOLE >= whole * WARNED_PERCENT)
        (void)snprintf(ret, size, "%sthe disk is nearly full: %llu MiB are left", env->layout->prefix,
                       (unsigned long long)(left >> 20));
}

utapi_status utapi_lmdbenv_fail_full(const utapi_lmdbenv *env, uint64_t used_pages, utapi_error *err)
{
    return utapi_fail(err, UTAPI_UNAVAILABLE, "%s: %llu of %llu MiB, less a reserve", env->layout->full,
                      (unsigned long long)(used_pages * env->page_size >> 20),
                      (unsigned long long)(env->map_pages * env->page_size >> 20));
}
