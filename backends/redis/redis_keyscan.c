/* SPDX-License-Identifier: Apache-2.0 */
/* redis_keyscan.c - a scan of all keys, and the flows that it found of each name: candidates, since a key
 * may be gone or expired by the time that it is read. */
#include "redis_query.h"

#include "utapi/scoped.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

UTAPI_AUTO_DEFINE(redisReply, freeReplyObject)

enum {
    KEYS_A_DAY = (int)(REDIS_DAY_MS / UTAPI_INTERVAL_MS) * REDIS_FLOW_COUNT,
    MAX_KEYS = 10000000, /* a scan of more takes longer than a query may */
    MAX_FLOWS =
        4000000, /* 48 MB; where there are so many, days are not sparse, and each key may be read as well */
};

void utapi_redis_keyscan_done(redis_keyscan *keyscan)
{
    free(keyscan->names);
    free(keyscan->low_watermark);
    free(keyscan->flows);
    *keyscan = (redis_keyscan){0};
}

/* ---- the names ---------------------------------------------------------------------------- */

static utapi_status keys_count(redis_reading *reading, long long *ret, utapi_error *err)
{
    UTAPI_AUTO(redisReply) *reply = NULL;
    utapi_redis_args_add(&reading->connection->args, "DBSIZE");
    const utapi_status status = utapi_redis_connection_call(reading->connection, &reply, err);
    *ret = status == UTAPI_OK && reply->type == REDIS_REPLY_INTEGER ? reply->integer : LLONG_MAX;
    return status;
}

static int name_order(const void *left, const void *right)
{
    return utapi_string_compare(*(const utapi_string *)left, *(const utapi_string *)right);
}

static const utapi_string *name_find(const redis_keyscan *keyscan, utapi_string name)
{
    return bsearch(&name, keyscan->names, keyscan->count, sizeof *keyscan->names, name_order);
}

/* All names of the query that a key can have. */
static utapi_status names_begin(const redis_reading *reading, redis_keyscan *ret, utapi_error *err)
{
    utapi_string *names = calloc(reading->all_count + 1, sizeof *names);
    if (names == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "looking for flows");
    ret->names = names;
    memcpy(names, reading->all, reading->all_count * sizeof *names);
    qsort(names, reading->all_count, sizeof *names, name_order);
    for (size_t i = 0; i < reading->all_count; i++)
        if (names[i].size > 0 && names[i].size <= UTAPI_NAME_MAX &&
            (ret->count == 0 || !utapi_string_equal(names[i], names[ret->count - 1])))
            names[ret->count++] = names[i];
    return UTAPI_OK;
}

/* Keeps of all but the one that is being answered those whose `since` is not known. */
static utapi_status names_filter(redis_reading *reading, redis_keyscan *keyscan, utapi_error *err)
{
    UTAPI_AUTO(redisReply) *reply = NULL;
    redis_args *args = &reading->connection->args;
    if (keyscan->count == 1)
        return UTAPI_OK;
    utapi_redis_args_add(args, "MGET");
    for (size_t i = 0; i < keyscan->count; i++)
        utapi_redis_args_resource(args, reading->prefix, reading->level, keyscan->names[i],
                                  REDIS_OWN "since");
    const utapi_status status = utapi_redis_connection_call(reading->connection, &reply, err);
    if (status != UTAPI_OK)
        return status;
    if (!redis_is_array(reply, keyscan->count))
        return utapi_redis_query_corrupt(reading, REDIS_OWN "since", reply, err);
    keyscan->count = 0;
    for (size_t i = 0; i < reply->elements; i++)
        if (reply->element[i]->type == REDIS_REPLY_NIL ||
            utapi_string_equal(keyscan->names[i], reading->name))
            keyscan->names[keyscan->count++] = keyscan->names[i];
    return UTAPI_OK;
}

/* ---- the scan ----------------------------------------------------------------------------- */

static utapi_status key_found(void *ctx, utapi_string key, bool *stop, utapi_error *err)
{
    redis_keyscan *keyscan = ctx;
    redis_parsed_key parsed;
    if (key.size <= keyscan->head ||
        !utapi_redis_key_parse((utapi_string){key.data + keyscan->head, key.size - keyscan->head}, false,
                               &parsed) ||
        parsed.is != REDIS_KEY_OF_FLOW || parsed.interval >= keyscan->open)
        return UTAPI_OK;
    const utapi_string *name = name_find(keyscan, parsed.name);
    if (name == NULL)
        return UTAPI_OK;
    const size_t i = (size_t)(name - keyscan->names);
    if (parsed.interval >= REDIS_FIRST_DAY) /* earlier ones are odd */
        keyscan->low_watermark[i] = redis_min(keyscan->low_watermark[i], redis_day_of(parsed.interval));
    if (parsed.interval < keyscan->closed.first || parsed.interval > keyscan->closed.last)
        return UTAPI_OK;
    *stop = keyscan->flow_count == MAX_FLOWS;
    if (*stop)
        return UTAPI_OK;
    redis_candidate *added =
        utapi_redis_append(&keyscan->flows, &keyscan->flow_count, &keyscan->flow_capacity, sizeof *added);
    if (added == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "looking for flows");
    *added = (redis_candidate){.name = (uint32_t)i,
                               .quarter = (uint32_t)(parsed.interval / UTAPI_INTERVAL_MS),
                               .metric = (uint16_t)parsed.metric};
    return UTAPI_OK;
}

/* "P:L:*N:*" for one name: V1 leaves an interval of 0 out. For several: all keys of the level. */
static char *pattern_make(const redis_reading *reading, redis_keyscan *keyscan)
{
    redis_key key;
    utapi_redis_key_resource(&key, reading->prefix, reading->level, reading->name, "");
    keyscan->head = key.size - reading->name.size - 1;
    char *pattern = malloc(2 * key.size + 8);
    if (pattern == NULL)
        return NULL;
    char *at = utapi_redis_glob_put(pattern, key.bytes, keyscan->head);
    *at++ = '*';
    if (keyscan->count == 1) {
        at = utapi_redis_glob_put(at, key.bytes + keyscan->head, key.size - keyscan->head);
        *at++ = '*';
    }
    *at = '\0';
    return pattern;
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

static utapi_status keys_scan(redis_reading *reading, redis_keyscan *keyscan, utapi_error *err)
{
    /* The days that this is about: those that are closed, in the range. */
    keyscan->open = redis_day_of(redis_max(reading->now_ms - REDIS_CLOSING_MS, REDIS_FIRST_DAY));
    const utapi_interval last = redis_min(reading->range.last, keyscan->open - UTAPI_INTERVAL_MS);
    keyscan->closed.first = redis_day_of(redis_max(reading->range.first, 0) + REDIS_DAY_MS - 1);
    keyscan->closed.last = redis_day_of(last + UTAPI_INTERVAL_MS) - UTAPI_INTERVAL_MS;

    UTAPI_AUTO_FREE char *pattern = pattern_make(reading, keyscan);
    keyscan->low_watermark = calloc(keyscan->count, sizeof *keyscan->low_watermark);
    if (pattern == NULL || keyscan->low_watermark == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "looking for flows");
    for (size_t i = 0; i < keyscan->count; i++)
        keyscan->low_watermark[i] = keyscan->open;
    const utapi_status status =
        utapi_redis_scan(reading->connection, pattern, reading->give_up_ms, key_found, keyscan, err);
    if (status == UTAPI_OK)
        flows_sort(keyscan);
    return status;
}

static utapi_status keyscan_try(redis_reading *reading, size_t missing, redis_keyscan *ret, utapi_error *err)
{
    long long keys;
    utapi_status status = keys_count(reading, &keys, err);
    if (status != UTAPI_OK || keys > MAX_KEYS || (size_t)keys / KEYS_A_DAY >= missing * reading->all_count)
        return status;
    status = names_begin(reading, ret, err);
    if (status == UTAPI_OK)
        status = names_filter(reading, ret, err);
    if (status != UTAPI_OK)
        return status;
    const bool is_worth_it = (size_t)keys / KEYS_A_DAY < missing * ret->count;
    if (is_worth_it)
        status = keys_scan(reading, ret, err);
    if (!is_worth_it || (status == UTAPI_OK && ret->flow_count == MAX_FLOWS))
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
    if ((has_deadline ? pthread_mutex_timedlock(reading->scanning, &until)
                      : pthread_mutex_lock(reading->scanning)) != 0)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "another query scans the keys of Redis");
    const utapi_status status = keyscan_try(reading, missing, ret, err);
    pthread_mutex_unlock(reading->scanning);
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
