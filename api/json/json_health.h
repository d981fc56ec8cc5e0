/* SPDX-License-Identifier: Apache-2.0 */
/**
 * json_health.h - what the healthcheck says, events that were kept aside, and their acknowledgement. Pure.
 */
#ifndef JSON_HEALTH_H
#define JSON_HEALTH_H

#include "utapi/backend.h"
#include "json/json_text.h"

/**
 * Writes the body of a healthcheck: "{}", which is Utapi's, where there is no journal and nothing is wrong.
 *
 * @param now_ms    the clock that stats->journal.oldest_ms was taken from
 * @param ret_size  bytes
 * @return owned: free(). NULL if out of memory
 */
char *json_health(const utapi_stats *stats, int64_t now_ms, size_t *ret_size);

/** Adds an event that was kept aside, as an object. */
void json_refused_event(json_text *text, const utapi_entry *entry, const char *reason);

/**
 * Reads {"refused": 2, "lost": 0}: how many of each. One that is not there is 0.
 *
 * @return UTAPI_INVALID, naming the member; UTAPI_NO_MEMORY
 */
UTAPI_MUST_USE utapi_status json_acknowledgement_read(utapi_string body, uint64_t *ret_refused,
                                                      uint64_t *ret_lost, utapi_error *err);

#endif
