/* SPDX-License-Identifier: Apache-2.0 */
/* redis_rollups.c - rollups of closed days: summing up those that have none, and storing the sums.
 *
 * Days are worked off in batches, so that Redis serves others in between. The keys of a day are those that a
 * scan of all keys found (redis_keyscan.c), or else all that it may have: eight MGETs, of which only a few are
 * in flight. After each batch what was found is stored: a repetition of a query that took too long gets further.
 * Empty days before anything else are not stored one by one: `since` is raised past them. */
#include "redis_query.h"

#include "utapi/scoped.h"
#include "utapi/snapshot.h"

UTAPI_AUTO_DEFINE(redisReply, freeReplyObject)

enum {
    BATCH_DAYS = 16,
    STEPS_A_DAY = (int)(REDIS_DAY_MS / UTAPI_INTERVAL_MS) / REDIS_STEP_INTERVALS,
    IN_FLIGHT = 3,           /* MGETs of all that a day may have, */
    CANDIDATES_FLIGHT = 16,  /* and of what a scan found */
    CANDIDATES_A_STEP = 512, /* keys of such a one */
    SOURCES = 2,             /* keys that a sum of a day is said to stand on */
};

/* How long to remember that a name that nobody reports has nothing. */
#define UNKNOWN_KEPT_MS "86400000"

/* Which flow of a day. */
typedef struct position {
    utapi_interval interval;
    utapi_metric metric;
} position;

/* A day being summed up. */
typedef struct sum {
    redis_day *day;
    const redis_candidate *candidates; /* flows that a scan found in it, and how many */
    size_t candidate_count;
    utapi_amounts sums;
    unsigned char row[UTAPI_SNAPSHOT_MAX];
    size_t row_size; /* 0: it is not to be stored */
    bool found;
    position first,
        last; /* that were found: what a Node client lets expire when a bucket goes are the earlier ones */
} sum;

typedef struct batch {
    const redis_candidates *found; /* what a scan found of the name; NULL: every key is read */
    size_t candidate;              /* the first of them that is still to come */
    sum sums[BATCH_DAYS];
    size_t count;
} batch;

/* ---- reading ------------------------------------------------------------------------------ */

/* A day is read in steps, each of one MGET. */
typedef struct batch_step {
    size_t sum, step;
} batch_step;

/* Passes over the days that have no further step; false at the end. */
static bool step_next(const batch *all, batch_step *at)
{
    while (at->sum < all->count) {
        const size_t candidates = all->sums[at->sum].candidate_count;
        if (at->step <
            (all->found != NULL ? (candidates + CANDIDATES_A_STEP - 1) / CANDIDATES_A_STEP : STEPS_A_DAY))
            return true;
        *at = (batch_step){.sum = at->sum + 1};
    }
    return false;
}

static size_t step_size(const batch *all, batch_step at)
{
    if (all->found == NULL)
        return REDIS_STEP_INTERVALS * REDIS_FLOW_COUNT;
    const size_t left = all->sums[at.sum].candidate_count - at.step * CANDIDATES_A_STEP;
    return left < CANDIDATES_A_STEP ? left : CANDIDATES_A_STEP;
}

static utapi_interval step_first(const batch *all, batch_step at)
{
    return all->sums[at.sum].day->first + (utapi_interval)at.step * REDIS_STEP_INTERVALS * UTAPI_INTERVAL_MS;
}

/* Which flow the i-th key of a step is. */
static position step_position(const batch *all, batch_step at, size_t i)
{
    if (all->found == NULL)
        return (position){step_first(all, at) + (utapi_interval)(i / REDIS_FLOW_COUNT) * UTAPI_INTERVAL_MS,
                          (utapi_metric)(UTAPI_INCOMING_BYTES + i % REDIS_FLOW_COUNT)};
    const redis_candidate *candidate = &all->sums[at.sum].candidates[at.step * CANDIDATES_A_STEP + i];
    return (position){redis_candidate_interval(candidate), (utapi_metric)candidate->metric};
}

static void flow_key_add(redis_reading *reading, position flow)
{
    redis_key key;
    utapi_redis_key_flow(&key, reading->prefix, reading->level, flow.interval, reading->name, flow.metric);
    utapi_redis_args_key(&reading->connection->args, &key);
}

static void step_queue(redis_reading *reading, const batch *all, batch_step at)
{
    if (all->found == NULL) {
        const utapi_interval first = step_first(all, at);
        utapi_redis_flows_queue(reading,
                                (redis_span){first, first + (REDIS_STEP_INTERVALS - 1) * UTAPI_INTERVAL_MS});
        return;
    }
    utapi_redis_args_add(&reading->connection->args, "MGET");
    for (size_t i = 0; i < step_size(all, at); i++)
        flow_key_add(reading, step_position(all, at, i));
    utapi_redis_query_queue(reading);
}

static utapi_status step_read(redis_reading *reading, batch *all, batch_step at, utapi_error *err)
{
    sum *of = &all->sums[at.sum];
    UTAPI_AUTO(redisReply) *reply = NULL;
    utapi_status status = utapi_redis_query_next(reading, &reply, err);
    if (status == UTAPI_OK && !redis_is_array(reply, step_size(all, at)))
        return utapi_redis_query_corrupt(reading, "flows", reply, err);
    for (size_t i = 0; status == UTAPI_OK && i < reply->elements; i++) {
        const position flow = step_position(all, at, i);
        bool found = false;
        status = utapi_redis_flow_add(reading, flow.metric, reply->element[i], &of->sums, &found, err);
        if (!found)
            continue;
        if (!of->found)
            of->first = flow;
        of->last = flow;
        of->found = true;
    }
    return status;
}

static utapi_status batch_read(redis_reading *reading, batch *all, utapi_error *err)
{
    const size_t max = all->found != NULL ? CANDIDATES_FLIGHT : IN_FLIGHT;
    batch_step queued = {0};
    size_t in_flight = 0;
    for (batch_step at = {0}; step_next(all, &at); at.step++, in_flight--) {
        for (; in_flight < max && step_next(all, &queued); queued.step++, in_flight++)
            step_queue(reading, all, queued);
        const utapi_status status = step_read(reading, all, at, err);
        if (status != UTAPI_OK)
            return status;
    }
    return UTAPI_OK;
}

/* ---- storing ------------------------------------------------------------------------------ */

/* The first day from `since` on that is not known to be empty. */
static utapi_interval plan_since(const redis_plan *plan, utapi_interval low_watermark)
{
    for (size_t i = 0; i < plan->day_count; i++) {
        const redis_day *day = &plan->days[i];
        if (day->first < low_watermark)
            continue;
        if (day->first > low_watermark || !day->empty)
            break;
        low_watermark += REDIS_DAY_MS;
    }
    return low_watermark;
}

/* Begins store_rollup.lua, with so many keys of values. Behind those come store_generation() and the values. */
static void store_begin(redis_reading *reading, size_t keys)
{
    static const char *const states[] = {"storageUtilized:counter", "numberOfObjects:counter",
                                         "storageUtilized", "numberOfObjects"};
    utapi_redis_args_script(&reading->connection->args, 6 + keys);
    utapi_redis_args_own(&reading->connection->args, reading->prefix, "late");
    utapi_redis_query_key(reading, REDIS_OWN "late");
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        utapi_redis_query_key(reading, states[i]);
}

static void rollup_key_add(redis_reading *reading, const char *kind, utapi_interval first)
{
    utapi_redis_args_rollup(&reading->connection->args, reading->prefix, reading->level, reading->name, kind,
                            first);
}

static void store_generation(redis_reading *reading, int64_t generation)
{
    utapi_redis_args_number(&reading->connection->args, generation);
    utapi_redis_args_add(&reading->connection->args, UNKNOWN_KEPT_MS);
}

/* What stands before a value. */
static void store_days(redis_reading *reading, utapi_interval first, utapi_interval beyond, size_t sources)
{
    utapi_redis_args_number(&reading->connection->args, first);
    utapi_redis_args_number(&reading->connection->args, beyond);
    utapi_redis_args_number(&reading->connection->args, (int64_t)sources);
}

/* Whether the last value was stored. */
static bool store_send(redis_reading *reading)
{
    UTAPI_AUTO(redisReply) *reply = NULL;
    return utapi_redis_connection_run(reading->connection, REDIS_SCRIPT_STORE_ROLLUP, &reply, NULL) ==
               UTAPI_OK &&
           reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
           reply->element[reply->elements - 1]->integer > 0;
}

/* Stores what a batch found, and that no day before one holds a flow. Nobody depends on its being stored: if a late
 * write came in between, or Redis accepts nothing, the next query does the work again. */
static void batch_store(redis_reading *reading, const redis_plan *plan, batch *all)
{
    const utapi_interval known = reading->info.low_watermark;
    const utapi_interval low_watermark =
        plan_since(plan, redis_max(all->found != NULL ? all->found->low_watermark : known, known));
    const bool raised = low_watermark > known;
    redis_args *args = &reading->connection->args;
    size_t keys = raised ? 1 : 0;
    for (size_t i = 0; i < all->count; i++) {
        sum *of = &all->sums[i];
        if (!of->found && of->day->first < low_watermark) /* `since` says so */
            of->row_size = 0;
        if (of->row_size > 0)
            keys += of->found ? 1 + SOURCES : 1;
    }
    if (keys == 0)
        return;

    store_begin(reading, keys);
    for (size_t i = 0; i < all->count; i++) {
        const sum *of = &all->sums[i];
        if (of->row_size == 0)
            continue;
        rollup_key_add(reading, REDIS_DAILY, of->day->first);
        if (of->found) {
            flow_key_add(reading, of->first);
            flow_key_add(reading, of->last);
        }
    }
    if (raised)
        utapi_redis_query_key(reading, REDIS_OWN "since");
    store_generation(reading, reading->info.generation);
    for (size_t i = 0; i < all->count; i++) {
        const sum *of = &all->sums[i];
        if (of->row_size == 0)
            continue;
        store_days(reading, of->day->first, of->day->first + REDIS_DAY_MS, of->found ? SOURCES : 0);
        utapi_redis_args_bytes(args, of->row, of->row_size);
    }
    if (raised) {
        store_days(reading, 0, low_watermark, 0);
        utapi_redis_args_number(args, low_watermark);
    }
    if (store_send(reading) && raised)
        reading->info.low_watermark = low_watermark;
}

/* ---- filling ------------------------------------------------------------------------------ */

/* The next days that are missing, from *next on, and the flows of each that a scan found. */
static void batch_begin(redis_plan *plan, size_t *next, batch *ret)
{
    const redis_candidates *found = ret->found;
    for (ret->count = 0; *next < plan->day_count && ret->count < BATCH_DAYS; ++*next) {
        if (plan->days[*next].is != REDIS_DAY_MISSING)
            continue;
        sum *of = &ret->sums[ret->count++];
        of->day = &plan->days[*next];
        of->sums.present = 0;
        of->found = false;
        of->candidate_count = 0;
        for (; found != NULL && ret->candidate < found->count; ret->candidate++) {
            const redis_candidate *flow = &found->flows[ret->candidate];
            if (redis_candidate_interval(flow) >= of->day->first + REDIS_DAY_MS)
                break;
            if (redis_candidate_interval(flow) < of->day->first)
                continue;
            if (of->candidate_count++ == 0)
                of->candidates = flow;
        }
    }
}

static void batch_end(redis_plan *plan, batch *all)
{
    for (size_t i = 0; i < all->count; i++) {
        sum *of = &all->sums[i];
        of->row_size = utapi_snapshot_encode(&of->sums, NULL, of->row);
        of->day->is = REDIS_DAY_SUMMED;
        of->day->empty = !of->found;
        utapi_amounts_add(&plan->summed, &of->sums);
    }
}

/* Sums up the missing days of a plan for reading->name. found: what a scan found of it; NULL: every key is read. */
static utapi_status days_sum(redis_reading *reading, redis_plan *plan, const redis_candidates *found,
                             utapi_error *err)
{
    UTAPI_AUTO_FREE batch *all = malloc(sizeof *all);
    if (all == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "summing up days");
    all->found = found;
    all->candidate = 0;
    size_t next = 0;
    for (batch_begin(plan, &next, all); all->count > 0; batch_begin(plan, &next, all)) {
        const utapi_status status = batch_read(reading, all, err);
        if (status != UTAPI_OK)
            return status;
        batch_end(plan, all);
        batch_store(reading, plan, all);
        if (next < plan->day_count && utapi_monotonic_ms() > reading->give_up_ms)
            return utapi_fail(err, UTAPI_UNAVAILABLE,
                              "the days of this range are being summed up for the first time; ask again");
    }
    return UTAPI_OK;
}

/* Sums up the days of the other names that a scan found, so that they are done when those are read. What fails is
 * reported then. */
static void others_sum(redis_reading *reading, const redis_keyscan *keyscan)
{
    const utapi_string answered = reading->name;
    const utapi_interval low_watermark = reading->info.low_watermark, last = keyscan->closed.last;
    const utapi_interval first = redis_max(keyscan->closed.first, REDIS_FIRST_DAY);
    redis_plan scratch = {.days = NULL};
    if (keyscan->count > 1 && first < last)
        scratch.days = calloc((size_t)((last - first) / REDIS_DAY_MS) + 1, sizeof *scratch.days);
    if (scratch.days == NULL)
        return;
    for (size_t i = 0; i < keyscan->count && utapi_monotonic_ms() < reading->give_up_ms; i++) {
        if (utapi_string_equal(keyscan->names[i], answered))
            continue;
        const redis_candidates found = utapi_redis_keyscan_candidates(keyscan, keyscan->names[i]);
        scratch.day_count = 0;
        for (utapi_interval day = first; day < last; day += REDIS_DAY_MS)
            scratch.days[scratch.day_count++] = (redis_day){.first = day, .is = REDIS_DAY_MISSING};
        reading->name = keyscan->names[i];
        reading->info.low_watermark = REDIS_FIRST_DAY;
        (void)!days_sum(reading, &scratch, &found, NULL);
    }
    utapi_redis_plan_done(&scratch);
    reading->name = answered;
    reading->info.low_watermark = low_watermark;
}

utapi_status utapi_redis_daily_fill(redis_reading *reading, redis_plan *plan, utapi_error *err)
{
    redis_keyscan keyscan;
    redis_candidates found;
    utapi_status status = utapi_redis_keyscan_make(reading, utapi_redis_plan_missing(plan), &keyscan, err);
    if (status == UTAPI_OK && keyscan.count > 0)
        found = utapi_redis_keyscan_candidates(&keyscan, reading->name);
    if (status == UTAPI_OK)
        status = days_sum(reading, plan, keyscan.count > 0 ? &found : NULL, err);
    if (status == UTAPI_OK)
        others_sum(reading, &keyscan);
    utapi_redis_keyscan_done(&keyscan);
    return status;
}

/* ---- months ------------------------------------------------------------------------------- */

static void days_add(redis_reading *reading, const redis_month *month)
{
    for (int i = 0; i < REDIS_MONTH_DAYS; i++)
        rollup_key_add(reading, REDIS_DAILY, month->first + i * REDIS_DAY_MS);
}

/* The generation of the newest late write, and what the days come to; false if one of them has no rollup. */
static bool month_sum(redis_reading *reading, const redis_month *month, int64_t *ret_late, utapi_amounts *ret)
{
    UTAPI_AUTO(redisReply) *reply = NULL;
    utapi_redis_args_add(&reading->connection->args, "MGET");
    utapi_redis_args_own(&reading->connection->args, reading->prefix, "late");
    days_add(reading, month);
    if (utapi_redis_connection_call(reading->connection, &reply, NULL) != UTAPI_OK ||
        !redis_is_array(reply, 1 + REDIS_MONTH_DAYS))
        return false;
    const redisReply *generation = reply->element[0];
    *ret_late = 0;
    utapi_amounts_clear(ret);
    if (generation->type != REDIS_REPLY_NIL &&
        (generation->type != REDIS_REPLY_STRING || !utapi_redis_integer(generation, ret_late)))
        return false;
    for (size_t i = 1; i < reply->elements; i++) {
        const redisReply *row = reply->element[i];
        utapi_amounts amounts;
        if (row->type != REDIS_REPLY_STRING ||
            utapi_snapshot_decode(row->str, row->len, &amounts, NULL, NULL) != UTAPI_OK)
            return false;
        utapi_amounts_add(ret, &amounts);
    }
    return true;
}

void utapi_redis_monthly_make(redis_reading *reading, const redis_plan *plan)
{
    int64_t generation;
    utapi_amounts amounts;
    unsigned char row[UTAPI_SNAPSHOT_MAX];
    for (size_t i = 0; i < plan->month_count; i++) {
        const redis_month *month = &plan->months[i];
        if (!month->missing || utapi_monotonic_ms() >= reading->give_up_ms ||
            !month_sum(reading, month, &generation, &amounts))
            continue;
        store_begin(reading, 1 + REDIS_MONTH_DAYS);
        rollup_key_add(reading, REDIS_MONTHLY, month->first);
        days_add(reading, month);
        store_generation(reading, generation);
        store_days(reading, month->first, month->first + REDIS_MONTH_MS, REDIS_MONTH_DAYS);
        utapi_redis_args_bytes(&reading->connection->args, row, utapi_snapshot_encode(&amounts, NULL, row));
        (void)store_send(reading);
    }
}
