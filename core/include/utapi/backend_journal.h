/* SPDX-License-Identifier: Apache-2.0 */
/**
 * backend_journal.h - what a journal tells of itself: what waits, and the dead letters.
 *
 * A journal is a backend that stands before a storage: what it accepts is durable in it, and delivered to the storage
 * later. It answers utapi_backend_stats() at once, with what the storage said a moment ago: no older than the last
 * maintenance. This is a third table of the contract, behind utapi_backend_ops.journal: optional as a whole. Threads
 * as in backend.h.
 */
#ifndef UTAPI_BACKEND_JOURNAL_H
#define UTAPI_BACKEND_JOURNAL_H

#include "utapi/backend.h"

/** How a journal is doing. */
typedef struct utapi_journal_stats {
    uint64_t capacity_bytes; /* never zero where there is a journal */
    uint64_t used_bytes;
    uint64_t waiting;      /* events that were accepted and are not stored yet */
    int64_t oldest_ms;     /* wall clock at which the oldest of them was accepted; 0: none waits */
    uint64_t dead_letters; /* events, ever, that can never be stored */
    uint64_t lost;         /* events, ever, that the storage lost and the journal no longer had */
    uint64_t dead_letters_acknowledged;
    uint64_t lost_acknowledged;
} utapi_journal_stats;

/** An event that was accepted and can never be stored. */
typedef struct utapi_dead_letter {
    const char *id; /* names it among all that this journal ever has */
    const utapi_entry *entry;
    utapi_status status; /* why */
    const char *reason;  /* why, in a sentence */
} utapi_dead_letter;

/** Called for each dead letter. Borrowed for the call. False stops. */
typedef bool utapi_dead_letter_cb(void *ctx, const utapi_dead_letter *letter);

/** What an operator has taken note of. */
typedef struct utapi_acknowledgement {
    const utapi_string *ids; /* of dead letters; borrowed */
    size_t count;
    uint64_t lost; /* how many of utapi_journal_stats.lost, ever */
} utapi_acknowledgement;

typedef void utapi_journal_stats_fn(utapi_backend *self, utapi_journal_stats *ret);
typedef utapi_status utapi_backend_dead_letters_fn(utapi_backend *self, utapi_dead_letter_cb *on_letter,
                                                   void *ctx, utapi_error *err);
typedef utapi_status utapi_backend_acknowledge_fn(utapi_backend *self, const utapi_acknowledgement *what,
                                                  utapi_error *err);

/** Every slot is required. */
typedef struct utapi_journal_ops {
    /** Answers at once. */
    utapi_journal_stats_fn *stats;

    /** Calls on_letter for each dead letter that was not acknowledged, the oldest first. */
    utapi_backend_dead_letters_fn *dead_letters;

    /**
     * Acknowledges, durably: these dead letters are dropped, so keep them elsewhere first, and may be pushed again.
     * What was acknowledged before stays so, and a letter that is not there is passed over: it may be repeated.
     * UTAPI_INVALID for what cannot be an id, or more lost than there are: nothing is acknowledged then.
     * UTAPI_UNAVAILABLE, UTAPI_UNCERTAIN: the first of them may be.
     */
    utapi_backend_acknowledge_fn *acknowledge;
} utapi_journal_ops;

/** Calls the slot; all zero where there is no journal. */
void utapi_backend_journal_stats(utapi_backend *self, utapi_journal_stats *ret);

/* Each of these calls its slot; UTAPI_NOT_SUPPORTED where there is no journal. */
UTAPI_MUST_USE utapi_backend_dead_letters_fn utapi_backend_dead_letters;
UTAPI_MUST_USE utapi_backend_acknowledge_fn utapi_backend_acknowledge;

#endif
