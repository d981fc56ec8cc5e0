/* SPDX-License-Identifier: Apache-2.0 */
/**
 * histogram.h - durations counted in cells whose width grows with them: fixed memory, and no figure is off by
 * more than a sixty-fourth, however many durations there are.
 *
 * Durations below 128 ns have a cell each; above, each power of two is cut into 64 cells. One thread at a time.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_EXACT = 128, HISTOGRAM_CUTS = 64, HISTOGRAM_CELLS = HISTOGRAM_EXACT + 57 * HISTOGRAM_CUTS };

/** `histogram h = {0};` is an empty one. */
typedef struct histogram {
    uint64_t count;
    uint64_t max_ns;
    uint64_t cells[HISTOGRAM_CELLS];
} histogram;

/** Counts a duration; one below zero (a clock's fault) counts as zero. */
void histogram_add(histogram *self, int64_t ns);

/** Adds all that another one has counted. */
void histogram_merge(histogram *self, const histogram *more);

/**
 * The duration that the given part of all does not exceed: the upper end of its cell, but never more than the
 * longest one. 0 if nothing was counted.
 *
 * @param part  0.5: the median; 1: the longest
 */
uint64_t histogram_quantile_ns(const histogram *self, double part);

#endif
