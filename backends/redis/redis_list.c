/* SPDX-License-Identifier: Apache-2.0 */
/* redis_list.c - every resource of a level, and every fence, by walking through the keys with SCAN, a step at a time.
 *
 * V1 keeps no list of resources: they are known by their counters, sorted sets and flows. Names are taken out of those
 * keys, which may be many for each, so names that were listed are remembered. Flows that an expiry has not yet removed
 * are no sign of life. */
#include "redis_query.h"

#include "utapi/codec.h"
#include "utapi/hash.h"
#include "utapi/scoped.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

UTAPI_AUTO_DEFINE(redisReply, freeReplyObject)

/* ---- names that were listed ----------------------------------------------------------------- */

typedef struct name_set {
    utapi_string *slots;    /* open addressing; size 0: free. Names are owned. */
    size_t capacity, count; /* room: a power of two */
} name_set;

/* The name's slot, or the free one where it belongs. */
static utapi_string *name_slot(const name_set *set, utapi_string name)
{
    const uint64_t hash = utapi_hash_add(UTAPI_HASH_SEED, name.data, name.size);
    size_t at = utapi_hash_end(hash) & (set->capacity - 1);
    while (set->slots[at].size > 0 && !utapi_string_equal(set->slots[at], name))
        at = (at + 1) & (set->capacity - 1);
    return &set->slots[at];
}

static bool names_has(const name_set *set, utapi_string name)
{
    return set->capacity > 0 && name_slot(set, name)->size > 0;
}

static bool names_grow(name_set *set)
{
    name_set grown = {.capacity = set->capacity > 0 ? set->capacity * 2 : 256, .count = set->count};
    grown.slots = calloc(grown.capacity, sizeof *grown.slots);
    if (grown.slots == NULL)
        return false;
    for (size_t i = 0; i < set->capacity; i++)
        if (set->slots[i].size > 0)
            *name_slot(&grown, set->slots[i]) = set->slots[i];
    free(set->slots);
    *set = grown;
    return true;
}

static bool names_add(name_set *set, utapi_string name)
{
    if (set->count * 2 >= set->capacity && !names_grow(set))
        return false;
    char *copy = malloc(name.size);
    if (copy == NULL)
        return false;
    memcpy(copy, name.data, name.size);
    *name_slot(set, name) = (utapi_string){copy, name.size};
    set->count++;
    return true;
}

static void names_done(name_set *set)
{
    for (size_t i = 0; i < set->capacity; i++)
        free((void *)(uintptr_t)set->slots[i].data);
    free(set->slots);
}

/* ---- walking through the keys ------------------------------------------------------------- */

typedef bool key_parse_fn(utapi_string rest, redis_parsed_key *ret);

typedef struct visit {
    const redis_backend *backend;
    redis_connection *connection;
    redis_args args;
    utapi_level level;
    utapi_resource_cb *on_resource;
    void *ctx;
    name_set listed;
    bool stopped;
} list;

static utapi_status flow_is_expired(list *all, const redis_parsed_key *flow, bool *ret, utapi_error *err)
{
    redis_key key;
    UTAPI_AUTO(redisReply) *reply = NULL;
    utapi_redis_key_resource(&key, all->backend->uri.prefix, all->level, flow->name, REDIS_OWN "gone");
    utapi_redis_args_clear(&all->args);
    utapi_redis_args_add(&all->args, "GET");
    utapi_redis_args_key(&all->args, &key);
    const utapi_status status = utapi_redis_connection_call(all->connection, &all->args, &reply, err);
    if (status == UTAPI_OK)
        *ret = utapi_redis_is_expired(reply, flow->interval);
    return status;
}

static utapi_status list_found(list *all, const redis_parsed_key *parsed, utapi_error *err)
{
    bool expired = false;
    if (names_has(&all->listed, parsed->name))
        return UTAPI_OK;
    const utapi_status status =
        parsed->is == REDIS_KEY_OF_FLOW ? flow_is_expired(all, parsed, &expired, err) : UTAPI_OK;
    if (status != UTAPI_OK || expired)
        return status;
    if (!names_add(&all->listed, parsed->name))
        return utapi_fail(err, UTAPI_NO_MEMORY, "listing resources");
    all->stopped = !all->on_resource(all->ctx, parsed->name);
    return UTAPI_OK;
}

/* A walk through the keys that begin with "P:<word>:", as many bytes as the head has. */
typedef struct list_walk {
    list *all;
    key_parse_fn *parse;
    size_t head;
} list_walk;

static utapi_status walk_key(void *ctx, utapi_string key, bool *stop, utapi_error *err)
{
    const list_walk *walk = ctx;
    redis_parsed_key parsed;
    if (key.size <= walk->head ||
        !walk->parse((utapi_string){key.data + walk->head, key.size - walk->head}, &parsed))
        return UTAPI_OK;
    const utapi_status status = list_found(walk->all, &parsed, err);
    *stop = walk->all->stopped;
    return status;
}

static utapi_status list_word(list *all, const char *word, key_parse_fn *parse, utapi_error *err)
{
    list_walk walk = {.all = all, .parse = parse};
    return utapi_redis_scan_word(all->connection, all->backend->uri.prefix, word, &walk.head, walk_key, &walk,
                                 err);
}

utapi_status utapi_redis_list(utapi_backend *self, utapi_level level, utapi_resource_cb *on_resource,
                              void *ctx, utapi_error *err)
{
    redis_backend *backend = (redis_backend *)self;
    list all = {.backend = backend, .level = level, .on_resource = on_resource, .ctx = ctx};
    all.connection = utapi_redis_pool_take(backend->pool);
    if (all.connection == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "listing resources");
    utapi_status status = list_word(&all, utapi_level_name(level), utapi_redis_key_parse, err);
    if (status == UTAPI_OK && !all.stopped && level == UTAPI_LOCATIONS)
        status = list_word(&all, "location", utapi_redis_key_parse_location, err);
    utapi_redis_pool_give(backend->pool, all.connection);
    utapi_redis_args_done(&all.args);
    names_done(&all.listed);
    return utapi_redis_only_read(status, err);
}

/* ---- fences ------------------------------------------------------------------------------- */

typedef struct fences_walk {
    redis_reading reading;
    size_t head;
    utapi_fence_cb *on_fence;
    void *ctx;
} fences_walk;

static utapi_status fence_found(void *ctx, utapi_string key, bool *stop, utapi_error *err)
{
    fences_walk *walk = ctx;
    unsigned char writer[16];
    uint64_t fence = 0;
    if (key.size != walk->head + 2 * sizeof writer ||
        !utapi_hex_get(key.data + walk->head, writer, sizeof writer))
        return UTAPI_OK;
    const utapi_status status = utapi_redis_fence_read(&walk->reading, writer, &fence, err);
    if (status == UTAPI_OK && fence > 0)
        *stop = !walk->on_fence(walk->ctx, writer, fence);
    return status;
}

utapi_status utapi_redis_fences(utapi_backend *self, utapi_fence_cb *on_fence, void *ctx, utapi_error *err)
{
    redis_backend *backend = (redis_backend *)self;
    redis_connection *connection = utapi_redis_pool_take(backend->pool);
    if (connection == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "reading fences");
    fences_walk walk = {.reading = {.connection = connection, .prefix = backend->uri.prefix},
                        .on_fence = on_fence,
                        .ctx = ctx};
    const utapi_status status = utapi_redis_scan_word(connection, walk.reading.prefix, "utapid:fence",
                                                      &walk.head, fence_found, &walk, err);
    utapi_redis_pool_give(backend->pool, connection);
    utapi_redis_args_done(&walk.reading.args);
    return utapi_redis_only_read(status, err);
}
