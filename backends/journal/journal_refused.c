/* SPDX-License-Identifier: Apache-2.0 */
/* journal_refused.c - events that the storage can never take: kept aside, shown to the operator, acknowledged by him.
 *
 * A row is a status, the reason with its length, and the event as a group of one. Its key is the event's own
 * place, so that one which is refused twice is there once. Of one that was acknowledged the head alone stays, for as long
 * as the event itself may have to be handed over again; the numbers of both kinds stand among the others. */
#include "journal_internal.h"

#include "utapi/scoped.h"

#include <errno.h>
#include <string.h>

enum { HEAD_SIZE = 2, REASON_MOST = 200, ID_SIZE = 2 * ENTRY_KEY_SIZE };

/* Rows of which the head alone is left, and all that were ever acknowledged. */
static const char heads_name[] = "heads", refused_name[] = "refused acknowledged",
                  lost_name[] = "lost acknowledged";

int utapi_journal_acknowledged_load(journal *self, MDB_txn *txn, journal_acknowledged *ret)
{
    *ret = (journal_acknowledged){.refused = 0};
    const int rc = utapi_journal_number_load(self, txn, refused_name, &ret->refused);
    return rc == 0 ? utapi_journal_number_load(self, txn, lost_name, &ret->lost) : rc;
}

int utapi_journal_refused_count(journal *self, MDB_txn *txn, uint64_t *ret)
{
    MDB_stat stat;
    journal_acknowledged known;
    uint64_t heads = 0;
    int rc = mdb_stat(txn, self->env.tables[JOURNAL_REFUSED], &stat);
    if (rc == 0)
        rc = utapi_journal_number_load(self, txn, heads_name, &heads);
    if (rc == 0)
        rc = utapi_journal_acknowledged_load(self, txn, &known);
    if (rc == 0)
        *ret = stat.ms_entries - heads + known.refused;
    return rc;
}

static int refused_put(const journal *self, MDB_txn *txn, MDB_val key, const utapi_batch *one,
                       utapi_status why, const char *reason)
{
    const size_t length = strnlen(reason, REASON_MOST);
    UTAPI_AUTO_FREE unsigned char *row = malloc(HEAD_SIZE + length + utapi_journal_encoded_most(one));
    if (row == NULL)
        return ENOMEM;
    row[0] = (unsigned char)why;
    row[1] = (unsigned char)length;
    memcpy(row + HEAD_SIZE, reason, length);
    const size_t size = HEAD_SIZE + length + utapi_journal_encode(one, NULL, row + HEAD_SIZE + length);
    MDB_val value = utapi_lmdbenv_val(row, size);
    return mdb_put(txn, self->env.tables[JOURNAL_REFUSED], &key, &value, 0);
}

utapi_status utapi_journal_refuse(journal *self, uint32_t epoch, const journal_step *step, utapi_status why,
                                  const char *reason, utapi_error *err)
{
    MDB_txn *txn = NULL;
    uint64_t refused = 0;
    utapi_status status = utapi_journal_write_begin(self, &txn, err);
    if (status != UTAPI_OK)
        return status;
    int rc = 0;
    for (size_t i = 0; i < step->batch.count && rc == 0; i++) {
        unsigned char bytes[ENTRY_KEY_SIZE];
        const utapi_batch one = {.entries = &step->entries[i],
                                 .count = 1,
                                 .now_ms = step->batch.now_ms,
                                 .accepted_ms = step->batch.accepted_ms};
        utapi_journal_entry_key(epoch, step->from + i, bytes);
        rc = refused_put(self, txn, utapi_lmdbenv_val(bytes, sizeof bytes), &one, why, reason);
    }
    if (rc == 0)
        rc = utapi_journal_refused_count(self, txn, &refused);
    status = rc == 0 ? UTAPI_OK : utapi_journal_fail(err, rc, "keeping an event aside");
    status = utapi_journal_write_end(self, txn, status, err);
    if (status == UTAPI_OK) {
        pthread_mutex_lock(&self->lock);
        self->refused = refused;
        pthread_mutex_unlock(&self->lock);
    }
    utapi_lmdbenv_write_leave(&self->env);
    return status;
}

/* ---- ids: a row's key in hex -------------------------------------------------------------- */

static const char hex[] = "0123456789abcdef";

static void id_write(const unsigned char key[static ENTRY_KEY_SIZE], char ret[static ID_SIZE + 1])
{
    for (size_t i = 0; i < ENTRY_KEY_SIZE; i++) {
        ret[2 * i] = hex[key[i] >> 4];
        ret[2 * i + 1] = hex[key[i] & 15];
    }
    ret[ID_SIZE] = '\0';
}

static bool id_read(utapi_string id, unsigned char ret[static ENTRY_KEY_SIZE])
{
    if (id.size != ID_SIZE)
        return false;
    for (size_t i = 0; i < ID_SIZE; i++) {
        const char *digit = memchr(hex, id.data[i], sizeof hex - 1);
        if (digit == NULL)
            return false;
        const unsigned nibble = (unsigned)(digit - hex);
        ret[i / 2] = (unsigned char)(i % 2 == 0 ? nibble << 4 : ret[i / 2] | nibble);
    }
    return true;
}

/* ---- rows --------------------------------------------------------------------------------- */

/* The parts of a row; the group's entries are owned. False where it cannot be read: the reason is "" if even that cannot. */
static bool row_read(MDB_val value, journal_group *ret, char ret_reason[static REASON_MOST + 1])
{
    const unsigned char *row = value.mv_data;
    *ret_reason = '\0';
    if (value.mv_size < HEAD_SIZE || row[1] > value.mv_size - HEAD_SIZE || row[1] > REASON_MOST)
        return false;
    memcpy(ret_reason, row + HEAD_SIZE, row[1]);
    ret_reason[row[1]] = '\0';
    const size_t head = HEAD_SIZE + (size_t)row[1];
    return utapi_journal_decode(row + head, value.mv_size - head, ret, NULL) == UTAPI_OK;
}

/* ---- acknowledging ------------------------------------------------------------------------ */

/* Whoever has taken note of an event may push it again, once what refused it is mended: its uuid is not known then. */
static int uuid_release(journal *self, MDB_txn *txn, MDB_val row)
{
    journal_group group;
    char reason[REASON_MOST + 1];
    if (!row_read(row, &group, reason))
        return 0;
    const int rc = utapi_journal_seen_drop(self, txn, &group.entries[0]);
    free(group.entries);
    return rc;
}

static bool row_is_acknowledged(MDB_val value)
{
    return value.mv_size == HEAD_SIZE;
}

/* Whether a row's event may have to be handed over again: it must be known then that it was refused. */
static bool event_is_kept(journal *self, MDB_val row_key)
{
    if (row_key.mv_size != ENTRY_KEY_SIZE)
        return false;
    const unsigned char *bytes = row_key.mv_data;
    const uint32_t number = utapi_lmdbenv_get_u32(bytes);
    pthread_mutex_lock(&self->lock);
    const journal_epoch *epoch = self->oldest;
    while (epoch != NULL && epoch->number != number)
        epoch = epoch->next_epoch;
    const bool is_kept = epoch != NULL && utapi_lmdbenv_get_u64(bytes + 4) >= epoch->deleted;
    pthread_mutex_unlock(&self->lock);
    return is_kept;
}

/* Leaves the head of a row, or nothing. */
static int row_acknowledge(MDB_cursor *cursor, MDB_val row_key, bool is_kept)
{
    static const unsigned char head[HEAD_SIZE] = {0};
    unsigned char bytes[ENTRY_KEY_SIZE];
    if (!is_kept)
        return mdb_cursor_del(cursor, 0);
    memcpy(bytes, row_key.mv_data, sizeof bytes);
    MDB_val key = utapi_lmdbenv_val(bytes, sizeof bytes), value = utapi_lmdbenv_val(head, sizeof head);
    return mdb_cursor_put(cursor, &key, &value, MDB_CURRENT);
}

/* A part of what an operator has taken note of: as much as goes into one transaction, for a full journal has little room
 * for copies. */
typedef struct acknowledgement {
    const utapi_acknowledgement *what;
    size_t from, to; /* of its ids */
} acknowledgement;

enum { ROWS_AT_ONCE = 256 };

/* Acknowledges rows; one that is not there, or was acknowledged before, is passed over. Adds up how many were not. */
static int rows_acknowledge(journal *self, MDB_txn *txn, const acknowledgement *part, uint64_t *refused)
{
    MDB_cursor *cursor = NULL;
    int rc = mdb_cursor_open(txn, self->env.tables[JOURNAL_REFUSED], &cursor);
    for (size_t i = part->from; i < part->to && rc == 0; i++) {
        unsigned char bytes[ENTRY_KEY_SIZE];
        MDB_val value;
        if (!id_read(part->what->refused[i], bytes))
            continue;
        MDB_val key = utapi_lmdbenv_val(bytes, sizeof bytes);
        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_KEY);
        if (rc == 0 && !row_is_acknowledged(value)) {
            rc = uuid_release(self, txn, value);
            key = utapi_lmdbenv_val(bytes, sizeof bytes); /* what was found is not valid any more */
            if (rc == 0)
                rc = row_acknowledge(cursor, key, event_is_kept(self, key));
            ++*refused;
        }
        rc = rc == MDB_NOTFOUND ? 0 : rc;
    }
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    return rc;
}

/* Takes heads away that nobody needs any more; *ret_left: how many are needed. */
static int heads_drop(journal *self, MDB_txn *txn, uint64_t *ret_left)
{
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    *ret_left = 0;
    int rc = mdb_cursor_open(txn, self->env.tables[JOURNAL_REFUSED], &cursor);
    while (rc == 0 && (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        if (!row_is_acknowledged(value))
            continue;
        if (event_is_kept(self, key))
            ++*ret_left;
        else
            rc = mdb_cursor_del(cursor, 0);
    }
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* Changes rows and numbers. *now: what is acknowledged before, and afterwards. */
static int acknowledgement_put(journal *self, MDB_txn *txn, const acknowledgement *part,
                               journal_acknowledged *now)
{
    uint64_t heads = 0;
    int rc = rows_acknowledge(self, txn, part, &now->refused);
    if (rc == 0)
        rc = heads_drop(self, txn, &heads);
    if (rc == 0)
        rc = utapi_journal_number_put(self, txn, heads_name, heads);
    if (rc == 0)
        rc = utapi_journal_number_put(self, txn, refused_name, now->refused);
    now->lost = part->what->lost > now->lost ? part->what->lost : now->lost;
    return rc == 0 ? utapi_journal_number_put(self, txn, lost_name, now->lost) : rc;
}

static utapi_status acknowledge_part(journal *self, const acknowledgement *part, utapi_error *err)
{
    MDB_txn *txn = NULL;
    journal_acknowledged now = {.refused = 0};
    utapi_status status = utapi_journal_write_begin(self, &txn, err);
    if (status != UTAPI_OK)
        return status;
    int rc = utapi_journal_acknowledged_load(self, txn, &now);
    if (rc == 0)
        rc = acknowledgement_put(self, txn, part, &now);
    status = rc == 0 ? UTAPI_OK : utapi_journal_fail(err, rc, "an acknowledgement");
    status = utapi_journal_write_end(self, txn, status, err);
    if (status == UTAPI_OK) {
        pthread_mutex_lock(&self->lock);
        self->acknowledged = now;
        pthread_mutex_unlock(&self->lock);
    }
    utapi_lmdbenv_write_leave(&self->env);
    return status;
}

static utapi_status acknowledgement_check(journal *self, const utapi_acknowledgement *what, utapi_error *err)
{
    unsigned char bytes[ENTRY_KEY_SIZE];
    pthread_mutex_lock(&self->lock);
    const uint64_t lost = self->lost;
    pthread_mutex_unlock(&self->lock);
    if (what->lost > lost)
        return utapi_fail(err, UTAPI_INVALID, "lost: no more than %llu were", (unsigned long long)lost);
    for (size_t i = 0; i < what->count; i++)
        if (!id_read(what->refused[i], bytes))
            return utapi_fail(err, UTAPI_INVALID, "refused[%zu]: expected an id, as events are listed with",
                              i);
    return UTAPI_OK;
}

utapi_status utapi_journal_acknowledge(utapi_backend *base, const utapi_acknowledgement *what,
                                       utapi_error *err)
{
    if (base->ops->apply != utapi_journal_apply)
        return utapi_fail(err, UTAPI_NOT_SUPPORTED, "there is no journal before this storage");
    journal *self = (journal *)base;
    acknowledgement part = {.what = what};
    utapi_status status = acknowledgement_check(self, what, err);
    if (status != UTAPI_OK)
        return status;
    do {
        part.from = part.to;
        part.to = what->count - part.from < ROWS_AT_ONCE ? what->count : part.from + ROWS_AT_ONCE;
        status = acknowledge_part(self, &part, err);
    } while (status == UTAPI_OK && part.to < what->count);
    return status;
}

/* ---- showing ------------------------------------------------------------------------------ */

/* A row that cannot be read is shown as an event of which only that is known. */
static bool refused_show(MDB_val key, MDB_val value, utapi_refused_cb *on_refused, void *ctx)
{
    static const utapi_entry unknown = {.operation = UTAPI_OP_NONE};
    char id[ID_SIZE + 1], reason[REASON_MOST + 1];
    journal_group group;
    id_write(key.mv_data, id);
    if (!row_read(value, &group, reason))
        return on_refused(ctx, id, &unknown, UTAPI_CORRUPT,
                          *reason != '\0' ? reason : "the journal holds a row that cannot be read");
    const utapi_status why = (utapi_status) * (const unsigned char *)value.mv_data;
    const bool more = on_refused(ctx, id, &group.entries[0], why, reason);
    free(group.entries);
    return more;
}

utapi_status utapi_journal_refused(utapi_backend *base, utapi_refused_cb *on_refused, void *ctx,
                                   utapi_error *err)
{
    if (base->ops->apply != utapi_journal_apply)
        return utapi_fail(err, UTAPI_NOT_SUPPORTED, "there is no journal before this storage");
    journal *self = (journal *)base;
    utapi_lmdbenv_reader *reader;
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    const utapi_status status = utapi_lmdbenv_read_begin(&self->env, &reader, err);
    if (status != UTAPI_OK)
        return status;
    int rc = mdb_cursor_open(reader->txn, self->env.tables[JOURNAL_REFUSED], &cursor);
    while (rc == 0) {
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        if (rc == 0 && key.mv_size == ENTRY_KEY_SIZE && !row_is_acknowledged(value) &&
            !refused_show(key, value, on_refused, ctx))
            break;
    }
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    utapi_lmdbenv_read_end(&self->env, reader);
    return rc == 0 || rc == MDB_NOTFOUND ? UTAPI_OK : utapi_journal_fail(err, rc, "reading");
}
