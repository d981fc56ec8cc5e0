/* SPDX-License-Identifier: Apache-2.0 */
/* journal_open.c - from a path to an open environment: the directory, the lock, the map, the tables.
 *
 * A file beside the data carries the lock that keeps a second process out; the kernel lets it go when its
 * holder ends, however that happens. */
#include "journal_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB            (UINT64_C(1) << 20)
#define MAP_DEFAULT    (4096 * MIB) /* sparse: pages that are not used cost nothing */
#define MAP_SMALLEST   (256 * MIB)  /* of the default, where less address space is to be had */
#define RESERVE_LEAST  (16 * MIB)
#define SMALL_MAP      (64 * MIB)
#define FORMAT         1U
#define READERS        126U
#define DIRECTORY_MODE 0700
#define FILE_MODE      0600

static const char *const table_names[JOURNAL_TABLE_COUNT] = {
    [JOURNAL_ENTRY] = "entry",   [JOURNAL_SEEN] = "seen",       [JOURNAL_DUE] = "due",
    [JOURNAL_WRITER] = "writer", [JOURNAL_REFUSED] = "refused", [JOURNAL_META] = "meta",
};

/* ---- the directory and its lock ----------------------------------------------------------- */

/* Makes the names in a directory durable: a file is not safe before its name is. */
static int directory_sync(const char *directory, const char *within)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s%s", directory, within) >= (int)sizeof path)
        return ENAMETOOLONG;
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    const int rc = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return rc;
}

/* Makes a directory and those above it, where they are missing. */
static int directory_make(const char *location)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s", location) >= (int)sizeof path)
        return ENAMETOOLONG;
    for (char *end = path + 1;; end++) {
        if (*end != '/' && *end != '\0')
            continue;
        const char cut = *end;
        *end = '\0';
        if (mkdir(path, DIRECTORY_MODE) == 0) {
            const int rc = directory_sync(path, "/..");
            if (rc != 0)
                return rc;
        } else if (errno != EEXIST)
            return errno;
        if (cut == '\0')
            return 0;
        *end = cut;
    }
}

utapi_status utapi_journal_lock(journal *self, utapi_error *err)
{
    char path[PATH_MAX];
    const int rc = directory_make(self->location);
    if (rc != 0)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "%s: %s", self->location, strerror(rc));
    if (snprintf(path, sizeof path, "%s/journal.lock", self->location) >= (int)sizeof path)
        return utapi_fail(err, UTAPI_INVALID, "%s: the path is too long", self->location);
    self->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    if (self->lock_fd < 0)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "%s: %s", path, strerror(errno));
    if (flock(self->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return UTAPI_OK;
    if (errno == EWOULDBLOCK)
        return utapi_fail(err, UTAPI_LOCKED, "%s: another process uses this journal", self->location);
    return utapi_fail(err, UTAPI_UNAVAILABLE, "%s: %s", path, strerror(errno));
}

/* ---- a new environment -------------------------------------------------------------------- */

/* LMDB begins a file with two pages, and calls a file broken that has only half of them. So a new one is made
 * beside its place, synced, and then moved there: a failure leaves none, and the next opener begins again. */
#define NEW_FOLDER "new"
#define NEW_MAP    MIB

static int new_path(const journal *self, const char *name, char ret[static PATH_MAX])
{
    return snprintf(ret, PATH_MAX, "%s/%s", self->location, name) < PATH_MAX ? 0 : ENAMETOOLONG;
}

static int env_write_first(const char *folder)
{
    MDB_env *env = NULL;
    int rc = mdb_env_create(&env);
    if (rc != 0)
        return rc;
    rc = mdb_env_set_mapsize(env, NEW_MAP);
    if (rc == 0)
        rc = mdb_env_open(env, folder, MDB_NOLOCK, FILE_MODE);
    if (rc == 0)
        rc = mdb_env_sync(env, 1);
    mdb_env_close(env);
    return rc;
}

static int env_make(const journal *self)
{
    char place[PATH_MAX], folder[PATH_MAX], made[PATH_MAX];
    if (new_path(self, "data.mdb", place) != 0 || new_path(self, NEW_FOLDER, folder) != 0 ||
        new_path(self, NEW_FOLDER "/data.mdb", made) != 0)
        return ENAMETOOLONG;
    if (access(place, F_OK) == 0)
        return 0;
    (void)unlink(made); /* of an attempt that failed */
    if (mkdir(folder, DIRECTORY_MODE) != 0 && errno != EEXIST)
        return errno;
    const int rc = env_write_first(folder);
    if (rc != 0)
        return rc;
    if (rename(made, place) != 0 || rmdir(folder) != 0)
        return errno;
    return directory_sync(self->location, "");
}

/* ---- the environment ---------------------------------------------------------------------- */

static int env_try(journal *self, uint64_t map_bytes)
{
    int rc = mdb_env_create(&self->env);
    if (rc != 0) {
        self->env = NULL;
        return rc;
    }
    rc = mdb_env_set_mapsize(self->env, (size_t)(map_bytes - map_bytes % 65536));
    if (rc == 0)
        rc = mdb_env_set_maxdbs(self->env, JOURNAL_TABLE_COUNT);
    if (rc == 0)
        rc = mdb_env_set_maxreaders(self->env, READERS);
    /* NOTLS: a thread may read in one transaction and write in another. */
    if (rc == 0)
        rc = mdb_env_open(self->env, self->location, MDB_NOTLS, FILE_MODE);
    if (rc != 0) {
        mdb_env_close(self->env);
        self->env = NULL;
    }
    return rc;
}

/* A default that the address space has no room for is halved; what was asked for is not. */
static utapi_status env_map(journal *self, utapi_error *err)
{
    uint64_t map_bytes = self->capacity_bytes != 0 ? self->capacity_bytes : MAP_DEFAULT;
    int rc = env_try(self, map_bytes);
    while (rc == ENOMEM && self->capacity_bytes == 0 && map_bytes > MAP_SMALLEST) {
        map_bytes /= 2;
        rc = env_try(self, map_bytes);
    }
    if (rc == ENOMEM)
        return utapi_fail(err, UTAPI_INVALID, "%s: cannot map %llu MiB into memory", self->location,
                          (unsigned long long)(map_bytes / MIB));
    return rc == 0 ? UTAPI_OK : utapi_journal_fail(err, rc, self->location);
}

static int format_check(const journal *self, MDB_txn *txn, uint32_t *ret)
{
    MDB_val key = utapi_journal_val("format", 6);
    MDB_val value;
    unsigned char bytes[4];
    const int rc = mdb_get(txn, self->tables[JOURNAL_META], &key, &value);
    *ret = FORMAT;
    if (rc == 0 && value.mv_size == sizeof bytes)
        *ret = utapi_journal_get_u32(value.mv_data);
    if (rc != MDB_NOTFOUND)
        return rc;
    utapi_journal_put_u32(bytes, FORMAT);
    value = utapi_journal_val(bytes, sizeof bytes);
    return mdb_put(txn, self->tables[JOURNAL_META], &key, &value, 0);
}

/* The format comes first: a later one may have other tables. Writes only into a new environment. */
static int tables_make(journal *self, MDB_txn *txn, uint32_t *ret_format)
{
    int rc = mdb_dbi_open(txn, table_names[JOURNAL_META], MDB_CREATE, &self->tables[JOURNAL_META]);
    if (rc == 0)
        rc = format_check(self, txn, ret_format);
    for (unsigned i = 0; i < JOURNAL_META && rc == 0 && *ret_format == FORMAT; i++)
        rc = mdb_dbi_open(txn, table_names[i], MDB_CREATE, &self->tables[i]);
    return rc;
}

static utapi_status tables_open(journal *self, utapi_error *err)
{
    MDB_txn *txn;
    uint32_t format = FORMAT;
    int rc = mdb_txn_begin(self->env, NULL, 0, &txn);
    if (rc == 0) {
        rc = tables_make(self, txn, &format);
        if (rc == 0 && format == FORMAT)
            rc = mdb_txn_commit(txn);
        else
            mdb_txn_abort(txn);
    }
    if (rc == 0 && format != FORMAT)
        return utapi_fail(err, UTAPI_CORRUPT, "%s: is of format %u, and this version knows %u",
                          self->location, format, FORMAT);
    return rc == 0 ? UTAPI_OK : utapi_journal_fail(err, rc, self->location);
}

static void limits_set(journal *self)
{
    MDB_envinfo info;
    MDB_stat stat;
    mdb_env_info(self->env, &info);
    mdb_env_stat(self->env, &stat);
    const uint64_t map = info.me_mapsize;
    const uint64_t twentieth = map / 20 > RESERVE_LEAST ? map / 20 : RESERVE_LEAST;
    self->page_size = stat.ms_psize;
    self->map_pages = map / self->page_size;
    self->reserve_pages = (map < SMALL_MAP ? map / 4 : twentieth) / self->page_size;
}

utapi_status utapi_journal_env_open(journal *self, utapi_error *err)
{
    int rc = env_make(self);
    if (rc != 0)
        return utapi_journal_fail(err, rc, self->location);
    utapi_status status = env_map(self, err);
    if (status != UTAPI_OK)
        return status;
    int stale;
    mdb_reader_check(self->env, &stale); /* a killed process leaves its readers, which would pin old pages */
    status = tables_open(self, err);
    if (status == UTAPI_OK) {
        rc = directory_sync(self->location, "");
        if (rc != 0)
            status = utapi_journal_fail(err, rc, self->location);
    }
    if (status == UTAPI_OK)
        limits_set(self);
    else {
        mdb_env_close(self->env);
        self->env = NULL;
    }
    return status;
}
