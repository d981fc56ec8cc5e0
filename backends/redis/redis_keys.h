/* SPDX-License-Identifier: Apache-2.0 */
/**
 * redis_keys.h - the names of keys: Utapi V1's, which Node writers and readers share
 * (docs/specification.md#redis-keys), and our own, which hold "utapid:" where no Node reader looks.
 * What is ours of a resource has "+utapid:", for no bucket can be named "+utapid":
 * a Node client that deletes a bucket named "utapid" lets everything like s3:buckets:*:utapid:* expire.
 *
 * With P the prefix ("s3"), L a level, N a name, I an interval (ms), W a writer in hex, D the first interval of a day:
 *
 *     P:L:N:storageUtilized:counter      the state now          (level locations: P:location:N:locationStorage)
 *     P:L:N:numberOfObjects:counter
 *     P:L:N:storageUtilized              sorted set, score I, member "<value>:<nonce>": the state at I's end
 *     P:L:N:numberOfObjects
 *     P:L:I:N:<Metric>                   a flow in I
 *
 *     P:L:N:+utapid:D                    sums of the flows of a closed day: a snapshot (utapi/snapshot.h)
 *     P:L:N:+utapid:mB                   the sum of 32 such days; B: the first interval, a multiple of REDIS_MONTH_MS
 *     P:L:N:+utapid:late                 sorted set, member: a closed day that was written into, score: the
 *                                        generation of the newest such write (P:utapid:late)
 *     P:L:N:+utapid:since                the low watermark: no day before it holds a flow, but outliers; absent:
 *                                        2016-01-01
 *     P:L:N:+utapid:odd                  outliers. Sorted set, score and member: days that a script wrote flows
 *                                        into although they lie before `since`, or although the interval begins
 *                                        more than an hour from now; and those on which a migration found such flows
 *                                        of somebody else
 *     P:L:N:+utapid:shifts               pending corrections: late changes of states that the sorted sets do not
 *                                        hold yet
 *     P:L:N:+utapid:created              sorted set, member "at", score: the first interval that the bucket was
 *                                        created in, as far as it has not expired: flows may lie before the first
 *                                        state
 *     P:L:N:+utapid:gone                 the tombstone: when the bucket expired (ms). Nothing older counts
 *     P:L:N:+utapid:anew                 within one script alone: the members of a state that stay after an expiry
 *     P:utapid:late                      the newest generation: a number for each script that wrote into a closed day
 *     P:utapid:fence:W                   where the writer's fence stands. It has no TTL, since a policy that evicts
 *                                        keys with a TTL would have what its journal kept counted twice
 *     P:utapid:seen:T:S                  hash, field: "<time>:<uuid>", value: when it was accepted. T: the day of
 *                                        acceptance at Redis's clock (where the window is longer than a day: the
 *                                        window), S: the slice of REDIS_DEDUP_MS that the uuid's own time lies in,
 *                                        both counted from 1970; <time>: from the slice's beginning, in ms
 *     P:utapid:seen                      sorted set, member: such a hash, score: when it goes, at Redis's clock
 *     P:utapid:due                       sorted set, score: when to expire, member: the bucket
 *     P:utapid:shifting                  set of "L:N" with pending corrections
 *     P:utapid:audit                     list, the newest last: what operators did. Each: what was before and after,
 *                                        the interval, and a row (utapi/admin_act.h), with a line's end between them
 *     P:utapid:audited                   hash, field: an act's id, value: its place in that list, from 1
 *     P:utapid:sweeping                  hash, field: "L:N", value: intervals whose flows are still to be deleted
 *     P:utapid:forgotten                 "1" once anything expired: without it no script looks for a tombstone
 *
 * What is taken over from a local cache has keys of its own (utapi_replay.h). P:utapid:rights is never written: rights
 * to keys of ours are tried on that name.
 *
 * A uuid that comes again has the time that it came with before, so it is looked for in one slice, of this day and
 * the last. A hash goes when the window has passed since the last uuid came into it; the day in its name ends those
 * whose uuids come without a time, or always with the same. It may hold millions, and Redis frees what it lets
 * expire before it does anything else: half a second for a million fields. So a hash does not expire: scripts
 * UNLINK what is over.
 *
 * A day is closed when Redis's clock says that it ended REDIS_CLOSING_MS ago. Node writers count at their own clocks'
 * present, which is within REDIS_CLOSING_MS of Redis's, and none of them is older than Utapi: so what a reader must
 * look through is bounded, and scripts note in `odd` what they write outside those bounds.
 */
#ifndef REDIS_REDIS_KEYS_H
#define REDIS_REDIS_KEYS_H

#include "redis_args.h"
#include "utapi/interval.h"
#include "utapi/metric.h"

#define REDIS_DAY_MS     INT64_C(86400000)
#define REDIS_CLOSING_MS INT64_C(3600000)
#define REDIS_FIRST_DAY  INT64_C(1451606400000) /* 2016-01-01: there was no Utapi before */

/** Uuids whose times lie in the same so many milliseconds are kept together. */
enum { REDIS_DEDUP_MS = 1000 };

/** Days that have one rollup together; lua/expiry.lua has it too. */
enum { REDIS_MONTH_DAYS = 32 };
#define REDIS_MONTH_MS (REDIS_MONTH_DAYS * REDIS_DAY_MS)

/** What is ours of a resource begins so, after its name; lua/expiry.lua has it for the scripts. */
#define REDIS_OWN "+utapid:"

/** What the interval that a rollup begins with stands behind. */
#define REDIS_DAILY   REDIS_OWN
#define REDIS_MONTHLY REDIS_OWN "m"

/** A prefix, a level's word, a name, an interval and a metric, with their separators: no key of ours is longer. */
enum { REDIS_KEY_MAX = 1024 };

/** A key being put together on the stack. */
typedef struct redis_key {
    size_t size;
    char bytes[REDIS_KEY_MAX];
} redis_key;

/**
 * P:L:N:<what>; what: "storageUtilized:counter", REDIS_OWN "late", ... Locations' storage counter has V1's own
 * name.
 */
void utapi_redis_key_resource(redis_key *ret, const char *prefix, utapi_level level, utapi_string name,
                              const char *what);

/** P:L:I:N:<Metric>; metric: a flow. */
void utapi_redis_key_flow(redis_key *ret, const char *prefix, utapi_level level, utapi_interval interval,
                          utapi_string name, utapi_metric metric);

/** P:utapid:fence:W. */
void utapi_redis_key_fence(redis_key *ret, const char *prefix, const unsigned char writer[16]);

/** P:utapid:<what>. */
void utapi_redis_key_own(redis_key *ret, const char *prefix, const char *what);

/* Adds a key to a command's arguments, copied: any; P:L:N:<what>; P:utapid:<what>; that of a rollup. */
void utapi_redis_args_key(redis_args *args, const redis_key *key);
void utapi_redis_args_resource(redis_args *args, const char *prefix, utapi_level level, utapi_string name,
                               const char *what);
void utapi_redis_args_own(redis_args *args, const char *prefix, const char *what);

/** kind: REDIS_DAILY or REDIS_MONTHLY. */
void utapi_redis_args_rollup(redis_args *args, const char *prefix, utapi_level level, utapi_string name,
                             const char *kind, utapi_interval first);

/* ---- for those who scan the keys -------------------------------------------------------------- */

/** What a key is of. */
typedef struct redis_parsed_key {
    utapi_string name; /* borrowed from the key */
    utapi_metric metric;
    enum {
        REDIS_KEY_OF_COUNTER,  /* a state as it is now */
        REDIS_KEY_OF_LOCATION, /* the same of a location, in the key that V1 has for it */
        REDIS_KEY_OF_STATES,   /* the sorted set of a state */
        REDIS_KEY_OF_FLOW
    } is;
    utapi_interval interval; /* of a flow; else 0 */
} redis_parsed_key;

/** The <word> of P:<word>:N:locationStorage: a location as V1 knows it, which has a counter alone. */
#define REDIS_LOCATION "location"

/**
 * Reads what follows "P:<level>:" in a key, or "P:location:" where is_location; false for a key that is none of
 * V1's.
 */
bool utapi_redis_key_parse(utapi_string rest, bool is_location, redis_parsed_key *ret);

/**
 * Whether what seems to be a name, of a flow at interval 0, begins with a time of Utapi's that is no interval's first
 * millisecond: most likely somebody counted there what nobody will ever list.
 */
bool utapi_redis_key_is_between(utapi_string name);

#endif
