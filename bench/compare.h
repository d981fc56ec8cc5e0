/* SPDX-License-Identifier: Apache-2.0 */
/**
 * compare.h - what moved between two runs, beyond the noise of each.
 *
 * A median has moved if it differs by more than the widest spread of its repetitions in either run, and by more
 * than a twentieth (a tenth with fewer than three repetitions, whose spread says little).
 */
#ifndef BENCH_COMPARE_H
#define BENCH_COMPARE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

typedef struct compare_counts {
    unsigned compared; /* figures that both runs have */
    unsigned better, worse;
    unsigned missing; /* lines of the first run that the second lacks, or the other way round */
} compare_counts;

/** Compares the lines of two documents that have the same name, and prints what moved. */
void compare_documents(const json_t *before, const json_t *after, FILE *out, compare_counts *ret);

/** `utapi-bench compare [--fail-on-regression] A.json B.json`. Returns the exit status. */
int compare_main(int count, char **arguments);

#endif
