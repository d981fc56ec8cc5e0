/* SPDX-License-Identifier: Apache-2.0 */
/* journal.c - the contract's side: opening and closing, and the slots that wait for the storage. */
#include "journal_internal.h"

#include "utapi/scoped.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { KEEP_LEAST_MS = 60000 };

const journal_tuning utapi_journal_tuning = {
    .monotonic_ms = utapi_journal_monotonic_ms,
    .tick_ms = 1000,
    .wait_ms = 5000,
    .read_ms = 30000,
    .back_off_ms = 10,
    .silence_ms = 3000,
    .step_events = 20000,
    .gather_ms = 500,
    .pending_events = 1000000,
    .pending_bytes = (size_t)256 << 20,
};

/* ---- slots -------------------------------------------------------------------------------- */

/* The storage's own slots, once it has all that was taken before the call. */
static utapi_status journal_visit(utapi_backend *base, utapi_level level, utapi_resource_cb *on_resource,
                                  void *ctx, utapi_error *err)
{
    journal *self = (journal *)base;
    const utapi_status status = utapi_journal_wait_drained(self, err);
    return status == UTAPI_OK ? utapi_backend_list(self->storage, level, on_resource, ctx, err) : status;
}

static utapi_status journal_rows(utapi_backend *base, utapi_level level, utapi_string name,
                                 utapi_interval start, utapi_interval end, utapi_row_cb *on_row, void *ctx,
                                 utapi_error *err)
{
    journal *self = (journal *)base;
    const utapi_status status = utapi_journal_wait_drained(self, err);
    return status == UTAPI_OK ? utapi_backend_rows(self->storage, level, name, start, end, on_row, ctx, err)
                              : status;
}

static utapi_status journal_adjust(utapi_backend *base, const utapi_adjustment *adjustments, size_t count,
                                   utapi_error *err)
{
    journal *self = (journal *)base;
    const utapi_status status = utapi_journal_wait_drained(self, err);
    return status == UTAPI_OK ? utapi_backend_adjust(self->storage, adjustments, count, err) : status;
}

/* Durable before the storage forgets: no question may add what that makes void, nor after a restart. */
static utapi_status forgetting_note(journal *self, utapi_level level, int64_t time_ms, utapi_error *err)
{
    MDB_txn *txn = NULL;
    pthread_mutex_lock(&self->lock);
    const bool known = time_ms <= self->gone_newest_ms[level];
    pthread_mutex_unlock(&self->lock);
    if (known)
        return UTAPI_OK;
    utapi_status status = utapi_journal_write_begin(self, &txn, err);
    if (status != UTAPI_OK)
        return status;
    pthread_mutex_lock(&self->lock); /* a taker may have noted a later one since; now none can */
    const int64_t newest_ms = time_ms > self->gone_newest_ms[level] ? time_ms : self->gone_newest_ms[level];
    pthread_mutex_unlock(&self->lock);
    const int rc = utapi_journal_gone_put(self, txn, level, newest_ms);
    status = rc == 0 ? UTAPI_OK : utapi_journal_fail(err, rc, "a forgetting");
    status = utapi_journal_write_end(self, txn, status, err);
    pthread_mutex_lock(&self->lock);
    if (status == UTAPI_OK)
        self->gone_newest_ms[level] = newest_ms;
    pthread_mutex_unlock(&self->lock);
    utapi_lmdbenv_write_leave(&self->env);
    return status;
}

static utapi_status journal_forget(utapi_backend *base, utapi_level level, utapi_string name, int64_t time_ms,
                                   utapi_error *err)
{
    journal *self = (journal *)base;
    utapi_status status = utapi_journal_wait_drained(self, err);
    if (status == UTAPI_OK)
        status = forgetting_note(self, level, time_ms, err);
    return status == UTAPI_OK ? utapi_backend_expire(self->storage, level, name, time_ms, err) : status;
}

/* The storage's upkeep is the drain thread's: it must not run ahead of what was taken earlier. The caller waits
 * for it only while that takes no longer than a hand-over. */
static utapi_status journal_tend(utapi_backend *base, int64_t now_ms, int64_t accepted_ms, utapi_error *err)
{
    enum { AT_ONCE = 10000, TEND_WAIT_MS = 1000 };
    journal *self = (journal *)base;
    const utapi_status status = utapi_journal_seen_tend(self, accepted_ms, err);
    const int64_t until_ms = utapi_journal_monotonic_ms() + TEND_WAIT_MS;
    pthread_mutex_lock(&self->lock);
    self->now_ms = now_ms;
    self->accepted_ms = accepted_ms > self->accepted_ms ? accepted_ms : self->accepted_ms;
    self->tend_wanted = true;
    utapi_journal_hurry(self);
    while (self->tend_wanted && *self->trouble == '\0' && utapi_journal_waiting(self) <= AT_ONCE &&
           utapi_journal_wait_until(self, &self->changed, until_ms))
        continue;
    pthread_mutex_unlock(&self->lock);
    return status;
}

static void note(char ret[static sizeof((utapi_stats *)0)->trouble], const char *text)
{
    const size_t most = sizeof((utapi_stats *)0)->trouble;
    if (*ret == '\0')
        snprintf(ret, most, "%.*s", (int)most - 1, text);
}

/* With the lock held: the drain thread begins a round each tick, unless the storage keeps it. */
static void silence_note(const journal *self, char *ret)
{
    char text[sizeof self->trouble];
    const int64_t silent_ms = utapi_journal_monotonic_ms() - self->beat_ms;
    if (silent_ms <= self->tuning.silence_ms)
        return;
    snprintf(text, sizeof text, "the storage has not answered for %lld s", (long long)(silent_ms / 1000));
    note(ret, text);
}

/* What keeps the storage from taking what is handed over tells, with it, why nothing gets less. */
static void full_tell(char ret[static sizeof((utapi_stats *)0)->trouble])
{
    const size_t most = sizeof((utapi_stats *)0)->trouble;
    char why[sizeof((utapi_stats *)0)->trouble];
    memcpy(why, ret, most);
    snprintf(ret, most, "the journal is full, and events are refused%s%.*s", *why != '\0' ? ": " : "",
             (int)most - 48, why);
}

/* The storage is not asked: one that hangs would hold up each healthcheck. */
static utapi_status journal_stats(utapi_backend *base, utapi_stats *ret, utapi_error *err)
{
    journal *self = (journal *)base;
    uint64_t used_pages = 0;
    const utapi_status status = utapi_lmdbenv_used_pages(&self->env, 0, &used_pages, err);
    if (status != UTAPI_OK)
        return status; /* nothing can be taken: the whole is not well */
    pthread_mutex_lock(&self->lock);
    utapi_stats stats = self->figures;
    *stats.trouble = '\0';
    stats.journal.capacity_bytes = self->env.map_pages * self->env.page_size;
    stats.journal.used_bytes = used_pages * self->env.page_size;
    note(stats.trouble, self->alarm);
    note(stats.trouble, self->trouble);
    silence_note(self, stats.trouble);
    note(stats.trouble, self->figures.trouble);
    stats.refuses = self->full;
    if (stats.refuses)
        full_tell(stats.trouble);
    stats.journal.waiting = utapi_journal_waiting(self);
    stats.journal.oldest_ms = stats.journal.waiting > 0 ? self->oldest_ms : 0;
    stats.journal.refused = self->refused;
    stats.journal.lost = self->lost;
    stats.journal.refused_acknowledged = self->acknowledged.refused;
    stats.journal.lost_acknowledged = self->acknowledged.lost;
    pthread_mutex_unlock(&self->lock);
    *ret = stats;
    return UTAPI_OK;
}

/* ---- opening and closing ------------------------------------------------------------------ */

static void journal_free(journal *self)
{
    if (self == NULL)
        return;
    utapi_journal_drain_stop(self);
    utapi_backend_close(self->storage);
    utapi_journal_epochs_free(self);
    utapi_journal_pending_free(self);
    utapi_lmdbenv_close(&self->env);
    pthread_mutex_destroy(&self->lock);
    pthread_cond_destroy(&self->wake);
    pthread_cond_destroy(&self->changed);
    free(self);
}
UTAPI_AUTO_DEFINE(journal, journal_free)

static void journal_close(utapi_backend *base)
{
    journal *self = (journal *)base;
    utapi_error err;
    utapi_error_clear(&err);
    utapi_journal_drain_stop(self);
    self->started = false;
    /* Notes how far it is. Where that fails, the storage's fence tells as well. */
    if (utapi_journal_upkeep(self, &err) != UTAPI_OK)
        utapi_error_clear(&err);
    journal_free(self);
}

static const utapi_backend_ops journal_ops = {
    .version = UTAPI_BACKEND_VERSION,
    .name = "journal",
    .apply = utapi_journal_apply,
    .read = utapi_journal_read,
    .list = journal_visit,
    .rows = journal_rows,
    .adjust = journal_adjust,
    .expire = journal_forget,
    .maintain = journal_tend,
    .stats = journal_stats,
    .close = journal_close,
};

static utapi_status options_check(const utapi_journal_options *options, utapi_error *err)
{
    if (options->location == NULL || *options->location == '\0')
        return utapi_fail(err, UTAPI_INVALID, "the journal needs a directory");
    if (options->keep_ms < 0 || options->dedup_window_ms < 0)
        return utapi_fail(err, UTAPI_INVALID, "the journal: a time must not be negative");
    return UTAPI_OK;
}

static void locks_init(journal *self)
{
    pthread_condattr_t attr;
    pthread_mutex_init(&self->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&self->wake, &attr);
    pthread_cond_init(&self->changed, &attr);
    pthread_condattr_destroy(&attr);
}

utapi_status utapi_journal_open_tuned(utapi_backend *storage, const utapi_journal_options *options,
                                      const journal_tuning *tuning, utapi_backend **ret, utapi_error *err)
{
    UTAPI_AUTO(journal) *self = calloc(1, sizeof *self);
    if (self == NULL) {
        utapi_backend_close(storage);
        return utapi_fail(err, UTAPI_NO_MEMORY, "the journal");
    }
    self->base.ops = &journal_ops;
    self->storage = storage;
    self->tuning = *tuning;
    if (storage->ops->largest_step != 0) /* others read it, or wait for it: nothing is gathered */
        self->tuning.gather_ms = 0;
    self->keep_ms = options->keep_ms;
    self->window_ms = options->dedup_window_ms;
    locks_init(self);
    utapi_status status = options_check(options, err);
    if (status == UTAPI_OK)
        status = utapi_lmdbenv_open(&self->env, &utapi_journal_layout, options->location,
                                    options->capacity_bytes, err);
    if (status == UTAPI_OK)
        status = utapi_journal_epochs_load(self, err);
    if (status == UTAPI_OK)
        utapi_journal_room_look(self);
    if (status == UTAPI_OK)
        status = utapi_journal_drain_start(self, err);
    if (status == UTAPI_OK)
        *ret = &UTAPI_TAKE(self)->base;
    return status;
}

utapi_status utapi_journal_open(utapi_backend *storage, const utapi_journal_options *options,
                                utapi_backend **ret, utapi_error *err)
{
    if (options->keep_ms < KEEP_LEAST_MS) {
        utapi_backend_close(storage);
        return utapi_fail(err, UTAPI_INVALID, "the journal keeps what was stored for a minute at least");
    }
    return utapi_journal_open_tuned(storage, options, &utapi_journal_tuning, ret, err);
}
