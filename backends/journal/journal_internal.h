/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_internal.h - what the files of the journal share: tables, epochs, the state that threads share.
 *
 * README.md tells the layout and the rules. Two locks: the environment's `writing` is held through a write transaction,
 * `lock` guards what is in memory and is never held while a disk or the storage works. Who needs both takes
 * `writing` first.
 */
#ifndef JOURNAL_JOURNAL_INTERNAL_H
#define JOURNAL_JOURNAL_INTERNAL_H

#include "lmdbenv.h"
#include "utapi_journal.h"

/* ---- tables ------------------------------------------------------------------------------- */

typedef enum journal_table {
    JOURNAL_ENTRY,   /* epoch, sequence of its first event -> a group, as it was taken */
    JOURNAL_SEEN,    /* time, uuid -> when it was taken */
    JOURNAL_DUE,     /* time of an appointment -> nothing */
    JOURNAL_WRITER,  /* epoch -> writer, fence, gaps */
    JOURNAL_REFUSED, /* epoch, sequence -> status, reason, the event; or that it was acknowledged */
    JOURNAL_META,    /* name -> format, counts */
    JOURNAL_TABLE_COUNT
} journal_table;

enum { WRITER_SIZE = 16, ENTRY_KEY_SIZE = 12 };

/* ---- journal_code.c ----------------------------------------------------------------------- */

/* A group as it was taken: the entries of one apply(). */
typedef struct journal_group {
    int64_t now_ms, accepted_ms;
    size_t count;
    utapi_entry *entries; /* owned; their strings are borrowed from the bytes that were decoded */
} journal_group;

/** No entry takes more bytes. */
size_t utapi_journal_encoded_most(const utapi_batch *batch);

/**
 * Writes a group.
 *
 * @param skip    for each entry: true if it is left out; NULL: none is
 * @param buffer  of utapi_journal_encoded_most() bytes
 * @return the bytes written
 */
size_t utapi_journal_encode(const utapi_batch *batch, const bool *skip, unsigned char *buffer);

/** Reads a group. Trusts nothing. UTAPI_CORRUPT, UTAPI_NO_MEMORY; ret->entries is owned: free(). */
UTAPI_MUST_USE utapi_status utapi_journal_decode(const void *data, size_t size, journal_group *ret,
                                                 utapi_error *err);

/** When a group was taken, from its first bytes alone: nothing else is looked at. False: it cannot be read. */
bool utapi_journal_peek(const void *data, size_t size, int64_t *ret_now_ms);

/** CRC-32C, as a group ends with. */
uint32_t utapi_journal_crc(const unsigned char *data, size_t size);

/* ---- epochs ------------------------------------------------------------------------------- */

/* Events that the storage has lost and the journal too, from the first up to but not including the last. */
typedef struct journal_gap {
    uint64_t from, to;
} journal_gap;

enum { GAPS_MOST = 16, MARKS_MOST = 64 };

/* How far the storage was at some time. */
typedef struct journal_mark {
    int64_t at_ms; /* steady */
    uint64_t applied;
} journal_mark;

/* What was taken between two starts: its own writer, whose sequence begins at 0. */
typedef struct journal_epoch {
    struct journal_epoch *next_epoch; /* the next one that began */
    uint32_t number;
    unsigned char writer[WRITER_SIZE];
    uint64_t next;    /* the sequence of the event that is taken next: what is published */
    uint64_t applied; /* the storage's fence, as far as we know */
    uint64_t handed;  /* the furthest end of what was ever handed over in this process */
    uint64_t deleted; /* what is earlier than this was deleted */
    uint64_t stored_applied;
    bool foreign; /* the storage's fence is not ours: what is left is kept aside */
    journal_gap gaps[GAPS_MOST];
    size_t gap_count;
    journal_mark marks[MARKS_MOST]; /* the oldest first */
    size_t mark_count;
} journal_epoch;

/* ---- what is taken and not yet applied, in memory ----------------------------------------- */

typedef struct journal_name journal_name;
typedef struct journal_event journal_event;

/* An event's place in the list of one resource. */
typedef struct journal_link {
    journal_name *name;
    journal_event *next;
} journal_link;

struct journal_event {
    journal_event *next; /* in the order of their taking */
    uint64_t sequence;
    int64_t time_ms;
    int64_t delta[UTAPI_FIRST_OPERATION];
    utapi_operation operation;
    journal_link links[UTAPI_LEVEL_COUNT]; /* name is NULL where it does not count */
};

/* All of it is guarded by the journal's lock. It holds [first, the epoch's next) of the newest epoch. */
typedef struct journal_pending {
    uint64_t first;
    journal_event *oldest, *newest;
    size_t events, bytes;
    journal_name **slots; /* a hash table, chained */
    size_t slot_count, name_count;
} journal_pending;

/* A question under way: what was not applied when it began stays in memory until it is answered. */
typedef struct journal_reader {
    struct journal_reader *next, **self;
    uint64_t floor;
} journal_reader;

/* ---- the journal -------------------------------------------------------------------------- */

/* How many events an operator has taken note of, ever. */
typedef struct journal_acknowledged {
    uint64_t refused, lost;
} journal_acknowledged;

/* What tests set otherwise. */
typedef struct journal_tuning {
    int64_t (*monotonic_ms)(void);
    int64_t tick_ms;       /* between two looks at the storage's fence while nothing happens */
    int64_t wait_ms;       /* the most that a question waits for the storage to catch up */
    int64_t read_ms;       /* the most that the storage may take over it, all names together */
    int64_t back_off_ms;   /* the first one */
    int64_t silence_ms;    /* a storage that does not answer for longer is told of */
    size_t step_events;    /* the most in a hand-over */
    int64_t gather_ms;     /* how long events may wait to be handed over together; 0: not at all */
    size_t pending_events; /* the most in memory */
    size_t pending_bytes;
} journal_tuning;

extern const journal_tuning utapi_journal_tuning;

/** As utapi_journal_open(), for tests. */
UTAPI_MUST_USE utapi_status utapi_journal_open_tuned(utapi_backend *storage,
                                                     const utapi_journal_options *options,
                                                     const journal_tuning *tuning, utapi_backend **ret,
                                                     utapi_error *err);

/** Cells that are known to have been handed over lately. */
enum { JOURNAL_LATELY = 4096 };

typedef struct journal {
    utapi_backend base;
    utapi_backend *storage; /* owned */
    int64_t keep_ms, window_ms;
    journal_tuning tuning;
    utapi_lmdbenv env;

    /* What follows is guarded by env.writing. */
    bool outcome_unknown;     /* of a commit: what was stored is looked up again */
    uint64_t taken_since;     /* bytes, since room was looked for */
    int64_t expired_ms;       /* the accepted_ms of the last slice of expiry */
    atomic_size_t sweep_size; /* where the next slice of expiry begins in `seen`; 0: at its beginning */
    unsigned char sweep[8 + UTAPI_NAME_MAX + 1];

    pthread_mutex_t lock;   /* guards what follows */
    pthread_cond_t wake;    /* of the drain thread */
    pthread_cond_t changed; /* something was applied */
    journal_epoch *oldest, *newest;
    journal_pending pending;
    journal_reader *readers;
    uint64_t settle; /* of the newest epoch: what is earlier changes more than sums: it is waited for */
    int64_t gone_newest_ms[UTAPI_LEVEL_COUNT]; /* no forgetting was at a later time */
    int64_t oldest_ms;                         /* when the oldest that waits was taken */
    int64_t now_ms, accepted_ms;               /* the newest that we were told */
    bool gathering; /* the drain thread wakes when its time comes, or there is enough, */
    bool hurried;   /* or somebody waits */
    bool tend_wanted, check_wanted, stopping, started;
    uint64_t refused, lost; /* ever; what follows is the part of each that was acknowledged */
    journal_acknowledged acknowledged;
    bool full;           /* events are refused for want of room */
    utapi_stats figures; /* the storage's, as the drain thread last saw them; its trouble included */
    int64_t beat_ms;     /* when the drain thread last began a round */
    char trouble[160];
    char alarm[160]; /* that only an operator can end */
    pthread_t thread;
    uint64_t lately[JOURNAL_LATELY]; /* the drain thread's own: cells that were handed over, by hash */
} journal;

/* ---- journal_env.c ------------------------------------------------------------------------ */

extern const utapi_lmdbenv_layout utapi_journal_layout;

/** Maps a code of LMDB, or an errno, to a status, with a sentence. rc is not 0. */
static inline utapi_status utapi_journal_fail(utapi_error *err, int rc, const char *doing)
{
    return utapi_lmdbenv_fail(&utapi_journal_layout, err, rc, doing);
}

/** As utapi_lmdbenv_write_begin(). After a commit of which nobody knew the outcome, that is looked up first. */
UTAPI_MUST_USE utapi_status utapi_journal_write_begin(journal *self, MDB_txn **ret, utapi_error *err);

/** As utapi_lmdbenv_write_end(): leave once what was committed is known in memory too. */
UTAPI_MUST_USE utapi_status utapi_journal_write_end(journal *self, MDB_txn *txn, utapi_status status,
                                                    utapi_error *err);

/** Makes room by deleting what was applied, the oldest first; UTAPI_UNAVAILABLE if there is none. Notes which. */
UTAPI_MUST_USE utapi_status utapi_journal_make_room(journal *self, utapi_error *err);

/** Finds out whether a journal that was just opened is full, before anything is taken. */
void utapi_journal_room_look(journal *self);

/* ---- journal_epoch.c ---------------------------------------------------------------------- */

void utapi_journal_entry_key(uint32_t epoch, uint64_t sequence, unsigned char ret[ENTRY_KEY_SIZE]);

/** Loads what former starts left, and begins an epoch of this one. */
UTAPI_MUST_USE utapi_status utapi_journal_epochs_load(journal *self, utapi_error *err);

/** Begins an epoch with a new writer id. Not while `lock` is held. */
UTAPI_MUST_USE utapi_status utapi_journal_epoch_begin(journal *self, utapi_error *err);

/** Where the newest group of an epoch ends; `otherwise` if it has none. An LMDB code. */
int utapi_journal_epoch_end(journal *self, MDB_txn *txn, uint32_t epoch, uint64_t otherwise, uint64_t *ret);

/** Stores how far an epoch is. An LMDB code. */
int utapi_journal_epoch_put(journal *self, MDB_txn *txn, const journal_epoch *epoch, uint64_t applied);

/** A number under a name. One that is not there leaves *ret as it is. LMDB codes. */
int utapi_journal_number_load(journal *self, MDB_txn *txn, const char *name, uint64_t *ret);
int utapi_journal_number_put(const journal *self, MDB_txn *txn, const char *name, uint64_t number);

/** Notes that events are gone for good, durably. */
UTAPI_MUST_USE utapi_status utapi_journal_gap_note(journal *self, journal_epoch *epoch, uint64_t from,
                                                   uint64_t to, utapi_error *err);

/** Stores that nothing of a level was forgotten at a later time. An LMDB code. */
int utapi_journal_gone_put(const journal *self, MDB_txn *txn, utapi_level level, int64_t gone_ms);

/** Lets the drain thread hand over what waits without gathering more; with the lock held. */
void utapi_journal_hurry(journal *self);

/** The first epoch of which something waits; NULL: nothing does. With the lock held, as the next. */
journal_epoch *utapi_journal_waiting_epoch(const journal *self);
uint64_t utapi_journal_waiting(const journal *self);

void utapi_journal_epochs_free(journal *self);

/* ---- journal_keep.c ----------------------------------------------------------------------- */

/** The upkeep of a second: notes progress, deletes what was kept long enough, and expired uuids. */
UTAPI_MUST_USE utapi_status utapi_journal_upkeep(journal *self, utapi_error *err);

/** Deletes at most so many groups that were applied, the oldest first. */
UTAPI_MUST_USE utapi_status utapi_journal_drop_applied(journal *self, size_t most, size_t *ret_dropped,
                                                       utapi_error *err);

/* ---- journal_seen.c ----------------------------------------------------------------------- */

/** Forgets an entry's uuid, if it has one: it may be taken again. LMDB's code. */
int utapi_journal_seen_drop(journal *self, MDB_txn *txn, const utapi_entry *entry);

/** Remembers the uuids of a batch; skip[i] becomes true where one was known. */
UTAPI_MUST_USE utapi_status utapi_journal_seen_take(journal *self, MDB_txn *txn, const utapi_batch *batch,
                                                    bool *skip, size_t *ret_repeated, utapi_error *err);

/** What an upkeep looks at: it is short beside a sync of the disk. */
enum { JOURNAL_SEEN_SLICE = 2000 };

/** A slice of expiry in a transaction of its own; errors as those of a write. */
UTAPI_MUST_USE utapi_status utapi_journal_seen_tend(journal *self, int64_t accepted_ms, utapi_error *err);

/** A slice of expiry: looks at no more than `most` uuids. */
UTAPI_MUST_USE utapi_status utapi_journal_seen_expire(journal *self, MDB_txn *txn, int64_t accepted_ms,
                                                      size_t most, utapi_error *err);

/* ---- journal_take.c ----------------------------------------------------------------------- */

utapi_backend_apply_fn utapi_journal_apply;

/* ---- journal_pending.c: with the lock held ------------------------------------------------ */

/** Adds what a batch brings, from epoch->next on; beyond its bound, or without memory, begins anew. */
void utapi_journal_pending_add(journal *self, const utapi_batch *batch, const bool *skip, uint64_t first);

/** Forgets what was applied and what no question needs. */
void utapi_journal_pending_drop(journal *self);

/** Forgets all of it; what comes next begins at `first`. */
void utapi_journal_pending_clear(journal *self, uint64_t first);

/** The oldest event of a resource, with its place in the list; NULL if it has none. */
const journal_event *utapi_journal_pending_find(const journal *self, utapi_level level, utapi_string name);

void utapi_journal_pending_free(journal *self);

/* ---- journal_step.c ----------------------------------------------------------------------- */

/* What is handed over at once. */
typedef struct journal_step {
    enum { STEP_EVENTS, STEP_GAP, STEP_REFUSED } kind;
    uint64_t from, to;
    utapi_batch batch;
    utapi_entry *entries; /* owned, as the next */
    void **groups;        /* the bytes that the entries' strings lie in */
    size_t group_count;
    int64_t oldest_ms; /* when its first group was taken */
} journal_step;

/** Reads the next step of an epoch, from `from` on, of at most so many events. */
UTAPI_MUST_USE utapi_status utapi_journal_step_read(journal *self, uint32_t epoch, uint64_t from,
                                                    uint64_t until, size_t most, journal_step *ret,
                                                    utapi_error *err);
void utapi_journal_step_free(journal_step *step);

/** When the group was taken that holds an event; 0 if it is not there. */
int64_t utapi_journal_taken_at(journal *self, uint32_t epoch, uint64_t sequence);

/* ---- journal_refused.c -------------------------------------------------------------------- */

/** Keeps the events of a step aside. */
UTAPI_MUST_USE utapi_status utapi_journal_refuse(journal *self, uint32_t epoch, const journal_step *step,
                                                 utapi_status why, const char *reason, utapi_error *err);

/** How many were ever kept aside. An LMDB code. */
int utapi_journal_refused_count(journal *self, MDB_txn *txn, uint64_t *ret);

/** What was acknowledged. An LMDB code. */
int utapi_journal_acknowledged_load(journal *self, MDB_txn *txn, journal_acknowledged *ret);

/* ---- journal_drain.c ---------------------------------------------------------------------- */

UTAPI_MUST_USE utapi_status utapi_journal_drain_start(journal *self, utapi_error *err);
void utapi_journal_drain_stop(journal *self);

/* ---- journal_read.c ----------------------------------------------------------------------- */

utapi_backend_read_fn utapi_journal_read;

/** Waits until the storage has all that was taken before the call. UTAPI_UNAVAILABLE if it takes too long. */
UTAPI_MUST_USE utapi_status utapi_journal_wait_drained(journal *self, utapi_error *err);

/** The time on the clock that condition variables wait by. */
int64_t utapi_journal_monotonic_ms(void);

/** Waits on a condition until a time; false once it is past. */
bool utapi_journal_wait_until(journal *self, pthread_cond_t *condition, int64_t until_ms);

#endif
