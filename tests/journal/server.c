/* SPDX-License-Identifier: Apache-2.0 */
/* server.c - see server.h. */
#include "server.h"

#include "journal_record.h"
#include "memory.h"

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

void server_free(server *s)
{
    utapi_backend_close(s->memory);
    for (size_t i = 0; i < s->count; i++)
        free(s->batches[i].bytes);
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
    *kept = (server_batch){.bytes = malloc(utapi_journal_record_max(batch)), .fence = batch->fence};
    assert_non_null(kept->bytes);
    kept->size = utapi_journal_record_encode(batch, NULL, kept->bytes);
}

static void batch_replay(server *s, const server_batch *kept)
{
    journal_record group = {.count = 0};
    utapi_applied applied;
    utapi_error err;
    utapi_error_clear(&err);
    if (kept->size > 10) /* an empty one is no group */
        (void)(utapi_journal_record_decode(kept->bytes, kept->size, &group, NULL) == UTAPI_OK);
    const utapi_batch batch = {.entries = group.entries,
                               .count = group.count,
                               .now_ms = group.now_ms,
                               .accepted_ms = group.accepted_ms,
                               .fence = kept->fence};
    CHECK_OK(utapi_backend_apply(s->memory, &batch, &applied, &err), &err);
    free(group.entries);
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
            free(s->batches[i].bytes);
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

size_t server_asked(server *s)
{
    pthread_mutex_lock(&s->lock);
    const size_t asked = s->asked;
    pthread_mutex_unlock(&s->lock);
    return asked;
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

void server_totals(server *s, const char *bucket, int64_t *ret_objects, int64_t *ret_bytes)
{
    const utapi_string name = utapi_string_of(bucket);
    const utapi_query query = {.names = &name, .count = 1, .end = UTAPI_INTERVAL_MAX};
    utapi_usage usage;
    utapi_error err;
    utapi_error_clear(&err);
    CHECK_OK(utapi_backend_read(s->memory, &query, &usage, NULL, &err), &err);
    *ret_objects = usage.number_of_objects[1];
    *ret_bytes = usage.storage_utilized[1];
}

/* ---- slots -------------------------------------------------------------------------------- */

static bool is_poisoned(const server *s, const utapi_batch *batch)
{
    for (size_t i = 0; s->poison != NULL && i < batch->count; i++)
        if (utapi_string_equal(batch->entries[i].resource[UTAPI_BUCKETS], utapi_string_of(s->poison)))
            return true;
    return false;
}

static utapi_status apply_locked(server *s, const utapi_batch *batch, utapi_applied *ret, utapi_error *err)
{
    const server_fault fault = s->fault;
    const utapi_status answer = s->answer;
    s->fault = SERVER_WELL;
    s->answer = UTAPI_OK;
    s->asked++;
    if (s->absent || s->full || fault == SERVER_GONE)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "the server is gone");
    if (fault == SERVER_CUT)
        return utapi_fail(err, UTAPI_UNCERTAIN, "the connection was cut");
    if (answer != UTAPI_OK)
        return utapi_fail(err, answer, "as it was told to");
    if (is_poisoned(s, batch))
        return utapi_fail(err, UTAPI_OVERFLOW, "poisoned");
    const utapi_status status = utapi_backend_apply(s->memory, batch, ret, err);
    if (status == UTAPI_OK)
        batch_keep(s, batch);
    if (batch->count > s->largest_batch)
        s->largest_batch = batch->count;
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
                                uint64_t *ret_fence, utapi_error *err)
{
    server *s = reach(base);
    s->names = query->all_count;
    const utapi_status status = s->absent ? utapi_fail(err, UTAPI_UNAVAILABLE, "the server is gone")
                                          : utapi_backend_read(s->memory, query, ret, ret_fence, err);
    pthread_mutex_unlock(&s->lock);
    return status;
}

static utapi_status server_stats(utapi_backend *base, utapi_stats *ret, utapi_error *err)
{
    server *s = reach(base);
    const utapi_status status = s->absent ? utapi_fail(err, UTAPI_UNAVAILABLE, "the server is gone")
                                          : utapi_backend_stats(s->memory, ret, err);
    pthread_mutex_unlock(&s->lock);
    return status;
}

/* What is lost does not bring back what was forgotten: tests do not do both. */
static utapi_status server_forget(utapi_backend *base, utapi_level level, utapi_string name, int64_t time_ms,
                                  utapi_error *err)
{
    server *s = reach(base);
    const utapi_status status = utapi_backend_expire(s->memory, level, name, time_ms, err);
    pthread_mutex_unlock(&s->lock);
    return status;
}

static utapi_status server_tend(utapi_backend *base, int64_t now_ms, int64_t accepted_ms, utapi_error *err)
{
    server *s = reach(base);
    atomic_fetch_add(&s->tended, 1);
    const utapi_status status = utapi_backend_maintain(s->memory, now_ms, accepted_ms, err);
    pthread_mutex_unlock(&s->lock);
    return status;
}

static void server_close(utapi_backend *base)
{
    free(base);
}

#define SLOTS                                                                                       \
    .version = UTAPI_BACKEND_VERSION, .name = "server", .apply = server_apply, .read = server_read, \
    .expire = server_forget, .maintain = server_tend, .stats = server_stats, .close = server_close

static const utapi_backend_ops server_ops = {SLOTS, .largest_step = 24};
static const utapi_backend_ops alone_ops = {SLOTS};

utapi_backend *server_connect(server *s)
{
    connection *made = malloc(sizeof *made);
    assert_non_null(made);
    *made = (connection){.base.ops = s->alone ? &alone_ops : &server_ops, .to = s};
    return &made->base;
}
