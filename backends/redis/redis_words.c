/* SPDX-License-Identifier: Apache-2.0 */
/* redis_words.c - a batch as the words of apply.lua: folded, so that a key is named once however many events it takes. */
#include "redis_writing.h"

#include <stdio.h>
#include <string.h>

/* Uuids of one command in the script: Lua hands over 8,000 words at most, and each uuid comes with when it was taken. */
enum { UUIDS_MAX = 2000 };

#define METRIC(metric) (UINT64_C(1) << (metric))
#define STATES         (METRIC(UTAPI_STORAGE_UTILIZED) | METRIC(UTAPI_NUMBER_OF_OBJECTS))
#define COUNT_OF(name) METRIC((unsigned)UTAPI_FIRST_OPERATION + (unsigned)UTAPI_OP_##name)

/* What V1 writes for an operation even where nothing changes. */
static const struct {
    uint64_t operations, metrics;
} written_anyway[] = {
    {COUNT_OF(PUT_OBJECT) | COUNT_OF(REPLICATE_OBJECT), STATES | METRIC(UTAPI_INCOMING_BYTES)},
    {COUNT_OF(COPY_OBJECT) | COUNT_OF(DELETE_OBJECT) | COUNT_OF(MULTI_OBJECT_DELETE), STATES},
    {COUNT_OF(UPLOAD_PART) | COUNT_OF(UPLOAD_PART_COPY),
     METRIC(UTAPI_STORAGE_UTILIZED) | METRIC(UTAPI_INCOMING_BYTES)},
    {COUNT_OF(ABORT_MULTIPART_UPLOAD), METRIC(UTAPI_STORAGE_UTILIZED)},
    {COUNT_OF(GET_OBJECT), METRIC(UTAPI_OUTGOING_BYTES)},
};

static uint64_t metrics_of(utapi_level level, const utapi_sums *sums)
{
    uint64_t metrics = sums->present;
    for (size_t i = 0; i < sizeof written_anyway / sizeof *written_anyway; i++)
        if ((sums->present & written_anyway[i].operations) != 0)
            metrics |= written_anyway[i].metrics;
    if (level == UTAPI_LOCATIONS)
        metrics |= METRIC(UTAPI_STORAGE_UTILIZED);
    return metrics;
}

/* ---- one cell ----------------------------------------------------------------------------- */

static utapi_status amount_add(redis_args *args, const utapi_sums *sums, unsigned metric, utapi_error *err)
{
    const utapi_wide amount = (sums->present & METRIC(metric)) != 0 ? sums->of[metric] : 0;
    if (amount > INT64_MAX || amount < INT64_MIN)
        return utapi_fail(err, UTAPI_OVERFLOW, "%s: does not fit 64 bits", utapi_metric_name(metric));
    utapi_redis_args_add(args, utapi_metric_name(metric));
    utapi_redis_args_number(args, (int64_t)amount);
    return UTAPI_OK;
}

static utapi_status cell_add(redis_writing *writing, const utapi_run *run, const utapi_cell *cell,
                             utapi_error *err)
{
    redis_args *args = &writing->args;
    const uint64_t metrics = metrics_of(run->level, &cell->sums);
    utapi_redis_args_add(args, "C");
    utapi_redis_args_add(args, utapi_level_name(run->level));
    utapi_redis_args_bytes(args, run->name.data, run->name.size);
    utapi_redis_args_number(args, cell->interval);
    utapi_redis_args_number(args, __builtin_popcountll(metrics));
    for (unsigned metric = 0; metric < UTAPI_METRIC_COUNT; metric++) {
        if ((metrics & METRIC(metric)) == 0)
            continue;
        const utapi_status status = amount_add(args, &cell->sums, metric, err);
        if (status != UTAPI_OK)
            return status;
    }
    return UTAPI_OK;
}

static void adjustment_add(redis_args *args, const utapi_adjustment *adjustment)
{
    utapi_redis_args_add(args, "C");
    utapi_redis_args_add(args, utapi_level_name(adjustment->level));
    utapi_redis_args_bytes(args, adjustment->name.data, adjustment->name.size);
    utapi_redis_args_number(args, adjustment->interval);
    utapi_redis_args_number(args, __builtin_popcountll(adjustment->delta->present));
    for (unsigned metric = 0; metric < UTAPI_METRIC_COUNT; metric++) {
        if ((adjustment->delta->present & METRIC(metric)) == 0)
            continue;
        utapi_redis_args_add(args, utapi_metric_name(metric));
        utapi_redis_args_number(args, adjustment->delta->of[metric]);
    }
}

/* ---- one run ------------------------------------------------------------------------------ */

static void expiry_add(redis_args *args, const utapi_run *run)
{
    const utapi_entry *forget = run->forget;
    const bool now = forget->forget == UTAPI_FORGET_NOW;
    utapi_redis_args_add(args, now ? "F" : "A");
    if (now)
        utapi_redis_args_add(args, utapi_level_name(run->level));
    utapi_redis_args_bytes(args, run->name.data, run->name.size);
    utapi_redis_args_number(args, now ? forget->time_ms : forget->forget_at_ms);
}

/* Marks stand in the order of the fold: the next run's is this one or the next. */
static int64_t tombstone_add(redis_writing *writing, const utapi_run *run, size_t *at, bool *is_new)
{
    if (writing->tombstones == NULL)
        return INT64_MIN;
    while (*at < writing->tombstone_count &&
           (writing->tombstones[*at].level != run->level ||
            !utapi_string_equal(writing->tombstones[*at].name, run->name))) {
        ++*at;
        *is_new = true;
    }
    if (*at == writing->tombstone_count)
        return INT64_MIN;
    const redis_tombstone *tombstone = &writing->tombstones[*at];
    if (*is_new) {
        utapi_redis_args_add(&writing->args, "M");
        utapi_redis_args_add(&writing->args, utapi_level_name(run->level));
        utapi_redis_args_bytes(&writing->args, run->name.data, run->name.size);
        utapi_redis_args_add(&writing->args, tombstone->text);
        *is_new = false;
    }
    return tombstone->time_ms;
}

/* *not_before_ms is raised by a forgetting: what the rest of the batch brings of an earlier time does not count. */
static utapi_status run_add(redis_writing *writing, const utapi_fold *fold, utapi_run *run,
                            int64_t *not_before_ms, utapi_error *err)
{
    utapi_cell cell;
    while (utapi_fold_sum(fold, run, *not_before_ms, &cell)) {
        const utapi_status status = cell_add(writing, run, &cell, err);
        if (status != UTAPI_OK)
            return status;
    }
    const utapi_entry *forget = run->forget;
    if (forget == NULL || forget->time_ms < *not_before_ms)
        return UTAPI_OK;
    expiry_add(&writing->args, run);
    if (forget->forget == UTAPI_FORGET_NOW)
        *not_before_ms = forget->time_ms;
    return UTAPI_OK;
}

static utapi_status runs_add(redis_writing *writing, utapi_error *err)
{
    utapi_fold *fold;
    utapi_status status = utapi_fold_new(writing->batch, writing->skip, &fold, err);
    if (status != UTAPI_OK)
        return status;
    size_t at = 0;
    bool is_new = true;
    utapi_run last = {.name = {NULL, 0}};
    int64_t not_before_ms = INT64_MIN;
    for (utapi_run run; status == UTAPI_OK && utapi_fold_next(fold, &run);) {
        if (run.level != last.level || !utapi_string_equal(run.name, last.name))
            not_before_ms = tombstone_add(writing, &run, &at, &is_new);
        last = run;
        status = run_add(writing, fold, &run, &not_before_ms, err);
    }
    utapi_fold_free(fold);
    return status;
}

/* ---- the whole ---------------------------------------------------------------------------- */

void utapi_redis_encode_fence(redis_args *args, const char *prefix, const utapi_fence *fence)
{
    redis_key key = {.size = 0};
    if (utapi_fence_is_set(fence))
        utapi_redis_key_fence(&key, prefix, fence->writer);
    utapi_redis_args_add(args, "1");
    utapi_redis_args_key(args, &key);
}

static int64_t slice_of(const utapi_entry *entry)
{
    return entry->uuid_time_ms / REDIS_DEDUP_MS;
}

static void uuid_add(redis_args *args, const utapi_entry *entry)
{
    char text[24 + UTAPI_NAME_MAX];
    const int size = snprintf(text, sizeof text, "%d:", (int)(entry->uuid_time_ms % REDIS_DEDUP_MS));
    memcpy(text + size, entry->uuid.data, entry->uuid.size);
    utapi_redis_args_copy(args, text, (size_t)size + entry->uuid.size);
}

/* Uuids, those of a slice of their own times together. */
static void uuids_add(redis_writing *writing)
{
    const utapi_entry **uuids = writing->uuids;
    size_t count = 0;
    for (size_t i = 0; i < writing->uuid_count; i++)
        if (!writing->skip[uuids[i] - writing->batch->entries])
            uuids[count++] = uuids[i];
    writing->uuid_count = count;
    for (size_t i = 0; i < count;) {
        size_t end = i + 1;
        while (end < count && end - i < UUIDS_MAX && slice_of(uuids[end]) == slice_of(uuids[i]))
            end++;
        utapi_redis_args_add(&writing->args, "U");
        utapi_redis_args_number(&writing->args, slice_of(uuids[i]));
        utapi_redis_args_number(&writing->args, (int64_t)(end - i));
        for (; i < end; i++)
            uuid_add(&writing->args, uuids[i]);
    }
}

void utapi_redis_encode_number(redis_args *args, uint64_t number)
{
    char text[24];
    const int size = snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    utapi_redis_args_copy(args, text, (size_t)size);
}

static void notices_add(redis_writing *writing)
{
    redis_args *args = &writing->args;
    char text[2 * REDIS_KEY_MAX];
    for (size_t i = 0; i < writing->batch->count; i++) {
        const utapi_entry *entry = &writing->batch->entries[i];
        const utapi_string bucket = entry->resource[UTAPI_BUCKETS];
        if (writing->skip[i] || bucket.size == 0 || entry->action.size == 0)
            continue;
        int size = snprintf(text, sizeof text, "%s:event:%.*s", writing->self->uri.prefix, (int)bucket.size,
                            bucket.data);
        utapi_redis_args_add(args, "P");
        utapi_redis_args_copy(args, text, (size_t)size);
        if (entry->keys.size == 0) {
            utapi_redis_args_bytes(args, entry->action.data, entry->action.size);
            continue;
        }
        utapi_redis_args_joined(args, entry->action, entry->keys);
    }
}

utapi_status utapi_redis_encode(redis_writing *writing, utapi_error *err)
{
    char nonce[40];
    redis_args *args = &writing->args;
    const utapi_batch *batch = writing->batch;
    utapi_redis_nonce(writing->self, nonce);
    utapi_redis_args_clear(args);
    utapi_redis_encode_fence(args, writing->self->uri.prefix, &batch->fence);
    utapi_redis_args_add(args, writing->self->uri.prefix);
    utapi_redis_encode_number(args, batch->fence.from);
    utapi_redis_encode_number(args, batch->fence.to);
    utapi_redis_args_number(args, batch->now_ms);
    utapi_redis_args_number(args, batch->taken_ms);
    utapi_redis_args_number(args, writing->self->window_ms);
    utapi_redis_args_copy(args, nonce, strlen(nonce));
    utapi_redis_args_add(args, writing->tombstones != NULL || writing->adjustments != NULL ? "1" : "0");
    uuids_add(writing);
    for (size_t i = 0; i < writing->adjustment_count; i++)
        adjustment_add(args, &writing->adjustments[i]);
    const utapi_status status = runs_add(writing, err);
    if (status == UTAPI_OK)
        notices_add(writing);
    return status;
}
