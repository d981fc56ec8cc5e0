/* SPDX-License-Identifier: Apache-2.0 */
/* memory_admin.c - what operators need, and a storage may leave out: names, export, corrections, expiry, fences, and
 * acts. */
#include "memory_internal.h"

#include "utapi/scoped.h"

#include <string.h>

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

/* Drafts an adjustment, of what is not older than the resource's last expiry. */
static utapi_status adjust_draft(memory_resource *resource, utapi_interval interval,
                                 const utapi_amounts *amounts, utapi_error *err)
{
    utapi_interval_delta delta = {.interval = interval};
    utapi_amounts_copy(amounts, &delta.sums);
    if (resource->then.expired_ms > delta.interval)
        delta.interval = utapi_interval_of(resource->then.expired_ms);
    return utapi_memory_draft_add(resource, &delta, err);
}

static utapi_status memory_adjust(utapi_backend *base, const utapi_adjustment *adjustments, size_t count,
                                  size_t *ret_count, utapi_error *err)
{
    memory_backend *self = utapi_memory_write_begin(base);
    utapi_status status = UTAPI_OK;
    for (size_t i = 0; i < count && status == UTAPI_OK; i++) {
        const utapi_adjustment *one = &adjustments[i];
        memory_resource *resource;
        status = utapi_memory_draft(self, one->level, one->name, &resource, err);
        if (status == UTAPI_OK)
            status = adjust_draft(resource, one->interval, one->delta, err);
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

/* ---- acts --------------------------------------------------------------------------------- */

static void deltas_sum(const memory_deltas *deltas, utapi_interval after, utapi_interval interval,
                       utapi_amounts *states, utapi_amounts *flows)
{
    const memory_delta *delta;
    TAILQ_FOREACH (delta, deltas, link)
        if (delta->interval > after) {
            utapi_amounts_add(states, &delta->sums);
            if (delta->interval == interval)
                utapi_amounts_add(flows, &delta->sums);
        }
}

/* States as the draft leaves them, and the flows of an interval. */
static void draft_figures(const memory_resource *resource, utapi_interval interval, utapi_amounts *ret)
{
    utapi_amounts states = {.present = 0};
    utapi_amounts_clear(ret);
    deltas_sum(&resource->deltas, resource->dropped, interval, &states, ret);
    deltas_sum(&resource->added, INT64_MIN, interval, &states, ret);
    for (unsigned m = 0; m < UTAPI_INCOMING_BYTES; m++)
        utapi_amounts_set(ret, m, utapi_amounts_get(&states, m));
}

/* Does what the act says, and fills in what its row tells of it. */
static utapi_status act_draft(memory_backend *self, utapi_audit_row *row, utapi_error *err)
{
    const utapi_admin_act *act = &row->act;
    memory_resource *resource;
    row->interval = utapi_interval_of(act->time_ms);
    if (act->refused.size > 0)
        return UTAPI_OK;
    utapi_status status = utapi_memory_draft(self, act->level, act->name, &resource, err);
    if (status != UTAPI_OK)
        return status;
    if (act->kind == UTAPI_ADMIN_ADJUST && resource->then.expired_ms > row->interval)
        row->interval = utapi_interval_of(resource->then.expired_ms);
    draft_figures(resource, row->interval, &row->before);
    if (act->kind == UTAPI_ADMIN_ADJUST)
        status = adjust_draft(resource, row->interval, &act->amounts, err);
    else
        utapi_memory_draft_expire(resource, act->time_ms);
    draft_figures(resource, row->interval, &row->after);
    return status;
}

/* Keeps a row, and drops the oldest where there are too many. */
static utapi_status act_note(memory_backend *self, const utapi_audit_row *row, utapi_error *err)
{
    UTAPI_AUTO_FREE unsigned char *bytes = malloc(utapi_audit_row_max(&row->act));
    const size_t size = bytes != NULL ? utapi_audit_row_encode(row, bytes) : 0;
    memory_act *noted =
        bytes != NULL ? utapi_memory_get(&self->acts, 0, row->act.id, sizeof *noted + size) : NULL;
    if (noted == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "an act");
    noted->size = size;
    memcpy(noted->row, bytes, size);
    while (self->acts.count > self->max_acts)
        utapi_memory_drop(&self->acts, TAILQ_FIRST(&self->acts.nodes));
    return UTAPI_OK;
}

utapi_status utapi_memory_act(memory_backend *self, const utapi_admin_act *act, size_t *ret_repeated,
                              utapi_error *err)
{
    utapi_audit_row row = {.act = *act};
    if (utapi_memory_get(&self->acts, 0, act->id, 0) != NULL) {
        *ret_repeated = 1;
        return UTAPI_OK;
    }
    const utapi_status status = act_draft(self, &row, err);
    return status == UTAPI_OK ? act_note(self, &row, err) : status;
}

static utapi_status memory_note(utapi_backend *base, const utapi_audit_row *rows, size_t count,
                                utapi_error *err)
{
    memory_backend *self = utapi_memory_write_begin(base);
    utapi_status status = UTAPI_OK;
    for (size_t i = 0; i < count && status == UTAPI_OK; i++)
        if (utapi_memory_get(&self->acts, 0, rows[i].act.id, 0) == NULL)
            status = act_note(self, &rows[i], err);
    return utapi_memory_write_end(self, status);
}

static utapi_status memory_audit(utapi_backend *base, utapi_audit_cb *on_row, void *ctx, utapi_error *err)
{
    memory_backend *self = (memory_backend *)base;
    const memory_node *node;
    utapi_status status = UTAPI_OK;
    pthread_rwlock_rdlock(&self->lock);
    TAILQ_FOREACH_REVERSE(node, &self->acts.nodes, memory_nodes, link)
    {
        const memory_act *noted = (const memory_act *)node;
        utapi_audit_row row;
        status = utapi_audit_row_decode(noted->row, noted->size, &row, err);
        if (status != UTAPI_OK || !on_row(ctx, &row))
            break;
    }
    pthread_rwlock_unlock(&self->lock);
    return status;
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
    .audit = memory_audit,
    .note = memory_note,
    .knows = memory_knows,
};
