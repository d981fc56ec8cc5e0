/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis_write.h - what the writing files share: a batch on its way to apply.lua, and the upkeep that a script leaves.
 *
 * All of it runs with the storage's `writing` lock held, on its writer's connection.
 */
#ifndef REDIS_REDIS_WRITE_H
#define REDIS_REDIS_WRITE_H

#include "redis_internal.h"

/** A resource's tombstone, as its key holds it. */
typedef struct redis_tombstone {
    utapi_level level;
    utapi_string name; /* borrowed from the batch */
    char text[24];     /* "": there is none */
    int64_t time_ms;   /* INT64_MIN: there is none */
} redis_tombstone;

/** A batch, or corrections by an operator, and what is known of it so far. */
typedef struct redis_write {
    redis_backend *self;
    utapi_batch batch;         /* a copy: what is delivered of it may be cut */
    bool *skip;                /* for each entry: its uuid is known */
    const utapi_entry **uuids; /* entries that have one, by its time; a repetition comes after the first */
    size_t uuid_count;
    unsigned foretold_us;        /* how long the script should take; 0: nobody knows */
    redis_tombstone *tombstones; /* owned; in the order of the aggregation; NULL: they were not read */
    size_t tombstone_count;
    const utapi_adjustment *adjustments; /* instead of entries; tombstones do not matter to them */
    size_t adjustment_count;
} redis_write;

/** Corrections by an operator that one script stores. */
enum { REDIS_ADJUSTMENTS_MAX = 40 };

/**
 * How many entries of a batch one script stores, so that it does not keep Redis to itself for 10 ms: at least one, if
 * it has any. *ret_us is how long that is foretold to take on the machine that was measured.
 */
size_t utapi_redis_budget(redis_backend *self, const utapi_batch *batch, unsigned *ret_us);

/**
 * Learns from how long a script took, its reply included, in small steps: one that had to wait for a processor says
 * little of the others.
 */
void utapi_redis_budget_learn(redis_backend *self, unsigned foretold_us, int64_t took_us);

/** A cell that cannot be stored: a metric of a resource, in one interval or, of a state, in all. */
typedef struct redis_unfit {
    utapi_level level;
    utapi_string name;
    utapi_interval interval; /* INT64_MIN: all */
    unsigned metric;
    bool is_full;  /* some of what comes may fit: */
    int64_t total; /* what is there already */
} redis_unfit;

/**
 * Tells in write->batch.unfit, if that is wanted, which entries a cell cannot take: one after the other, those that do
 * not fit any more; all, if the cell is corrupt.
 */
void utapi_redis_unfit_tell(redis_write *write, const redis_unfit *cell);

/** Makes the arguments of apply.lua. UTAPI_OVERFLOW, whose entries are told, UTAPI_NO_MEMORY: there are none. */
UTAPI_MUST_USE utapi_status utapi_redis_encode(redis_write *write, utapi_error *err);

/** Begins a script whose only key is that of a fence, "" for none. */
void utapi_redis_encode_fence(redis_args *args, const char *prefix, const utapi_fence *fence);

/** Adds a text that no other one of this process equals, behind the storage's random one. */
void utapi_redis_encode_nonce(redis_args *args, redis_backend *self);

/**
 * Expires a resource; time_ms INT64_MIN: a bucket, at the time that was scheduled. Does nothing where the fence
 * does not stand at its `from`: the script asks for it again then.
 */
UTAPI_MUST_USE utapi_status utapi_redis_expire_one(redis_backend *self, const char *level, utapi_string name,
                                                   int64_t time_ms, const utapi_fence *fence,
                                                   utapi_error *err);

/** Works off pending corrections of one resource, in at most so many scripts. */
UTAPI_MUST_USE utapi_status utapi_redis_corrections_work(redis_backend *self, utapi_string level,
                                                         utapi_string name, unsigned max, utapi_error *err);

/** The same for any resources that have some. */
UTAPI_MUST_USE utapi_status utapi_redis_corrections_maintain(redis_backend *self, unsigned max,
                                                             utapi_error *err);

#endif
