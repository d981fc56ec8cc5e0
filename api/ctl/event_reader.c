/* SPDX-License-Identifier: Apache-2.0 */
/* event_reader.c - a cutter that counts brackets outside of strings, in front of jansson, which then judges
 * each piece. So a file of any size is read in the memory of one event. */
#include "ctl/event_reader.h"

#include "utapi/text.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <string.h>

#define BUFFER_BYTES    ((size_t)1 << 16)
#define MAX_EVENT_BYTES ((size_t)1 << 24)

/* What may come next, outside of events. */
typedef enum place {
    OUTSIDE,     /* an event, an array, the end */
    ARRAY_FIRST, /* an event, ']' */
    ARRAY_EVENT, /* an event: a comma came */
    ARRAY_NEXT   /* ',' or ']' */
} place;

struct event_reader {
    FILE *stream;
    char *buffer; /* owned */
    size_t used, filled;
    uint64_t position; /* in the stream, of buffer[used] */
    size_t line;
    place place;
    size_t array_line; /* that the current array begins on */
    utapi_text event;  /* the current one */
};

event_reader *event_reader_new(FILE *stream)
{
    event_reader *self = calloc(1, sizeof *self);
    char *buffer = malloc(BUFFER_BYTES);
    if (self == NULL || buffer == NULL) {
        free(self);
        free(buffer);
        return NULL;
    }
    self->stream = stream;
    self->buffer = buffer;
    self->line = 1;
    return self;
}

void event_reader_free(event_reader *self)
{
    if (self == NULL)
        return;
    free(self->buffer);
    utapi_text_done(&self->event);
    free(self);
}

uint64_t event_reader_position(const event_reader *self)
{
    return self->position;
}

/* ---- bytes -------------------------------------------------------------------------------- */

static int peek(event_reader *self)
{
    if (self->used == self->filled) {
        self->used = 0;
        self->filled = fread(self->buffer, 1, BUFFER_BYTES, self->stream);
        if (self->filled == 0)
            return EOF;
    }
    return (unsigned char)self->buffer[self->used];
}

static int take(event_reader *self)
{
    const int byte = peek(self);
    if (byte == EOF)
        return EOF;
    self->used++;
    self->position++;
    if (byte == '\n')
        self->line++;
    return byte;
}

static int peek_past_space(event_reader *self)
{
    int byte;
    while ((byte = peek(self)) == ' ' || byte == '\t' || byte == '\n' || byte == '\r')
        (void)take(self);
    return byte;
}

/* ---- one event ---------------------------------------------------------------------------- */

static utapi_status at_line(utapi_error *err, size_t line, const char *what)
{
    return utapi_fail(err, UTAPI_INVALID, "line %zu: %s", line, what);
}

/* From '{' to the '}' that closes it. */
static utapi_status cut_event(event_reader *self, size_t line, utapi_error *err)
{
    size_t depth = 0;
    bool in_string = false;
    bool is_escaped = false;
    self->event.size = 0;
    do {
        const int byte = take(self);
        if (byte == EOF)
            return at_line(err, line, "the event that begins here does not end");
        if (self->event.size == MAX_EVENT_BYTES)
            return at_line(err, line, "the event that begins here is longer than 16 MiB");
        utapi_text_add_char(&self->event, (char)byte);
        if (self->event.failed)
            return utapi_fail(err, UTAPI_NO_MEMORY, "line %zu", line);
        if (in_string) {
            in_string = byte != '"' || is_escaped;
            is_escaped = byte == '\\' && !is_escaped;
            continue;
        }
        in_string = byte == '"';
        if (byte == '{' || byte == '[')
            depth++;
        else if (byte == '}' || byte == ']')
            depth--;
    } while (depth > 0);
    return UTAPI_OK;
}

/* null reads as absent (docs/specification.md#v2-events). */
static bool has_member(const json_t *event, const char *name)
{
    const json_t *member = json_object_get(event, name);
    return member != NULL && !json_is_null(member);
}

static utapi_status judge_event(const event_reader *self, size_t line, event_text *ret, utapi_error *err)
{
    json_error_t error;
    json_auto_t *event = json_loadb(self->event.data, self->event.size, JSON_REJECT_DUPLICATES, &error);
    if (event == NULL)
        return at_line(err, line + (error.line > 0 ? (size_t)error.line - 1 : 0), error.text);
    if (has_member(event, "operationId"))
        ret->form = EVENT_V2;
    else if (has_member(event, "action"))
        ret->form = EVENT_V1;
    else
        return at_line(err, line, "an event needs an operationId or an action");
    ret->text = utapi_text_view(&self->event);
    ret->line = line;
    return UTAPI_OK;
}

static utapi_status read_event(event_reader *self, event_text *ret, utapi_error *err)
{
    const size_t line = self->line;
    const utapi_status status = cut_event(self, line, err);
    if (status != UTAPI_OK)
        return status;
    self->place = self->place == OUTSIDE ? OUTSIDE : ARRAY_NEXT;
    return judge_event(self, line, ret, err);
}

/* ---- between events ----------------------------------------------------------------------- */

static utapi_status read_end(const event_reader *self, event_text *ret, utapi_error *err)
{
    if (ferror(self->stream))
        return utapi_fail(err, UTAPI_UNAVAILABLE, "line %zu: %s", self->line, strerror(errno));
    if (self->place != OUTSIDE)
        return at_line(err, self->array_line, "the array that begins here does not end");
    ret->text = (utapi_string){0};
    return UTAPI_OK;
}

/* Passes one of "[,]" if it may stand here. */
static bool pass_punctuation(event_reader *self, int byte)
{
    if (byte == '[' && self->place == OUTSIDE) {
        self->place = ARRAY_FIRST;
        self->array_line = self->line;
    } else if (byte == ',' && self->place == ARRAY_NEXT) {
        self->place = ARRAY_EVENT;
    } else if (byte == ']' && (self->place == ARRAY_FIRST || self->place == ARRAY_NEXT)) {
        self->place = OUTSIDE;
    } else {
        return false;
    }
    (void)take(self);
    return true;
}

utapi_status event_reader_next(event_reader *self, event_text *ret, utapi_error *err)
{
    static const char *const expected[] = {
        [OUTSIDE] = "expected an event, or an array of events",
        [ARRAY_FIRST] = "expected an event or ]",
        [ARRAY_EVENT] = "expected an event",
        [ARRAY_NEXT] = "expected , or ]",
    };
    for (;;) {
        const int byte = peek_past_space(self);
        if (byte == EOF)
            return read_end(self, ret, err);
        if (byte == '{' && self->place != ARRAY_NEXT)
            return read_event(self, ret, err);
        if (!pass_punctuation(self, byte))
            return at_line(err, self->line, expected[self->place]);
    }
}
