/* SPDX-License-Identifier: Apache-2.0 */
/* redis_read_plan.c - where the flows of a range can be, and how each part is to be read.
 *
 * A question may reach from the epoch to the end of time, and a day costs 5,568 keys. So only these days are
 * looked at: from `since` (2016, until a reader found out more) until an hour from now, since no Node client counts
 * elsewhere, and those in `odd`, where scripts note what they write elsewhere. Of these, closed days are read
 * from summaries, 32 at once where they all lie in the range; what is open, interval by interval in the snapshot; and parts of closed days just before it. */
#include "redis_read.h"

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
    size_t odd;       /* the first of marks.odd that is still to come */
} day_walk;

static void walk_begin(const redis_reading *reading, day_walk *ret)
{
    const redis_marks *marks = &reading->marks;
    *ret = (day_walk){.reading = reading};
    ret->range.first = redis_most(reading->range.first, 0);
    if (marks->gone != REDIS_NEVER_GONE)
        ret->range.first = redis_most(ret->range.first, marks->gone);
    ret->range.last = redis_least(reading->range.last, UTAPI_INTERVAL_MAX);
    ret->band.first = redis_most(day_of(ret->range.first), marks->since);
    ret->band.last = redis_least(day_of(ret->range.last), day_of(reading->now_ms + REDIS_CLOSING_MS));
}

static bool walk_is_odd(const day_walk *walk, utapi_interval day)
{
    const redis_marks *marks = &walk->reading->marks;
    return walk->odd < marks->odd_count && marks->odd[walk->odd] == day;
}

static bool walk_is_in_band(const day_walk *walk, utapi_interval day)
{
    return day >= walk->band.first && day <= walk->band.last;
}

/* The first day from one on that may matter: the range's own ends, the band, the odd ones. NO_DAY: none. */
static utapi_interval walk_next(day_walk *walk, utapi_interval from)
{
    const redis_marks *marks = &walk->reading->marks;
    const utapi_interval first = day_of(walk->range.first), last = day_of(walk->range.last);
    const utapi_interval in_band = redis_most(from, walk->band.first);
    utapi_interval next = from <= first ? first : from <= last ? last : NO_DAY;
    if (in_band <= walk->band.last)
        next = redis_least(next, in_band);
    while (walk->odd < marks->odd_count && marks->odd[walk->odd] < redis_most(from, first))
        walk->odd++;
    return walk->odd < marks->odd_count && marks->odd[walk->odd] <= last
               ? redis_least(next, marks->odd[walk->odd])
               : next;
}

/* ---- planning ----------------------------------------------------------------------------- */

static utapi_status plan_add_span(redis_plan *plan, redis_span span, utapi_error *err)
{
    redis_span *grown = redis_grow(plan->spans, plan->span_count, &plan->span_room, sizeof *grown);
    if (grown == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "planning a question");
    plan->spans = grown;
    plan->spans[plan->span_count++] = span;
    return UTAPI_OK;
}

static utapi_status plan_add_day(redis_plan *plan, utapi_interval day, utapi_error *err)
{
    redis_day *grown = redis_grow(plan->days, plan->day_count, &plan->day_room, sizeof *grown);
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
    const bool odd = walk_is_odd(walk, day), expected = odd || walk_is_in_band(walk, day);
    const utapi_interval last_of_day = day + REDIS_DAY_MS - UTAPI_INTERVAL_MS;
    redis_span part = {redis_most(walk->range.first, day), redis_least(walk->range.last, last_of_day)};
    const bool whole = part.first == day && part.last == last_of_day;

    if (day + REDIS_DAY_MS + REDIS_CLOSING_MS > now_ms) { /* open */
        if (!odd)
            part.last = redis_least(part.last, utapi_interval_of(now_ms + REDIS_CLOSING_MS));
        return part.first <= part.last ? plan_add_span(plan, part, err) : UTAPI_OK;
    }
    if (whole && !raw_has(raw, day))
        return expected ? plan_add_day(plan, day, err) : UTAPI_OK;
    if (whole || raw->edges)
        return plan_add_span(plan, part, err);
    plan->edges[plan->edge_count++] = part;
    return UTAPI_OK;
}

static utapi_status plan_add_block(redis_plan *plan, size_t day, utapi_error *err)
{
    redis_block *grown = redis_grow(plan->blocks, plan->block_count, &plan->block_room, sizeof *grown);
    if (grown == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "planning a question");
    plan->blocks = grown;
    plan->blocks[plan->block_count++] = (redis_block){.first = plan->days[day].first, .day = day};
    for (size_t i = 0; i < REDIS_BLOCK_DAYS; i++)
        plan->days[day + i].is = REDIS_DAY_ROLLED;
    return UTAPI_OK;
}

/* Days ascend, so 32 of them that end where a block ends are all of it. */
static utapi_status plan_roll(redis_plan *plan, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    for (size_t i = 0; status == UTAPI_OK && i + REDIS_BLOCK_DAYS <= plan->day_count; i++) {
        const utapi_interval first = plan->days[i].first;
        if (first % REDIS_BLOCK_MS == 0 &&
            plan->days[i + REDIS_BLOCK_DAYS - 1].first == first + REDIS_BLOCK_MS - REDIS_DAY_MS)
            status = plan_add_block(plan, i, err);
    }
    return status;
}

utapi_status redis_plan_make(const redis_reading *reading, const redis_raw *raw, redis_plan *ret,
                             utapi_error *err)
{
    day_walk walk;
    walk_begin(reading, &walk);
    ret->day_count = ret->block_count = ret->span_count = ret->edge_count = 0;
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

redis_day *redis_plan_find(const redis_plan *plan, utapi_interval first)
{
    if (plan->day_count == 0)
        return NULL;
    return bsearch(&first, plan->days, plan->day_count, sizeof *plan->days, day_compare);
}

size_t redis_plan_missing(const redis_plan *plan)
{
    size_t missing = 0;
    for (size_t i = 0; i < plan->day_count; i++)
        missing += plan->days[i].is == REDIS_DAY_MISSING;
    return missing;
}

void redis_plan_done(redis_plan *plan)
{
    free(plan->days);
    free(plan->blocks);
    free(plan->spans);
    *plan = (redis_plan){0};
}
