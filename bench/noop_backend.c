/* SPDX-License-Identifier: Apache-2.0 */
/* noop_backend.c - the required slots, without effect. */
#include "noop_backend.h"

static utapi_backend noop = {.ops = &bench_noop_backend};

static utapi_status noop_open(const utapi_backend_options *options, utapi_backend **ret, utapi_error *err)
{
    (void)options;
    (void)err;
    *ret = &noop;
    return UTAPI_OK;
}

static utapi_status noop_apply(utapi_backend *self, const utapi_batch *batch, utapi_applied *ret,
                               utapi_error *err)
{
    (void)self;
    (void)err;
    *ret = (utapi_applied){.fence = batch->fence.to};
    return UTAPI_OK;
}

static utapi_status noop_read(utapi_backend *self, const utapi_query *query, utapi_usage *ret,
                              uint64_t *ret_fences, utapi_error *err)
{
    (void)self;
    (void)err;
    for (size_t i = 0; i < query->count; i++)
        utapi_usage_clear(&ret[i]);
    for (size_t i = 0; ret_fences != NULL && i < (query->count > 0 ? query->count : 1); i++)
        ret_fences[i] = 0;
    return UTAPI_OK;
}

static utapi_status noop_stats(utapi_backend *self, utapi_storage_stats *ret, utapi_error *err)
{
    (void)self;
    (void)err;
    *ret = (utapi_storage_stats){.rows = 0};
    return UTAPI_OK;
}

static void noop_close(utapi_backend *self)
{
    (void)self;
}

const utapi_backend_ops bench_noop_backend = {
    .version = UTAPI_BACKEND_VERSION,
    .name = "noop",
    .open = noop_open,
    .apply = noop_apply,
    .read = noop_read,
    .stats = noop_stats,
    .close = noop_close,
};
