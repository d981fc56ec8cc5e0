/* SPDX-License-Identifier: Apache-2.0 */
/**
 * session.h - a storage that is filled and measured: opened in this process with an engine on it, or by a server
 * that a session starts and ends.
 *
 * A session serves all workloads that need the same filling. One thread at a time.
 */
#ifndef BENCH_SESSION_H
#define BENCH_SESSION_H

#include "http_text.h"
#include "load.h"
#include "world.h"

typedef struct bench_session bench_session;

/** What a measurement of a session brings. */
typedef struct session_figures {
    load_result load;
    size_t answer_bytes;  /* of a body, over HTTP */
    double applied_per_s; /* with a journal: events, until the storage behind it had them; else 0 */
    bool has_memory;      /* the server's, afterwards */
    uint64_t memory_bytes, anonymous_bytes;
} session_figures;

/** Whether two workloads can be measured in one session. */
bool session_serves(const bench_workload *workload, const bench_workload *other);

/**
 * Opens a storage, and fills it as the workload asks.
 *
 * @param backend   "lmdb", "journal+redis", ...
 * @param world     borrowed, as workload and backend: must outlive it
 * @param ret       owned: session_close()
 * @return UTAPI_NOT_SUPPORTED for an unknown name
 */
UTAPI_MUST_USE utapi_status session_open(const bench_world *world, const char *backend,
                                         bench_transport transport, const bench_workload *workload,
                                         bench_session **ret, utapi_error *err);
void session_close(bench_session *self);

/** Measures a workload once. */
UTAPI_MUST_USE utapi_status session_measure(bench_session *self, const bench_workload *workload,
                                            session_figures *ret, utapi_error *err);

/** The interval in which a workload's events happen; the questions of floors are about the same one. */
int64_t session_origin_ms(const bench_session *self);

/** Runs a workload's load on a server that was started for something else: a floor. */
UTAPI_MUST_USE utapi_status session_load_http(const bench_workload *workload, bench_source *source,
                                              const http_target *target, const load_options *options,
                                              load_result *ret, size_t *ret_answer_bytes, utapi_error *err);

/** A source that begins at a seed. */
bench_source session_source(const bench_workload *workload, uint64_t seed, int64_t origin_ms);

#endif
