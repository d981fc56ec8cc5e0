/* SPDX-License-Identifier: Apache-2.0 */
/* memory.c - the contract in few lines: the backend to copy from, and the oracle of the others' tests.
 *
 * One lock guards all; readers share it. What a write changes is noted first, newest on top, so that a
 * write that fails is taken back (memory_rows.c). */
#include "memory_internal.h"

#include "utapi/scoped.h"

#include <search.h>
#include <string.h>

/* ---- forgettings that are due ------------------------------------------------------------- */

typedef struct memory_due {
    memory_backend *self;
    int64_t now_ms, next_due_ms;
    utapi_status status;
    utapi_error *err;
} memory_due;

static void resource_forget_if_due(const void *node, VISIT visit, void *ctx)
{
    memory_due *due = ctx;
    memory_resource *resource = *(memory_resource *const *)node;
    if ((visit != postorder && visit != leaf) || due->status != UTAPI_OK)
        return;
    if (resource->due_ms > due->now_ms) {
        if (resource->due_ms < due->next_due_ms)
            due->next_due_ms = resource->due_ms;
        return;
    }
    const memory_undo *mark = due->self->undo;
    due->status = utapi_memory_forget(due->self, resource, resource->due_ms, due->err);
    if (due->status == UTAPI_OVERFLOW) { /* it can never be kept, and nobody else shall wait for it */
        utapi_memory_undo_to(due->self, mark);
        utapi_error_clear(due->err);
        due->status = UTAPI_OK;
    }
    if (due->status == UTAPI_OK)
        due->status = utapi_memory_change(due->self, resource, resource->count, due->err);
    if (due->status == UTAPI_OK)
        resource->due_ms = NO_APPOINTMENT;
}

static utapi_status forget_due(memory_backend *self, int64_t now_ms, utapi_error *err)
{
    if (now_ms < self->next_due_ms)
        return UTAPI_OK;
    memory_due due = {.self = self, .now_ms = now_ms, .next_due_ms = NO_APPOINTMENT, .err = err};
    twalk_r(self->resources, resource_forget_if_due, &due);
    if (due.status == UTAPI_OK)
        self->next_due_ms = due.next_due_ms;
    return due.status;
}

static void appoint(memory_backend *self, memory_resource *resource, int64_t due_ms)
{
    resource->due_ms = due_ms;
    if (due_ms < self->next_due_ms)
        self->next_due_ms = due_ms;
}

/* ---- apply -------------------------------------------------------------------------------- */

static memory_writer *writer_find(const memory_backend *self, const unsigned char *writer)
{
    memory_writer *found = self->writers;
    while (found != NULL && memcmp(found->fence.writer, writer, sizeof found->fence.writer) != 0)
        found = found->next;
    return found;
}

/* Finds the batch's writer, or makes it; NULL for a batch that is not fenced. */
static utapi_status fence_check(memory_backend *self, const utapi_fence *fence, memory_writer **ret,
                                utapi_applied *ret_applied, utapi_error *err)
{
    *ret = NULL;
    if (!utapi_fence_is_set(fence))
        return UTAPI_OK;
    *ret = writer_find(self, fence->writer);
    if (*ret == NULL) {
        *ret = malloc(sizeof **ret);
        if (*ret == NULL)
            return utapi_fail(err, UTAPI_NO_MEMORY, "a writer");
        **ret = (memory_writer){.next = self->writers, .fence = *fence};
        (*ret)->fence.to = 0;
        self->writers = *ret;
    }
    if ((*ret)->fence.to == fence->from)
        return UTAPI_OK;
    ret_applied->fence = (*ret)->fence.to;
    return utapi_fail(err, UTAPI_FENCED, "the fence stands at %llu, not at %llu",
                      (unsigned long long)(*ret)->fence.to, (unsigned long long)fence->from);
}

static utapi_status run_apply(memory_backend *self, const utapi_aggregation *fold,
                              const utapi_resource_run *run, utapi_error *err)
{
    memory_resource *resource = NULL;
    utapi_status status = utapi_memory_get(self, run->level, run->name, &resource, err);
    if (status != UTAPI_OK)
        return status;
    const utapi_entry *forget = run->expiry;
    if (forget != NULL && forget->time_ms < resource->gone_ms)
        forget = NULL; /* it was forgotten since */

    memory_intake intake = {
        .fold = fold, .run = *run, .not_before_ms = resource->gone_ms, .after = INT64_MIN};
    if (forget != NULL && forget->expiry == UTAPI_EXPIRE_NOW) {
        /* First, so that what is counted only to be taken away cannot overflow. */
        status = utapi_memory_forget(self, resource, forget->time_ms, err);
        intake.after = utapi_interval_of(forget->time_ms);
    }
    if (status == UTAPI_OK)
        status = utapi_memory_add(self, resource, &intake, err);
    if (status == UTAPI_OK && run->level == UTAPI_BUCKETS)
        status = utapi_memory_change(self, resource, resource->count, err);
    if (status != UTAPI_OK)
        return status;
    if (intake.counted)
        resource->due_ms = NO_APPOINTMENT;
    if (forget != NULL && forget->expiry == UTAPI_EXPIRE_LATER)
        appoint(self, resource, forget->expire_at_ms);
    return UTAPI_OK;
}

static utapi_status batch_apply(memory_backend *self, const utapi_batch *batch, bool *skip,
                                utapi_applied *ret, utapi_error *err)
{
    memory_writer *writer;
    utapi_aggregation *fold = NULL;
    utapi_applied applied = {.repeated = 0};
    utapi_status status = fence_check(self, &batch->fence, &writer, ret, err);
    if (status == UTAPI_OK)
        status = forget_due(self, batch->now_ms, err);
    if (status == UTAPI_OK)
        status = utapi_memory_uuids_take(self, batch, skip, &applied.repeated, err);
    if (status == UTAPI_OK)
        status = utapi_aggregation_new(batch, skip, &fold, err);
    for (utapi_resource_run run; status == UTAPI_OK && utapi_aggregation_next(fold, &run);) {
        status = run_apply(self, fold, &run, err);
        if (status == UTAPI_OVERFLOW)
            status = utapi_aggregation_attribute(batch, fold, &run, err);
    }
    utapi_aggregation_free(fold);
    if (status != UTAPI_OK)
        return status;
    if (writer != NULL)
        applied.fence = writer->fence.to = batch->fence.to;
    *ret = applied;
    return UTAPI_OK;
}

/* The end of every write: all of its changes stay, or none. */
static utapi_status write_end(memory_backend *self, utapi_status status)
{
    if (status == UTAPI_OK)
        utapi_memory_keep(self);
    else {
        utapi_memory_undo_to(self, NULL);
        self->next_due_ms = INT64_MIN; /* look again */
    }
    pthread_rwlock_unlock(&self->lock);
    return status;
}

static utapi_status memory_apply(utapi_backend *base, const utapi_batch *batch, utapi_applied *ret,
                                 utapi_error *err)
{
    memory_backend *self = (memory_backend *)base;
    UTAPI_AUTO_FREE bool *skip = calloc(batch->count + 1, sizeof *skip);
    if (skip == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "%zu events", batch->count);
    pthread_rwlock_wrlock(&self->lock);
    utapi_memory_uuids_expire(self, batch->accepted_ms);
    memory_uuid **const newest = self->newest;
    const utapi_status status = batch_apply(self, batch, skip, ret, err);
    if (status != UTAPI_OK)
        utapi_memory_uuids_undo(self, newest);
    return write_end(self, status);
}

/* ---- the other writes --------------------------------------------------------------------- */

static utapi_status adjustment_apply(memory_backend *self, const utapi_adjustment *adjustment,
                                     utapi_error *err)
{
    utapi_interval_delta cell = {.interval = adjustment->interval};
    utapi_sums_add_amounts(&cell.sums, adjustment->delta);
    memory_intake intake = {.once = &cell};
    memory_resource *resource = NULL;
    const utapi_status status = utapi_memory_get(self, adjustment->level, adjustment->name, &resource, err);
    return status == UTAPI_OK ? utapi_memory_add(self, resource, &intake, err) : status;
}

static utapi_status memory_adjust(utapi_backend *base, const utapi_adjustment *adjustments, size_t count,
                                  utapi_error *err)
{
    memory_backend *self = (memory_backend *)base;
    utapi_status status = UTAPI_OK;
    pthread_rwlock_wrlock(&self->lock);
    for (size_t i = 0; i < count && status == UTAPI_OK; i++)
        status = adjustment_apply(self, &adjustments[i], err);
    return write_end(self, status);
}

static utapi_status memory_forget(utapi_backend *base, utapi_level level, utapi_string name, int64_t time_ms,
                                  utapi_error *err)
{
    memory_backend *self = (memory_backend *)base;
    memory_resource *resource = NULL;
    pthread_rwlock_wrlock(&self->lock);
    utapi_status status = utapi_memory_get(self, level, name, &resource, err);
    if (status == UTAPI_OK)
        status = utapi_memory_forget(self, resource, time_ms, err);
    return write_end(self, status);
}

static utapi_status memory_tend(utapi_backend *base, int64_t now_ms, int64_t accepted_ms, utapi_error *err)
{
    memory_backend *self = (memory_backend *)base;
    pthread_rwlock_wrlock(&self->lock);
    utapi_memory_uuids_expire(self, accepted_ms);
    return write_end(self, forget_due(self, now_ms, err));
}

/* ---- questions ---------------------------------------------------------------------------- */

static utapi_status memory_read(utapi_backend *base, const utapi_query *query, utapi_usage *ret,
                                uint64_t *ret_fence, utapi_error *err)
{
    memory_backend *self = (memory_backend *)base;
    utapi_status status = UTAPI_OK;
    pthread_rwlock_rdlock(&self->lock);
    for (size_t i = 0; i < query->count && status == UTAPI_OK; i++) {
        const memory_resource *resource = utapi_memory_find(self, query->level, query->names[i]);
        utapi_usage_clear(&ret[i]);
        if (resource == NULL)
            continue;
        ret[i].expired_ms = resource->gone_ms > 0 ? resource->gone_ms : 0;
        status = utapi_usage_of_rows(utapi_memory_totals_at(resource, query->start - 1),
                                     utapi_memory_totals_at(resource, query->start),
                                     utapi_memory_totals_at(resource, query->end), &ret[i], err);
    }
    const memory_writer *writer = writer_find(self, query->writer);
    if (ret_fence != NULL)
        *ret_fence = writer != NULL ? writer->fence.to : 0;
    pthread_rwlock_unlock(&self->lock);
    return status;
}

static utapi_status memory_rows(utapi_backend *base, utapi_level level, utapi_string name,
                                utapi_interval start, utapi_interval end, utapi_row_cb *on_row, void *ctx,
                                utapi_error *err)
{
    memory_backend *self = (memory_backend *)base;
    (void)err;
    pthread_rwlock_rdlock(&self->lock);
    const memory_resource *resource = utapi_memory_find(self, level, name);
    if (resource != NULL) {
        size_t at = utapi_memory_rows_until(resource, start - 1);
        at -= at > 0 ? 1 : 0; /* the newest before start */
        const size_t until = utapi_memory_rows_until(resource, end);
        while (at < until && on_row(ctx, resource->rows[at].interval, &resource->rows[at].totals))
            at++;
    }
    pthread_rwlock_unlock(&self->lock);
    return UTAPI_OK;
}

typedef struct memory_visit {
    utapi_level level;
    utapi_resource_cb *on_resource;
    void *ctx;
    bool stopped;
} memory_visit;

static void visit_one(const void *node, VISIT visit, void *ctx)
{
    memory_visit *visitor = ctx;
    const memory_resource *resource = *(memory_resource *const *)node;
    if ((visit == postorder || visit == leaf) && !visitor->stopped && resource->level == visitor->level &&
        resource->count > 0)
        visitor->stopped = !visitor->on_resource(visitor->ctx, resource->name);
}

static utapi_status memory_visit_all(utapi_backend *base, utapi_level level, utapi_resource_cb *on_resource,
                                     void *ctx, utapi_error *err)
{
    memory_backend *self = (memory_backend *)base;
    (void)err;
    memory_visit visitor = {.level = level, .on_resource = on_resource, .ctx = ctx};
    pthread_rwlock_rdlock(&self->lock);
    twalk_r(self->resources, visit_one, &visitor);
    pthread_rwlock_unlock(&self->lock);
    return UTAPI_OK;
}

static utapi_status memory_fences(utapi_backend *base, utapi_fence_cb *on_fence, void *ctx, utapi_error *err)
{
    memory_backend *self = (memory_backend *)base;
    bool more = true;
    (void)err;
    pthread_rwlock_rdlock(&self->lock);
    for (const memory_writer *each = self->writers; more && each != NULL; each = each->next)
        if (each->fence.to > 0)
            more = on_fence(ctx, each->fence.writer, each->fence.to);
    pthread_rwlock_unlock(&self->lock);
    return UTAPI_OK;
}

static void count_one(const void *node, VISIT visit, void *ctx)
{
    utapi_stats *stats = ctx;
    const memory_resource *resource = *(memory_resource *const *)node;
    if (visit == postorder || visit == leaf) {
        stats->resources += resource->count > 0;
        stats->rows += resource->count;
    }
}

static utapi_status memory_stats(utapi_backend *base, utapi_stats *ret, utapi_error *err)
{
    memory_backend *self = (memory_backend *)base;
    (void)err;
    pthread_rwlock_rdlock(&self->lock);
    *ret = (utapi_stats){.uuids = self->uuid_count};
    twalk_r(self->resources, count_one, ret);
    pthread_rwlock_unlock(&self->lock);
    return UTAPI_OK;
}

/* ---- opening and closing ------------------------------------------------------------------ */

static utapi_status memory_open(const utapi_backend_options *options, utapi_backend **ret, utapi_error *err)
{
    memory_backend *self = malloc(sizeof *self);
    if (self == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "the memory backend");
    *self = (memory_backend){
        .base.ops = &utapi_memory_backend,
        .window_ms = options->dedup_window_ms,
        .newest = &self->oldest,
        .next_due_ms = NO_APPOINTMENT,
    };
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    /* By default readers who keep coming keep a writer out for ever. */
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&self->lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    *ret = &self->base;
    return UTAPI_OK;
}

static void resource_free(void *node)
{
    memory_resource *resource = node;
    free(resource->rows);
    free(resource);
}

static void memory_close(utapi_backend *base)
{
    memory_backend *self = (memory_backend *)base;
    tdestroy(self->resources, resource_free);
    tdestroy(self->uuids, free);
    for (memory_writer *writer; (writer = self->writers) != NULL; free(writer))
        self->writers = writer->next;
    pthread_rwlock_destroy(&self->lock);
    free(self);
}

const utapi_backend_ops utapi_memory_backend = {
    .version = UTAPI_BACKEND_VERSION,
    .name = "memory",
    .open = memory_open,
    .apply = memory_apply,
    .read = memory_read,
    .list = memory_visit_all,
    .rows = memory_rows,
    .adjust = memory_adjust,
    .expire = memory_forget,
    .maintain = memory_tend,
    .fences = memory_fences,
    .stats = memory_stats,
    .close = memory_close,
};
