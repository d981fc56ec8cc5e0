/* SPDX-License-Identifier: Apache-2.0 */
/* lmdb_backend.c - the contract's side: each slot is one transaction, put together from the other files. */
#include "lmdb_internal.h"

#include "utapi/scoped.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Slices of upkeep: what one call may look at, so that it is short beside a sync of the disk. */
enum { MAINTAIN_UUIDS = 4096, MAINTAIN_EXPIRIES = 64, UUIDS_A_RESERVED_PAGE = 8, APPLY_UUIDS_LEAST = 64 };

#define CAPACITY_LEAST (UINT64_C(1) << 20)

/* ---- apply -------------------------------------------------------------------------------- */

/* Moves the writer's fence, if it stands where the batch begins. */
static utapi_status fence_move(lmdb_write *write, const utapi_fence *fence, utapi_applied *ret,
                               utapi_error *err)
{
    if (!utapi_fence_is_set(fence))
        return UTAPI_OK;
    lmdb_key key;
    MDB_val value;
    bool found;
    unsigned char to[8];
    utapi_lmdb_fence_key(fence->writer, &key);
    utapi_status status = utapi_lmdb_get(write, LMDB_META, &key, &value, &found, err);
    if (status != UTAPI_OK)
        return status;
    const uint64_t stands_at = found && value.mv_size == sizeof to ? utapi_lmdbenv_get_u64(value.mv_data) : 0;
    if (stands_at != fence->from) {
        ret->fence = stands_at;
        return utapi_fail(err, UTAPI_FENCED, "the fence stands at %llu, not at %llu",
                          (unsigned long long)stands_at, (unsigned long long)fence->from);
    }
    if (fence->to == fence->from) /* nothing is written, so nothing has to be synced */
        return UTAPI_OK;
    utapi_lmdbenv_put_u64(to, fence->to);
    return utapi_lmdb_put(write, LMDB_META, &key, to, sizeof to, err);
}

static utapi_status entries_check(const utapi_batch *batch, utapi_error *err)
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->entries[i].time_ms < 0 ||
            utapi_interval_of(batch->entries[i].time_ms) > UTAPI_INTERVAL_MAX)
            return utapi_fail_at(err, UTAPI_INVALID, i, "an event at %lld ms",
                                 (long long)batch->entries[i].time_ms);
    return UTAPI_OK;
}

static utapi_status runs_apply(lmdb_write *write, const utapi_batch *batch, const bool *skip,
                               utapi_error *err)
{
    utapi_fold *fold;
    utapi_status status = utapi_fold_new(batch, skip, &fold, err);
    if (status != UTAPI_OK)
        return status;
    for (utapi_run run; status == UTAPI_OK && utapi_fold_next(fold, &run);) {
        status = utapi_lmdb_run_apply(write, fold, &run, err);
        if (status == UTAPI_OVERFLOW)
            status = utapi_fold_blame(batch, fold, &run, err);
    }
    utapi_fold_free(fold);
    return status;
}

static utapi_status batch_apply(lmdb_write *write, const utapi_batch *batch, bool *skip, utapi_applied *ret,
                                utapi_error *err)
{
    utapi_applied applied = {.fence = batch->fence.to};
    utapi_status status = entries_check(batch, err);
    if (status == UTAPI_OK)
        status = fence_move(write, &batch->fence, ret, err);
    if (status == UTAPI_OK)
        status = utapi_lmdb_expire_due(write, batch->now_ms, SIZE_MAX, err);
    if (status == UTAPI_OK) /* more than the batch brings, so that expiry keeps up with taking */
        status = utapi_dedup_expire(&write->self->dedup, write->txn, batch->taken_ms,
                                    2 * batch->count + APPLY_UUIDS_LEAST, err);
    if (status == UTAPI_OK)
        status = utapi_dedup_add(&write->self->dedup, write->txn, batch, skip, &applied.repeated, err);
    if (status == UTAPI_OK)
        status = runs_apply(write, batch, skip, err);
    if (status != UTAPI_OK)
        return status;
    if (!utapi_fence_is_set(&batch->fence))
        applied.fence = 0;
    *ret = applied;
    return UTAPI_OK;
}

static utapi_backend_tend_fn lmdb_maintain;

static utapi_status lmdb_apply(utapi_backend *base, const utapi_batch *batch, utapi_applied *ret,
                               utapi_error *err)
{
    lmdb_backend *self = (lmdb_backend *)base;
    UTAPI_AUTO_FREE bool *skip = calloc(batch->count + 1, sizeof *skip);
    if (skip == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "%zu events", batch->count);
    utapi_status status = utapi_lmdb_check_space(self, err);
    if (status != UTAPI_OK) {
        /* While callers keep coming nobody may call tend, and without expiry there would never be room. */
        (void)!lmdb_maintain(base, batch->now_ms, batch->taken_ms, NULL);
        return status;
    }
    lmdb_write write;
    status = utapi_lmdb_write_begin(self, &write, err);
    if (status != UTAPI_OK)
        return status;
    return utapi_lmdb_write_end(&write, batch_apply(&write, batch, skip, ret, err), err);
}

/* ---- the other writes --------------------------------------------------------------------- */

static utapi_status adjustment_apply(lmdb_write *write, const utapi_adjustment *adjustment, utapi_error *err)
{
    utapi_cell cell = {.interval = adjustment->interval};
    utapi_sums_add_amounts(&cell.sums, adjustment->delta);
    lmdb_deltas deltas = {.once = &cell};
    lmdb_key key;
    if (cell.interval < 0 || cell.interval > UTAPI_INTERVAL_MAX)
        return utapi_fail(err, UTAPI_INVALID, "a correction at %lld ms", (long long)cell.interval);
    const utapi_status status = utapi_lmdb_resource_key(adjustment->level, adjustment->name, &key, err);
    return status == UTAPI_OK ? utapi_lmdb_rows_add(write, &key, &deltas, err) : status;
}

static utapi_status lmdb_adjust(utapi_backend *base, const utapi_adjustment *adjustments, size_t count,
                                utapi_error *err)
{
    lmdb_write write;
    utapi_status status = utapi_lmdb_write_begin((lmdb_backend *)base, &write, err);
    if (status != UTAPI_OK)
        return status;
    for (size_t i = 0; i < count && status == UTAPI_OK; i++)
        status = adjustment_apply(&write, &adjustments[i], err);
    return utapi_lmdb_write_end(&write, status, err);
}

static utapi_status lmdb_expire(utapi_backend *base, utapi_level level, utapi_string name, int64_t time_ms,
                                utapi_error *err)
{
    lmdb_write write;
    const utapi_status status = utapi_lmdb_write_begin((lmdb_backend *)base, &write, err);
    if (status != UTAPI_OK)
        return status;
    return utapi_lmdb_write_end(&write, utapi_lmdb_expire(&write, level, name, time_ms, err), err);
}

static utapi_status lmdb_maintain(utapi_backend *base, int64_t now_ms, int64_t taken_ms, utapi_error *err)
{
    lmdb_backend *self = (lmdb_backend *)base;
    lmdb_write write;
    utapi_status status = utapi_lmdb_write_begin(self, &write, err);
    if (status != UTAPI_OK)
        return status;
    /* Deleting needs pages too: in a small map, fewer at a time. */
    const uint64_t bearable = self->env.reserve_pages * UUIDS_A_RESERVED_PAGE;
    status = utapi_lmdb_expire_due(&write, now_ms, MAINTAIN_EXPIRIES, err);
    if (status == UTAPI_OK)
        status = utapi_dedup_expire(&self->dedup, write.txn, taken_ms,
                                    bearable < MAINTAIN_UUIDS ? bearable : MAINTAIN_UUIDS, err);
    return utapi_lmdb_write_end(&write, status, err);
}

/* ---- questions ---------------------------------------------------------------------------- */

static utapi_status lmdb_read(utapi_backend *base, const utapi_query *query, utapi_usage *ret,
                              uint64_t *ret_fence, utapi_error *err)
{
    return utapi_lmdb_read((lmdb_backend *)base, query, ret, ret_fence, err);
}

static utapi_status lmdb_rows(utapi_backend *base, utapi_level level, utapi_string name, utapi_interval start,
                              utapi_interval end, utapi_row_cb *on_row, void *ctx, utapi_error *err)
{
    return utapi_lmdb_rows((lmdb_backend *)base, level, name, start, end, on_row, ctx, err);
}

static utapi_status lmdb_list(utapi_backend *base, utapi_level level, utapi_resource_cb *on_resource,
                              void *ctx, utapi_error *err)
{
    return utapi_lmdb_list((lmdb_backend *)base, level, on_resource, ctx, err);
}

static utapi_status lmdb_fences(utapi_backend *base, utapi_fence_cb *on_fence, void *ctx, utapi_error *err)
{
    return utapi_lmdb_fences((lmdb_backend *)base, on_fence, ctx, err);
}

static utapi_status lmdb_stats(utapi_backend *base, utapi_stats *ret, utapi_error *err)
{
    lmdb_backend *self = (lmdb_backend *)base;
    utapi_lmdbenv_reader *reader = NULL;
    uint64_t used_pages;
    utapi_status status = utapi_lmdbenv_used_pages(&self->env, 0, &used_pages, err);
    if (status == UTAPI_OK)
        status = utapi_lmdbenv_read_begin(&self->env, &reader, err);
    if (status != UTAPI_OK)
        return status;
    uint64_t entries[LMDB_TABLE_COUNT];
    int rc = 0;
    for (unsigned i = 0; i < LMDB_TABLE_COUNT && rc == 0; i++) {
        MDB_stat stat;
        rc = mdb_stat(reader->txn, self->env.tables[i], &stat);
        entries[i] = stat.ms_entries;
    }
    utapi_lmdbenv_read_end(&self->env, reader);
    if (rc != 0)
        return utapi_lmdb_fail(err, rc, "counting rows");
    *ret = (utapi_stats){
        .resources = entries[LMDB_RESOURCE],
        .rows = entries[LMDB_RESOURCE] + entries[LMDB_HISTORY],
        .uuids = entries[LMDB_DEDUP],
        .used_bytes = used_pages * self->env.page_size,
        .capacity_bytes = self->env.map_pages * self->env.page_size,
    };
    return UTAPI_OK;
}

/* ---- opening and closing ------------------------------------------------------------------ */

/* Takes half-built ones too. */
static void lmdb_close(utapi_backend *base)
{
    utapi_lmdbenv_close(&((lmdb_backend *)base)->env);
    free(base);
}

static utapi_status options_check(const utapi_backend_options *options, utapi_error *err)
{
    if (options->location == NULL || options->location[0] == '\0')
        return utapi_fail(err, UTAPI_INVALID, "a directory to store in is needed");
    if (options->capacity_bytes != 0 && options->capacity_bytes < CAPACITY_LEAST)
        return utapi_fail(err, UTAPI_INVALID, "a capacity of %llu bytes, expected at least %llu",
                          (unsigned long long)options->capacity_bytes, (unsigned long long)CAPACITY_LEAST);
    if (options->capacity_bytes > SIZE_MAX / 2)
        return utapi_fail(err, UTAPI_INVALID, "a capacity of %llu bytes cannot be mapped",
                          (unsigned long long)options->capacity_bytes);
    if (options->dedup_window_ms < 0)
        return utapi_fail(err, UTAPI_INVALID, "a de-duplication window below zero");
    return UTAPI_OK;
}

static utapi_status lmdb_open(const utapi_backend_options *options, utapi_backend **ret, utapi_error *err)
{
    utapi_status status = options_check(options, err);
    if (status != UTAPI_OK)
        return status;
    lmdb_backend *self = calloc(1, sizeof *self);
    if (self == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "the lmdb backend");
    self->base.ops = &utapi_lmdb_backend;
    self->dedup = (utapi_dedup){.env = &self->env,
                                .table = LMDB_DEDUP,
                                .unit = UTAPI_DEDUP_INTERVALS,
                                .window_ms = options->dedup_window_ms};
    status =
        utapi_lmdbenv_open(&self->env, &utapi_lmdb_layout, options->location, options->capacity_bytes, err);
    if (status == UTAPI_OK)
        *ret = &self->base;
    else
        lmdb_close(&self->base);
    return status;
}

const utapi_backend_ops utapi_lmdb_backend = {
    .version = UTAPI_BACKEND_VERSION,
    .name = "lmdb",
    .open = lmdb_open,
    .apply = lmdb_apply,
    .read = lmdb_read,
    .visit = lmdb_list,
    .rows = lmdb_rows,
    .adjust = lmdb_adjust,
    .forget = lmdb_expire,
    .tend = lmdb_maintain,
    .fences = lmdb_fences,
    .stats = lmdb_stats,
    .close = lmdb_close,
};
