/* SPDX-License-Identifier: Apache-2.0 */
/* migrate_list.c - asks both storages the same questions, resource by resource, and compares the answers. */
#include "cli/migrate_list.h"

#include "cli/migrate_wait.h"
#include "cli/options.h"
#include "utapi/usage.h"

#define DAY_MS    INT64_C(86400000)
#define TOLD_MOST 20

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

static bool usage_equal(const utapi_usage *left, const utapi_usage *right)
{
    return left->storage_utilized[0] == right->storage_utilized[0] &&
           left->storage_utilized[1] == right->storage_utilized[1] &&
           left->number_of_objects[0] == right->number_of_objects[0] &&
           left->number_of_objects[1] == right->number_of_objects[1] &&
           utapi_amounts_equal(&left->flows, &right->flows);
}

static utapi_status range_list(migrate_listing *self, const spill_change *of, utapi_interval start,
                               utapi_interval end, utapi_error *err)
{
    utapi_usage source, target;
    const utapi_query query = {
        .level = of->level, .names = &of->name, .count = 1, .start = start, .end = end};
    utapi_status status = usage_ask(self, self->source, &query, &source, err);
    if (status == UTAPI_OK)
        status = usage_ask(self, self->target, &query, &target, err);
    if (status != UTAPI_OK || usage_equal(&source, &target))
        return status;
    if (self->differing++ < TOLD_MOST)
        cli_say(
            "%s \"%.*s\" from %lld to %lld: stored %lld, %lld in the target; objects %lld, %lld in the target",
            utapi_level_name(of->level), (int)of->name.size, of->name.data, (long long)start,
            (long long)(end + UTAPI_INTERVAL_MS - 1), (long long)source.storage_utilized[1],
            (long long)target.storage_utilized[1], (long long)source.number_of_objects[1],
            (long long)target.number_of_objects[1]);
    return UTAPI_OK;
}

static utapi_interval day_of(utapi_interval interval)
{
    return interval - interval % DAY_MS;
}

static utapi_status day_list(migrate_listing *self, const spill_change *of, utapi_interval interval,
                             utapi_error *err)
{
    const utapi_interval first = day_of(interval);
    return range_list(self, of, first, first + DAY_MS - UTAPI_INTERVAL_MS, err);
}

/* first and last: of one resource's changes, and count how many there are. */
static utapi_status resource_list(migrate_listing *self, const spill_change *first, size_t count,
                                  utapi_error *err)
{
    const spill_change *last = first + count - 1;
    const spill_change *middle = first + count / 2;
    utapi_status status = day_list(self, first, first->interval, err);
    if (status == UTAPI_OK && day_of(last->interval) != day_of(first->interval))
        status = day_list(self, first, last->interval, err);
    if (status == UTAPI_OK)
        status = range_list(self, first, middle->interval, middle->interval, err);
    if (status == UTAPI_OK && !self->is_quick)
        status = range_list(self, first, first->interval, last->interval, err);
    return status;
}

static void resource_pass_over(migrate_listing *self, const spill_change *of, const utapi_error *why)
{
    progress_clear(self->shown);
    if (self->unanswered++ < TOLD_MOST)
        cli_say("not asked for: %s \"%.*s\": %s", utapi_level_name(of->level), (int)of->name.size,
                of->name.data, why->detail);
}

static utapi_status resource_compare(migrate_listing *self, const spill_change *first, size_t count,
                                     utapi_error *err)
{
    utapi_error why;
    utapi_error_clear(&why);
    const utapi_status status = resource_list(self, first, count, &why);
    if (status != UTAPI_CORRUPT && status != UTAPI_OVERFLOW)
        return status == UTAPI_OK ? status : utapi_fail(err, status, "%s", why.detail);
    resource_pass_over(self, first, &why);
    return UTAPI_OK;
}

utapi_status migrate_list(migrate_listing *self, spill *both, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    size_t resources = 0;
    for (size_t file = 0; file < SPILL_FILES && status == UTAPI_OK; file++) {
        const spill_change *changes = NULL;
        size_t count = 0;
        status = spill_load(both, file, &changes, &count, err);
        for (size_t first = 0, end; first < count && status == UTAPI_OK; first = end) {
            for (end = first + 1; end < count && spill_same_resource(&changes[first], &changes[end]);)
                end++;
            status = resource_compare(self, &changes[first], end - first, err);
            ++resources;
            progress_show(self->shown, resources, resources);
        }
    }
    progress_clear(self->shown);
    return status;
}
