/* SPDX-License-Identifier: Apache-2.0 */
/**
 * target.h - a storage that is filled and measured: opened in this process with an engine on it, or by a server
 * that a target starts and ends.
 *
 * A target serves all workloads that need the same filling. One thread at a time.
 */
#ifndef BENCH_TARGET_H
#define BENCH_TARGET_H

#include "http_text.h"
#include "load.h"
#include "workspace.h"

typedef struct bench_target bench_target;

/** What a measurement of a target brings. */
typedef struct target_figures {
    load_result load;
    size_t answer_bytes;  /* of a body, over HTTP */
    double applied_per_s; /* with a journal: events, until the storage behind it had them; else 0 */
    bool has_memory;      /* the server's, afterwards */
    uint64_t memory_bytes, anonymous_bytes;
} target_figures;

/** Whether one target can be measured by both workloads. */
bool target_serves(const bench_workload *workload, const bench_workload *other);

/**
 * Opens a storage, and fills it as the workload asks.
 *
 * @param backend   "lmdb", "journal+redis", ...
 * @param workspace borrowed, as workload and backend: must outlive it
 * @param ret       owned: target_close()
 * @return UTAPI_NOT_SUPPORTED for an unknown name
 */
UTAPI_MUST_USE utapi_status target_open(const bench_workspace *workspace, const char *backend,
                                        bench_transport transport, const bench_workload *workload,
                                        bench_target **ret, utapi_error *err);
void target_close(bench_target *self);

/** Measures a workload once. */
UTAPI_MUST_USE utapi_status target_measure(bench_target *self, const bench_workload *workload,
                                           target_figures *ret, utapi_error *err);

/** The interval in which a workload's events happen; the questions of floors are about the same one. */
int64_t target_origin_ms(const bench_target *self);

/** Runs a workload's load on a server that was started for something else: a floor. */
UTAPI_MUST_USE utapi_status target_load_http(const bench_workload *workload, bench_generator *generator,
                                             const http_endpoint *endpoint, const load_options *options,
                                             load_result *ret, size_t *ret_answer_bytes, utapi_error *err);

/** A generator that begins at a seed. */
bench_generator target_generator(const bench_workload *workload, uint64_t seed, int64_t origin_ms);

#endif
