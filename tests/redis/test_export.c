/* SPDX-License-Identifier: Apache-2.0 */
/* test_export.c - flows that an export reports: each under its own name, in its own interval, and
 * what is of nobody named. */
#include "reading.h"

#include <stdio.h>
#include <string.h>

/* An export, as texts: "<name> <interval> <puts>;" for each change, and what cannot be read. */
typedef struct exported {
    int64_t puts; /* of all changes */
    char changes[512];
    char unreadable[512];
} exported;

static const utapi_export everything = {
    .form = UTAPI_EXPORT_DELTAS, .level = UTAPI_LEVEL_COUNT, .end = UTAPI_INTERVAL_MAX};

static bool on_row(void *ctx, const utapi_export_row *row)
{
    exported *all = ctx;
    const size_t size = strlen(all->changes);
    const int64_t puts =
        (int64_t)utapi_amounts_get(row->amounts, UTAPI_FIRST_OPERATION + UTAPI_OP_PUT_OBJECT);
    all->puts += puts;
    if (row->level == UTAPI_BUCKETS && puts != 0)
        (void)snprintf(all->changes + size, sizeof all->changes - size, "%.*s %lld %lld;",
                       (int)row->name.size, row->name.data, (long long)row->interval, (long long)puts);
    return true;
}

static void on_unreadable(void *ctx, const char *what)
{
    exported *all = ctx;
    const size_t size = strlen(all->unreadable);
    (void)snprintf(all->unreadable + size, sizeof all->unreadable - size, "%s;", what);
}

static exported export_all(reading *r)
{
    exported all = {.changes = ""};
    CHECK_OK(utapi_redis_export(&r->backend.base, &everything, on_row, on_unreadable, &all, &r->err),
             &r->err);
    return all;
}

static void a_name_may_begin_with_a_number_that_is_no_time(void **state)
{
    reading *r = *state;
    raw(r, "SET s3:buckets:0:x:PutObject 1"); /* V1 writes no interval of 0 */
    exported all = export_all(r);
    assert_string_equal(all.changes, "0:x 0 1;");
    raw(r, "FLUSHALL");
    raw(r, "SET s3:buckets:0900000:x:PutObject 2");
    all = export_all(r);
    assert_string_equal(all.changes, "0900000:x 0 2;");
    raw(r, "FLUSHALL");
    raw(r, "SET s3:buckets:1700006400000:0:x:PutObject 3");
    all = export_all(r);
    assert_string_equal(all.changes, "0:x 1700006400000 3;");
    assert_string_equal(all.unreadable, "");
}

static void flows_between_two_intervals_are_named(void **state)
{
    reading *r = *state;
    for (int i = 0; i < 20; i++)
        raw(r, "SET s3:buckets:1700006400000:%d:PutObject 1", i);
    raw(r, "SET s3:buckets:1700006400001:x:PutObject 1000");
    raw(r, "SET s3:buckets:1700007299999:x:PutObject 1000");
    const exported all = export_all(r);
    assert_int_equal(all.puts, 20);
    assert_non_null(
        strstr(all.unreadable, "s3:buckets:1700006400001:x:PutObject: its time is no multiple of"));
    assert_non_null(
        strstr(all.unreadable, "s3:buckets:1700007299999:x:PutObject: its time is no multiple of"));
    utapi_error_clear(&r->err);
    exported ignored = {.changes = ""};
    assert_int_equal(utapi_redis_export(&r->backend.base, &everything, on_row, NULL, &ignored, &r->err),
                     UTAPI_CORRUPT);
}

/* What utapid counted is reported under its name, however the name looks. */
static void a_name_that_looks_like_a_time_is_reported_as_it_was_counted(void **state)
{
    static const struct {
        const char *name;
        int64_t time_ms;
    } counted[] = {{"900000:x", 0}, {"x", 900000}, {"1700006400001:x", 0}};
    reading *r = *state;
    for (size_t i = 0; i < sizeof counted / sizeof *counted; i++) {
        char expected[64];
        raw(r, "FLUSHALL");
        write_put(r, counted[i].name, counted[i].time_ms);
        const exported all = export_all(r);
        (void)snprintf(expected, sizeof expected, "%s %lld 1;", counted[i].name,
                       (long long)counted[i].time_ms);
        assert_string_equal(all.changes, expected);
        assert_string_equal(all.unreadable, "");
    }
}

static void a_key_that_two_names_may_have_is_named(void **state)
{
    reading *r = *state;
    write_put(r, "900000:x", 0);
    write_put(r, "x", 900000);
    exported all = export_all(r);
    assert_string_equal(all.changes, "");
    assert_non_null(strstr(all.unreadable, "s3:buckets:900000:x:PutObject: counted at that time, or"));
    assert_non_null(strstr(all.unreadable, "s3:buckets:900000:x:incomingBytes: counted at that time, or"));
    raw(r, "FLUSHALL");
    write_put(r, "1700006400000:x", 0); /* a Node client may have done that for "x" */
    all = export_all(r);
    assert_string_equal(all.changes, "");
    assert_non_null(strstr(all.unreadable, "s3:buckets:1700006400000:x:PutObject: counted at that time, or"));
}

/* A query about years looks there only if it is noted. */
static void what_a_node_client_counted_at_a_strange_time_is_reported_and_listed(void **state)
{
    reading *r = *state;
    const utapi_interval strange[] = {0, INTERVAL, INT64_C(1420070400000), r->today + 100 * DAY};
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        char expected[64];
        raw(r, "FLUSHALL");
        if (strange[i] == 0)
            raw(r, "SET s3:buckets:b:PutObject 7");
        else
            raw_flow(r, "b", strange[i], "PutObject", 7);
        const exported all = export_all(r);
        (void)snprintf(expected, sizeof expected, "b %lld 7;", (long long)strange[i]);
        assert_string_equal(all.changes, expected);
        const utapi_usage usage = query_bucket(r, "b", 0, UTAPI_INTERVAL_MAX);
        assert_int_equal(puts_of(&usage), 7);
    }
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        READING_CASE(a_name_may_begin_with_a_number_that_is_no_time),
        READING_CASE(flows_between_two_intervals_are_named),
        READING_CASE(a_name_that_looks_like_a_time_is_reported_as_it_was_counted),
        READING_CASE(a_key_that_two_names_may_have_is_named),
        READING_CASE(what_a_node_client_counted_at_a_strange_time_is_reported_and_listed),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
