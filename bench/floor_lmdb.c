/* SPDX-License-Identifier: Apache-2.0 */
/* floor_lmdb.c - LMDB alone: the same rows, in transactions of the same size, in the order of their keys.
 *
 * Rows have the size of ours, and are read, changed and put back. A transaction takes what all clients send at once.
 * What is left out is all that makes a meter of it: events, rules, sums, checksums. */
#include "floors.h"

#include "source.h"
#include "utapi/interval.h"
#include "utapi/scoped.h"

#include <lmdb.h>
#include <stdio.h>
#include <string.h>

enum { ROW_BYTES = 38, KEY_MAX = 80, OTHER_ROWS = 2, LOOKUPS = 3, FILL_AT_ONCE = 20000 };

#define MAP_BYTES ((size_t)16 << 30)

typedef enum raw_table { RAW_RESOURCE, RAW_HISTORY, RAW_SEEN, RAW_TABLES } raw_table;

typedef struct raw_lmdb {
    const floor_task *task;
    char folder[BENCH_PATH_MAX];
    MDB_env *env;
    MDB_dbi tables[RAW_TABLES];
    bench_source source;
    bench_item *items;   /* owned; of a transaction */
    uint32_t *resources; /* owned; which of them it touches: buckets, then accounts, then the rest */
} raw_lmdb;

static utapi_status raw_fail(utapi_error *err, int rc)
{
    return utapi_fail(err, UTAPI_UNAVAILABLE, "raw LMDB: %s", mdb_strerror(rc));
}

/* ---- keys --------------------------------------------------------------------------------- */

/* Numbers from 0: buckets; then as many accounts as there are; then the service and the location. */
static MDB_val resource_key(const raw_lmdb *self, uint32_t number, char buffer[KEY_MAX])
{
    const uint32_t buckets = self->task->workload->buckets;
    int size;
    if (number < buckets)
        size = snprintf(buffer, KEY_MAX, "0" BENCH_BUCKET_FORMAT, number);
    else if (number < buckets + BENCH_ACCOUNTS)
        size = snprintf(buffer, KEY_MAX,
                        "1"
                        "%064x",
                        number - buckets);
    else
        size = snprintf(buffer, KEY_MAX, "%u", 2 + number - buckets - BENCH_ACCOUNTS);
    return (MDB_val){.mv_size = (size_t)size, .mv_data = buffer};
}

static void put_u64(unsigned char *at, uint64_t number)
{
    for (unsigned i = 0; i < 8; i++)
        at[i] = (unsigned char)(number >> (56 - 8 * i));
}

static MDB_val history_key(uint64_t resource, uint64_t interval, unsigned char buffer[12])
{
    put_u64(buffer, resource);
    for (unsigned i = 0; i < 4; i++)
        buffer[8 + i] = (unsigned char)(interval >> (24 - 8 * i));
    return (MDB_val){.mv_size = 12, .mv_data = buffer};
}

/* ---- filling ------------------------------------------------------------------------------ */

static int rows_append(raw_lmdb *self, MDB_txn *txn, uint64_t first, uint64_t end)
{
    const bool is_list = self->task->workload->kind == BENCH_LIST;
    const unsigned char row[ROW_BYTES] = {1};
    int rc = 0;
    for (uint64_t i = first; i < end && rc == 0; i++) {
        char name[KEY_MAX];
        unsigned char number[12];
        const unsigned history = self->task->workload->history;
        MDB_val key =
            is_list ? history_key(i / history, i % history, number) : resource_key(self, (uint32_t)i, name);
        MDB_val value = {.mv_size = ROW_BYTES, .mv_data = (void *)(uintptr_t)row};
        rc = mdb_put(txn, self->tables[is_list ? RAW_HISTORY : RAW_RESOURCE], &key, &value, MDB_APPEND);
    }
    return rc;
}

static int raw_fill(raw_lmdb *self)
{
    const bench_workload *workload = self->task->workload;
    const bool is_list = workload->kind == BENCH_LIST;
    const uint64_t rows = is_list ? (uint64_t)workload->buckets * workload->history
                                  : (uint64_t)workload->buckets + BENCH_ACCOUNTS + OTHER_ROWS;
    int rc = 0;
    for (uint64_t next = 0; next < rows && rc == 0; next += FILL_AT_ONCE) {
        MDB_txn *txn;
        rc = mdb_txn_begin(self->env, NULL, 0, &txn);
        if (rc != 0)
            break;
        rc = rows_append(self, txn, next, next + FILL_AT_ONCE < rows ? next + FILL_AT_ONCE : rows);
        if (rc == 0)
            rc = mdb_txn_commit(txn);
        else
            mdb_txn_abort(txn);
    }
    return rc;
}

static int raw_open(raw_lmdb *self)
{
    static const char *const names[RAW_TABLES] = {"resource", "history", "seen"};
    MDB_txn *txn = NULL;
    int rc = mdb_env_create(&self->env);
    if (rc == 0)
        rc = mdb_env_set_mapsize(self->env, MAP_BYTES);
    if (rc == 0)
        rc = mdb_env_set_maxdbs(self->env, RAW_TABLES);
    if (rc == 0)
        rc = mdb_env_open(self->env, self->folder, MDB_NOTLS, 0600);
    if (rc == 0)
        rc = mdb_txn_begin(self->env, NULL, 0, &txn);
    for (unsigned i = 0; i < RAW_TABLES && rc == 0; i++)
        rc = mdb_dbi_open(txn, names[i], MDB_CREATE, &self->tables[i]);
    if (rc == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

/* ---- writing ------------------------------------------------------------------------------ */

static int resource_change(raw_lmdb *self, MDB_txn *txn, uint32_t number)
{
    char name[KEY_MAX];
    unsigned char row[ROW_BYTES] = {0};
    MDB_val key = resource_key(self, number, name);
    MDB_val value;
    int rc = mdb_get(txn, self->tables[RAW_RESOURCE], &key, &value);
    if (rc != 0)
        return rc;
    memcpy(row, value.mv_data, value.mv_size < ROW_BYTES ? value.mv_size : ROW_BYTES);
    if (self->task->workload->kind == BENCH_TURN) {
        unsigned char at[12];
        MDB_val old_key = history_key(number, (uint64_t)(self->source.origin_ms / UTAPI_INTERVAL_MS), at);
        MDB_val old = {.mv_size = ROW_BYTES, .mv_data = row};
        rc = mdb_put(txn, self->tables[RAW_HISTORY], &old_key, &old, 0);
    }
    row[ROW_BYTES - 1]++;
    value = (MDB_val){.mv_size = ROW_BYTES, .mv_data = row};
    return rc == 0 ? mdb_put(txn, self->tables[RAW_RESOURCE], &key, &value, 0) : rc;
}

static int uuid_remember(raw_lmdb *self, MDB_txn *txn, const bench_item *item)
{
    unsigned char bytes[24];
    unsigned char taken[8];
    put_u64(bytes, (uint64_t)item->time_ms);
    put_u64(bytes + 8, item->uuid[0]);
    put_u64(bytes + 16, item->uuid[1]);
    put_u64(taken, (uint64_t)item->time_ms);
    MDB_val key = {.mv_size = sizeof bytes, .mv_data = bytes};
    MDB_val value = {.mv_size = sizeof taken, .mv_data = taken};
    const int rc = mdb_put(txn, self->tables[RAW_SEEN], &key, &value, MDB_NOOVERWRITE);
    return rc == MDB_KEYEXIST ? 0 : rc;
}

static int number_order(const void *left, const void *right)
{
    const uint32_t a = *(const uint32_t *)left;
    const uint32_t b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

static int uuid_order(const void *left, const void *right)
{
    const bench_item *a = left;
    const bench_item *b = right;
    if (a->time_ms != b->time_ms)
        return a->time_ms < b->time_ms ? -1 : 1;
    return (a->uuid[0] > b->uuid[0]) - (a->uuid[0] < b->uuid[0]);
}

/* Which resources the items touch, each once, in the order of their keys. */
static size_t resources_of(raw_lmdb *self, unsigned events)
{
    const uint32_t buckets = self->task->workload->buckets;
    size_t count = 0;
    size_t unique = 0;
    for (unsigned i = 0; i < events; i++) {
        self->resources[count++] = self->items[i].bucket;
        self->resources[count++] = buckets + bench_account_of(self->items[i].bucket);
    }
    for (uint32_t i = 0; i < OTHER_ROWS; i++)
        self->resources[count++] = buckets + BENCH_ACCOUNTS + i;
    qsort(self->resources, count, sizeof *self->resources, number_order);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || self->resources[i] != self->resources[i - 1])
            self->resources[unique++] = self->resources[i];
    return unique;
}

static int transaction(raw_lmdb *self, unsigned events)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(self->env, NULL, 0, &txn);
    if (rc != 0)
        return rc;
    const size_t resources = resources_of(self, events);
    if (self->task->workload->uuids)
        qsort(self->items, events, sizeof *self->items, uuid_order);
    for (unsigned i = 0; i < events && self->task->workload->uuids && rc == 0; i++)
        rc = uuid_remember(self, txn, &self->items[i]);
    for (size_t i = 0; i < resources && rc == 0; i++)
        rc = resource_change(self, txn, self->resources[i]);
    if (rc == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

static int measure_writes(raw_lmdb *self, double *ret_per_s)
{
    const unsigned events = floor_group_events(self->task->workload);
    const int64_t begin_ns = bench_now_ns();
    uint64_t count = 0;
    bench_source_measure(&self->source);
    do {
        if (self->source.serial - self->source.first >= self->task->workload->buckets)
            bench_source_measure(&self->source); /* of a turn: the next one */
        for (unsigned i = 0; i < events; i++)
            bench_source_item(&self->source, &self->items[i]);
        const int rc = transaction(self, events);
        if (rc != 0)
            return rc;
        count += events;
    } while ((double)(bench_now_ns() - begin_ns) < self->task->seconds * 1e9 && !bench_is_interrupted());
    *ret_per_s = (double)count * 1e9 / (double)(bench_now_ns() - begin_ns);
    return 0;
}

/* ---- reading ------------------------------------------------------------------------------ */

static int question(raw_lmdb *self, MDB_txn *txn, MDB_cursor *cursor)
{
    const bench_workload *workload = self->task->workload;
    int rc = mdb_txn_renew(txn);
    if (rc == 0)
        rc = mdb_cursor_renew(txn, cursor);
    const uint64_t first = bench_random_below(&self->source.random, workload->buckets);
    const uint64_t newest = workload->history - 1;
    const uint64_t at[LOOKUPS] = {newest, newest - (workload->intervals - 1) % workload->history,
                                  newest - workload->intervals % workload->history};
    for (unsigned i = 0; i < workload->names * LOOKUPS && rc == 0; i++) {
        unsigned char bytes[12];
        MDB_val key = history_key((first + i / LOOKUPS) % workload->buckets, at[i % LOOKUPS], bytes);
        MDB_val value;
        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    }
    mdb_txn_reset(txn);
    return rc;
}

static int measure_reads(raw_lmdb *self, double *ret_per_s)
{
    MDB_txn *txn;
    MDB_cursor *cursor = NULL;
    uint64_t count = 0;
    int rc = mdb_txn_begin(self->env, NULL, MDB_RDONLY, &txn);
    if (rc != 0)
        return rc;
    rc = mdb_cursor_open(txn, self->tables[RAW_HISTORY], &cursor);
    mdb_txn_reset(txn);
    const int64_t begin_ns = bench_now_ns();
    while (rc == 0 && (double)(bench_now_ns() - begin_ns) < self->task->seconds * 1e9) {
        rc = question(self, txn, cursor);
        count++;
    }
    *ret_per_s = (double)count * 1e9 / (double)(bench_now_ns() - begin_ns);
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    return rc;
}

/* ---- all of it ---------------------------------------------------------------------------- */

utapi_status floor_lmdb(const floor_task *task, double *ret_per_s, utapi_error *err)
{
    const unsigned events = floor_group_events(task->workload);
    raw_lmdb self = {.task = task,
                     .source = {.workload = task->workload,
                                .origin_ms = task->origin_ms,
                                .random = task->world->options->seed,
                                .uuid_salt = task->world->options->seed + 1},
                     .items = calloc(events, sizeof *self.items),
                     .resources = calloc(2 * (size_t)events + OTHER_ROWS, sizeof *self.resources)};
    utapi_status status = self.items != NULL && self.resources != NULL
                              ? bench_folder_make(task->world, self.folder, err)
                              : utapi_fail(err, UTAPI_NO_MEMORY, "raw LMDB");
    int rc = 0;
    if (status == UTAPI_OK) {
        rc = raw_open(&self);
        if (rc == 0)
            rc = raw_fill(&self);
        if (rc == 0)
            rc = task->workload->kind == BENCH_LIST ? measure_reads(&self, ret_per_s)
                                                    : measure_writes(&self, ret_per_s);
        if (self.env != NULL)
            mdb_env_close(self.env);
        bench_folder_remove(self.folder);
    }
    free(self.items);
    free(self.resources);
    return status == UTAPI_OK && rc != 0 ? raw_fail(err, rc) : status;
}
