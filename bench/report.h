/* SPDX-License-Identifier: Apache-2.0 */
/**
 * report.h - what a run prints while it goes on, for people.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "result.h"

#include <stdio.h>

/** The machine and the head of the table. */
void report_head(FILE *out, const bench_options *options, const bench_host *host, const bench_disk *disk);

/** One line: medians, the spread of the rate, and its ratio to each floor. */
void report_line(FILE *out, const bench_result *result);

/** A line that could not be measured. */
void report_missing(FILE *out, const bench_workload *workload, const char *backend, bench_transport transport,
                    const utapi_error *err);

/** A workload that has no meaning on a storage, or with the options. @param reason  a sentence without a full stop */
void report_senseless(FILE *out, const bench_workload *workload, const char *backend,
                      bench_transport transport, const char *reason);

/** A storage that cannot be measured by a transport, which nobody asked for. */
void report_skipped(FILE *out, const char *backend, bench_transport transport);

/** What the names of floors in the table mean. */
void report_foot(FILE *out);

#endif
