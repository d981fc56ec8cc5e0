/* SPDX-License-Identifier: Apache-2.0 */
/* workload.c - the table of workloads: a new one is one more row. */
#include "workload.h"

#include <stdint.h>
#include <string.h>

enum { DAY = 96, MONTH = 30 * DAY, YEAR = 365 * DAY, K = 1000, M = 1000 * K };

/* The day before the year is there so that every range has a row before it, as ranges in real use have. */
#define YEAR_OF_ONE .buckets = 1, .history = YEAR + DAY, .names = 1, .batch = 1

/* One client: each request is a write transaction of its own. */
#define OLD(size, of) .clients = 1, .batch = (size), .buckets = 1, .history = (of), .late_intervals = (of)-DAY

/* As many cells, a resource at an interval each, late and punctual. */
#define PAST(of, rows) .clients = 1, .batch = K, .buckets = (of), .history = (rows)

#define SINGLE(count)      .clients = (count), .batch = 1, .buckets = 10 * K, .history = 1, .uuids = true
#define BATCH(size, of)    .clients = 8, .batch = (size), .buckets = (of), .history = 1
#define BATCH_OF_DAY(size) .clients = 8, .batch = (size), .buckets = K, .history = DAY, .uuids = true
#define MIX                                                                                         \
    .clients = 64, .batch = 1, .buckets = K, .history = DAY, .uuids = true, .question_percent = 90, \
    .names = 1, .intervals = DAY

/* clang-format off */
const bench_workload bench_workloads[] = {
    {"ingest.1",   BENCH_INGEST, SINGLE(1),   .is_short = true, .help = "single events, one client"},
    {"ingest.16",  BENCH_INGEST, SINGLE(16),  .help = "single events, 16 clients"},
    {"ingest.64",  BENCH_INGEST, SINGLE(64),  .is_short = true, .help = "single events, 64 clients"},
    {"ingest.256", BENCH_INGEST, SINGLE(256), .help = "single events, 256 clients"},

    {"batch.10",         BENCH_INGEST, BATCH(10, 10 * K),   .uuids = true, .help = "requests of 10 events"},
    {"batch.100",        BENCH_INGEST, BATCH(100, 10 * K),  .uuids = true, .help = "requests of 100 events"},
    {"batch.1000",       BENCH_INGEST, BATCH(1000, 10 * K), .uuids = true, .is_short = true,
     .help = "requests of 1,000 events"},
    {"batch.10-plain",   BENCH_INGEST, BATCH(10, 10 * K),   .help = "of 10 events without uuids"},
    {"batch.100-plain",  BENCH_INGEST, BATCH(100, 10 * K),  .help = "of 100 events without uuids"},
    {"batch.1000-plain", BENCH_INGEST, BATCH(1000, 10 * K), .is_short = true, .help = "of 1,000 events without uuids"},

    {"few.10",         BENCH_INGEST, BATCH(10, 100),   .uuids = true, .help = "requests of 10 events for 100 buckets"},
    {"few.100",        BENCH_INGEST, BATCH(100, 100),  .uuids = true, .help = "requests of 100 events for 100 buckets"},
    {"few.1000",       BENCH_INGEST, BATCH(1000, 100), .uuids = true,
     .help = "requests of 1,000 events for 100 buckets"},
    {"few.1000-plain", BENCH_INGEST, BATCH(1000, 100), .help = "the same without uuids"},

    {"late.1",  BENCH_INGEST, BATCH_OF_DAY(100), .late_percent = 1,  .help = "1 % of the events late"},
    {"late.10", BENCH_INGEST, BATCH_OF_DAY(100), .late_percent = 10, .help = "10 % of the events late"},

    {"old.1",    BENCH_INGEST, OLD(1, YEAR + DAY),   .late_percent = 100, .help = "single events, up to a year late"},
    {"old.1000", BENCH_INGEST, OLD(K, YEAR + DAY),   .late_percent = 100, .help = "requests of 1,000 of them"},
    {"old.1000-now", BENCH_INGEST, OLD(K, YEAR + DAY),                    .help = "the same, punctual"},
    {"old.1000-far", BENCH_INGEST, OLD(K, 25 * YEAR),.late_percent = 100, .is_huge = true,
     .help = "the same, up to 25 years late"},

    {"past.all",     BENCH_INGEST, PAST(10 * K, DAY), .late_percent = 100, .late_least = 16, .late_intervals = 16,
     .help = "requests of 1,000 events for 10,000 buckets, all of them four hours late"},
    {"past.all-day", BENCH_INGEST, PAST(10 * K, DAY), .late_percent = 100, .help = "the same, each up to a day late"},
    {"past.all-now", BENCH_INGEST, PAST(10 * K, DAY),                      .help = "the same, punctual"},
    {"past.one",     BENCH_INGEST, PAST(1, YEAR), .late_percent = 100, .late_intervals = 250,
     .help = "of 1,000 for one bucket, in 250 past intervals: 1,000 cells at four levels"},
    {"past.one-now", BENCH_INGEST, PAST(K, DAY),                           .help = "of 1,000 for 1,000 buckets, punctual"},

    {"mixed.0",  BENCH_MIXED, MIX, .help = "90 % questions, 10 % single events"},
    {"mixed.1",  BENCH_MIXED, MIX, .late_percent = 1,  .help = "the same, 1 % of the events late"},
    {"mixed.10", BENCH_MIXED, MIX, .late_percent = 10, .help = "the same, 10 % of the events late"},

    {"list.15min",  BENCH_LIST, YEAR_OF_ONE, .clients = 16, .intervals = 1,     .is_short = true,
     .help = "ListMetrics of one bucket, 15 minutes"},
    {"list.day",    BENCH_LIST, YEAR_OF_ONE, .clients = 16, .intervals = DAY,   .is_short = true, .help = "a day"},
    {"list.30days", BENCH_LIST, YEAR_OF_ONE, .clients = 16, .intervals = MONTH, .is_short = true, .help = "30 days"},
    {"list.year",   BENCH_LIST, YEAR_OF_ONE, .clients = 16, .intervals = YEAR,  .is_short = true, .help = "a year"},
    {"list.late-200", BENCH_LIST, YEAR_OF_ONE, .clients = 16, .intervals = MONTH, .late_filled = 200,
     .help = "30 days, and 200 events came late in the year"},
    {"list.late-10k", BENCH_LIST, YEAR_OF_ONE, .clients = 16, .intervals = MONTH, .late_filled = 10 * K,
     .help = "30 days, and 10,000 events did"},
    {"list.100",    BENCH_LIST, .clients = 16, .batch = 1, .buckets = K, .history = DAY, .names = 100,
     .intervals = DAY / 2, .help = "100 resources in one question"},

    {"turn.10k", BENCH_ROLLOVER, BATCH(1000, 10 * K), .uuids = true,
     .help = "the first touch of each of 10,000 buckets in a new interval"},
    {"start.10k", BENCH_START, .clients = 1, .batch = 1, .buckets = 10 * K, .history = 1, .is_short = true,
     .help = "start-up with 10,000 buckets"},
    {"start.10g", BENCH_START, .clients = 1, .batch = 1, .buckets = 10 * K, .history = 1, .known_uuids = 265 * M,
     .is_huge = true, .help = "start-up with 10 GB: uuids of a day at 3,000 events a second"},

    {"million.64",   BENCH_INGEST, .clients = 64, .batch = 1, .buckets = M, .history = 1, .uuids = true,
     .help = "single events, 64 clients, a million buckets"},
    {"million.1000", BENCH_INGEST, BATCH(1000, M), .uuids = true,
     .help = "requests of 1,000 events, a million buckets"},
    {"turn.1m",      BENCH_ROLLOVER,   BATCH(1000, M), .uuids = true,
     .help = "the first touch of each of a million buckets in a new interval"},
    {"start.1m",     BENCH_START,  .clients = 1, .batch = 1, .buckets = M, .history = 1,
     .help = "start-up with a million buckets"},
    {.name = NULL},
};
/* clang-format on */

bool bench_workload_is(const bench_workload *workload, const char *word)
{
    const size_t size = strlen(word);
    return strncmp(workload->name, word, size) == 0 &&
           (workload->name[size] == '\0' || (workload->name[size] == '.' && !workload->is_huge));
}

const char *bench_workload_unit(const bench_workload *workload)
{
    static const char *const units[] = {[BENCH_INGEST] = "events",
                                        [BENCH_ROLLOVER] = "events",
                                        [BENCH_LIST] = "questions",
                                        [BENCH_MIXED] = "requests",
                                        [BENCH_START] = "starts"};
    return units[workload->kind];
}

bool bench_workload_counts_events(const bench_workload *workload)
{
    return workload->kind == BENCH_INGEST || workload->kind == BENCH_ROLLOVER;
}

unsigned bench_workload_units(const bench_workload *workload)
{
    return bench_workload_counts_events(workload) ? workload->batch : 1;
}

unsigned bench_workload_group_events(const bench_workload *workload)
{
    enum { GROUP_MAX = 20000 }; /* of the committer */
    const uint64_t events = (uint64_t)workload->clients * bench_workload_units(workload);
    return events > GROUP_MAX ? GROUP_MAX : (unsigned)events;
}
