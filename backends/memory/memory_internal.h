/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory_internal.h - what the files of this backend share: what is stored, and how a write drafts it.
 *
 * One lock guards everything; readers share it. Each function but the last two is called with it held.
 */
#ifndef MEMORY_INTERNAL_H
#define MEMORY_INTERNAL_H

#include "memory.h"

#include "utapi/backend_admin.h"
#include "utapi/backend_dead_letters.h"

#include <pthread.h>
#include <sys/queue.h>

#define NEVER_EXPIRED INT64_MIN
#define NOT_SCHEDULED INT64_MAX

/* What is found by a number and a text: resources by level and name, uuids by their time, writers, dead letters. */
typedef struct memory_node {
    TAILQ_ENTRY(memory_node) link; /* in the order of their making */
    int64_t number;
    utapi_string text;
    int64_t accepted_ms; /* of a uuid */
    uint64_t fence;      /* of a writer */
} memory_node;

typedef struct memory_table {
    void *tree;
    TAILQ_HEAD(memory_nodes, memory_node) nodes;
    uint64_t count;
} memory_table;

/* What changed of a resource in one interval. */
typedef struct memory_delta {
    TAILQ_ENTRY(memory_delta) link;
    utapi_interval interval;
    utapi_amounts sums;
} memory_delta;

typedef TAILQ_HEAD(memory_deltas, memory_delta) memory_deltas;

/* An act that was done or refused; its id is node.text. */
typedef struct memory_act {
    memory_node node;
    size_t size; /* of its row */
    unsigned char row[];
} memory_act;

typedef struct memory_facts {
    int64_t expired_ms;   /* entries of an earlier time count no more */
    int64_t scheduled_ms; /* it expires then */
} memory_facts;

/* Known while it has deltas. Without any it only remembers when it expired. */
typedef struct memory_resource {
    memory_node node;
    memory_deltas deltas;
    memory_facts facts;

    /* What the write that runs makes of it. */
    SLIST_ENTRY(memory_resource) drafted;
    bool is_drafted;
    utapi_interval dropped; /* the stored deltas up to here go */
    memory_deltas added;
    memory_facts then;
} memory_resource;

typedef struct memory_letter {
    memory_node node;
    utapi_entry *entry; /* owned */
    utapi_reason reason;
    char detail[201];
    char source[UTAPI_SOURCE_MAX + 1];
    int64_t kept_ms;
    bool is_taken; /* by the write that runs */
} memory_letter;

/* The base comes first: a utapi_backend * given to us is our own memory_backend *. */
typedef struct memory_backend {
    utapi_backend base;
    int64_t window_ms;
    pthread_rwlock_t lock; /* guards what follows */
    memory_table resources, uuids, writers, letters, acts;
    uint64_t max_acts;
    uint64_t max_letters, letters_taken; /* the latter by the write that runs */
    utapi_dead_letter_stats letter_stats,
        letter_stats_then; /* `then`: what the write that runs makes of it */
    SLIST_HEAD(, memory_resource) drafts;
    int64_t next_scheduled_ms; /* nothing expires earlier */
    uint64_t known, deltas;    /* resources that have deltas, and how many those are */
} memory_backend;

/** Finds a node, or makes one of a size, all zeros behind its key. NULL: there is none (size 0), or no memory. */
void *utapi_memory_get(memory_table *table, int64_t number, utapi_string text, size_t size);

/** Removes a node from its table and frees it. */
void utapi_memory_drop(memory_table *table, memory_node *node);

/** Drops the deltas up to an interval. Returns how many. */
size_t utapi_memory_deltas_drop(memory_deltas *deltas, utapi_interval until);

/** Finds a resource, or makes it, and begins its draft unless the write has done so. UTAPI_NO_MEMORY. */
UTAPI_MUST_USE utapi_status utapi_memory_draft(memory_backend *self, utapi_level level, utapi_string name,
                                               memory_resource **ret, utapi_error *err);

/** Adds to a draft what changes in an interval. UTAPI_NO_MEMORY. */
UTAPI_MUST_USE utapi_status utapi_memory_draft_add(memory_resource *resource,
                                                   const utapi_interval_delta *delta, utapi_error *err);

/** Drops everything up to and including the interval of a time, unless the resource expired at a later one. */
void utapi_memory_draft_expire(memory_resource *resource, int64_t time_ms);

/** Drafts what an act does, and notes its row, which nothing undoes. Known: *ret_repeated is 1. UTAPI_NO_MEMORY. */
UTAPI_MUST_USE utapi_status utapi_memory_act(memory_backend *self, const utapi_admin_act *act,
                                             size_t *ret_repeated, utapi_error *err);

/** Begins a write: nobody else reads or writes until its end. */
memory_backend *utapi_memory_write_begin(utapi_backend *base);

/** Ends it: commits every draft, or discards them all if the status is not UTAPI_OK. Returns the status. */
utapi_status utapi_memory_write_end(memory_backend *self, utapi_status status);

/* ---- memory_letters.c --------------------------------------------------------------------- */

/** Drafts what a batch does to letters. skip becomes true for what is not to be counted; *repeated grows by each letter
 *  that was not there. UTAPI_NO_MEMORY. */
UTAPI_MUST_USE utapi_status utapi_memory_letters_draft(memory_backend *self, const utapi_batch *batch,
                                                       bool *skip, size_t *repeated, utapi_error *err);

/** Ends that: commits it or, if not `stored`, discards it. `before`: how many letters there were. */
void utapi_memory_letters_end(memory_backend *self, uint64_t before, bool stored);

/** Removes a letter and frees it. */
void utapi_memory_letter_drop(memory_backend *self, memory_letter *letter);

extern const utapi_dead_letter_ops utapi_memory_letters;

extern const utapi_admin_ops utapi_memory_admin;

#endif
