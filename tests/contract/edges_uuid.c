/* SPDX-License-Identifier: Apache-2.0 */
/* edges_uuid.c - an event that comes again counts once: in a batch, across batches, after a reopening. */
#include "edges.h"

#include <stdio.h>
#include <string.h>

#define CANONICAL "01234567-89ab-cdef-0123-456789abcdef"

/* Each of these is a uuid of its own, however a backend may shorten what it keeps of them. */
static void uuids_of_any_form_stay_apart(void **state)
{
    edges *c = edges_of(state);
    static const char packed[] = "\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef";
    char longest[UTAPI_NAME_MAX + 1], almost[UTAPI_NAME_MAX + 1];
    memset(longest, 'x', UTAPI_NAME_MAX);
    longest[UTAPI_NAME_MAX] = '\0';
    memcpy(almost, longest, sizeof almost);
    almost[UTAPI_NAME_MAX - 1] = 'y';
    const utapi_string uuids[] = {
        S(CANONICAL),
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
    edges *c = edges_of(state);
    char uuids[ENTRIES_MAX][40];
    for (int round = 0; round < 2; round++) {
        for (unsigned i = 0; i < ENTRIES_MAX; i++) {
            const unsigned n = i * 7919U % ENTRIES_MAX;
            snprintf(uuids[i], sizeof uuids[i], "%08x-0000-4000-8000-%012x", n * 2654435761U, n);
            put_uuid(c, uuids[i], "b", INTERVAL(0) + (n & 3), 1);
        }
        apply(c);
        assert_int_equal(c->applied.repeated, round * ENTRIES_MAX);
    }
    assert_int_equal(bucket_bytes(c, "b"), ENTRIES_MAX);
}

static void a_repetition_counts_nowhere_and_forgets_nothing(void **state)
{
    edges *c = edges_of(state);
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

static void take(edges *c, const char *uuid, int64_t accepted_ms, size_t repeated)
{
    c->accepted_ms = accepted_ms;
    put_uuid(c, uuid, "b", INTERVAL(0), 1);
    apply(c);
    assert_int_equal(c->applied.repeated, repeated);
}

static void a_uuid_is_known_for_the_window_from_its_taking(void **state)
{
    edges *c = edges_of(state);
    const int64_t accepted_ms = INTERVAL(2000) + 7;
    take(c, "u", accepted_ms, 0);
    take(c, "u", accepted_ms + WINDOW_MS / 2, 1);
    take(c, "u", accepted_ms + WINDOW_MS, 1);
    /* A backend may know it for an interval longer. */
    take(c, "u", accepted_ms + WINDOW_MS + 2 * UTAPI_INTERVAL_MS, 0);
    take(c, "u", accepted_ms + WINDOW_MS + 3 * UTAPI_INTERVAL_MS, 1); /* and from then on again */
}

static void the_window_counts_from_the_taking_not_from_the_event(void **state)
{
    edges *c = edges_of(state);
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
    edges *c = edges_of(state);
    char uuids[100][16];
    utapi_stats stats = {.uuids = 0};
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

int cases_uuid(void)
{
    const struct CMUnitTest cases[] = {
        EDGES_CASE(uuids_of_any_form_stay_apart),
        EDGES_CASE(many_uuids_of_one_batch_are_told_apart),
        EDGES_CASE(a_repetition_counts_nowhere_and_forgets_nothing),
        EDGES_CASE(a_uuid_is_known_for_the_window_from_its_taking),
        EDGES_CASE(the_window_counts_from_the_taking_not_from_the_event),
        EDGES_CASE(applying_drops_more_than_it_takes),
    };
    return RUN_CASES("uuids", cases);
}
