/* SPDX-License-Identifier: Apache-2.0 */
/**
 * hash.h - FNV-1a, 64 bits, for tables in memory and files that do not outlive the process.
 *
 *     hash = utapi_hash_add(UTAPI_HASH_SEED, name.data, name.size);
 *     slot = utapi_hash_end(hash) & mask;
 *
 * It is quick on short names. It keeps no stranger from making names collide, so a table whose names strangers choose
 * must stay correct, if slow, when they do. Pure functions.
 */
#ifndef UTAPI_HASH_H
#define UTAPI_HASH_H

#include <stddef.h>
#include <stdint.h>

#define UTAPI_HASH_SEED UINT64_C(0xcbf29ce484222325)

/** Continues a hash over some bytes. A number may be mixed in before: UTAPI_HASH_SEED + level. */
static inline uint64_t utapi_hash_add(uint64_t hash, const void *data, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)data;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/** Folds the high bits into the low ones, which FNV mixes least and which a table takes its slots from. */
static inline uint64_t utapi_hash_end(uint64_t hash)
{
    return hash ^ hash >> 32;
}

#endif
