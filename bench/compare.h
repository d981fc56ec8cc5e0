/* SPDX-License-Identifier: Apache-2.0 */
/**
 * compare.h - what moved between two runs, beyond the noise of each.
 *
 * The noise of a figure is three times the median absolute deviation of its repetitions, in the run where that is
 * more, and at least a twentieth (a tenth with fewer than three repetitions, whose deviation says little). It
 * excuses less than a factor of two: what halves or doubles has moved.
 */
#ifndef BENCH_COMPARE_H
#define BENCH_COMPARE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

typedef struct compare_counts {
    unsigned compared; /* figures that both runs have */
    unsigned better, worse;
    unsigned missing;  /* lines, or figures of a line, that one of the runs lacks */
    unsigned failed;   /* lines of the second run with requests that failed */
    unsigned settings; /* of the runs, that are not the same */
} compare_counts;

/** Compares the lines of two documents that have the same name, and prints what moved and what cannot be compared. */
void compare_documents(const json_t *before, const json_t *after, FILE *out, compare_counts *ret);

/** Whether the second run may not pass for as good as the first: worse, incomplete, failing, or nothing to compare. */
bool compare_is_regression(const compare_counts *counts);

/** `utapi-bench compare [--fail-on-regression] A.json B.json`. Returns the exit status. */
int compare_main(int count, char **arguments);

#endif
