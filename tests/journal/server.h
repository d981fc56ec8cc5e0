/* SPDX-License-Identifier: Apache-2.0 */
/**
 * server.h - a storage that outlives its connections, fails on demand, and loses its newest part.
 *
 * It keeps every batch that it stored; what it has lost is lost by playing the earlier ones again.
 */
#ifndef JOURNAL_SERVER_H
#define JOURNAL_SERVER_H

#include "check.h"
#include "utapi/backend_admin.h"

#include <pthread.h>
#include <stdatomic.h>

typedef enum server_fault {
    SERVER_WELL,
    SERVER_GONE,       /* UTAPI_UNAVAILABLE: nothing is stored */
    SERVER_CUT,        /* UTAPI_UNCERTAIN: nothing is stored */
    SERVER_LOST_REPLY, /* UTAPI_UNCERTAIN: it is stored */
} server_fault;

/* What the record of an entry does not say. */
typedef struct server_stamp {
    uint64_t sequence;
    int64_t accepted_ms;
} server_stamp;

typedef struct server_batch {
    void *bytes; /* a record; NULL: no entries */
    size_t size, count;
    server_stamp *stamps; /* by entry */
    int64_t now_ms;
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
    bool damaged;         /* apply answers UTAPI_CORRUPT to anything */
    const char *poison;   /* a bucket whose events overflow; NULL: none */
    bool tells;           /* it tells which do, and that at the bucket alone */
    size_t most;          /* it stores no more entries of a batch than this; 0: any */
    uint64_t cuts;        /* seeds prefixes of a random size that it stores; 0: it does not */
    size_t largest_batch; /* seen so far */
    size_t asked;
    size_t given;        /* entries, by apply */
    size_t names, reads; /* of the last question, and questions */
    atomic_bool hangs;   /* no call returns */
    atomic_size_t maintained;
    bool alone;        /* nobody else reads it */
    bool has_no_admin; /* it has no administration */
} server;

void server_init(server *s);
void server_free(server *s);

/** A connection: closing it leaves the server as it is. */
utapi_backend *server_connect(server *s);

void server_set(server *s, bool absent, server_fault fault);
void server_fill(server *s, bool full);
void server_answer(server *s, utapi_status status);
void server_damage(server *s, bool damaged);
void server_poison(server *s, const char *bucket);

/** From now on it stores no more than `most` entries of a batch (0: any), and less at random where `cuts` is not 0. */
void server_cut(server *s, size_t most, uint64_t cuts);

/** Loses all but the first so many batches. */
void server_lose(server *s, size_t kept);
size_t server_count(server *s);

/** What it knows of the entry with a sequence, of whatever writer: false, it was not stored. */
bool server_find(server *s, uint64_t sequence, server_stamp *ret);

/** How often it was asked to apply. */
size_t server_asked(server *s);

/** How many entries it was given by that. */
size_t server_given(server *s);

/** The objects and the bytes of a bucket. */
void server_totals(server *s, const char *bucket, int64_t *ret_objects, int64_t *ret_bytes);

#endif
