/* SPDX-License-Identifier: Apache-2.0 */
/**
 * partial_reference.h - what is stored of random writers: entry by entry, without batches, in sums of each interval.
 */
#ifndef CONTRACT_PARTIAL_REFERENCE_H
#define CONTRACT_PARTIAL_REFERENCE_H

#include "contract.h"

enum {
    PARTIAL_BUCKETS = 3,
    PARTIAL_NAMES = PARTIAL_BUCKETS + 1,
    PARTIAL_INTERVALS = 128,
    PARTIAL_UUIDS = 1024
};

#define PARTIAL_START INTERVAL(0)

/** An event as its writer keeps it. */
typedef struct partial_event {
    utapi_entry entry;
    char uuid[16];  /* "uuid-" and a number below PARTIAL_UUIDS; "": none */
    size_t bucket;  /* by number; the service is PARTIAL_BUCKETS */
    int64_t now_ms; /* of its group */
    bool is_dead;
} partial_event;

/** All that counts. */
typedef struct partial_reference {
    __int128 bytes[PARTIAL_NAMES][PARTIAL_INTERVALS]; /* what changed in each */
    int64_t objects[PARTIAL_NAMES][PARTIAL_INTERVALS];
    int64_t expired_ms[PARTIAL_BUCKETS], scheduled_ms[PARTIAL_BUCKETS];
    bool is_known[PARTIAL_UUIDS];
    int64_t accepted_ms[PARTIAL_UUIDS];
    int64_t window_ms;
} partial_reference;

/** Makes an empty one. Owned: free(). */
partial_reference *partial_reference_new(int64_t window_ms);

/** Carries out what is due. */
void partial_reference_due(partial_reference *r, int64_t now_ms);

/** Counts an event, unless its uuid is known. */
void partial_reference_count(partial_reference *r, const partial_event *event);

/** Counts events as if each of their groups were stored whole: what is due at its time comes first. */
void partial_reference_accept(partial_reference *r, const partial_event *events, size_t count);

#endif
