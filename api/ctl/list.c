/* SPDX-License-Identifier: Apache-2.0 */
/* list.c - `utapictl list`: a question of ListMetrics, with the flags of CloudServer's list_metrics.
 *
 * The table has a row for each resource: what is stored at the range's end and how that changed, what went in and out.
 * Operations follow as text, since most of them are zero. */
#include "ctl/client.h"
#include "ctl/format.h"
#include "ctl/times.h"
#include "utapi/interval.h"
#include "utapi/metric.h"
#include "utapi/scoped.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LINE_CHARACTERS 96

typedef struct list {
    client_endpoint endpoint;
    utapi_level level;
    bool has_level;                   /* -m was given */
    json_t *names[UTAPI_LEVEL_COUNT]; /* owned: what --buckets and its like name; NULL: not given */
    const char *start;
    const char *end;
    bool recent;
    bool json;
    bool no_sign;
} list;

static list asked = {.endpoint = CLIENT_ENDPOINT_DEFAULTS};

/* ---- flags -------------------------------------------------------------------------------- */

static bool add_name(list *self, utapi_level level, const char *name, size_t size)
{
    if (self->names[level] == NULL)
        self->names[level] = json_array();
    if (size == 0 || json_array_append_new(self->names[level], json_stringn(name, size)) == 0)
        return true;
    ctl_say("--%s: \"%.*s\" is not UTF-8", utapi_level_name(level), (int)size, name);
    return false;
}

/* "a,b": commas separate names. A name with a comma in it is given as an argument of its own. */
static bool take_names(const ctl_option *option, const char *names)
{
    utapi_level level = UTAPI_BUCKETS;
    (void)utapi_level_find(utapi_string_of(option->name), &level); /* "--buckets" has its level's name */
    for (;;) {
        const size_t size = strcspn(names, ",");
        if (!add_name(&asked, level, names, size))
            return false;
        if (names[size] == '\0')
            return true;
        names += size + 1;
    }
}

static bool take_metric(const ctl_option *option, const char *value)
{
    const char *name = strcmp(value, "location") == 0 ? "locations" : value;
    asked.has_level = utapi_level_find(utapi_string_of(name), &asked.level);
    if (!asked.has_level)
        ctl_say("--%s: expected buckets, accounts, users, service or locations, not \"%s\"", option->name,
                value);
    return asked.has_level;
}

/* ---- what the flags mean together --------------------------------------------------------- */

/* Without -m, the one flag that brings names tells the level. */
static bool resolve_level(list *self)
{
    size_t count = 0;
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT && !self->has_level; level++) {
        if (self->names[level] == NULL)
            continue;
        self->level = (utapi_level)level;
        count++;
    }
    if (self->has_level || count == 1)
        return true;
    ctl_say(count == 0 ? "what to list? Name it: --buckets, --accounts, --users, --service or --locations"
                       : "one level at a time: choose it with --metric");
    return false;
}

static bool resolve_names(list *self, int count, char **arguments)
{
    for (int i = 0; i < count; i++) {
        if (!add_name(self, self->level, arguments[i], strlen(arguments[i])))
            return false;
    }
    if (json_array_size(self->names[self->level]) > 0)
        return true;
    if (self->level == UTAPI_SERVICE)
        return add_name(self, UTAPI_SERVICE, "s3", 2);
    ctl_say("no name was given: --%s NAME[,NAME]...", utapi_level_name(self->level));
    return false;
}

static bool resolve_keys(list *self)
{
    client_endpoint *endpoint = &self->endpoint;
    if (endpoint->access_key == NULL)
        endpoint->access_key = getenv("AWS_ACCESS_KEY_ID");
    if (endpoint->secret_key == NULL)
        endpoint->secret_key = getenv("AWS_SECRET_ACCESS_KEY");
    if (self->no_sign)
        endpoint->access_key = NULL;
    else if (endpoint->access_key == NULL || endpoint->secret_key == NULL) {
        ctl_say("no key to sign with: --access-key and --secret-key, or AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY; or --no-sign, for a server that does not ask for it");
        return false;
    }
    return true;
}

static bool parse_bound(const char *flag, const char *text, int64_t now_ms, time_span *ret)
{
    utapi_error err = {0};
    if (time_parse(text, now_ms, ret, &err) == UTAPI_OK)
        return true;
    ctl_say("%s: %s", flag, err.detail);
    return false;
}

/* The range as the server wants it, owned; NULL, after saying why, if there is none. */
static json_t *make_range(const list *self)
{
    const int64_t now_ms = (int64_t)time(NULL) * 1000;
    time_span start;
    time_span end;
    if (self->start == NULL) {
        ctl_say("since when? --start TIME, or --recent");
        return NULL;
    }
    if (!parse_bound("--start", self->start, now_ms, &start) ||
        (self->end != NULL && !parse_bound("--end", self->end, now_ms, &end)))
        return NULL;
    const int64_t start_ms = time_round_start(&start);
    if (self->end == NULL)
        return json_pack("[I]", (json_int_t)start_ms);
    const int64_t end_ms = time_round_end(&end);
    if (end_ms < start_ms) {
        ctl_say("--start, %s, is after --end, %s", self->start, self->end);
        return NULL;
    }
    return json_pack("[I, I]", (json_int_t)start_ms, (json_int_t)end_ms);
}

static const char *const members[] = {
#define X(name, path, member) [UTAPI_##name] = (member),
    UTAPI_LEVEL_MAP(X)
#undef X
};

static const char *const headings[] = {
    [UTAPI_BUCKETS] = "BUCKET",  [UTAPI_ACCOUNTS] = "ACCOUNT",   [UTAPI_USERS] = "USER",
    [UTAPI_SERVICE] = "SERVICE", [UTAPI_LOCATIONS] = "LOCATION",
};

/* One object of the answer, with what the table needs of it. */
typedef struct entry {
    const char *name; /* borrowed from the JSON, as the next */
    const json_t *operations;
    int64_t stored[2];
    int64_t objects[2];
    int64_t in, out;
} entry;

/* ---- reading an answer -------------------------------------------------------------------- */

static bool read_pair(const json_t *object, const char *name, int64_t ret[2])
{
    const json_t *pair = json_object_get(object, name);
    for (size_t i = 0; i < 2; i++) {
        const json_t *value = json_array_get(pair, i);
        if (!json_is_integer(value))
            return false;
        ret[i] = json_integer_value(value);
    }
    return true;
}

static bool read_integer(const json_t *object, const char *name, int64_t *ret)
{
    const json_t *value = json_object_get(object, name);
    *ret = json_integer_value(value);
    return json_is_integer(value);
}

static bool read_entry(utapi_level level, const json_t *object, entry *ret)
{
    ret->name = json_string_value(json_object_get(object, members[level]));
    ret->operations = json_object_get(object, "operations");
    return ret->name != NULL && json_is_object(ret->operations) &&
           read_pair(object, "storageUtilized", ret->stored) &&
           read_pair(object, "numberOfObjects", ret->objects) &&
           read_integer(object, "incomingBytes", &ret->in) &&
           read_integer(object, "outgoingBytes", &ret->out);
}

static int64_t count_operations(const json_t *operations)
{
    uint64_t sum = 0;
    const char *name;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)operations, name, value)
        sum += (uint64_t)json_integer_value(value);
    return sum > INT64_MAX ? INT64_MAX : (int64_t)sum;
}

/* ---- the table ---------------------------------------------------------------------------- */

/* The change of a state. States are never below zero, so it fits; a server that says otherwise gets no more
 * than odd figures. */
static int64_t change(const int64_t states[2])
{
    return (int64_t)((uint64_t)states[1] - (uint64_t)states[0]);
}

static bool add_entry(table *rows, const entry *self)
{
    char stored[FORMAT_BYTES], stored_change[FORMAT_BYTES], objects[FORMAT_BYTES],
        objects_change[FORMAT_BYTES];
    char in[FORMAT_BYTES], out[FORMAT_BYTES], operations[FORMAT_BYTES];
    UTAPI_AUTO_FREE char *name = format_name(self->name);
    if (name == NULL)
        return false;
    format_bytes(self->stored[1], stored);
    format_bytes_change(change(self->stored), stored_change);
    format_count(self->objects[1], objects);
    format_count_change(change(self->objects), objects_change);
    format_bytes(self->in, in);
    format_bytes(self->out, out);
    format_count(count_operations(self->operations), operations);
    const char *const cells[] = {name, stored, stored_change, objects, objects_change, in, out, operations};
    return table_add(rows, cells);
}

static void print_range(const json_t *answer, FILE *out)
{
    int64_t range[2];
    char start[TIME_TEXT_BYTES];
    char end[TIME_TEXT_BYTES];
    if (!read_pair(json_array_get(answer, 0), "timeRange", range))
        return;
    time_format(range[0], start);
    /* The last millisecond of an interval reads better as the first of the next. */
    const bool is_whole = (range[1] + 1) % UTAPI_INTERVAL_MS == 0;
    time_format(is_whole ? range[1] + 1 : range[1], end);
    fprintf(out, "%s to %s UTC\n\n", start, end);
}

/* "name: PutObject 3, GetObject 1", broken into lines. */
static void print_operations(const entry *self, FILE *out)
{
    UTAPI_AUTO_FREE char *name = format_name(self->name);
    size_t used = (size_t)fprintf(out, "%s:", name != NULL ? name : "");
    const char *separator = "";
    const char *operation;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)self->operations, operation, value) {
        char count[FORMAT_BYTES];
        char item[96];
        if (json_integer_value(value) == 0)
            continue;
        const char *colon = strchr(operation, ':'); /* "s3:PutObject" */
        format_count(json_integer_value(value), count);
        const int size =
            snprintf(item, sizeof item, " %.50s %s", colon != NULL ? colon + 1 : operation, count);
        fputs(separator, out);
        if (used + (size_t)size > LINE_CHARACTERS) {
            fputs("\n   ", out);
            used = 3;
        }
        fputs(item, out);
        used += (size_t)size + 1;
        separator = ",";
    }
    fputc('\n', out);
}

static bool print_rows(utapi_level level, const json_t *answer, table *rows, FILE *out)
{
    entry resource;
    for (size_t i = 0; i < json_array_size(answer); i++) {
        if (!read_entry(level, json_array_get(answer, i), &resource) || !add_entry(rows, &resource))
            return false;
    }
    print_range(answer, out);
    table_print(rows, out);
    fputc('\n', out);
    for (size_t i = 0; i < json_array_size(answer); i++) {
        if (read_entry(level, json_array_get(answer, i), &resource) &&
            count_operations(resource.operations) > 0)
            print_operations(&resource, out);
    }
    return true;
}

/* False for an answer that is none. */
static bool list_print_table(utapi_level level, const json_t *answer, FILE *out)
{
    const char *const columns[] = {headings[level], ">STORED", ">CHANGE", ">OBJECTS",
                                   ">CHANGE",       ">IN",     ">OUT",    ">OPERATIONS"};
    table rows;
    if (!json_is_array(answer) || !table_init(&rows, columns, sizeof columns / sizeof *columns))
        return false;
    const bool is_done = print_rows(level, answer, &rows, out);
    table_done(&rows);
    return is_done;
}

/* ---- asking ------------------------------------------------------------------------------- */

/* The question, owned; NULL after saying why. */
static json_t *make_question(const list *self)
{
    json_t *range = self->recent ? NULL : make_range(self);
    if (!self->recent && range == NULL)
        return NULL;
    json_t *question = json_pack("{sO}", utapi_level_name(self->level), self->names[self->level]);
    if (range != NULL)
        (void)json_object_set_new(question, "timeRange", range);
    return question;
}

static int list_usage(const list *self)
{
    char path[64];
    json_auto_t *question = make_question(self);
    client *to = question != NULL ? client_new(&self->endpoint) : NULL;
    if (to == NULL)
        return question == NULL ? EXIT_USAGE : EXIT_FAILED;
    (void)snprintf(path, sizeof path, "/%s?Action=%s", utapi_level_name(self->level),
                   self->recent ? "ListRecentMetrics" : "ListMetrics");
    json_auto_t *usage = client_ask_json(to, path, question, NULL);
    client_free(to);
    if (usage == NULL)
        return EXIT_FAILED;
    const bool is_printed = self->json
                                ? json_dumpf(usage, stdout, JSON_INDENT(2)) == 0 && putchar('\n') != EOF
                                : list_print_table(self->level, usage, stdout);
    if (!is_printed)
        ctl_say("the server's answer is not one of ListMetrics");
    return is_printed && fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

/* ---- the command -------------------------------------------------------------------------- */

static int run_list(int count, char **arguments)
{
    list *self = &asked;
    const int code = resolve_level(self) && resolve_names(self, count, arguments) && resolve_keys(self)
                         ? list_usage(self)
                         : EXIT_USAGE;
    for (size_t i = 0; i < UTAPI_LEVEL_COUNT; i++)
        json_decref(self->names[i]);
    return code;
}

/* clang-format off */
static const ctl_option options[] = {
    {'m', "metric",     "LEVEL",          "buckets, accounts, users, service or locations", CTL_TAKE(take_metric)},
    {0,   "buckets",    "NAME[,NAME]...", "buckets to list", CTL_TAKE(take_names)},
    {0,   "accounts",   "ID[,ID]...",     "account IDs to list", CTL_TAKE(take_names)},
    {0,   "users",      "ID[,ID]...",     "user IDs to list", CTL_TAKE(take_names)},
    {0,   "service",    "NAME",           "the service to list (s3)", CTL_TAKE(take_names)},
    {0,   "locations",  "NAME[,NAME]...", "locations to list", CTL_TAKE(take_names)},
    {'s', "start",      "TIME",           "start of the time range", CTL_TEXT(asked.start), .is_required = true},
    {'r', "recent",     NULL,             "the current quarter of an hour and the one before",
        CTL_FLAG(asked.recent), .is_choice = true},
    {'e', "end",        "TIME",           "end of the time range (now)", CTL_TEXT(asked.end)},
    {'a', "access-key", "KEY",            "access key (AWS_ACCESS_KEY_ID)", CTL_TEXT(asked.endpoint.access_key)},
    {'k', "secret-key", "KEY",            "secret key (AWS_SECRET_ACCESS_KEY)", CTL_TEXT(asked.endpoint.secret_key)},
    {0,   "no-sign",    NULL,             "do not sign: for a server without auth", CTL_FLAG(asked.no_sign)},
    {0,   "json",       NULL,             "print the answer as JSON, not as a table", CTL_FLAG(asked.json)},
    CLIENT_OPTIONS(asked.endpoint),
};
/* clang-format on */

const ctl_command list_command = {
    .name = "list",
    .summary = "Lists what was used in a time range",
    .arguments = "[NAME]...",
    .text =
        "TIME is 2024-05-01, 2024-05, 2024-05-01T10:30 (also with +02:00), 7d, \"2 weeks ago\", today,\n"
        "yesterday, now, or milliseconds since the epoch; in UTC unless it says otherwise, and rounded out to\n"
        "quarters of an hour. A day or a month as the end is included. A NAME is taken as it is, commas too.\n",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .run = run_list,
};
