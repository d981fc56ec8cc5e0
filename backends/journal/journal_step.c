/* SPDX-License-Identifier: Apache-2.0 */
/* journal_step.c - what is handed over next, read from the journal.
 *
 * A step joins groups, as long as they stay exact together: the batch gets the times of its newest group, so
 * nothing may fall due between the first and the last of them, and they lie close together. It may begin and
 * end inside a group, for the sequence counts events. What is not there any more, or cannot be read, is a gap;
 * what was kept aside before is left out again. */
#include "journal_internal.h"

#include "utapi/scoped.h"

#include <string.h>

enum { JOIN_MS = 1000 };

/* Distinct (resource, interval) so far, and operations in them, by hash: a collision makes a step too large by one. They
 * are weighed as the contract has it. */
typedef struct cells {
    uint64_t *slots;  /* 0: free */
    uint64_t *lately; /* the journal's own */
    size_t warm, cold, operations, entries, most, mask;
} cells;

static uint64_t cell_hash(unsigned level, utapi_string name, utapi_interval interval)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ (uint64_t)interval * UINT64_C(0x9e3779b97f4a7c15) ^ level;
    for (size_t i = 0; i < name.size; i++)
        hash = (hash ^ (unsigned char)name.data[i]) * UINT64_C(0x100000001b3);
    hash ^= hash >> 31;
    return hash | 1;
}

/* Adds it if it is new; returns whether it was. */
static bool cell_add(cells *known, uint64_t hash)
{
    size_t at = (size_t)(hash >> 1) & known->mask;
    while (known->slots[at] != 0 && known->slots[at] != hash)
        at = (at + 1) & known->mask;
    if (known->slots[at] == hash)
        return false;
    known->slots[at] = hash;
    return true;
}

/* Counts a cell if it is new to the step, or else an operation that is new to it. A cell that was handed over lately lies
 * where its hash says, until another one takes its place. */
static void cell_count(cells *known, uint64_t hash, utapi_operation operation, size_t weight)
{
    uint64_t *place = &known->lately[(hash >> 1) % JOURNAL_LATELY];
    const bool is_new = cell_add(known, hash);
    const uint64_t with_operation = (hash + (uint64_t)operation * UINT64_C(0x9e3779b97f4a7c15)) | 1;
    if (operation != UTAPI_OP_NONE && cell_add(known, with_operation))
        known->operations += !is_new;
    if (!is_new)
        return;
    if (weight == 1 && *place == hash)
        known->warm++;
    else
        known->cold += weight;
    *place = hash;
}

/* What an entry weighs for the beginning or the end of its bucket. */
static size_t life_weight(const utapi_entry *entry, bool late)
{
    if (entry->expiry == UTAPI_EXPIRE_NOW)
        return late ? UTAPI_STEP_LATE_FORGETTING : UTAPI_STEP_BUCKET_LIFE;
    return entry->operation == UTAPI_OP_CREATE_BUCKET ? UTAPI_STEP_BUCKET_LIFE : 0;
}

/* Counts an entry that was taken at a time in; false if it does not fit any more. */
static bool cells_take(cells *known, const utapi_entry *entry, int64_t now_ms, bool first)
{
    if (known->most == 0)
        return true;
    const utapi_interval interval = utapi_interval_of(entry->time_ms);
    const bool late = interval < utapi_interval_of(now_ms) - UTAPI_INTERVAL_MS;
    const size_t weight = late ? UTAPI_STEP_LATE_CELL : 1, life = life_weight(entry, late);
    const size_t count = known->cold + known->warm / UTAPI_STEP_WARM_CELLS +
                         known->operations / UTAPI_STEP_OPERATIONS_A_CELL +
                         known->entries / UTAPI_STEP_ENTRIES_A_CELL;
    if (!first && count + weight * UTAPI_LEVEL_COUNT + life + 1 > known->most) {
        /* It may well bring nothing new; but a look ahead would have to be taken back. */
        return false;
    }
    known->entries++;
    known->cold += life;
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT; level++)
        if (entry->resource[level].size > 0)
            cell_count(known, cell_hash(level, entry->resource[level], interval), entry->operation, weight);
    return true;
}

static bool cells_new(cells *ret, journal *self)
{
    size_t slots = 16;
    const size_t most = self->storage->ops->largest_step;
    *ret = (cells){.most = most, .lately = self->lately};
    if (most == 0)
        return true;
    while (slots < 2 * (UTAPI_STEP_WARM_CELLS + UTAPI_STEP_OPERATIONS_A_CELL) * (most + 8))
        slots *= 2;
    ret->mask = slots - 1;
    ret->slots = calloc(slots, sizeof *ret->slots);
    return ret->slots != NULL;
}

/* ---- looking ------------------------------------------------------------------------------ */

/* One step being read. */
typedef struct look {
    const journal *self;
    utapi_lmdbenv_reader *reader; /* its cursor is in `entry` */
    uint32_t epoch;
    uint64_t until; /* the sequence that it may not go beyond */
    size_t most;
    cells known;
    journal_step *step;
} look;

static bool key_is_of(MDB_val key, uint32_t epoch, uint64_t *ret_first)
{
    if (key.mv_size != ENTRY_KEY_SIZE || utapi_lmdbenv_get_u32(key.mv_data) != epoch)
        return false;
    *ret_first = utapi_lmdbenv_get_u64((const unsigned char *)key.mv_data + 4);
    return true;
}

/* Moves to the group that holds an event or, if there is none, to the next one. */
static int group_seek(const look *at, uint64_t sequence, MDB_val *key, MDB_val *value)
{
    unsigned char bytes[ENTRY_KEY_SIZE];
    uint64_t first;
    utapi_journal_entry_key(at->epoch, sequence, bytes);
    *key = utapi_lmdbenv_val(bytes, sizeof bytes);
    int rc = mdb_cursor_get(at->reader->cursor, key, value, MDB_SET_RANGE);
    if (rc == 0 && key_is_of(*key, at->epoch, &first) && first == sequence)
        return 0;
    rc = mdb_cursor_get(at->reader->cursor, key, value, rc == 0 ? MDB_PREV : MDB_LAST);
    if (rc == 0 && key_is_of(*key, at->epoch, &first))
        return 0;
    utapi_journal_entry_key(at->epoch, sequence, bytes);
    *key = utapi_lmdbenv_val(bytes, sizeof bytes);
    return mdb_cursor_get(at->reader->cursor, key, value, MDB_SET_RANGE);
}

/* Where the next event that was kept aside before stands; `otherwise` if none does. */
static int refused_next(const look *at, uint64_t from, uint64_t otherwise, uint64_t *ret)
{
    MDB_cursor *cursor = NULL;
    unsigned char bytes[ENTRY_KEY_SIZE];
    MDB_val value;
    uint64_t first;
    *ret = otherwise;
    int rc = mdb_cursor_open(at->reader->txn, at->self->env.tables[JOURNAL_REFUSED], &cursor);
    if (rc != 0)
        return rc;
    utapi_journal_entry_key(at->epoch, from, bytes);
    MDB_val key = utapi_lmdbenv_val(bytes, sizeof bytes);
    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    if (rc == 0 && key_is_of(key, at->epoch, &first) && first < otherwise)
        *ret = first;
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int due_between(const look *at, int64_t after_ms, int64_t until_ms, bool *ret)
{
    MDB_cursor *cursor = NULL;
    unsigned char bytes[8];
    MDB_val value;
    *ret = false;
    int rc = mdb_cursor_open(at->reader->txn, at->self->env.tables[JOURNAL_DUE], &cursor);
    if (rc != 0)
        return rc;
    utapi_lmdbenv_put_u64(bytes, after_ms >= 0 ? (uint64_t)after_ms + 1 : 0);
    MDB_val key = utapi_lmdbenv_val(bytes, sizeof bytes);
    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    if (rc == 0 && key.mv_size == sizeof bytes)
        *ret = (int64_t)utapi_lmdbenv_get_u64(key.mv_data) <= until_ms;
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* ---- joining ------------------------------------------------------------------------------ */

static bool carries_appointment(const journal_step *step)
{
    for (size_t i = 0; i < step->batch.count; i++)
        if (step->entries[i].expiry == UTAPI_EXPIRE_LATER)
            return true;
    return false;
}

static utapi_status group_may_join(const look *at, const journal_group *group, bool *ret, utapi_error *err)
{
    const utapi_batch *batch = &at->step->batch;
    bool falls_due = false;
    *ret = true;
    if (batch->count == 0)
        return UTAPI_OK;
    *ret = group->now_ms >= batch->now_ms && group->now_ms - batch->now_ms <= JOIN_MS &&
           group->now_ms - at->step->oldest_ms <= JOIN_MS;
    if (!*ret || group->now_ms == batch->now_ms)
        return UTAPI_OK;
    const int rc = due_between(at, batch->now_ms, group->now_ms, &falls_due);
    *ret = !falls_due && !carries_appointment(at->step);
    return rc == 0 ? UTAPI_OK : utapi_journal_fail(err, rc, "appointments");
}

/* Takes what fits of a group into the step; *ret_all says whether that is all of it. */
static utapi_status group_join(look *at, const journal_group *group, uint64_t first, void *bytes,
                               bool *ret_all, utapi_error *err)
{
    journal_step *step = at->step;
    void **groups = realloc(step->groups, (step->group_count + 1) * sizeof *groups);
    if (groups == NULL) {
        free(bytes);
        return utapi_fail(err, UTAPI_NO_MEMORY, "a hand-over");
    }
    step->groups = groups;
    step->groups[step->group_count++] = bytes;
    const size_t skipped = (size_t)(step->to - first);
    utapi_entry *entries =
        realloc(step->entries, (step->batch.count + group->count - skipped) * sizeof *entries);
    if (entries == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a hand-over");
    step->entries = entries;
    size_t i = skipped;
    for (; i < group->count && step->to < at->until && step->batch.count < at->most; i++, step->to++) {
        if (!cells_take(&at->known, &group->entries[i], group->now_ms, step->batch.count == 0))
            break;
        step->entries[step->batch.count++] = group->entries[i];
    }
    *ret_all = i == group->count;
    if (i == skipped)
        return UTAPI_OK;
    if (step->oldest_ms == 0)
        step->oldest_ms = group->now_ms;
    step->batch.now_ms = group->now_ms;
    step->batch.accepted_ms =
        group->accepted_ms > step->batch.accepted_ms ? group->accepted_ms : step->batch.accepted_ms;
    return UTAPI_OK;
}

/* A group in memory of its own: nobody holds a transaction while the storage works. */
static utapi_status group_copy(MDB_val value, void **ret_bytes, journal_group *ret, utapi_error *err)
{
    void *bytes = malloc(value.mv_size + 1);
    if (bytes == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a group of %zu bytes", value.mv_size);
    memcpy(bytes, value.mv_data, value.mv_size);
    const utapi_status status = utapi_journal_decode(bytes, value.mv_size, ret, err);
    if (status == UTAPI_OK)
        *ret_bytes = bytes;
    else
        free(bytes);
    return status;
}

/* Looks at the group under the cursor. *ret_more: the next one may join too. */
static utapi_status group_look(look *at, MDB_val key, MDB_val value, bool *ret_more, utapi_error *err)
{
    journal_step *step = at->step;
    journal_group group = {.count = 0};
    uint64_t first = 0;
    void *bytes = NULL;
    bool joins = false;
    *ret_more = false;
    if (!key_is_of(key, at->epoch, &first) || first > step->to)
        return UTAPI_OK;
    utapi_error unread;
    utapi_error_clear(&unread);
    utapi_status status = group_copy(value, &bytes, &group, &unread);
    if (status == UTAPI_CORRUPT || (status == UTAPI_OK && first + group.count <= step->to)) {
        free(bytes);
        free(group.entries);
        return UTAPI_OK;
    }
    if (status != UTAPI_OK)
        return utapi_fail(err, status, "%s", unread.detail);
    status = group_may_join(at, &group, &joins, err);
    if (status == UTAPI_OK && joins)
        status = group_join(at, &group, first, bytes, ret_more, err);
    else
        free(bytes);
    free(group.entries);
    return status;
}

/* Nothing could be read at step->from: where does the next group begin that can? */
static utapi_status gap_measure(const look *at, utapi_error *err)
{
    unsigned char bytes[ENTRY_KEY_SIZE];
    MDB_val value;
    uint64_t first;
    journal_step *step = at->step;
    step->kind = STEP_GAP;
    step->to = at->until;
    utapi_journal_entry_key(at->epoch, step->from + 1, bytes);
    MDB_val key = utapi_lmdbenv_val(bytes, sizeof bytes);
    const int rc = mdb_cursor_get(at->reader->cursor, &key, &value, MDB_SET_RANGE);
    if (rc == 0 && key_is_of(key, at->epoch, &first) && first < at->until)
        step->to = first;
    return rc == 0 || rc == MDB_NOTFOUND ? UTAPI_OK : utapi_journal_fail(err, rc, "reading");
}

static utapi_status step_look(look *at, utapi_error *err)
{
    journal_step *step = at->step;
    MDB_val key, value;
    uint64_t refused;
    int rc = refused_next(at, step->from, at->until, &refused);
    if (rc == 0 && refused == step->from) {
        step->kind = STEP_REFUSED;
        step->to = step->from + 1;
        return UTAPI_OK;
    }
    at->until = refused < at->until ? refused : at->until;
    if (rc == 0)
        rc = group_seek(at, step->from, &key, &value);
    utapi_status status = UTAPI_OK;
    for (bool more = true; rc == 0 && more && status == UTAPI_OK;) {
        status = group_look(at, key, value, &more, err);
        if (more && status == UTAPI_OK)
            rc = mdb_cursor_get(at->reader->cursor, &key, &value, MDB_NEXT);
    }
    if (rc != 0 && rc != MDB_NOTFOUND)
        return utapi_journal_fail(err, rc, "reading");
    if (status == UTAPI_OK && step->batch.count == 0)
        return gap_measure(at, err);
    return status;
}

utapi_status utapi_journal_step_read(journal *self, uint32_t epoch, uint64_t from, uint64_t until,
                                     size_t most, journal_step *ret, utapi_error *err)
{
    *ret = (journal_step){.kind = STEP_EVENTS, .from = from, .to = from};
    look at = {.self = self, .epoch = epoch, .until = until, .most = most, .step = ret};
    utapi_status status = utapi_lmdbenv_read_begin(&self->env, &at.reader, err);
    if (status != UTAPI_OK)
        return status;
    status =
        cells_new(&at.known, self) ? step_look(&at, err) : utapi_fail(err, UTAPI_NO_MEMORY, "a hand-over");
    free(at.known.slots);
    utapi_lmdbenv_read_end(&self->env, at.reader);
    ret->batch.entries = ret->entries;
    return status;
}

void utapi_journal_step_free(journal_step *step)
{
    for (size_t i = 0; i < step->group_count; i++)
        free(step->groups[i]);
    free(step->groups);
    free(step->entries);
    *step = (journal_step){.kind = STEP_EVENTS};
}

int64_t utapi_journal_taken_at(journal *self, uint32_t epoch, uint64_t sequence)
{
    int64_t taken_at_ms = 0, now_ms = 0;
    MDB_val key, value;
    look at = {.self = self, .epoch = epoch};
    if (utapi_lmdbenv_read_begin(&self->env, &at.reader, NULL) != UTAPI_OK)
        return 0;
    if (group_seek(&at, sequence, &key, &value) == 0 &&
        utapi_journal_peek(value.mv_data, value.mv_size, &now_ms))
        taken_at_ms = now_ms;
    utapi_lmdbenv_read_end(&self->env, at.reader);
    return taken_at_ms;
}
