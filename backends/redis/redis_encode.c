/* SPDX-License-Identifier: Apache-2.0 */
/* redis_encode.c - a batch as the arguments of apply.lua: aggregated, so that a key is named once however many
 * events it takes. */
#include "redis_write.h"

#include <stdio.h>
#include <string.h>

/* Uuids of one command in the script: Lua hands over 8,000 words at most, and each uuid comes with when it was
 * taken. */
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

static utapi_status delta_add(redis_args *args, utapi_level level, utapi_string name, utapi_interval interval,
                              uint64_t metrics, const utapi_sums *sums, utapi_error *err)
{
    utapi_redis_args_add(args, "C");
    utapi_redis_args_add(args, utapi_level_name(level));
    utapi_redis_args_bytes(args, name.data, name.size);
    utapi_redis_args_number(args, interval);
    utapi_redis_args_number(args, __builtin_popcountll(metrics));
    for (; metrics != 0; metrics &= metrics - 1) {
        const unsigned metric = (unsigned)__builtin_ctzll(metrics);
        const utapi_wide amount = (sums->present & METRIC(metric)) != 0 ? sums->of[metric] : 0;
        if (amount > INT64_MAX || amount < INT64_MIN)
            return utapi_fail(err, UTAPI_OVERFLOW, "%s: does not fit 64 bits", utapi_metric_name(metric));
        utapi_redis_args_add(args, utapi_metric_name(metric));
        utapi_redis_args_number(args, (int64_t)amount);
    }
    return UTAPI_OK;
}

/* ---- one run ------------------------------------------------------------------------------ */

/* Tombstones stand in the order of the fold: the next run's is this one or the next. */
static int64_t tombstone_add(redis_write *write, const utapi_resource_run *run, size_t *at, bool *is_new)
{
    if (write->tombstones == NULL)
        return INT64_MIN;
    while (*at < write->tombstone_count && (write->tombstones[*at].level != run->level ||
                                            !utapi_string_equal(write->tombstones[*at].name, run->name))) {
        ++*at;
        *is_new = true;
    }
    if (*at == write->tombstone_count)
        return INT64_MIN;
    const redis_tombstone *tombstone = &write->tombstones[*at];
    if (*is_new) {
        utapi_redis_args_add(&write->args, "M");
        utapi_redis_args_add(&write->args, utapi_level_name(run->level));
        utapi_redis_args_bytes(&write->args, run->name.data, run->name.size);
        utapi_redis_args_add(&write->args, tombstone->text);
        *is_new = false;
    }
    return tombstone->time_ms;
}

/* *not_before_ms is raised by an expiry: what the rest of the batch brings of an earlier time does not count. */
static utapi_status run_add(redis_write *write, const utapi_aggregation *fold, utapi_resource_run *run,
                            int64_t *not_before_ms, utapi_error *err)
{
    redis_args *args = &write->args;
    utapi_interval_delta cell;
    while (utapi_aggregation_sum(fold, run, *not_before_ms, &cell)) {
        const utapi_status status = delta_add(args, run->level, run->name, cell.interval,
                                              metrics_of(run->level, &cell.sums), &cell.sums, err);
        if (status != UTAPI_OK)
            return status;
    }
    const utapi_entry *entry = run->expiry;
    if (entry == NULL || entry->time_ms < *not_before_ms)
        return UTAPI_OK;
    const bool is_now = entry->expiry == UTAPI_EXPIRE_NOW;
    utapi_redis_args_add(args, is_now ? "F" : "A");
    if (is_now)
        utapi_redis_args_add(args, utapi_level_name(run->level));
    utapi_redis_args_bytes(args, run->name.data, run->name.size);
    utapi_redis_args_number(args, is_now ? entry->time_ms : entry->expire_at_ms);
    if (is_now)
        *not_before_ms = entry->time_ms;
    return UTAPI_OK;
}

static utapi_status runs_add(redis_write *write, utapi_error *err)
{
    utapi_aggregation *fold;
    utapi_status status = utapi_aggregation_new(&write->batch, write->skip, &fold, err);
    if (status != UTAPI_OK)
        return status;
    size_t at = 0;
    bool is_new = true;
    utapi_resource_run last = {.name = {NULL, 0}};
    int64_t not_before_ms = INT64_MIN;
    for (utapi_resource_run run; status == UTAPI_OK && utapi_aggregation_next(fold, &run);) {
        if (run.level != last.level || !utapi_string_equal(run.name, last.name))
            not_before_ms = tombstone_add(write, &run, &at, &is_new);
        last = run;
        status = run_add(write, fold, &run, &not_before_ms, err);
    }
    utapi_aggregation_free(fold);
    return status;
}

/* ---- the whole ---------------------------------------------------------------------------- */

void utapi_redis_encode_fence(redis_args *args, const char *prefix, const utapi_fence *fence)
{
    redis_key key = {.size = 0};
    if (utapi_fence_is_set(fence))
        utapi_redis_key_fence(&key, prefix, fence->writer);
    utapi_redis_args_script(args, 1);
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
static void uuids_add(redis_write *write)
{
    const utapi_entry **uuids = write->uuids;
    size_t count = 0;
    for (size_t i = 0; i < write->uuid_count; i++)
        if (!write->skip[uuids[i] - write->batch.entries])
            uuids[count++] = uuids[i];
    write->uuid_count = count;
    for (size_t i = 0; i < count;) {
        size_t end = i + 1;
        while (end < count && end - i < UUIDS_MAX && slice_of(uuids[end]) == slice_of(uuids[i]))
            end++;
        utapi_redis_args_add(&write->args, "U");
        utapi_redis_args_number(&write->args, slice_of(uuids[i]));
        utapi_redis_args_number(&write->args, (int64_t)(end - i));
        for (size_t at = i; at < end; at++)
            uuid_add(&write->args, uuids[at]);
        for (; i < end; i++)
            utapi_redis_args_number(&write->args, uuids[i]->accepted_ms);
    }
}

void utapi_redis_encode_number(redis_args *args, uint64_t number)
{
    char text[24];
    const int size = snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    utapi_redis_args_copy(args, text, (size_t)size);
}

void utapi_redis_encode_nonce(redis_args *args, redis_backend *self)
{
    char text[40];
    const int size = snprintf(text, sizeof text, "%016llx.%llx", (unsigned long long)self->nonce,
                              (unsigned long long)self->nonce_count++);
    utapi_redis_args_copy(args, text, (size_t)size);
}

static void notices_add(redis_write *write)
{
    redis_args *args = &write->args;
    char text[2 * REDIS_KEY_MAX];
    for (size_t i = 0; i < write->batch.count; i++) {
        const utapi_entry *entry = &write->batch.entries[i];
        const utapi_string bucket = entry->resource[UTAPI_BUCKETS];
        if (write->skip[i] || bucket.size == 0 || entry->action.size == 0)
            continue;
        int size = snprintf(text, sizeof text, "%s:event:%.*s", write->self->uri.prefix, (int)bucket.size,
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

utapi_status utapi_redis_encode(redis_write *write, utapi_error *err)
{
    redis_args *args = &write->args;
    const utapi_batch *batch = &write->batch;
    utapi_redis_args_clear(args);
    utapi_redis_encode_fence(args, write->self->uri.prefix, &batch->fence);
    utapi_redis_args_add(args, write->self->uri.prefix);
    utapi_redis_encode_number(args, batch->fence.from);
    utapi_redis_encode_number(args, batch->fence.to);
    utapi_redis_args_number(args, batch->now_ms);
    utapi_redis_args_number(args, write->self->window_ms);
    utapi_redis_encode_nonce(args, write->self);
    utapi_redis_args_add(args, write->tombstones != NULL || write->adjustments != NULL ? "1" : "0");
    uuids_add(write);
    utapi_status status = UTAPI_OK;
    for (size_t i = 0; i < write->adjustment_count && status == UTAPI_OK; i++) {
        const utapi_adjustment *one = &write->adjustments[i];
        utapi_sums sums = {.present = 0};
        utapi_sums_add_amounts(&sums, one->delta);
        status = delta_add(args, one->level, one->name, one->interval, sums.present, &sums, err);
    }
    if (status == UTAPI_OK)
        status = runs_add(write, err);
    if (status == UTAPI_OK)
        notices_add(write);
    return status;
}
