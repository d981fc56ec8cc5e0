/* SPDX-License-Identifier: Apache-2.0 */
/**
 * wake.h - lets storage servers notice that an outage is over (docs/specification.md#waking).
 *
 * CloudServer's client keeps an event that it could not post, and sends all that it kept 30 s after that. Where it is
 * refused then, it waits until another post fails, and after the outage none does. So for some time after a start, and
 * after events could not be stored, a few posts of that client are told that they failed. Their event counts all the
 * same: the client sends it again with its uuid, which is known. Thread-safe. All functions do nothing where self is
 * NULL.
 */
#ifndef HANDLERS_WAKE_H
#define HANDLERS_WAKE_H

#include "http/message.h"
#include "utapi/event.h"

/** How many posts a second of one source are told that they failed. */
enum { WAKE_A_SECOND = 10 };

typedef struct wake wake;

/**
 * @param period_ms     for how long after a start, or after events could not be stored; it begins now
 * @param monotonic_ms  utapi_monotonic_ms, but for tests
 * @return owned, wake_free(); NULL if out of memory
 */
wake *wake_new(int64_t period_ms, int64_t (*monotonic_ms)(void));

void wake_free(wake *self);

/** Events could not be stored: once others can be, the period begins anew. */
void wake_failed(wake *self);

/** Somebody asked for the healthcheck. That client does before it sends what it kept, which must be taken. */
void wake_asked(wake *self, const http_request *request);

/** Whether a request whose events were stored is to be told that it failed. */
bool wake_wants(wake *self, const http_request *request, const utapi_event *events, size_t count);

#endif
