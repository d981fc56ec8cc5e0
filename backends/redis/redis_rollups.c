/* SPDX-License-Identifier: Apache-2.0 */
/* redis_rollups.c - rollups of closed days: summing up those that have none, and offering the sums.
 *
 * Days are worked off in batches, so that Redis serves others in between. The keys of a day are those that a
 * walk through all keys met (redis_keyscan.c), or else all that it may have: eight MGETs, of which only a few are
 * in flight. After each batch what was found is offered: a repetition of a query that took too long gets
 * further. Empty days before anything else are not stored one by one: `since` is raised past them. */
#include "redis_query.h"

#include "utapi/scoped.h"
#include "utapi/snapshot.h"

UTAPI_AUTO_DEFINE(redisReply, freeReplyObject)

enum {
    BATCH_DAYS = 16,
    STEPS_A_DAY = (int)(REDIS_DAY_MS / UTAPI_INTERVAL_MS) / REDIS_STEP_INTERVALS,
    IN_FLIGHT = 3,
    SOURCES = 2,             /* keys that a sum of a day is said to stand on */
    CANDIDATES_A_STEP = 512, /* keys that one MGET reads of those that were met */
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
    const redis_candidate *candidates; /* flows that a walk met in it, and how many */
    size_t candidate_count;
    utapi_sums sums;
    unsigned char row[UTAPI_SNAPSHOT_MAX];
    size_t row_size; /* 0: the sums do not fit 64 bits */
    bool found;
    position first,
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
    of->last = (position){interval, metric};
    if (!of->found)
        of->first = of->last;
    of->found = true;
}

static utapi_status sum_add(redis_reading *reading, sum *of, size_t step, utapi_error *err)
{
    const redis_span span = sum_step(of, step);
    size_t at = SIZE_MAX;
    UTAPI_AUTO(redisReply) *reply = NULL;
    utapi_status status = utapi_redis_query_next(reading, &reply, err);
    if (status == UTAPI_OK)
        status = utapi_redis_flows_add(reading, span, reply, &of->sums, &at, err);
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
            status = utapi_redis_flows_queue(
                reading, sum_step(&all->sums[asked / STEPS_A_DAY], asked % STEPS_A_DAY), err);
        if (status == UTAPI_OK)
            status = sum_add(reading, &all->sums[got / STEPS_A_DAY], got % STEPS_A_DAY, err);
    }
    return status;
}

/* ---- flows that a walk met ---------------------------------------------------------------- */

/* The next of a batch: of which sum, and which of its flows. */
typedef struct candidate_at {
    size_t sum, flow;
} candidate_at;

static const redis_candidate *candidate_next(const batch *all, candidate_at *at)
{
    while (at->sum < all->count && at->flow == all->sums[at->sum].candidate_count)
        *at = (candidate_at){.sum = at->sum + 1};
    return at->sum < all->count ? &all->sums[at->sum].candidates[at->flow++] : NULL;
}

/* Queues one MGET; returns how many keys it has. */
static size_t candidates_queue(redis_reading *reading, const batch *all, candidate_at *at)
{
    redis_key key;
    const redis_candidate *candidate;
    size_t count = 0;
    utapi_redis_args_add(&reading->args, "MGET");
    while (count < CANDIDATES_A_STEP && (candidate = candidate_next(all, at)) != NULL) {
        utapi_redis_key_flow(&key, reading->prefix, reading->level, utapi_redis_candidate_interval(candidate),
                             reading->name, (utapi_metric)candidate->metric);
        utapi_redis_args_key(&reading->args, &key);
        count++;
    }
    return count;
}

static utapi_status candidates_add(redis_reading *reading, batch *all, candidate_at *at,
                                   const redisReply *reply, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    for (size_t i = 0; i < reply->elements && status == UTAPI_OK; i++) {
        const redis_candidate *candidate = candidate_next(all, at);
        sum *of = &all->sums[at->sum];
        bool found = false;
        status = utapi_redis_flow_add(reading, (utapi_metric)candidate->metric, reply->element[i], &of->sums,
                                      &found, err);
        if (found)
            sum_found(of, utapi_redis_candidate_interval(candidate), (utapi_metric)candidate->metric);
    }
    return status;
}

static utapi_status batch_read_candidates(redis_reading *reading, batch *all, utapi_error *err)
{
    candidate_at asked = {0}, got = {0};
    utapi_status status = UTAPI_OK;
    for (size_t count; status == UTAPI_OK && (count = candidates_queue(reading, all, &asked)) > 0;) {
        UTAPI_AUTO(redisReply) *reply = NULL;
        status = utapi_redis_connection_call(reading->connection, &reading->args, &reply, err);
        utapi_redis_args_clear(&reading->args);
        if (status == UTAPI_OK && (reply->type != REDIS_REPLY_ARRAY || reply->elements != count))
            status = utapi_redis_query_corrupt(reading, "flows", reply, err);
        if (status == UTAPI_OK)
            status = candidates_add(reading, all, &got, reply, err);
    }
    utapi_redis_args_clear(&reading->args);
    return status;
}

/* ---- offering ----------------------------------------------------------------------------- */

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

static void store_begin(redis_reading *reading, size_t keys)
{
    static const char *const owners[] = {"storageUtilized:counter", "numberOfObjects:counter",
                                         "storageUtilized", "numberOfObjects"};
    redis_key key;
    utapi_redis_args_script(&reading->args, 6 + keys);
    utapi_redis_key_own(&key, reading->prefix, "late");
    utapi_redis_args_key(&reading->args, &key);
    utapi_redis_key_resource(&key, reading->prefix, reading->level, reading->name, REDIS_OWN "late");
    utapi_redis_args_key(&reading->args, &key);
    for (size_t i = 0; i < sizeof owners / sizeof *owners; i++) {
        utapi_redis_key_resource(&key, reading->prefix, reading->level, reading->name, owners[i]);
        utapi_redis_args_key(&reading->args, &key);
    }
}

static void store_key(redis_reading *reading, const sum *of)
{
    redis_key key;
    utapi_redis_key_daily(&key, reading->prefix, reading->level, reading->name, of->day->first);
    utapi_redis_args_key(&reading->args, &key);
    const position sources[SOURCES] = {of->first, of->last};
    for (size_t i = 0; i < SOURCES && of->found; i++) {
        utapi_redis_key_flow(&key, reading->prefix, reading->level, sources[i].interval, reading->name,
                             sources[i].metric);
        utapi_redis_args_key(&reading->args, &key);
    }
}

static void store_value(redis_reading *reading, utapi_interval first, utapi_interval beyond, size_t sources)
{
    utapi_redis_args_number(&reading->args, first);
    utapi_redis_args_number(&reading->args, beyond);
    utapi_redis_args_number(&reading->args, (int64_t)sources);
}

static void store_generation(redis_reading *reading, int64_t generation)
{
    utapi_redis_args_number(&reading->args, generation);
    utapi_redis_args_add(&reading->args, UNKNOWN_KEPT_MS);
}

static bool store_send(redis_reading *reading)
{
    UTAPI_AUTO(redisReply) *reply = NULL;
    const utapi_status status = utapi_redis_connection_run(reading->connection, REDIS_SCRIPT_STORE_ROLLUP,
                                                           &reading->args, &reply, NULL);
    utapi_redis_args_clear(&reading->args);
    return status == UTAPI_OK && reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
           reply->element[reply->elements - 1]->integer > 0;
}

/* Which of a batch are to be stored: not those that `since` covers, nor those that do not fit 64 bits. */
static size_t store_pick(const batch *all, utapi_interval low_watermark, const sum **ret)
{
    size_t count = 0;
    for (size_t i = 0; i < all->count; i++) {
        const sum *of = &all->sums[i];
        if (of->row_size > 0 && (of->found || of->day->first >= low_watermark))
            ret[count++] = of;
    }
    return count;
}

/* Offers what a batch found, and that no day before one holds a flow. Nobody depends on its being stored: if a late
 * write came in between, or Redis takes nothing, the next query does the work again. */
static void batch_store(redis_reading *reading, const redis_plan *plan, utapi_interval at_least,
                        const batch *all)
{
    const sum *picked[BATCH_DAYS];
    redis_key key;
    const utapi_interval low_watermark =
        plan_since(plan, at_least > reading->info.low_watermark ? at_least : reading->info.low_watermark);
    const bool raised = low_watermark > reading->info.low_watermark;
    const size_t count = store_pick(all, low_watermark, picked);
    if (count == 0 && !raised)
        return;

    size_t sources = 0;
    for (size_t i = 0; i < count; i++)
        sources += picked[i]->found ? SOURCES : 0;
    store_begin(reading, sources + count + (raised ? 1 : 0));
    for (size_t i = 0; i < count; i++)
        store_key(reading, picked[i]);
    if (raised) {
        utapi_redis_key_resource(&key, reading->prefix, reading->level, reading->name, REDIS_OWN "since");
        utapi_redis_args_key(&reading->args, &key);
    }
    store_generation(reading, reading->info.generation);
    for (size_t i = 0; i < count; i++) {
        store_value(reading, picked[i]->day->first, picked[i]->day->first + REDIS_DAY_MS,
                    picked[i]->found ? SOURCES : 0);
        utapi_redis_args_bytes(&reading->args, picked[i]->row, picked[i]->row_size);
    }
    if (raised) {
        store_value(reading, 0, low_watermark, 0);
        utapi_redis_args_number(&reading->args, low_watermark);
    }

    if (store_send(reading) && raised)
        reading->info.low_watermark = low_watermark;
}

/* The flows of a day, of those that a walk met. */
static void sum_candidates(sum *ret, const redis_candidates *found, size_t *at)
{
    const utapi_interval first = ret->day->first;
    while (*at < found->count && utapi_redis_candidate_interval(&found->flows[*at]) < first)
        ++*at;
    ret->candidates = found->flows + *at;
    while (*at < found->count && utapi_redis_candidate_interval(&found->flows[*at]) < first + REDIS_DAY_MS)
        ++*at;
    ret->candidate_count = (size_t)(found->flows + *at - ret->candidates);
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
static utapi_status days_sum(redis_reading *reading, redis_plan *plan, const redis_candidates *found,
                             utapi_error *err)
{
    UTAPI_AUTO_FREE batch *all = malloc(sizeof *all);
    if (all == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "summing up days");
    size_t next = 0, candidate = 0;
    utapi_status status = UTAPI_OK;
    for (batch_begin(plan, &next, all); all->count > 0 && status == UTAPI_OK; batch_begin(plan, &next, all)) {
        for (size_t i = 0; i < all->count && found != NULL; i++)
            sum_candidates(&all->sums[i], found, &candidate);
        status = found != NULL ? batch_read_candidates(reading, all, err) : batch_read(reading, all, err);
        if (status != UTAPI_OK)
            return status;
        batch_end(plan, all);
        batch_store(reading, plan, found != NULL ? found->low_watermark : REDIS_FIRST_DAY, all);
        if (next < plan->day_count && utapi_monotonic_ms() > reading->give_up_ms)
            return utapi_fail(err, UTAPI_UNAVAILABLE,
                              "the days of this range are being summed up for the first time; ask again");
    }
    return status;
}

/* Sums up the days of another name that a walk met, so that its turn finds them done. What fails is told then. */
static void other_sum(redis_reading *reading, const redis_keyscan *keyscan, size_t i, redis_plan *scratch)
{
    const redis_candidates found = utapi_redis_keyscan_candidates(keyscan, keyscan->names[i]);
    for (size_t d = 0; d < scratch->day_count; d++)
        scratch->days[d] = (redis_day){.first = scratch->days[d].first, .is = REDIS_DAY_MISSING};
    reading->name = keyscan->names[i];
    reading->info.low_watermark = REDIS_FIRST_DAY;
    (void)!days_sum(reading, scratch, &found, NULL);
}

static void others_sum(redis_reading *reading, const redis_keyscan *keyscan)
{
    const utapi_string answered = reading->name;
    const utapi_interval low_watermark = reading->info.low_watermark, last = keyscan->closed.last;
    utapi_interval first = keyscan->closed.first > REDIS_FIRST_DAY ? keyscan->closed.first : REDIS_FIRST_DAY;
    redis_plan scratch = {.days = NULL};
    if (keyscan->count > 1 && first < last)
        scratch.days = calloc((size_t)((last - first) / REDIS_DAY_MS) + 1, sizeof *scratch.days);
    if (scratch.days == NULL)
        return;
    for (; first < last; first += REDIS_DAY_MS)
        scratch.days[scratch.day_count++].first = first;
    for (size_t i = 0; i < keyscan->count && utapi_monotonic_ms() < reading->give_up_ms; i++)
        if (!utapi_string_equal(keyscan->names[i], answered))
            other_sum(reading, keyscan, i, &scratch);
    utapi_redis_plan_done(&scratch);
    reading->name = answered;
    reading->info.low_watermark = low_watermark;
}

utapi_status utapi_redis_daily_fill(redis_reading *reading, redis_plan *plan, utapi_error *err)
{
    redis_keyscan keyscan;
    utapi_status status = utapi_redis_keyscan_make(reading, utapi_redis_plan_missing(plan), &keyscan, err);
    if (status == UTAPI_OK && keyscan.count == 0) {
        status = days_sum(reading, plan, NULL, err);
    } else if (status == UTAPI_OK) {
        const redis_candidates found = utapi_redis_keyscan_candidates(&keyscan, reading->name);
        status = days_sum(reading, plan, &found, err);
        if (status == UTAPI_OK)
            others_sum(reading, &keyscan);
    }
    utapi_redis_keyscan_done(&keyscan);
    return status;
}

/* ---- months ------------------------------------------------------------------------------- */

static void days_add(redis_reading *reading, const redis_month *month)
{
    redis_key key;
    for (int i = 0; i < REDIS_MONTH_DAYS; i++) {
        utapi_redis_key_daily(&key, reading->prefix, reading->level, reading->name,
                              month->first + i * REDIS_DAY_MS);
        utapi_redis_args_key(&reading->args, &key);
    }
}

/* The number of the newest late write, and what the days come to; false if one of them has no rollup. */
static bool month_sum(redis_reading *reading, const redis_month *month, int64_t *ret_late, utapi_amounts *ret)
{
    redis_key key;
    UTAPI_AUTO(redisReply) *reply = NULL;
    utapi_sums sums = {.present = 0};
    utapi_redis_args_add(&reading->args, "MGET");
    utapi_redis_key_own(&key, reading->prefix, "late");
    utapi_redis_args_key(&reading->args, &key);
    days_add(reading, month);
    const utapi_status status =
        utapi_redis_connection_call(reading->connection, &reading->args, &reply, NULL);
    utapi_redis_args_clear(&reading->args);
    if (status != UTAPI_OK || reply->type != REDIS_REPLY_ARRAY || reply->elements != 1 + REDIS_MONTH_DAYS)
        return false;
    const redisReply *generation = reply->element[0];
    *ret_late = 0;
    if (generation->type != REDIS_REPLY_NIL &&
        (generation->type != REDIS_REPLY_STRING || !utapi_redis_integer(generation, ret_late)))
        return false;
    for (size_t i = 1; i < reply->elements; i++) {
        const redisReply *row = reply->element[i];
        utapi_amounts amounts;
        if (row->type != REDIS_REPLY_STRING ||
            utapi_snapshot_decode(row->str, row->len, &amounts, NULL) != UTAPI_OK)
            return false;
        utapi_sums_add_amounts(&sums, &amounts);
    }
    utapi_amounts_clear(ret);
    return utapi_amounts_add(ret, &sums, NULL) == UTAPI_OK;
}

static void month_store(redis_reading *reading, const redis_month *month, int64_t generation,
                        const utapi_amounts *amounts)
{
    redis_key key;
    unsigned char row[UTAPI_SNAPSHOT_MAX];
    utapi_redis_key_monthly(&key, reading->prefix, reading->level, reading->name, month->first);
    store_begin(reading, 1 + REDIS_MONTH_DAYS);
    utapi_redis_args_key(&reading->args, &key);
    days_add(reading, month);
    store_generation(reading, generation);
    store_value(reading, month->first, month->first + REDIS_MONTH_MS, REDIS_MONTH_DAYS);
    utapi_redis_args_bytes(&reading->args, row, utapi_snapshot_encode(amounts, row));
    (void)store_send(reading);
}

void utapi_redis_monthly_make(redis_reading *reading, const redis_plan *plan)
{
    int64_t generation;
    utapi_amounts amounts;
    for (size_t i = 0; i < plan->month_count; i++)
        if (plan->months[i].missing && utapi_monotonic_ms() < reading->give_up_ms &&
            month_sum(reading, &plan->months[i], &generation, &amounts))
            month_store(reading, &plan->months[i], generation, &amounts);
}
