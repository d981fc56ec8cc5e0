/* SPDX-License-Identifier: Apache-2.0 */
/* run.c - the loops of a run.
 *
 * Each repetition measures a line and its floors one after the other, so that both meet the same state of the machine.
 * A floor that several lines share is measured once for each repetition. */
#include "run.h"

#include "interrupt.h"
#include "plot.h"
#include "report.h"
#include "target_storage.h"
#include "utapi/scoped.h"

#include <stdio.h>
#include <string.h>

enum { CACHED_MAX = 4096, KEY_MAX = 128, SCALED_MAX = 2000000000 };

#define FLOOR_PART   0.5 /* of a repetition's time */
#define DISK_SECONDS 0.5

/* A floor that was measured. */
typedef struct cached_floor {
    char key[KEY_MAX];
    double per_s;
} cached_floor;

typedef struct bench_runner {
    const bench_options *options;
    bench_workspace workspace;
    json_t *document;
    FILE *report;   /* where the table goes */
    bool is_whole;  /* nothing went wrong */
    unsigned tried; /* lines */
    bench_target *target;
    const bench_workload *target_for; /* the workload that it was filled for */
    cached_floor *cache;              /* owned */
    size_t cached;
} bench_runner;

/* ---- floors ------------------------------------------------------------------------------- */

static void floor_key(const bench_floor *floor, const floor_task *task, unsigned repeat, char ret[KEY_MAX])
{
    const bench_workload *workload = task->workload;
    const bool is_start = workload->kind == BENCH_START; /* of the line's own storage */
    (void)snprintf(ret, KEY_MAX, "%s/%u/%d/%u/%u/%u/%u/%d/%u/%u/%u/%u/%u/%u/%zu%s%s", floor->name, repeat,
                   (int)workload->kind, workload->clients, workload->batch, workload->buckets,
                   workload->history, (int)workload->uuids, workload->late_percent, workload->late_intervals,
                   workload->late_least, workload->question_percent, workload->names, workload->intervals,
                   task->answer_bytes, is_start ? task->backend : "",
                   is_start ? bench_transport_names[task->transport] : "");
}

static utapi_status floor_measure(bench_runner *self, const bench_floor *floor, const floor_task *task,
                                  unsigned repeat, double *ret_per_s, utapi_error *err)
{
    char key[KEY_MAX];
    floor_key(floor, task, repeat, key);
    for (size_t i = 0; i < self->cached; i++) {
        if (strcmp(self->cache[i].key, key) == 0) {
            *ret_per_s = self->cache[i].per_s;
            return UTAPI_OK;
        }
    }
    const utapi_status status = floor->measure(task, ret_per_s, err);
    if (status == UTAPI_OK && self->cached < CACHED_MAX) {
        memcpy(self->cache[self->cached].key, key, sizeof key);
        self->cache[self->cached++].per_s = *ret_per_s;
    }
    return status;
}

/* A floor that cannot be measured leaves its line without a ratio, and is told of once. */
static void floors_measure(bench_runner *self, bench_result *result, size_t answer_bytes, unsigned repeat)
{
    const floor_task task = {.workspace = &self->workspace,
                             .workload = result->workload,
                             .backend = result->backend,
                             .transport = result->transport,
                             .origin_ms = target_origin_ms(self->target),
                             .answer_bytes = answer_bytes,
                             .seconds = self->options->duration_s * FLOOR_PART};
    unsigned count = 0;
    for (const bench_floor *floor = bench_floors; floor->name != NULL && self->options->floors; floor++) {
        if (!bench_floor_applies(floor, &task) || count == FLOORS_MAX || bench_is_interrupted())
            continue;
        utapi_error err;
        utapi_error_clear(&err);
        double per_s;
        result->floors[count].floor = floor;
        if (floor_measure(self, floor, &task, repeat, &per_s, &err) == UTAPI_OK) {
            series_add(&result->floors[count].per_s, per_s);
        } else if (repeat == 0) {
            fprintf(stderr, "utapi-bench: floor %s: %s\n", floor->name, err.detail);
            self->is_whole = false;
        }
        count++;
    }
    result->floor_count = count;
}

/* ---- lines -------------------------------------------------------------------------------- */

static utapi_status line_measure(bench_runner *self, bench_result *result, utapi_error *err)
{
    UTAPI_AUTO_FREE target_figures *figures = calloc(1, sizeof *figures);
    if (figures == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "figures");
    for (unsigned repeat = 0; repeat < self->options->repeat; repeat++) {
        const utapi_status status = target_measure(self->target, result->workload, figures, err);
        if (status != UTAPI_OK)
            return status;
        bench_result_add(result, figures);
        floors_measure(self, result, figures->answer_bytes, repeat);
        if (bench_is_interrupted())
            return utapi_fail(err, UTAPI_UNAVAILABLE, "interrupted");
    }
    if (series_median(&result->figures[FIGURE_PER_S]) <= 0)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "no request was answered within %g s",
                          self->options->duration_s);
    return UTAPI_OK;
}

static utapi_status target_prepare(bench_runner *self, const bench_workload *workload, const char *backend,
                                   bench_transport transport, utapi_error *err)
{
    if (self->target != NULL && target_serves(self->target_for, workload))
        return UTAPI_OK;
    target_close(self->target);
    self->target = NULL;
    self->target_for = workload;
    return target_open(&self->workspace, backend, transport, workload, &self->target, err);
}

static utapi_status line_run(bench_runner *self, const bench_workload *workload, const char *backend,
                             bench_transport transport)
{
    utapi_error err;
    utapi_error_clear(&err);
    UTAPI_AUTO_FREE bench_result *result = calloc(1, sizeof *result);
    utapi_status status = UTAPI_NO_MEMORY;
    if (result != NULL) {
        *result = (bench_result){.workload = workload, .backend = backend, .transport = transport};
        status = target_prepare(self, workload, backend, transport, &err);
        if (status == UTAPI_OK)
            status = line_measure(self, result, &err);
    }
    if (result == NULL || status != UTAPI_OK) {
        report_missing(self->report, workload, backend, transport, &err);
        self->is_whole = false;
        target_close(self->target);
        self->target = NULL;
        return status;
    }
    report_line(self->report, result);
    const bool is_added = bench_document_add(self->document, result);
    self->is_whole = self->is_whole && is_added && result->failed == 0;
    return UTAPI_OK;
}

/* ---- the whole ---------------------------------------------------------------------------- */

static bool is_chosen(const bench_options *options, const bench_workload *workload)
{
    for (unsigned i = 0; i < options->word_count; i++)
        if (bench_workload_is(workload, options->words[i]))
            return true;
    return options->word_count == 0 && !workload->is_huge && (workload->is_short || !options->is_short);
}

static unsigned scaled(unsigned number, double scale)
{
    const double product = (double)number * scale;
    return number <= 1 || product < 1 ? 1 : product > SCALED_MAX ? SCALED_MAX : (unsigned)product;
}

/* The rows of the table that are chosen, smaller by the scale. Owned; ends with a row without a name. */
static bench_workload *workloads_choose(const bench_options *options)
{
    size_t count = 0;
    size_t rows = 0;
    while (bench_workloads[rows].name != NULL)
        rows++;
    bench_workload *chosen = calloc(rows + 1, sizeof *chosen);
    for (size_t i = 0; i < rows && chosen != NULL; i++) {
        if (!is_chosen(options, &bench_workloads[i]))
            continue;
        bench_workload *workload = &chosen[count++];
        *workload = bench_workloads[i];
        workload->buckets = scaled(workload->buckets, options->scale);
        workload->history = scaled(workload->history, options->scale);
        workload->late_filled = workload->late_filled > 0 ? scaled(workload->late_filled, options->scale) : 0;
        if (workload->late_intervals > 0)
            workload->late_intervals = 1 + scaled(workload->late_intervals, options->scale);
        if (workload->late_least > 0)
            workload->late_least = scaled(workload->late_least, options->scale);
        if (workload->known_uuids > 0)
            workload->known_uuids = scaled(workload->known_uuids, options->scale);
        if (workload->intervals > 0)
            workload->intervals = scaled(workload->intervals, options->scale);
    }
    return chosen;
}

/* Why there is nothing to measure; NULL: there is. */
static const char *why_senseless(const bench_runner *self, const bench_workload *workload,
                                 const char *backend)
{
    const bool is_start = workload->kind == BENCH_START;
    if (is_start && (self->options->url != NULL || strstr(backend, "memory") != NULL))
        return "a start needs a server of our own, on a storage that keeps what it has";
    if (workload->known_uuids > 0 && strstr(backend, "lmdb") == NULL)
        return "it is for lmdb alone";
    if (self->options->load > 0 && (is_start || workload->kind == BENCH_ROLLOVER))
        return "it has no rate that a load could be a part of";
    return NULL;
}

static void storage_run(bench_runner *self, const bench_workload *workloads, const char *backend,
                        bench_transport transport)
{
    if (!self->options->has_transports && !target_storage_can(backend, transport)) {
        report_skipped(self->report, backend, transport);
        return;
    }
    utapi_status status = UTAPI_OK;
    for (const bench_workload *workload = workloads; workload->name != NULL; workload++) {
        if (status == UTAPI_NOT_SUPPORTED)
            break; /* no other workload would fare better */
        if (bench_is_interrupted())
            break;
        const char *reason = why_senseless(self, workload, backend);
        if (reason == NULL) {
            self->tried++;
            status = line_run(self, workload, backend, transport);
        } else if (self->options->word_count > 0) {
            report_senseless(self->report, workload, backend, transport, reason);
        }
    }
    target_close(self->target);
    self->target = NULL;
}

static utapi_status begin(bench_runner *self, utapi_error *err)
{
    bench_host host;
    bench_disk disk;
    UTAPI_AUTO_FREE histogram *durations = calloc(1, sizeof *durations);
    self->cache = calloc(CACHED_MAX, sizeof *self->cache);
    if (durations == NULL || self->cache == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a run");
    utapi_status status = bench_workspace_init(&self->workspace, self->options, err);
    if (status == UTAPI_OK)
        status = floor_disk_measure(&self->workspace, 4096, DISK_SECONDS, durations, &disk.syncs_per_s, err);
    if (status != UTAPI_OK)
        return status;
    disk.p50_us = (double)histogram_quantile_ns(durations, 0.5) / 1000.0;
    disk.p99_us = (double)histogram_quantile_ns(durations, 0.99) / 1000.0;
    bench_host_read(&self->workspace, &host);
    self->document = bench_document_new(self->options, &host, &disk);
    if (self->document == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "the document");
    report_head(self->report, self->options, &host, &disk);
    return UTAPI_OK;
}

static void finish(bench_runner *self)
{
    const bench_options *options = self->options;
    if (bench_is_interrupted()) {
        fprintf(stderr, "utapi-bench: interrupted%s\n",
                options->json != NULL || options->plot != NULL ? ": no figures are written" : "");
        return;
    }
    if (self->tried == 0) {
        fprintf(stderr, "utapi-bench: nothing was measured: what was chosen makes no sense together\n");
        self->is_whole = false;
        return;
    }
    if (options->floors)
        report_foot(self->report);
    if (options->json != NULL && !bench_document_write(self->document, options->json))
        self->is_whole = false;
    if (options->plot != NULL && !bench_plot(self->document, options->plot))
        self->is_whole = false;
}

bool bench_run(const bench_options *options)
{
    bench_runner self = {.options = options,
                         .report = bench_document_is_stdout(options->json) ? stderr : stdout,
                         .is_whole = true};
    utapi_error err;
    utapi_error_clear(&err);
    if (options->json != NULL && !bench_document_is_writable(options->json))
        return false;
    if (options->plot != NULL && !bench_plot_is_possible(options->plot))
        return false;
    UTAPI_AUTO_FREE bench_workload *workloads = workloads_choose(options);
    if (workloads == NULL) {
        fprintf(stderr, "utapi-bench: out of memory\n");
        return false;
    }
    const utapi_status status = begin(&self, &err);
    if (status != UTAPI_OK) {
        fprintf(stderr, "utapi-bench: %s\n", err.detail);
        self.is_whole = false;
    }
    for (unsigned i = 0; i < options->backend_count && status == UTAPI_OK; i++)
        for (unsigned transport = 0; transport < BENCH_TRANSPORTS; transport++)
            if (options->transports[transport])
                storage_run(&self, workloads, options->backends[i], (bench_transport)transport);
    if (status == UTAPI_OK)
        finish(&self);
    json_decref(self.document);
    free(self.cache);
    bench_workspace_done(&self.workspace);
    return self.is_whole;
}
