/* SPDX-License-Identifier: Apache-2.0 */
/* generator.c - what the next request is about. */
#include "generator.h"

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
static void item_begin(bench_generator *generator, bench_item *ret)
{
    const uint64_t passed_ms = generator->serial / EVENTS_A_MS % UTAPI_INTERVAL_MS;
    *ret = (bench_item){.size_bytes = SIZE_LEAST + (uint32_t)bench_random_below(&generator->random, SIZES),
                        .time_ms = generator->origin_ms + (int64_t)passed_ms};
    if (generator->workload->uuids) {
        ret->uuid[0] = mix(generator->uuid_salt ^ generator->serial);
        ret->uuid[1] = mix(generator->uuid_salt + generator->serial);
    }
    generator->serial++;
}

static void item_by_chance(bench_generator *generator, bench_item *ret)
{
    const bench_workload *workload = generator->workload;
    item_begin(generator, ret);
    ret->bucket = (uint32_t)bench_random_below(&generator->random, workload->buckets);
    if (workload->late_percent == 0 || bench_random_below(&generator->random, 100) >= workload->late_percent)
        return;
    const unsigned most = workload->late_intervals > 0 ? workload->late_intervals : DAY;
    const unsigned least = workload->late_least > 0 ? workload->late_least : 1;
    ret->time_ms -=
        UTAPI_INTERVAL_MS * (least + (int64_t)bench_random_below(&generator->random, most - least));
}

static void item_of_rollover(bench_generator *generator, bench_item *ret)
{
    const uint64_t place = generator->serial - generator->first;
    item_begin(generator, ret);
    ret->bucket = (uint32_t)(place * STRIDE % generator->workload->buckets);
}

static void item_of_fill(bench_generator *generator, bench_item *ret)
{
    const uint64_t place = generator->serial - generator->first;
    const bench_workload *workload = generator->workload;
    item_begin(generator, ret);
    ret->size_bytes = SIZE_LEAST;
    ret->uuid[0] = ret->uuid[1] = 0;
    ret->bucket = (uint32_t)(place % workload->buckets);
    int64_t age = (int64_t)workload->history - 1 - (int64_t)(place / workload->buckets);
    if (age < 0) /* all rows are there: what comes late */
        age = (int64_t)bench_random_below(&generator->random, workload->history);
    ret->time_ms -= age * UTAPI_INTERVAL_MS;
}

void bench_generator_fill(bench_generator *generator)
{
    generator->item_next = item_of_fill;
    generator->first = generator->serial;
    const bench_workload *workload = generator->workload;
    generator->items_left = (uint64_t)workload->buckets * (workload->history + workload->late_filled);
    generator->batch = 1000;
}

void bench_generator_measure(bench_generator *generator)
{
    const bool is_rollover = generator->workload->kind == BENCH_ROLLOVER;
    generator->item_next = is_rollover ? item_of_rollover : item_by_chance;
    generator->first = generator->serial;
    generator->items_left = is_rollover ? generator->workload->buckets : UINT64_MAX;
    generator->batch = generator->workload->batch;
    if (is_rollover)
        generator->origin_ms += UTAPI_INTERVAL_MS;
}

bool bench_generator_next(bench_generator *generator, bench_request *ret)
{
    const bench_workload *workload = generator->workload;
    const bool is_measuring = generator->item_next != item_of_fill;
    *ret = (bench_request){.is_query = is_measuring && (workload->kind == BENCH_LIST ||
                                                        (workload->kind == BENCH_MIXED &&
                                                         bench_random_below(&generator->random, 100) <
                                                             workload->question_percent))};
    if (ret->is_query) {
        ret->first_name = (uint32_t)bench_random_below(&generator->random, workload->buckets);
        return true;
    }
    ret->item_count =
        generator->items_left < generator->batch ? (unsigned)generator->items_left : generator->batch;
    if (generator->items_left != UINT64_MAX)
        generator->items_left -= ret->item_count;
    return ret->item_count > 0;
}

void bench_generator_item(bench_generator *generator, bench_item *ret)
{
    generator->item_next(generator, ret);
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
