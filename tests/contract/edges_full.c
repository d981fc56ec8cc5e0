/* SPDX-License-Identifier: Apache-2.0 */
/* edges_full.c - a storage that is full refuses, goes on answering, and recovers by itself.
 *
 * For backends that tell of a capacity. */
#include "edges.h"

#include <stdio.h>
#include <string.h>

enum { BATCH = 200, BATCHES_MAX = 3000 };

/* What was filled in: batch k brings one byte to each of so many buckets, in interval k, or with a uuid. */
typedef struct filling {
    int batches;
    bool with_uuids;
    char names[BATCH][16];
    char uuids[BATCH][40];
} filling;

static utapi_status fill_once(edges *c, filling *filled)
{
    for (int i = 0; i < BATCH; i++) {
        const int n = filled->batches * BATCH + i;
        const int interval = filled->with_uuids ? 0 : filled->batches;
        snprintf(filled->names[i], sizeof filled->names[i], "b%d", i);
        snprintf(filled->uuids[i], sizeof filled->uuids[i], "%08x-0000-4000-8000-000000000000", (unsigned)n);
        put_uuid(c, filled->with_uuids ? filled->uuids[i] : "", filled->names[i], INTERVAL(interval), 1);
    }
    return apply_try(c);
}

/* Fills the storage until it refuses. False: it has no limit. */
static bool fill(edges *c, filling *filled)
{
    utapi_stats stats;
    c->options.capacity_bytes = UINT64_C(4) << 20;
    edges_begin_anew(c);
    CHECK_OK(utapi_backend_maintain(c->backend, c->now_ms, c->accepted_ms, &c->err), &c->err);
    CHECK_OK(utapi_backend_stats(c->backend, &stats, &c->err), &c->err);
    if (stats.capacity_bytes == 0)
        return false;
    utapi_status status;
    while ((status = fill_once(c, filled)) == UTAPI_OK && filled->batches < BATCHES_MAX)
        filled->batches++;
    assert_string_not_equal(c->err.detail, "");
    assert_null(
        strstr(c->err.detail, c->directory)); /* clients are told it, and paths are not theirs to know */
    CHECK_STATUS(UTAPI_UNAVAILABLE, status, &c->err);
    assert_true(filled->batches > 10);
    return true;
}

static void a_full_storage_refuses_and_goes_on_answering(void **state)
{
    edges *c = edges_of(state);
    filling filled = {.with_uuids = false};
    if (!fill(c, &filled))
        skip();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(service_bytes(c), filled.batches * BATCH);
        CHECK_STATUS(UTAPI_UNAVAILABLE, fill_once(c, &filled), &c->err);
    }
    assert_int_equal(bucket_bytes(c, "b0"), filled.batches);
    assert_int_equal(usage_of(c, UTAPI_BUCKETS, S("b7"), FIRST, INTERVAL(4)).storage_utilized[1], 5);
    utapi_stats stats;
    CHECK_OK(utapi_backend_stats(c->backend, &stats, &c->err), &c->err);
    assert_int_equal(stats.resources, BATCH + 1);
    assert_int_equal(stats.rows, filled.batches * (BATCH + 1));
    assert_in_range(stats.used_bytes, stats.capacity_bytes / 2, stats.capacity_bytes);
    edges_reopen(c);
    CHECK_STATUS(UTAPI_UNAVAILABLE, fill_once(c, &filled), &c->err);
}

static void forgetting_makes_room(void **state)
{
    edges *c = edges_of(state);
    filling filled = {.with_uuids = false};
    if (!fill(c, &filled))
        skip();
    char name[16];
    for (int i = 0; i < BATCH / 4; i++) {
        snprintf(name, sizeof name, "b%d", i);
        CHECK_OK(utapi_backend_expire(c->backend, UTAPI_BUCKETS, S(name), INTERVAL(filled.batches), &c->err),
                 &c->err);
    }
    CHECK_OK(fill_once(c, &filled), &c->err);
    assert_int_equal(service_bytes(c), (filled.batches + 1) * BATCH);
}

static void tending_makes_room(void **state)
{
    edges *c = edges_of(state);
    filling filled = {.with_uuids = true};
    if (!fill(c, &filled))
        skip();
    c->accepted_ms += 2 * WINDOW_MS;
    for (int i = 0; i < filled.batches; i++)
        CHECK_OK(utapi_backend_maintain(c->backend, c->now_ms, c->accepted_ms, &c->err), &c->err);
    CHECK_OK(fill_once(c, &filled), &c->err);
    assert_int_equal(c->applied.repeated, 0);
    assert_int_equal(service_bytes(c), (filled.batches + 1) * BATCH);
}

/* Callers that keep coming leave no time to tend. */
static void refusing_makes_room_too(void **state)
{
    edges *c = edges_of(state);
    filling filled = {.with_uuids = true};
    if (!fill(c, &filled))
        skip();
    c->accepted_ms += 2 * WINDOW_MS;
    int refused = 0;
    while (refused < filled.batches && fill_once(c, &filled) != UTAPI_OK) {
        utapi_error_clear(&c->err);
        refused++;
    }
    assert_in_range(refused, 1, filled.batches - 1);
    assert_int_equal(service_bytes(c), (filled.batches + 1) * BATCH);
}

static void a_full_storage_lives_on_round_after_round(void **state)
{
    edges *c = edges_of(state);
    filling filled = {.with_uuids = true};
    if (!fill(c, &filled))
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
        assert_int_equal(service_bytes(c), filled.batches * BATCH);
    }
    assert_true(filled.batches > first + 300);
}

int cases_full(void)
{
    const struct CMUnitTest cases[] = {
        EDGES_CASE(a_full_storage_refuses_and_goes_on_answering),
        EDGES_CASE(forgetting_makes_room),
        EDGES_CASE(tending_makes_room),
        EDGES_CASE(refusing_makes_room_too),
        EDGES_CASE(a_full_storage_lives_on_round_after_round),
    };
    return RUN_CASES("a full storage", cases);
}
