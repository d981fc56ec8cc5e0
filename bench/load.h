/* SPDX-License-Identifier: Apache-2.0 */
/**
 * load.h - keeps a number of clients busy and measures how long each request takes.
 *
 * Closed loop: a client sends its next request when it has the answer to the one before. Open loop: requests
 * are due at fixed times, whether the one before was answered or not; a request's time counts from when it was due, so
 * that a stall is seen by all that had to wait for it, and what was due and never sent counts until the end.
 *
 * A transport starts requests and tells of those that are done. All on one thread.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "generator.h"
#include "histogram.h"
#include "utapi/status.h"

typedef struct load load;

/** How requests reach what is measured. */
typedef struct load_transport {
    void *ctx;

    /** Starts a request of a client that has none under way. load_done() may be called before it returns. */
    utapi_status (*start)(void *ctx, load *self, unsigned client, const bench_request *request,
                          utapi_error *err);

    /** Waits, at most so long, and calls load_done() for each request that is done. */
    utapi_status (*wait)(void *ctx, load *self, int64_t most_ns, utapi_error *err);
} load_transport;

typedef struct load_options {
    unsigned clients;
    double rate;       /* requests a second; 0: closed loop */
    double duration_s; /* 0: until the generator has no more */
} load_options;

typedef struct load_result {
    uint64_t requests; /* that were answered in the time that is measured: after a warm-up of a tenth */
    uint64_t events;   /* in those of them that brought some */
    uint64_t failed;   /* of them: refused, or wrong */
    uint64_t unsent;   /* open loop: due, and not sent when the time was over */
    double seconds;    /* that were measured */
    histogram latency;
    char failure[160]; /* the first one */
} load_result;

/** For transports: a request is done. @param failure  NULL: it went well; else a sentence, copied */
void load_done(load *self, unsigned client, int64_t done_ns, const char *failure);

/**
 * Runs a load.
 *
 * @param generator  what is sent; advanced
 * @return UTAPI_UNAVAILABLE if it was interrupted, or if answers do not come; what the transport returned
 */
UTAPI_MUST_USE utapi_status load_run(const load_transport *transport, const load_options *options,
                                     bench_generator *generator, load_result *ret, utapi_error *err);

#endif
