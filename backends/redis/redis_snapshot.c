/* SPDX-License-Identifier: Apache-2.0 */
/* redis_snapshot.c - all that an answer must see at one moment, in one MULTI: resource info, states, the rollups of
 * closed days, and every key of what is still open.
 *
 * Two parts are read just before it, since only a late write changes them, which the resource info would show: the
 * parts of closed days at both ends of the range. A MULTI holds Redis up for as long as it reads.
 *
 * While Redis is out of memory it queues no command of a MULTI, not even one that reads, but it runs scripts that do
 * not write: then the same commands are the arguments of lua/snapshot.lua, which takes some times as long. */
#include "redis_query.h"

#include "utapi/scoped.h"
#include "utapi/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

UTAPI_AUTO_DEFINE(redisReply, freeReplyObject)

enum { ROLLUPS_A_STEP = 512 };

/* Cuts the next step off a span; false when nothing is left. */
static bool span_step(redis_span *left, redis_span *ret)
{
    const utapi_interval reach = (REDIS_STEP_INTERVALS - 1) * UTAPI_INTERVAL_MS;
    if (left->first > left->last)
        return false;
    ret->first = left->first;
    ret->last = left->last - left->first > reach ? left->first + reach : left->last;
    left->first = ret->last + UTAPI_INTERVAL_MS;
    return true;
}

/* ---- flows -------------------------------------------------------------------------------- */

void utapi_redis_flows_queue(redis_reading *reading, redis_span step)
{
    redis_args *args = &reading->connection->args;
    utapi_redis_args_add(args, "MGET");
    for (utapi_interval interval = step.first; interval <= step.last; interval += UTAPI_INTERVAL_MS) {
        redis_key key;
        utapi_redis_key_flow(&key, reading->prefix, reading->level, interval, reading->name,
                             UTAPI_INCOMING_BYTES);
        const utapi_string head = {key.bytes, key.size - strlen(utapi_metric_name(UTAPI_INCOMING_BYTES)) - 1};
        for (unsigned i = 0; i < REDIS_FLOW_COUNT; i++)
            utapi_redis_args_joined(args, head, utapi_string_of(utapi_metric_name(UTAPI_INCOMING_BYTES + i)));
    }
    utapi_redis_query_queue(reading);
}

utapi_status utapi_redis_flow_add(const redis_reading *reading, utapi_metric metric, const redisReply *value,
                                  utapi_amounts *sums, bool *ret_found, utapi_error *err)
{
    int64_t amount;
    if (value->type == REDIS_REPLY_NIL) /* or no string at all: nothing to V1 as well */
        return UTAPI_OK;
    if (!utapi_redis_integer(value, &amount))
        return utapi_fail(err, UTAPI_OVERFLOW, "%.*s: a stored flow does not fit 64 bits",
                          (int)reading->name.size, reading->name.data);
    utapi_amounts_add_one(sums, metric, amount);
    *ret_found = true;
    return UTAPI_OK;
}

/* Adds what an MGET of a step found. */
static utapi_status flows_add(const redis_reading *reading, redis_span step, const redisReply *reply,
                              utapi_amounts *sums, utapi_error *err)
{
    const size_t intervals = (size_t)((step.last - step.first) / UTAPI_INTERVAL_MS) + 1;
    utapi_status status = UTAPI_OK;
    bool found;
    if (!redis_is_array(reply, intervals * REDIS_FLOW_COUNT))
        return utapi_redis_query_corrupt(reading, "flows", reply, err);
    for (size_t i = 0; i < reply->elements && status == UTAPI_OK; i++)
        status = utapi_redis_flow_add(reading, (utapi_metric)(UTAPI_INCOMING_BYTES + i % REDIS_FLOW_COUNT),
                                      reply->element[i], sums, &found, err);
    return status;
}

/* ---- the commands ------------------------------------------------------------------------- */

static void span_queue(redis_reading *reading, redis_span left)
{
    redis_span step;
    while (span_step(&left, &step))
        utapi_redis_flows_queue(reading, step);
}

/* The next rollup that a snapshot reads: an index below day_count is a day, the others are months. */
static bool rollup_next(const redis_plan *plan, size_t *at)
{
    while (*at < plan->day_count && plan->days[*at].is != REDIS_DAY_QUERIED)
        ++*at;
    while (*at >= plan->day_count && *at < plan->day_count + plan->month_count &&
           plan->months[*at - plan->day_count].missing)
        ++*at;
    return *at < plan->day_count + plan->month_count;
}

static void rollups_queue(redis_reading *reading, const redis_plan *plan)
{
    redis_args *args = &reading->connection->args;
    for (size_t at = 0; rollup_next(plan, &at);) {
        utapi_redis_args_add(args, "MGET");
        for (size_t i = 0; i < ROLLUPS_A_STEP && rollup_next(plan, &at); i++, at++) {
            const bool is_day = at < plan->day_count;
            utapi_redis_args_rollup(args, reading->prefix, reading->level, reading->name,
                                    is_day ? REDIS_DAILY : REDIS_MONTHLY,
                                    is_day ? plan->days[at].first : plan->months[at - plan->day_count].first);
        }
        utapi_redis_query_queue(reading);
    }
}

static void fence_queue(redis_reading *reading, const unsigned char *writer)
{
    redis_key key;
    utapi_redis_key_fence(&key, reading->prefix, writer);
    utapi_redis_args_add(&reading->connection->args, "GET");
    utapi_redis_args_key(&reading->connection->args, &key);
    utapi_redis_query_queue(reading);
}

static void snapshot_queue(redis_reading *reading, const redis_plan *plan, const redis_snapshot *want)
{
    for (size_t i = 0; i < plan->edge_count; i++)
        span_queue(reading, plan->edges[i]);
    if (reading->is_scripted) {
        utapi_redis_args_clear(&reading->gathered);
        utapi_redis_args_script(&reading->gathered, 0);
        reading->is_gathering = true;
    } else {
        utapi_redis_args_add(&reading->connection->args, "MULTI");
        utapi_redis_query_queue(reading);
    }
    utapi_redis_resource_info_queue(reading);
    utapi_redis_late_queue(reading);
    utapi_redis_states_queue(reading);
    if (want->writer != NULL)
        fence_queue(reading, want->writer);
    rollups_queue(reading, plan);
    for (size_t i = 0; i < plan->span_count; i++)
        span_queue(reading, plan->spans[i]);
    reading->is_gathering = false;
    if (reading->is_scripted)
        return;
    utapi_redis_args_add(&reading->connection->args, "EXEC");
    utapi_redis_query_queue(reading);
}

/* ---- the replies -------------------------------------------------------------------------- */

/* Adds a rollup; false if there is none. One that cannot be read is as good as none. */
static bool rollup_add(const redisReply *row, redis_snapshot *ret, bool *ret_empty)
{
    utapi_amounts amounts;
    const bool is_there = row->type == REDIS_REPLY_STRING &&
                          utapi_snapshot_decode(row->str, row->len, &amounts, NULL, NULL) == UTAPI_OK;
    *ret_empty = is_there && amounts.present == 0;
    if (is_there)
        utapi_amounts_add(&ret->flows, &amounts);
    return is_there;
}

/* The days of a month that is missing are for the next snapshot. */
static void month_parse(redis_plan *plan, redis_month *month, const redisReply *row, redis_snapshot *ret)
{
    bool empty;
    month->missing = !rollup_add(row, ret, &empty);
    ret->missing_months += month->missing;
    for (size_t day = month->day; day < month->day + REDIS_MONTH_DAYS; day++) {
        plan->days[day].is = month->missing ? REDIS_DAY_QUERIED : REDIS_DAY_ROLLED;
        plan->days[day].empty = empty;
    }
}

static utapi_status rollups_parse(const redis_reading *reading, redis_plan *plan, redis_replies *left,
                                  redis_snapshot *ret, utapi_error *err)
{
    for (size_t at = 0; rollup_next(plan, &at);) {
        const redisReply *reply = utapi_redis_reply_next(left);
        if (reply->type != REDIS_REPLY_ARRAY)
            return utapi_redis_query_corrupt(reading, REDIS_OWN "...", reply, err);
        for (size_t i = 0; i < reply->elements && rollup_next(plan, &at); i++, at++)
            if (at >= plan->day_count)
                month_parse(plan, &plan->months[at - plan->day_count], reply->element[i], ret);
            else if (!rollup_add(reply->element[i], ret, &plan->days[at].empty))
                plan->days[at].is = REDIS_DAY_MISSING;
    }
    return UTAPI_OK;
}

static utapi_status fence_corrupt(const redis_reading *reading, const unsigned char *writer, utapi_error *err)
{
    redis_key key;
    utapi_redis_key_fence(&key, reading->prefix, writer);
    return utapi_fail(err, UTAPI_CORRUPT, "%.*s: holds no writer's fence", (int)key.size, key.bytes);
}

/* Unlike amounts, a fence is ours alone: what it would be read as by accident decides what is sent again. */
static utapi_status fence_parse(const redis_reading *reading, const unsigned char *writer,
                                const redisReply *reply, uint64_t *ret, utapi_error *err)
{
    *ret = 0;
    if (reply->type == REDIS_REPLY_NIL)
        return UTAPI_OK;
    char *end = NULL;
    errno = 0;
    const bool is_text = reply->type == REDIS_REPLY_STRING && reply->len > 0;
    const unsigned long long fence = is_text ? strtoull(reply->str, &end, 10) : 0;
    if (!is_text || errno != 0 || end != reply->str + reply->len || reply->str[0] == '-')
        return fence_corrupt(reading, writer, err);
    *ret = fence;
    return UTAPI_OK;
}

utapi_status utapi_redis_fence_read(redis_reading *reading, const unsigned char *writer, uint64_t *ret,
                                    utapi_error *err)
{
    UTAPI_AUTO(redisReply) *reply = NULL;
    fence_queue(reading, writer);
    const utapi_status status = utapi_redis_query_next(reading, &reply, err);
    if (status == UTAPI_CORRUPT) { /* it is of another type */
        utapi_error_clear(err);
        return fence_corrupt(reading, writer, err);
    }
    return status == UTAPI_OK ? fence_parse(reading, writer, reply, ret, err) : status;
}

static utapi_status exec_parse(redis_reading *reading, redis_plan *plan, const redisReply *exec,
                               redis_snapshot *ret, utapi_error *err)
{
    if (exec->type != REDIS_REPLY_ARRAY)
        return utapi_fail(err, UTAPI_CORRUPT, "EXEC: an answer of another shape than Redis gives");
    redis_replies left = {.at = exec->element, .end = exec->element + exec->elements};
    utapi_status status = utapi_redis_resource_info_parse(reading, &left, &ret->info, err);
    if (status == UTAPI_OK)
        status = utapi_redis_late_parse(reading, plan, utapi_redis_reply_next(&left), &ret->stale, err);
    if (status == UTAPI_OK)
        status = utapi_redis_states_parse(reading, &left, &ret->states, err);
    if (status == UTAPI_OK && ret->writer != NULL)
        status = fence_parse(reading, ret->writer, utapi_redis_reply_next(&left), &ret->fence, err);
    if (status == UTAPI_OK)
        status = rollups_parse(reading, plan, &left, ret, err);
    for (size_t i = 0; i < plan->span_count; i++)
        for (redis_span span = plan->spans[i], step; status == UTAPI_OK && span_step(&span, &step);)
            status = flows_add(reading, step, utapi_redis_reply_next(&left), &ret->flows, err);
    return status;
}

static utapi_status snapshot_try(redis_reading *reading, redis_plan *plan, redis_snapshot *ret,
                                 utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    ret->flows.present = 0;
    ret->missing_months = 0;
    ret->stale = false;
    snapshot_queue(reading, plan, ret);
    for (size_t i = 0; i < plan->edge_count; i++)
        for (redis_span left = plan->edges[i], step; status == UTAPI_OK && span_step(&left, &step);) {
            UTAPI_AUTO(redisReply) *reply = NULL;
            status = utapi_redis_query_next(reading, &reply, err);
            if (status == UTAPI_OK)
                status = flows_add(reading, step, reply, &ret->flows, err);
        }
    while (status == UTAPI_OK && reading->waiting > 1) { /* MULTI, and each command that it only queues */
        UTAPI_AUTO(redisReply) *queued = NULL;
        status = utapi_redis_query_next(reading, &queued, err);
    }
    UTAPI_AUTO(redisReply) *exec = NULL;
    if (status == UTAPI_OK && reading->is_scripted) {
        const redis_args gathered = reading->gathered;
        reading->gathered = reading->connection->args;
        reading->connection->args = gathered;
        status = utapi_redis_connection_run(reading->connection, REDIS_SCRIPT_SNAPSHOT, &exec, err);
    } else if (status == UTAPI_OK)
        status = utapi_redis_query_next(reading, &exec, err);
    return status == UTAPI_OK ? exec_parse(reading, plan, exec, ret, err) : status;
}

utapi_status utapi_redis_snapshot_read(redis_reading *reading, redis_plan *plan, redis_snapshot *ret,
                                       utapi_error *err)
{
    utapi_error refused;
    utapi_error_clear(&refused);
    const utapi_status status = snapshot_try(reading, plan, ret, &refused);
    if (status == UTAPI_UNAVAILABLE && !reading->is_scripted && strstr(refused.detail, "OOM") != NULL) {
        reading->is_scripted = true; /* nothing was read yet */
        return snapshot_try(reading, plan, ret, err);
    }
    return status == UTAPI_OK ? UTAPI_OK : utapi_fail(err, status, "%s", refused.detail);
}
