/* SPDX-License-Identifier: Apache-2.0 */
/* floor_lmdb.c - LMDB alone: the same rows in as few transactions as there can be, or the same look-ups.
 *
 * A transaction takes what all clients send at once. Drawing requests and answering questions is taken to happen
 * beside the transactions, as it does in the meter: the longer of the two counts. */
#include "floors.h"

#include "interrupt.h"
#include "raw_lmdb.h"
#include "target.h"
#include "utapi/clock.h"

static utapi_status measure(raw_lmdb *raw, const floor_task *task, double *ret_per_s, utapi_error *err)
{
    const bool counts_events = bench_workload_counts_events(task->workload);
    const int64_t begin_ns = utapi_monotonic_ns();
    int64_t now_ns = begin_ns;
    int64_t storing_ns = 0;
    uint64_t count = 0;
    while ((double)(now_ns - begin_ns) < task->seconds * 1e9 && !bench_is_interrupted()) {
        unsigned requests, events;
        utapi_status status = raw_lmdb_draw(raw, &requests, &events, err);
        const int64_t drawn_ns = utapi_monotonic_ns();
        if (status == UTAPI_OK && events > 0)
            status = raw_lmdb_store(raw, err);
        if (status != UTAPI_OK)
            return status;
        count += counts_events ? events : requests;
        now_ns = utapi_monotonic_ns();
        storing_ns += now_ns - drawn_ns;
    }
    const int64_t drawing_ns = now_ns - begin_ns - storing_ns;
    *ret_per_s = (double)count * 1e9 / (double)(drawing_ns > storing_ns ? drawing_ns : storing_ns);
    return UTAPI_OK;
}

utapi_status floor_lmdb(const floor_task *task, double *ret_per_s, utapi_error *err)
{
    char folder[BENCH_PATH_MAX];
    const bench_generator generator =
        target_generator(task->workload, task->workspace->options->seed, task->origin_ms);
    raw_lmdb *raw = NULL;
    utapi_status status = bench_folder_make(task->workspace, folder, err);
    if (status != UTAPI_OK)
        return status;
    status = raw_lmdb_open(folder, &generator, bench_workload_group_events(task->workload), &raw, err);
    if (status == UTAPI_OK)
        status = measure(raw, task, ret_per_s, err);
    raw_lmdb_close(raw);
    bench_folder_remove(folder);
    return status;
}
