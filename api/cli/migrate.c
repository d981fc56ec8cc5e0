/* SPDX-License-Identifier: Apache-2.0 */
/* migrate.c - `utapictl migrate`: makes one storage hold what another one holds, level by level, interval by interval.
 *
 * Both are read first, and only what the target lacks is written, so a run that was interrupted is simply repeated. At the
 * end both are read again, and asked the same questions. */
#include "backends/registry.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/migrate_copy.h"
#include "cli/migrate_list.h"
#include "cli/migrate_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEDUP_WINDOW_MS INT64_C(86400000)
#define TOLD_MOST       20

enum { OPTION_FROM = OPTION_FIRST, OPTION_TO, OPTION_OVERWRITE, OPTION_QUICK };

typedef struct migration {
    const char *from, *to;
    bool overwrite, quick;
    utapi_backend *source, *target;
    spill *both;
    size_t told;
    size_t unreadable; /* keys of the source, and members of them, that were left out */
    bool is_read;      /* once: what is left out was named */
} migration;

static bool take_option(void *ctx, int id, const char *value)
{
    migration *self = ctx;
    switch (id) {
    case OPTION_FROM:
        self->from = value;
        return true;
    case OPTION_TO:
        self->to = value;
        return true;
    case OPTION_OVERWRITE:
        self->overwrite = true;
        return true;
    default:
        self->quick = true;
        return true;
    }
}

/* A URI may hold a password: a variable keeps it off the command line, which other users of the machine can see. */
static const char *or_variable(const char *given, const char *name)
{
    const char *value = given == NULL ? getenv(name) : NULL;
    return value != NULL && *value != '\0' ? value : given;
}

/* ---- the two storages --------------------------------------------------------------------- */

/* "lmdb:/var/lib/utapi" names the kind, and where; "redis+unix://..." is all of it a place, of the kind that it begins
 * with. */
static const utapi_backend_ops *place_kind(const char *place, const char **ret_location)
{
    const utapi_backend_ops *const *all = utapi_registry_all();
    for (size_t i = 0; all[i] != NULL; i++) {
        const size_t size = strlen(all[i]->name);
        if (strncmp(place, all[i]->name, size) != 0 || place[size] == '\0' ||
            strchr(":+-", place[size]) == NULL)
            continue;
        const bool is_uri = strstr(place + size, "://") != NULL;
        *ret_location = is_uri ? place : place + size + 1;
        if (is_uri || place[size] == ':')
            return all[i];
    }
    return NULL;
}

static utapi_status place_open(const char *option, const char *place, bool must_be_there, utapi_backend **ret,
                               utapi_error *err)
{
    const char *location = NULL;
    const utapi_backend_ops *kind = place_kind(place, &location);
    if (kind == NULL || strcmp(kind->name, "memory") == 0) /* that would be gone at the end */
        return utapi_fail(err, UTAPI_INVALID, "%s: expected redis://HOST[:PORT][/DATABASE] or lmdb:DIRECTORY",
                          option);
    if (must_be_there && strstr(location, "://") == NULL && access(location, R_OK) != 0)
        return utapi_fail(err, UTAPI_INVALID, "%s: there is no %s", option, location);
    const utapi_backend_options options = {.location = location, .dedup_window_ms = DEDUP_WINDOW_MS};
    return utapi_registry_open(kind->name, &options, NULL, ret, err);
}

/* ---- the steps ---------------------------------------------------------------------------- */

static utapi_status side_read(migration *self, spill_side side, migrate_found *ret, utapi_error *err)
{
    progress shown;
    char count[FORMAT_BYTES];
    utapi_backend *storage = side == SPILL_SOURCE ? self->source : self->target;
    const char *name = side == SPILL_SOURCE ? "changes read in the source" : "changes read in the target";
    progress_begin(&shown, 0, name);
    const utapi_status status = migrate_read(storage, side, !self->is_read, self->both, &shown, ret, err);
    format_count((int64_t)ret->changes, count);
    if (status == UTAPI_OK)
        printf("%s %s\n", count, name);
    (void)fflush(stdout);
    return status;
}

static utapi_status both_read(migration *self, utapi_error *err)
{
    migrate_found in_source, in_target;
    spill_free(self->both);
    self->both = NULL;
    utapi_status status = spill_new(&self->both, err);
    if (status == UTAPI_OK)
        status = side_read(self, SPILL_SOURCE, &in_source, err);
    if (status == UTAPI_OK && in_source.changes == 0)
        status = utapi_fail(err, UTAPI_INVALID, "--from: nothing is stored there%s",
                            strstr(self->from, "://") != NULL
                                ? " (of a component that is not s3? Give ?prefix=COMPONENT)"
                                : "");
    if (status == UTAPI_OK)
        status = side_read(self, SPILL_TARGET, &in_target, err);
    if (status != UTAPI_OK)
        return status;
    self->unreadable = in_source.unreadable;
    self->is_read = true;
    return UTAPI_OK;
}

static void difference_tell(void *ctx, const spill_change *of, int64_t in_source, int64_t in_target)
{
    migration *self = ctx;
    if (self->told++ < TOLD_MOST)
        cli_say("%s \"%.*s\" in interval %lld: %s changed by %lld, by %lld in the target",
                utapi_level_name(of->level), (int)of->name.size, of->name.data, (long long)of->interval,
                utapi_metric_name(of->metric), (long long)in_source, (long long)in_target);
}

static void foreign_tell(void *ctx, const spill_change *of, int64_t in_source, int64_t in_target)
{
    if (in_source == 0)
        difference_tell(ctx, of, in_source, in_target);
}

/* What the target alone knows would be taken away from it: that is never done unasked. */
static utapi_status differences_write(migration *self, utapi_error *err)
{
    progress shown;
    migrate_difference found;
    char count[FORMAT_BYTES];
    utapi_status status =
        migrate_compare(self->both, self->overwrite ? NULL : foreign_tell, self, &found, err);
    if (status != UTAPI_OK)
        return status;
    if (found.foreign > 0 && !self->overwrite)
        return utapi_fail(
            err, UTAPI_INVALID,
            "--to: %zu changes are stored there that the source knows nothing of; take an empty "
            "storage, or --overwrite to lose them",
            found.foreign);
    progress_begin(&shown, found.differing, "changes written");
    status = migrate_copy(self->both, self->target, &shown, err);
    if (status == UTAPI_OK)
        status = migrate_fences(self->source, self->target, &shown, err);
    format_count((int64_t)found.differing, count);
    if (status == UTAPI_OK)
        printf("%s changes written\n", count);
    (void)fflush(stdout);
    return status;
}

static utapi_status both_compare(migration *self, utapi_error *err)
{
    progress shown;
    migrate_difference found;
    char count[FORMAT_BYTES];
    migrate_listing listing = {
        .source = self->source, .target = self->target, .shown = &shown, .is_quick = self->quick};
    utapi_status status = both_read(self, err);
    if (status == UTAPI_OK)
        status = migrate_compare(self->both, difference_tell, self, &found, err);
    if (status != UTAPI_OK)
        return status;
    progress_begin(&shown, found.resources, "resources listed");
    status = migrate_list(&listing, self->both, err);
    if (status == UTAPI_OK && found.differing == 0 && listing.differing > 0 && self->unreadable > 0)
        return utapi_fail(
            err, UTAPI_CORRUPT,
            "all that was copied is the same in both, but %zu keys or members were not copied, and %zu "
            "answers differ: see above. Mend or delete such keys, and run it again",
            self->unreadable, listing.differing);
    if (status == UTAPI_OK && (found.differing > 0 || listing.differing > 0))
        return utapi_fail(err, UTAPI_CORRUPT,
                          "they still differ in %zu changes and %zu answers: was one of them written to "
                          "meanwhile? Run it again",
                          found.differing, listing.differing);
    format_count((int64_t)(found.resources - listing.unanswered), count);
    if (status == UTAPI_OK)
        printf("%s resources are the same in both\n", count);
    if (status == UTAPI_OK && (self->unreadable > 0 || listing.unanswered > 0))
        return utapi_fail(
            err, UTAPI_CORRUPT,
            "%zu keys or members were not copied, and %zu resources could not be asked for: see "
            "above. All else is the same in both",
            self->unreadable, listing.unanswered);
    return status;
}

static utapi_status migrate(migration *self, utapi_error *err)
{
    utapi_status status = place_open("--from", self->from, true, &self->source, err);
    if (status == UTAPI_OK)
        status = place_open("--to", self->to, false, &self->target, err);
    if (status == UTAPI_OK)
        status = both_read(self, err);
    if (status == UTAPI_OK)
        status = differences_write(self, err);
    if (status == UTAPI_OK)
        status = both_compare(self, err);
    return status;
}

/* ---- the command -------------------------------------------------------------------------- */

static int run_migrate(int argc, char **argv)
{
    migration self = {.from = NULL};
    client_endpoint endpoint = client_endpoint_defaults;
    utapi_error err = {0};
    int rest;
    const int code = cli_parse(&migrate_command, argc, argv, &endpoint, take_option, &self, &rest);
    if (code != EXIT_NONE)
        return code;
    self.from = or_variable(self.from, "UTAPI_MIGRATE_FROM");
    self.to = or_variable(self.to, "UTAPI_MIGRATE_TO");
    if (rest < argc || self.from == NULL || self.to == NULL) {
        cli_say(rest < argc ? "migrate takes no argument" : "migrate needs --from and --to");
        return EXIT_USAGE;
    }
    const utapi_status status = migrate(&self, &err);
    if (status != UTAPI_OK)
        cli_say("%s", *err.detail != '\0' ? err.detail : utapi_status_text(status));
    spill_free(self.both);
    utapi_backend_close(self.target);
    utapi_backend_close(self.source);
    return status == UTAPI_OK && fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

static const cli_option options[] = {
    {OPTION_FROM, "from", "STORAGE", "where to read (UTAPI_MIGRATE_FROM)"},
    {OPTION_TO, "to", "STORAGE", "where to write (UTAPI_MIGRATE_TO)"},
    {OPTION_OVERWRITE, "overwrite", NULL, "take away what only the target holds"},
    {OPTION_QUICK, "quick", NULL, "check by single days, not by all of a resource's time too"},
    {OPTION_HELP, "help", NULL, "print this, and exit"},
};

const command migrate_command = {
    .name = "migrate",
    .summary = "Copies a whole storage into another one, and checks itself",
    .usage = "[--from STORAGE] [--to STORAGE] [OPTION]...",
    .text =
        "A STORAGE is redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE], redis+unix://PATH,\n"
        "redis-sentinel://HOST:PORT[,...]/NAME, or lmdb:DIRECTORY; behind a Redis's may stand ?prefix=COMPONENT, where that\n"
        "is not s3. Nobody may write to either meanwhile. A run that was interrupted is repeated: it goes on where the\n"
        "other one ended. Other users of the machine can see a\n"
        "command line: give a URI with a password as the variable UTAPI_MIGRATE_FROM or UTAPI_MIGRATE_TO instead.\n",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .run = run_migrate,
};
