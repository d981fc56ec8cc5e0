/* SPDX-License-Identifier: Apache-2.0 */
/* memory_store.c - what a database would do: tables, the deltas of a resource, and drafts that are all committed or
 * none.
 *
 * A resource is a list of deltas, ascending by interval: what changed of it in each. There are no running totals.
 *
 * A write drafts: each resource that it touches notes what is to be dropped and added. If all of that can be stored, it
 * is committed, which cannot fail. If not, it is discarded, and nothing happened. */
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

void utapi_memory_drop(memory_table *table, memory_node *node)
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
        utapi_amounts_add(&before->sums, &delta->sums);
        free(delta);
        return 0;
    }
    if (before == NULL)
        TAILQ_INSERT_HEAD(deltas, delta, link);
    else
        TAILQ_INSERT_AFTER(deltas, before, delta, link);
    return 1;
}

size_t utapi_memory_deltas_drop(memory_deltas *deltas, utapi_interval until)
{
    size_t count = 0;
    for (memory_delta *first; (first = TAILQ_FIRST(deltas)) != NULL && first->interval <= until; count++) {
        TAILQ_REMOVE(deltas, first, link);
        free(first);
    }
    return count;
}

static utapi_status deltas_add_copy(memory_deltas *deltas, utapi_interval interval, const utapi_amounts *sums,
                                    utapi_error *err)
{
    memory_delta *delta = malloc(sizeof *delta);
    if (delta == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "an interval");
    delta->interval = interval;
    delta->sums.present = 0;
    utapi_amounts_add(&delta->sums, sums);
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
    return deltas_add_copy(&resource->added, delta->interval, &delta->sums, err);
}

void utapi_memory_draft_expire(memory_resource *resource, int64_t time_ms)
{
    if (time_ms < resource->then.expired_ms)
        return;
    resource->then.expired_ms = time_ms;
    resource->dropped = utapi_interval_of(time_ms);
    utapi_memory_deltas_drop(&resource->added, resource->dropped);
}

static void draft_commit(memory_backend *self, memory_resource *resource)
{
    self->known -= !TAILQ_EMPTY(&resource->deltas);
    self->deltas -= utapi_memory_deltas_drop(&resource->deltas, resource->dropped);
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
        utapi_memory_deltas_drop(&each->added, INT64_MAX);
    }
    if (status != UTAPI_OK)
        self->next_scheduled_ms = INT64_MIN; /* what was due is so still */
    pthread_rwlock_unlock(&self->lock);
    return status;
}
