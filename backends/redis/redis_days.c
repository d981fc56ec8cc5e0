/* SPDX-License-Identifier: Apache-2.0 */
/* redis_days.c - summaries of closed days: summing up those that have none, and offering the sums.
 *
 * Days are worked off in batches, so that Redis serves others in between. The keys of a day are those that a walk through
 * all keys met (redis_survey.c), or else all that it may have: eight MGETs, of which only a few are in flight. After
 * each batch what was found is offered: a repetition of a question that took too long gets further. Empty days before
 * anything else are not stored one by one: `since` is raised past them. */
#include "redis_days.h"
#include "redis_survey.h"

#include "utapi/scoped.h"
#include "utapi/snapshot.h"

UTAPI_AUTO_DEFINE(redisReply, freeReplyObject)

enum {
    BATCH_DAYS = 16,
    STEPS_A_DAY = (int)(REDIS_DAY_MS / UTAPI_INTERVAL_MS) / REDIS_STEP_INTERVALS,
    IN_FLIGHT = 3,
    SOURCES = 2,      /* keys that a sum of a day is said to stand on */
    MET_A_STEP = 512, /* keys that one MGET reads of those that were met */
};

/* How long to remember that a name that nobody reports has nothing. */
#define UNKNOWN_KEPT_MS "86400000"

/* Which flow of a day. */
typedef struct place {
    utapi_interval interval;
    utapi_metric metric;
} place;

/* A day being summed up. */
typedef struct sum {
    redis_day *day;
    const redis_met *met; /* flows that a walk met in it, and how many */
    size_t met_count;
    utapi_sums sums;
    unsigned char row[UTAPI_SNAPSHOT_MAX];
    size_t row_size; /* 0: the sums do not fit 64 bits */
    bool found;
    place first,
        last; /* that were found: what a Node client lets expire when a bucket goes are the earlier ones */
} sum;

typedef struct batch {
    sum sums[BATCH_DAYS];
    size_t count;
} batch;

static redis_span sum_step(const sum *of, size_t step)
{
    const utapi_interval first =
        of->day->first + (utapi_interval)step * REDIS_STEP_INTERVALS * UTAPI_INTERVAL_MS;
    return (redis_span){first, first + (REDIS_STEP_INTERVALS - 1) * UTAPI_INTERVAL_MS};
}

static void sum_found(sum *of, utapi_interval interval, utapi_metric metric)
{
    of->last = (place){interval, metric};
    if (!of->found)
        of->first = of->last;
    of->found = true;
}

static utapi_status sum_add(redis_reading *reading, sum *of, size_t step, utapi_error *err)
{
    const redis_span span = sum_step(of, step);
    size_t at = SIZE_MAX;
    UTAPI_AUTO(redisReply) *reply = NULL;
    utapi_status status = redis_read_next(reading, &reply, err);
    if (status == UTAPI_OK)
        status = redis_flows_add(reading, span, reply, &of->sums, &at, err);
    if (status == UTAPI_OK && at != SIZE_MAX)
        sum_found(of, span.first + (utapi_interval)(at / REDIS_FLOW_COUNT) * UTAPI_INTERVAL_MS,
                  (utapi_metric)(UTAPI_INCOMING_BYTES + at % REDIS_FLOW_COUNT));
    return status;
}

static utapi_status batch_read(redis_reading *reading, batch *all, utapi_error *err)
{
    const size_t steps = all->count * STEPS_A_DAY;
    utapi_status status = UTAPI_OK;
    for (size_t asked = 0, got = 0; got < steps && status == UTAPI_OK; got++) {
        for (; asked < steps && asked < got + IN_FLIGHT && status == UTAPI_OK; asked++)
            status = redis_flows_queue(reading,
                                       sum_step(&all->sums[asked / STEPS_A_DAY], asked % STEPS_A_DAY), err);
        if (status == UTAPI_OK)
            status = sum_add(reading, &all->sums[got / STEPS_A_DAY], got % STEPS_A_DAY, err);
    }
    return status;
}

/* ---- flows that a walk met ---------------------------------------------------------------- */

/* The next of a batch: of which sum, and which of its flows. */
typedef struct met_at {
    size_t sum, flow;
} met_at;

static const redis_met *met_next(const batch *all, met_at *at)
{
    while (at->sum < all->count && at->flow == all->sums[at->sum].met_count)
        *at = (met_at){.sum = at->sum + 1};
    return at->sum < all->count ? &all->sums[at->sum].met[at->flow++] : NULL;
}

/* Queues one MGET; returns how many keys it has. */
static size_t met_ask(redis_reading *reading, const batch *all, met_at *at)
{
    redis_key key;
    const redis_met *met;
    size_t count = 0;
    redis_args_add(&reading->args, "MGET");
    while (count < MET_A_STEP && (met = met_next(all, at)) != NULL) {
        redis_key_flow(&key, reading->prefix, reading->level, redis_met_interval(met), reading->name,
                       (utapi_metric)met->metric);
        redis_args_key(&reading->args, &key);
        count++;
    }
    return count;
}

static utapi_status met_add(redis_reading *reading, batch *all, met_at *at, const redisReply *reply,
                            utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    for (size_t i = 0; i < reply->elements && status == UTAPI_OK; i++) {
        const redis_met *met = met_next(all, at);
        sum *of = &all->sums[at->sum];
        bool found = false;
        status =
            redis_flow_add(reading, (utapi_metric)met->metric, reply->element[i], &of->sums, &found, err);
        if (found)
            sum_found(of, redis_met_interval(met), (utapi_metric)met->metric);
    }
    return status;
}

static utapi_status batch_read_met(redis_reading *reading, batch *all, utapi_error *err)
{
    met_at asked = {0}, got = {0};
    utapi_status status = UTAPI_OK;
    for (size_t count; status == UTAPI_OK && (count = met_ask(reading, all, &asked)) > 0;) {
        UTAPI_AUTO(redisReply) *reply = NULL;
        status = redis_link_ask(reading->link, &reading->args, &reply, err);
        redis_args_clear(&reading->args);
        if (status == UTAPI_OK && (reply->type != REDIS_REPLY_ARRAY || reply->elements != count))
            status = redis_read_corrupt(reading, "flows", reply, err);
        if (status == UTAPI_OK)
            status = met_add(reading, all, &got, reply, err);
    }
    redis_args_clear(&reading->args);
    return status;
}

/* ---- offering ----------------------------------------------------------------------------- */

/* The first day from `since` on that is not known to be empty. */
static utapi_interval plan_since(const redis_plan *plan, utapi_interval since)
{
    for (size_t i = 0; i < plan->day_count; i++) {
        const redis_day *day = &plan->days[i];
        if (day->first < since)
            continue;
        if (day->first > since || !day->empty)
            break;
        since += REDIS_DAY_MS;
    }
    return since;
}

void redis_offer_begin(redis_reading *reading, size_t keys)
{
    static const char *const owners[] = {"storageUtilized:counter", "numberOfObjects:counter",
                                         "storageUtilized", "numberOfObjects"};
    redis_key key;
    redis_args_number(&reading->args, (int64_t)(6 + keys));
    redis_key_own(&key, reading->prefix, "late");
    redis_args_key(&reading->args, &key);
    redis_key_resource(&key, reading->prefix, reading->level, reading->name, REDIS_OWN "late");
    redis_args_key(&reading->args, &key);
    for (size_t i = 0; i < sizeof owners / sizeof *owners; i++) {
        redis_key_resource(&key, reading->prefix, reading->level, reading->name, owners[i]);
        redis_args_key(&reading->args, &key);
    }
}

static void offer_key(redis_reading *reading, const sum *of)
{
    redis_key key;
    redis_key_day(&key, reading->prefix, reading->level, reading->name, of->day->first);
    redis_args_key(&reading->args, &key);
    const place sources[SOURCES] = {of->first, of->last};
    for (size_t i = 0; i < SOURCES && of->found; i++) {
        redis_key_flow(&key, reading->prefix, reading->level, sources[i].interval, reading->name,
                       sources[i].metric);
        redis_args_key(&reading->args, &key);
    }
}

void redis_offer_value(redis_reading *reading, utapi_interval first, utapi_interval beyond, size_t sources)
{
    redis_args_number(&reading->args, first);
    redis_args_number(&reading->args, beyond);
    redis_args_number(&reading->args, (int64_t)sources);
}

void redis_offer_marks(redis_reading *reading, int64_t late)
{
    redis_args_number(&reading->args, late);
    redis_args_add(&reading->args, UNKNOWN_KEPT_MS);
}

bool redis_offer_send(redis_reading *reading)
{
    UTAPI_AUTO(redisReply) *reply = NULL;
    const utapi_status status =
        redis_link_run(reading->link, REDIS_SCRIPT_KEEP_DAY, &reading->args, &reply, NULL);
    redis_args_clear(&reading->args);
    return status == UTAPI_OK && reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
           reply->element[reply->elements - 1]->integer > 0;
}

/* Which of a batch are to be stored: not those that `since` covers, nor those that do not fit 64 bits. */
static size_t offer_pick(const batch *all, utapi_interval since, const sum **ret)
{
    size_t count = 0;
    for (size_t i = 0; i < all->count; i++) {
        const sum *of = &all->sums[i];
        if (of->row_size > 0 && (of->found || of->day->first >= since))
            ret[count++] = of;
    }
    return count;
}

/* Offers what a batch found, and that no day before one holds a flow. Nobody depends on its being stored: if a late
 * write came in between, or Redis takes nothing, the next question does the work again. */
static void batch_offer(redis_reading *reading, const redis_plan *plan, utapi_interval at_least,
                        const batch *all)
{
    const sum *picked[BATCH_DAYS];
    redis_key key;
    const utapi_interval since =
        plan_since(plan, at_least > reading->marks.since ? at_least : reading->marks.since);
    const bool raised = since > reading->marks.since;
    const size_t count = offer_pick(all, since, picked);
    if (count == 0 && !raised)
        return;

    size_t sources = 0;
    for (size_t i = 0; i < count; i++)
        sources += picked[i]->found ? SOURCES : 0;
    redis_offer_begin(reading, sources + count + (raised ? 1 : 0));
    for (size_t i = 0; i < count; i++)
        offer_key(reading, picked[i]);
    if (raised) {
        redis_key_resource(&key, reading->prefix, reading->level, reading->name, REDIS_OWN "since");
        redis_args_key(&reading->args, &key);
    }
    redis_offer_marks(reading, reading->marks.late);
    for (size_t i = 0; i < count; i++) {
        redis_offer_value(reading, picked[i]->day->first, picked[i]->day->first + REDIS_DAY_MS,
                          picked[i]->found ? SOURCES : 0);
        redis_args_bytes(&reading->args, picked[i]->row, picked[i]->row_size);
    }
    if (raised) {
        redis_offer_value(reading, 0, since, 0);
        redis_args_number(&reading->args, since);
    }

    if (redis_offer_send(reading) && raised)
        reading->marks.since = since;
}

/* The flows of a day, of those that a walk met. */
static void sum_meet(sum *ret, const redis_found *found, size_t *at)
{
    const utapi_interval first = ret->day->first;
    while (*at < found->count && redis_met_interval(&found->flows[*at]) < first)
        ++*at;
    ret->met = found->flows + *at;
    while (*at < found->count && redis_met_interval(&found->flows[*at]) < first + REDIS_DAY_MS)
        ++*at;
    ret->met_count = (size_t)(found->flows + *at - ret->met);
}

/* The next days that are missing, from *next on. */
static void batch_begin(redis_plan *plan, size_t *next, batch *ret)
{
    for (ret->count = 0; *next < plan->day_count && ret->count < BATCH_DAYS; ++*next)
        if (plan->days[*next].is == REDIS_DAY_MISSING) {
            sum *of = &ret->sums[ret->count++];
            of->day = &plan->days[*next];
            of->sums.present = 0;
            of->found = false;
        }
}

static void batch_end(redis_plan *plan, batch *all)
{
    for (size_t i = 0; i < all->count; i++) {
        sum *of = &all->sums[i];
        utapi_amounts amounts;
        utapi_amounts_clear(&amounts);
        const bool fits = utapi_amounts_add(&amounts, &of->sums, NULL) == UTAPI_OK;
        of->row_size = fits ? utapi_snapshot_encode(&amounts, of->row) : 0;
        of->day->is = REDIS_DAY_SUMMED;
        of->day->empty = !of->found;
        utapi_sums_merge(&plan->summed, &of->sums);
    }
}

/* ---- filling ------------------------------------------------------------------------------ */

/* Sums up the missing days of a plan for reading->name. found: what a walk met of it; NULL: every key is asked for. */
static utapi_status days_sum(redis_reading *reading, redis_plan *plan, const redis_found *found,
                             utapi_error *err)
{
    UTAPI_AUTO_FREE batch *all = malloc(sizeof *all);
    if (all == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "summing up days");
    size_t next = 0, met = 0;
    utapi_status status = UTAPI_OK;
    for (batch_begin(plan, &next, all); all->count > 0 && status == UTAPI_OK; batch_begin(plan, &next, all)) {
        for (size_t i = 0; i < all->count && found != NULL; i++)
            sum_meet(&all->sums[i], found, &met);
        status = found != NULL ? batch_read_met(reading, all, err) : batch_read(reading, all, err);
        if (status != UTAPI_OK)
            return status;
        batch_end(plan, all);
        batch_offer(reading, plan, found != NULL ? found->since : REDIS_FIRST_DAY, all);
        if (next < plan->day_count && redis_monotonic_ms() > reading->give_up_ms)
            return utapi_fail(err, UTAPI_UNAVAILABLE,
                              "the days of this range are being summed up for the first time; ask again");
    }
    return status;
}

/* Sums up the days of another name that a walk met, so that its turn finds them done. What fails is told then. */
static void other_sum(redis_reading *reading, const redis_survey *survey, size_t i, redis_plan *scratch)
{
    const redis_found found = redis_survey_found(survey, survey->names[i]);
    for (size_t d = 0; d < scratch->day_count; d++)
        scratch->days[d] = (redis_day){.first = scratch->days[d].first, .is = REDIS_DAY_MISSING};
    reading->name = survey->names[i];
    reading->marks.since = REDIS_FIRST_DAY;
    (void)!days_sum(reading, scratch, &found, NULL);
}

static void others_sum(redis_reading *reading, const redis_survey *survey)
{
    const utapi_string answered = reading->name;
    const utapi_interval since = reading->marks.since, last = survey->closed.last;
    utapi_interval first = survey->closed.first > REDIS_FIRST_DAY ? survey->closed.first : REDIS_FIRST_DAY;
    redis_plan scratch = {.days = NULL};
    if (survey->count > 1 && first < last)
        scratch.days = calloc((size_t)((last - first) / REDIS_DAY_MS) + 1, sizeof *scratch.days);
    if (scratch.days == NULL)
        return;
    for (; first < last; first += REDIS_DAY_MS)
        scratch.days[scratch.day_count++].first = first;
    for (size_t i = 0; i < survey->count && redis_monotonic_ms() < reading->give_up_ms; i++)
        if (!utapi_string_equal(survey->names[i], answered))
            other_sum(reading, survey, i, &scratch);
    redis_plan_done(&scratch);
    reading->name = answered;
    reading->marks.since = since;
}

utapi_status redis_days_fill(redis_reading *reading, redis_plan *plan, utapi_error *err)
{
    redis_survey survey;
    utapi_status status = redis_survey_make(reading, redis_plan_missing(plan), &survey, err);
    if (status == UTAPI_OK && survey.count == 0) {
        status = days_sum(reading, plan, NULL, err);
    } else if (status == UTAPI_OK) {
        const redis_found found = redis_survey_found(&survey, reading->name);
        status = days_sum(reading, plan, &found, err);
        if (status == UTAPI_OK)
            others_sum(reading, &survey);
    }
    redis_survey_done(&survey);
    return status;
}
