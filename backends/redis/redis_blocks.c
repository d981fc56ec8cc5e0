/* SPDX-License-Identifier: Apache-2.0 */
/* redis_blocks.c - summaries of 32 closed days, so that a year costs what a month costs.
 *
 * One is made of the summaries of its days, which one MGET reads at one moment, with the number of the newest late
 * write: so it holds as long as no day of it is marked with a newer one (lua/store_rollup.lua). It goes when the first
 * of them would expire. */
#include "redis_days.h"

#include "utapi/scoped.h"
#include "utapi/snapshot.h"

UTAPI_AUTO_DEFINE(redisReply, freeReplyObject)

static void days_add(redis_reading *reading, const redis_month *block)
{
    redis_key key;
    for (int i = 0; i < REDIS_MONTH_DAYS; i++) {
        utapi_redis_key_daily(&key, reading->prefix, reading->level, reading->name,
                              block->first + i * REDIS_DAY_MS);
        utapi_redis_args_key(&reading->args, &key);
    }
}

/* The number of the newest late write, and what the days come to; false if one of them has no summary. */
static bool block_sum(redis_reading *reading, const redis_month *block, int64_t *ret_late, utapi_amounts *ret)
{
    redis_key key;
    UTAPI_AUTO(redisReply) *reply = NULL;
    utapi_sums sums = {.present = 0};
    utapi_redis_args_add(&reading->args, "MGET");
    utapi_redis_key_own(&key, reading->prefix, "late");
    utapi_redis_args_key(&reading->args, &key);
    days_add(reading, block);
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

static void block_offer(redis_reading *reading, const redis_month *block, int64_t generation,
                        const utapi_amounts *amounts)
{
    redis_key key;
    unsigned char row[UTAPI_SNAPSHOT_MAX];
    utapi_redis_key_monthly(&key, reading->prefix, reading->level, reading->name, block->first);
    utapi_redis_rollup_store_begin(reading, 1 + REDIS_MONTH_DAYS);
    utapi_redis_args_key(&reading->args, &key);
    days_add(reading, block);
    utapi_redis_rollup_store_generation(reading, generation);
    utapi_redis_rollup_store_value(reading, block->first, block->first + REDIS_MONTH_MS, REDIS_MONTH_DAYS);
    utapi_redis_args_bytes(&reading->args, row, utapi_snapshot_encode(amounts, row));
    (void)utapi_redis_rollup_store_send(reading);
}

void utapi_redis_monthly_make(redis_reading *reading, const redis_plan *plan)
{
    int64_t generation;
    utapi_amounts amounts;
    for (size_t i = 0; i < plan->block_count; i++)
        if (plan->blocks[i].missing && utapi_monotonic_ms() < reading->give_up_ms &&
            block_sum(reading, &plan->blocks[i], &generation, &amounts))
            block_offer(reading, &plan->blocks[i], generation, &amounts);
}
