/* SPDX-License-Identifier: Apache-2.0 */
/**
 * telemetry.c - counters by route and status, and a small table of the refusals of the last ten seconds.
 *
 * The table has a place for each kind of refusal and address. Where many addresses are refused at once it is full, and
 * the rest share one count.
 */
#include "handlers/telemetry.h"

#include "handlers/log.h"
#include "handlers/policy.h"
#include "handlers/routes.h"
#include "utapi/clock.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every status that a reply may have; another one counts as the last. */
static const int statuses[] = {200, 400, 403, 408, 413, 431, 501, 503, 500};

enum { STATUSES = sizeof statuses / sizeof *statuses, KINDS = 64, KIND_BYTES = 128, RATE_SECONDS = 60 };
enum { SHARDS = 16, CACHE_LINE_BYTES = 64 };

/* A kind of refusal from an address, in the window that began with a line in the log. */
typedef struct refusal {
    char kind[KIND_BYTES]; /* "Ingest from 10.0.0.1: 400 InvalidParameterValue"; "": free */
    int64_t since_ms;
    unsigned long long more; /* that the log does not know of */
} refusal;

/* What a thread counts: threads have different ones, as far as there are enough, so none waits for a cache line. */
typedef struct shard {
    alignas(CACHE_LINE_BYTES) atomic_uint_fast64_t events[TELEMETRY_OUTCOMES];
    atomic_uint_fast64_t requests[HTTP_ROUTES + 1]
                                 [STATUSES]; /* the last row: refused before they had a route */
    atomic_uint_fast64_t took[HTTP_ROUTES + 1][UTAPI_HISTOGRAM_BUCKETS], took_ns[HTTP_ROUTES + 1];
} shard;

struct telemetry {
    const http_route *routes; /* HTTP_ROUTES of them */
    shard shards[SHARDS];
    int64_t started_ms;

    pthread_mutex_t lock; /* guards what follows */
    refusal refusals[KINDS];
    refusal others; /* for which there was no place */
    char last[TELEMETRY_LAST_BYTES];
    int64_t last_ms;
    struct {
        int64_t ms;
        uint64_t events;         /* accepted by then */
    } seconds[RATE_SECONDS + 1]; /* a ring: the oldest stands at `second` */
    size_t second;
};

telemetry *telemetry_new(const http_route *routes)
{
    telemetry *self = aligned_alloc(CACHE_LINE_BYTES, sizeof *self);
    if (self == NULL)
        return NULL;
    memset(self, 0, sizeof *self);
    self->routes = routes;
    self->started_ms = utapi_monotonic_ms();
    self->seconds[RATE_SECONDS].ms = self->started_ms;
    (void)pthread_mutex_init(&self->lock, NULL);
    (void)snprintf(self->others.kind, sizeof self->others.kind, "requests from other addresses");
    return self;
}

void telemetry_free(telemetry *self)
{
    if (self == NULL)
        return;
    telemetry_flush(self, INT64_MAX);
    (void)pthread_mutex_destroy(&self->lock);
    free(self);
}

/* ---- counters ------------------------------------------------------------------------------ */

static shard *own_shard(telemetry *self)
{
    static atomic_uint threads;
    static _Thread_local unsigned number; /* from 1 */
    if (number == 0)
        number = atomic_fetch_add(&threads, 1) + 1;
    return &self->shards[number % SHARDS];
}

static void count(atomic_uint_fast64_t *counter, uint64_t more)
{
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

/* The sum of a counter over all shards, which stands at the same place in each. */
static uint64_t sum(const telemetry *self, const atomic_uint_fast64_t *in_first)
{
    const size_t offset = (size_t)((const char *)in_first - (const char *)&self->shards[0]);
    uint64_t all = 0;
    for (size_t i = 0; i < SHARDS; i++)
        all += atomic_load_explicit(
            (const atomic_uint_fast64_t *)(const void *)((const char *)&self->shards[i] + offset),
            memory_order_relaxed);
    return all;
}

void telemetry_count_events(telemetry *self, telemetry_outcome outcome, size_t events)
{
    if (self != NULL)
        count(&own_shard(self)->events[outcome], events);
}

uint64_t telemetry_events(const telemetry *self, telemetry_outcome outcome)
{
    return self != NULL ? sum(self, &self->shards[0].events[outcome]) : 0;
}

static const char *action_of(const telemetry *self, size_t row)
{
    return row < HTTP_ROUTES ? self->routes[row].action : "None";
}

static size_t row_of(const telemetry *self, const http_route *route)
{
    return route != NULL ? (size_t)(route - self->routes) : HTTP_ROUTES;
}

/* Of the target the path alone: a query may hold a signature. */
static void access_log(const telemetry *self, const http_call *call, int64_t took_ns)
{
    const http_request *request = &call->request;
    char address[UTAPI_SOURCE_MAX + 1];
    policy_source(request->peer, address);
    const log_member members[] = {
        {.name = "client", .text = utapi_string_of(address)},
        {.name = "action", .text = utapi_string_of(action_of(self, row_of(self, call->route)))},
        {.name = "method", .text = request->method},
        {.name = "path", .text = request->path},
        {.name = "status", .number = call->reply.status},
        {.name = "ms", .number = took_ns / 1000000},
        {.name = "bytes_in", .number = (int64_t)request->body.size},
        {.name = "bytes_out", .number = (int64_t)call->reply.size},
        {.name = "key", .text = call->key != NULL ? call->key->access : utapi_string_of("")},
    };
    log_write_members(LOG_LEVEL_INFO, call->request_id, "access", members, sizeof members / sizeof *members);
}

void telemetry_count_request(telemetry *self, const http_call *call)
{
    if (self == NULL)
        return;
    size_t i = 0;
    while (i < STATUSES - 1 && statuses[i] != call->reply.status)
        i++;
    const size_t row = row_of(self, call->route);
    const int64_t took_ns = utapi_monotonic_ns() - call->began_ns;
    shard *own = own_shard(self);
    count(&own->requests[row][i], 1);
    count(&own->took[row][utapi_histogram_bucket(took_ns)], 1);
    count(&own->took_ns[row], (uint64_t)took_ns);
    if (log_wants_access())
        access_log(self, call, took_ns);
}

/* The first row with the action of a row. */
static size_t first_row_of(const telemetry *self, size_t row)
{
    size_t first = 0;
    while (first < row && strcmp(action_of(self, first), action_of(self, row)) != 0)
        first++;
    return first;
}

bool telemetry_durations(const telemetry *self, size_t row, const char **ret_action, utapi_histogram *ret)
{
    uint64_t all = 0;
    *ret = (utapi_histogram){.sum_ns = 0};
    if (self == NULL || first_row_of(self, row) != row)
        return false;
    for (size_t other = row; other <= HTTP_ROUTES; other++) {
        if (first_row_of(self, other) != row)
            continue;
        ret->sum_ns += sum(self, &self->shards[0].took_ns[other]);
        for (size_t i = 0; i < UTAPI_HISTOGRAM_BUCKETS; i++) {
            const uint64_t more = sum(self, &self->shards[0].took[other][i]);
            ret->counts[i] += more;
            all += more;
        }
    }
    *ret_action = action_of(self, row);
    return all > 0;
}

int64_t telemetry_uptime_ms(const telemetry *self)
{
    return self != NULL ? utapi_monotonic_ms() - self->started_ms : 0;
}

/* With the lock held: notes how many there are by now. */
static void second_note(telemetry *self, int64_t now_ms)
{
    self->seconds[self->second].ms = now_ms;
    self->seconds[self->second].events = telemetry_events(self, TELEMETRY_ACCEPTED);
    self->second = (self->second + 1) % (RATE_SECONDS + 1);
}

int64_t telemetry_rate(telemetry *self)
{
    if (self == NULL)
        return 0;
    (void)pthread_mutex_lock(&self->lock);
    size_t oldest = self->second;
    while (self->seconds[oldest].ms == 0) /* there always is the start */
        oldest = (oldest + 1) % (RATE_SECONDS + 1);
    const int64_t span_ms = utapi_monotonic_ms() - self->seconds[oldest].ms;
    const uint64_t events = telemetry_events(self, TELEMETRY_ACCEPTED) - self->seconds[oldest].events;
    (void)pthread_mutex_unlock(&self->lock);
    return span_ms > 0 ? (int64_t)((double)events * 1000 / (double)span_ms + 0.5) : 0;
}

void telemetry_requests(const telemetry *self, telemetry_requests_cb *on_requests, void *ctx)
{
    uint64_t counts[HTTP_ROUTES + 1][STATUSES] = {0};
    for (size_t row = 0; self != NULL && row <= HTTP_ROUTES; row++)
        for (size_t i = 0; i < STATUSES; i++)
            counts[first_row_of(self, row)][i] += sum(self, &self->shards[0].requests[row][i]);
    for (size_t row = 0; row <= HTTP_ROUTES; row++)
        for (size_t i = 0; i < STATUSES; i++)
            if (counts[row][i] > 0)
                on_requests(ctx, action_of(self, row), statuses[i], counts[row][i]);
}

/* ---- refusals ------------------------------------------------------------------------------ */

/* Writes the count of a window that is over, and ends it. */
static void window_end(refusal *kind)
{
    if (kind->more > 0)
        log_write(LOG_LEVEL_WARN, NULL, "refused: %s: %llu more in the last %d s", kind->kind, kind->more,
                  TELEMETRY_WINDOW_MS / 1000);
    kind->more = 0;
}

static bool window_is_over(const refusal *kind, int64_t now_ms)
{
    return now_ms - kind->since_ms >= TELEMETRY_WINDOW_MS;
}

/* Counts a refusal; true if it begins a window, so that the log is to have a line. */
static bool refusal_begins(telemetry *self, const char *name, size_t count, int64_t now_ms)
{
    refusal *unused = NULL;
    for (size_t i = 0; i < KINDS; i++) {
        refusal *kind = &self->refusals[i];
        const bool is_same = strcmp(kind->kind, name) == 0;
        if (is_same && !window_is_over(kind, now_ms)) {
            kind->more += count;
            return false;
        }
        if (is_same || (unused == NULL && (*kind->kind == '\0' || window_is_over(kind, now_ms))))
            unused = kind;
        if (is_same)
            break;
    }
    if (unused == NULL) {
        self->others.since_ms = self->others.more == 0 ? now_ms : self->others.since_ms;
        self->others.more += count;
        return false;
    }
    if (*unused->kind != '\0')
        window_end(unused);
    *unused = (refusal){.since_ms = now_ms};
    (void)snprintf(unused->kind, sizeof unused->kind, "%s", name);
    return true;
}

void telemetry_log_refusal(telemetry *self, const http_call *call, const http_failure *failure,
                           const char *reason)
{
    static const char quoted[] = " near '"; /* the JSON parser quotes what it cannot read */
    char kind[KIND_BYTES], address[UTAPI_SOURCE_MAX + 1];
    if (self == NULL || !log_wants(LOG_LEVEL_WARN))
        return;
    policy_source(call->request.peer, address);
    (void)snprintf(kind, sizeof kind, "%s from %s: %d %s", action_of(self, row_of(self, call->route)),
                   address, http_error_status(failure->error), http_error_code(failure->error));
    (void)pthread_mutex_lock(&self->lock);
    const bool begins = refusal_begins(self, kind, 1, utapi_monotonic_ms());
    (void)pthread_mutex_unlock(&self->lock);
    if (!begins)
        return;
    const char *shown = reason != NULL ? reason : http_failure_message(failure);
    const char *quotation = strstr(shown, quoted);
    const int size = (int)(quotation != NULL ? (size_t)(quotation - shown) : strlen(shown));
    log_write(LOG_LEVEL_WARN, call->request_id, "refused: %s: %.*s", kind, size, shown);
    (void)pthread_mutex_lock(&self->lock);
    (void)snprintf(self->last, sizeof self->last, "%s: %.*s", kind, size, shown);
    self->last_ms = utapi_wall_ms();
    (void)pthread_mutex_unlock(&self->lock);
}

int64_t telemetry_last_refusal(telemetry *self, char ret[static TELEMETRY_LAST_BYTES])
{
    *ret = '\0';
    if (self == NULL)
        return 0;
    (void)pthread_mutex_lock(&self->lock);
    memcpy(ret, self->last, sizeof self->last);
    const int64_t at_ms = self->last_ms;
    (void)pthread_mutex_unlock(&self->lock);
    return at_ms;
}

void telemetry_log_letters(telemetry *self, const http_call *call, const utapi_refusal *why, size_t count)
{
    char kind[KIND_BYTES];
    if (self == NULL || count == 0 || !log_wants(LOG_LEVEL_WARN))
        return;
    (void)snprintf(kind, sizeof kind, "events from %.*s: %s", (int)why->source.size, why->source.data,
                   utapi_reason_name(why->reason));
    (void)pthread_mutex_lock(&self->lock);
    const bool begins = refusal_begins(self, kind, count, utapi_monotonic_ms());
    (void)pthread_mutex_unlock(&self->lock);
    if (begins)
        log_write(LOG_LEVEL_WARN, call->request_id, "refused: %s: %zu became dead letters: %s", kind, count,
                  why->detail);
}

void telemetry_flush(telemetry *self, int64_t now_ms)
{
    if (self == NULL)
        return;
    (void)pthread_mutex_lock(&self->lock);
    for (size_t i = 0; i < KINDS; i++) {
        refusal *kind = &self->refusals[i];
        if (*kind->kind == '\0' || !window_is_over(kind, now_ms))
            continue;
        window_end(kind);
        *kind = (refusal){0};
    }
    if (window_is_over(&self->others, now_ms))
        window_end(&self->others);
    if (now_ms != INT64_MAX)
        second_note(self, now_ms);
    (void)pthread_mutex_unlock(&self->lock);
}
