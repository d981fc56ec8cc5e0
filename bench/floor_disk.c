/* SPDX-License-Identifier: Apache-2.0 */
/* floor_disk.c - the disk: append and fdatasync, which no durable answer can be faster than. */
#include "floors.h"

#include "interrupt.h"
#include "utapi/clock.h"
#include "utapi/scoped.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PAGE_BYTES = 4096, EVENT_BYTES = 128, FILE_MAX_BYTES = 1 << 30 };

static utapi_status append_all(int fd, const char *bytes, size_t size, off_t at, utapi_error *err)
{
    while (size > 0) {
        const ssize_t written = pwrite(fd, bytes, size, at);
        if (written < 0 && errno != EINTR)
            return utapi_fail(err, UTAPI_UNAVAILABLE, "writing to the disk: %s", strerror(errno));
        if (written < 0)
            continue;
        bytes += written;
        at += written;
        size -= (size_t)written;
    }
    if (fdatasync(fd) != 0)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "syncing the disk: %s", strerror(errno));
    return UTAPI_OK;
}

static utapi_status append_for(int fd, size_t bytes, double seconds, histogram *ret, double *ret_per_s,
                               utapi_error *err)
{
    UTAPI_AUTO_FREE char *block = calloc(1, bytes);
    if (block == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "%zu bytes", bytes);
    const int64_t begin_ns = utapi_monotonic_ns();
    const int64_t end_ns = begin_ns + (int64_t)(seconds * 1e9);
    int64_t now_ns = begin_ns;
    uint64_t count = 0;
    for (off_t at = 0; now_ns < end_ns && at < FILE_MAX_BYTES && !bench_is_interrupted();
         at += (off_t)bytes) {
        const utapi_status status = append_all(fd, block, bytes, at, err);
        if (status != UTAPI_OK)
            return status;
        const int64_t done_ns = utapi_monotonic_ns();
        histogram_add(ret, done_ns - now_ns);
        now_ns = done_ns;
        count++;
    }
    *ret_per_s = (double)count * 1e9 / (double)(now_ns - begin_ns);
    return UTAPI_OK;
}

utapi_status floor_disk_measure(const bench_workspace *workspace, size_t bytes, double seconds,
                                histogram *ret, double *ret_per_s, utapi_error *err)
{
    char path[BENCH_PATH_MAX + 16];
    (void)snprintf(path, sizeof path, "%s/sync", workspace->folder);
    const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "%s: %s", path, strerror(errno));
    const utapi_status status = append_for(fd, bytes, seconds, ret, ret_per_s, err);
    (void)close(fd);
    (void)unlink(path);
    return status;
}

/* A group is written in whole pages. */
utapi_status floor_sync(const floor_task *task, double *ret_per_s, utapi_error *err)
{
    const unsigned events = bench_workload_group_events(task->workload);
    const size_t bytes = ((size_t)events * EVENT_BYTES + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    UTAPI_AUTO_FREE histogram *durations = calloc(1, sizeof *durations);
    if (durations == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a histogram");
    double per_s = 0;
    const utapi_status status =
        floor_disk_measure(task->workspace, bytes, task->seconds, durations, &per_s, err);
    if (status == UTAPI_OK)
        *ret_per_s = per_s * events;
    return status;
}
