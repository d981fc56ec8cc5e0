/* SPDX-License-Identifier: Apache-2.0 */
/**
 * floors.h - what the machine can do without us: the same work by the barest means, measured in the same run.
 *
 * A figure divided by its floor says how much of the machine is left to the user, and hardly depends on the machine.
 */
#ifndef BENCH_FLOORS_H
#define BENCH_FLOORS_H

#include "histogram.h"
#include "workload.h"
#include "workspace.h"

/** What a floor is measured for. Borrowed. */
typedef struct floor_task {
    const bench_workspace *workspace;
    const bench_workload *workload;
    const char *backend;
    bench_transport transport;
    int64_t origin_ms;   /* of the target that is compared */
    size_t answer_bytes; /* of its answers */
    double seconds;      /* to measure for */
} floor_task;

/** @param ret_per_s  in the unit of the workload */
typedef utapi_status floor_measure_fn(const floor_task *task, double *ret_per_s, utapi_error *err);

typedef struct bench_floor {
    const char *name;
    floor_measure_fn *measure;
    unsigned kinds;      /* a bit for each bench_kind that it is a floor of */
    unsigned storages;   /* a bit for each storage; FLOOR_... */
    unsigned transports; /* a bit for each bench_transport */
    const char *help;    /* NULL: another row of that name has it */
} bench_floor;

enum { FLOOR_MEMORY = 1, FLOOR_LMDB = 2, FLOOR_REDIS = 4, FLOOR_JOURNAL = 8, FLOOR_ANY = 15 };

/** The most telling first; ends with a row without a name. Static storage. */
extern const bench_floor bench_floors[];

/** Whether it is a floor of that task. */
bool bench_floor_applies(const bench_floor *floor, const floor_task *task);

floor_measure_fn floor_sync;  /* floor_disk.c */
floor_measure_fn floor_lmdb;  /* floor_lmdb.c */
floor_measure_fn floor_redis; /* floor_redis.c */

/** Appends so many bytes to a file and syncs it, again and again; the durations are added to ret. */
UTAPI_MUST_USE utapi_status floor_disk_measure(const bench_workspace *workspace, size_t bytes, double seconds,
                                               histogram *ret, double *ret_per_s, utapi_error *err);

#endif
