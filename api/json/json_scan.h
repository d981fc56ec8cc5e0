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

/** How far a text was read. All zero: nothing of it. */
typedef struct json_scan {
    utapi_event *events; /* owned: free() */
    size_t count, capacity;
    size_t at;        /* the bytes that are done with */
    const char *text; /* what the events' strings point into */
    enum { JSON_SCAN_BEFORE, JSON_SCAN_FIRST, JSON_SCAN_EVENT, JSON_SCAN_BETWEEN, JSON_SCAN_AFTER } place;
} json_scan;

/**
 * Reads on in an array of V2 events, event by event, as far as it is plain and there.
 *
 * @param text        as it has arrived so far; borrowed. What was read of it must be the same still, wherever it lies now
 * @param max_events  no more are read
 * @param on_event    may keep strings for as long as the text does not move
 * @return true if the text is read to its end, an array of plain events; false if there is more to read, or what only
 *         the full reader can tell
 */
bool json_scan_events(json_scan *scan, utapi_string text, size_t max_events, json_scan_cb *on_event,
                      void *ctx);

/** A string of a text that has moved. */
utapi_string json_scan_moved(utapi_string string, const char *from, const char *to);

#endif
