/* SPDX-License-Identifier: Apache-2.0 */
/**
 * backend_admin.h - what operators need of a storage beyond counting: names, export, corrections, expiry, fences, and
 * their own acts.
 *
 * A second table of the contract, behind utapi_backend_ops.admin: optional as a whole. A storage that has it fills
 * what is required. Threads as in backend.h. A journal answers for the storage behind it, once that has all that was
 * accepted before the call.
 *
 * An act (admin_act.h) comes through apply(), alone in a batch: utapi_backend_apply() parts a fenced one there, and
 * answers UTAPI_INVALID to others, or UTAPI_NOT_SUPPORTED where there is no audit. A storage that knows its id skips
 * it, as a repetition, and moves the fence; an id is known as long as its row is kept, and the newest
 * utapi_backend_options.max_acts are. Else it does what adjust() or expire() would do, and writes a row of the audit,
 * all in the step of the batch. Of an act that is refused already it writes the row
 * alone. utapi_backend_apply() sends one that cannot be stored a second time, refused: so an act never lasts as an
 * error, and always ends in a row.
 */
#ifndef UTAPI_BACKEND_ADMIN_H
#define UTAPI_BACKEND_ADMIN_H

#include "utapi/backend.h"

/* No callback may call the backend, which may hold a lock meanwhile. What it is given is borrowed for the call. */

/** Called for each resource of a level. False stops. */
typedef bool utapi_resource_cb(void *ctx, utapi_string name);

/** What to export. */
typedef struct utapi_export {
    enum {
        UTAPI_EXPORT_TOTALS, /* running totals as of the end of each stored interval, ascending for each resource */
        UTAPI_EXPORT_DELTAS /* what changed in an interval, in no certain order, perhaps in parts; a metric of an
                                interval may be told twice, with the same amount then */
    } form;
    utapi_level level;         /* UTAPI_LEVEL_COUNT: every level */
    utapi_string name;         /* absent: every resource */
    utapi_interval start, end; /* the first and the last interval */
} utapi_export;

/** A row of an export. */
typedef struct utapi_export_row {
    utapi_level level;
    utapi_string name;
    utapi_interval interval;
    const utapi_amounts *amounts; /* totals or deltas, as was asked for */
} utapi_export_row;

/** Called for each row. False stops. */
typedef bool utapi_export_cb(void *ctx, const utapi_export_row *row);

/** Called for a part of the storage that cannot be read: which one, and why. */
typedef void utapi_unreadable_cb(void *ctx, const char *what);

/** Corrects totals: from this interval on they are higher by delta (negative: lower). */
typedef struct utapi_adjustment {
    utapi_level level;
    utapi_string name;
    utapi_interval interval;
    const utapi_amounts *delta; /* borrowed */
} utapi_adjustment;

/** Who is told of a check. Nobody may write meanwhile. */
typedef struct utapi_check {
    void (*on_finding)(void *ctx, const char *what); /* something is not right: where, and what */
    void (*on_progress)(void *ctx, uint64_t done, uint64_t total); /* now and then, and at the end: in rows */
    void *ctx;
} utapi_check;

/** Called for a writer whose fence is not 0. False stops. */
typedef bool utapi_fence_cb(void *ctx, const unsigned char writer[16], uint64_t fence);

/** Rows of the audit that a storage keeps, unless its options say otherwise. */
enum { UTAPI_ACTS_DEFAULT = 100000 };

/** Which rows of the audit are asked for. */
typedef struct utapi_audit_query {
    utapi_string id;   /* absent: any */
    utapi_level level; /* UTAPI_LEVEL_COUNT: any */
    utapi_string name; /* absent: any */
} utapi_audit_query;

/** Called for each row. False stops. */
typedef bool utapi_audit_cb(void *ctx, const utapi_audit_row *row);

typedef utapi_status utapi_backend_list_fn(utapi_backend *self, utapi_level level,
                                           utapi_resource_cb *on_resource, void *ctx, utapi_error *err);
typedef utapi_status utapi_backend_export_fn(utapi_backend *self, const utapi_export *what,
                                             utapi_export_cb *on_row, utapi_unreadable_cb *on_unreadable,
                                             void *ctx, utapi_error *err);
typedef utapi_status utapi_backend_adjust_fn(utapi_backend *self, const utapi_adjustment *adjustments,
                                             size_t count, size_t *ret_count, utapi_error *err);
typedef utapi_status utapi_backend_expire_fn(utapi_backend *self, utapi_level level, utapi_string name,
                                             int64_t time_ms, utapi_error *err);
typedef utapi_status utapi_backend_fences_fn(utapi_backend *self, utapi_fence_cb *on_fence, void *ctx,
                                             utapi_error *err);
typedef utapi_status utapi_backend_audit_fn(utapi_backend *self, utapi_audit_cb *on_row, void *ctx,
                                            utapi_error *err);

typedef utapi_status utapi_backend_note_fn(utapi_backend *self, const utapi_audit_row *rows, size_t count,
                                           utapi_error *err);
typedef utapi_status utapi_backend_knows_fn(utapi_backend *self, utapi_level level, utapi_string name,
                                            bool *ret, utapi_error *err);
typedef utapi_status utapi_backend_check_fn(const char *location, const utapi_check *to, utapi_error *err);

/** The administration of a kind of storage. Const, as utapi_backend_ops. All slots but the last four are required. */
typedef struct utapi_admin_ops {
    /** Calls on_resource once for each known resource of the level, in no certain order. */
    utapi_backend_list_fn *list;

    /**
     * Calls on_row for what is asked for, each resource from one snapshot. Totals begin with the newest row before
     * start, if there is one; an interval in which nothing changed may be told too. The sums of all deltas are the
     * totals that read answers with, if nobody writes meanwhile. Where a part cannot be read, on_unreadable is
     * called, perhaps twice for the same one, and the export goes on without it; if that is NULL, the answer is
     * UTAPI_CORRUPT and names it. UTAPI_NOT_SUPPORTED for totals where the storage keeps none.
     */
    utapi_backend_export_fn *export;

    /**
     * Adds each delta at its interval and to every later row, one after the other; nothing is kept before the interval
     * in which the resource expired last: an earlier delta counts at that one. UTAPI_OK: the first *ret_count of
     * them, at least one unless there are none, are durable, in one step; the caller goes on from there. Errors as in
     * apply: none is stored.
     * (utapi_backend_adjust() refuses what has no interval or name, and tries fewer, down to the first: a slot need
     * not.)
     */
    utapi_backend_adjust_fn *adjust;

    /**
     * Takes a resource's totals up to and including the interval of time_ms away: rows until then go, later ones keep
     * only what came after. Where nothing came after, the resource is unknown afterwards. Entries for it with a time
     * before time_ms are never counted again; an expiry at an earlier time than one before it changes nothing. A
     * scheduled one stays. The caller has seen that the name has 1 to UTAPI_NAME_MAX bytes. Durable; errors as in
     * apply. (utapi_backend_expire() refuses a time beyond every interval: UTAPI_INVALID.)
     */
    utapi_backend_expire_fn *expire;

    /**
     * Calls on_fence for each writer that has one, in no certain order, perhaps twice. Whoever takes a storage's
     * figures to another one takes its fences along: else its writers would send again what those hold.
     */
    utapi_backend_fences_fn *fences;

    /** Optional: without it no act comes. Calls on_row for each that was done or refused, the newest first. */
    utapi_backend_audit_fn *audit;

    /**
     * Optional, with audit. Appends rows of acts that another storage did, as if they were the newest, but for those
     * whose ids are known. Nothing else changes. All or none; durable; errors as in apply.
     */
    utapi_backend_note_fn *note;

    /**
     * Optional. Whether a resource is known: list would come by it. Cheap: it may be asked for each name of each
     * event. A backend that cannot tell without waiting leaves it out.
     */
    utapi_backend_knows_fn *knows;

    /**
     * Optional. Reads all that is stored in a place that nobody has open, and tells each thing that cannot be right;
     * writes nothing. UTAPI_LOCKED if somebody has it open; UTAPI_CORRUPT if it is of a later format, or no storage.
     */
    utapi_backend_check_fn *check;
} utapi_admin_ops;

/* Each of these calls its slot; UTAPI_NOT_SUPPORTED where the storage has no administration. */
UTAPI_MUST_USE utapi_backend_list_fn utapi_backend_list;
UTAPI_MUST_USE utapi_backend_export_fn utapi_backend_export;
UTAPI_MUST_USE utapi_backend_adjust_fn utapi_backend_adjust;
UTAPI_MUST_USE utapi_backend_expire_fn utapi_backend_expire;
UTAPI_MUST_USE utapi_backend_fences_fn utapi_backend_fences;

/** Likewise, UTAPI_NOT_SUPPORTED where it has no such slot. */
UTAPI_MUST_USE utapi_backend_knows_fn utapi_backend_knows;
UTAPI_MUST_USE utapi_backend_note_fn utapi_backend_note;

/**
 * What the row of an act would tell if it were done now, as far as reading finds out: nothing is done. Strings of *ret
 * are borrowed from the act. Errors as read.
 */
UTAPI_MUST_USE utapi_status utapi_backend_preview(utapi_backend *self, const utapi_admin_act *act,
                                                  utapi_audit_row *ret, utapi_error *err);

/** Calls audit, and on_row for the rows that are asked for. UTAPI_NOT_SUPPORTED without it. */
UTAPI_MUST_USE utapi_status utapi_backend_audit(utapi_backend *self, const utapi_audit_query *what,
                                                utapi_audit_cb *on_row, void *ctx, utapi_error *err);

/** Calls the slot of a kind of storage; UTAPI_NOT_SUPPORTED where it has none. */
UTAPI_MUST_USE utapi_status utapi_backend_check(const utapi_backend_ops *ops, const char *location,
                                                const utapi_check *to, utapi_error *err);

#endif
