/* SPDX-License-Identifier: Apache-2.0 */
/**
 * noop_backend.h - a storage that stores nothing and answers zeros: what is left is the engine, or the server.
 */
#ifndef BENCH_NOOP_BACKEND_H
#define BENCH_NOOP_BACKEND_H

#include "utapi/backend.h"

extern const utapi_backend_ops bench_noop_backend;

#endif
