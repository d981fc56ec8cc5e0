/* SPDX-License-Identifier: Apache-2.0 */
/* backend.c - the callers' side of the contract: the tables are checked once, optional ones have one home. */
#include "utapi/backend_admin.h"
#include "utapi/backend_dead_letters.h"
#include "utapi/backend_journal.h"

static utapi_status ops_check(const utapi_backend_ops *ops, utapi_error *err)
{
    const utapi_admin_ops *admin = ops->admin;
    const utapi_dead_letter_ops *letters = ops->dead_letters;
    const utapi_journal_ops *journal = ops->journal;
    const struct {
        const char *name;
        bool there;
    } required[] = {
        {"name", ops->name != NULL},
        {"open", ops->open != NULL},
        {"apply", ops->apply != NULL},
        {"read", ops->read != NULL},
        {"stats", ops->stats != NULL},
        {"close", ops->close != NULL},
        {"admin.list", admin == NULL || admin->list != NULL},
        {"admin.export", admin == NULL || admin->export != NULL},
        {"admin.adjust", admin == NULL || admin->adjust != NULL},
        {"admin.expire", admin == NULL || admin->expire != NULL},
        {"admin.fences", admin == NULL || admin->fences != NULL},
        {"dead_letters.list", letters == NULL || letters->list != NULL},
        {"dead_letters.acknowledge", letters == NULL || letters->acknowledge != NULL},
        {"dead_letters.stats", letters == NULL || letters->stats != NULL},
        {"journal.stats", journal == NULL || journal->stats != NULL},
    };
    if (ops->version != UTAPI_BACKEND_VERSION)
        return utapi_fail(err, UTAPI_NOT_SUPPORTED, "a backend of version %u, expected %u", ops->version,
                          UTAPI_BACKEND_VERSION);
    for (size_t i = 0; i < sizeof required / sizeof *required; i++)
        if (!required[i].there)
            return utapi_fail(err, UTAPI_NOT_SUPPORTED, "a backend without the required slot \"%s\"",
                              required[i].name);
    return UTAPI_OK;
}

utapi_status utapi_backend_open(const utapi_backend_ops *ops, const utapi_backend_options *options,
                                utapi_backend **ret, utapi_error *err)
{
    const utapi_status status = ops_check(ops, err);
    return status == UTAPI_OK ? ops->open(options, ret, err) : status;
}

/* ---- what every storage does -------------------------------------------------------------- */

/* Whether an entry of the batch is to blame, however often it is tried. */
static bool status_lasts(utapi_status status)
{
    return status == UTAPI_OVERFLOW || status == UTAPI_INVALID || status == UTAPI_CORRUPT;
}

/* Whether the storage itself is what cannot be read: it refuses a batch of no entries too. `first` is what it
 * answered to the first entry alone. */
static utapi_status corrupt_check(utapi_backend *self, const utapi_batch *first, utapi_applied *ret,
                                  utapi_error *err)
{
    const utapi_batch nothing = utapi_batch_prefix(first, 0);
    utapi_error own;
    utapi_error_clear(&own);
    utapi_status status = self->ops->apply(self, &nothing, ret, &own);
    if (status == UTAPI_OK)
        return UTAPI_CORRUPT;
    if (status_lasts(status))
        status = UTAPI_UNAVAILABLE;
    utapi_error_clear(err);
    return utapi_fail(err, status, "%s", own.detail);
}

static utapi_status without(const utapi_backend *self, const char *what, utapi_error *err)
{
    return utapi_fail(err, UTAPI_NOT_SUPPORTED, "backend \"%s\" has no %s", self->ops->name, what);
}

static bool time_fits(int64_t time_ms)
{
    return time_ms >= 0 && utapi_interval_of(time_ms) <= UTAPI_INTERVAL_MAX;
}

/* How many entries come before the first one that no storage takes; err tells of that. */
static size_t entries_fit(const utapi_batch *batch, utapi_error *err)
{
    for (size_t i = 0; i < batch->count; i++) {
        const utapi_entry *entry = &batch->entries[i];
        size_t longest = entry->uuid.size;
        for (unsigned level = 0; level < UTAPI_LEVEL_COUNT; level++)
            longest = entry->resource[level].size > longest ? entry->resource[level].size : longest;
        if (!time_fits(entry->time_ms))
            (void)utapi_fail_at(err, UTAPI_INVALID, i, "an event at %lld ms", (long long)entry->time_ms);
        else if (longest > UTAPI_NAME_MAX)
            (void)utapi_fail_at(err, UTAPI_INVALID, i, "a name of %zu bytes, expected %d at most", longest,
                                UTAPI_NAME_MAX);
        else
            continue;
        return i;
    }
    return batch->count;
}

utapi_status utapi_backend_apply(utapi_backend *self, const utapi_batch *batch, utapi_applied *ret,
                                 utapi_error *err)
{
    utapi_error unfit;
    utapi_error_clear(&unfit);
    const size_t fit = entries_fit(batch, &unfit);
    utapi_batch part = utapi_batch_prefix(batch, fit);
    for (size_t i = 0; self->ops->dead_letters == NULL && i < batch->count; i++)
        if (batch->entries[i].refused != NULL || batch->entries[i].letter.size > 0)
            return without(self, "dead letters", err);
    if (!utapi_fence_is_set(&batch->fence))
        return fit < batch->count ? utapi_fail_at(err, UTAPI_INVALID, fit, "%s", unfit.detail)
                                  : self->ops->apply(self, batch, ret, err);
    utapi_status status = self->ops->apply(self, &part, ret, err);
    if (fit == 0 && batch->count > 0 && status == UTAPI_OK)
        return utapi_fail_at(err, UTAPI_INVALID, 0, "%s", unfit.detail);
    while (part.count > 1 && status_lasts(status)) {
        part = utapi_batch_prefix(batch, part.count / 2);
        utapi_error_clear(err);
        status = self->ops->apply(self, &part, ret, err);
    }
    return status == UTAPI_CORRUPT ? corrupt_check(self, &part, ret, err) : status;
}

utapi_status utapi_backend_read(utapi_backend *self, const utapi_query *query, utapi_usage *ret,
                                uint64_t *ret_fences, utapi_error *err)
{
    return self->ops->read(self, query, ret, ret_fences, err);
}

utapi_status utapi_backend_knows(utapi_backend *self, utapi_level level, utapi_string name, bool *ret,
                                 utapi_error *err)
{
    return self->ops->knows != NULL ? self->ops->knows(self, level, name, ret, err)
                                    : without(self, "quick look-up of names", err);
}

utapi_status utapi_backend_stats(utapi_backend *self, utapi_storage_stats *ret, utapi_error *err)
{
    return self->ops->stats(self, ret, err);
}

utapi_status utapi_backend_maintain(utapi_backend *self, int64_t now_ms, int64_t accepted_ms,
                                    utapi_error *err)
{
    return self->ops->maintain != NULL ? self->ops->maintain(self, now_ms, accepted_ms, err) : UTAPI_OK;
}

void utapi_backend_close(utapi_backend *backend)
{
    if (backend != NULL)
        backend->ops->close(backend);
}

/* ---- administration ----------------------------------------------------------------------- */

utapi_status utapi_backend_list(utapi_backend *self, utapi_level level, utapi_resource_cb *on_resource,
                                void *ctx, utapi_error *err)
{
    const utapi_admin_ops *admin = self->ops->admin;
    return admin != NULL ? admin->list(self, level, on_resource, ctx, err)
                         : without(self, "administration", err);
}

utapi_status utapi_backend_export(utapi_backend *self, const utapi_export *what, utapi_export_cb *on_row,
                                  utapi_unreadable_cb *on_unreadable, void *ctx, utapi_error *err)
{
    const utapi_admin_ops *admin = self->ops->admin;
    return admin != NULL ? admin->export(self, what, on_row, on_unreadable, ctx, err)
                         : without(self, "administration", err);
}

utapi_status utapi_backend_adjust(utapi_backend *self, const utapi_adjustment *adjustments, size_t count,
                                  size_t *ret_count, utapi_error *err)
{
    const utapi_admin_ops *admin = self->ops->admin;
    if (admin == NULL)
        return without(self, "administration", err);
    for (size_t i = 0; i < count; i++)
        if (!time_fits(adjustments[i].interval) || adjustments[i].name.size == 0 ||
            adjustments[i].name.size > UTAPI_NAME_MAX) {
            if (i == 0)
                return utapi_fail_at(err, UTAPI_INVALID, i, "a correction at %lld ms, of a name of %zu bytes",
                                     (long long)adjustments[i].interval, adjustments[i].name.size);
            count = i;
        }
    utapi_status status = admin->adjust(self, adjustments, count, ret_count, err);
    for (size_t some = count / 2; some > 0 && status_lasts(status); some /= 2) {
        utapi_error_clear(err);
        status = admin->adjust(self, adjustments, some, ret_count, err);
    }
    return status;
}

utapi_status utapi_backend_expire(utapi_backend *self, utapi_level level, utapi_string name, int64_t time_ms,
                                  utapi_error *err)
{
    const utapi_admin_ops *admin = self->ops->admin;
    if (admin != NULL && utapi_interval_of(time_ms) > UTAPI_INTERVAL_MAX)
        return utapi_fail(err, UTAPI_INVALID, "an expiry at %lld ms", (long long)time_ms);
    return admin != NULL ? admin->expire(self, level, name, time_ms, err)
                         : without(self, "administration", err);
}

utapi_status utapi_backend_fences(utapi_backend *self, utapi_fence_cb *on_fence, void *ctx, utapi_error *err)
{
    const utapi_admin_ops *admin = self->ops->admin;
    return admin != NULL ? admin->fences(self, on_fence, ctx, err) : without(self, "administration", err);
}

utapi_status utapi_backend_check(const utapi_backend_ops *ops, const char *location, const utapi_check *to,
                                 utapi_error *err)
{
    if (ops->admin == NULL || ops->admin->check == NULL)
        return utapi_fail(err, UTAPI_NOT_SUPPORTED, "backend \"%s\" cannot be checked", ops->name);
    return ops->admin->check(location, to, err);
}

/* ---- dead letters ------------------------------------------------------------------------- */

utapi_status utapi_backend_dead_letters(utapi_backend *self, utapi_dead_letter_cb *on_letter, void *ctx,
                                        utapi_error *err)
{
    const utapi_dead_letter_ops *letters = self->ops->dead_letters;
    return letters != NULL ? letters->list(self, on_letter, ctx, err) : without(self, "dead letters", err);
}

utapi_status utapi_backend_acknowledge(utapi_backend *self, const utapi_acknowledgement *what,
                                       utapi_error *err)
{
    const utapi_dead_letter_ops *letters = self->ops->dead_letters;
    return letters != NULL ? letters->acknowledge(self, what, err) : without(self, "dead letters", err);
}

utapi_status utapi_backend_dead_letter_stats(utapi_backend *self, utapi_dead_letter_stats *ret,
                                             utapi_error *err)
{
    const utapi_dead_letter_ops *letters = self->ops->dead_letters;
    *ret = (utapi_dead_letter_stats){.kept = 0};
    return letters != NULL ? letters->stats(self, ret, err) : UTAPI_OK;
}

/* ---- journal ------------------------------------------------------------------------------ */

void utapi_backend_journal_stats(utapi_backend *self, utapi_journal_stats *ret)
{
    *ret = (utapi_journal_stats){0};
    if (self->ops->journal != NULL)
        self->ops->journal->stats(self, ret);
}
