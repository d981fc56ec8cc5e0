/* SPDX-License-Identifier: Apache-2.0 */
/**
 * event_reader.h - cuts a stream of JSON into the texts of its events, and says where each stands.
 *
 * The stream is any row of events and arrays of events: one JSON array, one event a line, one array a line.
 * Texts are handed on byte for byte; only enough is parsed to tell the form of an event.
 */
#ifndef CTL_EVENT_READER_H
#define CTL_EVENT_READER_H

#include "utapi/status.h"
#include "utapi/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/** The two forms of docs/specification.md#events; a request holds events of one form. */
typedef enum event_form { EVENT_V1, EVENT_V2 } event_form;

typedef struct event_text {
    utapi_string text; /* valid until the next one is read; size 0: the stream has ended */
    event_form form;
    bool has_uuid; /* it may be sent again, and counts once */
    size_t line;   /* that it begins on, from 1 */
} event_text;

/* What may come next, outside of events. */
typedef enum event_place {
    EVENT_OUTSIDE,     /* an event, an array, the end */
    EVENT_ARRAY_FIRST, /* an event, ']' */
    EVENT_ARRAY_EVENT, /* an event: a comma came */
    EVENT_ARRAY_NEXT   /* ',' or ']' */
} event_place;

/** `{.stream = stream, .line = 1}` begins to read. */
typedef struct event_reader {
    FILE *stream;      /* borrowed */
    uint64_t position; /* bytes that were read */
    size_t line;
    event_place place;
    size_t array_line; /* that the current array begins on */
    utapi_text event;  /* the current one; owned: utapi_text_done() */
} event_reader;

/**
 * Reads the next event.
 *
 * @return UTAPI_INVALID, naming the line; UTAPI_UNAVAILABLE if the stream cannot be read; UTAPI_NO_MEMORY
 */
UTAPI_MUST_USE utapi_status event_reader_next(event_reader *self, event_text *ret, utapi_error *err);

#endif
