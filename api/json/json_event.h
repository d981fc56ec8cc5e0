/* SPDX-License-Identifier: Apache-2.0 */
/**
 * json_event.h - the two JSON forms of events (docs/specification.md#events) into core's one.
 *
 * Strings are not copied: they stay in the body, or in the parsed document, which a json_events keeps alive; only
 * the keys of a V1 event are put together anew. Pure.
 */
#ifndef JSON_EVENT_H
#define JSON_EVENT_H

#include "json/json_scan.h"

struct json_t;

/** Text that no document holds: the keys of an event, joined. */
typedef struct json_text_kept {
    struct json_text_kept *next;
    char bytes[];
} json_text_kept;

/** The events of one request. All zero: nothing of it was read. */
typedef struct json_events {
    utapi_event *events; /* owned, as what its strings point to: freed by json_events_done() */
    size_t count;
    json_scan scan; /* of a body that is arriving: what was read of it by json_events_on_body() */
    size_t next_at; /* how much of it has to be there before it is looked at again */
    struct json_t *document;
    json_text_kept *kept;

    size_t unknown_operations;      /* V2 events whose operationId we do not know: counted as no operation */
    utapi_string unknown_operation; /* the first of those names: valid until json_events_done() */
} json_events;

/** Which form to read. */
typedef enum json_event_form {
    JSON_EVENT_V2, /* an array */
    JSON_EVENT_V1  /* an array, or one event alone */
} json_event_form;

/**
 * Reads what has arrived of a body in V2 form, so that little is left to read when it is whole: only a matter of time,
 * nothing is decided.
 *
 * @param so_far  borrowed; may lie elsewhere at the next call, longer, with the same beginning
 * @param events  all zero, or what this function left; to be given to json_events_read()
 */
void json_events_on_body(utapi_string so_far, size_t max_events, json_events *events);

/**
 * Reads a request's events.
 *
 * @param body        borrowed until json_events_done()
 * @param max_events  more are refused
 * @param ret         in: all zero, or what json_events_on_body() left; out: owned: free with json_events_done().
 *                    All zero again if it fails.
 * @param err         says what is wrong; err->index is the event at fault, or UTAPI_NO_INDEX
 * @return UTAPI_INVALID    not JSON, or not events; the detail names the field
 *         UTAPI_OVERFLOW   a number does not fit 64 bits; the detail names the field
 *         UTAPI_NOT_SUPPORTED  more than max_events, or more values than so many would have: of a large body that is
 *                          told before any other error
 *         UTAPI_NO_MEMORY
 */
UTAPI_MUST_USE utapi_status json_events_read(json_event_form form, utapi_string body, size_t max_events,
                                             json_events *ret, utapi_error *err);

/**
 * The quick way of json_events_read() alone (json_scan.h).
 *
 * @return false, and *ret is all zero, if it does not know how to read the body: json_events_read_any() does
 */
bool json_events_read_plain(json_event_form form, utapi_string body, size_t max_events, json_events *ret);

/** The bytes, at most, that the quick way took so far. */
size_t json_events_plain(const json_events *events);

/**
 * The bytes, at most, that json_events_read_any() will take for a body; 0 if it refuses the body before it takes
 * any.
 */
size_t json_events_tree(utapi_string body, size_t max_events);

/** The same, of any body of so many bytes. */
size_t json_events_tree_max(size_t max_bytes, size_t max_events);

/** The same without the quick way first: what it leaves, and what it is tested against. */
UTAPI_MUST_USE utapi_status json_events_read_any(json_event_form form, utapi_string body, size_t max_events,
                                                 json_events *ret, utapi_error *err);

void json_events_done(json_events *events);

#endif
