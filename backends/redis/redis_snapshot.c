/* SPDX-License-Identifier: Apache-2.0 */
/* redis_snapshot.c - all that an answer must see at one moment, in one MULTI: resource info, states, the rollups of
 * closed days, and every key of what is still open.
 *
 * Two parts are read just before it, since only a late write changes them, which the resource info would tell: the
 * parts of closed days at both ends of the range. A MULTI holds Redis up for as long as it reads.
 *
 * While Redis is out of memory it notes no command of a MULTI, not even one that reads, but it runs scripts that do
 * not write: then the same commands are the arguments of lua/snapshot.lua, which takes some times as long. */
#include "redis_query.h"

#include "utapi/scoped.h"
#include "utapi/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

UTAPI_AUTO_DEFINE(redisReply, freeReplyObject)

enum { SUMMARIES_A_STEP = 512 };

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

/* ---- asking ------------------------------------------------------------------------------- */

typedef struct flow_words {
    const char *text[REDIS_FLOW_COUNT];
    size_t size[REDIS_FLOW_COUNT], longest;
} flow_words;

static void flow_words_of(flow_words *ret)
{
    ret->longest = 0;
    for (unsigned i = 0; i < REDIS_FLOW_COUNT; i++) {
        ret->text[i] = utapi_metric_name(UTAPI_INCOMING_BYTES + i);
        ret->size[i] = strlen(ret->text[i]);
        if (ret->size[i] > ret->longest)
            ret->longest = ret->size[i];
    }
}

utapi_status utapi_redis_flows_queue(redis_reading *reading, redis_span step, utapi_error *err)
{
    redis_key key;
    flow_words words;
    flow_words_of(&words);
    /* The last interval has the most digits. */
    utapi_redis_key_flow(&key, reading->prefix, reading->level, step.last, reading->name,
                         UTAPI_INCOMING_BYTES);
    const size_t max = (key.size + words.longest) * REDIS_STEP_INTERVALS * REDIS_FLOW_COUNT;
    const utapi_status status = utapi_redis_query_reserve(reading, max, err);
    if (status != UTAPI_OK)
        return status;

    char *at = reading->text;
    utapi_redis_args_add(&reading->args, "MGET");
    for (utapi_interval interval = step.first; interval <= step.last; interval += UTAPI_INTERVAL_MS) {
        utapi_redis_key_flow(&key, reading->prefix, reading->level, interval, reading->name,
                             UTAPI_INCOMING_BYTES);
        const size_t head = key.size - words.size[0];
        for (unsigned i = 0; i < REDIS_FLOW_COUNT; i++) {
            memcpy(at, key.bytes, head);
            memcpy(at + head, words.text[i], words.size[i]);
            utapi_redis_args_bytes(&reading->args, at, head + words.size[i]);
            at += head + words.size[i];
        }
    }
    return utapi_redis_query_queue(reading, err);
}

/* ---- adding up ---------------------------------------------------------------------------- */

utapi_status utapi_redis_flow_add(const redis_reading *reading, utapi_metric metric, const redisReply *value,
                                  utapi_sums *sums, bool *ret_found, utapi_error *err)
{
    int64_t amount;
    if (value->type == REDIS_REPLY_NIL) /* or no string at all: nothing to V1 as well */
        return UTAPI_OK;
    if (!utapi_redis_integer(value, &amount))
        return utapi_fail(err, UTAPI_OVERFLOW, "%.*s: a stored flow does not fit 64 bits",
                          (int)reading->name.size, reading->name.data);
    utapi_sums_add(sums, metric, amount);
    *ret_found = true;
    return UTAPI_OK;
}

utapi_status utapi_redis_flows_add(const redis_reading *reading, redis_span step, const redisReply *reply,
                                   utapi_sums *sums, size_t *ret_found, utapi_error *err)
{
    const size_t intervals = (size_t)((step.last - step.first) / UTAPI_INTERVAL_MS) + 1;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != intervals * REDIS_FLOW_COUNT)
        return utapi_redis_query_corrupt(reading, "flows", reply, err);
    for (size_t i = 0; i < reply->elements; i++) {
        bool found = false;
        const utapi_status status =
            utapi_redis_flow_add(reading, (utapi_metric)(UTAPI_INCOMING_BYTES + i % REDIS_FLOW_COUNT),
                                 reply->element[i], sums, &found, err);
        if (status != UTAPI_OK)
            return status;
        if (found && ret_found != NULL && *ret_found == SIZE_MAX)
            *ret_found = i;
    }
    return UTAPI_OK;
}

/* ---- asking ------------------------------------------------------------------------------- */

static utapi_status span_queue(redis_reading *reading, redis_span left, utapi_error *err)
{
    redis_span step;
    utapi_status status = UTAPI_OK;
    while (status == UTAPI_OK && span_step(&left, &step))
        status = utapi_redis_flows_queue(reading, step, err);
    return status;
}

static bool day_next_asked(const redis_plan *plan, size_t *at)
{
    while (*at < plan->day_count && plan->days[*at].is != REDIS_DAY_ASKED)
        ++*at;
    return *at < plan->day_count;
}

/* Queues one MGET of the next rollups. */
static utapi_status summaries_queue(redis_reading *reading, const redis_plan *plan, size_t *at,
                                    utapi_error *err)
{
    redis_key key;
    utapi_redis_key_daily(&key, reading->prefix, reading->level, reading->name,
                          plan->days[plan->day_count - 1].first);
    utapi_status status = utapi_redis_query_reserve(reading, key.size * SUMMARIES_A_STEP, err);
    if (status != UTAPI_OK)
        return status;
    char *text = reading->text;
    utapi_redis_args_add(&reading->args, "MGET");
    for (size_t i = 0; i < SUMMARIES_A_STEP && day_next_asked(plan, at); i++) {
        utapi_redis_key_daily(&key, reading->prefix, reading->level, reading->name,
                              plan->days[(*at)++].first);
        memcpy(text, key.bytes, key.size);
        utapi_redis_args_bytes(&reading->args, text, key.size);
        text += key.size;
    }
    return utapi_redis_query_queue(reading, err);
}

static bool month_next_asked(const redis_plan *plan, size_t *at)
{
    while (*at < plan->month_count && plan->months[*at].missing)
        ++*at;
    return *at < plan->month_count;
}

/* Queues one MGET of the next months. */
static utapi_status months_queue(redis_reading *reading, const redis_plan *plan, size_t *at, utapi_error *err)
{
    redis_key key;
    utapi_redis_args_add(&reading->args, "MGET");
    for (size_t i = 0; i < SUMMARIES_A_STEP && month_next_asked(plan, at); i++) {
        utapi_redis_key_monthly(&key, reading->prefix, reading->level, reading->name,
                                plan->months[(*at)++].first);
        utapi_redis_args_key(&reading->args, &key);
    }
    return utapi_redis_query_queue(reading, err);
}

static utapi_status fence_queue(redis_reading *reading, const unsigned char *writer, utapi_error *err)
{
    redis_key key;
    utapi_redis_key_fence(&key, reading->prefix, writer);
    utapi_redis_args_add(&reading->args, "GET");
    utapi_redis_args_bytes(&reading->args, key.bytes, key.size);
    return utapi_redis_query_queue(reading, err);
}

static utapi_status moment_begin(redis_reading *reading, utapi_error *err)
{
    if (reading->is_scripted) {
        utapi_redis_args_clear(&reading->gathered);
        utapi_redis_args_script(&reading->gathered, 0);
        reading->is_gathering = true;
        return UTAPI_OK;
    }
    utapi_redis_args_add(&reading->args, "MULTI");
    return utapi_redis_query_queue(reading, err);
}

static utapi_status moment_end(redis_reading *reading, utapi_status status, utapi_error *err)
{
    reading->is_gathering = false;
    if (status != UTAPI_OK || reading->is_scripted)
        return status;
    utapi_redis_args_add(&reading->args, "EXEC");
    return utapi_redis_query_queue(reading, err);
}

static utapi_status snapshot_queue(redis_reading *reading, const redis_plan *plan, const redis_snapshot *want,
                                   utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    for (size_t i = 0; i < plan->edge_count && status == UTAPI_OK; i++)
        status = span_queue(reading, plan->edges[i], err);
    if (status == UTAPI_OK)
        status = moment_begin(reading, err);
    if (status == UTAPI_OK)
        status = utapi_redis_resource_info_queue(reading, err);
    if (status == UTAPI_OK)
        status = utapi_redis_late_queue(reading, err);
    if (status == UTAPI_OK)
        status = utapi_redis_states_queue(reading, err);
    if (status == UTAPI_OK && want->writer != NULL)
        status = fence_queue(reading, want->writer, err);
    for (size_t at = 0; status == UTAPI_OK && day_next_asked(plan, &at);)
        status = summaries_queue(reading, plan, &at, err);
    for (size_t at = 0; status == UTAPI_OK && month_next_asked(plan, &at);)
        status = months_queue(reading, plan, &at, err);
    for (size_t i = 0; i < plan->span_count && status == UTAPI_OK; i++)
        status = span_queue(reading, plan->spans[i], err);
    return moment_end(reading, status, err);
}

/* ---- taking what it brought --------------------------------------------------------------- */

/* The replies that are left, in the order of the asking. */
typedef struct answers {
    redisReply **at, **end;
} answers;

static utapi_status answers_check(const answers *left, size_t wanted, utapi_error *err)
{
    if ((size_t)(left->end - left->at) < wanted)
        return utapi_fail(err, UTAPI_CORRUPT, "EXEC: fewer answers than commands");
    return UTAPI_OK;
}

static utapi_status edges_take(redis_reading *reading, const redis_plan *plan, utapi_sums *sums,
                               utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    for (size_t i = 0; i < plan->edge_count; i++) {
        redis_span left = plan->edges[i], step;
        while (status == UTAPI_OK && span_step(&left, &step)) {
            UTAPI_AUTO(redisReply) *reply = NULL;
            status = utapi_redis_query_next(reading, &reply, err);
            if (status == UTAPI_OK)
                status = utapi_redis_flows_add(reading, step, reply, sums, NULL, err);
        }
    }
    return status;
}

/* A rollup that cannot be read is as good as none. */
static bool summary_decode(const redisReply *row, utapi_amounts *ret)
{
    return row->type == REDIS_REPLY_STRING &&
           utapi_snapshot_decode(row->str, row->len, ret, NULL) == UTAPI_OK;
}

/* Takes one MGET of months. The days of one that is missing are for the next snapshot. */
static utapi_status months_take(const redis_reading *reading, redis_plan *plan, size_t *at,
                                const redisReply *reply, redis_snapshot *ret, utapi_error *err)
{
    if (reply->type != REDIS_REPLY_ARRAY)
        return utapi_redis_query_corrupt(reading, REDIS_OWN "m...", reply, err);
    for (size_t i = 0; i < reply->elements && month_next_asked(plan, at); i++) {
        redis_month *month = &plan->months[(*at)++];
        utapi_amounts amounts;
        month->missing = !summary_decode(reply->element[i], &amounts);
        ret->missing_months += month->missing;
        if (!month->missing)
            utapi_sums_add_amounts(&ret->flows, &amounts);
        for (size_t day = month->day; day < month->day + REDIS_MONTH_DAYS; day++) {
            plan->days[day].is = month->missing ? REDIS_DAY_ASKED : REDIS_DAY_ROLLED;
            plan->days[day].empty = !month->missing && amounts.present == 0;
        }
    }
    return UTAPI_OK;
}

/* Takes one MGET of rollups. */
static utapi_status summaries_take(const redis_reading *reading, redis_plan *plan, size_t *at,
                                   const redisReply *reply, redis_snapshot *ret, utapi_error *err)
{
    if (reply->type != REDIS_REPLY_ARRAY)
        return utapi_redis_query_corrupt(reading, REDIS_OWN "...", reply, err);
    for (size_t i = 0; i < reply->elements && day_next_asked(plan, at); i++) {
        redis_day *day = &plan->days[(*at)++];
        utapi_amounts amounts;
        if (summary_decode(reply->element[i], &amounts)) {
            day->empty = amounts.present == 0;
            utapi_sums_add_amounts(&ret->flows, &amounts);
        } else {
            day->is = REDIS_DAY_MISSING;
            day->empty = false;
        }
    }
    return UTAPI_OK;
}

static utapi_status summaries_take_all(const redis_reading *reading, redis_plan *plan, answers *left,
                                       redis_snapshot *ret, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    for (size_t at = 0; status == UTAPI_OK && day_next_asked(plan, &at);) {
        status = answers_check(left, 1, err);
        if (status == UTAPI_OK)
            status = summaries_take(reading, plan, &at, *left->at++, ret, err);
    }
    for (size_t at = 0; status == UTAPI_OK && month_next_asked(plan, &at);) {
        status = answers_check(left, 1, err);
        if (status == UTAPI_OK)
            status = months_take(reading, plan, &at, *left->at++, ret, err);
    }
    return status;
}

static utapi_status spans_take(const redis_reading *reading, const redis_plan *plan, answers *left,
                               utapi_sums *sums, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    for (size_t i = 0; i < plan->span_count; i++) {
        redis_span span = plan->spans[i], step;
        while (status == UTAPI_OK && span_step(&span, &step)) {
            status = answers_check(left, 1, err);
            if (status == UTAPI_OK)
                status = utapi_redis_flows_add(reading, step, *left->at++, sums, NULL, err);
        }
    }
    return status;
}

static utapi_status fence_corrupt(const redis_reading *reading, const unsigned char *writer, utapi_error *err)
{
    redis_key key;
    utapi_redis_key_fence(&key, reading->prefix, writer);
    return utapi_fail(err, UTAPI_CORRUPT, "%.*s: holds no writer's fence", (int)key.size, key.bytes);
}

/* Unlike amounts, a fence is ours alone: what it would be read as by accident decides what is sent again. */
static utapi_status fence_take(const redis_reading *reading, const unsigned char *writer,
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
    utapi_status status = fence_queue(reading, writer, err);
    if (status == UTAPI_OK)
        status = utapi_redis_query_next(reading, &reply, err);
    if (status == UTAPI_CORRUPT) { /* it is of another type */
        utapi_error_clear(err);
        return fence_corrupt(reading, writer, err);
    }
    return status == UTAPI_OK ? fence_take(reading, writer, reply, ret, err) : status;
}

static utapi_status exec_take(redis_reading *reading, redis_plan *plan, const redisReply *exec,
                              redis_snapshot *ret, utapi_error *err)
{
    if (exec->type != REDIS_REPLY_ARRAY)
        return utapi_fail(err, UTAPI_CORRUPT, "EXEC: an answer of another shape than Redis gives");
    answers left = {exec->element, exec->element + exec->elements};
    const size_t states = utapi_redis_states_replies(reading), fences = ret->writer != NULL ? 1 : 0;
    utapi_status status = answers_check(&left, REDIS_RESOURCE_INFO_COMMANDS + 1 + states + fences, err);
    if (status == UTAPI_OK)
        status = utapi_redis_resource_info_take(reading, left.at, &ret->info, err);
    left.at += REDIS_RESOURCE_INFO_COMMANDS;
    if (status == UTAPI_OK)
        status = utapi_redis_late_take(reading, plan, *left.at, &ret->stale, err);
    left.at++;
    if (status == UTAPI_OK)
        status = utapi_redis_states_take(reading, left.at, &ret->states, err);
    left.at += states;
    if (status == UTAPI_OK && fences > 0)
        status = fence_take(reading, ret->writer, *left.at, &ret->fence, err);
    left.at += fences;
    if (status == UTAPI_OK)
        status = summaries_take_all(reading, plan, &left, ret, err);
    return status == UTAPI_OK ? spans_take(reading, plan, &left, &ret->flows, err) : status;
}

static utapi_status replies_take(redis_reading *reading, redis_plan *plan, redis_snapshot *ret,
                                 utapi_error *err)
{
    utapi_status status = edges_take(reading, plan, &ret->flows, err);
    while (status == UTAPI_OK && reading->waiting > 1) { /* MULTI, and each command that it only notes */
        UTAPI_AUTO(redisReply) *noted = NULL;
        status = utapi_redis_query_next(reading, &noted, err);
    }
    UTAPI_AUTO(redisReply) *exec = NULL;
    if (status == UTAPI_OK)
        status = reading->is_scripted ? utapi_redis_connection_run(reading->connection, REDIS_SCRIPT_SNAPSHOT,
                                                                   &reading->gathered, &exec, err)
                                      : utapi_redis_query_next(reading, &exec, err);
    return status == UTAPI_OK ? exec_take(reading, plan, exec, ret, err) : status;
}

static utapi_status snapshot_try(redis_reading *reading, redis_plan *plan, redis_snapshot *ret,
                                 utapi_error *err)
{
    ret->flows.present = 0;
    ret->missing_months = 0;
    ret->stale = false;
    const utapi_status status = snapshot_queue(reading, plan, ret, err);
    return status == UTAPI_OK ? replies_take(reading, plan, ret, err) : status;
}

utapi_status utapi_redis_snapshot_take(redis_reading *reading, redis_plan *plan, redis_snapshot *ret,
                                       utapi_error *err)
{
    utapi_error refused;
    utapi_error_clear(&refused);
    const utapi_status status = snapshot_try(reading, plan, ret, &refused);
    if (status == UTAPI_UNAVAILABLE && !reading->is_scripted && strstr(refused.detail, "OOM") != NULL) {
        reading->is_scripted = true; /* nothing was taken yet */
        return snapshot_try(reading, plan, ret, err);
    }
    if (status != UTAPI_OK && err != NULL && err->status == UTAPI_OK)
        *err = refused;
    return status;
}
