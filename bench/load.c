/* SPDX-License-Identifier: Apache-2.0 */
/* load.c - the loop: start what is due, wait for what is under way, count what is done. */
#include "load.h"

#include "interrupt.h"
#include "utapi/clock.h"
#include "utapi/scoped.h"

#include <stdio.h>
#include <string.h>

#define NS_PER_S      INT64_C(1000000000)
#define WAIT_MOST_NS  (NS_PER_S / 10) /* so that a signal is noticed */
#define ANSWER_WAIT_S 60              /* for what is under way when the time is over */

typedef struct client_state {
    int64_t due_ns; /* of the request under way: when it was, or should have been, sent */
    unsigned events;
} client_state;

struct load {
    const load_transport *transport;
    const load_options *options;
    bench_generator *generator;
    load_result *result;

    int64_t begin_ns, warm_ns, end_ns; /* end: INT64_MAX without a duration */
    uint64_t started;
    bool is_exhausted;

    client_state *clients; /* owned */
    unsigned *idle;        /* owned; a stack of those that have no request under way */
    unsigned idle_count;
};

/* When the next request is due: at once, unless there is a rate. */
static int64_t next_due_ns(const load *self, int64_t now_ns)
{
    if (self->options->rate <= 0)
        return now_ns;
    return self->begin_ns + (int64_t)((double)self->started * (double)NS_PER_S / self->options->rate);
}

void load_done(load *self, unsigned client, int64_t done_ns, const char *failure)
{
    const client_state *state = &self->clients[client];
    load_result *result = self->result;
    self->idle[self->idle_count++] = client;
    if (failure != NULL && result->failed++ == 0)
        (void)snprintf(result->failure, sizeof result->failure, "%s", failure);
    if (done_ns < self->warm_ns)
        return;
    histogram_add(&result->latency, done_ns - state->due_ns);
    if (done_ns > self->end_ns)
        return; /* its time counts, but it is no part of the rate */
    result->requests++;
    result->events += state->events;
    if (self->options->duration_s <= 0)
        result->seconds = (double)(done_ns - self->warm_ns) / (double)NS_PER_S;
}

static utapi_status start_due(load *self, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    /* No more than one for each client: a transport that answers at once must not keep the others waiting. */
    for (unsigned i = 0; i < self->options->clients && status == UTAPI_OK; i++) {
        if (self->idle_count == 0 || self->is_exhausted)
            break;
        const int64_t now_ns = utapi_monotonic_ns();
        const int64_t due_ns = next_due_ns(self, now_ns);
        if (now_ns >= self->end_ns || due_ns > now_ns)
            break;
        bench_request request;
        self->is_exhausted = !bench_generator_next(self->generator, &request);
        if (self->is_exhausted)
            break;
        const unsigned client = self->idle[--self->idle_count];
        self->clients[client] = (client_state){.due_ns = due_ns, .events = request.item_count};
        self->started++;
        status = self->transport->start(self->transport->ctx, self, client, &request, err);
    }
    return status;
}

static int64_t wait_ns(const load *self, int64_t now_ns)
{
    int64_t until_ns = now_ns + WAIT_MOST_NS;
    const bool is_over = now_ns >= self->end_ns || self->is_exhausted;
    if (self->idle_count > 0 && !is_over && next_due_ns(self, now_ns) < until_ns)
        until_ns = next_due_ns(self, now_ns);
    if (now_ns < self->end_ns && self->end_ns < until_ns)
        until_ns = self->end_ns;
    return until_ns > now_ns ? until_ns - now_ns : 0;
}

/* What was due and not sent has waited at least until the end. */
static void count_unsent(load *self)
{
    if (self->options->rate <= 0)
        return;
    for (;; self->started++) {
        const int64_t due_ns = next_due_ns(self, 0);
        if (due_ns >= self->end_ns)
            break;
        if (due_ns >= self->warm_ns)
            histogram_add(&self->result->latency, self->end_ns - due_ns);
        self->result->unsent++;
    }
}

static utapi_status loop(load *self, utapi_error *err)
{
    const unsigned clients = self->options->clients;
    for (;;) {
        utapi_status status = start_due(self, err);
        const int64_t now_ns = utapi_monotonic_ns();
        const bool is_over = now_ns >= self->end_ns || self->is_exhausted;
        if (status != UTAPI_OK || (is_over && self->idle_count == clients))
            return status;
        if (bench_is_interrupted())
            return utapi_fail(err, UTAPI_UNAVAILABLE, "interrupted");
        if (self->end_ns != INT64_MAX && now_ns - self->end_ns > ANSWER_WAIT_S * NS_PER_S)
            return utapi_fail(err, UTAPI_UNAVAILABLE, "%u requests were not answered within %d s",
                              clients - self->idle_count, ANSWER_WAIT_S);
        status = self->transport->wait(self->transport->ctx, self, wait_ns(self, now_ns), err);
        if (status != UTAPI_OK)
            return status;
    }
}

utapi_status load_run(const load_transport *transport, const load_options *options,
                      bench_generator *generator, load_result *ret, utapi_error *err)
{
    UTAPI_AUTO_FREE client_state *clients = calloc(options->clients, sizeof *clients);
    UTAPI_AUTO_FREE unsigned *idle = calloc(options->clients, sizeof *idle);
    if (clients == NULL || idle == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "%u clients", options->clients);
    *ret = (load_result){.seconds = options->duration_s * 0.9};
    load self = {.transport = transport,
                 .options = options,
                 .generator = generator,
                 .result = ret,
                 .begin_ns = utapi_monotonic_ns(),
                 .end_ns = INT64_MAX,
                 .clients = clients,
                 .idle = idle};
    self.warm_ns = self.begin_ns + (int64_t)(options->duration_s * 0.1 * (double)NS_PER_S);
    if (options->duration_s > 0)
        self.end_ns = self.begin_ns + (int64_t)(options->duration_s * (double)NS_PER_S);
    while (self.idle_count < options->clients) {
        idle[self.idle_count] = options->clients - 1 - self.idle_count;
        self.idle_count++;
    }
    const utapi_status status = loop(&self, err);
    if (status == UTAPI_OK && options->duration_s > 0)
        count_unsent(&self);
    return status;
}
