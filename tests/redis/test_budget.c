/* SPDX-License-Identifier: Apache-2.0 */
/* test_budget.c - how much of a batch one script stores: of a fenced one a prefix, of any other all; and that a cut
 * changes nothing. */
#include "reading.h"

#include "redis_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ENTRIES = 2000, SCRIPT_MAX = 240 };

typedef struct stream {
    utapi_entry entries[ENTRIES];
    char names[ENTRIES][24];
} stream;

/* A bucket for each entry, and numbers with holes: 5, 8, 11, ... */
static stream *stream_new(const reading *r)
{
    stream *all = calloc(1, sizeof *all);
    assert_non_null(all);
    for (size_t i = 0; i < ENTRIES; i++) {
        const int size = snprintf(all->names[i], sizeof all->names[i], "bucket-%zu", i);
        all->entries[i] = (utapi_entry){
            .time_ms = r->now_ms,
            .resource =
                {[UTAPI_BUCKETS] = {all->names[i], (size_t)size}, [UTAPI_SERVICE] = utapi_string_of("s3")},
            .operation = UTAPI_OP_PUT_OBJECT,
            .delta = {[UTAPI_STORAGE_UTILIZED] = 1},
            .accepted_ms = r->now_ms,
            .sequence = 5 + 3 * i};
    }
    return all;
}

static utapi_batch fenced_batch(const reading *r, const stream *all)
{
    return (utapi_batch){.entries = all->entries,
                         .count = ENTRIES,
                         .now_ms = r->now_ms,
                         .fence = {.writer = {7}, .from = 0, .to = 9000}};
}

static void a_fenced_batch_is_stored_a_budget_at_a_time(void **state)
{
    reading *r = *state;
    stream *all = stream_new(r);
    utapi_batch batch = fenced_batch(r, all);
    utapi_applied applied;
    size_t steps = 0;
    while (batch.fence.from != 9000) {
        CHECK_OK(utapi_redis_apply(&r->backend.base, &batch, &applied, &r->err), &r->err);
        size_t stored = 0;
        while (stored < batch.count && batch.entries[stored].sequence < applied.fence)
            stored++;
        assert_in_range(stored, 1, SCRIPT_MAX);
        assert_true(stored == batch.count || applied.fence == batch.entries[stored - 1].sequence + 1);
        batch.entries += stored;
        batch.count -= stored;
        batch.fence.from = applied.fence;
        steps++;
    }
    assert_int_equal(batch.count, 0);
    assert_in_range(steps, ENTRIES / SCRIPT_MAX, ENTRIES / 20);
    assert_int_equal(raw_number(r, "GET s3:service:s3:storageUtilized:counter"), ENTRIES);
    assert_int_equal(raw_number(r, "GET s3:buckets:bucket-1999:storageUtilized:counter"), 1);
    free(all);
}

/* What comes again from below the fence is refused: it was stored. */
static void what_was_stored_of_a_batch_is_not_stored_again(void **state)
{
    reading *r = *state;
    stream *all = stream_new(r);
    const utapi_batch batch = fenced_batch(r, all);
    utapi_applied applied, again;
    CHECK_OK(utapi_redis_apply(&r->backend.base, &batch, &applied, &r->err), &r->err);
    const long long stored = raw_number(r, "GET s3:service:s3:storageUtilized:counter");
    assert_true(stored < ENTRIES);
    assert_int_equal(utapi_redis_apply(&r->backend.base, &batch, &again, &r->err), UTAPI_FENCED);
    assert_int_equal(again.fence, applied.fence);
    assert_int_equal(raw_number(r, "GET s3:service:s3:storageUtilized:counter"), stored);
    utapi_error_clear(&r->err);
    free(all);
}

static void a_batch_without_a_fence_is_stored_whole(void **state)
{
    reading *r = *state;
    stream *all = stream_new(r);
    utapi_batch batch = fenced_batch(r, all);
    utapi_applied applied;
    batch.fence = (utapi_fence){.from = 0};
    CHECK_OK(utapi_redis_apply(&r->backend.base, &batch, &applied, &r->err), &r->err);
    assert_int_equal(raw_number(r, "GET s3:service:s3:storageUtilized:counter"), ENTRIES);
    free(all);
}

static void corrections_are_stored_a_budget_at_a_time(void **state)
{
    enum { CORRECTIONS = 300 };
    reading *r = *state;
    utapi_amounts one = {.present = 0};
    utapi_adjustment adjustments[CORRECTIONS];
    utapi_amounts_set(&one, UTAPI_STORAGE_UTILIZED, 1);
    for (size_t i = 0; i < CORRECTIONS; i++)
        adjustments[i] = (utapi_adjustment){UTAPI_BUCKETS, utapi_string_of("b"), interval_now(r), &one};
    size_t at = 0, stored = 0, steps = 0;
    for (; at < CORRECTIONS; at += stored, steps++) {
        CHECK_OK(utapi_redis_adjust(&r->backend.base, adjustments + at, CORRECTIONS - at, &stored, &r->err),
                 &r->err);
        assert_in_range(stored, 1, REDIS_ADJUSTMENTS_MAX);
    }
    assert_true(steps > 1);
    assert_int_equal(raw_number(r, "GET s3:buckets:b:storageUtilized:counter"), CORRECTIONS);
}

/* How much of the batch one script would store, after so many that took `percent` of what was foretold. */
static size_t budget_after(reading *r, const utapi_batch *batch, int scripts, int percent)
{
    unsigned us;
    for (int i = 0; i < scripts; i++) {
        (void)utapi_redis_budget(&r->backend, batch, &us);
        utapi_redis_budget_learn(&r->backend, us, (int64_t)us * percent / 100);
    }
    return utapi_redis_budget(&r->backend, batch, &us);
}

static void a_slower_redis_gets_shorter_scripts(void **state)
{
    reading *r = *state;
    stream *all = stream_new(r);
    const utapi_batch batch = fenced_batch(r, all);
    (void)budget_after(r, &batch, 1, 100); /* from now on all deltas are warm */
    const size_t count = budget_after(r, &batch, 1, 100);
    assert_in_range(budget_after(r, &batch, 100, 200), count * 4 / 10, count * 6 / 10);
    assert_in_range(budget_after(r, &batch, 100, 100000), count / 6, count / 3); /* no shorter than that */
    assert_in_range(budget_after(r, &batch, 100, 100), count * 95 / 100, count * 105 / 100);
    assert_in_range(budget_after(r, &batch, 100, 0), count * 11 / 10, count * 13 / 10); /* and no longer */
    free(all);
}

static void one_script_that_had_to_wait_says_little(void **state)
{
    reading *r = *state;
    stream *all = stream_new(r);
    const utapi_batch batch = fenced_batch(r, all);
    (void)budget_after(r, &batch, 1, 100);
    const size_t count = budget_after(r, &batch, 1, 100);
    assert_in_range(budget_after(r, &batch, 1, 100000), count * 9 / 10, count - 1);
    free(all);
}

static void scripts_are_measured(void **state)
{
    reading *r = *state;
    stream *all = stream_new(r);
    const utapi_batch batch = fenced_batch(r, all);
    utapi_applied applied;
    r->backend.script_percent = 300;
    CHECK_OK(utapi_redis_apply(&r->backend.base, &batch, &applied, &r->err), &r->err);
    assert_int_not_equal(r->backend.script_percent, 300);
    free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        READING_CASE(a_fenced_batch_is_stored_a_budget_at_a_time),
        READING_CASE(what_was_stored_of_a_batch_is_not_stored_again),
        READING_CASE(a_batch_without_a_fence_is_stored_whole),
        READING_CASE(corrections_are_stored_a_budget_at_a_time),
        READING_CASE(a_slower_redis_gets_shorter_scripts),
        READING_CASE(one_script_that_had_to_wait_says_little),
        READING_CASE(scripts_are_measured),
    };
    return cmocka_run_group_tests_name("redis.budget", tests, NULL, NULL);
}
