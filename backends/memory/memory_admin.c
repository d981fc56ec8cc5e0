/* SPDX-License-Identifier: Apache-2.0 */
/* memory_admin.c - what operators need, and a storage may leave out: names, export, corrections, expiry, fences. */
#include "memory_internal.h"

static utapi_status memory_list(utapi_backend *base, utapi_level level, utapi_resource_cb *on_resource,
                                void *ctx, utapi_error *err)
{
    memory_backend *self = (memory_backend *)base;
    const memory_node *node;
    (void)err;
    pthread_rwlock_rdlock(&self->lock);
    TAILQ_FOREACH (node, &self->resources.nodes, link)
        if (node->number == level && !TAILQ_EMPTY(&((const memory_resource *)node)->deltas) &&
            !on_resource(ctx, node->text))
            break;
    pthread_rwlock_unlock(&self->lock);
    return UTAPI_OK;
}

/* Returns whether more is wanted. */
static bool resource_export(const memory_resource *resource, const utapi_export *what,
                            utapi_export_cb *on_row, void *ctx)
{
    const bool totals = what->form == UTAPI_EXPORT_TOTALS;
    utapi_amounts amounts = {.present = 0};
    const memory_delta *delta;
    bool more = true;
    TAILQ_FOREACH (delta, &resource->deltas, link) {
        const memory_delta *next = TAILQ_NEXT(delta, link);
        const bool is_base = delta->interval < what->start; /* totals begin with the newest of these */
        if (!more || delta->interval > what->end)
            break;
        if (!totals)
            utapi_amounts_clear(&amounts);
        utapi_amounts_add(&amounts, &delta->sums);
        if (is_base && (!totals || (next != NULL && next->interval < what->start)))
            continue;
        const utapi_export_row row = {(utapi_level)resource->node.number, resource->node.text,
                                      delta->interval, &amounts};
        more = on_row(ctx, &row);
    }
    return more;
}

static utapi_status memory_export(utapi_backend *base, const utapi_export *what, utapi_export_cb *on_row,
                                  utapi_unreadable_cb *on_unreadable, void *ctx, utapi_error *err)
{
    memory_backend *self = (memory_backend *)base;
    const memory_node *node;
    bool more = true;
    (void)on_unreadable;
    (void)err;
    pthread_rwlock_rdlock(&self->lock);
    TAILQ_FOREACH (node, &self->resources.nodes, link) {
        if (!more)
            break;
        if ((what->level == UTAPI_LEVEL_COUNT || node->number == what->level) &&
            (what->name.size == 0 || utapi_string_equal(node->text, what->name)))
            more = resource_export((const memory_resource *)node, what, on_row, ctx);
    }
    pthread_rwlock_unlock(&self->lock);
    return UTAPI_OK;
}

static utapi_status memory_adjust(utapi_backend *base, const utapi_adjustment *adjustments, size_t count,
                                  size_t *ret_count, utapi_error *err)
{
    memory_backend *self = utapi_memory_write_begin(base);
    utapi_status status = UTAPI_OK;
    for (size_t i = 0; i < count && status == UTAPI_OK; i++) {
        const utapi_adjustment *one = &adjustments[i];
        memory_resource *resource;
        utapi_interval_delta delta = {.interval = one->interval};
        utapi_amounts_copy(one->delta, &delta.sums);
        status = utapi_memory_draft(self, one->level, one->name, &resource, err);
        if (status == UTAPI_OK && resource->then.expired_ms > delta.interval) /* nothing is kept before it */
            delta.interval = utapi_interval_of(resource->then.expired_ms);
        if (status == UTAPI_OK)
            status = utapi_memory_draft_add(resource, &delta, err);
    }
    *ret_count = count;
    return utapi_memory_write_end(self, status);
}

static utapi_status memory_expire(utapi_backend *base, utapi_level level, utapi_string name, int64_t time_ms,
                                  utapi_error *err)
{
    memory_backend *self = utapi_memory_write_begin(base);
    memory_resource *resource;
    const utapi_status status = utapi_memory_draft(self, level, name, &resource, err);
    if (status == UTAPI_OK)
        utapi_memory_draft_expire(resource, time_ms);
    return utapi_memory_write_end(self, status);
}

static utapi_status memory_fences(utapi_backend *base, utapi_fence_cb *on_fence, void *ctx, utapi_error *err)
{
    memory_backend *self = (memory_backend *)base;
    const memory_node *node;
    (void)err;
    pthread_rwlock_rdlock(&self->lock);
    TAILQ_FOREACH (node, &self->writers.nodes, link)
        if (node->fence > 0 && !on_fence(ctx, (const unsigned char *)node->text.data, node->fence))
            break;
    pthread_rwlock_unlock(&self->lock);
    return UTAPI_OK;
}

static utapi_status memory_knows(utapi_backend *base, utapi_level level, utapi_string name, bool *ret,
                                 utapi_error *err)
{
    memory_backend *self = (memory_backend *)base;
    (void)err;
    pthread_rwlock_rdlock(&self->lock);
    const memory_resource *resource = utapi_memory_get(&self->resources, level, name, 0);
    *ret = resource != NULL && !TAILQ_EMPTY(&resource->deltas);
    pthread_rwlock_unlock(&self->lock);
    return UTAPI_OK;
}

const utapi_admin_ops utapi_memory_admin = {
    .list = memory_list,
    .export = memory_export,
    .adjust = memory_adjust,
    .expire = memory_expire,
    .fences = memory_fences,
    .knows = memory_knows,
};
