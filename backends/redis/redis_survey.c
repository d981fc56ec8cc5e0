/* SPDX-License-Identifier: Apache-2.0 */
/* redis_survey.c - which days hold flows of the names of a question, by one walk through the keys for all of them.
 *
 * Of a name that nobody asked for yet, every day would have to be looked for: 5,568 keys each, for a question of a year
 * and a hundred names 200 million. So where the database has fewer keys than that, they are walked through once. It
 * serves the name that is being answered, and those of the same question that have no `since`. Each gets one, and summaries
 * of its empty days after that: a name without any flow gets `since` alone. */
#include "redis_days.h"
#include "redis_sight.h"

#include "utapi/scoped.h"
#include "utapi/snapshot.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

UTAPI_AUTO_DEFINE(redisReply, freeReplyObject)

enum {
    KEYS_A_DAY = (int)(REDIS_DAY_MS / UTAPI_INTERVAL_MS) * REDIS_FLOW_COUNT,
    MOST_KEYS = 10000000, /* more would take longer than a question may */
    BITS = 64,
    DAYS_AN_OFFER = 128,
};

/* The days of a name that hold flows: bit 0 is REDIS_FIRST_DAY. */
typedef struct survey {
    redis_reading *reading;
    size_t head;         /* bytes of "P:L:" */
    utapi_string *names; /* owned; ascending, none twice */
    size_t count;
    utapi_interval open; /* the first day that is not closed: there are bits for those before it */
    size_t words;        /* of bits for each name */
    uint64_t *days;      /* owned */
} survey;

static void survey_done(survey *self)
{
    free(self->names);
    free(self->days);
}

/* ---- is it worth it? ---------------------------------------------------------------------- */

static utapi_status size_ask(redis_reading *reading, long long *ret, utapi_error *err)
{
    UTAPI_AUTO(redisReply) *reply = NULL;
    redis_args_add(&reading->args, "DBSIZE");
    const utapi_status status = redis_link_ask(reading->link, &reading->args, &reply, err);
    redis_args_clear(&reading->args);
    *ret = status == UTAPI_OK && reply->type == REDIS_REPLY_INTEGER ? reply->integer : LLONG_MAX;
    return status;
}

static size_t days_missing(const redis_plan *plan)
{
    size_t missing = 0;
    for (size_t i = 0; i < plan->day_count; i++)
        missing += plan->days[i].is == REDIS_DAY_MISSING;
    return missing;
}

static int name_order(const void *left, const void *right)
{
    return utapi_string_compare(*(const utapi_string *)left, *(const utapi_string *)right);
}

static uint64_t *days_of(const survey *self, utapi_string name)
{
    const utapi_string *found = bsearch(&name, self->names, self->count, sizeof name, name_order);
    return found != NULL ? self->days + (size_t)(found - self->names) * self->words : NULL;
}

/* The other names of the question that a key can have; they begin at names[1]. */
static utapi_status names_begin(survey *self, utapi_error *err)
{
    const redis_reading *reading = self->reading;
    self->names = calloc(reading->all_count + 1, sizeof *self->names);
    if (self->names == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "looking for days");
    self->names[self->count++] = reading->name;
    for (size_t i = 0; i < reading->all_count; i++) {
        const utapi_string name = reading->all[i];
        if (name.size > 0 && name.size <= UTAPI_NAME_MAX && !utapi_string_equal(name, reading->name))
            self->names[self->count++] = name;
    }
    return UTAPI_OK;
}

/* Keeps of the others those whose `since` is not known. */
static utapi_status names_ask(survey *self, utapi_error *err)
{
    redis_reading *reading = self->reading;
    UTAPI_AUTO(redisReply) *reply = NULL;
    redis_key key;
    if (self->count == 1)
        return UTAPI_OK;
    redis_args_add(&reading->args, "MGET");
    for (size_t i = 1; i < self->count; i++) {
        redis_key_resource(&key, reading->prefix, reading->level, self->names[i], REDIS_OWN "since");
        redis_args_key(&reading->args, &key);
    }
    const utapi_status status = redis_link_ask(reading->link, &reading->args, &reply, err);
    redis_args_clear(&reading->args);
    if (status != UTAPI_OK)
        return status;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != self->count - 1)
        return redis_read_corrupt(reading, REDIS_OWN "since", reply, err);
    size_t kept = 1;
    for (size_t i = 1; i < self->count; i++)
        if (reply->element[i - 1]->type == REDIS_REPLY_NIL)
            self->names[kept++] = self->names[i];
    self->count = kept;
    return UTAPI_OK;
}

static void names_sort(survey *self)
{
    size_t kept = 1;
    qsort(self->names, self->count, sizeof *self->names, name_order);
    for (size_t i = 1; i < self->count; i++)
        if (!utapi_string_equal(self->names[i], self->names[kept - 1]))
            self->names[kept++] = self->names[i];
    self->count = kept;
}

/* ---- the walk ----------------------------------------------------------------------------- */

static utapi_status survey_key(void *ctx, utapi_string key, bool *stop, utapi_error *err)
{
    const survey *self = ctx;
    (void)stop;
    (void)err;
    redis_sighting seen;
    if (key.size <= self->head ||
        !redis_sight((utapi_string){key.data + self->head, key.size - self->head}, &seen) ||
        seen.is != REDIS_SEES_FLOW || seen.interval < REDIS_FIRST_DAY || seen.interval >= self->open)
        return UTAPI_OK;
    uint64_t *days = days_of(self, seen.name);
    if (days != NULL) {
        const size_t day = (size_t)((seen.interval - REDIS_FIRST_DAY) / REDIS_DAY_MS);
        days[day / BITS] |= UINT64_C(1) << day % BITS;
    }
    return UTAPI_OK;
}

static utapi_status survey_walk(survey *self, utapi_error *err)
{
    redis_reading *reading = self->reading;
    redis_key key;
    redis_key_resource(&key, reading->prefix, reading->level, reading->name, "");
    self->head = key.size - reading->name.size - 1;
    self->open = reading->now_ms - REDIS_CLOSING_MS;
    self->open -= self->open % REDIS_DAY_MS;
    if (self->open < REDIS_FIRST_DAY) /* Redis's clock is far behind */
        self->open = REDIS_FIRST_DAY;
    self->words = (size_t)((self->open - REDIS_FIRST_DAY) / REDIS_DAY_MS) / BITS + 1;
    self->days = calloc(self->count, self->words * sizeof *self->days);
    UTAPI_AUTO_FREE char *pattern = malloc(2 * key.size + 8);
    if (self->days == NULL || pattern == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "looking for days");

    char *at = redis_glob_put(pattern, key.bytes, self->head);
    if (self->count > 1) {
        memcpy(at, "[0-9]*", 7);
    } else {
        memcpy(at, "*:", 2);
        at = redis_glob_put(at + 2, key.bytes + self->head, key.size - self->head);
        memcpy(at, "*", 2);
    }
    return redis_scan(reading->link, pattern, reading->give_up_ms, survey_key, self, err);
}

/* ---- noting ------------------------------------------------------------------------------- */

static bool day_is_empty(const survey *self, const uint64_t *days, utapi_interval first)
{
    const size_t day = (size_t)((first - REDIS_FIRST_DAY) / REDIS_DAY_MS);
    return first >= REDIS_FIRST_DAY && first < self->open && (days[day / BITS] >> day % BITS & 1) == 0;
}

static utapi_interval first_day(const survey *self, const uint64_t *days)
{
    utapi_interval first = REDIS_FIRST_DAY;
    while (first < self->open && day_is_empty(self, days, first))
        first += REDIS_DAY_MS;
    return first;
}

static void since_offer(redis_reading *reading, utapi_interval since)
{
    redis_key key;
    redis_offer_begin(reading, 1);
    redis_key_resource(&key, reading->prefix, reading->level, reading->name, REDIS_OWN "since");
    redis_args_key(&reading->args, &key);
    redis_offer_marks(reading, reading->marks.late);
    redis_offer_value(reading, 0, since, 0);
    redis_args_number(&reading->args, since);
    if (redis_offer_send(reading))
        reading->marks.since = since;
}

/* Offers summaries of days without flows. */
static void empty_offer(redis_reading *reading, const utapi_interval *days, size_t count)
{
    redis_key key;
    utapi_amounts nothing;
    unsigned char row[UTAPI_SNAPSHOT_MAX];
    utapi_amounts_clear(&nothing);
    const size_t size = utapi_snapshot_encode(&nothing, row);
    redis_offer_begin(reading, count);
    for (size_t i = 0; i < count; i++) {
        redis_key_day(&key, reading->prefix, reading->level, reading->name, days[i]);
        redis_args_key(&reading->args, &key);
    }
    redis_offer_marks(reading, reading->marks.late);
    for (size_t i = 0; i < count; i++) {
        redis_offer_value(reading, days[i], days[i] + REDIS_DAY_MS, 0);
        redis_args_bytes(&reading->args, row, size);
    }
    (void)redis_offer_send(reading);
}

/* Notes what was found of the name that is being answered. Its days are offered with those that are summed up. */
static void answered_note(const survey *self, const uint64_t *days, redis_plan *plan)
{
    for (size_t i = 0; i < plan->day_count; i++)
        plan->days[i].empty =
            plan->days[i].is == REDIS_DAY_MISSING && day_is_empty(self, days, plan->days[i].first);
    since_offer(self->reading, first_day(self, days));
}

/* Of another one: its empty days in the range of the question. */
static void other_note(const survey *self, const uint64_t *days, const redis_plan *plan)
{
    utapi_interval offered[DAYS_AN_OFFER];
    size_t count = 0;
    const utapi_interval since = first_day(self, days);
    since_offer(self->reading, since);
    for (size_t i = 0; i < plan->day_count; i++) {
        const utapi_interval day = plan->days[i].first;
        if (day < since || !day_is_empty(self, days, day))
            continue;
        offered[count++] = day;
        if (count == DAYS_AN_OFFER) {
            empty_offer(self->reading, offered, count);
            count = 0;
        }
    }
    if (count > 0)
        empty_offer(self->reading, offered, count);
}

/* What is noted of others is noted under their names; the marks are those of the name that is being answered. */
static void survey_note(const survey *self, redis_plan *plan)
{
    redis_reading *reading = self->reading;
    const utapi_string answered = reading->name;
    answered_note(self, days_of(self, answered), plan);
    const utapi_interval since = reading->marks.since;
    for (size_t i = 0; i < self->count && redis_monotonic_ms() < reading->give_up_ms; i++) {
        reading->name = self->names[i];
        if (!utapi_string_equal(reading->name, answered))
            other_note(self, self->days + i * self->words, plan);
    }
    reading->name = answered;
    reading->marks.since = since;
}

utapi_status redis_survey(redis_reading *reading, redis_plan *plan, utapi_error *err)
{
    long long keys;
    const size_t missing = days_missing(plan);
    utapi_status status = size_ask(reading, &keys, err);
    if (status != UTAPI_OK || keys > MOST_KEYS || (size_t)(keys / KEYS_A_DAY) >= missing * reading->all_count)
        return status;

    survey self = {.reading = reading};
    status = names_begin(&self, err);
    if (status == UTAPI_OK)
        status = names_ask(&self, err);
    if (status == UTAPI_OK && (size_t)(keys / KEYS_A_DAY) < missing * self.count) {
        names_sort(&self);
        status = survey_walk(&self, err);
        if (status == UTAPI_OK)
            survey_note(&self, plan);
    }
    survey_done(&self);
    return status;
}
