/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis_internal.h - what the files of this backend share.
 *
 * redis_uri.c, redis_connect.c and redis_link.c reach the server; redis_keys.c names keys; redis_apply.c hands batches
 * to lua/apply.lua, in the words of redis_words.c; redis_tend.c works off what scripts left for later; redis_read.c answers questions, with the
 * summaries of redis_days.c; redis_visit.c walks through resources and fences; redis_backend.c is the contract's side.
 */
#ifndef REDIS_REDIS_INTERNAL_H
#define REDIS_REDIS_INTERNAL_H

#include "redis_backend.h"
#include "redis_connection.h"
#include "redis_keys.h"

#include <pthread.h>

typedef struct redis_backend {
    utapi_backend base;
    redis_uri uri;           /* uri.prefix is P of redis_keys.h */
    int64_t window_ms;       /* how long a uuid is remembered */
    redis_pool *pool;        /* for readers */
    pthread_mutex_t walking; /* held by the reader that walks through all keys: one at a time */
    pthread_mutex_t writing; /* guards the writer's link */
    redis_connection *writer;
    bool is_fenced; /* hand-overs have a fence: nothing is forgotten without a look at it */
    uint64_t nonce,
        nonce_count; /* random, and how often it was used: members of sorted sets are told apart */
} redis_backend;

/* The slots of the contract (utapi/backend.h), by file. */
utapi_backend_apply_fn utapi_redis_apply;       /* redis_apply.c */
utapi_backend_adjust_fn utapi_redis_adjust;     /* redis_apply.c */
utapi_backend_expire_fn utapi_redis_expire;     /* redis_tend.c */
utapi_backend_maintain_fn utapi_redis_maintain; /* redis_tend.c */
utapi_backend_read_fn utapi_redis_read;         /* redis_read.c */
utapi_backend_list_fn utapi_redis_list;         /* redis_visit.c */
utapi_backend_fences_fn utapi_redis_fences;     /* redis_visit.c */
utapi_backend_changes_fn utapi_redis_export;    /* redis_history.c */
utapi_backend_stats_fn utapi_redis_stats;       /* redis_backend.c */

#endif
