/* SPDX-License-Identifier: Apache-2.0 */
/* edges_forget.c - forgetting, by forget() and by entries: now, later, not at all (docs/specification.md#expiry). */
#include "edges.h"

static void forget(edges *c, const char *bucket, int64_t time_ms)
{
    CHECK_OK(utapi_backend_expire(c->backend, UTAPI_BUCKETS, S(bucket), time_ms, &c->err), &c->err);
}

static void tend(edges *c, int64_t now_ms)
{
    c->now_ms = now_ms;
    CHECK_OK(utapi_backend_maintain(c->backend, now_ms, c->accepted_ms, &c->err), &c->err);
}

/* Rows at 0, 10, 20 and 30: 1, 2, 3, 4 bytes. */
static void put_rows(edges *c)
{
    for (int i = 0; i <= 30; i += 10) {
        put(c, "b", INTERVAL(i), 1);
        put(c, "bb", INTERVAL(i), 1);
        apply(c);
    }
}

static utapi_entry *delete_later(edges *c, const char *bucket, int64_t time_ms, int64_t expire_at_ms)
{
    utapi_entry *entry = delete_bucket(c, bucket, time_ms);
    entry->expiry = UTAPI_EXPIRE_LATER;
    entry->expire_at_ms = expire_at_ms;
    return entry;
}

/* ---- forget() ----------------------------------------------------------------------------- */

static void later_rows_keep_what_came_after(void **state)
{
    edges *c = edges_of(state);
    put_rows(c);
    forget(c, "b", INTERVAL(10) + 5);
    expect_rows(c, "b", "20:1 30:2 ");
    forget(c, "b", INTERVAL(25));
    expect_rows(c, "b", "30:1 ");
    expect_rows(c, "bb", "0:1 10:2 20:3 30:4 ");
}

static void a_forgetting_before_the_first_row_leaves_the_rows(void **state)
{
    edges *c = edges_of(state);
    put_rows(c);
    forget(c, "b", INTERVAL(-1));
    expect_rows(c, "b", "0:1 10:2 20:3 30:4 ");
}

static void older_entries_of_a_forgotten_resource_never_count_again(void **state)
{
    edges *c = edges_of(state);
    put_rows(c);
    forget(c, "b", INTERVAL(40) + 100);
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

static void an_earlier_forgetting_changes_nothing(void **state)
{
    edges *c = edges_of(state);
    forget(c, "b", INTERVAL(5));
    put(c, "b", INTERVAL(5), 10);
    put(c, "b", INTERVAL(6), 10);
    apply(c);
    forget(c, "b", INTERVAL(5) - 1);
    forget(c, "b", INTERVAL(-7));
    expect_rows(c, "b", "5:10 6:20 ");
    put(c, "b", INTERVAL(5) - 1, 10);
    apply(c);
    expect_rows(c, "b", "5:10 6:20 ");
}

static void a_forgetting_that_cannot_be_kept_changes_nothing(void **state)
{
    edges *c = edges_of(state);
    put(c, "b", INTERVAL(0), -10)->resource[UTAPI_SERVICE] = S("");
    put(c, "b", INTERVAL(1), 10)->resource[UTAPI_SERVICE] = S("");
    put(c, "b", INTERVAL(2), INT64_MAX)->delta[UTAPI_INCOMING_BYTES] = 0;
    put(c, "b", INTERVAL(3), -20);
    apply(c);
    CHECK_STATUS(UTAPI_OVERFLOW,
                 utapi_backend_expire(c->backend, UTAPI_BUCKETS, S("b"), INTERVAL(0), &c->err), &c->err);
    expect_rows(c, "b", "0:-10 1:0 2:9223372036854775807 3:9223372036854775787 ");
    put(c, "b", INTERVAL(-1), -1);
    apply(c);
    expect_rows(c, "b", "-1:-1 0:-11 1:-1 2:9223372036854775806 3:9223372036854775786 ");
}

static void a_forgotten_name_begins_anew(void **state)
{
    edges *c = edges_of(state);
    for (int i = 0; i < 5; i++) {
        put_rows(c);
        assert_int_equal(bucket_bytes(c, "b"), i < 1 ? 4 : 0);
        c->count = 0;
        forget(c, "b", INTERVAL(100 + i));
        put(c, "b", INTERVAL(100 + i), 9);
        apply(c);
        assert_int_equal(bucket_bytes(c, "b"), 9);
        forget(c, "b", INTERVAL(100 + i));
    }
}

/* ---- entries that forget now -------------------------------------------------------------- */

static void an_entry_can_forget_its_bucket_its_own_count_included(void **state)
{
    edges *c = edges_of(state);
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

static void what_comes_after_a_forgetting_in_a_batch_counts(void **state)
{
    edges *c = edges_of(state);
    put_rows(c);
    put(c, "b", INTERVAL(31), 50);
    delete_bucket(c, "b", INTERVAL(31) + 5);
    put(c, "b", INTERVAL(31) + 5, 7);
    put(c, "b", INTERVAL(31) + 4, 1000); /* older than the forgetting */
    delete_bucket(c, "b", INTERVAL(32));
    put(c, "b", INTERVAL(33), 9);
    put(c, "b", INTERVAL(31) + 5, 1000);
    apply(c);
    expect_rows(c, "b", "33:9 ");
    assert_int_equal(service_bytes(c), 8 + 50 + 7 + 1000 + 9 + 1000);
}

static void what_lies_after_a_forgetting_stays(void **state)
{
    edges *c = edges_of(state);
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

static void an_entry_that_forgets_too_late_counts_nowhere_at_its_bucket(void **state)
{
    edges *c = edges_of(state);
    forget(c, "b", INTERVAL(10));
    put(c, "b", INTERVAL(10), 5);
    apply(c);
    delete_bucket(c, "b", INTERVAL(9));
    put(c, "b", INTERVAL(10), 5);
    apply(c);
    expect_rows(c, "b", "10:10 ");
    delete_bucket(c, "b", INTERVAL(10)); /* not earlier: it forgets again */
    apply(c);
    assert_false(is_known(c, UTAPI_BUCKETS, "b"));
}

static void a_refused_batch_forgets_nothing(void **state)
{
    edges *c = edges_of(state);
    put_rows(c);
    put(c, "full", INTERVAL(0), INT64_MAX - 8)->delta[UTAPI_INCOMING_BYTES] = 0;
    apply(c);
    delete_bucket(c, "b", INTERVAL(31));
    delete_later(c, "bb", INTERVAL(31), INTERVAL(40));
    put(c, "full", INTERVAL(0), 100);
    apply_fails(c, UTAPI_OVERFLOW);
    tend(c, INTERVAL(2000));
    expect_rows(c, "b", "0:1 10:2 20:3 30:4 ");
    expect_rows(c, "bb", "0:1 10:2 20:3 30:4 ");
    put(c, "b", INTERVAL(5), -9); /* no forgetting is in its way */
    apply(c);
    expect_rows(c, "b", "0:1 5:-8 10:-7 20:-6 30:-5 ");
}

/* ---- entries that forget later ------------------------------------------------------------ */

static void an_appointment_is_kept_by_tending(void **state)
{
    edges *c = edges_of(state);
    put_rows(c);
    delete_later(c, "b", INTERVAL(31), INTERVAL(1010));
    apply(c);
    expect_rows(c, "b", "0:1 10:2 20:3 30:4 31:4 ");
    tend(c, INTERVAL(1010) - 1);
    expect_rows(c, "b", "0:1 10:2 20:3 30:4 31:4 ");
    tend(c, INTERVAL(1010));
    expect_rows(c, "b", "");
    put(c, "b", INTERVAL(1010) - 1, 5);
    apply(c);
    expect_rows(c, "b", "");
    put(c, "b", INTERVAL(1010), 5);
    apply(c);
    expect_rows(c, "b", "1010:5 ");
    tend(c, INTERVAL(5000));
    expect_rows(c, "b", "1010:5 ");
}

static void an_appointment_is_kept_by_the_next_batch_first(void **state)
{
    edges *c = edges_of(state);
    put_rows(c);
    delete_later(c, "b", INTERVAL(31), INTERVAL(1010));
    apply(c);
    c->now_ms = INTERVAL(1010);
    put(c, "b", INTERVAL(1010), 5); /* too late to cancel it */
    apply(c);
    expect_rows(c, "b", "1010:5 ");
    expect_rows(c, "bb", "0:1 10:2 20:3 30:4 ");
}

static void an_entry_for_the_bucket_cancels_its_appointment(void **state)
{
    edges *c = edges_of(state);
    put_rows(c);
    delete_later(c, "b", INTERVAL(31), INTERVAL(1010));
    delete_later(c, "bb", INTERVAL(31), INTERVAL(1010));
    apply(c);
    put(c, "b", INTERVAL(32), 1);
    apply(c);
    tend(c, INTERVAL(2000));
    expect_rows(c, "b", "0:1 10:2 20:3 30:4 31:4 32:5 ");
    expect_rows(c, "bb", "");
}

static void an_appointment_is_cancelled_within_a_batch_too(void **state)
{
    edges *c = edges_of(state);
    put(c, "a", INTERVAL(0), 1);
    delete_later(c, "a", INTERVAL(31), INTERVAL(1010));
    put(c, "a", INTERVAL(31), 1);
    put(c, "b", INTERVAL(0), 1);
    put(c, "b", INTERVAL(31), 1);
    delete_later(c, "b", INTERVAL(31), INTERVAL(1010));
    apply(c);
    tend(c, INTERVAL(2000));
    expect_rows(c, "a", "0:1 31:2 ");
    expect_rows(c, "b", "");
}

static void a_repetition_cancels_no_appointment(void **state)
{
    edges *c = edges_of(state);
    put_uuid(c, "u", "b", INTERVAL(0), 1);
    delete_later(c, "b", INTERVAL(31), INTERVAL(1010));
    apply(c);
    put_uuid(c, "u", "b", INTERVAL(0), 1);
    apply(c);
    tend(c, INTERVAL(2000));
    expect_rows(c, "b", "");
}

static void an_entry_that_is_too_old_to_count_cancels_no_appointment(void **state)
{
    edges *c = edges_of(state);
    forget(c, "b", INTERVAL(20));
    put(c, "b", INTERVAL(20), 1);
    delete_later(c, "b", INTERVAL(31), INTERVAL(1010));
    apply(c);
    put(c, "b", INTERVAL(19), 1);
    apply(c);
    delete_later(c, "b", INTERVAL(18), INTERVAL(3000));
    apply(c);
    tend(c, INTERVAL(2000));
    expect_rows(c, "b", "");
}

static void a_later_appointment_replaces_an_earlier_one(void **state)
{
    edges *c = edges_of(state);
    put_rows(c);
    delete_later(c, "b", INTERVAL(31), INTERVAL(1010));
    apply(c);
    delete_later(c, "b", INTERVAL(32), INTERVAL(1020));
    apply(c);
    tend(c, INTERVAL(1015));
    expect_rows(c, "b", "0:1 10:2 20:3 30:4 31:4 32:4 ");
    tend(c, INTERVAL(1020));
    expect_rows(c, "b", "");
}

static void an_appointment_that_cannot_be_kept_is_dropped(void **state)
{
    edges *c = edges_of(state);
    put(c, "b", INTERVAL(0), -10)->resource[UTAPI_SERVICE] = S("");
    put(c, "b", INTERVAL(2000), 10)->resource[UTAPI_SERVICE] = S("");
    put(c, "b", INTERVAL(2001), INT64_MAX)->delta[UTAPI_INCOMING_BYTES] = 0;
    delete_later(c, "b", INTERVAL(1), INTERVAL(1010));
    put(c, "a", INTERVAL(0), -10);
    delete_later(c, "a", INTERVAL(1), INTERVAL(1010));
    apply(c);
    c->now_ms = INTERVAL(1010);
    put(c, "other", INTERVAL(0), 0);
    apply(c); /* others do not wait for it */
    expect_rows(c, "b", "0:-10 1:-10 2000:0 2001:9223372036854775807 ");
    expect_rows(c, "a", "");
    put(c, "b", INTERVAL(0), -1); /* and nothing of it is left */
    apply(c);
    expect_rows(c, "b", "0:-11 1:-11 2000:-1 2001:9223372036854775806 ");
}

static void forgettings_and_appointments_last(void **state)
{
    edges *c = edges_of(state);
    if (!edges_kind.durable)
        skip();
    put_rows(c);
    delete_later(c, "b", INTERVAL(31), INTERVAL(1010));
    apply(c);
    forget(c, "bb", INTERVAL(31));
    edges_reopen(c);
    put(c, "bb", INTERVAL(30), 1);
    apply(c);
    expect_rows(c, "bb", "");
    tend(c, INTERVAL(1010));
    expect_rows(c, "b", "");
    edges_reopen(c);
    put(c, "b", INTERVAL(1009), 1);
    apply(c);
    expect_rows(c, "b", "");
}

int cases_forget(void)
{
    const struct CMUnitTest cases[] = {
        EDGES_CASE(later_rows_keep_what_came_after),
        EDGES_CASE(a_forgetting_before_the_first_row_leaves_the_rows),
        EDGES_CASE(older_entries_of_a_forgotten_resource_never_count_again),
        EDGES_CASE(an_earlier_forgetting_changes_nothing),
        EDGES_CASE(a_forgetting_that_cannot_be_kept_changes_nothing),
        EDGES_CASE(a_forgotten_name_begins_anew),
        EDGES_CASE(an_entry_can_forget_its_bucket_its_own_count_included),
        EDGES_CASE(what_comes_after_a_forgetting_in_a_batch_counts),
        EDGES_CASE(what_lies_after_a_forgetting_stays),
        EDGES_CASE(an_entry_that_forgets_too_late_counts_nowhere_at_its_bucket),
        EDGES_CASE(a_refused_batch_forgets_nothing),
        EDGES_CASE(an_appointment_is_kept_by_tending),
        EDGES_CASE(an_appointment_is_kept_by_the_next_batch_first),
        EDGES_CASE(an_entry_for_the_bucket_cancels_its_appointment),
        EDGES_CASE(an_appointment_is_cancelled_within_a_batch_too),
        EDGES_CASE(a_repetition_cancels_no_appointment),
        EDGES_CASE(an_entry_that_is_too_old_to_count_cancels_no_appointment),
        EDGES_CASE(a_later_appointment_replaces_an_earlier_one),
        EDGES_CASE(an_appointment_that_cannot_be_kept_is_dropped),
        EDGES_CASE(forgettings_and_appointments_last),
    };
    return RUN_CASES("forgetting", cases);
}
