/* SPDX-License-Identifier: Apache-2.0 */
/**
 * http_health.h - what a server's healthcheck says of its journal.
 */
#ifndef BENCH_HTTP_HEALTH_H
#define BENCH_HTTP_HEALTH_H

#include "http_text.h"

/**
 * Asks how many events wait in the server's journal: 0 without one.
 *
 * @return UTAPI_UNAVAILABLE if there is no answer
 */
UTAPI_MUST_USE utapi_status http_health_waiting(const http_endpoint *endpoint, uint64_t *ret,
                                                utapi_error *err);

#endif
