/* SPDX-License-Identifier: Apache-2.0 */
/**
 * redis_backend.h - storage in Utapi V1's keys (docs/specification.md#redis-keys). README.md has the layout.
 *
 * utapi_backend_options.location is a URI (redis_uri.h). Opening does not connect: a Redis that is away answers
 * UTAPI_UNAVAILABLE to each call until it is back.
 */
#ifndef REDIS_REDIS_BACKEND_H
#define REDIS_REDIS_BACKEND_H

#include "utapi/backend.h"

extern const utapi_backend_ops utapi_redis_backend;

#endif
