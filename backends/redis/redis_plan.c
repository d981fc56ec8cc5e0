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

/* ---- iterating over days ------------------------------------------------------------------ */

typedef struct day_iterator {
    const redis_reading *reading;
    redis_span range; /* no flow outside it counts */
    redis_span band;  /* days that anybody may have written into */
    size_t outliers;  /* the first of info.outliers that is still to come */
} day_iterator;

static void days_begin(const redis_reading *reading, day_iterator *ret)
{
    const redis_resource_info *info = &reading->info;
    *ret = (day_iterator){.reading = reading};
    ret->range.first = redis_max(reading->range.first, 0);
    if (info->expired != REDIS_NEVER_EXPIRED)
        ret->range.first = redis_max(ret->range.first, info->expired);
    ret->range.last = redis_min(reading->range.last, UTAPI_INTERVAL_MAX);
    ret->band.first = redis_max(redis_day_of(ret->range.first), info->low_watermark);
    ret->band.last =
        redis_min(redis_day_of(ret->range.last), redis_day_of(reading->now_ms + REDIS_CLOSING_MS));
}

static bool is_outlier(const day_iterator *days, utapi_interval day)
{
    const redis_resource_info *info = &days->reading->info;
    return days->outliers < info->outlier_count && info->outliers[days->outliers] == day;
}

/* The first day from one on that may matter: the range's own ends, the band, the outliers. NO_DAY: none. */
static utapi_interval days_next(day_iterator *days, utapi_interval from)
{
    const redis_resource_info *info = &days->reading->info;
    const utapi_interval first = redis_day_of(days->range.first), last = redis_day_of(days->range.last);
    const utapi_interval in_band = redis_max(from, days->band.first);
    utapi_interval next = from <= first ? first : from <= last ? last : NO_DAY;
    if (in_band <= days->band.last)
        next = redis_min(next, in_band);
    while (days->outliers < info->outlier_count && info->outliers[days->outliers] < redis_max(from, first))
        days->outliers++;
    return days->outliers < info->outlier_count && info->outliers[days->outliers] <= last
               ? redis_min(next, info->outliers[days->outliers])
               : next;
}

/* ---- planning ----------------------------------------------------------------------------- */

static bool span_add(redis_plan *plan, redis_span span)
{
    redis_span *added =
        utapi_redis_append(&plan->spans, &plan->span_count, &plan->span_capacity, sizeof span);
    if (added != NULL)
        *added = span;
    return added != NULL;
}

/* False without memory, as all of them. */
static bool day_add(redis_plan *plan, const day_iterator *days, const redis_raw *raw, utapi_interval day)
{
    const int64_t now_ms = days->reading->now_ms;
    const bool is_odd = is_outlier(days, day), is_in_band = day >= days->band.first && day <= days->band.last;
    const utapi_interval last_of_day = day + REDIS_DAY_MS - UTAPI_INTERVAL_MS;
    redis_span part = {redis_max(days->range.first, day), redis_min(days->range.last, last_of_day)};
    const bool is_whole = part.first == day && part.last == last_of_day;
    bool is_raw = false;
    for (size_t i = 0; i < raw->count; i++)
        is_raw |= raw->days[i] == day;

    if (day + REDIS_DAY_MS + REDIS_CLOSING_MS > now_ms) { /* open */
        if (!is_odd)
            part.last = redis_min(part.last, utapi_interval_of(now_ms + REDIS_CLOSING_MS));
        return part.first > part.last || span_add(plan, part);
    }
    if (is_whole ? is_raw : raw->edges)
        return span_add(plan, part);
    if (!is_whole) {
        plan->edges[plan->edge_count++] = part;
        return true;
    }
    if (!is_odd && !is_in_band)
        return true;
    redis_day *added = utapi_redis_append(&plan->days, &plan->day_count, &plan->day_capacity, sizeof *added);
    if (added != NULL)
        *added = (redis_day){.first = day, .is = REDIS_DAY_QUERIED};
    return added != NULL;
}

/* Days ascend, so 32 of them that end where a month ends are all of it. */
static bool months_add(redis_plan *plan)
{
    for (size_t i = 0; i + REDIS_MONTH_DAYS <= plan->day_count; i++) {
        const utapi_interval first = plan->days[i].first;
        if (first % REDIS_MONTH_MS != 0 ||
            plan->days[i + REDIS_MONTH_DAYS - 1].first != first + REDIS_MONTH_MS - REDIS_DAY_MS)
            continue;
        redis_month *added =
            utapi_redis_append(&plan->months, &plan->month_count, &plan->month_capacity, sizeof *added);
        if (added == NULL)
            return false;
        *added = (redis_month){.first = first, .day = i};
        for (size_t day = 0; day < REDIS_MONTH_DAYS; day++)
            plan->days[i + day].is = REDIS_DAY_ROLLED;
    }
    return true;
}

utapi_status utapi_redis_plan_make(const redis_reading *reading, const redis_raw *raw, redis_plan *ret,
                                   utapi_error *err)
{
    day_iterator days;
    bool has_memory = true;
    days_begin(reading, &days);
    ret->day_count = ret->month_count = ret->span_count = ret->edge_count = 0;
    ret->summed.present = 0;
    if (days.range.first > days.range.last)
        return UTAPI_OK;
    for (utapi_interval day = days_next(&days, 0); day != NO_DAY && has_memory;
         day = days_next(&days, day + REDIS_DAY_MS))
        has_memory = day_add(ret, &days, raw, day);
    if (!has_memory || !months_add(ret))
        return utapi_fail(err, UTAPI_NO_MEMORY, "planning a query");
    return UTAPI_OK;
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
