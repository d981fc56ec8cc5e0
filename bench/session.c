/* SPDX-License-Identifier: Apache-2.0 */
/* session.c - what both transports share: filling, measuring, waiting until a journal is empty. */
#include "session.h"

#include "http_health.h"
#include "load_http.h"
#include "load_process.h"
#include "raw_lmdb.h"
#include "session_storage.h"
#include "utapi/clock.h"
#include "utapi/scoped.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { FILL_BATCH = 1000, FILL_CLIENTS = 4, DRAIN_WAIT_S = 300, DRAIN_ROUND_NS = 2000000 };

struct bench_session {
    const bench_world *world;
    bench_transport transport;
    bench_source source;
    session_storage storage;
};

UTAPI_AUTO_DEFINE(bench_session, session_close)

bool session_serves(const bench_workload *workload, const bench_workload *other)
{
    return workload->buckets == other->buckets && workload->history == other->history &&
           workload->known_uuids == other->known_uuids &&
           (workload->kind == BENCH_TURN) == (other->kind == BENCH_TURN) &&
           (workload->kind == BENCH_LIST) == (other->kind == BENCH_LIST);
}

bench_source session_source(const bench_workload *workload, uint64_t seed, int64_t origin_ms)
{
    return (bench_source){.workload = workload,
                          .origin_ms = origin_ms,
                          .random = seed,
                          .uuid_salt = seed + UINT64_C(0x5851F42D4C957F2D)};
}

int64_t session_origin_ms(const bench_session *self)
{
    return self->source.origin_ms;
}

bool session_parse_url(const char *url, char *ret_host, size_t host_size, uint16_t *ret_port)
{
    static const char scheme[] = "http://";
    const char *host = url + sizeof scheme - 1;
    if (strncmp(url, scheme, sizeof scheme - 1) != 0)
        return false;
    const size_t size = strcspn(host, ":/");
    const char *digits = host + size + 1;
    struct in_addr address;
    if (size >= host_size || host[size] != ':' || *digits < '0' || *digits > '9')
        return false;
    (void)snprintf(ret_host, host_size, "%.*s", (int)size, host);
    char *end;
    const unsigned long long port = strtoull(digits, &end, 10);
    if (inet_pton(AF_INET, ret_host, &address) != 1 || port == 0 || port > UINT16_MAX ||
        (*end != '\0' && strcmp(end, "/") != 0))
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

/* ---- loads -------------------------------------------------------------------------------- */

utapi_status session_load_http(const bench_workload *workload, bench_source *source,
                               const http_target *target, const load_options *options, load_result *ret,
                               size_t *ret_answer_bytes, utapi_error *err)
{
    load_http *http;
    utapi_status status = load_http_new(workload, source, target, options->clients, &http, err);
    if (status != UTAPI_OK)
        return status;
    const load_transport transport = load_http_transport(http);
    status = load_run(&transport, options, source, ret, err);
    *ret_answer_bytes = load_http_answer_bytes(http);
    load_http_free(http);
    return status;
}

static utapi_status load_engine(bench_session *self, const bench_workload *workload,
                                const load_options *options, load_result *ret, utapi_error *err)
{
    load_process *process;
    utapi_status status = load_process_new(workload, &self->source, self->storage.engine, options->clients,
                                           self->source.batch, &process, err);
    if (status != UTAPI_OK)
        return status;
    const load_transport transport = load_process_transport(process);
    status = load_run(&transport, options, &self->source, ret, err);
    load_process_free(process);
    return status;
}

static utapi_status run_load(bench_session *self, const bench_workload *workload, const load_options *options,
                             session_figures *ret, utapi_error *err)
{
    if (self->transport == BENCH_IN_PROCESS)
        return load_engine(self, workload, options, &ret->load, err);
    return session_load_http(workload, &self->source, &self->storage.target, options, &ret->load,
                             &ret->answer_bytes, err);
}

static utapi_status count_waiting(bench_session *self, uint64_t *ret, utapi_error *err)
{
    if (self->transport == BENCH_HTTP)
        return http_health_waiting(&self->storage.target, ret, err);
    utapi_stats stats;
    const utapi_status status = utapi_engine_stats(self->storage.engine, &stats, err);
    if (status == UTAPI_OK)
        *ret = stats.journal.waiting;
    return status;
}

/* Where there is a journal: waits until nothing waits in it. */
static utapi_status wait_for_journal(bench_session *self, utapi_error *err)
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

static utapi_status fill(bench_session *self, const bench_workload *workload, utapi_error *err)
{
    UTAPI_AUTO_FREE session_figures *figures = calloc(1, sizeof *figures);
    if (figures == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "figures");
    /* Where a bucket has several rows they come in the order of time, and so through one client. */
    bench_workload plain = *workload;
    plain.uuids = false;
    self->source.workload = &plain;
    bench_source_fill(&self->source);
    const load_options options = {.clients = workload->history > 1 ? 1 : FILL_CLIENTS};
    utapi_status status = run_load(self, &plain, &options, figures, err);
    if (status == UTAPI_OK)
        status = fail_if_refused(&figures->load, "filling", err);
    if (status == UTAPI_OK)
        status = wait_for_journal(self, err);
    self->source.workload = workload;
    return status;
}

/* Uuids by the hundred million, which the engine would take a quarter of an hour for. */
static utapi_status fill_uuids(bench_session *self, const bench_workload *workload, utapi_error *err)
{
    if (workload->known_uuids == 0)
        return UTAPI_OK;
    session_storage_stop(&self->storage);
    const utapi_status status =
        raw_lmdb_add_uuids(self->storage.data, workload->known_uuids, self->source.origin_ms, err);
    return status == UTAPI_OK ? session_storage_start(&self->storage, err) : status;
}

/* ---- life --------------------------------------------------------------------------------- */

utapi_status session_open(const bench_world *world, const char *backend, bench_transport transport,
                          const bench_workload *workload, bench_session **ret, utapi_error *err)
{
    UTAPI_AUTO(bench_session) *self = calloc(1, sizeof *self);
    if (self == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a session");
    const bench_options *options = world->options;
    /* The last whole interval; each repetition of a turn takes the next one. */
    const int64_t ahead = workload->kind == BENCH_TURN ? options->repeat : 0;
    const int64_t origin_ms = utapi_interval_of(utapi_wall_ms()) - (1 + ahead) * UTAPI_INTERVAL_MS;
    self->world = world;
    self->transport = transport;
    self->source = session_source(workload, options->seed, origin_ms);
    if (options->url != NULL) /* it may have seen the events of another run */
        self->source.uuid_salt += (uint64_t)utapi_wall_ms() << 20;
    utapi_status status = session_storage_open(&self->storage, world, backend, transport, err);
    if (status == UTAPI_OK)
        status = fill(self, workload, err);
    if (status == UTAPI_OK)
        status = fill_uuids(self, workload, err);
    if (status == UTAPI_OK)
        *ret = UTAPI_TAKE(self);
    return status;
}

void session_close(bench_session *self)
{
    if (self == NULL)
        return;
    session_storage_close(&self->storage);
    free(self);
}

/* ---- measuring ---------------------------------------------------------------------------- */

/* Ends the server and starts it again, for as long as a repetition lasts. */
static utapi_status measure_start(bench_session *self, session_figures *ret, utapi_error *err)
{
    const int64_t begin_ns = utapi_monotonic_ns();
    const double most_s = self->world->options->duration_s;
    ret->load = (load_result){.seconds = 0};
    do {
        session_storage_stop(&self->storage);
        const int64_t start_ns = utapi_monotonic_ns();
        const utapi_status status = session_storage_start(&self->storage, err);
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
static utapi_status measure_closed(bench_session *self, const bench_workload *workload, double *ret,
                                   utapi_error *err)
{
    UTAPI_AUTO_FREE session_figures *figures = calloc(1, sizeof *figures);
    if (figures == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "figures");
    const load_options options = {.clients = workload->clients,
                                  .duration_s = self->world->options->duration_s};
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

utapi_status session_measure(bench_session *self, const bench_workload *workload, session_figures *ret,
                             utapi_error *err)
{
    const bench_options *asked = self->world->options;
    load_options options = {.clients = workload->clients,
                            .rate = asked->rate,
                            .duration_s = workload->kind == BENCH_TURN ? 0 : asked->duration_s};
    *ret = (session_figures){.answer_bytes = 0};
    self->source.workload = workload;
    bench_source_measure(&self->source);
    if (asked->load > 0) {
        double closed_per_s = 0;
        const utapi_status status = measure_closed(self, workload, &closed_per_s, err);
        if (status != UTAPI_OK)
            return status;
        options.rate = closed_per_s * asked->load / 100;
        bench_source_measure(&self->source);
    }
    const int64_t begin_ns = utapi_monotonic_ns();
    utapi_status status = workload->kind == BENCH_START ? measure_start(self, ret, err)
                                                        : run_load(self, workload, &options, ret, err);
    if (status == UTAPI_OK)
        status = wait_for_journal(self, err);
    if (self->storage.has_journal && ret->load.events > 0)
        ret->applied_per_s = (double)(self->source.serial - self->source.first) /
                             ((double)(utapi_monotonic_ns() - begin_ns) / 1e9);
    ret->has_memory = child_memory(&self->storage.server, &ret->memory_bytes, &ret->anonymous_bytes);
    return status;
}
