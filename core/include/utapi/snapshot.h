/* SPDX-License-Identifier: Apache-2.0 */
/**
 * snapshot.h - the stored form of a row of running totals.
 *
 * The one home of the row format, shared by every backend that stores totals. Version 1:
 *
 *     byte 0        1, the version
 *     varint        the set of metrics that follow, as utapi_amounts.present (LEB128)
 *     varints       their totals in ascending order of metric, zigzag, LEB128
 *     4 bytes       CRC-32C of all before it, little-endian
 *
 * Metrics whose total is zero are left out. Version 2 is written only where version 1 cannot say it: its totals may
 * have more than 64 bits, and behind them stand fields, in ascending order of their numbers:
 *
 *     byte          the field's number: 1 late, 2 base, 3 held
 *     byte          how many bytes of it follow: late none, base 4, held at least one
 *     bytes         base: the interval's number since the epoch, little-endian; held: see backends/rows/late.h
 *
 * An unknown field is not passed over: what is not understood cannot be counted. Pure functions.
 */
#ifndef UTAPI_SNAPSHOT_H
#define UTAPI_SNAPSHOT_H

#include "utapi/interval.h"
#include "utapi/metric.h"

/** Bytes of late deltas that a row holds at most. */
#define UTAPI_SNAPSHOT_HELD_MAX 255

/** Bytes of a set of amounts at most, and of a snapshot. */
#define UTAPI_SNAPSHOT_AMOUNTS_MAX (10 + 19 * UTAPI_METRIC_COUNT)
#define UTAPI_SNAPSHOT_MAX         (1 + UTAPI_SNAPSHOT_AMOUNTS_MAX + 2 + 2 + 4 + 2 + UTAPI_SNAPSHOT_HELD_MAX + 4)

/** What a row says of its resource beside the totals. All zero: nothing. */
typedef struct utapi_snapshot_fields {
    bool has_late;             /* late sums stand beside the rows (backends/rows/late.h) */
    utapi_interval base;       /* what is earlier has expired: it is answered with zero; 0: nothing did */
    const unsigned char *held; /* late deltas that the row holds: borrowed, from the bytes that were read */
    size_t held_size;          /* 0: none; at most UTAPI_SNAPSHOT_HELD_MAX */
} utapi_snapshot_fields;

/** The version of a snapshot that encode wrote. */
static inline unsigned utapi_snapshot_version(const unsigned char *buffer)
{
    return buffer[0];
}

/** Writes the set of metrics and their amounts, zeros left out. At most UTAPI_SNAPSHOT_AMOUNTS_MAX bytes. Returns where
 * they end. */
unsigned char *utapi_snapshot_amounts_put(unsigned char *at, const utapi_amounts *amounts);

/** Reads them back. Returns where they end; NULL, with *ret spoilt, if they cannot be. */
const unsigned char *utapi_snapshot_amounts_get(const unsigned char *at, const unsigned char *end,
                                                utapi_amounts *ret);

/**
 * Writes totals in their stored form.
 *
 * @param fields  NULL: none
 * @param buffer  at least UTAPI_SNAPSHOT_MAX bytes
 * @return the bytes written
 */
size_t utapi_snapshot_encode(const utapi_amounts *totals, const utapi_snapshot_fields *fields,
                             unsigned char *buffer);

/**
 * Reads totals back. Trusts nothing: any bytes may be given.
 *
 * @param ret_fields  NULL: a row that may have none
 * @return UTAPI_CORRUPT: an unknown version or field, a wrong checksum, a total that no sum of events reaches (2^120),
 *         or a form that encode never writes; *ret and *ret_fields are then spoilt
 */
UTAPI_MUST_USE utapi_status utapi_snapshot_decode(const void *data, size_t size, utapi_amounts *ret,
                                                  utapi_snapshot_fields *ret_fields, utapi_error *err);

#endif
