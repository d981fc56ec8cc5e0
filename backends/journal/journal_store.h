/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_store.h - the LMDB environment of the journal, and what the log has in memory of it.
 *
 * For the files that store: from the ground up journal_store.c, journal_retention.c, journal_append.c and
 * journal_log.c, and journal_dead_letters.c beside them. Two locks: the environment's `writing` is held through a
 * write transaction, the log's `lock` guards what is in memory and is never held while a disk works. Who needs both
 * takes `writing` first.
 */
#ifndef JOURNAL_JOURNAL_STORE_H
#define JOURNAL_JOURNAL_STORE_H

#include "journal_log.h"
#include "letters.h"

typedef enum journal_table {
    JOURNAL_ENTRY,   /* incarnation, sequence of its first event -> a record */
    JOURNAL_DEDUP,   /* time, uuid -> when it was accepted */
    JOURNAL_DUE,     /* time of a scheduled expiry -> nothing */
    JOURNAL_WRITER,  /* incarnation -> writer, stored, gaps */
    JOURNAL_REFUSED, /* incarnation, sequence -> that the event is a dead letter; or one of earlier versions */
    JOURNAL_LETTERS, /* number, random bytes -> a dead letter */
    JOURNAL_META,    /* name -> format, counts */
    JOURNAL_TABLE_COUNT
} journal_table;

enum { JOURNAL_KEY_SIZE = 12, JOURNAL_GAPS_MAX = 16, JOURNAL_MARKS_MAX = 64 };

/* Events that the storage has lost and the journal too, from the first up to but not including the last. */
typedef struct journal_gap {
    uint64_t from, to;
} journal_gap;

/* How far the storage was at some time. */
typedef struct journal_mark {
    int64_t at_ms; /* monotonic */
    uint64_t stored;
} journal_mark;

typedef struct journal_incarnation {
    struct journal_incarnation *next_one; /* the next one that began */
    uint32_t number;
    unsigned char writer[JOURNAL_WRITER_SIZE];
    uint64_t next;      /* the sequence of the event that is appended next */
    uint64_t stored;    /* as far as we know */
    uint64_t noted;     /* of it, what the table says: it never goes back */
    uint64_t kept_from; /* what is earlier than this was deleted */
    bool given_up;
    journal_gap gaps[JOURNAL_GAPS_MAX];
    size_t gap_count;
    journal_mark marks[JOURNAL_MARKS_MAX]; /* the oldest first */
    size_t mark_count;
} journal_incarnation;

struct journal_log {
    utapi_lmdbenv env;
    int64_t retention_ms;
    int64_t (*monotonic_ms)(void);
    journal_observer_fn *observer;
    void *ctx;

    /* What follows is guarded by env.writing. */
    bool outcome_unknown;    /* of a commit: what was stored is looked up again */
    uint64_t accepted_since; /* bytes, since room was looked for */
    int64_t now_ms;          /* of the newest batch */
    utapi_dedup dedup;
    utapi_letters letters;
    int64_t expired_ms; /* the accepted_ms of the last slice of its expiry */

    pthread_mutex_t lock; /* guards what follows */
    journal_incarnation *oldest, *newest;
    int64_t tombstone_ms[UTAPI_LEVEL_COUNT];
    uint64_t lost; /* ever */
    bool full;     /* events are refused for want of room */
};

/* ---- tables, keys ------------------------------------------------------------------------- */

extern const utapi_lmdbenv_layout utapi_journal_layout;

/** Maps a code of LMDB, or an errno, to a status, with a sentence. 0 is UTAPI_OK. */
utapi_status utapi_journal_code(utapi_error *err, int rc, const char *doing);

/** The key of an event, or of the record that begins with it. */
void utapi_journal_key(uint32_t incarnation, uint64_t sequence, unsigned char ret[JOURNAL_KEY_SIZE]);

/** Whether a key is of an incarnation, and then its sequence. */
bool utapi_journal_key_is_of(MDB_val key, uint32_t incarnation, uint64_t *ret_sequence);

/** Moves to the first record of any incarnation that begins at or behind an event. An LMDB code, as of what follows. */
int utapi_journal_record_seek(MDB_cursor *cursor, uint32_t incarnation, uint64_t sequence, MDB_val *key,
                              MDB_val *value);

/** Moves to the record that holds an event or, if there is none, to the next one. */
int utapi_journal_record_find(MDB_cursor *cursor, uint32_t incarnation, uint64_t sequence, MDB_val *key,
                              MDB_val *value);

/** Where the records of an incarnation begin and end; both are left as they are if it has none. */
int utapi_journal_bounds(const journal_log *log, MDB_txn *txn, uint32_t incarnation, uint64_t *first,
                         uint64_t *end);

/* ---- writes ------------------------------------------------------------------------------- */

/** As utapi_lmdbenv_write_begin(). After a commit of which nobody knew the outcome, that is looked up first. */
UTAPI_MUST_USE utapi_status utapi_journal_write_begin(journal_log *log, MDB_txn **ret, utapi_error *err);

/** As utapi_lmdbenv_write_end(). Others still wait: leave once what was committed is known in memory too. */
UTAPI_MUST_USE utapi_status utapi_journal_write_end(journal_log *log, MDB_txn *txn, utapi_status status,
                                                    utapi_error *err);

/* ---- incarnations in memory, with the lock held ------------------------------------------- */

/** How many events of an incarnation wait. */
uint64_t utapi_journal_waiting_of(const journal_incarnation *one);

/** Tells the observer. */
void utapi_journal_observe(journal_log *log, const journal_appended *appended);

/** The incarnation with a number, or NULL. */
journal_incarnation *utapi_journal_incarnation(const journal_log *log, uint32_t number);

/* ---- rows: LMDB codes --------------------------------------------------------------------- */

/** Stores an incarnation, with how far it is stored; reads one, false if it cannot be read. */
int utapi_journal_incarnation_put(journal_log *log, MDB_txn *txn, const journal_incarnation *one,
                                  uint64_t stored);
bool utapi_journal_incarnation_get(MDB_val key, MDB_val value, journal_incarnation *ret);

/** A number under a name. One that is not there leaves *ret as it is. */
int utapi_journal_number_get(const journal_log *log, MDB_txn *txn, const char *name, uint64_t *ret);
int utapi_journal_number_put(const journal_log *log, MDB_txn *txn, const char *name, uint64_t number);

/** No expiry of a level was at a later time than this; INT64_MIN: there was none. */
int utapi_journal_tombstone_get(const journal_log *log, MDB_txn *txn, utapi_level level, int64_t *ret);
int utapi_journal_tombstone_put(const journal_log *log, MDB_txn *txn, utapi_level level, int64_t time_ms);

/* ---- journal_dead_letters.c --------------------------------------------------------------- */

/** As utapi_letters_apply(), for letters of earlier versions too. */
UTAPI_MUST_USE utapi_status utapi_journal_letters_apply(journal_log *log, MDB_txn *txn,
                                                        const utapi_batch *batch, bool *skip,
                                                        size_t *repeated, utapi_error *err);

/* ---- journal_retention.c ------------------------------------------------------------------ */

/**
 * Before so many bytes are appended: makes room, if need be, by deleting what is stored, the oldest first. Pages are
 * counted only when enough was appended since the last time to make a difference, or there was no room then.
 *
 * @return UTAPI_UNAVAILABLE if there is none: the log is full, which is noted
 */
UTAPI_MUST_USE utapi_status utapi_journal_make_room(journal_log *log, uint64_t size, utapi_error *err);

/** Deletes at most so many groups that are stored, the oldest first. */
UTAPI_MUST_USE utapi_status utapi_journal_drop_stored(journal_log *log, size_t max, size_t *ret_dropped,
                                                      utapi_error *err);

#endif
