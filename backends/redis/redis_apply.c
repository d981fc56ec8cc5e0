/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis_apply.c - a batch through apply.lua: sent as it is thought to be right, and sent anew as long as the script
 * answers that something is not as it was thought: a uuid was taken before, a bucket was forgotten, one is due to be.
 * Until it answers OK nothing was written.
 */
#include "redis_writing.h"

#include "utapi/scoped.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS_MAX = 200, CORRECTIONS_AT_ONCE = 8, CORRECTIONS_WAITED_FOR = 2000 };

/* ---- before it is sent -------------------------------------------------------------------- */

static utapi_status entries_check(const utapi_batch *batch, utapi_error *err)
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->entries[i].time_ms < 0 ||
            utapi_interval_of(batch->entries[i].time_ms) > UTAPI_INTERVAL_MAX)
            return utapi_fail_at(err, UTAPI_INVALID, i, "an event at %lld ms",
                                 (long long)batch->entries[i].time_ms);
    return UTAPI_OK;
}

static int uuid_order(const void *left_entry, const void *right_entry)
{
    const utapi_entry *left = *(const utapi_entry *const *)left_entry;
    const utapi_entry *right = *(const utapi_entry *const *)right_entry;
    if (left->uuid_time_ms != right->uuid_time_ms)
        return left->uuid_time_ms < right->uuid_time_ms ? -1 : 1;
    const int order = utapi_string_compare(left->uuid, right->uuid);
    return order != 0 ? order : (left > right) - (left < right);
}

/* Puts the entries that have a uuid in order, and finds what the batch brings twice: the later one is the repetition. */
static void uuids_list(redis_writing *writing)
{
    const utapi_batch *batch = writing->batch;
    const utapi_entry **order = writing->uuids;
    for (size_t i = 0; i < batch->count; i++)
        if (batch->entries[i].uuid.size > 0)
            order[writing->uuid_count++] = &batch->entries[i];
    qsort(order, writing->uuid_count, sizeof *order, uuid_order);
    for (size_t i = 1; i < writing->uuid_count; i++)
        if (order[i]->uuid_time_ms == order[i - 1]->uuid_time_ms &&
            utapi_string_equal(order[i]->uuid, order[i - 1]->uuid))
            writing->skip[order[i] - batch->entries] = true;
}

/* ---- marks of forgotten resources --------------------------------------------------------- */

/* The batch's resources, each once, in the order of the fold. */
static utapi_status tombstones_list(redis_writing *writing, utapi_error *err)
{
    utapi_fold *fold;
    redis_tombstone *tombstones = calloc(writing->batch->count * UTAPI_LEVEL_COUNT + 1, sizeof *tombstones);
    size_t count = 0;
    if (tombstones == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "%zu events", writing->batch->count);
    free(writing->tombstones);
    writing->tombstones = tombstones;
    const utapi_status status = utapi_fold_new(writing->batch, NULL, &fold, err);
    if (status != UTAPI_OK)
        return status;
    for (utapi_run run; utapi_fold_next(fold, &run);)
        if (count == 0 || tombstones[count - 1].level != run.level ||
            !utapi_string_equal(tombstones[count - 1].name, run.name))
            tombstones[count++] =
                (redis_tombstone){.level = run.level, .name = run.name, .time_ms = INT64_MIN};
    utapi_fold_free(fold);
    writing->tombstone_count = count;
    return UTAPI_OK;
}

static utapi_status tombstones_read(redis_writing *writing, utapi_error *err)
{
    redisReply *reply = NULL;
    utapi_status status = tombstones_list(writing, err);
    if (status != UTAPI_OK || writing->tombstone_count == 0)
        return status;
    utapi_redis_args_clear(&writing->args);
    utapi_redis_args_add(&writing->args, "MGET");
    for (size_t i = 0; i < writing->tombstone_count; i++) {
        redis_key key;
        utapi_redis_key_resource(&key, writing->self->uri.prefix, writing->tombstones[i].level,
                                 writing->tombstones[i].name, REDIS_OWN "gone");
        utapi_redis_args_key(&writing->args, &key);
    }
    status = utapi_redis_connection_call(writing->self->writer, &writing->args, &reply, err);
    if (status != UTAPI_OK)
        return status;
    for (size_t i = 0; i < writing->tombstone_count && i < reply->elements; i++) {
        const utapi_string text = redis_text_of(reply->element[i]);
        redis_tombstone *tombstone = &writing->tombstones[i];
        if (text.size == 0 || text.size >= sizeof tombstone->text)
            continue;
        memcpy(tombstone->text, text.data, text.size);
        tombstone->time_ms = strtoll(tombstone->text, NULL, 10);
    }
    freeReplyObject(reply);
    return UTAPI_OK;
}

/* ---- the script's answers ----------------------------------------------------------------- */

/* What to do about an answer. */
typedef enum round_end { ROUND_AGAIN, ROUND_DONE } round_end;

typedef utapi_status answer_fn(redis_writing *writing, const redisReply *reply, utapi_applied *ret,
                               round_end *ret_end, utapi_error *err);

static utapi_status on_ok(redis_writing *writing, const redisReply *reply, utapi_applied *ret,
                          round_end *ret_end, utapi_error *err)
{
    (void)err;
    *ret = (utapi_applied){0};
    for (size_t i = 0; i < writing->batch->count; i++)
        ret->repeated += writing->skip[i];
    ret->fence = utapi_fence_is_set(&writing->batch->fence) ? writing->batch->fence.to : 0;
    *ret_end = ROUND_DONE;
    const utapi_string noted =
        reply->elements > 1 ? redis_text_of(reply->element[1]) : (utapi_string){"0", 1};
    if (!utapi_string_equal(noted, utapi_string_of("0"))) /* it is stored: what is left is upkeep's too */
        (void)!utapi_redis_corrections_maintain(writing->self, CORRECTIONS_AT_ONCE, NULL);
    return UTAPI_OK;
}

static utapi_status on_fenced(redis_writing *writing, const redisReply *reply, utapi_applied *ret,
                              round_end *ret_end, utapi_error *err)
{
    const utapi_string stands =
        reply->elements > 1 ? redis_text_of(reply->element[1]) : (utapi_string){"", 0};
    *ret_end = ROUND_DONE;
    ret->fence = stands.size > 0 ? strtoull(stands.data, NULL, 10) : 0;
    return utapi_fail(err, UTAPI_FENCED, "the fence stands at %llu, not at %llu",
                      (unsigned long long)ret->fence, (unsigned long long)writing->batch->fence.from);
}

static utapi_status on_known(redis_writing *writing, const redisReply *reply, utapi_applied *ret,
                             round_end *ret_end, utapi_error *err)
{
    (void)ret;
    *ret_end = ROUND_AGAIN;
    for (size_t i = 1; i < reply->elements; i++) {
        const utapi_string text = redis_text_of(reply->element[i]);
        const unsigned long long index = text.size > 0 ? strtoull(text.data, NULL, 10) : ULLONG_MAX;
        if (index >= writing->uuid_count)
            return utapi_fail(err, UTAPI_CORRUPT, "Redis: an unknown answer of a script");
        writing->skip[writing->uuids[index] - writing->batch->entries] = true;
    }
    return UTAPI_OK;
}

static utapi_status on_tombstones(redis_writing *writing, const redisReply *reply, utapi_applied *ret,
                                  round_end *ret_end, utapi_error *err)
{
    (void)reply;
    (void)ret;
    *ret_end = ROUND_AGAIN;
    return tombstones_read(writing, err);
}

static utapi_status on_due(redis_writing *writing, const redisReply *reply, utapi_applied *ret,
                           round_end *ret_end, utapi_error *err)
{
    (void)ret;
    utapi_status status = UTAPI_OK;
    *ret_end = ROUND_AGAIN;
    for (size_t i = 1; i < reply->elements && status == UTAPI_OK; i++)
        status =
            utapi_redis_expire_one(writing->self, utapi_level_name(UTAPI_BUCKETS),
                                   redis_text_of(reply->element[i]), INT64_MIN, &writing->batch->fence, err);
    return status;
}

static utapi_status on_corrections(redis_writing *writing, const redisReply *reply, utapi_applied *ret,
                                   round_end *ret_end, utapi_error *err)
{
    (void)ret;
    *ret_end = ROUND_AGAIN;
    if (reply->elements < 3)
        return utapi_fail(err, UTAPI_CORRUPT, "Redis: an unknown answer of a script");
    return utapi_redis_corrections_work(writing->self, redis_text_of(reply->element[1]),
                                        redis_text_of(reply->element[2]), CORRECTIONS_WAITED_FOR, err);
}

static utapi_status fail_at_key(const redisReply *reply, utapi_status status, const char *what,
                                round_end *ret_end, utapi_error *err)
{
    const utapi_string key = reply->elements > 1 ? redis_text_of(reply->element[1]) : (utapi_string){"", 0};
    const utapi_string shown = utapi_string_cut(key, 150);
    *ret_end = ROUND_DONE;
    return utapi_fail(err, status, "%.*s: %s", (int)shown.size, shown.size > 0 ? shown.data : "", what);
}

static utapi_status on_overflow(redis_writing *writing, const redisReply *reply, utapi_applied *ret,
                                round_end *ret_end, utapi_error *err)
{
    (void)writing;
    (void)ret;
    return fail_at_key(reply, UTAPI_OVERFLOW, "does not fit 64 bits", ret_end, err);
}

static utapi_status on_corrupt(redis_writing *writing, const redisReply *reply, utapi_applied *ret,
                               round_end *ret_end, utapi_error *err)
{
    (void)writing;
    (void)ret;
    return fail_at_key(reply, UTAPI_CORRUPT, "holds what is no 64-bit integer, or is of another type",
                       ret_end, err);
}

/* What else stands where the fence was says nothing of what was applied: who knows must put it right. */
static utapi_status on_unfenced(redis_writing *writing, const redisReply *reply, utapi_applied *ret,
                                round_end *ret_end, utapi_error *err)
{
    (void)writing;
    (void)ret;
    return fail_at_key(reply, UTAPI_UNAVAILABLE, "holds no writer's fence", ret_end, err);
}

static const struct {
    const char *word;
    answer_fn *act;
} answers[] = {
    {"OK", on_ok},
    {"FENCED", on_fenced},
    {"UNFENCED", on_unfenced},
    {"KNOWN", on_known},
    {"TOMBSTONES", on_tombstones},
    {"DUE", on_due},
    {"CORRECTIONS", on_corrections},
    {"OVERFLOW", on_overflow},
    {"CORRUPT", on_corrupt},
};

static utapi_status answer_act(redis_writing *writing, const redisReply *reply, utapi_applied *ret,
                               round_end *ret_end, utapi_error *err)
{
    const utapi_string word = reply->type == REDIS_REPLY_ARRAY && reply->elements > 0
                                  ? redis_text_of(reply->element[0])
                                  : (utapi_string){"", 0};
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        if (utapi_string_equal(word, utapi_string_of(answers[i].word)))
            return answers[i].act(writing, reply, ret, ret_end, err);
    return utapi_fail(err, UTAPI_CORRUPT, "Redis: an unknown answer of a script");
}

/* ---- rounds ------------------------------------------------------------------------------- */

static utapi_status round_run(redis_writing *writing, utapi_applied *ret, round_end *ret_end,
                              utapi_error *err)
{
    redisReply *reply = NULL;
    utapi_status status = utapi_redis_encode(writing, err);
    if (status == UTAPI_OK)
        status = utapi_redis_connection_run(writing->self->writer, REDIS_SCRIPT_APPLY, &writing->args, &reply,
                                            err);
    if (status != UTAPI_OK)
        return status;
    assert(reply != NULL);
    status = answer_act(writing, reply, ret, ret_end, err);
    freeReplyObject(reply);
    return status;
}

static utapi_status rounds_run(redis_writing *writing, utapi_applied *ret, utapi_error *err)
{
    for (unsigned i = 0; i < ROUNDS_MAX; i++) {
        round_end end = ROUND_DONE;
        const utapi_status status = round_run(writing, ret, &end, err);
        if (status != UTAPI_OK || end == ROUND_DONE)
            return status;
    }
    return utapi_fail(err, UTAPI_UNAVAILABLE, "Redis: too much is due to be forgotten first");
}

/* Sends it until it is stored or refused. */
static utapi_status writing_send(redis_writing *writing, utapi_applied *ret, utapi_error *err)
{
    pthread_mutex_lock(&writing->self->writing);
    const utapi_status status = rounds_run(writing, ret, err);
    pthread_mutex_unlock(&writing->self->writing);
    utapi_redis_args_done(&writing->args);
    free(writing->tombstones);
    return status;
}

static utapi_status adjustments_check(const utapi_adjustment *adjustments, size_t count, utapi_error *err)
{
    for (size_t i = 0; i < count; i++) {
        const utapi_adjustment *one = &adjustments[i];
        if (one->name.size == 0 || one->name.size > UTAPI_NAME_MAX)
            return utapi_fail_at(err, UTAPI_INVALID, i, "a name of %zu bytes, expected 1 to %d",
                                 one->name.size, UTAPI_NAME_MAX);
        if (one->interval < 0 || one->interval > UTAPI_INTERVAL_MAX)
            return utapi_fail_at(err, UTAPI_INVALID, i, "a correction at %lld ms", (long long)one->interval);
    }
    return UTAPI_OK;
}

utapi_status utapi_redis_adjust(utapi_backend *base, const utapi_adjustment *adjustments, size_t count,
                                utapi_error *err)
{
    const utapi_batch nothing = {.count = 0};
    bool skip = false;
    utapi_applied applied;
    redis_writing writing = {.self = (redis_backend *)base,
                             .batch = &nothing,
                             .skip = &skip,
                             .adjustments = adjustments,
                             .adjustment_count = count};
    const utapi_status status = adjustments_check(adjustments, count, err);
    return status == UTAPI_OK && count > 0 ? writing_send(&writing, &applied, err) : status;
}

utapi_status utapi_redis_apply(utapi_backend *base, const utapi_batch *batch, utapi_applied *ret,
                               utapi_error *err)
{
    redis_backend *self = (redis_backend *)base;
    redis_writing writing = {.self = self, .batch = batch};
    UTAPI_AUTO_FREE bool *skip = calloc(batch->count + 1, sizeof *skip);
    UTAPI_AUTO_FREE const utapi_entry **uuids = malloc((batch->count + 1) * sizeof *uuids);
    if (skip == NULL || uuids == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "%zu events", batch->count);
    writing.skip = skip;
    writing.uuids = uuids;
    pthread_mutex_lock(&self->writing);
    self->is_fenced |= utapi_fence_is_set(&batch->fence);
    pthread_mutex_unlock(&self->writing);
    const utapi_status status = entries_check(batch, err);
    if (status != UTAPI_OK)
        return status;
    if (self->window_ms > 0)
        uuids_list(&writing);
    return writing_send(&writing, ret, err);
}
