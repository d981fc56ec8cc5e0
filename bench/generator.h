/* SPDX-License-Identifier: Apache-2.0 */
/**
 * generator.h - the requests of a workload, one after the other, the same ones for the same seed.
 *
 * An item is what an event or a question is about, in numbers; load_process.c makes structs of it, http_text.c
 * text. One thread at a time.
 */
#ifndef BENCH_GENERATOR_H
#define BENCH_GENERATOR_H

#include "workload.h"

#include <stdint.h>

/** One event. */
typedef struct bench_item {
    uint32_t bucket; /* its number */
    uint32_t size_bytes;
    int64_t time_ms;
    uint64_t uuid[2]; /* both zero: none */
} bench_item;

typedef struct bench_generator bench_generator;
typedef void bench_item_fn(bench_generator *generator, bench_item *ret);

struct bench_generator {
    const bench_workload *workload;
    bench_item_fn *item_next;
    int64_t origin_ms; /* the interval in which events happen: the last whole one when the store was filled */
    uint64_t random;
    uint64_t uuid_salt;
    uint64_t serial;     /* of the events so far */
    uint64_t first;      /* the serial at which a fixed piece of work began */
    uint64_t items_left; /* UINT64_MAX: no end */
    unsigned batch;
};

/** What a generator has for a client next. */
typedef struct bench_request {
    bool is_query;
    unsigned item_count; /* events; for a question 0 */
    uint32_t first_name; /* a number that the question's first bucket is taken by */
} bench_request;

/** A number between 0 and below - 1, by chance. */
uint64_t bench_random_below(uint64_t *random, uint64_t below);

/** Events for filling a store: one in each interval of the history for each bucket, in the order of time. */
void bench_generator_fill(bench_generator *generator);

/** The workload's own requests. A rollover is one interval later than the one before it. */
void bench_generator_measure(bench_generator *generator);

/** The next request; false if there is none left. Its items are to be fetched by bench_generator_item(). */
bool bench_generator_next(bench_generator *generator, bench_request *ret);
void bench_generator_item(bench_generator *generator, bench_item *ret);

/* Names, of fixed length so that texts can be written over in place. */
#define BENCH_BUCKET_FORMAT "bucket-%07u"
#define BENCH_LOCATION      "us-east-1"
enum { BENCH_BUCKET_SIZE = 14, BENCH_BUCKET_DIGITS = 7, BENCH_ACCOUNT_SIZE = 64, BENCH_ACCOUNTS = 100 };
enum { BENCH_UUID_SIZE = 36 };

/** The account that a bucket belongs to. */
static inline unsigned bench_account_of(uint32_t bucket)
{
    return bucket % BENCH_ACCOUNTS;
}

/** Canonical IDs, by an account's number: hexadecimal digits that have nothing in common, as in real life. */
typedef struct bench_accounts {
    char ids[BENCH_ACCOUNTS][BENCH_ACCOUNT_SIZE];
} bench_accounts;

void bench_accounts_make(bench_accounts *ret);

/** Writes a canonical uuid, without a NUL. */
void bench_uuid_write(const uint64_t uuid[2], char ret[BENCH_UUID_SIZE]);

#endif
