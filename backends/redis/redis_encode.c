/* SPDX-License-Identifier: Apache-2.0 */
/* redis_encode.c - how much of a batch one script stores, and that as the arguments of apply.lua: aggregated, so that a
 * key is named once however many events it takes.
 *
 * Redis serves nobody else while a script runs. How long it will run is foretold from what it brings: each entry, each
 * delta (a resource in an interval, which is several keys), each further operation of one, and the beginning or end of
 * a bucket. How long it really took corrects that, since machines differ, and one machine from hour to hour. */
#include "redis_write.h"

#include "utapi/hash.h"
#include "utapi/scoped.h"

#include <stdio.h>
#include <string.h>

UTAPI_AUTO_DEFINE(utapi_aggregation, utapi_aggregation_free)

/* ---- the budget --------------------------------------------------------------------------- */

/* What adds to the time of a script, in microseconds of Redis's own thread. They began as a fit to the scripts of
 * utapi-bench's few.1000, ingest.64 and batch.1000 on an AMD EPYC, where a warm delta took 20, and were then set
 * by hand so that tests/system/test_redis_limits.py stays below 10 ms. */
enum {
    SCRIPT_US = 250,
    ENTRY_US = 4,          /* its uuid */
    NOTICE_US = 4,         /* to those who listen, if anybody does */
    WARM_DELTA_US = 28,    /* recently written: its keys are there and cached */
    COLD_DELTA_US = 40,    /* any other, among millions of keys */
    LATE_DELTA_US = 100,   /* changes later states too */
    OPERATION_US = 3,      /* a further one of a delta */
    CREATION_US = 90,      /* looks at all that may be left of an earlier bucket */
    EXPIRY_US = 150,       /* takes all of it away, */
    LATE_EXPIRY_US = 6000, /* which may be of a whole year */
    BUDGET_US = 7500,      /* a script should take no more, for it must not take 10 ms */
    MIN_PERCENT = 80,      /* of what is foretold, that scripts are believed to take */
    MAX_PERCENT = 400,
    LEARN_US = 500,       /* what is foretold to be shorter says little of the machine */
    KNOWN_CAPACITY = 8192 /* a power of two: at most two thirds of a hash table are used */
};
_Static_assert(3 * 100 * (BUDGET_US / WARM_DELTA_US + BUDGET_US / OPERATION_US) <=
                   2 * MIN_PERCENT * KNOWN_CAPACITY,
               "what a budget may hold");

/* What a prefix of a batch takes so far. Deltas and the operations in them are told apart by hash: a collision makes
 * the prefix too long by one. */
typedef struct budget {
    uint64_t known[KNOWN_CAPACITY]; /* a hash table; 0: free */
    uint64_t *warm;                 /* the backend's: a recently written delta lies where its hash says */
    unsigned us;
} budget;

/* Adds a hash if it is new; returns whether it was. */
static bool known_add(budget *self, uint64_t hash)
{
    size_t at = (hash >> 1) % KNOWN_CAPACITY;
    while (self->known[at] != 0 && self->known[at] != hash)
        at = (at + 1) % KNOWN_CAPACITY;
    if (self->known[at] == hash)
        return false;
    self->known[at] = hash;
    return true;
}

static void delta_weigh(budget *self, uint64_t hash, utapi_operation operation, bool is_late)
{
    uint64_t *warm = &self->warm[(hash >> 1) % REDIS_WARM_DELTAS];
    const bool is_new = known_add(self, hash);
    const uint64_t with_operation = (hash + (uint64_t)operation * UINT64_C(0x9e3779b97f4a7c15)) | 1;
    if (operation != UTAPI_OP_NONE && known_add(self, with_operation) && !is_new)
        self->us += OPERATION_US;
    if (!is_new)
        return;
    self->us += is_late ? LATE_DELTA_US : *warm == hash ? WARM_DELTA_US : COLD_DELTA_US;
    *warm = hash;
}

/* Adds an entry; false if it may not fit. It may well bring nothing new; but what a look ahead adds would have to be
 * removed again. */
static bool entry_weigh(budget *self, const utapi_entry *entry, int64_t now_ms, unsigned max_us)
{
    const utapi_interval interval = utapi_interval_of(entry->time_ms);
    const bool is_late = interval < utapi_interval_of(now_ms) - UTAPI_INTERVAL_MS;
    unsigned us = ENTRY_US + (entry->action.size > 0 ? NOTICE_US : 0);
    if (entry->operation == UTAPI_OP_CREATE_BUCKET)
        us += CREATION_US;
    if (entry->expiry == UTAPI_EXPIRE_NOW)
        us += is_late ? LATE_EXPIRY_US : EXPIRY_US;
    const unsigned deltas_us = UTAPI_LEVEL_COUNT * (unsigned)(is_late ? LATE_DELTA_US : COLD_DELTA_US);
    if (self->us > SCRIPT_US && self->us + us + deltas_us > max_us)
        return false;
    self->us += us;
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT; level++) {
        const utapi_string name = entry->resource[level];
        if (name.size == 0)
            continue;
        uint64_t hash = utapi_hash_add(UTAPI_HASH_SEED + level, &interval, sizeof interval);
        hash = utapi_hash_end(utapi_hash_add(hash, name.data, name.size));
        delta_weigh(self, hash | 1, entry->operation, is_late);
    }
    return true;
}

size_t utapi_redis_budget(redis_backend *self, const utapi_batch *batch, unsigned *ret_us)
{
    budget so_far = {.warm = self->warm, .us = SCRIPT_US};
    const unsigned max_us = 100 * BUDGET_US / self->script_percent;
    size_t count = 0;
    while (count < batch->count && entry_weigh(&so_far, &batch->entries[count], batch->now_ms, max_us))
        count++;
    *ret_us = so_far.us;
    return count;
}

void utapi_redis_budget_learn(redis_backend *self, unsigned foretold_us, int64_t took_us)
{
    if (foretold_us < LEARN_US)
        return;
    const int64_t percent = self->script_percent, took = 100 * took_us / foretold_us;
    const int64_t min = percent - percent / 16, max = percent + percent / 16; /* so that half take longer */
    const int64_t next = took < min ? min : took > max ? max : took;
    if (next >= MIN_PERCENT && next <= MAX_PERCENT)
        self->script_percent = (unsigned)next;
}

/* ---- one resource ------------------------------------------------------------------------- */

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

static uint64_t metrics_of(utapi_level level, const utapi_amounts *sums)
{
    uint64_t metrics = sums->present;
    for (size_t i = 0; i < sizeof written_anyway / sizeof *written_anyway; i++)
        if ((sums->present & written_anyway[i].operations) != 0)
            metrics |= written_anyway[i].metrics;
    if (level == UTAPI_LOCATIONS)
        metrics |= METRIC(UTAPI_STORAGE_UTILIZED);
    return metrics;
}

static utapi_status delta_add(redis_write *write, utapi_level level, utapi_string name,
                              utapi_interval interval, uint64_t metrics, const utapi_amounts *sums,
                              utapi_error *err)
{
    redis_args *args = &write->self->writer->args;
    utapi_redis_args_words(args, "C", utapi_level_name(level), NULL);
    utapi_redis_args_bytes(args, name.data, name.size);
    utapi_redis_args_number(args, interval);
    utapi_redis_args_number(args, __builtin_popcountll(metrics));
    for (; metrics != 0; metrics &= metrics - 1) {
        const unsigned metric = (unsigned)__builtin_ctzll(metrics);
        const utapi_wide amount = utapi_amounts_get(sums, metric);
        if (!utapi_wide_fits(amount)) {
            const redis_unfit cell = {level, name, interval, metric, .is_full = true};
            utapi_redis_unfit_tell(write, &cell);
            return utapi_fail(err, UTAPI_OVERFLOW, "%s %.*s: %s: does not fit 64 bits",
                              utapi_level_name(level), (int)utapi_string_cut(name, 100).size, name.data,
                              utapi_metric_name(metric));
        }
        utapi_redis_args_add(args, utapi_metric_name(metric));
        utapi_redis_args_number(args, (int64_t)amount);
    }
    return UTAPI_OK;
}

/* ---- entries that do not fit ---------------------------------------------------------------- */

/* What an entry brings a cell; false: nothing, not even a zero. */
static bool entry_brings(const redis_write *write, size_t i, const redis_unfit *cell, int64_t *ret)
{
    const utapi_entry *entry = &write->batch.entries[i];
    utapi_amounts amounts = {.present = 0};
    if (write->skip[i] || !utapi_string_equal(entry->resource[cell->level], cell->name) ||
        (cell->interval != INT64_MIN && utapi_interval_of(entry->time_ms) != cell->interval))
        return false;
    for (unsigned m = 0; m < UTAPI_FIRST_OPERATION; m++)
        if (entry->delta[m] != 0)
            utapi_amounts_set(&amounts, m, entry->delta[m]);
    if (entry->operation != UTAPI_OP_NONE)
        utapi_amounts_set(&amounts, UTAPI_FIRST_OPERATION + (unsigned)entry->operation, 1);
    *ret = (int64_t)utapi_amounts_get(&amounts, cell->metric);
    return (metrics_of(cell->level, &amounts) & METRIC(cell->metric)) != 0;
}

void utapi_redis_unfit_tell(redis_write *write, const redis_unfit *cell)
{
    const utapi_level_set level = UTAPI_LEVEL_BIT(cell->level);
    utapi_wide total = cell->total;
    bool is_told = false;
    /* The second time if all fit in this order: the script adds them up in another one. */
    for (int round = 0; round < 2 && !is_told && write->batch.unfit != NULL; round++)
        for (size_t i = 0; i < write->batch.count; i++) {
            int64_t amount;
            if (!entry_brings(write, i, cell, &amount))
                continue;
            if (cell->is_full && round == 0 && utapi_wide_fits(total + amount)) {
                total += amount;
                continue;
            }
            write->batch.unfit[i] |= level;
            is_told = true;
        }
}

/* Tombstones stand in the order of the aggregation: a resource's is the current one or a later one. */
static int64_t tombstone_add(redis_write *write, const utapi_resource_run *run, size_t *at)
{
    redis_args *args = &write->self->writer->args;
    if (write->tombstones == NULL)
        return INT64_MIN;
    while (*at < write->tombstone_count && (write->tombstones[*at].level != run->level ||
                                            !utapi_string_equal(write->tombstones[*at].name, run->name)))
        ++*at;
    if (*at == write->tombstone_count)
        return INT64_MIN;
    utapi_redis_args_words(args, "M", utapi_level_name(run->level), NULL);
    utapi_redis_args_bytes(args, run->name.data, run->name.size);
    utapi_redis_args_add(args, write->tombstones[*at].text);
    return write->tombstones[*at].time_ms;
}

/* *not_before_ms is raised by an expiry: what the rest of the batch brings of an earlier time does not count. */
static utapi_status run_add(redis_write *write, const utapi_aggregation *fold, utapi_resource_run *run,
                            int64_t *not_before_ms, utapi_error *err)
{
    redis_args *args = &write->self->writer->args;
    utapi_interval_delta delta;
    while (utapi_aggregation_sum(fold, run, *not_before_ms, &delta)) {
        const utapi_status status = delta_add(write, run->level, run->name, delta.interval,
                                              metrics_of(run->level, &delta.sums), &delta.sums, err);
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
    UTAPI_AUTO(utapi_aggregation) *fold = NULL;
    utapi_status status = utapi_aggregation_new(&write->batch, write->skip, &fold, err);
    size_t at = 0;
    utapi_resource_run last = {.name = {NULL, 0}};
    int64_t not_before_ms = INT64_MIN;
    for (utapi_resource_run run; status == UTAPI_OK && utapi_aggregation_next(fold, &run);) {
        if (run.level != last.level || !utapi_string_equal(run.name, last.name))
            not_before_ms = tombstone_add(write, &run, &at);
        last = run;
        status = run_add(write, fold, &run, &not_before_ms, err);
    }
    return status;
}

/* ---- an operator's act -------------------------------------------------------------------- */

static utapi_status act_add(redis_write *write, const utapi_admin_act *act, utapi_error *err)
{
    redis_args *args = &write->self->writer->args;
    const utapi_audit_row row = {.act = *act, .interval = utapi_interval_of(act->time_ms)};
    const uint64_t watched = act->refused.size == 0 ? utapi_admin_watched(act) : 0;
    const char *level = utapi_level_name(act->level);
    UTAPI_AUTO_FREE unsigned char *bytes = malloc(utapi_audit_row_max(act));
    if (bytes == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "an act");
    utapi_redis_args_words(args, "R", level, NULL);
    utapi_redis_args_bytes(args, act->name.data, act->name.size);
    utapi_redis_args_number(args, row.interval);
    utapi_redis_args_bytes(args, act->id.data, act->id.size);
    utapi_redis_args_copy(args, bytes, utapi_audit_row_encode(&row, bytes));
    utapi_redis_args_number(args, __builtin_popcountll(watched));
    for (uint64_t left = watched; left != 0; left &= left - 1)
        utapi_redis_args_add(args, utapi_metric_name((unsigned)__builtin_ctzll(left)));
    if (act->refused.size > 0)
        return UTAPI_OK;
    if (act->kind == UTAPI_ADMIN_ADJUST)
        return delta_add(write, act->level, act->name, row.interval, watched & act->amounts.present,
                         &act->amounts, err);
    utapi_redis_args_words(args, "F", level, NULL);
    utapi_redis_args_bytes(args, act->name.data, act->name.size);
    utapi_redis_args_number(args, act->time_ms);
    return UTAPI_OK;
}

/* ---- the whole ---------------------------------------------------------------------------- */

/* Uuids of one command in the script: Lua hands over 8,000 words at most, and each uuid comes with when it was
 * accepted. */
enum { UUIDS_MAX = 2000 };

void utapi_redis_encode_fence(redis_args *args, const char *prefix, const utapi_fence *fence)
{
    redis_key key = {.size = 0};
    if (utapi_fence_is_set(fence))
        utapi_redis_key_fence(&key, prefix, fence->writer);
    utapi_redis_args_script(args, 1);
    utapi_redis_args_key(args, &key);
}

void utapi_redis_encode_nonce(redis_args *args, redis_backend *self)
{
    utapi_redis_args_format(args, "%016llx.%llx", (unsigned long long)self->nonce,
                            (unsigned long long)self->nonce_count++);
}

static int64_t slice_of(const utapi_entry *entry)
{
    return entry->uuid_time_ms / REDIS_DEDUP_MS;
}

/* Uuids, those of a slice of their own times together. */
static void uuids_add(redis_write *write)
{
    redis_args *args = &write->self->writer->args;
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
        utapi_redis_args_add(args, "U");
        utapi_redis_args_number(args, slice_of(uuids[i]));
        utapi_redis_args_number(args, (int64_t)(end - i));
        for (size_t at = i; at < end; at++) {
            char time[24];
            (void)snprintf(time, sizeof time, "%d", (int)(uuids[at]->uuid_time_ms % REDIS_DEDUP_MS));
            utapi_redis_args_joined(args, utapi_string_of(time), uuids[at]->uuid);
        }
        for (; i < end; i++)
            utapi_redis_args_number(args, uuids[i]->accepted_ms);
    }
}

static void notices_add(redis_write *write)
{
    redis_args *args = &write->self->writer->args;
    char channel[REDIS_KEY_MAX];
    (void)snprintf(channel, sizeof channel, "%s:event", write->self->uri.prefix);
    for (size_t i = 0; i < write->batch.count; i++) {
        const utapi_entry *entry = &write->batch.entries[i];
        const utapi_string bucket = entry->resource[UTAPI_BUCKETS];
        if (write->skip[i] || bucket.size == 0 || entry->action.size == 0)
            continue;
        utapi_redis_args_add(args, "P");
        utapi_redis_args_joined(args, utapi_string_of(channel), bucket);
        if (entry->keys.size > 0)
            utapi_redis_args_joined(args, entry->action, entry->keys);
        else
            utapi_redis_args_bytes(args, entry->action.data, entry->action.size);
    }
}

utapi_status utapi_redis_encode(redis_write *write, utapi_error *err)
{
    redis_args *args = &write->self->writer->args;
    const utapi_batch *batch = &write->batch;
    utapi_redis_encode_fence(args, write->self->uri.prefix, &batch->fence);
    utapi_redis_args_add(args, write->self->uri.prefix);
    utapi_redis_args_format(args, "%llu", (unsigned long long)batch->fence.from);
    utapi_redis_args_format(args, "%llu", (unsigned long long)batch->fence.to);
    utapi_redis_args_number(args, batch->now_ms);
    utapi_redis_args_number(args, write->self->window_ms);
    utapi_redis_encode_nonce(args, write->self);
    const utapi_admin_act *act = utapi_batch_act(batch);
    const bool by_hand = act != NULL || write->adjustment_count > 0; /* tombstones do not matter then */
    utapi_redis_args_add(args, write->tombstones != NULL || by_hand ? "1" : "0");
    uuids_add(write);
    utapi_status status = act != NULL ? act_add(write, act, err) : UTAPI_OK;
    for (size_t i = 0; i < write->adjustment_count && status == UTAPI_OK; i++) {
        const utapi_adjustment *one = &write->adjustments[i];
        status = delta_add(write, one->level, one->name, one->interval, one->delta->present, one->delta, err);
    }
    if (status == UTAPI_OK && act == NULL)
        status = runs_add(write, err);
    if (status == UTAPI_OK)
        notices_add(write);
    else
        utapi_redis_args_clear(args);
    return status;
}
