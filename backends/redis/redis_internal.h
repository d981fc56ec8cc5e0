/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis_internal.h - the storage, and the slots that its files fill. redis_write.h is for those that write,
 * redis_query.h for those that read.
 */
#ifndef REDIS_REDIS_INTERNAL_H
#define REDIS_REDIS_INTERNAL_H

#include "redis_backend.h"
#include "redis_connection.h"
#include "redis_keys.h"
#include "utapi/backend_admin.h"

#include <pthread.h>

enum { REDIS_WARM_DELTAS = 4096 };

typedef struct redis_backend {
    utapi_backend base;
    redis_uri uri;            /* uri.prefix is P of redis_keys.h */
    int64_t window_ms;        /* how long a uuid is remembered */
    redis_pool *pool;         /* for readers */
    pthread_mutex_t scanning; /* held by the reader that scans all keys: one at a time */
    pthread_mutex_t writing;  /* guards the writer's connection */
    redis_connection *writer;
    bool is_fenced;                   /* batches are fenced: nothing expires but under a fence */
    uint64_t nonce, nonce_count;      /* random, and how often it was used: members of sorted sets differ */
    uint64_t warm[REDIS_WARM_DELTAS]; /* the writer's: deltas that were written lately, by hash */
    unsigned
        script_percent; /* the writer's: of what is foretold, that its scripts take; 100 before the first */
} redis_backend;

/* The slots of the contract (utapi/backend.h), by file. */
utapi_backend_apply_fn utapi_redis_apply;       /* redis_apply.c */
utapi_backend_adjust_fn utapi_redis_adjust;     /* redis_apply.c */
utapi_backend_expire_fn utapi_redis_expire;     /* redis_maintain.c */
utapi_backend_maintain_fn utapi_redis_maintain; /* redis_maintain.c */
utapi_backend_read_fn utapi_redis_read;         /* redis_read.c */
utapi_backend_list_fn utapi_redis_list;         /* redis_list.c */
utapi_backend_fences_fn utapi_redis_fences;     /* redis_list.c */
utapi_backend_audit_fn utapi_redis_audit;       /* redis_list.c */
utapi_backend_note_fn utapi_redis_note;         /* redis_list.c */
utapi_backend_export_fn utapi_redis_export;     /* redis_export.c */
utapi_backend_stats_fn utapi_redis_stats;       /* redis_backend.c */

#endif
