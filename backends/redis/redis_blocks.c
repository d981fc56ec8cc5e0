/* SPDX-License-Identifier: Apache-2.0 */
/* redis_blocks.c - summaries of 32 closed days, so that a year costs what a month costs.
 *
 * One is made of the summaries of its days, which one MGET reads at one moment, with the number of the newest late
 * write: so it holds as long as no day of it is marked with a newer one (lua/keep_day.lua). It goes when the first
 * of them would expire. */
#include "redis_days.h"

#include "utapi/scoped.h"
#include "utapi/snapshot.h"

UTAPI_AUTO_DEFINE(redisReply, freeReplyObject)

static void days_add(redis_reading *reading, const redis_block *block)
{
    redis_key key;
    for (int i = 0; i < REDIS_BLOCK_DAYS; i++) {
        redis_key_day(&key, reading->prefix, reading->level, reading->name, block->first + i * REDIS_DAY_MS);
        redis_args_key(&reading->args, &key);
    }
}

/* The number of the newest late write, and what the days come to; false if one of them has no summary. */
static bool block_sum(redis_reading *reading, const redis_block *block, int64_t *ret_late, utapi_amounts *ret)
{
    redis_key key;
    UTAPI_AUTO(redisReply) *reply = NULL;
    utapi_sums sums = {.present = 0};
    redis_args_add(&reading->args, "MGET");
    redis_key_own(&key, reading->prefix, "late");
    redis_args_key(&reading->args, &key);
    days_add(reading, block);
    const utapi_status status = redis_link_ask(reading->link, &reading->args, &reply, NULL);
    redis_args_clear(&reading->args);
    if (status != UTAPI_OK || reply->type != REDIS_REPLY_ARRAY || reply->elements != 1 + REDIS_BLOCK_DAYS)
        return false;
    const redisReply *late = reply->element[0];
    *ret_late = 0;
    if (late->type != REDIS_REPLY_NIL &&
        (late->type != REDIS_REPLY_STRING || !redis_read_integer(late, ret_late)))
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

static void block_offer(redis_reading *reading, const redis_block *block, int64_t late,
                        const utapi_amounts *amounts)
{
    redis_key key;
    unsigned char row[UTAPI_SNAPSHOT_MAX];
    redis_key_block(&key, reading->prefix, reading->level, reading->name, block->first);
    redis_offer_begin(reading, 1 + REDIS_BLOCK_DAYS);
    redis_args_key(&reading->args, &key);
    days_add(reading, block);
    redis_offer_marks(reading, late);
    redis_offer_value(reading, block->first, block->first + REDIS_BLOCK_MS, REDIS_BLOCK_DAYS);
    redis_args_bytes(&reading->args, row, utapi_snapshot_encode(amounts, row));
    (void)redis_offer_send(reading);
}

void redis_blocks_make(redis_reading *reading, const redis_plan *plan)
{
    int64_t late;
    utapi_amounts amounts;
    for (size_t i = 0; i < plan->block_count; i++)
        if (plan->blocks[i].missing && redis_monotonic_ms() < reading->give_up_ms &&
            block_sum(reading, &plan->blocks[i], &late, &amounts))
            block_offer(reading, &plan->blocks[i], late, &amounts);
}
