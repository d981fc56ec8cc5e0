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
    int64_t storage_utilized[2];  /* bytes: at the newest interval <= start, and <= end */
    int64_t number_of_objects[2]; /* likewise */
    utapi_amounts flows;          /* bytes in and out and operations, over the intervals in the range */
    int64_t expired_ms; /* what is earlier does not count any more; 0: it did not expire elsewhere */
} utapi_usage;

/** Makes it say that there is no usage. */
void utapi_usage_clear(utapi_usage *usage);

/**
 * Fills usage from three rows of running totals (docs/architecture.md#running-totals).
 *
 * @param before  the totals of the newest row before the range's first interval; NULL: there is none
 * @param first   of the newest row at or before that interval; NULL: none
 * @param last    of the newest row at or before the range's last interval; NULL: none
 * @return UTAPI_OVERFLOW if a flow does not fit 64 bits (only corrections by an operator lead there)
 */
UTAPI_MUST_USE utapi_status utapi_usage_of_rows(const utapi_amounts *before, const utapi_amounts *first,
                                                const utapi_amounts *last, utapi_usage *ret,
                                                utapi_error *err);

/** State figures are never below zero (docs/specification.md#reply). */
void utapi_usage_clamp(utapi_usage *usage);

#endif
