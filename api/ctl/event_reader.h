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
#include "utapi/string.h"

#include <stdint.h>
#include <stdio.h>

/** The two forms of docs/specification.md#events; a request holds events of one form. */
typedef enum event_form { EVENT_V1, EVENT_V2 } event_form;

typedef struct event_text {
    utapi_string text; /* valid until the next one is read; size 0: the stream has ended */
    event_form form;
    size_t line; /* that it begins on, from 1 */
} event_text;

typedef struct event_reader event_reader;

/** NULL if out of memory. stream is borrowed. */
event_reader *event_reader_new(FILE *stream);
void event_reader_free(event_reader *self);

/**
 * Reads the next event.
 *
 * @return UTAPI_INVALID, naming the line; UTAPI_UNAVAILABLE if the stream cannot be read; UTAPI_NO_MEMORY
 */
UTAPI_MUST_USE utapi_status event_reader_next(event_reader *self, event_text *ret, utapi_error *err);

/** Bytes that were read. */
uint64_t event_reader_position(const event_reader *self);

#endif
