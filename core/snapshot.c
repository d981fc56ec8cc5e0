/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot.c - rows of running totals as bytes and back. The format stands in snapshot.h. */
#include "utapi/snapshot.h"

#include "utapi/codec.h"

#include <endian.h>
#include <string.h>

enum { NARROW = 1, WIDE = 2 };
enum { FIELD_LATE = 1, FIELD_BASE = 2, FIELD_HELD = 3, BASE_SIZE = 4 };

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
    if (fields->held_size > 0) {
        *at++ = FIELD_HELD;
        *at++ = (unsigned char)fields->held_size;
        memcpy(at, fields->held, fields->held_size);
        at += fields->held_size;
    }
    return at;
}

/* What fits 64 bits has the same form among 128. */
static unsigned char *total_put(unsigned char *at, utapi_wide total)
{
    if (utapi_wide_fits(total))
        return utapi_varint_put(at, utapi_zigzag((int64_t)total));
    return utapi_varint_wide_put(at, (utapi_unsigned_wide)total << 1 ^ (utapi_unsigned_wide)(total >> 127));
}

unsigned char *utapi_snapshot_amounts_put(unsigned char *at, const utapi_amounts *amounts)
{
    uint64_t present = 0;
    for (uint64_t left = amounts->present; left != 0; left &= left - 1)
        if (amounts->of[__builtin_ctzll(left)] != 0)
            present |= left & -left;
    at = utapi_varint_put(at, present);
    for (uint64_t left = present; left != 0; left &= left - 1)
        at = total_put(at, amounts->of[__builtin_ctzll(left)]);
    return at;
}

size_t utapi_snapshot_encode(const utapi_amounts *totals, const utapi_snapshot_fields *fields,
                             unsigned char *buffer)
{
    bool is_narrow = fields == NULL || (!fields->has_late && fields->base == 0 && fields->held_size == 0);
    for (uint64_t left = totals->present; left != 0; left &= left - 1)
        is_narrow = is_narrow && utapi_wide_fits(totals->of[__builtin_ctzll(left)]);
    buffer[0] = is_narrow ? NARROW : WIDE;
    unsigned char *at = utapi_snapshot_amounts_put(buffer + 1, totals);
    if (fields != NULL)
        at = fields_put(at, fields);
    return (size_t)(utapi_checksum_put(buffer, at) - buffer);
}

/* ---- decoding ----------------------------------------------------------------------------- */

/* A total of more than 64 bits, which a row of version 1 never holds. */
static const unsigned char *wide_total_get(const unsigned char *at, const unsigned char *end, utapi_wide *ret)
{
    utapi_unsigned_wide value = 0;
    at = utapi_varint_wide_get(at, end, &value);
    *ret = (utapi_wide)(value >> 1) ^ -(utapi_wide)(value & 1);
    return *ret <= TOTAL_MAX && *ret >= -TOTAL_MAX ? at : NULL;
}

/* As utapi_varint_get(). Where eight bytes can be read, up to 56 bits at once: a query reads dozens of them. */
static inline const unsigned char *number_get(const unsigned char *at, const unsigned char *end,
                                              const unsigned char *readable, uint64_t *ret)
{
    uint64_t word;
    if (readable - at < (ptrdiff_t)sizeof word)
        return utapi_varint_get(at, end, ret);
    memcpy(&word, at, sizeof word);
    word = le64toh(word);
    const uint64_t last = ~word & UINT64_C(0x8080808080808080);
    if (last == 0)
        return utapi_varint_get(at, end, ret);
    at += (unsigned)__builtin_ctzll(last) / 8 + 1;
    word &= last ^ (last - 1);
    word = (word & UINT64_C(0x007F007F007F007F)) | (word & UINT64_C(0x7F007F007F007F00)) >> 1;
    word = (word & UINT64_C(0x00003FFF00003FFF)) | (word & UINT64_C(0x3FFF00003FFF0000)) >> 2;
    *ret = (word & UINT64_C(0x0FFFFFFF)) | (word & UINT64_C(0x0FFFFFFF00000000)) >> 4;
    return at <= end ? at : NULL;
}

/* Bytes up to `readable` may be looked at, though they mean nothing here. */
static inline const unsigned char *amounts_get(const unsigned char *at, const unsigned char *end,
                                               const unsigned char *readable, unsigned version,
                                               utapi_amounts *ret)
{
    uint64_t value = 0;
    at = number_get(at, end, readable, &ret->present);
    if (at == NULL || (UTAPI_METRIC_COUNT < 64 && ret->present >> UTAPI_METRIC_COUNT != 0))
        return NULL;
    for (uint64_t left = ret->present; left != 0; left &= left - 1) {
        utapi_wide *total = &ret->of[__builtin_ctzll(left)];
        const unsigned char *next = number_get(at, end, readable, &value);
        *total = utapi_unzigzag(value);
        if (next == NULL && version == WIDE)
            next = wide_total_get(at, end, total);
        if (next == NULL)
            return NULL;
        at = next;
    }
    return at;
}

const unsigned char *utapi_snapshot_amounts_get(const unsigned char *at, const unsigned char *end,
                                                utapi_amounts *ret)
{
    return amounts_get(at, end, end, WIDE, ret);
}

/* Reads all fields up to the end; false if there is anything else. */
static bool fields_get(const unsigned char *at, const unsigned char *end, utapi_snapshot_fields *ret)
{
    unsigned last = 0;
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
        } else if (last == FIELD_HELD && at[1] > 0) {
            ret->held = at + 2;
            ret->held_size = at[1];
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

    const unsigned char *const end = bytes + size - UTAPI_CHECKSUM_SIZE;
    const unsigned char *at = amounts_get(bytes + 1, end, bytes + size, bytes[0], ret);
    if (at == NULL)
        return utapi_fail(
            err, UTAPI_CORRUPT,
            "a stored row ends early, names an unknown metric, or holds a total that cannot be");
    if (ret_fields != NULL)
        *ret_fields = (utapi_snapshot_fields){.has_late = false};
    if (at != end && (bytes[0] == NARROW || ret_fields == NULL || !fields_get(at, end, ret_fields)))
        return utapi_fail(err, UTAPI_CORRUPT,
                          "a stored row has bytes left over, or a field that is not known here");
    return UTAPI_OK;
}
