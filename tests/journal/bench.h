/* SPDX-License-Identifier: Apache-2.0 */
/**
 * bench.h - a journal before a server.h, with a clock that the test owns.
 */
#ifndef JOURNAL_BENCH_H
#define JOURNAL_BENCH_H

#include "journal_internal.h"
#include "server.h"
#include "utapi/health.h"

enum { KEEP_MS = 64000 };

typedef struct bench {
    server server;
    char folder[256], location[300];
    utapi_journal_options options;
    journal_tuning tuning;
    utapi_backend *journal;
    utapi_error err;
} bench;

int bench_setup(void **state);
int bench_teardown(void **state);

void bench_open(bench *b);
void bench_close(bench *b);

/** Lets time pass on the clock that groups are kept by. */
void bench_pass(int64_t ms);

/** Takes events of so many bytes each for a bucket, as one group. */
utapi_status bench_take(bench *b, const char *bucket, size_t count, int64_t bytes);

/** The journal's answer for a bucket's objects. */
int64_t bench_objects(bench *b, const char *bucket);

/** What the storage's and the journal's stats say, as an engine joins them. */
utapi_health bench_stats(bench *b);

/** Dead letters, ever. */
uint64_t bench_letters(bench *b);

/** Waits until nothing waits any more. */
void bench_drained(bench *b);

/** Copies the journal's folder, which must be closed, to a place beside it, or back. */
void bench_copy(const char *from, const char *to);

#endif
