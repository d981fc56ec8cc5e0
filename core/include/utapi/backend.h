/* SPDX-License-Identifier: Apache-2.0 */
/**
 * backend.h - the contract between the engine and a kind of storage.
 *
 * For implementers. The engine judges and sums; a backend keeps running totals by resource and interval
 * and hands facts back. docs/writing-a-backend.md walks through one; backends/memory is the contract in
 * few lines; tests/contract checks each sentence below on every backend.
 *
 * Threads: apply, adjust, forget, tend, read, visit, rows and stats may be called from any thread at any
 * time; the backend locks for itself. Readers never wait for a writer that syncs.
 *
 * Callers use the utapi_backend_... functions at the end of this file, never the slots.
 */
#ifndef UTAPI_BACKEND_H
#define UTAPI_BACKEND_H

#include "utapi/batch.h"
#include "utapi/usage.h"

#define UTAPI_BACKEND_VERSION 2U

typedef struct utapi_backend_ops utapi_backend_ops;

/** An open backend. Implementations put it first in a struct of their own. */
typedef struct utapi_backend {
    const utapi_backend_ops *ops;
} utapi_backend;

/** What a backend is opened with. Members that a backend has no use for are ignored. */
typedef struct utapi_backend_options {
    const char *location;    /* a directory, or the URI of a server; borrowed for the call */
    uint64_t capacity_bytes; /* the most it may store; 0: the backend's default */
    int64_t dedup_window_ms; /* how long a uuid is remembered, from its taking; 0: uuids are not kept */
} utapi_backend_options;

/** What apply tells of a batch. */
typedef struct utapi_applied {
    size_t repeated; /* entries that were skipped because their uuid was known */
    uint64_t fence;  /* where the writer's fence stands now; 0 for a batch without one */
} utapi_applied;

/** A question about some resources of one level. */
typedef struct utapi_query {
    utapi_level level;
    const utapi_string *names; /* borrowed */
    size_t count;
    utapi_interval start;     /* the first interval of the range; may lie before the epoch */
    utapi_interval end;       /* the last one; not before start */
    unsigned char writer[16]; /* whose fence to report; all zero: nobody's */

    /**
     * Only the states are wanted, as they are now. start and end are UTAPI_INTERVAL_MAX then, so that a storage whose newest
     * row is the present need not look at this. One that keeps the present apart, as V1's counters in Redis, answers from
     * there, the same for both bounds, and leaves the flows out.
     */
    bool current_only;

    /* Of whom asks name by name: what a storage may find out for all of them at once, and for how long. */
    const utapi_string *all; /* borrowed: names that are asked about, these among them */
    size_t all_count;        /* 0: names are all */
    int64_t until_ms; /* on CLOCK_MONOTONIC: UTAPI_UNAVAILABLE afterwards, if need be; 0: the storage knows */
} utapi_query;

/** A correction by an operator: from this interval on, totals are higher by delta (negative: lower). */
typedef struct utapi_adjustment {
    utapi_level level;
    utapi_string name;
    utapi_interval interval;
    const utapi_amounts *delta; /* borrowed */
} utapi_adjustment;

/** Figures for healthchecks and metrics. */
typedef struct utapi_stats {
    uint64_t resources;  /* known now */
    uint64_t rows;       /* stored rows of totals, the newest of each resource included */
    uint64_t uuids;      /* remembered */
    uint64_t used_bytes; /* 0 if unknown, as the next */
    uint64_t capacity_bytes;

    /* Of the journal before the storage: all zero without one. */
    struct {
        uint64_t capacity_bytes; /* not zero where there is a journal */
        uint64_t used_bytes;
        uint64_t waiting;              /* events taken and not yet stored behind it */
        int64_t oldest_ms;             /* wall clock at the taking of the oldest of them; 0: none waits */
        uint64_t refused;              /* events that were ever kept aside, for they can never be stored */
        uint64_t lost;                 /* events that the storage lost and the journal no longer had */
        uint64_t refused_acknowledged; /* of them, those that an operator has taken note of */
        uint64_t lost_acknowledged;
    } journal;
    bool refuses;      /* no event is taken now: trouble tells why */
    bool unproven;     /* the engine's: events could not be stored, and since then none were */
    char trouble[160]; /* what is not well; "": all is well */
    char aside[160];   /* the engine's: what is not well beside storage; "": nothing */
} utapi_stats;

/* None of these may call the backend, which may hold a lock meanwhile. */

/** Called for each resource of a level. The name is borrowed for the call. Return false to stop. */
typedef bool utapi_resource_cb(void *ctx, utapi_string name);

/** Called for each row. totals are as of the end of the interval, borrowed for the call. False stops. */
typedef bool utapi_row_cb(void *ctx, utapi_interval interval, const utapi_amounts *totals);

/** Called for a part of what changed of a resource in an interval. Borrowed for the call. False stops. */
typedef bool utapi_change_cb(void *ctx, utapi_level level, utapi_string name, utapi_interval interval,
                             const utapi_amounts *delta);

/** Called for a writer whose fence is not 0. False stops. */
typedef bool utapi_fence_cb(void *ctx, const unsigned char writer[16], uint64_t fence);

/** Called for a part of the storage that cannot be read: which one, and why. Borrowed for the call. */
typedef void utapi_unreadable_cb(void *ctx, const char *what);

/* Function types, not pointer types: an implementation is declared with the type of its slot. */
typedef utapi_status utapi_backend_open_fn(const utapi_backend_options *options, utapi_backend **ret,
                                           utapi_error *err);
typedef utapi_status utapi_backend_apply_fn(utapi_backend *self, const utapi_batch *batch, utapi_applied *ret,
                                            utapi_error *err);
typedef utapi_status utapi_backend_read_fn(utapi_backend *self, const utapi_query *query, utapi_usage *ret,
                                           uint64_t *ret_fence, utapi_error *err);
typedef utapi_status utapi_backend_visit_fn(utapi_backend *self, utapi_level level,
                                            utapi_resource_cb *on_resource, void *ctx, utapi_error *err);
typedef utapi_status utapi_backend_rows_fn(utapi_backend *self, utapi_level level, utapi_string name,
                                           utapi_interval start, utapi_interval end, utapi_row_cb *on_row,
                                           void *ctx, utapi_error *err);
typedef utapi_status utapi_backend_adjust_fn(utapi_backend *self, const utapi_adjustment *adjustments,
                                             size_t count, utapi_error *err);
typedef utapi_status utapi_backend_forget_fn(utapi_backend *self, utapi_level level, utapi_string name,
                                             int64_t time_ms, utapi_error *err);
typedef utapi_status utapi_backend_tend_fn(utapi_backend *self, int64_t now_ms, int64_t taken_ms,
                                           utapi_error *err);
typedef utapi_status utapi_backend_changes_fn(utapi_backend *self, utapi_change_cb *on_change,
                                              utapi_unreadable_cb *on_unreadable, void *ctx,
                                              utapi_error *err);
typedef utapi_status utapi_backend_fences_fn(utapi_backend *self, utapi_fence_cb *on_fence, void *ctx,
                                             utapi_error *err);
typedef utapi_status utapi_backend_stats_fn(utapi_backend *self, utapi_stats *ret, utapi_error *err);
typedef void utapi_backend_close_fn(utapi_backend *self);

/** See largest_step: a cell is several keys, another operation is one more, a uuid is a field, and a late cell changes later
 * states too. A bucket's end takes all that it had away, and its beginning looks at all that may be left. */
enum {
    UTAPI_STEP_LATE_CELL = 4,
    UTAPI_STEP_BUCKET_LIFE = 2,
    UTAPI_STEP_LATE_FORGETTING = 100,
    UTAPI_STEP_WARM_CELLS = 2,
    UTAPI_STEP_OPERATIONS_A_CELL = 8,
    UTAPI_STEP_ENTRIES_A_CELL = 20
};

/** One kind of storage. A backend defines one of these, const, and never changes it. */
struct utapi_backend_ops {
    unsigned version; /* UTAPI_BACKEND_VERSION when it was compiled */
    const char *name; /* what a configuration calls it: "lmdb" */

    /**
     * Optional. The most cells (utapi_cell) that one batch should bring where the storage serves nobody else
     * meanwhile. A late one, of an interval before the last one, counts as UTAPI_STEP_LATE_CELL; UTAPI_STEP_WARM_CELLS
     * of those that were handed over lately, so that their keys are there and cached, count as one; so do
     * UTAPI_STEP_OPERATIONS_A_CELL of the operations in cells, the first of each cell aside;
     * UTAPI_STEP_ENTRIES_A_CELL entries count as one more for what each brings of its own (its uuid, its notice); and
     * an entry that creates or forgets its bucket counts as UTAPI_STEP_BUCKET_LIFE more, a late one that forgets it as
     * UTAPI_STEP_LATE_FORGETTING. A
     * journal cuts what it hands over accordingly. 0: any, and nobody else reads it.
     */
    size_t largest_step;

    /**
     * Required. Opens the storage, makes it if there is none. *ret is owned: closed with close.
     * UTAPI_LOCKED if another opener has it; UTAPI_CORRUPT if it is of a later format;
     * UTAPI_INVALID for options that cannot work; UTAPI_UNAVAILABLE if it cannot be reached (a backend
     * on another machine may open all the same, and answer that to each call until it can).
     */
    utapi_backend_open_fn *open;

    /**
     * Required. Stores every entry of the batch, or none; UTAPI_OK means that they survive a crash.
     *
     * First, forgettings that are due at batch->now_ms are carried out. Then, in one step:
     * an entry whose (uuid, uuid_time_ms) is known, from before or from earlier in this batch, is
     * skipped: that is OK. Each other entry counts at its own interval and at every later one, for each
     * resource that it names; but for a bucket that was forgotten at a time later than the entry's own, it
     * counts at the other levels only. An entry that forgets its bucket now does so after it counted: the
     * bucket's totals up to and including the interval of the entry's time are taken away (forget(), with
     * the entry's time). One that forgets later replaces an earlier appointment; any other counted entry
     * for the bucket cancels it. Uuids are remembered for the window that open was told, measured on
     * batch->taken_ms. Where the batch is fenced, the writer's fence must equal fence.from, and becomes
     * fence.to.
     *
     * UTAPI_OVERFLOW if, after the whole batch, a total of any row that it touches would leave 64 bits: the detail
     * names the resource and the metric and, where the storage can tell, err->index an event that led there;
     * UTAPI_FENCED, with ret->fence filled, if the fence stands elsewhere; UTAPI_UNAVAILABLE if there is no
     * room or no connection: nothing was stored. UTAPI_UNCERTAIN: it may or may not be stored, wholly.
     */
    utapi_backend_apply_fn *apply;

    /**
     * Required. Fills ret[i] for each query->names[i]: the state at the newest interval <= start and
     * <= end, each flow with start <= interval <= end, all of them from one snapshot (one for each name, if
     * the storage is shared with writers of other kinds). An unknown resource has no usage: OK. Where
     * ret_fence is not NULL, *ret_fence is the fence of query->writer in that snapshot, 0 if it never wrote;
     * with several snapshots it is that of the first.
     */
    utapi_backend_read_fn *read;

    /** Optional. Calls on_resource once for each known resource of the level, in no certain order. */
    utapi_backend_visit_fn *visit;

    /**
     * Optional. Calls on_row for the newest row before start, if there is one, then for each row with
     * start <= interval <= end, ascending, all from one snapshot. An unknown resource has none: OK.
     */
    utapi_backend_rows_fn *rows;

    /**
     * Optional. Adds each delta at its interval and to every later row: one after the other, all of them
     * in one durable step, or none. Not more than largest_step at a time, where there is one. Errors as in
     * apply, but that an overflow is judged after each of them.
     */
    utapi_backend_adjust_fn *adjust;

    /**
     * Optional. Takes a resource's totals up to and including the interval of time_ms away: rows until
     * then go, later ones keep only what came after. Where nothing came after, the resource is unknown
     * afterwards. Entries for it with a time before time_ms are never counted again (docs/specification.md#expiry); a
     * forgetting at an earlier time than one before it changes nothing. Durable; errors as in apply.
     */
    utapi_backend_forget_fn *forget;

    /**
     * Optional. A slice of upkeep, short enough to stand between two batches: drops uuids whose taking
     * is older than the window on the clock of taken_ms, carries out forgettings due at now_ms. Called
     * when a second has passed without a batch: so never under steady traffic, and apply drops more old uuids
     * than it adds.
     */
    utapi_backend_tend_fn *tend;

    /**
     * Optional, and only for a storage without rows. Calls on_change for all that ever changed, in no certain
     * order; a metric in an interval may be told twice, with the same amount then. Their sums are the totals
     * that read answers with. Complete only if nobody writes meanwhile. Where a part cannot be read,
     * on_unreadable is called, perhaps twice for the same one, and the walk goes on without it; if that is NULL,
     * the answer is UTAPI_CORRUPT and names it.
     */
    utapi_backend_changes_fn *changes;

    /**
     * Required. Must be cheap: it is asked by every healthcheck. An error says that storage is not well. A
     * journal answers at once, with the figures that the storage behind it had a moment ago: no older than
     * the last tend.
     */
    utapi_backend_stats_fn *stats;

    /** Required. Frees self. No other slot is running, and none is called afterwards. */
    utapi_backend_close_fn *close;
    /* Version 1 ends here. */

    /**
     * Optional. Calls on_fence for each writer that has one, in no certain order, perhaps twice. Whoever takes a
     * storage's figures to another one takes its fences along: else its writers would send again what those hold.
     */
    utapi_backend_fences_fn *fences;
    /* Version 2 ends here. New slots go below this line, and raise UTAPI_BACKEND_VERSION. */
};

/* ---- the callers' side: thin wrappers, so that checks have one home ------------------------ */

/**
 * Opens a backend of a kind, after checking its table (version, required slots).
 *
 * @param ret  owned: close with utapi_backend_close()
 * @return UTAPI_NOT_SUPPORTED, naming the slot, for a table that breaks the contract; else as open
 */
UTAPI_MUST_USE utapi_status utapi_backend_open(const utapi_backend_ops *ops,
                                               const utapi_backend_options *options, utapi_backend **ret,
                                               utapi_error *err);

/* Each of these calls its slot; a missing optional slot answers UTAPI_NOT_SUPPORTED, but a missing tend
 * UTAPI_OK, since there is nothing to tend. */
UTAPI_MUST_USE utapi_backend_apply_fn utapi_backend_apply;
UTAPI_MUST_USE utapi_backend_read_fn utapi_backend_read;
UTAPI_MUST_USE utapi_backend_visit_fn utapi_backend_visit;
UTAPI_MUST_USE utapi_backend_rows_fn utapi_backend_rows;
UTAPI_MUST_USE utapi_backend_adjust_fn utapi_backend_adjust;
UTAPI_MUST_USE utapi_backend_forget_fn utapi_backend_forget;
UTAPI_MUST_USE utapi_backend_tend_fn utapi_backend_tend;
UTAPI_MUST_USE utapi_backend_changes_fn utapi_backend_changes;
UTAPI_MUST_USE utapi_backend_fences_fn utapi_backend_fences;
UTAPI_MUST_USE utapi_backend_stats_fn utapi_backend_stats;

/** Closes a backend; NULL is fine. */
void utapi_backend_close(utapi_backend *backend);

#endif
