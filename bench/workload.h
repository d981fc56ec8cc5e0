/* SPDX-License-Identifier: Apache-2.0 */
/**
 * workload.h - what is measured: a row of the table of workloads.
 */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include <stdbool.h>

typedef enum bench_kind {
    BENCH_INGEST,   /* events into buckets taken by chance */
    BENCH_ROLLOVER, /* one event for each bucket, in an interval that none of them has a row in yet */
    BENCH_LIST,     /* questions */
    BENCH_MIXED,    /* both, by chance */
    BENCH_START     /* the server, until it listens, on a database that is there */
} bench_kind;

/** One workload: a row of the table in workload.c. */
typedef struct bench_workload {
    const char *name; /* "ingest.64": a group and a member of it */
    bench_kind kind;
    unsigned clients;        /* requests under way at the same time */
    unsigned batch;          /* events in one request */
    unsigned buckets;        /* that are known before it begins, and that it takes from */
    unsigned history;        /* intervals in which each of them has a row by then */
    bool uuids;              /* whether events bring one */
    unsigned known_uuids;    /* of the last day, that the storage remembers before it begins; LMDB alone */
    unsigned late_percent;   /* of the events: late by less than */
    unsigned late_intervals; /* so many, two at least; 0: a day */
    unsigned late_least;     /* and by so many at least; 0: one */
    unsigned
        late_filled; /* events of each bucket that came late, somewhere in its history, before it begins */
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

/** Events that one group of the committer takes at best: those of all clients. */
unsigned bench_workload_group_events(const bench_workload *workload);

#endif
