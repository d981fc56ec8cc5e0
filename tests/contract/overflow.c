/* SPDX-License-Identifier: Apache-2.0 */
/* overflow.c - totals at the edge of 64 bits: judged after the whole batch, on every row it touches. */
#include "contract.h"

#include <string.h>

/* An operator must find what is at its limit, and what led there: a script of a shared storage tells the first
 * alone. */
static void check_attribution(contract *c, const char *resource, const char *metric, size_t index)
{
    assert_non_null(strstr(c->err.detail, resource));
    assert_non_null(strstr(c->err.detail, metric));
    if (!c->kind->is_shared)
        assert_int_equal(c->err.index, index);
    utapi_error_clear(&c->err);
}

static void an_overflow_stores_nothing_of_its_batch(void **state)
{
    contract *c = *state;
    utapi_entry most = entry_put("full", T0, INT64_MAX);
    most.resource[UTAPI_SERVICE].size = 0;
    CHECK_OK(apply_entry(c, most), &c->err);
    const utapi_entry batch[] = {entry_put_uuid("u", "other", T0, 1), entry_put("full", T0 + DAY, 1)};
    assert_int_equal(apply_entries(c, batch, 2), UTAPI_OVERFLOW);
    check_attribution(c, "full", "storageUtilized", 1);
    assert_int_equal(bytes_at(c, "other", T0), 0);
    assert_true(bytes_at(c, "full", T0 + DAY) == INT64_MAX);
    CHECK_OK(apply_entry(c, batch[0]), &c->err); /* its uuid was not kept either */
    assert_int_equal(bytes_at(c, "other", T0), 1);
}

static void overflow_is_judged_on_the_totals_after_the_batch(void **state)
{
    contract *c = *state;
    CHECK_OK(apply_entry(c, entry_put("b", T0, INT64_MAX)), &c->err);
    CHECK_OK(apply_entry(c, entry_put("b", T0 + DAY, -10)), &c->err);
    utapi_entry batch[] = {entry_put("b", T0 + DAY, INT64_MAX), entry_put("b", T0 + DAY, -INT64_MAX)};
    batch[0].delta[UTAPI_INCOMING_BYTES] = batch[1].delta[UTAPI_INCOMING_BYTES] = 0;
    CHECK_OK(apply_entries(c, batch, 2), &c->err);
    assert_true(bytes_at(c, "b", T0 + DAY) == INT64_MAX - 10);
    /* A late event is judged on each row that it touches: at T0 there is no room. */
    utapi_entry late = entry_put("b", T0 - DAY, 5);
    late.delta[UTAPI_INCOMING_BYTES] = 0;
    CHECK_STATUS(UTAPI_OVERFLOW, apply_entry(c, late), &c->err);
    utapi_entry corrected[] = {late, late};
    corrected[1].time_ms = T0;
    corrected[1].delta[UTAPI_STORAGE_UTILIZED] = -5;
    CHECK_OK(apply_entries(c, corrected, 2), &c->err);
    assert_int_equal(bytes_at(c, "b", T0 - DAY), 5);
    assert_true(bytes_at(c, "b", T0) == INT64_MAX);
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
    CHECK_STATUS(UTAPI_OVERFLOW, apply_entry(c, entry_put("low", T0, -1)), &c->err);
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

static void a_late_entry_must_fit_every_later_row(void **state)
{
    contract *c = *state;
    put(c, "b", INTERVAL(0), 1);
    put(c, "b", INTERVAL(5), INT64_MAX - 1); /* the highest row is neither the first nor the last */
    put(c, "b", INTERVAL(6), -100)->delta[UTAPI_INCOMING_BYTES] = 0;
    apply(c);
    put(c, "b", INTERVAL(0), 1)->delta[UTAPI_INCOMING_BYTES] = 0;
    apply_fails(c, UTAPI_OVERFLOW);
    put(c, "b", INTERVAL(3), 1)->delta[UTAPI_INCOMING_BYTES] = 0;
    apply_fails(c, UTAPI_OVERFLOW);
    expect_rows(c, "b", "0:1 5:9223372036854775807 6:9223372036854775707 ");
    put(c, "b", INTERVAL(6), 1)->delta[UTAPI_INCOMING_BYTES] = 0;
    apply(c);
    assert_int_equal(bucket_bytes(c, "b"), INT64_MAX - 99);
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

/* Each row takes the sum of all that is earlier: what one interval gives, a later one may take. */
static void rows_must_fit_one_by_one(void **state)
{
    contract *c = *state;
    put(c, "b", INTERVAL(5), INT64_MAX)->delta[UTAPI_INCOMING_BYTES] = 0;
    apply(c);
    put(c, "b", INTERVAL(0), 100)->delta[UTAPI_INCOMING_BYTES] = 0;
    put(c, "b", INTERVAL(3), -100);
    apply(c);
    expect_rows(c, "b", "0:100 3:0 5:9223372036854775807 ");
    put(c, "b", INTERVAL(0), 100)->delta[UTAPI_INCOMING_BYTES] = 0;
    put(c, "b", INTERVAL(6), -100);
    apply_fails(c, UTAPI_OVERFLOW);
    put(c, "b", INTERVAL(0), 100)->delta[UTAPI_INCOMING_BYTES] = 0;
    put(c, "b", INTERVAL(5), -100);
    apply(c);
    expect_rows(c, "b", "0:200 3:100 5:9223372036854775807 ");
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
    CASE(overflow_is_judged_on_the_totals_after_the_batch),
    CASE(totals_are_signed_and_exact_below_zero),
    CASE(totals_reach_the_edge_of_64_bits),
    CASE(a_total_beyond_64_bits_is_refused_with_nothing_stored),
    CASE(a_late_entry_must_fit_every_later_row),
    CASE(only_the_totals_after_the_whole_batch_must_fit),
    CASE(rows_must_fit_one_by_one),
    CASE(an_expiry_of_another_resource_does_not_part_a_batch),
    CASE(what_a_batch_counts_and_expires_need_not_fit),
    {.name = NULL},
};
