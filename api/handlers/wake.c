/* SPDX-License-Identifier: Apache-2.0 */
/* wake.c - which posts are told that they failed although their event counts.
 *
 * A storage server may be many processes behind one address, each of which keeps events of its own: so some posts of
 * each source are, not one. Outside the period this is two loads of an atomic. */
#include "handlers/wake.h"

#include "handlers/policy.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SECOND_MS  INT64_C(1000)
#define SENDING_MS INT64_C(2000) /* after the healthcheck, or after a piece of what was kept */

enum { SOURCES = 64 };

typedef struct wake_source {
    char name[UTAPI_SOURCE_MAX + 1];
    int64_t sending_ms; /* when it last began to send what it kept, or went on */
    int64_t second;     /* in which `told` were told */
    unsigned told;
} wake_source;

struct wake {
    int64_t period_ms;
    int64_t (*monotonic_ms)(void);
    _Atomic int64_t until_ms; /* the end of the period */
    atomic_bool has_failed;   /* and nothing was stored since */

    pthread_mutex_t lock;             /* guards what follows */
    wake_source sources[SOURCES + 1]; /* the last one: all others */
    size_t source_count;
};

wake *wake_new(int64_t period_ms, int64_t (*monotonic_ms)(void))
{
    wake *self = calloc(1, sizeof *self);
    if (self == NULL)
        return NULL;
    self->period_ms = period_ms;
    self->monotonic_ms = monotonic_ms;
    self->until_ms = monotonic_ms() + period_ms;
    (void)pthread_mutex_init(&self->lock, NULL);
    return self;
}

void wake_free(wake *self)
{
    if (self == NULL)
        return;
    (void)pthread_mutex_destroy(&self->lock);
    free(self);
}

void wake_failed(wake *self)
{
    if (self != NULL)
        self->has_failed = true;
}

/* The HTTP library of CloudServer's client names itself in each request. */
static bool is_storage_server(const http_request *request)
{
    static const char name[] = "needle/";
    const utapi_string agent = http_request_header(request, "user-agent");
    return agent.size >= sizeof name - 1 && strncasecmp(agent.data, name, sizeof name - 1) == 0;
}

/* With the lock held. */
static wake_source *source_of(wake *self, const http_request *request)
{
    char name[UTAPI_SOURCE_MAX + 1];
    size_t i = 0;
    policy_source(request->peer, name);
    while (i < self->source_count && strcmp(self->sources[i].name, name) != 0)
        i++;
    if (i == self->source_count && i < SOURCES) {
        self->sources[i] = (wake_source){.sending_ms = INT64_MIN / 2, .second = -1};
        memcpy(self->sources[i].name, name, sizeof name);
        self->source_count++;
    }
    return &self->sources[i];
}

void wake_asked(wake *self, const http_request *request)
{
    const int64_t now_ms = self != NULL ? self->monotonic_ms() : 0;
    if (self == NULL || now_ms >= self->until_ms || !is_storage_server(request))
        return;
    (void)pthread_mutex_lock(&self->lock);
    source_of(self, request)->sending_ms = now_ms;
    (void)pthread_mutex_unlock(&self->lock);
}

/* What it kept comes in pieces of a hundred, of which the last may be a single event. */
static bool is_chosen(wake_source *source, size_t count, int64_t now_ms)
{
    if (count != 1 && now_ms - source->sending_ms < SENDING_MS)
        source->sending_ms = now_ms;
    if (count != 1 || now_ms - source->sending_ms < SENDING_MS)
        return false;
    if (source->second != now_ms / SECOND_MS) {
        source->second = now_ms / SECOND_MS;
        source->told = 0;
    }
    return source->told++ < WAKE_A_SECOND;
}

bool wake_wants(wake *self, const http_request *request, const utapi_event *events, size_t count)
{
    if (self == NULL)
        return false;
    const int64_t now_ms = self->monotonic_ms();
    if (self->has_failed && atomic_exchange(&self->has_failed, false))
        self->until_ms = now_ms + self->period_ms;
    const bool is_repeatable =
        count > 0 && events[0].uuid.size > 0 && events[0].timestamp_ms != UTAPI_NO_TIMESTAMP;
    if (now_ms >= self->until_ms || !is_repeatable || !is_storage_server(request))
        return false;
    (void)pthread_mutex_lock(&self->lock);
    const bool wants = is_chosen(source_of(self, request), count, now_ms);
    (void)pthread_mutex_unlock(&self->lock);
    return wants;
}
