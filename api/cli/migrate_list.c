/* SPDX-License-Identifier: Apache-2.0 */
/* migrate_list.c - asks both storages the same questions, resource by resource, and compares the answers.
 *
 * A Redis that is asked for years walks through all of its keys first, for as many names as it is told of, and keeps a sum of
 * each day of the range for each of them. So resources wait until there are many of a level, and those that end at about
 * the same time are asked for over one range: a range that ends long after a resource would leave sums of nothing. */
#include "cli/migrate_list.h"

#include "cli/format.h"
#include "cli/migrate_wait.h"
#include "cli/options.h"
#include "utapi/scoped.h"
#include "utapi/usage.h"

#include <stdlib.h>
#include <string.h>

#define DAY_MS    INT64_C(86400000)
#define ALIKE_MS  (32 * DAY_MS) /* resources of one question end no further apart */
#define TOLD_MOST 20

enum { WAITING_MOST = 2000 };

/* A resource that is to be asked for. */
typedef struct listed {
    utapi_interval first, middle, last; /* of its changes */
    size_t name_size;
    char name[UTAPI_NAME_MAX];
} listed;

/* Those of a level that wait for more. */
typedef struct waiting {
    listed all[WAITING_MOST];
    utapi_string names[WAITING_MOST]; /* of all */
    size_t count;
} waiting;

/* A question, but for whom it is about. */
typedef struct question {
    utapi_level level;
    utapi_interval start, end;
    const utapi_string *alike; /* borrowed: who is asked the same; count 0: nobody else */
    size_t count;
} question;

/* ---- one question ------------------------------------------------------------------------- */

static utapi_string name_of(const listed *one)
{
    return (utapi_string){one->name, one->name_size};
}

/* A storage that works off something first says that it cannot answer yet. */
static utapi_status usage_ask(const migrate_listing *self, utapi_backend *storage, const utapi_query *query,
                              utapi_usage *ret, utapi_error *err)
{
    migrate_wait wait = {.until_ms = 0};
    utapi_error why;
    utapi_status status;
    do {
        utapi_error_clear(&why);
        status = utapi_backend_read(storage, query, ret, NULL, &why);
    } while (migrate_wait_more(&wait, storage, status, &why, self->shown));
    return status == UTAPI_OK ? status : utapi_fail(err, status, "%s", why.detail);
}

static int64_t figure_of(const utapi_usage *usage, unsigned metric, size_t bound)
{
    if (metric == UTAPI_STORAGE_UTILIZED)
        return usage->storage_utilized[bound];
    if (metric == UTAPI_NUMBER_OF_OBJECTS)
        return usage->number_of_objects[bound];
    return utapi_amounts_get(&usage->flows, metric);
}

/* A Redis lists nothing from the first state on that a Node client left below zero, as Utapi does. What was copied is that
 * state, so both answers are cut there. */
static void states_blank(utapi_usage *usage)
{
    int64_t *const states[] = {&usage->storage_utilized[0], &usage->storage_utilized[1],
                               &usage->number_of_objects[0], &usage->number_of_objects[1]};
    bool blank = false;
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        blank |= *states[i] < 0;
        if (blank)
            *states[i] = 0;
    }
}

/* Tells the first figure that differs. */
static void answers_compare(migrate_listing *self, const listed *of, const question *asked,
                            utapi_usage *source, utapi_usage *target)
{
    states_blank(source);
    states_blank(target);
    for (unsigned metric = 0; metric < UTAPI_METRIC_COUNT; metric++)
        for (size_t bound = 0; bound < 2; bound++) {
            const int64_t left = figure_of(source, metric, bound), right = figure_of(target, metric, bound);
            if (left == right)
                continue;
            if (self->differing++ < TOLD_MOST)
                cli_say("%s \"%.*s\" from %lld to %lld: %s is %lld, %lld in the target",
                        utapi_level_name(asked->level), (int)of->name_size, of->name, (long long)asked->start,
                        (long long)(asked->end + UTAPI_INTERVAL_MS - 1), utapi_metric_name(metric),
                        (long long)left, (long long)right);
            return;
        }
}

static utapi_status question_ask(migrate_listing *self, const listed *of, const question *asked,
                                 utapi_error *err)
{
    utapi_usage source, target;
    const utapi_string name = name_of(of);
    const utapi_query query = {.level = asked->level,
                               .names = &name,
                               .count = 1,
                               .start = asked->start,
                               .end = asked->end,
                               .all = asked->alike,
                               .all_count = asked->count};
    utapi_status status = usage_ask(self, self->source, &query, &source, err);
    if (status == UTAPI_OK)
        status = usage_ask(self, self->target, &query, &target, err);
    if (status == UTAPI_OK)
        answers_compare(self, of, asked, &source, &target);
    return status;
}

/* ---- one resource ------------------------------------------------------------------------- */

static utapi_interval day_of(utapi_interval interval)
{
    return interval - interval % DAY_MS;
}

static utapi_status day_ask(migrate_listing *self, const listed *of, utapi_level level,
                            utapi_interval interval, utapi_error *err)
{
    const utapi_interval first = day_of(interval);
    return question_ask(self, of, &(question){level, first, first + DAY_MS - UTAPI_INTERVAL_MS, NULL, 0},
                        err);
}

/* whole: the question about all of its time. It is asked first, for a storage keeps what it sums up. */
static utapi_status resource_ask(migrate_listing *self, const listed *of, const question *whole,
                                 utapi_error *err)
{
    utapi_status status = self->is_quick ? UTAPI_OK : question_ask(self, of, whole, err);
    if (status == UTAPI_OK)
        status = day_ask(self, of, whole->level, of->first, err);
    if (status == UTAPI_OK && day_of(of->last) != day_of(of->first))
        status = day_ask(self, of, whole->level, of->last, err);
    if (status == UTAPI_OK)
        status = question_ask(self, of, &(question){whole->level, of->middle, of->middle, NULL, 0}, err);
    return status;
}

static void resource_pass_over(migrate_listing *self, const listed *of, utapi_level level,
                               const utapi_error *why)
{
    progress_clear(self->shown);
    if (self->unanswered++ < TOLD_MOST)
        cli_say("not asked for: %s \"%.*s\": %s", utapi_level_name(level), (int)of->name_size, of->name,
                why->detail);
}

static utapi_status resource_list(migrate_listing *self, const listed *of, const question *whole,
                                  utapi_error *err)
{
    utapi_error why;
    utapi_error_clear(&why);
    const utapi_status status = resource_ask(self, of, whole, &why);
    ++self->listed;
    progress_show(self->shown, self->listed, self->listed);
    if (status != UTAPI_CORRUPT && status != UTAPI_OVERFLOW)
        return status == UTAPI_OK ? status : utapi_fail(err, status, "%s", why.detail);
    resource_pass_over(self, of, whole->level, &why);
    return UTAPI_OK;
}

/* ---- many resources ----------------------------------------------------------------------- */

static int end_order(const void *left_listed, const void *right_listed)
{
    const listed *left = left_listed, *right = right_listed;
    return (left->last > right->last) - (left->last < right->last);
}

/* Asks for `count` resources from one on, which end at about the same time. */
static utapi_status alike_list(migrate_listing *self, utapi_level level, waiting *who, size_t from,
                               size_t count, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    question whole = {.level = level,
                      .start = who->all[from].first,
                      .end = who->all[from + count - 1].last,
                      .alike = &who->names[from],
                      .count = count};
    for (size_t i = from; i < from + count; i++) {
        who->names[i] = name_of(&who->all[i]);
        if (who->all[i].first < whole.start)
            whole.start = who->all[i].first;
    }
    for (size_t i = from; i < from + count && status == UTAPI_OK; i++)
        status = resource_list(self, &who->all[i], &whole, err);
    return status;
}

static utapi_status waiting_list(migrate_listing *self, utapi_level level, waiting *who, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    qsort(who->all, who->count, sizeof *who->all, end_order);
    for (size_t from = 0, end; from < who->count && status == UTAPI_OK; from = end) {
        for (end = from + 1; end < who->count && who->all[end].last - who->all[from].last <= ALIKE_MS;)
            end++;
        status = alike_list(self, level, who, from, end - from, err);
    }
    who->count = 0;
    return status;
}

/* changes: of one resource. */
static void waiting_add(waiting *who, const spill_change *changes, size_t count)
{
    listed *one = &who->all[who->count++];
    one->first = changes[0].interval;
    one->middle = changes[count / 2].interval;
    one->last = changes[count - 1].interval;
    one->name_size = changes[0].name.size;
    memcpy(one->name, changes[0].name.data, changes[0].name.size);
}

static utapi_status file_list(migrate_listing *self, const spill_change *changes, size_t count,
                              waiting levels[static UTAPI_LEVEL_COUNT], utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    for (size_t first = 0, end; first < count && status == UTAPI_OK; first = end) {
        const utapi_level level = changes[first].level;
        for (end = first + 1; end < count && spill_same_resource(&changes[first], &changes[end]);)
            end++;
        waiting_add(&levels[level], &changes[first], end - first);
        if (levels[level].count == WAITING_MOST)
            status = waiting_list(self, level, &levels[level], err);
    }
    return status;
}

utapi_status migrate_list(migrate_listing *self, spill *both, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    UTAPI_AUTO_FREE waiting *levels = calloc(UTAPI_LEVEL_COUNT, sizeof *levels);
    if (levels == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "the names that are asked for");
    for (size_t file = 0; file < SPILL_FILES && status == UTAPI_OK; file++) {
        const spill_change *changes = NULL;
        size_t count = 0;
        status = spill_load(both, file, &changes, &count, err);
        if (status == UTAPI_OK)
            status = file_list(self, changes, count, levels, err);
    }
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT && status == UTAPI_OK; level++)
        status = waiting_list(self, (utapi_level)level, &levels[level], err);
    progress_clear(self->shown);
    return status;
}
