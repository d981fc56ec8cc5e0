/* SPDX-License-Identifier: Apache-2.0 */
/* migrate.c - `utapictl migrate`: makes one storage hold what another one holds, level by level, interval by interval.
 *
 * Both are read first, and only what the target lacks is written, so a run that was interrupted is simply
 * repeated. At the end both are read again, and asked the same questions. */
#include "ctl/command.h"
#include "ctl/format.h"
#include "ctl/migrate_check.h"
#include "ctl/migrate_storage.h"
#include "utapi/scoped.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    REPORTED_MAX = 20,
    STEP_MAX = 2000 /* corrections that are gathered before they are written */
};

typedef struct migration {
    const char *from, *to;
    bool overwrite, quick;
    utapi_backend *source, *target;
    external_sort *both;
    size_t reported;
    size_t unreadable; /* keys of the source, and members of them, that were left out */
    bool is_read;      /* once: what is left out was named */
} migration;

static migration asked;

/* ---- reading ------------------------------------------------------------------------------ */

static utapi_status side_read(migration *self, sort_side side, migrate_found *ret, utapi_error *err)
{
    progress shown;
    utapi_backend *storage = side == SORT_SOURCE ? self->source : self->target;
    const char *name = side == SORT_SOURCE ? "changes read in the source" : "changes read in the target";
    progress_begin(&shown, 0, name);
    const utapi_status status = migrate_export(storage, side, !self->is_read, self->both, &shown, ret, err);
    if (status == UTAPI_OK)
        printf("%s %s\n", format_count((int64_t)ret->changes).text, name);
    (void)fflush(stdout);
    return status;
}

static utapi_status both_read(migration *self, utapi_error *err)
{
    migrate_found in_source, in_target;
    external_sort_free(self->both);
    self->both = NULL;
    utapi_status status = external_sort_new(&self->both, err);
    if (status == UTAPI_OK)
        status = side_read(self, SORT_SOURCE, &in_source, err);
    if (status != UTAPI_OK)
        return status;
    if (in_source.changes == 0)
        return utapi_fail(err, UTAPI_INVALID, "--from: nothing is stored there%s",
                          strstr(self->from, "://") != NULL
                              ? " (of a component that is not s3? Give ?prefix=COMPONENT)"
                              : "");
    self->unreadable = in_source.unreadable;
    status = side_read(self, SORT_TARGET, &in_target, err);
    self->is_read = true;
    return status;
}

/* ---- comparing ---------------------------------------------------------------------------- */

/* A metric of a resource in an interval, as it is on both sides. */
typedef struct pair {
    const sort_row *of;
    utapi_wide amounts[2]; /* by side; 0: nothing */
} pair;

/* Takes the next one of the sorted rows from *at to end; moves *at behind it. */
static bool pair_next(const sort_row **at, const sort_row *end, pair *ret)
{
    if (*at == end)
        return false;
    *ret = (pair){.of = *at};
    do {
        ret->amounts[(*at)->side] = (*at)->amount;
        (*at)++;
    } while (*at != end && (*at)->metric == ret->of->metric && (*at)->interval == ret->of->interval &&
             sort_same_resource(*at, ret->of));
    return true;
}

/* How the two storages differ. */
typedef struct difference {
    size_t differing; /* changes of the source that the target lacks, or has with another amount */
    size_t foreign;   /* changes of the target that the source knows nothing of */
    size_t resources; /* of either */
} difference;

static void difference_report(migration *self, const pair *found)
{
    const sort_row *of = found->of;
    char in_source[UTAPI_WIDE_TEXT_SIZE], in_target[UTAPI_WIDE_TEXT_SIZE];
    if (self->reported++ < REPORTED_MAX)
        ctl_say("%s \"%.*s\" in interval %lld: %s changed by %s, by %s in the target",
                utapi_level_name(of->level), (int)of->name.size, of->name.data, (long long)of->interval,
                utapi_metric_name(of->metric), utapi_wide_text(found->amounts[SORT_SOURCE], in_source),
                utapi_wide_text(found->amounts[SORT_TARGET], in_target));
}

/* Reports all differences at the end; before, of what would be removed unasked. */
static utapi_status sides_compare(migration *self, bool is_end, difference *ret, utapi_error *err)
{
    *ret = (difference){.differing = 0};
    for (size_t file = 0; file < SORT_FILES; file++) {
        const sort_row *at, *end, *resource = NULL;
        const utapi_status status = external_sort_load(self->both, file, &at, &end, err);
        if (status != UTAPI_OK)
            return status;
        for (pair found; pair_next(&at, end, &found);) {
            if (resource == NULL || !sort_same_resource(resource, found.of))
                ret->resources++;
            resource = found.of;
            if (found.amounts[SORT_SOURCE] == found.amounts[SORT_TARGET])
                continue;
            const bool is_foreign = found.amounts[SORT_SOURCE] == 0;
            ret->differing++;
            ret->foreign += is_foreign;
            if (is_end || (is_foreign && !self->overwrite))
                difference_report(self, &found);
        }
    }
    return UTAPI_OK;
}

/* ---- copying ------------------------------------------------------------------------------ */

/* Corrections that are gathered, for one file of the sort at a time: names are borrowed from there. */
typedef struct copy {
    utapi_backend *target; /* borrowed, as the next one */
    progress *shown;
    const sort_row *last; /* what the newest correction is of */
    size_t count, written;
    utapi_adjustment adjustments[STEP_MAX];
    utapi_amounts deltas[STEP_MAX];
} copy;

static utapi_status copy_flush(copy *self, utapi_error *err)
{
    const utapi_status status =
        self->count > 0 ? migrate_adjust(self->target, self->adjustments, self->count, self->shown, err)
                        : UTAPI_OK;
    self->count = 0;
    self->last = NULL;
    progress_show(self->shown, self->written, self->written);
    return status;
}

static utapi_status copy_add(copy *self, const pair *found, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    const sort_row *of = found->of;
    if (self->last == NULL || self->last->interval != of->interval || !sort_same_resource(self->last, of)) {
        if (self->count == STEP_MAX)
            status = copy_flush(self, err);
        utapi_amounts_clear(&self->deltas[self->count]);
        self->adjustments[self->count] = (utapi_adjustment){.level = of->level,
                                                            .name = of->name,
                                                            .interval = of->interval,
                                                            .delta = &self->deltas[self->count]};
        self->count++;
    }
    self->last = of;
    self->written++;
    utapi_amounts_set(&self->deltas[self->count - 1], of->metric,
                      found->amounts[SORT_SOURCE] - found->amounts[SORT_TARGET]);
    return status;
}

static utapi_status sides_copy(migration *self, progress *shown, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    UTAPI_AUTO_FREE copy *step = calloc(1, sizeof *step);
    if (step == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "%d corrections", STEP_MAX);
    step->target = self->target;
    step->shown = shown;
    for (size_t file = 0; file < SORT_FILES && status == UTAPI_OK; file++) {
        const sort_row *at = NULL, *end = NULL;
        status = external_sort_load(self->both, file, &at, &end, err);
        for (pair found; status == UTAPI_OK && pair_next(&at, end, &found);)
            if (found.amounts[SORT_SOURCE] != found.amounts[SORT_TARGET])
                status = copy_add(step, &found, err);
        if (status == UTAPI_OK)
            status = copy_flush(step, err);
    }
    progress_clear(shown);
    return status;
}

/* ---- the steps ---------------------------------------------------------------------------- */

/* What the target alone knows would be removed from it: that is never done unasked. */
static utapi_status differences_write(migration *self, utapi_error *err)
{
    progress shown;
    difference found;
    size_t acts = 0;
    utapi_status status = sides_compare(self, false, &found, err);
    if (status != UTAPI_OK)
        return status;
    if (found.foreign > 0 && !self->overwrite)
        return utapi_fail(
            err, UTAPI_INVALID,
            "--to: %zu changes are stored there that the source knows nothing of; take an empty "
            "storage, or --overwrite to lose them",
            found.foreign);
    progress_begin(&shown, found.differing, "changes written");
    status = sides_copy(self, &shown, err);
    if (status == UTAPI_OK)
        status = migrate_fences(self->source, self->target, &shown, err);
    if (status == UTAPI_OK)
        status = migrate_audit(self->source, self->target, &shown, &acts, err);
    if (status != UTAPI_OK)
        return status;
    printf("%s changes written\n", format_count((int64_t)found.differing).text);
    if (acts > 0)
        printf("%s rows of the audit taken along\n", format_count((int64_t)acts).text);
    (void)fflush(stdout);
    return UTAPI_OK;
}

static utapi_status both_compare(migration *self, utapi_error *err)
{
    progress shown;
    difference found;
    migrate_check check = {
        .source = self->source, .target = self->target, .shown = &shown, .is_quick = self->quick};
    utapi_status status = both_read(self, err);
    if (status == UTAPI_OK)
        status = sides_compare(self, true, &found, err);
    if (status != UTAPI_OK)
        return status;
    progress_begin(&shown, found.resources, "resources listed");
    status = migrate_check_usage(&check, self->both, err);
    if (status != UTAPI_OK)
        return status;
    if (found.differing == 0 && check.differing > 0 && self->unreadable > 0)
        return utapi_fail(
            err, UTAPI_CORRUPT,
            "all that was copied is the same in both, but %zu keys or members were not copied, and %zu "
            "answers differ: see above. Mend or delete such keys, and run it again",
            self->unreadable, check.differing);
    if (found.differing > 0 || check.differing > 0)
        return utapi_fail(err, UTAPI_CORRUPT,
                          "they still differ in %zu changes and %zu answers: was one of them written to "
                          "meanwhile? Run it again",
                          found.differing, check.differing);
    printf("%s resources are the same in both\n",
           format_count((int64_t)(found.resources - check.unanswered)).text);
    if (self->unreadable > 0 || check.unanswered > 0)
        return utapi_fail(
            err, UTAPI_CORRUPT,
            "%zu keys or members were not copied, and %zu resources could not be asked for: see "
            "above. All else is the same in both",
            self->unreadable, check.unanswered);
    return UTAPI_OK;
}

static utapi_status migrate(migration *self, utapi_error *err)
{
    utapi_status status = migrate_open("--from", self->from, true, &self->source, err);
    if (status == UTAPI_OK)
        status = migrate_open("--to", self->to, false, &self->target, err);
    if (status == UTAPI_OK)
        status = both_read(self, err);
    if (status == UTAPI_OK)
        status = differences_write(self, err);
    if (status == UTAPI_OK)
        status = both_compare(self, err);
    return status;
}

/* ---- the command -------------------------------------------------------------------------- */

/* A URI may hold a password: a variable keeps it off the command line, which other users of the machine can see. */
static const char *or_variable(const char *given, const char *name)
{
    const char *value = given == NULL ? getenv(name) : NULL;
    return value != NULL && *value != '\0' ? value : given;
}

static int run_migrate(int count, char **arguments)
{
    migration *self = &asked;
    utapi_error err = {0};
    (void)count;
    (void)arguments;
    self->from = or_variable(self->from, "UTAPI_MIGRATE_FROM");
    self->to = or_variable(self->to, "UTAPI_MIGRATE_TO");
    if (self->from == NULL || self->to == NULL) {
        ctl_say("migrate needs --from and --to");
        return EXIT_USAGE;
    }
    if (strcmp(self->from, self->to) == 0) {
        ctl_say("--from and --to are the same");
        return EXIT_USAGE;
    }
    const utapi_status status = migrate(self, &err);
    if (status != UTAPI_OK)
        ctl_say("%s", *err.detail != '\0' ? err.detail : utapi_status_text(status));
    external_sort_free(self->both);
    utapi_backend_close(self->target);
    utapi_backend_close(self->source);
    return status == UTAPI_OK && fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

/* clang-format off */
static const ctl_option options[] = {
    {0, "from",      "STORAGE", "where to read (UTAPI_MIGRATE_FROM)", CTL_TEXT(asked.from)},
    {0, "to",        "STORAGE", "where to write (UTAPI_MIGRATE_TO)", CTL_TEXT(asked.to)},
    {0, "overwrite", NULL,      "take away what only the target holds", CTL_FLAG(asked.overwrite)},
    {0, "quick",     NULL,      "check by single days, not by all of a resource's time too", CTL_FLAG(asked.quick)},
};
/* clang-format on */

const ctl_command migrate_command = {
    .name = "migrate",
    .summary = "Copies a whole storage into another one, and checks itself",
    .text =
        "A STORAGE is redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE], redis+unix://PATH,\n"
        "redis-sentinel://HOST:PORT[,...]/NAME, or lmdb:DIRECTORY; behind a Redis's may stand ?prefix=COMPONENT,\n"
        "where that is not s3. Nobody may write to either meanwhile. A run that was interrupted is repeated: it goes\n"
        "on where the other one ended. Other users of the machine can see a command line: give a URI with a password\n"
        "as the variable UTAPI_MIGRATE_FROM or UTAPI_MIGRATE_TO instead.\n",
    .options = options,
    .option_count = sizeof options / sizeof *options,
    .run = run_migrate,
};
