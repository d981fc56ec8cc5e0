/* SPDX-License-Identifier: Apache-2.0 */
/* fences.c - a fenced batch is stored only where its writer stands. */
#include "contract.h"

#include <string.h>

static utapi_status apply_fenced(contract *c, unsigned char writer, uint64_t from, uint64_t to,
                                 uint64_t *ret_fence)
{
    const utapi_entry entry = entry_put("b", T0, 1);
    utapi_batch batch = {.entries = &entry, .count = to > from, .now_ms = c->now_ms};
    batch.fence = (utapi_fence){.writer = {writer}, .from = from, .to = to};
    utapi_applied applied = {.fence = 0};
    const utapi_status status = apply_batch(c, c->backend, &batch, &applied, &c->err);
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
    CHECK_OK(utapi_backend_fences(c->backend, fence_note, met, &c->err), &c->err);
    for (unsigned writer = 1; writer <= 200; writer++)
        CHECK_OK(apply_fenced(c, (unsigned char)writer, 0, writer, &fence), &c->err);
    CHECK_OK(apply_fenced(c, 200, 200, UINT64_MAX, &fence), &c->err);
    CHECK_OK(apply_fenced(c, 7, 7, 3, &fence),
             &c->err); /* another storage's figures came, with their fence */
    CHECK_OK(apply_fenced(c, 8, 8, 0, &fence), &c->err);
    CHECK_OK(apply_entry(c, entry_put("b", T0, 1)), &c->err); /* of nobody */
    CHECK_OK(utapi_backend_fences(c->backend, fence_note, met, &c->err), &c->err);
    for (unsigned writer = 1; writer < 200; writer++)
        assert_int_equal(met[writer], writer == 7 ? 3 : writer == 8 ? 0 : writer);
    assert_true(met[200] == UINT64_MAX);
    CHECK_OK(utapi_backend_fences(c->backend, fence_stop, &calls, &c->err), &c->err);
    assert_int_equal(calls, 1);
}

static uint64_t fence_of(contract *c, unsigned char writer)
{
    utapi_query query = {.level = UTAPI_BUCKETS, .start = INTERVAL(0), .end = INTERVAL(0)};
    memset(query.writer, writer, sizeof query.writer);
    uint64_t fence = 4711;
    CHECK_OK(utapi_backend_read(c->backend, &query, NULL, &fence, &c->err), &c->err);
    return fence;
}

static void set_fence(contract *c, unsigned char writer, uint64_t from, uint64_t to)
{
    memset(c->fence.writer, writer, sizeof c->fence.writer);
    c->fence.from = from;
    c->fence.to = to;
}

static void a_delivery_counts_only_where_the_fence_stands(void **state)
{
    contract *c = *state;
    set_fence(c, 1, 0, 10);
    put(c, "b", INTERVAL(0), 1);
    apply(c);
    assert_int_equal(c->applied.fence, 10);

    static const uint64_t elsewhere[] = {0, 5, 9, 11, UINT64_MAX};
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++) {
        set_fence(c, 1, elsewhere[i], 20);
        put_uuid(c, "u", "b", INTERVAL(0), 1);
        c->applied.fence = 4711;
        apply_fails(c, UTAPI_FENCED);
        assert_int_equal(c->applied.fence, 10);
    }
    assert_int_equal(bucket_bytes(c, "b"), 1);
    set_fence(c, 1, 10, UINT64_MAX);
    put_uuid(c, "u", "b", INTERVAL(0), 1);
    apply(c);
    assert_int_equal(c->applied.repeated, 0);
    assert_true(c->applied.fence == UINT64_MAX);
    assert_int_equal(bucket_bytes(c, "b"), 2);
}

static void each_writer_has_a_fence_of_its_own(void **state)
{
    contract *c = *state;
    set_fence(c, 1, 0, 10);
    apply(c);
    set_fence(c, 2, 0, 3);
    apply(c);
    assert_int_equal(fence_of(c, 1), 10);
    assert_int_equal(fence_of(c, 2), 3);
    assert_int_equal(fence_of(c, 3), 0);
    set_fence(c, 0, 99, 100); /* nobody: no fence at all */
    put(c, "b", INTERVAL(0), 1);
    apply(c);
    assert_int_equal(c->applied.fence, 0);
    assert_int_equal(fence_of(c, 0), 0);
    assert_int_equal(bucket_bytes(c, "b"), 1);
}

static void a_refused_batch_moves_no_fence(void **state)
{
    contract *c = *state;
    set_fence(c, 1, 0, 10);
    put(c, "b", -1, 1);
    apply_fails(c, UTAPI_INVALID);
    assert_int_equal(fence_of(c, 1), 0);
    set_fence(c, 1, 0, 4);
    apply(c);
    assert_int_equal(fence_of(c, 1), 4);
    if (contract_is_durable(c)) {
        contract_reopen(c);
        assert_int_equal(fence_of(c, 1), 4);
    }
}

/* The entries before one that never fits are stored; the writer goes on from there. */
static void a_fenced_batch_is_stored_up_to_an_entry_that_never_fits(void **state)
{
    contract *c = *state;
    for (int i = 0; i < 8; i++)
        put_uuid(c, "", "b", i == 5 ? -1 : INTERVAL(0), 1);
    utapi_entry entries[8];
    memcpy(entries, c->entries, sizeof entries);
    c->count = 0;
    set_fence(c, 1, 0, 100);
    apply(c); /* nothing but the fence */
    uint64_t refused = 0;
    for (uint64_t at = 100, end = 108; at < end; at = c->applied.fence) {
        memcpy(c->entries, entries + (at - 100), (size_t)(end - at) * sizeof *entries);
        c->count = (size_t)(end - at);
        set_fence(c, 1, at, end);
        const utapi_status status = apply_try(c);
        if (status == UTAPI_INVALID) {
            utapi_error_clear(&c->err);
            refused = at;
            set_fence(c, 1, at, at + 1); /* a writer passes over it */
            apply(c);
        } else
            CHECK_OK(status, &c->err);
        assert_int_equal(fence_of(c, 1), c->applied.fence);
        assert_true(c->applied.fence > at);
    }
    assert_int_equal(refused, 105);
    assert_int_equal(bucket_bytes(c, "b"), 7);
    assert_int_equal(service_bytes(c), 7);
}

/* Without a fence a batch is stored whole or not at all: its sender would send all of it again. */
static void a_batch_without_a_fence_is_never_stored_in_part(void **state)
{
    contract *c = *state;
    put(c, "b", INTERVAL(0), 1);
    put(c, "b", -1, 1);
    apply_fails(c, UTAPI_INVALID);
    assert_int_equal(bucket_bytes(c, "b"), 0);
    assert_int_equal(service_bytes(c), 0);
}

const struct CMUnitTest contract_fences[] = {
    CASE(a_fenced_batch_is_stored_only_from_where_its_writer_stands),
    CASE(every_fence_is_told),
    CASE(a_delivery_counts_only_where_the_fence_stands),
    CASE(each_writer_has_a_fence_of_its_own),
    CASE(a_refused_batch_moves_no_fence),
    CASE(a_fenced_batch_is_stored_up_to_an_entry_that_never_fits),
    CASE(a_batch_without_a_fence_is_never_stored_in_part),
    {.name = NULL},
};
