/* SPDX-License-Identifier: Apache-2.0 */
/* replay_batch.c - reads elements as V1 events, and hands them to the engine: all at once first; the engine names the one
 * that breaks a rule, which is set aside. Where it cannot name one, they go in one at a time. */
#include "cli/replay_batch.h"

#include "http/log.h"
#include "utapi/scoped.h"
#include "json/json_event.h"

#include <string.h>

/* How much of an element a line of the log shows. */
#define SHOWN_BYTES 200

typedef struct replay_item {
    const utapi_leftover *leftover; /* borrowed */
    json_events read;               /* what the event's strings point into */
} replay_item;

typedef struct replay_batch {
    utapi_engine *engine;
    utapi_replay *cache;
    replay_item *items; /* items[i] holds what events[i] came from */
    utapi_event *events;
    size_t count;
} replay_batch;

static utapi_status element_refuse(utapi_replay *cache, const utapi_leftover *leftover, const char *reason,
                                   utapi_error *err)
{
    const utapi_status status = utapi_replay_refuse(cache, leftover, reason, err);
    const utapi_string shown = utapi_string_cut(leftover->text, SHOWN_BYTES);
    if (status == UTAPI_OK)
        log_write(LOG_LEVEL_WARN, NULL, "local cache: set aside, for it can never be counted: %s: %.*s",
                  reason, (int)shown.size, shown.data);
    return status;
}

/* Whether it is this event's own fault, so that it will never be otherwise. */
static bool is_for_ever(utapi_status status)
{
    return status == UTAPI_INVALID || status == UTAPI_OVERFLOW || status == UTAPI_NOT_SUPPORTED;
}

/* ---- reading ------------------------------------------------------------------------------ */

static utapi_status element_read(const utapi_leftover *leftover, json_events *ret, utapi_error *err)
{
    const utapi_status status = json_events_read(JSON_EVENT_V1, leftover->text, 1, ret, err);
    if (status != UTAPI_OK || ret->count == 1)
        return status;
    json_events_done(ret);
    return utapi_fail(err, UTAPI_INVALID, "no event");
}

static utapi_status batch_add(replay_batch *batch, const utapi_leftover *leftover, utapi_error *err)
{
    utapi_error why = {0};
    replay_item *item = &batch->items[batch->count];
    const utapi_status status = element_read(leftover, &item->read, &why);
    if (is_for_ever(status))
        return element_refuse(batch->cache, leftover, why.detail, err);
    if (status != UTAPI_OK)
        return utapi_fail(err, status, "%s", why.detail);
    item->leftover = leftover;
    utapi_event *event = &batch->events[batch->count++];
    *event = item->read.events[0];
    if (event->uuid.size == 0)
        event->uuid = leftover->uuid;
    return UTAPI_OK;
}

/* ---- counting ----------------------------------------------------------------------------- */

static utapi_status batch_refuse(replay_batch *batch, size_t index, const char *reason, utapi_error *err)
{
    const utapi_status status = element_refuse(batch->cache, batch->items[index].leftover, reason, err);
    if (status != UTAPI_OK)
        return status;
    json_events_done(&batch->items[index].read);
    batch->count--;
    memmove(&batch->items[index], &batch->items[index + 1], (batch->count - index) * sizeof *batch->items);
    memmove(&batch->events[index], &batch->events[index + 1], (batch->count - index) * sizeof *batch->events);
    return UTAPI_OK;
}

static utapi_status batch_count_singly(replay_batch *batch, utapi_error *err)
{
    size_t i = 0;
    while (i < batch->count) {
        utapi_error why = {0};
        utapi_status status = utapi_engine_ingest(batch->engine, &batch->events[i], 1, &why);
        if (status == UTAPI_OK)
            i++;
        else if (is_for_ever(status))
            status = batch_refuse(batch, i, why.detail, err);
        else
            status = utapi_fail(err, status, "%s", why.detail);
        if (status != UTAPI_OK)
            return status;
    }
    return UTAPI_OK;
}

static utapi_status batch_count(replay_batch *batch, utapi_error *err)
{
    while (batch->count > 0) {
        utapi_error why = {.index = UTAPI_NO_INDEX};
        utapi_status status = utapi_engine_ingest(batch->engine, batch->events, batch->count, &why);
        if (status == UTAPI_OK)
            return UTAPI_OK;
        if (!is_for_ever(status))
            return utapi_fail(err, status, "%s", why.detail);
        if (status != UTAPI_INVALID || why.index >= batch->count)
            return batch_count_singly(batch, err);
        status = batch_refuse(batch, why.index, why.detail, err);
        if (status != UTAPI_OK)
            return status;
    }
    return UTAPI_OK;
}

utapi_status replay_batch_count(utapi_engine *engine, utapi_replay *cache, const utapi_leftover *leftovers,
                                size_t count, size_t *ret_counted, utapi_error *err)
{
    UTAPI_AUTO_FREE replay_item *items = calloc(count + 1, sizeof *items);
    UTAPI_AUTO_FREE utapi_event *events = calloc(count + 1, sizeof *events);
    replay_batch batch = {.engine = engine, .cache = cache, .items = items, .events = events};
    if (items == NULL || events == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "%zu events", count);
    utapi_status status = UTAPI_OK;
    for (size_t i = 0; i < count && status == UTAPI_OK; i++)
        status = batch_add(&batch, &leftovers[i], err);
    if (status == UTAPI_OK)
        status = batch_count(&batch, err);
    for (size_t i = 0; i < batch.count; i++)
        json_events_done(&items[i].read);
    if (status == UTAPI_OK)
        *ret_counted = batch.count;
    return status;
}
