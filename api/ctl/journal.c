/* SPDX-License-Identifier: Apache-2.0 */
/* journal.c - `utapictl journal`: what waits in a server's journal, from its healthcheck; waits until nothing does;
 * lists dead letters, and acknowledges them.
 *
 * What a server sends is checked member by member: another program may answer at that port. */
#include "ctl/client.h"
#include "ctl/format.h"
#include "ctl/times.h"
#include "utapi/clock.h"
#include "utapi/scoped.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define POLL_MS           200
#define DEFAULT_TIMEOUT_S 300
#define MS_PER_S          INT64_C(1000)
#define IDS_AT_ONCE       1000 /* in a request, which is so no larger than servers take */
#define MINUTE_S          INT64_C(60)
#define HOUR_S            (60 * MINUTE_S)
#define DAY_S             (24 * HOUR_S)

typedef struct journal {
    client_endpoint endpoint;
    int64_t timeout_s;
    bool json, drain, refused, acknowledge;
    client *client;
} journal;

static journal asked = {.endpoint = CLIENT_ENDPOINT_DEFAULTS, .timeout_s = DEFAULT_TIMEOUT_S};

typedef struct journal_stats {
    const char *status;  /* "ok", "degraded", "unavailable"; borrowed from the JSON, as the next */
    const char *trouble; /* "": none */
    bool has_journal;    /* the members that follow are filled */
    int64_t waiting, oldest_age_ms, used_bytes, capacity_bytes, refused, lost;
    int64_t refused_acknowledged, lost_acknowledged; /* of those two */
} journal_stats;

/* ---- reading ------------------------------------------------------------------------------ */

static const char *text_of(const json_t *object, const char *name, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : otherwise;
}

static bool read_number(const json_t *object, const char *name, int64_t *ret)
{
    const json_t *value = json_object_get(object, name);
    *ret = json_integer_value(value);
    return json_is_integer(value);
}

/* Reads the body of a healthcheck; false if it is none. */
static bool journal_stats_read(const json_t *health, journal_stats *ret)
{
    const json_t *of = json_object_get(health, "journal");
    *ret = (journal_stats){.status = text_of(health, "status", "ok"),
                           .trouble = text_of(health, "trouble", ""),
                           .has_journal = of != NULL};
    if (of == NULL)
        return json_is_object(health);
    return read_number(of, "waiting", &ret->waiting) && read_number(of, "oldestAgeMs", &ret->oldest_age_ms) &&
           read_number(of, "usedBytes", &ret->used_bytes) &&
           read_number(of, "capacityBytes", &ret->capacity_bytes) &&
           read_number(of, "refused", &ret->refused) && read_number(of, "lost", &ret->lost) &&
           read_number(of, "refusedAcknowledged", &ret->refused_acknowledged) &&
           read_number(of, "lostAcknowledged", &ret->lost_acknowledged);
}

/* ---- stats -------------------------------------------------------------------------------- */

/* "35 s", "2 min", "5 h", "3 d": the largest unit of which there is one. */
static void format_age(int64_t age_ms, char ret[FORMAT_BYTES])
{
    static const struct {
        int64_t seconds;
        const char *name;
    } units[] = {{DAY_S, "d"}, {HOUR_S, "h"}, {MINUTE_S, "min"}, {1, "s"}};
    const int64_t age_s = age_ms / MS_PER_S;
    size_t i = 0;
    while (units[i].seconds > 1 && age_s < units[i].seconds)
        i++;
    (void)snprintf(ret, FORMAT_BYTES, "%lld %s", (long long)(age_s / units[i].seconds), units[i].name);
}

static void print_events(int64_t events, FILE *out)
{
    char count[FORMAT_BYTES];
    format_count(events, count);
    fprintf(out, "%s event%s", count, events == 1 ? "" : "s");
}

static void print_acknowledged(int64_t events, int64_t acknowledged, FILE *out)
{
    char count[FORMAT_BYTES];
    print_events(events, out);
    if (acknowledged == 0)
        return;
    format_count(acknowledged, count);
    fprintf(out, ", %s acknowledged", acknowledged == events ? "all" : count);
}

/* "1,204 events wait, the oldest for 35 s" */
static void journal_print_waiting(const journal_stats *stats, FILE *out)
{
    char age[FORMAT_BYTES];
    print_events(stats->waiting, out);
    fputs(stats->waiting == 1 ? " waits" : " wait", out);
    if (stats->waiting == 0)
        return;
    format_age(stats->oldest_age_ms, age);
    fprintf(out, ", the oldest for %s", age);
}

/* A server's text, safe for a terminal. */
static void print_text(const char *text, FILE *out)
{
    UTAPI_AUTO_FREE char *safe = format_name(text);
    fputs(safe != NULL ? safe : "", out);
}

static void journal_print_stats(const journal_stats *stats, FILE *out)
{
    char used[FORMAT_BYTES];
    char capacity[FORMAT_BYTES];
    fputs("status      ", out);
    print_text(stats->status, out);
    if (*stats->trouble != '\0') {
        fputs(": ", out);
        print_text(stats->trouble, out);
    }
    fputs("\nwaiting     ", out);
    journal_print_waiting(stats, out);
    format_bytes(stats->used_bytes, used);
    format_bytes(stats->capacity_bytes, capacity);
    fprintf(out, "\nroom        %s of %s used\nkept aside  ", used, capacity);
    print_acknowledged(stats->refused, stats->refused_acknowledged, out);
    const bool has_more = stats->refused > stats->refused_acknowledged;
    fputs(has_more ? " (utapictl journal --refused)\nlost        " : "\nlost        ", out);
    print_acknowledged(stats->lost, stats->lost_acknowledged, out);
    fputc('\n', out);
}

/* ---- dead letters ------------------------------------------------------------------------- */

static const struct {
    const char *heading, *member;
} columns[] = {
    {"TIME", NULL},         {"OPERATION", "operationId"}, {"BUCKET", "bucket"},
    {"ACCOUNT", "account"}, {"REASON", "reason"},
};

#define COLUMN_COUNT (sizeof columns / sizeof *columns)

static bool add_event(table *rows, const json_t *event)
{
    char time[TIME_TEXT_BYTES];
    char *cells[COLUMN_COUNT];
    int64_t time_ms;
    bool is_done = read_number(event, "timestamp", &time_ms);
    time_format(time_ms, time);
    for (size_t i = 0; i < COLUMN_COUNT; i++) {
        cells[i] = format_name(columns[i].member != NULL ? text_of(event, columns[i].member, "-") : time);
        is_done = is_done && cells[i] != NULL;
    }
    is_done = is_done && table_add(rows, (const char *const *)cells);
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        free(cells[i]);
    return is_done;
}

/* A table, from an array of /_/journal/refused; false if it is none. */
static bool journal_print_refused(const json_t *events, FILE *out)
{
    const char *headings[COLUMN_COUNT];
    table rows;
    for (size_t i = 0; i < COLUMN_COUNT; i++)
        headings[i] = columns[i].heading;
    bool is_done = json_is_array(events) && table_init(&rows, headings, COLUMN_COUNT);
    if (!is_done)
        return false;
    for (size_t i = 0; i < json_array_size(events) && is_done; i++)
        is_done = add_event(&rows, json_array_get(events, i));
    if (is_done)
        table_print(&rows, out);
    table_done(&rows);
    return is_done;
}

/* ---- asking ------------------------------------------------------------------------------- */

/* The healthcheck, and its stats, which borrow from it; NULL after saying why there is none. */
static json_t *ask_health(const journal *self, journal_stats *ret)
{
    json_t *health = client_ask_json(self->client, "/_/healthcheck", NULL, "journal");
    if (health != NULL && !journal_stats_read(health, ret)) {
        ctl_say("the server's answer is not that of a healthcheck");
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

static int show_stats(const journal *self)
{
    journal_stats stats;
    json_auto_t *health = ask_health(self, &stats);
    if (health == NULL)
        return EXIT_FAILED;
    if (self->json)
        return print_json(health);
    if (stats.has_journal)
        journal_print_stats(&stats, stdout);
    else
        puts("the server has no journal: it stores events before it acknowledges them");
    return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

static int show_refused(const journal *self)
{
    json_auto_t *events = client_ask_json(self->client, "/_/journal/refused", NULL, NULL);
    if (events == NULL)
        return EXIT_FAILED;
    if (self->json)
        return print_json(events);
    if (json_is_array(events) && json_array_size(events) == 0) {
        puts("no event was kept aside");
        return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
    }
    if (!journal_print_refused(events, stdout)) {
        ctl_say("the server's answer is not a list of events");
        return EXIT_FAILED;
    }
    return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

/* ---- acknowledging ------------------------------------------------------------------------ */

/* Each event on a line of its own: in its file before the server drops it. */
static bool events_write(const json_t *events)
{
    for (size_t i = 0; i < json_array_size(events); i++)
        if (json_dumpf(json_array_get(events, i), stdout, JSON_COMPACT) != 0 || putchar('\n') == EOF)
            return false;
    return fflush(stdout) == 0 && (fsync(STDOUT_FILENO) == 0 || errno == EINVAL); /* a terminal, a pipe */
}

/* Names the events one by one: dead letters that came since they were listed was shown to nobody. */
static bool acknowledge_listed(const journal *self, const json_t *events, int64_t lost)
{
    const size_t count = json_array_size(events);
    size_t done = 0;
    do {
        json_auto_t *ids = json_array();
        for (size_t i = 0; i < IDS_AT_ONCE && done < count; i++, done++)
            (void)json_array_append(ids, json_object_get(json_array_get(events, done), "id"));
        json_auto_t *what = json_pack("{sOsI}", "refused", ids, "lost", (json_int_t)lost);
        json_auto_t *answer = client_ask_json(self->client, "/_/journal/acknowledge", what, NULL);
        if (answer == NULL)
            return false;
    } while (done < count);
    return true;
}

/* Acknowledges what the server lists at once. *ret_count: how many events that is. */
static bool acknowledge_some(const journal *self, size_t *ret_count)
{
    journal_stats stats;
    json_auto_t *health = ask_health(self, &stats);
    json_auto_t *events =
        health != NULL ? client_ask_json(self->client, "/_/journal/refused", NULL, NULL) : NULL;
    if (events == NULL)
        return false;
    if (!events_write(events)) {
        ctl_say("the events cannot be written out, so they stay where they are: %s", strerror(errno));
        return false;
    }
    *ret_count = json_array_size(events);
    return !stats.has_journal || acknowledge_listed(self, events, stats.lost);
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

static void show_progress(const journal_stats *stats, bool is_last)
{
    if (!isatty(STDERR_FILENO))
        return;
    fputs("\r\033[K", stderr);
    if (!is_last)
        journal_print_waiting(stats, stderr);
}

static int give_up(const journal *self, const journal_stats *stats)
{
    fprintf(stderr, "utapictl: after %lld s ", (long long)self->timeout_s);
    journal_print_waiting(stats, stderr);
    fprintf(stderr, "%s%s\n", *stats->trouble != '\0' ? ": " : "", stats->trouble);
    return EXIT_FAILED;
}

/* The journal drains by itself; this waits for it. EXIT_NONE: there is still something to wait for. */
static int poll_once(const journal *self, int64_t deadline_ms)
{
    journal_stats stats;
    json_auto_t *health = ask_health(self, &stats);
    if (health == NULL)
        return EXIT_FAILED;
    const bool is_late = utapi_monotonic_ms() >= deadline_ms;
    show_progress(&stats, stats.waiting == 0 || is_late);
    if (stats.waiting == 0)
        return EXIT_DONE;
    return is_late ? give_up(self, &stats) : EXIT_NONE;
}

static int drain(const journal *self)
{
    const int64_t deadline_ms = utapi_monotonic_ms() + self->timeout_s * MS_PER_S;
    int code;
    while ((code = poll_once(self, deadline_ms)) == EXIT_NONE)
        pause_shortly();
    return code == EXIT_DONE ? show_stats(self) : code;
}

/* ---- the command -------------------------------------------------------------------------- */

static int run_journal(int count, char **arguments)
{
    journal *self = &asked;
    (void)count;
    (void)arguments;
    if (self->drain + self->refused + self->acknowledge > 1) {
        ctl_say("--drain, --refused or --acknowledge: one at a time");
        return EXIT_USAGE;
    }
    self->client = client_new(&self->endpoint);
    if (self->client == NULL)
        return EXIT_FAILED;
    const int code = self->refused       ? show_refused(self)
                     : self->acknowledge ? acknowledge(self)
                     : self->drain       ? drain(self)
                                         : show_stats(self);
    client_free(self->client);
    return code;
}

/* clang-format off */
static const ctl_option options[] = {
    {0, "drain",       NULL,      "wait until nothing waits to be stored", CTL_FLAG(asked.drain)},
    {0, "refused",     NULL,      "list the events that can never be counted",
        CTL_FLAG(asked.refused), .is_choice = true},
    {0, "acknowledge", NULL,      "print these as JSON lines, and take note of them and of what is lost",
        CTL_FLAG(asked.acknowledge), .is_choice = true},
    {0, "timeout",     "SECONDS", "with --drain: the longest to wait (300)", CTL_NUMBER(asked.timeout_s, 0, INT32_MAX)},
    {0, "json",        NULL,      "print the server's answer as JSON", CTL_FLAG(asked.json)},
    CLIENT_OPTIONS(asked.endpoint),
};
/* clang-format on */

const ctl_command journal_command = {
    .name = "journal",
    .summary = "Shows what the server took and has not stored yet",
    .text =
        "Ask from an address in the server's healthChecks.allowFrom. --drain ends with 1, and the reason, if\n"
        "events still wait when the time is over. --acknowledge needs an address in ingest.allowFrom: the server\n"
        "drops the events once they are printed, and counts them on, but they are no trouble any more.\n",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .run = run_journal,
};
