/* SPDX-License-Identifier: Apache-2.0 */
/* sample.c - durations and their quantiles. */
#include "bench.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

int64_t bench_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

bool bench_samples_init(bench_samples *samples, size_t capacity)
{
    *samples = (bench_samples){.capacity = capacity, .nanoseconds = calloc(capacity, sizeof(int64_t))};
    return samples->nanoseconds != NULL;
}

void bench_samples_done(bench_samples *samples)
{
    free(samples->nanoseconds);
}

void bench_samples_add(bench_samples *samples, int64_t nanoseconds)
{
    assert(samples->count < samples->capacity);
    samples->nanoseconds[samples->count++] = nanoseconds;
}

static int order(const void *left, const void *right)
{
    const int64_t a = *(const int64_t *)left;
    const int64_t b = *(const int64_t *)right;
    return (a > b) - (a < b);
}

double bench_samples_quantile_us(bench_samples *samples, double part)
{
    assert(samples->count > 0);
    qsort(samples->nanoseconds, samples->count, sizeof *samples->nanoseconds, order);
    return (double)samples->nanoseconds[(size_t)(part * (double)(samples->count - 1))] / 1000.0;
}
