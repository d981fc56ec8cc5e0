/* SPDX-License-Identifier: Apache-2.0 */
/* redis_backend.c - the contract's side: opening, closing, figures. */
#include "redis_backend.h"

static utapi_status redis_open(const utapi_backend_options *options, utapi_backend **ret, utapi_error *err)
{
    (void)options;
    (void)ret;
    return utapi_fail(err, UTAPI_NOT_SUPPORTED, "redis");
}

const utapi_backend_ops utapi_redis_backend = {
    .version = UTAPI_BACKEND_VERSION,
    .name = "redis",
    .open = redis_open,
};
