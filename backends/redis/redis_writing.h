/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis_writing.h - what the writing files share: a batch on its way to apply.lua, and the upkeep that a script asks for.
 *
 * All of it runs with the backend's `writing` lock held, on its writer's link.
 */
#ifndef REDIS_REDIS_WRITING_H
#define REDIS_REDIS_WRITING_H

#include "redis_internal.h"

/** The time of a resource's forgetting, as its key holds it. */
typedef struct redis_tombstone {
    utapi_level level;
    utapi_string name; /* borrowed from the batch */
    char text[24];     /* "": there is none */
    int64_t time_ms;   /* INT64_MIN: there is none */
} redis_tombstone;

/** A batch, or corrections, and what is known of it so far. */
typedef struct redis_writing {
    redis_backend *self;
    const utapi_batch *batch;
    bool *skip; /* for each entry: its uuid was taken before */
    const utapi_entry *
        *uuids; /* the entries that have one, by its time, and each uuid's first before its repetitions */
    size_t uuid_count;
    redis_tombstone *tombstones; /* owned; in the order of the fold; NULL: not looked up */
    size_t tombstone_count;
    const utapi_adjustment
        *adjustments; /* instead of a batch's entries; what was forgotten does not matter to them */
    size_t adjustment_count;
    redis_args args;
} redis_writing;

/** Puts the words of apply.lua together, from the start. UTAPI_OVERFLOW, UTAPI_NO_MEMORY. */
UTAPI_MUST_USE utapi_status utapi_redis_encode(redis_writing *writing, utapi_error *err);

/** The key of a fence as the only one of a script, "" for none; and a fence's number as a word. */
void utapi_redis_encode_fence(redis_args *args, const char *prefix, const utapi_fence *fence);
void utapi_redis_encode_number(redis_args *args, uint64_t number);

/** A number that no other one of this process equals, behind the backend's random words: 40 bytes are enough. */
void utapi_redis_nonce(redis_backend *self, char ret[static 40]);

/**
 * Forgets a resource; time_ms INT64_MIN: a bucket, at the time that was appointed. Does nothing where the fence does not
 * stand at its `from`: it is asked for again then.
 */
UTAPI_MUST_USE utapi_status utapi_redis_expire_one(redis_backend *self, const char *level, utapi_string name,
                                                   int64_t time_ms, const utapi_fence *fence,
                                                   utapi_error *err);

/** Works off what late changes of one resource left, in at most so many scripts. */
UTAPI_MUST_USE utapi_status utapi_redis_corrections_work(redis_backend *self, utapi_string level,
                                                         utapi_string name, unsigned max, utapi_error *err);

/** The same for any resources that have some. */
UTAPI_MUST_USE utapi_status utapi_redis_corrections_maintain(redis_backend *self, unsigned max,
                                                             utapi_error *err);

/** A reply's text, borrowed; absent if it is of another type. */
static inline utapi_string redis_text_of(const redisReply *reply)
{
    const bool is_text = reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS;
    return is_text ? (utapi_string){reply->str, (size_t)reply->len} : (utapi_string){NULL, 0};
}

#endif
