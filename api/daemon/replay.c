/* SPDX-License-Identifier: Apache-2.0 */
/* replay.c - the thread that takes over a local cache: lock, take, count, done with, until nothing is left; then it
 * sleeps.
 *
 * Each step may fail, or the process end, after any of the others: the next round begins with what was taken and
 * not done with, and the engine knows the uuids of what counts already.
 *
 * Elements are read as V1 events and go to the engine all at once. It names the one that breaks a rule, which is
 * set aside. Where it cannot name one, they go in one at a time. */
#include "daemon/replay.h"

#include "backends/registry.h"
#include "handlers/log.h"
#include "utapi/clock.h"
#include "utapi/scoped.h"
#include "json/json_event.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Between two rounds: where all went well, and where somebody else has the lock or something is away. */
#define PERIOD_S 60
#define RETRY_S  5

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

/* Counts elements: afterwards each of them counts durably, or was set aside, with a line in the log. After an
 * error some of them may count; the same elements again are safe. */
static utapi_status replay_batch_count(utapi_engine *engine, utapi_replay *cache,
                                       const utapi_leftover *leftovers, size_t count, size_t *ret_counted,
                                       utapi_error *err)
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

/* ---- rounds ------------------------------------------------------------------------------- */

struct replay {
    utapi_replay *cache;
    utapi_engine *engine;
    pthread_t thread;
    pthread_mutex_t lock; /* guards stopping */
    pthread_cond_t wake;
    bool stopping;
    bool is_warned; /* and the log knows */
};

static bool is_stopping(replay *self)
{
    pthread_mutex_lock(&self->lock);
    const bool stopping = self->stopping;
    pthread_mutex_unlock(&self->lock);
    return stopping;
}

static void sleep_for(replay *self, int64_t seconds)
{
    const struct timespec until = utapi_timespec_of_ms(utapi_monotonic_ms() + seconds * 1000);
    pthread_mutex_lock(&self->lock);
    while (!self->stopping && pthread_cond_timedwait(&self->wake, &self->lock, &until) == 0)
        continue;
    pthread_mutex_unlock(&self->lock);
}

/* What a step of a round came to. */
typedef enum progress { COUNTED_SOME, NOTHING_LEFT, LOCKED_BY_ANOTHER } progress;

static utapi_status step(replay *self, size_t *counted, progress *ret, utapi_error *err)
{
    const utapi_leftover *leftovers = NULL;
    size_t count = 0, durable = 0;
    bool is_ours = false;
    utapi_status status = utapi_replay_lock(self->cache, &is_ours, err);
    if (status == UTAPI_OK && is_ours)
        status = utapi_replay_take(self->cache, &leftovers, &count, err);
    if (status == UTAPI_OK && count > 0)
        status = replay_batch_count(self->engine, self->cache, leftovers, count, &durable, err);
    if (status == UTAPI_OK && count > 0)
        status = utapi_replay_done(self->cache, err);
    if (status != UTAPI_OK)
        return status;
    *counted += durable;
    *ret = count > 0 ? COUNTED_SOME : is_ours ? NOTHING_LEFT : LOCKED_BY_ANOTHER;
    return UTAPI_OK;
}

static void warning_report(replay *self, utapi_status status, const utapi_error *err)
{
    char warning[sizeof((utapi_health *)0)->other_warning];
    const char *why = *err->detail != '\0' ? err->detail : utapi_status_text(status);
    if (status != UTAPI_OK && !self->is_warned)
        log_write(LOG_LEVEL_WARN, NULL, "local cache: %s; trying again every %d s", why, RETRY_S);
    if (status == UTAPI_OK && self->is_warned)
        log_write(LOG_LEVEL_INFO, NULL, "local cache: all is well again");
    self->is_warned = status != UTAPI_OK;
    const unsigned long long refused = utapi_replay_refused(self->cache);
    *warning = '\0';
    if (self->is_warned)
        (void)snprintf(warning, sizeof warning, "local cache: %.140s", why);
    else if (refused > 0)
        (void)snprintf(
            warning, sizeof warning,
            "local cache: %llu event%s can never be counted: see the list s3:utapid:replay:refused", refused,
            refused == 1 ? "" : "s");
    utapi_engine_note(self->engine, warning);
}

/* Returns how many seconds to wait for the next round. */
static int64_t go_round(replay *self)
{
    utapi_error err = {0};
    size_t counted = 0;
    progress reached = COUNTED_SOME;
    utapi_status status = UTAPI_OK;
    while (reached == COUNTED_SOME && status == UTAPI_OK && !is_stopping(self))
        status = step(self, &counted, &reached, &err);
    if (counted > 0)
        log_write(LOG_LEVEL_INFO, NULL, "local cache: %zu events that clients could not deliver were counted",
                  counted);
    warning_report(self, status, &err);
    if (reached == LOCKED_BY_ANOTHER)
        return RETRY_S;
    if (status == UTAPI_OK) /* otherwise it ends by itself */
        status = utapi_replay_unlock(self->cache, NULL);
    return status == UTAPI_OK ? PERIOD_S : RETRY_S;
}

static void *replay_main(void *ctx)
{
    replay *self = ctx;
    while (!is_stopping(self))
        sleep_for(self, go_round(self));
    return NULL;
}

/* ---- starting and stopping ---------------------------------------------------------------- */

static void replay_free(replay *self)
{
    if (self == NULL)
        return;
    utapi_replay_close(self->cache);
    free(self);
}

UTAPI_AUTO_DEFINE(replay, replay_free)

static utapi_status thread_start(replay *self, utapi_error *err)
{
    utapi_cond_init(&self->wake);
    pthread_mutex_init(&self->lock, NULL);
    if (pthread_create(&self->thread, NULL, replay_main, self) == 0)
        return UTAPI_OK;
    pthread_mutex_destroy(&self->lock);
    pthread_cond_destroy(&self->wake);
    return utapi_fail(err, UTAPI_NO_MEMORY, "the thread that replays");
}

utapi_status replay_start(const char *uri, utapi_engine *engine, replay **ret, utapi_error *err)
{
    UTAPI_AUTO(replay) *self = calloc(1, sizeof *self);
    if (self == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "replay");
    self->engine = engine;
    utapi_status status = utapi_replay_open(uri, &self->cache, err);
    if (status == UTAPI_OK)
        status = thread_start(self, err);
    if (status == UTAPI_OK)
        *ret = UTAPI_TAKE(self);
    return status;
}

void replay_stop(replay *self)
{
    if (self == NULL)
        return;
    pthread_mutex_lock(&self->lock);
    self->stopping = true;
    pthread_cond_signal(&self->wake);
    pthread_mutex_unlock(&self->lock);
    pthread_join(self->thread, NULL);
    pthread_mutex_destroy(&self->lock);
    pthread_cond_destroy(&self->wake);
    replay_free(self);
}
