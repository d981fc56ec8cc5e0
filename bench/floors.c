/* SPDX-License-Identifier: Apache-2.0 */
/* floors.c - the table of floors, and those that are servers or an engine on nothing. */
#include "floors.h"

#include "interrupt.h"
#include "load_process.h"
#include "noop_backend.h"
#include "target.h"
#include "target_storage.h"
#include "utapi/clock.h"
#include "utapi/scoped.h"

#include <stdio.h>
#include <string.h>

static double rate_of(const bench_workload *workload, const load_result *result)
{
    const bool counts_events = bench_workload_counts_events(workload);
    return (double)(counts_events ? result->events : result->requests) / result->seconds;
}

/* ---- an engine on nothing ----------------------------------------------------------------- */

static utapi_status engine_load(const floor_task *task, utapi_engine *engine, load_result *ret,
                                utapi_error *err)
{
    bench_workload workload = *task->workload;
    if (workload.kind == BENCH_ROLLOVER) /* it would end */
        workload.kind = BENCH_INGEST;
    if (workload.kind == BENCH_LIST) { /* its answers would be checked */
        workload.kind = BENCH_MIXED;
        workload.question_percent = 100;
    }
    bench_generator generator = target_generator(&workload, task->workspace->options->seed, task->origin_ms);
    const load_options options = {.clients = workload.clients, .duration_s = task->seconds};
    load_process *process;
    bench_generator_measure(&generator);
    utapi_status status =
        load_process_new(&workload, &generator, engine, options.clients, generator.batch, &process, err);
    if (status != UTAPI_OK)
        return status;
    const load_transport transport = load_process_transport(process);
    status = load_run(&transport, &options, &generator, ret, err);
    load_process_free(process);
    return status;
}

static utapi_status floor_engine(const floor_task *task, double *ret_per_s, utapi_error *err)
{
    UTAPI_AUTO_FREE load_result *result = calloc(1, sizeof *result);
    utapi_engine *engine = NULL;
    utapi_backend *backend = NULL;
    const utapi_backend_options options = {.location = ""};
    if (result == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a load");
    utapi_status status = utapi_backend_open(&bench_noop_backend, &options, &backend, err);
    if (status == UTAPI_OK)
        status = utapi_engine_new(backend, &utapi_engine_defaults, &engine, err);
    if (status == UTAPI_OK)
        status = engine_load(task, engine, result, err);
    utapi_engine_free(engine);
    utapi_backend_close(backend);
    if (status == UTAPI_OK)
        *ret_per_s = rate_of(task->workload, result);
    return status;
}

/* ---- servers ------------------------------------------------------------------------------ */

static utapi_status server_load(const floor_task *task, http_endpoint *endpoint, child *server,
                                double *ret_per_s, utapi_error *err)
{
    char url[128];
    char host[64];
    UTAPI_AUTO_FREE load_result *result = calloc(1, sizeof *result);
    if (result == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a load");
    utapi_status status = child_wait_line(server, "listening on ", url, sizeof url, err);
    if (status != UTAPI_OK)
        return status;
    if (!target_parse_url(url, host, sizeof host, &endpoint->port))
        return utapi_fail(err, UTAPI_UNAVAILABLE, "the floor's server listens on %s", url);
    endpoint->host = host;
    bench_workload workload = *task->workload;
    if (workload.kind == BENCH_ROLLOVER)
        workload.kind = BENCH_INGEST;
    bench_generator generator = target_generator(&workload, task->workspace->options->seed, task->origin_ms);
    const load_options options = {.clients = workload.clients, .duration_s = task->seconds};
    size_t answer_bytes;
    bench_generator_measure(&generator);
    status = target_load_http(&workload, &generator, endpoint, &options, result, &answer_bytes, err);
    if (status == UTAPI_OK && result->failed > 0)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "the floor's server: %s", result->failure);
    if (status == UTAPI_OK)
        *ret_per_s = rate_of(&workload, result);
    return status;
}

static utapi_status floor_server(const floor_task *task, const char *kind, double *ret_per_s,
                                 utapi_error *err)
{
    char size[32];
    child server = {0};
    const bench_options *options = task->workspace->options;
    http_endpoint endpoint = {.access_key = options->access_key, .secret_key = options->secret_key};
    (void)snprintf(size, sizeof size, "%zu", task->answer_bytes);
    const char *const arguments[] = {task->workspace->self,       "serve", kind, size,
                                     task->workspace->identities, NULL};
    utapi_status status = child_start(arguments, task->workspace->log, &server, err);
    if (status == UTAPI_OK)
        status = server_load(task, &endpoint, &server, ret_per_s, err);
    child_stop(&server);
    return status;
}

static utapi_status floor_empty_server(const floor_task *task, double *ret_per_s, utapi_error *err)
{
    return floor_server(task, "empty", ret_per_s, err);
}

static utapi_status floor_verify_server(const floor_task *task, double *ret_per_s, utapi_error *err)
{
    return floor_server(task, "verify", ret_per_s, err);
}

static utapi_status floor_noop_server(const floor_task *task, double *ret_per_s, utapi_error *err)
{
    return floor_server(task, "noop", ret_per_s, err);
}

/* ---- starting on nothing ------------------------------------------------------------------ */

static utapi_status floor_empty_storage(const floor_task *task, double *ret_per_s, utapi_error *err)
{
    target_storage storage;
    uint64_t count = 0;
    int64_t spent_ns = 0;
    utapi_status status = target_storage_open(&storage, task->workspace, task->backend, task->transport, err);
    while (status == UTAPI_OK && (double)spent_ns < task->seconds * 1e9 && !bench_is_interrupted()) {
        target_storage_stop(&storage);
        const int64_t begin_ns = utapi_monotonic_ns();
        status = target_storage_start(&storage, err);
        spent_ns += utapi_monotonic_ns() - begin_ns;
        count++;
    }
    target_storage_close(&storage);
    if (status == UTAPI_OK && spent_ns > 0)
        *ret_per_s = (double)count * 1e9 / (double)spent_ns;
    return status;
}

/* ---- the table ---------------------------------------------------------------------------- */

#define KIND(name) (1U << BENCH_##name)

enum {
    WRITES = KIND(INGEST) | KIND(ROLLOVER),
    READS = KIND(LIST),
    MIXED = KIND(MIXED),
    REQUESTS = WRITES | READS | MIXED,
    PROCESS = 1U << BENCH_IN_PROCESS,
    HTTP = 1U << BENCH_HTTP
};

/* clang-format off */
const bench_floor bench_floors[] = {
    {"noop-server",   floor_noop_server,   WRITES | MIXED, FLOOR_ANY, HTTP,
     "utapid's own server on a storage that stores nothing"},
    {"verify-server", floor_verify_server, READS, FLOOR_ANY, HTTP,
     "a handler that verifies the signature and answers a fixed body of the same size"},
    {"empty-server",  floor_empty_server,  REQUESTS, FLOOR_ANY, HTTP, "a handler that does nothing"},
    {"raw-lmdb",      floor_lmdb,          REQUESTS, FLOOR_LMDB, PROCESS | HTTP,
     "LMDB alone: the same rows in the same transactions, or the same look-ups"},
    {"raw-redis",     floor_redis,         WRITES | MIXED, FLOOR_REDIS, PROCESS | HTTP,
     "Redis alone: the same totals by pipelined commands, or the keys of one interval"},
    {"raw-redis",     floor_redis,         READS, FLOOR_REDIS, PROCESS, NULL},
    {"noop-engine",   floor_engine,        REQUESTS, FLOOR_MEMORY, PROCESS,
     "the engine on a storage that stores nothing"},
    {"disk-sync",     floor_sync,          WRITES, FLOOR_LMDB | FLOOR_JOURNAL, PROCESS | HTTP,
     "a group's bytes appended to a file and synced"},
    {"empty-storage", floor_empty_storage, KIND(START), FLOOR_ANY, PROCESS | HTTP, "the same start on nothing"},
    {.name = NULL},
};
/* clang-format on */

bool bench_floor_applies(const bench_floor *floor, const floor_task *task)
{
    static const struct {
        const char *word;
        unsigned bit;
    } words[] = {
        {"memory", FLOOR_MEMORY}, {"lmdb", FLOOR_LMDB}, {"redis", FLOOR_REDIS}, {"journal", FLOOR_JOURNAL}};
    unsigned storage = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        storage |= strstr(task->backend, words[i].word) != NULL ? words[i].bit : 0;
    if (storage == 0) /* a server that somebody else runs */
        storage = floor->storages == FLOOR_ANY ? FLOOR_ANY : 0;
    return (floor->kinds >> task->workload->kind & 1) != 0 && (floor->storages & storage) != 0 &&
           (floor->transports >> task->transport & 1) != 0;
}
