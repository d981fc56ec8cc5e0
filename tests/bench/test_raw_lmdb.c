/* SPDX-License-Identifier: Apache-2.0 */
/* test_raw_lmdb.c - the floor raw-lmdb holds what the meter's own storage holds after the same events. */
#include "check.h"
#include "folder.h"

#include "backends/registry.h"
#include "load.h"
#include "load_process.h"
#include "raw_lmdb.h"
#include "utapi/engine.h"
#include "utapi/interval.h"

#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define WINDOW_MS  INT64_C(86400000)
#define RAW        "/raw"
#define METER      "/meter"
#define TABLES_MAX 8

#define UUID_OF_NOTHING "00000000-0000-0000-0000-000000000000"

enum { DAY = 96, GROUPS = 3, PATH_BYTES = 272 };

/* A rollover is one group. */
static const bench_workload workloads[] = {
    {.name = "ingest", .clients = 4, .batch = 25, .buckets = 50, .history = 1, .uuids = true},
    {.name = "few", .clients = 8, .batch = 100, .buckets = 10, .history = 1, .uuids = true},
    {.name = "plain", .clients = 4, .batch = 25, .buckets = 200, .history = 1},
    {.name = "late",
     .clients = 4,
     .batch = 25,
     .buckets = 20,
     .history = DAY,
     .uuids = true,
     .late_percent = 10},
    {.name = "turn",
     .kind = BENCH_ROLLOVER,
     .clients = 3,
     .batch = 20,
     .buckets = 60,
     .history = 1,
     .uuids = true},
    {.name = "mixed",
     .kind = BENCH_MIXED,
     .clients = 16,
     .batch = 1,
     .buckets = 20,
     .history = DAY,
     .uuids = true,
     .late_percent = 10,
     .question_percent = 90,
     .names = 1,
     .intervals = DAY},
};

static void path_in(const char *folder, const char *name, char ret[static PATH_BYTES])
{
    assert_in_range(snprintf(ret, PATH_BYTES, "%s%s", folder, name), 1, PATH_BYTES - 1);
}

/* ---- the meter ---------------------------------------------------------------------------- */

static bench_generator generator_of(const bench_workload *workload)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const int64_t origin_ms = utapi_interval_of((int64_t)now.tv_sec * 1000) - 10 * UTAPI_INTERVAL_MS;
    return (bench_generator){.workload = workload, .origin_ms = origin_ms, .random = 1, .uuid_salt = 8};
}

/* Sends all that a generator has left. */
static void meter_feed(utapi_engine *engine, bench_generator *generator)
{
    utapi_error err;
    utapi_error_clear(&err);
    load_process *process;
    load_result *result = calloc(1, sizeof *result);
    const load_options options = {.clients = 1};
    assert_non_null(result);
    CHECK_OK(load_process_new(generator->workload, generator, engine, 1, generator->batch, &process, &err),
             &err);
    const load_transport transport = load_process_transport(process);
    CHECK_OK(load_run(&transport, &options, generator, result, &err), &err);
    assert_int_equal(result->failed, 0);
    load_process_free(process);
    free(result);
}

static void meter_fill(utapi_engine *engine, const bench_generator *generator)
{
    bench_workload plain = *generator->workload;
    bench_generator filling = *generator;
    plain.uuids = false;
    filling.workload = &plain;
    bench_generator_fill(&filling);
    meter_feed(engine, &filling);
}

static utapi_backend *meter_storage(const char *folder)
{
    utapi_error err;
    utapi_error_clear(&err);
    utapi_backend *backend;
    char path[PATH_BYTES];
    path_in(folder, METER, path);
    const utapi_backend_options options = {.location = path, .dedup_window_ms = WINDOW_MS};
    CHECK_OK(utapi_backend_open(utapi_registry_find("lmdb"), &options, &backend, &err), &err);
    return backend;
}

static void meter_run(const char *folder, bench_generator generator)
{
    utapi_error err;
    utapi_error_clear(&err);
    utapi_engine *engine;
    utapi_backend *backend = meter_storage(folder);
    CHECK_OK(utapi_engine_new(backend, &utapi_engine_defaults, &engine, &err), &err);
    meter_fill(engine, &generator);
    if (generator.workload->kind == BENCH_ROLLOVER) {
        for (unsigned i = 0; i < GROUPS; i++) {
            bench_generator_measure(&generator);
            meter_feed(engine, &generator);
        }
    } else {
        bench_generator_measure(&generator);
        generator.items_left = (uint64_t)GROUPS * generator.workload->clients * generator.batch;
        meter_feed(engine, &generator);
    }
    utapi_engine_free(engine);
    utapi_backend_close(backend);
}

/* ---- raw LMDB ----------------------------------------------------------------------------- */

static void raw_run(const char *folder, const bench_generator *generator)
{
    utapi_error err;
    utapi_error_clear(&err);
    raw_lmdb *raw;
    char path[PATH_BYTES];
    const bench_workload *workload = generator->workload;
    const unsigned room = workload->clients * workload->batch;
    path_in(folder, RAW, path);
    assert_int_equal(mkdir(path, 0700), 0);
    CHECK_OK(raw_lmdb_open(path, generator, room, &raw, &err), &err);
    for (unsigned i = 0; i < GROUPS; i++) {
        unsigned requests, events;
        CHECK_OK(raw_lmdb_draw(raw, &requests, &events, &err), &err);
        assert_int_equal(events, room);
        assert_true(requests >= workload->clients);
        CHECK_OK(raw_lmdb_store(raw, &err), &err);
    }
    raw_lmdb_close(raw);
}

/* ---- both --------------------------------------------------------------------------------- */

/* A store that is only read. */
typedef struct opened {
    MDB_env *env;
    MDB_txn *txn;
} opened;

static opened open_store(const char *folder, const char *name)
{
    opened store;
    char path[PATH_BYTES];
    path_in(folder, name, path);
    assert_int_equal(mdb_env_create(&store.env), 0);
    assert_int_equal(mdb_env_set_maxdbs(store.env, TABLES_MAX), 0);
    assert_int_equal(mdb_env_open(store.env, path, MDB_RDONLY, 0600), 0);
    assert_int_equal(mdb_txn_begin(store.env, NULL, MDB_RDONLY, &store.txn), 0);
    return store;
}

static void close_store(opened *store)
{
    mdb_txn_abort(store->txn);
    mdb_env_close(store->env);
}

static MDB_cursor *cursor_of(const opened *store, const char *table)
{
    MDB_dbi dbi;
    MDB_cursor *cursor;
    assert_int_equal(mdb_dbi_open(store->txn, table, 0, &dbi), 0);
    assert_int_equal(mdb_cursor_open(store->txn, dbi, &cursor), 0);
    return cursor;
}

/* As many rows in both, and none of raw LMDB's is the larger one; where keys are not names they are the same. */
static void check_table(const opened *raw, const opened *meter, const char *table)
{
    MDB_cursor *raw_rows = cursor_of(raw, table);
    MDB_cursor *meter_rows = cursor_of(meter, table);
    MDB_val raw_key, raw_value, key, value;
    int rc = 0;
    while (rc == 0) {
        rc = mdb_cursor_get(meter_rows, &key, &value, MDB_NEXT);
        assert_int_equal(mdb_cursor_get(raw_rows, &raw_key, &raw_value, MDB_NEXT), rc);
        if (rc == 0)
            assert_true(raw_value.mv_size <= value.mv_size);
        if (rc == 0 && strcmp(table, "seen") == 0) {
            assert_int_equal(raw_key.mv_size, key.mv_size);
            assert_memory_equal(raw_key.mv_data, key.mv_data, key.mv_size);
        }
    }
    mdb_cursor_close(raw_rows);
    mdb_cursor_close(meter_rows);
}

static void raw_lmdb_holds_the_rows_of_the_meter(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++) {
        char folder[256];
        const bench_generator generator = generator_of(&workloads[i]);
        support_folder_make(folder);
        print_message("%s\n", workloads[i].name);
        meter_run(folder, generator);
        raw_run(folder, &generator);
        opened raw = open_store(folder, RAW);
        opened meter = open_store(folder, METER);
        check_table(&raw, &meter, "resource");
        check_table(&raw, &meter, "history");
        check_table(&raw, &meter, "seen");
        close_store(&raw);
        close_store(&meter);
        support_folder_remove(folder);
    }
}

/* An event of its own, with the first of them, is counted no more. */
static void uuids_that_are_added_are_known_to_the_meter(void **state)
{
    (void)state;
    enum { UUIDS = 1000 };
    char folder[256], path[PATH_BYTES];
    utapi_error err;
    utapi_error_clear(&err);
    utapi_storage_stats stats;
    utapi_applied applied;
    const int64_t end_ms = generator_of(&workloads[0]).origin_ms;
    const utapi_entry again = {.time_ms = end_ms - WINDOW_MS,
                               .accepted_ms = end_ms,
                               .uuid_time_ms = end_ms - WINDOW_MS,
                               .uuid = {UUID_OF_NOTHING, sizeof UUID_OF_NOTHING - 1}};
    const utapi_batch batch = {.entries = &again, .count = 1, .now_ms = end_ms};
    support_folder_make(folder);
    utapi_backend_close(meter_storage(folder));
    path_in(folder, METER, path);
    CHECK_OK(raw_lmdb_add_uuids(path, UUIDS, end_ms, &err), &err);
    utapi_backend *backend = meter_storage(folder);
    CHECK_OK(utapi_backend_stats(backend, &stats, &err), &err);
    assert_int_equal(stats.uuids, UUIDS);
    CHECK_OK(utapi_backend_apply(backend, &batch, &applied, &err), &err);
    assert_int_equal(applied.repeated, 1);
    utapi_backend_close(backend);
    support_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(raw_lmdb_holds_the_rows_of_the_meter),
        cmocka_unit_test(uuids_that_are_added_are_known_to_the_meter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
