/* SPDX-License-Identifier: Apache-2.0 */
/* memory.c - what every storage must do, without storage: the backend to copy from, and the oracle of the others'
 * tests.
 *
 * Apply drafts a batch in memory_store.c, which then commits all of it or nothing. A read sums the deltas that it asks
 * about. */
#include "memory_internal.h"

#include "utapi/scoped.h"

#include <search.h>

/* ---- apply -------------------------------------------------------------------------------- */

/* Finds the writer of a batch, or makes it. *ret is NULL for a batch without a fence. */
static utapi_status fence_check(memory_backend *self, const utapi_fence *fence, memory_node **ret,
                                uint64_t *ret_fence, utapi_error *err)
{
    const utapi_string name = {(const char *)fence->writer, sizeof fence->writer};
    *ret = NULL;
    if (!utapi_fence_is_set(fence))
        return UTAPI_OK;
    memory_node *writer = *ret = utapi_memory_get(&self->writers, 0, name, sizeof *writer);
    if (writer == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a writer");
    if (writer->fence == fence->from)
        return UTAPI_OK;
    *ret_fence = writer->fence;
    return utapi_fail(err, UTAPI_FENCED, "the fence stands at %llu, not at %llu",
                      (unsigned long long)writer->fence, (unsigned long long)fence->from);
}

/* Drafts the expiries that are due. */
static utapi_status due_draft(memory_backend *self, int64_t now_ms, utapi_error *err)
{
    memory_node *node;
    if (now_ms < self->next_scheduled_ms)
        return UTAPI_OK;
    self->next_scheduled_ms = NOT_SCHEDULED;
    TAILQ_FOREACH (node, &self->resources.nodes, link) {
        memory_resource *resource = (memory_resource *)node;
        const int64_t scheduled_ms = resource->facts.scheduled_ms;
        if (scheduled_ms > now_ms) {
            if (scheduled_ms < self->next_scheduled_ms)
                self->next_scheduled_ms = scheduled_ms;
            continue;
        }
        utapi_status status = utapi_memory_draft(self, (utapi_level)node->number, node->text, &resource, err);
        if (status != UTAPI_OK)
            return status;
        resource->then.scheduled_ms = NOT_SCHEDULED;
        utapi_memory_draft_expire(resource, scheduled_ms);
    }
    return UTAPI_OK;
}

/* Drops the uuids that were accepted longer ago than the window. */
static void uuids_expire(memory_backend *self, int64_t accepted_ms)
{
    memory_node *oldest;
    while ((oldest = TAILQ_FIRST(&self->uuids.nodes)) != NULL &&
           oldest->accepted_ms < accepted_ms - self->window_ms)
        utapi_memory_drop(&self->uuids, oldest);
}

#define NEVER_ACCEPTED 0

/* Remembers the uuids of a batch. skip becomes true for each entry whose uuid was known; before_ms tells when one that
 * was there had been accepted. */
static utapi_status uuids_add(memory_backend *self, const utapi_batch *batch, bool *skip, int64_t *before_ms,
                              utapi_error *err)
{
    for (size_t i = 0; i < batch->count && self->window_ms > 0; i++) {
        const utapi_entry *entry = &batch->entries[i];
        const uint64_t count = self->uuids.count;
        if (entry->uuid.size == 0 || entry->letter.size > 0)
            continue;
        memory_node *uuid = utapi_memory_get(&self->uuids, entry->uuid_time_ms, entry->uuid, sizeof *uuid);
        if (uuid == NULL)
            return utapi_fail(err, UTAPI_NO_MEMORY, "a uuid");
        const bool is_there = self->uuids.count == count;
        before_ms[i] = is_there ? uuid->accepted_ms : NEVER_ACCEPTED;
        skip[i] = is_there && uuid->accepted_ms >= entry->accepted_ms - self->window_ms;
        if (!skip[i])
            uuid->accepted_ms = entry->accepted_ms;
    }
    return UTAPI_OK;
}

/* Takes that back, the newest first; `count` uuids were there. */
static void uuids_restore(memory_backend *self, const utapi_batch *batch, const int64_t *before_ms,
                          uint64_t count)
{
    for (size_t i = batch->count; i-- > 0;) {
        const utapi_entry *entry = &batch->entries[i];
        if (before_ms[i] == NEVER_ACCEPTED)
            continue;
        memory_node *uuid = utapi_memory_get(&self->uuids, entry->uuid_time_ms, entry->uuid, 0);
        uuid->accepted_ms = before_ms[i];
    }
    while (self->uuids.count > count)
        utapi_memory_drop(&self->uuids, TAILQ_LAST(&self->uuids.nodes, memory_nodes));
}

/* Drafts what a run brings: its entries count, then the last of them may expire the bucket, now or later. */
static utapi_status run_draft(memory_backend *self, const utapi_aggregation *aggregation,
                              const utapi_resource_run *run, utapi_error *err)
{
    memory_resource *resource;
    utapi_status status = utapi_memory_draft(self, run->level, run->name, &resource, err);
    if (status != UTAPI_OK)
        return status;
    const utapi_entry *last = run->expiry;
    if (last != NULL && last->time_ms < resource->then.expired_ms)
        last = NULL; /* the bucket expired since */

    utapi_resource_run left = *run;
    utapi_interval_delta delta;
    while (status == UTAPI_OK &&
           utapi_aggregation_sum(aggregation, &left, resource->then.expired_ms, &delta)) {
        resource->then.scheduled_ms = NOT_SCHEDULED;
        status = utapi_memory_draft_add(resource, &delta, err);
    }
    if (last != NULL && last->expiry == UTAPI_EXPIRE_NOW)
        utapi_memory_draft_expire(resource, last->time_ms);
    else if (last != NULL)
        resource->then.scheduled_ms = last->expire_at_ms;
    return status;
}

static utapi_status batch_draft(memory_backend *self, const utapi_batch *batch, const bool *skip,
                                utapi_error *err)
{
    utapi_aggregation *aggregation = NULL;
    utapi_status status = utapi_aggregation_new(batch, skip, &aggregation, err);
    for (utapi_resource_run run; status == UTAPI_OK && utapi_aggregation_next(aggregation, &run);)
        status = run_draft(self, aggregation, &run, err);
    utapi_aggregation_free(aggregation);
    return status;
}

static utapi_status memory_apply(utapi_backend *base, const utapi_batch *batch, utapi_applied *ret,
                                 utapi_error *err)
{
    UTAPI_AUTO_FREE bool *skip = calloc(batch->count + 1, sizeof *skip);
    UTAPI_AUTO_FREE int64_t *before_ms = calloc(batch->count + 1, sizeof *before_ms);
    if (skip == NULL || before_ms == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "%zu events", batch->count);
    memory_backend *self = utapi_memory_write_begin(base);
    memory_node *writer;
    utapi_applied applied = {.repeated = 0};
    const uint64_t uuids_before = self->uuids.count, letters_before = self->letters.count;
    utapi_status status = fence_check(self, &batch->fence, &writer, &ret->fence, err);
    if (status == UTAPI_OK)
        status = due_draft(self, batch->now_ms, err);
    if (status == UTAPI_OK)
        status = uuids_add(self, batch, skip, before_ms, err);
    for (size_t i = 0; i < batch->count; i++)
        applied.repeated += skip[i];
    if (status == UTAPI_OK)
        status = utapi_memory_letters_draft(self, batch, skip, &applied.repeated, err);
    const utapi_admin_act *act = utapi_batch_act(batch);
    if (status == UTAPI_OK)
        status = act != NULL ? utapi_memory_act(self, act, &applied.repeated, err)
                             : batch_draft(self, batch, skip, err);
    if (status == UTAPI_OK) {
        if (writer != NULL)
            applied.fence = writer->fence = batch->fence.to;
        if (batch->count > 0)
            uuids_expire(self, utapi_batch_accepted_ms(batch));
        *ret = applied;
    } else
        uuids_restore(self, batch, before_ms, uuids_before);
    utapi_memory_letters_end(self, letters_before, status == UTAPI_OK);
    return utapi_memory_write_end(self, status);
}

/* ---- read, stats, maintenance ------------------------------------------------------------- */

static void resource_read(const memory_resource *resource, const utapi_query *query, utapi_usage *ret)
{
    utapi_amounts first = {.present = 0}, last = {.present = 0};
    const memory_delta *delta;
    TAILQ_FOREACH (delta, &resource->deltas, link) {
        if (delta->interval > query->end)
            break;
        utapi_amounts_add(&last, &delta->sums);
        if (delta->interval <= query->start)
            utapi_amounts_copy(&last, &first);
        if (delta->interval >= query->start)
            utapi_amounts_add(&ret->flows, &delta->sums);
    }
    ret->storage_utilized[0] = utapi_amounts_get(&first, UTAPI_STORAGE_UTILIZED);
    ret->storage_utilized[1] = utapi_amounts_get(&last, UTAPI_STORAGE_UTILIZED);
    ret->number_of_objects[0] = utapi_amounts_get(&first, UTAPI_NUMBER_OF_OBJECTS);
    ret->number_of_objects[1] = utapi_amounts_get(&last, UTAPI_NUMBER_OF_OBJECTS);
    ret->flows.present = ret->flows.present >> UTAPI_INCOMING_BYTES << UTAPI_INCOMING_BYTES;
    ret->expired_ms = resource->facts.expired_ms > 0 ? resource->facts.expired_ms : 0;
}

static utapi_status memory_read(utapi_backend *base, const utapi_query *query, utapi_usage *ret,
                                uint64_t *ret_fences, utapi_error *err)
{
    memory_backend *self = (memory_backend *)base;
    (void)err;
    pthread_rwlock_rdlock(&self->lock);
    for (size_t i = 0; i < query->count; i++) {
        const memory_resource *resource =
            utapi_memory_get(&self->resources, query->level, query->names[i], 0);
        utapi_usage_clear(&ret[i]);
        if (resource != NULL)
            resource_read(resource, query, &ret[i]);
    }
    const utapi_string name = {(const char *)query->writer, sizeof query->writer};
    const memory_node *writer = utapi_memory_get(&self->writers, 0, name, 0);
    for (size_t i = 0; ret_fences != NULL && (i < query->count || i == 0); i++)
        ret_fences[i] = writer != NULL ? writer->fence : 0;
    pthread_rwlock_unlock(&self->lock);
    return UTAPI_OK;
}

static utapi_status memory_stats(utapi_backend *base, utapi_storage_stats *ret, utapi_error *err)
{
    memory_backend *self = (memory_backend *)base;
    (void)err;
    pthread_rwlock_rdlock(&self->lock);
    *ret = (utapi_storage_stats){.resources = self->known, .rows = self->deltas, .uuids = self->uuids.count};
    pthread_rwlock_unlock(&self->lock);
    return UTAPI_OK;
}

static utapi_status memory_maintain(utapi_backend *base, int64_t now_ms, int64_t accepted_ms,
                                    utapi_error *err)
{
    memory_backend *self = utapi_memory_write_begin(base);
    uuids_expire(self, accepted_ms);
    return utapi_memory_write_end(self, due_draft(self, now_ms, err));
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
        /* By default readers who keep coming keep a writer out for ever. */
        .lock = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP,
        .resources.nodes = TAILQ_HEAD_INITIALIZER(self->resources.nodes),
        .uuids.nodes = TAILQ_HEAD_INITIALIZER(self->uuids.nodes),
        .writers.nodes = TAILQ_HEAD_INITIALIZER(self->writers.nodes),
        .acts.nodes = TAILQ_HEAD_INITIALIZER(self->acts.nodes),
        .letters.nodes = TAILQ_HEAD_INITIALIZER(self->letters.nodes),
        .max_acts = options->max_acts > 0 ? options->max_acts : UTAPI_ACTS_DEFAULT,
        .max_letters = options->max_dead_letters > 0 ? options->max_dead_letters : UTAPI_LETTERS_DEFAULT,
        .next_scheduled_ms = NOT_SCHEDULED,
    };
    *ret = &self->base;
    return UTAPI_OK;
}

static void memory_close(utapi_backend *base)
{
    memory_backend *self = (memory_backend *)base;
    memory_node *node;
    TAILQ_FOREACH (node, &self->resources.nodes, link)
        utapi_memory_deltas_drop(&((memory_resource *)node)->deltas, INT64_MAX);
    while (!TAILQ_EMPTY(&self->letters.nodes))
        utapi_memory_letter_drop(self, (memory_letter *)TAILQ_FIRST(&self->letters.nodes));
    tdestroy(self->resources.tree, free);
    tdestroy(self->uuids.tree, free);
    tdestroy(self->writers.tree, free);
    tdestroy(self->acts.tree, free);
    pthread_rwlock_destroy(&self->lock);
    free(self);
}

const utapi_backend_ops utapi_memory_backend = {
    .version = UTAPI_BACKEND_VERSION,
    .name = "memory",
    .open = memory_open,
    .apply = memory_apply,
    .read = memory_read,
    .stats = memory_stats,
    .maintain = memory_maintain,
    .close = memory_close,
    .admin = &utapi_memory_admin,
    .dead_letters = &utapi_memory_letters,
};
