/* SPDX-License-Identifier: Apache-2.0 */
/* machine.c - what stands beside every figure: processor, memory, kernel, file system, versions. */
#include "workspace.h"

#include <hiredis/hiredis.h>
#include <lmdb.h>
#include <microhttpd.h>
#include <mntent.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static void read_cpu(char *ret, size_t size)
{
    static const char name[] = "model name";
    char line[512];
    FILE *file = fopen("/proc/cpuinfo", "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, name, sizeof name - 1) != 0 || colon == NULL)
            continue;
        (void)snprintf(ret, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
        break;
    }
    if (file != NULL)
        (void)fclose(file);
}

/* Whether an absolute path is below a folder, or is that folder. */
static bool is_below(const char *path, const char *folder)
{
    const size_t size = strlen(folder);
    return strncmp(path, folder, size) == 0 &&
           (path[size] == '\0' || path[size] == '/' || folder[size - 1] == '/');
}

/* The type of the mount whose path is the longest beginning of ours. */
static void read_file_system(const char *path, char *ret, size_t size)
{
    struct mntent entry;
    char line[1024];
    size_t longest = 0;
    FILE *mounts = setmntent("/proc/self/mounts", "re");
    while (mounts != NULL && getmntent_r(mounts, &entry, line, sizeof line) != NULL) {
        const size_t length = strlen(entry.mnt_dir);
        if (length < longest || !is_below(path, entry.mnt_dir))
            continue;
        longest = length;
        (void)snprintf(ret, size, "%s", entry.mnt_type);
    }
    if (mounts != NULL)
        (void)endmntent(mounts);
}

static void read_versions(char *ret, size_t size)
{
    (void)snprintf(ret, size,
                   "utapi " UTAPI_VERSION ", gcc %s, lmdb %d.%d.%d, libmicrohttpd %s, hiredis %d.%d.%d, %s",
                   __VERSION__, MDB_VERSION_MAJOR, MDB_VERSION_MINOR, MDB_VERSION_PATCH, MHD_get_version(),
                   HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH, OpenSSL_version(OPENSSL_VERSION));
}

void bench_host_read(const bench_workspace *workspace, bench_host *ret)
{
    struct utsname kernel;
    *ret = (bench_host){.cpu = "unknown", .kernel = "unknown", .file_system = "unknown"};
    read_cpu(ret->cpu, sizeof ret->cpu);
    read_file_system(workspace->folder, ret->file_system, sizeof ret->file_system);
    read_versions(ret->versions, sizeof ret->versions);
    ret->cores = sysconf(_SC_NPROCESSORS_ONLN);
    ret->memory_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    if (uname(&kernel) == 0)
        (void)snprintf(ret->kernel, sizeof ret->kernel, "%.30s %.80s", kernel.sysname, kernel.release);
}
