/* SPDX-License-Identifier: Apache-2.0 */
/**
 * histogram.h - how often something took how long, in the buckets that Prometheus shows. Plain data.
 */
#ifndef UTAPI_HISTOGRAM_H
#define UTAPI_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define UTAPI_HISTOGRAM_BOUNDS_US                                                                           \
    {                                                                                                       \
        250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 10000000 \
    }

enum { UTAPI_HISTOGRAM_BOUNDS = 14, UTAPI_HISTOGRAM_BUCKETS = UTAPI_HISTOGRAM_BOUNDS + 1 };

/** Upper bounds in microseconds, ascending; what is beyond the last one has the last bucket. */
static const int64_t utapi_histogram_bounds_us[UTAPI_HISTOGRAM_BOUNDS] = UTAPI_HISTOGRAM_BOUNDS_US;

typedef struct utapi_histogram {
    uint64_t counts[UTAPI_HISTOGRAM_BUCKETS]; /* each of its own bucket alone */
    uint64_t sum_ns;
} utapi_histogram;

/** The bucket of a time. */
static inline size_t utapi_histogram_bucket(int64_t took_ns)
{
    size_t i = 0;
    while (i < UTAPI_HISTOGRAM_BOUNDS && took_ns > utapi_histogram_bounds_us[i] * 1000)
        i++;
    return i;
}

/** Counts a time. Not thread-safe. */
static inline void utapi_histogram_add(utapi_histogram *self, int64_t took_ns)
{
    self->counts[utapi_histogram_bucket(took_ns)]++;
    self->sum_ns += (uint64_t)(took_ns > 0 ? took_ns : 0);
}

#endif
