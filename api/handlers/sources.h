/* SPDX-License-Identifier: Apache-2.0 */
/**
 * sources.h - the storage servers that post events: when each did last, and how late its events were. Bounded: those
 * that have no place share one. Thread-safe. All functions do nothing where self is NULL.
 */
#ifndef HANDLERS_SOURCES_H
#define HANDLERS_SOURCES_H

#include "utapi/event.h"

struct sockaddr;

enum { SOURCES_MAX = 100 };

/** A source; "other" is what has no place. */
typedef struct source {
    char name[UTAPI_SOURCE_MAX + 1]; /* the address */
    uint64_t events, late;           /* ever, that were accepted; of an interval that was over */
    int64_t last_ms;                 /* wall clock at which some came last */
    int64_t lateness_ms;             /* the greatest, ever: from an event's own time until it was accepted */
} source;

typedef struct sources sources;

/** @return owned, sources_free(); NULL if out of memory */
sources *sources_new(void);

void sources_free(sources *self);

/** Notes events that were accepted. */
void sources_note(sources *self, const struct sockaddr *peer, const utapi_event *events, size_t count,
                  int64_t now_ms);

/** Copies all of them, the last that came first. @return how many */
size_t sources_list(sources *self, source ret[static SOURCES_MAX + 1]);

#endif
