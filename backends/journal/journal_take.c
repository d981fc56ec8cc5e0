/* SPDX-License-Identifier: Apache-2.0 */
/* journal_take.c - taking: one transaction for a group's uuids and entries; once it is durable, it is taken. */
#include "journal_internal.h"

#include "utapi/scoped.h"

#include <string.h>

enum { RECORD_EVENTS = 256 };

/* A group that is being taken. */
typedef struct intake {
    const utapi_batch *batch;
    bool *skip;
    size_t count; /* of entries that are not skipped */
    uint64_t first;
    bool settles; /* it forgets something, or its time makes an appointment due */
    int64_t gone_newest_ms;
} intake;

static utapi_status batch_check(const utapi_batch *batch, utapi_error *err)
{
    if (utapi_fence_is_set(&batch->fence))
        return utapi_fail(err, UTAPI_NOT_SUPPORTED,
                          "a journal takes no fenced batch: it has fences of its own");
    for (size_t i = 0; i < batch->count; i++) {
        const utapi_entry *entry = &batch->entries[i];
        if (entry->uuid.size > UTAPI_NAME_MAX)
            return utapi_fail_at(err, UTAPI_INVALID, i, "uuid: longer than %d bytes", UTAPI_NAME_MAX);
        for (unsigned level = 0; level < UTAPI_LEVEL_COUNT; level++)
            if (entry->resource[level].size > UTAPI_NAME_MAX)
                return utapi_fail_at(err, UTAPI_INVALID, i, "a name of %zu bytes, expected 1 to %d",
                                     entry->resource[level].size, UTAPI_NAME_MAX);
    }
    return UTAPI_OK;
}

static int due_put(const journal *self, MDB_txn *txn, int64_t due_ms)
{
    unsigned char time[8];
    utapi_lmdbenv_put_u64(time, due_ms > 0 ? (uint64_t)due_ms : 0);
    MDB_val key = utapi_lmdbenv_val(time, sizeof time);
    MDB_val value = utapi_lmdbenv_val("", 0);
    return mdb_put(txn, self->env.tables[JOURNAL_DUE], &key, &value, 0);
}

static int forgettings_put(const journal *self, MDB_txn *txn, intake *take)
{
    int rc = 0;
    for (size_t i = 0; i < take->batch->count && rc == 0; i++) {
        const utapi_entry *entry = &take->batch->entries[i];
        if (take->skip[i] || entry->expiry == UTAPI_EXPIRE_NEVER)
            continue;
        take->settles = true;
        const bool later = entry->expiry == UTAPI_EXPIRE_LATER;
        const int64_t at_ms = later ? entry->expire_at_ms : entry->time_ms;
        if (at_ms > take->gone_newest_ms)
            rc = utapi_journal_gone_put(self, txn, UTAPI_BUCKETS, take->gone_newest_ms = at_ms);
        if (rc == 0 && later)
            rc = due_put(self, txn, entry->expire_at_ms);
    }
    return rc;
}

/* Whether an appointment fell due between the taking before and this one. */
static int due_check(const journal *self, MDB_txn *txn, int64_t after_ms, int64_t until_ms, bool *ret)
{
    MDB_cursor *cursor = NULL;
    unsigned char time[8];
    MDB_val value;
    int rc = mdb_cursor_open(txn, self->env.tables[JOURNAL_DUE], &cursor);
    if (rc != 0)
        return rc;
    utapi_lmdbenv_put_u64(time, after_ms > 0 ? (uint64_t)after_ms : 0);
    MDB_val key = utapi_lmdbenv_val(time, sizeof time);
    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    if (rc == 0 && key.mv_size == 8 && (int64_t)utapi_lmdbenv_get_u64(key.mv_data) <= until_ms)
        *ret = true;
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static size_t kept_count(const bool *skip, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        kept += !skip[i];
    return kept;
}

/* A group in records of its own: a hand-over may take a part of a group, and reads whole records. */
static int entries_put(const journal *self, MDB_txn *txn, uint32_t epoch, const intake *take,
                       unsigned char *buffer)
{
    uint64_t first = take->first;
    int rc = 0;
    for (size_t i = 0; i < take->batch->count && rc == 0; i += RECORD_EVENTS) {
        utapi_batch part = *take->batch;
        part.entries += i;
        part.count = part.count - i < RECORD_EVENTS ? part.count - i : RECORD_EVENTS;
        const size_t kept = kept_count(take->skip + i, part.count);
        if (kept == 0)
            continue;
        unsigned char bytes[ENTRY_KEY_SIZE];
        utapi_journal_entry_key(epoch, first, bytes);
        MDB_val key = utapi_lmdbenv_val(bytes, sizeof bytes);
        MDB_val value = utapi_lmdbenv_val(buffer, utapi_journal_encode(&part, take->skip + i, buffer));
        rc = mdb_put(txn, self->env.tables[JOURNAL_ENTRY], &key, &value, 0);
        first += kept;
    }
    return rc;
}

static utapi_status intake_store(journal *self, MDB_txn *txn, intake *take, unsigned char *buffer,
                                 utapi_applied *applied, utapi_error *err)
{
    enum { EXPIRE_LEAST = 64 };
    /* More than comes, so that expiry keeps up with taking. */
    const size_t expired = 2 * take->batch->count + EXPIRE_LEAST;
    utapi_status status = utapi_journal_seen_expire(self, txn, take->batch->accepted_ms, expired, err);
    if (status == UTAPI_OK)
        status = utapi_journal_seen_take(self, txn, take->batch, take->skip, &applied->repeated, err);
    if (status != UTAPI_OK)
        return status;
    take->count = take->batch->count - applied->repeated;
    pthread_mutex_lock(&self->lock);
    const uint32_t epoch = self->newest->number;
    const int64_t before_ms = self->now_ms;
    take->first = self->newest->next;
    take->gone_newest_ms = self->gone_newest_ms[UTAPI_BUCKETS];
    pthread_mutex_unlock(&self->lock);
    int rc = forgettings_put(self, txn, take);
    if (rc == 0)
        rc = due_check(self, txn, before_ms, take->batch->now_ms, &take->settles);
    if (rc == 0 && take->count > 0)
        rc = entries_put(self, txn, epoch, take, buffer);
    return rc == 0 ? UTAPI_OK : utapi_journal_fail(err, rc, "taking events");
}

/* What is durable becomes visible: to the drain thread and to questions. */
static void intake_publish(journal *self, const intake *take)
{
    const utapi_batch *batch = take->batch;
    pthread_mutex_lock(&self->lock);
    if (utapi_journal_waiting_epoch(self) == NULL)
        self->oldest_ms = batch->now_ms;
    utapi_journal_pending_add(self, batch, take->skip, take->first);
    self->newest->next = take->first + take->count;
    if (take->settles)
        self->settle = self->newest->next;
    self->gone_newest_ms[UTAPI_BUCKETS] = take->gone_newest_ms;
    self->now_ms = batch->now_ms;
    self->accepted_ms = batch->accepted_ms > self->accepted_ms ? batch->accepted_ms : self->accepted_ms;
    if (!self->gathering || utapi_journal_waiting(self) >= self->tuning.step_events)
        pthread_cond_signal(&self->wake);
    pthread_mutex_unlock(&self->lock);
}

/* Free pages are counted again only when enough was taken since to make a difference. */
static utapi_status room_check(journal *self, size_t size, int64_t accepted_ms, utapi_error *err)
{
    pthread_mutex_lock(&self->env.writing);
    const bool due = self->taken_since > self->env.reserve_pages * self->env.page_size / 16;
    self->taken_since = due ? size : self->taken_since + size;
    pthread_mutex_unlock(&self->env.writing);
    if (!due)
        return UTAPI_OK;
    const utapi_status status = utapi_journal_make_room(self, err);
    if (status != UTAPI_OK) {
        pthread_mutex_lock(&self->env.writing);
        self->taken_since = UINT64_MAX / 2; /* the next one looks again */
        pthread_mutex_unlock(&self->env.writing);
        /* While callers keep coming nobody may call tend, and without expiry there would never be room. */
        (void)!utapi_journal_seen_tend(self, accepted_ms, NULL);
    }
    return status;
}

utapi_status utapi_journal_apply(utapi_backend *base, const utapi_batch *batch, utapi_applied *ret,
                                 utapi_error *err)
{
    journal *self = (journal *)base;
    MDB_txn *txn = NULL;
    utapi_status status = batch_check(batch, err);
    if (status != UTAPI_OK)
        return status;
    const size_t size = utapi_journal_encoded_most(batch);
    UTAPI_AUTO_FREE unsigned char *buffer = malloc(size);
    UTAPI_AUTO_FREE bool *skip = calloc(batch->count + 1, sizeof *skip);
    if (buffer == NULL || skip == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "%zu events", batch->count);
    status = room_check(self, size, batch->accepted_ms, err);
    if (status == UTAPI_OK)
        status = utapi_journal_write_begin(self, &txn, err);
    if (status != UTAPI_OK)
        return status;
    intake take = {.batch = batch, .skip = skip};
    utapi_applied applied = {.repeated = 0};
    status = intake_store(self, txn, &take, buffer, &applied, err);
    status = utapi_journal_write_end(self, txn, status, err);
    if (status == UTAPI_OK) {
        intake_publish(self, &take);
        *ret = applied;
    }
    utapi_lmdbenv_write_leave(&self->env);
    return status;
}
