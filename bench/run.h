/* SPDX-License-Identifier: Apache-2.0 */
/**
 * run.h - a run: every chosen workload on every chosen storage, by every chosen transport.
 */
#ifndef BENCH_RUN_H
#define BENCH_RUN_H

#include "options.h"

/**
 * Runs, prints, writes the document and the plots. After a signal it ends early and writes neither.
 *
 * @return false if anything that was asked for could not be done
 */
bool bench_run(const bench_options *options);

#endif
