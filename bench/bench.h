/* SPDX-License-Identifier: Apache-2.0 */
/**
 * bench.h - what the parts of utapi-bench share: a row of the table of workloads, and the options of a run.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include "utapi/status.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum bench_kind {
    BENCH_INGEST, /* events into buckets taken by chance */
    BENCH_TURN,   /* one event for each bucket, in an interval that none of them has a row in yet */
    BENCH_LIST,   /* questions */
    BENCH_MIXED,  /* both, by chance */
    BENCH_START   /* the server, until it listens, on a database that is there */
} bench_kind;

/** One workload: a row of the table in workload.c. */
typedef struct bench_workload {
    const char *name; /* "ingest.64": a group and a member of it */
    bench_kind kind;
    unsigned clients;          /* requests under way at the same time */
    unsigned batch;            /* events in one request */
    unsigned buckets;          /* that are known before it begins, and that it takes from */
    unsigned history;          /* intervals in which each of them has a row by then */
    bool uuids;                /* whether events bring one */
    unsigned known_uuids;      /* of the last day, that the storage remembers before it begins; LMDB alone */
    unsigned late_percent;     /* of the events: up to a day late */
    unsigned question_percent; /* of the requests of a mixed workload */
    unsigned names;            /* resources in one question */
    unsigned intervals;        /* in the range of a question */
    bool is_short;             /* part of --short */
    bool is_huge;              /* it needs minutes and much room, so it runs only if it is named in full */
    const char *help;
} bench_workload;

/** The table, which ends with a row without a name. Static storage. */
extern const bench_workload bench_workloads[];

/** Whether a word of the command line ("ingest", "ingest.64") names a workload. */
bool bench_workload_is(const bench_workload *workload, const char *word);

/** What a rate counts: "events", "questions", "requests" or "starts". Static storage. */
const char *bench_workload_unit(const bench_workload *workload);

/** Whether that is events; else it is requests, of whatever kind. */
bool bench_workload_counts_events(const bench_workload *workload);

/** Requests count as so many units. */
unsigned bench_workload_units(const bench_workload *workload);

typedef enum bench_transport { BENCH_IN_PROCESS, BENCH_HTTP, BENCH_TRANSPORTS } bench_transport;

/** "process" and "http". */
extern const char *const bench_transport_names[BENCH_TRANSPORTS];

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

/** Whether a signal asked us to end: what waits or loops looks at it. */
bool bench_is_interrupted(void);

#endif
