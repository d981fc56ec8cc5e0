/* SPDX-License-Identifier: Apache-2.0 */
/**
 * crypto.h - the little that SigV4 needs of cryptography: SHA-256, HMAC-SHA-256, hex, comparing, wiping.
 *
 * The only file of the project that knows OpenSSL's digests. Each thread has contexts of its own, made
 * at its first call and freed when it ends, because making them costs more than a hash. A call fails
 * only when memory runs out.
 */
#ifndef AUTH_CRYPTO_H
#define AUTH_CRYPTO_H

#include "utapi/status.h"
#include "utapi/string.h"

#define CRYPTO_HASH_BYTES 32U
#define CRYPTO_HEX_BYTES  64U /* of a hash, without the NUL */

UTAPI_MUST_USE bool crypto_sha256(utapi_string data, unsigned char ret[CRYPTO_HASH_BYTES]);

/** SHA-256 as lower-case hex and a NUL. */
UTAPI_MUST_USE bool crypto_sha256_hex(utapi_string data, char ret[CRYPTO_HEX_BYTES + 1]);

/** @param key  not empty */
UTAPI_MUST_USE bool crypto_hmac(const void *key, size_t key_bytes, utapi_string data,
                                unsigned char ret[CRYPTO_HASH_BYTES]);

/** Lower-case hex and a NUL. */
void crypto_hex(const unsigned char hash[CRYPTO_HASH_BYTES], char ret[CRYPTO_HEX_BYTES + 1]);

/** Whether both hold the same bytes, in a time that tells nothing about where they differ. */
bool crypto_equal(const void *left, const void *right, size_t bytes);

/** Overwrites memory that held a secret; the compiler does not leave it out. */
void crypto_wipe(void *memory, size_t bytes);

#endif
