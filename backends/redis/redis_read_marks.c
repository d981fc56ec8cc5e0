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

utapi_status redis_marks_queue(redis_reading *reading, utapi_error *err)
{
    static const char *const marks[] = {REDIS_OWN "gone", REDIS_OWN "since"};
    redis_key keys[3], odd;
    char first[24], last[24];
    redis_args_add(&reading->args, "MGET");
    redis_key_own(&keys[0], reading->prefix, "late");
    for (size_t i = 0; i < 2; i++)
        redis_key_resource(&keys[1 + i], reading->prefix, reading->level, reading->name, marks[i]);
    for (size_t i = 0; i < 3; i++)
        redis_args_bytes(&reading->args, keys[i].bytes, keys[i].size);
    const utapi_status status = redis_read_queue(reading, err);
    if (status != UTAPI_OK)
        return status;
    snprintf(first, sizeof first, "%lld", (long long)(reading->range.first - REDIS_DAY_MS));
    snprintf(last, sizeof last, "%lld", (long long)reading->range.last);
    redis_key_resource(&odd, reading->prefix, reading->level, reading->name, REDIS_OWN "odd");
    redis_args_add(&reading->args, "ZRANGEBYSCORE");
    redis_args_bytes(&reading->args, odd.bytes, odd.size);
    redis_args_add(&reading->args, first);
    redis_args_add(&reading->args, last);
    return redis_read_queue(reading, err);
}

/* One of our own numbers: whole text, or nothing. */
static bool mark_parse(const redisReply *reply, int64_t *ret)
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

static bool odd_add(redis_marks *marks, utapi_interval day)
{
    if (marks->odd_count == marks->odd_room) {
        const size_t room = marks->odd_room * 2 + 8;
        utapi_interval *grown = realloc(marks->odd, room * sizeof *grown);
        if (grown == NULL)
            return false;
        marks->odd = grown;
        marks->odd_room = room;
    }
    marks->odd[marks->odd_count++] = day;
    return true;
}

static utapi_status odd_take(const redis_reading *reading, const redisReply *reply, redis_marks *ret,
                             utapi_error *err)
{
    ret->odd_count = 0;
    if (reply->type != REDIS_REPLY_ARRAY)
        return redis_read_corrupt(reading, REDIS_OWN "odd", reply, err);
    for (size_t i = 0; i < reply->elements; i++) {
        int64_t day;
        if (!mark_parse(reply->element[i], &day) || day < 0 || day > UTAPI_INTERVAL_MAX ||
            day % REDIS_DAY_MS != 0)
            return redis_read_corrupt(reading, REDIS_OWN "odd", reply->element[i], err);
        if (!odd_add(ret, day))
            return utapi_fail(err, UTAPI_NO_MEMORY, "reading marks");
    }
    return UTAPI_OK;
}

utapi_status redis_marks_take(const redis_reading *reading, redisReply *const *replies, redis_marks *ret,
                              utapi_error *err)
{
    const redisReply *marks = replies[0];
    if (marks->type != REDIS_REPLY_ARRAY || marks->elements != 3)
        return redis_read_corrupt(reading, REDIS_OWN "gone", marks, err);

    const redisReply *late = marks->element[0], *gone = marks->element[1], *since = marks->element[2];
    ret->late = 0;
    if (late->type != REDIS_REPLY_NIL && !mark_parse(late, &ret->late))
        return utapi_fail(err, UTAPI_CORRUPT, "%s:utapid:late is no number", reading->prefix);

    ret->gone = REDIS_NEVER_GONE;
    ret->gone_ms = 0;
    if (gone->type != REDIS_REPLY_NIL) {
        if (!mark_parse(gone, &ret->gone_ms))
            return redis_read_corrupt(reading, REDIS_OWN "gone", gone, err);
        ret->gone = utapi_interval_of(ret->gone_ms);
    }
    if (!mark_parse(since, &ret->since) || ret->since % REDIS_DAY_MS != 0 || ret->since < REDIS_FIRST_DAY)
        ret->since = REDIS_FIRST_DAY; /* always right, if slower */
    return odd_take(reading, replies[1], ret, err);
}

bool redis_marks_hold(const redis_marks *planned, const redis_marks *now)
{
    return planned->late <= now->late && planned->gone == now->gone && planned->since <= now->since &&
           planned->odd_count == now->odd_count &&
           (now->odd_count == 0 || memcmp(planned->odd, now->odd, now->odd_count * sizeof *now->odd) == 0);
}

void redis_marks_done(redis_marks *marks)
{
    free(marks->odd);
    *marks = (redis_marks){0};
}

/* ---- late writes -------------------------------------------------------------------------- */

utapi_status redis_late_queue(redis_reading *reading, utapi_error *err)
{
    char since[24];
    snprintf(since, sizeof since, "(%lld", (long long)reading->marks.late);
    return redis_read_queue_key(reading, "ZRANGEBYSCORE", REDIS_OWN "late", since, "+inf", err);
}

static bool plan_has_read(const redis_plan *plan, utapi_interval day)
{
    for (size_t i = 0; i < plan->edge_count; i++)
        if (plan->edges[i].first >= day && plan->edges[i].first < day + REDIS_DAY_MS)
            return true;
    const redis_day *found = redis_plan_find(plan, day);
    return found != NULL && found->is == REDIS_DAY_SUMMED;
}

utapi_status redis_late_take(const redis_reading *reading, const redis_plan *plan, const redisReply *reply,
                             bool *ret_stale, utapi_error *err)
{
    if (reply->type != REDIS_REPLY_ARRAY)
        return redis_read_corrupt(reading, REDIS_OWN "late", reply, err);
    for (size_t i = 0; i < reply->elements; i++) {
        int64_t day;
        if (!mark_parse(reply->element[i], &day))
            return redis_read_corrupt(reading, REDIS_OWN "late", reply->element[i], err);
        *ret_stale |= plan_has_read(plan, day);
    }
    return UTAPI_OK;
}
