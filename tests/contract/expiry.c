/* SPDX-License-Identifier: Apache-2.0 */
/* expiry.c - resources that expire, by hand and by an entry: at once. */
#include "contract.h"

static int64_t service_puts(contract *c)
{
    const utapi_usage usage = usage_of(c, UTAPI_SERVICE, utapi_string_of("s3"), 0, T0 + 1000 * DAY);
    return (int64_t)utapi_amounts_get(&usage.flows, UTAPI_FIRST_OPERATION + UTAPI_OP_PUT_OBJECT);
}

static void an_expired_bucket_is_unknown_and_the_others_are_not(void **state)
{
    contract *c = *state;
    const utapi_entry entries[] = {entry_put("b", T0, 1), entry_put("b", T0 + HOUR, 1),
                                   entry_put("b*", T0, 4), entry_put("b1", T0, 8)};
    CHECK_OK(apply_entries(c, entries, 4), &c->err);
    CHECK_OK(apply_entry(c, entry_delete("b", T0 + 2 * HOUR)), &c->err);
    assert_false(has_usage(c, "b"));
    assert_int_equal(bytes_at(c, "b*", T0), 4);
    assert_int_equal(bytes_at(c, "b1", T0), 8);
    assert_int_equal(service_puts(c), 4);
    if (!contract_keeps_totals(c))
        return; /* nor does it count resources */
    utapi_storage_stats stats;
    CHECK_OK(utapi_backend_maintain(c->backend, c->now_ms, c->accepted_ms, &c->err), &c->err);
    CHECK_OK(utapi_backend_stats(c->backend, &stats, &c->err), &c->err);
    assert_int_equal(stats.resources, 3);
}

static void older_events_count_at_the_other_levels_only(void **state)
{
    contract *c = *state;
    CHECK_OK(apply_entry(c, entry_delete("b", T0 + HOUR)), &c->err);
    CHECK_OK(apply_entry(c, entry_put("b", T0 + HOUR - 1, 1)), &c->err);
    assert_false(has_usage(c, "b"));
    assert_int_equal(service_puts(c), 1);
    CHECK_OK(apply_entry(c, entry_put("b", T0 + HOUR, 5)), &c->err); /* not older */
    assert_int_equal(bytes_at(c, "b", T0 + HOUR), 5);
}

static void a_batch_is_applied_in_its_order(void **state)
{
    contract *c = *state;
    const utapi_entry entries[] = {entry_put("b", T0, 1), entry_delete("b", T0 + 5),
                                   entry_put("b", T0 + 6, 10), entry_put("b", T0 + 4, 100)};
    CHECK_OK(apply_entries(c, entries, 4), &c->err);
    assert_int_equal(bytes_at(c, "b", T0), 10);
    assert_int_equal(service_puts(c), 3);
}

static void two_buckets_and_two_lives_in_one_batch(void **state)
{
    contract *c = *state;
    const utapi_entry entries[] = {
        entry_put("a", T0, 1),     entry_put("b", T0, 2),      entry_delete("a", T0 + 1),
        entry_put("a", T0 + 2, 4), entry_delete("b", T0 + 3),  entry_delete("a", T0 + 4),
        entry_put("a", T0 + 5, 8), entry_put("b", T0 + 5, 16),
    };
    CHECK_OK(apply_entries(c, entries, sizeof entries / sizeof *entries), &c->err);
    assert_int_equal(bytes_at(c, "a", T0), 8);
    assert_int_equal(bytes_at(c, "b", T0), 16);
}

static void an_expiry_of_another_bucket_does_not_part_a_batch(void **state)
{
    contract *c = *state;
    CHECK_OK(apply_entry(c, entry_put("full", T0, INT64_MAX - 5)), &c->err);
    utapi_entry entries[] = {entry_put("full", T0, 10), entry_delete("b", T0), entry_put("full", T0, -10)};
    entries[0].delta[UTAPI_INCOMING_BYTES] = 0;
    for (size_t i = 0; i < 3; i++)
        entries[i].resource[UTAPI_SERVICE].size = 0;
    CHECK_OK(apply_entries(c, entries, 3), &c->err); /* judged on the totals after the whole batch */
    assert_true(bytes_at(c, "full", T0) == INT64_MAX - 5);
}

static void what_came_after_a_late_expiry_stays(void **state)
{
    contract *c = *state;
    const utapi_entry entries[] = {entry_put("b", T0, 1), entry_put("b", T0 + HOUR, 2),
                                   entry_put("b", T0 + 2 * HOUR, 4), entry_put("b", T0 + 3 * HOUR, 8)};
    CHECK_OK(apply_entries(c, entries, 4), &c->err);
    CHECK_OK(apply_entry(c, entry_delete("b", T0 + HOUR + MINUTE)), &c->err);
    assert_int_equal(bytes_at(c, "b", T0), 0);
    assert_int_equal(bytes_at(c, "b", T0 + HOUR), 0);
    assert_int_equal(bytes_at(c, "b", T0 + 2 * HOUR), 4);
    assert_int_equal(bytes_at(c, "b", T0 + 3 * HOUR), 12);
    const utapi_usage usage = usage_ever(c, "b");
    assert_int_equal(utapi_amounts_get(&usage.flows, UTAPI_FIRST_OPERATION + UTAPI_OP_PUT_OBJECT), 2);
}

static void an_expiry_of_an_earlier_time_changes_nothing(void **state)
{
    contract *c = *state;
    CHECK_OK(apply_entry(c, entry_delete("b", T0 + DAY)), &c->err);
    CHECK_OK(apply_entry(c, entry_put("b", T0 + DAY + 1, 5)), &c->err);
    CHECK_OK(apply_entry(c, entry_delete("b", T0)), &c->err);
    assert_int_equal(bytes_at(c, "b", T0 + DAY), 5);
    CHECK_OK(apply_entry(c, entry_put("b", T0 + 1, 1)), &c->err); /* still older than the first */
    assert_int_equal(bytes_at(c, "b", T0 + DAY), 5);
}

static void any_resource_can_be_expired_by_hand(void **state)
{
    contract *c = *state;
    CHECK_OK(apply_entry(c, entry_put("b", T0, 5)), &c->err);
    const utapi_string service = utapi_string_of("s3");
    CHECK_OK(utapi_backend_expire(c->backend, UTAPI_SERVICE, service, T0 + HOUR, &c->err), &c->err);
    assert_int_equal(service_puts(c), 0);
    assert_int_equal(bytes_at(c, "b", T0), 5);
    CHECK_OK(utapi_backend_expire(c->backend, UTAPI_USERS, utapi_string_of("nobody"), T0, &c->err), &c->err);
    CHECK_OK(apply_entry(c, entry_put("b", T0, 5)), &c->err);
    assert_int_equal(service_puts(c), 0); /* it is of an earlier time */
    CHECK_OK(apply_entry(c, entry_put("b", T0 + HOUR, 5)), &c->err);
    assert_int_equal(service_puts(c), 1);
}

static void an_expiry_survives_reopening(void **state)
{
    contract *c = *state;
    if (!contract_is_durable(c))
        return;
    CHECK_OK(apply_entry(c, entry_delete("b", T0 + HOUR)), &c->err);
    contract_reopen(c);
    CHECK_OK(apply_entry(c, entry_put("b", T0, 5)), &c->err);
    assert_false(has_usage(c, "b"));
}

static void later_rows_keep_what_came_after(void **state)
{
    contract *c = *state;
    put_rows(c);
    expire_bucket(c, "b", INTERVAL(10) + 5);
    expect_rows(c, "b", "20:1 30:2 ");
    expire_bucket(c, "b", INTERVAL(25));
    expect_rows(c, "b", "30:1 ");
    expect_rows(c, "bb", "0:1 10:2 20:3 30:4 ");
}

static void an_expiry_before_the_first_row_leaves_the_rows(void **state)
{
    contract *c = *state;
    put_rows(c);
    expire_bucket(c, "b", INTERVAL(-1));
    expect_rows(c, "b", "0:1 10:2 20:3 30:4 ");
}

static void older_entries_of_an_expired_resource_never_count_again(void **state)
{
    contract *c = *state;
    put_rows(c);
    expire_bucket(c, "b", INTERVAL(40) + 100);
    put(c, "b", INTERVAL(40) + 99, 10);
    put(c, "b", INTERVAL(5), 10);
    apply(c);
    assert_false(is_known(c, UTAPI_BUCKETS, "b"));
    assert_int_equal(service_bytes(c), 28);
    put(c, "b", INTERVAL(40) + 100, 7); /* not earlier */
    put(c, "b", INTERVAL(40) + 99, 10);
    put(c, "b", INTERVAL(41), 1);
    apply(c);
    expect_rows(c, "b", "40:7 41:8 ");
    assert_int_equal(service_bytes(c), 46);
}

static void an_earlier_expiry_changes_nothing(void **state)
{
    contract *c = *state;
    expire_bucket(c, "b", INTERVAL(5));
    put(c, "b", INTERVAL(5), 10);
    put(c, "b", INTERVAL(6), 10);
    apply(c);
    expire_bucket(c, "b", INTERVAL(5) - 1);
    expire_bucket(c, "b", INTERVAL(-7));
    expect_rows(c, "b", "5:10 6:20 ");
    put(c, "b", INTERVAL(5) - 1, 10);
    apply(c);
    expect_rows(c, "b", "5:10 6:20 ");
}

static void an_expiry_goes_beyond_64_bits(void **state)
{
    contract *c = *state;
    put(c, "b", INTERVAL(0), -10)->resource[UTAPI_SERVICE] = S("");
    put(c, "b", INTERVAL(1), 10)->resource[UTAPI_SERVICE] = S("");
    put(c, "b", INTERVAL(2), INT64_MAX)->delta[UTAPI_INCOMING_BYTES] = 0;
    put(c, "b", INTERVAL(3), -20);
    apply(c);
    expire_bucket(c, "b", INTERVAL(0));
    expect_rows(c, "b", "1:10 2:9223372036854775817 3:9223372036854775797 ");
}

/* What came of it would be corrections at intervals that have no number. */
static void an_expiry_beyond_every_interval_is_refused(void **state)
{
    contract *c = *state;
    utapi_amounts delta = {.present = 0};
    put_rows(c);
    static const int64_t beyond[] = {UTAPI_INTERVAL_MAX + UTAPI_INTERVAL_MS, INT64_MAX};
    for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++)
        CHECK_STATUS(UTAPI_INVALID,
                     utapi_backend_expire(c->backend, UTAPI_BUCKETS, S("b"), beyond[i], &c->err), &c->err);
    assert_int_equal(bucket_bytes(c, "b"), 4);
    if (!c->kind->is_shared)
        expire_bucket(c, "b", UTAPI_INTERVAL_MAX + UTAPI_INTERVAL_MS - 1);
    else
        expire_bucket(c, "b", INTERVAL(31));
    assert_false(is_known(c, UTAPI_BUCKETS, "b"));
    utapi_amounts_set(&delta, UTAPI_STORAGE_UTILIZED, 7);
    const utapi_adjustment one = {UTAPI_BUCKETS, S("b"), INTERVAL(5), &delta};
    CHECK_OK(adjust_all(c->backend, &one, 1, &c->err), &c->err);
    const utapi_usage usage = usage_of(c, UTAPI_BUCKETS, S("b"), FIRST, UTAPI_INTERVAL_MAX);
    assert_int_equal(usage.storage_utilized[1], 7);
}

static void an_expired_name_begins_anew(void **state)
{
    contract *c = *state;
    for (int i = 0; i < 5; i++) {
        put_rows(c);
        assert_int_equal(bucket_bytes(c, "b"), i < 1 ? 4 : 0);
        c->count = 0;
        expire_bucket(c, "b", INTERVAL(100 + i));
        put(c, "b", INTERVAL(100 + i), 9);
        apply(c);
        assert_int_equal(bucket_bytes(c, "b"), 9);
        expire_bucket(c, "b", INTERVAL(100 + i));
    }
}

static void an_entry_can_expire_its_bucket_its_own_count_included(void **state)
{
    contract *c = *state;
    put_rows(c);
    put(c, "b", INTERVAL(31), 50);
    delete_bucket(c, "b", INTERVAL(31));
    apply(c);
    assert_false(is_known(c, UTAPI_BUCKETS, "b"));
    assert_int_equal(service_bytes(c), 58);
    expect_rows(c, "bb", "0:1 10:2 20:3 30:4 ");
    const utapi_usage usage = usage_of(c, UTAPI_SERVICE, S("s3"), FIRST, LAST);
    assert_int_equal(utapi_amounts_get(&usage.flows, UTAPI_FIRST_OPERATION + UTAPI_OP_DELETE_BUCKET), 1);
}

static void what_comes_after_an_expiry_in_a_batch_counts(void **state)
{
    contract *c = *state;
    put_rows(c);
    put(c, "b", INTERVAL(31), 50);
    delete_bucket(c, "b", INTERVAL(31) + 5);
    put(c, "b", INTERVAL(31) + 5, 7);
    put(c, "b", INTERVAL(31) + 4, 1000); /* older than the expiry */
    delete_bucket(c, "b", INTERVAL(32));
    put(c, "b", INTERVAL(33), 9);
    put(c, "b", INTERVAL(31) + 5, 1000);
    apply(c);
    expect_rows(c, "b", "33:9 ");
    assert_int_equal(service_bytes(c), 8 + 50 + 7 + 1000 + 9 + 1000);
}

static void what_lies_after_an_expiry_stays(void **state)
{
    contract *c = *state;
    put_rows(c);
    put(c, "b", INTERVAL(12), 100);
    put(c, "b", INTERVAL(25), 100);
    put(c, "b", INTERVAL(40), 100);
    delete_bucket(c, "b", INTERVAL(15));
    put(c, "b", INTERVAL(22), 1000);
    apply(c);
    /* 20: one byte since 15; 22: 1,000 more; 25: 100; 30: 1; 40: 100. */
    expect_rows(c, "b", "20:1 22:1001 25:1101 30:1102 40:1202 ");
}

static void an_entry_that_expires_its_bucket_too_late_counts_nowhere_there(void **state)
{
    contract *c = *state;
    expire_bucket(c, "b", INTERVAL(10));
    put(c, "b", INTERVAL(10), 5);
    apply(c);
    delete_bucket(c, "b", INTERVAL(9));
    put(c, "b", INTERVAL(10), 5);
    apply(c);
    expect_rows(c, "b", "10:10 ");
    delete_bucket(c, "b", INTERVAL(10)); /* not earlier: it expires again */
    apply(c);
    assert_false(is_known(c, UTAPI_BUCKETS, "b"));
}

const struct CMUnitTest contract_expiry[] = {
    CASE(an_expired_bucket_is_unknown_and_the_others_are_not),
    CASE(older_events_count_at_the_other_levels_only),
    CASE(a_batch_is_applied_in_its_order),
    CASE(two_buckets_and_two_lives_in_one_batch),
    CASE(an_expiry_of_another_bucket_does_not_part_a_batch),
    CASE(what_came_after_a_late_expiry_stays),
    CASE(an_expiry_of_an_earlier_time_changes_nothing),
    CASE(any_resource_can_be_expired_by_hand),
    CASE(an_expiry_survives_reopening),
    CASE(later_rows_keep_what_came_after),
    CASE(an_expiry_before_the_first_row_leaves_the_rows),
    CASE(older_entries_of_an_expired_resource_never_count_again),
    CASE(an_earlier_expiry_changes_nothing),
    CASE(an_expiry_goes_beyond_64_bits),
    CASE(an_expiry_beyond_every_interval_is_refused),
    CASE(an_expired_name_begins_anew),
    CASE(an_entry_can_expire_its_bucket_its_own_count_included),
    CASE(what_comes_after_an_expiry_in_a_batch_counts),
    CASE(what_lies_after_an_expiry_stays),
    CASE(an_entry_that_expires_its_bucket_too_late_counts_nowhere_there),
    {.name = NULL},
};
