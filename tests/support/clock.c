/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock.c - a library for LD_PRELOAD that starts a program at another time of day.
 *
 * TEST_CLOCK_MS says which, in milliseconds since the epoch. From there the clock runs on as usual. Monotonic
 * clocks are left alone. A copied storage is opened this way at the time when it was written: nothing has expired.
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define INSTEAD_OF_LIBC __attribute__((visibility("default")))

static int64_t offset_s;

int clock_gettime(clockid_t id, struct timespec *ret);
int gettimeofday(struct timeval *restrict ret, void *restrict zone);
time_t time(time_t *ret);

static struct timespec time_now(clockid_t id)
{
    struct timespec now = {0};
    (void)syscall(SYS_clock_gettime, id, &now);
    return now;
}

static __attribute__((constructor)) void clock_start(void)
{
    const char *wanted = getenv("TEST_CLOCK_MS");
    if (wanted != NULL)
        offset_s = strtoll(wanted, NULL, 10) / 1000 - time_now(CLOCK_REALTIME).tv_sec;
}

INSTEAD_OF_LIBC int clock_gettime(clockid_t id, struct timespec *ret)
{
    const long failed = syscall(SYS_clock_gettime, id, ret);
    if (failed == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        ret->tv_sec += offset_s;
    return (int)failed;
}

INSTEAD_OF_LIBC int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
    (void)zone;
    const struct timespec now = time_now(CLOCK_REALTIME);
    *ret = (struct timeval){.tv_sec = now.tv_sec + offset_s, .tv_usec = now.tv_nsec / 1000};
    return 0;
}

INSTEAD_OF_LIBC time_t time(time_t *ret)
{
    const time_t now = time_now(CLOCK_REALTIME).tv_sec + offset_s;
    if (ret != NULL)
        *ret = now;
    return now;
}
