/* SPDX-License-Identifier: Apache-2.0 */
/* redis_plan.c - where the flows of a range can be, and how each part is to be read.
 *
 * A query may reach from the epoch to the end of time, and a day costs 5,568 keys. So only these days are
 * looked at: from `since` (2016, until a reader found out more) until an hour from now, since no Node client counts
 * elsewhere, and those in `odd`, where scripts note what they write elsewhere. Of these, closed days are read
 * from rollups, 32 at once where they all lie in the range; what is open, interval by interval in the
 * snapshot; and parts of closed days just before it. */
#include "redis_query.h"

#include <stdlib.h>

#define NO_DAY INT64_MAX

static utapi_interval day_of(int64_t time_ms)
{
    return time_ms - time_ms % REDIS_DAY_MS;
}

/* ---- walking through days ----------------------------------------------------------------- */

typedef struct day_walk {
    const redis_reading *reading;
    redis_span range; /* no flow outside it counts */
    redis_span band;  /* days that anybody may have written into */
    size_t outliers;  /* the first of info.outliers that is still to come */
} day_walk;

static void walk_begin(const redis_reading *reading, day_walk *ret)
{
    const redis_resource_info *info = &reading->info;
    *ret = (day_walk){.reading = reading};
    ret->range.first = redis_max(reading->range.first, 0);
    if (info->expired != REDIS_NEVER_EXPIRED)
        ret->range.first = redis_max(ret->range.first, info->expired);
    ret->range.last = redis_min(reading->range.last, UTAPI_INTERVAL_MAX);
    ret->band.first = redis_max(day_of(ret->range.first), info->low_watermark);
    ret->band.last = redis_min(day_of(ret->range.last), day_of(reading->now_ms + REDIS_CLOSING_MS));
}

static bool walk_is_outlier(const day_walk *walk, utapi_interval day)
{
    const redis_resource_info *info = &walk->reading->info;
    return walk->outliers < info->outlier_count && info->outliers[walk->outliers] == day;
}

static bool walk_is_in_band(const day_walk *walk, utapi_interval day)
{
    return day >= walk->band.first && day <= walk->band.last;
}

/* The first day from one on that may matter: the range's own ends, the band, the outliers. NO_DAY: none. */
static utapi_interval walk_next(day_walk *walk, utapi_interval from)
{
    const redis_resource_info *info = &walk->reading->info;
    const utapi_interval first = day_of(walk->range.first), last = day_of(walk->range.last);
    const utapi_interval in_band = redis_max(from, walk->band.first);
    utapi_interval next = from <= first ? first : from <= last ? last : NO_DAY;
    if (in_band <= walk->band.last)
        next = redis_min(next, in_band);
    while (walk->outliers < info->outlier_count && info->outliers[walk->outliers] < redis_max(from, first))
        walk->outliers++;
    return walk->outliers < info->outlier_count && info->outliers[walk->outliers] <= last
               ? redis_min(next, info->outliers[walk->outliers])
               : next;
}

/* ---- planning ----------------------------------------------------------------------------- */

static utapi_status plan_add_span(redis_plan *plan, redis_span span, utapi_error *err)
{
    redis_span *grown = utapi_redis_grow(plan->spans, plan->span_count, &plan->span_capacity, sizeof *grown);
    if (grown == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "planning a question");
    plan->spans = grown;
    plan->spans[plan->span_count++] = span;
    return UTAPI_OK;
}

static utapi_status plan_add_day(redis_plan *plan, utapi_interval day, utapi_error *err)
{
    redis_day *grown = utapi_redis_grow(plan->days, plan->day_count, &plan->day_capacity, sizeof *grown);
    if (grown == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "planning a question");
    plan->days = grown;
    plan->days[plan->day_count++] = (redis_day){.first = day, .is = REDIS_DAY_ASKED};
    return UTAPI_OK;
}

static bool raw_has(const redis_raw *raw, utapi_interval day)
{
    for (size_t i = 0; i < raw->count; i++)
        if (raw->days[i] == day)
            return true;
    return false;
}

static utapi_status plan_add(redis_plan *plan, const day_walk *walk, const redis_raw *raw, utapi_interval day,
                             utapi_error *err)
{
    const int64_t now_ms = walk->reading->now_ms;
    const bool outliers = walk_is_outlier(walk, day), expected = outliers || walk_is_in_band(walk, day);
    const utapi_interval last_of_day = day + REDIS_DAY_MS - UTAPI_INTERVAL_MS;
    redis_span part = {redis_max(walk->range.first, day), redis_min(walk->range.last, last_of_day)};
    const bool whole = part.first == day && part.last == last_of_day;

    if (day + REDIS_DAY_MS + REDIS_CLOSING_MS > now_ms) { /* open */
        if (!outliers)
            part.last = redis_min(part.last, utapi_interval_of(now_ms + REDIS_CLOSING_MS));
        return part.first <= part.last ? plan_add_span(plan, part, err) : UTAPI_OK;
    }
    if (whole && !raw_has(raw, day))
        return expected ? plan_add_day(plan, day, err) : UTAPI_OK;
    if (whole || raw->edges)
        return plan_add_span(plan, part, err);
    plan->edges[plan->edge_count++] = part;
    return UTAPI_OK;
}

static utapi_status plan_add_month(redis_plan *plan, size_t day, utapi_error *err)
{
    redis_month *grown =
        utapi_redis_grow(plan->months, plan->month_count, &plan->month_capacity, sizeof *grown);
    if (grown == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "planning a question");
    plan->months = grown;
    plan->months[plan->month_count++] = (redis_month){.first = plan->days[day].first, .day = day};
    for (size_t i = 0; i < REDIS_MONTH_DAYS; i++)
        plan->days[day + i].is = REDIS_DAY_ROLLED;
    return UTAPI_OK;
}

/* Days ascend, so 32 of them that end where a month ends are all of it. */
static utapi_status plan_roll(redis_plan *plan, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    for (size_t i = 0; status == UTAPI_OK && i + REDIS_MONTH_DAYS <= plan->day_count; i++) {
        const utapi_interval first = plan->days[i].first;
        if (first % REDIS_MONTH_MS == 0 &&
            plan->days[i + REDIS_MONTH_DAYS - 1].first == first + REDIS_MONTH_MS - REDIS_DAY_MS)
            status = plan_add_month(plan, i, err);
    }
    return status;
}

utapi_status utapi_redis_plan_make(const redis_reading *reading, const redis_raw *raw, redis_plan *ret,
                                   utapi_error *err)
{
    day_walk walk;
    walk_begin(reading, &walk);
    ret->day_count = ret->month_count = ret->span_count = ret->edge_count = 0;
    ret->summed.present = 0;
    if (walk.range.first > walk.range.last)
        return UTAPI_OK;
    utapi_status status = UTAPI_OK;
    for (utapi_interval day = walk_next(&walk, 0); day != NO_DAY && status == UTAPI_OK;
         day = walk_next(&walk, day + REDIS_DAY_MS))
        status = plan_add(ret, &walk, raw, day, err);
    return status == UTAPI_OK ? plan_roll(ret, err) : status;
}

static int day_compare(const void *key, const void *element)
{
    const utapi_interval day = *(const utapi_interval *)key, other = ((const redis_day *)element)->first;
    return day < other ? -1 : day > other;
}

redis_day *utapi_redis_plan_find(const redis_plan *plan, utapi_interval first)
{
    if (plan->day_count == 0)
        return NULL;
    return bsearch(&first, plan->days, plan->day_count, sizeof *plan->days, day_compare);
}

size_t utapi_redis_plan_missing(const redis_plan *plan)
{
    size_t missing = 0;
    for (size_t i = 0; i < plan->day_count; i++)
        missing += plan->days[i].is == REDIS_DAY_MISSING;
    return missing;
}

void utapi_redis_plan_done(redis_plan *plan)
{
    free(plan->days);
    free(plan->months);
    free(plan->spans);
    *plan = (redis_plan){0};
}
