/* SPDX-License-Identifier: Apache-2.0 */
/* adjusting.c - corrections by an operator. */
#include "contract.h"

static void an_adjustment_reaches_every_later_row(void **state)
{
    contract *c = *state;
    CHECK_OK(apply_entry(c, entry_put("b", T0, 10)), &c->err);
    CHECK_OK(apply_entry(c, entry_put("b", T0 + DAY, 10)), &c->err);
    utapi_amounts delta = {.present = 0};
    utapi_amounts_set(&delta, UTAPI_STORAGE_UTILIZED, -3);
    utapi_adjustment adjustment = {
        .level = UTAPI_BUCKETS, .name = utapi_string_of("b"), .interval = T0 + HOUR, .delta = &delta};
    CHECK_OK(adjust_all(c->backend, &adjustment, 1, &c->err), &c->err);
    assert_int_equal(bytes_at(c, "b", T0), 10);
    assert_int_equal(bytes_at(c, "b", T0 + HOUR), 7);
    assert_int_equal(bytes_at(c, "b", T0 + DAY), 17);
    utapi_amounts_set(&delta, UTAPI_STORAGE_UTILIZED, INT64_MAX);
    adjustment.name = utapi_string_of("new");
    CHECK_OK(adjust_all(c->backend, &adjustment, 1, &c->err), &c->err);
    assert_true(bytes_at(c, "new", T0 + HOUR) == INT64_MAX);
}

static void adjustments_count_one_after_the_other(void **state)
{
    contract *c = *state;
    CHECK_OK(apply_entry(c, entry_put("b", T0, 10)), &c->err);
    utapi_amounts one = {.present = 0};
    utapi_amounts_set(&one, UTAPI_STORAGE_UTILIZED, 1);
    const utapi_string b = utapi_string_of("b"), other = utapi_string_of("other");
    utapi_adjustment adjustments[] = {
        {.level = UTAPI_BUCKETS, .name = b, .interval = T0, .delta = &one},
        {.level = UTAPI_BUCKETS, .name = b, .interval = T0 + HOUR, .delta = &one},
        {.level = UTAPI_USERS, .name = other, .interval = T0, .delta = &one},
        {.level = UTAPI_BUCKETS, .name = b, .interval = -UTAPI_INTERVAL_MS, .delta = &one},
    };
    size_t done = 4711;
    CHECK_STATUS(UTAPI_INVALID, utapi_backend_adjust(c->backend, adjustments + 3, 1, &done, &c->err),
                 &c->err);
    assert_int_equal(bytes_at(c, "b", T0 + DAY), 10);
    CHECK_STATUS(UTAPI_INVALID, adjust_all(c->backend, adjustments, 4, &c->err),
                 &c->err); /* but for the last */
    assert_int_equal(bytes_at(c, "b", T0), 11);
    assert_int_equal(bytes_at(c, "b", T0 + DAY), 12);
    assert_int_equal(usage_of(c, UTAPI_USERS, other, T0, T0).storage_utilized[1], 1);
    CHECK_OK(utapi_backend_adjust(c->backend, NULL, 0, &done, &c->err), &c->err);
    assert_int_equal(done, 0);
}

static utapi_status adjust(contract *c, const char *bucket, int interval, utapi_metric metric, int64_t amount)
{
    utapi_amounts delta;
    utapi_amounts_clear(&delta);
    utapi_amounts_set(&delta, metric, amount);
    const utapi_adjustment adjustment = {
        .level = UTAPI_BUCKETS, .name = S(bucket), .interval = INTERVAL(interval), .delta = &delta};
    return adjust_all(c->backend, &adjustment, 1, &c->err);
}

static void a_correction_reaches_its_row_and_every_later_one(void **state)
{
    contract *c = *state;
    put(c, "b", INTERVAL(0), 1);
    put(c, "b", INTERVAL(10), 1);
    put(c, "b", INTERVAL(20), 1);
    apply(c);
    CHECK_OK(adjust(c, "b", 10, UTAPI_STORAGE_UTILIZED, 100), &c->err);
    expect_rows(c, "b", "0:1 10:102 20:103 ");
    CHECK_OK(adjust(c, "b", 15, UTAPI_STORAGE_UTILIZED, -50), &c->err);
    CHECK_OK(adjust(c, "b", 30, UTAPI_STORAGE_UTILIZED, 7), &c->err);
    expect_rows(c, "b", "0:1 10:102 15:52 20:53 30:60 ");
    assert_int_equal(service_bytes(c), 3);
    CHECK_OK(adjust(c, "b", 0, UTAPI_FIRST_OPERATION + UTAPI_OP_GET_OBJECT, 4), &c->err);
    const utapi_usage usage = usage_of(c, UTAPI_BUCKETS, S("b"), INTERVAL(0), INTERVAL(0));
    assert_int_equal(utapi_amounts_get(&usage.flows, UTAPI_FIRST_OPERATION + UTAPI_OP_GET_OBJECT), 4);
}

static void a_correction_that_does_not_fit_changes_nothing(void **state)
{
    contract *c = *state;
    put(c, "b", INTERVAL(0), 1);
    put(c, "b", INTERVAL(10), INT64_MAX - 1);
    apply(c);
    CHECK_STATUS(UTAPI_OVERFLOW, adjust(c, "b", 0, UTAPI_STORAGE_UTILIZED, 1), &c->err);
    expect_rows(c, "b", "0:1 10:9223372036854775807 ");
}

static void an_adjustment_goes_beyond_64_bits(void **state)
{
    contract *c = *state;
    put(c, "b", INTERVAL(10), INT64_MAX);
    apply(c);
    CHECK_OK(adjust(c, "b", 0, UTAPI_STORAGE_UTILIZED, 1), &c->err);
    expect_rows(c, "b", "0:1 10:9223372036854775808 ");
    CHECK_OK(adjust(c, "b", 20, UTAPI_STORAGE_UTILIZED, -5), &c->err);
    expect_rows(c, "b", "0:1 10:9223372036854775808 20:9223372036854775803 ");
}

/* What expired is not kept, so that nothing can be corrected there. */
static void an_adjustment_before_an_expiry_counts_at_it(void **state)
{
    contract *c = *state;
    put(c, "b", INTERVAL(5), 10);
    put(c, "b", INTERVAL(30), 1);
    put(c, "gone", INTERVAL(5), 10);
    apply(c);
    expire_bucket(c, "b", INTERVAL(20) + 1);
    expire_bucket(c, "gone", INTERVAL(20) + 1);
    CHECK_OK(adjust(c, "b", 5, UTAPI_STORAGE_UTILIZED, 7), &c->err);
    CHECK_OK(adjust(c, "gone", 5, UTAPI_STORAGE_UTILIZED, 7), &c->err);
    expect_rows(c, "b", "20:7 30:8 ");
    expect_rows(c, "gone", "20:7 ");
}

const struct CMUnitTest contract_adjusting[] = {
    CASE(an_adjustment_reaches_every_later_row),
    CASE(adjustments_count_one_after_the_other),
    CASE(a_correction_reaches_its_row_and_every_later_one),
    CASE(a_correction_that_does_not_fit_changes_nothing),
    CASE(an_adjustment_goes_beyond_64_bits),
    CASE(an_adjustment_before_an_expiry_counts_at_it),
    {.name = NULL},
};
