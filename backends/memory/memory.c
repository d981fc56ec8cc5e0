/* SPDX-License-Identifier: Apache-2.0 */
/* memory.c - what every storage must do, without storage: the backend to copy from, and the oracle of the others'
 * tests.
 *
 * A resource is a list of deltas, ascending by interval: what changed of it in each. There are no running totals. A
 * read sums what it asks about, and an expiry drops the first deltas of the list.
 *
 * A write drafts: each resource that it touches notes what is to be dropped and added. If all of that can be
 * stored, it is committed, which cannot fail. If not, it is discarded, and nothing happened. */
#include "memory_internal.h"

#include "utapi/scoped.h"

#include <search.h>
#include <string.h>

/* ---- tables ------------------------------------------------------------------------------- */

static int node_order(const void *left_node, const void *right_node)
{
    const memory_node *left = left_node, *right = right_node;
    if (left->number != right->number)
        return left->number < right->number ? -1 : 1;
    return utapi_string_compare(left->text, right->text);
}

void *utapi_memory_get(memory_table *table, int64_t number, utapi_string text, size_t size)
{
    const memory_node wanted = {.number = number, .text = text};
    memory_node *const *found = tfind(&wanted, &table->tree, node_order);
    if (found != NULL || size == 0)
        return found != NULL ? *found : NULL;
    UTAPI_AUTO_FREE memory_node *node = calloc(1, size + text.size);
    if (node == NULL)
        return NULL;
    node->number = number;
    node->text = (utapi_string){memcpy((char *)node + size, text.data, text.size), text.size};
    if (tsearch(node, &table->tree, node_order) == NULL)
        return NULL;
    TAILQ_INSERT_TAIL(&table->nodes, node, link);
    table->count++;
    return UTAPI_TAKE(node);
}

static void table_drop(memory_table *table, memory_node *node)
{
    tdelete(node, &table->tree, node_order);
    TAILQ_REMOVE(&table->nodes, node, link);
    table->count--;
    free(node);
}

/* ---- deltas ------------------------------------------------------------------------------- */

/* The newest delta of an interval or an earlier one. NULL: there is none. */
static memory_delta *deltas_until(const memory_deltas *deltas, utapi_interval interval)
{
    memory_delta *delta = TAILQ_LAST(deltas, memory_deltas);
    while (delta != NULL && delta->interval > interval)
        delta = TAILQ_PREV(delta, memory_deltas, link);
    return delta;
}

/* Takes a delta: it becomes that of its interval, or is added to it. Returns how many there are more. */
static size_t deltas_add(memory_deltas *deltas, memory_delta *delta)
{
    memory_delta *before = deltas_until(deltas, delta->interval);
    if (before != NULL && before->interval == delta->interval) {
        utapi_sums_merge(&before->sums, &delta->sums);
        free(delta);
        return 0;
    }
    if (before == NULL)
        TAILQ_INSERT_HEAD(deltas, delta, link);
    else
        TAILQ_INSERT_AFTER(deltas, before, delta, link);
    return 1;
}

/* Returns how many it dropped. */
static size_t deltas_drop(memory_deltas *deltas, utapi_interval until)
{
    size_t count = 0;
    for (memory_delta *first; (first = TAILQ_FIRST(deltas)) != NULL && first->interval <= until; count++) {
        TAILQ_REMOVE(deltas, first, link);
        free(first);
    }
    return count;
}

static utapi_status deltas_add_copy(memory_deltas *deltas, utapi_interval interval, const utapi_sums *sums,
                                    utapi_error *err)
{
    memory_delta *delta = malloc(sizeof *delta);
    if (delta == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "an interval");
    delta->interval = interval;
    delta->sums.present = 0;
    utapi_sums_merge(&delta->sums, sums);
    (void)deltas_add(deltas, delta);
    return UTAPI_OK;
}

/* ---- drafts ------------------------------------------------------------------------------- */

utapi_status utapi_memory_draft(memory_backend *self, utapi_level level, utapi_string name,
                                memory_resource **ret, utapi_error *err)
{
    memory_resource *resource = *ret = utapi_memory_get(&self->resources, level, name, sizeof *resource);
    if (resource == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a resource");
    if (resource->deltas.tqh_last == NULL) { /* it is new */
        TAILQ_INIT(&resource->deltas);
        resource->facts = (memory_facts){.expired_ms = NEVER_EXPIRED, .scheduled_ms = NOT_SCHEDULED};
    }
    if (resource->is_drafted)
        return UTAPI_OK;
    SLIST_INSERT_HEAD(&self->drafts, resource, drafted);
    TAILQ_INIT(&resource->added);
    resource->is_drafted = true;
    resource->dropped = INT64_MIN;
    resource->then = resource->facts;
    return UTAPI_OK;
}

utapi_status utapi_memory_draft_add(memory_resource *resource, const utapi_interval_delta *delta,
                                    utapi_error *err)
{
    for (unsigned m = 0; m < UTAPI_METRIC_COUNT; m++)
        if ((delta->sums.present >> m & 1U) != 0)
            resource->then.volume += delta->sums.of[m] < 0 ? -delta->sums.of[m] : delta->sums.of[m];
    return deltas_add_copy(&resource->added, delta->interval, &delta->sums, err);
}

void utapi_memory_draft_expire(memory_resource *resource, int64_t time_ms)
{
    if (time_ms < resource->then.expired_ms)
        return;
    resource->then.expired_ms = time_ms;
    resource->dropped = utapi_interval_of(time_ms);
    deltas_drop(&resource->added, resource->dropped);
}

utapi_status utapi_memory_draft_judge(const memory_resource *resource, utapi_error *err)
{
    if (resource->then.volume <= INT64_MAX)
        return UTAPI_OK; /* not even all of it together leaves 64 bits */
    memory_deltas all = TAILQ_HEAD_INITIALIZER(all);
    utapi_amounts totals = {.present = 0};
    utapi_status status = UTAPI_OK;
    const memory_delta *delta;
    TAILQ_FOREACH (delta, &resource->deltas, link)
        if (status == UTAPI_OK && delta->interval > resource->dropped)
            status = deltas_add_copy(&all, delta->interval, &delta->sums, err);
    TAILQ_FOREACH (delta, &resource->added, link)
        if (status == UTAPI_OK)
            status = deltas_add_copy(&all, delta->interval, &delta->sums, err);
    TAILQ_FOREACH (delta, &all, link)
        if (status == UTAPI_OK)
            status = utapi_amounts_add(&totals, &delta->sums, err);
    deltas_drop(&all, INT64_MAX);
    return status;
}

static void draft_commit(memory_backend *self, memory_resource *resource)
{
    self->known -= !TAILQ_EMPTY(&resource->deltas);
    self->deltas -= deltas_drop(&resource->deltas, resource->dropped);
    for (memory_delta *delta; (delta = TAILQ_FIRST(&resource->added)) != NULL;) {
        TAILQ_REMOVE(&resource->added, delta, link);
        self->deltas += deltas_add(&resource->deltas, delta);
    }
    self->known += !TAILQ_EMPTY(&resource->deltas);
    resource->facts = resource->then;
    if (resource->facts.scheduled_ms < self->next_scheduled_ms)
        self->next_scheduled_ms = resource->facts.scheduled_ms;
}

memory_backend *utapi_memory_write_begin(utapi_backend *base)
{
    memory_backend *self = (memory_backend *)base;
    pthread_rwlock_wrlock(&self->lock);
    return self;
}

utapi_status utapi_memory_write_end(memory_backend *self, utapi_status status)
{
    for (memory_resource *each; (each = SLIST_FIRST(&self->drafts)) != NULL; each->is_drafted = false) {
        SLIST_REMOVE_HEAD(&self->drafts, drafted);
        if (status == UTAPI_OK)
            draft_commit(self, each);
        deltas_drop(&each->added, INT64_MAX);
    }
    if (status != UTAPI_OK)
        self->next_scheduled_ms = INT64_MIN; /* what was due is so still */
    pthread_rwlock_unlock(&self->lock);
    return status;
}

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

/* Drafts the expiries that are due. One that cannot be stored never can be: it is given up, so that nobody waits
 * for it. */
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
        status = utapi_memory_draft_judge(resource, NULL);
        if (status == UTAPI_OVERFLOW) {
            resource->then.expired_ms = resource->facts.expired_ms;
            resource->dropped = INT64_MIN;
        } else if (status != UTAPI_OK)
            return utapi_fail(err, status, "an expiry that is due");
    }
    return UTAPI_OK;
}

/* Forgets the uuids that were accepted longer ago than the window. */
static void uuids_expire(memory_backend *self, int64_t accepted_ms)
{
    memory_node *oldest;
    while ((oldest = TAILQ_FIRST(&self->uuids.nodes)) != NULL &&
           oldest->accepted_ms < accepted_ms - self->window_ms)
        table_drop(&self->uuids, oldest);
}

/* Remembers the uuids of a batch. skip becomes true for each entry whose uuid was known. */
static utapi_status uuids_add(memory_backend *self, const utapi_batch *batch, bool *skip,
                              size_t *ret_repeated, utapi_error *err)
{
    for (size_t i = 0; i < batch->count && self->window_ms > 0; i++) {
        const utapi_entry *entry = &batch->entries[i];
        const uint64_t before = self->uuids.count;
        if (entry->uuid.size == 0)
            continue;
        memory_node *uuid = utapi_memory_get(&self->uuids, entry->uuid_time_ms, entry->uuid, sizeof *uuid);
        if (uuid == NULL)
            return utapi_fail(err, UTAPI_NO_MEMORY, "a uuid");
        skip[i] = self->uuids.count == before;
        *ret_repeated += skip[i];
        if (!skip[i])
            uuid->accepted_ms = entry->accepted_ms;
    }
    return UTAPI_OK;
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
    return status == UTAPI_OK ? utapi_memory_draft_judge(resource, err) : status;
}

static utapi_status batch_draft(memory_backend *self, const utapi_batch *batch, const bool *skip,
                                utapi_error *err)
{
    utapi_aggregation *aggregation = NULL;
    utapi_status status = utapi_aggregation_new(batch, skip, &aggregation, err);
    for (utapi_resource_run run; status == UTAPI_OK && utapi_aggregation_next(aggregation, &run);) {
        status = run_draft(self, aggregation, &run, err);
        if (status == UTAPI_OVERFLOW)
            status = utapi_aggregation_attribute(batch, aggregation, &run, err);
    }
    utapi_aggregation_free(aggregation);
    return status;
}

static utapi_status memory_apply(utapi_backend *base, const utapi_batch *batch, utapi_applied *ret,
                                 utapi_error *err)
{
    UTAPI_AUTO_FREE bool *skip = calloc(batch->count + 1, sizeof *skip);
    if (skip == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "%zu events", batch->count);
    memory_backend *self = utapi_memory_write_begin(base);
    memory_node *writer;
    utapi_applied applied = {.repeated = 0};
    if (batch->count > 0)
        uuids_expire(self, utapi_batch_accepted_ms(batch));
    const uint64_t uuids_before = self->uuids.count;
    utapi_status status = fence_check(self, &batch->fence, &writer, &ret->fence, err);
    if (status == UTAPI_OK)
        status = due_draft(self, batch->now_ms, err);
    if (status == UTAPI_OK)
        status = uuids_add(self, batch, skip, &applied.repeated, err);
    if (status == UTAPI_OK)
        status = batch_draft(self, batch, skip, err);
    if (status == UTAPI_OK) {
        if (writer != NULL)
            applied.fence = writer->fence = batch->fence.to;
        *ret = applied;
    }
    while (status != UTAPI_OK && self->uuids.count > uuids_before)
        table_drop(&self->uuids, TAILQ_LAST(&self->uuids.nodes, memory_nodes));
    return utapi_memory_write_end(self, status);
}

/* ---- read, stats, maintenance ------------------------------------------------------------- */

static utapi_status resource_read(const memory_resource *resource, const utapi_query *query, utapi_usage *ret,
                                  utapi_error *err)
{
    utapi_amounts first = {.present = 0}, last = {.present = 0};
    utapi_sums flows = {.present = 0};
    utapi_status status = UTAPI_OK;
    const memory_delta *delta;
    TAILQ_FOREACH (delta, &resource->deltas, link) {
        if (status != UTAPI_OK || delta->interval > query->end)
            break;
        status = utapi_amounts_add(&last, &delta->sums, err);
        if (delta->interval <= query->start)
            utapi_amounts_copy(&last, &first);
        if (delta->interval >= query->start)
            utapi_sums_merge(&flows, &delta->sums);
    }
    ret->storage_utilized[0] = utapi_amounts_get(&first, UTAPI_STORAGE_UTILIZED);
    ret->storage_utilized[1] = utapi_amounts_get(&last, UTAPI_STORAGE_UTILIZED);
    ret->number_of_objects[0] = utapi_amounts_get(&first, UTAPI_NUMBER_OF_OBJECTS);
    ret->number_of_objects[1] = utapi_amounts_get(&last, UTAPI_NUMBER_OF_OBJECTS);
    flows.present = flows.present >> UTAPI_INCOMING_BYTES << UTAPI_INCOMING_BYTES;
    ret->expired_ms = resource->facts.expired_ms > 0 ? resource->facts.expired_ms : 0;
    return status == UTAPI_OK ? utapi_amounts_add(&ret->flows, &flows, err) : status;
}

static utapi_status memory_read(utapi_backend *base, const utapi_query *query, utapi_usage *ret,
                                uint64_t *ret_fences, utapi_error *err)
{
    memory_backend *self = (memory_backend *)base;
    utapi_status status = UTAPI_OK;
    pthread_rwlock_rdlock(&self->lock);
    for (size_t i = 0; i < query->count && status == UTAPI_OK; i++) {
        const memory_resource *resource =
            utapi_memory_get(&self->resources, query->level, query->names[i], 0);
        utapi_usage_clear(&ret[i]);
        if (resource != NULL)
            status = resource_read(resource, query, &ret[i], err);
    }
    const utapi_string name = {(const char *)query->writer, sizeof query->writer};
    const memory_node *writer = utapi_memory_get(&self->writers, 0, name, 0);
    for (size_t i = 0; ret_fences != NULL && (i < query->count || i == 0); i++)
        ret_fences[i] = writer != NULL ? writer->fence : 0;
    pthread_rwlock_unlock(&self->lock);
    return status;
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
        deltas_drop(&((memory_resource *)node)->deltas, INT64_MAX);
    tdestroy(self->resources.tree, free);
    tdestroy(self->uuids.tree, free);
    tdestroy(self->writers.tree, free);
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
};
