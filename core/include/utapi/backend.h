/* SPDX-License-Identifier: Apache-2.0 */
/**
 * backend.h - the contract between the engine and a kind of storage: what every storage must do.
 *
 * The engine judges events. A backend stores their deltas by resource and interval, durably, and answers with facts.
 * docs/writing-a-backend.md builds one, backends/memory is the one to copy from, tests/contract checks each sentence on
 * every backend. backend_admin.h (what operators need), backend_dead_letters.h and backend_journal.h are optional.
 *
 * Threads: every slot but open and close may be called from any thread at any time; the backend locks for itself. A
 * read never waits for a writer that syncs. Callers use the utapi_backend_... functions, never the slots.
 */
#ifndef UTAPI_BACKEND_H
#define UTAPI_BACKEND_H

#include "utapi/batch.h"
#include "utapi/usage.h"

#define UTAPI_BACKEND_VERSION 3U

/** An open backend. Implementations put it first in a struct of their own. */
typedef struct utapi_backend {
    const struct utapi_backend_ops *ops;
} utapi_backend;

/** What a backend is opened with. A backend ignores the members that it has no use for. */
typedef struct utapi_backend_options {
    const char *location;    /* a directory, or the URI of a server; borrowed for the call */
    uint64_t capacity_bytes; /* the most it may store; 0: the backend's default */
    int64_t dedup_window_ms; /* how long a uuid is known after it was accepted; 0: nothing is a repetition */
    uint64_t max_dead_letters; /* the most that are kept; 0: UTAPI_LETTERS_DEFAULT */
    uint64_t max_acts;         /* rows of the audit, the most that are kept; 0: UTAPI_ACTS_DEFAULT */
} utapi_backend_options;

/** What apply did with a batch. */
typedef struct utapi_applied {
    size_t repeated; /* entries that were skipped: their uuid was known, or their dead letter not there */
    uint64_t fence;  /* the writer's fence, from which it goes on; 0 for a batch without one */
} utapi_applied;

/** Asks for the usage of some resources of one level over a range. */
typedef struct utapi_query {
    utapi_level level;
    const utapi_string *names; /* borrowed */
    size_t count;
    utapi_interval start;     /* the first interval of the range; may lie before the epoch */
    utapi_interval end;       /* the last one; not before start */
    int64_t deadline_ms;      /* utapi_monotonic_ms(): UTAPI_UNAVAILABLE may be answered after it; 0: none */
    unsigned char writer[16]; /* whose fence to report; all zero: nobody's */
} utapi_query;

/** How a storage is doing. */
typedef struct utapi_storage_stats {
    uint64_t resources, rows, uuids;     /* known; pairs of resource and interval; remembered */
    uint64_t used_bytes, capacity_bytes; /* 0 if unknown */
    int64_t clock_skew_ms;  /* how far its clock is ahead of ours; 0 where it has none of its own */
    bool refuses;           /* no batch is stored now: warning tells why */
    char warning[160];      /* what is not well; "": all is well */
    char room_warning[160]; /* of what 80 % are used: it will be full before long; "": of nothing */
} utapi_storage_stats;

/* Function types: an implementation is declared with the type of its slot. */
typedef utapi_status utapi_backend_open_fn(const utapi_backend_options *options, utapi_backend **ret,
                                           utapi_error *err);
typedef utapi_status utapi_backend_apply_fn(utapi_backend *self, const utapi_batch *batch, utapi_applied *ret,
                                            utapi_error *err);
typedef utapi_status utapi_backend_read_fn(utapi_backend *self, const utapi_query *query, utapi_usage *ret,
                                           uint64_t *ret_fences, utapi_error *err);
typedef utapi_status utapi_backend_stats_fn(utapi_backend *self, utapi_storage_stats *ret, utapi_error *err);
typedef utapi_status utapi_backend_maintain_fn(utapi_backend *self, int64_t now_ms, int64_t accepted_ms,
                                               utapi_error *err);
typedef void utapi_backend_close_fn(utapi_backend *self);

/** One kind of storage. A backend defines one of these, const, and never changes it. */
typedef struct utapi_backend_ops {
    unsigned version; /* UTAPI_BACKEND_VERSION when it was compiled */
    const char *name; /* what a configuration calls it: "lmdb" */
    bool is_shared;   /* others read and write this storage too: a journal delivers to it without delay */

    /**
     * Required. Opens the storage, makes it if there is none. *ret is owned: closed with close. UTAPI_LOCKED if
     * another opener has it; UTAPI_CORRUPT if it is of a later format; UTAPI_INVALID for options that cannot work;
     * UTAPI_UNAVAILABLE if it cannot be reached (one on another machine may open all the same, and say so later).
     */
    utapi_backend_open_fn *open;

    /**
     * Required. Stores a batch, durably: UTAPI_OK means that what is stored survives a crash. First, each expiry that
     * is due at batch->now_ms is carried out, as of the time that it was scheduled for; of very many, those that the
     * batch does not touch may wait for later batches and maintenance. Then, entry by entry: one whose
     * (uuid, uuid_time_ms) is known, from before or from earlier in this batch, is skipped. Any other counts at its own
     * interval and at every later one, for each resource that it names; but not for one that expired at a time later
     * than the entry's own. An entry that expires its bucket now does so after it counted: the totals up to and
     * including the interval of its time are taken away. One that expires it later replaces an earlier schedule;
     * any other entry that counts for the bucket cancels it. A uuid is known if it was stored with an accepted_ms of no
     * more than the window before the entry's own, or after it. Each entry is judged by its own: no later one's may
     * make a uuid forgotten before that. (A storage with several writers may let go of it once the window has passed.)
     *
     * A batch without a fence is stored whole, or not at all. Of a fenced one a prefix may be stored, never less than
     * its first entry. The writer's fence must stand at fence.from; the first entry's sequence may lie beyond it. The
     * fence moves in the same step: to fence.to if all was stored, else beyond the last entry of the prefix
     * (utapi_batch_prefix()). What is below ret->fence is stored or a hole; the writer goes on from there, and what of
     * the rest is stored already is skipped when it comes again. Where a batch is cut changes no answer of a storage
     * with one writer, except which entry overflows: that is judged on what is stored in one step. Between two parts
     * another writer, and its now_ms, may come first. A batch of no entries does what is due, and moves the fence.
     *
     * Totals have 128 bits, which no sum of events leaves. UTAPI_OVERFLOW from a storage whose own have fewer, if one
     * would leave those after all that would be stored; the detail names resource and metric. UTAPI_INVALID or
     * UTAPI_CORRUPT if an entry cannot be stored for another reason that lasts. A storage that can tell which entries
     * are to blame, and at which levels, fills batch->unfit: without those levels the rest can be stored. UTAPI_FENCED,
     * with ret->fence filled, if the fence stands elsewhere. UTAPI_UNAVAILABLE if there is no room or no connection.
     * After each of these nothing was stored, but expiries may be carried out. UTAPI_UNCERTAIN: all was, or none.
     */
    utapi_backend_apply_fn *apply;

    /**
     * Required. Fills ret[i] for each query->names[i]: the state at the newest interval <= start and <= end, each
     * flow with start <= interval <= end, all from one snapshot; a storage that is_shared may take one for each name.
     * An unknown resource has no usage: OK. Where ret_fences is not NULL, ret_fences[i] is the fence of query->writer
     * in the snapshot of names[i], 0 if it never wrote; without names, ret_fences[0] is the fence now.
     */
    utapi_backend_read_fn *read;

    /** Required. Must be cheap: every healthcheck asks. An error says that the storage is not well. */
    utapi_backend_stats_fn *stats;
    /**
     * Optional, for a storage that does this unasked. A slice of maintenance, short enough to stand between two
     * batches: drops uuids whose window is over at accepted_ms, carries out expiries due at now_ms; neither is later
     * than those of the writer's batches to come. Called after a second without a batch: under traffic apply does it.
     */
    utapi_backend_maintain_fn *maintain;

    /** Required. Frees self. No other slot is running, and none is called afterwards. */
    utapi_backend_close_fn *close;
    const struct utapi_admin_ops *admin; /* Optional, each as a whole: backend_admin.h, and so on */
    const struct utapi_dead_letter_ops *dead_letters;
    const struct utapi_journal_ops *journal;
} utapi_backend_ops;

/** Checks a kind's table, and calls open. UTAPI_NOT_SUPPORTED, naming the slot, for one that breaks the contract. */
UTAPI_MUST_USE utapi_status utapi_backend_open(const utapi_backend_ops *ops,
                                               const utapi_backend_options *options, utapi_backend **ret,
                                               utapi_error *err);

/**
 * Calls apply, never with an entry that no storage takes: one without an interval, or with a name or uuid longer than
 * UTAPI_NAME_MAX, is UTAPI_INVALID (err->index), and ends the prefix of a fenced batch. Of one that cannot be stored as
 * it is (UTAPI_OVERFLOW, UTAPI_INVALID, UTAPI_CORRUPT), and of which batch->unfit says nothing, it tries half, down to
 * the first entry: so each of these says that the first alone cannot be stored. Its caller leaves it out for good, and
 * goes on from the same fence.from. One that answers UTAPI_CORRUPT to no entries is to blame itself: UTAPI_UNAVAILABLE.
 */
UTAPI_MUST_USE utapi_backend_apply_fn utapi_backend_apply;

/* Each of these calls its slot; without a maintain there is nothing to maintain: UTAPI_OK. */
UTAPI_MUST_USE utapi_backend_read_fn utapi_backend_read;
UTAPI_MUST_USE utapi_backend_stats_fn utapi_backend_stats;
UTAPI_MUST_USE utapi_backend_maintain_fn utapi_backend_maintain;

/** Closes a backend; NULL is fine. */
void utapi_backend_close(utapi_backend *backend);

#endif
