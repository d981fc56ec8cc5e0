/* SPDX-License-Identifier: Apache-2.0 */
/**
 * progress.h - how far a long push is, on a terminal's last line.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct progress {
    bool is_shown;
    uint64_t total_bytes; /* of the input; 0: not known */
    int64_t started_ms;
    int64_t drawn_ms; /* 0: never */
} progress;

/** Decides whether there is something to show: on a terminal, for input that is large or of unknown size. */
void progress_start(progress *self, FILE *input, bool is_wanted);

/** Draws anew, at most ten times a second. */
void progress_show(progress *self, uint64_t bytes, size_t events);

/** Clears the line, for other words. */
void progress_clear(progress *self);

#endif
