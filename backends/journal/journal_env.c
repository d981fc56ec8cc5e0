/* SPDX-License-Identifier: Apache-2.0 */
/* journal_env.c - the environment's tables, writes in it, and the room that is made in it. */
#include "journal_internal.h"

#define MIB (UINT64_C(1) << 20)

static const char *const table_names[JOURNAL_TABLE_COUNT] = {
    [JOURNAL_ENTRY] = "entry",   [JOURNAL_DEDUP] = "seen",          [JOURNAL_DUE] = "due",
    [JOURNAL_WRITER] = "writer", [JOURNAL_DEAD_LETTER] = "refused", [JOURNAL_META] = "meta",
};

const utapi_env_layout utapi_journal_layout = {
    .tables = table_names,
    .table_count = JOURNAL_TABLE_COUNT,
    .reader_table = JOURNAL_ENTRY,
    .readers = 126,
    .format = 1,
    .map_default_bytes = 4096 * MIB,
    .map_least_bytes = 256 * MIB,
    .reserve_least_bytes = 16 * MIB,
    .small_map_bytes = 64 * MIB,
    .lock_file = "journal.lock",
    .prefix = "the journal: ",
    .full = "the journal is full",
    .in_use = "another process uses this journal",
};

/* ---- writing ------------------------------------------------------------------------------ */

/* After a commit of which the outcome is not known: takes up what is really there. Nobody who asked for it to be
 * stored was told that it is, and nobody that it is not. */
static int outcome_look_up(journal *self, MDB_txn *txn)
{
    uint64_t end = 0;
    pthread_mutex_lock(&self->lock);
    journal_incarnation *incarnation = self->newest;
    const uint64_t next = incarnation->next;
    pthread_mutex_unlock(&self->lock);
    const int rc = utapi_journal_incarnation_end(self, txn, incarnation->number, next, &end);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&self->lock);
    if (end > incarnation->next) {
        incarnation->next = end;
        utapi_journal_pending_clear(self, end);
        pthread_cond_signal(&self->wake);
    }
    pthread_mutex_unlock(&self->lock);
    self->outcome_unknown = false;
    return 0;
}

utapi_status utapi_journal_write_begin(journal *self, MDB_txn **ret, utapi_error *err)
{
    const utapi_status status = utapi_env_write_begin(&self->env, ret, err);
    if (status != UTAPI_OK || !self->outcome_unknown)
        return status;
    const int rc = outcome_look_up(self, *ret);
    if (rc == 0)
        return UTAPI_OK;
    mdb_txn_abort(*ret);
    utapi_env_write_leave(&self->env);
    return utapi_journal_fail(err, rc, "beginning to write");
}

utapi_status utapi_journal_write_end(journal *self, MDB_txn *txn, utapi_status status, utapi_error *err)
{
    const bool is_commit = status == UTAPI_OK;
    status = utapi_env_write_end(&self->env, txn, status, err);
    self->outcome_unknown |= is_commit && status == UTAPI_UNCERTAIN;
    return status;
}

/* ---- space -------------------------------------------------------------------------------- */

static void full_note(journal *self, bool full)
{
    pthread_mutex_lock(&self->lock);
    self->full = full;
    pthread_mutex_unlock(&self->lock);
}

utapi_status utapi_journal_make_room(journal *self, utapi_error *err)
{
    enum { SLICE = 2000 };
    const uint64_t limit = utapi_env_room_pages(&self->env);
    for (size_t dropped = SLICE;;) {
        uint64_t used;
        utapi_status status = utapi_env_used_pages(&self->env, limit, &used, err);
        if (status == UTAPI_OK && used <= limit)
            full_note(self, false);
        if (status != UTAPI_OK || used <= limit)
            return status;
        if (dropped == 0) {
            full_note(self, true);
            return utapi_env_fail_full(&self->env, used, err);
        }
        status = utapi_journal_drop_applied(self, SLICE, &dropped, err);
        if (status != UTAPI_OK)
            return status;
    }
}

void utapi_journal_room_look(journal *self)
{
    self->accepted_since = UINT64_MAX / 2; /* the first one to take looks again */
    (void)!utapi_journal_make_room(self, NULL);
}
