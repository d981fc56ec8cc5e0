/* SPDX-License-Identifier: Apache-2.0 */
/* forgetting.c - buckets that are forgotten: now, later, too late, and in the middle of a batch. */
#include "contract.h"

static bool is_known(contract *c, const char *bucket)
{
    const utapi_usage usage = usage_ever(c, bucket);
    return usage.storage_utilized[1] != 0 || usage.flows.present != 0;
}

static int64_t service_puts(contract *c)
{
    const utapi_usage usage = usage_at(c, UTAPI_SERVICE, utapi_string_of("s3"), 0, T0 + 1000 * DAY);
    return utapi_amounts_get(&usage.flows, UTAPI_FIRST_OPERATION + UTAPI_OP_PUT_OBJECT);
}

static void a_forgotten_bucket_is_unknown_and_the_others_are_not(void **state)
{
    contract *c = *state;
    const utapi_entry entries[] = {put("b", T0, 1), put("b", T0 + HOUR, 1), put("b*", T0, 4),
                                   put("b1", T0, 8)};
    CHECK_OK(apply(c, entries, 4), &c->err);
    CHECK_OK(apply_one(c, forget_bucket("b", T0 + 2 * HOUR)), &c->err);
    assert_false(is_known(c, "b"));
    assert_int_equal(bytes_at(c, "b*", T0), 4);
    assert_int_equal(bytes_at(c, "b1", T0), 8);
    assert_int_equal(service_puts(c), 4);
    if (c->kind->rows == NULL)
        return; /* nor does it count resources */
    utapi_stats stats;
    CHECK_OK(utapi_backend_maintain(c->backend, c->now_ms, c->accepted_ms, &c->err), &c->err);
    CHECK_OK(utapi_backend_stats(c->backend, &stats, &c->err), &c->err);
    assert_int_equal(stats.resources, 3);
}

static void older_events_count_at_the_other_levels_only(void **state)
{
    contract *c = *state;
    CHECK_OK(apply_one(c, forget_bucket("b", T0 + HOUR)), &c->err);
    CHECK_OK(apply_one(c, put("b", T0 + HOUR - 1, 1)), &c->err);
    assert_false(is_known(c, "b"));
    assert_int_equal(service_puts(c), 1);
    CHECK_OK(apply_one(c, put("b", T0 + HOUR, 5)), &c->err); /* not older */
    assert_int_equal(bytes_at(c, "b", T0 + HOUR), 5);
}

static void a_batch_is_taken_in_its_order(void **state)
{
    contract *c = *state;
    const utapi_entry entries[] = {put("b", T0, 1), forget_bucket("b", T0 + 5), put("b", T0 + 6, 10),
                                   put("b", T0 + 4, 100)};
    CHECK_OK(apply(c, entries, 4), &c->err);
    assert_int_equal(bytes_at(c, "b", T0), 10);
    assert_int_equal(service_puts(c), 3);
}

static void two_buckets_and_two_lives_in_one_batch(void **state)
{
    contract *c = *state;
    const utapi_entry entries[] = {
        put("a", T0, 1),
        put("b", T0, 2),
        forget_bucket("a", T0 + 1),
        put("a", T0 + 2, 4),
        forget_bucket("b", T0 + 3),
        forget_bucket("a", T0 + 4),
        put("a", T0 + 5, 8),
        put("b", T0 + 5, 16),
    };
    CHECK_OK(apply(c, entries, sizeof entries / sizeof *entries), &c->err);
    assert_int_equal(bytes_at(c, "a", T0), 8);
    assert_int_equal(bytes_at(c, "b", T0), 16);
}

static void a_forgetting_of_somebody_else_does_not_part_a_batch(void **state)
{
    contract *c = *state;
    CHECK_OK(apply_one(c, put("full", T0, INT64_MAX - 5)), &c->err);
    utapi_entry entries[] = {put("full", T0, 10), forget_bucket("b", T0), put("full", T0, -10)};
    entries[0].delta[UTAPI_INCOMING_BYTES] = 0;
    for (size_t i = 0; i < 3; i++)
        entries[i].resource[UTAPI_SERVICE].size = 0;
    CHECK_OK(apply(c, entries, 3), &c->err); /* judged on the totals after the whole batch */
    assert_true(bytes_at(c, "full", T0) == INT64_MAX - 5);
}

static void what_came_after_a_late_forgetting_stays(void **state)
{
    contract *c = *state;
    const utapi_entry entries[] = {put("b", T0, 1), put("b", T0 + HOUR, 2), put("b", T0 + 2 * HOUR, 4),
                                   put("b", T0 + 3 * HOUR, 8)};
    CHECK_OK(apply(c, entries, 4), &c->err);
    CHECK_OK(apply_one(c, forget_bucket("b", T0 + HOUR + MINUTE)), &c->err);
    assert_int_equal(bytes_at(c, "b", T0), 0);
    assert_int_equal(bytes_at(c, "b", T0 + HOUR), 0);
    assert_int_equal(bytes_at(c, "b", T0 + 2 * HOUR), 4);
    assert_int_equal(bytes_at(c, "b", T0 + 3 * HOUR), 12);
    const utapi_usage usage = usage_ever(c, "b");
    assert_int_equal(utapi_amounts_get(&usage.flows, UTAPI_FIRST_OPERATION + UTAPI_OP_PUT_OBJECT), 2);
}

static void a_forgetting_of_an_earlier_time_changes_nothing(void **state)
{
    contract *c = *state;
    CHECK_OK(apply_one(c, forget_bucket("b", T0 + DAY)), &c->err);
    CHECK_OK(apply_one(c, put("b", T0 + DAY + 1, 5)), &c->err);
    CHECK_OK(apply_one(c, forget_bucket("b", T0)), &c->err);
    assert_int_equal(bytes_at(c, "b", T0 + DAY), 5);
    CHECK_OK(apply_one(c, put("b", T0 + 1, 1)), &c->err); /* still older than the first */
    assert_int_equal(bytes_at(c, "b", T0 + DAY), 5);
}

static utapi_entry forget_later(const char *bucket, int64_t time_ms, int64_t at_ms)
{
    utapi_entry entry = forget_bucket(bucket, time_ms);
    entry.expiry = UTAPI_EXPIRE_LATER;
    entry.expire_at_ms = at_ms;
    return entry;
}

static void an_appointed_forgetting_comes_when_it_is_due(void **state)
{
    contract *c = *state;
    CHECK_OK(apply_one(c, put("b", c->now_ms, 5)), &c->err);
    CHECK_OK(apply_one(c, forget_later("b", c->now_ms, c->now_ms + HOUR)), &c->err);
    CHECK_OK(utapi_backend_maintain(c->backend, c->now_ms + HOUR - 1, c->accepted_ms, &c->err), &c->err);
    assert_true(is_known(c, "b"));
    if (contract_is_durable(c))
        contract_reopen(c);
    else
        CHECK_OK(utapi_backend_maintain(c->backend, c->now_ms + HOUR - 1, c->accepted_ms, &c->err), &c->err);
    CHECK_OK(utapi_backend_maintain(c->backend, c->now_ms + HOUR, c->accepted_ms, &c->err), &c->err);
    assert_false(is_known(c, "b"));
}

static void a_forgetting_that_is_due_comes_before_the_batch(void **state)
{
    contract *c = *state;
    CHECK_OK(apply_one(c, put("b", c->now_ms, 5)), &c->err);
    CHECK_OK(apply_one(c, forget_later("b", c->now_ms, c->now_ms + HOUR)), &c->err);
    c->now_ms += HOUR;
    CHECK_OK(apply_one(c, put("b", c->now_ms, 7)), &c->err);
    assert_int_equal(bytes_at(c, "b", c->now_ms), 7);
}

static void an_event_for_the_bucket_cancels_the_appointment(void **state)
{
    contract *c = *state;
    const utapi_entry entries[] = {put("b", c->now_ms, 5), forget_later("b", c->now_ms, c->now_ms + HOUR),
                                   forget_later("other", c->now_ms, c->now_ms + HOUR),
                                   put("other", c->now_ms, 1)};
    CHECK_OK(apply(c, entries, 4), &c->err); /* other's is cancelled in the same batch */
    CHECK_OK(apply_one(c, put("b", c->now_ms + 1, 2)), &c->err);
    CHECK_OK(utapi_backend_maintain(c->backend, c->now_ms + DAY, c->accepted_ms, &c->err), &c->err);
    assert_int_equal(bytes_at(c, "b", c->now_ms), 7);
    assert_int_equal(bytes_at(c, "other", c->now_ms), 1);
}

static void a_later_appointment_replaces_an_earlier_one(void **state)
{
    contract *c = *state;
    CHECK_OK(apply_one(c, put("b", c->now_ms, 5)), &c->err);
    CHECK_OK(apply_one(c, forget_later("b", c->now_ms, c->now_ms + HOUR)), &c->err);
    CHECK_OK(apply_one(c, forget_later("b", c->now_ms, c->now_ms + 3 * HOUR)), &c->err);
    CHECK_OK(utapi_backend_maintain(c->backend, c->now_ms + 2 * HOUR, c->accepted_ms, &c->err), &c->err);
    assert_true(is_known(c, "b"));
    CHECK_OK(utapi_backend_maintain(c->backend, c->now_ms + 3 * HOUR, c->accepted_ms, &c->err), &c->err);
    assert_false(is_known(c, "b"));
}

static void any_resource_can_be_forgotten_by_hand(void **state)
{
    contract *c = *state;
    CHECK_OK(apply_one(c, put("b", T0, 5)), &c->err);
    const utapi_string service = utapi_string_of("s3");
    CHECK_OK(utapi_backend_expire(c->backend, UTAPI_SERVICE, service, T0 + HOUR, &c->err), &c->err);
    assert_int_equal(service_puts(c), 0);
    assert_int_equal(bytes_at(c, "b", T0), 5);
    CHECK_OK(utapi_backend_expire(c->backend, UTAPI_USERS, utapi_string_of("nobody"), T0, &c->err), &c->err);
    CHECK_OK(apply_one(c, put("b", T0, 5)), &c->err);
    assert_int_equal(service_puts(c), 0); /* it is of an earlier time */
    CHECK_OK(apply_one(c, put("b", T0 + HOUR, 5)), &c->err);
    assert_int_equal(service_puts(c), 1);
}

static void a_forgetting_survives_reopening(void **state)
{
    contract *c = *state;
    if (!contract_is_durable(c))
        return;
    CHECK_OK(apply_one(c, forget_bucket("b", T0 + HOUR)), &c->err);
    contract_reopen(c);
    CHECK_OK(apply_one(c, put("b", T0, 5)), &c->err);
    assert_false(is_known(c, "b"));
}

const struct CMUnitTest contract_forgetting[] = {
    CASE(a_forgotten_bucket_is_unknown_and_the_others_are_not),
    CASE(older_events_count_at_the_other_levels_only),
    CASE(a_batch_is_taken_in_its_order),
    CASE(two_buckets_and_two_lives_in_one_batch),
    CASE(a_forgetting_of_somebody_else_does_not_part_a_batch),
    CASE(what_came_after_a_late_forgetting_stays),
    CASE(a_forgetting_of_an_earlier_time_changes_nothing),
    CASE(an_appointed_forgetting_comes_when_it_is_due),
    CASE(a_forgetting_that_is_due_comes_before_the_batch),
    CASE(an_event_for_the_bucket_cancels_the_appointment),
    CASE(a_later_appointment_replaces_an_earlier_one),
    CASE(any_resource_can_be_forgotten_by_hand),
    CASE(a_forgetting_survives_reopening),
    {.name = NULL},
};
