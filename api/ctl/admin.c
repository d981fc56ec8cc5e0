/* SPDX-License-Identifier: Apache-2.0 */
/* admin.c - utapictl adjust, expire and audit: through the socket of the utapid that runs, else in its folder.
 *
 * An act has an id. So it may be sent again whenever its outcome is not known, and counts once. */
#include "ctl/admin_folder.h"
#include "ctl/client.h"
#include "ctl/format.h"
#include "ctl/times.h"
#include "utapi/clock.h"
#include "utapi/codec.h"
#include "utapi/scoped.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 10000 /* until the storage has an act, or a server that is busy takes it */
#define PAUSE_MS    200

enum { ID_BYTES = 16 };

/* What one of the commands was told. */
typedef struct admin {
    const char *folder, *at, *reason, *id;
    int64_t amounts[UTAPI_FIRST_OPERATION];
    json_t *operations; /* owned; NULL: none */
    bool is_dry_run, json;
} admin;

static admin told;

/* ---- reaching a server, or its folder ------------------------------------------------------- */

/* As utapid has it by default. */
static const char *folder_of(const admin *self, char path[static PATH_MAX])
{
    const char *named = self->folder != NULL ? self->folder : getenv("UTAPI_DATA_DIR");
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (named != NULL && *named != '\0')
        (void)snprintf(path, PATH_MAX, "%s", named);
    else if (geteuid() == 0)
        (void)snprintf(path, PATH_MAX, "/var/lib/utapi");
    else if (state != NULL && *state == '/')
        (void)snprintf(path, PATH_MAX, "%s/utapi", state);
    else
        (void)snprintf(path, PATH_MAX, "%s/.local/state/utapi", home != NULL ? home : "");
    return path;
}

/* Asks the server of a folder. UTAPI_UNAVAILABLE: there is none. UTAPI_INVALID: it is not ours to ask. */
static utapi_status server_request(const char *folder, const char *path, const char *body, client_answer *ret,
                                   utapi_error *err)
{
    char socket[PATH_MAX];
    const int size = snprintf(socket, sizeof socket, "%s/admin.sock", folder);
    const client_endpoint server = {.host = "localhost", .port = 80, .socket = socket};
    if (size < 0 || (size_t)size >= sizeof socket)
        return utapi_fail(err, UTAPI_INVALID, "%s: the path is too long", folder);
    if (access(socket, R_OK | W_OK) != 0 && errno == EACCES)
        return utapi_fail(err, UTAPI_INVALID, "%s: %s", socket, strerror(errno));
    return client_request(&server, path, utapi_string_of(body), ret, err);
}

static void pause_shortly(void)
{
    static const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    (void)nanosleep(&pause, NULL);
}

/* Whether what failed in a folder is to be tried again: a server that starts has it before it listens. Else says why
 * it failed. */
static bool is_starting(utapi_status status, const utapi_error *err, int64_t until_ms)
{
    if (status == UTAPI_LOCKED && utapi_monotonic_ms() < until_ms)
        return pause_shortly(), true;
    ctl_say("%s", *err->detail != '\0' ? err->detail : utapi_status_text(status));
    return false;
}

/* ---- acts --------------------------------------------------------------------------------- */

static bool id_make(char ret[static 2 * ID_BYTES + 1])
{
    unsigned char bytes[ID_BYTES];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return false;
    *utapi_hex_put(ret, bytes, sizeof bytes) = '\0';
    return true;
}

/* Who sits there, as far as the system tells: the server adds whose process it is. */
static const char *who_asks(void)
{
    const char *sudo = getenv("SUDO_USER");
    const struct passwd *user = getpwuid(getuid());
    return sudo != NULL && *sudo != '\0' ? sudo : user != NULL ? user->pw_name : NULL;
}

/* What is posted; NULL after saying why not. */
static json_t *act_make(const admin *self, utapi_admin_kind kind, char **arguments, const char *id)
{
    utapi_error err = {0};
    time_span at = {.first_ms = utapi_wall_ms()};
    const char *who = who_asks();
    if (self->at != NULL && time_parse(self->at, at.first_ms, &at, &err) != UTAPI_OK) {
        ctl_say("--at: %s", err.detail);
        return NULL;
    }
    json_t *question =
        json_pack("{ss, ss, ss, ss, sI, sb}", "level", arguments[0], "resource", arguments[1], "reason",
                  self->reason, "id", id, "at", (json_int_t)at.first_ms, "dryRun", (int)self->is_dry_run);
    if (question == NULL) {
        ctl_say("a name or a reason that is not UTF-8");
        return NULL;
    }
    if (who != NULL)
        (void)json_object_set_new(question, "who", json_string(who));
    if (kind != UTAPI_ADMIN_ADJUST)
        return question;
    json_t *amounts = json_object();
    for (unsigned m = 0; m < UTAPI_FIRST_OPERATION; m++)
        if (self->amounts[m] != 0)
            (void)json_object_set_new(amounts, utapi_metric_name(m), json_integer(self->amounts[m]));
    if (self->operations != NULL)
        (void)json_object_set(amounts, "operations", self->operations);
    (void)json_object_set_new(question, "amounts", amounts);
    return question;
}

/* Posts it, again and again while its outcome is not known. Gives the answer; NULL: nobody listens, or after saying
 * why not (*ret_said). */
static json_t *act_post(const char *folder, const char *path, const json_t *question, int64_t until_ms,
                        bool *ret_said)
{
    UTAPI_AUTO_FREE char *body = json_dumps(question, JSON_COMPACT);
    const char *id = json_string_value(json_object_get(question, "id"));
    *ret_said = true;
    if (body == NULL)
        return ctl_say("out of memory"), NULL;
    for (bool is_sent = false;; pause_shortly()) {
        client_answer answer = {.message = ""};
        utapi_error err = {0};
        const utapi_status status = server_request(folder, path, body, &answer, &err);
        *ret_said = is_sent || status != UTAPI_UNAVAILABLE;
        if (!*ret_said || (status == UTAPI_OK && answer.status == 200))
            return answer.body;
        const bool lasts = status == UTAPI_OK ? answer.status != 503 : status == UTAPI_INVALID;
        is_sent = true;
        if (lasts || utapi_monotonic_ms() >= until_ms) {
            if (status == UTAPI_OK)
                ctl_say("%s: %s", answer.code, answer.message);
            else
                ctl_say("%s", err.detail);
            if (!lasts)
                ctl_say("it may be done, or not: repeat it with --id %s, and it is done once", id);
            json_decref(answer.body);
            return NULL;
        }
        json_decref(answer.body);
    }
}

/* The answer of the server, or of the folder where none runs; NULL after saying why not. */
static json_t *act_send(const char *folder, utapi_admin_kind kind, const json_t *question, int64_t until_ms)
{
    char path[64];
    utapi_status status;
    utapi_error err;
    (void)snprintf(path, sizeof path, "/_/admin/%s", utapi_admin_kind_name(kind));
    do {
        bool is_said;
        json_t *row = act_post(folder, path, question, until_ms, &is_said);
        if (row != NULL || is_said)
            return row;
        utapi_error_clear(&err);
        status = admin_folder_act(folder, kind, question, &row, &err);
        if (status == UTAPI_OK)
            return row;
    } while (is_starting(status, &err, until_ms));
    return NULL;
}

/* The row of an act, once the storage has it; NULL: not in time. */
static json_t *row_wait(const char *folder, const char *id, int64_t until_ms)
{
    char path[128];
    (void)snprintf(path, sizeof path, "/_/admin/audit?id=%s", id);
    for (; utapi_monotonic_ms() < until_ms; pause_shortly()) {
        client_answer answer = {.message = ""};
        if (server_request(folder, path, NULL, &answer, NULL) != UTAPI_OK)
            continue;
        json_t *row = answer.status == 200 ? json_incref(json_array_get(answer.body, 0)) : NULL;
        json_decref(answer.body);
        if (row != NULL)
            return row;
    }
    return NULL;
}

/* ---- showing ------------------------------------------------------------------------------ */

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

/* "storageUtilized 100 -> 70", a line for each figure. */
static void figures_print(json_t *before, const json_t *after)
{
    const char *name;
    json_t *value;
    json_object_foreach (before, name, value) {
        const json_t *then = json_object_get(after, name);
        if (json_is_object(value)) {
            figures_print(value, then);
            continue;
        }
        UTAPI_AUTO_FREE char *clean = format_name(name);
        printf("  %-24s %s -> %s\n", clean != NULL ? clean : "", format_count(json_integer_value(value)).text,
               format_count(json_integer_value(then)).text);
    }
}

static void row_print(const json_t *row)
{
    static const char *const members[] = {"action", "level", "resource", "who", "reason", "id", "refused"};
    enum { COUNT = sizeof members / sizeof *members };
    char *clean[COUNT]; /* safe for a terminal */
    for (size_t i = 0; i < COUNT; i++)
        clean[i] = format_name(text_of(row, members[i]));
    const format_text asked = time_format(json_integer_value(json_object_get(row, "askedAt")));
    const format_text at = time_format(json_integer_value(json_object_get(row, "interval")));
    if (clean[COUNT - 1] != NULL) { /* else memory ran out */
        printf("%s  %s %s %s, at %s\n  by %s: %s\n", asked.text, clean[0], clean[1], clean[2], at.text,
               clean[3], clean[4]);
        printf("  id %s\n", clean[5]);
        if (*clean[6] != '\0')
            printf("  refused, nothing was done: %s\n", clean[6]);
    }
    for (size_t i = 0; i < COUNT; i++)
        free(clean[i]);
    figures_print(json_object_get(row, "before"), json_object_get(row, "after"));
}

/* Gives the exit code of an act with this row. */
static int row_show(const admin *self, const json_t *row)
{
    const bool is_refused = *text_of(row, "refused") != '\0';
    if (self->json) {
        if (client_print_json(row) != EXIT_DONE)
            return EXIT_FAILED;
    } else {
        row_print(row);
        puts(self->is_dry_run ? "nothing was done: --dry-run" : is_refused ? "" : "done");
    }
    return fflush(stdout) == 0 && !is_refused ? EXIT_DONE : EXIT_FAILED;
}

/* ---- the commands ------------------------------------------------------------------------- */

static int act_run(const admin *self, utapi_admin_kind kind, const char *id, char **arguments)
{
    char folder[PATH_MAX];
    const int64_t until_ms = utapi_monotonic_ms() + PATIENCE_MS;
    json_auto_t *question = act_make(self, kind, arguments, id);
    if (question == NULL)
        return EXIT_USAGE;
    json_auto_t *row = act_send(folder_of(self, folder), kind, question, until_ms);
    if (row == NULL)
        return EXIT_FAILED;
    if (!json_is_true(json_object_get(row, "waits")))
        return row_show(self, row);
    json_auto_t *done = row_wait(folder, id, until_ms);
    if (done != NULL)
        return row_show(self, done);
    ctl_say(
        "it is accepted and will be done, but the storage does not have it yet: see utapictl audit, id %s",
        id);
    return EXIT_UNWELL;
}

static int run(utapi_admin_kind kind, int count, char **arguments)
{
    admin *self = &told;
    char id[2 * ID_BYTES + 1];
    int code = EXIT_USAGE;
    if (count != 2)
        ctl_say("%s needs a level and a name: utapictl %s buckets photos", utapi_admin_kind_name(kind),
                utapi_admin_kind_name(kind));
    else if (self->reason == NULL || *self->reason == '\0')
        ctl_say("--reason: say why; the audit keeps it");
    else if (self->id == NULL && !id_make(id))
        ctl_say("the system has no random bytes for an id: %s", strerror(errno));
    else
        code = act_run(self, kind, self->id != NULL ? self->id : id, arguments);
    json_decref(self->operations);
    self->operations = NULL;
    return code;
}

static int run_adjust(int count, char **arguments)
{
    return run(UTAPI_ADMIN_ADJUST, count, arguments);
}

static int run_expire(int count, char **arguments)
{
    return run(UTAPI_ADMIN_EXPIRE, count, arguments);
}

/* The answer of a server; NULL: nobody listens, or after saying why not. */
static json_t *audit_request(const char *folder, int count, char **arguments, bool *ret_said)
{
    utapi_text path = {0};
    size_t size = 0;
    client_answer answer = {.message = ""};
    utapi_error err = {0};
    utapi_text_add_literal(&path, "/_/admin/audit");
    if (count == 2) {
        utapi_text_add_literal(&path, "?level=");
        client_add_encoded(&path, arguments[0]);
        utapi_text_add_literal(&path, "&resource=");
        client_add_encoded(&path, arguments[1]);
    }
    UTAPI_AUTO_FREE char *target = utapi_text_take(&path, &size);
    *ret_said = true;
    if (target == NULL)
        return ctl_say("out of memory"), NULL;
    const utapi_status status = server_request(folder, target, NULL, &answer, &err);
    *ret_said = status != UTAPI_UNAVAILABLE;
    if (status == UTAPI_OK && answer.status == 200)
        return answer.body;
    if (status == UTAPI_OK)
        ctl_say("%s: %s", answer.code, answer.message);
    else if (*ret_said)
        ctl_say("%s", err.detail);
    json_decref(answer.body);
    return NULL;
}

/* The answer of the server, or of the folder where none runs; NULL after saying why not. */
static json_t *audit_rows(const char *folder, int count, char **arguments)
{
    const int64_t until_ms = utapi_monotonic_ms() + PATIENCE_MS;
    utapi_status status;
    utapi_error err;
    do {
        bool is_said;
        json_t *rows = audit_request(folder, count, arguments, &is_said);
        if (rows != NULL || is_said)
            return rows;
        utapi_error_clear(&err);
        status = admin_folder_audit(folder, count == 2 ? arguments[0] : NULL,
                                    count == 2 ? arguments[1] : NULL, &rows, &err);
        if (status == UTAPI_OK)
            return rows;
    } while (is_starting(status, &err, until_ms));
    return NULL;
}

static int run_audit(int count, char **arguments)
{
    const admin *self = &told;
    char folder[PATH_MAX];
    if (count != 0 && count != 2) {
        ctl_say("audit takes a level and a name, or neither");
        return EXIT_USAGE;
    }
    json_auto_t *rows = audit_rows(folder_of(self, folder), count, arguments);
    if (rows == NULL)
        return EXIT_FAILED;
    if (self->json)
        return client_print_json(rows);
    if (json_array_size(rows) == 0)
        puts("nothing was adjusted or expired by hand");
    for (size_t i = 0; i < json_array_size(rows); i++)
        row_print(json_array_get(rows, i));
    return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

/* ---- options ------------------------------------------------------------------------------ */

/* "PutObject=-3" */
static bool operation_take(const ctl_option *option, const char *value)
{
    const char *equals = strchr(value, '=');
    int64_t amount = 0;
    const ctl_option number = {.name = option->name, .number = &amount, .min = INT64_MIN, .max = INT64_MAX};
    utapi_operation operation;
    if (equals == NULL ||
        !utapi_operation_find((utapi_string){value, (size_t)(equals - value)}, &operation)) {
        ctl_say("--%s: expected the name of an operation and a number, as PutObject=-3, not \"%s\"",
                option->name, value);
        return false;
    }
    if (!ctl_number_read(&number, equals + 1))
        return false;
    if (told.operations == NULL)
        told.operations = json_object();
    return json_object_set_new(told.operations, utapi_operation_name(operation), json_integer(amount)) == 0;
}

/* clang-format off */
#define AMOUNT(metric) CTL_NUMBER(told.amounts[metric], INT64_MIN, INT64_MAX)
#define COMMON_OPTIONS \
    {0, "data", "DIR",  "folder that utapid keeps its data in (lmdb.path)", CTL_TEXT(told.folder)}, \
    {0, "json", NULL,   "print the answer as JSON",                         CTL_FLAG(told.json)}
#define ACT_OPTIONS \
    {0, "at",      "TIME", "when it counts (now)",                          CTL_TEXT(told.at)}, \
    {0, "reason",  "TEXT", "why: the audit keeps it", CTL_TEXT(told.reason), .is_required = true}, \
    {0, "dry-run", NULL,   "show before and after, and do nothing",         CTL_FLAG(told.is_dry_run)}, \
    {0, "id",      "ID",   "repeat the act with this id: it is done once",  CTL_TEXT(told.id)}

static const ctl_option adjust_options[] = {
    {0, "storage",   "N",     "bytes to add to what is stored; -N takes away", AMOUNT(UTAPI_STORAGE_UTILIZED)},
    {0, "objects",   "N",     "objects to add",                                AMOUNT(UTAPI_NUMBER_OF_OBJECTS)},
    {0, "incoming",  "N",     "incoming bytes to add",                         AMOUNT(UTAPI_INCOMING_BYTES)},
    {0, "outgoing",  "N",     "outgoing bytes to add",                         AMOUNT(UTAPI_OUTGOING_BYTES)},
    {0, "operation", "NAME=N", "operations to add: PutObject=-3; may be repeated", CTL_TAKE(operation_take)},
    ACT_OPTIONS,
    COMMON_OPTIONS,
};
static const ctl_option expire_options[] = {ACT_OPTIONS, COMMON_OPTIONS};
static const ctl_option audit_options[] = {COMMON_OPTIONS};
/* clang-format on */

#define REACHES                                                                                                   \
    "It talks to the utapid that runs, through admin.sock in its folder; where none runs, and the folder holds\n" \
    "an LMDB storage without a journal, it opens that itself.\n"

const ctl_command adjust_command = {
    .name = "adjust",
    .summary = "Corrects figures of one resource",
    .arguments = "LEVEL NAME",
    .text =
        "From the interval of --at on, totals are higher by so much; flows change in that interval. One resource\n"
        "alone changes: a bucket's account, user and service have figures of their own. --at takes what utapictl\n"
        "list takes; a day means its first moment. Exit code 3: it is accepted, and after 10 s not yet done.\n" REACHES,
    .options = adjust_options,
    .option_count = sizeof adjust_options / sizeof *adjust_options,
    .run = run_adjust,
};

const ctl_command expire_command = {
    .name = "expire",
    .summary = "Takes away what one resource came to until a time",
    .arguments = "LEVEL NAME",
    .text =
        "Figures up to and including the interval of --at go; later ones keep what came after. Events with a time\n"
        "before it never count again for the resource. Exit code 3: it is accepted, and not done after 10 s.\n" REACHES,
    .options = expire_options,
    .option_count = sizeof expire_options / sizeof *expire_options,
    .run = run_expire,
};

const ctl_command audit_command = {
    .name = "audit",
    .summary = "Shows who adjusted and expired what, when, and why",
    .arguments = "[LEVEL NAME]",
    .text = "The newest comes first. States are those of the moment, flows those of the interval.\n" REACHES,
    .options = audit_options,
    .option_count = sizeof audit_options / sizeof *audit_options,
    .run = run_audit,
};
