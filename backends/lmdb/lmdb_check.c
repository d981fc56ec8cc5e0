/* SPDX-License-Identifier: Apache-2.0 */
/* lmdb_check.c - reads all of a folder that nobody has open, and tells what cannot be right. Writes nothing.
 *
 * A flipped bit shows in the checksum of its row, or in what no longer fits together. Rows of history and late sums
 * belong to a resource by its id alone, so the resources are read first. */
#include "lmdb_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#define NO_STORAGE "there is no storage here"

enum { SHOWN_EVERY = 4096, TIME_SIZE = 8 };

/* What is known of an id that a resource has. */
typedef struct check_id {
    uint64_t id;
    utapi_interval newest;
    utapi_snapshot_fields fields;
} check_id;

typedef struct folder_check {
    const utapi_check *to;
    MDB_env *mdb;
    MDB_txn *txn;
    MDB_dbi tables[LMDB_TABLE_COUNT];
    MDB_cursor *cursors[LMDB_TABLE_COUNT]; /* NULL: a folder of an older version lacks the table */
    lmdb_table table;                      /* the one that is read */
    uint64_t done, total;
    check_id *ids; /* owned; ascending once all are read */
    size_t id_count, id_room;
    uint64_t next_id;
    uint32_t format;
} folder_check;

/* ---- telling ------------------------------------------------------------------------------ */

/* A key as people can read it: an id and what follows it, or a level and a name. */
static void key_text(lmdb_table table, MDB_val key, char *text, size_t size)
{
    const unsigned char *bytes = key.mv_data;
    const bool has_id = table == LMDB_HISTORY || table == LMDB_LATE || table == LMDB_GARBAGE;
    const size_t head = table == LMDB_SCHEDULE ? TIME_SIZE : 0;
    if (has_id && key.mv_size >= 8 + 4)
        (void)snprintf(text, size, "id %llu, interval %u%s", (unsigned long long)utapi_lmdbenv_get_u64(bytes),
                       utapi_lmdbenv_get_u32(bytes + key.mv_size - 4),
                       table == LMDB_LATE ? " or a step" : "");
    else if (has_id && key.mv_size == 8)
        (void)snprintf(text, size, "id %llu", (unsigned long long)utapi_lmdbenv_get_u64(bytes));
    else if (table == LMDB_AUDIT && key.mv_size > 1 && bytes[0] == LMDB_AUDIT_ID)
        (void)snprintf(text, size, "id %.*s", (int)key.mv_size - 1, (const char *)bytes + 1);
    else if (table == LMDB_AUDIT && key.mv_size == 9)
        (void)snprintf(text, size, "act %llu", (unsigned long long)utapi_lmdbenv_get_u64(bytes + 1));
    else if (!has_id && table != LMDB_DEDUP && table != LMDB_AUDIT && table != LMDB_LETTERS &&
             key.mv_size > head + 1 && bytes[head] < UTAPI_LEVEL_COUNT)
        (void)snprintf(text, size, "%s %.*s", utapi_level_name((utapi_level)bytes[head]),
                       (int)(key.mv_size - head - 1), (const char *)bytes + head + 1);
    else
        (void)snprintf(text, size, "a key of %zu bytes", key.mv_size);
}

__attribute__((format(printf, 3, 4))) static void finding(const folder_check *self, MDB_val key,
                                                          const char *format, ...)
{
    char what[200], where[300], all[600];
    va_list values;
    va_start(values, format);
    (void)vsnprintf(what, sizeof what, format, values);
    va_end(values);
    key_text(self->table, key, where, sizeof where);
    (void)snprintf(all, sizeof all, "%s: %s: %s", utapi_lmdb_layout.tables[self->table], where, what);
    self->to->on_finding(self->to->ctx, all);
}

/* ---- ids ---------------------------------------------------------------------------------- */

static int id_order(const void *left_id, const void *right_id)
{
    const check_id *left = left_id, *right = right_id;
    return (left->id > right->id) - (left->id < right->id);
}

/* NULL: no resource has it. */
static const check_id *id_find(const folder_check *self, uint64_t id)
{
    const check_id wanted = {.id = id};
    return self->id_count > 0 ? bsearch(&wanted, self->ids, self->id_count, sizeof wanted, id_order) : NULL;
}

static utapi_status id_add(folder_check *self, const lmdb_resource *resource, utapi_error *err)
{
    if (self->id_count == self->id_room) {
        const size_t room = 2 * self->id_room + 1024;
        check_id *longer = realloc(self->ids, room * sizeof *longer);
        if (longer == NULL)
            return utapi_fail(err, UTAPI_NO_MEMORY, "%zu resources", room);
        self->ids = longer;
        self->id_room = room;
    }
    self->ids[self->id_count++] =
        (check_id){.id = resource->id, .newest = resource->newest, .fields = resource->fields};
    return UTAPI_OK;
}

/* Whether the rows of an id before an interval are to be deleted. */
static bool is_garbage(const folder_check *self, uint64_t id, utapi_interval interval)
{
    unsigned char bytes[8] = {0};
    MDB_val key = utapi_lmdbenv_val(bytes, sizeof bytes), value;
    utapi_lmdbenv_put_u64(bytes, id);
    return self->cursors[LMDB_GARBAGE] != NULL &&
           mdb_get(self->txn, self->tables[LMDB_GARBAGE], &key, &value) == 0 &&
           (value.mv_size != 4 || interval < utapi_interval_at(utapi_lmdbenv_get_u32(value.mv_data)));
}

/* ---- a row of each table ------------------------------------------------------------------ */

static utapi_status meta_check(folder_check *self, MDB_val key, MDB_val value, utapi_error *err)
{
    (void)err;
    const bool is_format = key.mv_size == 6 && memcmp(key.mv_data, "format", 6) == 0;
    const bool is_next_id = key.mv_size == 7 && memcmp(key.mv_data, "next id", 7) == 0;
    if (value.mv_size != (is_format ? 4U : 8U))
        finding(self, key, "a value of %zu bytes", value.mv_size);
    else if (is_next_id)
        self->next_id = utapi_lmdbenv_get_u64(value.mv_data);
    return UTAPI_OK;
}

/* Whether a row's totals could be read. One that only a later format has may not stand in an earlier one. */
static bool row_check(const folder_check *self, MDB_val key, const void *row, utapi_status status,
                      const utapi_error *why)
{
    if (status != UTAPI_OK)
        finding(self, key, "%s", why->detail);
    else if (self->format == utapi_lmdb_layout.format_first && utapi_snapshot_version(row) > 1)
        finding(self, key, "a row of version %u in a folder of format %u", utapi_snapshot_version(row),
                self->format);
    return status == UTAPI_OK;
}

/* What a newest row holds is between its resource's base and itself. */
static void held_check(const folder_check *self, MDB_val key, const lmdb_resource *resource)
{
    utapi_late_walk held = utapi_late_held(&resource->fields);
    utapi_interval_delta delta;
    while (utapi_late_held_next(&held, &delta))
        if (delta.interval < resource->fields.base || delta.interval >= resource->newest)
            finding(self, key, "it holds a late delta of interval %u", utapi_interval_number(delta.interval));
    if (utapi_late_held_end(&held, NULL) != UTAPI_OK)
        finding(self, key, "it holds late deltas that cannot be read");
}

static utapi_status resource_check(folder_check *self, MDB_val key, MDB_val value, utapi_error *err)
{
    const unsigned char *bytes = key.mv_data;
    lmdb_resource resource = {.newest = LMDB_NO_MORE, .fields.has_late = true};
    utapi_error why;
    utapi_error_clear(&why);
    if (key.mv_size < 2 || key.mv_size > 1 + UTAPI_NAME_MAX || bytes[0] >= UTAPI_LEVEL_COUNT)
        finding(self, key, "it names no level and resource");
    if (!row_check(self, key, (const unsigned char *)value.mv_data + 8 + 4,
                   utapi_lmdb_resource_decode(value, &resource, &why), &why)) {
        if (value.mv_size < 8) /* else its rows are strangers to nobody */
            return UTAPI_OK;
        resource.id = utapi_lmdbenv_get_u64(value.mv_data);
    }
    if (resource.id >= self->next_id)
        finding(self, key, "id %llu, and the next new one is %llu", (unsigned long long)resource.id,
                (unsigned long long)self->next_id);
    if (resource.newest <= resource.fields.base && resource.fields.base != 0)
        finding(self, key, "its newest row has expired");
    held_check(self, key, &resource);
    return id_add(self, &resource, err);
}

/* After all resources. */
static void ids_sort(folder_check *self)
{
    if (self->ids == NULL)
        return;
    qsort(self->ids, self->id_count, sizeof *self->ids, id_order);
    for (size_t i = 1; i < self->id_count; i++)
        if (self->ids[i].id == self->ids[i - 1].id) {
            unsigned char bytes[8] = {0};
            utapi_lmdbenv_put_u64(bytes, self->ids[i].id);
            self->table = LMDB_GARBAGE; /* whose keys are ids */
            finding(self, utapi_lmdbenv_val(bytes, sizeof bytes), "two resources have it");
        }
}

static utapi_status garbage_check(folder_check *self, MDB_val key, MDB_val value, utapi_error *err)
{
    (void)err;
    if (key.mv_size != 8 || (value.mv_size != 0 && value.mv_size != 4)) {
        finding(self, key, "a value of %zu bytes", value.mv_size);
        return UTAPI_OK;
    }
    const bool is_known = id_find(self, utapi_lmdbenv_get_u64(key.mv_data)) != NULL;
    if (is_known && value.mv_size == 0)
        finding(self, key, "all of it is to be deleted, and a resource has it");
    if (!is_known && value.mv_size == 4)
        finding(self, key, "a part of it is to be deleted, and no resource has it");
    return UTAPI_OK;
}

static utapi_status history_check(folder_check *self, MDB_val key, MDB_val value, utapi_error *err)
{
    utapi_amounts totals;
    utapi_error why;
    (void)err;
    utapi_error_clear(&why);
    if (key.mv_size != 8 + 4) {
        finding(self, key, "a key of %zu bytes", key.mv_size);
        return UTAPI_OK;
    }
    const uint64_t id = utapi_lmdbenv_get_u64(key.mv_data);
    const check_id *known = id_find(self, id);
    utapi_interval interval;
    (void)utapi_lmdb_history_is_of(key, id, &interval);
    (void)row_check(self, key, value.mv_data,
                    utapi_snapshot_decode(value.mv_data, value.mv_size, &totals, NULL, &why), &why);
    if (is_garbage(self, id, interval))
        return UTAPI_OK;
    if (known == NULL)
        finding(self, key, "no resource has this id");
    else if (interval >= known->newest)
        finding(self, key, "it is not before the newest row of its resource");
    else if (interval < known->fields.base)
        finding(self, key, "it has expired, and is not to be deleted");
    return UTAPI_OK;
}

/* Late sums are kept at three resolutions: each sum is that of the finer ones below it, and has a coarser one above. */
static void late_check_steps(folder_check *self, MDB_val key, const utapi_amounts *sum)
{
    unsigned char bytes[8 + 1 + 4] = {0};
    MDB_val at = utapi_lmdbenv_val(bytes, sizeof bytes), value;
    memcpy(bytes, key.mv_data, sizeof bytes);
    const unsigned resolution = bytes[8];
    const uint64_t number = utapi_lmdbenv_get_u32(bytes + 9);
    if (resolution + 1 < UTAPI_LATE_RESOLUTIONS) {
        bytes[8]++;
        utapi_lmdbenv_put_u32(bytes + 9, utapi_late_key((uint32_t)number, 1));
        if (mdb_get(self->txn, self->tables[LMDB_LATE], &at, &value) != 0)
            finding(self, key, "the coarser sum above it is missing");
    }
    if (resolution == 0)
        return;
    MDB_cursor *finer = NULL;
    utapi_amounts all = {.present = 0};
    bytes[8] = (unsigned char)(resolution - 1);
    utapi_lmdbenv_put_u32(bytes + 9, (uint32_t)(number << UTAPI_LATE_BITS));
    at = utapi_lmdbenv_val(bytes, sizeof bytes);
    int rc = mdb_cursor_open(self->txn, self->tables[LMDB_LATE], &finer);
    if (rc == 0)
        rc = mdb_cursor_get(finer, &at, &value, MDB_SET_RANGE);
    while (rc == 0 && at.mv_size == sizeof bytes && memcmp(at.mv_data, bytes, 9) == 0 &&
           utapi_lmdbenv_get_u32((const unsigned char *)at.mv_data + 9) >> UTAPI_LATE_BITS == number) {
        utapi_amounts one = {.present = 0};
        (void)!utapi_snapshot_decode(value.mv_data, value.mv_size, &one, NULL,
                                     NULL); /* told of in its turn */
        utapi_amounts_add(&all, &one);
        rc = mdb_cursor_get(finer, &at, &value, MDB_NEXT);
    }
    if (finer != NULL)
        mdb_cursor_close(finer);
    if (!utapi_amounts_equal(&all, sum))
        finding(self, key, "it is not the sum of the finer ones below it");
}

static utapi_status late_check(folder_check *self, MDB_val key, MDB_val value, utapi_error *err)
{
    const unsigned char *bytes = key.mv_data;
    utapi_amounts sum;
    utapi_error why;
    (void)err;
    utapi_error_clear(&why);
    if (key.mv_size != 8 + 1 + 4 || bytes[8] >= UTAPI_LATE_RESOLUTIONS) {
        finding(self, key, "a key of %zu bytes, or of an unknown resolution", key.mv_size);
        return UTAPI_OK;
    }
    const uint64_t id = utapi_lmdbenv_get_u64(bytes);
    const check_id *known = id_find(self, id);
    const bool is_readable =
        row_check(self, key, value.mv_data,
                  utapi_snapshot_decode(value.mv_data, value.mv_size, &sum, NULL, &why), &why);
    if (is_garbage(self, id, LMDB_NO_MORE - 1))
        return UTAPI_OK;
    if (known == NULL)
        finding(self, key, "no resource has this id");
    else if (!known->fields.has_late)
        finding(self, key, "its resource says that it has none");
    else if (bytes[8] == 0 && utapi_interval_at(utapi_lmdbenv_get_u32(bytes + 9)) >= known->newest)
        finding(self, key, "it is not before the newest row of its resource");
    if (is_readable)
        late_check_steps(self, key, &sum);
    return UTAPI_OK;
}

static utapi_status tombstone_check(folder_check *self, MDB_val key, MDB_val value, utapi_error *err)
{
    static const unsigned char never[TIME_SIZE] = {255, 255, 255, 255, 255, 255, 255, 255};
    unsigned char bytes[LMDB_KEY_MAX] = {0};
    (void)err;
    if (value.mv_size != 2 * TIME_SIZE || key.mv_size > LMDB_KEY_MAX - TIME_SIZE) {
        finding(self, key, "a value of %zu bytes", value.mv_size);
        return UTAPI_OK;
    }
    memcpy(bytes, (const unsigned char *)value.mv_data + TIME_SIZE, TIME_SIZE);
    memcpy(bytes + TIME_SIZE, key.mv_data, key.mv_size);
    MDB_val due = utapi_lmdbenv_val(bytes, TIME_SIZE + key.mv_size), nothing;
    if (memcmp(bytes, never, TIME_SIZE) != 0 &&
        mdb_get(self->txn, self->tables[LMDB_SCHEDULE], &due, &nothing) != 0)
        finding(self, key, "it is to expire, and is not scheduled");
    return UTAPI_OK;
}

static utapi_status schedule_check(folder_check *self, MDB_val key, MDB_val value, utapi_error *err)
{
    const unsigned char *bytes = key.mv_data;
    (void)err;
    if (key.mv_size <= TIME_SIZE + 1) {
        finding(self, key, "a key of %zu bytes", key.mv_size);
        return UTAPI_OK;
    }
    MDB_val resource = utapi_lmdbenv_val(bytes + TIME_SIZE, key.mv_size - TIME_SIZE);
    if (mdb_get(self->txn, self->tables[LMDB_TOMBSTONE], &resource, &value) != 0 ||
        value.mv_size != 2 * TIME_SIZE ||
        memcmp((const unsigned char *)value.mv_data + TIME_SIZE, bytes, TIME_SIZE) != 0)
        finding(self, key, "it is scheduled, and not to expire then");
    return UTAPI_OK;
}

static utapi_status dedup_check(folder_check *self, MDB_val key, MDB_val value, utapi_error *err)
{
    (void)err;
    if (key.mv_size <= TIME_SIZE || key.mv_size > UTAPI_DEDUP_KEY_MAX || value.mv_size != 4)
        finding(self, key, "a value of %zu bytes", value.mv_size);
    return UTAPI_OK;
}

/* An id leads to its row, and a row to its id. */
static utapi_status audit_check(folder_check *self, MDB_val key, MDB_val value, utapi_error *err)
{
    const unsigned char *bytes = key.mv_data;
    unsigned char other[1 + UTAPI_ADMIN_ID_MAX] = {LMDB_AUDIT_ID};
    utapi_audit_row row;
    MDB_val at, found;
    (void)err;
    if (key.mv_size > 1 && bytes[0] == LMDB_AUDIT_ID && value.mv_size == 8) {
        other[0] = LMDB_AUDIT_ROW;
        memcpy(other + 1, value.mv_data, 8);
        at = utapi_lmdbenv_val(other, 1 + 8);
        if (mdb_get(self->txn, self->tables[LMDB_AUDIT], &at, &found) != 0)
            finding(self, key, "it has no row");
    } else if (key.mv_size != 9 || bytes[0] != LMDB_AUDIT_ROW ||
               utapi_audit_row_decode(value.mv_data, value.mv_size, &row, NULL) != UTAPI_OK) {
        finding(self, key, "it cannot be read");
    } else {
        memcpy(other + 1, row.act.id.data, row.act.id.size);
        at = utapi_lmdbenv_val(other, 1 + row.act.id.size);
        if (mdb_get(self->txn, self->tables[LMDB_AUDIT], &at, &found) != 0 || found.mv_size != 8 ||
            memcmp(found.mv_data, bytes + 1, 8) != 0)
            finding(self, key, "its id is not known");
    }
    return UTAPI_OK;
}

static utapi_status letter_check(folder_check *self, MDB_val key, MDB_val value, utapi_error *err)
{
    (void)err;
    if (!utapi_letters_row_fits(key, value))
        finding(self, key, "a dead letter that cannot be read");
    return UTAPI_OK;
}

/* ---- the whole ---------------------------------------------------------------------------- */

/* In the order in which one needs the other. */
static const struct {
    lmdb_table table;
    utapi_status (*row)(folder_check *self, MDB_val key, MDB_val value, utapi_error *err);
} checks[] = {
    {LMDB_META, meta_check},         {LMDB_RESOURCE, resource_check}, {LMDB_GARBAGE, garbage_check},
    {LMDB_HISTORY, history_check},   {LMDB_LATE, late_check},         {LMDB_TOMBSTONE, tombstone_check},
    {LMDB_SCHEDULE, schedule_check}, {LMDB_DEDUP, dedup_check},       {LMDB_LETTERS, letter_check},
    {LMDB_AUDIT, audit_check},
};

static utapi_status tables_check(folder_check *self, utapi_error *err)
{
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        MDB_cursor *cursor = self->cursors[checks[i].table];
        MDB_val key, value;
        self->table = checks[i].table;
        int rc = cursor != NULL ? 0 : MDB_NOTFOUND;
        while (rc == 0 && (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
            const utapi_status status = checks[i].row(self, key, value, err);
            if (status != UTAPI_OK)
                return status;
            if (++self->done % SHOWN_EVERY == 0)
                self->to->on_progress(self->to->ctx, self->done, self->total);
        }
        if (rc != MDB_NOTFOUND)
            finding(self, utapi_lmdbenv_val("", 0), "the table cannot be read further: %s", mdb_strerror(rc));
        if (self->table == LMDB_RESOURCE)
            ids_sort(self);
    }
    self->to->on_progress(self->to->ctx, self->done, self->total);
    return UTAPI_OK;
}

static int tables_open(folder_check *self)
{
    int rc = mdb_txn_begin(self->mdb, NULL, MDB_RDONLY, &self->txn);
    for (unsigned i = 0; i < LMDB_TABLE_COUNT && rc == 0; i++) {
        MDB_stat stat;
        rc = mdb_dbi_open(self->txn, utapi_lmdb_layout.tables[i], 0, &self->tables[i]);
        if (rc == 0)
            rc = mdb_cursor_open(self->txn, self->tables[i], &self->cursors[i]);
        if (rc == 0 && (rc = mdb_stat(self->txn, self->tables[i], &stat)) == 0)
            self->total += stat.ms_entries;
        rc = rc == MDB_NOTFOUND ? 0 : rc;
    }
    return rc;
}

/* A later format may hold what would look wrong here, and so does a journal, which is an environment too. */
static utapi_status format_check(folder_check *self, const char *location, utapi_error *err)
{
    if (self->cursors[LMDB_RESOURCE] == NULL)
        return utapi_fail(err, UTAPI_CORRUPT, "%s: " NO_STORAGE, location);
    MDB_val key = utapi_lmdbenv_val("format", 6), value;
    if (self->cursors[LMDB_META] != NULL && mdb_get(self->txn, self->tables[LMDB_META], &key, &value) == 0 &&
        value.mv_size == 4)
        self->format = utapi_lmdbenv_get_u32(value.mv_data);
    if (self->format < utapi_lmdb_layout.format_first || self->format > utapi_lmdb_layout.format)
        return utapi_fail(err, UTAPI_CORRUPT, "%s: is of format %u, and this version knows %u", location,
                          self->format, utapi_lmdb_layout.format);
    return UTAPI_OK;
}

static utapi_status folder_read(folder_check *self, const char *location, utapi_error *err)
{
    int rc = mdb_env_create(&self->mdb);
    if (rc == 0)
        rc = mdb_env_set_maxdbs(self->mdb, LMDB_TABLE_COUNT);
    if (rc == 0)
        rc = mdb_env_open(self->mdb, location, MDB_RDONLY | MDB_NOLOCK, 0600);
    if (rc == ENOENT)
        return utapi_fail(err, UTAPI_CORRUPT, "%s: " NO_STORAGE, location);
    if (rc == 0)
        rc = tables_open(self);
    if (rc != 0)
        return utapi_lmdb_fail(err, rc, location);
    const utapi_status status = format_check(self, location, err);
    return status == UTAPI_OK ? tables_check(self, err) : status;
}

utapi_status utapi_lmdb_check(const char *location, const utapi_check *to, utapi_error *err)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", location, utapi_lmdb_layout.lock_file) >= (int)sizeof path)
        return utapi_fail(err, UTAPI_INVALID, "%s: the path is too long", location);
    const int lock = open(path, O_RDONLY | O_CLOEXEC); /* it is there if the folder was ever open */
    if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) != 0) {
        close(lock);
        return utapi_fail(err, UTAPI_LOCKED, "%s: %s", location, utapi_lmdb_layout.in_use);
    }
    folder_check self = {.to = to};
    const utapi_status status = folder_read(&self, location, err);
    for (unsigned i = 0; i < LMDB_TABLE_COUNT; i++)
        if (self.cursors[i] != NULL)
            mdb_cursor_close(self.cursors[i]);
    mdb_txn_abort(self.txn);
    mdb_env_close(self.mdb);
    free(self.ids);
    if (lock >= 0)
        close(lock);
    return status;
}
