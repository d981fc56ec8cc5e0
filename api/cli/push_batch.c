/* SPDX-License-Identifier: Apache-2.0 */
/* push_batch.c - the body is built as the events come in; where each ends is kept, so that a batch can be cut
 * before an event that the server refuses. */
#include "cli/push_batch.h"

#include "cli/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_WAIT_S INT64_C(60)

/* ---- gathering ---------------------------------------------------------------------------- */

static bool make_room(push_batch *self, size_t bytes)
{
    const size_t needed = self->size + bytes;
    if (needed > self->room) {
        const size_t room = 2 * needed;
        char *body = realloc(self->body, room);
        if (body == NULL)
            return false;
        self->body = body;
        self->room = room;
    }
    if (self->count == self->event_room) {
        const size_t room = self->event_room == 0 ? 64 : 2 * self->event_room;
        batch_event *events = realloc(self->events, room * sizeof *events);
        if (events == NULL)
            return false;
        self->events = events;
        self->event_room = room;
    }
    return true;
}

bool push_batch_add(push_batch *self, const event_text *event, size_t number)
{
    if (!make_room(self, event->text.size + 2)) /* '[' or ',' before it, ']' after it */
        return false;
    self->body[self->size++] = self->count == 0 ? '[' : ',';
    memcpy(self->body + self->size, event->text.data, event->text.size);
    self->size += event->text.size;
    self->form = event->form;
    self->events[self->count++] = (batch_event){.number = number, .line = event->line, .end = self->size};
    return true;
}

void push_batch_cut(push_batch *self, size_t count)
{
    self->count = count;
    self->size = count == 0 ? 0 : self->events[count - 1].end;
}

void push_batch_done(push_batch *self)
{
    free(self->body);
    free(self->events);
    *self = (push_batch){0};
}

/* ---- sending ------------------------------------------------------------------------------ */

static void wait_s(int64_t seconds)
{
    struct timespec left = {.tv_sec = (time_t)seconds};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        continue;
}

/* "events[3].newByteLength: expected an integer": which, and *message moves to what is wrong with it. */
static size_t blamed_event(const push_batch *self, const char **message)
{
    static const char prefix[] = "events[";
    const char *text = *message;
    if (strncmp(text, prefix, sizeof prefix - 1) != 0)
        return UTAPI_NO_INDEX;
    char *rest = NULL;
    errno = 0;
    const long long index = strtoll(text + sizeof prefix - 1, &rest, 10);
    if (errno != 0 || *rest != ']' || index < 0 || (size_t)index >= self->count)
        return UTAPI_NO_INDEX;
    *message = rest + 1 + strspn(rest + 1, ".: ");
    return (size_t)index;
}

static utapi_status explain(const push_batch *self, const client_answer *answer, size_t *ret_refused,
                            utapi_error *err)
{
    const char *message = answer->message;
    if (answer->status == 503)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "%s: %.150s", answer->code, answer->message);
    if (answer->status >= 500)
        return utapi_fail(err, UTAPI_UNCERTAIN, "%s: %.150s", answer->code, answer->message);
    *ret_refused = blamed_event(self, &message);
    return utapi_fail(err, UTAPI_INVALID, "%s: %.150s", answer->code, message);
}

utapi_status push_batch_send(push_batch *self, client *to, int64_t retries, size_t *ret_refused,
                             utapi_error *err)
{
    const char *path = self->form == EVENT_V2 ? "/v2/ingest" : "/v1/push";
    *ret_refused = UTAPI_NO_INDEX;
    self->body[self->size] = ']';
    for (int64_t attempt = 0;; attempt++) {
        client_answer answer;
        const utapi_string body = {self->body, self->size + 1};
        utapi_status status = client_post(to, path, body, &answer, err);
        if (status != UTAPI_OK)
            return status;
        const bool is_busy = answer.status == 503 && attempt < retries;
        const int64_t asked_s = answer.retry_after_s;
        if (answer.status != 200 && !is_busy)
            status = explain(self, &answer, ret_refused, err);
        client_answer_done(&answer);
        if (!is_busy)
            return status;
        const int64_t wait = asked_s > 0 ? asked_s : INT64_C(1) << (attempt < 6 ? attempt : 6);
        wait_s(wait < MAX_WAIT_S ? wait : MAX_WAIT_S);
    }
}
