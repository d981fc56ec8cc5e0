/* SPDX-License-Identifier: Apache-2.0 */
/* scheduled_expiry.c - buckets that expire later: due, cancelled, replaced, given up. */
#include "contract.h"

static utapi_entry delete_at(const char *bucket, int64_t time_ms, int64_t at_ms)
{
    utapi_entry entry = entry_delete(bucket, time_ms);
    entry.expiry = UTAPI_EXPIRE_LATER;
    entry.expire_at_ms = at_ms;
    return entry;
}

static void a_scheduled_expiry_comes_when_it_is_due(void **state)
{
    contract *c = *state;
    CHECK_OK(apply_entry(c, entry_put("b", c->now_ms, 5)), &c->err);
    CHECK_OK(apply_entry(c, delete_at("b", c->now_ms, c->now_ms + HOUR)), &c->err);
    CHECK_OK(utapi_backend_maintain(c->backend, c->now_ms + HOUR - 1, c->accepted_ms, &c->err), &c->err);
    assert_true(has_usage(c, "b"));
    if (contract_is_durable(c))
        contract_reopen(c);
    else
        CHECK_OK(utapi_backend_maintain(c->backend, c->now_ms + HOUR - 1, c->accepted_ms, &c->err), &c->err);
    CHECK_OK(utapi_backend_maintain(c->backend, c->now_ms + HOUR, c->accepted_ms, &c->err), &c->err);
    assert_false(has_usage(c, "b"));
}

static void an_expiry_that_is_due_comes_before_the_batch(void **state)
{
    contract *c = *state;
    CHECK_OK(apply_entry(c, entry_put("b", c->now_ms, 5)), &c->err);
    CHECK_OK(apply_entry(c, delete_at("b", c->now_ms, c->now_ms + HOUR)), &c->err);
    c->now_ms += HOUR;
    CHECK_OK(apply_entry(c, entry_put("b", c->now_ms, 7)), &c->err);
    assert_int_equal(bytes_at(c, "b", c->now_ms), 7);
}

static void an_event_for_the_bucket_cancels_the_scheduled_expiry(void **state)
{
    contract *c = *state;
    const utapi_entry entries[] = {entry_put("b", c->now_ms, 5), delete_at("b", c->now_ms, c->now_ms + HOUR),
                                   delete_at("other", c->now_ms, c->now_ms + HOUR),
                                   entry_put("other", c->now_ms, 1)};
    CHECK_OK(apply_entries(c, entries, 4), &c->err); /* other's is cancelled in the same batch */
    CHECK_OK(apply_entry(c, entry_put("b", c->now_ms + 1, 2)), &c->err);
    CHECK_OK(utapi_backend_maintain(c->backend, c->now_ms + DAY, c->accepted_ms, &c->err), &c->err);
    assert_int_equal(bytes_at(c, "b", c->now_ms), 7);
    assert_int_equal(bytes_at(c, "other", c->now_ms), 1);
}

static void a_later_schedule_comes_instead_of_an_earlier_one(void **state)
{
    contract *c = *state;
    CHECK_OK(apply_entry(c, entry_put("b", c->now_ms, 5)), &c->err);
    CHECK_OK(apply_entry(c, delete_at("b", c->now_ms, c->now_ms + HOUR)), &c->err);
    CHECK_OK(apply_entry(c, delete_at("b", c->now_ms, c->now_ms + 3 * HOUR)), &c->err);
    CHECK_OK(utapi_backend_maintain(c->backend, c->now_ms + 2 * HOUR, c->accepted_ms, &c->err), &c->err);
    assert_true(has_usage(c, "b"));
    CHECK_OK(utapi_backend_maintain(c->backend, c->now_ms + 3 * HOUR, c->accepted_ms, &c->err), &c->err);
    assert_false(has_usage(c, "b"));
}

static void maintain(contract *c, int64_t now_ms)
{
    c->now_ms = now_ms;
    CHECK_OK(utapi_backend_maintain(c->backend, now_ms, c->accepted_ms, &c->err), &c->err);
}

static utapi_entry *delete_later(contract *c, const char *bucket, int64_t time_ms, int64_t expire_at_ms)
{
    utapi_entry *entry = delete_bucket(c, bucket, time_ms);
    entry->expiry = UTAPI_EXPIRE_LATER;
    entry->expire_at_ms = expire_at_ms;
    return entry;
}

static void a_refused_batch_expires_nothing(void **state)
{
    contract *c = *state;
    put_rows(c);
    delete_bucket(c, "b", INTERVAL(31));
    delete_later(c, "bb", INTERVAL(31), INTERVAL(40));
    put(c, "b", -1, 100);
    apply_fails(c, UTAPI_INVALID);
    maintain(c, INTERVAL(2000));
    expect_rows(c, "b", "0:1 10:2 20:3 30:4 ");
    expect_rows(c, "bb", "0:1 10:2 20:3 30:4 ");
    put(c, "b", INTERVAL(5), -9); /* no expiry is in its way */
    apply(c);
    expect_rows(c, "b", "0:1 5:-8 10:-7 20:-6 30:-5 ");
}

static void a_scheduled_expiry_is_carried_out_by_maintenance(void **state)
{
    contract *c = *state;
    put_rows(c);
    delete_later(c, "b", INTERVAL(31), INTERVAL(1010));
    apply(c);
    expect_rows(c, "b", "0:1 10:2 20:3 30:4 31:4 ");
    maintain(c, INTERVAL(1010) - 1);
    expect_rows(c, "b", "0:1 10:2 20:3 30:4 31:4 ");
    maintain(c, INTERVAL(1010));
    expect_rows(c, "b", "");
    put(c, "b", INTERVAL(1010) - 1, 5);
    apply(c);
    expect_rows(c, "b", "");
    put(c, "b", INTERVAL(1010), 5);
    apply(c);
    expect_rows(c, "b", "1010:5 ");
    maintain(c, INTERVAL(5000));
    expect_rows(c, "b", "1010:5 ");
}

static void a_scheduled_expiry_is_carried_out_by_the_next_batch_first(void **state)
{
    contract *c = *state;
    put_rows(c);
    delete_later(c, "b", INTERVAL(31), INTERVAL(1010));
    apply(c);
    c->now_ms = INTERVAL(1010);
    put(c, "b", INTERVAL(1010), 5); /* too late to cancel it */
    apply(c);
    expect_rows(c, "b", "1010:5 ");
    expect_rows(c, "bb", "0:1 10:2 20:3 30:4 ");
}

static void an_entry_for_the_bucket_cancels_its_scheduled_expiry(void **state)
{
    contract *c = *state;
    put_rows(c);
    delete_later(c, "b", INTERVAL(31), INTERVAL(1010));
    delete_later(c, "bb", INTERVAL(31), INTERVAL(1010));
    apply(c);
    put(c, "b", INTERVAL(32), 1);
    apply(c);
    maintain(c, INTERVAL(2000));
    expect_rows(c, "b", "0:1 10:2 20:3 30:4 31:4 32:5 ");
    expect_rows(c, "bb", "");
}

static void a_scheduled_expiry_is_cancelled_within_a_batch_too(void **state)
{
    contract *c = *state;
    put(c, "a", INTERVAL(0), 1);
    delete_later(c, "a", INTERVAL(31), INTERVAL(1010));
    put(c, "a", INTERVAL(31), 1);
    put(c, "b", INTERVAL(0), 1);
    put(c, "b", INTERVAL(31), 1);
    delete_later(c, "b", INTERVAL(31), INTERVAL(1010));
    apply(c);
    maintain(c, INTERVAL(2000));
    expect_rows(c, "a", "0:1 31:2 ");
    expect_rows(c, "b", "");
}

static void a_repetition_cancels_no_scheduled_expiry(void **state)
{
    contract *c = *state;
    put_uuid(c, "u", "b", INTERVAL(0), 1);
    delete_later(c, "b", INTERVAL(31), INTERVAL(1010));
    apply(c);
    put_uuid(c, "u", "b", INTERVAL(0), 1);
    apply(c);
    maintain(c, INTERVAL(2000));
    expect_rows(c, "b", "");
}

static void an_entry_that_is_too_old_to_count_cancels_no_scheduled_expiry(void **state)
{
    contract *c = *state;
    expire_bucket(c, "b", INTERVAL(20));
    put(c, "b", INTERVAL(20), 1);
    delete_later(c, "b", INTERVAL(31), INTERVAL(1010));
    apply(c);
    put(c, "b", INTERVAL(19), 1);
    apply(c);
    delete_later(c, "b", INTERVAL(18), INTERVAL(3000));
    apply(c);
    maintain(c, INTERVAL(2000));
    expect_rows(c, "b", "");
}

static void a_later_scheduled_expiry_replaces_an_earlier_one(void **state)
{
    contract *c = *state;
    put_rows(c);
    delete_later(c, "b", INTERVAL(31), INTERVAL(1010));
    apply(c);
    delete_later(c, "b", INTERVAL(32), INTERVAL(1020));
    apply(c);
    maintain(c, INTERVAL(1015));
    expect_rows(c, "b", "0:1 10:2 20:3 30:4 31:4 32:4 ");
    maintain(c, INTERVAL(1020));
    expect_rows(c, "b", "");
}

static void expiries_and_schedules_survive_reopening(void **state)
{
    contract *c = *state;
    if (!contract_is_durable(c))
        skip();
    put_rows(c);
    delete_later(c, "b", INTERVAL(31), INTERVAL(1010));
    apply(c);
    expire_bucket(c, "bb", INTERVAL(31));
    contract_reopen(c);
    put(c, "bb", INTERVAL(30), 1);
    apply(c);
    expect_rows(c, "bb", "");
    maintain(c, INTERVAL(1010));
    expect_rows(c, "b", "");
    contract_reopen(c);
    put(c, "b", INTERVAL(1009), 1);
    apply(c);
    expect_rows(c, "b", "");
}

const struct CMUnitTest contract_scheduled_expiry[] = {
    CASE(a_scheduled_expiry_comes_when_it_is_due),
    CASE(an_expiry_that_is_due_comes_before_the_batch),
    CASE(an_event_for_the_bucket_cancels_the_scheduled_expiry),
    CASE(a_later_schedule_comes_instead_of_an_earlier_one),
    CASE(a_refused_batch_expires_nothing),
    CASE(a_scheduled_expiry_is_carried_out_by_maintenance),
    CASE(a_scheduled_expiry_is_carried_out_by_the_next_batch_first),
    CASE(an_entry_for_the_bucket_cancels_its_scheduled_expiry),
    CASE(a_scheduled_expiry_is_cancelled_within_a_batch_too),
    CASE(a_repetition_cancels_no_scheduled_expiry),
    CASE(an_entry_that_is_too_old_to_count_cancels_no_scheduled_expiry),
    CASE(a_later_scheduled_expiry_replaces_an_earlier_one),
    CASE(expiries_and_schedules_survive_reopening),
    {.name = NULL},
};
