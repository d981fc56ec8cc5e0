/* SPDX-License-Identifier: Apache-2.0 */
/**
 * test_ranges.c - a seeded stream of late writes, dropped rollups and queries about any range and any names,
 * against sums of what was written.
 *
 * usage: redis.ranges [SEED [STEPS]]
 */
#include "reading.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DAYS = 120,
    SLOTS = DAYS * 96,
    NAMES = 4,      /* of which the last is never written to */
    OTHERS = 40000, /* so that a scan of all keys pays for long ranges only */
};

static uint64_t seed = 20261125;
static unsigned steps = 400;

typedef struct model {
    reading *r;
    uint64_t random;
    utapi_interval first;
    unsigned char puts[NAMES][SLOTS];
} model;

static uint64_t below(model *m, uint64_t limit)
{
    m->random = m->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (m->random >> 33) % limit;
}

static const char *name_of(size_t i)
{
    static const char *const names[NAMES] = {"b", "b:900000:c", "9", "nobody"};
    return names[i];
}

/* What a Node client wrote before anybody asked. */
static void fill(model *m)
{
    write_others(m->r, OTHERS);
    for (int i = 0; i < 1500; i++) {
        const size_t name = below(m, NAMES - 1), slot = below(m, SLOTS);
        if (m->puts[name][slot] == 0) {
            m->puts[name][slot] = 1;
            raw_flow(m->r, name_of(name), m->first + (utapi_interval)slot * INTERVAL, "PutObject", 1);
        }
    }
}

static void write_late(model *m)
{
    const size_t name = below(m, NAMES - 1), slot = below(m, SLOTS);
    if (m->puts[name][slot] == UCHAR_MAX)
        return;
    m->puts[name][slot]++;
    write_put(m->r, name_of(name), m->first + (utapi_interval)slot * INTERVAL);
}

/* Some of what rollups consist of, or all of it. */
static void drop(model *m)
{
    static const char *const what[] = {"1*", "m*", "since"};
    redisReply *keys =
        redisCommand(m->r->raw, "KEYS s3:buckets:%s:+utapid:%s", name_of(below(m, NAMES)), what[below(m, 3)]);
    assert_non_null(keys);
    const uint64_t share = 1 + below(m, 4);
    for (size_t i = 0; i < keys->elements; i++)
        if (strstr(keys->element[i]->str, ":late") == NULL && below(m, share) == 0)
            raw(m->r, "DEL %s", keys->element[i]->str);
    freeReplyObject(keys);
}

static int64_t sum(const model *m, size_t name, size_t from, size_t to)
{
    int64_t puts = 0;
    for (size_t i = from; i <= to; i++)
        puts += m->puts[name][i];
    return puts;
}

/* Ranges begin and end anywhere, or with days, as most of them do. */
static void query_check(model *m)
{
    size_t from = below(m, SLOTS), to = below(m, SLOTS), place[NAMES], count = 0;
    utapi_string names[NAMES];
    utapi_usage usages[NAMES];
    if (from > to) {
        const size_t other = from;
        from = to;
        to = other;
    }
    if (below(m, 3) > 0) {
        from -= from % 96;
        to += 95 - to % 96;
    }
    for (size_t i = 0; i < NAMES; i++)
        if (below(m, 2) == 0) {
            place[count] = i;
            names[count++] = utapi_string_of(name_of(i));
        }
    const utapi_query query = {.level = UTAPI_BUCKETS,
                               .names = names,
                               .count = count,
                               .start = m->first + (utapi_interval)from * INTERVAL,
                               .end = m->first + (utapi_interval)to * INTERVAL};
    CHECK_OK(utapi_redis_read(&m->r->backend.base, &query, usages, NULL, &m->r->err), &m->r->err);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(puts_of(&usages[i]), sum(m, place[i], from, to));
}

static void every_range_is_the_sum_of_what_was_written(void **state)
{
    model *m = calloc(1, sizeof *m);
    assert_non_null(m);
    m->r = *state;
    m->random = seed;
    m->first = closed_day(m->r, DAYS - 2); /* to the end of yesterday, which may not be closed yet */
    fill(m);
    for (unsigned i = 0; i < steps; i++) {
        const uint64_t what = below(m, 10);
        if (what < 2)
            write_late(m);
        else if (what < 4)
            drop(m);
        else
            query_check(m);
    }
    free(m);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        seed = strtoull(argv[1], NULL, 10);
    if (argc > 2)
        steps = (unsigned)strtoul(argv[2], NULL, 10);
    print_message("seed %llu, %u steps\n", (unsigned long long)seed, steps);
    const struct CMUnitTest cases[] = {READING_CASE(every_range_is_the_sum_of_what_was_written)};
    return cmocka_run_group_tests_name("ranges", cases, NULL, NULL);
}
