/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot.c - rows of running totals as bytes and back. The format stands in snapshot.h. */
#include "utapi/snapshot.h"

#include <string.h>

enum { SNAPSHOT_VERSION = 1, CHECKSUM_SIZE = 4, VARINT_MAX = 10 };

/* CRC-32C (Castagnoli, reflected polynomial 0x82F63B78; RFC 3720, 12.1), four bits at a time: sixteen
 * entries stay in the cache beside everything else that a read touches. */
static const uint32_t crc_nibbles[16] = {
    0x00000000, 0x105EC76F, 0x20BD8EDE, 0x30E349B1, 0x417B1DBC, 0x5125DAD3, 0x61C69362, 0x7198540D,
    0x82F63B78, 0x92A8FC17, 0xA24BB5A6, 0xB21572C9, 0xC38D26C4, 0xD3D3E1AB, 0xE330A81A, 0xF36E6F75,
};

static uint32_t crc32c_by_table(const unsigned char *data, size_t size)
{
    uint32_t crc = 0xFFFFFFFFU;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        crc = crc >> 4 ^ crc_nibbles[crc & 15];
        crc = crc >> 4 ^ crc_nibbles[crc & 15];
    }
    return ~crc;
}

#ifdef __x86_64__
/* The processor's own instruction for this polynomial (SSE 4.2), eight bytes at a time. */
__attribute__((target("sse4.2"))) static uint32_t crc32c_by_processor(const unsigned char *data, size_t size)
{
    uint64_t crc = 0xFFFFFFFFU;
    uint64_t word;
    for (; size >= sizeof word; data += sizeof word, size -= sizeof word) {
        memcpy(&word, data, sizeof word);
        crc = __builtin_ia32_crc32di(crc, word);
    }
    for (; size > 0; data++, size--)
        crc = __builtin_ia32_crc32qi((uint32_t)crc, *data);
    return ~(uint32_t)crc;
}

static uint32_t crc32c(const unsigned char *data, size_t size)
{
    return __builtin_cpu_supports("sse4.2") ? crc32c_by_processor(data, size) : crc32c_by_table(data, size);
}
#else
static uint32_t crc32c(const unsigned char *data, size_t size)
{
    return crc32c_by_table(data, size);
}
#endif

static unsigned char *put_varint(unsigned char *at, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *at++ = (unsigned char)(value | 0x80);
    *at++ = (unsigned char)value;
    return at;
}

/* NULL if the bytes end early, or do not fit 64 bits. */
static const unsigned char *take_varint(const unsigned char *at, const unsigned char *end, uint64_t *ret)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < VARINT_MAX && at < end; i++) {
        const uint64_t bits = *at & 0x7F;
        if (i == VARINT_MAX - 1 && bits > 1)
            return NULL;
        value |= bits << (7 * i);
        if ((*at++ & 0x80) == 0) {
            *ret = value;
            return at;
        }
    }
    return NULL;
}

static uint64_t zigzag(int64_t value)
{
    return (uint64_t)value << 1 ^ (uint64_t)(value >> 63);
}

static int64_t unzigzag(uint64_t value)
{
    return (int64_t)(value >> 1 ^ (0 - (value & 1)));
}

static void put_checksum(unsigned char *at, uint32_t crc)
{
    for (unsigned i = 0; i < CHECKSUM_SIZE; i++)
        at[i] = (unsigned char)(crc >> (8 * i));
}

size_t utapi_snapshot_encode(const utapi_amounts *totals, unsigned char *buffer)
{
    uint64_t present = 0;
    for (unsigned m = 0; m < UTAPI_METRIC_COUNT; m++)
        if (utapi_amounts_get(totals, m) != 0)
            present |= UINT64_C(1) << m;

    unsigned char *at = buffer;
    *at++ = SNAPSHOT_VERSION;
    at = put_varint(at, present);
    for (uint64_t left = present; left != 0; left &= left - 1)
        at = put_varint(at, zigzag(totals->of[__builtin_ctzll(left)]));
    put_checksum(at, crc32c(buffer, (size_t)(at - buffer)));
    return (size_t)(at - buffer) + CHECKSUM_SIZE;
}

static utapi_status decode_totals(const unsigned char *at, const unsigned char *end, utapi_amounts *ret,
                                  utapi_error *err)
{
    uint64_t present;
    at = take_varint(at, end, &present);
    if (at == NULL || (UTAPI_METRIC_COUNT < 64 && present >> UTAPI_METRIC_COUNT != 0))
        return utapi_fail(err, UTAPI_CORRUPT, "a stored row names metrics that this version does not know");
    ret->present = present;
    for (uint64_t left = present; left != 0; left &= left - 1) {
        uint64_t value;
        at = take_varint(at, end, &value);
        if (at == NULL)
            return utapi_fail(err, UTAPI_CORRUPT, "a stored row ends early");
        ret->of[__builtin_ctzll(left)] = unzigzag(value);
    }
    return at == end ? UTAPI_OK : utapi_fail(err, UTAPI_CORRUPT, "a stored row has bytes left over");
}

utapi_status utapi_snapshot_decode(const void *data, size_t size, utapi_amounts *ret, utapi_error *err)
{
    const unsigned char *bytes = data;
    if (size < 2 + CHECKSUM_SIZE)
        return utapi_fail(err, UTAPI_CORRUPT, "a stored row of %zu bytes is too short", size);
    if (bytes[0] != SNAPSHOT_VERSION)
        return utapi_fail(err, UTAPI_CORRUPT, "a stored row is of version %u, expected %d", bytes[0],
                          SNAPSHOT_VERSION);
    unsigned char checksum[CHECKSUM_SIZE];
    put_checksum(checksum, crc32c(bytes, size - CHECKSUM_SIZE));
    if (memcmp(checksum, bytes + size - CHECKSUM_SIZE, CHECKSUM_SIZE) != 0)
        return utapi_fail(err, UTAPI_CORRUPT, "a stored row does not match its checksum");

    utapi_amounts totals;
    const utapi_status status = decode_totals(bytes + 1, bytes + size - CHECKSUM_SIZE, &totals, err);
    if (status == UTAPI_OK)
        utapi_amounts_copy(&totals, ret);
    return status;
}
