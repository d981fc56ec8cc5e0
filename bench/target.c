/* SPDX-License-Identifier: Apache-2.0 */
/* target.c - what both transports share: filling, measuring, waiting until a journal is empty. */
#include "target.h"

#include "http_health.h"
#include "interrupt.h"
#include "load_http.h"
#include "load_process.h"
#include "raw_lmdb.h"
#include "target_storage.h"
#include "utapi/clock.h"
#include "utapi/scoped.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { FILL_BATCH = 1000, FILL_CLIENTS = 4, DRAIN_WAIT_S = 300, DRAIN_ROUND_NS = 2000000 };

struct bench_target {
    const bench_workspace *workspace;
    bench_transport transport;
    bench_generator generator;
    target_storage storage;
};

UTAPI_AUTO_DEFINE(bench_target, target_close)

bool target_serves(const bench_workload *workload, const bench_workload *other)
{
    return workload->buckets == other->buckets && workload->history == other->history &&
           workload->known_uuids == other->known_uuids && workload->late_filled == other->late_filled &&
           (workload->kind == BENCH_ROLLOVER) == (other->kind == BENCH_ROLLOVER) &&
           (workload->kind == BENCH_LIST) == (other->kind == BENCH_LIST);
}

bench_generator target_generator(const bench_workload *workload, uint64_t seed, int64_t origin_ms)
{
    return (bench_generator){.workload = workload,
                             .origin_ms = origin_ms,
                             .random = seed,
                             .uuid_salt = seed + UINT64_C(0x5851F42D4C957F2D)};
}

int64_t target_origin_ms(const bench_target *self)
{
    return self->generator.origin_ms;
}

/* ---- loads -------------------------------------------------------------------------------- */

utapi_status target_load_http(const bench_workload *workload, bench_generator *generator,
                              const http_endpoint *endpoint, const load_options *options, load_result *ret,
                              size_t *ret_answer_bytes, utapi_error *err)
{
    load_http *http;
    utapi_status status = load_http_new(workload, generator, endpoint, options->clients, &http, err);
    if (status != UTAPI_OK)
        return status;
    const load_transport transport = load_http_transport(http);
    status = load_run(&transport, options, generator, ret, err);
    *ret_answer_bytes = load_http_answer_bytes(http);
    load_http_free(http);
    return status;
}

static utapi_status load_engine(bench_target *self, const bench_workload *workload,
                                const load_options *options, load_result *ret, utapi_error *err)
{
    load_process *process;
    utapi_status status = load_process_new(workload, &self->generator, self->storage.engine, options->clients,
                                           self->generator.batch, &process, err);
    if (status != UTAPI_OK)
        return status;
    const load_transport transport = load_process_transport(process);
    status = load_run(&transport, options, &self->generator, ret, err);
    load_process_free(process);
    return status;
}

static utapi_status run_load(bench_target *self, const bench_workload *workload, const load_options *options,
                             target_figures *ret, utapi_error *err)
{
    if (self->transport == BENCH_IN_PROCESS)
        return load_engine(self, workload, options, &ret->load, err);
    return target_load_http(workload, &self->generator, &self->storage.endpoint, options, &ret->load,
                            &ret->answer_bytes, err);
}

static utapi_status count_waiting(bench_target *self, uint64_t *ret, utapi_error *err)
{
    if (self->transport == BENCH_HTTP)
        return http_health_waiting(&self->storage.endpoint, ret, err);
    utapi_health health;
    const utapi_status status = utapi_engine_health(self->storage.engine, &health, err);
    if (status == UTAPI_OK)
        *ret = health.journal.waiting;
    return status;
}

/* Where there is a journal: waits until nothing waits in it. */
static utapi_status wait_for_journal(bench_target *self, utapi_error *err)
{
    const int64_t begin_ns = utapi_monotonic_ns();
    for (;;) {
        uint64_t waiting;
        const utapi_status status = count_waiting(self, &waiting, err);
        if (status != UTAPI_OK || waiting == 0)
            return status;
        if (bench_is_interrupted() || utapi_monotonic_ns() - begin_ns > DRAIN_WAIT_S * INT64_C(1000000000))
            return utapi_fail(err, UTAPI_UNAVAILABLE, "%llu events still wait in the journal",
                              (unsigned long long)waiting);
        (void)nanosleep(&(struct timespec){.tv_nsec = DRAIN_ROUND_NS}, NULL);
    }
}

static utapi_status fail_if_refused(const load_result *result, const char *doing, utapi_error *err)
{
    if (result->failed == 0)
        return UTAPI_OK;
    return utapi_fail(err, UTAPI_UNAVAILABLE, "%s: %llu requests failed; the first: %s", doing,
                      (unsigned long long)result->failed, result->failure);
}

static utapi_status fill(bench_target *self, const bench_workload *workload, utapi_error *err)
{
    UTAPI_AUTO_FREE target_figures *figures = calloc(1, sizeof *figures);
    if (figures == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "figures");
    /* Where a bucket has several rows they come in the order of time, and so through one client. */
    bench_workload plain = *workload;
    plain.uuids = false;
    self->generator.workload = &plain;
    bench_generator_fill(&self->generator);
    const load_options options = {.clients = workload->history > 1 ? 1 : FILL_CLIENTS};
    utapi_status status = run_load(self, &plain, &options, figures, err);
    if (status == UTAPI_OK)
        status = fail_if_refused(&figures->load, "filling", err);
    if (status == UTAPI_OK)
        status = wait_for_journal(self, err);
    self->generator.workload = workload;
    return status;
}

/* Uuids by the hundred million, which the engine would take a quarter of an hour for. */
static utapi_status fill_uuids(bench_target *self, const bench_workload *workload, utapi_error *err)
{
    if (workload->known_uuids == 0)
        return UTAPI_OK;
    target_storage_stop(&self->storage);
    const utapi_status status =
        raw_lmdb_add_uuids(self->storage.data, workload->known_uuids, self->generator.origin_ms, err);
    return status == UTAPI_OK ? target_storage_start(&self->storage, err) : status;
}

/* ---- life --------------------------------------------------------------------------------- */

utapi_status target_open(const bench_workspace *workspace, const char *backend, bench_transport transport,
                         const bench_workload *workload, bench_target **ret, utapi_error *err)
{
    UTAPI_AUTO(bench_target) *self = calloc(1, sizeof *self);
    if (self == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a target");
    const bench_options *options = workspace->options;
    /* The last whole interval; each repetition of a rollover takes the next one. */
    const int64_t ahead = workload->kind == BENCH_ROLLOVER ? options->repeat : 0;
    const int64_t origin_ms = utapi_interval_of(utapi_wall_ms()) - (1 + ahead) * UTAPI_INTERVAL_MS;
    self->workspace = workspace;
    self->transport = transport;
    self->generator = target_generator(workload, options->seed, origin_ms);
    if (options->url != NULL) /* it may have seen the events of another run */
        self->generator.uuid_salt += (uint64_t)utapi_wall_ms() << 20;
    utapi_status status = target_storage_open(&self->storage, workspace, backend, transport, err);
    if (status == UTAPI_OK)
        status = fill(self, workload, err);
    if (status == UTAPI_OK)
        status = fill_uuids(self, workload, err);
    if (status == UTAPI_OK)
        *ret = UTAPI_TAKE(self);
    return status;
}

void target_close(bench_target *self)
{
    if (self == NULL)
        return;
    target_storage_close(&self->storage);
    free(self);
}

/* ---- measuring ---------------------------------------------------------------------------- */

/* Ends the server and starts it again, for as long as a repetition lasts. */
static utapi_status measure_start(bench_target *self, target_figures *ret, utapi_error *err)
{
    const int64_t begin_ns = utapi_monotonic_ns();
    const double most_s = self->workspace->options->duration_s;
    ret->load = (load_result){.seconds = 0};
    do {
        target_storage_stop(&self->storage);
        const int64_t start_ns = utapi_monotonic_ns();
        const utapi_status status = target_storage_start(&self->storage, err);
        const int64_t took_ns = utapi_monotonic_ns() - start_ns;
        if (status != UTAPI_OK)
            return status;
        histogram_add(&ret->load.latency, took_ns);
        ret->load.requests++;
        ret->load.seconds += (double)took_ns / 1e9;
    } while (!bench_is_interrupted() && (double)(utapi_monotonic_ns() - begin_ns) / 1e9 < most_s);
    return UTAPI_OK;
}

/* What a closed loop reaches, in requests a second. */
static utapi_status measure_closed(bench_target *self, const bench_workload *workload, double *ret,
                                   utapi_error *err)
{
    UTAPI_AUTO_FREE target_figures *figures = calloc(1, sizeof *figures);
    if (figures == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "figures");
    const load_options options = {.clients = workload->clients,
                                  .duration_s = self->workspace->options->duration_s};
    utapi_status status = run_load(self, workload, &options, figures, err);
    if (status == UTAPI_OK)
        status = fail_if_refused(&figures->load, "the closed loop", err);
    if (status == UTAPI_OK)
        status = wait_for_journal(self, err);
    if (status == UTAPI_OK && figures->load.requests == 0)
        status =
            utapi_fail(err, UTAPI_UNAVAILABLE, "no request was answered within %g s", options.duration_s);
    if (status == UTAPI_OK)
        *ret = (double)figures->load.requests / figures->load.seconds;
    return status;
}

utapi_status target_measure(bench_target *self, const bench_workload *workload, target_figures *ret,
                            utapi_error *err)
{
    const bench_options *asked = self->workspace->options;
    load_options options = {.clients = workload->clients,
                            .rate = asked->rate,
                            .duration_s = workload->kind == BENCH_ROLLOVER ? 0 : asked->duration_s};
    *ret = (target_figures){.answer_bytes = 0};
    self->generator.workload = workload;
    bench_generator_measure(&self->generator);
    if (asked->load > 0) {
        double closed_per_s = 0;
        const utapi_status status = measure_closed(self, workload, &closed_per_s, err);
        if (status != UTAPI_OK)
            return status;
        options.rate = closed_per_s * asked->load / 100;
        bench_generator_measure(&self->generator);
    }
    const int64_t begin_ns = utapi_monotonic_ns();
    utapi_status status = workload->kind == BENCH_START ? measure_start(self, ret, err)
                                                        : run_load(self, workload, &options, ret, err);
    if (status == UTAPI_OK)
        status = wait_for_journal(self, err);
    if (self->storage.has_journal && ret->load.events > 0)
        ret->applied_per_s = (double)(self->generator.serial - self->generator.first) /
                             ((double)(utapi_monotonic_ns() - begin_ns) / 1e9);
    ret->has_memory = child_memory(&self->storage.server, &ret->memory_bytes, &ret->anonymous_bytes);
    return status;
}
