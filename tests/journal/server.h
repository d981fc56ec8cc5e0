/* SPDX-License-Identifier: Apache-2.0 */
/**
 * server.h - a storage that outlives its connections, fails on demand, and loses its newest part.
 *
 * It keeps every batch that it stored; what it has lost is lost by playing the earlier ones again.
 */
#ifndef JOURNAL_SERVER_H
#define JOURNAL_SERVER_H

#include "check.h"
#include "utapi/backend.h"

#include <pthread.h>
#include <stdatomic.h>

typedef enum server_fault {
    SERVER_WELL,
    SERVER_GONE,       /* UTAPI_UNAVAILABLE: nothing is stored */
    SERVER_CUT,        /* UTAPI_UNCERTAIN: nothing is stored */
    SERVER_LOST_REPLY, /* UTAPI_UNCERTAIN: it is stored */
} server_fault;

typedef struct server_batch {
    void *bytes;
    size_t size;
    utapi_fence fence;
} server_batch;

typedef struct server {
    pthread_mutex_t lock;
    utapi_backend *memory;
    server_batch *batches;
    size_t count, room;
    bool absent;          /* each call answers UTAPI_UNAVAILABLE */
    bool full;            /* apply alone does */
    server_fault fault;   /* of the next apply */
    utapi_status answer;  /* of the next apply, which stores nothing; UTAPI_OK: it is not set */
    const char *poison;   /* a bucket whose events overflow; NULL: none */
    size_t largest_batch; /* seen so far */
    size_t asked;
    size_t names;      /* of the question that it was asked a part of last */
    atomic_bool hangs; /* no call returns */
    atomic_size_t tended;
    bool alone; /* it takes any step, as one that nobody else reads */
} server;

void server_init(server *s);
void server_free(server *s);

/** A connection: closing it leaves the server as it is. */
utapi_backend *server_connect(server *s);

void server_set(server *s, bool absent, server_fault fault);
void server_fill(server *s, bool full);
void server_answer(server *s, utapi_status status);

/** Loses all but the first so many batches. */
void server_lose(server *s, size_t kept);
size_t server_count(server *s);

/** How often it was asked to apply. */
size_t server_asked(server *s);

/** The objects and the bytes of a bucket. */
void server_totals(server *s, const char *bucket, int64_t *ret_objects, int64_t *ret_bytes);

#endif
