/* SPDX-License-Identifier: Apache-2.0 */
/* world.c - the folder of a run and what is started in it. */
#include "world.h"

#include "utapi/scoped.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { REDIS_ROUNDS = 1000, REDIS_ROUND_NS = 10000000 };

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
    (void)status;
    (void)type;
    (void)ftw;
    return remove(path);
}

void bench_folder_remove(const char *path)
{
    if (path[0] != '\0')
        (void)nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static utapi_status path_join(char ret[BENCH_PATH_MAX], const char *folder, const char *name,
                              utapi_error *err)
{
    const int size = snprintf(ret, BENCH_PATH_MAX, "%s/%s", folder, name);
    if (size < 0 || size >= BENCH_PATH_MAX)
        return utapi_fail(err, UTAPI_INVALID, "the path of the temporary folder is too long");
    return UTAPI_OK;
}

utapi_status bench_folder_make(const bench_world *world, char ret[BENCH_PATH_MAX], utapi_error *err)
{
    const utapi_status status = path_join(ret, world->folder, "storage-XXXXXX", err);
    if (status != UTAPI_OK)
        return status;
    if (mkdtemp(ret) == NULL)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "no folder in %s: %s", world->folder, strerror(errno));
    return UTAPI_OK;
}

/* One account, whose key signs the questions. */
static utapi_status identities_write(const bench_world *world, utapi_error *err)
{
    const int fd = open(world->identities, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "%s: %s", world->identities, strerror(errno));
    const int size =
        dprintf(fd,
                "{\"accounts\":[{\"name\":\"bench\",\"email\":\"bench@localhost\",\"arn\":"
                "\"arn:aws:iam::123456789012:root\",\"canonicalID\":\"%064x\",\"shortid\":\"123456789012\","
                "\"keys\":[{\"access\":\"%s\",\"secret\":\"%s\"}]}]}\n",
                1U, world->options->access_key, world->options->secret_key);
    (void)close(fd);
    return size > 0 ? UTAPI_OK
                    : utapi_fail(err, UTAPI_UNAVAILABLE, "%s: it cannot be written", world->identities);
}

/* Both programs are built into one folder. */
static utapi_status programs_find(bench_world *world, utapi_error *err)
{
    const ssize_t size = readlink("/proc/self/exe", world->self, sizeof world->self - 1);
    if (size <= 0)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "/proc/self/exe: %s", strerror(errno));
    world->self[size] = '\0';
    if (world->options->utapid != NULL) {
        (void)snprintf(world->utapid, sizeof world->utapid, "%s", world->options->utapid);
        return UTAPI_OK;
    }
    const char *end = strrchr(world->self, '/');
    char folder[BENCH_PATH_MAX];
    (void)snprintf(folder, sizeof folder, "%.*s", (int)(end - world->self), world->self);
    return path_join(world->utapid, folder, "utapid", err);
}

utapi_status bench_world_init(bench_world *world, const bench_options *options, utapi_error *err)
{
    *world = (bench_world){.options = options};
    const char *asked = options->data != NULL ? options->data : getenv("TMPDIR");
    if (asked == NULL)
        asked = "/tmp";
    /* Absolute: a redis-server changes into its folder before it makes its socket. */
    UTAPI_AUTO_FREE char *parent = realpath(asked, NULL);
    if (parent == NULL)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "%.100s: %s", asked, strerror(errno));
    utapi_status status = path_join(world->folder, parent, "utapi-bench-XXXXXX", err);
    if (status == UTAPI_OK && mkdtemp(world->folder) == NULL) {
        status = utapi_fail(err, UTAPI_UNAVAILABLE, "no folder below %.100s: %s", parent, strerror(errno));
        world->folder[0] = '\0';
    }
    if (status == UTAPI_OK)
        status = path_join(world->log, world->folder, "log", err);
    if (status == UTAPI_OK)
        status = path_join(world->identities, world->folder, "authdata.json", err);
    if (status == UTAPI_OK)
        status = programs_find(world, err);
    if (status == UTAPI_OK)
        status = identities_write(world, err);
    return status;
}

void bench_world_done(bench_world *world)
{
    bench_folder_remove(world->folder);
    world->folder[0] = '\0';
}

void bench_log_last(const bench_world *world, char *ret, size_t size)
{
    char line[512];
    ret[0] = '\0';
    FILE *file = fopen(world->log, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        (void)snprintf(ret, size, "%.*s", (int)strcspn(line, "\n"), line);
    if (file != NULL)
        (void)fclose(file);
}

/* ---- Redis -------------------------------------------------------------------------------- */

void bench_redis_socket(const char *folder, char ret[BENCH_PATH_MAX])
{
    (void)snprintf(ret, BENCH_PATH_MAX, "%.*s/redis", BENCH_PATH_MAX - 8, folder);
}

utapi_status bench_redis_start(const bench_world *world, const char *folder, child *ret, utapi_error *err)
{
    char socket_path[BENCH_PATH_MAX];
    bench_redis_socket(folder, socket_path);
    const char *const arguments[] = {"redis-server", "--port", "0", "--unixsocket", socket_path, "--dir",
                                     folder,         "--save", "",  "--appendonly", "no",        "--logfile",
                                     world->log,     NULL};
    const utapi_status status = child_start(arguments, world->log, ret, err);
    if (status != UTAPI_OK)
        return status;
    for (unsigned i = 0; i < REDIS_ROUNDS && !child_has_ended(ret); i++) {
        if (access(socket_path, F_OK) == 0)
            return UTAPI_OK;
        (void)nanosleep(&(struct timespec){.tv_nsec = REDIS_ROUND_NS}, NULL);
    }
    child_stop(ret);
    return utapi_fail(
        err, UTAPI_UNAVAILABLE,
        "redis-server does not start: install it (Debian: apt-get install redis-server), or name a "
        "server with --redis");
}
