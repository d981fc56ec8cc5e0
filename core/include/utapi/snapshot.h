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
 * Metrics whose total is zero are left out. Pure functions.
 */
#ifndef UTAPI_SNAPSHOT_H
#define UTAPI_SNAPSHOT_H

#include "utapi/metric.h"

/** No snapshot is longer, in bytes. */
#define UTAPI_SNAPSHOT_MAX (1 + 10 + 10 * UTAPI_METRIC_COUNT + 4)

/**
 * Writes totals in their stored form.
 *
 * @param buffer  at least UTAPI_SNAPSHOT_MAX bytes
 * @return the bytes written
 */
size_t utapi_snapshot_encode(const utapi_amounts *totals, unsigned char *buffer);

/**
 * Reads totals back. Trusts nothing: any bytes may be given.
 *
 * @return UTAPI_CORRUPT: an unknown version, a wrong checksum, or a form that encode never writes;
 *         *ret is then untouched
 */
UTAPI_MUST_USE utapi_status utapi_snapshot_decode(const void *data, size_t size, utapi_amounts *ret,
                                                  utapi_error *err);

#endif
