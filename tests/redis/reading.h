/* SPDX-License-Identifier: Apache-2.0 */
/**
 * reading.h - a Redis of a test's own, a backend that reads from it, and a connection of a Node client's kind.
 */
#ifndef REDIS_READING_H
#define REDIS_READING_H

#include "check.h"

#include "redis_internal.h"
#include "redis_server.h"

#define INTERVAL UTAPI_INTERVAL_MS
#define DAY      INT64_C(86400000)

typedef struct reading {
    redis_server server;
    redisContext *raw;     /* writes keys as a Node client does */
    redis_backend backend; /* reads them, and writes its own */
    utapi_error err;
    int64_t now_ms; /* Redis's clock at the beginning of the case */
    int64_t today;  /* the first millisecond of its day */
} reading;

/** cmocka's setup and teardown of a case: an empty Redis. */
int reading_setup(void **state);
int reading_teardown(void **state);

#define READING_CASE(name) cmocka_unit_test_setup_teardown(name, reading_setup, reading_teardown)

/** Runs a command of printf's kind (hiredis's); it must not fail. */
void raw(reading *r, const char *format, ...);

/** The integer that a command answers. */
long long raw_number(reading *r, const char *format, ...);

/** Adds to a flow of a bucket as a Node client does. */
void raw_flow(reading *r, const char *bucket, utapi_interval interval, const char *metric, long long amount);

/** Counts a putObject of one byte for a bucket, as utapid does. */
void write_put(reading *r, const char *bucket, int64_t time_ms);

/** Fills days with flows, as a Node client does; returns how many puts that are. */
int64_t write_days(reading *r, const char *bucket, utapi_interval first, int days);

/** Writes keys that are none of ours. */
void write_others(reading *r, int count);

/** How many days of a bucket have a rollup. */
long long summaries(reading *r, const char *name);

/** The first interval of a day that is closed: `back` days before yesterday. */
utapi_interval closed_day(const reading *r, int back);

/** The interval of now. */
utapi_interval interval_now(const reading *r);

/** The usage of one resource over [start, end]; it must be answered, however long that takes. */
utapi_usage ask(reading *r, utapi_level level, const char *name, utapi_interval start, utapi_interval end);

/** Of a bucket. */
utapi_usage query_bucket(reading *r, const char *bucket, utapi_interval start, utapi_interval end);

/** A flow of it. */
int64_t puts_of(const utapi_usage *usage);

#endif
