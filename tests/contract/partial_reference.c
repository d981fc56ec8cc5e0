/* SPDX-License-Identifier: Apache-2.0 */
/* partial_reference.c - the contract of apply once more, so simple that it can be seen to be right: no sums of a batch,
 * no running totals. */
#include "partial_reference.h"

#include <stdlib.h>
#include <string.h>

#define NEVER_EXPIRED INT64_MIN
#define NOT_SCHEDULED INT64_MAX

static size_t interval_index(int64_t time_ms)
{
    const int64_t index = (utapi_interval_of(time_ms) - PARTIAL_START) / UTAPI_INTERVAL_MS;
    assert_in_range(index, 0, PARTIAL_INTERVALS - 1);
    return (size_t)index;
}

static void expire(partial_reference *r, size_t bucket, int64_t time_ms)
{
    if (time_ms < r->expired_ms[bucket])
        return;
    r->expired_ms[bucket] = time_ms;
    for (size_t i = 0; i <= interval_index(time_ms); i++)
        r->bytes[bucket][i] = r->objects[bucket][i] = 0;
}

void partial_reference_due(partial_reference *r, int64_t now_ms)
{
    for (size_t bucket = 0; bucket < PARTIAL_BUCKETS; bucket++) {
        if (r->scheduled_ms[bucket] > now_ms)
            continue;
        expire(r, bucket, r->scheduled_ms[bucket]);
        r->scheduled_ms[bucket] = NOT_SCHEDULED;
    }
}

static bool knows(partial_reference *r, const partial_event *event)
{
    const utapi_entry *entry = &event->entry;
    if (entry->uuid.size == 0)
        return false;
    const size_t number = strtoul(event->uuid + strlen("uuid-"), NULL, 10);
    if (r->is_known[number] && r->accepted_ms[number] >= entry->accepted_ms - r->window_ms)
        return true;
    r->is_known[number] = true;
    r->accepted_ms[number] = entry->accepted_ms;
    return false;
}

void partial_reference_count(partial_reference *r, const partial_event *event)
{
    const utapi_entry *entry = &event->entry;
    const size_t bucket = event->bucket, at = interval_index(entry->time_ms);
    if (knows(r, event))
        return;
    r->bytes[PARTIAL_BUCKETS][at] += entry->delta[UTAPI_STORAGE_UTILIZED];
    r->objects[PARTIAL_BUCKETS][at]++;
    if (entry->time_ms < r->expired_ms[bucket])
        return;
    r->bytes[bucket][at] += entry->delta[UTAPI_STORAGE_UTILIZED];
    r->objects[bucket][at]++;
    r->scheduled_ms[bucket] = NOT_SCHEDULED;
    if (entry->expiry == UTAPI_EXPIRE_NOW)
        expire(r, bucket, entry->time_ms);
    else if (entry->expiry == UTAPI_EXPIRE_LATER)
        r->scheduled_ms[bucket] = entry->expire_at_ms;
}

void partial_reference_accept(partial_reference *r, const partial_event *events, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        partial_reference_due(r, events[i].now_ms);
        partial_reference_count(r, &events[i]);
    }
}

partial_reference *partial_reference_new(int64_t window_ms)
{
    partial_reference *r = calloc(1, sizeof *r);
    assert_non_null(r);
    r->window_ms = window_ms;
    for (size_t i = 0; i < PARTIAL_BUCKETS; i++) {
        r->expired_ms[i] = NEVER_EXPIRED;
        r->scheduled_ms[i] = NOT_SCHEDULED;
    }
    return r;
}
