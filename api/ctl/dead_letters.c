/* SPDX-License-Identifier: Apache-2.0 */
/* dead_letters.c - `utapictl dead-letters`: events that a server accepted and did not count: listed, pushed again, or
 * printed and dropped.
 *
 * What a server sends is checked member by member: another program may answer at that port. */
#include "ctl/dead_letters.h"

#include "ctl/format.h"
#include "ctl/times.h"
#include "utapi/scoped.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIST_PATH   "/_/dead-letters"
#define IDS_AT_ONCE 1000 /* in a request, which is so no larger than servers take */

static struct {
    client_endpoint endpoint;
    bool json, all;
} asked = {.endpoint = CLIENT_ENDPOINT_DEFAULTS};

/* ---- listing ------------------------------------------------------------------------------ */

/* The letters in a server's answer; borrowed. NULL, after saying so, if there are none in it. */
static const json_t *letters_of(const json_t *answer)
{
    const json_t *letters = json_is_array(answer) ? answer : json_object_get(answer, "letters");
    if (json_is_array(letters))
        return letters;
    ctl_say("the server's answer is not a list of events");
    return NULL;
}

static bool add_letter(table *rows, const json_t *letter)
{
    static const char *const members[] = {NULL,     "operationId", "bucket", "account",
                                          "reason", "detail",      "source", "id"};
    enum { COUNT = sizeof members / sizeof *members };
    const json_t *time_ms = json_object_get(letter, "timestamp");
    const format_text time = time_format(json_integer_value(time_ms));
    char *cells[COUNT];
    bool is_done = json_is_integer(time_ms);
    for (size_t i = 0; i < COUNT; i++) {
        const char *text =
            members[i] != NULL ? json_string_value(json_object_get(letter, members[i])) : time.text;
        cells[i] = format_name(text != NULL ? text : "-");
        is_done = is_done && cells[i] != NULL;
    }
    is_done = is_done && table_add(rows, (const char *const *)cells);
    for (size_t i = 0; i < COUNT; i++)
        free(cells[i]);
    return is_done;
}

static bool print_letters(const json_t *letters)
{
    static const char *const headings[] = {"TIME",   "OPERATION", "BUCKET", "ACCOUNT",
                                           "REASON", "DETAIL",    "SOURCE", "ID"};
    table rows;
    bool is_done = table_init(&rows, headings, sizeof headings / sizeof *headings);
    if (!is_done)
        return false;
    for (size_t i = 0; i < json_array_size(letters) && is_done; i++)
        is_done = add_letter(&rows, json_array_get(letters, i));
    if (is_done)
        table_print(&rows, stdout);
    table_done(&rows);
    return is_done;
}

/* "23 more of 10.0.0.1 were dropped, for there were too many: late" */
static void print_dropped(const json_t *answer)
{
    size_t index;
    const json_t *dropped, *list = json_object_get(answer, "dropped");
    json_array_foreach (list, index, dropped) {
        const char *source = json_string_value(json_object_get(dropped, "source"));
        const char *reason = json_string_value(json_object_get(dropped, "reason"));
        UTAPI_AUTO_FREE char *from = format_name(source != NULL ? source : "others");
        UTAPI_AUTO_FREE char *why = format_name(reason != NULL ? reason : "-");
        if (from != NULL && why != NULL)
            printf("%s from %s were dropped, for there were too many: %s\n",
                   format_count(json_integer_value(json_object_get(dropped, "count"))).text, from, why);
    }
}

int dead_letters_show(const client_endpoint *to)
{
    int code;
    json_auto_t *answer = client_request_json(to, LIST_PATH, NULL, NULL, &code);
    const json_t *letters = answer != NULL ? letters_of(answer) : NULL;
    if (letters == NULL)
        return code;
    if (json_array_size(letters) == 0)
        puts("there is no dead letter");
    else if (!print_letters(letters)) {
        ctl_say("the server's answer is not a list of events");
        return EXIT_FAILED;
    }
    print_dropped(answer);
    return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

static int list(void)
{
    if (!asked.json)
        return dead_letters_show(&asked.endpoint);
    int code;
    json_auto_t *answer = client_request_json(&asked.endpoint, LIST_PATH, NULL, NULL, &code);
    return answer != NULL ? client_print_json(answer) : code;
}

/* ---- acknowledging ------------------------------------------------------------------------ */

static bool id_is_wanted(const json_t *letter, char *const *ids, int count)
{
    const char *id = json_string_value(json_object_get(letter, "id"));
    if (ids == NULL)
        return true;
    for (int i = 0; i < count && id != NULL; i++)
        if (strcmp(ids[i], id) == 0)
            return true;
    return false;
}

/* Each letter on a line of its own: in its file before the server drops it. */
static bool letters_write(const json_t *letters)
{
    for (size_t i = 0; i < json_array_size(letters); i++)
        if (json_dumpf(json_array_get(letters, i), stdout, JSON_COMPACT) != 0 || putchar('\n') == EOF)
            return false;
    return fflush(stdout) == 0 && (fsync(STDOUT_FILENO) == 0 || errno == EINVAL); /* a terminal, a pipe */
}

/* Names the letters one by one: one that came since they were listed was shown to nobody. Gives the exit code. */
static int letters_drop(const client_endpoint *to, const json_t *letters)
{
    const size_t count = json_array_size(letters);
    for (size_t done = 0; done < count;) {
        int code;
        json_auto_t *ids = json_array();
        for (size_t i = 0; i < IDS_AT_ONCE && done < count; i++, done++)
            (void)json_array_append(ids, json_object_get(json_array_get(letters, done), "id"));
        json_auto_t *what = json_pack("{sO}", "ids", ids);
        json_auto_t *answer = client_request_json(to, "/_/dead-letters/acknowledge", what, NULL, &code);
        if (answer == NULL)
            return code;
    }
    return EXIT_DONE;
}

int dead_letters_acknowledge(const client_endpoint *to, const char *list_path, char *const *ids, int count)
{
    size_t found;
    do { /* the server lists so many at a time */
        int code;
        json_auto_t *answer = client_request_json(to, list_path, NULL, NULL, &code);
        const json_t *letters = answer != NULL ? letters_of(answer) : NULL;
        if (letters == NULL)
            return code;
        json_auto_t *wanted = json_array();
        for (size_t i = 0; i < json_array_size(letters); i++)
            if (id_is_wanted(json_array_get(letters, i), ids, count))
                (void)json_array_append(wanted, json_array_get(letters, i));
        if (!letters_write(wanted)) {
            ctl_say("the events cannot be written out, so they stay where they are: %s", strerror(errno));
            return EXIT_FAILED;
        }
        code = letters_drop(to, wanted);
        if (code != EXIT_DONE)
            return code;
        found = json_array_size(wanted);
    } while (found > 0);
    return EXIT_DONE;
}

/* ---- pushing ------------------------------------------------------------------------------ */

/* The server takes so many at a time; those that cannot be read stay. */
static int push(char *const *ids, int count)
{
    json_int_t pushed = 0, left = 0, now = 0;
    int done = 0, code;
    do {
        json_auto_t *what = ids == NULL ? json_pack("{sb}", "all", 1) : json_object();
        json_auto_t *some = json_array();
        for (int i = 0; i < IDS_AT_ONCE && done < count && ids != NULL; i++, done++)
            (void)json_array_append_new(some, json_string(ids[done]));
        if (ids != NULL)
            (void)json_object_set(what, "ids", some);
        json_auto_t *answer = client_request_json(&asked.endpoint, "/_/dead-letters/push", what, NULL, &code);
        if (answer == NULL)
            return code;
        if (json_unpack(answer, "{s:I, s:I}", "pushed", &now, "left", &left) != 0) {
            ctl_say("the server's answer does not say how many were pushed");
            return EXIT_FAILED;
        }
        pushed += now;
    } while (ids != NULL ? done < count : now > 0);
    printf("%s event%s pushed, %s left\n", format_count(pushed).text, pushed == 1 ? " was" : "s were",
           format_count(left).text);
    return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

/* ---- the command -------------------------------------------------------------------------- */

static int run(int count, char **arguments)
{
    const char *what = count > 0 ? arguments[0] : "list";
    char *const *ids = asked.all ? NULL : arguments + 1;
    const bool is_list = strcmp(what, "list") == 0, is_push = strcmp(what, "push") == 0;
    if (!is_list && !is_push && strcmp(what, "acknowledge") != 0) {
        ctl_say("expected list, push or acknowledge, not \"%s\"", what);
        return EXIT_USAGE;
    }
    if (is_list ? (count > 1 || asked.all) : (count > 1) == asked.all) {
        ctl_say(is_list ? "list takes no id" : "%s: expected ids, or --all", what);
        return EXIT_USAGE;
    }
    return is_list   ? list()
           : is_push ? push(ids, count - 1)
                     : dead_letters_acknowledge(&asked.endpoint, LIST_PATH, ids, count - 1);
}

/* clang-format off */
static const ctl_option options[] = {
    {0, "all",  NULL, "push or acknowledge every one, instead of some by their ids", CTL_FLAG(asked.all)},
    {0, "json", NULL, "with list: print the server's answer as JSON", CTL_FLAG(asked.json)},
    CLIENT_OPTIONS(asked.endpoint),
};
/* clang-format on */

const ctl_command dead_letters_command = {
    .name = "dead-letters",
    .summary = "Shows the events that were accepted and not counted, counts them after all, or drops them",
    .arguments = "[list | push | acknowledge] [ID]...",
    .text =
        "list is what it does by itself: ask from an address in the server's healthChecks.allowFrom. The others\n"
        "need one in ingest.allowFrom. push counts events whatever the server's limits are, and once however often\n"
        "it is repeated. acknowledge prints each event as a JSON line first, which utapictl push takes.\n",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .run = run,
};
