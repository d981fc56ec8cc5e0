/* SPDX-License-Identifier: Apache-2.0 */
/**
 * workspace.h - where a run takes place: a temporary folder, programs, identities; and what is known of the machine.
 */
#ifndef BENCH_WORKSPACE_H
#define BENCH_WORKSPACE_H

#include "child.h"
#include "options.h"

enum { BENCH_PATH_MAX = 1024 };

typedef struct bench_workspace {
    const bench_options *options;
    char folder[BENCH_PATH_MAX]; /* made by bench_workspace_init(), removed by bench_workspace_done() */
    char log[BENCH_PATH_MAX];    /* what children say */
    char identities[BENCH_PATH_MAX];
    char self[BENCH_PATH_MAX];   /* this program */
    char utapid[BENCH_PATH_MAX]; /* beside it, unless the options say otherwise */
} bench_workspace;

UTAPI_MUST_USE utapi_status bench_workspace_init(bench_workspace *workspace, const bench_options *options,
                                                 utapi_error *err);
void bench_workspace_done(bench_workspace *workspace);

/** Makes a new folder in the run's own. */
UTAPI_MUST_USE utapi_status bench_folder_make(const bench_workspace *workspace, char ret[BENCH_PATH_MAX],
                                              utapi_error *err);

/** Removes a folder and all in it. */
void bench_folder_remove(const char *path);

/** The last line that a child has said on stderr; empty if there is none. */
void bench_log_last(const bench_workspace *workspace, char *ret, size_t size);

/** Starts a Redis of our own that keeps everything in memory, in a folder. UTAPI_UNAVAILABLE: not installed. */
UTAPI_MUST_USE utapi_status bench_redis_start(const bench_workspace *workspace, const char *folder,
                                              child *ret, utapi_error *err);

/** The path of its socket. */
void bench_redis_socket(const char *folder, char ret[BENCH_PATH_MAX]);

typedef struct bench_host {
    char cpu[128];
    long cores;
    uint64_t memory_bytes;
    char kernel[128];
    char file_system[64]; /* of the run's folder */
    char versions[256];   /* "utapi 0.1.0, lmdb 0.9.24, ..." */
} bench_host;

/** Finds out where we are. What cannot be found is "unknown". */
void bench_host_read(const bench_workspace *workspace, bench_host *ret);

#endif
