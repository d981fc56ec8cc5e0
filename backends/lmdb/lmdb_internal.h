/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lmdb_internal.h - what the files of this backend share: tables, keys, and the two kinds of transactions.
 *
 * README.md tells the layout. The environment and the table of uuids are of lmdbenv/; lmdb_env.c begins and ends
 * what is written in it; lmdb_rows.c changes a resource's rows, lmdb_late.c what stands beside them; lmdb_backend.c
 * holds the slots that write, lmdb_read.c those that read, lmdb_audit.c what operators did.
 */
#ifndef LMDB_LMDB_INTERNAL_H
#define LMDB_LMDB_INTERNAL_H

#include "late.h"
#include "letters.h"
#include "lmdb_backend.h"
#include "lmdbenv.h"
#include "utapi/snapshot.h"

/* ---- tables and keys ---------------------------------------------------------------------- */

typedef enum lmdb_table {
    LMDB_RESOURCE,  /* level, name -> id, newest interval, its row */
    LMDB_HISTORY,   /* id, interval -> row */
    LMDB_DEDUP,     /* time, uuid -> interval in which it was accepted */
    LMDB_TOMBSTONE, /* level, name -> expired until, due at */
    LMDB_SCHEDULE,  /* time of a scheduled expiry, level, name -> nothing */
    LMDB_LATE,      /* id, resolution, key of late.h -> row of deltas */
    LMDB_GARBAGE,   /* id -> interval before which its rows go; none: all that it has */
    LMDB_LETTERS,   /* number, random bytes -> a dead letter */
    LMDB_AUDIT,     /* what operators did: lmdb_audit.c */
    LMDB_META,      /* name -> format, next id, fences; the last one: lmdbenv.h */
    LMDB_TABLE_COUNT
} lmdb_table;

/* The longest is of `due`. LMDB's own limit is 511. */
enum { LMDB_KEY_MAX = 8 + 1 + UTAPI_NAME_MAX };

typedef struct lmdb_key {
    size_t size;
    unsigned char bytes[LMDB_KEY_MAX];
} lmdb_key;

static inline MDB_val utapi_lmdb_key_val(const lmdb_key *key)
{
    return utapi_lmdbenv_val(key->bytes, key->size);
}

/** The key of a resource, in `resource` and `gone`. UTAPI_INVALID if the name is longer than a name may be. */
UTAPI_MUST_USE utapi_status utapi_lmdb_resource_key(utapi_level level, utapi_string name, lmdb_key *ret,
                                                    utapi_error *err);

/** The key of a row of `history`. Intervals are not negative. */
void utapi_lmdb_history_key(uint64_t id, utapi_interval interval, lmdb_key *ret);

/** Whether a key of `history` is of a resource, and of which interval. */
bool utapi_lmdb_history_is_of(MDB_val key, uint64_t id, utapi_interval *ret_interval);

/** The key of a writer's fence, in `meta`. NULL: what those of all writers begin with. */
void utapi_lmdb_fence_key(const unsigned char *writer, lmdb_key *ret);

/* ---- the backend -------------------------------------------------------------------------- */

typedef struct lmdb_backend {
    utapi_backend base;
    utapi_lmdbenv env; /* readers keep a cursor in `history` */
    utapi_dedup dedup; /* in `seen`; guarded by env.writing */
    utapi_letters letters;
    uint64_t max_acts;
} lmdb_backend;

extern const utapi_lmdbenv_layout utapi_lmdb_layout;

/** Maps a code of LMDB, or an errno, to a status, with a sentence. rc is not 0. */
static inline utapi_status utapi_lmdb_fail(utapi_error *err, int rc, const char *doing)
{
    return utapi_lmdbenv_fail(&utapi_lmdb_layout, err, rc, doing);
}

/* ---- lmdb_env.c --------------------------------------------------------------------------- */

/* A write transaction: one at a time, from begin to end on one thread. */
typedef struct lmdb_write {
    lmdb_backend *self;
    MDB_txn *txn;
    MDB_cursor *cursors[LMDB_TABLE_COUNT]; /* opened at their first use */
    uint64_t next_id, stored_next_id;
    bool any_tombstone; /* something stands in `gone` */
    int64_t now_ms;     /* what is due by then expires before it is touched */
    bool is_raised;     /* the format is raised with it */
    unsigned rewritten; /* resources of which rows were, for late events */
} lmdb_write;

UTAPI_MUST_USE utapi_status utapi_lmdb_write_begin(lmdb_backend *self, lmdb_write *ret, utapi_error *err);

/**
 * Ends a write: commits if status is UTAPI_OK, else undoes it.
 *
 * @return status, or what became of the commit: UTAPI_UNAVAILABLE if nothing was stored,
 *         UTAPI_UNCERTAIN if that is not known
 */
UTAPI_MUST_USE utapi_status utapi_lmdb_write_end(lmdb_write *write, utapi_status status, utapi_error *err);

/** As utapi_snapshot_encode(). What version 1 cannot say raises the environment's format first. */
UTAPI_MUST_USE utapi_status utapi_lmdb_row_encode(lmdb_write *write, const utapi_amounts *totals,
                                                  const utapi_snapshot_fields *fields, unsigned char *buffer,
                                                  size_t *ret_size, utapi_error *err);

/** The write's cursor in a table. Valid until the write ends. */
UTAPI_MUST_USE utapi_status utapi_lmdb_cursor(lmdb_write *write, lmdb_table table, MDB_cursor **ret,
                                              utapi_error *err);

/** mdb_get, mdb_put and mdb_del in a write. get answers whether there is one. */
UTAPI_MUST_USE utapi_status utapi_lmdb_get(lmdb_write *write, lmdb_table table, const lmdb_key *key,
                                           MDB_val *ret_value, bool *ret_found, utapi_error *err);
UTAPI_MUST_USE utapi_status utapi_lmdb_put(lmdb_write *write, lmdb_table table, const lmdb_key *key,
                                           const void *value, size_t size, utapi_error *err);
UTAPI_MUST_USE utapi_status utapi_lmdb_del(lmdb_write *write, lmdb_table table, const lmdb_key *key,
                                           utapi_error *err);

/* ---- lmdb_rows.c -------------------------------------------------------------------------- */

/* A row of `resource`. */
typedef struct lmdb_resource {
    uint64_t id;
    utapi_interval newest; /* LMDB_NO_ROWS: none yet */
    utapi_amounts totals;  /* at the end of the newest interval, late ones included */
    utapi_snapshot_fields fields;
    unsigned char held[UTAPI_SNAPSHOT_HELD_MAX]; /* in a write: what the fields borrow */
} lmdb_resource;

#define LMDB_NO_ROWS INT64_MIN
#define LMDB_NO_MORE INT64_MAX

/** Reads a value of `resource`. UTAPI_CORRUPT. */
UTAPI_MUST_USE utapi_status utapi_lmdb_resource_decode(MDB_val value, lmdb_resource *ret, utapi_error *err);

/**
 * Moves a history cursor to the newest row of a resource at or before an interval, which is not negative.
 *
 * @return 0; MDB_NOTFOUND; or another of LMDB's codes
 */
int utapi_lmdb_history_floor(MDB_cursor *history, uint64_t id, utapi_interval interval, MDB_val *ret_row);

/** The totals of that row as they are stored, if there is one. */
UTAPI_MUST_USE utapi_status utapi_lmdb_history_at(MDB_cursor *history, uint64_t id, utapi_interval interval,
                                                  utapi_amounts *ret, bool *ret_found, utapi_error *err);

/* What a resource takes: a run of an aggregation, or one delta. */
typedef struct lmdb_deltas {
    const utapi_aggregation *aggregation; /* NULL: only `once`, if that is not NULL */
    utapi_resource_run run;
    int64_t not_before_ms;
    utapi_interval after; /* deltas up to here are left out: they expire at once */
    const utapi_interval_delta *once;
    bool counted; /* an entry counted, even if nothing is left of it */

    bool more; /* `next` is the next one */
    utapi_interval_delta next;
} lmdb_deltas;

/**
 * Counts each delta at its own interval and at every later one. The members up to `counted` are set; none is earlier
 * than the resource's base.
 */
UTAPI_MUST_USE utapi_status utapi_lmdb_rows_add(lmdb_write *write, const lmdb_key *key, lmdb_deltas *deltas,
                                                utapi_error *err);

/** Takes a resource's totals up to and including an interval away. What that leaves goes to the garbage. */
UTAPI_MUST_USE utapi_status utapi_lmdb_rows_expire(lmdb_write *write, const lmdb_key *key,
                                                   utapi_interval until, utapi_error *err);

/* ---- lmdb_late.c -------------------------------------------------------------------------- */

/* What is to be added to a late sum. */
typedef struct lmdb_late_step {
    bool is_pending;
    uint32_t number; /* of its key */
    utapi_amounts sum;
} lmdb_late_step;

/* Late deltas of a resource that are being added. */
typedef struct lmdb_late {
    uint64_t id;
    lmdb_late_step steps[UTAPI_LATE_RESOLUTIONS];
} lmdb_late;

static inline void utapi_lmdb_late_begin(uint64_t id, lmdb_late *ret)
{
    ret->id = id;
    for (unsigned resolution = 0; resolution < UTAPI_LATE_RESOLUTIONS; resolution++)
        ret->steps[resolution].is_pending = false; /* kilobytes that are not touched */
}

/** Adds a delta to late sums. One that ascends is cheap: a key is stored once no other delta has a part in it. */
UTAPI_MUST_USE utapi_status utapi_lmdb_late_add(lmdb_write *write, lmdb_late *late, utapi_interval interval,
                                                const utapi_amounts *delta, utapi_error *err);

/** Stores what is left: only now all of them are there. */
UTAPI_MUST_USE utapi_status utapi_lmdb_late_end(lmdb_write *write, lmdb_late *late, utapi_error *err);

/** Adds to late sums what the newest row holds, which then holds nothing. The resource is to be stored. */
UTAPI_MUST_USE utapi_status utapi_lmdb_late_release(lmdb_write *write, lmdb_resource *resource,
                                                    utapi_error *err);

/* Late deltas are those under keys and those that the newest row holds. `late` is a cursor in LMDB_LATE where
 * the resource has sums there, else not looked at. */

static inline bool utapi_lmdb_late_any(const lmdb_resource *resource)
{
    return resource->fields.has_late || resource->fields.held_size > 0;
}

/** Adds to totals all late deltas up to and including an interval. */
UTAPI_MUST_USE utapi_status utapi_lmdb_late_sum(MDB_cursor *late, const lmdb_resource *resource,
                                                utapi_interval interval, utapi_amounts *totals,
                                                utapi_error *err);

/** The first interval with a late delta at or after one; LMDB_NO_MORE. */
UTAPI_MUST_USE utapi_status utapi_lmdb_late_next(MDB_cursor *late, const lmdb_resource *resource,
                                                 utapi_interval from, utapi_interval *ret, utapi_error *err);

/** The last one at or before one; LMDB_NO_ROWS. */
UTAPI_MUST_USE utapi_status utapi_lmdb_late_before(MDB_cursor *late, const lmdb_resource *resource,
                                                   utapi_interval until, utapi_interval *ret,
                                                   utapi_error *err);

/** Has the rows of an id before an interval deleted some time; LMDB_NO_MORE: all that the id has. */
UTAPI_MUST_USE utapi_status utapi_lmdb_garbage_add(lmdb_write *write, uint64_t id, utapi_interval before,
                                                   utapi_error *err);

/** Deletes as many rows and entries of the garbage at most. */
UTAPI_MUST_USE utapi_status utapi_lmdb_garbage_delete(lmdb_write *write, size_t max, utapi_error *err);

/* ---- lmdb_letters.c ------------------------------------------------------------------------ */

extern const utapi_dead_letter_ops utapi_lmdb_letters;

/* ---- lmdb_audit.c -------------------------------------------------------------------------- */

/** What its keys begin with. Then comes a number of 8 bytes, and the value is a row; or an id, and its number. */
enum { LMDB_AUDIT_ROW = 'r', LMDB_AUDIT_ID = 'i' };

/** Whether an act's id stands in the audit. */
UTAPI_MUST_USE utapi_status utapi_lmdb_act_find(lmdb_write *write, utapi_string id, bool *ret_known,
                                                utapi_error *err);

/** Adds a row to the audit, and its id; the oldest rows go where there are too many. */
UTAPI_MUST_USE utapi_status utapi_lmdb_act_note(lmdb_write *write, const utapi_audit_row *row,
                                                utapi_error *err);

/** What a row tells of a resource: its states as they stand, its flows in an interval. */
UTAPI_MUST_USE utapi_status utapi_lmdb_act_figures(lmdb_write *write, const lmdb_key *key,
                                                   utapi_interval interval, utapi_amounts *ret,
                                                   utapi_error *err);

UTAPI_MUST_USE utapi_backend_audit_fn utapi_lmdb_audit;
UTAPI_MUST_USE utapi_backend_note_fn utapi_lmdb_note;

/* ---- lmdb_read.c: slots of the contract ---------------------------------------------------- */

UTAPI_MUST_USE utapi_backend_read_fn utapi_lmdb_read;
UTAPI_MUST_USE utapi_backend_knows_fn utapi_lmdb_knows;
UTAPI_MUST_USE utapi_backend_list_fn utapi_lmdb_list;
UTAPI_MUST_USE utapi_backend_export_fn utapi_lmdb_export;
UTAPI_MUST_USE utapi_backend_fences_fn utapi_lmdb_fences;

/* ---- lmdb_check.c ------------------------------------------------------------------------- */

UTAPI_MUST_USE utapi_backend_check_fn utapi_lmdb_check;

#endif
