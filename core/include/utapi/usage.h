/* SPDX-License-Identifier: Apache-2.0 */
/**
 * usage.h - the answer to a query: one resource's usage over a range.
 */
#ifndef UTAPI_USAGE_H
#define UTAPI_USAGE_H

#include "utapi/interval.h"
#include "utapi/metric.h"

/** Usage as docs/specification.md#reply defines it; figures are exact and signed until they are clamped. */
typedef struct utapi_usage {
    utapi_wide storage_utilized[2];  /* bytes: at the newest interval <= start, and <= end */
    utapi_wide number_of_objects[2]; /* likewise */
    utapi_amounts flows;             /* bytes in and out and operations, over the intervals in the range */
    /* What is earlier does not count any more; 0: the resource never expired, or its one writer knows. */
    int64_t expired_ms;
} utapi_usage;

/** Makes it say that there is no usage. */
void utapi_usage_clear(utapi_usage *usage);

/**
 * Fills usage from three rows of running totals (docs/architecture.md#running-totals).
 *
 * @param before  the totals of the newest row before the range's first interval; NULL: there is none
 * @param first   of the newest row at or before that interval; NULL: none
 * @param last    of the newest row at or before the range's last interval; NULL: none
 */
void utapi_usage_of_rows(const utapi_amounts *before, const utapi_amounts *first, const utapi_amounts *last,
                         utapi_usage *ret);

/**
 * Makes figures what an answer tells: states are never below zero, and none leaves 64 bits
 * (docs/specification.md#reply).
 *
 * @return how many figures were cut to 64 bits
 */
unsigned utapi_usage_clamp(utapi_usage *usage);

#endif
