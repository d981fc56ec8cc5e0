/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis_days.h - summaries of closed days.
 *
 * A summary is the sum of a closed day's flows (P:L:N:+utapid:D, a snapshot). Nobody has to make it, anybody may drop
 * it: who misses it reads the day's 5,568 keys, and offers what they sum up to. lua/keep_day.lua stores that
 * unless a late write into that day was counted meanwhile, or the keys are about to expire.
 */
#ifndef REDIS_REDIS_DAYS_H
#define REDIS_REDIS_DAYS_H

#include "redis_read.h"

/**
 * Sums up every day that is REDIS_DAY_MISSING, and offers the sums as summaries.
 *
 * @return UTAPI_UNAVAILABLE when reading->give_up_ms is over: what was done by then is kept
 */
UTAPI_MUST_USE utapi_status redis_days_fill(redis_reading *reading, redis_plan *plan, utapi_error *err);

#endif
