/* SPDX-License-Identifier: Apache-2.0 */
/* overflow.c - totals at the edge of 64 bits, and beyond: V1's keys alone have one. */
#include "contract.h"

#include <string.h>

static void an_overflow_stores_nothing_of_its_batch(void **state)
{
    contract *c = *state;
    utapi_entry most = entry_put("full", T0, INT64_MAX);
    most.resource[UTAPI_SERVICE].size = 0;
    CHECK_OK(apply_entry(c, most), &c->err);
    const utapi_entry batch[] = {entry_put_uuid("u", "other", T0, 1), entry_put("full", T0 + DAY, 1)};
    assert_int_equal(apply_entries(c, batch, 2), UTAPI_OVERFLOW);
    assert_non_null(strstr(c->err.detail, "full")); /* an operator must find what is at its limit */
    assert_non_null(strstr(c->err.detail, "storageUtilized"));
    utapi_error_clear(&c->err);
    assert_int_equal(bytes_at(c, "other", T0), 0);
    assert_true(bytes_at(c, "full", T0 + DAY) == INT64_MAX);
    CHECK_OK(apply_entry(c, batch[0]), &c->err); /* its uuid was not kept either */
    assert_int_equal(bytes_at(c, "other", T0), 1);
}

static void totals_are_signed_and_exact_below_zero(void **state)
{
    contract *c = *state;
    CHECK_OK(apply_entry(c, entry_put("b", T0, -7)), &c->err);
    assert_int_equal(bytes_at(c, "b", T0), -7);
    CHECK_OK(apply_entry(c, entry_put("b", T0, 10)), &c->err);
    assert_int_equal(bytes_at(c, "b", T0), 3);
    CHECK_OK(apply_entry(c, entry_put("low", T0, INT64_MIN)), &c->err);
    assert_true(bytes_at(c, "low", T0) == INT64_MIN);
}

static void totals_reach_the_edge_of_64_bits(void **state)
{
    contract *c = *state;
    put(c, "high", INTERVAL(0), INT64_MAX)->delta[UTAPI_NUMBER_OF_OBJECTS] = INT64_MIN;
    apply(c);
    utapi_entry *low = put(c, "low", INTERVAL(0), INT64_MIN);
    low->resource[UTAPI_SERVICE] = S("");
    apply(c);
    assert_int_equal(bucket_bytes(c, "high"), INT64_MAX);
    assert_int_equal(bucket_bytes(c, "low"), INT64_MIN);
    assert_int_equal(usage_of(c, UTAPI_BUCKETS, S("high"), FIRST, LAST).number_of_objects[1], INT64_MIN);
}

static void a_total_beyond_64_bits_is_refused_with_nothing_stored(void **state)
{
    contract *c = *state;
    put(c, "b", INTERVAL(0), INT64_MAX - 10);
    apply(c);
    put_uuid(c, "u1", "aaa", INTERVAL(0), 1)->resource[UTAPI_SERVICE] = S("");
    put_uuid(c, "u2", "b", INTERVAL(1), 11);
    put_uuid(c, "u3", "zzz", INTERVAL(0), 1)->resource[UTAPI_SERVICE] = S("");
    apply_fails(c, UTAPI_OVERFLOW);

    expect_rows(c, "b", "0:9223372036854775797 ");
    assert_int_equal(service_bytes(c), INT64_MAX - 10);
    assert_false(is_known(c, UTAPI_BUCKETS, "aaa"));
    assert_false(is_known(c, UTAPI_BUCKETS, "zzz"));

    /* Their uuids are not known either. */
    put_uuid(c, "u1", "aaa", INTERVAL(0), 1)->resource[UTAPI_SERVICE] = S("");
    put_uuid(c, "u2", "b", INTERVAL(1), 10);
    apply(c);
    assert_int_equal(c->applied.repeated, 0);
    assert_int_equal(bucket_bytes(c, "aaa"), 1);
    assert_int_equal(bucket_bytes(c, "b"), INT64_MAX);
}

static void only_the_totals_after_the_whole_batch_must_fit(void **state)
{
    contract *c = *state;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3; i++)
            put(c, "b", INTERVAL(0), INT64_MAX)->delta[UTAPI_INCOMING_BYTES] = 0;
        for (int i = 0; i < 3; i++)
            put(c, "b", INTERVAL(0), -INT64_MAX);
        put(c, "b", INTERVAL(0), 7);
        apply(c);
    }
    assert_int_equal(bucket_bytes(c, "b"), 14);
}

/* Events near 2^63 stop nobody: honest ones count beside them, late ones too, and what went wrong can be taken away. */
static void totals_go_beyond_64_bits_and_come_back(void **state)
{
    contract *c = *state;
    enum { ROUNDS = 200 };
    utapi_amounts back = {.present = 0};
    for (int i = 0; i < ROUNDS; i++) {
        put(c, "high", INTERVAL(i), INT64_MAX)->delta[UTAPI_NUMBER_OF_OBJECTS] = INT64_MIN;
        put(c, "high", INTERVAL(i / 2), 1);
        put(c, "b", INTERVAL(i), 1);
        apply(c);
    }
    for (int i = ROUNDS; i-- > 0;) { /* late */
        put(c, "high", INTERVAL(i), INT64_MAX);
        apply(c);
    }
    if (contract_is_durable(c))
        contract_reopen(c);
    const utapi_wide bytes = (utapi_wide)INT64_MAX * 2 * ROUNDS + ROUNDS;
    const utapi_usage usage = usage_of(c, UTAPI_BUCKETS, S("high"), FIRST, LAST);
    assert_true(usage.storage_utilized[1] == bytes);
    assert_true(usage.number_of_objects[1] == (utapi_wide)INT64_MIN * ROUNDS + 2 * ROUNDS);
    assert_true(utapi_amounts_get(&usage.flows, UTAPI_INCOMING_BYTES) == bytes);
    assert_true(service_bytes(c) == bytes + ROUNDS);
    assert_int_equal(bucket_bytes(c, "b"), ROUNDS);

    utapi_amounts_set(&back, UTAPI_STORAGE_UTILIZED, -bytes + 5);
    const utapi_adjustment adjustment = {
        .level = UTAPI_BUCKETS, .name = S("high"), .interval = INTERVAL(ROUNDS), .delta = &back};
    CHECK_OK(adjust_all(c->backend, &adjustment, 1, &c->err), &c->err);
    assert_int_equal(bucket_bytes(c, "high"), 5);
    assert_true(bytes_at(c, "high", INTERVAL(ROUNDS - 1)) == bytes);
}

static void an_expiry_of_another_resource_does_not_part_a_batch(void **state)
{
    contract *c = *state;
    put(c, "b", INTERVAL(0), INT64_MAX)->delta[UTAPI_INCOMING_BYTES] = 0;
    apply(c);
    put(c, "b", INTERVAL(0), 1)->delta[UTAPI_INCOMING_BYTES] = 0;
    delete_bucket(c, "other", INTERVAL(0));
    put(c, "b", INTERVAL(0), -1);
    apply(c);
    assert_int_equal(bucket_bytes(c, "b"), INT64_MAX);
}

static void what_a_batch_counts_and_expires_need_not_fit(void **state)
{
    contract *c = *state;
    put(c, "b", INTERVAL(0), INT64_MAX)->resource[UTAPI_SERVICE] = S("");
    apply(c);
    put(c, "b", INTERVAL(1), INT64_MAX)->resource[UTAPI_SERVICE] = S("");
    delete_bucket(c, "b", INTERVAL(2));
    put(c, "b", INTERVAL(2), 5);
    apply(c);
    expect_rows(c, "b", "2:5 ");
}

const struct CMUnitTest contract_overflow[] = {
    CASE(an_overflow_stores_nothing_of_its_batch),
    CASE(totals_are_signed_and_exact_below_zero),
    CASE(totals_reach_the_edge_of_64_bits),
    CASE(a_total_beyond_64_bits_is_refused_with_nothing_stored),
    CASE(only_the_totals_after_the_whole_batch_must_fit),
    CASE(totals_go_beyond_64_bits_and_come_back),
    CASE(an_expiry_of_another_resource_does_not_part_a_batch),
    CASE(what_a_batch_counts_and_expires_need_not_fit),
    {.name = NULL},
};
