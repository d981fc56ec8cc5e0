/* SPDX-License-Identifier: Apache-2.0 */
/**
 * telemetry.h - what happened, for operators: counters for /_/metrics, and a line in the log for what was refused.
 *
 * A client that is refused repeats itself, often many times a second. So the log has a line for the first refusal of a
 * kind from an address, and a count of those that followed within ten seconds. No line has a body or a secret in it.
 * Thread-safe. All functions do nothing where self is NULL.
 */
#ifndef HANDLERS_TELEMETRY_H
#define HANDLERS_TELEMETRY_H

#include "http/errors.h"
#include "utapi/event.h"

#include <stddef.h>
#include <stdint.h>

struct http_call;
struct http_route;

typedef struct telemetry telemetry;

/** What came of events. */
typedef enum telemetry_outcome {
    TELEMETRY_ACCEPTED,    /* durable, or counted before */
    TELEMETRY_REFUSED,     /* their request was: as far as it could be read */
    TELEMETRY_UNAVAILABLE, /* storage could not accept them, or may have */
    TELEMETRY_OUTCOMES
} telemetry_outcome;

/** How long refusals of a kind are counted before the log has another line. */
enum { TELEMETRY_WINDOW_MS = 10000 };

/** @param routes  the table of routes; borrowed. Returns: owned, telemetry_free(); NULL if out of memory */
telemetry *telemetry_new(const struct http_route *routes);

/** Writes what was counted and not logged yet, and frees. NULL is fine. */
void telemetry_free(telemetry *self);

void telemetry_count_events(telemetry *self, telemetry_outcome outcome, size_t count);

uint64_t telemetry_events(const telemetry *self, telemetry_outcome outcome);

/** Counts a request that is answered, and how long it took; and writes its line, where each has one (log.access). */
void telemetry_count_request(telemetry *self, const struct http_call *call);

/** Called for each action and status that there was. */
typedef void telemetry_requests_cb(void *ctx, const char *action, int status, uint64_t count);

void telemetry_requests(const telemetry *self, telemetry_requests_cb *on_requests, void *ctx);

/**
 * Logs that a call is refused, or counts it.
 *
 * @param reason  NULL: what the client is told
 */
void telemetry_log_refusal(telemetry *self, const struct http_call *call, const http_failure *failure,
                           const char *reason);

/**
 * Logs that events of a call became dead letters, or counts them: by reason and source.
 */
void telemetry_log_letters(telemetry *self, const struct http_call *call, const utapi_refusal *why,
                           size_t count);

/**
 * Writes the counts of kinds whose ten seconds are over. To be called now and then.
 *
 * @param now_ms  utapi_monotonic_ms()
 */
void telemetry_flush(telemetry *self, int64_t now_ms);

#endif
