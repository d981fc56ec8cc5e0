/* SPDX-License-Identifier: Apache-2.0 */
/* redis_survey.c - a walk through all keys, and what it met of each name. */
#include "redis_survey.h"

#include "redis_sight.h"

#include "utapi/scoped.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

UTAPI_AUTO_DEFINE(redisReply, freeReplyObject)

enum {
    KEYS_A_DAY = (int)(REDIS_DAY_MS / UTAPI_INTERVAL_MS) * REDIS_FLOW_COUNT,
    MOST_KEYS = 10000000, /* a walk through more takes longer than a question may */
    MOST_FLOWS =
        4000000, /* 48 MB; where so many are met, days are not sparse, and may be asked for as well */
};

utapi_interval redis_met_interval(const redis_met *met)
{
    return (utapi_interval)met->quarter * UTAPI_INTERVAL_MS;
}

void redis_survey_done(redis_survey *survey)
{
    free(survey->names);
    free(survey->since);
    free(survey->flows);
    *survey = (redis_survey){0};
}

/* ---- whose keys? -------------------------------------------------------------------------- */

static utapi_status size_ask(redis_reading *reading, long long *ret, utapi_error *err)
{
    UTAPI_AUTO(redisReply) *reply = NULL;
    redis_args_add(&reading->args, "DBSIZE");
    const utapi_status status = redis_link_ask(reading->link, &reading->args, &reply, err);
    redis_args_clear(&reading->args);
    *ret = status == UTAPI_OK && reply->type == REDIS_REPLY_INTEGER ? reply->integer : LLONG_MAX;
    return status;
}

/* All names of the question that a key can have, the one that is being answered first. */
static utapi_status names_begin(const redis_reading *reading, redis_survey *ret, utapi_error *err)
{
    ret->names = calloc(reading->all_count + 1, sizeof *ret->names);
    if (ret->names == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "looking for flows");
    ret->names[ret->count++] = reading->name;
    for (size_t i = 0; i < reading->all_count; i++) {
        const utapi_string name = reading->all[i];
        if (name.size > 0 && name.size <= UTAPI_NAME_MAX && !utapi_string_equal(name, reading->name))
            ret->names[ret->count++] = name;
    }
    return UTAPI_OK;
}

/* Keeps of the others those whose `since` is not known. */
static utapi_status names_ask(redis_reading *reading, redis_survey *survey, utapi_error *err)
{
    UTAPI_AUTO(redisReply) *reply = NULL;
    redis_key key;
    if (survey->count == 1)
        return UTAPI_OK;
    redis_args_add(&reading->args, "MGET");
    for (size_t i = 1; i < survey->count; i++) {
        redis_key_resource(&key, reading->prefix, reading->level, survey->names[i], REDIS_OWN "since");
        redis_args_key(&reading->args, &key);
    }
    const utapi_status status = redis_link_ask(reading->link, &reading->args, &reply, err);
    redis_args_clear(&reading->args);
    if (status != UTAPI_OK)
        return status;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != survey->count - 1)
        return redis_read_corrupt(reading, REDIS_OWN "since", reply, err);
    size_t kept = 1;
    for (size_t i = 1; i < survey->count; i++)
        if (reply->element[i - 1]->type == REDIS_REPLY_NIL)
            survey->names[kept++] = survey->names[i];
    survey->count = kept;
    return UTAPI_OK;
}

static int name_order(const void *left, const void *right)
{
    return utapi_string_compare(*(const utapi_string *)left, *(const utapi_string *)right);
}

static const utapi_string *name_find(const redis_survey *survey, utapi_string name)
{
    return bsearch(&name, survey->names, survey->count, sizeof *survey->names, name_order);
}

static void names_sort(redis_survey *survey)
{
    size_t kept = 1;
    qsort(survey->names, survey->count, sizeof *survey->names, name_order);
    for (size_t i = 1; i < survey->count; i++)
        if (!utapi_string_equal(survey->names[i], survey->names[kept - 1]))
            survey->names[kept++] = survey->names[i];
    survey->count = kept;
}

/* ---- the walk ----------------------------------------------------------------------------- */

static utapi_status meet(redis_survey *survey, uint32_t name, const redis_sighting *seen, utapi_error *err)
{
    redis_met *grown = redis_grow(survey->flows, survey->flow_count, &survey->flow_room, sizeof *grown);
    if (grown == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "looking for flows");
    survey->flows = grown;
    survey->flows[survey->flow_count++] =
        (redis_met){.name = name,
                    .quarter = (uint32_t)(seen->interval / UTAPI_INTERVAL_MS),
                    .metric = (uint16_t)seen->metric};
    return UTAPI_OK;
}

static utapi_status walk_key(void *ctx, utapi_string key, bool *stop, utapi_error *err)
{
    redis_survey *survey = ctx;
    redis_sighting seen;
    if (key.size <= survey->head ||
        !redis_sight((utapi_string){key.data + survey->head, key.size - survey->head}, &seen) ||
        seen.is != REDIS_SEES_FLOW || seen.interval >= survey->open)
        return UTAPI_OK;
    const utapi_string *name = name_find(survey, seen.name);
    if (name == NULL)
        return UTAPI_OK;
    const size_t i = (size_t)(name - survey->names);
    if (seen.interval >= REDIS_FIRST_DAY) /* earlier ones are odd */
        survey->since[i] = redis_least(survey->since[i], seen.interval - seen.interval % REDIS_DAY_MS);
    if (seen.interval < survey->closed.first || seen.interval > survey->closed.last)
        return UTAPI_OK;
    *stop = survey->flow_count == MOST_FLOWS;
    return *stop ? UTAPI_OK : meet(survey, (uint32_t)i, &seen, err);
}

/* "P:L:*N:*" for one name: V1 leaves an interval of 0 out. For several: all keys of the level. */
static utapi_status walk_pattern(const redis_reading *reading, redis_survey *survey, char **ret,
                                 utapi_error *err)
{
    redis_key key;
    redis_key_resource(&key, reading->prefix, reading->level, reading->name, "");
    survey->head = key.size - reading->name.size - 1;
    *ret = malloc(2 * key.size + 8);
    if (*ret == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "looking for flows");
    char *at = redis_glob_put(*ret, key.bytes, survey->head);
    if (survey->count > 1) {
        memcpy(at, "*", 2);
        return UTAPI_OK;
    }
    *at++ = '*';
    at = redis_glob_put(at, key.bytes + survey->head, key.size - survey->head);
    memcpy(at, "*", 2);
    return UTAPI_OK;
}

/* The days that this is about: those that are closed, in the range. */
static void walk_bound(const redis_reading *reading, redis_survey *survey)
{
    const int64_t closed_ms = redis_most(reading->now_ms - REDIS_CLOSING_MS, REDIS_FIRST_DAY);
    survey->open = closed_ms - closed_ms % REDIS_DAY_MS;
    const utapi_interval first = redis_most(reading->range.first, 0);
    const utapi_interval beyond =
        redis_least(reading->range.last, survey->open - UTAPI_INTERVAL_MS) + UTAPI_INTERVAL_MS;
    survey->closed.first = first + (REDIS_DAY_MS - first % REDIS_DAY_MS) % REDIS_DAY_MS;
    survey->closed.last = beyond - beyond % REDIS_DAY_MS - UTAPI_INTERVAL_MS;
}

static int met_order(const void *left, const void *right)
{
    const redis_met *l = left, *r = right;
    if (l->name != r->name)
        return l->name < r->name ? -1 : 1;
    if (l->quarter != r->quarter)
        return l->quarter < r->quarter ? -1 : 1;
    return (l->metric > r->metric) - (l->metric < r->metric);
}

static void flows_sort(redis_survey *survey)
{
    size_t kept = 0;
    if (survey->flow_count > 0)
        qsort(survey->flows, survey->flow_count, sizeof *survey->flows, met_order);
    for (size_t i = 0; i < survey->flow_count; i++)
        if (kept == 0 || met_order(&survey->flows[i], &survey->flows[kept - 1]) != 0)
            survey->flows[kept++] = survey->flows[i];
    survey->flow_count = kept;
}

static utapi_status walk(redis_reading *reading, redis_survey *survey, utapi_error *err)
{
    UTAPI_AUTO_FREE char *pattern = NULL;
    walk_bound(reading, survey);
    survey->since = calloc(survey->count, sizeof *survey->since);
    if (survey->since == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "looking for flows");
    for (size_t i = 0; i < survey->count; i++)
        survey->since[i] = survey->open;
    utapi_status status = walk_pattern(reading, survey, &pattern, err);
    if (status == UTAPI_OK)
        status = redis_scan(reading->link, pattern, reading->give_up_ms, walk_key, survey, err);
    if (status == UTAPI_OK)
        flows_sort(survey);
    return status;
}

static utapi_status survey_make(redis_reading *reading, size_t missing, redis_survey *ret, utapi_error *err)
{
    long long keys;
    utapi_status status = size_ask(reading, &keys, err);
    if (status != UTAPI_OK || keys > MOST_KEYS || (size_t)keys / KEYS_A_DAY >= missing * reading->all_count)
        return status;
    status = names_begin(reading, ret, err);
    if (status == UTAPI_OK)
        status = names_ask(reading, ret, err);
    if (status != UTAPI_OK)
        return status;
    if ((size_t)keys / KEYS_A_DAY >= missing * ret->count) {
        redis_survey_done(ret);
        return UTAPI_OK;
    }
    names_sort(ret);
    status = walk(reading, ret, err);
    if (status == UTAPI_OK && ret->flow_count == MOST_FLOWS)
        redis_survey_done(ret);
    return status;
}

utapi_status redis_survey_make(redis_reading *reading, size_t missing, redis_survey *ret, utapi_error *err)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const int64_t until_ms =
        (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 + reading->give_up_ms - redis_monotonic_ms();
    const struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                                   .tv_nsec = (long)(until_ms % 1000) * 1000000};
    *ret = (redis_survey){0};
    if (pthread_mutex_timedlock(reading->walking, &until) != 0)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "another question walks through the keys of Redis");
    const utapi_status status = survey_make(reading, missing, ret, err);
    pthread_mutex_unlock(reading->walking);
    return status;
}

redis_found redis_survey_found(const redis_survey *survey, utapi_string name)
{
    const size_t i = (size_t)(name_find(survey, name) - survey->names);
    size_t low = 0, high = survey->flow_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (survey->flows[middle].name < i)
            low = middle + 1;
        else
            high = middle;
    }
    redis_found found = {.flows = survey->flows + low, .since = survey->since[i]};
    while (low + found.count < survey->flow_count && survey->flows[low + found.count].name == i)
        found.count++;
    return found;
}
