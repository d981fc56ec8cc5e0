/* SPDX-License-Identifier: Apache-2.0 */
/* redis_list.c - every resource of a level, and every fence, by scanning the keys; and the audit.
 *
 * V1 keeps no list of resources: they are known by their counters, sorted sets and flows. Names are read from those
 * keys, which may be many for each, so names that were listed are remembered. Flows that an expiry has not yet removed
 * are no sign of life. */
#include "redis_query.h"

#include "utapi/codec.h"
#include "utapi/hash.h"
#include "utapi/scoped.h"
#include "utapi/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

UTAPI_AUTO_DEFINE(redisReply, freeReplyObject)

/* ---- names that were listed ----------------------------------------------------------------- */

typedef struct name_set {
    utapi_string *slots;    /* open addressing; size 0: free. Names are owned. */
    size_t capacity, count; /* capacity: a power of two */
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

/* ---- resources ---------------------------------------------------------------------------- */

typedef struct list {
    redis_connection *connection;
    const char *prefix;
    utapi_level level;
    utapi_resource_cb *on_resource;
    void *ctx;
    name_set listed;
} list;

static utapi_status key_found(void *ctx, utapi_string key, const redis_parsed_key *parsed, bool *stop,
                              utapi_error *err)
{
    list *all = ctx;
    (void)key;
    if (all->listed.capacity > 0 && name_slot(&all->listed, parsed->name)->size > 0)
        return UTAPI_OK;
    if (parsed->is == REDIS_KEY_OF_FLOW) {
        UTAPI_AUTO(redisReply) *reply = NULL;
        redis_args *args = &all->connection->args;
        utapi_redis_args_add(args, "GET");
        utapi_redis_args_resource(args, all->prefix, all->level, parsed->name, REDIS_OWN "gone");
        const utapi_status status = utapi_redis_connection_call(all->connection, &reply, err);
        if (status != UTAPI_OK || utapi_redis_is_expired(reply, parsed->interval))
            return status;
    }
    if (!names_add(&all->listed, parsed->name))
        return utapi_fail(err, UTAPI_NO_MEMORY, "listing resources");
    *stop = !all->on_resource(all->ctx, parsed->name);
    return UTAPI_OK;
}

utapi_status utapi_redis_list(utapi_backend *self, utapi_level level, utapi_resource_cb *on_resource,
                              void *ctx, utapi_error *err)
{
    redis_backend *backend = (redis_backend *)self;
    list all = {.connection = utapi_redis_pool_take(backend->pool),
                .prefix = backend->uri.prefix,
                .level = level,
                .on_resource = on_resource,
                .ctx = ctx};
    if (all.connection == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "listing resources");
    const utapi_status status =
        utapi_redis_scan_level(all.connection, all.prefix, level, key_found, &all, err);
    utapi_redis_pool_give(backend->pool, all.connection);
    names_done(&all.listed);
    return utapi_redis_only_read(status, err);
}

/* ---- fences ------------------------------------------------------------------------------- */

typedef struct fence_list {
    redis_reading reading;
    size_t head;
    utapi_fence_cb *on_fence;
    void *ctx;
} fence_list;

static utapi_status fence_found(void *ctx, utapi_string key, bool *stop, utapi_error *err)
{
    fence_list *all = ctx;
    unsigned char writer[16];
    uint64_t fence = 0;
    if (key.size != all->head + 2 * sizeof writer ||
        !utapi_hex_get(key.data + all->head, writer, sizeof writer))
        return UTAPI_OK;
    const utapi_status status = utapi_redis_fence_read(&all->reading, writer, &fence, err);
    if (status == UTAPI_OK && fence > 0)
        *stop = !all->on_fence(all->ctx, writer, fence);
    return status;
}

utapi_status utapi_redis_fences(utapi_backend *self, utapi_fence_cb *on_fence, void *ctx, utapi_error *err)
{
    redis_backend *backend = (redis_backend *)self;
    redis_connection *connection = utapi_redis_pool_take(backend->pool);
    if (connection == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "reading fences");
    fence_list all = {.reading = {.connection = connection, .prefix = backend->uri.prefix},
                      .on_fence = on_fence,
                      .ctx = ctx};
    const utapi_status status = utapi_redis_scan_word(connection, backend->uri.prefix, "utapid:fence",
                                                      &all.head, fence_found, &all, err);
    utapi_redis_pool_give(backend->pool, connection);
    return utapi_redis_only_read(status, err);
}

/* ---- the audit ---------------------------------------------------------------------------- */

/* Figures as apply.lua writes them, of the metrics of a set; what is no number is 0. */
static void figures_read(const char *text, uint64_t metrics, utapi_amounts *ret)
{
    utapi_amounts_clear(ret);
    for (; metrics != 0; metrics &= metrics - 1) {
        utapi_amounts_set(ret, (unsigned)__builtin_ctzll(metrics), strtoll(text, NULL, 10));
        text += strcspn(text, " ");
        text += *text == ' ';
    }
}

/* Reads an element of the list, which it changes. */
static utapi_status element_read(redisReply *element, utapi_audit_row *ret, utapi_error *err)
{
    char *parts[3]; /* before, after, interval */
    char *at = element->str;
    for (unsigned i = 0; i < 3; i++) {
        char *end = at != NULL ? strchr(at, '\n') : NULL;
        if (end == NULL)
            return utapi_fail(err, UTAPI_CORRUPT, "a row of the audit that cannot be read");
        *end = '\0';
        parts[i] = at;
        at = end + 1;
    }
    const utapi_status status =
        utapi_audit_row_decode(at, (size_t)element->len - (size_t)(at - element->str), ret, err);
    if (status != UTAPI_OK)
        return status;
    const uint64_t watched = utapi_admin_watched(&ret->act);
    figures_read(parts[0], watched, &ret->before);
    figures_read(parts[1], watched, &ret->after);
    ret->interval = strtoll(parts[2], NULL, 10);
    return UTAPI_OK;
}

/* The elements before `*end`, the newest first; *end is where they begin. */
static utapi_status elements_read(redis_connection *connection, const char *prefix, int64_t *end,
                                  utapi_audit_cb *on_row, void *ctx, bool *more, utapi_error *err)
{
    enum { AT_ONCE = 100 };
    UTAPI_AUTO(redisReply) *reply = NULL;
    const int64_t first = *end > AT_ONCE ? *end - AT_ONCE : 0;
    utapi_redis_args_add(&connection->args, "LRANGE");
    utapi_redis_args_own(&connection->args, prefix, "audit");
    utapi_redis_args_number(&connection->args, first);
    utapi_redis_args_number(&connection->args, *end - 1);
    utapi_status status = utapi_redis_connection_call(connection, &reply, err);
    for (size_t i = status == UTAPI_OK ? reply->elements : 0; i-- > 0 && status == UTAPI_OK && *more;) {
        utapi_audit_row row;
        status = element_read(reply->element[i], &row, err);
        *more = status == UTAPI_OK && on_row(ctx, &row);
    }
    *end = first;
    return status;
}

utapi_status utapi_redis_audit(utapi_backend *self, utapi_audit_cb *on_row, void *ctx, utapi_error *err)
{
    redis_backend *backend = (redis_backend *)self;
    redis_connection *connection = utapi_redis_pool_take(backend->pool);
    UTAPI_AUTO(redisReply) *reply = NULL;
    bool more = true;
    if (connection == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "reading the audit");
    utapi_redis_args_add(&connection->args, "LLEN");
    utapi_redis_args_own(&connection->args, backend->uri.prefix, "audit");
    utapi_status status = utapi_redis_connection_call(connection, &reply, err);
    for (int64_t end = status == UTAPI_OK ? reply->integer : 0; end > 0 && more && status == UTAPI_OK;)
        status = elements_read(connection, backend->uri.prefix, &end, on_row, ctx, &more, err);
    utapi_redis_pool_give(backend->pool, connection);
    return utapi_redis_only_read(status, err);
}

/* An element of the list as apply.lua writes it: figures, then the row. */
static void figures_write(const utapi_amounts *figures, uint64_t metrics, utapi_text *text)
{
    for (; metrics != 0; metrics &= metrics - 1) {
        char digits[UTAPI_WIDE_TEXT_SIZE];
        const utapi_wide figure = utapi_amounts_get(figures, (unsigned)__builtin_ctzll(metrics));
        utapi_text_add_literal(text, utapi_wide_text(utapi_wide_cut(figure), digits));
        utapi_text_add_char(text, (metrics & (metrics - 1)) != 0 ? ' ' : '\n');
    }
}

static bool element_write(const utapi_audit_row *row, utapi_text *text)
{
    const uint64_t watched = utapi_admin_watched(&row->act);
    char digits[UTAPI_WIDE_TEXT_SIZE];
    UTAPI_AUTO_FREE unsigned char *bytes = malloc(utapi_audit_row_max(&row->act));
    if (bytes == NULL)
        return false;
    figures_write(&row->before, watched, text);
    figures_write(&row->after, watched, text);
    utapi_text_add_literal(text, utapi_wide_text(row->interval, digits));
    utapi_text_add_char(text, '\n');
    utapi_text_add(text, (const char *)bytes, utapi_audit_row_encode(row, bytes));
    return !text->failed;
}

utapi_status utapi_redis_note(utapi_backend *base, const utapi_audit_row *rows, size_t count,
                              utapi_error *err)
{
    redis_backend *self = (redis_backend *)base;
    UTAPI_AUTO(redisReply) *reply = NULL;
    utapi_text element = {0};
    utapi_status status = UTAPI_OK;
    pthread_mutex_lock(&self->writing);
    redis_args *args = &self->writer->args;
    utapi_redis_args_script(args, 0);
    utapi_redis_args_add(args, self->uri.prefix);
    for (size_t i = 0; i < count && status == UTAPI_OK; i++) {
        element.size = 0;
        if (!element_write(&rows[i], &element))
            status = utapi_fail(err, UTAPI_NO_MEMORY, "rows of the audit");
        utapi_redis_args_bytes(args, rows[i].act.id.data, rows[i].act.id.size);
        utapi_redis_args_copy(args, element.data, element.size);
    }
    if (status == UTAPI_OK)
        status = utapi_redis_connection_run(self->writer, REDIS_SCRIPT_NOTE, &reply, err);
    else
        utapi_redis_args_clear(args);
    pthread_mutex_unlock(&self->writing);
    utapi_text_done(&element);
    return status;
}
