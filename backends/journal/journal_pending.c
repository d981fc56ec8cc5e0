/* SPDX-License-Identifier: Apache-2.0 */
/* journal_pending.c - the index of what waits: its lists, and those who wait for it.
 *
 * Events stand in one list in the order in which they were accepted, and in one list for each resource, in the same
 * order. So the oldest event is the first of each of its resources: dropping it looks nothing up. */
#include "journal_pending.h"

#include "utapi/clock.h"
#include "utapi/hash.h"

#include <stdio.h>
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
    return utapi_hash_end(utapi_hash_add(UTAPI_HASH_SEED + (uint64_t)level, name.data, name.size));
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
    event->is_act = entry->admin != NULL;
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

/* Drops all of it; what comes next begins at `first`. */
static void events_clear(journal_pending *self, uint64_t first)
{
    while (self->oldest != NULL)
        oldest_drop(self);
    self->first = first;
}

/* Adds what was appended; beyond its bounds, or without memory, the list begins anew: queries wait then. */
static void events_add(journal_pending *self, const journal_appended *appended)
{
    bool added = true;
    uint64_t sequence = appended->first;
    for (size_t i = 0; i < appended->batch->count; i++) {
        if (appended->skip[i])
            continue;
        added = added && event_add(self, &appended->batch->entries[i], sequence);
        sequence++;
    }
    if (!added || self->events > self->max_events || self->bytes > self->max_bytes)
        events_clear(self, sequence);
}

void utapi_journal_pending_drop(journal_pending *self)
{
    uint64_t until = self->standing.stored;
    for (const journal_reading *reading = self->readings; reading != NULL; reading = reading->next)
        until = reading->stored < until ? reading->stored : until;
    while (self->oldest != NULL && self->oldest->sequence < until)
        oldest_drop(self);
    if (self->first < until)
        self->first = until;
}

const journal_event *utapi_journal_pending_find(const journal_pending *self, utapi_level level,
                                                utapi_string name)
{
    const journal_name *found = name_find(self, name_hash(level, name), level, name);
    return found != NULL ? found->oldest : NULL;
}

void utapi_journal_pending_init(journal_pending *self, size_t max_events, size_t max_bytes)
{
    *self = (journal_pending){.max_events = max_events, .max_bytes = max_bytes, .wake_at = 1};
    pthread_mutex_init(&self->lock, NULL);
    utapi_cond_init(&self->changed);
    utapi_cond_init(&self->work);
}

void utapi_journal_pending_done(journal_pending *self)
{
    events_clear(self, 0);
    free(self->slots);
    pthread_mutex_destroy(&self->lock);
    pthread_cond_destroy(&self->changed);
    pthread_cond_destroy(&self->work);
}

/* ---- what the log tells ------------------------------------------------------------------- */

static uint64_t waiting(const journal_pending *self)
{
    const journal_standing *now = &self->standing;
    return now->older + (now->next > now->stored ? now->next - now->stored : 0);
}

static void group_note(journal_pending *self, const journal_appended *appended)
{
    const utapi_batch *batch = appended->batch;
    if (waiting(self) == 0)
        self->oldest_ms = batch->now_ms;
    self->now_ms = batch->now_ms;
    const int64_t accepted_ms = utapi_batch_accepted_ms(batch);
    self->accepted_ms = accepted_ms > self->accepted_ms ? accepted_ms : self->accepted_ms;
    events_add(self, appended);
}

void utapi_journal_pending_observe(void *ctx, const journal_standing *standing,
                                   const journal_appended *appended)
{
    journal_pending *self = ctx;
    pthread_mutex_lock(&self->lock);
    const journal_standing before = self->standing;
    if (standing->incarnation != before.incarnation) {
        events_clear(self, 0);
        self->resolve = 0;
    } else if (appended == NULL && standing->next != before.next)
        events_clear(self, standing->next); /* found out later: nobody has it in memory */
    if (appended != NULL)
        group_note(self, appended);
    self->standing = *standing;
    if (appended != NULL && appended->expires)
        self->resolve = standing->next;
    utapi_journal_pending_drop(self);
    if (waiting(self) == 0)
        self->oldest_ms = 0;
    if (waiting(self) >= self->wake_at)
        pthread_cond_signal(&self->work);
    if (appended == NULL)
        pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
}

/* ---- waiting and waking ------------------------------------------------------------------- */

/* Waits on a condition until a time; false once it is past. */
static bool wait_until(journal_pending *self, pthread_cond_t *condition, int64_t until_ms)
{
    const struct timespec until = utapi_timespec_of_ms(until_ms);
    return pthread_cond_timedwait(condition, &self->lock, &until) == 0;
}

bool utapi_journal_pending_is_stored(const journal_pending *self, uint32_t incarnation, uint64_t sequence)
{
    const journal_standing *now = &self->standing;
    return now->older == 0 && (now->incarnation != incarnation || now->stored >= sequence);
}

static utapi_status fail_waiting(const journal_pending *self, utapi_error *err)
{
    return utapi_fail(err, UTAPI_UNAVAILABLE,
                      "the storage has not caught up with the journal: %llu events wait%s%s",
                      (unsigned long long)waiting(self), *self->warning != '\0' ? ": " : "", self->warning);
}

utapi_status utapi_journal_pending_fail(journal_pending *self, utapi_error *err)
{
    pthread_mutex_lock(&self->lock);
    const utapi_status status = fail_waiting(self, err);
    pthread_mutex_unlock(&self->lock);
    return status;
}

utapi_status utapi_journal_pending_wait(journal_pending *self, int64_t until_ms, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    pthread_mutex_lock(&self->lock);
    const uint32_t incarnation = self->standing.incarnation;
    const uint64_t sequence = self->standing.next;
    self->wanted |= JOURNAL_FLUSH;
    pthread_cond_signal(&self->work);
    while (status == UTAPI_OK && !utapi_journal_pending_is_stored(self, incarnation, sequence))
        if (!wait_until(self, &self->changed, until_ms) &&
            !utapi_journal_pending_is_stored(self, incarnation, sequence))
            status = fail_waiting(self, err);
    pthread_mutex_unlock(&self->lock);
    return status;
}

void utapi_journal_pending_wake(journal_pending *self, unsigned wanted)
{
    pthread_mutex_lock(&self->lock);
    self->wanted |= wanted;
    pthread_cond_signal(&self->work);
    pthread_mutex_unlock(&self->lock);
}

void utapi_journal_pending_maintain(journal_pending *self, int64_t now_ms, int64_t accepted_ms,
                                    int64_t until_ms)
{
    enum { SHORT_DELIVERY = 10000 };
    pthread_mutex_lock(&self->lock);
    self->now_ms = now_ms;
    self->accepted_ms = accepted_ms > self->accepted_ms ? accepted_ms : self->accepted_ms;
    self->wanted |= JOURNAL_MAINTAIN | JOURNAL_FLUSH;
    pthread_cond_signal(&self->work);
    while ((self->wanted & JOURNAL_MAINTAIN) != 0 && *self->warning == '\0' &&
           waiting(self) <= SHORT_DELIVERY && wait_until(self, &self->changed, until_ms))
        continue;
    pthread_mutex_unlock(&self->lock);
}

void utapi_journal_pending_stats(journal_pending *self, utapi_journal_stats *stats)
{
    pthread_mutex_lock(&self->lock);
    stats->waiting = waiting(self);
    stats->oldest_ms = waiting(self) > 0 ? self->oldest_ms : 0;
    pthread_mutex_unlock(&self->lock);
}

void utapi_journal_pending_warning(journal_pending *self, char ret[static JOURNAL_WARNING_SIZE])
{
    pthread_mutex_lock(&self->lock);
    memcpy(ret, self->warning, sizeof self->warning);
    pthread_mutex_unlock(&self->lock);
}

/* ---- for the delivery --------------------------------------------------------------------- */

void utapi_journal_pending_work(journal_pending *self, journal_work *ret)
{
    pthread_mutex_lock(&self->lock);
    if (waiting(self) == 0)
        self->wanted &= ~(unsigned)JOURNAL_FLUSH;
    *ret = (journal_work){.waiting = waiting(self),
                          .older = self->standing.older,
                          .wanted = self->wanted,
                          .now_ms = self->now_ms,
                          .accepted_ms = self->accepted_ms,
                          .stopping = self->stopping};
    pthread_mutex_unlock(&self->lock);
}

void utapi_journal_pending_rest(journal_pending *self, uint64_t wake_at, int64_t until_ms)
{
    pthread_mutex_lock(&self->lock);
    self->wake_at = wake_at;
    while (!self->stopping && self->wanted == 0 && waiting(self) < wake_at &&
           wait_until(self, &self->work, until_ms))
        continue;
    pthread_mutex_unlock(&self->lock);
}

void utapi_journal_pending_sleep(journal_pending *self, int64_t until_ms)
{
    pthread_mutex_lock(&self->lock);
    while (!self->stopping && wait_until(self, &self->work, until_ms))
        continue;
    pthread_mutex_unlock(&self->lock);
}

void utapi_journal_pending_stop(journal_pending *self)
{
    pthread_mutex_lock(&self->lock);
    self->stopping = true;
    pthread_cond_broadcast(&self->work);
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
}

void utapi_journal_pending_did(journal_pending *self, unsigned wanted)
{
    pthread_mutex_lock(&self->lock);
    self->wanted &= ~wanted;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
}

void utapi_journal_pending_warn(journal_pending *self, const char *warning)
{
    pthread_mutex_lock(&self->lock);
    snprintf(self->warning, sizeof self->warning, "%.*s", (int)sizeof self->warning - 1, warning);
    pthread_mutex_unlock(&self->lock);
}

void utapi_journal_pending_oldest(journal_pending *self, int64_t accepted_at_ms)
{
    pthread_mutex_lock(&self->lock);
    self->oldest_ms = accepted_at_ms;
    pthread_mutex_unlock(&self->lock);
}
