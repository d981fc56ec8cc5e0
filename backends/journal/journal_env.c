/* SPDX-License-Identifier: Apache-2.0 */
/* journal_env.c - transactions: how they begin and end, what becomes of a failed commit, how full the map is.
 *
 * Every transaction runs inside the gate, which is shared; it is taken alone only to open an environment
 * again that LMDB gave up. */
#include "journal_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

/* ---- bytes -------------------------------------------------------------------------------- */

void utapi_journal_put_u64(unsigned char *at, uint64_t number)
{
    for (unsigned i = 0; i < 8; i++)
        at[i] = (unsigned char)(number >> (56 - 8 * i));
}

void utapi_journal_put_u32(unsigned char *at, uint32_t number)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (unsigned char)(number >> (24 - 8 * i));
}

uint64_t utapi_journal_get_u64(const unsigned char *at)
{
    return (uint64_t)utapi_journal_get_u32(at) << 32 | utapi_journal_get_u32(at + 4);
}

uint32_t utapi_journal_get_u32(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* ---- errors ------------------------------------------------------------------------------- */

utapi_status utapi_journal_fail(utapi_error *err, int rc, const char *doing)
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
    if (rc == MDB_MAP_FULL)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "the journal is full");
    utapi_status status = UTAPI_UNAVAILABLE; /* no room, a disk that fails */
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].rc == rc)
            status = known[i].status;
    return utapi_fail(err, status, "the journal: %s: %s", doing, mdb_strerror(rc));
}

/* ---- the gate ----------------------------------------------------------------------------- */

static utapi_status env_open_again(journal *self, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    pthread_rwlock_wrlock(&self->gate);
    if (atomic_load(&self->broken)) {
        if (self->env != NULL)
            mdb_env_close(self->env);
        self->env = NULL;
        status = utapi_journal_env_open(self, err);
        if (status == UTAPI_OK)
            atomic_store(&self->broken, false);
    }
    pthread_rwlock_unlock(&self->gate);
    return status;
}

static utapi_status gate_enter(journal *self, utapi_error *err)
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

/* ---- reading ------------------------------------------------------------------------------ */

/* Beginning copies the page that holds the roots of transaction N; the commit of N + 2 overwrites that page. A
 * beginner that was held up meanwhile may hold half of one, or an older one than it was told of: then what was
 * just taken would look as if it were lost. So it begins again. */
static int reader_begin(journal *self, MDB_txn **ret)
{
    const size_t least = atomic_load(&self->committed);
    for (;;) {
        const int rc = mdb_txn_begin(self->env, NULL, MDB_RDONLY, ret);
        if (rc != 0)
            return rc;
        atomic_thread_fence(memory_order_acquire);
        const size_t id = mdb_txn_id(*ret);
        if (id >= least && atomic_load(&self->committing) < id + 2)
            return 0;
        mdb_txn_abort(*ret);
    }
}

utapi_status utapi_journal_read_begin(journal *self, MDB_txn **ret, utapi_error *err)
{
    const utapi_status status = gate_enter(self, err);
    if (status != UTAPI_OK)
        return status;
    const int rc = reader_begin(self, ret);
    if (rc == 0)
        return UTAPI_OK;
    pthread_rwlock_unlock(&self->gate);
    return utapi_journal_fail(err, rc, "beginning to read");
}

void utapi_journal_read_end(journal *self, MDB_txn *txn)
{
    mdb_txn_abort(txn);
    pthread_rwlock_unlock(&self->gate);
}

/* ---- writing ------------------------------------------------------------------------------ */

/* After a commit of which the outcome is not known: takes up what is really there. Nobody who asked for it to be
 * stored was told that it is, and nobody that it is not. */
static int outcome_look_up(journal *self, MDB_txn *txn)
{
    uint64_t end = 0;
    pthread_mutex_lock(&self->lock);
    journal_epoch *epoch = self->newest;
    const uint64_t next = epoch->next;
    pthread_mutex_unlock(&self->lock);
    const int rc = utapi_journal_epoch_end(self, txn, epoch->number, next, &end);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&self->lock);
    if (end > epoch->next) {
        epoch->next = end;
        utapi_journal_pending_clear(self, end);
        pthread_cond_signal(&self->wake);
    }
    pthread_mutex_unlock(&self->lock);
    self->outcome_unknown = false;
    return 0;
}

utapi_status utapi_journal_write_begin(journal *self, MDB_txn **ret, utapi_error *err)
{
    const utapi_status status = gate_enter(self, err);
    if (status != UTAPI_OK)
        return status;
    pthread_mutex_lock(&self->writing);
    int rc = mdb_txn_begin(self->env, NULL, 0, ret);
    if (rc == 0 && self->outcome_unknown) {
        rc = outcome_look_up(self, *ret);
        if (rc != 0)
            mdb_txn_abort(*ret);
    }
    if (rc == 0)
        return UTAPI_OK;
    utapi_journal_write_leave(self);
    return utapi_journal_fail(err, rc, "beginning to write");
}

/* LMDB calls a write that came back short an I/O error. Where the disk has less room than a write takes, that is why. */
static int commit_code(const journal *self, int rc)
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
static utapi_status commit_failed(journal *self, int rc, utapi_error *err)
{
    MDB_txn *probe;
    if (mdb_txn_begin(self->env, NULL, 0, &probe) == 0) {
        mdb_txn_abort(probe);
        return utapi_journal_fail(err, rc, "storing");
    }
    self->outcome_unknown = true;
    atomic_store(&self->broken, true);
    return utapi_fail(err, UTAPI_UNCERTAIN, "the journal: storing: %s", mdb_strerror(rc));
}

utapi_status utapi_journal_write_end(journal *self, MDB_txn *txn, utapi_status status, utapi_error *err)
{
    if (status != UTAPI_OK) {
        mdb_txn_abort(txn);
        return status;
    }
    MDB_envinfo info;
    atomic_store(&self->committing, mdb_txn_id(txn));
    int rc = mdb_txn_commit(txn);
    if (rc != 0)
        return commit_failed(self, commit_code(self, rc), err);
    rc = mdb_env_info(self->env,
                      &info); /* a transaction that changed nothing leaves no trace, nor its number */
    if (rc == 0)
        atomic_store(&self->committed, info.me_last_txnid);
    return UTAPI_OK;
}

void utapi_journal_write_leave(journal *self)
{
    pthread_mutex_unlock(&self->writing);
    pthread_rwlock_unlock(&self->gate);
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

/* Pages up to the last one that was ever used, less free ones; those are counted only beyond `enough`. */
static utapi_status pages_used(journal *self, uint64_t enough, uint64_t *ret, utapi_error *err)
{
    MDB_txn *txn = NULL;
    const utapi_status status = utapi_journal_read_begin(self, &txn, err);
    if (status != UTAPI_OK)
        return status;
    MDB_envinfo info;
    uint64_t left_free = 0;
    int rc = mdb_env_info(self->env, &info);
    const uint64_t ever = (uint64_t)info.me_last_pgno + 1;
    if (rc == 0 && ever > enough)
        rc = free_pages_count(txn, &left_free);
    *ret = ever > left_free ? ever - left_free : 0;
    utapi_journal_read_end(self, txn);
    return rc == 0 ? UTAPI_OK : utapi_journal_fail(err, rc, "counting pages");
}

utapi_status utapi_journal_used_pages(journal *self, uint64_t *ret, utapi_error *err)
{
    return pages_used(self, 0, ret, err);
}

static void full_note(journal *self, bool full)
{
    pthread_mutex_lock(&self->lock);
    self->full = full;
    pthread_mutex_unlock(&self->lock);
}

static utapi_status full_fail(journal *self, uint64_t used_pages, utapi_error *err)
{
    full_note(self, true);
    return utapi_fail(err, UTAPI_UNAVAILABLE, "the journal is full: %llu of %llu MiB, less a reserve",
                      (unsigned long long)(used_pages * self->page_size >> 20),
                      (unsigned long long)(self->map_pages * self->page_size >> 20));
}

utapi_status utapi_journal_make_room(journal *self, utapi_error *err)
{
    enum { SLICE = 2000 };
    const uint64_t limit = self->map_pages - self->reserve_pages;
    for (size_t dropped = SLICE;;) {
        uint64_t used;
        utapi_status status = pages_used(self, limit, &used, err);
        if (status == UTAPI_OK && used <= limit)
            full_note(self, false);
        if (status != UTAPI_OK || used <= limit)
            return status;
        if (dropped == 0)
            return full_fail(self, used, err);
        status = utapi_journal_drop_applied(self, SLICE, &dropped, err);
        if (status != UTAPI_OK)
            return status;
    }
}

void utapi_journal_room_look(journal *self)
{
    self->taken_since = UINT64_MAX / 2; /* the first one to take looks again */
    (void)!utapi_journal_make_room(self, NULL);
}
