/* SPDX-License-Identifier: Apache-2.0 */
/* journal_print.c - see journal_print.h. What a server sends is checked member by member: another program may
 * answer at that port. */
#include "cli/journal_print.h"

#include "cli/format.h"
#include "cli/table.h"
#include "cli/times.h"
#include "utapi/scoped.h"

#include <string.h>

#define SECOND_MS INT64_C(1000)
#define MINUTE_S  INT64_C(60)
#define HOUR_S    (60 * MINUTE_S)
#define DAY_S     (24 * HOUR_S)

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

bool journal_figures_read(const json_t *health, journal_figures *ret)
{
    const json_t *journal = json_object_get(health, "journal");
    *ret = (journal_figures){.status = text_of(health, "status", "ok"),
                             .trouble = text_of(health, "trouble", ""),
                             .has_journal = journal != NULL};
    if (journal == NULL)
        return json_is_object(health);
    return read_number(journal, "waiting", &ret->waiting) &&
           read_number(journal, "oldestAgeMs", &ret->oldest_age_ms) &&
           read_number(journal, "usedBytes", &ret->used_bytes) &&
           read_number(journal, "capacityBytes", &ret->capacity_bytes) &&
           read_number(journal, "refused", &ret->refused) && read_number(journal, "lost", &ret->lost) &&
           read_number(journal, "refusedAcknowledged", &ret->refused_acknowledged) &&
           read_number(journal, "lostAcknowledged", &ret->lost_acknowledged);
}

/* ---- figures ------------------------------------------------------------------------------ */

/* "35 s", "2 min", "5 h", "3 d": the largest unit of which there is one. */
static void format_age(int64_t age_ms, char ret[FORMAT_BYTES])
{
    static const struct {
        int64_t seconds;
        const char *name;
    } units[] = {{DAY_S, "d"}, {HOUR_S, "h"}, {MINUTE_S, "min"}, {1, "s"}};
    const int64_t age_s = age_ms / SECOND_MS;
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

void journal_print_waiting(const journal_figures *figures, FILE *out)
{
    char age[FORMAT_BYTES];
    print_events(figures->waiting, out);
    fputs(figures->waiting == 1 ? " waits" : " wait", out);
    if (figures->waiting == 0)
        return;
    format_age(figures->oldest_age_ms, age);
    fprintf(out, ", the oldest for %s", age);
}

/* A server's text, safe for a terminal. */
static void print_text(const char *text, FILE *out)
{
    UTAPI_AUTO_FREE char *safe = format_name(text);
    fputs(safe != NULL ? safe : "", out);
}

void journal_print_figures(const journal_figures *figures, FILE *out)
{
    char used[FORMAT_BYTES];
    char capacity[FORMAT_BYTES];
    fputs("status      ", out);
    print_text(figures->status, out);
    if (*figures->trouble != '\0') {
        fputs(": ", out);
        print_text(figures->trouble, out);
    }
    fputs("\nwaiting     ", out);
    journal_print_waiting(figures, out);
    format_bytes(figures->used_bytes, used);
    format_bytes(figures->capacity_bytes, capacity);
    fprintf(out, "\nroom        %s of %s used\nkept aside  ", used, capacity);
    print_acknowledged(figures->refused, figures->refused_acknowledged, out);
    const bool has_more = figures->refused > figures->refused_acknowledged;
    fputs(has_more ? " (utapictl journal --refused)\nlost        " : "\nlost        ", out);
    print_acknowledged(figures->lost, figures->lost_acknowledged, out);
    fputc('\n', out);
}

/* ---- events kept aside -------------------------------------------------------------------- */

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

bool journal_print_refused(const json_t *events, FILE *out)
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
