/* SPDX-License-Identifier: Apache-2.0 */
/* sources.c - a table that is searched from its beginning: there are few storage servers. */
#include "handlers/sources.h"

#include "handlers/policy.h"
#include "utapi/interval.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* An address, as its bytes. */
typedef struct peer_key {
    sa_family_t family;
    unsigned char bytes[16];
} peer_key;

struct sources {
    pthread_mutex_t lock;
    size_t count;
    peer_key keys[SOURCES_MAX];
    source all[SOURCES_MAX + 1]; /* the last one: those that have no place */
};

sources *sources_new(void)
{
    sources *self = calloc(1, sizeof *self);
    if (self == NULL)
        return NULL;
    (void)pthread_mutex_init(&self->lock, NULL);
    memcpy(self->all[SOURCES_MAX].name, "other", sizeof "other");
    return self;
}

void sources_free(sources *self)
{
    if (self == NULL)
        return;
    (void)pthread_mutex_destroy(&self->lock);
    free(self);
}

static peer_key key_of(const struct sockaddr *peer)
{
    peer_key key = {.family = 0};
    if (peer != NULL && peer->sa_family == AF_INET)
        memcpy(key.bytes, &((const struct sockaddr_in *)(const void *)peer)->sin_addr, 4);
    else if (peer != NULL && peer->sa_family == AF_INET6)
        memcpy(key.bytes, &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr, 16);
    else
        return key;
    key.family = peer->sa_family;
    return key;
}

/* With the lock held. */
static source *source_find(sources *self, const struct sockaddr *peer)
{
    const peer_key key = key_of(peer);
    size_t i = 0;
    while (i < self->count && (self->keys[i].family != key.family ||
                               memcmp(self->keys[i].bytes, key.bytes, sizeof key.bytes) != 0))
        i++;
    if (i == self->count && i < SOURCES_MAX) {
        self->keys[i] = key;
        policy_source(peer, self->all[i].name);
        self->count++;
    }
    return &self->all[i];
}

void sources_note(sources *self, const struct sockaddr *peer, const utapi_event *events, size_t count,
                  int64_t now_ms)
{
    uint64_t late = 0;
    int64_t oldest_ms = now_ms;
    const int64_t interval = utapi_interval_of(now_ms);
    if (self == NULL || count == 0)
        return;
    for (size_t i = 0; i < count; i++) {
        const int64_t time_ms = events[i].timestamp_ms;
        const bool has_time = time_ms != UTAPI_NO_TIMESTAMP;
        late += has_time && time_ms < interval;
        oldest_ms = has_time && time_ms < oldest_ms ? time_ms : oldest_ms;
    }
    (void)pthread_mutex_lock(&self->lock);
    source *from = source_find(self, peer);
    from->events += count;
    from->late += late;
    from->last_ms = now_ms;
    if (now_ms - oldest_ms > from->lateness_ms)
        from->lateness_ms = now_ms - oldest_ms;
    (void)pthread_mutex_unlock(&self->lock);
}

static int source_order(const void *left, const void *right)
{
    const int64_t a = ((const source *)left)->last_ms, b = ((const source *)right)->last_ms;
    return (a < b) - (a > b);
}

size_t sources_list(sources *self, source ret[static SOURCES_MAX + 1])
{
    if (self == NULL)
        return 0;
    (void)pthread_mutex_lock(&self->lock);
    size_t count = self->count;
    memcpy(ret, self->all, count * sizeof *ret);
    if (self->all[SOURCES_MAX].events > 0)
        ret[count++] = self->all[SOURCES_MAX];
    (void)pthread_mutex_unlock(&self->lock);
    qsort(ret, count, sizeof *ret, source_order);
    return count;
}
