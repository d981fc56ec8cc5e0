/* SPDX-License-Identifier: Apache-2.0 */
/* policy.c - the limits of events, one after the other; the first that an event is beyond is its reason.
 *
 * A name is new if neither the storage knows it nor this process has let it in. Names that were let in are remembered
 * by their hashes: what waits to be stored is not known to the storage yet, and one behind a journal is not asked. New
 * names are counted by source in hours of the clock; sources beyond a number share one count. */
#include "handlers/policy.h"

#include "utapi/hash.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define HOUR_MS INT64_C(3600000)

enum { SOURCES = 256, NAMES_FIRST = 1024, NAMES_MOST = 1 << 23, DETAIL_BYTES = 128 };

struct policy {
    policy_limits limits;
    utapi_engine *engine;
    char details[POLICY_REASONS][DETAIL_BYTES];

    pthread_mutex_t lock; /* guards what follows */
    uint64_t seed;
    uint64_t *names; /* hashes, open addressing; 0: free */
    size_t capacity, count;
    int64_t hour;
    struct {
        char source[UTAPI_SOURCE_MAX + 1];
        int64_t names;      /* new ones, in this hour */
    } sources[SOURCES + 1]; /* the last one: all others */
    size_t source_count;
};

policy *policy_new(const policy_limits *limits, utapi_engine *engine)
{
    policy *self = calloc(1, sizeof *self);
    const time_t earliest = (time_t)(limits->earliest_ms / 1000);
    struct tm date;
    char text[32];
    if (self == NULL)
        return NULL;
    self->limits = *limits;
    self->engine = engine;
    (void)pthread_mutex_init(&self->lock, NULL);
    if (getrandom(&self->seed, sizeof self->seed, 0) != (ssize_t)sizeof self->seed)
        self->seed = UTAPI_HASH_SEED;
    (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&earliest, &date));
    (void)snprintf(self->details[UTAPI_REASON_EARLY], DETAIL_BYTES, "older than limits.earliest (%s)", text);
    (void)snprintf(self->details[UTAPI_REASON_LATE], DETAIL_BYTES,
                   "later than limits.maxLateness allows (%lld s)",
                   (long long)limits->max_lateness_ms / 1000);
    (void)snprintf(self->details[UTAPI_REASON_AMOUNT], DETAIL_BYTES,
                   "an amount beyond limits.maxAmount (%lld)", (long long)limits->max_amount);
    (void)snprintf(self->details[UTAPI_REASON_NEW_RESOURCE], DETAIL_BYTES,
                   "a new name beyond limits.maxNewResources (%lld an hour and source)",
                   (long long)limits->max_new_resources);
    return self;
}

void policy_free(policy *self)
{
    if (self == NULL)
        return;
    (void)pthread_mutex_destroy(&self->lock);
    free(self->names);
    free(self);
}

void policy_source(const struct sockaddr *peer, char ret[static UTAPI_SOURCE_MAX + 1])
{
    const void *address = NULL;
    if (peer != NULL && peer->sa_family == AF_INET)
        address = &((const struct sockaddr_in *)(const void *)peer)->sin_addr;
    else if (peer != NULL && peer->sa_family == AF_INET6)
        address = &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr;
    if (address == NULL || inet_ntop(peer->sa_family, address, ret, UTAPI_SOURCE_MAX + 1) == NULL)
        (void)snprintf(ret, UTAPI_SOURCE_MAX + 1, "within");
}

/* ---- names, with the lock held ------------------------------------------------------------ */

/* Where a hash stands, or would. */
static uint64_t *name_slot(uint64_t *names, size_t capacity, uint64_t hash)
{
    size_t at = utapi_hash_end(hash) & (capacity - 1);
    while (names[at] != 0 && names[at] != hash)
        at = (at + 1) & (capacity - 1);
    return &names[at];
}

static bool name_is_remembered(const policy *self, uint64_t hash)
{
    return self->capacity > 0 && *name_slot(self->names, self->capacity, hash) == hash;
}

/* Where there is no room, no further name is new. */
static bool names_have_room(policy *self)
{
    if (2 * self->count < self->capacity)
        return true;
    const size_t capacity = self->capacity > 0 ? 2 * self->capacity : NAMES_FIRST;
    uint64_t *names = capacity <= NAMES_MOST ? calloc(capacity, sizeof *names) : NULL;
    if (names == NULL)
        return self->count + 1 < self->capacity;
    for (size_t i = 0; i < self->capacity; i++)
        if (self->names[i] != 0)
            *name_slot(names, capacity, self->names[i]) = self->names[i];
    free(self->names);
    self->names = names;
    self->capacity = capacity;
    return true;
}

static void name_remember(policy *self, uint64_t hash)
{
    if (!names_have_room(self))
        return;
    uint64_t *slot = name_slot(self->names, self->capacity, hash);
    self->count += *slot == 0;
    *slot = hash;
}

static bool name_is_new(policy *self, utapi_level level, utapi_string name, uint64_t *ret_hash)
{
    bool is_known = false;
    *ret_hash = utapi_hash_add(self->seed + level, name.data, name.size) | 1;
    if (name.size == 0 || name_is_remembered(self, *ret_hash) || !names_have_room(self))
        return false;
    if (utapi_engine_knows(self->engine, level, name, &is_known, NULL) != UTAPI_OK)
        return false; /* a storage that does not answer refuses the events itself */
    if (is_known)
        name_remember(self, *ret_hash);
    return !is_known;
}

/* How many new names a source has brought in this hour. */
static int64_t *source_count(policy *self, const char *source, int64_t now_ms)
{
    if (self->hour != now_ms / HOUR_MS) {
        self->hour = now_ms / HOUR_MS;
        self->source_count = 0;
        self->sources[SOURCES].names = 0;
    }
    size_t i = 0;
    while (i < self->source_count && strcmp(self->sources[i].source, source) != 0)
        i++;
    if (i == self->source_count && i < SOURCES) {
        self->source_count++;
        (void)snprintf(self->sources[i].source, sizeof self->sources[i].source, "%s", source);
        self->sources[i].names = 0;
    }
    return &self->sources[i].names;
}

/* Lets the new names of an event in; false, and none of them, if they are too many. */
static bool names_let_in(policy *self, const utapi_event *event, int64_t *count)
{
    const struct {
        utapi_level level;
        utapi_string name;
    } names[] = {{UTAPI_BUCKETS, event->bucket},
                 {UTAPI_ACCOUNTS, event->account},
                 {UTAPI_USERS, event->user},
                 {UTAPI_LOCATIONS, event->location}};
    uint64_t hashes[sizeof names / sizeof *names];
    size_t new_ones = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!event->location_only || names[i].level == UTAPI_LOCATIONS)
            new_ones += name_is_new(self, names[i].level, names[i].name, &hashes[new_ones]);
    if (*count + (int64_t)new_ones > self->limits.max_new_resources)
        return new_ones == 0;
    *count += (int64_t)new_ones;
    for (size_t i = 0; i < new_ones; i++)
        name_remember(self, hashes[i]);
    return true;
}

/* ---- judging ------------------------------------------------------------------------------ */

static bool is_beyond(int64_t amount, int64_t limit)
{
    return limit > 0 && (amount > limit || amount < -limit);
}

/* The limit that an event is beyond, names aside; POLICY_REASONS: none. */
static utapi_reason reason_of(const policy_limits *limits, const utapi_event *event, int64_t now_ms)
{
    if (event->timestamp_ms != UTAPI_NO_TIMESTAMP) {
        if (event->timestamp_ms < limits->earliest_ms)
            return UTAPI_REASON_EARLY;
        if (limits->max_lateness_ms > 0 && event->timestamp_ms < now_ms - limits->max_lateness_ms)
            return UTAPI_REASON_LATE;
    }
    const int64_t most = limits->max_amount;
    if (is_beyond(event->storage_delta, most) || is_beyond(event->object_delta, most) ||
        is_beyond(event->incoming_bytes, most) || is_beyond(event->outgoing_bytes, most))
        return UTAPI_REASON_AMOUNT;
    return (utapi_reason)POLICY_REASONS;
}

void policy_judge(policy *self, const struct sockaddr *peer, utapi_event *events, size_t count,
                  policy_verdict *ret)
{
    *ret = (policy_verdict){.source = ""};
    if (self == NULL)
        return;
    const int64_t now_ms = utapi_engine_now_ms(self->engine);
    const bool judges_names = self->limits.max_new_resources > 0;
    policy_source(peer, ret->source);
    for (unsigned reason = 0; reason < POLICY_REASONS; reason++)
        ret->refusals[reason] =
            (utapi_refusal){(utapi_reason)reason, self->details[reason], utapi_string_of(ret->source)};
    if (judges_names)
        (void)pthread_mutex_lock(&self->lock);
    for (size_t i = 0; i < count; i++) {
        utapi_reason reason = reason_of(&self->limits, &events[i], now_ms);
        if (judges_names && reason == (utapi_reason)POLICY_REASONS &&
            !names_let_in(self, &events[i], source_count(self, ret->source, now_ms)))
            reason = UTAPI_REASON_NEW_RESOURCE;
        if (reason == (utapi_reason)POLICY_REASONS)
            continue;
        events[i].refused = &ret->refusals[reason];
        ret->counts[reason]++;
    }
    if (judges_names)
        (void)pthread_mutex_unlock(&self->lock);
}
