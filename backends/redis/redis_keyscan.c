/* SPDX-License-Identifier: Apache-2.0 */
/* redis_keyscan.c - a walk through all keys, and the flows that it found of each name: candidates, since a key
 * may be gone or expired by the time that it is read. */
#include "redis_query.h"

#include "utapi/scoped.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

UTAPI_AUTO_DEFINE(redisReply, freeReplyObject)

enum {
    KEYS_A_DAY = (int)(REDIS_DAY_MS / UTAPI_INTERVAL_MS) * REDIS_FLOW_COUNT,
    MAX_KEYS = 10000000, /* a walk through more takes longer than a query may */
    MAX_FLOWS =
        4000000, /* 48 MB; where so many are candidate, days are not sparse, and may be asked for as well */
};

utapi_interval utapi_redis_candidate_interval(const redis_candidate *candidate)
{
    return (utapi_interval)candidate->quarter * UTAPI_INTERVAL_MS;
}

void utapi_redis_keyscan_done(redis_keyscan *keyscan)
{
    free(keyscan->names);
    free(keyscan->low_watermark);
    free(keyscan->flows);
    *keyscan = (redis_keyscan){0};
}

/* ---- whose keys? -------------------------------------------------------------------------- */

static utapi_status size_ask(redis_reading *reading, long long *ret, utapi_error *err)
{
    UTAPI_AUTO(redisReply) *reply = NULL;
    utapi_redis_args_add(&reading->args, "DBSIZE");
    const utapi_status status = utapi_redis_connection_call(reading->connection, &reading->args, &reply, err);
    utapi_redis_args_clear(&reading->args);
    *ret = status == UTAPI_OK && reply->type == REDIS_REPLY_INTEGER ? reply->integer : LLONG_MAX;
    return status;
}

/* All names of the query that a key can have, the one that is being answered first. */
static utapi_status names_begin(const redis_reading *reading, redis_keyscan *ret, utapi_error *err)
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
static utapi_status names_ask(redis_reading *reading, redis_keyscan *keyscan, utapi_error *err)
{
    UTAPI_AUTO(redisReply) *reply = NULL;
    redis_key key;
    if (keyscan->count == 1)
        return UTAPI_OK;
    utapi_redis_args_add(&reading->args, "MGET");
    for (size_t i = 1; i < keyscan->count; i++) {
        utapi_redis_key_resource(&key, reading->prefix, reading->level, keyscan->names[i], REDIS_OWN "since");
        utapi_redis_args_key(&reading->args, &key);
    }
    const utapi_status status = utapi_redis_connection_call(reading->connection, &reading->args, &reply, err);
    utapi_redis_args_clear(&reading->args);
    if (status != UTAPI_OK)
        return status;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != keyscan->count - 1)
        return utapi_redis_query_corrupt(reading, REDIS_OWN "since", reply, err);
    size_t kept = 1;
    for (size_t i = 1; i < keyscan->count; i++)
        if (reply->element[i - 1]->type == REDIS_REPLY_NIL)
            keyscan->names[kept++] = keyscan->names[i];
    keyscan->count = kept;
    return UTAPI_OK;
}

static int name_order(const void *left, const void *right)
{
    return utapi_string_compare(*(const utapi_string *)left, *(const utapi_string *)right);
}

static const utapi_string *name_find(const redis_keyscan *keyscan, utapi_string name)
{
    return bsearch(&name, keyscan->names, keyscan->count, sizeof *keyscan->names, name_order);
}

static void names_sort(redis_keyscan *keyscan)
{
    size_t kept = 1;
    qsort(keyscan->names, keyscan->count, sizeof *keyscan->names, name_order);
    for (size_t i = 1; i < keyscan->count; i++)
        if (!utapi_string_equal(keyscan->names[i], keyscan->names[kept - 1]))
            keyscan->names[kept++] = keyscan->names[i];
    keyscan->count = kept;
}

/* ---- the walk ----------------------------------------------------------------------------- */

static utapi_status candidate_add(redis_keyscan *keyscan, uint32_t name, const redis_parsed_key *parsed,
                                  utapi_error *err)
{
    redis_candidate *grown =
        utapi_redis_grow(keyscan->flows, keyscan->flow_count, &keyscan->flow_capacity, sizeof *grown);
    if (grown == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "looking for flows");
    keyscan->flows = grown;
    keyscan->flows[keyscan->flow_count++] =
        (redis_candidate){.name = name,
                          .quarter = (uint32_t)(parsed->interval / UTAPI_INTERVAL_MS),
                          .metric = (uint16_t)parsed->metric};
    return UTAPI_OK;
}

static utapi_status walk_key(void *ctx, utapi_string key, bool *stop, utapi_error *err)
{
    redis_keyscan *keyscan = ctx;
    redis_parsed_key parsed;
    if (key.size <= keyscan->head ||
        !utapi_redis_key_parse((utapi_string){key.data + keyscan->head, key.size - keyscan->head}, &parsed) ||
        parsed.is != REDIS_KEY_OF_FLOW || parsed.interval >= keyscan->open)
        return UTAPI_OK;
    const utapi_string *name = name_find(keyscan, parsed.name);
    if (name == NULL)
        return UTAPI_OK;
    const size_t i = (size_t)(name - keyscan->names);
    if (parsed.interval >= REDIS_FIRST_DAY) /* earlier ones are odd */
        keyscan->low_watermark[i] =
            redis_min(keyscan->low_watermark[i], parsed.interval - parsed.interval % REDIS_DAY_MS);
    if (parsed.interval < keyscan->closed.first || parsed.interval > keyscan->closed.last)
        return UTAPI_OK;
    *stop = keyscan->flow_count == MAX_FLOWS;
    return *stop ? UTAPI_OK : candidate_add(keyscan, (uint32_t)i, &parsed, err);
}

/* "P:L:*N:*" for one name: V1 leaves an interval of 0 out. For several: all keys of the level. */
static utapi_status walk_pattern(const redis_reading *reading, redis_keyscan *keyscan, char **ret,
                                 utapi_error *err)
{
    redis_key key;
    utapi_redis_key_resource(&key, reading->prefix, reading->level, reading->name, "");
    keyscan->head = key.size - reading->name.size - 1;
    *ret = malloc(2 * key.size + 8);
    if (*ret == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "looking for flows");
    char *at = utapi_redis_glob_put(*ret, key.bytes, keyscan->head);
    if (keyscan->count > 1) {
        memcpy(at, "*", 2);
        return UTAPI_OK;
    }
    *at++ = '*';
    at = utapi_redis_glob_put(at, key.bytes + keyscan->head, key.size - keyscan->head);
    memcpy(at, "*", 2);
    return UTAPI_OK;
}

/* The days that this is about: those that are closed, in the range. */
static void walk_bound(const redis_reading *reading, redis_keyscan *keyscan)
{
    const int64_t closed_ms = redis_max(reading->now_ms - REDIS_CLOSING_MS, REDIS_FIRST_DAY);
    keyscan->open = closed_ms - closed_ms % REDIS_DAY_MS;
    const utapi_interval first = redis_max(reading->range.first, 0);
    const utapi_interval beyond =
        redis_min(reading->range.last, keyscan->open - UTAPI_INTERVAL_MS) + UTAPI_INTERVAL_MS;
    keyscan->closed.first = first + (REDIS_DAY_MS - first % REDIS_DAY_MS) % REDIS_DAY_MS;
    keyscan->closed.last = beyond - beyond % REDIS_DAY_MS - UTAPI_INTERVAL_MS;
}

static int candidate_order(const void *left, const void *right)
{
    const redis_candidate *l = left, *r = right;
    if (l->name != r->name)
        return l->name < r->name ? -1 : 1;
    if (l->quarter != r->quarter)
        return l->quarter < r->quarter ? -1 : 1;
    return (l->metric > r->metric) - (l->metric < r->metric);
}

static void flows_sort(redis_keyscan *keyscan)
{
    size_t kept = 0;
    if (keyscan->flow_count > 0)
        qsort(keyscan->flows, keyscan->flow_count, sizeof *keyscan->flows, candidate_order);
    for (size_t i = 0; i < keyscan->flow_count; i++)
        if (kept == 0 || candidate_order(&keyscan->flows[i], &keyscan->flows[kept - 1]) != 0)
            keyscan->flows[kept++] = keyscan->flows[i];
    keyscan->flow_count = kept;
}

static utapi_status walk(redis_reading *reading, redis_keyscan *keyscan, utapi_error *err)
{
    UTAPI_AUTO_FREE char *pattern = NULL;
    walk_bound(reading, keyscan);
    keyscan->low_watermark = calloc(keyscan->count, sizeof *keyscan->low_watermark);
    if (keyscan->low_watermark == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "looking for flows");
    for (size_t i = 0; i < keyscan->count; i++)
        keyscan->low_watermark[i] = keyscan->open;
    utapi_status status = walk_pattern(reading, keyscan, &pattern, err);
    if (status == UTAPI_OK)
        status = utapi_redis_scan(reading->connection, pattern, reading->give_up_ms, walk_key, keyscan, err);
    if (status == UTAPI_OK)
        flows_sort(keyscan);
    return status;
}

static utapi_status survey_make(redis_reading *reading, size_t missing, redis_keyscan *ret, utapi_error *err)
{
    long long keys;
    utapi_status status = size_ask(reading, &keys, err);
    if (status != UTAPI_OK || keys > MAX_KEYS || (size_t)keys / KEYS_A_DAY >= missing * reading->all_count)
        return status;
    status = names_begin(reading, ret, err);
    if (status == UTAPI_OK)
        status = names_ask(reading, ret, err);
    if (status != UTAPI_OK)
        return status;
    if ((size_t)keys / KEYS_A_DAY >= missing * ret->count) {
        utapi_redis_keyscan_done(ret);
        return UTAPI_OK;
    }
    names_sort(ret);
    status = walk(reading, ret, err);
    if (status == UTAPI_OK && ret->flow_count == MAX_FLOWS)
        utapi_redis_keyscan_done(ret);
    return status;
}

utapi_status utapi_redis_keyscan_make(redis_reading *reading, size_t missing, redis_keyscan *ret,
                                      utapi_error *err)
{
    const int64_t now_ms = utapi_monotonic_ms();
    const bool has_deadline = reading->give_up_ms != REDIS_NEVER;
    const struct timespec until =
        utapi_timespec_of_ms(utapi_wall_ms() + (has_deadline ? reading->give_up_ms - now_ms : 0));
    *ret = (redis_keyscan){0};
    if ((has_deadline ? pthread_mutex_timedlock(reading->walking, &until)
                      : pthread_mutex_lock(reading->walking)) != 0)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "another question walks through the keys of Redis");
    const utapi_status status = survey_make(reading, missing, ret, err);
    pthread_mutex_unlock(reading->walking);
    return status;
}

redis_candidates utapi_redis_keyscan_candidates(const redis_keyscan *keyscan, utapi_string name)
{
    const size_t i = (size_t)(name_find(keyscan, name) - keyscan->names);
    size_t low = 0, high = keyscan->flow_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (keyscan->flows[middle].name < i)
            low = middle + 1;
        else
            high = middle;
    }
    redis_candidates found = {.flows = keyscan->flows + low, .low_watermark = keyscan->low_watermark[i]};
    while (low + found.count < keyscan->flow_count && keyscan->flows[low + found.count].name == i)
        found.count++;
    return found;
}
