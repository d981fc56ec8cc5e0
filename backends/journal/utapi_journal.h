/* SPDX-License-Identifier: Apache-2.0 */
/**
 * utapi_journal.h - a backend that stands before another one: what it accepts is durable here at once, and
 * delivered in order, exactly once, whenever the other can take it (docs/architecture.md#the-journal).
 *
 * README.md tells the layout and the rules. The contract is that of utapi/backend.h, but for one promise: a total
 * that leaves 64 bits is found out at the delivery, when its sender was answered already. Such an event becomes a
 * dead letter (utapi/backend_dead_letters.h).
 */
#ifndef JOURNAL_UTAPI_JOURNAL_H
#define JOURNAL_UTAPI_JOURNAL_H

#include "utapi/backend.h"

/** The journal that is to stand before a storage: backends/journal/README.md. */
typedef struct utapi_journal_options {
    const char *location;      /* its directory; borrowed for the call */
    uint64_t capacity_bytes;   /* the most it may store; 0: the default, 4 GiB */
    int64_t keep_ms;           /* how long what was stored stays, to be sent again; at least a minute */
    int64_t dedup_window_ms;   /* how long it remembers a uuid; 0: not at all */
    uint64_t max_dead_letters; /* the most that are kept; 0: UTAPI_LETTERS_DEFAULT */
} utapi_journal_options;

/**
 * Opens a journal before a storage; makes it if there is none, and delivers what it still holds.
 *
 * @param storage  taken, even on failure: closed with the journal
 * @param ret      owned: close with utapi_backend_close()
 * @return UTAPI_INVALID for options that cannot work; UTAPI_LOCKED if another process has the directory;
 *         UTAPI_CORRUPT if it is of a later format; UTAPI_UNAVAILABLE if it cannot be stored in
 */
UTAPI_MUST_USE utapi_status utapi_journal_open(utapi_backend *storage, const utapi_journal_options *options,
                                               utapi_backend **ret, utapi_error *err);

#endif
