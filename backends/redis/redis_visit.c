/* SPDX-License-Identifier: Apache-2.0 */
/* redis_visit.c - every resource of a level, and every fence, by walking through the keys with SCAN, a step at a time.
 *
 * V1 keeps no list of resources: they are known by their counters, sorted sets and flows. Names are taken out of
 * those keys, which may be many for each, so that names already met are remembered. Flows that a forgetting has not
 * yet removed are no sign of life. */
#include "redis_read.h"
#include "redis_sight.h"

#include "utapi/scoped.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

UTAPI_AUTO_DEFINE(redisReply, freeReplyObject)

/* ---- names already met -------------------------------------------------------------------- */

typedef struct name_set {
    utapi_string *slots; /* open addressing; size 0: free. Names are owned. */
    size_t room, count;  /* room: a power of two */
} name_set;

static size_t name_hash(utapi_string name)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325); /* FNV-1a */
    for (size_t i = 0; i < name.size; i++)
        hash = (hash ^ (unsigned char)name.data[i]) * UINT64_C(0x100000001B3);
    return (size_t)(hash ^ hash >> 29);
}

/* The name's slot, or the free one where it belongs. */
static utapi_string *name_slot(const name_set *set, utapi_string name)
{
    size_t at = name_hash(name) & (set->room - 1);
    while (set->slots[at].size > 0 && !utapi_string_equal(set->slots[at], name))
        at = (at + 1) & (set->room - 1);
    return &set->slots[at];
}

static bool names_has(const name_set *set, utapi_string name)
{
    return set->room > 0 && name_slot(set, name)->size > 0;
}

static bool names_grow(name_set *set)
{
    name_set grown = {.room = set->room > 0 ? set->room * 2 : 256, .count = set->count};
    grown.slots = calloc(grown.room, sizeof *grown.slots);
    if (grown.slots == NULL)
        return false;
    for (size_t i = 0; i < set->room; i++)
        if (set->slots[i].size > 0)
            *name_slot(&grown, set->slots[i]) = set->slots[i];
    free(set->slots);
    *set = grown;
    return true;
}

static bool names_add(name_set *set, utapi_string name)
{
    if (set->count * 2 >= set->room && !names_grow(set))
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
    for (size_t i = 0; i < set->room; i++)
        free((void *)(uintptr_t)set->slots[i].data);
    free(set->slots);
}

/* ---- walking through the keys ------------------------------------------------------------- */

typedef bool key_sight_fn(utapi_string rest, redis_sighting *ret);

typedef struct visit {
    const redis_backend *backend;
    redis_link *link;
    redis_args args;
    utapi_level level;
    utapi_resource_cb *on_resource;
    void *ctx;
    name_set met;
    bool stopped;
} visit;

static utapi_status visit_ask(visit *all, redisReply **ret, utapi_error *err)
{
    const utapi_status status = redis_link_ask(all->link, &all->args, ret, err);
    redis_args_clear(&all->args);
    return status;
}

/* Whether a flow is of a time that its resource was forgotten until. */
static utapi_status flow_is_gone(visit *all, const redis_sighting *flow, bool *ret, utapi_error *err)
{
    redis_key key;
    UTAPI_AUTO(redisReply) *reply = NULL;
    redis_key_resource(&key, all->backend->uri.prefix, all->level, flow->name, REDIS_OWN "gone");
    redis_args_add(&all->args, "GET");
    redis_args_key(&all->args, &key);
    const utapi_status status = visit_ask(all, &reply, err);
    if (status != UTAPI_OK)
        return status;
    *ret = false;
    if (reply->type == REDIS_REPLY_STRING) {
        char *end;
        errno = 0;
        const long long gone_ms = strtoll(reply->str, &end, 10);
        *ret = errno == 0 && end != reply->str && flow->interval < utapi_interval_of(gone_ms);
    }
    return UTAPI_OK;
}

static utapi_status visit_meet(visit *all, const redis_sighting *seen, utapi_error *err)
{
    bool gone = false;
    if (names_has(&all->met, seen->name))
        return UTAPI_OK;
    const utapi_status status = seen->is == REDIS_SEES_FLOW ? flow_is_gone(all, seen, &gone, err) : UTAPI_OK;
    if (status != UTAPI_OK || gone)
        return status;
    if (!names_add(&all->met, seen->name))
        return utapi_fail(err, UTAPI_NO_MEMORY, "visiting resources");
    all->stopped = !all->on_resource(all->ctx, seen->name);
    return UTAPI_OK;
}

/* A walk through the keys that begin with "P:<word>:", as many bytes as the head has. */
typedef struct visit_walk {
    visit *all;
    key_sight_fn *sight;
    size_t head;
} visit_walk;

static utapi_status walk_key(void *ctx, utapi_string key, bool *stop, utapi_error *err)
{
    const visit_walk *walk = ctx;
    redis_sighting seen;
    if (key.size <= walk->head ||
        !walk->sight((utapi_string){key.data + walk->head, key.size - walk->head}, &seen))
        return UTAPI_OK;
    const utapi_status status = visit_meet(walk->all, &seen, err);
    *stop = walk->all->stopped;
    return status;
}

static utapi_status visit_walk_word(visit *all, const char *word, key_sight_fn *sight, utapi_error *err)
{
    visit_walk walk = {.all = all, .sight = sight};
    return redis_scan_word(all->link, all->backend->uri.prefix, word, &walk.head, walk_key, &walk, err);
}

/* A walk only reads: what is not certain about it is its answer. */
static utapi_status nothing_stored(utapi_status status, utapi_error *err)
{
    if (status != UTAPI_UNCERTAIN)
        return status;
    if (err != NULL)
        err->status = UTAPI_UNAVAILABLE;
    return UTAPI_UNAVAILABLE;
}

utapi_status utapi_redis_visit(utapi_backend *self, utapi_level level, utapi_resource_cb *on_resource,
                               void *ctx, utapi_error *err)
{
    redis_backend *backend = (redis_backend *)self;
    visit all = {.backend = backend, .level = level, .on_resource = on_resource, .ctx = ctx};
    all.link = redis_pool_take(backend->pool);
    if (all.link == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "visiting resources");
    utapi_status status = visit_walk_word(&all, utapi_level_name(level), redis_sight, err);
    if (status == UTAPI_OK && !all.stopped && level == UTAPI_LOCATIONS)
        status = visit_walk_word(&all, "location", redis_sight_location, err);
    redis_pool_give(backend->pool, all.link);
    redis_args_done(&all.args);
    names_done(&all.met);
    return nothing_stored(status, err);
}

/* ---- fences ------------------------------------------------------------------------------- */

typedef struct fences_walk {
    redis_reading reading;
    size_t head;
    utapi_fence_cb *on_fence;
    void *ctx;
} fences_walk;

/* The writer that a key is of: 32 digits. */
static bool writer_read(utapi_string digits, unsigned char ret[static 16])
{
    char byte[3] = {0};
    if (digits.size != 32 || strspn(digits.data, "0123456789abcdef") < 32)
        return false;
    for (size_t i = 0; i < 16; i++) {
        memcpy(byte, digits.data + 2 * i, 2);
        ret[i] = (unsigned char)strtoul(byte, NULL, 16);
    }
    return true;
}

static utapi_status fence_meet(void *ctx, utapi_string key, bool *stop, utapi_error *err)
{
    fences_walk *walk = ctx;
    unsigned char writer[16];
    uint64_t fence = 0;
    if (key.size < walk->head ||
        !writer_read((utapi_string){key.data + walk->head, key.size - walk->head}, writer))
        return UTAPI_OK;
    const utapi_status status = redis_fence_read(&walk->reading, writer, &fence, err);
    if (status == UTAPI_OK && fence > 0)
        *stop = !walk->on_fence(walk->ctx, writer, fence);
    return status;
}

utapi_status utapi_redis_fences(utapi_backend *self, utapi_fence_cb *on_fence, void *ctx, utapi_error *err)
{
    redis_backend *backend = (redis_backend *)self;
    redis_link *link = redis_pool_take(backend->pool);
    if (link == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "reading fences");
    fences_walk walk = {
        .reading = {.link = link, .prefix = backend->uri.prefix}, .on_fence = on_fence, .ctx = ctx};
    const utapi_status status =
        redis_scan_word(link, walk.reading.prefix, "utapid:fence", &walk.head, fence_meet, &walk, err);
    redis_pool_give(backend->pool, link);
    redis_args_done(&walk.reading.args);
    return nothing_stored(status, err);
}
