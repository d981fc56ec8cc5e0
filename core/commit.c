/* SPDX-License-Identifier: Apache-2.0 */
/* commit.c - the committer's thread and its queue (docs/architecture.md#group-commit).
 *
 * When a second has passed without a request the backend is maintained; while requests keep coming, each apply does
 * what maintenance it needs (backend.h). */
#include "commit.h"

#include "utapi/clock.h"
#include "utapi/scoped.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* A group's size is bounded so that one transaction stays short; what is left over is the next group. */
enum { GROUP_ENTRIES_MAX = 20000, MAINTENANCE_PERIOD_MS = 1000 };

/* A load balancer that sends no more events would never learn that they can be stored again: so a failure
 * counts only for so long. */
enum { WARNING_MS = 10000 };

struct utapi_committer {
    utapi_backend *backend;
    utapi_clock clock;
    int64_t monotonic_to_wall_ms; /* what the monotonic clock lacked to wall time when it started */
    size_t queue_events;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t work;
    utapi_request *head, **tail;
    size_t waiting; /* entries in the queue */
    bool idle;      /* the thread waits for work */
    bool stopping;
    char warning[sizeof((utapi_health *)0)->warning]; /* why the last group was not stored; "": it was */
    int64_t warned_ms;                                /* when that was, on the monotonic clock */
    utapi_commit_stats stats;

    pthread_t thread;
};

utapi_request *utapi_request_new(size_t count)
{
    utapi_request *request;
    if (count > (SIZE_MAX - sizeof *request) / sizeof *request->entries)
        return NULL;
    request = malloc(sizeof *request + count * sizeof *request->entries);
    if (request != NULL)
        *request = (utapi_request){.count = count};
    return request;
}

/* ---- groups ------------------------------------------------------------------------------- */

/* A chain of requests that are committed together. */
typedef struct commit_group {
    utapi_request *head;
    size_t requests;
    size_t entries;
} commit_group;

/* Takes a group from what waits: one request, and as many more as fit. */
static commit_group group_take(utapi_committer *self)
{
    commit_group group = {.head = self->head};
    utapi_request **link = &group.head;
    while (*link != NULL && (group.requests == 0 || (!group.head->is_alone && !(*link)->is_alone &&
                                                     group.entries + (*link)->count <= GROUP_ENTRIES_MAX))) {
        group.requests++;
        group.entries += (*link)->count;
        link = &(*link)->next;
    }
    self->head = *link;
    *link = NULL;
    if (self->head == NULL)
        self->tail = &self->head;
    self->waiting -= group.entries;
    return group;
}

static void group_answer(commit_group group, utapi_status status, utapi_error *err)
{
    for (utapi_request *request = group.head, *next; request != NULL; request = next) {
        next = request->next;
        if (request->is_sorted)
            err->index = UTAPI_NO_INDEX; /* its sender knows another order */
        request->on_done(request->ctx, status, err);
        free(request);
    }
}

/* The monotonic clock, as far from the epoch as wall time was when the committer started. */
static int64_t accepting_ms(const utapi_committer *self)
{
    return self->clock.monotonic_ms(self->clock.ctx) + self->monotonic_to_wall_ms;
}

static utapi_status group_apply(utapi_committer *self, commit_group group, utapi_error *err)
{
    UTAPI_AUTO_FREE utapi_entry *joined = NULL;
    utapi_entry *entries = group.head->entries;
    if (group.requests > 1) {
        entries = joined = malloc(group.entries * sizeof *joined);
        if (joined == NULL)
            return utapi_fail(err, UTAPI_NO_MEMORY, "joining %zu requests", group.requests);
        size_t count = 0;
        for (const utapi_request *request = group.head; request != NULL; request = request->next) {
            memcpy(&joined[count], request->entries, request->count * sizeof *joined);
            count += request->count;
        }
    }
    const utapi_batch batch = {
        .entries = entries,
        .count = group.entries,
        .now_ms = self->clock.wall_ms(self->clock.ctx),
    };
    /* The moment at which a group is accepted is that of all its entries. A scheduled expiry lies after it, so that
     * none falls due within its own group, however the group is cut later on. */
    const int64_t accepted_ms = accepting_ms(self);
    for (size_t i = 0; i < group.entries; i++) {
        entries[i].accepted_ms = accepted_ms;
        if (entries[i].expiry == UTAPI_EXPIRE_LATER && entries[i].expire_at_ms <= batch.now_ms)
            entries[i].expire_at_ms = batch.now_ms + 1;
    }
    utapi_applied applied = {.repeated = 0};
    const int64_t began_ns = utapi_monotonic_ns();
    const utapi_status status = utapi_backend_apply(self->backend, &batch, &applied, err);
    const int64_t took_ns = utapi_monotonic_ns() - began_ns;
    pthread_mutex_lock(&self->lock);
    utapi_histogram_add(&self->stats.took, took_ns);
    if (status == UTAPI_OK) {
        self->stats.groups++;
        self->stats.events += group.entries;
        self->stats.repeated += applied.repeated;
    }
    pthread_mutex_unlock(&self->lock);
    return status;
}

/* Notes what a group's outcome says of the storage; what is a request's own fault says nothing. */
static void outcome_note(utapi_committer *self, utapi_status status, const utapi_error *err)
{
    const bool failed = status == UTAPI_UNAVAILABLE || status == UTAPI_UNCERTAIN;
    if (!failed && status != UTAPI_OK)
        return;
    const int64_t now_ms = self->clock.monotonic_ms(self->clock.ctx);
    const char *why = *err->detail != '\0' ? err->detail : utapi_status_text(status);
    pthread_mutex_lock(&self->lock);
    (void)snprintf(self->warning, sizeof self->warning, "%.*s", (int)sizeof self->warning - 1,
                   failed ? why : "");
    self->warned_ms = now_ms;
    pthread_mutex_unlock(&self->lock);
}

static void group_commit(utapi_committer *self, commit_group group)
{
    utapi_error err;
    utapi_error_clear(&err);
    const utapi_status status = group_apply(self, group, &err);
    outcome_note(self, status, &err);
    group_answer(group, status, &err);
}

/* ---- the thread --------------------------------------------------------------------------- */

static void wait_for_work(utapi_committer *self)
{
    const struct timespec until = utapi_timespec_of_ms(utapi_monotonic_ms() + MAINTENANCE_PERIOD_MS);
    self->idle = true;
    while (self->head == NULL && !self->stopping)
        if (pthread_cond_timedwait(&self->work, &self->lock, &until) != 0)
            break;
    self->idle = false;
}

static void *committer_main(void *arg)
{
    utapi_committer *self = arg;
    pthread_mutex_lock(&self->lock);
    for (;;) {
        wait_for_work(self);
        if (self->head == NULL && self->stopping)
            break;
        const commit_group group = group_take(self);
        pthread_mutex_unlock(&self->lock);
        if (group.head != NULL)
            group_commit(self, group);
        else /* a failure is not ours to report: the next apply or healthcheck meets it and says so */
            (void)!utapi_backend_maintain(self->backend, self->clock.wall_ms(self->clock.ctx),
                                          accepting_ms(self), NULL);
        pthread_mutex_lock(&self->lock);
    }
    pthread_mutex_unlock(&self->lock);
    return NULL;
}

static void committer_destroy(utapi_committer *self)
{
    pthread_cond_destroy(&self->work);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

utapi_status utapi_committer_new(utapi_backend *backend, const utapi_clock *clock, size_t queue_events,
                                 utapi_committer **ret, utapi_error *err)
{
    utapi_committer *self = calloc(1, sizeof *self);
    if (self == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "the committer");
    self->backend = backend;
    self->clock = *clock;
    self->monotonic_to_wall_ms = clock->wall_ms(clock->ctx) - clock->monotonic_ms(clock->ctx);
    self->queue_events = queue_events;
    self->tail = &self->head;

    utapi_cond_init(&self->work);
    pthread_mutex_init(&self->lock, NULL);

    const int rc = pthread_create(&self->thread, NULL, committer_main, self);
    if (rc != 0) {
        committer_destroy(self);
        return utapi_fail(err, UTAPI_NO_MEMORY, "the committer's thread: %s", strerror(rc));
    }
    *ret = self;
    return UTAPI_OK;
}

void utapi_committer_free(utapi_committer *self)
{
    if (self == NULL)
        return;
    pthread_mutex_lock(&self->lock);
    self->stopping = true;
    pthread_cond_signal(&self->work);
    pthread_mutex_unlock(&self->lock);
    pthread_join(self->thread, NULL);
    committer_destroy(self);
}

utapi_status utapi_committer_submit(utapi_committer *self, utapi_request *request, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    pthread_mutex_lock(&self->lock);
    if (self->stopping)
        status = utapi_fail(err, UTAPI_UNAVAILABLE, "shutting down");
    else if (self->waiting > 0 &&
             (self->waiting >= self->queue_events || request->count > self->queue_events - self->waiting))
        status = utapi_fail(err, UTAPI_UNAVAILABLE, "%zu events wait to be stored already", self->waiting);
    else {
        self->waiting += request->count;
        *self->tail = request;
        self->tail = &request->next;
        if (self->idle)
            pthread_cond_signal(&self->work);
    }
    pthread_mutex_unlock(&self->lock);
    return status;
}

void utapi_committer_health(utapi_committer *self, utapi_health *ret)
{
    const int64_t now_ms = self->clock.monotonic_ms(self->clock.ctx);
    pthread_mutex_lock(&self->lock);
    ret->commit = self->stats;
    ret->commit.waiting = self->waiting;
    ret->recovering = *self->warning != '\0';
    if (!ret->refuses && *self->warning != '\0' && now_ms - self->warned_ms < WARNING_MS) {
        ret->refuses = true;
        memcpy(ret->warning, self->warning, sizeof ret->warning);
    }
    pthread_mutex_unlock(&self->lock);
}
