/* SPDX-License-Identifier: Apache-2.0 */
/* full_storage.c - a storage that is full refuses, goes on answering, and recovers by itself. */
#include "contract.h"

#include <stdio.h>
#include <string.h>

/* Fills the store with long names until it says that there is no room. Returns how many were stored. */
static size_t fill_with_names(contract *c)
{
    char name[UTAPI_NAME_MAX + 1] = "";
    memset(name, 'f', UTAPI_NAME_MAX);
    for (size_t i = 0;; i++) {
        utapi_entry entries[100];
        char names[100][UTAPI_NAME_MAX + 1];
        for (size_t k = 0; k < 100; k++) {
            memcpy(names[k], name, sizeof name);
            snprintf(names[k], 32, "%020zu", i * 100 + k);
            names[k][20] = 'f';
            entries[k] = entry_put(names[k], T0, 1);
        }
        const utapi_status status = apply_entries(c, entries, 100);
        if (status != UTAPI_OK) {
            CHECK_STATUS(UTAPI_UNAVAILABLE, status, &c->err);
            return i * 100;
        }
        assert_in_range(i, 0, 10000);
    }
}

static void a_full_store_says_so_goes_on_reading_and_recovers(void **state)
{
    contract *c = *state;
    c->options.capacity_bytes = 8 << 20;
    contract_reopen(c);
    utapi_storage_stats stats;
    CHECK_OK(utapi_backend_maintain(c->backend, c->now_ms, c->accepted_ms, &c->err), &c->err);
    CHECK_OK(utapi_backend_stats(c->backend, &stats, &c->err), &c->err);
    if (stats.capacity_bytes == 0)
        return; /* it knows no limit */
    const size_t stored = fill_with_names(c);
    assert_in_range(stored, 1000, 100000);
    CHECK_OK(utapi_backend_stats(c->backend, &stats, &c->err), &c->err);
    assert_int_equal(stats.resources, stored + 1);
    utapi_usage usage = usage_of(c, UTAPI_SERVICE, utapi_string_of("s3"), T0, T0);
    assert_int_equal(usage.storage_utilized[1], stored);

    /* Expiry needs room too, and gets it from the reserve; then events are accepted again. */
    char name[UTAPI_NAME_MAX + 1] = "";
    for (size_t i = 0; i < stored; i++) {
        memset(name, 'f', UTAPI_NAME_MAX);
        snprintf(name, 32, "%020zu", i);
        name[20] = 'f';
        CHECK_OK(utapi_backend_expire(c->backend, UTAPI_BUCKETS, utapi_string_of(name), T0 - 1, &c->err),
                 &c->err);
        if (i % 500 == 0)
            CHECK_OK(utapi_backend_expire(c->backend, UTAPI_BUCKETS, utapi_string_of(name), T0, &c->err),
                     &c->err);
        if (i > 1000)
            break;
    }
    contract_reopen(c);
    usage = usage_of(c, UTAPI_SERVICE, utapi_string_of("s3"), T0, T0);
    assert_int_equal(usage.storage_utilized[1], stored);
}

static void room_that_expiry_makes_is_used_again(void **state)
{
    contract *c = *state;
    c->options.capacity_bytes = 8 << 20;
    contract_reopen(c);
    utapi_storage_stats stats;
    CHECK_OK(utapi_backend_maintain(c->backend, c->now_ms, c->accepted_ms, &c->err), &c->err);
    CHECK_OK(utapi_backend_stats(c->backend, &stats, &c->err), &c->err);
    if (stats.capacity_bytes == 0)
        return;
    char uuids[100][UTAPI_NAME_MAX + 1];
    utapi_entry entries[100];
    utapi_status status = UTAPI_OK;
    for (size_t i = 0; status == UTAPI_OK; i++) {
        for (size_t k = 0; k < 100; k++) {
            memset(uuids[k], 'u', UTAPI_NAME_MAX);
            uuids[k][UTAPI_NAME_MAX] = '\0';
            snprintf(uuids[k], 32, "%020zu", i * 100 + k);
            uuids[k][20] = 'u';
            entries[k] = entry_put_uuid(uuids[k], "b", T0, 1);
        }
        status = apply_entries(c, entries, 100);
    }
    CHECK_STATUS(UTAPI_UNAVAILABLE, status, &c->err);
    c->accepted_ms += 2 * DAY;
    for (int slice = 0; slice < 100; slice++)
        CHECK_OK(utapi_backend_maintain(c->backend, c->now_ms, c->accepted_ms, &c->err), &c->err);
    CHECK_OK(apply_entries(c, entries, 100), &c->err);
}

enum { FILL_BATCH = 200, BATCHES_MAX = 3000 };

/* What was filled in: batch k brings one byte to each of so many buckets, in interval k, or with a uuid. */
typedef struct filling {
    int batches;
    bool with_uuids;
    char names[FILL_BATCH][16];
    char uuids[FILL_BATCH][40];
} filling;

static utapi_status fill_once(contract *c, filling *filled)
{
    for (int i = 0; i < FILL_BATCH; i++) {
        const int n = filled->batches * FILL_BATCH + i;
        const int interval = filled->with_uuids ? 0 : filled->batches;
        snprintf(filled->names[i], sizeof filled->names[i], "b%d", i);
        snprintf(filled->uuids[i], sizeof filled->uuids[i], "%08x-0000-4000-8000-000000000000", (unsigned)n);
        put_uuid(c, filled->with_uuids ? filled->uuids[i] : "", filled->names[i], INTERVAL(interval), 1);
    }
    return apply_try(c);
}

/* Fills the storage until it refuses. False: it has no limit. */
static bool fill_to_the_brim(contract *c, filling *filled)
{
    utapi_storage_stats stats;
    c->options.capacity_bytes = UINT64_C(4) << 20;
    contract_begin_anew(c);
    CHECK_OK(utapi_backend_maintain(c->backend, c->now_ms, c->accepted_ms, &c->err), &c->err);
    CHECK_OK(utapi_backend_stats(c->backend, &stats, &c->err), &c->err);
    if (stats.capacity_bytes == 0)
        return false;
    utapi_status status;
    while ((status = fill_once(c, filled)) == UTAPI_OK && filled->batches < BATCHES_MAX)
        filled->batches++;
    assert_string_not_equal(c->err.detail, "");
    assert_null(strstr(c->err.detail, c->folder)); /* clients are told it, and paths are not theirs to know */
    CHECK_STATUS(UTAPI_UNAVAILABLE, status, &c->err);
    assert_true(filled->batches > 10);
    return true;
}

static void a_full_storage_refuses_and_goes_on_answering(void **state)
{
    contract *c = *state;
    filling filled = {.with_uuids = false};
    if (!fill_to_the_brim(c, &filled))
        skip();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(service_bytes(c), filled.batches * FILL_BATCH);
        CHECK_STATUS(UTAPI_UNAVAILABLE, fill_once(c, &filled), &c->err);
    }
    assert_int_equal(bucket_bytes(c, "b0"), filled.batches);
    assert_int_equal(usage_of(c, UTAPI_BUCKETS, S("b7"), FIRST, INTERVAL(4)).storage_utilized[1], 5);
    utapi_storage_stats stats;
    CHECK_OK(utapi_backend_stats(c->backend, &stats, &c->err), &c->err);
    assert_int_equal(stats.resources, FILL_BATCH + 1);
    assert_int_equal(stats.rows, filled.batches * (FILL_BATCH + 1));
    assert_in_range(stats.used_bytes, stats.capacity_bytes / 2, stats.capacity_bytes);
    contract_reopen(c);
    CHECK_STATUS(UTAPI_UNAVAILABLE, fill_once(c, &filled), &c->err);
}

static void room_that_runs_short_is_told_before_events_are_refused(void **state)
{
    contract *c = *state;
    filling filled = {.with_uuids = false};
    utapi_storage_stats stats;
    c->options.capacity_bytes = UINT64_C(16) << 20;
    contract_begin_anew(c);
    CHECK_OK(utapi_backend_stats(c->backend, &stats, &c->err), &c->err);
    if (stats.capacity_bytes == 0)
        skip();
    assert_string_equal(stats.room_warning, "");
    int until_told = 0;
    while (fill_once(c, &filled) == UTAPI_OK) {
        CHECK_OK(utapi_backend_stats(c->backend, &stats, &c->err), &c->err);
        until_told += *stats.room_warning == '\0';
        filled.batches++;
    }
    utapi_error_clear(&c->err);
    assert_in_range(until_told, filled.batches / 2, filled.batches - 3);
}

static void expiry_makes_room(void **state)
{
    contract *c = *state;
    filling filled = {.with_uuids = false};
    if (!fill_to_the_brim(c, &filled))
        skip();
    char name[16];
    for (int i = 0; i < FILL_BATCH / 4; i++) {
        snprintf(name, sizeof name, "b%d", i);
        CHECK_OK(utapi_backend_expire(c->backend, UTAPI_BUCKETS, S(name), INTERVAL(filled.batches), &c->err),
                 &c->err);
    }
    CHECK_OK(fill_once(c, &filled), &c->err);
    assert_int_equal(service_bytes(c), (filled.batches + 1) * FILL_BATCH);
}

static void maintenance_makes_room(void **state)
{
    contract *c = *state;
    filling filled = {.with_uuids = true};
    if (!fill_to_the_brim(c, &filled))
        skip();
    c->accepted_ms += 2 * WINDOW_MS;
    for (int i = 0; i < filled.batches; i++)
        CHECK_OK(utapi_backend_maintain(c->backend, c->now_ms, c->accepted_ms, &c->err), &c->err);
    CHECK_OK(fill_once(c, &filled), &c->err);
    assert_int_equal(c->applied.repeated, 0);
    assert_int_equal(service_bytes(c), (filled.batches + 1) * FILL_BATCH);
}

/* Callers that keep coming leave no time for maintenance. */
static void refusing_makes_room_too(void **state)
{
    contract *c = *state;
    filling filled = {.with_uuids = true};
    if (!fill_to_the_brim(c, &filled))
        skip();
    c->accepted_ms += 2 * WINDOW_MS;
    int refused = 0;
    while (refused < filled.batches && fill_once(c, &filled) != UTAPI_OK) {
        utapi_error_clear(&c->err);
        refused++;
    }
    assert_in_range(refused, 1, filled.batches - 1);
    assert_int_equal(service_bytes(c), (filled.batches + 1) * FILL_BATCH);
}

static void a_full_storage_lives_on_round_after_round(void **state)
{
    contract *c = *state;
    filling filled = {.with_uuids = true};
    if (!fill_to_the_brim(c, &filled))
        skip();
    const int first = filled.batches;
    for (int round = 0; round < 5; round++) {
        c->accepted_ms += 2 * WINDOW_MS;
        for (int i = 0; i < 100; i++) {
            CHECK_OK(utapi_backend_maintain(c->backend, c->now_ms, c->accepted_ms, &c->err), &c->err);
            const utapi_status status = fill_once(c, &filled);
            filled.batches += status == UTAPI_OK;
            assert_true(status == UTAPI_OK || status == UTAPI_UNAVAILABLE);
            utapi_error_clear(&c->err);
        }
        assert_int_equal(service_bytes(c), filled.batches * FILL_BATCH);
    }
    assert_true(filled.batches > first + 300);
}

const struct CMUnitTest contract_full_storage[] = {
    CASE(a_full_store_says_so_goes_on_reading_and_recovers),
    CASE(room_that_expiry_makes_is_used_again),
    CASE(a_full_storage_refuses_and_goes_on_answering),
    CASE(room_that_runs_short_is_told_before_events_are_refused),
    CASE(expiry_makes_room),
    CASE(maintenance_makes_room),
    CASE(refusing_makes_room_too),
    CASE(a_full_storage_lives_on_round_after_round),
    {.name = NULL},
};
