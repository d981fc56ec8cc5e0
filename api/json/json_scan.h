/* SPDX-License-Identifier: Apache-2.0 */
/**
 * json_scan.h - the quick way for what servers send all day: an array of plain V2 events.
 *
 * Reads them in one pass and copies nothing: strings point into the text. It knows the members that CloudServer
 * sends, strings without escapes, and integers of up to 18 digits; whatever else it meets it leaves, undecided, to
 * json_event.c, which reads everything and words every error. Where it does answer, both answer the same:
 * tests/fuzz/fuzz_events.c and tests/http hold them against each other. Pure.
 */
#ifndef JSON_SCAN_H
#define JSON_SCAN_H

#include "utapi/event.h"

/** Told the two strings of an event that need more than its place: once for each event, when it is whole. */
typedef void json_scan_cb(void *ctx, utapi_event *event, utapi_string operation, utapi_string object);

/**
 * Reads an array of V2 events.
 *
 * @param text        borrowed; the events' strings point into it
 * @param max_events  with more, nothing is decided
 * @param ret         owned: free(). NULL for an empty array. Written on success only, as ret_count.
 * @return false if nothing was decided: the text must be read by the full reader
 */
bool json_scan_events(utapi_string text, size_t max_events, json_scan_cb *on_event, void *ctx,
                      utapi_event **ret, size_t *ret_count);

#endif
