/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot.c - rows of running totals as bytes and back. The format stands in snapshot.h. */
#include "utapi/snapshot.h"

#include "utapi/codec.h"

enum { SNAPSHOT_VERSION = 1 };

size_t utapi_snapshot_encode(const utapi_amounts *totals, unsigned char *buffer)
{
    uint64_t present = 0;
    for (unsigned m = 0; m < UTAPI_METRIC_COUNT; m++)
        if (utapi_amounts_get(totals, m) != 0)
            present |= UINT64_C(1) << m;

    unsigned char *at = buffer;
    *at++ = SNAPSHOT_VERSION;
    at = utapi_varint_put(at, present);
    for (uint64_t left = present; left != 0; left &= left - 1)
        at = utapi_varint_put(at, utapi_zigzag(totals->of[__builtin_ctzll(left)]));
    return (size_t)(utapi_checksum_put(buffer, at) - buffer);
}

utapi_status utapi_snapshot_decode(const void *data, size_t size, utapi_amounts *ret, utapi_error *err)
{
    const unsigned char *bytes = data;
    if (size < 2 + UTAPI_CHECKSUM_SIZE)
        return utapi_fail(err, UTAPI_CORRUPT, "a stored row of %zu bytes is too short", size);
    if (bytes[0] != SNAPSHOT_VERSION)
        return utapi_fail(err, UTAPI_CORRUPT, "a stored row is of version %u, expected %d", bytes[0],
                          SNAPSHOT_VERSION);
    if (!utapi_checksum_fits(bytes, size))
        return utapi_fail(err, UTAPI_CORRUPT, "a stored row does not match its checksum");

    utapi_amounts totals;
    const unsigned char *at = bytes + 1, *const end = bytes + size - UTAPI_CHECKSUM_SIZE;
    at = utapi_varint_get(at, end, &totals.present);
    if (at == NULL || (UTAPI_METRIC_COUNT < 64 && totals.present >> UTAPI_METRIC_COUNT != 0))
        return utapi_fail(err, UTAPI_CORRUPT, "a stored row names metrics that this version does not know");
    for (uint64_t left = totals.present; left != 0; left &= left - 1) {
        uint64_t value;
        at = utapi_varint_get(at, end, &value);
        if (at == NULL)
            return utapi_fail(err, UTAPI_CORRUPT, "a stored row ends early");
        totals.of[__builtin_ctzll(left)] = utapi_unzigzag(value);
    }
    if (at != end)
        return utapi_fail(err, UTAPI_CORRUPT, "a stored row has bytes left over");
    utapi_amounts_copy(&totals, ret);
    return UTAPI_OK;
}
