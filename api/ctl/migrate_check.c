/* SPDX-License-Identifier: Apache-2.0 */
/* migrate_check.c - asks both storages the same questions and compares the answers.
 *
 * A Redis that is asked for years walks through all of its keys first, for all names of a question, and keeps a
 * sum of each day of the range for each of them. So resources wait until there are many of a level, and those
 * that end at about the same time are asked for in one question: a range that ends long after a resource would
 * leave sums of nothing. */
#include "ctl/migrate_check.h"

#include "ctl/command.h"
#include "ctl/migrate_storage.h"
#include "utapi/scoped.h"
#include "utapi/usage.h"

#include <stdlib.h>
#include <string.h>

#define DAY_MS   INT64_C(86400000)
#define ALIKE_MS (32 * DAY_MS) /* resources of one question end no further apart */

enum { WAITING_MAX = 2000, REPORTED_MAX = 20 };

/* A resource that is to be asked for. */
typedef struct listed {
    utapi_interval first, middle, last; /* of its changes */
    bool is_unanswered;
    size_t name_size;
    char name[UTAPI_NAME_MAX];
} listed;

/* Those of a level that wait for more, and what is answered for them. */
typedef struct waiting {
    utapi_level level;
    size_t count;
    listed all[WAITING_MAX];
    utapi_string names[WAITING_MAX]; /* of all */
    utapi_usage source[WAITING_MAX], target[WAITING_MAX];
} waiting;

/* ---- comparing answers -------------------------------------------------------------------- */

static utapi_wide figure_of(const utapi_usage *usage, unsigned metric, size_t bound)
{
    if (metric == UTAPI_STORAGE_UTILIZED)
        return usage->storage_utilized[bound];
    if (metric == UTAPI_NUMBER_OF_OBJECTS)
        return usage->number_of_objects[bound];
    return utapi_amounts_get(&usage->flows, metric);
}

/* A Redis lists nothing from the first state on that a Node client left below zero, as Utapi does. What was
 * copied is that state, so both answers are cut there. */
static void states_blank(utapi_usage *usage)
{
    utapi_wide *const states[] = {&usage->storage_utilized[0], &usage->storage_utilized[1],
                                  &usage->number_of_objects[0], &usage->number_of_objects[1]};
    bool blank = false;
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        blank |= *states[i] < 0;
        if (blank)
            *states[i] = 0;
    }
}

/* Reports the first figure of a resource that differs. */
static void answers_compare(migrate_check *self, const utapi_query *query, utapi_string name,
                            utapi_usage *source, utapi_usage *target)
{
    states_blank(source);
    states_blank(target);
    for (unsigned metric = 0; metric < UTAPI_METRIC_COUNT; metric++)
        for (size_t bound = 0; bound < 2; bound++) {
            const utapi_wide left = figure_of(source, metric, bound),
                             right = figure_of(target, metric, bound);
            char in_source[UTAPI_WIDE_TEXT_SIZE], in_target[UTAPI_WIDE_TEXT_SIZE];
            if (left == right)
                continue;
            if (self->differing++ < REPORTED_MAX)
                ctl_say("%s \"%.*s\" from %lld to %lld: %s is %s, %s in the target",
                        utapi_level_name(query->level), (int)name.size, name.data, (long long)query->start,
                        (long long)(query->end + UTAPI_INTERVAL_MS - 1), utapi_metric_name(metric),
                        utapi_wide_text(left, in_source), utapi_wide_text(right, in_target));
            return;
        }
}

/* ---- questions ---------------------------------------------------------------------------- */

/* Asks for resources from one on. Where one of many cannot be answered for, it is looked for among halves, and
 * passed over. */
static utapi_status range_query(migrate_check *self, waiting *who, size_t from, size_t count,
                                utapi_interval start, utapi_interval end, utapi_error *err)
{
    const utapi_query query = {
        .level = who->level, .names = &who->names[from], .count = count, .start = start, .end = end};
    utapi_error why;
    utapi_error_clear(&why);
    utapi_status status = migrate_query(self->source, &query, self->shown, &who->source[from], &why);
    if (status == UTAPI_OK)
        status = migrate_query(self->target, &query, self->shown, &who->target[from], &why);
    for (size_t i = from; i < from + count && status == UTAPI_OK; i++)
        answers_compare(self, &query, who->names[i], &who->source[i], &who->target[i]);
    if (status != UTAPI_CORRUPT && status != UTAPI_OVERFLOW)
        return status == UTAPI_OK ? status : utapi_fail(err, status, "%s", why.detail);
    if (count > 1) {
        status = range_query(self, who, from, count / 2, start, end, err);
        return status == UTAPI_OK
                   ? range_query(self, who, from + count / 2, count - count / 2, start, end, err)
                   : status;
    }
    who->all[from].is_unanswered = true;
    progress_clear(self->shown);
    if (self->unanswered++ < REPORTED_MAX)
        ctl_say("not asked for: %s \"%.*s\": %s", utapi_level_name(who->level), (int)who->names[from].size,
                who->names[from].data, why.detail);
    return UTAPI_OK;
}

/* The first day, the last one, and one interval. */
static utapi_status parts_query(migrate_check *self, waiting *who, size_t at, utapi_error *err)
{
    const listed *of = &who->all[at];
    const utapi_interval first = of->first - of->first % DAY_MS, last = of->last - of->last % DAY_MS;
    const utapi_interval ranges[][2] = {{first, first + DAY_MS - UTAPI_INTERVAL_MS},
                                        {last, last + DAY_MS - UTAPI_INTERVAL_MS},
                                        {of->middle, of->middle}};
    utapi_status status = UTAPI_OK;
    for (size_t i = 0; i < 3 && status == UTAPI_OK && !of->is_unanswered; i++)
        if (i != 1 || last != first)
            status = range_query(self, who, at, 1, ranges[i][0], ranges[i][1], err);
    self->listed++;
    progress_show(self->shown, self->listed, self->listed);
    return status;
}

/* Asks for `count` resources from one on, which end at about the same time: for all of it first, since a storage
 * keeps what it sums up. */
static utapi_status alike_query(migrate_check *self, waiting *who, size_t from, size_t count,
                                utapi_error *err)
{
    utapi_interval start = who->all[from].first;
    for (size_t i = from; i < from + count; i++) {
        who->names[i] = (utapi_string){who->all[i].name, who->all[i].name_size};
        start = who->all[i].first < start ? who->all[i].first : start;
    }
    utapi_status status =
        self->is_quick ? UTAPI_OK
                       : range_query(self, who, from, count, start, who->all[from + count - 1].last, err);
    for (size_t i = from; i < from + count && status == UTAPI_OK; i++)
        status = parts_query(self, who, i, err);
    return status;
}

/* ---- many resources ----------------------------------------------------------------------- */

static int end_order(const void *left_listed, const void *right_listed)
{
    const listed *left = left_listed, *right = right_listed;
    return (left->last > right->last) - (left->last < right->last);
}

static utapi_status waiting_query(migrate_check *self, waiting *who, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    qsort(who->all, who->count, sizeof *who->all, end_order);
    for (size_t from = 0, end; from < who->count && status == UTAPI_OK; from = end) {
        for (end = from + 1; end < who->count && who->all[end].last - who->all[from].last <= ALIKE_MS;)
            end++;
        status = alike_query(self, who, from, end - from, err);
    }
    who->count = 0;
    return status;
}

/* A file of the sort: each of its resources goes to those that wait of its level. */
static utapi_status file_check(migrate_check *self, external_sort *both, size_t file, waiting *levels,
                               utapi_error *err)
{
    const sort_row *first = NULL, *end = NULL;
    utapi_status status = external_sort_load(both, file, &first, &end, err);
    for (const sort_row *after; status == UTAPI_OK && first != end; first = after) {
        waiting *who = &levels[first->level];
        who->level = first->level;
        for (after = first + 1; after != end && sort_same_resource(first, after);)
            after++;
        listed *one = &who->all[who->count++];
        *one = (listed){.first = first->interval,
                        .middle = first[(after - first) / 2].interval,
                        .last = after[-1].interval,
                        .name_size = first->name.size};
        memcpy(one->name, first->name.data, one->name_size);
        if (who->count == WAITING_MAX)
            status = waiting_query(self, who, err);
    }
    return status;
}

utapi_status migrate_check_usage(migrate_check *self, external_sort *both, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    UTAPI_AUTO_FREE waiting *levels = calloc(UTAPI_LEVEL_COUNT, sizeof *levels);
    if (levels == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "the names that are asked for");
    for (size_t file = 0; file < SORT_FILES && status == UTAPI_OK; file++)
        status = file_check(self, both, file, levels, err);
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT && status == UTAPI_OK; level++)
        status = waiting_query(self, &levels[level], err);
    progress_clear(self->shown);
    return status;
}
