/* SPDX-License-Identifier: Apache-2.0 */
/* uuids.c - an event that comes again counts once: in a batch, across batches, within the window, in every form. */
#include "contract.h"

#include <stdio.h>
#include <string.h>

#define CANONICAL "db213a9e-8614-4fed-b565-ba8e1ca6fbb0"

static size_t repeated_in(contract *c, const utapi_entry *entries, size_t count)
{
    const utapi_batch batch = {.entries = entries, .count = count, .now_ms = c->now_ms};
    utapi_applied applied;
    CHECK_OK(apply_batch(c, c->backend, &batch, &applied, &c->err), &c->err);
    return applied.repeated;
}

static void a_uuid_that_is_known_is_skipped(void **state)
{
    contract *c = *state;
    const utapi_entry entry = entry_put_uuid(CANONICAL, "b", T0, 10);
    assert_int_equal(repeated_in(c, &entry, 1), 0);
    assert_int_equal(repeated_in(c, &entry, 1), 1); /* the sender did not see our reply */
    assert_int_equal(bytes_at(c, "b", T0), 10);
}

static void the_first_of_two_in_one_batch_counts(void **state)
{
    contract *c = *state;
    const utapi_entry entries[] = {entry_put_uuid("u", "b", T0, 1), entry_put_uuid("u", "b", T0, 2),
                                   entry_put_uuid("v", "b", T0, 4), entry_put_uuid("u", "b", T0, 8)};
    assert_int_equal(repeated_in(c, entries, 4), 2);
    assert_int_equal(bytes_at(c, "b", T0), 5);
}

static void the_same_uuid_at_another_time_is_another_event(void **state)
{
    contract *c = *state;
    const utapi_entry entries[] = {entry_put_uuid("u", "b", T0, 1), entry_put_uuid("u", "b", T0 + 1, 2)};
    assert_int_equal(repeated_in(c, entries, 2), 0);
    assert_int_equal(bytes_at(c, "b", T0), 3);
}

static void an_event_without_a_uuid_counts_each_time(void **state)
{
    contract *c = *state;
    const utapi_entry entries[] = {entry_put("b", T0, 1), entry_put("b", T0, 1)};
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
        const utapi_entry entry = entry_put_uuid(uuids[i], "b", T0, 1);
        assert_int_equal(repeated_in(c, &entry, 1), 0);
    }
    for (size_t i = 0; i < count; i++) {
        const utapi_entry entry = entry_put_uuid(uuids[i], "b", T0, 1);
        assert_int_equal(repeated_in(c, &entry, 1), 1);
    }
    assert_int_equal(bytes_at(c, "b", T0), count);
}

static void a_skipped_entry_expires_nothing(void **state)
{
    contract *c = *state;
    utapi_entry gone = entry_delete("b", T0);
    gone.uuid = utapi_string_of("u");
    gone.uuid_time_ms = T0;
    CHECK_OK(apply_entry(c, gone), &c->err);
    CHECK_OK(apply_entry(c, entry_put("b", T0 + 1, 5)), &c->err);
    assert_int_equal(repeated_in(c, &gone, 1), 1);
    assert_int_equal(bytes_at(c, "b", T0), 5);
}

static void a_uuid_expires_after_the_window_and_not_before(void **state)
{
    contract *c = *state;
    const utapi_entry entry = entry_put_uuid(CANONICAL, "b", T0, 1);
    assert_int_equal(repeated_in(c, &entry, 1), 0);
    c->accepted_ms += DAY - MINUTE;
    assert_int_equal(repeated_in(c, &entry, 1), 1);
    c->accepted_ms += HOUR;
    assert_int_equal(repeated_in(c, &entry, 1), 0);
    assert_int_equal(bytes_at(c, "b", T0), 2);
}

static void maintenance_drops_old_uuids_alone(void **state)
{
    contract *c = *state;
    const utapi_entry old = entry_put_uuid("old", "b", T0, 1);
    CHECK_OK(apply_entry(c, old), &c->err);
    c->accepted_ms += 23 * HOUR;
    const utapi_entry newer = entry_put_uuid("newer", "b", T0 - DAY, 1); /* of an older time */
    CHECK_OK(apply_entry(c, newer), &c->err);
    c->accepted_ms += 2 * HOUR;
    utapi_storage_stats stats = {.uuids = 2};
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
    const utapi_entry entry = entry_put_uuid(CANONICAL, "b", T0, 10);
    CHECK_OK(apply_entry(c, entry), &c->err);
    contract_reopen(c);
    assert_int_equal(repeated_in(c, &entry, 1), 1);
    assert_int_equal(bytes_at(c, "b", T0), 10);
}

static void a_store_without_a_window_keeps_no_uuids(void **state)
{
    contract *c = *state;
    c->options.dedup_window_ms = 0;
    contract_reopen(c);
    const utapi_entry entry = entry_put_uuid(CANONICAL, "b", T0, 1);
    assert_int_equal(repeated_in(c, &entry, 1), 0);
    assert_int_equal(repeated_in(c, &entry, 1), 0);
    assert_int_equal(bytes_at(c, "b", T0), 2);
}

#define ANOTHER_CANONICAL "01234567-89ab-cdef-0123-456789abcdef"

/* Each of these is a uuid of its own, however a backend may shorten what it keeps of them. */
static void uuids_of_any_form_stay_apart(void **state)
{
    contract *c = *state;
    static const char packed[] = "\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef";
    char longest[UTAPI_NAME_MAX + 1], almost[UTAPI_NAME_MAX + 1];
    memset(longest, 'x', UTAPI_NAME_MAX);
    longest[UTAPI_NAME_MAX] = '\0';
    memcpy(almost, longest, sizeof almost);
    almost[UTAPI_NAME_MAX - 1] = 'y';
    const utapi_string uuids[] = {
        S(ANOTHER_CANONICAL),
        S("01234567-89AB-CDEF-0123-456789ABCDEF"),
        S("0123456789abcdef0123456789abcdef"),
        S("01234567-89ab-cdef-0123-456789abcdeg"),
        S("01234567-89ab-cdef-0123+456789abcdef"),
        {packed, 16},
        {packed, 17}, /* with the NUL behind it */
        {packed, 15},
        S("0123456789abcdef"),
        {"0123456789abcdef\0", 17},
        {"0123456789abcdef\0\0", 18},
        S("0123456789abcdefg"),
        S("u"),
        S(longest),
        S(almost),
        S(longest + 1),
    };
    const size_t count = sizeof uuids / sizeof *uuids;
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < count; i++) {
            utapi_entry *entry = put_uuid(c, "", "b", INTERVAL(0), INT64_C(1) << i);
            entry->uuid = uuids[round == 0 ? i : count - 1 - i];
        }
        apply(c);
        assert_int_equal(c->applied.repeated, round * (int)count);
    }
    assert_int_equal(bucket_bytes(c, "b"), (INT64_C(1) << count) - 1);
}

static void many_uuids_of_one_batch_are_told_apart(void **state)
{
    contract *c = *state;
    char uuids[CONTRACT_ENTRIES_MAX][40];
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < CONTRACT_ENTRIES_MAX; i++) {
            const unsigned n = i * 7919U % CONTRACT_ENTRIES_MAX;
            snprintf(uuids[i], sizeof uuids[i], "%08x-0000-4000-8000-%012x", n * 2654435761U, n);
            put_uuid(c, uuids[i], "b", INTERVAL(0) + (n & 3), 1);
        }
        apply(c);
        assert_int_equal(c->applied.repeated, round * CONTRACT_ENTRIES_MAX);
    }
    assert_int_equal(bucket_bytes(c, "b"), CONTRACT_ENTRIES_MAX);
}

static void a_repetition_counts_nowhere_and_expires_nothing(void **state)
{
    contract *c = *state;
    utapi_entry *gone = delete_bucket(c, "b", INTERVAL(0));
    gone->uuid = S("u");
    apply(c);
    put(c, "b", INTERVAL(0), 5);
    apply(c);
    gone = delete_bucket(c, "b", INTERVAL(0));
    gone->uuid = S("u");
    apply(c);
    assert_int_equal(c->applied.repeated, 1);
    assert_int_equal(bucket_bytes(c, "b"), 5);
    const utapi_usage usage = usage_of(c, UTAPI_SERVICE, S("s3"), FIRST, LAST);
    assert_int_equal(utapi_amounts_get(&usage.flows, UTAPI_FIRST_OPERATION + UTAPI_OP_DELETE_BUCKET), 1);
}

static void take(contract *c, const char *uuid, int64_t accepted_ms, size_t repeated)
{
    c->accepted_ms = accepted_ms;
    put_uuid(c, uuid, "b", INTERVAL(0), 1);
    apply(c);
    assert_int_equal(c->applied.repeated, repeated);
}

static void a_uuid_is_known_for_the_window_from_when_it_was_accepted(void **state)
{
    contract *c = *state;
    const int64_t accepted_ms = INTERVAL(2000) + 7;
    take(c, "u", accepted_ms, 0);
    take(c, "u", accepted_ms + WINDOW_MS / 2, 1);
    take(c, "u", accepted_ms + WINDOW_MS, 1);
    /* A backend may know it for an interval longer. */
    take(c, "u", accepted_ms + WINDOW_MS + 2 * UTAPI_INTERVAL_MS, 0);
    take(c, "u", accepted_ms + WINDOW_MS + 3 * UTAPI_INTERVAL_MS, 1); /* and from then on again */
}

static void the_window_counts_from_the_acceptance_not_from_the_event(void **state)
{
    contract *c = *state;
    c->accepted_ms = INTERVAL(2000);
    for (int i = 0; i < 3; i++) {
        put_uuid(c, "old", "b", INTERVAL(-50000), 1);
        put_uuid(c, "none", "b", INTERVAL(-50000), 1)->uuid_time_ms = 0;
        apply(c);
        CHECK_OK(utapi_backend_maintain(c->backend, c->now_ms, c->accepted_ms, &c->err), &c->err);
        c->accepted_ms += WINDOW_MS / 4;
    }
    assert_int_equal(bucket_bytes(c, "b"), 2);
}

static void applying_drops_more_than_it_takes(void **state)
{
    contract *c = *state;
    char uuids[100][16];
    utapi_storage_stats stats = {.uuids = 0};
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 100; i++) {
            snprintf(uuids[i], sizeof uuids[i], "%d.%d", round, i);
            put_uuid(c, uuids[i], "b", c->accepted_ms, 1);
        }
        apply(c);
        c->accepted_ms += WINDOW_MS / 8;
        CHECK_OK(utapi_backend_stats(c->backend, &stats, &c->err), &c->err);
        assert_in_range(stats.uuids, 100, 100 * 20);
    }
}

const struct CMUnitTest contract_uuids[] = {
    CASE(a_uuid_that_is_known_is_skipped),
    CASE(the_first_of_two_in_one_batch_counts),
    CASE(the_same_uuid_at_another_time_is_another_event),
    CASE(an_event_without_a_uuid_counts_each_time),
    CASE(uuids_of_every_form_are_told_apart),
    CASE(a_skipped_entry_expires_nothing),
    CASE(a_uuid_expires_after_the_window_and_not_before),
    CASE(maintenance_drops_old_uuids_alone),
    CASE(uuids_survive_reopening),
    CASE(a_store_without_a_window_keeps_no_uuids),
    CASE(uuids_of_any_form_stay_apart),
    CASE(many_uuids_of_one_batch_are_told_apart),
    CASE(a_repetition_counts_nowhere_and_expires_nothing),
    CASE(a_uuid_is_known_for_the_window_from_when_it_was_accepted),
    CASE(the_window_counts_from_the_acceptance_not_from_the_event),
    CASE(applying_drops_more_than_it_takes),
    {.name = NULL},
};
