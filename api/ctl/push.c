/* SPDX-License-Identifier: Apache-2.0 */
/* push.c - `utapictl push`: events from a file to the server, in batches, in order.
 *
 * A body is built as the events come in, and where each ends is kept. A batch with a bad event in it is cut before that
 * event and sent again: where it stops, all events before are counted and none after. */
#include "ctl/client.h"
#include "ctl/event_reader.h"
#include "ctl/format.h"
#include "ctl/progress.h"
#include "utapi/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Of one body; a batch that is as large as this is sent before it is full. */
#define MAX_BATCH_BYTES ((size_t)8 << 20)
#define MAX_WAIT_S      INT64_C(60)

/* Where an event stands: in its input, and in the body. */
typedef struct batch_event {
    size_t number; /* in the input, from 1 */
    size_t line;   /* likewise */
    size_t end;    /* bytes of the body up to its end */
} batch_event;

typedef struct push_batch {
    event_form form;
    utapi_text body;     /* "[{...},{...}", without the closing bracket, for which there is room */
    batch_event *events; /* owned */
    size_t count, event_room;
} push_batch;

typedef struct push {
    client_endpoint endpoint;
    int64_t batch_events;
    int64_t retries;
    int64_t skip;
    bool quiet;

    client *client;
    event_reader *reader;
    push_batch batch;
    progress progress;
    size_t number; /* of the event that was read last, from 1 */
    size_t accepted;
} push;

static push asked = {.endpoint = CLIENT_ENDPOINT_DEFAULTS, .batch_events = 1000, .retries = 5};

/* ---- gathering ---------------------------------------------------------------------------- */

/* Adds an event of the batch's form, which the first one decides. Copied. False if out of memory. */
static bool push_batch_add(push_batch *self, const event_text *event, size_t number)
{
    if (self->count == self->event_room) {
        const size_t room = self->event_room == 0 ? 64 : 2 * self->event_room;
        batch_event *events = realloc(self->events, room * sizeof *events);
        if (events == NULL)
            return false;
        self->events = events;
        self->event_room = room;
    }
    utapi_text_add_char(&self->body, self->count == 0 ? '[' : ',');
    utapi_text_add_string(&self->body, event->text);
    if (!utapi_text_reserve(&self->body, 1))
        return false;
    self->form = event->form;
    self->events[self->count++] =
        (batch_event){.number = number, .line = event->line, .end = self->body.size};
    return true;
}

/* Keeps the first `count` events only. */
static void push_batch_cut(push_batch *self, size_t count)
{
    self->count = count;
    self->body.size = count == 0 ? 0 : self->events[count - 1].end;
}

/* ---- sending a batch ---------------------------------------------------------------------- */

static void wait_s(int64_t seconds)
{
    struct timespec left = {.tv_sec = (time_t)seconds};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        continue;
}

/* "events[3].newByteLength: expected an integer": which, and *message moves to what is wrong with it. */
static size_t event_attribute(const push_batch *self, const char **message)
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
    *ret_refused = event_attribute(self, &message);
    return utapi_fail(err, UTAPI_INVALID, "%s: %.150s", answer->code, message);
}

/*
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
static utapi_status push_batch_send(push_batch *self, client *to, int64_t retries, size_t *ret_refused,
                                    utapi_error *err)
{
    const char *path = self->form == EVENT_V2 ? "/v2/ingest" : "/v1/push";
    *ret_refused = UTAPI_NO_INDEX;
    self->body.data[self->body.size] = ']';
    for (int64_t attempt = 0;; attempt++) {
        client_answer answer;
        const utapi_string body = {self->body.data, self->body.size + 1};
        utapi_status status = client_ask(to, path, body, &answer, err);
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

/* ---- reporting ---------------------------------------------------------------------------- */

/* What is known to count, and how to go on from there. */
static void say_where_it_stands(const push *self)
{
    char taken[FORMAT_BYTES];
    format_count((int64_t)self->accepted, taken);
    if (self->accepted == 0) {
        ctl_say("no event was taken");
        return;
    }
    ctl_say("%s event%s taken; to go on from there: --skip %zu", taken,
            self->accepted == 1 ? " was" : "s were", (size_t)self->skip + self->accepted);
}

static void say_failure(const push *self, utapi_status status, size_t refused, const utapi_error *err)
{
    const batch_event *first = &self->batch.events[0];
    const batch_event *last = &self->batch.events[self->batch.count - 1];
    if (refused != UTAPI_NO_INDEX)
        first = last = &self->batch.events[refused];
    if (first == last)
        ctl_say("line %zu, event %zu: %s", first->line, first->number, err->detail);
    else
        ctl_say("lines %zu to %zu, events %zu to %zu: %s", first->line, last->line, first->number,
                last->number, err->detail);
    if (status == UTAPI_UNCERTAIN)
        ctl_say("whether %s counted is not known; to repeat events is safe if they have a uuid",
                first == last ? "it is" : "these are");
}

/* ---- sending what is gathered ------------------------------------------------------------- */

static utapi_status send_once(push *self, size_t *ret_refused, utapi_error *err)
{
    const utapi_status status = push_batch_send(&self->batch, self->client, self->retries, ret_refused, err);
    if (status == UTAPI_OK) {
        self->accepted += self->batch.count;
        push_batch_cut(&self->batch, 0);
        progress_show(&self->progress, event_reader_position(self->reader), self->accepted);
    }
    return status;
}

/* Sends what is gathered; says why if that fails. */
static utapi_status send_batch(push *self)
{
    utapi_error err = {0};
    size_t refused;
    if (self->batch.count == 0)
        return UTAPI_OK;
    const utapi_status status = send_once(self, &refused, &err);
    if (status == UTAPI_OK)
        return UTAPI_OK;
    progress_clear(&self->progress);
    say_failure(self, status, refused, &err);
    if (refused == UTAPI_NO_INDEX || refused == 0)
        return status;
    utapi_error_clear(&err);
    push_batch_cut(&self->batch, refused);
    const utapi_status before = send_once(self, &refused, &err);
    if (before != UTAPI_OK)
        say_failure(self, before, refused, &err);
    return status;
}

static bool is_full(const push *self, const event_text *next)
{
    const push_batch *batch = &self->batch;
    return batch->count == (size_t)self->batch_events || batch->form != next->form ||
           batch->body.size + next->text.size > MAX_BATCH_BYTES;
}

static utapi_status take_event(push *self, const event_text *event)
{
    self->number++;
    if (self->number <= (size_t)self->skip)
        return UTAPI_OK;
    const utapi_status status = self->batch.count > 0 && is_full(self, event) ? send_batch(self) : UTAPI_OK;
    if (status != UTAPI_OK)
        return status;
    if (push_batch_add(&self->batch, event, self->number))
        return UTAPI_OK;
    ctl_say("out of memory");
    return UTAPI_NO_MEMORY;
}

/* Everything up to the end, or to what cannot be read: what is gathered by then is sent as well. */
static utapi_status push_stream(push *self)
{
    for (;;) {
        event_text event;
        utapi_error err = {0};
        utapi_status status = event_reader_next(self->reader, &event, &err);
        if (status != UTAPI_OK || event.text.size == 0) {
            const utapi_status sent = send_batch(self);
            if (status == UTAPI_OK || sent != UTAPI_OK)
                return sent;
            progress_clear(&self->progress);
            ctl_say("%s", err.detail);
            return status;
        }
        status = take_event(self, &event);
        if (status != UTAPI_OK)
            return status;
    }
}

static int push_file(push *self, FILE *input)
{
    self->client = client_new(&self->endpoint);
    self->reader = self->client != NULL ? event_reader_new(input) : NULL;
    if (self->client != NULL && self->reader == NULL)
        ctl_say("out of memory");
    if (self->reader == NULL)
        return EXIT_FAILED;
    progress_start(&self->progress, input, !self->quiet);
    const utapi_status status = push_stream(self);
    progress_clear(&self->progress);
    if (status != UTAPI_OK) {
        say_where_it_stands(self);
        return EXIT_FAILED;
    }
    char taken[FORMAT_BYTES];
    format_count((int64_t)self->accepted, taken);
    if (!self->quiet)
        printf("%s event%s taken\n", taken, self->accepted == 1 ? "" : "s");
    return EXIT_DONE;
}

static void push_done(push *self)
{
    event_reader_free(self->reader);
    client_free(self->client);
    utapi_text_done(&self->batch.body);
    free(self->batch.events);
}

/* ---- the command -------------------------------------------------------------------------- */

static int run_push(int count, char **arguments)
{
    push *self = &asked;
    if (count > 1) {
        ctl_say("push takes one file, not %d", count);
        return EXIT_USAGE;
    }
    const char *path = count == 1 ? arguments[0] : "-";
    const bool is_stdin = strcmp(path, "-") == 0;
    FILE *input = is_stdin ? stdin : fopen(path, "re");
    if (input == NULL) {
        ctl_say("%s: %s", path, strerror(errno));
        return EXIT_FAILED;
    }
    const int done = push_file(self, input);
    push_done(self);
    if (!is_stdin)
        (void)fclose(input);
    return done;
}

/* clang-format off */
static const ctl_option options[] = {
    {0, "batch",   "N",  "events in one request at most (1000)", CTL_NUMBER(asked.batch_events, 1, 1000000)},
    {0, "retries", "N",  "how often to try again when the server is busy (5)", CTL_NUMBER(asked.retries, 0, 1000)},
    {0, "skip",    "N",  "pass over the first N events of the input (0)", CTL_NUMBER(asked.skip, 0, INT64_MAX / 2)},
    {0, "quiet",   NULL, "no progress bar, and no word on success", CTL_FLAG(asked.quiet)},
    CLIENT_OPTIONS(asked.endpoint),
};
/* clang-format on */

const ctl_command push_command = {
    .name = "push",
    .summary = "Sends events to the meter",
    .arguments = "[FILE]",
    .text =
        "FILE holds a JSON array of events, or one event or one array a line; \"-\" or nothing is standard\n"
        "input. Events may have either form, mixed as they come: that of V2 (operationId) or of V1 (action).\n"
        "Where it stops, every event before is counted and none after.\n",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .run = run_push,
};
