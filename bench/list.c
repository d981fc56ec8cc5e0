/* SPDX-License-Identifier: Apache-2.0 */
/* list.c - how long ListMetrics takes for one bucket that has an event in every interval.
 *
 * A year and a day are stored, interval by interval, then ranges of several lengths are asked for in turn,
 * so that all of them meet the same state of the machine; medians are compared in one run. The day before the
 * year is there so that every range has a row before it, as ranges in real use have. */
#include "bench.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    DAY_INTERVALS = 96,
    YEAR_INTERVALS = 365 * DAY_INTERVALS,
    STORED_INTERVALS = YEAR_INTERVALS + DAY_INTERVALS,
    REQUEST_EVENTS = 1000
};

static const int64_t first_ms = INT64_C(1672531200000); /* 2023-01-01T00:00:00Z */

static const struct range_row {
    const char *name;
    size_t intervals;
} ranges[] = {
    {"15 min", 1},
    {"1 day", DAY_INTERVALS},
    {"30 days", 30 * DAY_INTERVALS},
    {"1 year", YEAR_INTERVALS},
};
enum { RANGES = sizeof ranges / sizeof *ranges, RANGE_DAY = 1 };

static utapi_event event_in(size_t interval)
{
    return (utapi_event){
        .operation = UTAPI_OP_PUT_OBJECT,
        .timestamp_ms = first_ms + (int64_t)interval * UTAPI_INTERVAL_MS,
        .bucket = utapi_string_of("photos"),
        .account = utapi_string_of("79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"),
        .storage_delta = 1024,
        .object_delta = 1,
        .incoming_bytes = 1024,
    };
}

static utapi_status fill(utapi_engine *engine, utapi_error *err)
{
    utapi_event events[REQUEST_EVENTS];
    utapi_status status = UTAPI_OK;
    for (size_t next = 0; next < STORED_INTERVALS && status == UTAPI_OK;) {
        size_t count = 0;
        while (count < REQUEST_EVENTS && next < STORED_INTERVALS)
            events[count++] = event_in(next++);
        status = utapi_engine_ingest(engine, events, count, err);
    }
    return status;
}

/* Asks for the newest so many intervals once, and checks the answer: a wrong one has no time. */
static utapi_status ask(utapi_engine *engine, size_t intervals, bench_samples *samples, utapi_error *err)
{
    const int64_t end_ms = first_ms + STORED_INTERVALS * UTAPI_INTERVAL_MS;
    const utapi_range range = {.start_ms = end_ms - (int64_t)intervals * UTAPI_INTERVAL_MS,
                               .end_ms = end_ms - 1};
    const utapi_string name = utapi_string_of("photos");
    utapi_usage usage;
    const int64_t begin_ns = bench_now_ns();
    const utapi_status status = utapi_engine_list(engine, UTAPI_BUCKETS, &name, 1, range, &usage, err);
    bench_samples_add(samples, bench_now_ns() - begin_ns);
    if (status != UTAPI_OK)
        return status;
    if (utapi_amounts_get(&usage.flows, UTAPI_INCOMING_BYTES) != (int64_t)intervals * 1024)
        return utapi_fail(err, UTAPI_CORRUPT, "the answer for %zu intervals is wrong", intervals);
    return UTAPI_OK;
}

static utapi_status measure(utapi_engine *engine, const bench_options *options, bench_samples *samples,
                            utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    for (size_t round = 0; round < options->rounds; round++)
        for (size_t i = 0; i < RANGES && status == UTAPI_OK; i++)
            status = ask(engine, ranges[i].intervals, &samples[i], err);
    return status;
}

static void print_line(const bench_options *options, const struct range_row *range, bench_samples *samples,
                       double day_us)
{
    const double p50_us = bench_samples_quantile_us(samples, 0.5);
    const double p99_us = bench_samples_quantile_us(samples, 0.99);
    if (options->json)
        printf("{\"workload\":\"list\",\"backend\":\"%s\",\"range\":\"%s\",\"intervals\":%zu,"
               "\"p50_us\":%.2f,\"p99_us\":%.2f,\"to_day\":%.3f}\n",
               options->backend->name, range->name, range->intervals, p50_us, p99_us, p50_us / day_us);
    else
        printf("%-10s %10zu %10.2f %10.2f %14.3f\n", range->name, range->intervals, p50_us, p99_us,
               p50_us / day_us);
}

static void print_figures(const bench_options *options, bench_samples *samples)
{
    const double day_us = bench_samples_quantile_us(&samples[RANGE_DAY], 0.5);
    if (!options->json)
        printf("%-10s %10s %10s %10s %14s\n", "range", "intervals", "p50 us", "p99 us", "p50 / 1 day");
    for (size_t i = 0; i < RANGES; i++)
        print_line(options, &ranges[i], &samples[i], day_us);
}

static utapi_status run(utapi_backend *backend, const bench_options *options, utapi_error *err)
{
    utapi_engine *engine = NULL;
    bench_samples samples[RANGES] = {{.count = 0}};
    utapi_status status = utapi_engine_new(backend, &utapi_engine_defaults, &engine, err);
    for (size_t i = 0; i < RANGES && status == UTAPI_OK; i++)
        if (!bench_samples_init(&samples[i], options->rounds))
            status = utapi_fail(err, UTAPI_NO_MEMORY, "%zu samples", options->rounds);
    if (status == UTAPI_OK)
        status = fill(engine, err);
    if (status == UTAPI_OK)
        status = measure(engine, options, samples, err);
    if (status == UTAPI_OK)
        print_figures(options, samples);
    for (size_t i = 0; i < RANGES; i++)
        bench_samples_done(&samples[i]);
    utapi_engine_free(engine);
    return status;
}

bool bench_list(const bench_options *options)
{
    const utapi_backend_options open_options = {.location = options->data_dir};
    utapi_error err;
    utapi_error_clear(&err);
    utapi_backend *backend = NULL;
    utapi_status status = utapi_backend_open(options->backend, &open_options, &backend, &err);
    if (status == UTAPI_OK)
        status = run(backend, options, &err);
    utapi_backend_close(backend);
    if (status != UTAPI_OK)
        fprintf(stderr, "utapi-bench: %s (%s)\n", err.detail, utapi_status_text(status));
    return status == UTAPI_OK;
}
