/* SPDX-License-Identifier: Apache-2.0 */
/* edges.c - see edges.h. */
#include "edges.h"

#include "folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a backend for each case -------------------------------------------------------------- */

void edges_open(edges *c)
{
    CHECK_OK(utapi_backend_open(edges_kind.ops, &c->options, &c->backend, &c->err), &c->err);
}

void edges_reopen(edges *c)
{
    utapi_backend_close(c->backend);
    c->backend = NULL;
    edges_open(c);
}

void edges_begin_anew(edges *c)
{
    utapi_backend_close(c->backend);
    c->backend = NULL;
    support_folder_remove(c->location);
    edges_open(c);
}

int edges_setup(void **state)
{
    edges *c = calloc(1, sizeof *c);
    assert_non_null(c);
    support_folder_make(c->directory);
    snprintf(c->location, sizeof c->location, "%s/made/on/demand", c->directory);
    c->options = (utapi_backend_options){
        .location = c->location,
        .capacity_bytes = UINT64_C(256) << 20,
        .dedup_window_ms = WINDOW_MS,
    };
    c->now_ms = c->accepted_ms = INTERVAL(1000);
    utapi_error_clear(&c->err);
    edges_open(c);
    *state = c;
    return 0;
}

int edges_teardown(void **state)
{
    edges *c = edges_of(state);
    utapi_backend_close(c->backend);
    support_folder_remove(c->directory);
    free(c);
    return 0;
}

/* ---- entries ------------------------------------------------------------------------------ */

utapi_entry *put(edges *c, const char *bucket, int64_t time_ms, int64_t bytes)
{
    assert_true(c->count < ENTRIES_MAX);
    utapi_entry *entry = &c->entries[c->count++];
    *entry = (utapi_entry){
        .time_ms = time_ms,
        .resource = {[UTAPI_BUCKETS] = S(bucket), [UTAPI_SERVICE] = S("s3")},
        .operation = UTAPI_OP_PUT_OBJECT,
        .delta = {[UTAPI_STORAGE_UTILIZED] = bytes, [UTAPI_NUMBER_OF_OBJECTS] = 1},
    };
    entry->delta[UTAPI_INCOMING_BYTES] = bytes > 0 ? bytes : 0;
    return entry;
}

utapi_entry *put_uuid(edges *c, const char *uuid, const char *bucket, int64_t time_ms, int64_t bytes)
{
    utapi_entry *entry = put(c, bucket, time_ms, bytes);
    entry->uuid = S(uuid);
    entry->uuid_time_ms = time_ms;
    return entry;
}

utapi_entry *delete_bucket(edges *c, const char *bucket, int64_t time_ms)
{
    utapi_entry *entry = put(c, bucket, time_ms, 0);
    entry->operation = UTAPI_OP_DELETE_BUCKET;
    entry->delta[UTAPI_NUMBER_OF_OBJECTS] = 0;
    entry->expiry = UTAPI_EXPIRE_NOW;
    return entry;
}

utapi_status apply_try(edges *c)
{
    const utapi_batch batch = {
        .entries = c->entries,
        .count = c->count,
        .now_ms = c->now_ms,
        .accepted_ms = c->accepted_ms,
        .fence = c->fence,
    };
    c->count = 0;
    return utapi_backend_apply(c->backend, &batch, &c->applied, &c->err);
}

void apply(edges *c)
{
    CHECK_OK(apply_try(c), &c->err);
}

void apply_fails(edges *c, utapi_status expected)
{
    const utapi_status status = apply_try(c);
    if (status == expected)
        assert_string_not_equal(c->err.detail, "");
    CHECK_STATUS(expected, status, &c->err);
}

/* ---- questions ---------------------------------------------------------------------------- */

utapi_usage usage_of(edges *c, utapi_level level, utapi_string name, utapi_interval start, utapi_interval end)
{
    const utapi_query query = {.level = level, .names = &name, .count = 1, .start = start, .end = end};
    utapi_usage usage;
    CHECK_OK(utapi_backend_read(c->backend, &query, &usage, NULL, &c->err), &c->err);
    return usage;
}

int64_t bucket_bytes(edges *c, const char *bucket)
{
    return usage_of(c, UTAPI_BUCKETS, S(bucket), FIRST, LAST).storage_utilized[1];
}

int64_t service_bytes(edges *c)
{
    return usage_of(c, UTAPI_SERVICE, S("s3"), FIRST, LAST).storage_utilized[1];
}

typedef struct search {
    utapi_string name;
    unsigned found;
} search;

static bool search_one(void *ctx, utapi_string name)
{
    search *wanted = ctx;
    wanted->found += utapi_string_equal(name, wanted->name);
    return true;
}

bool is_known(edges *c, utapi_level level, const char *name)
{
    search wanted = {.name = S(name)};
    CHECK_OK(utapi_backend_list(c->backend, level, search_one, &wanted, &c->err), &c->err);
    assert_in_range(wanted.found, 0, 1);
    return wanted.found == 1;
}

typedef struct row_text {
    size_t size;
    char text[1024];
} row_text;

static bool row_print(void *ctx, utapi_interval interval, const utapi_amounts *totals)
{
    row_text *rows = ctx;
    rows->size += (size_t)snprintf(rows->text + rows->size, sizeof rows->text - rows->size, "%lld:%lld ",
                                   (long long)((interval - INTERVAL(0)) / UTAPI_INTERVAL_MS),
                                   (long long)utapi_amounts_get(totals, UTAPI_STORAGE_UTILIZED));
    return rows->size < sizeof rows->text;
}

/* A kind without rows is asked what it held at the end of each of them, just before it, and by when none was left. */
static void expect_states(edges *c, const char *bucket, const char *expected)
{
    long long before = 0;
    for (const char *at = expected; *at != '\0';) {
        char *end;
        const long long interval = strtoll(at, &end, 10);
        const long long bytes = strtoll(end + 1, &end, 10); /* behind the colon */
        at = end + 1;                                       /* behind the blank */
        const utapi_usage usage =
            usage_of(c, UTAPI_BUCKETS, S(bucket), INTERVAL(interval - 1), INTERVAL(interval));
        assert_int_equal(usage.storage_utilized[0], before);
        assert_int_equal(usage.storage_utilized[1], bytes);
        before = bytes;
    }
    assert_int_equal(bucket_bytes(c, bucket), before);
    assert_int_equal(is_known(c, UTAPI_BUCKETS, bucket), expected[0] != '\0');
}

void expect_rows(edges *c, const char *bucket, const char *expected)
{
    if (edges_kind.ops->rows == NULL) {
        expect_states(c, bucket, expected);
        return;
    }
    row_text rows = {.size = 0};
    CHECK_OK(utapi_backend_rows(c->backend, UTAPI_BUCKETS, S(bucket), 0, LAST, row_print, &rows, &c->err),
             &c->err);
    assert_string_equal(rows.text, expected);
}
