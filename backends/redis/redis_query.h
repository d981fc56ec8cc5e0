/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis_query.h - what the files that read share.
 *
 * redis_read.c answers a query, name by name, and stands on the others: redis_plan.c says which days may hold flows,
 * redis_snapshot.c reads what must be seen at one moment, redis_state.c finds states and what is noted of a resource,
 * redis_rollups.c sums up closed days, redis_keyscan.c finds the keys that there are, and redis_query.c has the
 * commands. A redis_reading belongs to one thread.
 */
#ifndef REDIS_REDIS_QUERY_H
#define REDIS_REDIS_QUERY_H

#include "redis_internal.h"
#include "utapi/clock.h"
#include "utapi/usage.h"

/** Flows in an interval: all metrics but the states. */
enum { REDIS_FLOW_COUNT = UTAPI_METRIC_COUNT - UTAPI_INCOMING_BYTES };

/** Intervals whose flows one MGET reads: some 700 keys, a fraction of a millisecond. */
enum { REDIS_STEP_INTERVALS = 12 };

/** Intervals from the first to the last. */
typedef struct redis_span {
    utapi_interval first, last;
} redis_span;

/** What is noted of a resource (redis_keys.h). It is read to plan, and again in the snapshot: does the plan hold? */
typedef struct redis_resource_info {
    int64_t generation;           /* of the newest write into a closed day, of any resource */
    utapi_interval expired;       /* the interval of the expiry; REDIS_NEVER_EXPIRED */
    int64_t expired_ms;           /* its time; 0 */
    utapi_interval low_watermark; /* REDIS_FIRST_DAY where nothing else is noted */
    utapi_interval *outliers;     /* owned; ascending: those inside the range */
    size_t outlier_count, outlier_capacity;
} redis_resource_info;

#define REDIS_NEVER_EXPIRED INT64_MIN
#define REDIS_NEVER         INT64_MAX

/** A query about one resource, being answered. */
typedef struct redis_reading {
    pthread_mutex_t *scanning;    /* borrowed: redis_backend.scanning */
    redis_connection *connection; /* borrowed; the command being put together is in it */
    const char *prefix;           /* borrowed */
    utapi_level level;
    utapi_string name;       /* borrowed */
    const utapi_string *all; /* borrowed: the names of the query; those that no key can have are among them */
    size_t all_count;
    redis_span range;    /* as the query has it */
    bool current_only;   /* counters instead of the sorted sets' members */
    int64_t give_up_ms;  /* on the monotonic clock: no more rollups are made afterwards */
    size_t waiting;      /* replies that are still to be fetched */
    utapi_error failed;  /* why a command was not queued: the next reply that is fetched reports it */
    bool is_scripted;    /* Redis is out of memory: snapshots are read by a script */
    bool is_gathering;   /* what is queued goes into the script's arguments instead */
    redis_args gathered; /* those */
    int64_t now_ms;      /* Redis's clock, when the resource info was read */
    redis_resource_info info;
} redis_reading;

/* ..._queue() functions queue commands, and ..._parse() functions read their replies, which they check. */

/** Begins a command on a key of the resource, as utapi_redis_key_resource() names it. Returns the arguments. */
redis_args *utapi_redis_query_begin(redis_reading *reading, const char *command, const char *what);

/** Adds such a key to a command. */
void utapi_redis_query_key(redis_reading *reading, const char *what);

/** Queues the command, or gathers it. A failure is remembered: who queues need not look at each. */
void utapi_redis_query_queue(redis_reading *reading);

/** The next reply. *ret is owned: freeReplyObject(). */
UTAPI_MUST_USE utapi_status utapi_redis_query_next(redis_reading *reading, redisReply **ret,
                                                   utapi_error *err);

/** Replies to several commands, in their order. */
typedef struct redis_replies {
    redisReply **at, **end; /* borrowed: those that are left */
} redis_replies;

/** Where none is left: one of a type that Redis does not have, which nobody can parse. */
const redisReply *utapi_redis_reply_next(redis_replies *left);

/** After a failure: fetches what was queued, since the connection's next user must not get it. */
void utapi_redis_query_drain(redis_reading *reading);

/**
 * The status of what only reads: nothing was to be stored, so UTAPI_UNCERTAIN becomes UTAPI_UNAVAILABLE, in *err
 * too.
 */
utapi_status utapi_redis_only_read(utapi_status status, utapi_error *err);

/** What V1 reads in a text: an integer in front, else 0. False if it does not fit 64 bits. */
bool utapi_redis_integer(const redisReply *value, int64_t *ret);

/** Redis's clock, by TIME; and what TIME answered. UTAPI_CORRUPT if that is no time. */
UTAPI_MUST_USE utapi_status utapi_redis_time(redis_connection *connection, int64_t *ret_ms, utapi_error *err);
UTAPI_MUST_USE utapi_status utapi_redis_time_parse(const redisReply *reply, int64_t *ret_ms,
                                                   utapi_error *err);

/** One of our own numbers: a text that holds nothing else. A NUL stands where it ends. */
bool utapi_redis_integer_alone(utapi_string text, int64_t *ret);

/** Whether a flow is of a time that its resource's tombstone (+utapid:gone) covers. */
bool utapi_redis_is_expired(const redisReply *tombstone, utapi_interval interval);

static inline int64_t redis_min(int64_t left, int64_t right)
{
    return left < right ? left : right;
}

static inline int64_t redis_max(int64_t left, int64_t right)
{
    return left > right ? left : right;
}

/** The first interval of a time's day. */
static inline utapi_interval redis_day_of(int64_t time_ms)
{
    return time_ms - time_ms % REDIS_DAY_MS;
}

/** Appends an element to an array (array: its address); NULL without memory: it is then as it was. */
void *utapi_redis_append(void *array, size_t *count, size_t *capacity, size_t element_size);

/** UTAPI_CORRUPT, naming the resource's key, with Redis's own words where it gave some. */
utapi_status utapi_redis_query_corrupt(const redis_reading *reading, const char *what,
                                       const redisReply *reply, utapi_error *err);

/* ---- redis_query.c: scanning the keys -------------------------------------------------------- */

/** Called for each key. Borrowed for the call. It may use the connection. */
typedef utapi_status redis_scan_fn(void *ctx, utapi_string key, bool *stop, utapi_error *err);

/**
 * Scans all keys that match; a key may come twice. Nothing may wait in the connection's pipeline.
 *
 * @param give_up_ms  on the monotonic clock: UTAPI_UNAVAILABLE afterwards. REDIS_NEVER: however long it takes
 */
UTAPI_MUST_USE utapi_status utapi_redis_scan(redis_connection *connection, const char *pattern,
                                             int64_t give_up_ms, redis_scan_fn *on_key, void *ctx,
                                             utapi_error *err);

/**
 * The same of all keys P:<word>:*, however long it takes.
 *
 * @param ret_head  how many bytes of each key that is
 */
UTAPI_MUST_USE utapi_status utapi_redis_scan_word(redis_connection *connection, const char *prefix,
                                                  const char *word, size_t *ret_head, redis_scan_fn *on_key,
                                                  void *ctx, utapi_error *err);

/** Called for each key of V1's, and with what it is of. Borrowed for the call. It may use the connection. */
typedef utapi_status redis_scan_level_fn(void *ctx, utapi_string key, const redis_parsed_key *parsed,
                                         bool *stop, utapi_error *err);

/** The same of all keys of a level that V1 knows. */
UTAPI_MUST_USE utapi_status utapi_redis_scan_level(redis_connection *connection, const char *prefix,
                                                   utapi_level level, redis_scan_level_fn *on_key, void *ctx,
                                                   utapi_error *err);

/** Puts text into a pattern so that it means itself: at most two bytes for each. Returns where it ends. */
char *utapi_redis_glob_put(char *at, const char *bytes, size_t size);

/* ---- redis_plan.c ---------------------------------------------------------------------------- */

/** A closed day that lies wholly in the range. */
typedef struct redis_day {
    utapi_interval first;
    enum {
        REDIS_DAY_QUERIED, /* the snapshot reads its rollup */
        REDIS_DAY_ROLLED,  /* it is part of a month that the snapshot reads */
        REDIS_DAY_MISSING, /* it has none */
        REDIS_DAY_SUMMED   /* it had none, and is part of plan->summed */
    } is;
    bool empty; /* it is known to hold nothing */
} redis_day;

/** 32 closed days that have one rollup together. */
typedef struct redis_month {
    utapi_interval first;
    size_t day;   /* the first of them in a plan */
    bool missing; /* it has none: its days are read */
} redis_month;

/** How a range's flows are to be found. */
typedef struct redis_plan {
    redis_day *days; /* owned; ascending */
    size_t day_count, day_capacity;
    redis_month *months; /* owned; ascending */
    size_t month_count, month_capacity;
    redis_span *spans; /* owned: to be read in the snapshot */
    size_t span_count, span_capacity;
    redis_span edges[2]; /* parts of closed days: may be read before, for only late writes change them */
    size_t edge_count;
    utapi_amounts summed; /* of the days that were summed up */
} redis_plan;

/** What a snapshot reads key by key although it is closed, because late writes keep coming in. */
typedef struct redis_raw {
    bool edges;
    utapi_interval days[2];
    size_t count;
} redis_raw;

/**
 * Plans by reading->range, now_ms and info.
 *
 * @param ret  utapi_redis_plan_done(); may hold an earlier plan, whose memory is used again
 */
UTAPI_MUST_USE utapi_status utapi_redis_plan_make(const redis_reading *reading, const redis_raw *raw,
                                                  redis_plan *ret, utapi_error *err);
void utapi_redis_plan_done(redis_plan *plan);

/** How many days of a plan are REDIS_DAY_MISSING: an answer without them would be too low. */
size_t utapi_redis_plan_missing(const redis_plan *plan);

/** The day of a plan that begins then; NULL if it has none. */
redis_day *utapi_redis_plan_find(const redis_plan *plan, utapi_interval first);

/* ---- redis_state.c --------------------------------------------------------------------------- */

/** Queues the reading of resource info. */
void utapi_redis_resource_info_queue(redis_reading *reading);

/** Reads two replies. ret: utapi_redis_resource_info_done(). */
UTAPI_MUST_USE utapi_status utapi_redis_resource_info_parse(const redis_reading *reading, redis_replies *left,
                                                            redis_resource_info *ret, utapi_error *err);

/** Whether what was planned by one resource info is still right by another; utapi_redis_late_parse() says the rest. */
bool utapi_redis_resource_info_hold(const redis_resource_info *planned, const redis_resource_info *now);
void utapi_redis_resource_info_done(redis_resource_info *info);

/** Queues the query for days that were written into since reading->info was read: one reply. */
void utapi_redis_late_queue(redis_reading *reading);

/** Sets *ret_stale if one of them is among what a plan had read before: edges, and days that were summed up. */
UTAPI_MUST_USE utapi_status utapi_redis_late_parse(const redis_reading *reading, const redis_plan *plan,
                                                   const redisReply *reply, bool *ret_stale,
                                                   utapi_error *err);

/** Queues what utapi_redis_states_parse() wants. */
void utapi_redis_states_queue(redis_reading *reading);

/** Fills in the states. UTAPI_CORRUPT; UTAPI_OVERFLOW if late changes lead out of 64 bits. */
UTAPI_MUST_USE utapi_status utapi_redis_states_parse(const redis_reading *reading, redis_replies *left,
                                                     utapi_usage *ret, utapi_error *err);

/** The value of a sorted set's member; false if it holds none. */
bool utapi_redis_state_value(const redisReply *member, utapi_wide *ret);

/** The interval that a member's score stands for. */
utapi_interval utapi_redis_state_interval(const redisReply *score);

/* ---- redis_snapshot.c ------------------------------------------------------------------------ */

/** Queues one MGET of all flows in a step. */
void utapi_redis_flows_queue(redis_reading *reading, redis_span step);

/** Adds one value that MGET found. Sets *ret_found if there is one. UTAPI_OVERFLOW if it has more than 64 bits. */
UTAPI_MUST_USE utapi_status utapi_redis_flow_add(const redis_reading *reading, utapi_metric metric,
                                                 const redisReply *value, utapi_amounts *sums,
                                                 bool *ret_found, utapi_error *err);

/** What one snapshot brought. */
typedef struct redis_snapshot {
    const unsigned char *writer; /* whose fence to read with it; NULL: nobody's. Borrowed. */
    uint64_t fence;
    redis_resource_info info; /* utapi_redis_resource_info_done() */
    utapi_usage states;
    utapi_amounts flows;
    size_t missing_months; /* rollups of 32 days: those are REDIS_DAY_QUERIED now, and not among the flows */
    bool stale;            /* a late write changed what was read before */
} redis_snapshot;

UTAPI_MUST_USE utapi_status utapi_redis_snapshot_read(redis_reading *reading, redis_plan *plan,
                                                      redis_snapshot *ret, utapi_error *err);

/** A writer's fence, without a snapshot. */
UTAPI_MUST_USE utapi_status utapi_redis_fence_read(redis_reading *reading, const unsigned char *writer,
                                                   uint64_t *ret, utapi_error *err);

/* ---- redis_keyscan.c ------------------------------------------------------------------------- */

/*
 * Which keys hold the flows of the names of a query, found by one scan of all keys. Without it every key that a day
 * may have is read: 5,568 of them, for a year of a hundred names 200 million. A scan takes as long as the database is
 * large, and then those are read that are there.
 */

/** A flow that was found. */
typedef struct redis_candidate {
    uint32_t name;    /* its index in redis_keyscan.names */
    uint32_t quarter; /* its interval, counted in intervals */
    uint16_t metric;
} redis_candidate;

/** What was found of one name. */
typedef struct redis_candidates {
    const redis_candidate *flows; /* in closed days of the range; ascending by interval, none twice */
    size_t count;
    utapi_interval low_watermark; /* no day before it has a flow, whatever the range */
} redis_candidates;

typedef struct redis_keyscan {
    utapi_string *names; /* owned; ascending, none twice. The name that is being answered is among them */
    size_t count;        /* 0: a scan is not worth it */
    utapi_interval *low_watermark; /* owned; of each name */
    redis_candidate *flows;        /* owned; by name */
    size_t flow_count, flow_capacity;
    size_t head;         /* bytes of "P:L:" in a key */
    redis_span closed;   /* the part of the range that closed days cover, in whole days */
    utapi_interval open; /* the first day that is not closed */
} redis_keyscan;

/**
 * Scans the keys if that takes less than reading each that `missing` days may have; for the name that is being
 * answered, and those of the same query that have no `since`, so that nobody queried them before.
 *
 * @param ret  utapi_redis_keyscan_done(), whatever is returned
 * @return UTAPI_UNAVAILABLE when reading->give_up_ms is over
 */
UTAPI_MUST_USE utapi_status utapi_redis_keyscan_make(redis_reading *reading, size_t missing,
                                                     redis_keyscan *ret, utapi_error *err);

/** What was found of one of its names. Borrowed. */
redis_candidates utapi_redis_keyscan_candidates(const redis_keyscan *keyscan, utapi_string name);

void utapi_redis_keyscan_done(redis_keyscan *keyscan);

/** When a flow was counted. */
static inline utapi_interval redis_candidate_interval(const redis_candidate *candidate)
{
    return (utapi_interval)candidate->quarter * UTAPI_INTERVAL_MS;
}

/* ---- redis_rollups.c ------------------------------------------------------------------------- */

/*
 * A daily rollup is the sum of a closed day's flows, a monthly one that of 32 such days (redis_keys.h). Nobody has
 * to make one, anybody may drop it: who misses it reads the day's keys and stores what they sum up to.
 * lua/store_rollup.lua stores that unless a late write into that day was counted meanwhile, or the keys are about
 * to expire.
 */

/**
 * Sums up every day that is REDIS_DAY_MISSING, and stores the sums as rollups; also the days of other names of the
 * query, where the same scan of the keys has found them.
 *
 * @return UTAPI_UNAVAILABLE when reading->give_up_ms is over: what was done by then is kept
 */
UTAPI_MUST_USE utapi_status utapi_redis_daily_fill(redis_reading *reading, redis_plan *plan,
                                                   utapi_error *err);

/**
 * Stores a rollup for each month that a plan misses and whose days have rollups. Nobody depends on it.
 * Nothing may wait in the pipeline.
 */
void utapi_redis_monthly_make(redis_reading *reading, const redis_plan *plan);

#endif
