/* SPDX-License-Identifier: Apache-2.0 */
/* lmdbenv_open.c - from a path to an open environment: the directory, the lock, the map, the tables; numbers in keys, and
 * LMDB's codes as statuses.
 *
 * LMDB itself lets several processes write in turn. We do not: what its user keeps in memory would go
 * stale. So a file beside the data carries a lock, which the kernel lets go when its holder ends, however
 * that happens. */
#include "lmdbenv.h"

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
#define DIRECTORY_MODE 0700
#define FILE_MODE      0600

/* ---- bytes -------------------------------------------------------------------------------- */

void utapi_lmdbenv_put_u64(unsigned char *at, uint64_t number)
{
    for (unsigned i = 0; i < 8; i++)
        at[i] = (unsigned char)(number >> (56 - 8 * i));
}

void utapi_lmdbenv_put_u32(unsigned char *at, uint32_t number)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (unsigned char)(number >> (24 - 8 * i));
}

uint64_t utapi_lmdbenv_get_u64(const unsigned char *at)
{
    return (uint64_t)utapi_lmdbenv_get_u32(at) << 32 | utapi_lmdbenv_get_u32(at + 4);
}

uint32_t utapi_lmdbenv_get_u32(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* ---- errors ------------------------------------------------------------------------------- */

utapi_status utapi_lmdbenv_fail(const utapi_lmdbenv_layout *layout, utapi_error *err, int rc,
                                const char *doing)
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
        return utapi_fail(err, UTAPI_UNAVAILABLE, "%s", layout->full);
    utapi_status status = UTAPI_UNAVAILABLE; /* no room, no reader's place, a disk that fails */
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].rc == rc)
            status = known[i].status;
    return utapi_fail(err, status, "%s%s: %s", layout->prefix, doing, mdb_strerror(rc));
}

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

/* Makes the directory if need be and locks it. */
static utapi_status folder_lock(utapi_lmdbenv *env, utapi_error *err)
{
    char path[PATH_MAX];
    const int rc = directory_make(env->location);
    if (rc != 0)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "%s: %s", env->location, strerror(rc));
    if (snprintf(path, sizeof path, "%s/%s", env->location, env->layout->lock_file) >= (int)sizeof path)
        return utapi_fail(err, UTAPI_INVALID, "%s: the path is too long", env->location);
    env->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    if (env->lock_fd < 0)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "%s: %s", path, strerror(errno));
    if (flock(env->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return UTAPI_OK;
    if (errno == EWOULDBLOCK)
        return utapi_fail(err, UTAPI_LOCKED, "%s: %s", env->location, env->layout->in_use);
    return utapi_fail(err, UTAPI_UNAVAILABLE, "%s: %s", path, strerror(errno));
}

/* ---- a new environment -------------------------------------------------------------------- */

/* LMDB begins a file with two pages, and calls a file broken that has only half of them. So a new one is made
 * beside its place, synced, and then moved there: a failure leaves none, and the next opener begins again. */
#define NEW_FOLDER "new"
#define NEW_MAP    MIB

static int new_path(const utapi_lmdbenv *env, const char *name, char ret[static PATH_MAX])
{
    return snprintf(ret, PATH_MAX, "%s/%s", env->location, name) < PATH_MAX ? 0 : ENAMETOOLONG;
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

static int file_make(const utapi_lmdbenv *env)
{
    char place[PATH_MAX], folder[PATH_MAX], made[PATH_MAX];
    if (new_path(env, "data.mdb", place) != 0 || new_path(env, NEW_FOLDER, folder) != 0 ||
        new_path(env, NEW_FOLDER "/data.mdb", made) != 0)
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
    return directory_sync(env->location, "");
}

/* ---- the environment ---------------------------------------------------------------------- */

static int map_try(utapi_lmdbenv *env, uint64_t map_bytes)
{
    int rc = mdb_env_create(&env->mdb);
    if (rc != 0) {
        env->mdb = NULL;
        return rc;
    }
    rc = mdb_env_set_mapsize(env->mdb, (size_t)(map_bytes - map_bytes % 65536));
    if (rc == 0)
        rc = mdb_env_set_maxdbs(env->mdb, env->layout->table_count);
    if (rc == 0)
        rc = mdb_env_set_maxreaders(env->mdb, env->layout->readers);
    /* NOTLS: a read transaction belongs to the pool, not to the thread that happens to use it. */
    if (rc == 0)
        rc = mdb_env_open(env->mdb, env->location, MDB_NOTLS, FILE_MODE);
    if (rc != 0) {
        mdb_env_close(env->mdb);
        env->mdb = NULL;
    }
    return rc;
}

/* A default that the address space has no room for is halved; what was asked for is not. */
static utapi_status map_open(utapi_lmdbenv *env, utapi_error *err)
{
    uint64_t map_bytes = env->capacity_bytes != 0 ? env->capacity_bytes : env->layout->map_default_bytes;
    int rc = map_try(env, map_bytes);
    while (rc == ENOMEM && env->capacity_bytes == 0 && map_bytes > env->layout->map_least_bytes) {
        map_bytes /= 2;
        rc = map_try(env, map_bytes);
    }
    if (rc == ENOMEM)
        return utapi_fail(err, UTAPI_INVALID, "%s: cannot map %llu MiB into memory", env->location,
                          (unsigned long long)(map_bytes / MIB));
    return rc == 0 ? UTAPI_OK : utapi_lmdbenv_fail(env->layout, err, rc, env->location);
}

/* Reads the format of an environment, or writes it into a new one. */
static int format_check(const utapi_lmdbenv *env, MDB_dbi meta, MDB_txn *txn, uint32_t *ret)
{
    MDB_val key = utapi_lmdbenv_val("format", 6);
    MDB_val value;
    unsigned char bytes[4];
    const int rc = mdb_get(txn, meta, &key, &value);
    *ret = env->layout->format;
    if (rc == 0 && value.mv_size == sizeof bytes)
        *ret = utapi_lmdbenv_get_u32(value.mv_data);
    if (rc != MDB_NOTFOUND)
        return rc;
    utapi_lmdbenv_put_u32(bytes, env->layout->format);
    value = utapi_lmdbenv_val(bytes, sizeof bytes);
    return mdb_put(txn, meta, &key, &value, 0);
}

/* The format comes first: a later one may have other tables. Writes only into a new environment. */
static int tables_make(utapi_lmdbenv *env, MDB_txn *txn, uint32_t *ret_format)
{
    const utapi_lmdbenv_layout *layout = env->layout;
    const unsigned meta = layout->table_count - 1;
    int rc = mdb_dbi_open(txn, layout->tables[meta], MDB_CREATE, &env->tables[meta]);
    if (rc == 0)
        rc = format_check(env, env->tables[meta], txn, ret_format);
    for (unsigned i = 0; i < meta && rc == 0 && *ret_format == layout->format; i++)
        rc = mdb_dbi_open(txn, layout->tables[i], MDB_CREATE, &env->tables[i]);
    return rc;
}

static utapi_status tables_open(utapi_lmdbenv *env, utapi_error *err)
{
    MDB_txn *txn;
    const uint32_t known = env->layout->format;
    uint32_t format = known;
    int rc = mdb_txn_begin(env->mdb, NULL, 0, &txn);
    if (rc == 0) {
        rc = tables_make(env, txn, &format);
        if (rc == 0 && format == known)
            rc = mdb_txn_commit(txn);
        else
            mdb_txn_abort(txn);
    }
    if (rc == 0 && format != known)
        return utapi_fail(err, UTAPI_CORRUPT, "%s: is of format %u, and this version knows %u", env->location,
                          format, known);
    return rc == 0 ? UTAPI_OK : utapi_lmdbenv_fail(env->layout, err, rc, env->location);
}

static void limits_set(utapi_lmdbenv *env)
{
    MDB_envinfo info;
    MDB_stat stat;
    const utapi_lmdbenv_layout *layout = env->layout;
    mdb_env_info(env->mdb, &info);
    mdb_env_stat(env->mdb, &stat);
    const uint64_t map = info.me_mapsize;
    const uint64_t twentieth =
        map / 20 > layout->reserve_least_bytes ? map / 20 : layout->reserve_least_bytes;
    env->page_size = stat.ms_psize;
    env->space_txn = 0;
    env->map_pages = map / stat.ms_psize;
    env->reserve_pages = (map < layout->small_map_bytes ? map / 4 : twentieth) / stat.ms_psize;
}

static void env_shut(utapi_lmdbenv *env)
{
    for (utapi_lmdbenv_reader *reader; (reader = env->pool) != NULL; free(reader)) {
        env->pool = reader->next;
        mdb_cursor_close(reader->cursor);
        mdb_txn_abort(reader->txn);
    }
    if (env->mdb != NULL)
        mdb_env_close(env->mdb);
    env->mdb = NULL;
}

utapi_status utapi_lmdbenv_reopen(utapi_lmdbenv *env, utapi_error *err)
{
    int stale;
    env_shut(env);
    int rc = file_make(env);
    if (rc != 0)
        return utapi_lmdbenv_fail(env->layout, err, rc, env->location);
    utapi_status status = map_open(env, err);
    if (status != UTAPI_OK)
        return status;
    mdb_reader_check(env->mdb, &stale); /* a killed process leaves its readers, which would pin old pages */
    status = tables_open(env, err);
    if (status == UTAPI_OK) {
        rc = directory_sync(env->location, "");
        if (rc != 0)
            status = utapi_lmdbenv_fail(env->layout, err, rc, env->location);
    }
    if (status == UTAPI_OK)
        limits_set(env);
    else
        env_shut(env);
    return status;
}

/* ---- opening and closing ------------------------------------------------------------------ */

utapi_status utapi_lmdbenv_open(utapi_lmdbenv *env, const utapi_lmdbenv_layout *layout, const char *location,
                                uint64_t capacity_bytes, utapi_error *err)
{
    pthread_rwlockattr_t attr;
    *env = (utapi_lmdbenv){.layout = layout, .capacity_bytes = capacity_bytes, .lock_fd = -1};
    /* By default readers who keep coming would keep a reopening out for ever. */
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&env->gate, &attr);
    pthread_rwlockattr_destroy(&attr);
    pthread_mutex_init(&env->writing, NULL);
    pthread_mutex_init(&env->lock, NULL);
    env->location = strdup(location);
    if (env->location == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "%s", location);
    const utapi_status status = folder_lock(env, err);
    return status == UTAPI_OK ? utapi_lmdbenv_reopen(env, err) : status;
}

void utapi_lmdbenv_close(utapi_lmdbenv *env)
{
    if (env->layout == NULL)
        return;
    env_shut(env);
    if (env->lock_fd >= 0)
        close(env->lock_fd);
    pthread_rwlock_destroy(&env->gate);
    pthread_mutex_destroy(&env->writing);
    pthread_mutex_destroy(&env->lock);
    free(env->location);
}
