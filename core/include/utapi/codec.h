/* SPDX-License-Identifier: Apache-2.0 */
/**
 * codec.h - how numbers and bytes are stored and shown: varints, zigzag, checksums, hex.
 *
 * A varint is LEB128: seven bits a byte, the lowest first, and the high bit says that more follow. Signed numbers are
 * zigzag first, so that small ones are short whatever their sign. A checksum is CRC-32C, little-endian, behind the
 * bytes that it covers. Stored rows depend on all of this: it does not change. Pure functions.
 */
#ifndef UTAPI_CODEC_H
#define UTAPI_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- varints ------------------------------------------------------------------------------ */

/* Bytes of the longest one, of a number of 64 and of 128 bits. */
enum { UTAPI_VARINT_MAX = 10, UTAPI_VARINT_WIDE_MAX = 19 };

__extension__ typedef unsigned __int128 utapi_unsigned_wide;

/** Writes at most UTAPI_VARINT_MAX bytes. Returns where they end. */
static inline unsigned char *utapi_varint_put(unsigned char *at, uint64_t number)
{
    for (; number >= 0x80; number >>= 7)
        *at++ = (unsigned char)(number | 0x80);
    *at++ = (unsigned char)number;
    return at;
}

/** Reads one. Returns where it ends; NULL, with *ret untouched, if the bytes end early or it does not fit 64 bits. */
static inline const unsigned char *utapi_varint_get(const unsigned char *at, const unsigned char *end,
                                                    uint64_t *ret)
{
    uint64_t number = 0;
    for (unsigned shift = 0; shift < 64 && at < end; shift += 7) {
        const unsigned char byte = *at++;
        if (shift == 63 && byte > 1)
            return NULL;
        number |= (uint64_t)(byte & 0x7F) << shift;
        if ((byte & 0x80) == 0) {
            *ret = number;
            return at;
        }
    }
    return NULL;
}

/** As utapi_varint_put(), of at most UTAPI_VARINT_WIDE_MAX bytes: what fits 64 bits has the same form. */
unsigned char *utapi_varint_wide_put(unsigned char *at, utapi_unsigned_wide number);

/** As utapi_varint_get(), of 128 bits. */
const unsigned char *utapi_varint_wide_get(const unsigned char *at, const unsigned char *end,
                                           utapi_unsigned_wide *ret);

static inline uint64_t utapi_zigzag(int64_t number)
{
    return (uint64_t)number << 1 ^ (uint64_t)(number >> 63);
}

static inline int64_t utapi_unzigzag(uint64_t number)
{
    return (int64_t)(number >> 1 ^ (0 - (number & 1)));
}

/* ---- checksums ---------------------------------------------------------------------------- */

enum { UTAPI_CHECKSUM_SIZE = 4 };

/** CRC-32C (RFC 3720, 12.1) of some bytes: by the processor's own instruction where it has one. */
uint32_t utapi_crc32c(const void *data, size_t size);

/** Appends the checksum of the bytes from begin to end. Returns where it ends: UTAPI_CHECKSUM_SIZE further. */
unsigned char *utapi_checksum_put(const unsigned char *begin, unsigned char *end);

/** Whether the last UTAPI_CHECKSUM_SIZE bytes are the checksum of those before them. Fewer bytes have none. */
bool utapi_checksum_fits(const void *data, size_t size);

/* ---- hex ---------------------------------------------------------------------------------- */

/** Writes bytes as digits in lower case, two for each, without a NUL. Returns where they end. */
char *utapi_hex_put(char *at, const void *data, size_t size);

/** Reads size bytes from twice as many digits in lower case; false, with ret spoilt, if there is anything else. */
bool utapi_hex_get(const char *digits, unsigned char *ret, size_t size);

#endif
