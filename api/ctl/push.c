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
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Of one body; a batch that is as large as this is sent before it is full. */
#define MAX_BATCH_BYTES ((size_t)8 << 20)
#define MAX_WAIT_S      INT64_C(60)

/* Where an event stands: in its input, and in the body. */
typedef struct batch_event {
    size_t line; /* from 1 */
    size_t end;  /* bytes of the body up to its end */
} batch_event;

typedef struct push_batch {
    event_form form;
    utapi_text body;     /* "[{...},{...}", without the closing bracket, for which there is room */
    batch_event *events; /* owned */
    size_t count, event_room;
    bool is_repeatable; /* each of them has a uuid */
} push_batch;

typedef struct push {
    client_endpoint endpoint;
    int64_t batch_events;
    int64_t retries;
    int64_t skip;
    bool quiet;

    event_reader reader;
    push_batch batch;
    progress progress;
    size_t read, accepted; /* events */
    int code;              /* why it ended */
} push;

static push asked = {.endpoint = CLIENT_ENDPOINT_DEFAULTS, .batch_events = 1000, .retries = 5};

static volatile sig_atomic_t is_interrupted;

static void on_interrupt(int signal)
{
    (void)signal;
    is_interrupted = 1;
}

/* ---- gathering ---------------------------------------------------------------------------- */

/* Adds an event of the batch's form, which the first one decides. Copied. False if out of memory. */
static bool push_batch_add(push_batch *self, const event_text *event)
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
    self->is_repeatable = event->has_uuid && (self->count == 0 || self->is_repeatable);
    self->events[self->count++] = (batch_event){.line = event->line, .end = self->body.size};
    return true;
}

/* Keeps the first `count` events only. */
static void push_batch_cut(push_batch *self, size_t count)
{
    self->count = count;
    self->body.size = count == 0 ? 0 : self->events[count - 1].end;
}

/* ---- sending a batch ---------------------------------------------------------------------- */

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

/* What an answer that is not 200 says of the batch. */
static utapi_status answer_judge(const push_batch *self, const client_answer *answer, size_t *ret_refused,
                                 utapi_error *err)
{
    const char *message = answer->message;
    const utapi_status status = answer->status == 503   ? UTAPI_UNAVAILABLE
                                : answer->status >= 500 ? UTAPI_UNCERTAIN
                                                        : UTAPI_INVALID;
    if (status == UTAPI_INVALID)
        *ret_refused = event_attribute(self, &message);
    return utapi_fail(err, status, "%s: %.150s", answer->code, message);
}

/* Waits as long as the server asks for, or else 1, 2, 4, ... seconds; an interrupt ends it. */
static void retry_wait(int64_t retry_after_s, int64_t attempt)
{
    const int64_t wait_s = retry_after_s > 0 ? retry_after_s : INT64_C(1) << (attempt < 6 ? attempt : 6);
    const struct timespec pause = {.tv_sec = (time_t)(wait_s < MAX_WAIT_S ? wait_s : MAX_WAIT_S)};
    (void)nanosleep(&pause, NULL);
}

/*
 * Posts the batch. A server that is busy (503) or away is asked again; but where no answer came, only if each event has
 * a uuid.
 *
 * @param ret_refused  on UTAPI_INVALID: which event of the batch is at fault; UTAPI_NO_INDEX if the server
 *                     did not say
 * @return UTAPI_OK           every event of it counts
 *         UTAPI_INVALID      refused as a whole
 *         UTAPI_UNAVAILABLE  it was not sent, or 503 to the end
 *         UTAPI_UNCERTAIN    no answer came: its events may or may not count
 */
static utapi_status push_batch_send(push *self, size_t *ret_refused, utapi_error *err)
{
    push_batch *batch = &self->batch;
    const utapi_string body = {batch->body.data, batch->body.size + 1};
    const char *path = batch->form == EVENT_V2 ? "/v2/ingest" : "/v1/push";
    bool is_uncertain = false;
    *ret_refused = UTAPI_NO_INDEX;
    batch->body.data[batch->body.size] = ']';
    for (int64_t attempt = 0;; attempt++) {
        client_answer answer = {.message = ""};
        utapi_error_clear(err);
        utapi_status status = client_request(&self->endpoint, path, body, &answer, err);
        const bool is_away =
            status == UTAPI_UNAVAILABLE || (status == UTAPI_UNCERTAIN && batch->is_repeatable);
        const bool is_busy = status == UTAPI_OK && answer.status == 503;
        is_uncertain = is_uncertain || status == UTAPI_UNCERTAIN;
        if (status == UTAPI_OK && answer.status == 200)
            self->code = EXIT_DONE;
        else {
            self->code = client_exit_code(status, &answer);
            status = status == UTAPI_OK ? answer_judge(batch, &answer, ret_refused, err) : status;
        }
        json_decref(answer.body);
        if ((!is_away && !is_busy) || attempt >= self->retries || is_interrupted)
            return is_uncertain && status == UTAPI_UNAVAILABLE ? UTAPI_UNCERTAIN : status;
        if (is_away && attempt == 0 && !self->quiet) {
            progress_clear(&self->progress);
            ctl_say("%s; trying again", err->detail);
        }
        retry_wait(answer.retry_after_s, attempt);
    }
}

/* ---- sending what is gathered ------------------------------------------------------------- */

static void say_failure(const push *self, utapi_status status, size_t refused, const utapi_error *err)
{
    const bool is_one = refused != UTAPI_NO_INDEX || self->batch.count == 1;
    const size_t first = refused != UTAPI_NO_INDEX ? refused : 0;
    const size_t last = is_one ? first : self->batch.count - 1;
    const size_t number = (size_t)self->skip + self->accepted + 1; /* of the batch's first event */
    const batch_event *events = self->batch.events;
    if (is_one)
        ctl_say("line %zu, event %zu: %s", events[first].line, number + first, err->detail);
    else
        ctl_say("lines %zu to %zu, events %zu to %zu: %s", events[first].line, events[last].line,
                number + first, number + last, err->detail);
    if (status == UTAPI_UNCERTAIN)
        ctl_say("whether %s counted is not known; to repeat events is safe if they have a uuid",
                is_one ? "it is" : "these are");
}

static utapi_status send_once(push *self, size_t *ret_refused, utapi_error *err)
{
    const utapi_status status = push_batch_send(self, ret_refused, err);
    if (status == UTAPI_OK) {
        self->accepted += self->batch.count;
        push_batch_cut(&self->batch, 0);
        progress_show(&self->progress, self->reader.position, self->accepted);
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
    push_batch_cut(&self->batch, refused);
    const utapi_status before = send_once(self, &refused, &err);
    if (before != UTAPI_OK)
        say_failure(self, before, refused, &err);
    else
        self->code = EXIT_REFUSED;
    return status;
}

static bool is_full(const push *self, const event_text *next)
{
    const push_batch *batch = &self->batch;
    return batch->count == (size_t)self->batch_events || batch->form != next->form ||
           batch->body.size + next->text.size > MAX_BATCH_BYTES;
}

/* Everything up to the end, or to what cannot be read: what is gathered by then is sent as well. An interrupt ends it
 * where it is. */
static utapi_status push_stream(push *self)
{
    for (;;) {
        event_text event;
        utapi_error err = {0};
        utapi_status status = event_reader_next(&self->reader, &event, &err);
        if (is_interrupted)
            return UTAPI_OK;
        if (status != UTAPI_OK || event.text.size == 0) {
            const utapi_status sent = send_batch(self);
            if (status == UTAPI_OK || sent != UTAPI_OK)
                return sent;
            progress_clear(&self->progress);
            ctl_say("%s", err.detail);
            self->code = EXIT_FAILED;
            return status;
        }
        if (++self->read <= (size_t)self->skip)
            continue;
        if (self->batch.count > 0 && is_full(self, &event))
            status = send_batch(self);
        if (status != UTAPI_OK)
            return status;
        if (!push_batch_add(&self->batch, &event)) {
            ctl_say("out of memory");
            return UTAPI_NO_MEMORY;
        }
    }
}

/* ---- the command -------------------------------------------------------------------------- */

/* A second interrupt ends the process at once. Reads are not begun anew, for standard input may be silent for long. */
static void interrupts_catch(void)
{
    const struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
}

static void say_end(const push *self, utapi_status status)
{
    const format_text accepted = format_count((int64_t)self->accepted);
    const bool is_one = self->accepted == 1, is_done = status == UTAPI_OK && !is_interrupted;
    if (is_done && !self->quiet)
        printf("%s event%s accepted\n", accepted.text, is_one ? "" : "s");
    else if (!is_done && self->accepted == 0)
        ctl_say("no event was accepted");
    else if (!is_done)
        ctl_say("%s event%s accepted; to go on from there: --skip %zu", accepted.text,
                is_one ? " was" : "s were", (size_t)self->skip + self->accepted);
}

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
    self->reader = (event_reader){.stream = input, .line = 1};
    interrupts_catch();
    progress_start(&self->progress, input, !self->quiet);
    const utapi_status status = push_stream(self);
    progress_clear(&self->progress);
    say_end(self, status);
    utapi_text_done(&self->reader.event);
    utapi_text_done(&self->batch.body);
    free(self->batch.events);
    if (!is_stdin)
        (void)fclose(input);
    return is_interrupted ? EXIT_INTERRUPTED : self->code;
}

/* clang-format off */
static const ctl_option options[] = {
    {0, "batch",   "N",  "events in one request at most (1000)", CTL_NUMBER(asked.batch_events, 1, 1000000)},
    {0, "retries", "N",  "how often to try again when the server is busy or away (5)", CTL_NUMBER(asked.retries, 0, 1000)},
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
        "Where it stops, every event before is counted and none after. Ctrl-C ends it after the request that is\n"
        "under way, and says where to go on.\n",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .run = run_push,
};
