/* SPDX-License-Identifier: Apache-2.0 */
/* counting.c - state and flows, late events, names, amounts at the edge, fences, adjusting, visiting. */
#include "contract.h"

#include <string.h>

static int64_t puts_of(const utapi_usage *usage)
{
    return utapi_amounts_get(&usage->flows, UTAPI_FIRST_OPERATION + UTAPI_OP_PUT_OBJECT);
}

static int64_t incoming_of(const utapi_usage *usage)
{
    return utapi_amounts_get(&usage->flows, UTAPI_INCOMING_BYTES);
}

static void an_unknown_resource_has_no_usage(void **state)
{
    contract *c = *state;
    const utapi_usage usage = usage_ever(c, "nobody");
    assert_int_equal(usage.storage_utilized[1], 0);
    assert_true(usage.flows.present == 0);
}

static void state_is_that_of_the_newest_interval_and_flows_are_summed(void **state)
{
    contract *c = *state;
    const utapi_entry entries[] = {put("b", T0 + 5, 10), put("b", T0 + HOUR, 20),
                                   put("b", T0 + 2 * HOUR, -5)};
    CHECK_OK(apply(c, entries, 3), &c->err);
    const utapi_string b = utapi_string_of("b");

    utapi_usage usage = usage_at(c, UTAPI_BUCKETS, b, T0, T0 + 2 * HOUR);
    assert_int_equal(usage.storage_utilized[0],
                     10); /* a change in the first interval is in the first figure */
    assert_int_equal(usage.storage_utilized[1], 25);
    assert_int_equal(usage.number_of_objects[1], 3);
    assert_int_equal(puts_of(&usage), 3);
    assert_int_equal(incoming_of(&usage), 30);

    usage = usage_at(c, UTAPI_BUCKETS, b, T0 + 15 * MINUTE, T0 + HOUR);
    assert_int_equal(usage.storage_utilized[0], 10);
    assert_int_equal(usage.storage_utilized[1], 30);
    assert_int_equal(puts_of(&usage), 1);

    usage = usage_at(c, UTAPI_BUCKETS, b, T0 + 3 * HOUR, T0 + 4 * HOUR);
    assert_int_equal(usage.storage_utilized[0], 25);
    assert_int_equal(puts_of(&usage), 0);

    usage = usage_at(c, UTAPI_BUCKETS, b, T0 - HOUR, T0 - 15 * MINUTE);
    assert_int_equal(usage.storage_utilized[1], 0);
    assert_int_equal(puts_of(&usage), 0);
}

static void ranges_may_reach_before_the_epoch(void **state)
{
    contract *c = *state;
    CHECK_OK(apply_one(c, put("b", 0, 7)), &c->err);
    const utapi_string b = utapi_string_of("b");
    utapi_usage usage = usage_at(c, UTAPI_BUCKETS, b, -UTAPI_INTERVAL_MS, -UTAPI_INTERVAL_MS);
    assert_int_equal(usage.storage_utilized[1], 0);
    usage = usage_at(c, UTAPI_BUCKETS, b, -UTAPI_INTERVAL_MS, 0);
    assert_int_equal(usage.storage_utilized[0], 0);
    assert_int_equal(usage.storage_utilized[1], 7);
    assert_int_equal(puts_of(&usage), 1);
    usage = usage_at(c, UTAPI_BUCKETS, b, 0, 0);
    assert_int_equal(usage.storage_utilized[0], 7);
    usage = usage_at(c, UTAPI_BUCKETS, b, 0, UTAPI_INTERVAL_MAX);
    assert_int_equal(puts_of(&usage), 1);
}

static void a_late_event_reaches_every_later_row(void **state)
{
    contract *c = *state;
    for (int day = 0; day < 10; day++)
        CHECK_OK(apply_one(c, put("b", T0 + day * DAY, 100)), &c->err);
    const utapi_entry late[] = {put("b", T0 + 3 * DAY + 5, 1), put("b", T0 + 7 * DAY + HOUR, 10),
                                put("b", T0 - DAY, 1000)};
    CHECK_OK(apply(c, late, 3), &c->err);
    assert_int_equal(bytes_at(c, "b", T0 - 2 * DAY), 0);
    assert_int_equal(bytes_at(c, "b", T0 - DAY), 1000);
    assert_int_equal(bytes_at(c, "b", T0), 1100);
    assert_int_equal(bytes_at(c, "b", T0 + 3 * DAY), 1401);
    assert_int_equal(bytes_at(c, "b", T0 + 7 * DAY), 1801);
    assert_int_equal(bytes_at(c, "b", T0 + 7 * DAY + HOUR), 1811);
    assert_int_equal(bytes_at(c, "b", T0 + 9 * DAY), 2011);
    const utapi_usage usage = usage_at(c, UTAPI_BUCKETS, utapi_string_of("b"), T0 + 3 * DAY, T0 + 3 * DAY);
    assert_int_equal(puts_of(&usage), 2);
}

static void names_are_opaque_and_stay_apart(void **state)
{
    contract *c = *state;
    char longest[UTAPI_NAME_MAX + 1] = "";
    memset(longest, 'x', UTAPI_NAME_MAX);
    char nearly[UTAPI_NAME_MAX + 1];
    memcpy(nearly, longest, sizeof nearly);
    nearly[UTAPI_NAME_MAX - 1] = 'y';
    const char *const names[] = {"a",
                                 "ab",
                                 "a:b",
                                 "a/b",
                                 "a%2Fb",
                                 "counter",
                                 "a:counter",
                                 "\xc3\xa9",
                                 "\xf0\x9f\x98\x80",
                                 " ",
                                 "a\nb",
                                 "A",
                                 longest,
                                 nearly,
                                 "storageUtilized",
                                 "1700006400000"};
    const size_t count = sizeof names / sizeof *names;
    for (size_t i = 0; i < count; i++)
        CHECK_OK(apply_one(c, put(names[i], T0, (int64_t)i + 1)), &c->err);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(bytes_at(c, names[i], T0), i + 1);
    assert_int_equal(bytes_at(c, "x", T0), 0);
    assert_int_equal(bytes_at(c, "s3", T0), 0); /* another level's */
}

static void levels_stay_apart(void **state)
{
    contract *c = *state;
    utapi_entry entry = put("same", T0, 5);
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT; level++)
        entry.resource[level] = utapi_string_of(level == UTAPI_USERS ? "" : "same");
    CHECK_OK(apply_one(c, entry), &c->err);
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT; level++) {
        const utapi_usage usage = usage_at(c, (utapi_level)level, utapi_string_of("same"), T0, T0);
        assert_int_equal(usage.storage_utilized[1], level == UTAPI_USERS ? 0 : 5);
    }
}

static void one_question_may_name_many(void **state)
{
    contract *c = *state;
    const utapi_entry entries[] = {put("a", T0, 1), put("c", T0, 3)};
    CHECK_OK(apply(c, entries, 2), &c->err);
    const utapi_string names[] = {utapi_string_of("c"), utapi_string_of("b"), utapi_string_of("a"),
                                  utapi_string_of("c"), utapi_string_of("")};
    const utapi_query query = {.level = UTAPI_BUCKETS, .names = names, .count = 5, .start = T0, .end = T0};
    utapi_usage usages[5];
    CHECK_OK(utapi_backend_read(c->backend, &query, usages, NULL, &c->err), &c->err);
    static const int64_t expected[] = {3, 0, 1, 3, 0};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(usages[i].storage_utilized[1], expected[i]);
}

/* An operator must find what is at its limit, and what led there: a script of a shared storage tells the first alone. */
static void check_blame(contract *c, const char *resource, const char *metric, size_t index)
{
    assert_non_null(strstr(c->err.detail, resource));
    assert_non_null(strstr(c->err.detail, metric));
    if (c->backend->ops->largest_step == 0)
        assert_int_equal(c->err.index, index);
    utapi_error_clear(&c->err);
}

static void an_overflow_stores_nothing_of_its_batch(void **state)
{
    contract *c = *state;
    utapi_entry most = put("full", T0, INT64_MAX);
    most.resource[UTAPI_SERVICE].size = 0;
    CHECK_OK(apply_one(c, most), &c->err);
    const utapi_entry batch[] = {put_with_uuid("u", "other", T0, 1), put("full", T0 + DAY, 1)};
    assert_int_equal(apply(c, batch, 2), UTAPI_OVERFLOW);
    check_blame(c, "full", "storageUtilized", 1);
    assert_int_equal(bytes_at(c, "other", T0), 0);
    assert_true(bytes_at(c, "full", T0 + DAY) == INT64_MAX);
    CHECK_OK(apply_one(c, batch[0]), &c->err); /* its uuid was not kept either */
    assert_int_equal(bytes_at(c, "other", T0), 1);
}

static void overflow_is_judged_on_the_totals_after_the_batch(void **state)
{
    contract *c = *state;
    CHECK_OK(apply_one(c, put("b", T0, INT64_MAX)), &c->err);
    CHECK_OK(apply_one(c, put("b", T0 + DAY, -10)), &c->err);
    utapi_entry batch[] = {put("b", T0 + DAY, INT64_MAX), put("b", T0 + DAY, -INT64_MAX)};
    batch[0].delta[UTAPI_INCOMING_BYTES] = batch[1].delta[UTAPI_INCOMING_BYTES] = 0;
    CHECK_OK(apply(c, batch, 2), &c->err);
    assert_true(bytes_at(c, "b", T0 + DAY) == INT64_MAX - 10);
    /* A late event is judged on each row that it touches: at T0 there is no room. */
    utapi_entry late = put("b", T0 - DAY, 5);
    late.delta[UTAPI_INCOMING_BYTES] = 0;
    CHECK_STATUS(UTAPI_OVERFLOW, apply_one(c, late), &c->err);
    utapi_entry taken_back[] = {late, late};
    taken_back[1].time_ms = T0;
    taken_back[1].delta[UTAPI_STORAGE_UTILIZED] = -5;
    CHECK_OK(apply(c, taken_back, 2), &c->err);
    assert_int_equal(bytes_at(c, "b", T0 - DAY), 5);
    assert_true(bytes_at(c, "b", T0) == INT64_MAX);
}

static void totals_are_signed_and_exact_below_zero(void **state)
{
    contract *c = *state;
    CHECK_OK(apply_one(c, put("b", T0, -7)), &c->err);
    assert_int_equal(bytes_at(c, "b", T0), -7);
    CHECK_OK(apply_one(c, put("b", T0, 10)), &c->err);
    assert_int_equal(bytes_at(c, "b", T0), 3);
    CHECK_OK(apply_one(c, put("low", T0, INT64_MIN)), &c->err);
    assert_true(bytes_at(c, "low", T0) == INT64_MIN);
    CHECK_STATUS(UTAPI_OVERFLOW, apply_one(c, put("low", T0, -1)), &c->err);
}

static utapi_status apply_fenced(contract *c, unsigned char writer, uint64_t from, uint64_t to,
                                 uint64_t *ret_fence)
{
    const utapi_entry entry = put("b", T0, 1);
    utapi_batch batch = {.entries = &entry, .count = 1, .now_ms = c->now_ms, .accepted_ms = c->accepted_ms};
    batch.fence = (utapi_fence){.writer = {writer}, .from = from, .to = to};
    utapi_applied applied = {.fence = 0};
    const utapi_status status = utapi_backend_apply(c->backend, &batch, &applied, &c->err);
    *ret_fence = applied.fence;
    return status;
}

static void a_fenced_batch_is_stored_only_from_where_its_writer_stands(void **state)
{
    contract *c = *state;
    uint64_t fence;
    CHECK_OK(apply_fenced(c, 1, 0, 5, &fence), &c->err);
    assert_int_equal(fence, 5);
    CHECK_STATUS(UTAPI_FENCED, apply_fenced(c, 1, 0, 5, &fence), &c->err);
    assert_int_equal(fence, 5);
    CHECK_STATUS(UTAPI_FENCED, apply_fenced(c, 1, 6, 7, &fence), &c->err);
    CHECK_OK(apply_fenced(c, 2, 0, 9, &fence), &c->err); /* another writer has a fence of its own */
    CHECK_OK(apply_fenced(c, 1, 5, 6, &fence), &c->err);
    assert_int_equal(bytes_at(c, "b", T0), 3);

    const utapi_string name = utapi_string_of("b");
    utapi_query query = {
        .level = UTAPI_BUCKETS, .names = &name, .count = 1, .start = T0, .end = T0, .writer = {1}};
    utapi_usage usage;
    CHECK_OK(utapi_backend_read(c->backend, &query, &usage, &fence, &c->err), &c->err);
    assert_int_equal(fence, 6);
    query.writer[0] = 3;
    CHECK_OK(utapi_backend_read(c->backend, &query, &usage, &fence, &c->err), &c->err);
    assert_int_equal(fence, 0);
    if (contract_is_durable(c)) {
        contract_reopen(c);
        CHECK_STATUS(UTAPI_FENCED, apply_fenced(c, 2, 0, 9, &fence), &c->err);
        assert_int_equal(fence, 9);
    }
}

/* The fences of two writers, told once or twice. */
static bool fence_note(void *ctx, const unsigned char writer[16], uint64_t fence)
{
    uint64_t *met = ctx;
    assert_in_range(writer[0], 1, 200);
    assert_true(met[writer[0]] == 0 || met[writer[0]] == fence);
    met[writer[0]] = fence;
    return true;
}

static bool fence_stop(void *ctx, const unsigned char writer[16], uint64_t fence)
{
    (void)writer;
    (void)fence;
    ++*(int *)ctx;
    return false;
}

static void every_fence_is_told(void **state)
{
    contract *c = *state;
    uint64_t fence, met[256] = {0};
    int calls = 0;
    if (c->backend->ops->fences == NULL)
        return;
    CHECK_OK(utapi_backend_fences(c->backend, fence_note, met, &c->err), &c->err);
    for (unsigned writer = 1; writer <= 200; writer++)
        CHECK_OK(apply_fenced(c, (unsigned char)writer, 0, writer, &fence), &c->err);
    CHECK_OK(apply_fenced(c, 200, 200, UINT64_MAX, &fence), &c->err);
    CHECK_OK(apply_fenced(c, 7, 7, 3, &fence),
             &c->err); /* another storage's figures came, with their fence */
    CHECK_OK(apply_fenced(c, 8, 8, 0, &fence), &c->err);
    CHECK_OK(apply_one(c, put("b", T0, 1)), &c->err); /* of nobody */
    CHECK_OK(utapi_backend_fences(c->backend, fence_note, met, &c->err), &c->err);
    for (unsigned writer = 1; writer < 200; writer++)
        assert_int_equal(met[writer], writer == 7 ? 3 : writer == 8 ? 0 : writer);
    assert_true(met[200] == UINT64_MAX);
    CHECK_OK(utapi_backend_fences(c->backend, fence_stop, &calls, &c->err), &c->err);
    assert_int_equal(calls, 1);
}

static void an_adjustment_reaches_every_later_row(void **state)
{
    contract *c = *state;
    CHECK_OK(apply_one(c, put("b", T0, 10)), &c->err);
    CHECK_OK(apply_one(c, put("b", T0 + DAY, 10)), &c->err);
    utapi_amounts delta = {.present = 0};
    utapi_amounts_set(&delta, UTAPI_STORAGE_UTILIZED, -3);
    utapi_adjustment adjustment = {
        .level = UTAPI_BUCKETS, .name = utapi_string_of("b"), .interval = T0 + HOUR, .delta = &delta};
    CHECK_OK(utapi_backend_adjust(c->backend, &adjustment, 1, &c->err), &c->err);
    assert_int_equal(bytes_at(c, "b", T0), 10);
    assert_int_equal(bytes_at(c, "b", T0 + HOUR), 7);
    assert_int_equal(bytes_at(c, "b", T0 + DAY), 17);
    utapi_amounts_set(&delta, UTAPI_STORAGE_UTILIZED, INT64_MAX);
    CHECK_STATUS(UTAPI_OVERFLOW, utapi_backend_adjust(c->backend, &adjustment, 1, &c->err), &c->err);
    assert_int_equal(bytes_at(c, "b", T0 + DAY), 17);
    adjustment.name = utapi_string_of("new");
    CHECK_OK(utapi_backend_adjust(c->backend, &adjustment, 1, &c->err), &c->err);
    assert_true(bytes_at(c, "new", T0 + HOUR) == INT64_MAX);
}

static void adjustments_count_together_or_not_at_all(void **state)
{
    contract *c = *state;
    CHECK_OK(apply_one(c, put("b", T0, 10)), &c->err);
    utapi_amounts one = {.present = 0}, most = {.present = 0};
    utapi_amounts_set(&one, UTAPI_STORAGE_UTILIZED, 1);
    utapi_amounts_set(&most, UTAPI_STORAGE_UTILIZED, INT64_MAX);
    const utapi_string b = utapi_string_of("b"), other = utapi_string_of("other");
    utapi_adjustment adjustments[] = {
        {.level = UTAPI_BUCKETS, .name = b, .interval = T0, .delta = &one},
        {.level = UTAPI_BUCKETS, .name = b, .interval = T0 + HOUR, .delta = &one},
        {.level = UTAPI_USERS, .name = other, .interval = T0, .delta = &one},
        {.level = UTAPI_BUCKETS, .name = b, .interval = T0 + DAY, .delta = &most},
    };
    CHECK_STATUS(UTAPI_OVERFLOW, utapi_backend_adjust(c->backend, adjustments, 4, &c->err), &c->err);
    assert_int_equal(bytes_at(c, "b", T0 + DAY), 10);
    CHECK_OK(utapi_backend_adjust(c->backend, adjustments, 3, &c->err), &c->err);
    assert_int_equal(bytes_at(c, "b", T0), 11);
    assert_int_equal(bytes_at(c, "b", T0 + DAY), 12);
    CHECK_OK(utapi_backend_adjust(c->backend, NULL, 0, &c->err), &c->err);
}

/* ---- visiting ----------------------------------------------------------------------------- */

typedef struct visited {
    size_t count, stop_after;
    char names[8][16];
    utapi_interval intervals[8];
    int64_t bytes[8];
} visited;

static bool note_resource(void *ctx, utapi_string name)
{
    visited *seen = ctx;
    assert_in_range(name.size, 1, sizeof seen->names[0] - 1);
    memcpy(seen->names[seen->count++], name.data, name.size);
    return seen->count != seen->stop_after;
}

static void visiting_names_each_resource_of_a_level_once(void **state)
{
    contract *c = *state;
    const utapi_entry entries[] = {put("a", T0, 1), put("bb", T0, 1), put("a", T0 + DAY, 1),
                                   put("ccc", T0, 0)};
    CHECK_OK(apply(c, entries, 4), &c->err);
    visited seen = {.stop_after = 0};
    CHECK_OK(utapi_backend_list(c->backend, UTAPI_BUCKETS, note_resource, &seen, &c->err), &c->err);
    assert_int_equal(seen.count, 3);
    unsigned sizes = 0;
    for (size_t i = 0; i < seen.count; i++)
        sizes |= 1U << strlen(seen.names[i]);
    assert_int_equal(sizes, 1U << 1 | 1U << 2 | 1U << 3);
    seen = (visited){.stop_after = 2};
    CHECK_OK(utapi_backend_list(c->backend, UTAPI_BUCKETS, note_resource, &seen, &c->err), &c->err);
    assert_int_equal(seen.count, 2);
    seen = (visited){.stop_after = 0};
    CHECK_OK(utapi_backend_list(c->backend, UTAPI_USERS, note_resource, &seen, &c->err), &c->err);
    assert_int_equal(seen.count, 0);
}

static bool note_row(void *ctx, utapi_interval interval, const utapi_amounts *totals)
{
    visited *seen = ctx;
    seen->intervals[seen->count] = interval;
    seen->bytes[seen->count++] = utapi_amounts_get(totals, UTAPI_STORAGE_UTILIZED);
    return seen->count != seen->stop_after;
}

static void rows_begin_with_the_one_before_the_range(void **state)
{
    contract *c = *state;
    for (int day = 0; day < 5; day++)
        CHECK_OK(apply_one(c, put("b", T0 + day * DAY, 1)), &c->err);
    CHECK_OK(apply_one(c, put("a", T0, 50)), &c->err);
    CHECK_OK(apply_one(c, put("c", T0, 60)), &c->err);
    const utapi_string b = utapi_string_of("b");
    visited seen = {.stop_after = 0};
    CHECK_OK(utapi_backend_rows(c->backend, UTAPI_BUCKETS, b, T0 + 2 * DAY, T0 + 3 * DAY, note_row, &seen,
                                &c->err),
             &c->err);
    assert_int_equal(seen.count, 3);
    for (size_t i = 0; i < seen.count; i++) {
        assert_int_equal(seen.intervals[i], T0 + (int64_t)(i + 1) * DAY);
        assert_int_equal(seen.bytes[i], i + 2);
    }
    seen = (visited){.stop_after = 0};
    CHECK_OK(utapi_backend_rows(c->backend, UTAPI_BUCKETS, b, 0, T0 + 1000 * DAY, note_row, &seen, &c->err),
             &c->err);
    assert_int_equal(seen.count, 5);
    seen = (visited){.stop_after = 0};
    CHECK_OK(utapi_backend_rows(c->backend, UTAPI_BUCKETS, b, T0 + 9 * DAY, T0 + 9 * DAY, note_row, &seen,
                                &c->err),
             &c->err);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.bytes[0], 5);
    seen = (visited){.stop_after = 1};
    CHECK_OK(utapi_backend_rows(c->backend, UTAPI_BUCKETS, b, 0, T0 + 9 * DAY, note_row, &seen, &c->err),
             &c->err);
    assert_int_equal(seen.count, 1);
    seen = (visited){.stop_after = 0};
    CHECK_OK(utapi_backend_rows(c->backend, UTAPI_BUCKETS, utapi_string_of("nobody"), 0, T0, note_row, &seen,
                                &c->err),
             &c->err);
    assert_int_equal(seen.count, 0);
}

static void stats_count_resources_rows_and_uuids(void **state)
{
    contract *c = *state;
    const utapi_entry entries[] = {put_with_uuid("u1", "a", T0, 1), put_with_uuid("u2", "a", T0 + DAY, 1),
                                   put("b", T0, 1)};
    CHECK_OK(apply(c, entries, 3), &c->err);
    utapi_stats stats;
    CHECK_OK(utapi_backend_stats(c->backend, &stats, &c->err), &c->err);
    assert_int_equal(stats.resources, 3); /* a, b, and the service */
    assert_int_equal(stats.rows, 5);
    assert_int_equal(stats.uuids, 2);
    assert_true(stats.used_bytes <= stats.capacity_bytes);
}

const struct CMUnitTest contract_counting[] = {
    CASE(an_unknown_resource_has_no_usage),
    CASE(state_is_that_of_the_newest_interval_and_flows_are_summed),
    CASE(ranges_may_reach_before_the_epoch),
    CASE(a_late_event_reaches_every_later_row),
    CASE(names_are_opaque_and_stay_apart),
    CASE(levels_stay_apart),
    CASE(one_question_may_name_many),
    CASE(an_overflow_stores_nothing_of_its_batch),
    CASE(overflow_is_judged_on_the_totals_after_the_batch),
    CASE(totals_are_signed_and_exact_below_zero),
    CASE(a_fenced_batch_is_stored_only_from_where_its_writer_stands),
    CASE(every_fence_is_told),
    CASE(an_adjustment_reaches_every_later_row),
    CASE(adjustments_count_together_or_not_at_all),
    CASE(visiting_names_each_resource_of_a_level_once),
    CASE(rows_begin_with_the_one_before_the_range),
    CASE(stats_count_resources_rows_and_uuids),
    {.name = NULL},
};
