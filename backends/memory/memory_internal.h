/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory_internal.h - what the files of this backend share.
 *
 * Resources stand in a search tree, each with an array of rows of running totals, ascending by interval.
 * uuids stand in another tree and in a list in the order of their taking. Every function is called with the
 * backend's lock held: shared for what only looks, exclusive for what changes.
 */
#ifndef MEMORY_INTERNAL_H
#define MEMORY_INTERNAL_H

#include "memory.h"

#include <pthread.h>

#define NEVER_FORGOTTEN INT64_MIN
#define NO_APPOINTMENT  INT64_MAX

typedef struct memory_row {
    utapi_interval interval;
    utapi_amounts totals; /* at the end of the interval */
} memory_row;

/* Known while it has rows; without rows it only remembers when it was forgotten. */
typedef struct memory_resource {
    utapi_level level;
    utapi_string name;
    int64_t gone_ms; /* forgotten up to this time */
    int64_t due_ms;  /* to be forgotten then */
    memory_row *rows;
    size_t count, room;
    char bytes[]; /* of the name */
} memory_resource;

/* How a resource was before a change. Rows before `from` stay as they are. */
typedef struct memory_undo {
    struct memory_undo *next;
    memory_resource *resource;
    int64_t gone_ms, due_ms;
    size_t from, count;
    memory_row rows[];
} memory_undo;

typedef struct memory_uuid {
    struct memory_uuid *next; /* taken after this one */
    utapi_string uuid;
    int64_t time_ms;
    int64_t accepted_ms;
    char bytes[]; /* of the uuid */
} memory_uuid;

typedef struct memory_writer {
    struct memory_writer *next;
    utapi_fence fence; /* stands at fence.to */
} memory_writer;

typedef struct memory_backend {
    utapi_backend base;
    int64_t window_ms;
    pthread_rwlock_t lock; /* guards what follows */
    void *resources;       /* tree of memory_resource */
    void *uuids;           /* tree of memory_uuid */
    memory_uuid *oldest, **newest;
    uint64_t uuid_count;
    memory_writer *writers;
    memory_undo *undo;   /* changes of the write that runs */
    int64_t next_due_ms; /* no appointment is earlier */
} memory_backend;

/* What a resource takes: a run of a fold, or one cell. */
typedef struct memory_intake {
    const utapi_aggregation *fold; /* NULL: only `once`, if that is not NULL */
    utapi_resource_run run;
    int64_t not_before_ms;
    utapi_interval after; /* cells up to here are left out: they are forgotten at once */
    const utapi_interval_delta *once;
    bool counted; /* an entry counted, even if nothing is left of it */
} memory_intake;

/* ---- memory_rows.c ------------------------------------------------------------------------ */

/** The resource, or NULL if it was never heard of. */
memory_resource *utapi_memory_find(const memory_backend *self, utapi_level level, utapi_string name);

/** Finds the resource, or makes it without rows. */
UTAPI_MUST_USE utapi_status utapi_memory_get(memory_backend *self, utapi_level level, utapi_string name,
                                             memory_resource **ret, utapi_error *err);

/** How many rows are of this interval or an earlier one. */
size_t utapi_memory_rows_until(const memory_resource *resource, utapi_interval interval);

/** The totals at the end of an interval; NULL if there is no row until then. Valid until the lock is left. */
const utapi_amounts *utapi_memory_totals_at(const memory_resource *resource, utapi_interval interval);

/** Notes how a resource is, before its rows from a place on, or its times, are changed. */
UTAPI_MUST_USE utapi_status utapi_memory_change(memory_backend *self, memory_resource *resource, size_t from,
                                                utapi_error *err);

/** Takes back every change after `mark`, the newest first; NULL: all of this write. */
void utapi_memory_undo_to(memory_backend *self, const memory_undo *mark);

/** Keeps the changes of this write. */
void utapi_memory_keep(memory_backend *self);

/** Adds each cell to its own row and to every later one. UTAPI_OVERFLOW, UTAPI_NO_MEMORY. */
UTAPI_MUST_USE utapi_status utapi_memory_add(memory_backend *self, memory_resource *resource,
                                             memory_intake *intake, utapi_error *err);

/** forget() of the contract, but for finding the resource. UTAPI_OVERFLOW, UTAPI_NO_MEMORY. */
UTAPI_MUST_USE utapi_status utapi_memory_forget(memory_backend *self, memory_resource *resource,
                                                int64_t time_ms, utapi_error *err);

/* ---- memory_uuids.c ----------------------------------------------------------------------- */

/** Drops the uuids whose taking is older than the window. */
void utapi_memory_uuids_expire(memory_backend *self, int64_t accepted_ms);

/**
 * Remembers the uuids of a batch.
 *
 * @param skip  for each entry; becomes true where its uuid was known
 * @return UTAPI_NO_MEMORY: some may be remembered, so take them back
 */
UTAPI_MUST_USE utapi_status utapi_memory_uuids_take(memory_backend *self, const utapi_batch *batch,
                                                    bool *skip, size_t *ret_repeated, utapi_error *err);

/** Takes back the uuids that were taken since self->newest was `end`. */
void utapi_memory_uuids_undo(memory_backend *self, memory_uuid **end);

#endif
