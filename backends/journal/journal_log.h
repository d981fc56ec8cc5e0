/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_log.h - the log on disk: what is accepted becomes durable here, and stays until it was stored and kept.
 *
 * The log is a row of incarnations, one for each start: a writer id, and a sequence of events that begins at 0. So a
 * journal that was deleted, restored or cloned can never fall behind a fence that it does not know. Events of the
 * newest incarnation are appended; each incarnation knows how far its events are stored behind the journal.
 *
 *      kept from          stored              next
 *     -----+----------------+-------------------+
 *          | may be wanted  | wait for delivery |
 *
 * Everything here may be called from any thread, but that one thread alone delivers: it calls the functions of
 * "delivery" below. The log never waits for the storage behind the journal. Whoever looks at what waits is told of each
 * change through the observer; the log knows nobody else. Today's form of the log is LMDB (journal_store.h); another
 * form has to replace journal_append.c and retention's deleting.
 */
#ifndef JOURNAL_JOURNAL_LOG_H
#define JOURNAL_JOURNAL_LOG_H

#include "record.h"
#include "utapi_journal.h"

#include "utapi/backend_journal.h"

enum { JOURNAL_WRITER_SIZE = 16 };

typedef struct journal_log journal_log;

/* What the newest incarnation has and the former ones lack. */
typedef struct journal_standing {
    uint32_t incarnation; /* the newest */
    unsigned char writer[JOURNAL_WRITER_SIZE];
    uint64_t stored, next; /* of it: events before `stored` are stored, those before `next` are durable */
    uint64_t older;        /* events of former incarnations that wait */
    int64_t tombstone_ms[UTAPI_LEVEL_COUNT]; /* no expiry was at a later time */
} journal_standing;

/* A group that has just become durable. */
typedef struct journal_appended {
    const utapi_batch *batch; /* borrowed, as the next */
    const bool *skip;         /* for each entry: it is a repetition */
    uint64_t first;           /* the sequence of the first entry that is none */
    bool expires;             /* it expires something, or its time makes a scheduled expiry due */
} journal_appended;

/**
 * Called after each change, in their order, with the log's lock held: it must be short and must not call the log.
 *
 * @param appended  NULL: no group was appended
 */
typedef void journal_observer_fn(void *ctx, const journal_standing *standing,
                                 const journal_appended *appended);

typedef struct journal_log_options {
    const utapi_journal_options *journal; /* borrowed for the call */
    int64_t (*monotonic_ms)(void);        /* the clock that retention goes by */
    journal_observer_fn *observer;
    void *ctx; /* of the observer; borrowed until the log is closed */
} journal_log_options;

/**
 * Opens a log, makes it if there is none, and begins an incarnation.
 *
 * @param ret  owned: utapi_journal_log_close(). Errors as of utapi_journal_open().
 */
UTAPI_MUST_USE utapi_status utapi_journal_log_open(const journal_log_options *options, journal_log **ret,
                                                   utapi_error *err);
void utapi_journal_log_close(journal_log *log);

/* ---- accepting ---------------------------------------------------------------------------- */

/**
 * Appends a batch, less what it repeats, as one durable group: UTAPI_OK means that it survives a crash.
 *
 * @return UTAPI_UNAVAILABLE: no room, or a disk that fails, and nothing was stored;
 *         UTAPI_UNCERTAIN: the next write finds out, and the observer is told; UTAPI_NO_MEMORY
 */
UTAPI_MUST_USE utapi_status utapi_journal_log_append(journal_log *log, const utapi_batch *batch,
                                                     utapi_applied *ret, utapi_error *err);

/** Notes an expiry by hand, durably, before the storage carries it out. Errors as in append. */
UTAPI_MUST_USE utapi_status utapi_journal_log_expire(journal_log *log, utapi_level level, int64_t time_ms,
                                                     utapi_error *err);

/** Drops some uuids whose window is over. Errors as in append. */
UTAPI_MUST_USE utapi_status utapi_journal_log_maintain(journal_log *log, int64_t accepted_ms,
                                                       utapi_error *err);

/** Adds what the log knows: its size, and what was lost. An error says that it cannot be read: its size is left out. */
UTAPI_MUST_USE utapi_status utapi_journal_log_stats(journal_log *log, utapi_journal_stats *stats,
                                                    bool *ret_full, utapi_error *err);

/** What of it will be full before long; "": nothing. */
void utapi_journal_log_warn(journal_log *log, char *ret, size_t size);

/** Whether an event may have to be delivered (again). */
bool utapi_journal_log_keeps(journal_log *log, uint32_t incarnation, uint64_t sequence);

/* ---- delivery ----------------------------------------------------------------------------- */

/* Where an incarnation stands. */
typedef struct journal_span {
    uint32_t incarnation;
    unsigned char writer[JOURNAL_WRITER_SIZE];
    uint64_t stored, next;
    bool is_newest;
    bool given_up; /* somebody else writes under its name: what is left can not be delivered */
} journal_span;

/** The first incarnation of which something waits; false: nothing does, and *ret is the newest one. */
bool utapi_journal_log_waiting(journal_log *log, journal_span *ret);

/** The next incarnation after one (0: the first) that ever had an event, or takes them now; false: there is none. */
bool utapi_journal_log_span_after(journal_log *log, uint32_t incarnation, journal_span *ret);

/* A group that was read, or the part of one that was stored at once. */
typedef struct journal_group {
    uint64_t first; /* the sequence of its first event */
    utapi_record record;
    void *bytes;    /* taken by who is called: free(). The strings of the entries lie in it. */
    int64_t due_ms; /* of the first group: the first scheduled expiry after it; INT64_MAX: none */
} journal_group;

/** Called for each group; the record's entries are borrowed. *ret_more: the next one is wanted too. */
typedef utapi_status journal_group_fn(void *ctx, const journal_group *group, bool *ret_more,
                                      utapi_error *err);

/**
 * Reads groups of an incarnation in order, from the one that holds `from` on, until one cannot be read, or is not
 * there, or `until` is reached.
 *
 * @param ret_next  where reading could go on: `from` itself is in a gap if on_group was never called, and then this is
 *                  where the gap ends as far as is known
 */
UTAPI_MUST_USE utapi_status utapi_journal_log_read(journal_log *log, uint32_t incarnation, uint64_t from,
                                                   uint64_t until, journal_group_fn *on_group, void *ctx,
                                                   uint64_t *ret_next, utapi_error *err);

/** Notes, durably, that a bucket expires at a time: batches are parted there. Errors as in append. */
UTAPI_MUST_USE utapi_status utapi_journal_log_schedule(journal_log *log, int64_t due_ms, utapi_error *err);

/** When the group was accepted that holds an event; 0 if it is not there. */
int64_t utapi_journal_log_accepted_at(journal_log *log, uint32_t incarnation, uint64_t sequence);

/** Notes, in memory, that an incarnation's events before one are stored. It may go back: the storage lost some. */
void utapi_journal_log_stored(journal_log *log, uint32_t incarnation, uint64_t stored);

/** Notes that events are lost for good, durably: each once. Errors as in append. */
UTAPI_MUST_USE utapi_status utapi_journal_log_lose(journal_log *log, uint32_t incarnation, uint64_t from,
                                                   uint64_t to, utapi_error *err);

/** Gives the newest incarnation up and begins another, with a new writer id. Errors as in append. */
UTAPI_MUST_USE utapi_status utapi_journal_log_renew(journal_log *log, utapi_error *err);

/** Each second: notes how far events are stored, deletes what was kept long enough, and uuids whose window is over. */
UTAPI_MUST_USE utapi_status utapi_journal_log_retain(journal_log *log, int64_t accepted_ms, utapi_error *err);

#endif
