/* SPDX-License-Identifier: Apache-2.0 */
/* list.c - `utapictl list`: a question of ListMetrics, with the flags of CloudServer's list_metrics. */
#include "cli/commands.h"
#include "cli/list_print.h"
#include "cli/times.h"
#include "utapi/metric.h"
#include "utapi/scoped.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { OPTION_JSON = OPTION_FIRST, OPTION_NO_SIGN, OPTION_LEVEL /* + level: --buckets, --accounts, ... */ };

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

/* ---- flags -------------------------------------------------------------------------------- */

static bool add_name(list *self, utapi_level level, const char *name, size_t size)
{
    if (self->names[level] == NULL)
        self->names[level] = json_array();
    if (size == 0 || json_array_append_new(self->names[level], json_stringn(name, size)) == 0)
        return true;
    cli_say("--%s: \"%.*s\" is not UTF-8", utapi_level_name(level), (int)size, name);
    return false;
}

/* "a,b": commas separate names. A name with a comma in it is given as an argument of its own. */
static bool add_names(list *self, utapi_level level, const char *names)
{
    for (;;) {
        const size_t size = strcspn(names, ",");
        if (!add_name(self, level, names, size))
            return false;
        if (names[size] == '\0')
            return true;
        names += size + 1;
    }
}

static bool take_metric(list *self, const char *value)
{
    const char *name = strcmp(value, "location") == 0 ? "locations" : value;
    self->has_level = utapi_level_find(utapi_string_of(name), &self->level);
    if (!self->has_level)
        cli_say("--metric: expected buckets, accounts, users, service or locations, not \"%s\"", value);
    return self->has_level;
}

static bool take_option(void *ctx, int id, const char *value)
{
    list *self = ctx;
    if (id >= OPTION_LEVEL)
        return add_names(self, (utapi_level)(id - OPTION_LEVEL), value);
    switch (id) {
    case 'm':
        return take_metric(self, value);
    case 's':
        self->start = value;
        return true;
    case 'e':
        self->end = value;
        return true;
    case 'r':
        self->recent = true;
        return true;
    case 'a':
        self->endpoint.access_key = value;
        return true;
    case 'k':
        self->endpoint.secret_key = value;
        return true;
    case OPTION_JSON:
        self->json = true;
        return true;
    case OPTION_NO_SIGN:
        self->no_sign = true;
        return true;
    default:
        return false;
    }
}

/* ---- what the flags mean together --------------------------------------------------------- */

/* Without -m, the one flag that brings names tells the level. */
static bool settle_level(list *self)
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
    cli_say(count == 0 ? "what to list? Name it: --buckets, --accounts, --users, --service or --locations"
                       : "one level at a time: choose it with --metric");
    return false;
}

static bool settle_names(list *self, int count, char **arguments)
{
    for (int i = 0; i < count; i++) {
        if (!add_name(self, self->level, arguments[i], strlen(arguments[i])))
            return false;
    }
    if (json_array_size(self->names[self->level]) > 0)
        return true;
    if (self->level == UTAPI_SERVICE)
        return add_name(self, UTAPI_SERVICE, "s3", 2);
    cli_say("no name was given: --%s NAME[,NAME]...", utapi_level_name(self->level));
    return false;
}

static bool settle_keys(list *self)
{
    client_endpoint *endpoint = &self->endpoint;
    if (endpoint->access_key == NULL)
        endpoint->access_key = getenv("AWS_ACCESS_KEY_ID");
    if (endpoint->secret_key == NULL)
        endpoint->secret_key = getenv("AWS_SECRET_ACCESS_KEY");
    if (self->no_sign)
        endpoint->access_key = NULL;
    else if (endpoint->access_key == NULL || endpoint->secret_key == NULL) {
        cli_say("no key to sign with: --access-key and --secret-key, or AWS_ACCESS_KEY_ID and "
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
    cli_say("%s: %s", flag, err.detail);
    return false;
}

/* The range as the server wants it, owned; NULL, after saying why, if there is none. */
static json_t *make_range(const list *self)
{
    const int64_t now_ms = (int64_t)time(NULL) * 1000;
    time_span start;
    time_span end;
    if (self->start == NULL) {
        cli_say("since when? --start TIME, or --recent");
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
        cli_say("--start, %s, is after --end, %s", self->start, self->end);
        return NULL;
    }
    return json_pack("[I, I]", (json_int_t)start_ms, (json_int_t)end_ms);
}

/* ---- asking ------------------------------------------------------------------------------- */

/* The body of the question, owned: free(); NULL after saying why. */
static char *make_body(const list *self)
{
    json_auto_t *body = json_object();
    json_t *range = self->recent ? NULL : make_range(self);
    if (!self->recent && range == NULL)
        return NULL;
    json_object_set(body, utapi_level_name(self->level), self->names[self->level]);
    if (range != NULL)
        json_object_set_new(body, "timeRange", range);
    char *text = json_dumps(body, JSON_COMPACT);
    if (text == NULL)
        cli_say("out of memory");
    return text;
}

static int print_answer(const list *self, const client_answer *answer)
{
    if (answer->status != 200) {
        cli_say("%s: %s", answer->code, answer->message);
        return EXIT_FAILED;
    }
    json_auto_t *usage = json_loadb(answer->body, answer->size, 0, NULL);
    const bool is_printed = usage != NULL && (self->json ? list_print_json(usage, stdout)
                                                         : list_print_table(self->level, usage, stdout));
    if (!is_printed)
        cli_say("the server's answer is not one of ListMetrics");
    return is_printed && fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

static utapi_status ask(const list *self, client *to, client_answer *ret, utapi_error *err)
{
    char path[64];
    UTAPI_AUTO_FREE char *body = make_body(self);
    if (body == NULL)
        return UTAPI_INVALID;
    (void)snprintf(path, sizeof path, "/%s?Action=%s", utapi_level_name(self->level),
                   self->recent ? "ListRecentMetrics" : "ListMetrics");
    return client_post(to, path, utapi_string_of(body), ret, err);
}

static int list_usage(const list *self)
{
    client *to;
    client_answer answer;
    utapi_error err = {0};
    if (client_new(&self->endpoint, &to, &err) != UTAPI_OK) {
        cli_say("%s", err.detail);
        return EXIT_FAILED;
    }
    int code = EXIT_USAGE; /* make_body() has said what is wrong */
    if (ask(self, to, &answer, &err) == UTAPI_OK) {
        code = print_answer(self, &answer);
        client_answer_done(&answer);
    } else if (err.status != UTAPI_OK) {
        cli_say("%s", err.detail);
        code = EXIT_FAILED;
    }
    client_free(to);
    return code;
}

/* ---- the command -------------------------------------------------------------------------- */

static int run_list(int argc, char **argv)
{
    list self = {.endpoint = client_endpoint_defaults};
    int rest;
    int code = cli_parse(&list_command, argc, argv, &self.endpoint, take_option, &self, &rest);
    if (code == EXIT_NONE)
        code = settle_level(&self) && settle_names(&self, argc - rest, argv + rest) && settle_keys(&self)
                   ? list_usage(&self)
                   : EXIT_USAGE;
    for (size_t i = 0; i < UTAPI_LEVEL_COUNT; i++)
        json_decref(self.names[i]);
    return code;
}

static const cli_option options[] = {
    {'m', "metric", "LEVEL", "buckets, accounts, users, service or locations"},
    {OPTION_LEVEL + UTAPI_BUCKETS, "buckets", "NAME[,NAME]...", "buckets to list"},
    {OPTION_LEVEL + UTAPI_ACCOUNTS, "accounts", "ID[,ID]...", "account IDs to list"},
    {OPTION_LEVEL + UTAPI_USERS, "users", "ID[,ID]...", "user IDs to list"},
    {OPTION_LEVEL + UTAPI_SERVICE, "service", "NAME", "the service to list (s3)"},
    {OPTION_LEVEL + UTAPI_LOCATIONS, "locations", "NAME[,NAME]...", "locations to list"},
    {'s', "start", "TIME", "start of the time range"},
    {'e', "end", "TIME", "end of the time range (now)"},
    {'r', "recent", NULL, "the current quarter of an hour and the one before"},
    {'a', "access-key", "KEY", "access key (AWS_ACCESS_KEY_ID)"},
    {'k', "secret-key", "KEY", "secret key (AWS_SECRET_ACCESS_KEY)"},
    {OPTION_NO_SIGN, "no-sign", NULL, "do not sign: for a server without auth"},
    {OPTION_JSON, "json", NULL, "print the answer as JSON, not as a table"},
    CLI_ENDPOINT_OPTIONS,
};

const command list_command = {
    .name = "list",
    .summary = "Lists what was used in a time range",
    .usage = "[OPTION]... [NAME]...",
    .text =
        "TIME is 2024-05-01, 2024-05, 2024-05-01T10:30 (also with +02:00), 7d, \"2 weeks ago\", today,\n"
        "yesterday, now, or milliseconds since the epoch; in UTC unless it says otherwise, and rounded out to\n"
        "quarters of an hour. A day or a month as the end is included. A NAME is taken as it is, commas too.\n",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .run = run_list,
};
