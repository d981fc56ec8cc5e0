/* SPDX-License-Identifier: Apache-2.0 */
/**
 * query_pool.h - threads that answer queries, where storage may take its time over them.
 *
 * A worker that waited for a Redis would keep events and healthchecks waiting on all of its connections. So where
 * http_service.query_pool is set, the router hands queries over, and a worker goes on with what it can do at once.
 * Thread-safe.
 */
#ifndef HANDLERS_QUERY_POOL_H
#define HANDLERS_QUERY_POOL_H

#include "handlers/router.h"

typedef struct query_pool query_pool;

/**
 * Starts the threads.
 *
 * @param threads  at least 1: so many queries are answered at a time
 * @param ret      owned: query_pool_stop()
 * @return UTAPI_NO_MEMORY
 */
UTAPI_MUST_USE utapi_status query_pool_start(unsigned threads, query_pool **ret, utapi_error *err);

/** Has a call that was admitted answered by its route's handler, after those that wait already. It is borrowed until
 *  it is ready. */
void query_pool_add(query_pool *self, http_call *call);

/** Stops the threads, and frees. No call may be waiting, and none may follow. NULL is fine. */
void query_pool_stop(query_pool *self);

#endif
