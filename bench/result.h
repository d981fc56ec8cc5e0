/* SPDX-License-Identifier: Apache-2.0 */
/**
 * result.h - what a run found out: a series of figures for each workload, and the same as a JSON document.
 */
#ifndef BENCH_RESULT_H
#define BENCH_RESULT_H

#include "floors.h"
#include "target.h"

#include <jansson.h>

/** A figure of each repetition. */
typedef struct bench_series {
    unsigned count;
    double values[BENCH_REPEATS_MAX];
} bench_series;

void series_add(bench_series *series, double value);

/** 0 for an empty series. */
double series_median(const bench_series *series);
double series_least(const bench_series *series);
double series_most(const bench_series *series);

/** The median distance from the median, which one outlier does not move. 0 for fewer than two values. */
double series_deviation(const bench_series *series);

/** The figures that a line has; the order is that of the document. */
typedef enum bench_figure {
    FIGURE_PER_S,
    FIGURE_P50_US,
    FIGURE_P99_US,
    FIGURE_P999_US,
    FIGURE_MAX_US,
    FIGURE_APPLIED_PER_S, /* with a journal: what the storage behind it took */
    FIGURES
} bench_figure;

/** Their names in the document: "per_s", "p50_us", ... Static storage. */
extern const char *const bench_figure_names[FIGURES];

enum { FLOORS_MAX = 6 };

/** One line: a workload on a storage, by a transport. */
typedef struct bench_result {
    const bench_workload *workload;
    const char *backend;
    bench_transport transport;
    bench_series figures[FIGURES]; /* those that do not apply are empty */
    uint64_t requests, failed, unsent;
    char failure[160];
    bool has_memory; /* the server's, after the last repetition */
    uint64_t memory_bytes, anonymous_bytes;
    unsigned floor_count;
    struct {
        const bench_floor *floor;
        bench_series per_s;
    } floors[FLOORS_MAX];
} bench_result;

/** Adds a repetition's figures. */
void bench_result_add(bench_result *result, const target_figures *figures);

/** The disk's own speed, measured when a run begins. */
typedef struct bench_disk {
    double syncs_per_s, p50_us, p99_us;
} bench_disk;

/** The head of a run's document, with an empty array of results. NULL: out of memory. Owned: json_decref(). */
json_t *bench_document_new(const bench_options *options, const bench_host *host, const bench_disk *disk);

/** Adds a line to it; false if out of memory. */
bool bench_document_add(json_t *document, const bench_result *result);

/** Whether a document that is to be written to a file goes to stdout: "-". NULL is no file. */
bool bench_document_is_stdout(const char *path);

/** Whether a document can be written to a file, which is left as it is; says on stderr why not. */
bool bench_document_is_writable(const char *path);

/** Writes a document to a file; says on stderr what goes wrong. */
bool bench_document_write(const json_t *document, const char *path);

/** Reads one; says on stderr what is wrong with it. NULL then. Owned. */
json_t *bench_document_read(const char *path);

/** "ingest.64 lmdb http": what tells a line of a document from the others. */
void bench_line_name(const json_t *line, char *ret, size_t size);

/** The median of a figure of a line; false if it has none. least and most may be NULL. */
bool bench_line_figure(const json_t *line, const char *figure, double *ret_median, double *ret_least,
                       double *ret_most, size_t *ret_repeats);

/** series_deviation() of a figure's repetitions; 0 if it has none. */
double bench_line_deviation(const json_t *line, const char *figure);

#endif
