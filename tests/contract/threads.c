/* SPDX-License-Identifier: Apache-2.0 */
/* threads.c - readers beside a writer, and writers beside each other: no answer is torn. */
#include "contract.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

typedef struct crowd {
    contract *c;
    atomic_bool stop;
    atomic_size_t reads, torn;
} crowd;

/* Each put adds one object of seven bytes to bucket and service alike. */
static void *read_two_names(void *ctx)
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

static void readers_of_two_names_see_whole_batches(void **state)
{
    contract *c = *state;
    crowd all = {.c = c};
    pthread_t readers[3];
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_two_names, &all), 0);
    for (int i = 0; i < 200 || atomic_load(&all.reads) < 100; i++) {
        const int64_t time_ms = T0 + (i % 90) * 15 * MINUTE;
        const utapi_entry entries[] = {entry_put("b", time_ms, 7), entry_put("b2", time_ms, 7)};
        CHECK_OK(apply_entries(c, entries, 2), &c->err);
    }
    atomic_store(&all.stop, true);
    for (size_t i = 0; i < 3; i++)
        pthread_join(readers[i], NULL);
    assert_int_equal(atomic_load(&all.torn), 0);
}

enum { READERS = 3, BATCHES = 2000, WRITERS = 3, WRITER_BATCHES = 40 };

typedef struct stage {
    contract *c;
    atomic_bool done;
    atomic_uint torn, failed, answers;
} stage;

/* Each batch brings every one of these 3 bytes and an object, some of them late. */
static const char *const buckets[] = {"left", "middle", "right"};
enum { BUCKETS = 3 };

static void put_round(contract *c, int round)
{
    for (int i = 0; i < BUCKETS; i++)
        put(c, buckets[i], INTERVAL(round % 7 == 0 ? -(round % 300) : round / 10), 3);
}

static void *read_on(void *arg)
{
    stage *on = arg;
    utapi_error err;
    utapi_string names[BUCKETS];
    utapi_error_clear(&err);
    for (int i = 0; i < BUCKETS; i++)
        names[i] = S(buckets[i]);
    const utapi_query query = {
        .level = UTAPI_BUCKETS, .names = names, .count = BUCKETS, .start = FIRST, .end = LAST};
    int64_t newest = 0;
    while (!atomic_load(&on->done)) {
        utapi_usage usages[BUCKETS];
        if (utapi_backend_read(on->c->backend, &query, usages, NULL, &err) != UTAPI_OK) {
            atomic_fetch_add(&on->failed, 1);
            break;
        }
        bool whole = usages[0].number_of_objects[1] >= newest; /* what was seen once does not vanish */
        newest = (int64_t)usages[0].number_of_objects[1];
        for (int i = 0; i < BUCKETS; i++)
            whole =
                whole && usages[i].number_of_objects[1] == newest &&
                usages[i].storage_utilized[1] == 3 * newest &&
                utapi_amounts_get(&usages[i].flows, UTAPI_FIRST_OPERATION + UTAPI_OP_PUT_OBJECT) == newest;
        atomic_fetch_add(&on->torn, !whole);
        atomic_fetch_add(&on->answers, 1);
    }
    return NULL;
}

typedef struct climb {
    int64_t bytes;
    bool falls;
} climb;

static bool row_climbs(void *ctx, utapi_interval interval, const utapi_amounts *totals)
{
    (void)interval;
    climb *rows = ctx;
    const int64_t bytes = (int64_t)utapi_amounts_get(totals, UTAPI_STORAGE_UTILIZED);
    rows->falls |= bytes <= rows->bytes || bytes % 3 != 0;
    rows->bytes = bytes;
    return true;
}

static bool any_name(void *ctx, utapi_string name)
{
    (void)ctx;
    return name.size > 0;
}

/* The questions that take longer: rows, names, figures. */
static void *walk_on(void *arg)
{
    stage *on = arg;
    utapi_error err;
    utapi_error_clear(&err);
    while (!atomic_load(&on->done)) {
        climb rows = {.bytes = 0};
        utapi_storage_stats stats;
        if (export_rows(on->c->backend, UTAPI_BUCKETS, S("middle"), FIRST, LAST, row_climbs, &rows, &err) !=
                UTAPI_OK ||
            utapi_backend_list(on->c->backend, UTAPI_BUCKETS, any_name, NULL, &err) != UTAPI_OK ||
            utapi_backend_stats(on->c->backend, &stats, &err) != UTAPI_OK) {
            atomic_fetch_add(&on->failed, 1);
            break;
        }
        atomic_fetch_add(&on->torn, rows.falls);
    }
    return NULL;
}

static void readers_beside_a_writer_see_whole_batches(void **state)
{
    contract *c = *state;
    stage on = {.c = c};
    pthread_t readers[READERS + 1];
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_on, &on), 0);
    assert_int_equal(pthread_create(&readers[READERS], NULL, walk_on, &on), 0);
    for (int round = 0; round < BATCHES; round++) {
        put_round(c, round);
        apply(c);
    }
    atomic_store(&on.done, true);
    for (int i = 0; i <= READERS; i++)
        pthread_join(readers[i], NULL);
    assert_int_equal(atomic_load(&on.failed), 0);
    assert_int_equal(atomic_load(&on.torn), 0);
    assert_int_equal(bucket_bytes(c, "middle"), 3 * BATCHES);
}

static void *write_on(void *arg)
{
    stage *on = arg;
    contract mine; /* a batch of its own, for the same backend */
    memset(&mine, 0, sizeof mine);
    mine.backend = on->c->backend;
    mine.now_ms = mine.accepted_ms = on->c->now_ms;
    for (int round = 0; round < WRITER_BATCHES; round++) {
        put_round(&mine, round);
        if (apply_try(&mine) != UTAPI_OK ||
            utapi_backend_maintain(mine.backend, mine.now_ms, mine.accepted_ms, &mine.err) != UTAPI_OK)
            atomic_fetch_add(&on->failed, 1);
    }
    return NULL;
}

static void writers_beside_each_other_lose_nothing(void **state)
{
    contract *c = *state;
    stage on = {.c = c};
    pthread_t writers[WRITERS];
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&writers[i], NULL, write_on, &on), 0);
    for (int i = 0; i < WRITERS; i++)
        pthread_join(writers[i], NULL);
    assert_int_equal(atomic_load(&on.failed), 0);
    for (int i = 0; i < BUCKETS; i++)
        assert_int_equal(bucket_bytes(c, buckets[i]), 3 * WRITERS * WRITER_BATCHES);
}

const struct CMUnitTest contract_threads[] = {
    CASE(readers_of_two_names_see_whole_batches),
    CASE(readers_beside_a_writer_see_whole_batches),
    CASE(writers_beside_each_other_lose_nothing),
    {.name = NULL},
};
