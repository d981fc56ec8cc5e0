/* SPDX-License-Identifier: Apache-2.0 */
/**
 * interval.h - the 15 minutes of UTC that usage is kept by, and the ranges that queries ask for.
 *
 * An interval is named by its first millisecond since the epoch (docs/specification.md#vocabulary). Pure functions.
 */
#ifndef UTAPI_INTERVAL_H
#define UTAPI_INTERVAL_H

#include "utapi/status.h"

#include <stdint.h>

#define UTAPI_INTERVAL_MS INT64_C(900000)

/** The last interval that has a number of 32 bits, as stored keys have (a date in the year 124,000). */
#define UTAPI_INTERVAL_MAX (INT64_C(0xFFFFFFFF) * UTAPI_INTERVAL_MS)

/** The first millisecond of an interval. */
typedef int64_t utapi_interval;

/** The interval that a time belongs to; times before the epoch round down too. */
static inline utapi_interval utapi_interval_of(int64_t time_ms)
{
    const int64_t into = time_ms % UTAPI_INTERVAL_MS;
    return time_ms - (into < 0 ? into + UTAPI_INTERVAL_MS : into);
}

/** How many intervals lie between the epoch and this one: the form that storage keys take. */
static inline uint32_t utapi_interval_number(utapi_interval interval)
{
    return (uint32_t)(interval / UTAPI_INTERVAL_MS);
}

/** The inverse of utapi_interval_number(). */
static inline utapi_interval utapi_interval_at(uint32_t number)
{
    return (utapi_interval)number * UTAPI_INTERVAL_MS;
}

/** A span of time, both ends included, in milliseconds since the epoch. */
typedef struct utapi_range {
    int64_t start_ms;
    int64_t end_ms;
} utapi_range;

/**
 * Makes the range that somebody asks for (docs/specification.md#time-ranges): start on an interval's first
 * millisecond, end on one's last, start not after end.
 *
 * @param end_ms  NULL: until now, which need not be the end of an interval
 * @return UTAPI_INVALID with a sentence that names the bound
 */
UTAPI_MUST_USE utapi_status utapi_range_of(int64_t start_ms, const int64_t *end_ms, int64_t now_ms,
                                           utapi_range *ret, utapi_error *err);

/** ListRecentMetrics: from the interval before the current one until now (docs/specification.md#queries). */
utapi_range utapi_range_recent(int64_t now_ms);

#endif
