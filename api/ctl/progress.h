/* SPDX-License-Identifier: Apache-2.0 */
/**
 * progress.h - how far a long work is: on a terminal's last line, and elsewhere a line every half a minute.
 */
#ifndef CTL_PROGRESS_H
#define CTL_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct progress {
    bool is_shown, is_terminal;
    const char *unit; /* what is counted: "events" */
    uint64_t total;   /* of what tells how far it is, bytes of input perhaps; 0: not known */
    int64_t started_ms;
    int64_t drawn_ms;    /* 0: never */
    int64_t interval_ms; /* between two lines */
} progress;

/** Decides whether there is something to show: if it is wanted, for input that is large or of unknown size. */
void progress_start(progress *self, FILE *input, bool is_wanted);

/** As progress_start(), where the total is known beforehand (0: it is not). unit: borrowed. */
void progress_begin(progress *self, uint64_t total, const char *unit);

/** Draws anew, at most ten times a second, or has a line every half a minute. done: of the total. */
void progress_show(progress *self, uint64_t done, size_t count);

/** Clears a terminal's line, for other words. */
void progress_clear(progress *self);

#endif
