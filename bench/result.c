/* SPDX-License-Identifier: Apache-2.0 */
/* result.c - series, and the document that a run leaves: README.md describes it. */
#include "result.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { DOCUMENT_FORMAT = 1 };

const char *const bench_figure_names[FIGURES] = {
    [FIGURE_PER_S] = "per_s",      [FIGURE_P50_US] = "p50_us", [FIGURE_P99_US] = "p99_us",
    [FIGURE_P999_US] = "p99.9_us", [FIGURE_MAX_US] = "max_us", [FIGURE_APPLIED_PER_S] = "applied_per_s",
};

/* ---- series ------------------------------------------------------------------------------- */

void series_add(bench_series *series, double value)
{
    assert(series->count < BENCH_REPEATS_MAX);
    series->values[series->count++] = value;
}

static int value_order(const void *left, const void *right)
{
    const double a = *(const double *)left;
    const double b = *(const double *)right;
    return (a > b) - (a < b);
}

double series_median(const bench_series *series)
{
    double sorted[BENCH_REPEATS_MAX];
    if (series->count == 0)
        return 0;
    memcpy(sorted, series->values, series->count * sizeof *sorted);
    qsort(sorted, series->count, sizeof *sorted, value_order);
    const unsigned middle = series->count / 2;
    return series->count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

double series_least(const bench_series *series)
{
    double least = series->count > 0 ? series->values[0] : 0;
    for (unsigned i = 1; i < series->count; i++)
        least = series->values[i] < least ? series->values[i] : least;
    return least;
}

double series_most(const bench_series *series)
{
    double most = series->count > 0 ? series->values[0] : 0;
    for (unsigned i = 1; i < series->count; i++)
        most = series->values[i] > most ? series->values[i] : most;
    return most;
}

double series_deviation(const bench_series *series)
{
    const double median = series_median(series);
    bench_series distances = {.count = 0};
    for (unsigned i = 0; i < series->count; i++)
        series_add(&distances, fabs(series->values[i] - median));
    return series_median(&distances);
}

/* ---- results ------------------------------------------------------------------------------ */

static double quantile_us(const load_result *result, double part)
{
    return (double)histogram_quantile_ns(&result->latency, part) / 1000.0;
}

void bench_result_add(bench_result *result, const target_figures *figures)
{
    const load_result *measured = &figures->load;
    const bool counts_events = bench_workload_counts_events(result->workload);
    const uint64_t units = counts_events ? measured->events : measured->requests;
    series_add(&result->figures[FIGURE_PER_S], measured->seconds > 0 ? (double)units / measured->seconds : 0);
    series_add(&result->figures[FIGURE_P50_US], quantile_us(measured, 0.5));
    series_add(&result->figures[FIGURE_P99_US], quantile_us(measured, 0.99));
    series_add(&result->figures[FIGURE_P999_US], quantile_us(measured, 0.999));
    series_add(&result->figures[FIGURE_MAX_US], quantile_us(measured, 1));
    if (figures->applied_per_s > 0)
        series_add(&result->figures[FIGURE_APPLIED_PER_S], figures->applied_per_s);
    result->requests += measured->requests;
    result->unsent += measured->unsent;
    if (measured->failed > 0 && result->failed == 0)
        memcpy(result->failure, measured->failure, sizeof result->failure);
    result->failed += measured->failed;
    result->has_memory = figures->has_memory;
    result->memory_bytes = figures->memory_bytes;
    result->anonymous_bytes = figures->anonymous_bytes;
}

/* ---- the document ------------------------------------------------------------------------- */

json_t *bench_document_new(const bench_options *options, const bench_host *host, const bench_disk *disk)
{
    char when[32] = "";
    const time_t now = time(NULL);
    struct tm parts;
    if (gmtime_r(&now, &parts) != NULL)
        (void)strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return json_pack(
        "{s:i, s:s, s:I, s:i, s:f, s:f, s:f, s:f, s:{s:s, s:I, s:I, s:s, s:s, s:s}, s:{s:f, s:f, s:f}, s:[]}",
        "format", DOCUMENT_FORMAT, "when", when, "seed", (json_int_t)options->seed, "repeat",
        (int)options->repeat, "duration_s", options->duration_s, "rate", options->rate, "load", options->load,
        "scale", options->scale, "machine", "cpu", host->cpu, "cores", (json_int_t)host->cores,
        "memory_bytes", (json_int_t)host->memory_bytes, "kernel", host->kernel, "file_system",
        host->file_system, "versions", host->versions, "disk", "syncs_per_s", disk->syncs_per_s, "p50_us",
        disk->p50_us, "p99_us", disk->p99_us, "results");
}

static json_t *series_json(const bench_series *series)
{
    json_t *repeats = json_array();
    for (unsigned i = 0; i < series->count; i++)
        (void)json_array_append_new(repeats, json_real(series->values[i]));
    return json_pack("{s:f, s:f, s:f, s:o}", "median", series_median(series), "least", series_least(series),
                     "most", series_most(series), "repeats", repeats);
}

static json_t *floors_json(const bench_result *result)
{
    json_t *floors = json_array();
    const double per_s = series_median(&result->figures[FIGURE_PER_S]);
    for (unsigned i = 0; i < result->floor_count; i++) {
        const double floor_per_s = series_median(&result->floors[i].per_s);
        (void)json_array_append_new(floors,
                                    json_pack("{s:s, s:o, s:f}", "name", result->floors[i].floor->name,
                                              "per_s", series_json(&result->floors[i].per_s), "ratio",
                                              floor_per_s > 0 ? per_s / floor_per_s : 0.0));
    }
    return floors;
}

bool bench_document_add(json_t *document, const bench_result *result)
{
    const bench_workload *workload = result->workload;
    json_t *line = json_pack(
        "{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:b, s:I, s:I, s:I, s:o}", "workload", workload->name,
        "backend", result->backend, "transport", bench_transport_names[result->transport], "unit",
        bench_workload_unit(workload), "clients", (int)workload->clients, "batch", (int)workload->batch,
        "buckets", (int)workload->buckets, "history", (int)workload->history, "uuids", (int)workload->uuids,
        "requests", (json_int_t)result->requests, "failed", (json_int_t)result->failed, "unsent",
        (json_int_t)result->unsent, "floors", floors_json(result));
    if (line == NULL)
        return false;
    for (unsigned i = 0; i < FIGURES; i++)
        if (result->figures[i].count > 0)
            (void)json_object_set_new(line, bench_figure_names[i], series_json(&result->figures[i]));
    if (result->has_memory)
        (void)json_object_set_new(line, "server",
                                  json_pack("{s:I, s:I}", "memory_bytes", (json_int_t)result->memory_bytes,
                                            "anonymous_bytes", (json_int_t)result->anonymous_bytes));
    return json_array_append_new(json_object_get(document, "results"), line) == 0;
}

bool bench_document_is_stdout(const char *path)
{
    return path != NULL && strcmp(path, "-") == 0;
}

bool bench_document_is_writable(const char *path)
{
    if (bench_document_is_stdout(path))
        return true;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    const bool is_new = fd >= 0;
    if (!is_new && errno == EEXIST)
        fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        fprintf(stderr, "utapi-bench: %s: %s\n", path, strerror(errno));
        return false;
    }
    (void)close(fd);
    if (is_new)
        (void)unlink(path);
    return true;
}

bool bench_document_write(const json_t *document, const char *path)
{
    const size_t flags = JSON_INDENT(1) | JSON_REAL_PRECISION(7);
    const bool is_written = bench_document_is_stdout(path) ? json_dumpf(document, stdout, flags) == 0 &&
                                                                 puts("") != EOF && fflush(stdout) == 0
                                                           : json_dump_file(document, path, flags) == 0;
    if (!is_written)
        fprintf(stderr, "utapi-bench: %s: it cannot be written\n", path);
    return is_written;
}

json_t *bench_document_read(const char *path)
{
    json_error_t error;
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        fprintf(stderr, "utapi-bench: %s: %s\n", path, strerror(errno));
        return NULL;
    }
    json_t *document = json_loadf(file, JSON_REJECT_DUPLICATES, &error);
    (void)fclose(file);
    if (document == NULL) {
        fprintf(stderr, "utapi-bench: %s: line %d: %s\n", path, error.line, error.text);
    } else if (json_integer_value(json_object_get(document, "format")) != DOCUMENT_FORMAT ||
               !json_is_array(json_object_get(document, "results"))) {
        fprintf(stderr, "utapi-bench: %s: this is no document of utapi-bench, format %d\n", path,
                DOCUMENT_FORMAT);
        json_decref(document);
        document = NULL;
    }
    return document;
}

static const char *text_of(const json_t *line, const char *name)
{
    const char *text = json_string_value(json_object_get(line, name));
    return text != NULL ? text : "?";
}

void bench_line_name(const json_t *line, char *ret, size_t size)
{
    (void)snprintf(ret, size, "%s %s %s", text_of(line, "workload"), text_of(line, "backend"),
                   text_of(line, "transport"));
}

bool bench_line_figure(const json_t *line, const char *figure, double *ret_median, double *ret_least,
                       double *ret_most, size_t *ret_repeats)
{
    const json_t *series = json_object_get(line, figure);
    const json_t *median = json_object_get(series, "median");
    if (!json_is_number(median))
        return false;
    *ret_median = json_number_value(median);
    if (ret_least != NULL)
        *ret_least = json_number_value(json_object_get(series, "least"));
    if (ret_most != NULL)
        *ret_most = json_number_value(json_object_get(series, "most"));
    if (ret_repeats != NULL)
        *ret_repeats = json_array_size(json_object_get(series, "repeats"));
    return true;
}

double bench_line_deviation(const json_t *line, const char *figure)
{
    bench_series series = {.count = 0};
    size_t i;
    json_t *value;
    json_array_foreach (json_object_get(json_object_get(line, figure), "repeats"), i, value)
        if (series.count < BENCH_REPEATS_MAX)
            series_add(&series, json_number_value(value));
    return series_deviation(&series);
}
