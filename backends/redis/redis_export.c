/* SPDX-License-Identifier: Apache-2.0 */
/* redis_export.c - all that ever changed, by scanning the keys: for those who copy a whole Redis.
 *
 * A sorted set of states is read in slices, from the oldest member, and what changed is the difference of two
 * members. V1 has no list of a resource's flows: their keys are gathered while the keys are scanned and fetched some
 * hundred at a time, each with its resource's tombstone. A key that holds something else is reported by its name. */
#include "redis_query.h"

#include "utapi/scoped.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

UTAPI_AUTO_DEFINE(redisReply, freeReplyObject)

/* Members and flows that are fetched at once. */
enum { MEMBERS_A_SLICE = 1000, REDIS_EXPORT_FLOWS = 400 };

/* A flow that was found and is not fetched yet. */
typedef struct export_flow {
    utapi_interval interval;
    utapi_metric metric;
    size_t name_size;
    char name[UTAPI_NAME_MAX];
} export_flow;

typedef struct redis_export {
    redis_connection *connection; /* borrowed */
    redis_args *args;             /* its own */
    const char *prefix;           /* borrowed */
    const utapi_export *what;
    utapi_export_cb *on_row;
    utapi_unreadable_cb *on_unreadable; /* NULL: the first such key ends the export */
    void *ctx;
    utapi_level level;
    int64_t now_ms; /* when it began */
    size_t flow_count;
    export_flow flows[REDIS_EXPORT_FLOWS];
    bool stopped;
} redis_export;

static utapi_status export_call(redis_export *self, int type, redisReply **ret, utapi_error *err)
{
    const utapi_status status = utapi_redis_connection_call(self->connection, ret, err);
    if (status == UTAPI_OK && (*ret)->type != type)
        return utapi_fail(err, UTAPI_CORRUPT, "an answer of another shape than Redis gives");
    return status;
}

static void resource_key(redis_export *self, utapi_string name, const char *what)
{
    utapi_redis_args_resource(self->args, self->prefix, self->level, name, what);
}

static utapi_string flow_name(const export_flow *flow)
{
    return (utapi_string){flow->name, flow->name_size};
}

static void flow_key(const redis_export *self, const export_flow *flow, redis_key *ret)
{
    utapi_redis_key_flow(ret, self->prefix, self->level, flow->interval, flow_name(flow), flow->metric);
}

static utapi_status export_skip(redis_export *self, const redis_key *key, const char *why, utapi_error *err)
{
    char text[2 * REDIS_KEY_MAX + 1], *at = text;
    for (size_t i = 0; i < key->size; i++) { /* a NUL would end the sentence */
        if (key->bytes[i] == '\0')
            *at++ = '\\';
        *at++ = key->bytes[i] == '\0' ? '0' : key->bytes[i];
    }
    *at = '\0';
    utapi_error reported;
    utapi_error_clear(&reported);
    const utapi_status status = utapi_fail(&reported, UTAPI_CORRUPT, "%s: %s", text, why);
    if (self->on_unreadable == NULL)
        return utapi_fail(err, status, "%s", reported.detail);
    self->on_unreadable(self->ctx, reported.detail);
    return UTAPI_OK;
}

/* As export_call(), of one key. *ret stays NULL where that was skipped. */
static utapi_status key_call(redis_export *self, const redis_key *key, int type, redisReply **ret,
                             utapi_error *err)
{
    utapi_error why;
    utapi_error_clear(&why);
    const utapi_status status = export_call(self, type, ret, &why);
    if (status == UTAPI_OK)
        return status;
    freeReplyObject(*ret);
    *ret = NULL;
    return status == UTAPI_CORRUPT ? export_skip(self, key, why.detail, err)
                                   : utapi_fail(err, status, "%s", why.detail);
}

static utapi_status export_without_text(redis_export *self, const redis_key *key, utapi_error *err)
{
    UTAPI_AUTO(redisReply) *type = NULL;
    char why[64];
    utapi_redis_args_add(self->args, "TYPE");
    utapi_redis_args_key(self->args, key);
    const utapi_status status = export_call(self, REDIS_REPLY_STATUS, &type, err);
    if (status != UTAPI_OK || strcmp(type->str, "none") == 0)
        return status;
    (void)snprintf(why, sizeof why, "is a %.20s, expected a number", type->str);
    return export_skip(self, key, why, err);
}

static void export_report(redis_export *self, utapi_string name, utapi_interval interval, utapi_metric metric,
                          utapi_wide amount)
{
    utapi_amounts delta = {.present = 0};
    const utapi_export_row row = {self->level, name, interval, &delta};
    if (self->stopped || amount == 0 || interval < 0 || interval < self->what->start ||
        interval > self->what->end ||
        (self->what->name.size > 0 && !utapi_string_equal(name, self->what->name)))
        return;
    utapi_amounts_set(&delta, metric, amount);
    self->stopped = !self->on_row(self->ctx, &row);
}

/* What stands between a level and a metric in a flow's key is no longer than a name and an interval before it. */
enum { WHOLE_MAX = UTAPI_NAME_MAX + 24 };

/* ---- whose they are ----------------------------------------------------------------------- */

/* A flow of "900000:x" in interval 0 has the key of one of "x" in interval 900000, for V1 leaves interval 0 out.
 * Nobody but utapid counts so early, and it notes the day in the `odd` of its name: so what stands between level
 * and metric is looked up as a name, too. */

static bool is_in_bounds(const redis_export *self, utapi_interval interval)
{
    return interval >= REDIS_FIRST_DAY && interval <= self->now_ms;
}

static utapi_string whole_of(const export_flow *flow, char buffer[static WHOLE_MAX])
{
    int size = 0;
    if (flow->interval != 0)
        size = snprintf(buffer, WHOLE_MAX, "%lld:", (long long)flow->interval);
    memcpy(buffer + size, flow->name, flow->name_size);
    return (utapi_string){buffer, (size_t)size + flow->name_size};
}

static bool is_doubtful(const export_flow *flow)
{
    return flow->interval != 0 || utapi_redis_key_is_between(flow_name(flow));
}

/* How many of the flows may be of a longer name, in interval 0. */
static utapi_status wholes_count(redis_export *self, long long *ret, utapi_error *err)
{
    UTAPI_AUTO(redisReply) *reply = NULL;
    char buffer[WHOLE_MAX];
    *ret = 0;
    utapi_redis_args_add(self->args, "EXISTS");
    for (size_t i = 0; i < self->flow_count; i++) {
        const utapi_string whole = whole_of(&self->flows[i], buffer);
        if (is_doubtful(&self->flows[i]) && whole.size <= UTAPI_NAME_MAX)
            resource_key(self, whole, REDIS_OWN "odd");
    }
    if (self->args->count == 1) {
        utapi_redis_args_clear(self->args);
        return UTAPI_OK;
    }
    const utapi_status status = export_call(self, REDIS_REPLY_INTEGER, &reply, err);
    if (status == UTAPI_OK)
        *ret = reply->integer;
    return status;
}

/* ZADD or ZCOUNT of a day in the outliers of a name: "<command> <key> <day> <day>". */
static utapi_status outlier_call(redis_export *self, const char *command, utapi_string name,
                                 utapi_interval time_ms, redisReply **ret, utapi_error *err)
{
    const utapi_interval day = redis_day_of(time_ms);
    utapi_redis_args_add(self->args, command);
    resource_key(self, name, REDIS_OWN "odd");
    utapi_redis_args_number(self->args, day);
    utapi_redis_args_number(self->args, day);
    return export_call(self, REDIS_REPLY_INTEGER, ret, err);
}

static utapi_status outlier_has(redis_export *self, utapi_string name, utapi_interval time_ms, bool *ret,
                                utapi_error *err)
{
    UTAPI_AUTO(redisReply) *count = NULL;
    *ret = false;
    if (name.size > UTAPI_NAME_MAX)
        return UTAPI_OK;
    const utapi_status status = outlier_call(self, "ZCOUNT", name, time_ms, &count, err);
    if (status == UTAPI_OK)
        *ret = count->integer > 0;
    return status;
}

/* Makes it one of the longer name, if it is. *ret_why: why it is to be left out; else NULL. */
static utapi_status flow_resolve(redis_export *self, export_flow *flow, const char **ret_why,
                                 utapi_error *err)
{
    char buffer[WHOLE_MAX];
    const utapi_string whole = whole_of(flow, buffer);
    bool is_whole, is_short = is_in_bounds(self, flow->interval);
    *ret_why = NULL;
    utapi_status status = outlier_has(self, whole, 0, &is_whole, err);
    if (status == UTAPI_OK && is_whole && !is_short)
        status = outlier_has(self, flow_name(flow), flow->interval, &is_short, err);
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
static utapi_status flows_resolve(redis_export *self, utapi_error *err)
{
    long long wholes;
    size_t kept = 0;
    utapi_status status = wholes_count(self, &wholes, err);
    for (size_t i = 0; i < self->flow_count && status == UTAPI_OK; i++) {
        export_flow *flow = &self->flows[i];
        const char *why = NULL;
        redis_key key;
        flow_key(self, flow, &key);
        if (is_doubtful(flow) && (wholes > 0 || flow->interval == 0))
            status = flow_resolve(self, flow, &why, err);
        if (status == UTAPI_OK && why != NULL)
            status = export_skip(self, &key, why, err);
        else if (kept++ != i)
            self->flows[kept - 1] = *flow;
    }
    self->flow_count = kept;
    return status;
}

/* ---- flows -------------------------------------------------------------------------------- */

static utapi_status flow_parse(redis_export *self, const export_flow *flow, const redisReply *value,
                               utapi_error *err)
{
    redis_key key;
    int64_t amount = 0;
    flow_key(self, flow, &key);
    if (value->type != REDIS_REPLY_STRING)
        return export_without_text(self, &key, err);
    if (!utapi_redis_integer(value, &amount))
        return export_skip(self, &key, "more than 64 bits hold", err);
    if (amount != 0 && !is_in_bounds(self, flow->interval)) {
        /* A reader looks there on noted days alone. A Redis that accepts no writes goes on answering without it: that
         * shows when answers are compared. */
        UTAPI_AUTO(redisReply) *reply = NULL;
        (void)!outlier_call(self, "ZADD", flow_name(flow), flow->interval, &reply, NULL);
    }
    export_report(self, flow_name(flow), flow->interval, flow->metric, amount);
    return UTAPI_OK;
}

static utapi_status export_flows(redis_export *self, utapi_error *err)
{
    UTAPI_AUTO(redisReply) *reply = NULL;
    utapi_status status = flows_resolve(self, err);
    const size_t count = self->flow_count;
    self->flow_count = 0;
    if (status != UTAPI_OK || count == 0)
        return status;
    utapi_redis_args_add(self->args, "MGET");
    for (size_t i = 0; i < count; i++) {
        redis_key key;
        flow_key(self, &self->flows[i], &key);
        utapi_redis_args_key(self->args, &key);
        resource_key(self, flow_name(&self->flows[i]), REDIS_OWN "gone");
    }
    status = export_call(self, REDIS_REPLY_ARRAY, &reply, err);
    if (status == UTAPI_OK && reply->elements != 2 * count)
        status = utapi_fail(err, UTAPI_CORRUPT, "MGET: an answer of another shape than Redis gives");
    for (size_t i = 0; i < count && status == UTAPI_OK; i++)
        if (!utapi_redis_is_expired(reply->element[2 * i + 1], self->flows[i].interval))
            status = flow_parse(self, &self->flows[i], reply->element[2 * i], err);
    return status;
}

/* ---- states ------------------------------------------------------------------------------- */

/* How far a sorted set was read. */
typedef struct state_set {
    utapi_string name; /* borrowed */
    redis_key key;
    utapi_metric metric;
    utapi_interval interval; /* of the member that was read last, */
    utapi_wide value;        /* which may be followed by another one of the same interval */
    utapi_wide reported;     /* the state before it */
} state_set;

static void state_report(redis_export *self, state_set *set)
{
    export_report(self, set->name, set->interval, set->metric, set->value - set->reported);
    set->reported = set->value;
}

/* The last member of an interval is the one that counts, as in V1. A score a fraction behind it is none. */
static utapi_status slice_read(redis_export *self, state_set *set, const redisReply *reply, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    for (size_t i = 0; i + 1 < reply->elements && status == UTAPI_OK; i += 2) {
        const redisReply *member = reply->element[i], *score = reply->element[i + 1];
        utapi_wide value;
        if (member->type != REDIS_REPLY_STRING || score->type != REDIS_REPLY_STRING ||
            !utapi_redis_state_value(member, &value)) {
            status = export_skip(self, &set->key, "a member that is no number", err);
            continue;
        }
        const utapi_interval interval = utapi_redis_state_interval(score);
        if (interval < 0 || interval > UTAPI_INTERVAL_MAX || interval % UTAPI_INTERVAL_MS != 0 ||
            strtod(score->str, NULL) != (double)interval) {
            status = export_skip(self, &set->key, "a member at a time that no interval begins with", err);
            continue;
        }
        if (interval != set->interval)
            state_report(self, set);
        set->interval = interval;
        set->value = value;
    }
    return status;
}

/* What a location holds now; it stays as it is where there is no such key. */
static utapi_status location_now(redis_export *self, utapi_string name, utapi_wide *ret, utapi_error *err)
{
    UTAPI_AUTO(redisReply) *counter = NULL;
    redis_key key;
    int64_t value = 0;
    utapi_redis_key_resource(&key, self->prefix, self->level, name, "storageUtilized:counter");
    utapi_redis_args_add(self->args,
                         "MGET"); /* of one key: an answer of one type whether it is there or not */
    utapi_redis_args_key(self->args, &key);
    const utapi_status status = export_call(self, REDIS_REPLY_ARRAY, &counter, err);
    if (status != UTAPI_OK || counter->elements != 1)
        return status;
    if (counter->element[0]->type != REDIS_REPLY_STRING)
        return export_without_text(self, &key, err);
    if (!utapi_redis_integer(counter->element[0], &value))
        return export_skip(self, &key, "more than 64 bits hold", err);
    *ret = value;
    return UTAPI_OK;
}

static utapi_status states_read(redis_export *self, const redis_parsed_key *parsed, utapi_error *err)
{
    state_set set = {.name = parsed->name, .metric = parsed->metric, .interval = INT64_MIN};
    utapi_status status = UTAPI_OK;
    size_t found = 2 * MEMBERS_A_SLICE;
    utapi_redis_key_resource(&set.key, self->prefix, self->level, parsed->name,
                             utapi_metric_name(parsed->metric));
    for (int64_t at = 0; status == UTAPI_OK && found == 2 * MEMBERS_A_SLICE; at += MEMBERS_A_SLICE) {
        UTAPI_AUTO(redisReply) *reply = NULL;
        utapi_redis_args_add(self->args, "ZRANGE");
        utapi_redis_args_key(self->args, &set.key);
        utapi_redis_args_number(self->args, at);
        utapi_redis_args_number(self->args, at + MEMBERS_A_SLICE - 1);
        utapi_redis_args_add(self->args, "WITHSCORES");
        status = key_call(self, &set.key, REDIS_REPLY_ARRAY, &reply, err);
        found = reply != NULL ? reply->elements : 0;
        if (status == UTAPI_OK && reply != NULL)
            status = slice_read(self, &set, reply, err);
    }
    if (status == UTAPI_OK && self->level == UTAPI_LOCATIONS && parsed->metric == UTAPI_STORAGE_UTILIZED)
        status = location_now(self, parsed->name, &set.value, err);
    if (status == UTAPI_OK)
        state_report(self, &set);
    return status;
}

/* A location that only Node clients report has what it holds now for every time (redis_state.c). */
static utapi_status location_read(redis_export *self, utapi_string name, utapi_error *err)
{
    UTAPI_AUTO(redisReply) *count = NULL;
    redis_key states;
    utapi_wide value = 0;
    utapi_redis_key_resource(&states, self->prefix, self->level, name,
                             utapi_metric_name(UTAPI_STORAGE_UTILIZED));
    utapi_redis_args_add(self->args, "ZCARD");
    utapi_redis_args_key(self->args, &states);
    utapi_status status = key_call(self, &states, REDIS_REPLY_INTEGER, &count, err);
    if (status != UTAPI_OK || count == NULL || count->integer != 0)
        return status;
    status = location_now(self, name, &value, err);
    if (status == UTAPI_OK)
        export_report(self, name, 0, UTAPI_STORAGE_UTILIZED, value);
    return status;
}

/* ---- the whole ---------------------------------------------------------------------------- */

static utapi_status key_found(void *ctx, utapi_string key, const redis_parsed_key *parsed, bool *stop,
                              utapi_error *err)
{
    redis_export *self = ctx;
    utapi_status status = UTAPI_OK;
    if (memchr(parsed->name.data, '\0', parsed->name.size) != NULL) {
        redis_key whole = {.size = key.size < REDIS_KEY_MAX ? key.size : REDIS_KEY_MAX};
        memcpy(whole.bytes, key.data, whole.size);
        status = export_skip(self, &whole, "a name with a NUL, which nobody can ask for", err);
    } else if (parsed->is == REDIS_KEY_OF_FLOW) {
        export_flow *flow = &self->flows[self->flow_count++];
        *flow = (export_flow){
            .interval = parsed->interval, .metric = parsed->metric, .name_size = parsed->name.size};
        memcpy(flow->name, parsed->name.data, parsed->name.size);
        if (self->flow_count == REDIS_EXPORT_FLOWS)
            status = export_flows(self, err);
    } else if (parsed->is == REDIS_KEY_OF_STATES)
        status = states_read(self, parsed, err);
    else if (parsed->is == REDIS_KEY_OF_LOCATION)
        status = location_read(self, parsed->name, err);
    *stop = self->stopped;
    return status;
}

static utapi_status levels_read(redis_export *self, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT && status == UTAPI_OK && !self->stopped; level++) {
        if (self->what->level != UTAPI_LEVEL_COUNT && self->what->level != level)
            continue;
        self->level = (utapi_level)level;
        status = utapi_redis_scan_level(self->connection, self->prefix, self->level, key_found, self, err);
        if (status == UTAPI_OK && !self->stopped)
            status = export_flows(self, err);
    }
    return status;
}

/* Late changes stand in no sorted set before they were worked off. */
static utapi_status corrections_finish(redis_backend *backend, redis_export *self, utapi_error *err)
{
    for (;;) {
        UTAPI_AUTO(redisReply) *left = NULL;
        utapi_redis_args_add(self->args, "SCARD");
        utapi_redis_args_own(self->args, self->prefix, "shifting");
        utapi_status status = export_call(self, REDIS_REPLY_INTEGER, &left, err);
        if (status != UTAPI_OK || left->integer == 0)
            return status;
        status = utapi_redis_maintain(&backend->base, self->now_ms, self->now_ms, err);
        if (status != UTAPI_OK)
            return status;
    }
}

utapi_status utapi_redis_export(utapi_backend *base, const utapi_export *what, utapi_export_cb *on_row,
                                utapi_unreadable_cb *on_unreadable, void *ctx, utapi_error *err)
{
    if (what->form == UTAPI_EXPORT_TOTALS)
        return utapi_fail(err, UTAPI_NOT_SUPPORTED, "Redis: V1's keys hold no running totals to export");
    redis_backend *backend = (redis_backend *)base;
    UTAPI_AUTO_FREE redis_export *self = calloc(1, sizeof *self);
    redis_connection *connection = utapi_redis_pool_take(backend->pool);
    if (self == NULL || connection == NULL) {
        if (connection != NULL)
            utapi_redis_pool_give(backend->pool, connection);
        return utapi_fail(err, UTAPI_NO_MEMORY, "exporting");
    }
    *self = (redis_export){.connection = connection,
                           .args = &connection->args,
                           .prefix = backend->uri.prefix,
                           .now_ms = utapi_wall_ms(),
                           .what = what,
                           .on_row = on_row,
                           .on_unreadable = on_unreadable,
                           .ctx = ctx};
    utapi_status status = corrections_finish(backend, self, err);
    if (status == UTAPI_OK)
        status = levels_read(self, err);
    utapi_redis_pool_give(backend->pool, connection);
    return utapi_redis_only_read(status, err);
}
