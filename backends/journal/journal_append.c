/* SPDX-License-Identifier: Apache-2.0 */
/* journal_append.c - groups on disk: how they are appended, in one transaction with their uuids, and read again.
 *
 * A group is stored in records of a few hundred events, each under the sequence of its first one, for a delivery may
 * take a part of a group and reads whole records. What was appended is told to the observer before another write can
 * begin, so it hears of groups in their order. */
#include "journal_store.h"

#include "utapi/scoped.h"

#include <errno.h>
#include <string.h>

enum { RECORD_EVENTS = 256, EXPIRE_MIN = 64, TIME_SIZE = 8 };

/* ---- scheduled expiries ------------------------------------------------------------------- */

static int due_put(const journal_log *log, MDB_txn *txn, int64_t due_ms, unsigned flags)
{
    unsigned char time[TIME_SIZE];
    utapi_lmdbenv_put_u64(time, due_ms > 0 ? (uint64_t)due_ms : 0);
    MDB_val key = utapi_lmdbenv_val(time, sizeof time);
    MDB_val value = utapi_lmdbenv_val("", 0);
    return mdb_put(txn, log->env.tables[JOURNAL_DUE], &key, &value, flags);
}

/* The first one that is not before a time; INT64_MAX: there is none. */
static int due_from(const journal_log *log, MDB_txn *txn, int64_t from_ms, int64_t *ret)
{
    MDB_cursor *cursor = NULL;
    unsigned char time[TIME_SIZE];
    MDB_val value;
    *ret = INT64_MAX;
    int rc = mdb_cursor_open(txn, log->env.tables[JOURNAL_DUE], &cursor);
    if (rc != 0)
        return rc;
    utapi_lmdbenv_put_u64(time, from_ms > 0 ? (uint64_t)from_ms : 0);
    MDB_val key = utapi_lmdbenv_val(time, sizeof time);
    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    if (rc == 0 && key.mv_size == TIME_SIZE)
        *ret = (int64_t)utapi_lmdbenv_get_u64(key.mv_data);
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

utapi_status utapi_journal_log_schedule(journal_log *log, int64_t due_ms, utapi_error *err)
{
    MDB_txn *txn = NULL;
    utapi_status status = utapi_journal_write_begin(log, &txn, err);
    if (status != UTAPI_OK)
        return status;
    const int rc = due_put(log, txn, due_ms, MDB_NOOVERWRITE);
    if (rc == MDB_KEYEXIST)
        mdb_txn_abort(txn); /* nothing is to be synced */
    else
        status = utapi_journal_write_end(log, txn, utapi_journal_code(err, rc, "a scheduled expiry"), err);
    utapi_lmdbenv_write_leave(&log->env);
    return status;
}

/* ---- appending ---------------------------------------------------------------------------- */

/* A group that is being appended. */
typedef struct append {
    const utapi_batch *batch;
    bool *skip;
    unsigned char *buffer; /* for one record */
    size_t count;          /* of entries that are not skipped: they are delivered */
    uint64_t first;
    bool expires;
    utapi_level level;    /* of what expires: buckets, unless an act says so */
    int64_t tombstone_ms; /* of it */
} append;

/* Questions wait for an act by itself (journal_read.c). */
static int act_expiry_put(const journal_log *log, MDB_txn *txn, append *group, const utapi_admin_act *act)
{
    if (act->kind != UTAPI_ADMIN_EXPIRE || act->time_ms <= group->tombstone_ms)
        return 0;
    return utapi_journal_tombstone_put(log, txn, act->level, group->tombstone_ms = act->time_ms);
}

static int expiries_put(const journal_log *log, MDB_txn *txn, append *group)
{
    const utapi_admin_act *act = utapi_batch_act(group->batch);
    int rc = act != NULL ? act_expiry_put(log, txn, group, act) : 0;
    for (size_t i = 0; i < group->batch->count && rc == 0; i++) {
        const utapi_entry *entry = &group->batch->entries[i];
        if (group->skip[i] || entry->expiry == UTAPI_EXPIRE_NEVER)
            continue;
        group->expires = true;
        const bool later = entry->expiry == UTAPI_EXPIRE_LATER;
        const int64_t at_ms = later ? utapi_record_expire_at(entry, group->batch->now_ms) : entry->time_ms;
        if (at_ms > group->tombstone_ms)
            rc = utapi_journal_tombstone_put(log, txn, UTAPI_BUCKETS, group->tombstone_ms = at_ms);
        if (rc == 0 && later)
            rc = due_put(log, txn, at_ms, 0);
    }
    return rc;
}

/* A record's entries were accepted at the same moment. */
static int records_put(const journal_log *log, MDB_txn *txn, const append *group)
{
    const utapi_batch *batch = group->batch;
    uint64_t first = group->first;
    int rc = 0;
    for (size_t i = 0, end; i < batch->count && rc == 0; i = end) {
        const bool *skip = group->skip + i;
        size_t kept = 0;
        for (end = i; end < batch->count && end - i < RECORD_EVENTS &&
                      batch->entries[end].accepted_ms == batch->entries[i].accepted_ms;
             end++)
            kept += !group->skip[end];
        if (kept == 0)
            continue;
        const utapi_batch part = {.entries = &batch->entries[i], .count = end - i, .now_ms = batch->now_ms};
        unsigned char bytes[JOURNAL_KEY_SIZE];
        utapi_journal_key(log->newest->number, first, bytes);
        MDB_val key = utapi_lmdbenv_val(bytes, sizeof bytes);
        MDB_val value = utapi_lmdbenv_val(group->buffer, utapi_record_encode(&part, skip, group->buffer));
        rc = mdb_put(txn, log->env.tables[JOURNAL_ENTRY], &key, &value, 0);
        first += kept;
    }
    return rc;
}

static size_t kept_count(const append *group)
{
    size_t count = 0;
    for (size_t i = 0; i < group->batch->count; i++)
        count += !group->skip[i];
    return count;
}

static utapi_status group_put(journal_log *log, MDB_txn *txn, append *group, size_t *ret_repeated,
                              utapi_error *err)
{
    const utapi_batch *batch = group->batch;
    int64_t due_ms = INT64_MAX;
    utapi_status status = utapi_dedup_add(&log->dedup, txn, batch, group->skip, ret_repeated, err);
    if (status == UTAPI_OK)
        status = utapi_journal_letters_apply(log, txn, batch, group->skip, ret_repeated, err);
    /* After the look-up: each entry is judged by its own time. More than come, so that expiry keeps up. */
    if (status == UTAPI_OK && batch->count > 0)
        status = utapi_dedup_expire(&log->dedup, txn, utapi_batch_accepted_ms(batch),
                                    2 * batch->count + EXPIRE_MIN, err);
    if (status != UTAPI_OK)
        return status;
    group->count = kept_count(group);
    group->first = log->newest->next; /* only writes change these: no lock is needed to look */
    group->level = utapi_batch_act(batch) != NULL ? utapi_batch_act(batch)->level : UTAPI_BUCKETS;
    group->tombstone_ms = log->tombstone_ms[group->level];
    int rc = expiries_put(log, txn, group);
    if (rc == 0)
        rc = due_from(log, txn, log->now_ms, &due_ms);
    group->expires |= due_ms <= batch->now_ms;
    if (rc == 0 && group->count > 0)
        rc = records_put(log, txn, group);
    return utapi_journal_code(err, rc, "accepting events");
}

/* What is durable becomes visible: to the delivery and to queries. */
static void group_publish(journal_log *log, const append *group)
{
    const journal_appended appended = {
        .batch = group->batch, .skip = group->skip, .first = group->first, .expires = group->expires};
    log->now_ms = group->batch->now_ms;
    pthread_mutex_lock(&log->lock);
    log->newest->next = group->first + group->count;
    log->tombstone_ms[group->level] = group->tombstone_ms;
    utapi_journal_observe(log, &appended);
    pthread_mutex_unlock(&log->lock);
}

utapi_status utapi_journal_log_append(journal_log *log, const utapi_batch *batch, utapi_applied *ret,
                                      utapi_error *err)
{
    MDB_txn *txn = NULL;
    const size_t size = utapi_record_max(batch);
    UTAPI_AUTO_FREE unsigned char *buffer = malloc(size);
    UTAPI_AUTO_FREE bool *skip = calloc(batch->count + 1, sizeof *skip);
    if (buffer == NULL || skip == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "%zu events", batch->count);
    utapi_status status = utapi_journal_make_room(log, size + utapi_letters_size_max(batch), err);
    if (status != UTAPI_OK) {
        /* While callers keep coming nobody may call maintain, and uuids alone may fill the log. */
        (void)!utapi_journal_log_maintain(log, utapi_batch_accepted_ms(batch), NULL);
        return status;
    }
    status = utapi_journal_write_begin(log, &txn, err);
    if (status != UTAPI_OK)
        return status;
    append group = {.batch = batch, .skip = skip, .buffer = buffer};
    utapi_applied applied = {.repeated = 0};
    status = group_put(log, txn, &group, &applied.repeated, err);
    const bool raises = utapi_batch_act(batch) != NULL && log->env.format < utapi_journal_layout.format;
    if (status == UTAPI_OK && raises) /* an older program would take the record for a gap */
        status = utapi_lmdbenv_raise(&log->env, txn, err);
    status = utapi_journal_write_end(log, txn, status, err);
    if (status == UTAPI_OK) {
        if (raises)
            log->env.format = utapi_journal_layout.format;
        group_publish(log, &group);
        *ret = applied;
    }
    utapi_lmdbenv_write_leave(&log->env);
    return status;
}

/* ---- reading ------------------------------------------------------------------------------ */

/* A record in memory of its own: nobody holds a transaction while the storage works. */
static utapi_status record_copy(MDB_val value, journal_group *ret, utapi_error *err)
{
    UTAPI_AUTO_FREE void *bytes = malloc(value.mv_size + 1);
    if (bytes == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a group of %zu bytes", value.mv_size);
    memcpy(bytes, value.mv_data, value.mv_size);
    const utapi_status status = utapi_record_decode(bytes, value.mv_size, &ret->record, err);
    if (status == UTAPI_OK)
        ret->bytes = UTAPI_TAKE(bytes);
    return status;
}

/* One read of groups under way. */
typedef struct group_read {
    const journal_log *log;
    MDB_txn *txn;
    uint32_t incarnation;
    uint64_t from, at; /* at: where the next record must hold an event */
    journal_group_fn *on_group;
    void *ctx;
} group_read;

/* Hands the record under the cursor on, if it is the next one and can be read. *ret_more: the one behind it is
 * wanted. */
static utapi_status record_visit(group_read *read, MDB_val key, MDB_val value, bool *ret_more,
                                 utapi_error *err)
{
    journal_group group = {.due_ms = INT64_MAX};
    utapi_error unread;
    *ret_more = false;
    if (!utapi_journal_key_is_of(key, read->incarnation, &group.first) || group.first > read->at)
        return UTAPI_OK;
    utapi_error_clear(&unread);
    utapi_status status = record_copy(value, &group, &unread);
    if (status == UTAPI_CORRUPT)
        return UTAPI_OK;
    if (status != UTAPI_OK)
        return utapi_fail(err, status, "%s", unread.detail);
    UTAPI_AUTO_FREE utapi_entry *entries = group.record.entries;
    const uint64_t end = group.first + group.record.count;
    if (end <= read->at) {
        free(group.bytes);
        return UTAPI_OK;
    }
    for (size_t i = 0; i < group.record.count; i++)
        entries[i].sequence = group.first + i;
    int rc = 0;
    if (read->at == read->from && group.record.now_ms < INT64_MAX)
        rc = due_from(read->log, read->txn, group.record.now_ms + 1, &group.due_ms);
    if (rc != 0) {
        free(group.bytes);
        return utapi_journal_code(err, rc, "scheduled expiries");
    }
    status = read->on_group(read->ctx, &group, ret_more, err);
    read->at = end;
    return status;
}

utapi_status utapi_journal_log_read(journal_log *log, uint32_t incarnation, uint64_t from, uint64_t until,
                                    journal_group_fn *on_group, void *ctx, uint64_t *ret_next,
                                    utapi_error *err)
{
    utapi_lmdbenv_reader *reader;
    MDB_val key, value;
    utapi_status status = utapi_lmdbenv_read_begin(&log->env, &reader, err);
    if (status != UTAPI_OK)
        return status;
    group_read read = {.log = log,
                       .txn = reader->txn,
                       .incarnation = incarnation,
                       .from = from,
                       .at = from,
                       .on_group = on_group,
                       .ctx = ctx};
    int rc = utapi_journal_record_find(reader->cursor, incarnation, from, &key, &value);
    for (bool more = true; rc == 0 && more && read.at < until && status == UTAPI_OK;) {
        status = record_visit(&read, key, value, &more, err);
        if (more && status == UTAPI_OK)
            rc = mdb_cursor_get(reader->cursor, &key, &value, MDB_NEXT);
    }
    *ret_next = read.at;
    if (status == UTAPI_OK && read.at == from && (rc == 0 || rc == MDB_NOTFOUND)) {
        uint64_t first; /* nothing could be read there: where does the next record begin? */
        rc = utapi_journal_record_seek(reader->cursor, incarnation, from + 1, &key, &value);
        *ret_next = until;
        if (rc == 0 && utapi_journal_key_is_of(key, incarnation, &first) && first < until)
            *ret_next = first;
    }
    utapi_lmdbenv_read_end(&log->env, reader);
    if (status == UTAPI_OK && rc != 0 && rc != MDB_NOTFOUND)
        return utapi_journal_code(err, rc, "reading");
    return status;
}
