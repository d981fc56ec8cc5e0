/* SPDX-License-Identifier: Apache-2.0 */
/* histogram.c - from a duration to its cell and back. */
#include "histogram.h"

#include <math.h>
#include <stddef.h>

static size_t cell_of(uint64_t ns)
{
    if (ns < HISTOGRAM_EXACT)
        return (size_t)ns;
    /* The 7 highest bits, of which the first is set: 64 values for each number of bits below them. */
    const unsigned below = 57U - (unsigned)__builtin_clzll(ns);
    return HISTOGRAM_EXACT + (below - 1) * HISTOGRAM_CUTS + (size_t)((ns >> below) - HISTOGRAM_CUTS);
}

static uint64_t cell_end_ns(size_t cell)
{
    if (cell < HISTOGRAM_EXACT)
        return cell;
    const unsigned below = (unsigned)((cell - HISTOGRAM_EXACT) / HISTOGRAM_CUTS) + 1;
    const uint64_t first = HISTOGRAM_CUTS + (cell - HISTOGRAM_EXACT) % HISTOGRAM_CUTS;
    return (first << below) + ((UINT64_C(1) << below) - 1);
}

void histogram_add(histogram *self, int64_t ns)
{
    const uint64_t duration_ns = ns > 0 ? (uint64_t)ns : 0;
    self->cells[cell_of(duration_ns)]++;
    self->count++;
    if (duration_ns > self->max_ns)
        self->max_ns = duration_ns;
}

void histogram_merge(histogram *self, const histogram *more)
{
    for (size_t i = 0; i < HISTOGRAM_CELLS; i++)
        self->cells[i] += more->cells[i];
    self->count += more->count;
    if (more->max_ns > self->max_ns)
        self->max_ns = more->max_ns;
}

uint64_t histogram_quantile_ns(const histogram *self, double part)
{
    const double wanted = ceil(part * (double)self->count);
    uint64_t counted = 0;
    for (size_t i = 0; i < HISTOGRAM_CELLS; i++) {
        counted += self->cells[i];
        if (counted > 0 && (double)counted >= wanted)
            return cell_end_ns(i) < self->max_ns ? cell_end_ns(i) : self->max_ns;
    }
    return self->max_ns;
}
