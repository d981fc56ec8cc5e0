/* SPDX-License-Identifier: Apache-2.0 */
/* journal_pending.c - what is taken and not yet applied, in memory: a question adds it to what the storage says.
 *
 * Events stand in one list in the order of their taking, and in one list for each resource, in the same order.
 * So the oldest event is the first of each of its resources: dropping it looks nothing up. */
#include "journal_internal.h"

#include <stdlib.h>
#include <string.h>

struct journal_name {
    journal_name *next; /* in its slot */
    uint64_t hash;
    journal_event *oldest, *newest;
    uint32_t level;
    uint32_t size;
    char bytes[];
};

enum { FIRST_SLOTS = 1024 };

static uint64_t name_hash(utapi_level level, utapi_string name)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) + (uint64_t)level;
    for (size_t i = 0; i < name.size; i++)
        hash = (hash ^ (unsigned char)name.data[i]) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 29;
}

static journal_name *name_find(const journal_pending *pending, uint64_t hash, utapi_level level,
                               utapi_string name)
{
    if (pending->slot_count == 0)
        return NULL;
    journal_name *found = pending->slots[hash & (pending->slot_count - 1)];
    while (found != NULL && (found->hash != hash || found->level != (uint32_t)level ||
                             found->size != name.size || memcmp(found->bytes, name.data, name.size) != 0))
        found = found->next;
    return found;
}

static bool slots_grow(journal_pending *pending)
{
    const size_t count = pending->slot_count == 0 ? FIRST_SLOTS : 2 * pending->slot_count;
    journal_name **slots = calloc(count, sizeof *slots);
    if (slots == NULL)
        return pending->slot_count > 0; /* longer chains do as well */
    for (size_t i = 0; i < pending->slot_count; i++)
        for (journal_name *name; (name = pending->slots[i]) != NULL;) {
            pending->slots[i] = name->next;
            name->next = slots[name->hash & (count - 1)];
            slots[name->hash & (count - 1)] = name;
        }
    free(pending->slots);
    pending->slots = slots;
    pending->slot_count = count;
    return true;
}

static journal_name *name_get(journal_pending *pending, utapi_level level, utapi_string text)
{
    const uint64_t hash = name_hash(level, text);
    journal_name *name = name_find(pending, hash, level, text);
    if (name != NULL)
        return name;
    if (pending->name_count >= pending->slot_count && !slots_grow(pending))
        return NULL;
    name = malloc(sizeof *name + text.size);
    if (name == NULL)
        return NULL;
    *name = (journal_name){.hash = hash, .level = (uint32_t)level, .size = (uint32_t)text.size};
    memcpy(name->bytes, text.data, text.size);
    journal_name **slot = &pending->slots[hash & (pending->slot_count - 1)];
    name->next = *slot;
    *slot = name;
    pending->name_count++;
    pending->bytes += sizeof *name + text.size;
    return name;
}

static void name_free(journal_pending *pending, journal_name *name)
{
    journal_name **at = &pending->slots[name->hash & (pending->slot_count - 1)];
    while (*at != name)
        at = &(*at)->next;
    *at = name->next;
    pending->name_count--;
    pending->bytes -= sizeof *name + name->size;
    free(name);
}

static void oldest_drop(journal_pending *pending)
{
    journal_event *event = pending->oldest;
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT; level++) {
        journal_name *name = event->links[level].name;
        if (name == NULL)
            continue;
        name->oldest = event->links[level].next;
        if (name->oldest == NULL)
            name_free(pending, name);
    }
    pending->oldest = event->next;
    if (pending->oldest == NULL)
        pending->newest = NULL;
    pending->events--;
    pending->bytes -= sizeof *event;
    free(event);
}

static void event_link(journal_event *event, utapi_level level, journal_name *name)
{
    event->links[level].name = name;
    if (name->oldest == NULL)
        name->oldest = event;
    else
        name->newest->links[level].next = event;
    name->newest = event;
}

static bool event_add(journal_pending *pending, const utapi_entry *entry, uint64_t sequence)
{
    journal_event *event = calloc(1, sizeof *event);
    if (event == NULL)
        return false;
    event->sequence = sequence;
    event->time_ms = entry->time_ms;
    event->operation = entry->operation;
    memcpy(event->delta, entry->delta, sizeof event->delta);
    if (pending->newest == NULL)
        pending->oldest = event;
    else
        pending->newest->next = event;
    pending->newest = event;
    pending->events++;
    pending->bytes += sizeof *event;
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT; level++) {
        if (entry->resource[level].size == 0)
            continue;
        journal_name *name = name_get(pending, (utapi_level)level, entry->resource[level]);
        if (name == NULL)
            return false;
        event_link(event, (utapi_level)level, name);
    }
    return true;
}

void utapi_journal_pending_clear(journal *self, uint64_t first)
{
    while (self->pending.oldest != NULL)
        oldest_drop(&self->pending);
    self->pending.first = first;
}

void utapi_journal_pending_add(journal *self, const utapi_batch *batch, const bool *skip, uint64_t first)
{
    journal_pending *pending = &self->pending;
    bool added = true;
    uint64_t sequence = first;
    for (size_t i = 0; i < batch->count; i++) {
        if (skip[i])
            continue;
        added = added && event_add(pending, &batch->entries[i], sequence);
        sequence++;
    }
    if (!added || pending->events > self->tuning.pending_events ||
        pending->bytes > self->tuning.pending_bytes)
        utapi_journal_pending_clear(self, sequence);
}

void utapi_journal_pending_drop(journal *self)
{
    uint64_t until = self->newest->applied;
    for (const journal_reader *reader = self->readers; reader != NULL; reader = reader->next)
        until = reader->floor < until ? reader->floor : until;
    journal_pending *pending = &self->pending;
    while (pending->oldest != NULL && pending->oldest->sequence < until)
        oldest_drop(pending);
    if (pending->first < until)
        pending->first = until;
}

const journal_event *utapi_journal_pending_find(const journal *self, utapi_level level, utapi_string name)
{
    const journal_name *found = name_find(&self->pending, name_hash(level, name), level, name);
    return found != NULL ? found->oldest : NULL;
}

void utapi_journal_pending_free(journal *self)
{
    utapi_journal_pending_clear(self, 0);
    free(self->pending.slots);
}
