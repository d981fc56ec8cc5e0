/* SPDX-License-Identifier: Apache-2.0 */
/**
 * push_batch.h - events gathered for one request, in the text of its body, and the sending of it.
 */
#ifndef CLI_PUSH_BATCH_H
#define CLI_PUSH_BATCH_H

#include "cli/client.h"
#include "cli/event_reader.h"

/** Where an event stands: in its input, and in the body. */
typedef struct batch_event {
    size_t number; /* in the input, from 1 */
    size_t line;   /* likewise */
    size_t end;    /* bytes of the body up to its end */
} batch_event;

typedef struct push_batch {
    event_form form;
    char *body; /* owned: "[{...},{...}", without the closing bracket, for which there is room */
    size_t size, room;
    batch_event *events; /* owned */
    size_t count, event_room;
} push_batch;

/** Adds an event of the batch's form, which the first one decides. Copied. False if out of memory. */
bool push_batch_add(push_batch *self, const event_text *event, size_t number);

/** Keeps the first `count` events only. */
void push_batch_cut(push_batch *self, size_t count);

void push_batch_done(push_batch *self);

/**
 * Posts the batch. 503 is tried again, after the time that the server asks for, or else after 1, 2, 4, ...
 * seconds.
 *
 * @param retries      how often at most
 * @param ret_refused  on UTAPI_INVALID: which event of the batch is to blame; UTAPI_NO_INDEX if the server
 *                     did not say
 * @return UTAPI_OK           every event of it counts
 *         UTAPI_INVALID      refused as a whole
 *         UTAPI_UNAVAILABLE  it was not sent, or 503 to the end
 *         UTAPI_UNCERTAIN    no answer came: its events may or may not count
 */
UTAPI_MUST_USE utapi_status push_batch_send(push_batch *self, client *to, int64_t retries,
                                            size_t *ret_refused, utapi_error *err);

#endif
