/* SPDX-License-Identifier: Apache-2.0 */
/* raw_lmdb.c - tables, keys, a group's transaction, a question's look-ups.
 *
 * Resources have numbers: the buckets, then the accounts that those belong to, then the location and the service. */
#include "raw_lmdb.h"

#include "interrupt.h"
#include "utapi/interval.h"
#include "utapi/scoped.h"
#include "utapi/snapshot.h"

#include <errno.h>
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD_BYTES = 8 + 4, KEY_MAX = 80, HISTORY_KEY_BYTES = 8 + 4, UUID_KEY_BYTES = 24, TAKEN_BYTES = 4 };
enum { OTHER_RESOURCES = 2, FILL_AT_ONCE = 20000, UUIDS_AT_ONCE = 1000000 };

#define MAP_BYTES   ((size_t)64 << 30)
#define DAY_MS      INT64_C(86400000)
#define NOT_TOUCHED UINT32_MAX
#define EVENT_BYTES 1000 /* of an event whose row is as short as rows are */

typedef enum raw_table { RAW_RESOURCE, RAW_HISTORY, RAW_SEEN, RAW_TABLES } raw_table;

struct raw_lmdb {
    bench_generator generator;
    uint32_t accounts, resources;
    size_t row_bytes;
    unsigned char row[UTAPI_SNAPSHOT_MAX];

    MDB_env *env;
    MDB_dbi tables[RAW_TABLES];
    MDB_txn *reader; /* reset between questions */
    MDB_cursor *history;

    bench_item *items; /* owned; the group */
    unsigned room, count;
    uint32_t *since; /* owned; for each resource the first interval that the group touches; or NOT_TOUCHED */
    uint32_t *touched; /* owned; which those are */
    size_t touched_count;
};

UTAPI_AUTO_DEFINE(raw_lmdb, raw_lmdb_close)

static utapi_status raw_status(int rc, utapi_error *err)
{
    return rc == 0 ? UTAPI_OK : utapi_fail(err, UTAPI_UNAVAILABLE, "raw LMDB: %s", mdb_strerror(rc));
}

/* ---- keys and rows ------------------------------------------------------------------------ */

static void put_big_endian(unsigned char *at, unsigned bytes, uint64_t number)
{
    for (; bytes > 0; number >>= 8)
        at[--bytes] = (unsigned char)number;
}

static uint32_t get_u32(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* A level, and a name of the length that names have; in the order of the numbers. */
static MDB_val resource_key(const raw_lmdb *self, uint32_t number, char buffer[KEY_MAX])
{
    const uint32_t buckets = self->generator.workload->buckets;
    size_t size = sizeof BENCH_LOCATION;
    buffer[0] = (char)('2' + number - buckets - self->accounts);
    if (number < buckets) {
        buffer[0] = '0';
        size = 1 + BENCH_BUCKET_SIZE;
    } else if (number < buckets + self->accounts) {
        buffer[0] = '1';
        size = 1 + BENCH_ACCOUNT_SIZE;
    }
    memset(buffer + 1, '0', size - 1);
    for (char *at = buffer + size; number > 0; number /= 10)
        *--at = (char)('0' + number % 10);
    return (MDB_val){.mv_size = size, .mv_data = buffer};
}

static MDB_val history_key(uint32_t resource, uint32_t interval, unsigned char buffer[HISTORY_KEY_BYTES])
{
    put_big_endian(buffer, 8, resource);
    put_big_endian(buffer + 8, 4, interval);
    return (MDB_val){.mv_size = HISTORY_KEY_BYTES, .mv_data = buffer};
}

static MDB_val history_row(raw_lmdb *self)
{
    return (MDB_val){.mv_size = self->row_bytes, .mv_data = self->row};
}

/* What stands in `resource`: number, newest interval, row. */
static MDB_val resource_row(const raw_lmdb *self, uint32_t number, uint32_t newest,
                            unsigned char buffer[HEAD_BYTES + UTAPI_SNAPSHOT_MAX])
{
    put_big_endian(buffer, 8, number);
    put_big_endian(buffer + 8, 4, newest);
    memcpy(buffer + HEAD_BYTES, self->row, self->row_bytes);
    return (MDB_val){.mv_size = HEAD_BYTES + self->row_bytes, .mv_data = buffer};
}

static uint32_t interval_now(const raw_lmdb *self)
{
    return utapi_interval_number(utapi_interval_of(self->generator.origin_ms));
}

/* The row of a bucket with a single event. */
static void row_make(raw_lmdb *self)
{
    utapi_amounts totals;
    utapi_amounts_clear(&totals);
    utapi_amounts_set(&totals, UTAPI_STORAGE_UTILIZED, EVENT_BYTES);
    utapi_amounts_set(&totals, UTAPI_NUMBER_OF_OBJECTS, 1);
    utapi_amounts_set(&totals, UTAPI_INCOMING_BYTES, EVENT_BYTES);
    utapi_amounts_set(&totals, UTAPI_FIRST_OPERATION + UTAPI_OP_PUT_OBJECT, 1);
    self->row_bytes = utapi_snapshot_encode(&totals, NULL, self->row);
}

/* ---- filling ------------------------------------------------------------------------------ */

/* The resources, with a row in the interval of the generator, and then their rows in the intervals before it. */
static int row_append(raw_lmdb *self, MDB_txn *txn, uint64_t place)
{
    const uint32_t older = self->generator.workload->history - 1;
    const uint32_t now = interval_now(self);
    if (place < self->resources) {
        char name[KEY_MAX];
        unsigned char bytes[HEAD_BYTES + UTAPI_SNAPSHOT_MAX];
        MDB_val key = resource_key(self, (uint32_t)place, name);
        MDB_val value = resource_row(self, (uint32_t)place, now, bytes);
        return mdb_put(txn, self->tables[RAW_RESOURCE], &key, &value, MDB_APPEND);
    }
    unsigned char at[HISTORY_KEY_BYTES];
    place -= self->resources;
    MDB_val key = history_key((uint32_t)(place / older), now - older + (uint32_t)(place % older), at);
    MDB_val value = history_row(self);
    return mdb_put(txn, self->tables[RAW_HISTORY], &key, &value, MDB_APPEND);
}

static int raw_fill(raw_lmdb *self)
{
    const uint64_t rows = (uint64_t)self->resources * self->generator.workload->history;
    int rc = 0;
    for (uint64_t place = 0; place < rows && rc == 0;) {
        MDB_txn *txn;
        rc = mdb_txn_begin(self->env, NULL, 0, &txn);
        if (rc != 0)
            return rc;
        for (unsigned i = 0; i < FILL_AT_ONCE && place < rows && rc == 0; i++)
            rc = row_append(self, txn, place++);
        if (rc == 0)
            rc = mdb_txn_commit(txn);
        else
            mdb_txn_abort(txn);
    }
    return rc;
}

/* ---- life --------------------------------------------------------------------------------- */

static int tables_open(raw_lmdb *self)
{
    static const char *const names[RAW_TABLES] = {"resource", "history", "seen"};
    MDB_txn *txn;
    int rc = mdb_txn_begin(self->env, NULL, 0, &txn);
    if (rc != 0)
        return rc;
    for (unsigned i = 0; i < RAW_TABLES && rc == 0; i++)
        rc = mdb_dbi_open(txn, names[i], MDB_CREATE, &self->tables[i]);
    if (rc == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

/* *ret is to be closed on failure too, unless it is NULL. */
static int env_open(const char *folder, unsigned flags, MDB_env **ret)
{
    int rc = mdb_env_create(ret);
    if (rc == 0)
        rc = mdb_env_set_mapsize(*ret, MAP_BYTES);
    if (rc == 0)
        rc = mdb_env_set_maxdbs(*ret, RAW_TABLES);
    return rc == 0 ? mdb_env_open(*ret, folder, flags, 0600) : rc;
}

static int reader_open(raw_lmdb *self)
{
    int rc = mdb_txn_begin(self->env, NULL, MDB_RDONLY, &self->reader);
    if (rc == 0)
        rc = mdb_cursor_open(self->reader, self->tables[RAW_HISTORY], &self->history);
    if (rc == 0)
        mdb_txn_reset(self->reader);
    return rc;
}

utapi_status raw_lmdb_open(const char *folder, const bench_generator *generator, unsigned events,
                           raw_lmdb **ret, utapi_error *err)
{
    const uint32_t buckets = generator->workload->buckets;
    UTAPI_AUTO(raw_lmdb) *self = calloc(1, sizeof *self);
    if (self == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "raw LMDB");
    self->generator = *generator;
    self->room = events;
    self->accounts = buckets < BENCH_ACCOUNTS ? buckets : BENCH_ACCOUNTS;
    self->resources = buckets + self->accounts + OTHER_RESOURCES;
    self->items = calloc(events, sizeof *self->items);
    self->since = malloc(self->resources * sizeof *self->since);
    self->touched = calloc(self->resources, sizeof *self->touched);
    if (self->items == NULL || self->since == NULL || self->touched == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "raw LMDB");
    for (uint32_t i = 0; i < self->resources; i++)
        self->since[i] = NOT_TOUCHED;
    row_make(self);
    int rc = env_open(folder, MDB_NOTLS, &self->env);
    if (rc == 0)
        rc = tables_open(self);
    if (rc == 0)
        rc = raw_fill(self);
    if (rc == 0)
        rc = reader_open(self);
    if (rc != 0)
        return raw_status(rc, err);
    bench_generator_measure(&self->generator);
    *ret = UTAPI_TAKE(self);
    return UTAPI_OK;
}

void raw_lmdb_close(raw_lmdb *self)
{
    if (self == NULL)
        return;
    if (self->history != NULL)
        mdb_cursor_close(self->history);
    if (self->reader != NULL)
        mdb_txn_abort(self->reader);
    if (self->env != NULL)
        mdb_env_close(self->env);
    free(self->items);
    free(self->since);
    free(self->touched);
    free(self);
}

/* ---- questions ---------------------------------------------------------------------------- */

/* The row of now, which says where the others are; the one before the range, and the next one. */
static int name_look_up(raw_lmdb *self, uint32_t number)
{
    char name[KEY_MAX];
    MDB_val key = resource_key(self, number, name);
    MDB_val value;
    const uint32_t now = interval_now(self);
    const uint32_t before = now - self->generator.workload->intervals;
    unsigned char at[HISTORY_KEY_BYTES];
    int rc = mdb_get(self->reader, self->tables[RAW_RESOURCE], &key, &value);
    key = history_key(number, before, at);
    if (rc == 0)
        rc = mdb_cursor_get(self->history, &key, &value, MDB_SET_RANGE);
    if (rc == 0 && before + 1 < now)
        rc = mdb_cursor_get(self->history, &key, &value, MDB_NEXT);
    return rc == MDB_NOTFOUND ? 0 : rc; /* a range may begin before the first row */
}

static int question_answer(raw_lmdb *self, uint32_t first_name)
{
    const bench_workload *workload = self->generator.workload;
    int rc = mdb_txn_renew(self->reader);
    if (rc == 0)
        rc = mdb_cursor_renew(self->reader, self->history);
    for (unsigned i = 0; i < workload->names && rc == 0; i++)
        rc = name_look_up(self, (first_name + i) % workload->buckets);
    mdb_txn_reset(self->reader);
    return rc;
}

/* ---- groups ------------------------------------------------------------------------------- */

static void touch(raw_lmdb *self, uint32_t number, uint32_t interval)
{
    if (self->since[number] == NOT_TOUCHED)
        self->touched[self->touched_count++] = number;
    if (interval < self->since[number])
        self->since[number] = interval;
}

static void event_draw(raw_lmdb *self)
{
    const uint32_t buckets = self->generator.workload->buckets;
    bench_item *item = &self->items[self->count++];
    bench_generator_item(&self->generator, item);
    const uint32_t interval = utapi_interval_number(utapi_interval_of(item->time_ms));
    touch(self, item->bucket, interval);
    touch(self, buckets + bench_account_of(item->bucket), interval);
    for (uint32_t i = self->resources - OTHER_RESOURCES; i < self->resources; i++)
        touch(self, i, interval);
}

utapi_status raw_lmdb_draw(raw_lmdb *self, unsigned *ret_requests, unsigned *ret_events, utapi_error *err)
{
    const bool has_events = self->generator.workload->kind != BENCH_LIST;
    unsigned requests = 0;
    int rc = 0;
    if (self->generator.items_left == 0) /* the next rollover */
        bench_generator_measure(&self->generator);
    while (rc == 0 && (has_events ? self->count + self->generator.batch : requests + 1) <= self->room) {
        bench_request request;
        if (!bench_generator_next(&self->generator, &request))
            break;
        requests++;
        if (request.is_query)
            rc = question_answer(self, request.first_name);
        for (unsigned i = 0; i < request.item_count; i++)
            event_draw(self);
    }
    *ret_requests = requests;
    *ret_events = self->count;
    return raw_status(rc, err);
}

/* ---- storing ------------------------------------------------------------------------------ */

/* Writes the rows of history anew from an interval on. */
static int late_write(raw_lmdb *self, MDB_cursor *history, uint32_t number, uint32_t since)
{
    unsigned char at[HISTORY_KEY_BYTES];
    MDB_val key = history_key(number, since, at);
    MDB_val value;
    int rc = mdb_cursor_get(history, &key, &value, MDB_SET_RANGE);
    while (rc == 0 && memcmp(key.mv_data, at, 8) == 0) {
        value = history_row(self);
        rc = mdb_cursor_put(history, &key, &value, MDB_CURRENT);
        if (rc == 0)
            rc = mdb_cursor_get(history, &key, &value, MDB_NEXT);
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int resource_write(raw_lmdb *self, MDB_cursor *resource, MDB_cursor *history, uint32_t number)
{
    char name[KEY_MAX];
    unsigned char bytes[HEAD_BYTES + UTAPI_SNAPSHOT_MAX];
    const uint32_t now = interval_now(self);
    MDB_val key = resource_key(self, number, name);
    MDB_val value;
    int rc = mdb_cursor_get(resource, &key, &value, MDB_SET_KEY);
    if (rc != 0)
        return rc;
    const uint32_t newest = get_u32((const unsigned char *)value.mv_data + 8);
    if (newest != now) {
        unsigned char at[HISTORY_KEY_BYTES];
        MDB_val old_key = history_key(number, newest, at);
        MDB_val old = history_row(self);
        rc = mdb_cursor_put(history, &old_key, &old, 0);
    }
    if (rc == 0 && self->since[number] < now)
        rc = late_write(self, history, number, self->since[number]);
    value = resource_row(self, number, now, bytes);
    return rc == 0 ? mdb_cursor_put(resource, &key, &value, MDB_CURRENT) : rc;
}

static int uuid_write(const bench_item *item, MDB_cursor *seen)
{
    unsigned char bytes[UUID_KEY_BYTES];
    unsigned char taken[TAKEN_BYTES] = {0};
    put_big_endian(bytes, 8, (uint64_t)item->time_ms);
    put_big_endian(bytes + 8, 8, item->uuid[0]);
    put_big_endian(bytes + 16, 8, item->uuid[1]);
    MDB_val key = {.mv_size = sizeof bytes, .mv_data = bytes};
    MDB_val value = {.mv_size = sizeof taken, .mv_data = taken};
    const int rc = mdb_cursor_put(seen, &key, &value, MDB_NOOVERWRITE);
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

static int group_write(raw_lmdb *self, MDB_txn *txn)
{
    MDB_cursor *cursors[RAW_TABLES]; /* the transaction frees them */
    int rc = 0;
    for (unsigned i = 0; i < RAW_TABLES && rc == 0; i++)
        rc = mdb_cursor_open(txn, self->tables[i], &cursors[i]);
    if (self->generator.workload->uuids) {
        qsort(self->items, self->count, sizeof *self->items, uuid_order);
        for (unsigned i = 0; i < self->count && rc == 0; i++)
            rc = uuid_write(&self->items[i], cursors[RAW_SEEN]);
    }
    qsort(self->touched, self->touched_count, sizeof *self->touched, number_order);
    for (size_t i = 0; i < self->touched_count && rc == 0; i++)
        rc = resource_write(self, cursors[RAW_RESOURCE], cursors[RAW_HISTORY], self->touched[i]);
    return rc;
}

utapi_status raw_lmdb_store(raw_lmdb *self, utapi_error *err)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(self->env, NULL, 0, &txn);
    if (rc != 0)
        return raw_status(rc, err);
    rc = group_write(self, txn);
    if (rc == 0)
        rc = mdb_txn_commit(txn);
    else
        mdb_txn_abort(txn);
    for (size_t i = 0; i < self->touched_count; i++)
        self->since[self->touched[i]] = NOT_TOUCHED;
    self->touched_count = 0;
    self->count = 0;
    return raw_status(rc, err);
}

/* ---- a storage of the meter's ------------------------------------------------------------- */

/* Appends the uuids from one place on. */
static int uuids_append(MDB_txn *txn, MDB_dbi seen, unsigned from, unsigned end, double ms_each,
                        int64_t begin_ms)
{
    unsigned char bytes[UUID_KEY_BYTES];
    unsigned char taken[TAKEN_BYTES];
    int rc = 0;
    for (unsigned i = from; i < end && rc == 0; i++) {
        const int64_t time_ms = begin_ms + (int64_t)(i * ms_each);
        put_big_endian(bytes, 8, (uint64_t)time_ms);
        put_big_endian(bytes + 8, 8, i);
        put_big_endian(bytes + 16, 8, 0);
        put_big_endian(taken, sizeof taken, utapi_interval_number(utapi_interval_of(time_ms)));
        MDB_val key = {.mv_size = sizeof bytes, .mv_data = bytes};
        MDB_val value = {.mv_size = sizeof taken, .mv_data = taken};
        rc = mdb_put(txn, seen, &key, &value, MDB_APPEND);
    }
    return rc;
}

static int uuids_add(MDB_env *env, unsigned count, int64_t end_ms)
{
    MDB_dbi seen;
    int rc = 0;
    for (unsigned from = 0; from < count && rc == 0; from += UUIDS_AT_ONCE) {
        const unsigned end = count - from > UUIDS_AT_ONCE ? from + UUIDS_AT_ONCE : count;
        MDB_txn *txn;
        rc = mdb_txn_begin(env, NULL, 0, &txn);
        if (rc != 0)
            return rc;
        rc = bench_is_interrupted() ? EINTR : mdb_dbi_open(txn, "seen", 0, &seen);
        if (rc == 0)
            rc = uuids_append(txn, seen, from, end, (double)DAY_MS / count, end_ms - DAY_MS);
        if (rc == 0)
            rc = mdb_txn_commit(txn);
        else
            mdb_txn_abort(txn);
    }
    return rc;
}

utapi_status raw_lmdb_add_uuids(const char *folder, unsigned count, int64_t end_ms, utapi_error *err)
{
    MDB_env *env = NULL;
    int rc = env_open(folder, MDB_NOTLS | MDB_NOSYNC, &env);
    if (rc == 0)
        rc = uuids_add(env, count, end_ms);
    if (rc == 0)
        rc = mdb_env_sync(env, 1);
    if (env != NULL)
        mdb_env_close(env);
    return raw_status(rc, err);
}
