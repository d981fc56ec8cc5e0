/* SPDX-License-Identifier: Apache-2.0 */
/* life.c - opening, closing, filling up, and readers beside a writer. */
#include "contract.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static void totals_survive_reopening(void **state)
{
    contract *c = *state;
    if (!contract_is_durable(c))
        return;
    for (int day = 0; day < 40; day++) {
        CHECK_OK(apply_one(c, put("b", T0 + day * DAY, 1)), &c->err);
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
    CHECK_OK(apply_one(c, put("b", T0, 1)), &c->err); /* the first is unharmed */
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

/* Fills the store with long names until it says that there is no room. Returns how many were stored. */
static size_t fill(contract *c)
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
            entries[k] = put(names[k], T0, 1);
        }
        const utapi_status status = apply(c, entries, 100);
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
    utapi_stats stats;
    CHECK_OK(utapi_backend_maintain(c->backend, c->now_ms, c->accepted_ms, &c->err), &c->err);
    CHECK_OK(utapi_backend_stats(c->backend, &stats, &c->err), &c->err);
    if (stats.capacity_bytes == 0)
        return; /* it knows no limit */
    const size_t stored = fill(c);
    assert_in_range(stored, 1000, 100000);
    CHECK_OK(utapi_backend_stats(c->backend, &stats, &c->err), &c->err);
    assert_int_equal(stats.resources, stored + 1);
    utapi_usage usage = usage_at(c, UTAPI_SERVICE, utapi_string_of("s3"), T0, T0);
    assert_int_equal(usage.storage_utilized[1], stored);

    /* Forgetting needs room too, and gets it from the reserve; then events are taken again. */
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
    usage = usage_at(c, UTAPI_SERVICE, utapi_string_of("s3"), T0, T0);
    assert_int_equal(usage.storage_utilized[1], stored);
}

static void room_that_expiry_makes_is_used_again(void **state)
{
    contract *c = *state;
    c->options.capacity_bytes = 8 << 20;
    contract_reopen(c);
    utapi_stats stats;
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
            entries[k] = put_with_uuid(uuids[k], "b", T0, 1);
        }
        status = apply(c, entries, 100);
    }
    CHECK_STATUS(UTAPI_UNAVAILABLE, status, &c->err);
    c->accepted_ms += 2 * DAY;
    for (int slice = 0; slice < 100; slice++)
        CHECK_OK(utapi_backend_maintain(c->backend, c->now_ms, c->accepted_ms, &c->err), &c->err);
    CHECK_OK(apply(c, entries, 100), &c->err);
}

/* ---- readers beside a writer -------------------------------------------------------------- */

typedef struct crowd {
    contract *c;
    atomic_bool stop;
    atomic_size_t reads, torn;
} crowd;

/* Each put adds one object of seven bytes to bucket and service alike. */
static void *read_on(void *ctx)
{
    crowd *all = ctx;
    const utapi_string names[2] = {utapi_string_of("b"), utapi_string_of("b2")};
    const utapi_query query = {
        .level = UTAPI_BUCKETS, .names = names, .count = 2, .start = T0, .end = T0 + DAY};
    while (!atomic_load(&all->stop)) {
        utapi_usage usages[2];
        utapi_error err;
        utapi_error_clear(&err);
        if (utapi_backend_read(all->c->backend, &query, usages, NULL, &err) != UTAPI_OK ||
            usages[0].storage_utilized[1] != usages[0].number_of_objects[1] * 7 ||
            usages[0].storage_utilized[1] != usages[1].storage_utilized[1])
            atomic_fetch_add(&all->torn, 1);
        atomic_fetch_add(&all->reads, 1);
    }
    return NULL;
}

static void readers_beside_a_writer_see_whole_batches(void **state)
{
    contract *c = *state;
    crowd all = {.c = c};
    pthread_t readers[3];
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_on, &all), 0);
    for (int i = 0; i < 200 || atomic_load(&all.reads) < 100; i++) {
        const int64_t time_ms = T0 + (i % 90) * 15 * MINUTE;
        const utapi_entry entries[] = {put("b", time_ms, 7), put("b2", time_ms, 7)};
        CHECK_OK(apply(c, entries, 2), &c->err);
    }
    atomic_store(&all.stop, true);
    for (size_t i = 0; i < 3; i++)
        pthread_join(readers[i], NULL);
    assert_int_equal(atomic_load(&all.torn), 0);
}

const struct CMUnitTest contract_life[] = {
    CASE(totals_survive_reopening),
    CASE(a_second_opener_is_refused),
    CASE(a_folder_that_cannot_be_made_is_an_error),
    CASE(a_full_store_says_so_goes_on_reading_and_recovers),
    CASE(room_that_expiry_makes_is_used_again),
    CASE(readers_beside_a_writer_see_whole_batches),
    {.name = NULL},
};
