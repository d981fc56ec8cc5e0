/* SPDX-License-Identifier: Apache-2.0 */
/* redis_history.c - all that ever changed, by walking through the keys: for those who copy a whole Redis.
 *
 * A sorted set of states is read in slices, from the oldest member, and what changed is the difference of two members. Flows
 * are utapi_redis_export_flows.c's. A key that holds something else is told of by its name. */
#include "redis_history.h"

#include "utapi/scoped.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

UTAPI_AUTO_DEFINE(redisReply, freeReplyObject)

enum { MEMBERS_A_SLICE = 1000 };

utapi_status utapi_redis_export_call(redis_export *self, int type, redisReply **ret, utapi_error *err)
{
    const utapi_status status = utapi_redis_connection_call(self->connection, &self->args, ret, err);
    utapi_redis_args_clear(&self->args);
    if (status == UTAPI_OK && (*ret)->type != type)
        return utapi_fail(err, UTAPI_CORRUPT, "an answer of another shape than Redis gives");
    return status;
}

static void key_make(const redis_export *self, utapi_string name, const char *what, redis_key *ret)
{
    utapi_redis_key_resource(ret, self->prefix, self->level, name, what);
}

void utapi_redis_export_key(redis_export *self, utapi_string name, const char *what)
{
    redis_key key;
    key_make(self, name, what, &key);
    utapi_redis_args_key(&self->args, &key);
}

/* A NUL would end the sentence. */
static const char *key_text(const redis_key *key, char ret[static 2 * REDIS_KEY_MAX + 1])
{
    char *at = ret;
    for (size_t i = 0; i < key->size; i++) {
        if (key->bytes[i] == '\0')
            *at++ = '\\';
        *at++ = key->bytes[i] == '\0' ? '0' : key->bytes[i];
    }
    *at = '\0';
    return ret;
}

utapi_status utapi_redis_export_skip(redis_export *self, const redis_key *key, const char *why,
                                     utapi_error *err)
{
    char text[2 * REDIS_KEY_MAX + 1];
    utapi_error told;
    utapi_error_clear(&told);
    const utapi_status status = utapi_fail(&told, UTAPI_CORRUPT, "%s: %s", key_text(key, text), why);
    if (self->on_unreadable == NULL)
        return utapi_fail(err, status, "%s", told.detail);
    self->on_unreadable(self->ctx, told.detail);
    return UTAPI_OK;
}

/* As utapi_redis_export_call(), of one key. *ret stays NULL where that was skipped. */
static utapi_status key_ask(redis_export *self, const redis_key *key, int type, redisReply **ret,
                            utapi_error *err)
{
    utapi_error why;
    utapi_error_clear(&why);
    const utapi_status status = utapi_redis_export_call(self, type, ret, &why);
    if (status == UTAPI_OK)
        return status;
    freeReplyObject(*ret);
    *ret = NULL;
    return status == UTAPI_CORRUPT ? utapi_redis_export_skip(self, key, why.detail, err)
                                   : utapi_fail(err, status, "%s", why.detail);
}

utapi_status utapi_redis_export_without_text(redis_export *self, const redis_key *key, utapi_error *err)
{
    UTAPI_AUTO(redisReply) *type = NULL;
    char why[64];
    utapi_redis_args_add(&self->args, "TYPE");
    utapi_redis_args_key(&self->args, key);
    const utapi_status status = utapi_redis_export_call(self, REDIS_REPLY_STATUS, &type, err);
    if (status != UTAPI_OK || strcmp(type->str, "none") == 0)
        return status;
    (void)snprintf(why, sizeof why, "is a %.20s, expected a number", type->str);
    return utapi_redis_export_skip(self, key, why, err);
}

void utapi_redis_export_report(redis_export *self, utapi_string name, utapi_interval interval,
                               utapi_metric metric, int64_t amount)
{
    utapi_amounts delta = {.present = 0};
    if (self->stopped || amount == 0 || interval < 0)
        return;
    utapi_amounts_set(&delta, metric, amount);
    self->stopped = !self->on_change(self->ctx, self->level, name, interval, &delta);
}

/* ---- states ------------------------------------------------------------------------------- */

/* How far a sorted set was read. */
typedef struct states_walk {
    utapi_string name; /* borrowed */
    redis_key key;
    utapi_metric metric;
    utapi_interval interval; /* of the member that was read last, */
    utapi_wide value;        /* which may be followed by another one of the same interval */
    utapi_wide told;         /* the state before it */
} states_walk;

static utapi_status state_tell(redis_export *self, states_walk *walk, utapi_error *err)
{
    const utapi_wide delta = walk->value - walk->told;
    if (delta < INT64_MIN || delta > INT64_MAX)
        return utapi_redis_export_skip(self, &walk->key, "a member changes by more than 64 bits hold", err);
    walk->told = walk->value;
    utapi_redis_export_report(self, walk->name, walk->interval, walk->metric, (int64_t)delta);
    return UTAPI_OK;
}

/* Whether a member stands at the beginning of an interval; one a fraction behind it does not. */
static bool is_at_interval(const redisReply *score, utapi_interval interval)
{
    return interval >= 0 && interval <= UTAPI_INTERVAL_MAX && interval % UTAPI_INTERVAL_MS == 0 &&
           strtod(score->str, NULL) == (double)interval;
}

/* The last member of an interval is the one that counts, as in V1. */
static utapi_status slice_read(redis_export *self, states_walk *walk, const redisReply *reply,
                               utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    for (size_t i = 0; i + 1 < reply->elements && status == UTAPI_OK; i += 2) {
        const redisReply *member = reply->element[i], *score = reply->element[i + 1];
        utapi_wide value;
        if (member->type != REDIS_REPLY_STRING || score->type != REDIS_REPLY_STRING ||
            !utapi_redis_state_value(member, &value)) {
            status = utapi_redis_export_skip(self, &walk->key, "a member that is no number", err);
            continue;
        }
        const utapi_interval interval = utapi_redis_state_interval(score);
        if (!is_at_interval(score, interval)) {
            status = utapi_redis_export_skip(self, &walk->key,
                                             "a member at a time that no interval begins with", err);
            continue;
        }
        if (interval != walk->interval)
            status = state_tell(self, walk, err);
        walk->interval = interval;
        walk->value = value;
    }
    return status;
}

/* What a location holds now; it stays as it is where there is no such key. */
static utapi_status location_now(redis_export *self, utapi_string name, utapi_wide *ret, utapi_error *err)
{
    UTAPI_AUTO(redisReply) *counter = NULL;
    redis_key key;
    int64_t value = 0;
    key_make(self, name, "storageUtilized:counter", &key);
    utapi_redis_args_add(&self->args,
                         "MGET"); /* of one key: an answer of one type whether it is there or not */
    utapi_redis_args_key(&self->args, &key);
    const utapi_status status = utapi_redis_export_call(self, REDIS_REPLY_ARRAY, &counter, err);
    if (status != UTAPI_OK || counter->elements != 1)
        return status;
    if (counter->element[0]->type != REDIS_REPLY_STRING)
        return utapi_redis_export_without_text(self, &key, err);
    if (!utapi_redis_integer(counter->element[0], &value))
        return utapi_redis_export_skip(self, &key, "more than 64 bits hold", err);
    *ret = value;
    return UTAPI_OK;
}

static utapi_status states_read(redis_export *self, const redis_parsed_key *seen, utapi_error *err)
{
    states_walk walk = {.name = seen->name, .metric = seen->metric, .interval = INT64_MIN};
    utapi_status status = UTAPI_OK;
    size_t found = 2 * MEMBERS_A_SLICE;
    key_make(self, seen->name, utapi_metric_name(seen->metric), &walk.key);
    for (int64_t at = 0; status == UTAPI_OK && found == 2 * MEMBERS_A_SLICE; at += MEMBERS_A_SLICE) {
        UTAPI_AUTO(redisReply) *reply = NULL;
        utapi_redis_args_add(&self->args, "ZRANGE");
        utapi_redis_args_key(&self->args, &walk.key);
        utapi_redis_args_number(&self->args, at);
        utapi_redis_args_number(&self->args, at + MEMBERS_A_SLICE - 1);
        utapi_redis_args_add(&self->args, "WITHSCORES");
        status = key_ask(self, &walk.key, REDIS_REPLY_ARRAY, &reply, err);
        found = reply != NULL ? reply->elements : 0;
        if (status == UTAPI_OK && reply != NULL)
            status = slice_read(self, &walk, reply, err);
    }
    if (status == UTAPI_OK && self->level == UTAPI_LOCATIONS && seen->metric == UTAPI_STORAGE_UTILIZED)
        status = location_now(self, seen->name, &walk.value, err);
    return status == UTAPI_OK ? state_tell(self, &walk, err) : status;
}

/* A location that only Node clients report has what it holds now for every time (redis_read_state.c). */
static utapi_status location_read(redis_export *self, utapi_string name, utapi_error *err)
{
    UTAPI_AUTO(redisReply) *count = NULL;
    redis_key states;
    utapi_wide value = 0;
    key_make(self, name, utapi_metric_name(UTAPI_STORAGE_UTILIZED), &states);
    utapi_redis_args_add(&self->args, "ZCARD");
    utapi_redis_args_key(&self->args, &states);
    utapi_status status = key_ask(self, &states, REDIS_REPLY_INTEGER, &count, err);
    if (status != UTAPI_OK || count == NULL || count->integer != 0)
        return status;
    status = location_now(self, name, &value, err);
    if (status == UTAPI_OK)
        utapi_redis_export_report(self, name, 0, UTAPI_STORAGE_UTILIZED, (int64_t)value);
    return status;
}

/* ---- the walk ----------------------------------------------------------------------------- */

/* Programs of C ask for a name as far as its NUL: for another one. */
static utapi_status nul_skip(redis_export *self, utapi_string key, utapi_error *err)
{
    redis_key whole = {.size = key.size < REDIS_KEY_MAX ? key.size : REDIS_KEY_MAX};
    memcpy(whole.bytes, key.data, whole.size);
    return utapi_redis_export_skip(self, &whole, "a name with a NUL, which nobody can ask for", err);
}

static utapi_status history_meet(void *ctx, utapi_string key, bool *stop, utapi_error *err)
{
    redis_export *self = ctx;
    redis_parsed_key seen;
    utapi_status status = UTAPI_OK;
    if (key.size <= self->head ||
        !self->parse((utapi_string){key.data + self->head, key.size - self->head}, &seen))
        return UTAPI_OK;
    if (memchr(seen.name.data, '\0', seen.name.size) != NULL)
        status = nul_skip(self, key, err);
    else if (seen.is == REDIS_KEY_OF_FLOW)
        status = utapi_redis_export_flow(self, &seen, err);
    else if (seen.is == REDIS_KEY_OF_STATES)
        status = states_read(self, &seen, err);
    else if (self->parse == utapi_redis_key_parse_location)
        status = location_read(self, seen.name, err);
    *stop = self->stopped;
    return status;
}

static utapi_status history_walk(redis_export *self, const char *word, utapi_error *err)
{
    const utapi_status status =
        utapi_redis_scan_word(self->connection, self->prefix, word, &self->head, history_meet, self, err);
    return status == UTAPI_OK && !self->stopped ? utapi_redis_export_flows(self, err) : status;
}

static utapi_status levels_walk(redis_export *self, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    self->parse = utapi_redis_key_parse;
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT && status == UTAPI_OK && !self->stopped; level++) {
        self->level = (utapi_level)level;
        status = history_walk(self, utapi_level_name(self->level), err);
    }
    if (status != UTAPI_OK || self->stopped)
        return status;
    self->parse = utapi_redis_key_parse_location;
    self->level = UTAPI_LOCATIONS;
    return history_walk(self, "location", err);
}

/* Late changes stand in no sorted set before they were worked off. */
static utapi_status corrections_settle(redis_backend *backend, redis_export *self, utapi_error *err)
{
    for (;;) {
        UTAPI_AUTO(redisReply) *left = NULL;
        redis_key key;
        utapi_redis_key_own(&key, self->prefix, "shifting");
        utapi_redis_args_add(&self->args, "SCARD");
        utapi_redis_args_key(&self->args, &key);
        utapi_status status = utapi_redis_export_call(self, REDIS_REPLY_INTEGER, &left, err);
        if (status != UTAPI_OK || left->integer == 0)
            return status;
        status = utapi_redis_maintain(&backend->base, self->now_ms, self->now_ms, err);
        if (status != UTAPI_OK)
            return status;
    }
}

utapi_status utapi_redis_export(utapi_backend *base, utapi_change_cb *on_change,
                                utapi_unreadable_cb *on_unreadable, void *ctx, utapi_error *err)
{
    redis_backend *backend = (redis_backend *)base;
    UTAPI_AUTO_FREE redis_export *self = calloc(1, sizeof *self);
    redis_connection *connection = utapi_redis_pool_take(backend->pool);
    if (self == NULL || connection == NULL) {
        if (connection != NULL)
            utapi_redis_pool_give(backend->pool, connection);
        return utapi_fail(err, UTAPI_NO_MEMORY, "walking through the keys");
    }
    *self = (redis_export){.connection = connection,
                           .prefix = backend->uri.prefix,
                           .now_ms = utapi_wall_ms(),
                           .on_change = on_change,
                           .on_unreadable = on_unreadable,
                           .ctx = ctx};
    utapi_status status = corrections_settle(backend, self, err);
    if (status == UTAPI_OK)
        status = levels_walk(self, err);
    utapi_redis_args_done(&self->args);
    utapi_redis_pool_give(backend->pool, connection);
    if (status != UTAPI_UNCERTAIN)
        return status;
    if (err != NULL)
        err->status = UTAPI_UNAVAILABLE; /* nothing was to be stored */
    return UTAPI_UNAVAILABLE;
}
