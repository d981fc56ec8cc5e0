/* SPDX-License-Identifier: Apache-2.0 */
/* check.c - utapictl check: whether a folder holds what it should. */
#include "backends/registry.h"
#include "ctl/command.h"
#include "ctl/format.h"
#include "ctl/progress.h"
#include "utapi/backend_admin.h"
#include "utapi/scoped.h"

#include <stdlib.h>

enum { SHOWN_MAX = 100 };

/* The command, and what it found so far. */
typedef struct check {
    progress shown;
    uint64_t read, findings;
} check;

static void on_finding(void *ctx, const char *what)
{
    check *self = ctx;
    if (self->findings++ >= SHOWN_MAX)
        return;
    UTAPI_AUTO_FREE char *clean = format_name(what);
    progress_clear(&self->shown);
    puts(clean != NULL ? clean : "out of memory");
}

static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
    check *self = ctx;
    self->read = done;
    self->shown.total = total;
    progress_show(&self->shown, done, done);
}

static int run_check(int count, char **arguments)
{
    check self = {.read = 0};
    utapi_error err = {0};
    const utapi_check to = {.on_finding = on_finding, .on_progress = on_progress, .ctx = &self};
    if (count != 1) {
        ctl_say("check needs a folder");
        return EXIT_USAGE;
    }
    progress_begin(&self.shown, 0, "rows read");
    const utapi_status status = utapi_backend_check(utapi_registry_find("lmdb"), arguments[0], &to, &err);
    progress_clear(&self.shown);
    if (status != UTAPI_OK) {
        ctl_say("%s", *err.detail != '\0' ? err.detail : utapi_status_text(status));
        return EXIT_FAILED;
    }
    if (self.findings > SHOWN_MAX)
        printf("... and %s more\n", format_count((int64_t)(self.findings - SHOWN_MAX)).text);
    printf("%s rows read, %s findings\n", format_count((int64_t)self.read).text,
           format_count((int64_t)self.findings).text);
    return fflush(stdout) == 0 && self.findings == 0 ? EXIT_DONE : EXIT_FAILED;
}

const ctl_command check_command = {
    .name = "check",
    .summary = "Reads all of a folder that no utapid has open, and tells what is not right in it",
    .arguments = "FOLDER",
    .text =
        "Writes nothing. What it finds is a line each: the table, the row, and what is wrong. The exit code is 1 if\n"
        "there is anything. A folder that a running utapid has open is refused: check a copy, or stop it.\n",
    .run = run_check,
};
