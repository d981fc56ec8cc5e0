/* SPDX-License-Identifier: Apache-2.0 */
/* codec.c - varints of 128 bits, CRC-32C and hex. */
#include "utapi/codec.h"

#include <endian.h>
#include <string.h>

/* ---- varints ------------------------------------------------------------------------------ */

unsigned char *utapi_varint_wide_put(unsigned char *at, utapi_unsigned_wide number)
{
    for (; number >= 0x80; number >>= 7)
        *at++ = (unsigned char)((unsigned char)number | 0x80);
    *at++ = (unsigned char)number;
    return at;
}

const unsigned char *utapi_varint_wide_get(const unsigned char *at, const unsigned char *end,
                                           utapi_unsigned_wide *ret)
{
    utapi_unsigned_wide number = 0;
    for (unsigned shift = 0; shift < 128 && at < end; shift += 7) {
        const unsigned char byte = *at++;
        if (shift == 126 && byte > 3)
            return NULL;
        number |= (utapi_unsigned_wide)(byte & 0x7F) << shift;
        if ((byte & 0x80) == 0) {
            *ret = number;
            return at;
        }
    }
    return NULL;
}

/* ---- checksums ---------------------------------------------------------------------------- */

/* Castagnoli's polynomial, reflected: 0x82F63B78. Four bits at a time: sixteen entries stay in the cache beside
 * everything else that a read touches. */
static uint32_t crc_by_table(const unsigned char *data, size_t size)
{
    static const uint32_t nibbles[16] = {
        0x00000000, 0x105EC76F, 0x20BD8EDE, 0x30E349B1, 0x417B1DBC, 0x5125DAD3, 0x61C69362, 0x7198540D,
        0x82F63B78, 0x92A8FC17, 0xA24BB5A6, 0xB21572C9, 0xC38D26C4, 0xD3D3E1AB, 0xE330A81A, 0xF36E6F75,
    };
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        crc = crc >> 4 ^ nibbles[crc & 15];
        crc = crc >> 4 ^ nibbles[crc & 15];
    }
    return ~crc;
}

#ifdef __x86_64__
/* The processor's own instruction for this polynomial (SSE 4.2), eight bytes at a time. */
__attribute__((target("sse4.2"))) static uint32_t crc_by_processor(const unsigned char *data, size_t size)
{
    uint64_t crc = UINT32_MAX;
    uint64_t word;
    for (; size >= sizeof word; data += sizeof word, size -= sizeof word) {
        memcpy(&word, data, sizeof word);
        crc = __builtin_ia32_crc32di(crc, word);
    }
    for (; size > 0; data++, size--)
        crc = __builtin_ia32_crc32qi((uint32_t)crc, *data);
    return ~(uint32_t)crc;
}
#endif

uint32_t utapi_crc32c(const void *data, size_t size)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("sse4.2"))
        return crc_by_processor(data, size);
#endif
    return crc_by_table(data, size);
}

unsigned char *utapi_checksum_put(const unsigned char *begin, unsigned char *end)
{
    const uint32_t crc = htole32(utapi_crc32c(begin, (size_t)(end - begin)));
    memcpy(end, &crc, sizeof crc);
    return end + sizeof crc;
}

bool utapi_checksum_fits(const void *data, size_t size)
{
    uint32_t crc;
    if (size < sizeof crc)
        return false;
    memcpy(&crc, (const unsigned char *)data + size - sizeof crc, sizeof crc);
    return le32toh(crc) == utapi_crc32c(data, size - sizeof crc);
}

/* ---- hex ---------------------------------------------------------------------------------- */

char *utapi_hex_put(char *at, const void *data, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++) {
        *at++ = digits[bytes[i] >> 4];
        *at++ = digits[bytes[i] & 15];
    }
    return at;
}

/* -1: it is none. */
static int hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

bool utapi_hex_get(const char *digits, unsigned char *ret, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        const int high = hex_digit(digits[2 * i]);
        const int low = hex_digit(digits[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        ret[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}
