/* SPDX-License-Identifier: Apache-2.0 */
/* journal.c - `utapictl journal`: what waits in a server's journal, from its healthcheck; waits until nothing does;
 * acknowledges what was lost, and dead letters.
 *
 * What a server sends is checked member by member: another program may answer at that port. */
#include "ctl/dead_letters.h"
#include "ctl/format.h"
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
#define MINUTE_S          INT64_C(60)
#define HOUR_S            (60 * MINUTE_S)
#define DAY_S             (24 * HOUR_S)

typedef struct journal {
    client_endpoint endpoint;
    int64_t timeout_s;
    bool json, drain, refused, acknowledge;
} journal;

static journal asked = {.endpoint = CLIENT_ENDPOINT_DEFAULTS, .timeout_s = DEFAULT_TIMEOUT_S};

typedef struct journal_stats {
    const char *status;  /* "ok", "degraded", "unavailable"; borrowed from the JSON, as the next */
    const char *warning; /* "": none */
    bool has_journal;    /* the members that follow are filled */
    json_int_t waiting, oldest_age_ms, used_bytes, capacity_bytes, refused, lost;
    json_int_t refused_acknowledged, lost_acknowledged; /* of those two */
} journal_stats;

/* ---- reading ------------------------------------------------------------------------------ */

static const char *text_of(const json_t *object, const char *name, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : otherwise;
}

/* Reads the body of a healthcheck; false if it is none. */
static bool journal_stats_read(json_t *health, journal_stats *ret)
{
    json_t *of = json_object_get(health, "journal");
    *ret = (journal_stats){.status = text_of(health, "status", "ok"),
                           .warning = text_of(health, "trouble", ""),
                           .has_journal = of != NULL};
    if (of == NULL)
        return json_is_object(health);
    return json_unpack(of, "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "waiting", &ret->waiting,
                       "oldestAgeMs", &ret->oldest_age_ms, "usedBytes", &ret->used_bytes, "capacityBytes",
                       &ret->capacity_bytes, "refused", &ret->refused, "lost", &ret->lost,
                       "refusedAcknowledged", &ret->refused_acknowledged, "lostAcknowledged",
                       &ret->lost_acknowledged) == 0;
}

/* ---- stats -------------------------------------------------------------------------------- */

/* "35 s", "2 min", "5 h", "3 d": the largest unit of which there is one. */
static format_text format_age(int64_t age_ms)
{
    static const struct {
        int64_t seconds;
        const char *name;
    } units[] = {{DAY_S, "d"}, {HOUR_S, "h"}, {MINUTE_S, "min"}, {1, "s"}};
    const int64_t age_s = age_ms / MS_PER_S;
    format_text ret;
    size_t i = 0;
    while (units[i].seconds > 1 && age_s < units[i].seconds)
        i++;
    (void)snprintf(ret.text, sizeof ret.text, "%lld %s", (long long)(age_s / units[i].seconds),
                   units[i].name);
    return ret;
}

/* "1,204 events wait, the oldest for 35 s" */
static void print_waiting(const journal_stats *stats, FILE *out)
{
    const bool is_one = stats->waiting == 1;
    fprintf(out, "%s event%s", format_count(stats->waiting).text, is_one ? " waits" : "s wait");
    if (stats->waiting != 0)
        fprintf(out, ", the oldest for %s", format_age(stats->oldest_age_ms).text);
}

/* "lost          3 events, 1 acknowledged" */
static void print_acknowledged(const char *label, int64_t events, int64_t acknowledged)
{
    printf("%-14s%s event%s", label, format_count(events).text, events == 1 ? "" : "s");
    if (acknowledged != 0)
        printf(", %s acknowledged", acknowledged == events ? "all" : format_count(acknowledged).text);
}

static void print_stats(const journal_stats *stats)
{
    UTAPI_AUTO_FREE char *status = format_name(stats->status); /* safe for a terminal */
    UTAPI_AUTO_FREE char *warning = format_name(stats->warning);
    if (status != NULL && warning != NULL)
        printf("status        %s%s%s\n", status, *warning != '\0' ? ": " : "", warning);
    fputs("waiting       ", stdout);
    print_waiting(stats, stdout);
    printf("\nroom          %s of %s used\n", format_bytes(stats->used_bytes).text,
           format_bytes(stats->capacity_bytes).text);
    print_acknowledged("dead letters", stats->refused, stats->refused_acknowledged);
    puts(stats->refused > stats->refused_acknowledged ? " (utapictl dead-letters list)" : "");
    print_acknowledged("lost", stats->lost, stats->lost_acknowledged);
    puts("");
}

/* ---- requests ----------------------------------------------------------------------------- */

/* The healthcheck, and its stats, which borrow from it; NULL after saying why there is none (*ret_code). */
static json_t *health_read(const journal *self, journal_stats *ret, int *ret_code)
{
    json_t *health = client_request_json(&self->endpoint, "/_/healthcheck", NULL, "journal", ret_code);
    if (health != NULL && !journal_stats_read(health, ret)) {
        ctl_say("the server's answer is not that of a healthcheck");
        json_decref(health);
        return NULL;
    }
    return health;
}

/* ---- what can be asked for ---------------------------------------------------------------- */

static int show_stats(const journal *self)
{
    int code;
    journal_stats stats;
    json_auto_t *health = health_read(self, &stats, &code);
    if (health == NULL)
        return code;
    code = strcmp(stats.status, "ok") == 0 ? EXIT_DONE : EXIT_UNWELL;
    if (self->json)
        return client_print_json(health) == EXIT_DONE ? code : EXIT_FAILED;
    if (stats.has_journal)
        print_stats(&stats);
    else
        puts("the server has no journal: it stores events before it acknowledges them");
    return fflush(stdout) == 0 ? code : EXIT_FAILED;
}

/* ---- older words -------------------------------------------------------------------------- */

#define REFUSED_PATH "/_/journal/refused"

static int show_refused(const journal *self)
{
    if (!self->json)
        return dead_letters_show(&self->endpoint);
    int code;
    json_auto_t *events = client_request_json(&self->endpoint, REFUSED_PATH, NULL, NULL, &code);
    return events != NULL ? client_print_json(events) : code;
}

/* Dead letters, and what was lost by then. */
static int acknowledge(const journal *self)
{
    int code;
    journal_stats stats;
    json_auto_t *health = health_read(self, &stats, &code);
    if (health == NULL)
        return code;
    code = dead_letters_acknowledge(&self->endpoint, REFUSED_PATH, NULL, 0);
    if (code != EXIT_DONE || !stats.has_journal)
        return code;
    json_auto_t *what = json_pack("{sI}", "lost", stats.lost);
    json_auto_t *answer = client_request_json(&self->endpoint, "/_/journal/acknowledge", what, NULL, &code);
    return answer != NULL ? EXIT_DONE : code;
}

/* ---- draining ----------------------------------------------------------------------------- */

/* The journal drains by itself; this waits for it. */
static int drain(const journal *self)
{
    static const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
    const int64_t deadline_ms = utapi_monotonic_ms() + self->timeout_s * MS_PER_S;
    for (;; (void)nanosleep(&pause, NULL)) {
        int code;
        journal_stats stats;
        json_auto_t *health = health_read(self, &stats, &code);
        if (health == NULL)
            return code;
        const bool is_late = utapi_monotonic_ms() >= deadline_ms;
        if (isatty(STDERR_FILENO))
            fputs("\r\033[K", stderr);
        if (stats.waiting == 0) {
            code = show_stats(self);
            return code == EXIT_UNWELL ? EXIT_DONE : code; /* nothing waits: that was asked for */
        }
        if (is_late)
            fprintf(stderr, "utapictl: after %lld s ", (long long)self->timeout_s);
        if (is_late || isatty(STDERR_FILENO))
            print_waiting(&stats, stderr);
        if (is_late) {
            fprintf(stderr, "%s%s\n", *stats.warning != '\0' ? ": " : "", stats.warning);
            return EXIT_FAILED;
        }
    }
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
    return self->refused       ? show_refused(self)
           : self->acknowledge ? acknowledge(self)
           : self->drain       ? drain(self)
                               : show_stats(self);
}

/* clang-format off */
static const ctl_option options[] = {
    {0, "drain",       NULL,      "wait until nothing waits to be stored", CTL_FLAG(asked.drain)},
    {0, "refused",     NULL,      "as utapictl dead-letters list", CTL_FLAG(asked.refused), .is_hidden = true},
    {0, "acknowledge", NULL,      "print dead letters as JSON lines, and acknowledge them and what is lost",
        CTL_FLAG(asked.acknowledge)},
    {0, "timeout",     "SECONDS", "with --drain: the longest to wait (300)", CTL_NUMBER(asked.timeout_s, 0, INT32_MAX)},
    {0, "json",        NULL,      "print the server's answer as JSON", CTL_FLAG(asked.json)},
    CLIENT_OPTIONS(asked.endpoint),
};
/* clang-format on */

const ctl_command journal_command = {
    .name = "journal",
    .summary = "Shows what the server accepted and has not stored yet",
    .text =
        "Ask from an address in the server's healthChecks.allowFrom. --drain ends with 1, and the reason, if\n"
        "events still wait when the time is over. --acknowledge needs an address in ingest.allowFrom: dead letters\n"
        "are dropped once they are printed. They and what is lost are counted on, and degrade the status no more.\n",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .run = run_journal,
};
