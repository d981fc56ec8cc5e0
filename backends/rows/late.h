/* SPDX-License-Identifier: Apache-2.0 */
/**
 * late.h - late sums: how a late event counts without rewriting the rows after it.
 *
 * A row holds a resource's totals at the end of its interval. What comes late would change every later row; so it is
 * kept beside them instead. A delta at an interval is added under three keys: the interval's number, that divided by
 * 128, and by 16,384. The total at a time is then
 *
 *     the newest stored row at or before it  +  all deltas up to it
 *
 * and the second sum is read in at most three ranges of keys: whole steps of 16,384 intervals from the beginning on,
 * then of 128, then single ones. The first range has no upper limit: it grows by a key in 171 days.
 *
 *   - A row that is stored later, or made from the row before, is stored less the deltas up to it.
 *   - An expiry is a delta too: the totals at its interval, taken away there. What is earlier is then never asked for.
 *   - Keys of a resource go all together, never singly.
 *
 * Pure functions. The storage keeps the keys in order.
 */
#ifndef ROWS_LATE_H
#define ROWS_LATE_H

#include <stdint.h>

enum {
    UTAPI_LATE_RESOLUTIONS = 3,
    UTAPI_LATE_BITS = 7,        /* from one resolution to the next */
    UTAPI_LATE_FEW_ROWS = 32,   /* where so few rows are later, rewriting them costs less */
    UTAPI_LATE_REWRITTEN = 4096 /* the most rows that one step rewrites */
};

/** Keys of one resolution, both ends included. */
typedef struct utapi_late_range {
    unsigned resolution;
    uint32_t first, last;
} utapi_late_range;

/** The key of an interval's number at a resolution. */
static inline uint32_t utapi_late_key(uint32_t interval, unsigned resolution)
{
    return interval >> UTAPI_LATE_BITS * resolution;
}

/** The ranges that sum up to an interval's number, included. Returns how many there are: 1 to 3. */
unsigned utapi_late_ranges(uint32_t interval, utapi_late_range ret[static UTAPI_LATE_RESOLUTIONS]);

#endif
