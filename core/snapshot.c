/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot.c - rows of running totals as bytes and back. The format stands in snapshot.h. */
#include "utapi/snapshot.h"

#include "utapi/codec.h"

#include <string.h>

enum { NARROW = 1, WIDE = 2 };
enum { FIELD_LATE = 1, FIELD_BASE = 2, BASE_SIZE = 4 };

#define TOTAL_MAX ((utapi_wide)1 << 120)

/* ---- encoding ----------------------------------------------------------------------------- */

static unsigned char *fields_put(unsigned char *at, const utapi_snapshot_fields *fields)
{
    if (fields->has_late) {
        *at++ = FIELD_LATE;
        *at++ = 0;
    }
    if (fields->base != 0) {
        const uint32_t number = utapi_interval_number(fields->base);
        *at++ = FIELD_BASE;
        *at++ = BASE_SIZE;
        for (unsigned i = 0; i < BASE_SIZE; i++)
            *at++ = (unsigned char)(number >> 8 * i);
    }
    return at;
}

size_t utapi_snapshot_encode(const utapi_amounts *totals, const utapi_snapshot_fields *fields,
                             unsigned char *buffer)
{
    bool is_narrow = fields == NULL || (!fields->has_late && fields->base == 0);
    uint64_t present = 0;
    for (uint64_t left = totals->present; left != 0; left &= left - 1) {
        const unsigned m = (unsigned)__builtin_ctzll(left);
        if (totals->of[m] != 0)
            present |= UINT64_C(1) << m;
        is_narrow = is_narrow && utapi_wide_fits(totals->of[m]);
    }

    unsigned char *at = buffer;
    *at++ = is_narrow ? NARROW : WIDE;
    at = utapi_varint_put(at, present);
    for (uint64_t left = present; left != 0; left &= left - 1) {
        const utapi_wide total = totals->of[__builtin_ctzll(left)];
        if (is_narrow)
            at = utapi_varint_put(at, utapi_zigzag((int64_t)total));
        else
            at = utapi_varint_wide_put(at,
                                       (utapi_unsigned_wide)total << 1 ^ (utapi_unsigned_wide)(total >> 127));
    }
    if (fields != NULL)
        at = fields_put(at, fields);
    return (size_t)(utapi_checksum_put(buffer, at) - buffer);
}

/* ---- decoding ----------------------------------------------------------------------------- */

static const unsigned char *total_get(const unsigned char *at, const unsigned char *end, unsigned version,
                                      utapi_wide *ret)
{
    if (version == NARROW) {
        uint64_t value = 0;
        at = utapi_varint_get(at, end, &value);
        *ret = utapi_unzigzag(value);
        return at;
    }
    utapi_unsigned_wide value = 0;
    at = utapi_varint_wide_get(at, end, &value);
    *ret = (utapi_wide)(value >> 1) ^ -(utapi_wide)(value & 1);
    return *ret <= TOTAL_MAX && *ret >= -TOTAL_MAX ? at : NULL;
}

/* Reads all fields up to the end; false if there is anything else. */
static bool fields_get(const unsigned char *at, const unsigned char *end, utapi_snapshot_fields *ret)
{
    unsigned last = 0;
    *ret = (utapi_snapshot_fields){.has_late = false};
    while (at != end) {
        if (end - at < 2 || at[0] <= last || end - at - 2 < at[1])
            return false;
        last = at[0];
        if (last == FIELD_LATE && at[1] == 0)
            ret->has_late = true;
        else if (last == FIELD_BASE && at[1] == BASE_SIZE) {
            uint32_t number = 0;
            for (unsigned i = 0; i < BASE_SIZE; i++)
                number |= (uint32_t)at[2 + i] << 8 * i;
            ret->base = utapi_interval_at(number);
        } else
            return false;
        at += 2 + at[1];
    }
    return true;
}

utapi_status utapi_snapshot_decode(const void *data, size_t size, utapi_amounts *ret,
                                   utapi_snapshot_fields *ret_fields, utapi_error *err)
{
    const unsigned char *bytes = data;
    if (size < 2 + UTAPI_CHECKSUM_SIZE)
        return utapi_fail(err, UTAPI_CORRUPT, "a stored row of %zu bytes is too short", size);
    if (bytes[0] != NARROW && bytes[0] != WIDE)
        return utapi_fail(err, UTAPI_CORRUPT, "a stored row is of version %u, expected %d or %d", bytes[0],
                          NARROW, WIDE);
    if (!utapi_checksum_fits(bytes, size))
        return utapi_fail(err, UTAPI_CORRUPT, "a stored row does not match its checksum");

    utapi_amounts totals;
    utapi_snapshot_fields fields = {.has_late = false};
    const unsigned char *at = bytes + 1, *const end = bytes + size - UTAPI_CHECKSUM_SIZE;
    at = utapi_varint_get(at, end, &totals.present);
    if (at == NULL || (UTAPI_METRIC_COUNT < 64 && totals.present >> UTAPI_METRIC_COUNT != 0))
        return utapi_fail(err, UTAPI_CORRUPT, "a stored row names metrics that this version does not know");
    for (uint64_t left = totals.present; left != 0; left &= left - 1) {
        at = total_get(at, end, bytes[0], &totals.of[__builtin_ctzll(left)]);
        if (at == NULL)
            return utapi_fail(err, UTAPI_CORRUPT, "a stored row ends early, or holds a total that cannot be");
    }
    if (at != end && (bytes[0] == NARROW || ret_fields == NULL || !fields_get(at, end, &fields)))
        return utapi_fail(err, UTAPI_CORRUPT,
                          "a stored row has bytes left over, or a field that is not known here");
    utapi_amounts_copy(&totals, ret);
    if (ret_fields != NULL)
        *ret_fields = fields;
    return UTAPI_OK;
}
