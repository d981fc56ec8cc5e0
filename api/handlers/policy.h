/* SPDX-License-Identifier: Apache-2.0 */
/**
 * policy.h - which events a server accepts without counting them: limits.earliest and its like
 * (docs/specification.md#policies).
 *
 * They are judged where events come in by HTTP, and nowhere else. An event beyond a limit is no error of its sender,
 * who would repeat it for ever: it is answered as all others, and kept as a dead letter. Thread-safe.
 */
#ifndef HANDLERS_POLICY_H
#define HANDLERS_POLICY_H

#include "utapi/engine.h"

struct sockaddr;

/** The limits; 0: off. */
typedef struct policy_limits {
    int64_t earliest_ms;
    int64_t max_lateness_ms;
    int64_t max_amount;
    int64_t max_new_resources; /* an hour and source */
} policy_limits;

enum { POLICY_REASONS = UTAPI_REASON_NEW_RESOURCE + 1 };

/** What was said of the events of a request. As long-lived as they are. */
typedef struct policy_verdict {
    char source[UTAPI_SOURCE_MAX + 1];
    utapi_refusal refusals[POLICY_REASONS];
    size_t counts[POLICY_REASONS]; /* of events, by reason */
} policy_verdict;

typedef struct policy policy;

/** @param engine  borrowed: it is asked which names are known. Returns: owned, policy_free(); NULL if out of memory */
policy *policy_new(const policy_limits *limits, utapi_engine *engine);

/** NULL is fine. */
void policy_free(policy *self);

/**
 * Judges the events of a request: sets `refused` of each that is beyond a limit.
 *
 * @param self    NULL: there is no limit
 * @param peer    who sent them; NULL: the request came from within
 * @param ret     borrowed by the events
 */
void policy_judge(policy *self, const struct sockaddr *peer, utapi_event *events, size_t count,
                  policy_verdict *ret);

/** Writes the address of a peer: "10.0.0.1"; "within" where it has none. */
void policy_source(const struct sockaddr *peer, char ret[static UTAPI_SOURCE_MAX + 1]);

#endif
