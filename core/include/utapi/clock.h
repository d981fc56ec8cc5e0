/* SPDX-License-Identifier: Apache-2.0 */
/**
 * clock.h - the time, and waiting for it: the one place that asks the system.
 *
 * Intervals and deadlines are measured on the monotonic clock, which nobody sets. Timestamps that leave the process are
 * wall time. All functions are safe from any thread, and none can fail.
 */
#ifndef UTAPI_CLOCK_H
#define UTAPI_CLOCK_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

/** Milliseconds since the epoch, as the system's administrator sets them. */
int64_t utapi_wall_ms(void);

/** Milliseconds, or nanoseconds, since some moment in the past. */
int64_t utapi_monotonic_ms(void);
int64_t utapi_monotonic_ns(void);

/** Likewise, and it goes on while the machine sleeps. */
int64_t utapi_boottime_ms(void);

/** A time in milliseconds, of either clock, as pthread_cond_timedwait() and its like take it. Not negative. */
struct timespec utapi_timespec_of_ms(int64_t time_ms);

/** Initialises a condition whose timed waits are on the monotonic clock. pthread_cond_destroy() it. */
void utapi_cond_init(pthread_cond_t *condition);

/** Where an engine takes its time from, so that tests own it. */
typedef struct utapi_clock {
    int64_t (*wall_ms)(void *ctx);   /* UTC, since the epoch: the clock of the rules */
    int64_t (*steady_ms)(void *ctx); /* never stepped: the clock of the de-duplication window */
    void *ctx;
} utapi_clock;

#endif
