/* SPDX-License-Identifier: Apache-2.0 */
/* test_check.c - a whole folder has no findings; each flipped bit of a row and each part that is missing is one. */
#include "check.h"
#include "folder.h"

#include "backends/registry.h"
#include "utapi/backend_admin.h"
#include "utapi/codec.h"
#include "utapi/snapshot.h"

#include <lmdb.h>
#include <stdio.h>
#include <string.h>

#define T0    INT64_C(1700006400000)
#define AT(n) (T0 + (int64_t)(n)*UTAPI_INTERVAL_MS)

typedef struct world {
    char folder[256];
    uint64_t findings, rows;
    char last[600];
    utapi_error err;
} world;

static void on_finding(void *ctx, const char *what)
{
    world *self = ctx;
    self->findings++;
    (void)snprintf(self->last, sizeof self->last, "%s", what);
}

static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
    world *self = ctx;
    assert_true(done <= total);
    self->rows = done;
}

static uint64_t findings_of(world *self)
{
    const utapi_check to = {.on_finding = on_finding, .on_progress = on_progress, .ctx = self};
    self->findings = 0;
    CHECK_OK(utapi_backend_check(utapi_registry_find("lmdb"), self->folder, &to, &self->err), &self->err);
    return self->findings;
}

/* ---- a folder that holds something in every table ------------------------------------------ */

static void count(world *self, utapi_backend *backend, const char *bucket, int interval, const char *uuid)
{
    const utapi_entry entry = {
        .uuid = utapi_string_of(uuid),
        .time_ms = AT(interval),
        .resource = {[UTAPI_BUCKETS] = utapi_string_of(bucket), [UTAPI_SERVICE] = utapi_string_of("s3")},
        .operation = UTAPI_OP_PUT_OBJECT,
        .delta = {[UTAPI_STORAGE_UTILIZED] = 1000 + interval},
        .accepted_ms = AT(500),
        .expiry = strcmp(bucket, "later") == 0 ? UTAPI_EXPIRE_LATER : UTAPI_EXPIRE_NEVER,
        .expire_at_ms = AT(1000),
    };
    const utapi_batch batch = {.entries = &entry, .count = 1, .now_ms = AT(500)};
    utapi_applied applied;
    CHECK_OK(utapi_backend_apply(backend, &batch, &applied, &self->err), &self->err);
}

static void letter_keep(world *self, utapi_backend *backend)
{
    const utapi_refusal late = {.reason = UTAPI_REASON_LATE, .detail = "late", .source = {"::1", 3}};
    const utapi_entry entry = {.time_ms = AT(1), .operation = UTAPI_OP_NONE, .refused = &late};
    const utapi_batch batch = {.entries = &entry, .count = 1, .now_ms = AT(500)};
    utapi_applied applied;
    CHECK_OK(utapi_backend_apply(backend, &batch, &applied, &self->err), &self->err);
}

static void act(world *self, utapi_backend *backend, const char *id)
{
    utapi_admin_act act = {.kind = UTAPI_ADMIN_ADJUST,
                           .name = utapi_string_of("long"),
                           .time_ms = AT(299),
                           .id = utapi_string_of(id),
                           .who = utapi_string_of("uid 0"),
                           .reason = utapi_string_of("a test")};
    utapi_amounts_set(&act.amounts, UTAPI_STORAGE_UTILIZED, 5);
    const utapi_entry entry = utapi_admin_entry(&act);
    const utapi_batch batch = {.entries = &entry, .count = 1, .now_ms = AT(500)};
    utapi_applied applied;
    CHECK_OK(utapi_backend_apply(backend, &batch, &applied, &self->err), &self->err);
}

static void folder_fill(world *self)
{
    const utapi_backend_options options = {.location = self->folder, .dedup_window_ms = INT64_C(86400000)};
    utapi_backend *backend;
    CHECK_OK(utapi_registry_open("lmdb", &options, NULL, &backend, &self->err), &self->err);
    for (int i = 0; i < 300; i++) {
        count(self, backend, "long", i, i % 100 == 0 ? "some uuid" : "");
        if (i % 10 == 0)
            count(self, backend, "gone", i, "");
    }
    for (int i = 0; i < 5; i++)
        count(self, backend, "long", i * 40, ""); /* late, at several steps */
    for (int i = 0; i < 50; i++)
        count(self, backend, "held", 250 + i, "");
    for (int i = 0; i < 3; i++)
        count(self, backend, "held", 200 - i, ""); /* its newest row holds them */
    count(self, backend, "later", 300, "");
    letter_keep(self, backend);
    CHECK_OK(utapi_backend_expire(backend, UTAPI_BUCKETS, utapi_string_of("gone"), AT(400), &self->err),
             &self->err);
    CHECK_OK(utapi_backend_expire(backend, UTAPI_BUCKETS, utapi_string_of("long"), AT(290), &self->err),
             &self->err);
    act(self, backend, "00000000000000000000000000000001");
    act(self, backend, "00000000000000000000000000000002");
    utapi_backend_close(backend);
}

static int world_begin(void **state)
{
    static world self;
    self = (world){.rows = 0};
    support_folder_make(self.folder);
    folder_fill(&self);
    *state = &self;
    return 0;
}

static int world_end(void **state)
{
    support_folder_remove(((world *)*state)->folder);
    return 0;
}

/* ---- changing it behind LMDB's back --------------------------------------------------------- */

typedef struct raw {
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi table;
} raw;

static raw raw_begin(const world *self, const char *table)
{
    raw it;
    assert_int_equal(mdb_env_create(&it.env), 0);
    assert_int_equal(mdb_env_set_maxdbs(it.env, 16), 0);
    assert_int_equal(mdb_env_set_mapsize(it.env, (size_t)1 << 30), 0);
    assert_int_equal(mdb_env_open(it.env, self->folder, MDB_NOSYNC, 0600), 0);
    assert_int_equal(mdb_txn_begin(it.env, NULL, 0, &it.txn), 0);
    assert_int_equal(mdb_dbi_open(it.txn, table, 0, &it.table), 0);
    return it;
}

static void raw_end(raw *it)
{
    assert_int_equal(mdb_txn_commit(it->txn), 0);
    mdb_env_close(it->env);
}

/* The row of a table by its place. False behind the last. */
static bool row_at(const world *self, const char *table, size_t place, unsigned char *key, size_t *key_size,
                   unsigned char *value, size_t *value_size)
{
    raw it = raw_begin(self, table);
    MDB_cursor *cursor;
    MDB_val k, v;
    assert_int_equal(mdb_cursor_open(it.txn, it.table, &cursor), 0);
    int rc = mdb_cursor_get(cursor, &k, &v, MDB_FIRST);
    for (size_t i = 0; rc == 0 && i < place; i++)
        rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    if (rc == 0) {
        memcpy(key, k.mv_data, *key_size = k.mv_size);
        memcpy(value, v.mv_data, *value_size = v.mv_size);
    }
    mdb_cursor_close(cursor);
    raw_end(&it);
    return rc == 0;
}

static void row_put(const world *self, const char *table, unsigned char *key, size_t key_size,
                    unsigned char *value, size_t value_size)
{
    raw it = raw_begin(self, table);
    MDB_val k = {key_size, key}, v = {value_size, value};
    assert_int_equal(mdb_put(it.txn, it.table, &k, &v, 0), 0);
    raw_end(&it);
}

static void row_delete(const world *self, const char *table, unsigned char *key, size_t key_size)
{
    raw it = raw_begin(self, table);
    MDB_val k = {key_size, key};
    assert_int_equal(mdb_del(it.txn, it.table, &k, NULL), 0);
    raw_end(&it);
}

/* ---- the promises ---------------------------------------------------------------------------- */

static void a_whole_folder_has_no_findings(void **state)
{
    world *self = *state;
    if (findings_of(self) != 0)
        print_error("%s\n", self->last);
    assert_int_equal(self->findings, 0);
    assert_in_range(self->rows, 300, 2000);
}

static void each_flipped_bit_of_a_row_is_found(void **state)
{
    static const struct {
        const char *table;
        size_t head, step; /* not covered by the checksum; rows between two that are tried */
    } tables[] = {
        {"resource", 8 + 4, 1}, {"history", 0, 97}, {"late", 0, 3}, {"dead", 0, 1}, {"audit", 0, 1}};
    world *self = *state;
    unsigned char key[300], value[2000];
    size_t key_size, size;
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (size_t row = 0; row_at(self, tables[t].table, row, key, &key_size, value, &size);
             row += tables[t].step)
            for (size_t i = tables[t].head; i < size; i++) {
                const unsigned char bit = (unsigned char)(1U << (i + row) % 8);
                value[i] ^= bit;
                row_put(self, tables[t].table, key, key_size, value, size);
                assert_true(findings_of(self) > 0);
                assert_memory_equal(self->last, tables[t].table, strlen(tables[t].table));
                value[i] ^= bit;
                row_put(self, tables[t].table, key, key_size, value, size);
            }
    assert_int_equal(findings_of(self), 0);
}

static void each_part_that_is_missing_is_found(void **state)
{
    static const char *const tables[] = {"resource", "late", "garbage", "gone", "due", "audit"};
    world *self = *state;
    unsigned char key[300], value[2000];
    size_t key_size, size;
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        size_t found = 0, rows = 0;
        for (; row_at(self, tables[t], rows, key, &key_size, value, &size); rows++) {
            row_delete(self, tables[t], key, key_size);
            found += findings_of(self) > 0;
            row_put(self, tables[t], key, key_size, value, size);
        }
        assert_true(rows > 0);
        if (strcmp(tables[t], "resource") == 0) /* one of a single row leaves nothing behind */
            assert_true(found >= 2);
        else if (strcmp(tables[t], "gone") == 0) /* what is not scheduled leaves nothing behind */
            assert_int_equal(found, 1);
        else
            assert_int_equal(found, rows);
    }
    assert_int_equal(findings_of(self), 0);
}

/* A sum whose checksum is right, and which is not that of the others. */
static void a_late_sum_that_disagrees_is_found(void **state)
{
    world *self = *state;
    unsigned char key[300], value[2000], other[UTAPI_SNAPSHOT_MAX];
    size_t key_size, size;
    for (size_t row = 0; row_at(self, "late", row, key, &key_size, value, &size); row++) {
        utapi_amounts sum;
        CHECK_OK(utapi_snapshot_decode(value, size, &sum, NULL, &self->err), &self->err);
        utapi_amounts_add_one(&sum, UTAPI_STORAGE_UTILIZED, 1);
        row_put(self, "late", key, key_size, other, utapi_snapshot_encode(&sum, NULL, other));
        assert_in_range(findings_of(self), 1, 2); /* it, and the coarser one above it */
        assert_non_null(strstr(self->last, "not the sum of the finer ones"));
        row_put(self, "late", key, key_size, value, size);
    }
}

static void an_empty_storage_has_no_findings(void **state)
{
    world *self = *state;
    const utapi_backend_options options = {.location = self->folder};
    utapi_backend *backend;
    support_folder_remove(self->folder);
    CHECK_OK(utapi_registry_open("lmdb", &options, NULL, &backend, &self->err), &self->err);
    utapi_backend_close(backend);
    assert_int_equal(findings_of(self), 0);
}

static void a_journal_is_no_storage(void **state)
{
    world *self = *state;
    const utapi_check to = {.on_finding = on_finding, .on_progress = on_progress, .ctx = self};
    const utapi_backend_options options = {.location = ""};
    const utapi_journal_options journal = {.location = self->folder, .keep_ms = 60000};
    utapi_backend *backend;
    support_folder_remove(self->folder);
    CHECK_OK(utapi_registry_open("memory", &options, &journal, &backend, &self->err), &self->err);
    count(self, backend, "waits", 1, "some uuid");
    utapi_backend_close(backend);
    CHECK_STATUS(UTAPI_CORRUPT,
                 utapi_backend_check(utapi_registry_find("lmdb"), self->folder, &to, &self->err), &self->err);
}

static void what_is_open_or_no_storage_is_refused(void **state)
{
    world *self = *state;
    const utapi_check to = {.on_finding = on_finding, .on_progress = on_progress, .ctx = self};
    const utapi_backend_options options = {.location = self->folder};
    const utapi_backend_ops *lmdb = utapi_registry_find("lmdb");
    utapi_backend *backend;
    CHECK_OK(utapi_registry_open("lmdb", &options, NULL, &backend, &self->err), &self->err);
    CHECK_STATUS(UTAPI_LOCKED, utapi_backend_check(lmdb, self->folder, &to, &self->err), &self->err);
    utapi_backend_close(backend);
    CHECK_STATUS(UTAPI_CORRUPT, utapi_backend_check(lmdb, "/nonexistent", &to, &self->err), &self->err);
    CHECK_STATUS(UTAPI_CORRUPT, utapi_backend_check(lmdb, "/tmp", &to, &self->err), &self->err);
    assert_int_equal(utapi_backend_check(utapi_registry_find("memory"), self->folder, &to, &self->err),
                     UTAPI_NOT_SUPPORTED);
    utapi_error_clear(&self->err);
}

int main(void)
{
#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, world_begin, world_end)
    const struct CMUnitTest tests[] = {
        IN_WORLD(a_whole_folder_has_no_findings),        IN_WORLD(each_flipped_bit_of_a_row_is_found),
        IN_WORLD(each_part_that_is_missing_is_found),    IN_WORLD(a_late_sum_that_disagrees_is_found),
        IN_WORLD(an_empty_storage_has_no_findings),      IN_WORLD(a_journal_is_no_storage),
        IN_WORLD(what_is_open_or_no_storage_is_refused),
    };
    return cmocka_run_group_tests_name("lmdb.check", tests, NULL, NULL);
}
