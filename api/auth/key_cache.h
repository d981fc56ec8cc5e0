/* SPDX-License-Identifier: Apache-2.0 */
/**
 * key_cache.h - signing keys that were derived before, so that a verification costs one HMAC, not five.
 *
 * Of fixed size; thread-safe. Put only keys here that have verified a signature: then nobody who lacks
 * a secret can push others out.
 */
#ifndef AUTH_KEY_CACHE_H
#define AUTH_KEY_CACHE_H

#include "auth/crypto.h"
#include "auth/identity.h"

#define KEY_CACHE_SLOTS      1024U /* keys that it holds at most */
#define KEY_CACHE_REGION_MAX 48U   /* bytes; keys of longer regions are not kept */

typedef struct key_cache key_cache;

/** What a signing key was derived for. Borrowed strings. */
typedef struct key_cache_scope {
    const identity_key *key; /* by address: an identity never changes */
    utapi_string date;       /* eight bytes */
    utapi_string region;
} key_cache_scope;

/** NULL if out of memory. */
key_cache *key_cache_new(void);

/** Wipes the keys and frees. NULL is fine. */
void key_cache_free(key_cache *cache);

/** Copies the signing key of a scope out; false if it is not here. */
bool key_cache_get(key_cache *cache, const key_cache_scope *scope, unsigned char ret[CRYPTO_HASH_BYTES]);

/** Keeps the signing key of a scope, in place of another one if it must. */
void key_cache_put(key_cache *cache, const key_cache_scope *scope,
                   const unsigned char signing_key[CRYPTO_HASH_BYTES]);

#endif
