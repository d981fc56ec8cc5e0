/* SPDX-License-Identifier: Apache-2.0 */
/**
 * batch.h - what a backend stores in one step: entries, and their deltas in the order of storage.
 *
 * An entry is an event after the rules were applied: whom it counts for, at which interval, and how
 * much. A backend first finds out which entries it has seen before, then walks a utapi_aggregation of the
 * others: that sorts every (resource, interval) that they touch and sums the deltas of each, so that a
 * row is read and written once however many events it takes. Plain data and pure functions; an aggregation
 * belongs to one thread.
 */
#ifndef UTAPI_BATCH_H
#define UTAPI_BATCH_H

#include "utapi/admin_act.h"
#include "utapi/event.h"

/** One event, ready to be stored. Strings are borrowed until the batch is done with. */
typedef struct utapi_entry {
    utapi_string uuid;                        /* absent: never a repetition */
    int64_t uuid_time_ms;                     /* the timestamp the uuid came with; 0 without one */
    int64_t time_ms;                          /* when it counts */
    utapi_string resource[UTAPI_LEVEL_COUNT]; /* by level; absent: not counted there */
    utapi_operation operation;                /* UTAPI_OP_NONE: no operation is counted */
    int64_t delta[UTAPI_FIRST_OPERATION];     /* by metric: the two states and the two flows of bytes */

    /* What a backend tells the bucket's subscribers (docs/specification.md#bucket-events): the action, and the
     * keys of the objects, joined by colons. An absent action: nothing. */
    utapi_string action, keys;

    /* expireMetrics (docs/specification.md#expiry): the entry's bucket expires once the entry is counted: at once,
     * or when expire_at_ms is reached unless an entry for the bucket comes first. That is later than now_ms of the
     * group that the entry was accepted with, so it is never due within it. */
    enum { UTAPI_EXPIRE_NEVER, UTAPI_EXPIRE_NOW, UTAPI_EXPIRE_LATER } expiry;
    int64_t expire_at_ms; /* wall clock; with UTAPI_EXPIRE_LATER */

    /* Dead letters (backend_dead_letters.h). One at most is there. */
    const utapi_refusal
        *refused;        /* the entry is kept as a dead letter, and counts nowhere; NULL: it counts */
    utapi_string letter; /* the id of the dead letter that the entry is, pushed again; absent: of none */

    /* An act of an operator instead of an event (backend_admin.h), alone in its batch; NULL: an event. Borrowed. The
     * entry has its name, its time and nothing else: utapi_admin_entry(). */
    const utapi_admin_act *admin;

    int64_t accepted_ms; /* when it was accepted, on the clock that the dedup window is measured by */
    uint64_t sequence;   /* its number among the writer's entries; in a fenced batch */
} utapi_entry;

/**
 * Who delivers a batch, and which of its entries: docs/architecture.md#fences. Numbers that none bears are holes. A
 * batch of no entries may set the fence back: another storage's figures came, with theirs.
 */
typedef struct utapi_fence {
    unsigned char writer[16]; /* all zero: this batch is not fenced */
    uint64_t from; /* the writer's fence must stand here; the first entry's sequence is this or higher */
    uint64_t to;   /* the writer's fence once all is stored; every entry's sequence is lower */
} utapi_fence;

/** What is stored in one step. */
typedef struct utapi_batch {
    const utapi_entry *entries; /* borrowed; in the order in which they were accepted, so sequences ascend */
    size_t count;

    /* Wall clock as the newest group was accepted: expiries that are due by then come first. None of the writer's
     * falls due between the first entry's group and this. */
    int64_t now_ms;
    utapi_fence fence;

    /* The caller's, one for each entry, all 0; or NULL. Where a batch cannot be stored, a storage that can tell says
     * here which entries are to blame, and at which levels: without those the rest can be stored. */
    utapi_level_set *unfit;
} utapi_batch;

/** The entry of an act, which is borrowed. */
static inline utapi_entry utapi_admin_entry(const utapi_admin_act *act)
{
    utapi_entry entry = {.operation = UTAPI_OP_NONE, .time_ms = act->time_ms, .admin = act};
    entry.resource[act->level] = act->name;
    return entry;
}

/** The act of a batch; NULL: it brings events, or nothing. */
static inline const utapi_admin_act *utapi_batch_act(const utapi_batch *batch)
{
    return batch->count > 0 ? batch->entries[0].admin : NULL;
}

/** A copy of an entry that is counted, and of its strings, in one piece of memory: free(). NULL: there is none left. */
utapi_entry *utapi_entry_copy(const utapi_entry *entry);

/** Whether a batch carries a fence. */
bool utapi_fence_is_set(const utapi_fence *fence);

/**
 * The first `count` entries of a batch, with the fence where it stands once they are stored: of none, where it stood;
 * of as many as it has, the batch itself.
 */
utapi_batch utapi_batch_prefix(const utapi_batch *batch, size_t count);

/**
 * The earliest accepted_ms of a batch's entries; INT64_MIN if it has none. What is known no longer as of then no entry
 * of the batch needs.
 */
int64_t utapi_batch_accepted_ms(const utapi_batch *batch);

/**
 * The deltas of a batch, sorted by level, name, segment and interval.
 *
 * A segment is a run of one bucket's entries up to and including one that expires it, now or later; its
 * next entry begins another, so that what came before an expiry and what came after it stay apart. Other
 * levels have one segment.
 */
typedef struct utapi_aggregation utapi_aggregation;

/** All that one resource takes in one segment. */
typedef struct utapi_resource_run {
    utapi_level level;
    utapi_string name;         /* borrowed from the entries */
    const utapi_entry *expiry; /* the entry that expires this bucket, now or later, after this run; or NULL */
    size_t first, end;         /* for utapi_aggregation_sum() */
} utapi_resource_run;

/** The sum of a run's deltas in one interval. */
typedef struct utapi_interval_delta {
    utapi_interval interval;
    utapi_amounts sums;
} utapi_interval_delta;

/**
 * Sorts a batch's deltas.
 *
 * @param skip  for each entry: true if it is a repetition and counts nowhere. NULL: none is. Borrowed
 *              for the call.
 * @param ret   owned: free with utapi_aggregation_free(). Borrows the batch's entries.
 * @return UTAPI_NO_MEMORY
 */
UTAPI_MUST_USE utapi_status utapi_aggregation_new(const utapi_batch *batch, const bool *skip,
                                                  utapi_aggregation **ret, utapi_error *err);
void utapi_aggregation_free(utapi_aggregation *self);

/** The next run, in ascending order of level, name and segment; false after the last. */
bool utapi_aggregation_next(utapi_aggregation *self, utapi_resource_run *ret);

/**
 * Sums the deltas of the earliest interval that is left in a run, and moves on; intervals ascend.
 *
 * @param not_before_ms  entries of an earlier time are left out: the resource expired since
 *                       (INT64_MIN: none is)
 * @return false when nothing is left in the run
 */
bool utapi_aggregation_sum(const utapi_aggregation *self, utapi_resource_run *run, int64_t not_before_ms,
                           utapi_interval_delta *ret);

#endif
