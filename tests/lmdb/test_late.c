/* SPDX-License-Identifier: Apache-2.0 */
/* test_late.c - late events and expiries take short steps, however many rows there are; and the format is raised with
 * the first row that needs it, no sooner. */
#include "check.h"
#include "folder.h"
#include "sound.h"

#include "backends/registry.h"
#include "late.h"
#include "utapi/backend_admin.h"

#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define T0    INT64_C(1700006400000)
#define AT(n) (T0 + (int64_t)(n)*UTAPI_INTERVAL_MS)

/* Rows that one call of maintenance deletes at most, and what a batch without entries does. */
enum { BATCH = 1000, SLICE = 4096, LEAST = 64 };

typedef struct world {
    char folder[256];
    utapi_backend *backend;
    utapi_error err;
    utapi_entry entries[BATCH];
    char names[BATCH][16];
    size_t count;
    int64_t now_ms;
} world;

static void world_open(world *self)
{
    const utapi_backend_options options = {.location = self->folder, .dedup_window_ms = INT64_C(86400000)};
    CHECK_OK(utapi_registry_open("lmdb", &options, NULL, &self->backend, &self->err), &self->err);
}

static int world_begin(void **state)
{
    world *self = *state = calloc(1, sizeof *self);
    self->now_ms = AT(1000000);
    support_folder_make(self->folder);
    world_open(self);
    return 0;
}

static int world_end(void **state)
{
    world *self = *state;
    utapi_backend_close(self->backend);
    support_folder_remove(self->folder);
    free(self);
    return 0;
}

/* ---- words --------------------------------------------------------------------------------- */

static void apply(world *self)
{
    const utapi_batch batch = {.entries = self->entries, .count = self->count, .now_ms = self->now_ms};
    utapi_applied applied;
    self->count = 0;
    CHECK_OK(utapi_backend_apply(self->backend, &batch, &applied, &self->err), &self->err);
}

/* A byte for a bucket; a batch that is full goes before. */
static utapi_entry *put(world *self, unsigned bucket, int64_t interval)
{
    if (self->count == BATCH)
        apply(self);
    const size_t i = self->count++;
    (void)snprintf(self->names[i], sizeof self->names[i], "b%u", bucket);
    self->entries[i] = (utapi_entry){
        .time_ms = AT(interval),
        .resource[UTAPI_BUCKETS] = utapi_string_of(self->names[i]),
        .operation = UTAPI_OP_NONE,
        .delta[UTAPI_STORAGE_UTILIZED] = 1,
        .accepted_ms = AT(1000000),
    };
    return &self->entries[i];
}

static void expire(world *self, const char *bucket, int64_t interval)
{
    CHECK_OK(
        utapi_backend_expire(self->backend, UTAPI_BUCKETS, utapi_string_of(bucket), AT(interval), &self->err),
        &self->err);
}

/* An operator's act, at the time that it is. */
static void adjust(world *self, const char *bucket, int64_t interval, int64_t bytes)
{
    utapi_admin_act act = {.kind = UTAPI_ADMIN_ADJUST,
                           .level = UTAPI_BUCKETS,
                           .name = utapi_string_of(bucket),
                           .time_ms = AT(interval),
                           .id = utapi_string_of("00000000000000000000000000000001"),
                           .who = utapi_string_of("uid 0"),
                           .reason = utapi_string_of("a test")};
    utapi_amounts_set(&act.amounts, UTAPI_STORAGE_UTILIZED, bytes);
    self->entries[0] = utapi_admin_entry(&act);
    self->count = 1;
    apply(self);
}

static void maintain(world *self)
{
    CHECK_OK(utapi_backend_maintain(self->backend, self->now_ms, AT(1000000), &self->err), &self->err);
}

static uint64_t rows(world *self)
{
    utapi_storage_stats stats;
    CHECK_OK(utapi_backend_stats(self->backend, &stats, &self->err), &self->err);
    return stats.rows;
}

static void expect_bytes(world *self, const char *bucket, int64_t interval, int64_t expected)
{
    const utapi_string name = utapi_string_of(bucket);
    const utapi_query query = {.names = &name, .count = 1, .start = AT(interval), .end = AT(interval)};
    utapi_usage usage;
    CHECK_OK(utapi_backend_read(self->backend, &query, &usage, NULL, &self->err), &self->err);
    assert_int_equal(usage.storage_utilized[1], expected);
}

/* ---- behind the backend's back ---------------------------------------------------------------- */

/* How many rows a table has, and the format. The backend is closed meanwhile. */
static size_t table_count(world *self, const char *table, unsigned *ret_format)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi, meta;
    MDB_stat stat;
    MDB_val key = {6, (void *)(uintptr_t) "format"}, value;
    utapi_backend_close(self->backend);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 16), 0);
    assert_int_equal(mdb_env_open(env, self->folder, MDB_RDONLY, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, table, 0, &dbi), 0);
    assert_int_equal(mdb_dbi_open(txn, "meta", 0, &meta), 0);
    assert_int_equal(mdb_stat(txn, dbi, &stat), 0);
    assert_int_equal(mdb_get(txn, meta, &key, &value), 0);
    *ret_format = ((const unsigned char *)value.mv_data)[3];
    mdb_txn_abort(txn);
    mdb_env_close(env);
    world_open(self);
    return stat.ms_entries;
}

/* Makes the folder one of a later program. The backend is closed. */
static void format_put(const world *self, unsigned char format)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi meta;
    unsigned char bytes[4] = {0, 0, 0, format};
    MDB_val key = {6, (void *)(uintptr_t) "format"}, value = {sizeof bytes, bytes};
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 16), 0);
    assert_int_equal(mdb_env_open(env, self->folder, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "meta", 0, &meta), 0);
    assert_int_equal(mdb_put(txn, meta, &key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static void folder_check(world *self)
{
    utapi_backend_close(self->backend);
    support_sound(utapi_registry_find("lmdb"), self->folder);
    world_open(self);
}

/* ---- the promises ---------------------------------------------------------------------------- */

enum { MANY = 200000 };

static void rows_of_an_expired_bucket_go_in_slices(void **state)
{
    world *self = *state;
    unsigned format;
    for (unsigned i = 0; i < MANY; i++)
        (void)put(self, 0, i);
    apply(self);
    uint64_t left = rows(self);
    assert_int_equal(left, MANY);
    expire(self, "b0", MANY / 2); /* a part of them: none goes with it, and one stands there already */
    assert_int_equal(rows(self), left);
    expect_bytes(self, "b0", MANY / 2, 0);
    expect_bytes(self, "b0", MANY / 2 + 1, 1);
    expect_bytes(self, "b0", MANY, MANY / 2 - 1);
    maintain(self);
    assert_int_equal(rows(self), left - SLICE);
    folder_check(self);
    expire(self, "b0", MANY); /* all that is left, while half of what went is there */
    left = rows(self);
    assert_int_equal(left, MANY - SLICE - 1);
    for (unsigned slices = 0; left > 0; slices++) {
        maintain(self);
        assert_in_range(left - rows(self), 1, SLICE);
        left = rows(self);
        if (slices == 10)
            folder_check(self);
    }
    maintain(self);
    assert_int_equal(table_count(self, "garbage", &format), 0);
    assert_int_equal(table_count(self, "late", &format), 0);
}

static void batches_take_garbage_along(void **state)
{
    world *self = *state;
    for (unsigned i = 0; i < 3000; i++)
        (void)put(self, 0, i);
    apply(self);
    expire(self, "b0", 3000);
    uint64_t left = rows(self);
    for (unsigned i = 0; left > 1; i++) {
        (void)put(self, 1, 0);
        apply(self);
        assert_in_range(left - rows(self), 0, 66 + 1);
        left = rows(self);
        assert_in_range(i, 0, 60);
    }
}

/* An id without a row to delete is work too: its own entry. */
static void garbage_without_rows_goes_in_slices(void **state)
{
    enum { BUCKETS = SLICE + 200 };
    world *self = *state;
    unsigned format;
    for (unsigned i = 0; i < BUCKETS; i++)
        (void)put(self, i, 0);
    apply(self);
    for (unsigned i = 0; i < BUCKETS; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "b%u", i);
        expire(self, name, 1000000);
    }
    assert_int_equal(rows(self), 0);
    apply(self);
    assert_int_equal(table_count(self, "garbage", &format), BUCKETS - LEAST);
    maintain(self);
    assert_int_equal(table_count(self, "garbage", &format), BUCKETS - LEAST - SLICE);
    maintain(self);
    assert_int_equal(table_count(self, "garbage", &format), 0);
    assert_int_equal(format, 1); /* whole buckets expire without late sums */
}

/* However many are due at one moment. What is touched has expired, whether or not its turn has come. */
static void scheduled_expiries_go_in_slices(void **state)
{
    enum { BUCKETS = 4000, DUE = 2000000, A_CALL = 1024 };
    world *self = *state;
    for (unsigned i = 0; i < BUCKETS; i++) {
        utapi_entry *entry = put(self, i, 0);
        entry->expiry = UTAPI_EXPIRE_LATER;
        entry->expire_at_ms = AT(DUE);
    }
    apply(self);
    self->now_ms = AT(DUE) + 1;
    apply(self);
    assert_int_equal(rows(self), BUCKETS - LEAST);
    (void)put(self, 999, DUE + 1); /* the last two in the order of names */
    (void)put(self, 998, DUE - 1); /* too old by now, and cancels nothing */
    apply(self);
    expect_bytes(self, "b999", DUE - 1, 0);
    expect_bytes(self, "b999", DUE + 1, 1);
    expect_bytes(self, "b998", DUE + 1, 0);
    expect_bytes(self, "b997", DUE + 1, 1);
    adjust(self, "b996", DUE + 1, 7);
    expect_bytes(self, "b996", DUE, 0);
    expect_bytes(self, "b996", DUE + 1, 7);
    uint64_t left = rows(self);
    assert_in_range(left, BUCKETS - 3 * LEAST - 2 * 3 - 1, BUCKETS - 3 * LEAST);
    folder_check(self);
    for (; left > 2; left = rows(self)) {
        maintain(self);
        assert_in_range(left - rows(self), 1, A_CALL);
    }
    expect_bytes(self, "b999", DUE + 1, 1);
    expect_bytes(self, "b996", DUE + 1, 7);
    maintain(self);
    assert_int_equal(rows(self), 2);
    folder_check(self);
}

/* Rows of few resources are rewritten in one step; what is late for others their newest rows hold, and what those have
 * no room for are late sums. Answers are the same. */
static void rows_of_no_more_than_a_few_resources_are_rewritten(void **state)
{
    enum { BUCKETS = 300, EACH = 20, MORE = 600 };
    world *self = *state;
    unsigned format;
    for (unsigned bucket = 0; bucket < BUCKETS; bucket++)
        for (unsigned i = 0; i <= EACH; i++)
            (void)put(self, bucket, 10 + i);
    apply(self);
    const uint64_t before = rows(self);
    for (unsigned bucket = 0; bucket < BUCKETS; bucket++)
        (void)put(self, bucket, 5);
    apply(self);
    assert_int_equal(rows(self) - before, UTAPI_LATE_REWRITTEN); /* each took one more row */
    assert_int_equal(table_count(self, "late", &format), 0);
    assert_int_equal(format, 2);
    for (unsigned bucket = 0; bucket < BUCKETS; bucket++) {
        char name[16];
        (void)snprintf(name, sizeof name, "b%u", bucket);
        expect_bytes(self, name, 4, 0);
        expect_bytes(self, name, 5, 1);
        expect_bytes(self, name, 10, 2);
        expect_bytes(self, name, 10 + EACH, EACH + 2);
    }
    folder_check(self);
    for (unsigned bucket = 0; bucket < BUCKETS; bucket++)
        (void)put(self, bucket, 100); /* what was the newest row leaves, less what the new one holds */
    apply(self);
    for (unsigned bucket = 0; bucket < UTAPI_LATE_REWRITTEN; bucket++)
        (void)put(self, bucket, 6); /* these come first, and their rows are rewritten */
    for (unsigned i = 0; i < MORE; i++)
        (void)put(self, 90, i % 2 == 0 ? 6 : -(int64_t)i); /* more intervals than a row holds */
    apply(self);
    expect_bytes(self, "b90", 5, MORE / 2 + 1);
    expect_bytes(self, "b90", 6, MORE + 1);
    expect_bytes(self, "b90", 10 + EACH, MORE + EACH + 2);
    expect_bytes(self, "b90", 99, MORE + EACH + 2);
    expect_bytes(self, "b90", 100, MORE + EACH + 3);
    expect_bytes(self, "b91", 99, EACH + 2);
    assert_in_range(table_count(self, "late", &format), MORE / 2, MORE);
    folder_check(self);
}

/* One event after the other, a year late: each costs a row, until there is no room and all move on at once. */
static void what_a_row_holds_moves_to_its_keys_when_it_is_full(void **state)
{
    enum { EVENTS = 400, STEP = 77, SPAN = 997 };
    world *self = *state;
    unsigned format, moved = 0;
    size_t keys = 0;
    for (unsigned i = 0; i < 2 * UTAPI_LATE_FEW_ROWS; i++)
        (void)put(self, 0, SPAN + i);
    apply(self);
    for (unsigned i = 0; i < EVENTS; i++) {
        (void)put(self, 0, i * STEP % SPAN);
        apply(self);
        if (i % 10 != 0)
            continue;
        const size_t now = table_count(self, "late", &format);
        moved += now != keys;
        keys = now;
        expect_bytes(self, "b0", SPAN - 1, i + 1);
        expect_bytes(self, "b0", SPAN, i + 2);
        int64_t expected = 0;
        for (unsigned j = 0; j <= i; j++)
            expected += j * STEP % SPAN <= SPAN / 2;
        expect_bytes(self, "b0", SPAN / 2, expected);
        if (i % 50 == 0)
            folder_check(self);
    }
    assert_int_equal(format, 2);
    assert_in_range(moved, 3, EVENTS / 20);
    expire(self, "b0", SPAN / 2); /* what is held too */
    expect_bytes(self, "b0", SPAN / 2, 0);
    folder_check(self);
    expire(self, "b0", 2 * SPAN);
    maintain(self);
    maintain(self);
    assert_int_equal(table_count(self, "late", &format), 0);
}

static void the_format_is_raised_by_what_needs_it_alone(void **state)
{
    world *self = *state;
    unsigned format;
    for (unsigned i = 0; i < 2 * UTAPI_LATE_FEW_ROWS; i++)
        (void)put(self, i % 2, 10 + i);
    for (unsigned i = 0; i < UTAPI_LATE_FEW_ROWS; i++)
        (void)put(self, 0, 5 + 2 * i); /* late, with few rows after it */
    apply(self);
    expire(self, "b1", 1000);
    (void)put(self, 1, 1001);
    apply(self);
    assert_int_equal(table_count(self, "late", &format), 0);
    assert_int_equal(format, 1);
    for (unsigned i = 0; i < UTAPI_LATE_FEW_ROWS; i++)
        (void)put(self, 0, 200 + i);
    apply(self);
    assert_int_equal(table_count(self, "late", &format), 0);
    assert_int_equal(format, 1);
    (void)put(self, 0, 5); /* too many are later: the newest row holds it */
    apply(self);
    assert_int_equal(table_count(self, "late", &format), 0);
    assert_int_equal(format, 2);
    for (unsigned i = 0; i < UTAPI_SNAPSHOT_HELD_MAX; i++)
        (void)put(self, 0, i % 5 - 1000 * (int64_t)i); /* too many for that too */
    apply(self);
    assert_in_range(table_count(self, "late", &format), UTAPI_SNAPSHOT_HELD_MAX,
                    UTAPI_LATE_RESOLUTIONS * (UTAPI_SNAPSHOT_HELD_MAX + 1));
    expire(self, "b0", 1000);
    maintain(self);
    assert_int_equal(table_count(self, "late", &format), 0);
    assert_int_equal(format, 2); /* it never falls */
}

/* As programs that know format 1 alone refuse format 2, by the same lines. */
static void a_later_format_is_refused_with_a_sentence(void **state)
{
    world *self = *state;
    const utapi_backend_options options = {.location = self->folder};
    utapi_backend_close(self->backend);
    self->backend = NULL;
    format_put(self, 3);
    assert_int_equal(utapi_registry_open("lmdb", &options, NULL, &self->backend, &self->err), UTAPI_CORRUPT);
    assert_non_null(strstr(self->err.detail, self->folder));
    assert_non_null(strstr(self->err.detail, "is of format 3, and this version knows 2"));
    format_put(self, 2);
    utapi_error_clear(&self->err);
    world_open(self);
}

int main(void)
{
#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, world_begin, world_end)
    const struct CMUnitTest tests[] = {
        IN_WORLD(rows_of_an_expired_bucket_go_in_slices),
        IN_WORLD(batches_take_garbage_along),
        IN_WORLD(garbage_without_rows_goes_in_slices),
        IN_WORLD(scheduled_expiries_go_in_slices),
        IN_WORLD(rows_of_no_more_than_a_few_resources_are_rewritten),
        IN_WORLD(what_a_row_holds_moves_to_its_keys_when_it_is_full),
        IN_WORLD(the_format_is_raised_by_what_needs_it_alone),
        IN_WORLD(a_later_format_is_refused_with_a_sentence),
    };
    return cmocka_run_group_tests_name("lmdb.late", tests, NULL, NULL);
}
