/* SPDX-License-Identifier: Apache-2.0 */
/* redis_apply.c - a batch through apply.lua. It is sent as it is thought to be right, and again as long as the
 * script answers that something is otherwise: a uuid is known, a bucket has a tombstone, an expiry is due. Until
 * it answers OK nothing was written. */
#include "redis_query.h"
#include "redis_write.h"

#include "utapi/clock.h"
#include "utapi/scoped.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

UTAPI_AUTO_DEFINE(redisReply, freeReplyObject)
UTAPI_AUTO_DEFINE(utapi_aggregation, utapi_aggregation_free)

enum { ROUNDS_MAX = 200, CORRECTIONS_AT_ONCE = 8, CORRECTIONS_WAITED_FOR = 2000 };

/* ---- before it is sent -------------------------------------------------------------------- */

static int uuid_order(const void *left_entry, const void *right_entry)
{
    const utapi_entry *left = *(const utapi_entry *const *)left_entry;
    const utapi_entry *right = *(const utapi_entry *const *)right_entry;
    if (left->uuid_time_ms != right->uuid_time_ms)
        return left->uuid_time_ms < right->uuid_time_ms ? -1 : 1;
    const int order = utapi_string_compare(left->uuid, right->uuid);
    return order != 0 ? order : (left > right) - (left < right);
}

/* Puts the entries that have a uuid in order, and finds what the batch brings twice: the later one is the
 * repetition. */
static void uuids_list(redis_write *write)
{
    const utapi_batch *batch = &write->batch;
    const utapi_entry **order = write->uuids;
    for (size_t i = 0; i < batch->count; i++)
        if (batch->entries[i].uuid.size > 0)
            order[write->uuid_count++] = &batch->entries[i];
    qsort(order, write->uuid_count, sizeof *order, uuid_order);
    for (size_t i = 1; i < write->uuid_count; i++)
        if (order[i]->uuid_time_ms == order[i - 1]->uuid_time_ms &&
            utapi_string_equal(order[i]->uuid, order[i - 1]->uuid))
            write->skip[order[i] - batch->entries] = true;
}

/* ---- what an answer calls for ------------------------------------------------------------ */

/* The tombstones of the batch's resources, each once, in the order of the aggregation. */
static utapi_status tombstones_read(redis_write *write, utapi_error *err)
{
    redis_connection *writer = write->self->writer;
    UTAPI_AUTO(redisReply) *reply = NULL;
    UTAPI_AUTO(utapi_aggregation) *fold = NULL;
    free(write->tombstones);
    write->tombstone_count = 0;
    write->tombstones = calloc(write->batch.count * UTAPI_LEVEL_COUNT + 1, sizeof *write->tombstones);
    if (write->tombstones == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "%zu events", write->batch.count);
    utapi_status status = utapi_aggregation_new(&write->batch, NULL, &fold, err);
    if (status != UTAPI_OK)
        return status;
    redis_tombstone *end = write->tombstones;
    utapi_redis_args_add(&writer->args, "MGET");
    for (utapi_resource_run run; utapi_aggregation_next(fold, &run);)
        if (end == write->tombstones || end[-1].level != run.level ||
            !utapi_string_equal(end[-1].name, run.name)) {
            *end++ = (redis_tombstone){.level = run.level, .name = run.name, .time_ms = INT64_MIN};
            utapi_redis_args_resource(&writer->args, write->self->uri.prefix, run.level, run.name,
                                      REDIS_OWN "gone");
        }
    write->tombstone_count = (size_t)(end - write->tombstones);
    if (write->tombstone_count == 0) {
        utapi_redis_args_clear(&writer->args);
        return UTAPI_OK;
    }
    status = utapi_redis_connection_call(writer, &reply, err);
    for (size_t i = 0; status == UTAPI_OK && i < write->tombstone_count && i < reply->elements; i++) {
        redis_tombstone *tombstone = &write->tombstones[i];
        const utapi_string text = redis_text_of(reply->element[i]);
        if (text.size == 0 || text.size >= sizeof tombstone->text)
            continue;
        memcpy(tombstone->text, text.data, text.size);
        tombstone->time_ms = strtoll(tombstone->text, NULL, 10);
    }
    return status;
}

static utapi_status answer_is_unknown(utapi_error *err)
{
    return utapi_fail(err, UTAPI_CORRUPT, "Redis: an unknown answer of a script");
}

/* The positions in write->uuids of those that are known. */
static utapi_status known_skip(redis_write *write, const redisReply *reply, utapi_error *err)
{
    for (size_t i = 1; i < reply->elements; i++) {
        const utapi_string text = redis_text_of(reply->element[i]);
        const unsigned long long index = text.size > 0 ? strtoull(text.data, NULL, 10) : ULLONG_MAX;
        if (index >= write->uuid_count)
            return answer_is_unknown(err);
        write->skip[write->uuids[index] - write->batch.entries] = true;
    }
    return UTAPI_OK;
}

static utapi_status due_expire(redis_write *write, const redisReply *reply, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    for (size_t i = 1; i < reply->elements && status == UTAPI_OK; i++)
        status =
            utapi_redis_expire_one(write->self, utapi_level_name(UTAPI_BUCKETS),
                                   redis_text_of(reply->element[i]), INT64_MIN, &write->batch.fence, err);
    return status;
}

/* ---- rounds ------------------------------------------------------------------------------- */

/* What ends it, with the key that is to blame. What else stands where the fence was says nothing of what was
 * applied: who knows must put it right. */
static const struct {
    const char *word;
    utapi_status status;
    const char *why;
} refusals[] = {
    {"OVERFLOW", UTAPI_OVERFLOW, "does not fit 64 bits"},
    {"CORRUPT", UTAPI_CORRUPT, "holds what is no 64-bit integer, or is of another type"},
    {"UNFENCED", UTAPI_UNAVAILABLE, "holds no writer's fence"},
    {"UNAUDITED", UTAPI_UNAVAILABLE, "holds no audit"},
    {"APART", UTAPI_OVERFLOW, "an expiry among amounts near 2^63 has to be stored apart"},
};

static utapi_string text_at(const redisReply *reply, size_t i)
{
    const bool is_there = reply->type == REDIS_REPLY_ARRAY && i < reply->elements;
    const utapi_string text = is_there ? redis_text_of(reply->element[i]) : (utapi_string){NULL, 0};
    return text.size > 0 ? text : (utapi_string){"", 0};
}

/* Behind the key that is to blame first, five words for each cell: level, name, interval ("": all), metric, and what a
 * full one holds. */
static void unfit_tell(redis_write *write, const redisReply *reply)
{
    for (size_t i = 2; i + 5 <= reply->elements; i += 5) {
        redis_unfit cell = {.name = text_at(reply, i + 1), .interval = INT64_MIN};
        const utapi_string interval = text_at(reply, i + 2), total = text_at(reply, i + 4);
        cell.metric = utapi_metric_find(text_at(reply, i + 3));
        if (!utapi_level_find(text_at(reply, i), &cell.level) || cell.metric == UTAPI_METRIC_COUNT)
            continue;
        if (interval.size > 0)
            cell.interval = strtoll(interval.data, NULL, 10);
        cell.is_full = total.size > 0;
        cell.total = strtoll(total.data, NULL, 10);
        utapi_redis_unfit_tell(write, &cell);
    }
}

static utapi_status round_run(redis_write *write, utapi_applied *ret, bool *ret_again, utapi_error *err)
{
    UTAPI_AUTO(redisReply) *reply = NULL;
    *ret_again = false;
    utapi_status status = utapi_redis_encode(write, err);
    const int64_t begin_ns = utapi_monotonic_ns();
    if (status == UTAPI_OK)
        status = utapi_redis_connection_run(write->self->writer, REDIS_SCRIPT_APPLY, &reply, err);
    const int64_t took_us = (utapi_monotonic_ns() - begin_ns) / 1000;
    if (status != UTAPI_OK)
        return status;

    const char *word = text_at(reply, 0).data; /* hiredis ends each text with a NUL */
    const utapi_string first = text_at(reply, 1);
    if (strcmp(word, "OK") == 0) {
        if (reply->elements > 2) /* an act, and its id is known */
            write->skip[0] = true;
        utapi_redis_budget_learn(write->self, write->foretold_us, took_us);
        *ret = (utapi_applied){.fence = utapi_fence_is_set(&write->batch.fence) ? write->batch.fence.to : 0};
        for (size_t i = 0; i < write->batch.count; i++)
            ret->repeated += write->skip[i];
        if (strcmp(first.data, "0") != 0) /* corrections are left, which maintenance works off too */
            (void)!utapi_redis_corrections_maintain(write->self, CORRECTIONS_AT_ONCE, NULL);
        return UTAPI_OK;
    }
    if (strcmp(word, "FENCED") == 0) {
        ret->fence = strtoull(first.data, NULL, 10);
        return utapi_fail(err, UTAPI_FENCED, "the fence stands at %llu, not at %llu",
                          (unsigned long long)ret->fence, (unsigned long long)write->batch.fence.from);
    }
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        if (strcmp(word, refusals[i].word) == 0) {
            unfit_tell(write, reply);
            const utapi_string key = utapi_string_cut(first, 150);
            return utapi_fail(err, refusals[i].status, "%.*s: %s", (int)key.size, key.data, refusals[i].why);
        }
    *ret_again = true;
    if (strcmp(word, "KNOWN") == 0)
        return known_skip(write, reply, err);
    if (strcmp(word, "TOMBSTONES") == 0)
        return tombstones_read(write, err);
    if (strcmp(word, "DUE") == 0)
        return due_expire(write, reply, err);
    if (strcmp(word, "CORRECTIONS") == 0)
        return utapi_redis_corrections_work(write->self, first, text_at(reply, 2), CORRECTIONS_WAITED_FOR,
                                            err);
    return answer_is_unknown(err);
}

/* Sends it until it is stored or refused. */
static utapi_status write_send(redis_write *write, utapi_applied *ret, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    bool again = true;
    for (unsigned i = 0; i < ROUNDS_MAX && again && status == UTAPI_OK; i++)
        status = round_run(write, ret, &again, err);
    free(write->tombstones);
    if (status == UTAPI_OK && again)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "Redis: too much has to expire first");
    return status;
}

/* What is earlier than an expiry counts at it. */
static utapi_status adjustments_raise(redis_backend *self, utapi_adjustment *adjustments, size_t count,
                                      utapi_error *err)
{
    UTAPI_AUTO(redisReply) *reply = NULL;
    redis_args *args = &self->writer->args;
    utapi_redis_args_add(args, "MGET");
    for (size_t i = 0; i < count; i++)
        utapi_redis_args_resource(args, self->uri.prefix, adjustments[i].level, adjustments[i].name,
                                  REDIS_OWN "gone");
    const utapi_status status = utapi_redis_connection_call(self->writer, &reply, err);
    for (size_t i = 0; status == UTAPI_OK && i < count && i < reply->elements; i++) {
        int64_t expired_ms;
        if (reply->element[i]->type == REDIS_REPLY_STRING &&
            utapi_redis_integer(reply->element[i], &expired_ms) && expired_ms > adjustments[i].interval)
            adjustments[i].interval = utapi_interval_of(expired_ms);
    }
    return status;
}

utapi_status utapi_redis_adjust(utapi_backend *base, const utapi_adjustment *adjustments, size_t count,
                                size_t *ret_count, utapi_error *err)
{
    bool skip = false;
    utapi_applied applied;
    utapi_adjustment some[REDIS_ADJUSTMENTS_MAX];
    redis_write write = {.self = (redis_backend *)base,
                         .skip = &skip,
                         .adjustments = some,
                         .adjustment_count = count < REDIS_ADJUSTMENTS_MAX ? count : REDIS_ADJUSTMENTS_MAX};
    utapi_status status = UTAPI_OK;
    pthread_mutex_lock(&write.self->writing);
    if (count > 0) {
        memcpy(some, adjustments, write.adjustment_count * sizeof *some);
        status = adjustments_raise(write.self, some, write.adjustment_count, err);
    }
    if (count > 0 && status == UTAPI_OK)
        status = write_send(&write, &applied, err);
    pthread_mutex_unlock(&write.self->writing);
    if (status == UTAPI_OK)
        *ret_count = write.adjustment_count;
    return status;
}

utapi_status utapi_redis_apply(utapi_backend *base, const utapi_batch *batch, utapi_applied *ret,
                               utapi_error *err)
{
    redis_backend *self = (redis_backend *)base;
    size_t count = batch->count;
    unsigned foretold_us = 0;
    UTAPI_AUTO_FREE bool *skip = calloc(count + 1, sizeof *skip);
    UTAPI_AUTO_FREE const utapi_entry **uuids = malloc((count + 1) * sizeof *uuids);
    if (skip == NULL || uuids == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "%zu events", count);
    pthread_mutex_lock(&self->writing);
    if (utapi_fence_is_set(&batch->fence)) {
        self->is_fenced = true;
        count = utapi_redis_budget(self, batch,
                                   &foretold_us); /* the rest is cut off before anything else is done */
    }
    redis_write write = {.self = self,
                         .batch = utapi_batch_prefix(batch, count),
                         .skip = skip,
                         .uuids = uuids,
                         .foretold_us = foretold_us};
    if (self->window_ms > 0)
        uuids_list(&write);
    const utapi_status status = write_send(&write, ret, err);
    pthread_mutex_unlock(&self->writing);
    return status;
}
