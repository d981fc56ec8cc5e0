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

/* How many entries come before the first one that no storage takes, or takes with those; err tells of that. */
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
        else if (i > 0 && (entry->admin != NULL || utapi_batch_act(batch) != NULL))
            (void)utapi_fail_at(err, UTAPI_INVALID, i, "an operator's act comes alone");
        else
            continue;
        return i;
    }
    return batch->count;
}

/* Whether the storage has told which entries are to blame. */
static bool is_told(const utapi_batch *batch)
{
    size_t i = 0;
    while (batch->unfit != NULL && i < batch->count && batch->unfit[i] == 0)
        i++;
    return batch->unfit != NULL && i < batch->count;
}

/* An act that cannot be stored is stored as refused: whoever waits for it finds out why in the audit. */
static utapi_status part_apply(utapi_backend *self, const utapi_batch *batch, utapi_applied *ret,
                               utapi_error *err)
{
    const utapi_admin_act *act = utapi_batch_act(batch);
    utapi_error why;
    if (act == NULL)
        return self->ops->apply(self, batch, ret, err);
    utapi_batch again = *batch;
    again.unfit = NULL; /* it is stored whole, or refused */
    utapi_error_clear(&why);
    const utapi_status status = self->ops->apply(self, &again, ret, &why);
    if (!status_lasts(status) || act->refused.size > 0)
        return status == UTAPI_OK ? status : utapi_fail(err, status, "%s", why.detail);
    utapi_admin_act refused = *act;
    utapi_entry entry = batch->entries[0];
    refused.refused = utapi_string_of(*why.detail != '\0' ? why.detail : utapi_status_text(status));
    entry.admin = &refused;
    again.entries = &entry;
    return self->ops->apply(self, &again, ret, err);
}

utapi_status utapi_backend_apply(utapi_backend *self, const utapi_batch *batch, utapi_applied *ret,
                                 utapi_error *err)
{
    utapi_error unfit;
    utapi_error_clear(&unfit);
    const bool takes_acts = self->ops->admin != NULL && self->ops->admin->audit != NULL;
    for (size_t i = 0; !takes_acts && i < batch->count; i++)
        if (batch->entries[i].admin != NULL)
            return without(self, "audit", err);
    const size_t fit = entries_fit(batch, &unfit);
    utapi_batch part = utapi_batch_prefix(batch, fit);
    for (size_t i = 0; self->ops->dead_letters == NULL && i < batch->count; i++)
        if (batch->entries[i].refused != NULL || batch->entries[i].letter.size > 0)
            return without(self, "dead letters", err);
    if (!utapi_fence_is_set(&batch->fence))
        return fit < batch->count ? utapi_fail_at(err, UTAPI_INVALID, fit, "%s", unfit.detail)
                                  : part_apply(self, batch, ret, err);
    utapi_status status = part_apply(self, &part, ret, err);
    if (fit == 0 && batch->count > 0 && status == UTAPI_OK)
        return utapi_fail_at(err, UTAPI_INVALID, 0, "%s", unfit.detail);
    if (status_lasts(status) && is_told(&part))
        return status;
    while (part.count > 1 && status_lasts(status)) {
        part = utapi_batch_prefix(batch, part.count / 2);
        utapi_error_clear(err);
        status = part_apply(self, &part, ret, err);
    }
    return status == UTAPI_CORRUPT ? corrupt_check(self, &part, ret, err) : status;
}

utapi_status utapi_backend_read(utapi_backend *self, const utapi_query *query, utapi_usage *ret,
                                uint64_t *ret_fences, utapi_error *err)
{
    return self->ops->read(self, query, ret, ret_fences, err);
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

utapi_status utapi_backend_knows(utapi_backend *self, utapi_level level, utapi_string name, bool *ret,
                                 utapi_error *err)
{
    const utapi_admin_ops *admin = self->ops->admin;
    return admin != NULL && admin->knows != NULL ? admin->knows(self, level, name, ret, err)
                                                 : without(self, "quick look-up of names", err);
}

utapi_status utapi_backend_preview(utapi_backend *self, const utapi_admin_act *act, utapi_audit_row *ret,
                                   utapi_error *err)
{
    utapi_query query = {.level = act->level, .names = &act->name, .count = 1};
    utapi_usage then, now;
    query.start = query.end = utapi_interval_of(act->time_ms);
    utapi_status status = utapi_backend_read(self, &query, &then, NULL, err);
    query.start = query.end = UTAPI_INTERVAL_MAX;
    if (status == UTAPI_OK)
        status = utapi_backend_read(self, &query, &now, NULL, err);
    if (status != UTAPI_OK)
        return status;
    *ret = (utapi_audit_row){.act = *act, .interval = utapi_interval_of(act->time_ms)};
    utapi_amounts_copy(&then.flows, &ret->before);
    utapi_amounts_set(&ret->before, UTAPI_STORAGE_UTILIZED, now.storage_utilized[1]);
    utapi_amounts_set(&ret->before, UTAPI_NUMBER_OF_OBJECTS, now.number_of_objects[1]);
    utapi_amounts_copy(&ret->before, &ret->after);
    if (act->kind == UTAPI_ADMIN_ADJUST)
        utapi_amounts_add(&ret->after, &act->amounts);
    else {
        utapi_amounts_add_one(&ret->after, UTAPI_STORAGE_UTILIZED, -then.storage_utilized[1]);
        utapi_amounts_add_one(&ret->after, UTAPI_NUMBER_OF_OBJECTS, -then.number_of_objects[1]);
    }
    return UTAPI_OK;
}

/* Passes on what is asked for. */
typedef struct audit_filter {
    const utapi_audit_query *what;
    utapi_audit_cb *on_row;
    void *ctx;
} audit_filter;

static bool audit_pass(void *ctx, const utapi_audit_row *row)
{
    const audit_filter *filter = ctx;
    const utapi_audit_query *what = filter->what;
    if ((what->id.size > 0 && !utapi_string_equal(what->id, row->act.id)) ||
        (what->level != UTAPI_LEVEL_COUNT && what->level != row->act.level) ||
        (what->name.size > 0 && !utapi_string_equal(what->name, row->act.name)))
        return true;
    return filter->on_row(filter->ctx, row) && what->id.size == 0; /* an id has one row */
}

utapi_status utapi_backend_audit(utapi_backend *self, const utapi_audit_query *what, utapi_audit_cb *on_row,
                                 void *ctx, utapi_error *err)
{
    const utapi_admin_ops *admin = self->ops->admin;
    audit_filter filter = {.what = what, .on_row = on_row, .ctx = ctx};
    return admin != NULL && admin->audit != NULL ? admin->audit(self, audit_pass, &filter, err)
                                                 : without(self, "audit", err);
}

utapi_status utapi_backend_note(utapi_backend *self, const utapi_audit_row *rows, size_t count,
                                utapi_error *err)
{
    const utapi_admin_ops *admin = self->ops->admin;
    return admin != NULL && admin->note != NULL ? admin->note(self, rows, count, err)
                                                : without(self, "note", err);
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
