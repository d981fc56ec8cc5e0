/* SPDX-License-Identifier: Apache-2.0 */
/* workspace.c - the folder of a run and what is started in it. */
#include "workspace.h"

#include "utapi/scoped.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <hiredis/hiredis.h>
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

utapi_status bench_folder_make(const bench_workspace *workspace, char ret[BENCH_PATH_MAX], utapi_error *err)
{
    const utapi_status status = path_join(ret, workspace->folder, "storage-XXXXXX", err);
    if (status != UTAPI_OK)
        return status;
    if (mkdtemp(ret) == NULL)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "no folder in %s: %s", workspace->folder, strerror(errno));
    return UTAPI_OK;
}

/* One account, whose key signs the questions. */
static utapi_status identities_write(const bench_workspace *workspace, utapi_error *err)
{
    const int fd = open(workspace->identities, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "%s: %s", workspace->identities, strerror(errno));
    const int size =
        dprintf(fd,
                "{\"accounts\":[{\"name\":\"bench\",\"email\":\"bench@localhost\",\"arn\":"
                "\"arn:aws:iam::123456789012:root\",\"canonicalID\":\"%064x\",\"shortid\":\"123456789012\","
                "\"keys\":[{\"access\":\"%s\",\"secret\":\"%s\"}]}]}\n",
                1U, workspace->options->access_key, workspace->options->secret_key);
    (void)close(fd);
    return size > 0 ? UTAPI_OK
                    : utapi_fail(err, UTAPI_UNAVAILABLE, "%s: it cannot be written", workspace->identities);
}

/* Both programs are built into one folder. */
static utapi_status programs_find(bench_workspace *workspace, utapi_error *err)
{
    const ssize_t size = readlink("/proc/self/exe", workspace->self, sizeof workspace->self - 1);
    if (size <= 0)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "/proc/self/exe: %s", strerror(errno));
    workspace->self[size] = '\0';
    if (workspace->options->utapid != NULL) {
        (void)snprintf(workspace->utapid, sizeof workspace->utapid, "%s", workspace->options->utapid);
        return UTAPI_OK;
    }
    const char *end = strrchr(workspace->self, '/');
    char folder[BENCH_PATH_MAX];
    (void)snprintf(folder, sizeof folder, "%.*s", (int)(end - workspace->self), workspace->self);
    return path_join(workspace->utapid, folder, "utapid", err);
}

utapi_status bench_workspace_init(bench_workspace *workspace, const bench_options *options, utapi_error *err)
{
    *workspace = (bench_workspace){.options = options};
    const char *asked = options->data != NULL ? options->data : getenv("TMPDIR");
    if (asked == NULL)
        asked = "/tmp";
    /* Absolute: a redis-server changes into its folder before it makes its socket. */
    UTAPI_AUTO_FREE char *parent = realpath(asked, NULL);
    if (parent == NULL)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "%.100s: %s", asked, strerror(errno));
    utapi_status status = path_join(workspace->folder, parent, "utapi-bench-XXXXXX", err);
    if (status == UTAPI_OK && mkdtemp(workspace->folder) == NULL) {
        status = utapi_fail(err, UTAPI_UNAVAILABLE, "no folder below %.100s: %s", parent, strerror(errno));
        workspace->folder[0] = '\0';
    }
    if (status == UTAPI_OK)
        status = path_join(workspace->log, workspace->folder, "log", err);
    if (status == UTAPI_OK)
        status = path_join(workspace->identities, workspace->folder, "authdata.json", err);
    if (status == UTAPI_OK)
        status = programs_find(workspace, err);
    if (status == UTAPI_OK)
        status = identities_write(workspace, err);
    return status;
}

void bench_workspace_done(bench_workspace *workspace)
{
    bench_folder_remove(workspace->folder);
    workspace->folder[0] = '\0';
}

void bench_log_last(const bench_workspace *workspace, char *ret, size_t size)
{
    char line[512];
    ret[0] = '\0';
    FILE *file = fopen(workspace->log, "re");
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

/* The socket's file is there a moment before anybody listens on it. */
static bool redis_listens(const char *socket_path)
{
    redisContext *context = redisConnectUnix(socket_path);
    const bool listens = context != NULL && context->err == 0;
    if (context != NULL)
        redisFree(context);
    return listens;
}

utapi_status bench_redis_start(const bench_workspace *workspace, const char *folder, child *ret,
                               utapi_error *err)
{
    char socket_path[BENCH_PATH_MAX];
    bench_redis_socket(folder, socket_path);
    const char *const arguments[] = {"redis-server", "--port", "0", "--unixsocket", socket_path, "--dir",
                                     folder,         "--save", "",  "--appendonly", "no",        "--logfile",
                                     workspace->log, NULL};
    const utapi_status status = child_start(arguments, workspace->log, ret, err);
    if (status != UTAPI_OK)
        return status;
    for (unsigned i = 0; i < REDIS_ROUNDS && !child_has_ended(ret); i++) {
        if (redis_listens(socket_path))
            return UTAPI_OK;
        (void)nanosleep(&(struct timespec){.tv_nsec = REDIS_ROUND_NS}, NULL);
    }
    child_stop(ret);
    return utapi_fail(
        err, UTAPI_UNAVAILABLE,
        "redis-server does not start: install it (Debian: apt-get install redis-server), or name a "
        "server with --redis");
}
