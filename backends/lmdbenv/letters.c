/* SPDX-License-Identifier: Apache-2.0 */
/* letters.c - dead letters into a table, out of it, and counted. */
#include "letters.h"

#include "record.h"
#include "utapi/codec.h"
#include "utapi/scoped.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
    FORM = 1,
    NUMBER_SIZE = 8,
    FIXED_SIZE = 3 + 8,
    DETAIL_MAX = 200,
    HEAD_MAX = FIXED_SIZE + 1 + DETAIL_MAX + 1 + UTAPI_SOURCE_MAX,
    COUNT_NAME_MAX = 128
};

/* ---- counts ------------------------------------------------------------------------------- */

static const char ever_prefix[] = "dead ever ", dropped_prefix[] = "dead dropped ";

static MDB_dbi meta_of(const utapi_letters *self)
{
    return self->env->tables[self->env->layout->table_count - 1];
}

/* A count under a name; MDB_NOTFOUND: there is none, and *ret is 0. */
static int count_get(const utapi_letters *self, MDB_txn *txn, const char *name, uint64_t *ret)
{
    MDB_val key = utapi_lmdbenv_val(name, strlen(name)), value;
    const int rc = mdb_get(txn, meta_of(self), &key, &value);
    *ret = rc == 0 && value.mv_size == sizeof *ret ? utapi_lmdbenv_get_u64(value.mv_data) : 0;
    return rc;
}

static int count_up(const utapi_letters *self, MDB_txn *txn, const char *name)
{
    unsigned char bytes[8];
    uint64_t count;
    const int rc = count_get(self, txn, name, &count);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return rc;
    utapi_lmdbenv_put_u64(bytes, count + 1);
    MDB_val key = utapi_lmdbenv_val(name, strlen(name)), value = utapi_lmdbenv_val(bytes, sizeof bytes);
    return mdb_put(txn, meta_of(self), &key, &value, 0);
}

/* The reason that a count's name goes on with; *rest: what follows it. */
static utapi_reason reason_read(utapi_string name, utapi_string *rest)
{
    size_t size = 0;
    while (size < name.size && name.data[size] != ' ')
        size++;
    *rest = (utapi_string){name.data + size, name.size - size};
    unsigned reason = 0; /* one that a later version knows is another one here */
    while (reason < UTAPI_REASON_OTHER &&
           !utapi_string_equal(utapi_string_of(utapi_reason_name((utapi_reason)reason)),
                               (utapi_string){name.data, size}))
        reason++;
    return (utapi_reason)reason;
}

static bool prefix_take(utapi_string *name, const char *prefix)
{
    const size_t size = strlen(prefix);
    if (name->size < size || memcmp(name->data, prefix, size) != 0)
        return false;
    *name = (utapi_string){name->data + size, name->size - size};
    return true;
}

static void count_read(MDB_val key, MDB_val value, utapi_dead_letter_stats *ret)
{
    utapi_string name = {key.mv_data, key.mv_size}, source;
    if (value.mv_size != sizeof(uint64_t))
        return;
    const uint64_t count = utapi_lmdbenv_get_u64(value.mv_data);
    if (prefix_take(&name, ever_prefix)) {
        ret->ever[reason_read(name, &source)] += count;
    } else if (prefix_take(&name, dropped_prefix) && ret->dropped_count < UTAPI_DROPPED_MAX) {
        utapi_dropped *dropped = &ret->dropped[ret->dropped_count++];
        *dropped = (utapi_dropped){.reason = reason_read(name, &source), .count = count};
        (void)prefix_take(&source, " ");
        (void)snprintf(dropped->source, sizeof dropped->source, "%.*s", (int)source.size, source.data);
    }
}

int utapi_letters_stats(const utapi_letters *self, MDB_txn *txn, utapi_dead_letter_stats *ret)
{
    static const char first[] = "dead ";
    MDB_stat stat;
    MDB_cursor *cursor = NULL;
    MDB_val key = utapi_lmdbenv_val(first, sizeof first - 1), value;
    *ret = (utapi_dead_letter_stats){.kept = 0};
    int rc = mdb_stat(txn, self->env->tables[self->table], &stat);
    if (rc != 0)
        return rc;
    ret->kept = stat.ms_entries;
    rc = mdb_cursor_open(txn, meta_of(self), &cursor);
    if (rc == 0)
        rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    for (; rc == 0 && key.mv_size >= sizeof first - 1 && memcmp(key.mv_data, first, sizeof first - 1) == 0;
         rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT))
        count_read(key, value, ret);
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* Counts an event that is not kept: by its source, or without it where too many sources have a count. */
static int dropped_count(const utapi_letters *self, MDB_txn *txn, const utapi_refusal *why)
{
    enum { SOURCES_MAX = UTAPI_DROPPED_MAX - UTAPI_REASON_COUNT };
    utapi_dead_letter_stats stats = {.dropped_count = 0};
    char name[COUNT_NAME_MAX];
    uint64_t count;
    const utapi_string source = utapi_string_cut(why->source, UTAPI_SOURCE_MAX);
    const char *reason = utapi_reason_name(why->reason);
    (void)snprintf(name, sizeof name, "%s%s %.*s", dropped_prefix, reason, (int)source.size, source.data);
    int rc = count_get(self, txn, name, &count);
    if (rc == MDB_NOTFOUND)
        rc = utapi_letters_stats(self, txn, &stats);
    if (rc == 0 && count == 0 && stats.dropped_count >= SOURCES_MAX)
        (void)snprintf(name, sizeof name, "%s%s ", dropped_prefix, reason);
    return rc == 0 ? count_up(self, txn, name) : rc;
}

/* ---- rows --------------------------------------------------------------------------------- */

static unsigned char *text_put(unsigned char *at, utapi_string text)
{
    *at++ = (unsigned char)text.size;
    if (text.size > 0)
        memcpy(at, text.data, text.size);
    return at + text.size;
}

/* Reads a text with its length before it; NULL if it is longer than what is left, or than it may be. */
static const unsigned char *text_get(const unsigned char *at, const unsigned char *end, size_t max,
                                     utapi_string *ret)
{
    if (at == NULL || at == end || *at > max || *at > end - at - 1)
        return NULL;
    *ret = (utapi_string){(const char *)at + 1, *at};
    return at + 1 + ret->size;
}

static int row_put(const utapi_letters *self, MDB_txn *txn, const unsigned char key[UTAPI_LETTERS_KEY_SIZE],
                   const utapi_dead_letter *letter, int64_t now_ms)
{
    utapi_entry entry = *letter->entry;
    if (entry.keys.size > UTAPI_LETTER_KEYS_MAX)
        entry.keys.size = 0;
    const utapi_batch one = {.entries = &entry, .count = 1, .now_ms = now_ms};
    UTAPI_AUTO_FREE unsigned char *row = malloc(HEAD_MAX + utapi_record_max(&one) + UTAPI_CHECKSUM_SIZE);
    if (row == NULL)
        return ENOMEM;
    row[0] = FORM;
    row[1] = (unsigned char)letter->reason;
    row[2] = (unsigned char)letter->levels;
    utapi_lmdbenv_put_u64(row + 3, (uint64_t)letter->kept_ms);
    unsigned char *at =
        text_put(row + FIXED_SIZE, utapi_string_cut(utapi_string_of(letter->detail), DETAIL_MAX));
    at = text_put(at, utapi_string_cut(letter->source, UTAPI_SOURCE_MAX));
    at += utapi_record_encode(&one, NULL, at);
    at = utapi_checksum_put(row, at);
    MDB_val where = utapi_lmdbenv_val(key, UTAPI_LETTERS_KEY_SIZE);
    MDB_val value = utapi_lmdbenv_val(row, (size_t)(at - row));
    return mdb_put(txn, self->env->tables[self->table], &where, &value, 0);
}

/* The parts of a row. The record's entries are owned. */
typedef struct letter_row {
    utapi_record record;
    char detail[DETAIL_MAX + 1];
    utapi_dead_letter letter; /* borrows these, and the row */
} letter_row;

static bool row_read(MDB_val value, letter_row *ret)
{
    const unsigned char *row = value.mv_data;
    utapi_string detail;
    if (value.mv_size < FIXED_SIZE + UTAPI_CHECKSUM_SIZE || row[0] != FORM ||
        !utapi_checksum_fits(row, value.mv_size))
        return false;
    const unsigned char *end = row + value.mv_size - UTAPI_CHECKSUM_SIZE;
    const unsigned char *at = text_get(row + FIXED_SIZE, end, DETAIL_MAX, &detail);
    at = text_get(at, end, UTAPI_SOURCE_MAX, &ret->letter.source);
    if (at == NULL || utapi_record_decode(at, (size_t)(end - at), &ret->record, NULL) != UTAPI_OK)
        return false;
    (void)snprintf(ret->detail, sizeof ret->detail, "%.*s", (int)detail.size, detail.data);
    ret->letter.reason = row[1] < UTAPI_REASON_COUNT ? (utapi_reason)row[1] : UTAPI_REASON_OTHER;
    ret->letter.levels = row[2];
    ret->letter.kept_ms = (int64_t)utapi_lmdbenv_get_u64(row + 3);
    ret->letter.detail = ret->detail;
    ret->letter.entry = ret->record.entries;
    return true;
}

bool utapi_letters_row_fits(MDB_val key, MDB_val value)
{
    letter_row row = {.record = {.entries = NULL}};
    const bool fits = key.mv_size == UTAPI_LETTERS_KEY_SIZE && row_read(value, &row);
    free(row.record.entries);
    return fits;
}

/* ---- keeping and taking ------------------------------------------------------------------- */

/* The next number, and random bytes. */
static int key_draw(const utapi_letters *self, MDB_txn *txn, unsigned char ret[UTAPI_LETTERS_KEY_SIZE])
{
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    uint64_t number = 1;
    int rc = mdb_cursor_open(txn, self->env->tables[self->table], &cursor);
    if (rc != 0)
        return rc;
    rc = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
    if (rc == 0 && key.mv_size == UTAPI_LETTERS_KEY_SIZE)
        number = utapi_lmdbenv_get_u64(key.mv_data) + 1;
    mdb_cursor_close(cursor);
    utapi_lmdbenv_put_u64(ret, number);
    const ssize_t random = UTAPI_LETTERS_KEY_SIZE - NUMBER_SIZE;
    if (getrandom(ret + NUMBER_SIZE, (size_t)random, 0) != random)
        return errno;
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int utapi_letters_keep(const utapi_letters *self, MDB_txn *txn, const utapi_entry *entry, int64_t now_ms,
                       utapi_level_set levels, const utapi_refusal *why)
{
    char name[COUNT_NAME_MAX];
    MDB_stat stat;
    unsigned char key[UTAPI_LETTERS_KEY_SIZE];
    const utapi_dead_letter letter = {.entry = entry,
                                      .reason = why->reason,
                                      .detail = why->detail,
                                      .source = why->source,
                                      .kept_ms = now_ms,
                                      .levels = levels};
    (void)snprintf(name, sizeof name, "%s%s", ever_prefix, utapi_reason_name(why->reason));
    int rc = count_up(self, txn, name);
    if (rc == 0)
        rc = mdb_stat(txn, self->env->tables[self->table], &stat);
    if (rc == 0 && stat.ms_entries >= self->max)
        return dropped_count(self, txn, why);
    if (rc == 0)
        rc = key_draw(self, txn, key);
    return rc == 0 ? row_put(self, txn, key, &letter, now_ms) : rc;
}

bool utapi_letters_key(utapi_string id, unsigned char ret[static UTAPI_LETTERS_KEY_SIZE])
{
    return id.size == (size_t)2 * UTAPI_LETTERS_KEY_SIZE &&
           utapi_hex_get(id.data, ret, UTAPI_LETTERS_KEY_SIZE);
}

/* Deletes a letter; MDB_NOTFOUND: there is none. */
static int letter_take(const utapi_letters *self, MDB_txn *txn, utapi_string id)
{
    unsigned char bytes[UTAPI_LETTERS_KEY_SIZE];
    if (!utapi_letters_key(id, bytes))
        return MDB_NOTFOUND;
    MDB_val key = utapi_lmdbenv_val(bytes, sizeof bytes);
    return mdb_del(txn, self->env->tables[self->table], &key, NULL);
}

utapi_status utapi_letters_apply(const utapi_letters *self, MDB_txn *txn, const utapi_batch *batch,
                                 bool *skip, size_t *repeated, utapi_error *err)
{
    int rc = 0;
    for (size_t i = 0; i < batch->count && rc == 0; i++) {
        const utapi_entry *entry = &batch->entries[i];
        if (entry->letter.size > 0) {
            rc = letter_take(self, txn, entry->letter);
            skip[i] = rc == MDB_NOTFOUND;
            *repeated += skip[i];
            rc = skip[i] ? 0 : rc;
        } else if (entry->refused != NULL && !skip[i]) {
            rc = utapi_letters_keep(self, txn, entry, batch->now_ms, UTAPI_ALL_LEVELS, entry->refused);
            skip[i] = true;
        }
    }
    return rc == 0 ? UTAPI_OK : utapi_lmdbenv_fail(self->env->layout, err, rc, "dead letters");
}

size_t utapi_letters_size_max(const utapi_batch *batch)
{
    size_t count = 0;
    for (size_t i = 0; i < batch->count; i++)
        count += batch->entries[i].refused != NULL;
    return count * (UTAPI_LETTERS_KEY_SIZE + HEAD_MAX + 2 * UTAPI_CHECKSUM_SIZE);
}

int utapi_letters_drop(const utapi_letters *self, MDB_txn *txn, const utapi_string *ids, size_t count)
{
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++) {
        unsigned char bytes[UTAPI_LETTERS_KEY_SIZE];
        letter_row row = {.record = {.entries = NULL}};
        MDB_val value;
        if (!utapi_letters_key(ids[i], bytes))
            continue;
        MDB_val key = utapi_lmdbenv_val(bytes, sizeof bytes);
        rc = mdb_get(txn, self->env->tables[self->table], &key, &value);
        if (rc == 0 && row_read(value, &row))
            rc = utapi_dedup_remove(self->dedup, txn, row.letter.entry);
        free(row.record.entries);
        if (rc == 0)
            rc = letter_take(self, txn, ids[i]);
        rc = rc == MDB_NOTFOUND ? 0 : rc;
    }
    return rc;
}

/* ---- listing ------------------------------------------------------------------------------ */

/* A row that cannot be read is shown as an event of which only that is known. */
static bool row_show(MDB_val key, MDB_val value, utapi_dead_letter_cb *on_letter, void *ctx)
{
    static const utapi_entry unknown = {.operation = UTAPI_OP_NONE};
    char id[UTAPI_LETTER_ID_MAX];
    letter_row row = {.record = {.entries = NULL}};
    if (key.mv_size != UTAPI_LETTERS_KEY_SIZE)
        return true; /* none of ours */
    if (!row_read(value, &row)) {
        free(row.record.entries);
        row = (letter_row){.letter = {.entry = &unknown,
                                      .reason = UTAPI_REASON_CORRUPT,
                                      .detail = "a stored letter that cannot be read",
                                      .levels = 0}};
    }
    *utapi_hex_put(id, key.mv_data, key.mv_size) = '\0';
    row.letter.id = id;
    const bool more = on_letter(ctx, &row.letter);
    free(row.record.entries);
    return more;
}

int utapi_letters_list(const utapi_letters *self, MDB_txn *txn, utapi_dead_letter_cb *on_letter, void *ctx,
                       bool *ret_more)
{
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    *ret_more = true;
    int rc = mdb_cursor_open(txn, self->env->tables[self->table], &cursor);
    while (rc == 0 && *ret_more && (rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0)
        *ret_more = row_show(key, value, on_letter, ctx);
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}
