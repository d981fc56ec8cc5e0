/* SPDX-License-Identifier: Apache-2.0 */
/* engine.c - what is recorded (docs/specification.md#recording), between events and the committer, and between
 * queries and the backend. */
#include "utapi/engine.h"

#include "commit.h"
#include "utapi/backend_admin.h"
#include "utapi/clock.h"
#include "utapi/scoped.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

struct utapi_engine {
    utapi_backend *backend;
    utapi_engine_settings settings;
    char component[UTAPI_NAME_MAX + 1];
    utapi_committer *committer;
    atomic_uint_fast64_t anomalies;
    pthread_mutex_t lock; /* guards other_warning */
    char other_warning[sizeof((utapi_health *)0)->other_warning];
};

UTAPI_AUTO_DEFINE(utapi_engine, utapi_engine_free)

static int64_t system_wall_ms(void *ctx)
{
    (void)ctx;
    return utapi_wall_ms();
}

static int64_t system_monotonic_ms(void *ctx)
{
    (void)ctx;
    return utapi_boottime_ms();
}

const utapi_engine_settings utapi_engine_defaults = {
    .levels = UTAPI_ALL_LEVELS,
    .operations = UTAPI_ALL_OPERATIONS,
    .component = "s3",
    .queue_events = 200000,
    .clock = {.wall_ms = system_wall_ms, .monotonic_ms = system_monotonic_ms},
};

int64_t utapi_engine_now_ms(const utapi_engine *engine)
{
    return engine->settings.clock.wall_ms(engine->settings.clock.ctx);
}

/* ---- life --------------------------------------------------------------------------------- */

utapi_status utapi_engine_new(utapi_backend *backend, const utapi_engine_settings *settings,
                              utapi_engine **ret, utapi_error *err)
{
    const utapi_string component = utapi_string_of(settings->component);
    if (component.size == 0 || component.size > UTAPI_NAME_MAX || !utapi_string_is_text(component))
        return utapi_fail(err, UTAPI_INVALID, "component: expected a name of 1 to %d bytes", UTAPI_NAME_MAX);
    if (settings->queue_events == 0)
        return utapi_fail(err, UTAPI_INVALID, "queue_events: must be at least 1");

    UTAPI_AUTO(utapi_engine) *engine = calloc(1, sizeof *engine);
    if (engine == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "the engine");
    pthread_mutex_init(&engine->lock, NULL);
    engine->backend = backend;
    engine->settings = *settings;
    memcpy(engine->component, component.data, component.size);
    engine->settings.component = engine->component;
    const utapi_status status =
        utapi_committer_new(backend, &settings->clock, settings->queue_events, &engine->committer, err);
    if (status == UTAPI_OK)
        *ret = UTAPI_TAKE(engine);
    return status;
}

void utapi_engine_free(utapi_engine *engine)
{
    if (engine == NULL)
        return;
    utapi_committer_free(engine->committer);
    pthread_mutex_destroy(&engine->lock);
    free(engine);
}

/* ---- events in ---------------------------------------------------------------------------- */

static bool records(const utapi_engine *engine, utapi_level level)
{
    return (engine->settings.levels & UTAPI_LEVEL_BIT(level)) != 0;
}

static void entry_of_event(const utapi_engine *engine, const utapi_event *event, int64_t now_ms,
                           utapi_entry *ret)
{
    const bool has_timestamp = event->timestamp_ms != UTAPI_NO_TIMESTAMP;
    const utapi_string named_by_event[UTAPI_LEVEL_COUNT] = {
        [UTAPI_BUCKETS] = event->bucket,     [UTAPI_ACCOUNTS] = event->account,
        [UTAPI_USERS] = event->user,         [UTAPI_SERVICE] = utapi_string_of(engine->component),
        [UTAPI_LOCATIONS] = event->location,
    };
    *ret = (utapi_entry){
        .uuid = event->uuid,
        .uuid_time_ms = has_timestamp ? event->timestamp_ms : 0,
        .time_ms = has_timestamp ? event->timestamp_ms : now_ms,
        .operation = UTAPI_OP_NONE,
        .delta = {[UTAPI_STORAGE_UTILIZED] = event->storage_delta,
                  [UTAPI_NUMBER_OF_OBJECTS] = event->object_delta,
                  [UTAPI_INCOMING_BYTES] = event->incoming_bytes,
                  [UTAPI_OUTGOING_BYTES] = event->outgoing_bytes},
        .action = event->action,
        .keys = event->keys,
        .refused = event->refused,
    };
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT; level++)
        if (event->location_only ? level == UTAPI_LOCATIONS : records(engine, (utapi_level)level))
            ret->resource[level] = named_by_event[level];
    if (event->operation != UTAPI_OP_NONE &&
        (engine->settings.operations & UTAPI_OPERATION_BIT(event->operation)) != 0)
        ret->operation = event->operation;
    if (engine->settings.expire_metrics && event->operation == UTAPI_OP_DELETE_BUCKET &&
        ret->resource[UTAPI_BUCKETS].size > 0) {
        const int64_t ttl_ms = engine->settings.expire_ttl_ms;
        ret->expiry = ttl_ms > 0 ? UTAPI_EXPIRE_LATER : UTAPI_EXPIRE_NOW;
        ret->expire_at_ms = ttl_ms > 0 ? now_ms + ttl_ms : 0;
    }
}

static int entry_order(const void *left_entry, const void *right_entry)
{
    const utapi_entry *left = *(const utapi_entry *const *)left_entry;
    const utapi_entry *right = *(const utapi_entry *const *)right_entry;
    if (left->time_ms != right->time_ms)
        return left->time_ms < right->time_ms ? -1 : 1;
    return (left > right) - (left < right);
}

/* A client that repeats what failed sends it in the order of the uuids. Where that matters, because one
 * of the events expires its bucket, the order of time is put back. */
static utapi_status request_sort(utapi_request *request, utapi_error *err)
{
    bool expires = false;
    for (size_t i = 0; i < request->count; i++)
        expires = expires || request->entries[i].expiry != UTAPI_EXPIRE_NEVER;
    if (!expires || request->count < 2)
        return UTAPI_OK;

    UTAPI_AUTO_FREE const utapi_entry **order = calloc(request->count, sizeof *order);
    UTAPI_AUTO_FREE utapi_entry *sorted = calloc(request->count, sizeof *sorted);
    if (order == NULL || sorted == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "sorting %zu events", request->count);
    for (size_t i = 0; i < request->count; i++)
        order[i] = &request->entries[i];
    qsort(order, request->count, sizeof *order, entry_order);
    for (size_t i = 0; i < request->count; i++)
        sorted[i] = *order[i];
    memcpy(request->entries, sorted, request->count * sizeof *sorted);
    request->is_sorted = true;
    return UTAPI_OK;
}

utapi_status utapi_engine_submit(utapi_engine *engine, const utapi_event *events, size_t count,
                                 utapi_ingest_cb *on_done, void *ctx, utapi_error *err)
{
    const int64_t now_ms = utapi_engine_now_ms(engine);
    for (size_t i = 0; i < count; i++) {
        const utapi_status status = utapi_event_check(&events[i], now_ms, err);
        if (status != UTAPI_OK) {
            if (err != NULL)
                err->index = i;
            return status;
        }
    }
    if (count == 0) {
        on_done(ctx, UTAPI_OK, err);
        return UTAPI_OK;
    }

    UTAPI_AUTO_FREE utapi_request *request = utapi_request_new(count);
    if (request == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a request of %zu events", count);
    request->on_done = on_done;
    request->ctx = ctx;
    for (size_t i = 0; i < count; i++)
        entry_of_event(engine, &events[i], now_ms, &request->entries[i]);
    utapi_status status = request_sort(request, err);
    if (status == UTAPI_OK)
        status = utapi_committer_submit(engine->committer, request, err);
    if (status == UTAPI_OK)
        (void)UTAPI_TAKE(request);
    return status;
}

/* Where a thread waits for the outcome of its own request. */
typedef struct ingest_outcome {
    pthread_mutex_t lock;
    pthread_cond_t known;
    bool is_known;
    utapi_status status;
    utapi_error err;
} ingest_outcome;

static void outcome_set(void *ctx, utapi_status status, const utapi_error *err)
{
    ingest_outcome *outcome = ctx;
    pthread_mutex_lock(&outcome->lock);
    outcome->status = status;
    if (err != NULL)
        outcome->err = *err;
    outcome->is_known = true;
    pthread_cond_signal(&outcome->known);
    pthread_mutex_unlock(&outcome->lock);
}

static utapi_status outcome_wait(ingest_outcome *outcome, utapi_error *err)
{
    pthread_mutex_lock(&outcome->lock);
    while (!outcome->is_known)
        pthread_cond_wait(&outcome->known, &outcome->lock);
    pthread_mutex_unlock(&outcome->lock);
    if (outcome->status != UTAPI_OK)
        return utapi_fail_at(err, outcome->status, outcome->err.index, "%s", outcome->err.detail);
    return UTAPI_OK;
}

utapi_status utapi_engine_ingest(utapi_engine *engine, const utapi_event *events, size_t count,
                                 utapi_error *err)
{
    ingest_outcome outcome = {.lock = PTHREAD_MUTEX_INITIALIZER, .known = PTHREAD_COND_INITIALIZER};
    const utapi_status status = utapi_engine_submit(engine, events, count, outcome_set, &outcome, err);
    return status == UTAPI_OK ? outcome_wait(&outcome, err) : status;
}

/* ---- administration ------------------------------------------------------------------------ */

utapi_status utapi_engine_act(utapi_engine *engine, const utapi_admin_act *act, utapi_error *err)
{
    ingest_outcome outcome = {.lock = PTHREAD_MUTEX_INITIALIZER, .known = PTHREAD_COND_INITIALIZER};
    utapi_admin_act asked = *act;
    asked.asked_ms = utapi_engine_now_ms(engine);
    utapi_status status = utapi_admin_act_check(&asked, asked.asked_ms, err);
    if (status != UTAPI_OK)
        return status;
    UTAPI_AUTO_FREE utapi_request *request = utapi_request_new(1);
    if (request == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "an act");
    request->on_done = outcome_set;
    request->ctx = &outcome;
    request->is_alone = true;
    request->entries[0] = utapi_admin_entry(&asked);
    status = utapi_committer_submit(engine->committer, request, err);
    if (status != UTAPI_OK)
        return status;
    (void)UTAPI_TAKE(request);
    return outcome_wait(&outcome, err);
}

utapi_status utapi_engine_preview(utapi_engine *engine, const utapi_admin_act *act, utapi_audit_row *ret,
                                  utapi_error *err)
{
    utapi_admin_act asked = *act;
    asked.asked_ms = utapi_engine_now_ms(engine);
    const utapi_status status = utapi_admin_act_check(&asked, asked.asked_ms, err);
    return status == UTAPI_OK ? utapi_backend_preview(engine->backend, &asked, ret, err) : status;
}

utapi_status utapi_engine_audit(utapi_engine *engine, const utapi_audit_query *what, utapi_audit_cb *on_row,
                                void *ctx, utapi_error *err)
{
    return utapi_backend_audit(engine->backend, what, on_row, ctx, err);
}

/* ---- queries ------------------------------------------------------------------------------ */

utapi_status utapi_engine_list(utapi_engine *engine, utapi_level level, const utapi_string *names,
                               size_t count, utapi_range range, utapi_usage *ret, utapi_error *err)
{
    const utapi_query query = {
        .level = level,
        .names = names,
        .count = count,
        .start = utapi_interval_of(range.start_ms),
        .end = utapi_interval_of(range.end_ms),
    };
    for (size_t i = 0; i < count; i++)
        utapi_usage_clear(&ret[i]);
    if (count == 0 || !records(engine, level))
        return UTAPI_OK;
    const utapi_status status = utapi_backend_read(engine->backend, &query, ret, NULL, err);
    for (size_t i = 0; status == UTAPI_OK && i < count; i++)
        atomic_fetch_add_explicit(&engine->anomalies, utapi_usage_clamp(&ret[i]), memory_order_relaxed);
    return status;
}

utapi_status utapi_engine_storage(utapi_engine *engine, utapi_level level, utapi_string name,
                                  int64_t *ret_bytes, utapi_error *err)
{
    const utapi_range newest = {UTAPI_INTERVAL_MAX, UTAPI_INTERVAL_MAX};
    utapi_usage usage;
    const utapi_status status = utapi_engine_list(engine, level, &name, 1, newest, &usage, err);
    if (status == UTAPI_OK)
        *ret_bytes = (int64_t)usage.storage_utilized[1];
    return status;
}

utapi_status utapi_engine_knows(utapi_engine *engine, utapi_level level, utapi_string name, bool *ret,
                                utapi_error *err)
{
    *ret = !records(engine, level);
    const utapi_status status =
        *ret ? UTAPI_OK : utapi_backend_knows(engine->backend, level, name, ret, NULL);
    return status == UTAPI_OK || status == UTAPI_NOT_SUPPORTED
               ? UTAPI_OK
               : utapi_fail(err, status, "looking \"%.*s\" up", (int)name.size, name.data);
}

utapi_status utapi_engine_health(utapi_engine *engine, utapi_health *ret, utapi_error *err)
{
    *ret = (utapi_health){.anomalies = atomic_load_explicit(&engine->anomalies, memory_order_relaxed)};
    utapi_status status = utapi_backend_stats(engine->backend, &ret->storage, err);
    utapi_backend_journal_stats(engine->backend, &ret->journal);
    if (status == UTAPI_OK)
        status = utapi_backend_dead_letter_stats(engine->backend, &ret->letters, err);
    ret->refuses = ret->storage.refuses;
    memcpy(ret->warning, ret->storage.warning, sizeof ret->warning);
    utapi_committer_health(engine->committer, ret);
    pthread_mutex_lock(&engine->lock);
    memcpy(ret->other_warning, engine->other_warning, sizeof ret->other_warning);
    pthread_mutex_unlock(&engine->lock);
    return status;
}

void utapi_engine_note(utapi_engine *engine, const char *warning)
{
    const int max_size = sizeof engine->other_warning - 1;
    pthread_mutex_lock(&engine->lock);
    (void)snprintf(engine->other_warning, sizeof engine->other_warning, "%.*s", max_size, warning);
    pthread_mutex_unlock(&engine->lock);
}

/* ---- dead letters ------------------------------------------------------------------------- */

utapi_status utapi_engine_dead_letters(utapi_engine *engine, utapi_dead_letter_cb *on_letter, void *ctx,
                                       utapi_error *err)
{
    return utapi_backend_dead_letters(engine->backend, on_letter, ctx, err);
}

utapi_status utapi_engine_acknowledge(utapi_engine *engine, const utapi_acknowledgement *what,
                                      utapi_error *err)
{
    return utapi_backend_acknowledge(engine->backend, what, err);
}

/* The letters that were chosen: copies, with their ids. */
typedef struct letter_choosing {
    utapi_string *wanted; /* owned, sorted; NULL: all */
    size_t wanted_count;
    utapi_entry **entries; /* owned, as each of them */
    size_t count;
    bool is_push; /* what cannot be read is passed over */
    bool failed;  /* for want of memory */
} letter_choosing;

static int id_order(const void *left, const void *right)
{
    return utapi_string_compare(*(const utapi_string *)left, *(const utapi_string *)right);
}

static bool letter_choose(void *ctx, const utapi_dead_letter *letter)
{
    letter_choosing *self = ctx;
    const utapi_string id = utapi_string_of(letter->id);
    if ((self->is_push && letter->levels == 0) ||
        (self->wanted != NULL && bsearch(&id, self->wanted, self->wanted_count, sizeof id, id_order) == NULL))
        return true;
    utapi_entry entry = *letter->entry;
    entry.letter = id;
    if (self->is_push) /* the event's own is known where it counts at other levels */
        entry.uuid = id;
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT; level++)
        if ((letter->levels & UTAPI_LEVEL_BIT(level)) == 0)
            entry.resource[level] = (utapi_string){.size = 0};
    if (entry.resource[UTAPI_BUCKETS].size == 0)
        entry.expiry = UTAPI_EXPIRE_NEVER;
    self->entries[self->count] = utapi_entry_copy(&entry);
    self->failed = self->entries[self->count] == NULL;
    self->count += !self->failed;
    return !self->failed && self->count < UTAPI_LETTERS_AT_ONCE &&
           (self->wanted == NULL || self->count < self->wanted_count);
}

static void letters_free(letter_choosing *self)
{
    for (size_t i = 0; i < self->count; i++)
        free(self->entries[i]);
    free(self->entries);
    free(self->wanted);
}

static utapi_status letters_find(utapi_engine *engine, const utapi_letter_choice *which, bool is_push,
                                 letter_choosing *ret, utapi_error *err)
{
    *ret = (letter_choosing){.wanted_count = which->ids != NULL ? which->count : 0, .is_push = is_push};
    if (ret->wanted_count > UTAPI_LETTERS_AT_ONCE)
        return utapi_fail(err, UTAPI_INVALID, "more than %d ids", UTAPI_LETTERS_AT_ONCE);
    ret->entries = calloc(UTAPI_LETTERS_AT_ONCE, sizeof(utapi_entry *));
    if (which->ids != NULL)
        ret->wanted = malloc((which->count + 1) * sizeof *ret->wanted);
    if (ret->entries == NULL || (which->ids != NULL && ret->wanted == NULL))
        return utapi_fail(err, UTAPI_NO_MEMORY, "dead letters");
    if (ret->wanted_count > 0) {
        memcpy(ret->wanted, which->ids, which->count * sizeof *ret->wanted);
        qsort(ret->wanted, ret->wanted_count, sizeof *ret->wanted, id_order);
    }
    const utapi_status status = utapi_engine_dead_letters(engine, letter_choose, ret, err);
    return ret->failed ? utapi_fail(err, UTAPI_NO_MEMORY, "dead letters") : status;
}

static utapi_status letters_push(utapi_engine *engine, const letter_choosing *chosen, utapi_error *err)
{
    ingest_outcome outcome = {.lock = PTHREAD_MUTEX_INITIALIZER, .known = PTHREAD_COND_INITIALIZER};
    UTAPI_AUTO_FREE utapi_request *request = utapi_request_new(chosen->count);
    if (request == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "%zu dead letters", chosen->count);
    request->on_done = outcome_set;
    request->ctx = &outcome;
    for (size_t i = 0; i < chosen->count; i++)
        request->entries[i] = *chosen->entries[i];
    utapi_status status = request_sort(request, err);
    if (status == UTAPI_OK)
        status = utapi_committer_submit(engine->committer, request, err);
    if (status != UTAPI_OK)
        return status;
    (void)UTAPI_TAKE(request);
    return outcome_wait(&outcome, err);
}

utapi_status utapi_engine_push_letters(utapi_engine *engine, const utapi_letter_choice *which,
                                       size_t *ret_pushed, utapi_error *err)
{
    letter_choosing chosen;
    utapi_status status = letters_find(engine, which, true, &chosen, err);
    if (status == UTAPI_OK && chosen.count > 0)
        status = letters_push(engine, &chosen, err);
    *ret_pushed = chosen.count;
    letters_free(&chosen);
    return status;
}

utapi_status utapi_engine_acknowledge_letters(utapi_engine *engine, const utapi_letter_choice *which,
                                              size_t *ret_acknowledged, utapi_error *err)
{
    letter_choosing chosen;
    utapi_status status = letters_find(engine, which, false, &chosen, err);
    *ret_acknowledged = chosen.count;
    UTAPI_AUTO_FREE utapi_string *ids = calloc(chosen.count + 1, sizeof *ids);
    if (ids == NULL && status == UTAPI_OK)
        status = utapi_fail(err, UTAPI_NO_MEMORY, "dead letters");
    for (size_t i = 0; i < chosen.count && ids != NULL; i++)
        ids[i] = chosen.entries[i]->letter;
    const utapi_acknowledgement what = {.ids = ids, .count = chosen.count};
    if (status == UTAPI_OK)
        status = utapi_backend_acknowledge(engine->backend, &what, err);
    letters_free(&chosen);
    return status;
}
