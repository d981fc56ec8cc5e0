/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis_history.h - what the files share that tell all that ever changed: redis_history.c walks through the keys and reads
 * states, utapi_redis_export_flows.c flows. A history belongs to one thread.
 */
#ifndef REDIS_REDIS_HISTORY_H
#define REDIS_REDIS_HISTORY_H

#include "redis_read.h"
#include "redis_sight.h"

/** Flows that are fetched at once. */
enum { REDIS_EXPORT_FLOWS = 400 };

/** A flow that was met and is not fetched yet. */
typedef struct redis_export_flow {
    utapi_interval interval;
    utapi_metric metric;
    size_t name_size;
    char name[UTAPI_NAME_MAX];
} redis_export_flow;

typedef struct redis_export {
    redis_connection *connection; /* borrowed */
    const char *prefix;           /* borrowed */
    redis_args args;              /* the command being put together */
    utapi_change_cb *on_change;
    utapi_unreadable_cb *on_unreadable; /* NULL: the first such key ends the walk */
    void *ctx;
    utapi_level level;
    bool (*parse)(utapi_string rest, redis_parsed_key *ret);
    size_t head;    /* bytes of "P:<word>:" */
    int64_t now_ms; /* when it began */
    size_t flow_count;
    redis_export_flow flows[REDIS_EXPORT_FLOWS];
    bool stopped;
} redis_export;

/* ---- redis_history.c ----------------------------------------------------------------------- */

/** Asks for self->args, and empties them. *ret is owned, also after UTAPI_CORRUPT: a reply of another type. */
UTAPI_MUST_USE utapi_status utapi_redis_export_call(redis_export *self, int type, redisReply **ret,
                                                    utapi_error *err);

/** Adds the name of a resource's key to the command. */
void utapi_redis_export_key(redis_export *self, utapi_string name, const char *what);

/** Goes on without a key, or a part of it, if somebody wants to know; else UTAPI_CORRUPT. */
UTAPI_MUST_USE utapi_status utapi_redis_export_skip(redis_export *self, const redis_key *key, const char *why,
                                                    utapi_error *err);

/** Of a key for which MGET gave nothing: it is not there, or it is skipped, since it holds no text. */
UTAPI_MUST_USE utapi_status utapi_redis_export_without_text(redis_export *self, const redis_key *key,
                                                            utapi_error *err);

/** Tells a change, if it is one. */
void utapi_redis_export_report(redis_export *self, utapi_string name, utapi_interval interval,
                               utapi_metric metric, int64_t amount);

/* ---- utapi_redis_export_flows.c ----------------------------------------------------------------- */

/** Gathers a flow; tells of those that were gathered when they are many. */
UTAPI_MUST_USE utapi_status utapi_redis_export_flow(redis_export *self, const redis_parsed_key *seen,
                                                    utapi_error *err);

/** Tells of those that were gathered. */
UTAPI_MUST_USE utapi_status utapi_redis_export_flows(redis_export *self, utapi_error *err);

#endif
