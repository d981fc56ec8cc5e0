/* SPDX-License-Identifier: Apache-2.0 */
/**
 * health.h - whether events can be accepted, and what storage, journal and engine tell of themselves. Plain data.
 */
#ifndef UTAPI_HEALTH_H
#define UTAPI_HEALTH_H

#include "utapi/backend_dead_letters.h"
#include "utapi/backend_journal.h"
#include "utapi/histogram.h"

/** A storage whose clock is further ahead of ours, or behind it, is told of. */
#define UTAPI_CLOCK_SKEW_TOLD_MS INT64_C(5000)

/** What the committer did, ever. */
typedef struct utapi_commit_stats {
    uint64_t groups, events, repeated; /* stored; of these events, known by their uuids */
    uint64_t waiting;                  /* events in the queue, now */
    utapi_histogram took;              /* of each group, stored or not */
} utapi_commit_stats;

/** What the engine knows of its health. */
typedef struct utapi_health {
    utapi_storage_stats storage;
    utapi_dead_letter_stats letters;
    utapi_journal_stats journal; /* all zero without one */
    utapi_commit_stats commit;
    uint64_t anomalies;      /* figures of answers, ever, that had more than 64 bits and were cut */
    bool refuses;            /* no event is accepted now: warning tells why */
    bool recovering;         /* events could not be stored, and since then none were */
    char warning[160];       /* what is not well with storing; "": all is well */
    char other_warning[160]; /* what is not well beside it: utapi_engine_note(); "": nothing */
} utapi_health;

#endif
