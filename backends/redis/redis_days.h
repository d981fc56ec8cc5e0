/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis_days.h - summaries of closed days, and of 32 of them.
 *
 * A summary is the sum of a closed day's flows (P:L:N:+utapid:D, a snapshot). Nobody has to make it, anybody may drop
 * it: who misses it reads the day's keys, of which there may be 5,568, and offers what they sum up to. lua/store_rollup.lua stores that
 * unless a late write into that day was counted meanwhile, or the keys are about to expire.
 */
#ifndef REDIS_REDIS_DAYS_H
#define REDIS_REDIS_DAYS_H

#include "redis_read.h"

/**
 * Sums up every day that is REDIS_DAY_MISSING, and offers the sums as summaries; also the days of other names of the
 * question, where the same walk through the keys has met them.
 *
 * @return UTAPI_UNAVAILABLE when reading->give_up_ms is over: what was done by then is kept
 */
UTAPI_MUST_USE utapi_status utapi_redis_daily_fill(redis_reading *reading, redis_plan *plan,
                                                   utapi_error *err);

/**
 * Offers a summary for each block that a plan misses and whose days have summaries. Nobody depends on it.
 * Nothing may wait in the pipeline.
 */
void utapi_redis_monthly_make(redis_reading *reading, const redis_plan *plan);

/* The words of store_rollup.lua: begin with how many keys follow, add them, the marks, and each value with its head. */

void utapi_redis_rollup_store_begin(redis_reading *reading, size_t keys);
void utapi_redis_rollup_store_generation(redis_reading *reading, int64_t generation);

/** What a value tells of, [first, beyond), and how many keys it stands on. The value is to be added next. */
void utapi_redis_rollup_store_value(redis_reading *reading, utapi_interval first, utapi_interval beyond,
                                    size_t sources);

/** Has the script look at what was offered; whether it stored the last value. */
bool utapi_redis_rollup_store_send(redis_reading *reading);

#endif
