/* SPDX-License-Identifier: Apache-2.0 */
/* utapi_redis_export_flows.c - flows that a walk meets.
 *
 * V1 has no list of a resource's flows: only a walk finds them. Their keys are gathered and fetched some hundred at a time,
 * each with the mark of its resource's forgetting. */
#include "redis_history.h"

#include "utapi/scoped.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

UTAPI_AUTO_DEFINE(redisReply, freeReplyObject)

/* What stands between a level and a metric in a flow's key is no longer than a name and an interval before it. */
enum { WHOLE_MAX = UTAPI_NAME_MAX + 24 };

/* ---- whose? ------------------------------------------------------------------------------- */

/* A flow of "900000:x" in interval 0 has the key of one of "x" in interval 900000, for V1 leaves interval 0 out. Nobody but
 * utapid counts so early, and it notes the day in the `odd` of its name: so what stands between level and metric is looked for
 * as a name, too. */

static utapi_string flow_name(const redis_export_flow *flow)
{
    return (utapi_string){flow->name, flow->name_size};
}

static bool is_in_bounds(const redis_export *self, utapi_interval interval)
{
    return interval >= REDIS_FIRST_DAY && interval <= self->now_ms;
}

static utapi_string whole_of(const redis_export_flow *flow, char buffer[static WHOLE_MAX])
{
    int size = 0;
    if (flow->interval != 0)
        size = snprintf(buffer, WHOLE_MAX, "%lld:", (long long)flow->interval);
    memcpy(buffer + size, flow->name, flow->name_size);
    return (utapi_string){buffer, (size_t)size + flow->name_size};
}

static bool is_doubtful(const redis_export_flow *flow)
{
    return flow->interval != 0 || utapi_redis_key_is_between(flow_name(flow));
}

/* How many of the flows may be of a longer name, in interval 0. */
static utapi_status wholes_count(redis_export *self, long long *ret, utapi_error *err)
{
    UTAPI_AUTO(redisReply) *reply = NULL;
    char buffer[WHOLE_MAX];
    *ret = 0;
    utapi_redis_args_add(&self->args, "EXISTS");
    for (size_t i = 0; i < self->flow_count; i++) {
        const utapi_string whole = whole_of(&self->flows[i], buffer);
        if (is_doubtful(&self->flows[i]) && whole.size <= UTAPI_NAME_MAX)
            utapi_redis_export_key(self, whole, REDIS_OWN "odd");
    }
    if (self->args.count == 1) {
        utapi_redis_args_clear(&self->args);
        return UTAPI_OK;
    }
    const utapi_status status = utapi_redis_export_call(self, REDIS_REPLY_INTEGER, &reply, err);
    if (status == UTAPI_OK)
        *ret = reply->integer;
    return status;
}

/* Whether a day is noted in the `odd` of a name. */
static utapi_status outlier_has(redis_export *self, utapi_string name, utapi_interval day, bool *ret,
                                utapi_error *err)
{
    UTAPI_AUTO(redisReply) *count = NULL;
    *ret = false;
    if (name.size > UTAPI_NAME_MAX)
        return UTAPI_OK;
    utapi_redis_args_add(&self->args, "ZCOUNT");
    utapi_redis_export_key(self, name, REDIS_OWN "odd");
    utapi_redis_args_number(&self->args, day);
    utapi_redis_args_number(&self->args, day);
    const utapi_status status = utapi_redis_export_call(self, REDIS_REPLY_INTEGER, &count, err);
    if (status == UTAPI_OK)
        *ret = count->integer > 0;
    return status;
}

/* Makes it one of the longer name, if it is. *ret_why: why it is to be left out; else NULL. */
static utapi_status flow_settle(redis_export *self, redis_export_flow *flow, const char **ret_why,
                                utapi_error *err)
{
    char buffer[WHOLE_MAX];
    const utapi_string whole = whole_of(flow, buffer);
    bool is_whole, is_short = is_in_bounds(self, flow->interval);
    *ret_why = NULL;
    utapi_status status = outlier_has(self, whole, 0, &is_whole, err);
    if (status == UTAPI_OK && is_whole && !is_short)
        status = outlier_has(self, flow_name(flow), flow->interval - flow->interval % REDIS_DAY_MS, &is_short,
                             err);
    if (status != UTAPI_OK)
        return status;
    if (flow->interval == 0 && !is_whole)
        *ret_why = "its time is no multiple of 15 minutes, so that nobody lists it";
    else if (flow->interval != 0 && is_whole && is_short)
        *ret_why = "counted at that time, or in 1970 under a name that begins with it: nobody can tell";
    else if (is_whole) {
        memcpy(flow->name, whole.data, whole.size);
        flow->name_size = whole.size;
        flow->interval = 0;
    }
    return UTAPI_OK;
}

/* Leaves out those of which nobody can say whose they are. */
static utapi_status flows_settle(redis_export *self, utapi_error *err)
{
    long long wholes;
    size_t kept = 0;
    utapi_status status = wholes_count(self, &wholes, err);
    for (size_t i = 0; i < self->flow_count && status == UTAPI_OK; i++) {
        redis_export_flow *flow = &self->flows[i];
        const char *why = NULL;
        redis_key key;
        utapi_redis_key_flow(&key, self->prefix, self->level, flow->interval, flow_name(flow), flow->metric);
        if (is_doubtful(flow) && (wholes > 0 || flow->interval == 0))
            status = flow_settle(self, flow, &why, err);
        if (status == UTAPI_OK && why != NULL)
            status = utapi_redis_export_skip(self, &key, why, err);
        else if (kept++ != i)
            self->flows[kept - 1] = *flow;
    }
    self->flow_count = kept;
    return status;
}

/* ---- flows -------------------------------------------------------------------------------- */

/* A reader looks outside the bounds on noted days alone. A Redis that takes no writes goes on answering without it: that
 * shows when answers are compared. */
static void outlier_note(redis_export *self, utapi_string name, utapi_interval interval)
{
    UTAPI_AUTO(redisReply) *reply = NULL;
    const utapi_interval day = interval - interval % REDIS_DAY_MS;
    utapi_redis_args_add(&self->args, "ZADD");
    utapi_redis_export_key(self, name, REDIS_OWN "odd");
    utapi_redis_args_number(&self->args, day);
    utapi_redis_args_number(&self->args, day);
    (void)!utapi_redis_export_call(self, REDIS_REPLY_INTEGER, &reply, NULL);
}

static bool is_expired(const redisReply *mark, utapi_interval interval)
{
    char *end;
    if (mark->type != REDIS_REPLY_STRING)
        return false;
    errno = 0;
    const long long expired_ms = strtoll(mark->str, &end, 10);
    return errno == 0 && end != mark->str && interval < utapi_interval_of(expired_ms);
}

static utapi_status flow_take(redis_export *self, const redis_export_flow *flow, const redisReply *value,
                              utapi_error *err)
{
    const utapi_string name = flow_name(flow);
    redis_key key;
    int64_t amount = 0;
    utapi_redis_key_flow(&key, self->prefix, self->level, flow->interval, name, flow->metric);
    if (value->type != REDIS_REPLY_STRING)
        return utapi_redis_export_without_text(self, &key, err);
    if (!utapi_redis_integer(value, &amount))
        return utapi_redis_export_skip(self, &key, "more than 64 bits hold", err);
    if (amount != 0 && !is_in_bounds(self, flow->interval))
        outlier_note(self, name, flow->interval);
    utapi_redis_export_report(self, name, flow->interval, flow->metric, amount);
    return UTAPI_OK;
}

utapi_status utapi_redis_export_flows(redis_export *self, utapi_error *err)
{
    UTAPI_AUTO(redisReply) *reply = NULL;
    utapi_status status = flows_settle(self, err);
    const size_t count = self->flow_count;
    self->flow_count = 0;
    if (status != UTAPI_OK || count == 0)
        return status;
    utapi_redis_args_add(&self->args, "MGET");
    for (size_t i = 0; i < count; i++) {
        const redis_export_flow *flow = &self->flows[i];
        const utapi_string name = flow_name(flow);
        redis_key key;
        utapi_redis_key_flow(&key, self->prefix, self->level, flow->interval, name, flow->metric);
        utapi_redis_args_key(&self->args, &key);
        utapi_redis_export_key(self, name, REDIS_OWN "gone");
    }
    status = utapi_redis_export_call(self, REDIS_REPLY_ARRAY, &reply, err);
    if (status == UTAPI_OK && reply->elements != 2 * count)
        status = utapi_fail(err, UTAPI_CORRUPT, "MGET: an answer of another shape than Redis gives");
    for (size_t i = 0; i < count && status == UTAPI_OK; i++) {
        if (!is_expired(reply->element[2 * i + 1], self->flows[i].interval))
            status = flow_take(self, &self->flows[i], reply->element[2 * i], err);
    }
    return status;
}

utapi_status utapi_redis_export_flow(redis_export *self, const redis_parsed_key *seen, utapi_error *err)
{
    redis_export_flow *flow = &self->flows[self->flow_count++];
    flow->interval = seen->interval;
    flow->metric = seen->metric;
    flow->name_size = seen->name.size;
    memcpy(flow->name, seen->name.data, seen->name.size);
    return self->flow_count == REDIS_EXPORT_FLOWS ? utapi_redis_export_flows(self, err) : UTAPI_OK;
}
