/* SPDX-License-Identifier: Apache-2.0 */
/**
 * utapi_journal.h - a backend that stands before another one: what it takes is durable here at once, and
 * handed over in order, exactly once, whenever the other can take it (docs/architecture.md#the-journal).
 *
 * README.md tells the layout and the rules; the contract is that of utapi/backend.h, but for one promise: a
 * total that leaves 64 bits is found out at the hand-over, when its sender was answered already. Such an event
 * is kept aside, and counted in utapi_stats.journal.refused.
 */
#ifndef JOURNAL_UTAPI_JOURNAL_H
#define JOURNAL_UTAPI_JOURNAL_H

#include "utapi/backend.h"

/** The journal that is to stand before a storage: backends/journal/README.md. */
typedef struct utapi_journal_options {
    const char *location;    /* its directory; borrowed for the call */
    uint64_t capacity_bytes; /* the most it may store; 0: the default, 4 GiB */
    int64_t keep_ms;         /* how long what was handed over stays, to be sent again; at least a minute */
    int64_t dedup_window_ms; /* how long it remembers a uuid; 0: not at all */
} utapi_journal_options;

/**
 * Opens a journal before a storage; makes it if there is none, and hands over what it still holds.
 *
 * @param storage  taken, even on failure: closed with the journal
 * @param ret      owned: close with utapi_backend_close()
 * @return UTAPI_INVALID for options that cannot work; UTAPI_LOCKED if another process has the directory;
 *         UTAPI_CORRUPT if it is of a later format; UTAPI_UNAVAILABLE if it cannot be stored in
 */
UTAPI_MUST_USE utapi_status utapi_journal_open(utapi_backend *storage, const utapi_journal_options *options,
                                               utapi_backend **ret, utapi_error *err);

/**
 * Told of each event that was kept aside. Borrowed for the call. Return false to stop.
 *
 * @param id  names this event among all that this journal ever keeps aside
 */
typedef bool utapi_refused_cb(void *ctx, const char *id, const utapi_entry *entry, utapi_status status,
                              const char *reason);

/**
 * Walks through the events that were kept aside and not acknowledged, the oldest first.
 *
 * @param journal  from utapi_journal_open()
 * @return UTAPI_NOT_SUPPORTED if it is not a journal
 */
UTAPI_MUST_USE utapi_status utapi_journal_refused(utapi_backend *journal, utapi_refused_cb *on_refused,
                                                  void *ctx, utapi_error *err);

/** What an operator has taken note of. */
typedef struct utapi_acknowledgement {
    const utapi_string *refused; /* ids of events, as they were shown; borrowed */
    size_t count;                /* of ids */
    uint64_t lost;               /* how many of utapi_stats.journal.lost, ever */
} utapi_acknowledgement;

/**
 * Acknowledges, durably: those events are not shown any more and need no care. What was acknowledged before stays
 * so, and an event that is not there is passed over: it may be repeated. Events that are acknowledged are dropped,
 * so keep them elsewhere first.
 *
 * @return UTAPI_INVALID for what cannot be an id, or more lost than there are, and then nothing is acknowledged;
 *         UTAPI_NOT_SUPPORTED if it is not a journal; UTAPI_UNAVAILABLE, UTAPI_UNCERTAIN: the first of them may be
 */
UTAPI_MUST_USE utapi_status utapi_journal_acknowledge(utapi_backend *journal,
                                                      const utapi_acknowledgement *what, utapi_error *err);

#endif
