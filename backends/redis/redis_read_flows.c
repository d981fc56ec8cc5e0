/* SPDX-License-Identifier: Apache-2.0 */
/* redis_read_flows.c - flows, read key by key: V1 keeps one key for each interval and metric.
 *
 * A step of 12 intervals is one MGET of 696 keys. Their names differ in few bytes, so the first of each interval is
 * put together by redis_keys.c, and the others get another last word. */
#include "redis_read.h"

#include <string.h>

bool utapi_redis_span_step(redis_span *left, redis_span *ret)
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
