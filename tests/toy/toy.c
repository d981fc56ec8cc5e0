/* SPDX-License-Identifier: Apache-2.0 */
/* toy.c - the whole contract with one sorted array, one mutex, and no file: see toy.h.
 *
 * All that is stored is a row under a key: a kind (the five levels, uuids, fences), a name, and a number. A resource
 * is a row with the number HEAD, and behind it stand its deltas, by interval; a question adds them up. Behind the rows
 * in use stand spare ones. A write first sees that there are enough of them: then nothing can fail, and there is
 * nothing to roll back. */
#include "toy.h"

#include "utapi/backend_admin.h"
#include "utapi/scoped.h"

#include <pthread.h>
#include <string.h>

enum { UUIDS = UTAPI_LEVEL_COUNT, FENCES }; /* the kinds that are no levels */

#define HEAD  INT64_MIN
#define NEVER INT64_MIN /* it did not expire yet */
#define UNSET INT64_MAX /* no expiry is scheduled */

typedef struct toy_row {
    unsigned kind;
    utapi_string name;                /* in bytes */
    int64_t number;                   /* a delta's interval, a uuid's time, 0 of a fence, or HEAD */
    int64_t expired_ms, scheduled_ms; /* of a head */
    utapi_amounts delta;
    int64_t accepted_ms; /* of a uuid */
    uint64_t fence;
    char bytes[UTAPI_NAME_MAX];
} toy_row;

typedef struct toy {
    utapi_backend base;
    pthread_mutex_t lock;
    int64_t window_ms;
    utapi_storage_stats stats;
    toy_row **rows; /* those in use, sorted by kind, name, number; then the spare ones */
    size_t count, allocated;
} toy;

static toy *toy_lock(utapi_backend *backend)
{
    toy *self = (toy *)backend;
    pthread_mutex_lock(&self->lock);
    return self;
}

static void toy_unlock(toy *self)
{
    pthread_mutex_unlock(&self->lock);
}

UTAPI_AUTO_DEFINE(toy, toy_unlock)
UTAPI_AUTO_DEFINE(utapi_aggregation, utapi_aggregation_free)

/* ---- rows --------------------------------------------------------------------------------- */

/* Sees that so many rows can be made; false if there is no memory. */
static bool rows_reserve(toy *self, size_t more)
{
    toy_row **rows = realloc(self->rows, (self->allocated + more) * sizeof(toy_row *));
    self->rows = rows != NULL ? rows : self->rows;
    while (rows != NULL && self->allocated < self->count + more) {
        rows[self->allocated] = malloc(sizeof(toy_row));
        if (rows[self->allocated] == NULL)
            return false;
        self->allocated++;
    }
    return rows != NULL;
}

/* The place of a row, or, if there is none, where it would stand. */
static bool row_find(const toy *self, unsigned kind, utapi_string name, int64_t number, size_t *ret)
{
    size_t low = 0, high = self->count;
    int order = 1;
    while (low < high && order != 0) {
        const size_t middle = low + (high - low) / 2;
        const toy_row *row = self->rows[middle];
        order = (row->kind > kind) - (row->kind < kind);
        order = order != 0 ? order : utapi_string_compare(row->name, name);
        order = order != 0 ? order : (row->number > number) - (row->number < number);
        if (order < 0)
            low = middle + 1;
        else
            high = middle; /* the row itself ends the search */
    }
    *ret = order == 0 ? high : low;
    return order == 0;
}

/* Whether a row is a delta of the same resource as the one before it. */
static bool row_goes_on(const toy *self, size_t at)
{
    return at < self->count && self->rows[at]->kind == self->rows[at - 1]->kind &&
           self->rows[at]->number != HEAD;
}

/* One row more, or one less. */
static void row_count(toy *self, size_t at, uint64_t one)
{
    const toy_row *row = self->rows[at];
    const bool is_delta = row->kind < UUIDS && row->number != HEAD;
    self->stats.uuids += row->kind == UUIDS ? one : 0;
    self->stats.rows += is_delta ? one : 0;
    if (is_delta && self->rows[at - 1]->number == HEAD && !row_goes_on(self, at + 1))
        self->stats.resources += one;
}

/* A row, made with an empty value if there is none. */
static toy_row *row_ensure(toy *self, unsigned kind, utapi_string name, int64_t number)
{
    size_t at;
    if (row_find(self, kind, name, number, &at))
        return self->rows[at];
    toy_row *row = self->rows[self->count];
    memmove(self->rows + at + 1, self->rows + at, (self->count++ - at) * sizeof(toy_row *));
    *row = (toy_row){kind, {row->bytes, name.size}, number, .expired_ms = NEVER, .scheduled_ms = UNSET};
    memcpy(row->bytes, name.data, name.size);
    self->rows[at] = row;
    row_count(self, at, 1);
    return row;
}

static void row_remove(toy *self, size_t at)
{
    toy_row *row = self->rows[at];
    row_count(self, at, UINT64_MAX);
    memmove(self->rows + at, self->rows + at + 1, (--self->count - at) * sizeof(toy_row *));
    self->rows[self->count] = row;
}

/* ---- writing ------------------------------------------------------------------------------ */

static void expire(toy *self, toy_row *head, int64_t time_ms)
{
    size_t at;
    if (time_ms < head->expired_ms)
        return;
    head->expired_ms = time_ms;
    (void)row_find(self, head->kind, head->name, HEAD, &at);
    while (row_goes_on(self, at + 1) && self->rows[at + 1]->number <= time_ms)
        row_remove(self, at + 1);
}

/* Whether a uuid that came at one time is forgotten at another. */
static bool is_over(const toy *self, int64_t came_ms, int64_t accepted_ms)
{
    return accepted_ms > came_ms && accepted_ms - came_ms > self->window_ms;
}

/* Carries out what is due, and drops old uuids. */
static void sweep(toy *self, int64_t now_ms, int64_t accepted_ms)
{
    for (size_t i = self->count; i-- > 0;) {
        toy_row *row = self->rows[i];
        if (row->kind == UUIDS && is_over(self, row->accepted_ms, accepted_ms))
            row_remove(self, i);
        if (row->kind >= UUIDS || row->number != HEAD || row->scheduled_ms > now_ms)
            continue;
        expire(self, row, row->scheduled_ms);
        row->scheduled_ms = UNSET;
    }
}

/* skip: which of the entries before this one are repetitions. */
static bool is_repetition(const toy *self, const utapi_batch *batch, size_t index, const bool *skip)
{
    const utapi_entry *entry = &batch->entries[index];
    size_t at;
    if (entry->uuid.size == 0 || self->window_ms == 0)
        return false;
    for (size_t i = 0; i < index; i++) {
        const utapi_entry *before = &batch->entries[i];
        if (!skip[i] && before->uuid_time_ms == entry->uuid_time_ms &&
            utapi_string_equal(before->uuid, entry->uuid) &&
            !is_over(self, before->accepted_ms, entry->accepted_ms))
            return true;
    }
    return row_find(self, UUIDS, entry->uuid, entry->uuid_time_ms, &at) &&
           !is_over(self, self->rows[at]->accepted_ms, entry->accepted_ms);
}

/* Remembers the uuid of an entry that is no repetition. */
static void uuid_add(toy *self, const utapi_entry *entry)
{
    if (entry->uuid.size > 0 && self->window_ms > 0)
        row_ensure(self, UUIDS, entry->uuid, entry->uuid_time_ms)->accepted_ms = entry->accepted_ms;
}

static void run_store(toy *self, const utapi_aggregation *aggregation, utapi_resource_run run)
{
    toy_row *head = row_ensure(self, run.level, run.name, HEAD);
    const int64_t expired_ms = head->expired_ms;
    for (utapi_interval_delta delta; utapi_aggregation_sum(aggregation, &run, expired_ms, &delta);) {
        utapi_amounts_add(&row_ensure(self, run.level, run.name, delta.interval)->delta, &delta.sums);
        head->scheduled_ms = UNSET;
    }
    if (run.expiry == NULL || run.expiry->time_ms < expired_ms)
        return;
    if (run.expiry->expiry == UTAPI_EXPIRE_NOW)
        expire(self, head, run.expiry->time_ms);
    else
        head->scheduled_ms = run.expiry->expire_at_ms;
}

static uint64_t fence_of(const toy *self, const unsigned char writer[16])
{
    size_t at;
    const utapi_string name = {(const char *)writer, 16};
    return row_find(self, FENCES, name, 0, &at) ? self->rows[at]->fence : 0;
}

static utapi_status toy_apply(utapi_backend *backend, const utapi_batch *batch, utapi_applied *ret,
                              utapi_error *err)
{
    UTAPI_AUTO(toy) *self = toy_lock(backend);
    UTAPI_AUTO(utapi_aggregation) *aggregation = NULL;
    const bool is_fenced = utapi_fence_is_set(&batch->fence);
    utapi_applied applied = {.fence = is_fenced ? fence_of(self, batch->fence.writer) : 0};
    if (is_fenced && applied.fence != batch->fence.from) {
        ret->fence = applied.fence;
        return utapi_fail(err, UTAPI_FENCED, "toy: the writer's fence stands elsewhere");
    }
    UTAPI_AUTO_FREE bool *skip = calloc(batch->count + 1, sizeof *skip);
    /* A uuid of each entry, at each level a head and a delta, and the fence. */
    if (skip == NULL || !rows_reserve(self, batch->count * (1 + 2 * UTAPI_LEVEL_COUNT) + 1))
        return utapi_fail(err, UTAPI_NO_MEMORY, "toy: no memory");
    for (size_t i = 0; i < batch->count; i++) {
        skip[i] = is_repetition(self, batch, i, skip);
        applied.repeated += skip[i];
    }
    const utapi_status status = utapi_aggregation_new(batch, skip, &aggregation, err);
    if (status != UTAPI_OK)
        return status;

    sweep(self, batch->now_ms, utapi_batch_accepted_ms(batch));
    for (utapi_resource_run run; utapi_aggregation_next(aggregation, &run);)
        run_store(self, aggregation, run);
    for (size_t i = 0; i < batch->count; i++)
        if (!skip[i])
            uuid_add(self, &batch->entries[i]);
    if (is_fenced) {
        const utapi_string writer = {(const char *)batch->fence.writer, sizeof batch->fence.writer};
        row_ensure(self, FENCES, writer, 0)->fence = applied.fence = batch->fence.to;
    }
    *ret = applied;
    return UTAPI_OK;
}

static utapi_status toy_maintain(utapi_backend *backend, int64_t now_ms, int64_t accepted_ms,
                                 utapi_error *err)
{
    UTAPI_AUTO(toy) *self = toy_lock(backend);
    (void)err;
    sweep(self, now_ms, accepted_ms);
    return UTAPI_OK;
}

/* ---- reading ------------------------------------------------------------------------------ */

static void usage_read(const toy *self, const utapi_query *query, utapi_string name, utapi_usage *ret)
{
    size_t at;
    utapi_usage_clear(ret);
    if (!row_find(self, query->level, name, HEAD, &at))
        return;
    if (self->rows[at]->expired_ms != NEVER)
        ret->expired_ms = self->rows[at]->expired_ms;
    while (row_goes_on(self, ++at) && self->rows[at]->number <= query->end) {
        const toy_row *row = self->rows[at];
        for (int bound = row->number <= query->start ? 0 : 1; bound < 2; bound++) {
            ret->storage_utilized[bound] += utapi_amounts_get(&row->delta, UTAPI_STORAGE_UTILIZED);
            ret->number_of_objects[bound] += utapi_amounts_get(&row->delta, UTAPI_NUMBER_OF_OBJECTS);
        }
        if (row->number >= query->start)
            utapi_amounts_add(&ret->flows, &row->delta);
    }
    ret->flows.present &= ~(UINT64_C(1) << UTAPI_STORAGE_UTILIZED | UINT64_C(1) << UTAPI_NUMBER_OF_OBJECTS);
}

static utapi_status toy_read(utapi_backend *backend, const utapi_query *query, utapi_usage *ret,
                             uint64_t *ret_fences, utapi_error *err)
{
    UTAPI_AUTO(toy) *self = toy_lock(backend);
    (void)err;
    for (size_t i = 0; i < query->count; i++)
        usage_read(self, query, query->names[i], &ret[i]);
    for (size_t i = 0; ret_fences != NULL && (i < query->count || i == 0); i++)
        ret_fences[i] = fence_of(self, query->writer);
    return UTAPI_OK;
}

static utapi_status toy_stats(utapi_backend *backend, utapi_storage_stats *ret, utapi_error *err)
{
    UTAPI_AUTO(toy) *self = toy_lock(backend);
    (void)err;
    *ret = self->stats;
    return UTAPI_OK;
}

/* ---- administration ----------------------------------------------------------------------- */

static utapi_status toy_list(utapi_backend *backend, utapi_level level, utapi_resource_cb *on_resource,
                             void *ctx, utapi_error *err)
{
    UTAPI_AUTO(toy) *self = toy_lock(backend);
    (void)err;
    for (size_t i = 0; i < self->count; i++)
        if (self->rows[i]->kind == level && self->rows[i]->number == HEAD && row_goes_on(self, i + 1) &&
            !on_resource(ctx, self->rows[i]->name))
            break;
    return UTAPI_OK;
}

static utapi_status toy_export(utapi_backend *backend, const utapi_export *what, utapi_export_cb *on_row,
                               utapi_unreadable_cb *on_unreadable, void *ctx, utapi_error *err)
{
    UTAPI_AUTO(toy) *self = toy_lock(backend);
    const bool in_totals = what->form == UTAPI_EXPORT_TOTALS;
    utapi_amounts totals = {.present = 0};
    (void)on_unreadable;
    (void)err;
    for (size_t i = 0; i < self->count && self->rows[i]->kind < UUIDS; i++) {
        const toy_row *row = self->rows[i];
        const utapi_export_row told = {(utapi_level)row->kind, row->name, row->number,
                                       in_totals ? &totals : &row->delta};
        const bool is_newest = !row_goes_on(self, i + 1) || self->rows[i + 1]->number >= what->start;
        if (row->number == HEAD)
            utapi_amounts_clear(&totals);
        utapi_amounts_add(&totals, &row->delta);
        if (row->number != HEAD && (what->level == UTAPI_LEVEL_COUNT || what->level == row->kind) &&
            (what->name.size == 0 || utapi_string_equal(what->name, row->name)) && row->number <= what->end &&
            (row->number >= what->start || (in_totals && is_newest)) && !on_row(ctx, &told))
            break;
    }
    return UTAPI_OK;
}

static utapi_status toy_adjust(utapi_backend *backend, const utapi_adjustment *adjustments, size_t count,
                               size_t *ret_count, utapi_error *err)
{
    UTAPI_AUTO(toy) *self = toy_lock(backend);
    if (!rows_reserve(self, 2 * count))
        return utapi_fail(err, UTAPI_NO_MEMORY, "toy: no memory");
    *ret_count = count;
    for (size_t i = 0; i < count; i++) {
        const utapi_adjustment *each = &adjustments[i];
        const int64_t expired_ms = row_ensure(self, each->level, each->name, HEAD)->expired_ms;
        const int64_t at_ms = each->interval < expired_ms ? expired_ms : each->interval;
        toy_row *row = row_ensure(self, each->level, each->name, utapi_interval_of(at_ms));
        utapi_amounts_add(&row->delta, each->delta);
    }
    return UTAPI_OK;
}

static utapi_status toy_expire(utapi_backend *backend, utapi_level level, utapi_string name, int64_t time_ms,
                               utapi_error *err)
{
    UTAPI_AUTO(toy) *self = toy_lock(backend);
    if (!rows_reserve(self, 1))
        return utapi_fail(err, UTAPI_NO_MEMORY, "toy: no memory");
    expire(self, row_ensure(self, level, name, HEAD), time_ms);
    return UTAPI_OK;
}

static utapi_status toy_fences(utapi_backend *backend, utapi_fence_cb *on_fence, void *ctx, utapi_error *err)
{
    UTAPI_AUTO(toy) *self = toy_lock(backend);
    (void)err;
    for (size_t i = 0; i < self->count; i++)
        if (self->rows[i]->kind == FENCES && self->rows[i]->fence != 0 &&
            !on_fence(ctx, (const unsigned char *)self->rows[i]->bytes, self->rows[i]->fence))
            break;
    return UTAPI_OK;
}

/* ---- the table ---------------------------------------------------------------------------- */

static utapi_status toy_open(const utapi_backend_options *options, utapi_backend **ret, utapi_error *err)
{
    if (options->dedup_window_ms < 0)
        return utapi_fail(err, UTAPI_INVALID, "toy: the window is negative");
    toy *self = calloc(1, sizeof *self);
    if (self == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "toy: no memory");
    self->base.ops = &utapi_toy_backend;
    self->window_ms = options->dedup_window_ms;
    pthread_mutex_init(&self->lock, NULL);
    *ret = &self->base;
    return UTAPI_OK;
}

static void toy_close(utapi_backend *backend)
{
    toy *self = (toy *)backend;
    while (self->allocated > 0)
        free(self->rows[--self->allocated]);
    free(self->rows);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

static const utapi_admin_ops administration = {
    .list = toy_list,
    .export = toy_export,
    .adjust = toy_adjust,
    .expire = toy_expire,
    .fences = toy_fences,
};

const utapi_backend_ops utapi_toy_backend = {
    .version = UTAPI_BACKEND_VERSION,
    .name = "toy",
    .open = toy_open,
    .apply = toy_apply,
    .read = toy_read,
    .stats = toy_stats,
    .maintain = toy_maintain,
    .close = toy_close,
    .admin = &administration,
};
