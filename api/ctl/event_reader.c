/* SPDX-License-Identifier: Apache-2.0 */
/* event_reader.c - a cutter that counts brackets outside of strings, in front of jansson, which then judges
 * each piece. So a file of any size is read in the memory of one event. */
#include "ctl/event_reader.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <string.h>

#define MAX_EVENT_BYTES ((size_t)1 << 24)

static int take(event_reader *self)
{
    const int byte = getc_unlocked(self->stream);
    if (byte != EOF)
        self->position++;
    if (byte == '\n')
        self->line++;
    return byte;
}

/* ---- one event ---------------------------------------------------------------------------- */

static utapi_status at_line(utapi_error *err, size_t line, const char *what)
{
    return utapi_fail(err, UTAPI_INVALID, "line %zu: %s", line, what);
}

/* From '{', which was read, to the '}' that closes it. */
static utapi_status cut_event(event_reader *self, size_t line, utapi_error *err)
{
    size_t depth = 0;
    bool in_string = false;
    bool is_escaped = false;
    self->event.size = 0;
    for (int byte = '{';; byte = take(self)) {
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
        else if ((byte == '}' || byte == ']') && --depth == 0)
            return UTAPI_OK;
    }
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
    ret->has_uuid = has_member(event, "uuid");
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
    self->place = self->place == EVENT_OUTSIDE ? EVENT_OUTSIDE : EVENT_ARRAY_NEXT;
    return judge_event(self, line, ret, err);
}

/* ---- between events ----------------------------------------------------------------------- */

static utapi_status read_end(const event_reader *self, event_text *ret, utapi_error *err)
{
    if (ferror(self->stream))
        return utapi_fail(err, UTAPI_UNAVAILABLE, "line %zu: %s", self->line, strerror(errno));
    if (self->place != EVENT_OUTSIDE)
        return at_line(err, self->array_line, "the array that begins here does not end");
    ret->text = (utapi_string){0};
    return UTAPI_OK;
}

/* Passes one of "[,]" if it may stand here. */
static bool pass_punctuation(event_reader *self, int byte)
{
    if (byte == '[' && self->place == EVENT_OUTSIDE) {
        self->place = EVENT_ARRAY_FIRST;
        self->array_line = self->line;
    } else if (byte == ',' && self->place == EVENT_ARRAY_NEXT) {
        self->place = EVENT_ARRAY_EVENT;
    } else if (byte == ']' && (self->place == EVENT_ARRAY_FIRST || self->place == EVENT_ARRAY_NEXT)) {
        self->place = EVENT_OUTSIDE;
    } else {
        return false;
    }
    return true;
}

utapi_status event_reader_next(event_reader *self, event_text *ret, utapi_error *err)
{
    static const char *const expected[] = {
        [EVENT_OUTSIDE] = "expected an event, or an array of events",
        [EVENT_ARRAY_FIRST] = "expected an event or ]",
        [EVENT_ARRAY_EVENT] = "expected an event",
        [EVENT_ARRAY_NEXT] = "expected , or ]",
    };
    for (;;) {
        const int byte = take(self);
        if (byte == EOF)
            return read_end(self, ret, err);
        if (byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r')
            continue;
        if (byte == '{' && self->place != EVENT_ARRAY_NEXT)
            return read_event(self, ret, err);
        if (!pass_punctuation(self, byte))
            return at_line(err, self->line, expected[self->place]);
    }
}
