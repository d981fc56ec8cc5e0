/* SPDX-License-Identifier: Apache-2.0 */
/**
 * backend_dead_letters.h - events that were acknowledged and not counted: kept, shown, pushed again, acknowledged.
 *
 * An event becomes a dead letter by a policy (utapi_entry.refused), in the same step as its uuid, or because a storage
 * can never store it, behind a journal. A third table of the contract, behind utapi_backend_ops.dead_letters: optional
 * as a whole. Without it apply() gets no entry that has to do with letters. Threads as in backend.h.
 *
 * Letters are bounded (utapi_backend_options.max_dead_letters). Of an event beyond the bound only its uuid is kept, and
 * that there was one, by reason and source.
 */
#ifndef UTAPI_BACKEND_DEAD_LETTERS_H
#define UTAPI_BACKEND_DEAD_LETTERS_H

#include "utapi/backend.h"

enum {
    UTAPI_LETTERS_DEFAULT = 100000, /* the most that are kept, unless the options say otherwise */
    UTAPI_LETTER_ID_MAX = 64,       /* digits, and a NUL */
    UTAPI_LETTER_KEYS_MAX =
        1024,              /* bytes of utapi_entry.keys; more are left out, so that a letter is small */
    UTAPI_DROPPED_MAX = 32 /* counts of dropped events; one that has no place is counted without its source */
};

/** A dead letter. */
typedef struct utapi_dead_letter {
    const char *id; /* hexadecimal digits. Nobody can guess it, and no other letter ever has it */
    const utapi_entry *entry;
    utapi_reason reason;
    const char *detail;     /* why, in a sentence */
    utapi_string source;    /* who sent it; absent: not known */
    int64_t kept_ms;        /* wall clock at which it was kept; 0: not known */
    utapi_level_set levels; /* at which it did not count; 0: it cannot be read, nor pushed again */
} utapi_dead_letter;

/** Events that were dropped because there were too many letters. */
typedef struct utapi_dropped {
    utapi_reason reason;
    char source[UTAPI_SOURCE_MAX + 1]; /* "": not known, or one of too many */
    uint64_t count;                    /* ever */
} utapi_dropped;

typedef struct utapi_dead_letter_stats {
    uint64_t kept;                     /* now */
    uint64_t ever[UTAPI_REASON_COUNT]; /* by reason; dropped ones too */
    utapi_dropped dropped[UTAPI_DROPPED_MAX];
    size_t dropped_count; /* in use of these */
} utapi_dead_letter_stats;

/** Called for each dead letter. Borrowed for the call, which may not call the backend. False stops. */
typedef bool utapi_dead_letter_cb(void *ctx, const utapi_dead_letter *letter);

/** What an operator has taken note of. */
typedef struct utapi_acknowledgement {
    const utapi_string *ids; /* of dead letters; borrowed */
    size_t count;
    uint64_t lost; /* how many of utapi_journal_stats.lost, ever */
} utapi_acknowledgement;

typedef utapi_status utapi_backend_dead_letters_fn(utapi_backend *self, utapi_dead_letter_cb *on_letter,
                                                   void *ctx, utapi_error *err);
typedef utapi_status utapi_backend_acknowledge_fn(utapi_backend *self, const utapi_acknowledgement *what,
                                                  utapi_error *err);
typedef utapi_status utapi_dead_letter_stats_fn(utapi_backend *self, utapi_dead_letter_stats *ret,
                                                utapi_error *err);

/**
 * Every slot is required. What apply() does with letters is a part of the contract too:
 *
 * An entry that is refused is judged by its uuid as any other: a repetition is skipped. Else it becomes a letter, or is
 * counted as dropped, in the same step as the batch, and changes nothing else.
 *
 * An entry that is pushed again (utapi_entry.letter) is skipped, as a repetition, if there is no such letter; else the
 * letter goes in the same step as the entry counts. Its uuid is not looked at.
 */
typedef struct utapi_dead_letter_ops {
    /** Calls on_letter for each letter, the oldest first. */
    utapi_backend_dead_letters_fn *list;

    /**
     * Acknowledges, durably: these letters are dropped, so keep them elsewhere first, and their uuids forgotten: their
     * events may be sent again. What was acknowledged before stays so, and a letter that is not there is passed over:
     * it may be repeated. UTAPI_INVALID for what cannot be an id, or more lost than there are: nothing is acknowledged
     * then. UTAPI_UNAVAILABLE, UTAPI_UNCERTAIN: the first of them may be.
     */
    utapi_backend_acknowledge_fn *acknowledge;

    /** Must be cheap: every healthcheck asks. */
    utapi_dead_letter_stats_fn *stats;
} utapi_dead_letter_ops;

/* Each of these calls its slot; UTAPI_NOT_SUPPORTED where the storage keeps no dead letters. */
UTAPI_MUST_USE utapi_backend_dead_letters_fn utapi_backend_dead_letters;
UTAPI_MUST_USE utapi_backend_acknowledge_fn utapi_backend_acknowledge;

/** Likewise, but all zero and UTAPI_OK where it keeps none. */
UTAPI_MUST_USE utapi_dead_letter_stats_fn utapi_backend_dead_letter_stats;

#endif
