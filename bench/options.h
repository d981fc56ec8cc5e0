/* SPDX-License-Identifier: Apache-2.0 */
/**
 * options.h - what the command line asks a run for.
 */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

typedef enum bench_transport { BENCH_IN_PROCESS, BENCH_HTTP, BENCH_TRANSPORTS } bench_transport;

/** "process" and "http". */
static const char *const bench_transport_names[BENCH_TRANSPORTS] = {"process", "http"};

enum { BENCH_BACKENDS_MAX = 16, BENCH_REPEATS_MAX = 100 };

/** What the command line asks for. Strings are borrowed from it. */
typedef struct bench_options {
    const char *backends[BENCH_BACKENDS_MAX]; /* "lmdb", "journal+redis" */
    unsigned backend_count;
    bool has_backends; /* they were asked for */
    bool transports[BENCH_TRANSPORTS];
    bool has_transports; /* they were asked for; else a storage is measured by those that it can be */
    char *const *words;  /* names of workloads; none: all of them */
    unsigned word_count;
    bool is_short;
    unsigned repeat;
    double duration_s; /* of each repetition */
    double rate;       /* requests a second, open loop; 0: closed */
    double load;       /* percent of the closed loop's rate, open loop; 0: closed, or as rate says */
    double scale;      /* of the numbers of buckets and intervals */
    uint64_t seed;
    bool floors;
    const char *data;                    /* folder to store in; NULL: the temporary one */
    const char *redis;                   /* URI; NULL: a server of our own */
    const char *url;                     /* of a server that runs; NULL: one of our own */
    const char *utapid;                  /* its program; NULL: beside ours */
    const char *access_key, *secret_key; /* to sign with */
    const char *json, *plot;             /* where to write; NULL: nowhere */
} bench_options;

#endif
