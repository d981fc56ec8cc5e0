/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shim.c - a library for LD_PRELOAD that stands between a program and its disk and memory.
 *
 * It does what libc does, but for the nth call of one sort, and writes down what reaches the disk:
 *
 *     UTAPI_FAULT=write:7:ENOSPC   the 7th write to a file fails; also EIO and EINTR, `short` (half of it is
 *                                  written), `late` (all of it is, and yet EIO is told, of the next one too, which is
 *                                  not written) and `kill` (the process ends there, as by kill -9)
 *     UTAPI_FAULT=sync:2:EIO       likewise; `map` and `memory` fail with ENOMEM
 *     UTAPI_FAULT_COUNTER=PATH     counting begins when somebody writes a number (32 bits, native) into this file:
 *                                  it is counted down to 0 there, which is when the call has failed
 *     UTAPI_FAULT_SWITCH=PATH      while this file exists the disk is full: the first write comes back short, every
 *                                  other write and each sync fails with ENOSPC, and statvfs() finds no room
 *     UTAPI_FAULT_TRACE=PATH       every write, sync and move of a regular file is recorded there: trace.h
 *
 * Without such a file counting begins with utapi_fault_arm(), which the program finds by dlsym(); with a switch or
 * a trace alone there is nothing to count. Only files below UTAPI_FAULT_DIR are meant, where that is set.
 */
#include "trace.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define INSTEAD_OF_LIBC __attribute__((visibility("default")))

typedef enum fault_call { WRITE, SYNC, MAP, MEMORY, CALL_COUNT } fault_call;

enum { SHORT = -1, KILL = -2, LATE = -3 };

static const char *const call_names[CALL_COUNT] = {
    [WRITE] = "write", [SYNC] = "sync", [MAP] = "map", [MEMORY] = "memory"};

static const struct {
    const char *name;
    int effect;
} effects[] = {{"ENOSPC", ENOSPC}, {"EIO", EIO},   {"EINTR", EINTR}, {"ENOMEM", ENOMEM},
               {"short", SHORT},   {"kill", KILL}, {"late", LATE}};

static fault_call chosen = CALL_COUNT;
static int chosen_effect;
static atomic_int own_counter;
static atomic_int *calls_left = &own_counter; /* until the one that fails; 0: not armed, or over */
static int calls_wanted;
static atomic_bool fired;
static const char *folder, *switch_path;
static atomic_bool told_late; /* the next write fails too */
static atomic_bool filled;    /* the write that took the last of the disk's room was made */
static int trace_fd = -1;

/* ---- what the program asks for ------------------------------------------------------------ */

INSTEAD_OF_LIBC void utapi_fault_arm(void);
INSTEAD_OF_LIBC int utapi_fault_fired(void);

void utapi_fault_arm(void)
{
    atomic_store(calls_left, calls_wanted);
}

int utapi_fault_fired(void)
{
    return atomic_load(&fired);
}

static void fault_choose(const char *text)
{
    const char *number = strchr(text, ':');
    const char *effect = number != NULL ? strchr(number + 1, ':') : NULL;
    for (unsigned i = 0; effect != NULL && i < CALL_COUNT; i++)
        if (strncmp(call_names[i], text, (size_t)(number - text)) == 0)
            chosen = (fault_call)i;
    for (size_t i = 0; effect != NULL && i < sizeof effects / sizeof *effects; i++)
        if (strcmp(effects[i].name, effect + 1) == 0)
            chosen_effect = effects[i].effect;
    calls_wanted = number != NULL ? (int)strtoll(number + 1, NULL, 10) : 0;
    if (chosen == CALL_COUNT || calls_wanted < 1 || chosen_effect == 0) {
        fprintf(stderr, "UTAPI_FAULT: not a fault: %s\n", text);
        abort();
    }
}

static void counter_share(const char *path)
{
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    void *shared = MAP_FAILED; // NOLINT(performance-no-int-to-ptr)
    if (fd >= 0)
        shared = mmap(NULL, sizeof *calls_left, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (shared == MAP_FAILED) { // NOLINT(performance-no-int-to-ptr)
        fprintf(stderr, "UTAPI_FAULT_COUNTER: %s: %s\n", path, strerror(errno));
        abort();
    }
    (void)close(fd);
    calls_left = shared;
}

__attribute__((constructor)) static void shim_begin(void)
{
    const char *counter = getenv("UTAPI_FAULT_COUNTER");
    const char *fault = getenv("UTAPI_FAULT");
    const char *trace = getenv("UTAPI_FAULT_TRACE");
    folder = getenv("UTAPI_FAULT_DIR");
    switch_path = getenv("UTAPI_FAULT_SWITCH");
    if (fault != NULL)
        fault_choose(fault);
    if (counter != NULL)
        counter_share(counter);
    if (trace != NULL)
        trace_fd = open(trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* ---- judging a call ----------------------------------------------------------------------- */

/* Whether a descriptor is one of the files that are meant; its path, if so. */
static bool file_is_meant(int fd, char path[static PATH_MAX])
{
    char link[64];
    struct stat what;
    if (fd < 0 || fd == trace_fd || fstat(fd, &what) != 0 || !S_ISREG(what.st_mode))
        return false;
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t size = readlink(link, path, PATH_MAX - 1);
    if (size <= 0)
        return false;
    path[size] = '\0';
    return folder == NULL || strncmp(path, folder, strlen(folder)) == 0;
}

/* The effect that this call is to have; 0: what libc does. */
static int effect_of(fault_call call)
{
    if (call != chosen)
        return 0;
    int left = atomic_load(calls_left);
    do {
        if (left == 0)
            return 0;
    } while (!atomic_compare_exchange_weak(calls_left, &left, left - 1));
    if (left > 1)
        return 0;
    atomic_store(&fired, true);
    if (chosen_effect == KILL)
        (void)kill(getpid(), SIGKILL);
    return chosen_effect;
}

static bool is_switched_off(void)
{
    return switch_path != NULL && access(switch_path, F_OK) == 0;
}

static int effect_of_write(void)
{
    if (is_switched_off())
        return atomic_exchange(&filled, true) ? ENOSPC : SHORT;
    atomic_store(&filled, false);
    if (atomic_exchange(&told_late, false))
        return EIO;
    const int effect = effect_of(WRITE);
    if (effect == LATE)
        atomic_store(&told_late, true);
    return effect;
}

/* ---- the record --------------------------------------------------------------------------- */

static const char *below_folder(const char *path)
{
    const size_t above = folder != NULL ? strlen(folder) : 0;
    return path + above + (path[above] == '/');
}

static void trace_put(trace_kind kind, const char *path, off_t offset, const void *data, size_t size)
{
    trace_record record = {.kind = kind, .offset = (uint64_t)offset, .size = size};
    const char *file = below_folder(path);
    const struct iovec parts[] = {{&record, sizeof record}, {(void *)(uintptr_t)data, size}};
    if (trace_fd < 0)
        return;
    if ((size_t)snprintf(record.file, sizeof record.file, "%s", file) >= sizeof record.file)
        abort();
    if (syscall(SYS_writev, trace_fd, parts, 2) < 0)
        abort();
}

static bool is_written_through(int fd)
{
    return (fcntl(fd, F_GETFL) & O_DSYNC) != 0;
}

/* ---- writes ------------------------------------------------------------------------------- */

static ssize_t write_at(int fd, const void *data, size_t size, off_t offset)
{
    char path[PATH_MAX];
    if (!file_is_meant(fd, path))
        return syscall(SYS_pwrite64, fd, data, size, offset);
    const int effect = effect_of_write();
    if (effect > 0) {
        errno = effect;
        return -1;
    }
    const ssize_t written = syscall(SYS_pwrite64, fd, data, effect == SHORT ? size / 2 : size, offset);
    if (written > 0)
        trace_put(TRACE_WRITE, path, offset, data, (size_t)written);
    if (written > 0 && is_written_through(fd))
        trace_put(TRACE_SYNC, path, 0, NULL, 0);
    if (effect == LATE) {
        errno = EIO;
        return -1;
    }
    return written;
}

INSTEAD_OF_LIBC ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    return write_at(fd, data, size, offset);
}

INSTEAD_OF_LIBC ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
    return write_at(fd, data, size, offset);
}

/* The parts of one call are one write: it fails, or is cut, as a whole. */
INSTEAD_OF_LIBC ssize_t writev(int fd, const struct iovec *parts, int count)
{
    char path[PATH_MAX];
    if (!file_is_meant(fd, path))
        return syscall(SYS_writev, fd, parts, count);
    size_t size = 0, used = 0;
    for (int i = 0; i < count; i++)
        size += parts[i].iov_len;
    char *joined = mmap(NULL, size + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (joined == MAP_FAILED)
        return -1;
    for (int i = 0; i < count; i++) {
        memcpy(joined + used, parts[i].iov_base, parts[i].iov_len);
        used += parts[i].iov_len;
    }
    const off_t offset = lseek(fd, 0, SEEK_CUR);
    const ssize_t written = write_at(fd, joined, size, offset);
    const int error = errno;
    if (written > 0)
        (void)lseek(fd, offset + written, SEEK_SET);
    (void)munmap(joined, size + 1);
    errno = error;
    return written;
}

/* ---- syncs -------------------------------------------------------------------------------- */

static int sync_file(int fd, long number)
{
    char path[PATH_MAX];
    if (!file_is_meant(fd, path))
        return (int)syscall(number, fd);
    const int effect = is_switched_off() ? ENOSPC : effect_of(SYNC);
    if (effect != 0) {
        errno = effect > 0 ? effect : EIO;
        return -1;
    }
    const int rc = (int)syscall(number, fd);
    if (rc == 0)
        trace_put(TRACE_SYNC, path, 0, NULL, 0);
    return rc;
}

INSTEAD_OF_LIBC int fdatasync(int fd)
{
    return sync_file(fd, SYS_fdatasync);
}

INSTEAD_OF_LIBC int fsync(int fd)
{
    return sync_file(fd, SYS_fsync);
}

INSTEAD_OF_LIBC int rename(const char *from, const char *to)
{
    const int rc = (int)syscall(SYS_rename, from, to);
    if (rc == 0 && (folder == NULL || strncmp(from, folder, strlen(folder)) == 0))
        trace_put(TRACE_MOVE, from, 0, below_folder(to), strlen(below_folder(to)) + 1);
    return rc;
}

/* ---- room --------------------------------------------------------------------------------- */

INSTEAD_OF_LIBC int statvfs(const char *path, struct statvfs *ret)
{
    struct stat file;
    if (stat(path, &file) != 0)
        return -1;
    *ret = (struct statvfs){.f_bsize = 4096, .f_frsize = 4096, .f_bavail = is_switched_off() ? 0 : 1 << 20};
    return 0;
}

/* ---- maps and memory ---------------------------------------------------------------------- */

INSTEAD_OF_LIBC void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    char path[PATH_MAX];
    if (chosen == MAP && file_is_meant(fd, path) && effect_of(MAP) != 0) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    const long mapped = syscall(SYS_mmap, at, size, protection, flags, fd, offset);
    return mapped == -1 ? MAP_FAILED : (void *)mapped; // NOLINT(performance-no-int-to-ptr)
}

extern void *__libc_malloc(size_t size);               // NOLINT(bugprone-reserved-identifier)
extern void *__libc_calloc(size_t count, size_t size); // NOLINT(bugprone-reserved-identifier)
extern void *__libc_realloc(void *old, size_t size);   // NOLINT(bugprone-reserved-identifier)

static bool memory_fails(void)
{
    if (effect_of(MEMORY) == 0)
        return false;
    errno = ENOMEM;
    return true;
}

INSTEAD_OF_LIBC void *malloc(size_t size)
{
    return memory_fails() ? NULL : __libc_malloc(size);
}

INSTEAD_OF_LIBC void *calloc(size_t count, size_t size)
{
    return memory_fails() ? NULL : __libc_calloc(count, size);
}

INSTEAD_OF_LIBC void *realloc(void *old, size_t size)
{
    return memory_fails() ? NULL : __libc_realloc(old, size);
}
