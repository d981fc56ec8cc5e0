/* SPDX-License-Identifier: Apache-2.0 */
/* lmdbenv_open.c - from a path to an open environment: the directory, the lock, the map, the tables; and LMDB's codes
 * as statuses.
 *
 * LMDB itself lets several processes write in turn. We do not: what its user keeps in memory would go
 * stale. So a file beside the data carries a lock, which the kernel lets go when its holder ends, however
 * that happens. */
#include "lmdbenv.h"

#include "utapi/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MIB            (UINT64_C(1) << 20)
#define DIRECTORY_MODE 0700
#define FILE_MODE      0600
#define LOCK_WAIT_MS   2000 /* utapictl has a folder for some milliseconds: no server fails to start for that */

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
static int directory_sync(const char *directory)
{
    const int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    const int rc = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return rc;
}

/* Makes a directory and those above it, where they are missing. */
static int directory_make(const char *location)
{
    char path[PATH_MAX + 4];
    size_t size = 0;
    if (strlen(location) >= PATH_MAX)
        return ENAMETOOLONG;
    do {
        size += 1 + strcspn(location + size + 1, "/");
        (void)snprintf(path, sizeof path, "%.*s", (int)size, location);
        if (mkdir(path, DIRECTORY_MODE) == 0) {
            (void)snprintf(path, sizeof path, "%.*s/..", (int)size, location);
            const int rc = directory_sync(path);
            if (rc != 0)
                return rc;
        } else if (errno != EEXIST)
            return errno;
    } while (location[size] != '\0');
    return 0;
}

/* Gives what flock(2) gives, once it is not that another has the file, or has had it for too long. */
static int lock_wait(int fd)
{
    static const struct timespec pause = {.tv_nsec = 10 * 1000000L};
    const int64_t until_ms = utapi_monotonic_ms() + LOCK_WAIT_MS;
    int rc;
    while ((rc = flock(fd, LOCK_EX | LOCK_NB)) != 0 && errno == EWOULDBLOCK &&
           utapi_monotonic_ms() < until_ms)
        (void)nanosleep(&pause, NULL);
    return rc;
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
    if (lock_wait(env->lock_fd) == 0)
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

static int file_write_first(const char *folder)
{
    MDB_env *env = NULL;
    int rc = mdb_env_create(&env);
    if (rc == 0)
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
    (void)snprintf(folder, sizeof folder, "%s/" NEW_FOLDER, env->location);
    if (snprintf(place, sizeof place, "%s/data.mdb", env->location) >= PATH_MAX ||
        snprintf(made, sizeof made, "%s/" NEW_FOLDER "/data.mdb", env->location) >= PATH_MAX)
        return ENAMETOOLONG;
    if (access(place, F_OK) == 0)
        return 0;
    (void)unlink(made); /* of an attempt that failed */
    if (mkdir(folder, DIRECTORY_MODE) != 0 && errno != EEXIST)
        return errno;
    const int rc = file_write_first(folder);
    if (rc != 0)
        return rc;
    if (rename(made, place) != 0 || rmdir(folder) != 0)
        return errno;
    return directory_sync(env->location);
}

/* ---- the environment ---------------------------------------------------------------------- */

static int map_try(utapi_lmdbenv *env, uint64_t map_bytes)
{
    int rc = mdb_env_create(&env->mdb);
    if (rc == 0)
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
    const bool is_default = env->capacity_bytes == 0;
    uint64_t map_bytes = is_default ? env->layout->map_default_bytes : env->capacity_bytes;
    int rc;
    while ((rc = map_try(env, map_bytes)) == ENOMEM && is_default && map_bytes > env->layout->map_min_bytes)
        map_bytes /= 2;
    if (rc == ENOMEM)
        return utapi_fail(err, UTAPI_INVALID, "%s: cannot map %llu MiB into memory", env->location,
                          (unsigned long long)(map_bytes / MIB));
    return rc == 0 ? UTAPI_OK : utapi_lmdbenv_fail(env->layout, err, rc, env->location);
}

/* The format comes first: a later one may have other tables. Writes only into a new environment. */
static utapi_status tables_open(utapi_lmdbenv *env, utapi_error *err)
{
    const utapi_lmdbenv_layout *layout = env->layout;
    const unsigned meta = layout->table_count - 1;
    MDB_txn *txn = NULL;
    MDB_val key = utapi_lmdbenv_val("format", 6);
    unsigned char bytes[4];
    MDB_val value = utapi_lmdbenv_val(bytes, sizeof bytes), stored;
    uint32_t format = layout->format_first;
    utapi_lmdbenv_put_u32(bytes, format);
    int rc = mdb_txn_begin(env->mdb, NULL, 0, &txn);
    if (rc == 0)
        rc = mdb_dbi_open(txn, layout->tables[meta], MDB_CREATE, &env->tables[meta]);
    if (rc == 0)
        rc = mdb_get(txn, env->tables[meta], &key, &stored);
    if (rc == 0 && stored.mv_size == sizeof bytes)
        format = utapi_lmdbenv_get_u32(stored.mv_data);
    else if (rc == MDB_NOTFOUND)
        rc = mdb_put(txn, env->tables[meta], &key, &value, 0);
    const bool is_known = format >= layout->format_first && format <= layout->format;
    for (unsigned i = 0; i < meta && rc == 0 && is_known; i++)
        rc = mdb_dbi_open(txn, layout->tables[i], MDB_CREATE, &env->tables[i]);
    if (rc == 0 && is_known)
        rc = mdb_txn_commit(txn);
    else
        mdb_txn_abort(txn);
    env->format = format;
    if (rc == 0 && !is_known)
        return utapi_fail(err, UTAPI_CORRUPT, "%s: is of format %u, and this version knows %u", env->location,
                          format, layout->format);
    return rc == 0 ? UTAPI_OK : utapi_lmdbenv_fail(layout, err, rc, env->location);
}

utapi_status utapi_lmdbenv_raise(utapi_lmdbenv *env, MDB_txn *txn, utapi_error *err)
{
    const utapi_lmdbenv_layout *layout = env->layout;
    unsigned char bytes[4];
    MDB_val key = utapi_lmdbenv_val("format", 6), value = utapi_lmdbenv_val(bytes, sizeof bytes);
    utapi_lmdbenv_put_u32(bytes, layout->format);
    const int rc = mdb_put(txn, env->tables[layout->table_count - 1], &key, &value, 0);
    return rc == 0 ? UTAPI_OK : utapi_lmdbenv_fail(layout, err, rc, "raising the format");
}

void utapi_lmdbenv_reader_free(utapi_lmdbenv_reader *reader)
{
    if (reader->cursor != NULL)
        mdb_cursor_close(reader->cursor);
    mdb_txn_abort(reader->txn);
    free(reader);
}

static void env_shut(utapi_lmdbenv *env)
{
    for (utapi_lmdbenv_reader *reader; (reader = env->pool) != NULL;) {
        env->pool = reader->next;
        utapi_lmdbenv_reader_free(reader);
    }
    mdb_env_close(env->mdb);
    env->mdb = NULL;
}

utapi_status utapi_lmdbenv_reopen(utapi_lmdbenv *env, utapi_error *err)
{
    int stale;
    env_shut(env);
    int rc = file_make(env);
    utapi_status status = rc == 0 ? map_open(env, err) : UTAPI_OK;
    if (rc == 0 && status == UTAPI_OK) {
        mdb_reader_check(env->mdb,
                         &stale); /* a killed process leaves its readers, which would pin old pages */
        status = tables_open(env, err);
        rc = status == UTAPI_OK ? directory_sync(env->location) : 0;
    }
    if (rc != 0)
        status = utapi_lmdbenv_fail(env->layout, err, rc, env->location);
    atomic_store(&env->broken, status != UTAPI_OK);
    if (status != UTAPI_OK) {
        env_shut(env);
        return status;
    }
    MDB_envinfo info;
    MDB_stat stat;
    mdb_env_info(env->mdb, &info);
    mdb_env_stat(env->mdb, &stat);
    const uint64_t map = info.me_mapsize, min_bytes = env->layout->reserve_min_bytes;
    const uint64_t twentieth = map / 20 > min_bytes ? map / 20 : min_bytes;
    env->page_size = stat.ms_psize;
    env->space_txn = 0;
    env->map_pages = map / stat.ms_psize;
    env->reserve_pages = (map < env->layout->small_map_bytes ? map / 4 : twentieth) / stat.ms_psize;
    return UTAPI_OK;
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
