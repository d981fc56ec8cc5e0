/* SPDX-License-Identifier: Apache-2.0 */
/* lmdb_backend.c - the slots that write, each one transaction; opening and closing.
 *
 * A batch goes through here from top to bottom: the fence, what is due, uuids, and then for each resource its
 * tombstone, which says what still counts, and its rows (lmdb_rows.c). */
#include "lmdb_internal.h"

#include "utapi/scoped.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Slices of maintenance: what one call may look at, so that it is short beside a sync of the disk. */
enum { MAINTAIN_DELETIONS = 4096, MAINTAIN_EXPIRIES = 1024 };
enum { DELETIONS_A_RESERVED_PAGE = 8, RESERVED_PAGES_AN_EXPIRY = 4 };
enum { APPLY_UUIDS_MIN = 64, APPLY_GARBAGE_MIN = 64, APPLY_EXPIRIES_MIN = 64 };

#define CAPACITY_MIN (UINT64_C(1) << 20)

/* ---- expiry ------------------------------------------------------------------------------- */

#define NEVER_EXPIRED INT64_MIN
#define NOT_SCHEDULED INT64_MAX

enum { TIME_SIZE = 8 };

/* A row of `gone`; none is stored for a resource that never expired and is not to. */
typedef struct tombstone {
    int64_t expired_ms;
    int64_t
        due_ms; /* when it expires, unless it is counted before; once more in `due`, in the order of time */
} tombstone;

/* Times that sort as bytes do, those before the epoch too. */
static void put_time(unsigned char *at, int64_t time_ms)
{
    utapi_lmdbenv_put_u64(at, (uint64_t)time_ms ^ UINT64_C(1) << 63);
}

static int64_t get_time(const unsigned char *at)
{
    return (int64_t)(utapi_lmdbenv_get_u64(at) ^ UINT64_C(1) << 63);
}

/* Stores what changed. */
static utapi_status tombstone_store(lmdb_write *write, const lmdb_key *key, const tombstone *from,
                                    const tombstone *to, utapi_error *err)
{
    unsigned char value[TIME_SIZE + TIME_SIZE];
    lmdb_key due = {.size = TIME_SIZE + key->size};
    utapi_status status = UTAPI_OK;
    if (from->due_ms == to->due_ms && from->expired_ms == to->expired_ms)
        return UTAPI_OK;
    memcpy(due.bytes + TIME_SIZE, key->bytes, key->size);
    if (from->due_ms != to->due_ms && from->due_ms != NOT_SCHEDULED) {
        put_time(due.bytes, from->due_ms);
        status = utapi_lmdb_del(write, LMDB_SCHEDULE, &due, err);
    }
    if (status == UTAPI_OK && from->due_ms != to->due_ms && to->due_ms != NOT_SCHEDULED) {
        put_time(due.bytes, to->due_ms);
        status = utapi_lmdb_put(write, LMDB_SCHEDULE, &due, "", 0, err);
    }
    if (status != UTAPI_OK)
        return status;
    if (to->expired_ms == NEVER_EXPIRED && to->due_ms == NOT_SCHEDULED)
        return utapi_lmdb_del(write, LMDB_TOMBSTONE, key, err);
    put_time(value, to->expired_ms);
    put_time(value + TIME_SIZE, to->due_ms);
    write->any_tombstone = true;
    return utapi_lmdb_put(write, LMDB_TOMBSTONE, key, value, sizeof value, err);
}

/* Removes the rows, unless the resource expired at a later time. */
static utapi_status resource_expire(lmdb_write *write, const lmdb_key *key, int64_t time_ms, tombstone *row,
                                    utapi_error *err)
{
    if (time_ms < row->expired_ms)
        return UTAPI_OK;
    row->expired_ms = time_ms;
    return time_ms < 0 ? UTAPI_OK : utapi_lmdb_rows_expire(write, key, utapi_interval_of(time_ms), err);
}

/* One that is due is carried out: the resource has expired then, whatever is still in `due` before it. */
static utapi_status tombstone_load(lmdb_write *write, const lmdb_key *key, tombstone *ret, utapi_error *err)
{
    MDB_val value;
    bool found = false;
    *ret = (tombstone){.expired_ms = NEVER_EXPIRED, .due_ms = NOT_SCHEDULED};
    if (!write->any_tombstone)
        return UTAPI_OK;
    utapi_status status = utapi_lmdb_get(write, LMDB_TOMBSTONE, key, &value, &found, err);
    if (status != UTAPI_OK || !found)
        return status;
    if (value.mv_size != TIME_SIZE + TIME_SIZE)
        return utapi_fail(err, UTAPI_CORRUPT, "a stored tombstone of %zu bytes", value.mv_size);
    ret->expired_ms = get_time(value.mv_data);
    ret->due_ms = get_time((const unsigned char *)value.mv_data + TIME_SIZE);
    if (ret->due_ms > write->now_ms)
        return UTAPI_OK;
    const tombstone before = *ret;
    ret->due_ms = NOT_SCHEDULED;
    status = resource_expire(write, key, before.due_ms, ret, err);
    return status == UTAPI_OK ? tombstone_store(write, key, &before, ret, err) : status;
}

/* Expires the resources that are due, no more than `max`: the others when they are touched, or later. */
static utapi_status due_expire(lmdb_write *write, int64_t now_ms, uint64_t max, utapi_error *err)
{
    MDB_cursor *schedule = NULL;
    utapi_status status = utapi_lmdb_cursor(write, LMDB_SCHEDULE, &schedule, err);
    write->now_ms = now_ms;
    for (uint64_t i = 0; i < max && status == UTAPI_OK; i++) {
        MDB_val first;
        lmdb_key due, key;
        tombstone row;
        const int rc = mdb_cursor_get(schedule, &first, NULL, MDB_FIRST);
        if (rc != 0)
            return rc == MDB_NOTFOUND ? UTAPI_OK : utapi_lmdb_fail(err, rc, "scheduled expiries");
        if (first.mv_size <= TIME_SIZE || first.mv_size > LMDB_KEY_MAX)
            return utapi_fail(err, UTAPI_CORRUPT, "a scheduled expiry of %zu bytes", first.mv_size);
        if (get_time(first.mv_data) > now_ms)
            return UTAPI_OK;
        memcpy(due.bytes, first.mv_data, due.size = first.mv_size);
        memcpy(key.bytes, due.bytes + TIME_SIZE, key.size = due.size - TIME_SIZE);
        write->any_tombstone = true;
        status = tombstone_load(write, &key, &row, err);
        if (status == UTAPI_OK) /* it is gone, unless its tombstone knows nothing of it */
            status = utapi_lmdb_del(write, LMDB_SCHEDULE, &due, err);
    }
    return status;
}

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

/* Counts what a run brings its resource, and expires it or schedules that. */
static utapi_status run_apply(lmdb_write *write, const utapi_aggregation *aggregation,
                              const utapi_resource_run *run, utapi_error *err)
{
    lmdb_key key;
    tombstone before;
    utapi_status status = utapi_lmdb_resource_key(run->level, run->name, &key, err);
    if (status == UTAPI_OK)
        status = tombstone_load(write, &key, &before, err);
    if (status != UTAPI_OK)
        return status;
    tombstone after = before;
    const utapi_entry *expiring = run->expiry;
    if (expiring != NULL && expiring->time_ms < before.expired_ms)
        expiring = NULL; /* it expired since */

    lmdb_deltas deltas = {
        .aggregation = aggregation, .run = *run, .not_before_ms = before.expired_ms, .after = INT64_MIN};
    if (expiring != NULL && expiring->expiry == UTAPI_EXPIRE_NOW) {
        status = resource_expire(write, &key, expiring->time_ms, &after, err);
        deltas.after = utapi_interval_of(expiring->time_ms);
    }
    if (status == UTAPI_OK)
        status = utapi_lmdb_rows_add(write, &key, &deltas, err);
    if (deltas.counted)
        after.due_ms = NOT_SCHEDULED;
    if (expiring != NULL && expiring->expiry == UTAPI_EXPIRE_LATER)
        after.due_ms = expiring->expire_at_ms;
    return status == UTAPI_OK ? tombstone_store(write, &key, &before, &after, err) : status;
}

/* ---- administration ------------------------------------------------------------------------ */

/* Nothing is kept before the interval in which the resource expired last, as it does now where that is due. */
static utapi_status adjusted_at(lmdb_write *write, const lmdb_key *key, utapi_interval interval,
                                utapi_interval *ret, utapi_error *err)
{
    tombstone row;
    const utapi_status status = tombstone_load(write, key, &row, err);
    *ret = status == UTAPI_OK && row.expired_ms > interval ? utapi_interval_of(row.expired_ms) : interval;
    return status;
}

static utapi_status resource_adjust(lmdb_write *write, const lmdb_key *key, utapi_interval interval,
                                    const utapi_amounts *amounts, utapi_error *err)
{
    utapi_interval_delta delta;
    lmdb_deltas deltas = {.once = &delta};
    utapi_amounts_copy(amounts, &delta.sums);
    const utapi_status status = adjusted_at(write, key, interval, &delta.interval, err);
    return status == UTAPI_OK ? utapi_lmdb_rows_add(write, key, &deltas, err) : status;
}

static utapi_status resource_expire_by_hand(lmdb_write *write, const lmdb_key *key, int64_t time_ms,
                                            utapi_error *err)
{
    tombstone before;
    utapi_status status = tombstone_load(write, key, &before, err);
    if (status != UTAPI_OK)
        return status;
    tombstone after = before;
    status = resource_expire(write, key, time_ms, &after, err);
    return status == UTAPI_OK ? tombstone_store(write, key, &before, &after, err) : status;
}

/* Does what an act says, unless its id is known, and notes it. */
static utapi_status act_apply(lmdb_write *write, const utapi_admin_act *act, size_t *ret_repeated,
                              utapi_error *err)
{
    utapi_audit_row row = {.act = *act, .interval = utapi_interval_of(act->time_ms)};
    lmdb_key key;
    utapi_interval adjusted;
    bool is_known;
    utapi_status status = utapi_lmdb_act_find(write, act->id, &is_known, err);
    if (status == UTAPI_OK)
        status = utapi_lmdb_resource_key(act->level, act->name, &key, err);
    if (status != UTAPI_OK || is_known) {
        *ret_repeated = is_known;
        return status;
    }
    if (act->refused.size > 0)
        return utapi_lmdb_act_note(write, &row, err);
    status = adjusted_at(write, &key, row.interval, &adjusted, err);
    if (act->kind == UTAPI_ADMIN_ADJUST)
        row.interval = adjusted;
    if (status == UTAPI_OK)
        status = utapi_lmdb_act_figures(write, &key, row.interval, &row.before, err);
    if (status == UTAPI_OK && act->kind == UTAPI_ADMIN_ADJUST)
        status = resource_adjust(write, &key, row.interval, &act->amounts, err);
    else if (status == UTAPI_OK)
        status = resource_expire_by_hand(write, &key, act->time_ms, err);
    if (status == UTAPI_OK)
        status = utapi_lmdb_act_figures(write, &key, row.interval, &row.after, err);
    return status == UTAPI_OK ? utapi_lmdb_act_note(write, &row, err) : status;
}

/* ---- a batch ------------------------------------------------------------------------------ */

/* Expiring needs pages too: in a small map, fewer at a time. */
static uint64_t expiries_bearable(const lmdb_backend *self, uint64_t wanted)
{
    const uint64_t bearable = self->env.reserve_pages / RESERVED_PAGES_AN_EXPIRY;
    const uint64_t most = bearable < MAINTAIN_EXPIRIES ? bearable : MAINTAIN_EXPIRIES;
    return wanted < most ? wanted : most;
}

static utapi_status batch_apply(lmdb_write *write, const utapi_batch *batch, bool *skip, utapi_applied *ret,
                                utapi_error *err)
{
    lmdb_backend *self = write->self;
    utapi_applied applied = {.fence = utapi_fence_is_set(&batch->fence) ? batch->fence.to : 0};
    utapi_aggregation *aggregation = NULL;
    utapi_status status = fence_move(write, &batch->fence, ret, err);
    if (status == UTAPI_OK)
        status = due_expire(write, batch->now_ms,
                            expiries_bearable(self, 2 * batch->count + APPLY_EXPIRIES_MIN), err);
    if (utapi_batch_act(batch) != NULL) {
        if (status == UTAPI_OK)
            status = act_apply(write, utapi_batch_act(batch), &applied.repeated, err);
        if (status == UTAPI_OK)
            *ret = applied;
        return status;
    }
    if (status == UTAPI_OK)
        status = utapi_dedup_add(&self->dedup, write->txn, batch, skip, &applied.repeated, err);
    if (status == UTAPI_OK)
        status = utapi_letters_apply(&self->letters, write->txn, batch, skip, &applied.repeated, err);
    /* After the look-up: each entry is judged by its own time. More than the batch brings, so that expiry keeps up. */
    if (status == UTAPI_OK && batch->count > 0)
        status = utapi_dedup_expire(&self->dedup, write->txn, utapi_batch_accepted_ms(batch),
                                    2 * batch->count + APPLY_UUIDS_MIN, err);
    if (status == UTAPI_OK)
        status = utapi_aggregation_new(batch, skip, &aggregation, err);
    for (utapi_resource_run run; status == UTAPI_OK && utapi_aggregation_next(aggregation, &run);)
        status = run_apply(write, aggregation, &run, err);
    if (status == UTAPI_OK)
        status = utapi_lmdb_garbage_delete(write, 2 * batch->count + APPLY_GARBAGE_MIN, err);
    utapi_aggregation_free(aggregation);
    if (status == UTAPI_OK)
        *ret = applied;
    return status;
}

static utapi_backend_maintain_fn lmdb_maintain;

static utapi_status lmdb_apply(utapi_backend *base, const utapi_batch *batch, utapi_applied *ret,
                               utapi_error *err)
{
    lmdb_backend *self = (lmdb_backend *)base;
    const uint64_t room = utapi_lmdbenv_room_pages(&self->env);
    uint64_t used;
    UTAPI_AUTO_FREE bool *skip = calloc(batch->count + 1, sizeof *skip);
    if (skip == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "%zu events", batch->count);
    utapi_status status = utapi_lmdbenv_used_pages(&self->env, room, &used, err);
    const utapi_admin_act *act = utapi_batch_act(batch);
    const bool makes_room = act != NULL && act->kind == UTAPI_ADMIN_EXPIRE;
    if (status == UTAPI_OK && used > room && !makes_room)
        status = utapi_lmdbenv_fail_full(&self->env, used, err);
    if (status != UTAPI_OK) {
        /* While callers keep coming nobody else maintains it, and without expiry there would never be room. */
        (void)!lmdb_maintain(base, batch->now_ms, utapi_batch_accepted_ms(batch), NULL);
        return status;
    }
    lmdb_write write;
    status = utapi_lmdb_write_begin(self, &write, err);
    if (status != UTAPI_OK)
        return status;
    return utapi_lmdb_write_end(&write, batch_apply(&write, batch, skip, ret, err), err);
}

/* ---- the other writes --------------------------------------------------------------------- */

static utapi_status lmdb_adjust(utapi_backend *base, const utapi_adjustment *adjustments, size_t count,
                                size_t *ret_count, utapi_error *err)
{
    lmdb_write write;
    utapi_status status = utapi_lmdb_write_begin((lmdb_backend *)base, &write, err);
    if (status != UTAPI_OK)
        return status;
    for (size_t i = 0; i < count && status == UTAPI_OK; i++) {
        const utapi_adjustment *one = &adjustments[i];
        lmdb_key key;
        status = utapi_lmdb_resource_key(one->level, one->name, &key, err);
        if (status == UTAPI_OK)
            status = resource_adjust(&write, &key, one->interval, one->delta, err);
    }
    *ret_count = count;
    return utapi_lmdb_write_end(&write, status, err);
}

static utapi_status lmdb_expire(utapi_backend *base, utapi_level level, utapi_string name, int64_t time_ms,
                                utapi_error *err)
{
    lmdb_write write;
    lmdb_key key;
    utapi_status status = utapi_lmdb_resource_key(level, name, &key, err);
    if (status == UTAPI_OK)
        status = utapi_lmdb_write_begin((lmdb_backend *)base, &write, err);
    if (status != UTAPI_OK)
        return status;
    return utapi_lmdb_write_end(&write, resource_expire_by_hand(&write, &key, time_ms, err), err);
}

static utapi_status lmdb_maintain(utapi_backend *base, int64_t now_ms, int64_t accepted_ms, utapi_error *err)
{
    lmdb_backend *self = (lmdb_backend *)base;
    lmdb_write write;
    utapi_status status = utapi_lmdb_write_begin(self, &write, err);
    if (status != UTAPI_OK)
        return status;
    /* Deleting needs pages too: in a small map, fewer at a time. */
    const uint64_t bearable = self->env.reserve_pages * DELETIONS_A_RESERVED_PAGE;
    const size_t max_count = bearable < MAINTAIN_DELETIONS ? bearable : MAINTAIN_DELETIONS;
    status = due_expire(&write, now_ms, expiries_bearable(self, MAINTAIN_EXPIRIES), err);
    if (status == UTAPI_OK)
        status = utapi_dedup_expire(&self->dedup, write.txn, accepted_ms, max_count, err);
    if (status == UTAPI_OK)
        status = utapi_lmdb_garbage_delete(&write, max_count, err);
    return utapi_lmdb_write_end(&write, status, err);
}

static utapi_status lmdb_stats(utapi_backend *base, utapi_storage_stats *ret, utapi_error *err)
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
    *ret = (utapi_storage_stats){
        .resources = entries[LMDB_RESOURCE],
        .rows = entries[LMDB_RESOURCE] + entries[LMDB_HISTORY],
        .uuids = entries[LMDB_DEDUP],
        .used_bytes = used_pages * self->env.page_size,
        .capacity_bytes = self->env.map_pages * self->env.page_size,
    };
    utapi_lmdbenv_warn(&self->env, used_pages, ret->room_warning, sizeof ret->room_warning);
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
    if (options->capacity_bytes != 0 && options->capacity_bytes < CAPACITY_MIN)
        return utapi_fail(err, UTAPI_INVALID, "a capacity of %llu bytes, expected at least %llu",
                          (unsigned long long)options->capacity_bytes, (unsigned long long)CAPACITY_MIN);
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
    self->letters = (utapi_letters){
        .env = &self->env,
        .dedup = &self->dedup,
        .table = LMDB_LETTERS,
        .max = options->max_dead_letters > 0 ? options->max_dead_letters : UTAPI_LETTERS_DEFAULT,
    };
    self->max_acts = options->max_acts > 0 ? options->max_acts : UTAPI_ACTS_DEFAULT;
    status =
        utapi_lmdbenv_open(&self->env, &utapi_lmdb_layout, options->location, options->capacity_bytes, err);
    if (status == UTAPI_OK)
        *ret = &self->base;
    else
        lmdb_close(&self->base);
    return status;
}

static const utapi_admin_ops lmdb_admin = {
    .list = utapi_lmdb_list,
    .export = utapi_lmdb_export,
    .adjust = lmdb_adjust,
    .expire = lmdb_expire,
    .fences = utapi_lmdb_fences,
    .audit = utapi_lmdb_audit,
    .note = utapi_lmdb_note,
    .knows = utapi_lmdb_knows,
    .check = utapi_lmdb_check,
};

const utapi_backend_ops utapi_lmdb_backend = {
    .version = UTAPI_BACKEND_VERSION,
    .name = "lmdb",
    .open = lmdb_open,
    .apply = lmdb_apply,
    .read = utapi_lmdb_read,
    .stats = lmdb_stats,
    .maintain = lmdb_maintain,
    .close = lmdb_close,
    .admin = &lmdb_admin,
    .dead_letters = &utapi_lmdb_letters,
};
