/* SPDX-License-Identifier: Apache-2.0 */
/* push.c - `utapictl push`: events from a file to the server, in batches, in order. Where it stops, all events
 * before are counted and none after: a batch with a bad event in it is cut before that event and sent again. */
#include "cli/commands.h"
#include "cli/event_reader.h"
#include "cli/format.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/push_batch.h"
#include "utapi/scoped.h"

#include <errno.h>
#include <string.h>

/* Of one body; a batch that is as large as this is sent before it is full. */
#define MAX_BATCH_BYTES ((size_t)8 << 20)

enum { OPTION_BATCH = OPTION_FIRST, OPTION_RETRIES, OPTION_SKIP, OPTION_QUIET };

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
    size_t taken;
} push;

/* ---- telling what happened ---------------------------------------------------------------- */

/* What is known to count, and how to go on from there. */
static void say_where_it_stands(const push *self)
{
    char taken[FORMAT_BYTES];
    format_count((int64_t)self->taken, taken);
    if (self->taken == 0) {
        cli_say("no event was taken");
        return;
    }
    cli_say("%s event%s taken; to go on from there: --skip %zu", taken, self->taken == 1 ? " was" : "s were",
            (size_t)self->skip + self->taken);
}

static void say_failure(const push *self, utapi_status status, size_t refused, const utapi_error *err)
{
    const batch_event *first = &self->batch.events[0];
    const batch_event *last = &self->batch.events[self->batch.count - 1];
    if (refused != UTAPI_NO_INDEX)
        first = last = &self->batch.events[refused];
    if (first == last)
        cli_say("line %zu, event %zu: %s", first->line, first->number, err->detail);
    else
        cli_say("lines %zu to %zu, events %zu to %zu: %s", first->line, last->line, first->number,
                last->number, err->detail);
    if (status == UTAPI_UNCERTAIN)
        cli_say("whether %s counted is not known; to repeat events is safe if they have a uuid",
                first == last ? "it is" : "these are");
}

/* ---- sending ------------------------------------------------------------------------------ */

static utapi_status send_once(push *self, size_t *ret_refused, utapi_error *err)
{
    const utapi_status status = push_batch_send(&self->batch, self->client, self->retries, ret_refused, err);
    if (status == UTAPI_OK) {
        self->taken += self->batch.count;
        push_batch_cut(&self->batch, 0);
        progress_show(&self->progress, event_reader_position(self->reader), self->taken);
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
           batch->size + next->text.size > MAX_BATCH_BYTES;
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
    cli_say("out of memory");
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
            cli_say("%s", err.detail);
            return status;
        }
        status = take_event(self, &event);
        if (status != UTAPI_OK)
            return status;
    }
}

static int push_file(push *self, FILE *input)
{
    utapi_error err = {0};
    self->reader = event_reader_new(input);
    if (self->reader == NULL || client_new(&self->endpoint, &self->client, &err) != UTAPI_OK) {
        cli_say("out of memory");
        return EXIT_FAILED;
    }
    progress_start(&self->progress, input, !self->quiet);
    const utapi_status status = push_stream(self);
    progress_clear(&self->progress);
    if (status != UTAPI_OK) {
        say_where_it_stands(self);
        return EXIT_FAILED;
    }
    char taken[FORMAT_BYTES];
    format_count((int64_t)self->taken, taken);
    if (!self->quiet)
        printf("%s event%s taken\n", taken, self->taken == 1 ? "" : "s");
    return EXIT_DONE;
}

static void push_done(push *self)
{
    event_reader_free(self->reader);
    client_free(self->client);
    push_batch_done(&self->batch);
}

/* ---- the command -------------------------------------------------------------------------- */

static bool take_option(void *ctx, int id, const char *value)
{
    push *self = ctx;
    switch (id) {
    case OPTION_BATCH:
        return cli_number("--batch", value, 1, 1000000, &self->batch_events);
    case OPTION_RETRIES:
        return cli_number("--retries", value, 0, 1000, &self->retries);
    case OPTION_SKIP:
        return cli_number("--skip", value, 0, INT64_MAX / 2, &self->skip);
    case OPTION_QUIET:
        self->quiet = true;
        return true;
    default:
        return false;
    }
}

static int run_push(int argc, char **argv)
{
    push self = {.endpoint = client_endpoint_defaults, .batch_events = 1000, .retries = 5};
    int rest;
    const int code = cli_parse(&push_command, argc, argv, &self.endpoint, take_option, &self, &rest);
    if (code != EXIT_NONE)
        return code;
    if (argc - rest > 1) {
        cli_say("push takes one file, not %d", argc - rest);
        return EXIT_USAGE;
    }
    const char *path = argc > rest ? argv[rest] : "-";
    const bool is_stdin = strcmp(path, "-") == 0;
    FILE *input = is_stdin ? stdin : fopen(path, "re");
    if (input == NULL) {
        cli_say("%s: %s", path, strerror(errno));
        return EXIT_FAILED;
    }
    const int done = push_file(&self, input);
    push_done(&self);
    if (!is_stdin)
        (void)fclose(input);
    return done;
}

static const cli_option options[] = {
    {OPTION_BATCH, "batch", "N", "events in one request at most (1000)"},
    {OPTION_RETRIES, "retries", "N", "how often to try again when the server is busy (5)"},
    {OPTION_SKIP, "skip", "N", "pass over the first N events of the input (0)"},
    {OPTION_QUIET, "quiet", NULL, "no progress bar, and no word on success"},
    CLI_ENDPOINT_OPTIONS,
};

const command push_command = {
    .name = "push",
    .summary = "Sends events to the meter",
    .usage = "[OPTION]... [FILE]",
    .text =
        "FILE holds a JSON array of events, or one event or one array a line; \"-\" or nothing is standard\n"
        "input. Events may have either form, mixed as they come: that of V2 (operationId) or of V1 (action).\n"
        "Where it stops, every event before is counted and none after.\n",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .run = run_push,
};
