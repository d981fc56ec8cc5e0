/* SPDX-License-Identifier: Apache-2.0 */
/* contract.c - the words of the suite: see contract.h. */
#include "contract.h"

#include "folder.h"
#include "kinds.h"

#include "backends/registry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a storage for each case -------------------------------------------------------------- */

void contract_open(contract *c)
{
    CHECK_OK(utapi_backend_open(c->kind, &c->options, &c->backend, &c->err), &c->err);
}

void contract_reopen(contract *c)
{
    utapi_backend_close(c->backend);
    c->backend = NULL;
    contract_open(c);
}

void contract_begin_anew(contract *c)
{
    utapi_backend_close(c->backend);
    c->backend = NULL;
    support_folder_remove(c->location);
    contract_open(c);
}

int contract_setup(void **state)
{
    contract *c = calloc(1, sizeof *c);
    assert_non_null(c);
    c->kind = kind_chosen();
    support_folder_make(c->folder);
    (void)snprintf(c->location, sizeof c->location, "%s/made/on/demand", c->folder);
    c->options = (utapi_backend_options){
        .location = c->location,
        .capacity_bytes = UINT64_C(256) << 20,
        .dedup_window_ms = WINDOW_MS,
    };
    c->now_ms = c->accepted_ms = INTERVAL(1000);
    contract_open(c);
    *state = c;
    return 0;
}

int contract_teardown(void **state)
{
    contract *c = *state;
    utapi_backend_close(c->backend);
    support_folder_remove(c->folder);
    free(c);
    return 0;
}

bool contract_is_durable(const contract *c)
{
    return strstr(c->kind->name, "memory") == NULL && strstr(c->kind->name, "toy") == NULL;
}

bool contract_keeps_totals(const contract *c)
{
    return strstr(c->kind->name, "redis") == NULL;
}

/* ---- chance ------------------------------------------------------------------------------- */

contract_random contract_chance = {.seed = 20231114, .rounds = 1};

uint64_t contract_seed(uint64_t round, uint64_t steps)
{
    const uint64_t seed = contract_chance.seed + round * UINT64_C(0x9E3779B97F4A7C15);
    print_message("-s %llu -n %llu\n", (unsigned long long)seed, (unsigned long long)steps);
    return seed;
}

const utapi_backend_ops *contract_oracle(void)
{
    return utapi_registry_find("memory");
}

/* ---- entries ------------------------------------------------------------------------------ */

utapi_entry entry_put(const char *bucket, int64_t time_ms, int64_t bytes)
{
    return (utapi_entry){
        .time_ms = time_ms,
        .resource = {[UTAPI_BUCKETS] = S(bucket), [UTAPI_SERVICE] = S("s3")},
        .operation = UTAPI_OP_PUT_OBJECT,
        .delta = {[UTAPI_STORAGE_UTILIZED] = bytes,
                  [UTAPI_NUMBER_OF_OBJECTS] = 1,
                  [UTAPI_INCOMING_BYTES] = bytes > 0 ? bytes : 0},
    };
}

utapi_entry entry_put_uuid(const char *uuid, const char *bucket, int64_t time_ms, int64_t bytes)
{
    utapi_entry entry = entry_put(bucket, time_ms, bytes);
    entry.uuid = S(uuid);
    entry.uuid_time_ms = time_ms;
    return entry;
}

utapi_entry entry_delete(const char *bucket, int64_t time_ms)
{
    utapi_entry entry = entry_put(bucket, time_ms, 0);
    entry.operation = UTAPI_OP_DELETE_BUCKET;
    entry.delta[UTAPI_NUMBER_OF_OBJECTS] = 0;
    entry.expiry = UTAPI_EXPIRE_NOW;
    return entry;
}

static utapi_entry *batch_add(contract *c, utapi_entry entry)
{
    assert_true(c->count < CONTRACT_ENTRIES_MAX);
    c->entries[c->count] = entry;
    return &c->entries[c->count++];
}

utapi_entry *put(contract *c, const char *bucket, int64_t time_ms, int64_t bytes)
{
    return batch_add(c, entry_put(bucket, time_ms, bytes));
}

utapi_entry *put_uuid(contract *c, const char *uuid, const char *bucket, int64_t time_ms, int64_t bytes)
{
    return batch_add(c, entry_put_uuid(uuid, bucket, time_ms, bytes));
}

utapi_entry *delete_bucket(contract *c, const char *bucket, int64_t time_ms)
{
    return batch_add(c, entry_delete(bucket, time_ms));
}

void put_rows(contract *c)
{
    for (int i = 0; i <= 30; i += 10) {
        put(c, "b", INTERVAL(i), 1);
        put(c, "bb", INTERVAL(i), 1);
        apply(c);
    }
}

/* ---- writing ------------------------------------------------------------------------------ */

utapi_status apply_batch(const contract *c, utapi_backend *backend, const utapi_batch *batch,
                         utapi_applied *ret, utapi_error *err)
{
    utapi_entry *entries = calloc(batch->count + 1, sizeof *entries);
    if (entries == NULL)
        return UTAPI_NO_MEMORY;
    utapi_batch stamped = *batch;
    stamped.entries = entries;
    for (size_t i = 0; i < batch->count; i++) {
        entries[i] = batch->entries[i];
        entries[i].accepted_ms = c->accepted_ms;
        entries[i].sequence = batch->fence.from + i;
    }
    const utapi_status status = utapi_backend_apply(backend, &stamped, ret, err);
    free(entries);
    return status;
}

utapi_status apply_entries(contract *c, const utapi_entry *entries, size_t count)
{
    const utapi_batch batch = {.entries = entries, .count = count, .now_ms = c->now_ms};
    utapi_applied applied;
    return apply_batch(c, c->backend, &batch, &applied, &c->err);
}

utapi_status apply_entry(contract *c, utapi_entry entry)
{
    return apply_entries(c, &entry, 1);
}

utapi_status apply_try(contract *c)
{
    const utapi_batch batch = {
        .entries = c->entries, .count = c->count, .now_ms = c->now_ms, .fence = c->fence};
    c->count = 0;
    return apply_batch(c, c->backend, &batch, &c->applied, &c->err);
}

void apply(contract *c)
{
    CHECK_OK(apply_try(c), &c->err);
}

void apply_fails(contract *c, utapi_status expected)
{
    const utapi_status status = apply_try(c);
    if (status == expected)
        assert_string_not_equal(c->err.detail, "");
    CHECK_STATUS(expected, status, &c->err);
}

void expire_bucket(contract *c, const char *bucket, int64_t time_ms)
{
    CHECK_OK(utapi_backend_expire(c->backend, UTAPI_BUCKETS, S(bucket), time_ms, &c->err), &c->err);
}

utapi_status adjust_all(utapi_backend *backend, const utapi_adjustment *adjustments, size_t count,
                        utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    for (size_t done = 0, now = 0; done < count && status == UTAPI_OK; done += now) {
        status = utapi_backend_adjust(backend, adjustments + done, count - done, &now, err);
        if (status == UTAPI_OK)
            assert_in_range(now, 1, count - done);
    }
    return status;
}

/* ---- reading ------------------------------------------------------------------------------ */

utapi_usage usage_of(contract *c, utapi_level level, utapi_string name, utapi_interval start,
                     utapi_interval end)
{
    const utapi_query query = {.level = level, .names = &name, .count = 1, .start = start, .end = end};
    utapi_usage usage;
    CHECK_OK(utapi_backend_read(c->backend, &query, &usage, NULL, &c->err), &c->err);
    return usage;
}

utapi_usage usage_ever(contract *c, const char *bucket)
{
    return usage_of(c, UTAPI_BUCKETS, S(bucket), 0, T0 + 1000 * DAY);
}

bool has_usage(contract *c, const char *bucket)
{
    const utapi_usage usage = usage_ever(c, bucket);
    return usage.storage_utilized[1] != 0 || usage.flows.present != 0;
}

utapi_wide bytes_at(contract *c, const char *bucket, utapi_interval interval)
{
    return usage_of(c, UTAPI_BUCKETS, S(bucket), interval, interval).storage_utilized[1];
}

utapi_wide bucket_bytes(contract *c, const char *bucket)
{
    return usage_of(c, UTAPI_BUCKETS, S(bucket), FIRST, LAST).storage_utilized[1];
}

utapi_wide service_bytes(contract *c)
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

bool is_known(contract *c, utapi_level level, const char *name)
{
    search wanted = {.name = S(name)};
    CHECK_OK(utapi_backend_list(c->backend, level, search_one, &wanted, &c->err), &c->err);
    assert_in_range(wanted.found, 0, 1);
    return wanted.found == 1;
}

typedef struct row_call {
    row_cb *on_row;
    void *ctx;
    utapi_level level;
    utapi_string name;
} row_call;

static bool row_forward(void *ctx, const utapi_export_row *row)
{
    const row_call *call = ctx;
    assert_int_equal(row->level, call->level);
    assert_true(utapi_string_equal(row->name, call->name));
    return call->on_row(call->ctx, row->interval, row->amounts);
}

utapi_status export_rows(utapi_backend *backend, utapi_level level, utapi_string name, utapi_interval start,
                         utapi_interval end, row_cb *on_row, void *ctx, utapi_error *err)
{
    const utapi_export what = {
        .form = UTAPI_EXPORT_TOTALS, .level = level, .name = name, .start = start, .end = end};
    row_call call = {.on_row = on_row, .ctx = ctx, .level = level, .name = name};
    return utapi_backend_export(backend, &what, row_forward, NULL, &call, err);
}

typedef struct row_text {
    size_t size;
    char text[1024];
} row_text;

static bool row_print(void *ctx, utapi_interval interval, const utapi_amounts *totals)
{
    row_text *rows = ctx;
    char bytes[UTAPI_WIDE_TEXT_SIZE];
    rows->size += (size_t)snprintf(rows->text + rows->size, sizeof rows->text - rows->size, "%lld:%s ",
                                   (long long)((interval - INTERVAL(0)) / UTAPI_INTERVAL_MS),
                                   utapi_wide_text(utapi_amounts_get(totals, UTAPI_STORAGE_UTILIZED), bytes));
    return rows->size < sizeof rows->text;
}

/* A kind without totals is asked what it held at the end of each of them, just before it, and by when none was left. */
static void expect_states(contract *c, const char *bucket, const char *expected)
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

void expect_rows(contract *c, const char *bucket, const char *expected)
{
    if (!contract_keeps_totals(c)) {
        expect_states(c, bucket, expected);
        return;
    }
    row_text rows = {.size = 0};
    CHECK_OK(export_rows(c->backend, UTAPI_BUCKETS, S(bucket), 0, LAST, row_print, &rows, &c->err), &c->err);
    assert_string_equal(rows.text, expected);
}
