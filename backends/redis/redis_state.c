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

static utapi_status floor_queue(redis_reading *reading, const char *state, utapi_interval until,
                                utapi_error *err)
{
    redis_key key;
    char score[24];
    snprintf(score, sizeof score, "%lld", (long long)until);
    utapi_redis_key_resource(&key, reading->prefix, reading->level, reading->name, state);
    utapi_redis_args_add(&reading->args, "ZREVRANGEBYSCORE");
    utapi_redis_args_bytes(&reading->args, key.bytes, key.size);
    utapi_redis_args_add(&reading->args, score);
    utapi_redis_args_add(&reading->args, "-inf");
    utapi_redis_args_add(&reading->args, "WITHSCORES");
    utapi_redis_args_add(&reading->args, "LIMIT");
    utapi_redis_args_add(&reading->args, "0");
    utapi_redis_args_add(&reading->args, "1");
    return utapi_redis_query_queue(reading, err);
}

static utapi_status newest_queue(redis_reading *reading, const char *state, utapi_error *err)
{
    redis_key key;
    utapi_redis_key_resource(&key, reading->prefix, reading->level, reading->name, state);
    utapi_redis_args_add(&reading->args, "ZREVRANGE");
    utapi_redis_args_bytes(&reading->args, key.bytes, key.size);
    utapi_redis_args_add(&reading->args, "0");
    utapi_redis_args_add(&reading->args, "0");
    utapi_redis_args_add(&reading->args, "WITHSCORES");
    return utapi_redis_query_queue(reading, err);
}

static utapi_status counter_queue(redis_reading *reading, const char *state, utapi_error *err)
{
    char what[32];
    snprintf(what, sizeof what, "%s:counter", state);
    return utapi_redis_query_queue_key(reading, "GET", what, NULL, NULL, err);
}

utapi_status utapi_redis_states_queue(redis_reading *reading, utapi_error *err)
{
    const utapi_interval bounds[BOUND_COUNT] = {reading->range.first, reading->range.last};
    utapi_status status = UTAPI_OK;
    if (reading->current_only) {
        for (size_t s = 0; s < STATE_COUNT && status == UTAPI_OK; s++)
            status = counter_queue(reading, state_names[s], err);
        return status;
    }
    for (size_t s = 0; s < STATE_COUNT && status == UTAPI_OK; s++)
        for (size_t b = 0; b < BOUND_COUNT && status == UTAPI_OK; b++)
            status = floor_queue(reading, state_names[s], bounds[b], err);
    if (status == UTAPI_OK)
        status = utapi_redis_query_queue_key(reading, "LRANGE", REDIS_OWN "shifts", "0", "-1", err);
    if (status == UTAPI_OK && reading->level == UTAPI_LOCATIONS)
        status = newest_queue(reading, state_names[0], err);
    if (status == UTAPI_OK && reading->level == UTAPI_LOCATIONS)
        status = counter_queue(reading, state_names[0], err);
    return status;
}

size_t utapi_redis_states_replies(const redis_reading *reading)
{
    if (reading->current_only)
        return STATE_COUNT;
    return STATE_COUNT * BOUND_COUNT + 1 + (reading->level == UTAPI_LOCATIONS ? 2 : 0);
}

/* ---- members ------------------------------------------------------------------------------ */

/* What was found at or before a bound. */
typedef struct state_floor {
    bool found;
    utapi_interval at;
    utapi_wide value; /* 0 where nothing was found */
    bool below_zero;  /* in V1's own form, which we do not write */
} state_floor;

/* The third part of "0:<unique>:<value>", where V1 must not read a value below zero; else the first part. */
bool utapi_redis_state_value(const redisReply *member, utapi_wide *ret)
{
    int64_t value;
    const char *end = member->str + member->len;
    const char *nonce = memchr(member->str, ':', member->len);
    const char *exact = nonce != NULL ? memchr(nonce + 1, ':', (size_t)(end - nonce - 1)) : NULL;
    if (exact != NULL && exact + 1 < end) {
        char *rest;
        errno = 0;
        const long long number = strtoll(exact + 1, &rest, 10);
        if (errno == 0 && rest == end) {
            *ret = number;
            return true;
        }
    }
    if (!utapi_redis_integer(member, &value))
        return false;
    *ret = value;
    return true;
}

utapi_interval utapi_redis_state_interval(const redisReply *score)
{
    const double at = strtod(score->str, NULL);
    return at > -9e15 && at < 9e15 ? (utapi_interval)at : at < 0 ? -INT64_MAX : INT64_MAX;
}

static utapi_status floor_take(const redis_reading *reading, const char *state, const redisReply *reply,
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

/* ---- what they are owed ------------------------------------------------------------------- */

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

static utapi_status corrections_take(const redis_reading *reading, const redisReply *reply,
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
static utapi_status counter_take(const redis_reading *reading, const char *state, const redisReply *counter,
                                 int64_t *ret, utapi_error *err)
{
    char what[32];
    redis_key key;
    *ret = 0;
    if (counter->type == REDIS_REPLY_NIL ||
        (counter->type == REDIS_REPLY_STRING && utapi_redis_integer(counter, ret)))
        return UTAPI_OK;
    snprintf(what, sizeof what, "%s:counter", state);
    utapi_redis_key_resource(&key, reading->prefix, reading->level, reading->name,
                             what); /* a location's is V1's own */
    return utapi_fail(err, UTAPI_CORRUPT, "%.*s: %.100s", (int)key.size, key.bytes,
                      counter->type == REDIS_REPLY_ERROR ? counter->str : "holds what nobody puts there");
}

/* Node clients add to what a location holds and leave no member: from the newest one on the counter tells. */
static utapi_status location_take(const redis_reading *reading, const redisReply *newest,
                                  const redisReply *counter, state_floor floors[BOUND_COUNT],
                                  utapi_error *err)
{
    const utapi_interval bounds[BOUND_COUNT] = {reading->range.first, reading->range.last};
    state_floor last;
    int64_t value = 0;
    utapi_status status = floor_take(reading, state_names[0], newest, &last, err);
    if (status != UTAPI_OK || (counter->type == REDIS_REPLY_NIL && last.found))
        return status;
    status = counter_take(reading, state_names[0], counter, &value, err);
    if (status != UTAPI_OK)
        return status;
    for (size_t b = 0; b < BOUND_COUNT; b++)
        if (!last.found || last.at <= bounds[b])
            floors[b].value = value;
    return UTAPI_OK;
}

/* V1 stops at the first state that it reads below zero: that one and those after it are zero. */
static void states_blank(state_floor floors[STATE_COUNT][BOUND_COUNT])
{
    bool blank = false;
    for (size_t s = 0; s < STATE_COUNT; s++)
        for (size_t b = 0; b < BOUND_COUNT; b++) {
            blank |= floors[s][b].below_zero;
            if (blank)
                floors[s][b].value = 0;
        }
}

utapi_status utapi_redis_states_take(const redis_reading *reading, redisReply *const *replies,
                                     utapi_usage *ret, utapi_error *err)
{
    int64_t *const figures[STATE_COUNT] = {ret->storage_utilized, ret->number_of_objects};
    state_floor floors[STATE_COUNT][BOUND_COUNT];
    utapi_status status = UTAPI_OK;
    if (reading->current_only) {
        for (size_t s = 0; s < STATE_COUNT && status == UTAPI_OK; s++) {
            status = counter_take(reading, state_names[s], replies[s], &figures[s][0], err);
            figures[s][1] = figures[s][0];
        }
        return status;
    }
    for (size_t s = 0; s < STATE_COUNT; s++)
        for (size_t b = 0; b < BOUND_COUNT && status == UTAPI_OK; b++)
            status = floor_take(reading, state_names[s], *replies++, &floors[s][b], err);
    if (status == UTAPI_OK)
        status = corrections_take(reading, *replies++, floors, err);
    if (status == UTAPI_OK && reading->level == UTAPI_LOCATIONS)
        status = location_take(reading, replies[0], replies[1], floors[0], err);
    if (status != UTAPI_OK)
        return status;

    states_blank(floors);
    for (size_t s = 0; s < STATE_COUNT; s++)
        for (size_t b = 0; b < BOUND_COUNT; b++) {
            if (floors[s][b].value < INT64_MIN || floors[s][b].value > INT64_MAX)
                return utapi_fail(err, UTAPI_OVERFLOW, "%s:%s:%.*s:%s: the total does not fit 64 bits",
                                  reading->prefix, utapi_level_name(reading->level), (int)reading->name.size,
                                  reading->name.data, state_names[s]);
            figures[s][b] = (int64_t)floors[s][b].value;
        }
    return UTAPI_OK;
}

/* ---- noting and taking -------------------------------------------------------------------- */

utapi_status utapi_redis_resource_info_queue(redis_reading *reading, utapi_error *err)
{
    static const char *const info[] = {REDIS_OWN "gone", REDIS_OWN "since"};
    redis_key keys[3], outliers;
    char first[24], last[24];
    utapi_redis_args_add(&reading->args, "MGET");
    utapi_redis_key_own(&keys[0], reading->prefix, "late");
    for (size_t i = 0; i < 2; i++)
        utapi_redis_key_resource(&keys[1 + i], reading->prefix, reading->level, reading->name, info[i]);
    for (size_t i = 0; i < 3; i++)
        utapi_redis_args_bytes(&reading->args, keys[i].bytes, keys[i].size);
    const utapi_status status = utapi_redis_query_queue(reading, err);
    if (status != UTAPI_OK)
        return status;
    snprintf(first, sizeof first, "%lld", (long long)(reading->range.first - REDIS_DAY_MS));
    snprintf(last, sizeof last, "%lld", (long long)reading->range.last);
    utapi_redis_key_resource(&outliers, reading->prefix, reading->level, reading->name, REDIS_OWN "odd");
    utapi_redis_args_add(&reading->args, "ZRANGEBYSCORE");
    utapi_redis_args_bytes(&reading->args, outliers.bytes, outliers.size);
    utapi_redis_args_add(&reading->args, first);
    utapi_redis_args_add(&reading->args, last);
    return utapi_redis_query_queue(reading, err);
}

static bool outlier_add(redis_resource_info *info, utapi_interval day)
{
    if (info->outlier_count == info->outlier_capacity) {
        const size_t capacity = info->outlier_capacity * 2 + 8;
        utapi_interval *grown = realloc(info->outliers, capacity * sizeof *grown);
        if (grown == NULL)
            return false;
        info->outliers = grown;
        info->outlier_capacity = capacity;
    }
    info->outliers[info->outlier_count++] = day;
    return true;
}

static utapi_status outliers_take(const redis_reading *reading, const redisReply *reply,
                                  redis_resource_info *ret, utapi_error *err)
{
    ret->outlier_count = 0;
    if (reply->type != REDIS_REPLY_ARRAY)
        return utapi_redis_query_corrupt(reading, REDIS_OWN "odd", reply, err);
    for (size_t i = 0; i < reply->elements; i++) {
        int64_t day;
        if (!utapi_redis_integer_alone(reply->element[i], &day) || day < 0 || day > UTAPI_INTERVAL_MAX ||
            day % REDIS_DAY_MS != 0)
            return utapi_redis_query_corrupt(reading, REDIS_OWN "odd", reply->element[i], err);
        if (!outlier_add(ret, day))
            return utapi_fail(err, UTAPI_NO_MEMORY, "reading marks");
    }
    return UTAPI_OK;
}

utapi_status utapi_redis_resource_info_take(const redis_reading *reading, redisReply *const *replies,
                                            redis_resource_info *ret, utapi_error *err)
{
    const redisReply *info = replies[0];
    if (info->type != REDIS_REPLY_ARRAY || info->elements != 3)
        return utapi_redis_query_corrupt(reading, REDIS_OWN "gone", info, err);

    const redisReply *generation = info->element[0], *expired = info->element[1],
                     *low_watermark = info->element[2];
    ret->generation = 0;
    if (generation->type != REDIS_REPLY_NIL && !utapi_redis_integer_alone(generation, &ret->generation))
        return utapi_fail(err, UTAPI_CORRUPT, "%s:utapid:late is no number", reading->prefix);

    ret->expired = REDIS_NEVER_EXPIRED;
    ret->expired_ms = 0;
    if (expired->type != REDIS_REPLY_NIL) {
        if (!utapi_redis_integer_alone(expired, &ret->expired_ms))
            return utapi_redis_query_corrupt(reading, REDIS_OWN "gone", expired, err);
        ret->expired = utapi_interval_of(ret->expired_ms);
    }
    if (!utapi_redis_integer_alone(low_watermark, &ret->low_watermark) ||
        ret->low_watermark % REDIS_DAY_MS != 0 || ret->low_watermark < REDIS_FIRST_DAY)
        ret->low_watermark = REDIS_FIRST_DAY; /* always right, if slower */
    return outliers_take(reading, replies[1], ret, err);
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

utapi_status utapi_redis_late_queue(redis_reading *reading, utapi_error *err)
{
    char low_watermark[24];
    snprintf(low_watermark, sizeof low_watermark, "(%lld", (long long)reading->info.generation);
    return utapi_redis_query_queue_key(reading, "ZRANGEBYSCORE", REDIS_OWN "late", low_watermark, "+inf",
                                       err);
}

static bool plan_has_read(const redis_plan *plan, utapi_interval day)
{
    for (size_t i = 0; i < plan->edge_count; i++)
        if (plan->edges[i].first >= day && plan->edges[i].first < day + REDIS_DAY_MS)
            return true;
    const redis_day *found = utapi_redis_plan_find(plan, day);
    return found != NULL && found->is == REDIS_DAY_SUMMED;
}

utapi_status utapi_redis_late_take(const redis_reading *reading, const redis_plan *plan,
                                   const redisReply *reply, bool *ret_stale, utapi_error *err)
{
    if (reply->type != REDIS_REPLY_ARRAY)
        return utapi_redis_query_corrupt(reading, REDIS_OWN "late", reply, err);
    for (size_t i = 0; i < reply->elements; i++) {
        int64_t day;
        if (!utapi_redis_integer_alone(reply->element[i], &day))
            return utapi_redis_query_corrupt(reading, REDIS_OWN "late", reply->element[i], err);
        *ret_stale |= plan_has_read(plan, day);
    }
    return UTAPI_OK;
}
