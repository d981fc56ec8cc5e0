/* SPDX-License-Identifier: Apache-2.0 */
/* redis_read.c - queries: each name is answered from one snapshot, which is a MULTI that only reads, or a script where
 * Redis is out of memory.
 *
 * First the resource info and Redis's clock say what to read (redis_plan.c). The snapshot then reads states, the
 * rollups of closed days, every key of the intervals that are still open, and the resource info again. Missing daily
 * rollups are made before another snapshot, monthly ones after the answer is found (redis_rollups.c). What was read
 * outside the snapshot, days summed up and the edges of the range, lies in closed days. Only a late write changes
 * anything there, and it notes its generation with the day in `late`: if the snapshot finds one, the answer is begun
 * again. From the third time on, the snapshot itself reads what late writes keep out of rollups. */
#include "redis_query.h"

#include <stdlib.h>
#include <string.h>

enum {
    TRIES = 12,
    RAW_FROM_TRY = 2,
};

/* ---- the resource info -------------------------------------------------------------------- */

/* Reads the clock and the resource info. From there on all of an answer comes from one server: what follows is
 * judged by them. */
static utapi_status resource_info_read(redis_reading *reading, utapi_error *err)
{
    enum { REPLIES = 3 };
    redisReply *replies[REPLIES] = {NULL};
    redis_replies left = {.at = replies, .end = replies + REPLIES};
    utapi_status status = UTAPI_OK;
    reading->connection->pinned = false;
    utapi_redis_args_add(&reading->connection->args, "TIME");
    utapi_redis_query_queue(reading);
    utapi_redis_resource_info_queue(reading);
    for (size_t i = 0; i < REPLIES && status == UTAPI_OK; i++)
        status = utapi_redis_query_next(reading, &replies[i], err);
    if (status == UTAPI_CORRUPT) { /* of another type: MGET passes over that */
        utapi_error_clear(err);
        (void)!utapi_redis_query_corrupt(reading, REDIS_OWN "odd", &(redisReply){.type = REDIS_REPLY_NIL},
                                         err);
    }
    if (status == UTAPI_OK)
        status = utapi_redis_time_parse(utapi_redis_reply_next(&left), &reading->now_ms, err);
    if (status == UTAPI_OK)
        status = utapi_redis_resource_info_parse(reading, &left, &reading->info, err);
    reading->connection->pinned = true;
    for (size_t i = 0; i < REPLIES; i++)
        freeReplyObject(replies[i]);
    return status;
}

/* ---- an answer ---------------------------------------------------------------------------- */

/* Plans anew and reads a snapshot, with its days summed up. *ret_done: it is the answer. */
static utapi_status answer_try(redis_reading *reading, redis_raw *raw, redis_plan *plan, redis_snapshot *of,
                               bool *ret_done, utapi_error *err)
{
    utapi_status status = resource_info_read(reading, err);
    if (status == UTAPI_OK)
        status = utapi_redis_plan_make(reading, raw, plan, err);
    if (status == UTAPI_OK)
        status = utapi_redis_snapshot_read(reading, plan, of, err);
    if (status == UTAPI_OK && of->missing_months > 0)
        status = utapi_redis_snapshot_read(reading, plan, of, err);
    if (status == UTAPI_OK && utapi_redis_plan_missing(plan) > 0 && !raw->edges) {
        status = utapi_redis_daily_fill(reading, plan, err);
        if (status == UTAPI_OK)
            status = utapi_redis_snapshot_read(reading, plan, of, err);
    }
    /* The snapshot and what was read before it must belong together. */
    *ret_done = status == UTAPI_OK && utapi_redis_plan_missing(plan) == 0 && of->missing_months == 0 &&
                utapi_redis_resource_info_hold(&reading->info, &of->info) && !of->stale;
    return status;
}

/* What the next try is to read in the snapshot itself, with what the last one did. */
static void raw_choose(const redis_plan *plan, redis_raw *ret)
{
    ret->edges = true;
    for (size_t i = 0; i < plan->day_count; i++) {
        if (plan->days[i].is != REDIS_DAY_MISSING)
            continue;
        if (ret->count == sizeof ret->days / sizeof *ret->days) { /* too many: they must be summed up first */
            *ret = (redis_raw){.edges = false};
            return;
        }
        ret->days[ret->count++] = plan->days[i].first;
    }
}

static utapi_status answer(redis_reading *reading, redis_plan *plan, redis_snapshot *of, utapi_usage *ret,
                           utapi_error *err)
{
    redis_raw raw = {.edges = false};
    for (size_t i = 0; i < TRIES; i++) {
        bool done = false;
        const utapi_status status = answer_try(reading, &raw, plan, of, &done, err);
        if (status != UTAPI_OK)
            return status;
        if (done) {
            utapi_redis_monthly_make(reading, plan);
            *ret = of->states;
            ret->expired_ms = of->info.expired_ms;
            utapi_amounts_add(&of->flows, &plan->summed);
            utapi_amounts_copy(&of->flows, &ret->flows);
            return UTAPI_OK;
        }
        if (i + 1 >= RAW_FROM_TRY)
            raw_choose(plan, &raw);
    }
    return utapi_fail(err, UTAPI_UNAVAILABLE, "late events keep changing this range; ask again");
}

/* ---- queries ---------------------------------------------------------------------------- */

static utapi_status query_read(redis_reading *reading, const utapi_query *query, redis_snapshot *of,
                               utapi_usage *ret, uint64_t *ret_fences, utapi_error *err)
{
    redis_plan plan = {0};
    utapi_status status = UTAPI_OK;
    if (ret_fences != NULL)
        ret_fences[0] = 0;
    for (size_t i = 0; i < query->count && status == UTAPI_OK; i++) {
        utapi_usage_clear(&ret[i]);
        reading->name = query->names[i];
        if (reading->name.size > 0 && reading->name.size <= UTAPI_NAME_MAX)
            status = answer(reading, &plan, of, &ret[i], err);
        else if (of->writer != NULL) /* no key has it */
            status = utapi_redis_fence_read(reading, of->writer, &of->fence, err);
        if (ret_fences != NULL)
            ret_fences[i] = of->fence;
    }
    if (query->count == 0 && of->writer != NULL)
        status = utapi_redis_fence_read(reading, of->writer, &ret_fences[0], err);
    utapi_redis_plan_done(&plan);
    return status;
}

static utapi_status query_answer(redis_backend *backend, redis_connection *connection,
                                 const utapi_query *query, utapi_usage *ret, uint64_t *ret_fences,
                                 utapi_error *err)
{
    static const unsigned char nobody[sizeof query->writer];
    redis_reading reading = {
        .scanning = &backend->scanning,
        .connection = connection,
        .prefix = backend->uri.prefix,
        .level = query->level,
        .range = {query->start, query->end},
        .current_only = query->start == UTAPI_INTERVAL_MAX,
        .all = query->names,
        .all_count = query->count,
        .give_up_ms = query->deadline_ms != 0 ? query->deadline_ms : REDIS_NEVER,
    };
    const bool fenced = ret_fences != NULL && memcmp(query->writer, nobody, sizeof nobody) != 0;
    redis_snapshot of = {.writer = fenced ? query->writer : NULL};
    const utapi_status status = query_read(&reading, query, &of, ret, ret_fences, err);
    utapi_redis_query_drain(&reading);
    connection->pinned = false;
    utapi_redis_resource_info_done(&reading.info);
    utapi_redis_resource_info_done(&of.info);
    utapi_redis_args_done(&reading.gathered);
    return status;
}

utapi_status utapi_redis_read(utapi_backend *self, const utapi_query *query, utapi_usage *ret,
                              uint64_t *ret_fences, utapi_error *err)
{
    redis_backend *backend = (redis_backend *)self;
    redis_connection *connection = utapi_redis_pool_take(backend->pool);
    if (connection == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "answering a query");
    utapi_error first;
    utapi_error_clear(&first);
    utapi_status status = query_answer(backend, connection, query, ret, ret_fences, &first);
    if (status == UTAPI_UNCERTAIN) { /* a connection that waited may have been closed at the other end */
        utapi_error_clear(&first);
        status = query_answer(backend, connection, query, ret, ret_fences, &first);
    }
    utapi_redis_pool_give(backend->pool, connection);
    status = utapi_redis_only_read(status, NULL);
    return status == UTAPI_OK ? UTAPI_OK : utapi_fail(err, status, "%s", first.detail);
}
