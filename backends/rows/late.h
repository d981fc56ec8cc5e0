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
 * A key is a place of its own for each resource: a request whose events are late in a thousand buckets would change a
 * thousand pages more than a punctual one. So a few late deltas are held in the resource's newest row, which changes in
 * any case, and move to their keys together once there is no room left. They count like those under the keys:
 *
 *     varint   the interval's number, less that of the one before plus one
 *     bytes    the delta, as utapi_snapshot_amounts_put() writes it
 *
 * Pure functions. The storage keeps the keys in order.
 */
#ifndef ROWS_LATE_H
#define ROWS_LATE_H

#include "utapi/batch.h"
#include "utapi/snapshot.h"

enum {
    UTAPI_LATE_RESOLUTIONS = 3,
    UTAPI_LATE_BITS = 7,      /* from one resolution to the next */
    UTAPI_LATE_FEW_ROWS = 32, /* where so few rows are later, they are rewritten, */
    UTAPI_LATE_REWRITTEN = 16 /* of so many resources in one step: their rows lie apart */
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

/* ---- deltas that a row holds ---------------------------------------------------------------- */

/** Deltas that are being put together. */
typedef struct utapi_late_holding {
    size_t size;
    uint64_t from; /* the next interval's number at least */
    unsigned char bytes[UTAPI_SNAPSHOT_HELD_MAX];
} utapi_late_holding;

/** Appends a delta of a later interval. False, and nothing changed: there is no room left. */
bool utapi_late_hold(utapi_late_holding *holding, const utapi_interval_delta *delta);

/** A walk through them, oldest first. */
typedef struct utapi_late_walk {
    const unsigned char *at, *end; /* at: NULL once something cannot be read */
    uint64_t from;
} utapi_late_walk;

static inline utapi_late_walk utapi_late_held(const utapi_snapshot_fields *fields)
{
    return fields->held_size == 0
               ? (utapi_late_walk){.from = 0}
               : (utapi_late_walk){.at = fields->held, .end = fields->held + fields->held_size};
}

/** The next one. False: there is none, or it cannot be read. */
bool utapi_late_held_next(utapi_late_walk *walk, utapi_interval_delta *ret);

/** UTAPI_CORRUPT where a walk that is over came upon something that cannot be read. */
UTAPI_MUST_USE utapi_status utapi_late_held_end(const utapi_late_walk *walk, utapi_error *err);

#endif
