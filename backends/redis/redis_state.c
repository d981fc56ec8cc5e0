/* SPDX-License-Identifier: Apache-2.0 */
/* redis_state.c - states, and what is noted of a resource.
 *
 * A state is the newest member of a sorted set at or before a time, with its pending corrections. A late event
 * changes the counters at once, and what the sorted set lacks is noted in a list. Scripts work that off, newest
 * member first, down to the cursor. So a correction is added where the member that was found has not got it yet.
 *
 * V1 keeps no history of a location, only what it holds now, which Node clients change too: that one figure
 * stands for all times from our newest member on, and without any for every time. */
#include "redis_query.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATE_COUNT = 2, BOUND_COUNT = 2 };

static const char *const state_names[STATE_COUNT] = {"storageUtilized", "numberOfObjects"};
static const char *const counter_names[STATE_COUNT] = {"storageUtilized:counter", "numberOfObjects:counter"};

void utapi_redis_states_queue(redis_reading *reading)
{
    const utapi_interval bounds[BOUND_COUNT] = {reading->range.first, reading->range.last};
    for (size_t s = 0; s < STATE_COUNT; s++) {
        if (reading->current_only) {
            utapi_redis_query_begin(reading, "GET", counter_names[s]);
            utapi_redis_query_queue(reading);
        }
        for (size_t b = 0; b < BOUND_COUNT && !reading->current_only; b++) {
            redis_args *args = utapi_redis_query_begin(reading, "ZREVRANGEBYSCORE", state_names[s]);
            utapi_redis_args_number(args, bounds[b]);
            utapi_redis_args_words(args, "-inf", "WITHSCORES", "LIMIT", "0", "1", NULL);
            utapi_redis_query_queue(reading);
        }
    }
    if (reading->current_only)
        return;
    utapi_redis_args_words(utapi_redis_query_begin(reading, "LRANGE", REDIS_OWN "shifts"), "0", "-1", NULL);
    utapi_redis_query_queue(reading);
    if (reading->level != UTAPI_LOCATIONS)
        return;
    utapi_redis_args_words(utapi_redis_query_begin(reading, "ZREVRANGE", state_names[0]), "0", "0",
                           "WITHSCORES", NULL);
    utapi_redis_query_queue(reading);
    utapi_redis_query_begin(reading, "GET", counter_names[0]);
    utapi_redis_query_queue(reading);
}

/* ---- members ------------------------------------------------------------------------------ */

/* What was found at or before a bound. */
typedef struct state_floor {
    bool found;
    utapi_interval at;
    utapi_wide value; /* 0 where nothing was found */
    bool below_zero;  /* in V1's own form, which we do not write */
} state_floor;

/* The third part of "0:<nonce>:<value>", where V1 must not read a value below zero; else the first part. */
bool utapi_redis_state_value(const redisReply *member, utapi_wide *ret)
{
    int64_t value;
    const char *end = member->str + member->len;
    const char *nonce = memchr(member->str, ':', member->len);
    const char *exact = nonce != NULL ? memchr(nonce + 1, ':', (size_t)(end - nonce - 1)) : NULL;
    if ((exact == NULL ||
         !utapi_redis_integer_alone((utapi_string){exact + 1, (size_t)(end - exact - 1)}, &value)) &&
        !utapi_redis_integer(member, &value))
        return false;
    *ret = value;
    return true;
}

utapi_interval utapi_redis_state_interval(const redisReply *score)
{
    const double at = strtod(score->str, NULL);
    return at > -9e15 && at < 9e15 ? (utapi_interval)at : at < 0 ? -INT64_MAX : INT64_MAX;
}

static utapi_status floor_parse(const redis_reading *reading, const char *state, const redisReply *reply,
                                state_floor *ret, utapi_error *err)
{
    *ret = (state_floor){.found = false};
    if (reply->type != REDIS_REPLY_ARRAY || (reply->elements != 0 && reply->elements != 2))
        return utapi_redis_query_corrupt(reading, state, reply, err);
    if (reply->elements == 0)
        return UTAPI_OK;
    const redisReply *member = reply->element[0], *score = reply->element[1];
    if (member->type != REDIS_REPLY_STRING || score->type != REDIS_REPLY_STRING ||
        !utapi_redis_state_value(member, &ret->value))
        return utapi_redis_query_corrupt(reading, state, member, err);
    ret->found = true;
    ret->below_zero = member->str[0] == '-';
    ret->at = utapi_redis_state_interval(score);
    return UTAPI_OK;
}

/* ---- pending corrections ------------------------------------------------------------------ */

/* An element of the list: "<s|o> <interval> <delta> <cursor>". */
typedef struct state_correction {
    size_t state;
    utapi_interval interval; /* from here on the state is higher by delta, */
    int64_t delta;
    utapi_interval cursor; /* but members from here on have it already */
} state_correction;

static bool correction_parse(const redisReply *element, state_correction *ret)
{
    long long numbers[3];
    if (element->type != REDIS_REPLY_STRING || element->len < 2 || element->str[1] != ' ' ||
        (element->str[0] != 's' && element->str[0] != 'o'))
        return false;
    char *at = element->str + 1;
    for (size_t i = 0; i < 3; i++) {
        char *end;
        errno = 0;
        numbers[i] = strtoll(at, &end, 10);
        if (*at != ' ' || end == at || errno != 0)
            return false;
        at = end;
    }
    *ret = (state_correction){element->str[0] == 'o', numbers[0], numbers[1], numbers[2]};
    return *at == '\0';
}

static utapi_status corrections_parse(const redis_reading *reading, const redisReply *reply,
                                      state_floor floors[STATE_COUNT][BOUND_COUNT], utapi_error *err)
{
    const utapi_interval bounds[BOUND_COUNT] = {reading->range.first, reading->range.last};
    if (reply->type != REDIS_REPLY_ARRAY)
        return utapi_redis_query_corrupt(reading, REDIS_OWN "shifts", reply, err);
    for (size_t i = 0; i < reply->elements; i++) {
        state_correction correction;
        if (!correction_parse(reply->element[i], &correction))
            return utapi_redis_query_corrupt(reading, REDIS_OWN "shifts", reply->element[i], err);
        for (size_t b = 0; b < BOUND_COUNT; b++) {
            state_floor *floor = &floors[correction.state][b];
            if (correction.interval <= bounds[b] && (!floor->found || floor->at < correction.cursor))
                floor->value += correction.delta;
        }
    }
    return UTAPI_OK;
}

/* A counter that is not there is 0. */
static utapi_status counter_parse(const redis_reading *reading, size_t state, const redisReply *counter,
                                  int64_t *ret, utapi_error *err)
{
    *ret = 0;
    if (counter->type == REDIS_REPLY_NIL ||
        (counter->type == REDIS_REPLY_STRING && utapi_redis_integer(counter, ret)))
        return UTAPI_OK;
    return utapi_redis_query_corrupt(reading, counter_names[state], counter, err);
}

/* Node clients add to what a location holds and leave no member: from the newest one on the counter counts. */
static utapi_status location_parse(const redis_reading *reading, redis_replies *left,
                                   state_floor floors[BOUND_COUNT], utapi_error *err)
{
    const utapi_interval bounds[BOUND_COUNT] = {reading->range.first, reading->range.last};
    const redisReply *newest = utapi_redis_reply_next(left), *counter = utapi_redis_reply_next(left);
    state_floor last;
    int64_t value = 0;
    utapi_status status = floor_parse(reading, state_names[0], newest, &last, err);
    if (status != UTAPI_OK || (counter->type == REDIS_REPLY_NIL && last.found))
        return status;
    status = counter_parse(reading, 0, counter, &value, err);
    if (status != UTAPI_OK)
        return status;
    for (size_t b = 0; b < BOUND_COUNT; b++)
        if (!last.found || last.at <= bounds[b])
            floors[b].value = value;
    return UTAPI_OK;
}

utapi_status utapi_redis_states_parse(const redis_reading *reading, redis_replies *left, utapi_usage *ret,
                                      utapi_error *err)
{
    utapi_wide *const figures[STATE_COUNT] = {ret->storage_utilized, ret->number_of_objects};
    state_floor floors[STATE_COUNT][BOUND_COUNT];
    utapi_status status = UTAPI_OK;
    if (reading->current_only) {
        for (size_t s = 0; s < STATE_COUNT && status == UTAPI_OK; s++) {
            int64_t value;
            status = counter_parse(reading, s, utapi_redis_reply_next(left), &value, err);
            figures[s][0] = figures[s][1] = value;
        }
        return status;
    }
    for (size_t s = 0; s < STATE_COUNT; s++)
        for (size_t b = 0; b < BOUND_COUNT && status == UTAPI_OK; b++)
            status = floor_parse(reading, state_names[s], utapi_redis_reply_next(left), &floors[s][b], err);
    if (status == UTAPI_OK)
        status = corrections_parse(reading, utapi_redis_reply_next(left), floors, err);
    if (status == UTAPI_OK && reading->level == UTAPI_LOCATIONS)
        status = location_parse(reading, left, floors[0], err);
    if (status != UTAPI_OK)
        return status;

    /* V1 stops at the first state that it reads below zero: that one and those after it are zero. */
    bool blank = false;
    for (size_t s = 0; s < STATE_COUNT; s++)
        for (size_t b = 0; b < BOUND_COUNT; b++) {
            blank |= floors[s][b].below_zero;
            figures[s][b] = blank ? 0 : floors[s][b].value;
        }
    return UTAPI_OK;
}

/* ---- resource info ------------------------------------------------------------------------ */

void utapi_redis_resource_info_queue(redis_reading *reading)
{
    redis_args *args = &reading->connection->args;
    utapi_redis_args_add(args, "MGET");
    utapi_redis_args_own(args, reading->prefix, "late");
    utapi_redis_query_key(reading, REDIS_OWN "gone");
    utapi_redis_query_key(reading, REDIS_OWN "since");
    utapi_redis_query_queue(reading);
    utapi_redis_query_begin(reading, "ZRANGEBYSCORE", REDIS_OWN "odd");
    utapi_redis_args_number(args, reading->range.first - REDIS_DAY_MS);
    utapi_redis_args_number(args, reading->range.last);
    utapi_redis_query_queue(reading);
}

static utapi_status outliers_parse(const redis_reading *reading, const redisReply *reply,
                                   redis_resource_info *ret, utapi_error *err)
{
    ret->outlier_count = 0;
    if (reply->type != REDIS_REPLY_ARRAY)
        return utapi_redis_query_corrupt(reading, REDIS_OWN "odd", reply, err);
    for (size_t i = 0; i < reply->elements; i++) {
        int64_t day;
        if (!utapi_redis_integer_alone(redis_text_of(reply->element[i]), &day) || day < 0 ||
            day > UTAPI_INTERVAL_MAX || day % REDIS_DAY_MS != 0)
            return utapi_redis_query_corrupt(reading, REDIS_OWN "odd", reply->element[i], err);
        utapi_interval *added =
            utapi_redis_append(&ret->outliers, &ret->outlier_count, &ret->outlier_capacity, sizeof *added);
        if (added == NULL)
            return utapi_fail(err, UTAPI_NO_MEMORY, "reading outliers");
        *added = day;
    }
    return UTAPI_OK;
}

utapi_status utapi_redis_resource_info_parse(const redis_reading *reading, redis_replies *left,
                                             redis_resource_info *ret, utapi_error *err)
{
    const redisReply *info = utapi_redis_reply_next(left);
    if (!redis_is_array(info, 3))
        return utapi_redis_query_corrupt(reading, REDIS_OWN "gone", info, err);
    const redisReply *generation = info->element[0], *expired = info->element[1];
    const redisReply *low_watermark = info->element[2];
    ret->generation = 0;
    if (generation->type != REDIS_REPLY_NIL &&
        !utapi_redis_integer_alone(redis_text_of(generation), &ret->generation))
        return utapi_fail(err, UTAPI_CORRUPT, "%s:utapid:late is no number", reading->prefix);

    ret->expired = REDIS_NEVER_EXPIRED;
    ret->expired_ms = 0;
    if (expired->type != REDIS_REPLY_NIL) {
        if (!utapi_redis_integer_alone(redis_text_of(expired), &ret->expired_ms))
            return utapi_redis_query_corrupt(reading, REDIS_OWN "gone", expired, err);
        ret->expired = utapi_interval_of(ret->expired_ms);
    }
    if (!utapi_redis_integer_alone(redis_text_of(low_watermark), &ret->low_watermark) ||
        ret->low_watermark % REDIS_DAY_MS != 0 || ret->low_watermark < REDIS_FIRST_DAY)
        ret->low_watermark = REDIS_FIRST_DAY; /* always right, if slower */
    return outliers_parse(reading, utapi_redis_reply_next(left), ret, err);
}

bool utapi_redis_resource_info_hold(const redis_resource_info *planned, const redis_resource_info *now)
{
    return planned->generation <= now->generation && planned->expired == now->expired &&
           planned->low_watermark <= now->low_watermark && planned->outlier_count == now->outlier_count &&
           (now->outlier_count == 0 ||
            memcmp(planned->outliers, now->outliers, now->outlier_count * sizeof *now->outliers) == 0);
}

void utapi_redis_resource_info_done(redis_resource_info *info)
{
    free(info->outliers);
    *info = (redis_resource_info){0};
}

/* ---- late writes -------------------------------------------------------------------------- */

void utapi_redis_late_queue(redis_reading *reading)
{
    redis_args *args = utapi_redis_query_begin(reading, "ZRANGEBYSCORE", REDIS_OWN "late");
    utapi_redis_args_format(args, "(%lld", (long long)reading->info.generation);
    utapi_redis_args_add(args, "+inf");
    utapi_redis_query_queue(reading);
}

static bool plan_has_read(const redis_plan *plan, utapi_interval day)
{
    for (size_t i = 0; i < plan->edge_count; i++)
        if (plan->edges[i].first >= day && plan->edges[i].first < day + REDIS_DAY_MS)
            return true;
    const redis_day *found = utapi_redis_plan_find(plan, day);
    return found != NULL && found->is == REDIS_DAY_SUMMED;
}

utapi_status utapi_redis_late_parse(const redis_reading *reading, const redis_plan *plan,
                                    const redisReply *reply, bool *ret_stale, utapi_error *err)
{
    if (reply->type != REDIS_REPLY_ARRAY)
        return utapi_redis_query_corrupt(reading, REDIS_OWN "late", reply, err);
    for (size_t i = 0; i < reply->elements; i++) {
        int64_t day;
        if (!utapi_redis_integer_alone(redis_text_of(reply->element[i]), &day))
            return utapi_redis_query_corrupt(reading, REDIS_OWN "late", reply->element[i], err);
        *ret_stale |= plan_has_read(plan, day);
    }
    return UTAPI_OK;
}
