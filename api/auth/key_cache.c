/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key_cache.c - sets of four slots; a scope's hash names its set, and a full set gives up its slots in turn.
 *
 * One lock is enough: it is held for a few comparisons and a copy of 32 bytes.
 */
#include "auth/key_cache.h"

#include "utapi/hash.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define WAYS       4U
#define SETS       (KEY_CACHE_SLOTS / WAYS)
#define DATE_BYTES 8U

typedef struct slot {
    const identity_key *key; /* NULL: the slot is free */
    char date[DATE_BYTES];
    char region[KEY_CACHE_REGION_MAX];
    size_t region_bytes;
    unsigned char signing_key[CRYPTO_HASH_BYTES];
} slot;

typedef struct slot_set {
    slot slots[WAYS];
    size_t next; /* the slot to give up next */
} slot_set;

struct key_cache {
    pthread_mutex_t lock;
    slot_set sets[SETS];
};

key_cache *key_cache_new(void)
{
    key_cache *cache = calloc(1, sizeof *cache);
    if (cache != NULL && pthread_mutex_init(&cache->lock, NULL) != 0) {
        free(cache);
        return NULL;
    }
    return cache;
}

void key_cache_free(key_cache *cache)
{
    if (cache == NULL)
        return;
    pthread_mutex_destroy(&cache->lock);
    crypto_wipe(cache, sizeof *cache);
    free(cache);
}

static slot_set *find_set(key_cache *cache, const key_cache_scope *scope)
{
    uint64_t hash = utapi_hash_add(UTAPI_HASH_SEED, &scope->key, sizeof scope->key);
    hash = utapi_hash_add(hash, scope->date.data, scope->date.size);
    hash = utapi_hash_add(hash, scope->region.data, scope->region.size);
    return &cache->sets[utapi_hash_end(hash) % SETS];
}

static slot *find_slot(slot_set *set, const key_cache_scope *scope)
{
    for (size_t i = 0; i < WAYS; i++) {
        slot *candidate = &set->slots[i];
        const utapi_string date = {candidate->date, DATE_BYTES};
        const utapi_string region = {candidate->region, candidate->region_bytes};
        if (candidate->key == scope->key && utapi_string_equal(date, scope->date) &&
            utapi_string_equal(region, scope->region))
            return candidate;
    }
    return NULL;
}

static bool fits(const key_cache_scope *scope)
{
    return scope->date.size == DATE_BYTES && scope->region.size <= KEY_CACHE_REGION_MAX;
}

bool key_cache_get(key_cache *cache, const key_cache_scope *scope, unsigned char ret[CRYPTO_HASH_BYTES])
{
    if (!fits(scope))
        return false;
    slot_set *set = find_set(cache, scope);
    pthread_mutex_lock(&cache->lock);
    const slot *found = find_slot(set, scope);
    if (found != NULL)
        memcpy(ret, found->signing_key, CRYPTO_HASH_BYTES);
    pthread_mutex_unlock(&cache->lock);
    return found != NULL;
}

static void fill(slot *target, const key_cache_scope *scope,
                 const unsigned char signing_key[CRYPTO_HASH_BYTES])
{
    target->key = scope->key;
    memcpy(target->date, scope->date.data, DATE_BYTES);
    if (scope->region.size > 0)
        memcpy(target->region, scope->region.data, scope->region.size);
    target->region_bytes = scope->region.size;
    memcpy(target->signing_key, signing_key, CRYPTO_HASH_BYTES);
}

void key_cache_put(key_cache *cache, const key_cache_scope *scope,
                   const unsigned char signing_key[CRYPTO_HASH_BYTES])
{
    if (!fits(scope))
        return;
    slot_set *set = find_set(cache, scope);
    pthread_mutex_lock(&cache->lock);
    /* Two threads may have derived the same key at once: the second one's is here already. */
    if (find_slot(set, scope) == NULL) {
        fill(&set->slots[set->next], scope, signing_key);
        set->next = (set->next + 1) % WAYS;
    }
    pthread_mutex_unlock(&cache->lock);
}
