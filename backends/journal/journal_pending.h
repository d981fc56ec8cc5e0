/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_pending.h - the index of what waits: what is accepted and not yet stored, in memory.
 *
 * Queries add it to what the storage says (journal_read.c). Whoever needs the storage itself waits here until it has
 * all, and wakes the delivery; the delivery learns here what is wanted of it. So none of them knows another one. The
 * index hears of every change from the log, whose observer it is. One lock, which is never held while a disk or the
 * storage works; it is taken after the log's.
 */
#ifndef JOURNAL_JOURNAL_PENDING_H
#define JOURNAL_JOURNAL_PENDING_H

#include "journal_log.h"

#include <pthread.h>

enum { JOURNAL_WARNING_SIZE = 160 };

typedef struct journal_name journal_name;
typedef struct journal_event journal_event;

/* An event's place in the list of one resource. */
typedef struct journal_link {
    journal_name *name;
    journal_event *next;
} journal_link;

struct journal_event {
    journal_event *next; /* in the order in which they were accepted */
    uint64_t sequence;
    int64_t time_ms;
    int64_t delta[UTAPI_FIRST_OPERATION];
    utapi_operation operation;
    bool is_act; /* what it comes to the storage alone knows: questions about its resource wait for that */
    journal_link links[UTAPI_LEVEL_COUNT]; /* name is NULL where it does not count */
};

/* A query under way: what was not stored when it began stays in memory until it is answered. */
typedef struct journal_reading {
    struct journal_reading *next, **self;
    uint32_t incarnation;
    unsigned char writer[JOURNAL_WRITER_SIZE];
    uint64_t stored; /* when it began */
    uint64_t until;  /* what it answers for: everything before this event, nothing from it on */
} journal_reading;

/* What is wanted of the delivery, as bits. */
enum {
    JOURNAL_FLUSH = 1,   /* what waits, without gathering more */
    JOURNAL_CHECK = 2,   /* to look at the storage's fences */
    JOURNAL_MAINTAIN = 4 /* the storage's maintenance, once it has everything */
};

typedef struct journal_pending {
    size_t max_events, max_bytes;

    pthread_mutex_t lock;   /* guards what follows */
    pthread_cond_t changed; /* something was stored, or is over */
    pthread_cond_t work;    /* for the delivery */
    journal_standing standing;

    /* Events [first, standing.next) of the newest incarnation. */
    uint64_t first;
    journal_event *oldest, *newest;
    size_t events, bytes;
    journal_name **slots; /* a hash table, chained */
    size_t slot_count, name_count;
    journal_reading *readings;

    uint64_t resolve;            /* what is earlier changes more than sums: it has to be stored first */
    int64_t oldest_ms;           /* when the oldest event that waits was accepted */
    int64_t now_ms, accepted_ms; /* the newest that we were told */
    unsigned wanted;
    uint64_t wake_at; /* so many events that wait wake the delivery */
    bool stopping;
    char warning[JOURNAL_WARNING_SIZE]; /* what keeps the storage from storing events; "": nothing does */
} journal_pending;

/** Makes an index that is empty. */
void utapi_journal_pending_init(journal_pending *self, size_t max_events, size_t max_bytes);

/** Frees what it holds. Nobody uses it any more. */
void utapi_journal_pending_done(journal_pending *self);

/** The log's observer. */
journal_observer_fn utapi_journal_pending_observe;

/* ---- waiting and waking ------------------------------------------------------------------- */

/** Waits until the storage has all that was accepted before the call. UTAPI_UNAVAILABLE if it has not at a time. */
UTAPI_MUST_USE utapi_status utapi_journal_pending_wait(journal_pending *self, int64_t until_ms,
                                                       utapi_error *err);

/** Fails as waiting does: says how much waits, and why. */
utapi_status utapi_journal_pending_fail(journal_pending *self, utapi_error *err);

/** Wakes the delivery: bits of what is wanted. */
void utapi_journal_pending_wake(journal_pending *self, unsigned wanted);

/** Has the storage maintained, and waits for that until a time, but not behind a long delivery. */
void utapi_journal_pending_maintain(journal_pending *self, int64_t now_ms, int64_t accepted_ms,
                                    int64_t until_ms);

/** Adds what the index knows: how much waits, and since when. */
void utapi_journal_pending_stats(journal_pending *self, utapi_journal_stats *stats);

/** What keeps the storage from storing events; "": nothing does. */
void utapi_journal_pending_warning(journal_pending *self, char ret[static JOURNAL_WARNING_SIZE]);

/* ---- for the delivery --------------------------------------------------------------------- */

/* What there is to do. */
typedef struct journal_work {
    uint64_t waiting; /* events; of them, */
    uint64_t older;   /* of former incarnations */
    unsigned wanted;
    int64_t now_ms, accepted_ms;
    bool stopping;
} journal_work;

void utapi_journal_pending_work(journal_pending *self, journal_work *ret);

/** Sleeps until a time, or until more is wanted, or so many events wait, or the delivery is to stop. */
void utapi_journal_pending_rest(journal_pending *self, uint64_t wake_at, int64_t until_ms);

/** Sleeps until a time; only the delivery's end cuts it short. */
void utapi_journal_pending_sleep(journal_pending *self, int64_t until_ms);

/** Ends all waiting: the delivery is to stop. */
void utapi_journal_pending_stop(journal_pending *self);

/** Says that something which was wanted is done. */
void utapi_journal_pending_did(journal_pending *self, unsigned wanted);

/** Notes what keeps the storage from storing events; "": nothing does any more. */
void utapi_journal_pending_warn(journal_pending *self, const char *warning);

/** Notes when the oldest event that waits was accepted. */
void utapi_journal_pending_oldest(journal_pending *self, int64_t accepted_at_ms);

/* ---- queries ------------------------------------------------------------------------------ */

/* How long a query may take. */
typedef struct journal_patience {
    int64_t wait_ms; /* until the storage has caught up, where it must */
    int64_t read_ms; /* for the storage's answer */
} journal_patience;

/** As utapi_backend_read(), of the storage and what waits together; of nobody's fence. */
UTAPI_MUST_USE utapi_status utapi_journal_read(journal_pending *self, utapi_backend *storage,
                                               const journal_patience *patience, const utapi_query *query,
                                               utapi_usage *ret, utapi_error *err);

/* For journal_read.c, with the lock held: */

/** The oldest event of a resource, with its place in the list; NULL if it has none. */
const journal_event *utapi_journal_pending_find(const journal_pending *self, utapi_level level,
                                                utapi_string name);

/** Drops what is stored and what no query needs. */
void utapi_journal_pending_drop(journal_pending *self);

/** Whether all of the incarnations until one is stored, and of that one the events before a sequence. */
bool utapi_journal_pending_is_stored(const journal_pending *self, uint32_t incarnation, uint64_t sequence);

#endif
