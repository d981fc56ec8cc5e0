/* SPDX-License-Identifier: Apache-2.0 */
/* clock.c - the system's clocks as 64-bit numbers. */
#include "utapi/clock.h"

static int64_t clock_ns(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t utapi_wall_ms(void)
{
    return clock_ns(CLOCK_REALTIME) / 1000000;
}

int64_t utapi_monotonic_ms(void)
{
    return clock_ns(CLOCK_MONOTONIC) / 1000000;
}

int64_t utapi_monotonic_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

int64_t utapi_boottime_ms(void)
{
    return clock_ns(CLOCK_BOOTTIME) / 1000000;
}

struct timespec utapi_timespec_of_ms(int64_t time_ms)
{
    return (struct timespec){.tv_sec = (time_t)(time_ms / 1000), .tv_nsec = (long)(time_ms % 1000) * 1000000};
}

void utapi_cond_init(pthread_cond_t *condition)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attr);
    pthread_condattr_destroy(&attr);
}
