/* SPDX-License-Identifier: Apache-2.0 */
/* source.c - what the next request is about. */
#include "source.h"

#include "utapi/codec.h"
#include "utapi/interval.h"

#include <endian.h>

enum { DAY = 96, SIZE_LEAST = 1000, SIZES = 9000, EVENTS_A_MS = 20 };

/* A prime above every number of buckets: i * STRIDE mod n visits each one once, in an order that has nothing to
 * do with that of the names. */
#define STRIDE UINT64_C(2654435761)

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t mix(uint64_t number)
{
    number = (number ^ number >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    number = (number ^ number >> 27) * UINT64_C(0x94D049BB133111EB);
    return number ^ number >> 31;
}

uint64_t bench_random_below(uint64_t *random, uint64_t below)
{
    *random += UINT64_C(0x9E3779B97F4A7C15);
    return mix(*random) % below;
}

/* Time passes, as it does for servers, from one repetition to the next too: what a storage keeps by an event's own time
 * comes mostly in order. */
static void item_begin(bench_source *source, bench_item *ret)
{
    const uint64_t passed_ms = source->serial / EVENTS_A_MS % UTAPI_INTERVAL_MS;
    *ret = (bench_item){.size_bytes = SIZE_LEAST + (uint32_t)bench_random_below(&source->random, SIZES),
                        .time_ms = source->origin_ms + (int64_t)passed_ms};
    if (source->workload->uuids) {
        ret->uuid[0] = mix(source->uuid_salt ^ source->serial);
        ret->uuid[1] = mix(source->uuid_salt + source->serial);
    }
    source->serial++;
}

static void item_by_chance(bench_source *source, bench_item *ret)
{
    const bench_workload *workload = source->workload;
    item_begin(source, ret);
    ret->bucket = (uint32_t)bench_random_below(&source->random, workload->buckets);
    if (workload->late_percent > 0 && bench_random_below(&source->random, 100) < workload->late_percent)
        ret->time_ms -= UTAPI_INTERVAL_MS * (1 + (int64_t)bench_random_below(&source->random, DAY - 1));
}

static void item_of_turn(bench_source *source, bench_item *ret)
{
    const uint64_t place = source->serial - source->first;
    item_begin(source, ret);
    ret->bucket = (uint32_t)(place * STRIDE % source->workload->buckets);
}

static void item_of_fill(bench_source *source, bench_item *ret)
{
    const uint64_t place = source->serial - source->first;
    const bench_workload *workload = source->workload;
    item_begin(source, ret);
    ret->size_bytes = SIZE_LEAST;
    ret->uuid[0] = ret->uuid[1] = 0;
    ret->bucket = (uint32_t)(place % workload->buckets);
    const int64_t age = (int64_t)workload->history - 1 - (int64_t)(place / workload->buckets);
    ret->time_ms -= age * UTAPI_INTERVAL_MS;
}

void bench_source_fill(bench_source *source)
{
    source->item_next = item_of_fill;
    source->first = source->serial;
    source->items_left = (uint64_t)source->workload->buckets * source->workload->history;
    source->batch = 1000;
}

void bench_source_measure(bench_source *source)
{
    const bool is_turn = source->workload->kind == BENCH_TURN;
    source->item_next = is_turn ? item_of_turn : item_by_chance;
    source->first = source->serial;
    source->items_left = is_turn ? source->workload->buckets : UINT64_MAX;
    source->batch = source->workload->batch;
    if (is_turn)
        source->origin_ms += UTAPI_INTERVAL_MS;
}

bool bench_source_next(bench_source *source, bench_request *ret)
{
    const bench_workload *workload = source->workload;
    const bool is_measuring = source->item_next != item_of_fill;
    *ret = (bench_request){.is_query = is_measuring && (workload->kind == BENCH_LIST ||
                                                        (workload->kind == BENCH_MIXED &&
                                                         bench_random_below(&source->random, 100) <
                                                             workload->question_percent))};
    if (ret->is_query) {
        ret->first_name = (uint32_t)bench_random_below(&source->random, workload->buckets);
        return true;
    }
    ret->item_count = source->items_left < source->batch ? (unsigned)source->items_left : source->batch;
    if (source->items_left != UINT64_MAX)
        source->items_left -= ret->item_count;
    return ret->item_count > 0;
}

void bench_source_item(bench_source *source, bench_item *ret)
{
    source->item_next(source, ret);
}

void bench_accounts_make(bench_accounts *ret)
{
    _Static_assert(BENCH_ACCOUNT_SIZE == 64, "four words of sixteen digits");
    for (unsigned i = 0; i < BENCH_ACCOUNTS; i++) {
        uint64_t words[4];
        for (unsigned w = 0; w < 4; w++)
            words[w] = htobe64(mix(UINT64_C(1) + i * 4 + w));
        utapi_hex_put(ret->ids[i], words, sizeof words);
    }
}

void bench_uuid_write(const uint64_t uuid[2], char ret[BENCH_UUID_SIZE])
{
    static const unsigned char sizes[] = {4, 2, 2, 2, 6}; /* bytes of each group */
    const uint64_t words[2] = {htobe64(uuid[0]), htobe64(uuid[1])};
    const unsigned char *from = (const unsigned char *)words;
    for (unsigned i = 0; i < sizeof sizes; from += sizes[i++]) {
        ret = utapi_hex_put(ret, from, sizes[i]);
        if (i + 1 < sizeof sizes)
            *ret++ = '-';
    }
}
