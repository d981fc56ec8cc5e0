/* SPDX-License-Identifier: Apache-2.0 */
/* list.c - `utapictl list`: a question of ListMetrics, with the flags of CloudServer's list_metrics.
 *
 * The table has a row for each resource: what is stored at the range's end and how that changed, what went in and out.
 * Operations follow as text, since most of them are zero. */
#include "ctl/credentials.h"
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
    const char *profile, *secret_file;
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
    if (!self->no_sign)
        return credentials_find(&self->endpoint, self->profile, self->secret_file);
    self->endpoint.access_key = NULL;
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
    json_t *operations;
    json_int_t stored[2], objects[2], in, out;
} entry;

/* ---- reading an answer -------------------------------------------------------------------- */

static bool read_entry(utapi_level level, json_t *object, entry *ret)
{
    return json_unpack(object, "{s:s, s:o, s:[I,I], s:[I,I], s:I, s:I}", members[level], &ret->name,
                       "operations", &ret->operations, "storageUtilized", &ret->stored[0], &ret->stored[1],
                       "numberOfObjects", &ret->objects[0], &ret->objects[1], "incomingBytes", &ret->in,
                       "outgoingBytes", &ret->out) == 0 &&
           json_is_object(ret->operations);
}

static int64_t count_operations(json_t *operations)
{
    uint64_t sum = 0;
    const char *name;
    json_t *value;
    json_object_foreach (operations, name, value)
        sum += (uint64_t)json_integer_value(value);
    return sum > INT64_MAX ? INT64_MAX : (int64_t)sum;
}

/* ---- the table ---------------------------------------------------------------------------- */

/* The change of a state. States are never below zero, so it fits; a server that says otherwise gets no more
 * than odd figures. */
static int64_t change(const json_int_t states[2])
{
    return (int64_t)((uint64_t)states[1] - (uint64_t)states[0]);
}

static bool add_entry(table *rows, const entry *self)
{
    UTAPI_AUTO_FREE char *name = format_name(self->name);
    if (name == NULL)
        return false;
    return table_add(rows, (const char *const[]){name, format_bytes(self->stored[1]).text,
                                                 format_change(format_bytes(change(self->stored))).text,
                                                 format_count(self->objects[1]).text,
                                                 format_change(format_count(change(self->objects))).text,
                                                 format_bytes(self->in).text, format_bytes(self->out).text,
                                                 format_count(count_operations(self->operations)).text});
}

static void print_range(json_t *answer, FILE *out)
{
    json_int_t start_ms, end_ms;
    if (json_unpack(answer, "[{s:[I,I]}]", "timeRange", &start_ms, &end_ms) != 0)
        return;
    /* The last millisecond of an interval reads better as the first of the next. */
    end_ms += (end_ms + 1) % UTAPI_INTERVAL_MS == 0;
    fprintf(out, "%s to %s UTC\n\n", time_format(start_ms).text, time_format(end_ms).text);
}

/* "name: PutObject 3, GetObject 1", broken into lines. */
static void print_operations(const entry *self, FILE *out)
{
    UTAPI_AUTO_FREE char *name = format_name(self->name);
    size_t used = (size_t)fprintf(out, "%s:", name != NULL ? name : "");
    const char *separator = "";
    const char *operation;
    json_t *value;
    json_object_foreach (self->operations, operation, value) {
        char item[96];
        if (json_integer_value(value) == 0)
            continue;
        const char *colon = strchr(operation, ':'); /* "s3:PutObject" */
        const int size = snprintf(item, sizeof item, " %.50s %s", colon != NULL ? colon + 1 : operation,
                                  format_count(json_integer_value(value)).text);
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

/* False for an answer that is none. */
static bool print_table(utapi_level level, json_t *answer, FILE *out)
{
    const char *const columns[] = {headings[level], ">STORED", ">CHANGE", ">OBJECTS",
                                   ">CHANGE",       ">IN",     ">OUT",    ">OPERATIONS"};
    table rows;
    entry resource;
    size_t i;
    json_t *object;
    bool is_done = json_is_array(answer) && table_init(&rows, columns, sizeof columns / sizeof *columns);
    if (!is_done)
        return false;
    json_array_foreach (answer, i, object)
        is_done = is_done && read_entry(level, object, &resource) && add_entry(&rows, &resource);
    if (is_done) {
        print_range(answer, out);
        table_print(&rows, out);
        fputc('\n', out);
    }
    json_array_foreach (answer, i, object)
        if (is_done && read_entry(level, object, &resource) && count_operations(resource.operations) > 0)
            print_operations(&resource, out);
    table_done(&rows);
    return is_done;
}

/* ---- asking ------------------------------------------------------------------------------- */

static int list_usage(const list *self)
{
    char path[64];
    int code;
    json_auto_t *range = self->recent ? json_null() : make_range(self);
    if (range == NULL)
        return EXIT_USAGE;
    json_auto_t *question = json_pack("{sO}", utapi_level_name(self->level), self->names[self->level]);
    if (!self->recent)
        (void)json_object_set(question, "timeRange", range);
    (void)snprintf(path, sizeof path, "/%s?Action=%s", utapi_level_name(self->level),
                   self->recent ? "ListRecentMetrics" : "ListMetrics");
    json_auto_t *usage = client_request_json(&self->endpoint, path, question, NULL, &code);
    if (usage == NULL)
        return code;
    if (self->json)
        return client_print_json(usage);
    if (!print_table(self->level, usage, stdout)) {
        ctl_say("the server's answer is not one of ListMetrics");
        return EXIT_FAILED;
    }
    return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
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
    {'k', "secret-key", "KEY",            "secret key (AWS_SECRET_ACCESS_KEY)", CTL_TEXT(asked.endpoint.secret_key),
        .is_secret = true},
    {0,   "secret-key-file", "FILE",      "file whose first line is the secret key; - is standard input",
        CTL_TEXT(asked.secret_file)},
    {0,   "profile",    "NAME",           "profile of ~/.aws/credentials (AWS_PROFILE)", CTL_TEXT(asked.profile)},
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
        "quarters of an hour. A day or a month as the end is included. A NAME is used as it is, commas too.\n",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .run = run_list,
};
