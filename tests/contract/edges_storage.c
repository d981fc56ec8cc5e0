/* SPDX-License-Identifier: Apache-2.0 */
/* edges_storage.c - opening: again, a second time, with options that cannot work. */
#include "edges.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void an_empty_backend_knows_nothing(void **state)
{
    edges *c = edges_of(state);
    utapi_stats stats;
    CHECK_OK(utapi_backend_stats(c->backend, &stats, &c->err), &c->err);
    assert_int_equal(stats.resources, 0);
    assert_int_equal(stats.rows, 0);
    assert_int_equal(stats.uuids, 0);
    CHECK_OK(utapi_backend_maintain(c->backend, c->now_ms, c->accepted_ms, &c->err), &c->err);
    assert_int_equal(service_bytes(c), 0);
}

static void what_was_stored_is_there_after_a_crash(void **state)
{
    edges *c = edges_of(state);
    if (!edges_kind.durable)
        skip();
    utapi_backend_close(c->backend);
    c->backend = NULL;
    const pid_t child = fork();
    if (child == 0) {
        edges_open(c);
        put(c, "b", INTERVAL(0), 1);
        _exit(apply_try(c) == UTAPI_OK ? 0 : 1); /* without closing */
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    edges_open(c);
    expect_rows(c, "b", "0:1 ");
}

static void what_is_stored_is_for_its_owner_alone(void **state)
{
    edges *c = edges_of(state);
    if (!edges_kind.durable)
        skip();
    struct stat stat_of;
    assert_int_equal(stat(c->location, &stat_of), 0);
    assert_int_equal(stat_of.st_mode & 0777, 0700);
}

static void options_that_cannot_work_are_refused(void **state)
{
    edges *c = edges_of(state);
    if (!edges_kind.durable)
        skip();
    char file[sizeof c->directory + 8];
    snprintf(file, sizeof file, "%s/file", c->directory);
    FILE *made = fopen(file, "w");
    assert_non_null(made);
    fclose(made);
    const struct {
        utapi_backend_options options;
        utapi_status status;
    } bad[] = {
        {{.location = NULL}, UTAPI_INVALID},
        {{.location = ""}, UTAPI_INVALID},
        {{.location = file}, UTAPI_UNAVAILABLE},
        {{.location = "/proc/self/nowhere"}, UTAPI_UNAVAILABLE},
        {{.location = c->directory, .capacity_bytes = 1}, UTAPI_INVALID},
        {{.location = c->directory, .capacity_bytes = UINT64_MAX}, UTAPI_INVALID},
        {{.location = c->directory, .capacity_bytes = UINT64_C(1) << 60}, UTAPI_INVALID},
        {{.location = c->directory, .dedup_window_ms = -1}, UTAPI_INVALID},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        utapi_backend *backend = NULL;
        CHECK_STATUS(bad[i].status, utapi_backend_open(edges_kind.ops, &bad[i].options, &backend, &c->err),
                     &c->err);
        assert_null(backend);
    }
}

static void a_larger_and_a_smaller_capacity_open_what_is_there(void **state)
{
    edges *c = edges_of(state);
    if (!edges_kind.durable)
        skip();
    put(c, "b", INTERVAL(0), 1);
    apply(c);
    static const uint64_t capacities[] = {0, UINT64_C(1) << 30, UINT64_C(1) << 20, UINT64_C(300) << 20};
    for (size_t i = 0; i < sizeof capacities / sizeof *capacities; i++) {
        c->options.capacity_bytes = capacities[i];
        edges_reopen(c);
        assert_int_equal(bucket_bytes(c, "b"), 1);
    }
}

int cases_storage(void)
{
    const struct CMUnitTest cases[] = {
        EDGES_CASE(an_empty_backend_knows_nothing),
        EDGES_CASE(what_was_stored_is_there_after_a_crash),
        EDGES_CASE(what_is_stored_is_for_its_owner_alone),
        EDGES_CASE(options_that_cannot_work_are_refused),
        EDGES_CASE(a_larger_and_a_smaller_capacity_open_what_is_there),
    };
    return RUN_CASES("opening", cases);
}
