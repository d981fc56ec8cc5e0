/* SPDX-License-Identifier: Apache-2.0 */
/**
 * bench.h - what the workloads of utapi-bench share: a store to measure, and samples of time.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include "utapi/engine.h"

/** What to measure and how often, from the command line. */
typedef struct bench_options {
    const utapi_backend_ops *backend;
    const char *data_dir; /* where a backend stores; a new folder that is removed afterwards */
    size_t rounds;        /* measurements of each line */
    bool json;
} bench_options;

/** One workload: prints its figures. Returns false after it has said on stderr what went wrong. */
typedef bool bench_workload_fn(const bench_options *options);

bench_workload_fn bench_list;

/** Durations, to be sorted for their quantiles. */
typedef struct bench_samples {
    size_t count, capacity;
    int64_t *nanoseconds; /* owned: bench_samples_done() */
} bench_samples;

/** Makes room for that many; false if out of memory. */
bool bench_samples_init(bench_samples *samples, size_t capacity);
void bench_samples_done(bench_samples *samples);

/** Adds a duration; at most the capacity. */
void bench_samples_add(bench_samples *samples, int64_t nanoseconds);

/** The duration that the given part of the samples does not exceed, in microseconds. 0.5: the median. */
double bench_samples_quantile_us(bench_samples *samples, double part);

/** A clock for durations, in nanoseconds. */
int64_t bench_now_ns(void);

#endif
