/* SPDX-License-Identifier: Apache-2.0 */
/* redis_read_marks.c - what was noted of a resource: when it was forgotten, and where its flows can be.
 *
 * Marks are read twice: to plan what to look at, and in the snapshot, to see that the plan still holds. */
#include "redis_read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* One of our own numbers: whole text, or nothing. */
static bool number_parse(const redisReply *reply, int64_t *ret)
{
    if (reply->type != REDIS_REPLY_STRING || reply->len == 0)
        return false;
    char *end;
    errno = 0;
    const long long number = strtoll(reply->str, &end, 10);
    if (errno != 0 || end != reply->str + reply->len)
        return false;
    *ret = number;
    return true;
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
        if (!number_parse(reply->element[i], &day) || day < 0 || day > UTAPI_INTERVAL_MAX ||
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
    if (generation->type != REDIS_REPLY_NIL && !number_parse(generation, &ret->generation))
        return utapi_fail(err, UTAPI_CORRUPT, "%s:utapid:late is no number", reading->prefix);

    ret->expired = REDIS_NEVER_EXPIRED;
    ret->expired_ms = 0;
    if (expired->type != REDIS_REPLY_NIL) {
        if (!number_parse(expired, &ret->expired_ms))
            return utapi_redis_query_corrupt(reading, REDIS_OWN "gone", expired, err);
        ret->expired = utapi_interval_of(ret->expired_ms);
    }
    if (!number_parse(low_watermark, &ret->low_watermark) || ret->low_watermark % REDIS_DAY_MS != 0 ||
        ret->low_watermark < REDIS_FIRST_DAY)
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
        if (!number_parse(reply->element[i], &day))
            return utapi_redis_query_corrupt(reading, REDIS_OWN "late", reply->element[i], err);
        *ret_stale |= plan_has_read(plan, day);
    }
    return UTAPI_OK;
}
