/* SPDX-License-Identifier: Apache-2.0 */
/**
 * load_process.h - requests to an engine in this process.
 *
 * Events are submitted as the HTTP server submits them and answered by the committer's thread; questions are
 * answered on the load's own thread.
 */
#ifndef BENCH_LOAD_PROCESS_H
#define BENCH_LOAD_PROCESS_H

#include "load.h"
#include "utapi/engine.h"

typedef struct load_process load_process;

/**
 * @param workload, generator, engine  borrowed: must outlive it
 * @param clients, batch            the most that a load will use
 * @param ret                       owned: load_process_free(), which waits for what is under way
 */
UTAPI_MUST_USE utapi_status load_process_new(const bench_workload *workload, bench_generator *generator,
                                             utapi_engine *engine, unsigned clients, unsigned batch,
                                             load_process **ret, utapi_error *err);
void load_process_free(load_process *self);

/** How load_run() reaches it. Valid as long as it lives. */
load_transport load_process_transport(load_process *self);

#endif
