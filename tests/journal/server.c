/* SPDX-License-Identifier: Apache-2.0 */
/* server.c - see server.h. */
#include "server.h"

#include "memory.h"
#include "record.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct connection {
    utapi_backend base;
    server *to;
} connection;

static utapi_backend *memory_new(void)
{
    const utapi_backend_options options = {.location = "",
                                           .dedup_window_ms = 0}; /* the fence alone must do */
    utapi_backend *memory = NULL;
    utapi_error err;
    utapi_error_clear(&err);
    CHECK_OK(utapi_backend_open(&utapi_memory_backend, &options, &memory, &err), &err);
    return memory;
}

void server_init(server *s)
{
    *s = (server){.memory = memory_new()};
    pthread_mutex_init(&s->lock, NULL);
}

static void batch_free(server_batch *batch)
{
    free(batch->bytes);
    free(batch->stamps);
}

void server_free(server *s)
{
    utapi_backend_close(s->memory);
    for (size_t i = 0; i < s->count; i++)
        batch_free(&s->batches[i]);
    free(s->batches);
    pthread_mutex_destroy(&s->lock);
}

static void batch_keep(server *s, const utapi_batch *batch)
{
    if (s->count == s->room) {
        s->room = 2 * s->room + 16;
        s->batches = realloc(s->batches, s->room * sizeof *s->batches);
        assert_non_null(s->batches);
    }
    server_batch *kept = &s->batches[s->count++];
    *kept = (server_batch){.count = batch->count, .now_ms = batch->now_ms, .fence = batch->fence};
    if (batch->count == 0)
        return;
    kept->bytes = malloc(utapi_record_max(batch));
    kept->stamps = malloc(batch->count * sizeof *kept->stamps);
    assert_non_null(kept->bytes);
    assert_non_null(kept->stamps);
    kept->size = utapi_record_encode(batch, NULL, kept->bytes);
    for (size_t i = 0; i < batch->count; i++)
        kept->stamps[i] = (server_stamp){.sequence = batch->entries[i].sequence,
                                         .accepted_ms = batch->entries[i].accepted_ms};
}

static void batch_replay(server *s, const server_batch *kept)
{
    utapi_record record = {.count = 0};
    utapi_applied applied;
    utapi_error err;
    utapi_error_clear(&err);
    if (kept->count > 0)
        CHECK_OK(utapi_record_decode(kept->bytes, kept->size, &record, &err), &err);
    for (size_t i = 0; i < record.count; i++) {
        record.entries[i].sequence = kept->stamps[i].sequence;
        record.entries[i].accepted_ms = kept->stamps[i].accepted_ms;
    }
    const utapi_batch batch = {
        .entries = record.entries, .count = record.count, .now_ms = kept->now_ms, .fence = kept->fence};
    CHECK_OK(utapi_backend_apply(s->memory, &batch, &applied, &err), &err);
    assert_int_equal(applied.fence, kept->fence.to);
    free(record.entries);
}

void server_lose(server *s, size_t kept)
{
    pthread_mutex_lock(&s->lock);
    utapi_backend_close(s->memory);
    s->memory = memory_new();
    for (size_t i = 0; i < s->count; i++)
        if (i < kept)
            batch_replay(s, &s->batches[i]);
        else
            batch_free(&s->batches[i]);
    s->count = kept < s->count ? kept : s->count;
    pthread_mutex_unlock(&s->lock);
}

size_t server_count(server *s)
{
    pthread_mutex_lock(&s->lock);
    const size_t count = s->count;
    pthread_mutex_unlock(&s->lock);
    return count;
}

bool server_find(server *s, uint64_t sequence, server_stamp *ret)
{
    bool found = false;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->count && !found; i++)
        for (size_t j = 0; j < s->batches[i].count && !found; j++) {
            *ret = s->batches[i].stamps[j];
            found = ret->sequence == sequence;
        }
    pthread_mutex_unlock(&s->lock);
    return found;
}

void server_cut(server *s, size_t most, uint64_t cuts)
{
    pthread_mutex_lock(&s->lock);
    s->most = most;
    s->cuts = cuts;
    pthread_mutex_unlock(&s->lock);
}

size_t server_asked(server *s)
{
    pthread_mutex_lock(&s->lock);
    const size_t asked = s->asked;
    pthread_mutex_unlock(&s->lock);
    return asked;
}

size_t server_given(server *s)
{
    pthread_mutex_lock(&s->lock);
    const size_t given = s->given;
    pthread_mutex_unlock(&s->lock);
    return given;
}

void server_set(server *s, bool absent, server_fault fault)
{
    pthread_mutex_lock(&s->lock);
    s->absent = absent;
    s->fault = fault;
    pthread_mutex_unlock(&s->lock);
}

void server_fill(server *s, bool full)
{
    pthread_mutex_lock(&s->lock);
    s->full = full;
    pthread_mutex_unlock(&s->lock);
}

void server_answer(server *s, utapi_status status)
{
    pthread_mutex_lock(&s->lock);
    s->answer = status;
    pthread_mutex_unlock(&s->lock);
}

void server_damage(server *s, bool damaged)
{
    pthread_mutex_lock(&s->lock);
    s->damaged = damaged;
    pthread_mutex_unlock(&s->lock);
}

void server_poison(server *s, const char *bucket)
{
    pthread_mutex_lock(&s->lock);
    s->poison = bucket;
    pthread_mutex_unlock(&s->lock);
}

void server_totals(server *s, const char *bucket, int64_t *ret_objects, int64_t *ret_bytes)
{
    const utapi_string name = utapi_string_of(bucket);
    const utapi_query query = {.names = &name, .count = 1, .end = UTAPI_INTERVAL_MAX};
    utapi_usage usage;
    utapi_error err;
    utapi_error_clear(&err);
    CHECK_OK(utapi_backend_read(s->memory, &query, &usage, NULL, &err), &err);
    *ret_objects = (int64_t)usage.number_of_objects[1];
    *ret_bytes = (int64_t)usage.storage_utilized[1];
}

/* ---- slots -------------------------------------------------------------------------------- */

static bool is_poisoned(const server *s, const utapi_batch *batch)
{
    bool is_any = false;
    for (size_t i = 0; s->poison != NULL && i < batch->count; i++)
        if (utapi_string_equal(batch->entries[i].resource[UTAPI_BUCKETS], utapi_string_of(s->poison))) {
            is_any = true;
            if (s->tells)
                batch->unfit[i] = UTAPI_LEVEL_BIT(UTAPI_BUCKETS);
        }
    return is_any;
}

/* What it would store of a batch: as much as fits at once, or a part of that at random. */
static utapi_batch batch_cut(server *s, const utapi_batch *batch)
{
    size_t count = s->most != 0 && s->most < batch->count ? s->most : batch->count;
    if (s->cuts != 0 && count > 0 && utapi_fence_is_set(&batch->fence)) {
        s->cuts = s->cuts * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        count = 1 + (size_t)((s->cuts >> 33) % count);
    }
    return utapi_batch_prefix(batch, count);
}

static utapi_status apply_locked(server *s, const utapi_batch *batch, utapi_applied *ret, utapi_error *err)
{
    const server_fault fault = s->fault;
    const utapi_status answer = s->answer;
    s->fault = SERVER_WELL;
    s->answer = UTAPI_OK;
    s->asked++;
    s->given += batch->count;
    if (batch->count > s->largest_batch)
        s->largest_batch = batch->count;
    if (s->absent || s->full || fault == SERVER_GONE)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "the server is gone");
    if (fault == SERVER_CUT)
        return utapi_fail(err, UTAPI_UNCERTAIN, "the connection was cut");
    if (answer != UTAPI_OK)
        return utapi_fail(err, answer, "as it was told to");
    if (s->damaged)
        return utapi_fail(err, UTAPI_CORRUPT, "a damaged page");
    utapi_batch part = batch_cut(s, batch);
    if (is_poisoned(s, &part))
        return utapi_fail(err, UTAPI_OVERFLOW, "poisoned");
    const utapi_status status = utapi_backend_apply(s->memory, &part, ret, err);
    if (status == UTAPI_OK && ret->fence < part.fence.to) { /* it stored a part of that */
        while (part.count > 0 && part.entries[part.count - 1].sequence >= ret->fence)
            part.count--;
        part.fence.to = ret->fence;
    }
    if (status == UTAPI_OK)
        batch_keep(s, &part);
    if (status == UTAPI_OK && fault == SERVER_LOST_REPLY)
        return utapi_fail(err, UTAPI_UNCERTAIN, "the reply was lost");
    return status;
}

/* The server that a connection leads to, with its lock held. */
static server *reach(utapi_backend *base)
{
    server *s = ((connection *)base)->to;
    while (atomic_load(&s->hangs))
        usleep(1000);
    pthread_mutex_lock(&s->lock);
    return s;
}

static utapi_status server_apply(utapi_backend *base, const utapi_batch *batch, utapi_applied *ret,
                                 utapi_error *err)
{
    server *s = reach(base);
    const utapi_status status = apply_locked(s, batch, ret, err);
    pthread_mutex_unlock(&s->lock);
    return status;
}

static utapi_status server_read(utapi_backend *base, const utapi_query *query, utapi_usage *ret,
                                uint64_t *ret_fences, utapi_error *err)
{
    server *s = reach(base);
    if (query->count > 0) {
        s->names = query->count;
        s->reads++;
    }
    const utapi_status status = s->absent ? utapi_fail(err, UTAPI_UNAVAILABLE, "the server is gone")
                                          : utapi_backend_read(s->memory, query, ret, ret_fences, err);
    pthread_mutex_unlock(&s->lock);
    return status;
}

static utapi_status server_stats(utapi_backend *base, utapi_storage_stats *ret, utapi_error *err)
{
    server *s = reach(base);
    const utapi_status status = s->absent ? utapi_fail(err, UTAPI_UNAVAILABLE, "the server is gone")
                                          : utapi_backend_stats(s->memory, ret, err);
    pthread_mutex_unlock(&s->lock);
    return status;
}

/* What is lost does not bring back what was expired: tests do not do both. */
static utapi_status server_expire(utapi_backend *base, utapi_level level, utapi_string name, int64_t time_ms,
                                  utapi_error *err)
{
    server *s = reach(base);
    const utapi_status status = utapi_backend_expire(s->memory, level, name, time_ms, err);
    pthread_mutex_unlock(&s->lock);
    return status;
}

static utapi_status server_list(utapi_backend *base, utapi_level level, utapi_resource_cb *on_resource,
                                void *ctx, utapi_error *err)
{
    server *s = reach(base);
    const utapi_status status = utapi_backend_list(s->memory, level, on_resource, ctx, err);
    pthread_mutex_unlock(&s->lock);
    return status;
}

static utapi_status server_export(utapi_backend *base, const utapi_export *what, utapi_export_cb *on_row,
                                  utapi_unreadable_cb *on_unreadable, void *ctx, utapi_error *err)
{
    server *s = reach(base);
    const utapi_status status = utapi_backend_export(s->memory, what, on_row, on_unreadable, ctx, err);
    pthread_mutex_unlock(&s->lock);
    return status;
}

static utapi_status server_adjust(utapi_backend *base, const utapi_adjustment *adjustments, size_t count,
                                  size_t *ret_count, utapi_error *err)
{
    server *s = reach(base);
    const utapi_status status = utapi_backend_adjust(s->memory, adjustments, count, ret_count, err);
    pthread_mutex_unlock(&s->lock);
    return status;
}

static utapi_status server_fences(utapi_backend *base, utapi_fence_cb *on_fence, void *ctx, utapi_error *err)
{
    server *s = reach(base);
    const utapi_status status = utapi_backend_fences(s->memory, on_fence, ctx, err);
    pthread_mutex_unlock(&s->lock);
    return status;
}

static utapi_status server_audit(utapi_backend *base, utapi_audit_cb *on_row, void *ctx, utapi_error *err)
{
    static const utapi_audit_query everything = {.level = UTAPI_LEVEL_COUNT};
    server *s = reach(base);
    const utapi_status status = utapi_backend_audit(s->memory, &everything, on_row, ctx, err);
    pthread_mutex_unlock(&s->lock);
    return status;
}

static utapi_status server_maintain(utapi_backend *base, int64_t now_ms, int64_t accepted_ms,
                                    utapi_error *err)
{
    server *s = reach(base);
    atomic_fetch_add(&s->maintained, 1);
    const utapi_status status = utapi_backend_maintain(s->memory, now_ms, accepted_ms, err);
    pthread_mutex_unlock(&s->lock);
    return status;
}

static void server_close(utapi_backend *base)
{
    free(base);
}

static const utapi_admin_ops server_admin = {
    .list = server_list,
    .export = server_export,
    .adjust = server_adjust,
    .expire = server_expire,
    .fences = server_fences,
    .audit = server_audit,
};

#define SLOTS                                                                                       \
    .version = UTAPI_BACKEND_VERSION, .name = "server", .apply = server_apply, .read = server_read, \
    .maintain = server_maintain, .stats = server_stats, .close = server_close

static const utapi_backend_ops server_ops = {SLOTS, .admin = &server_admin, .is_shared = true};
static const utapi_backend_ops alone_ops = {SLOTS, .admin = &server_admin};
static const utapi_backend_ops bare_ops = {SLOTS, .is_shared = true};

utapi_backend *server_connect(server *s)
{
    connection *made = malloc(sizeof *made);
    assert_non_null(made);
    *made = (connection){.base.ops = s->has_no_admin ? &bare_ops
                                     : s->alone      ? &alone_ops
                                                     : &server_ops,
                         .to = s};
    return &made->base;
}
