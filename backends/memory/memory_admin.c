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

static utapi_status resource_export(const memory_resource *resource, const utapi_export *what,
                                    utapi_export_cb *on_row, void *ctx, bool *ret_more, utapi_error *err)
{
    utapi_amounts amounts = {.present = 0};
    utapi_status status = UTAPI_OK;
    const memory_delta *delta;
    TAILQ_FOREACH (delta, &resource->deltas, link) {
        const memory_delta *next = TAILQ_NEXT(delta, link);
        const bool is_base = delta->interval < what->start; /* totals begin with the newest of these */
        const bool totals = what->form == UTAPI_EXPORT_TOTALS;
        if (!*ret_more || status != UTAPI_OK || delta->interval > what->end)
            break;
        if (!totals)
            utapi_amounts_clear(&amounts);
        status = utapi_amounts_add(&amounts, &delta->sums, err);
        if (status != UTAPI_OK || (is_base && (!totals || (next != NULL && next->interval < what->start))))
            continue;
        const utapi_export_row row = {(utapi_level)resource->node.number, resource->node.text,
                                      delta->interval, &amounts};
        *ret_more = on_row(ctx, &row);
    }
    return status;
}

static utapi_status memory_export(utapi_backend *base, const utapi_export *what, utapi_export_cb *on_row,
                                  utapi_unreadable_cb *on_unreadable, void *ctx, utapi_error *err)
{
    memory_backend *self = (memory_backend *)base;
    const memory_node *node;
    utapi_status status = UTAPI_OK;
    bool more = true;
    (void)on_unreadable;
    pthread_rwlock_rdlock(&self->lock);
    TAILQ_FOREACH (node, &self->resources.nodes, link) {
        if (!more || status != UTAPI_OK)
            break;
        if ((what->level == UTAPI_LEVEL_COUNT || node->number == what->level) &&
            (what->name.size == 0 || utapi_string_equal(node->text, what->name)))
            status = resource_export((const memory_resource *)node, what, on_row, ctx, &more, err);
    }
    pthread_rwlock_unlock(&self->lock);
    return status;
}

/* One at a time: the caller goes on from there, and no overflow of a later one can be in the way. */
static utapi_status memory_adjust(utapi_backend *base, const utapi_adjustment *adjustments, size_t count,
                                  size_t *ret_count, utapi_error *err)
{
    *ret_count = 0;
    if (count == 0)
        return UTAPI_OK;
    memory_backend *self = utapi_memory_write_begin(base);
    memory_resource *resource;
    utapi_interval_delta delta = {.interval = adjustments->interval};
    utapi_sums_add_amounts(&delta.sums, adjustments->delta);
    utapi_status status = utapi_memory_draft(self, adjustments->level, adjustments->name, &resource, err);
    if (status == UTAPI_OK)
        status = utapi_memory_draft_add(resource, &delta, err);
    if (status == UTAPI_OK)
        status = utapi_memory_draft_judge(resource, err);
    *ret_count = status == UTAPI_OK;
    return utapi_memory_write_end(self, status);
}

static utapi_status memory_expire(utapi_backend *base, utapi_level level, utapi_string name, int64_t time_ms,
                                  utapi_error *err)
{
    memory_backend *self = utapi_memory_write_begin(base);
    memory_resource *resource;
    utapi_status status = utapi_memory_draft(self, level, name, &resource, err);
    if (status == UTAPI_OK) {
        utapi_memory_draft_expire(resource, time_ms);
        status = utapi_memory_draft_judge(resource, err);
    }
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

const utapi_admin_ops utapi_memory_admin = {
    .list = memory_list,
    .export = memory_export,
    .adjust = memory_adjust,
    .expire = memory_expire,
    .fences = memory_fences,
};
