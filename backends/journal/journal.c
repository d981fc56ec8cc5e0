/* SPDX-License-Identifier: Apache-2.0 */
/* journal.c - the contract's side: opening and closing, and the slots; those of the administration wait for the
 * storage. */
#include "journal_internal.h"

#include "utapi/backend_admin.h"
#include "utapi/clock.h"
#include "utapi/scoped.h"

#include <stdio.h>
#include <string.h>

enum { RETENTION_MIN_MS = 60000, MAINTAIN_WAIT_MS = 1000 };

const journal_tuning utapi_journal_tuning = {
    .monotonic_ms = utapi_monotonic_ms,
    .patience = {.wait_ms = 5000, .read_ms = 30000},
    .pace = {.tick_ms = 1000, .back_off_ms = 10, .stalled_ms = 3000, .batch_events = 20000, .gather_ms = 500},
    .pending_events = 1000000,
    .pending_bytes = (size_t)256 << 20,
};

/* ---- accepting and asking ----------------------------------------------------------------- */

static utapi_status journal_apply(utapi_backend *base, const utapi_batch *batch, utapi_applied *ret,
                                  utapi_error *err)
{
    journal *self = (journal *)base;
    if (utapi_fence_is_set(&batch->fence))
        return utapi_fail(err, UTAPI_NOT_SUPPORTED,
                          "a journal takes no fenced batch: it has fences of its own");
    const utapi_admin_ops *admin = self->storage->ops->admin;
    if (utapi_batch_act(batch) != NULL && (admin == NULL || admin->audit == NULL))
        return utapi_fail(err, UTAPI_NOT_SUPPORTED, "backend \"%s\" has no audit", self->storage->ops->name);
    return utapi_journal_log_append(self->log, batch, ret, err);
}

static utapi_status journal_read(utapi_backend *base, const utapi_query *query, utapi_usage *ret,
                                 uint64_t *ret_fences, utapi_error *err)
{
    journal *self = (journal *)base;
    if (ret_fences != NULL) /* nobody delivers fenced batches to a journal */
        memset(ret_fences, 0, (query->count > 0 ? query->count : 1) * sizeof *ret_fences);
    return utapi_journal_read(&self->pending, self->storage, &self->patience, query, ret, err);
}

/* The storage's maintenance is the delivery's: it must not run ahead of what was accepted earlier. The caller
 * waits for it only while that takes no longer than a delivery. */
static utapi_status journal_maintain(utapi_backend *base, int64_t now_ms, int64_t accepted_ms,
                                     utapi_error *err)
{
    journal *self = (journal *)base;
    const utapi_status status = utapi_journal_log_maintain(self->log, accepted_ms, err);
    utapi_journal_pending_maintain(&self->pending, now_ms, accepted_ms,
                                   utapi_monotonic_ms() + MAINTAIN_WAIT_MS);
    return status;
}

/* ---- figures ------------------------------------------------------------------------------ */

/* The storage's figures, as last seen: it is not asked, for one that hangs would hold up each healthcheck. What is not
 * well, and whether events are refused, is the journal's own. */
static utapi_status journal_stats(utapi_backend *base, utapi_storage_stats *ret, utapi_error *err)
{
    journal *self = (journal *)base;
    utapi_journal_stats own;
    utapi_storage_stats stats;
    utapi_journal_delivery_stats(&self->delivery, &stats);
    const utapi_status status = utapi_journal_log_stats(self->log, &own, &stats.refuses, err);
    if (status != UTAPI_OK)
        return status;   /* nothing can be accepted: the whole is not well */
    if (stats.refuses) { /* what keeps the storage from storing tells, with it, why nothing gets less */
        char why[sizeof stats.warning];
        memcpy(why, stats.warning, sizeof why);
        snprintf(stats.warning, sizeof stats.warning, "the journal is full, and events are refused%s%.*s",
                 *why != '\0' ? ": " : "", (int)sizeof why - 48, why);
    }
    char own_warning[sizeof stats.room_warning];
    utapi_journal_log_warn(self->log, own_warning, sizeof own_warning);
    if (*own_warning != '\0')
        memcpy(stats.room_warning, own_warning, sizeof own_warning);
    *ret = stats;
    return UTAPI_OK;
}

static void journal_own_stats(utapi_backend *base, utapi_journal_stats *ret)
{
    journal *self = (journal *)base;
    bool is_full;
    *ret = (utapi_journal_stats){.waiting = 0};
    utapi_dead_letter_stats letters;
    (void)!utapi_journal_log_stats(self->log, ret, &is_full, NULL);
    utapi_journal_pending_stats(&self->pending, ret);
    (void)!utapi_journal_dead_letters_stats(&self->letters, &letters, &ret->lost_acknowledged, NULL);
}

/* ---- dead letters ------------------------------------------------------------------------- */

static utapi_status journal_dead_letters_list(utapi_backend *base, utapi_dead_letter_cb *on_letter, void *ctx,
                                              utapi_error *err)
{
    return utapi_journal_dead_letters_list(&((journal *)base)->letters, on_letter, ctx, err);
}

static utapi_status journal_acknowledge(utapi_backend *base, const utapi_acknowledgement *what,
                                        utapi_error *err)
{
    return utapi_journal_dead_letters_acknowledge(&((journal *)base)->letters, what, err);
}

static utapi_status journal_letter_stats(utapi_backend *base, utapi_dead_letter_stats *ret, utapi_error *err)
{
    uint64_t lost_acknowledged;
    return utapi_journal_dead_letters_stats(&((journal *)base)->letters, ret, &lost_acknowledged, err);
}

/* ---- the storage's administration, once it has all that was accepted before the call ------- */

static utapi_status admin_wait(journal *self, utapi_error *err)
{
    if (self->storage->ops->admin == NULL)
        return utapi_fail(err, UTAPI_NOT_SUPPORTED, "backend \"%s\" has no administration",
                          self->storage->ops->name);
    return utapi_journal_pending_wait(&self->pending, utapi_monotonic_ms() + self->patience.wait_ms, err);
}

static utapi_status journal_list(utapi_backend *base, utapi_level level, utapi_resource_cb *on_resource,
                                 void *ctx, utapi_error *err)
{
    journal *self = (journal *)base;
    const utapi_status status = admin_wait(self, err);
    return status == UTAPI_OK ? utapi_backend_list(self->storage, level, on_resource, ctx, err) : status;
}

static utapi_status journal_export(utapi_backend *base, const utapi_export *what, utapi_export_cb *on_row,
                                   utapi_unreadable_cb *on_unreadable, void *ctx, utapi_error *err)
{
    journal *self = (journal *)base;
    const utapi_status status = admin_wait(self, err);
    return status == UTAPI_OK ? utapi_backend_export(self->storage, what, on_row, on_unreadable, ctx, err)
                              : status;
}

static utapi_status journal_adjust(utapi_backend *base, const utapi_adjustment *adjustments, size_t count,
                                   size_t *ret_count, utapi_error *err)
{
    journal *self = (journal *)base;
    const utapi_status status = admin_wait(self, err);
    return status == UTAPI_OK ? utapi_backend_adjust(self->storage, adjustments, count, ret_count, err)
                              : status;
}

/* Durable here before the storage expires it: no query may add what that makes void, nor after a restart. */
static utapi_status journal_expire(utapi_backend *base, utapi_level level, utapi_string name, int64_t time_ms,
                                   utapi_error *err)
{
    journal *self = (journal *)base;
    utapi_status status = admin_wait(self, err);
    if (status == UTAPI_OK)
        status = utapi_journal_log_expire(self->log, level, time_ms, err);
    return status == UTAPI_OK ? utapi_backend_expire(self->storage, level, name, time_ms, err) : status;
}

static utapi_status journal_fences(utapi_backend *base, utapi_fence_cb *on_fence, void *ctx, utapi_error *err)
{
    journal *self = (journal *)base;
    const utapi_status status = admin_wait(self, err);
    return status == UTAPI_OK ? utapi_backend_fences(self->storage, on_fence, ctx, err) : status;
}

static utapi_status journal_audit(utapi_backend *base, utapi_audit_cb *on_row, void *ctx, utapi_error *err)
{
    journal *self = (journal *)base;
    const utapi_audit_query every = {.level = UTAPI_LEVEL_COUNT};
    const utapi_status status = admin_wait(self, err);
    return status == UTAPI_OK ? utapi_backend_audit(self->storage, &every, on_row, ctx, err) : status;
}

static utapi_status journal_note(utapi_backend *base, const utapi_audit_row *rows, size_t count,
                                 utapi_error *err)
{
    journal *self = (journal *)base;
    const utapi_status status = admin_wait(self, err);
    return status == UTAPI_OK ? utapi_backend_note(self->storage, rows, count, err) : status;
}

/* ---- opening and closing ------------------------------------------------------------------ */

static void journal_free(journal *self)
{
    if (self == NULL)
        return;
    utapi_journal_delivery_stop(&self->delivery);
    utapi_backend_close(self->storage);
    utapi_journal_log_close(self->log);
    utapi_journal_pending_done(&self->pending);
    free(self);
}
UTAPI_AUTO_DEFINE(journal, journal_free)

static void journal_close(utapi_backend *base)
{
    journal *self = (journal *)base;
    utapi_journal_delivery_stop(&self->delivery);
    /* Notes how far events are stored. Where that fails, the storage's fence tells as well. */
    (void)!utapi_journal_log_retain(self->log, self->pending.accepted_ms, NULL);
    journal_free(self);
}

static const utapi_admin_ops admin_ops = {
    .list = journal_list,
    .export = journal_export,
    .adjust = journal_adjust,
    .expire = journal_expire,
    .fences = journal_fences,
    .audit = journal_audit,
    .note = journal_note,
};

static const utapi_dead_letter_ops letter_ops = {
    .list = journal_dead_letters_list,
    .acknowledge = journal_acknowledge,
    .stats = journal_letter_stats,
};

static const utapi_journal_ops own_ops = {
    .stats = journal_own_stats,
};

static const utapi_backend_ops journal_ops = {
    .version = UTAPI_BACKEND_VERSION,
    .name = "journal",
    .apply = journal_apply,
    .read = journal_read,
    .maintain = journal_maintain,
    .stats = journal_stats,
    .close = journal_close,
    .admin = &admin_ops,
    .dead_letters = &letter_ops,
    .journal = &own_ops,
};

static utapi_status log_open(journal *self, const utapi_journal_options *options,
                             const journal_tuning *tuning, utapi_error *err)
{
    journal_span span;
    if (options->location == NULL || *options->location == '\0')
        return utapi_fail(err, UTAPI_INVALID, "the journal needs a directory");
    if (options->keep_ms < 0 || options->dedup_window_ms < 0)
        return utapi_fail(err, UTAPI_INVALID, "the journal: a time must not be negative");
    const journal_log_options log = {.journal = options,
                                     .monotonic_ms = tuning->monotonic_ms,
                                     .observer = utapi_journal_pending_observe,
                                     .ctx = &self->pending};
    const utapi_status status = utapi_journal_log_open(&log, &self->log, err);
    if (status == UTAPI_OK && utapi_journal_log_waiting(self->log, &span))
        utapi_journal_pending_oldest(&self->pending,
                                     utapi_journal_log_accepted_at(self->log, span.incarnation, span.stored));
    return status;
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
    self->patience = tuning->patience;
    utapi_journal_pending_init(&self->pending, tuning->pending_events, tuning->pending_bytes);
    utapi_status status = log_open(self, options, tuning, err);
    if (status != UTAPI_OK)
        return status;
    self->letters.log = self->log;
    journal_delivery *delivery = &self->delivery;
    delivery->storage = storage;
    delivery->log = self->log;
    delivery->pending = &self->pending;
    delivery->letters = &self->letters;
    delivery->pace = tuning->pace;
    if (storage->ops->is_shared) /* others read it, or wait for it: nothing is gathered */
        delivery->pace.gather_ms = 0;
    status = utapi_journal_delivery_start(delivery, err);
    if (status == UTAPI_OK)
        *ret = &UTAPI_TAKE(self)->base;
    return status;
}

utapi_status utapi_journal_open(utapi_backend *storage, const utapi_journal_options *options,
                                utapi_backend **ret, utapi_error *err)
{
    if (options->keep_ms < RETENTION_MIN_MS) {
        utapi_backend_close(storage);
        return utapi_fail(err, UTAPI_INVALID, "the journal keeps what was stored for a minute at least");
    }
    return utapi_journal_open_tuned(storage, options, &utapi_journal_tuning, ret, err);
}
