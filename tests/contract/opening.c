/* SPDX-License-Identifier: Apache-2.0 */
/* opening.c - opening: anew, again, a second time, after a crash, with options that cannot work. */
#include "contract.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void totals_survive_reopening(void **state)
{
    contract *c = *state;
    if (!contract_is_durable(c))
        return;
    for (int day = 0; day < 40; day++) {
        CHECK_OK(apply_entry(c, entry_put("b", T0 + day * DAY, 1)), &c->err);
        if (day % 10 == 0)
            contract_reopen(c);
    }
    contract_reopen(c);
    for (int day = 0; day < 40; day++)
        assert_int_equal(bytes_at(c, "b", T0 + day * DAY), day + 1);
}

static void a_second_opener_is_refused(void **state)
{
    contract *c = *state;
    if (!contract_is_durable(c))
        return;
    utapi_backend *second = NULL;
    assert_int_equal(utapi_backend_open(c->kind, &c->options, &second, &c->err), UTAPI_LOCKED);
    assert_non_null(strstr(c->err.detail, c->folder));
    utapi_error_clear(&c->err);
    CHECK_OK(apply_entry(c, entry_put("b", T0, 1)), &c->err); /* the first is unharmed */
    contract_reopen(c);
    assert_int_equal(bytes_at(c, "b", T0), 1);
}

static void a_folder_that_cannot_be_made_is_an_error(void **state)
{
    contract *c = *state;
    if (!contract_is_durable(c))
        return;
    const utapi_backend_options options = {.location = "/proc/no/such/folder"};
    utapi_backend *none = NULL;
    assert_int_not_equal(utapi_backend_open(c->kind, &options, &none, &c->err), UTAPI_OK);
    assert_non_null(strstr(c->err.detail, "/proc/no"));
    utapi_error_clear(&c->err);
    assert_null(none);
}

static void an_empty_backend_knows_nothing(void **state)
{
    contract *c = *state;
    utapi_storage_stats stats;
    CHECK_OK(utapi_backend_stats(c->backend, &stats, &c->err), &c->err);
    assert_int_equal(stats.resources, 0);
    assert_int_equal(stats.rows, 0);
    assert_int_equal(stats.uuids, 0);
    CHECK_OK(utapi_backend_maintain(c->backend, c->now_ms, c->accepted_ms, &c->err), &c->err);
    assert_int_equal(service_bytes(c), 0);
}

static void what_was_stored_is_there_after_a_crash(void **state)
{
    contract *c = *state;
    if (!contract_is_durable(c))
        skip();
    utapi_backend_close(c->backend);
    c->backend = NULL;
    const pid_t child = fork();
    if (child == 0) {
        contract_open(c);
        put(c, "b", INTERVAL(0), 1);
        _exit(apply_try(c) == UTAPI_OK ? 0 : 1); /* without closing */
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    contract_open(c);
    expect_rows(c, "b", "0:1 ");
}

static void what_is_stored_is_for_its_owner_alone(void **state)
{
    contract *c = *state;
    if (!contract_is_durable(c))
        skip();
    struct stat stat_of;
    assert_int_equal(stat(c->location, &stat_of), 0);
    assert_int_equal(stat_of.st_mode & 0777, 0700);
}

static void options_that_cannot_work_are_refused(void **state)
{
    contract *c = *state;
    if (!contract_is_durable(c))
        skip();
    char file[sizeof c->folder + 8];
    snprintf(file, sizeof file, "%s/file", c->folder);
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
        {{.location = c->folder, .capacity_bytes = 1}, UTAPI_INVALID},
        {{.location = c->folder, .capacity_bytes = UINT64_MAX}, UTAPI_INVALID},
        {{.location = c->folder, .capacity_bytes = UINT64_C(1) << 60}, UTAPI_INVALID},
        {{.location = c->folder, .dedup_window_ms = -1}, UTAPI_INVALID},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        utapi_backend *backend = NULL;
        CHECK_STATUS(bad[i].status, utapi_backend_open(c->kind, &bad[i].options, &backend, &c->err), &c->err);
        assert_null(backend);
    }
}

static void a_larger_and_a_smaller_capacity_open_what_is_there(void **state)
{
    contract *c = *state;
    if (!contract_is_durable(c))
        skip();
    put(c, "b", INTERVAL(0), 1);
    apply(c);
    static const uint64_t capacities[] = {0, UINT64_C(1) << 30, UINT64_C(1) << 20, UINT64_C(300) << 20};
    for (size_t i = 0; i < sizeof capacities / sizeof *capacities; i++) {
        c->options.capacity_bytes = capacities[i];
        contract_reopen(c);
        assert_int_equal(bucket_bytes(c, "b"), 1);
    }
}

const struct CMUnitTest contract_opening[] = {
    CASE(totals_survive_reopening),
    CASE(a_second_opener_is_refused),
    CASE(a_folder_that_cannot_be_made_is_an_error),
    CASE(an_empty_backend_knows_nothing),
    CASE(what_was_stored_is_there_after_a_crash),
    CASE(what_is_stored_is_for_its_owner_alone),
    CASE(options_that_cannot_work_are_refused),
    CASE(a_larger_and_a_smaller_capacity_open_what_is_there),
    {.name = NULL},
};
