/* SPDX-License-Identifier: Apache-2.0 */
/* bench.c - see bench.h. */
#include "bench.h"

#include "folder.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define T0 INT64_C(1700006400000)

static _Atomic int64_t passed_ms;

static int64_t monotonic_ms(void)
{
    return atomic_load(&passed_ms);
}

void bench_pass(int64_t ms)
{
    atomic_fetch_add(&passed_ms, ms);
}

void bench_open(bench *b)
{
    CHECK_OK(
        utapi_journal_open_tuned(server_connect(&b->server), &b->options, &b->tuning, &b->journal, &b->err),
        &b->err);
}

void bench_close(bench *b)
{
    utapi_backend_close(b->journal);
    b->journal = NULL;
}

int bench_setup(void **state)
{
    bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    server_init(&b->server);
    support_folder_make(b->folder);
    snprintf(b->location, sizeof b->location, "%s/journal", b->folder);
    b->options = (utapi_journal_options){.location = b->location,
                                         .capacity_bytes = 64 << 20,
                                         .keep_ms = KEEP_MS,
                                         .dedup_window_ms = 1000000000};
    b->tuning = utapi_journal_tuning;
    b->tuning.monotonic_ms = monotonic_ms;
    b->tuning.pace.tick_ms = 2;
    b->tuning.pace.back_off_ms = 1;
    b->tuning.patience.wait_ms = 60000;
    bench_open(b);
    *state = b;
    return 0;
}

int bench_teardown(void **state)
{
    bench *b = *state;
    utapi_backend_close(b->journal);
    server_free(&b->server);
    support_folder_remove(b->folder);
    free(b);
    return 0;
}

utapi_status bench_take(bench *b, const char *bucket, size_t count, int64_t bytes)
{
    utapi_entry entries[100];
    utapi_applied applied;
    assert_in_range(count, 1, 100);
    for (size_t i = 0; i < count; i++)
        entries[i] = (utapi_entry){
            .time_ms = T0,
            .accepted_ms = T0,
            .resource = {[UTAPI_BUCKETS] = utapi_string_of(bucket)},
            .operation = UTAPI_OP_PUT_OBJECT,
            .delta = {[UTAPI_STORAGE_UTILIZED] = bytes, [UTAPI_NUMBER_OF_OBJECTS] = 1},
        };
    const utapi_batch batch = {.entries = entries, .count = count, .now_ms = T0};
    return utapi_backend_apply(b->journal, &batch, &applied, &b->err);
}

int64_t bench_objects(bench *b, const char *bucket)
{
    const utapi_string name = utapi_string_of(bucket);
    const utapi_query query = {.names = &name, .count = 1, .end = UTAPI_INTERVAL_MAX};
    utapi_usage usage;
    CHECK_OK(utapi_backend_read(b->journal, &query, &usage, NULL, &b->err), &b->err);
    return (int64_t)usage.number_of_objects[1];
}

utapi_health bench_stats(bench *b)
{
    utapi_health health = {.recovering = false};
    CHECK_OK(utapi_backend_stats(b->journal, &health.storage, &b->err), &b->err);
    utapi_backend_journal_stats(b->journal, &health.journal);
    CHECK_OK(utapi_backend_dead_letter_stats(b->journal, &health.letters, &b->err), &b->err);
    health.refuses = health.storage.refuses;
    memcpy(health.warning, health.storage.warning, sizeof health.warning);
    return health;
}

uint64_t bench_letters(bench *b)
{
    const utapi_dead_letter_stats stats = bench_stats(b).letters;
    uint64_t ever = 0;
    for (unsigned reason = 0; reason < UTAPI_REASON_COUNT; reason++)
        ever += stats.ever[reason];
    return ever;
}

void bench_drained(bench *b)
{
    for (int i = 0; bench_stats(b).journal.waiting > 0; i++) {
        assert_in_range(i, 0, 60000);
        usleep(1000);
    }
}

static void file_copy(const char *from, const char *to)
{
    char buffer[65536];
    FILE *in = fopen(from, "re");
    FILE *out = fopen(to, "we");
    assert_non_null(in);
    assert_non_null(out);
    for (size_t size; (size = fread(buffer, 1, sizeof buffer, in)) > 0;)
        assert_int_equal(fwrite(buffer, 1, size, out), size);
    (void)fclose(in);
    assert_int_equal(fclose(out), 0);
}

void bench_copy(const char *from, const char *to)
{
    char source[400], target[400];
    support_folder_remove(to);
    assert_int_equal(mkdir(to, 0700), 0);
    snprintf(source, sizeof source, "%s/data.mdb", from);
    snprintf(target, sizeof target, "%s/data.mdb", to);
    file_copy(source, target);
}
