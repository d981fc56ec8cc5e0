/* SPDX-License-Identifier: Apache-2.0 */
/* journal.c - `utapictl journal`: what waits in a server's journal, from its healthcheck; waits until nothing
 * does; lists what was kept aside, and acknowledges it. */
#include "cli/commands.h"
#include "cli/journal_print.h"
#include "utapi/clock.h"
#include "utapi/scoped.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define POLL_MS           200
#define DEFAULT_TIMEOUT_S 300
#define MS_PER_S          INT64_C(1000)
#define IDS_AT_ONCE       1000 /* in a request, which is so no larger than servers take */

enum { OPTION_JSON = OPTION_FIRST, OPTION_DRAIN, OPTION_TIMEOUT, OPTION_REFUSED, OPTION_ACKNOWLEDGE };

typedef struct journal {
    client_endpoint endpoint;
    int64_t timeout_s;
    bool json, drain, refused, acknowledge;
    client *client;
} journal;

static bool take_option(void *ctx, int id, const char *value)
{
    journal *self = ctx;
    switch (id) {
    case OPTION_JSON:
        self->json = true;
        return true;
    case OPTION_DRAIN:
        self->drain = true;
        return true;
    case OPTION_REFUSED:
        self->refused = true;
        return true;
    case OPTION_ACKNOWLEDGE:
        self->acknowledge = true;
        return true;
    case OPTION_TIMEOUT:
        return cli_number("--timeout", value, 0, INT32_MAX, &self->timeout_s);
    default:
        return false;
    }
}

/* ---- asking ------------------------------------------------------------------------------- */

/* A healthcheck has its figures although no event is taken now. */
static bool is_unavailable(const client_answer *answer, const json_t *body)
{
    return answer->status == 503 && json_object_get(body, "journal") != NULL;
}

/* What a path answers, owned; NULL after saying why there is nothing. */
static json_t *ask(const journal *self, const char *path)
{
    client_answer answer;
    utapi_error err = {0};
    if (client_get(self->client, path, &answer, &err) != UTAPI_OK) {
        cli_say("%s", err.detail);
        return NULL;
    }
    json_t *body = json_loadb(answer.body, answer.size, 0, NULL);
    if (answer.status != 200 && !is_unavailable(&answer, body)) {
        cli_say("%s: %s", answer.code, answer.message);
        json_decref(body);
        body = NULL;
    } else if (body == NULL) {
        cli_say("the server's answer is not JSON");
    }
    client_answer_done(&answer);
    return body;
}

/* The healthcheck, and its figures, which borrow from it; NULL after saying why there is none. */
static json_t *ask_health(const journal *self, journal_figures *ret)
{
    json_t *health = ask(self, "/_/healthcheck");
    if (health != NULL && !journal_figures_read(health, ret)) {
        cli_say("the server's answer is not that of a healthcheck");
        json_decref(health);
        return NULL;
    }
    return health;
}

static int print_json(const json_t *body)
{
    const bool is_printed = json_dumpf(body, stdout, JSON_INDENT(2)) == 0 && putchar('\n') != EOF;
    return is_printed && fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

/* ---- what can be asked for ---------------------------------------------------------------- */

static int show_figures(const journal *self)
{
    journal_figures figures;
    json_auto_t *health = ask_health(self, &figures);
    if (health == NULL)
        return EXIT_FAILED;
    if (self->json)
        return print_json(health);
    if (figures.has_journal)
        journal_print_figures(&figures, stdout);
    else
        puts("the server has no journal: it stores events before it acknowledges them");
    return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

static int show_refused(const journal *self)
{
    json_auto_t *events = ask(self, "/_/journal/refused");
    if (events == NULL)
        return EXIT_FAILED;
    if (self->json)
        return print_json(events);
    if (json_is_array(events) && json_array_size(events) == 0) {
        puts("no event was kept aside");
        return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
    }
    if (!journal_print_refused(events, stdout)) {
        cli_say("the server's answer is not a list of events");
        return EXIT_FAILED;
    }
    return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

/* ---- acknowledging ------------------------------------------------------------------------ */

/* Each event on a line of its own: in its file before the server drops it. */
static bool events_keep(const json_t *events)
{
    for (size_t i = 0; i < json_array_size(events); i++)
        if (json_dumpf(json_array_get(events, i), stdout, JSON_COMPACT) != 0 || putchar('\n') == EOF)
            return false;
    return fflush(stdout) == 0 && (fsync(STDOUT_FILENO) == 0 || errno == EINVAL); /* a terminal, a pipe */
}

static bool post_acknowledgement(const journal *self, const json_t *what)
{
    client_answer answer;
    utapi_error err = {0};
    UTAPI_AUTO_FREE char *body = json_dumps(what, JSON_COMPACT);
    if (body == NULL) {
        cli_say("out of memory");
        return false;
    }
    if (client_post(self->client, "/_/journal/acknowledge", utapi_string_of(body), &answer, &err) !=
        UTAPI_OK) {
        cli_say("%s", err.detail);
        return false;
    }
    const bool is_done = answer.status == 200;
    if (!is_done)
        cli_say("%s: %s", answer.code, answer.message);
    client_answer_done(&answer);
    return is_done;
}

/* Names the events one by one: what the server kept aside since they were listed was shown to nobody. */
static bool tell_acknowledged(const journal *self, const json_t *events, int64_t lost)
{
    const size_t count = json_array_size(events);
    size_t done = 0;
    do {
        json_auto_t *ids = json_array();
        for (size_t i = 0; i < IDS_AT_ONCE && done < count; i++, done++)
            (void)json_array_append(ids, json_object_get(json_array_get(events, done), "id"));
        json_auto_t *what = json_pack("{sOsI}", "refused", ids, "lost", (json_int_t)lost);
        if (!post_acknowledgement(self, what))
            return false;
    } while (done < count);
    return true;
}

/* Acknowledges what the server lists at once. *ret_count: how many events that is. */
static bool acknowledge_some(const journal *self, size_t *ret_count)
{
    journal_figures figures;
    json_auto_t *health = ask_health(self, &figures);
    json_auto_t *events = health != NULL ? ask(self, "/_/journal/refused") : NULL;
    if (events == NULL)
        return false;
    if (!events_keep(events)) {
        cli_say("the events cannot be written out, so they stay where they are: %s", strerror(errno));
        return false;
    }
    *ret_count = json_array_size(events);
    return !figures.has_journal || tell_acknowledged(self, events, figures.lost);
}

static int acknowledge(const journal *self)
{
    size_t count;
    do {
        if (!acknowledge_some(self, &count))
            return EXIT_FAILED;
    } while (count > 0); /* the server lists so many at a time */
    return EXIT_DONE;
}

/* ---- draining ----------------------------------------------------------------------------- */

static void pause_shortly(void)
{
    struct timespec left = {.tv_nsec = POLL_MS * 1000000L};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        continue;
}

static void show_progress(const journal_figures *figures, bool is_last)
{
    if (!isatty(STDERR_FILENO))
        return;
    fputs("\r\033[K", stderr);
    if (!is_last)
        journal_print_waiting(figures, stderr);
}

static int give_up(const journal *self, const journal_figures *figures)
{
    fprintf(stderr, "utapictl: after %lld s ", (long long)self->timeout_s);
    journal_print_waiting(figures, stderr);
    fprintf(stderr, "%s%s\n", *figures->trouble != '\0' ? ": " : "", figures->trouble);
    return EXIT_FAILED;
}

/* The journal drains by itself; this waits for it. EXIT_NONE: there is still something to wait for. */
static int look(const journal *self, int64_t deadline_ms)
{
    journal_figures figures;
    json_auto_t *health = ask_health(self, &figures);
    if (health == NULL)
        return EXIT_FAILED;
    const bool is_late = utapi_monotonic_ms() >= deadline_ms;
    show_progress(&figures, figures.waiting == 0 || is_late);
    if (figures.waiting == 0)
        return EXIT_DONE;
    return is_late ? give_up(self, &figures) : EXIT_NONE;
}

static int drain(const journal *self)
{
    const int64_t deadline_ms = utapi_monotonic_ms() + self->timeout_s * MS_PER_S;
    int code;
    while ((code = look(self, deadline_ms)) == EXIT_NONE)
        pause_shortly();
    return code == EXIT_DONE ? show_figures(self) : code;
}

/* ---- the command -------------------------------------------------------------------------- */

static int run_journal(int argc, char **argv)
{
    journal self = {.endpoint = client_endpoint_defaults, .timeout_s = DEFAULT_TIMEOUT_S};
    utapi_error err = {0};
    int rest;
    int code = cli_parse(&journal_command, argc, argv, &self.endpoint, take_option, &self, &rest);
    if (code != EXIT_NONE)
        return code;
    if (rest < argc || self.drain + self.refused + self.acknowledge > 1) {
        cli_say(rest < argc ? "journal takes no argument"
                            : "--drain, --refused or --acknowledge: one at a time");
        return EXIT_USAGE;
    }
    if (client_new(&self.endpoint, &self.client, &err) != UTAPI_OK) {
        cli_say("%s", err.detail);
        return EXIT_FAILED;
    }
    if (self.refused)
        code = show_refused(&self);
    else if (self.acknowledge)
        code = acknowledge(&self);
    else
        code = self.drain ? drain(&self) : show_figures(&self);
    client_free(self.client);
    return code;
}

static const cli_option options[] = {
    {OPTION_DRAIN, "drain", NULL, "wait until nothing waits to be stored"},
    {OPTION_TIMEOUT, "timeout", "SECONDS", "with --drain: the longest to wait (300)"},
    {OPTION_REFUSED, "refused", NULL, "list the events that can never be counted"},
    {OPTION_ACKNOWLEDGE, "acknowledge", NULL,
     "print these as JSON lines, and take note of them and of what is lost"},
    {OPTION_JSON, "json", NULL, "print the server's answer as JSON"},
    CLI_ENDPOINT_OPTIONS,
};

const command journal_command = {
    .name = "journal",
    .summary = "Shows what the server took and has not stored yet",
    .usage = "[OPTION]...",
    .text =
        "Ask from an address in the server's healthChecks.allowFrom. --drain ends with 1, and the reason, if\n"
        "events still wait when the time is over. --acknowledge needs an address in ingest.allowFrom: the server drops\n"
        "the events once they are printed, and counts them on, but they are no trouble any more.\n",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .run = run_journal,
};
