/* SPDX-License-Identifier: Apache-2.0 */
/* backend.c - the callers' side of the contract: the table is checked once, optional slots have one home. */
#include "utapi/backend.h"

static utapi_status ops_check(const utapi_backend_ops *ops, utapi_error *err)
{
    const struct {
        const char *name;
        bool there;
    } required[] = {
        {"name", ops->name != NULL}, {"open", ops->open != NULL},   {"apply", ops->apply != NULL},
        {"read", ops->read != NULL}, {"stats", ops->stats != NULL}, {"close", ops->close != NULL},
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

static utapi_status not_supported(const utapi_backend *self, const char *slot, utapi_error *err)
{
    return utapi_fail(err, UTAPI_NOT_SUPPORTED, "backend \"%s\" has no %s", self->ops->name, slot);
}

utapi_status utapi_backend_apply(utapi_backend *self, const utapi_batch *batch, utapi_applied *ret,
                                 utapi_error *err)
{
    return self->ops->apply(self, batch, ret, err);
}

utapi_status utapi_backend_read(utapi_backend *self, const utapi_query *query, utapi_usage *ret,
                                uint64_t *ret_fence, utapi_error *err)
{
    return self->ops->read(self, query, ret, ret_fence, err);
}

utapi_status utapi_backend_list(utapi_backend *self, utapi_level level, utapi_resource_cb *on_resource,
                                void *ctx, utapi_error *err)
{
    if (self->ops->list == NULL)
        return not_supported(self, "visit", err);
    return self->ops->list(self, level, on_resource, ctx, err);
}

utapi_status utapi_backend_rows(utapi_backend *self, utapi_level level, utapi_string name,
                                utapi_interval start, utapi_interval end, utapi_row_cb *on_row, void *ctx,
                                utapi_error *err)
{
    if (self->ops->rows == NULL)
        return not_supported(self, "rows", err);
    return self->ops->rows(self, level, name, start, end, on_row, ctx, err);
}

utapi_status utapi_backend_adjust(utapi_backend *self, const utapi_adjustment *adjustments, size_t count,
                                  utapi_error *err)
{
    if (self->ops->adjust == NULL)
        return not_supported(self, "adjust", err);
    return self->ops->adjust(self, adjustments, count, err);
}

utapi_status utapi_backend_expire(utapi_backend *self, utapi_level level, utapi_string name, int64_t time_ms,
                                  utapi_error *err)
{
    if (self->ops->expire == NULL)
        return not_supported(self, "forget", err);
    return self->ops->expire(self, level, name, time_ms, err);
}

utapi_status utapi_backend_maintain(utapi_backend *self, int64_t now_ms, int64_t accepted_ms,
                                    utapi_error *err)
{
    return self->ops->maintain != NULL ? self->ops->maintain(self, now_ms, accepted_ms, err) : UTAPI_OK;
}

utapi_status utapi_backend_changes(utapi_backend *self, utapi_change_cb *on_change,
                                   utapi_unreadable_cb *on_unreadable, void *ctx, utapi_error *err)
{
    if (self->ops->changes == NULL)
        return not_supported(self, "changes", err);
    return self->ops->changes(self, on_change, on_unreadable, ctx, err);
}

utapi_status utapi_backend_fences(utapi_backend *self, utapi_fence_cb *on_fence, void *ctx, utapi_error *err)
{
    if (self->ops->fences == NULL)
        return not_supported(self, "fences", err);
    return self->ops->fences(self, on_fence, ctx, err);
}

utapi_status utapi_backend_stats(utapi_backend *self, utapi_stats *ret, utapi_error *err)
{
    return self->ops->stats(self, ret, err);
}

void utapi_backend_close(utapi_backend *backend)
{
    if (backend != NULL)
        backend->ops->close(backend);
}
