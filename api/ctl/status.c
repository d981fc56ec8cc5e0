/* SPDX-License-Identifier: Apache-2.0 */
/* status.c - `utapictl status`: how a server is, on one screen.
 *
 * What a server sends is checked member by member: another program may answer at that port. */
#include "ctl/client.h"
#include "ctl/format.h"
#include "utapi/clock.h"
#include "utapi/scoped.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { WATCH_S = 2 };

static struct {
    client_endpoint endpoint;
    bool json, watch;
} asked = {.endpoint = CLIENT_ENDPOINT_DEFAULTS};

static bool take_output(const ctl_option *option, const char *value)
{
    asked.json = strcmp(value, "json") == 0;
    if (asked.json || strcmp(value, "table") == 0)
        return true;
    ctl_say("--%s: expected table or json, not \"%s\"", option->name, value);
    return false;
}

/* ---- members --------------------------------------------------------------------------------- */

static int64_t number(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static format_text count(const json_t *object, const char *name)
{
    return format_count(number(object, name));
}

static format_text bytes(const json_t *object, const char *name)
{
    return format_bytes(number(object, name));
}

/* A text that is safe for a terminal, on a line of its own; nothing where there is none. */
static void line_print(const char *title, const json_t *text)
{
    UTAPI_AUTO_FREE char *clean = json_is_string(text) ? format_name(json_string_value(text)) : NULL;
    if (clean != NULL && *clean != '\0')
        printf("%-13s %s\n", title, clean);
}

/* ---- the screen ------------------------------------------------------------------------------ */

static void storage_print(const json_t *storage)
{
    UTAPI_AUTO_FREE char *backend = format_name(json_is_string(json_object_get(storage, "backend"))
                                                    ? json_string_value(json_object_get(storage, "backend"))
                                                    : "");
    printf("%-13s %s: %s resources, %s rows", "storage", backend != NULL ? backend : "",
           count(storage, "resources").text, count(storage, "rows").text);
    if (number(storage, "capacityBytes") > 0)
        printf(", %s of %s used", bytes(storage, "usedBytes").text, bytes(storage, "capacityBytes").text);
    putchar('\n');
    if (number(storage, "diskBytes") > 0)
        printf("%-13s %s of %s free\n", "disk", bytes(storage, "diskFreeBytes").text,
               bytes(storage, "diskBytes").text);
    if (number(storage, "clockSkewMs") != 0)
        printf("%-13s the storage's is %s ms ahead\n", "clock", count(storage, "clockSkewMs").text);
    line_print("nearly full", json_object_get(storage, "warning"));
}

static void events_print(const json_t *events)
{
    printf("%-13s %s accepted (%s/s), %s known before, %s refused, %s not storable; %s wait\n", "events",
           count(events, "accepted").text, count(events, "perSecond").text, count(events, "repeated").text,
           count(events, "refused").text, count(events, "unavailable").text, count(events, "queued").text);
}

static void journal_print(const json_t *journal)
{
    if (!json_is_object(journal))
        return;
    printf("%-13s %s wait, the oldest for %s; %s of %s used; %s lost\n", "journal",
           count(journal, "waiting").text, format_age(number(journal, "oldestAgeMs")).text,
           bytes(journal, "usedBytes").text, bytes(journal, "capacityBytes").text,
           count(journal, "lost").text);
}

static void certificate_print(int64_t ends_ms)
{
    const int64_t left_ms = ends_ms - utapi_wall_ms();
    if (ends_ms > 0)
        printf("%-13s %s%s\n", "certificate", left_ms > 0 ? "ends in " : "has ended",
               left_ms > 0 ? format_age(left_ms).text : "");
}

/* False if memory ran out. */
static bool sources_print(const json_t *sources)
{
    static const char *const columns[] = {"SOURCE", ">EVENTS", ">LATE", ">SILENT FOR", ">LATEST BY"};
    table rows;
    bool is_done = table_init(&rows, columns, sizeof columns / sizeof *columns);
    if (!is_done)
        return false;
    for (size_t i = 0; i < json_array_size(sources) && is_done; i++) {
        const json_t *one = json_array_get(sources, i);
        const char *source = json_string_value(json_object_get(one, "source"));
        UTAPI_AUTO_FREE char *name = format_name(source != NULL ? source : "");
        is_done =
            name != NULL &&
            table_add(&rows, (const char *const[]){name, count(one, "events").text, count(one, "late").text,
                                                   format_age(number(one, "silentMs")).text,
                                                   format_age(number(one, "latenessMs")).text});
    }
    if (is_done && json_array_size(sources) > 0) {
        putchar('\n');
        table_print(&rows, stdout);
    }
    table_done(&rows);
    return is_done;
}

static bool status_print(const json_t *status)
{
    const json_t *reasons = json_object_get(status, "reasons"),
                 *last = json_object_get(status, "lastRefusal");
    line_print("version", json_object_get(status, "version"));
    printf("%-13s %s, process %lld\n", "up", format_age(number(status, "uptimeMs")).text,
           (long long)number(status, "process"));
    line_print("status", json_object_get(status, "status"));
    for (size_t i = 0; i < json_array_size(reasons); i++)
        line_print("not ready", json_array_get(reasons, i));
    line_print("trouble", json_object_get(status, "trouble"));
    certificate_print(number(status, "certificateEndsAt"));
    storage_print(json_object_get(status, "storage"));
    events_print(json_object_get(status, "events"));
    journal_print(json_object_get(status, "journal"));
    const json_t *letters = json_object_get(status, "deadLetters");
    printf("%-13s %s%s\n", "dead letters", count(letters, "kept").text,
           number(letters, "kept") > 0 ? " (utapictl dead-letters list)" : "");
    if (json_is_object(last)) {
        printf("%-13s %s ago\n", "last refusal", format_age(number(last, "agoMs")).text);
        line_print("", json_object_get(last, "text"));
    }
    return sources_print(json_object_get(status, "sources"));
}

static int show(void)
{
    int code;
    json_auto_t *status = client_request_json(&asked.endpoint, "/_/status", NULL, NULL, &code);
    if (status == NULL)
        return code;
    if (!json_is_string(json_object_get(status, "version"))) {
        ctl_say("the server's answer is not a status");
        return EXIT_FAILED;
    }
    const char *text = json_string_value(json_object_get(status, "status"));
    code = text != NULL && strcmp(text, "ok") == 0 ? EXIT_DONE : EXIT_UNWELL;
    if (asked.watch)
        fputs("\033[H\033[2J", stdout);
    const bool is_shown = asked.json ? client_print_json(status) == EXIT_DONE : status_print(status);
    return is_shown && fflush(stdout) == 0 ? code : EXIT_FAILED;
}

static int run(int count_of, char **arguments)
{
    static const struct timespec pause = {.tv_sec = WATCH_S};
    (void)count_of;
    (void)arguments;
    for (;;) {
        const int code = show();
        if (!asked.watch || code == EXIT_FAILED || nanosleep(&pause, NULL) != 0)
            return code;
    }
}

/* clang-format off */
static const ctl_option options[] = {
    {'o', "output", "FORMAT", "table or json (table)", CTL_TAKE(take_output)},
    {0,   "watch",  NULL,     "show it anew every two seconds, until Ctrl-C", CTL_FLAG(asked.watch)},
    CLIENT_OPTIONS(asked.endpoint),
};
/* clang-format on */

const ctl_command status_command = {
    .name = "status",
    .summary = "Shows how the server is, on one screen",
    .text =
        "Ask from an address in the server's prometheus.allowFrom. Exit code 3: it is not ready, accepts no\n"
        "events, or keeps dead letters.\n",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .run = run,
};
