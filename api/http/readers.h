/* SPDX-License-Identifier: Apache-2.0 */
/**
 * readers.h - threads that answer questions, where storage may take its time over them.
 *
 * A worker that waited for a Redis would keep events and healthchecks waiting on all of its connections. So where
 * http_service.readers is set, the router hands questions over, and a worker goes on with what it can do at once.
 * Thread-safe.
 */
#ifndef HTTP_READERS_H
#define HTTP_READERS_H

#include "http/router.h"

typedef struct readers readers;

/**
 * Starts the threads.
 *
 * @param service  borrowed: must outlive the readers
 * @param threads  at least 1: so many questions are answered at a time
 * @param ret      owned: readers_stop()
 * @return UTAPI_NO_MEMORY
 */
UTAPI_MUST_USE utapi_status readers_start(const http_service *service, unsigned threads, readers **ret,
                                          utapi_error *err);

/** Has a call answered by its route's handler, after those that wait already. It is borrowed until it is ready. */
void readers_take(readers *self, http_call *call);

/** Stops the threads, and frees. No call may be waiting, and none may follow. NULL is fine. */
void readers_stop(readers *self);

#endif
