/* SPDX-License-Identifier: Apache-2.0 */
/* uuids.c - a repeated event is counted once, within the window, whatever its uuid looks like. */
#include "contract.h"

#include <string.h>

#define CANONICAL "db213a9e-8614-4fed-b565-ba8e1ca6fbb0"

static size_t repeated_in(contract *c, const utapi_entry *entries, size_t count)
{
    const utapi_batch batch = {
        .entries = entries, .count = count, .now_ms = c->now_ms, .accepted_ms = c->accepted_ms};
    utapi_applied applied;
    CHECK_OK(utapi_backend_apply(c->backend, &batch, &applied, &c->err), &c->err);
    return applied.repeated;
}

static void a_uuid_that_is_known_is_skipped(void **state)
{
    contract *c = *state;
    const utapi_entry entry = put_with_uuid(CANONICAL, "b", T0, 10);
    assert_int_equal(repeated_in(c, &entry, 1), 0);
    assert_int_equal(repeated_in(c, &entry, 1), 1); /* the sender did not see our reply */
    assert_int_equal(bytes_at(c, "b", T0), 10);
}

static void the_first_of_two_in_one_batch_counts(void **state)
{
    contract *c = *state;
    const utapi_entry entries[] = {put_with_uuid("u", "b", T0, 1), put_with_uuid("u", "b", T0, 2),
                                   put_with_uuid("v", "b", T0, 4), put_with_uuid("u", "b", T0, 8)};
    assert_int_equal(repeated_in(c, entries, 4), 2);
    assert_int_equal(bytes_at(c, "b", T0), 5);
}

static void the_same_uuid_at_another_time_is_another_event(void **state)
{
    contract *c = *state;
    const utapi_entry entries[] = {put_with_uuid("u", "b", T0, 1), put_with_uuid("u", "b", T0 + 1, 2)};
    assert_int_equal(repeated_in(c, entries, 2), 0);
    assert_int_equal(bytes_at(c, "b", T0), 3);
}

static void an_event_without_a_uuid_counts_each_time(void **state)
{
    contract *c = *state;
    const utapi_entry entries[] = {put("b", T0, 1), put("b", T0, 1)};
    assert_int_equal(repeated_in(c, entries, 2), 0);
    assert_int_equal(bytes_at(c, "b", T0), 2);
}

static void uuids_of_every_form_are_told_apart(void **state)
{
    contract *c = *state;
    char longest[UTAPI_NAME_MAX + 1] = "";
    memset(longest, 'u', UTAPI_NAME_MAX);
    char nearly[UTAPI_NAME_MAX + 1];
    memcpy(nearly, longest, sizeof nearly);
    nearly[UTAPI_NAME_MAX - 1] = 'v';
    /* The third has the sixteen bytes that the first would be packed into. */
    const char *const uuids[] = {"61626364-6566-4768-a96a-6b6c6d6e6f70",
                                 "61626364-6566-4768-A96A-6B6C6D6E6F70",
                                 "abcdefGh\xa9jklmnop",
                                 "abcdefGh\xa9jklmno",
                                 "61626364-6566-4768-a96a-6b6c6d6e6f7",
                                 "61626364-6566-4768-a96a-6b6c6d6e6f700",
                                 "x",
                                 longest,
                                 nearly};
    const size_t count = sizeof uuids / sizeof *uuids;
    for (size_t i = 0; i < count; i++) {
        const utapi_entry entry = put_with_uuid(uuids[i], "b", T0, 1);
        assert_int_equal(repeated_in(c, &entry, 1), 0);
    }
    for (size_t i = 0; i < count; i++) {
        const utapi_entry entry = put_with_uuid(uuids[i], "b", T0, 1);
        assert_int_equal(repeated_in(c, &entry, 1), 1);
    }
    assert_int_equal(bytes_at(c, "b", T0), count);
}

static void a_skipped_entry_forgets_nothing(void **state)
{
    contract *c = *state;
    utapi_entry gone = forget_bucket("b", T0);
    gone.uuid = utapi_string_of("u");
    gone.uuid_time_ms = T0;
    CHECK_OK(apply_one(c, gone), &c->err);
    CHECK_OK(apply_one(c, put("b", T0 + 1, 5)), &c->err);
    assert_int_equal(repeated_in(c, &gone, 1), 1);
    assert_int_equal(bytes_at(c, "b", T0), 5);
}

static void a_uuid_is_forgotten_after_the_window_and_not_before(void **state)
{
    contract *c = *state;
    const utapi_entry entry = put_with_uuid(CANONICAL, "b", T0, 1);
    assert_int_equal(repeated_in(c, &entry, 1), 0);
    c->accepted_ms += DAY - MINUTE;
    assert_int_equal(repeated_in(c, &entry, 1), 1);
    c->accepted_ms += HOUR;
    assert_int_equal(repeated_in(c, &entry, 1), 0);
    assert_int_equal(bytes_at(c, "b", T0), 2);
}

static void tending_drops_old_uuids_alone(void **state)
{
    contract *c = *state;
    const utapi_entry old = put_with_uuid("old", "b", T0, 1);
    CHECK_OK(apply_one(c, old), &c->err);
    c->accepted_ms += 23 * HOUR;
    const utapi_entry newer = put_with_uuid("newer", "b", T0 - DAY, 1); /* of an older time */
    CHECK_OK(apply_one(c, newer), &c->err);
    c->accepted_ms += 2 * HOUR;
    utapi_stats stats = {.uuids = 2};
    for (int slice = 0; slice < 100 && stats.uuids > 1; slice++) {
        CHECK_OK(utapi_backend_maintain(c->backend, c->now_ms, c->accepted_ms, &c->err), &c->err);
        CHECK_OK(utapi_backend_stats(c->backend, &stats, &c->err), &c->err);
    }
    assert_int_equal(stats.uuids, 1);
    assert_int_equal(repeated_in(c, &newer, 1), 1);
}

static void uuids_survive_reopening(void **state)
{
    contract *c = *state;
    if (!contract_is_durable(c))
        return;
    const utapi_entry entry = put_with_uuid(CANONICAL, "b", T0, 10);
    CHECK_OK(apply_one(c, entry), &c->err);
    contract_reopen(c);
    assert_int_equal(repeated_in(c, &entry, 1), 1);
    assert_int_equal(bytes_at(c, "b", T0), 10);
}

static void a_store_without_a_window_keeps_no_uuids(void **state)
{
    contract *c = *state;
    c->options.dedup_window_ms = 0;
    contract_reopen(c);
    const utapi_entry entry = put_with_uuid(CANONICAL, "b", T0, 1);
    assert_int_equal(repeated_in(c, &entry, 1), 0);
    assert_int_equal(repeated_in(c, &entry, 1), 0);
    assert_int_equal(bytes_at(c, "b", T0), 2);
}

const struct CMUnitTest contract_uuids[] = {
    CASE(a_uuid_that_is_known_is_skipped),
    CASE(the_first_of_two_in_one_batch_counts),
    CASE(the_same_uuid_at_another_time_is_another_event),
    CASE(an_event_without_a_uuid_counts_each_time),
    CASE(uuids_of_every_form_are_told_apart),
    CASE(a_skipped_entry_forgets_nothing),
    CASE(a_uuid_is_forgotten_after_the_window_and_not_before),
    CASE(tending_drops_old_uuids_alone),
    CASE(uuids_survive_reopening),
    CASE(a_store_without_a_window_keeps_no_uuids),
    {.name = NULL},
};
