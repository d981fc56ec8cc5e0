/* SPDX-License-Identifier: Apache-2.0 */
/**
 * load_http.h - requests to a server: one keep-alive connection for each client, all on one epoll descriptor.
 */
#ifndef BENCH_LOAD_HTTP_H
#define BENCH_LOAD_HTTP_H

#include "http_text.h"
#include "load.h"

typedef struct load_http load_http;

/**
 * Connects every client.
 *
 * @param workload, generator, endpoint  borrowed: must outlive it
 * @param ret                       owned: load_http_free()
 * @return UTAPI_UNAVAILABLE if nobody listens
 */
UTAPI_MUST_USE utapi_status load_http_new(const bench_workload *workload, bench_generator *generator,
                                          const http_endpoint *endpoint, unsigned clients, load_http **ret,
                                          utapi_error *err);
void load_http_free(load_http *self);

/** How load_run() reaches it. Valid as long as it lives. */
load_transport load_http_transport(load_http *self);

/** The size of the last answer's body. */
size_t load_http_answer_bytes(const load_http *self);

#endif
