/* SPDX-License-Identifier: Apache-2.0 */
/* query_pool.c - a queue of calls, linked through the calls themselves: as long as there are connections, not
 * longer. */
#include "handlers/query_pool.h"

#include "handlers/routes.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct query_pool {
    unsigned started;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    http_call *first, **end; /* calls that wait; where the next one goes */
    bool stopping;
    pthread_t threads[];
};

/* The next call, as soon as there is one; NULL when the pool stops. */
static http_call *next_call(query_pool *self)
{
    (void)pthread_mutex_lock(&self->lock);
    while (self->first == NULL && !self->stopping)
        (void)pthread_cond_wait(&self->changed, &self->lock);
    http_call *call = self->first;
    if (call != NULL) {
        self->first = call->next;
        if (self->first == NULL)
            self->end = &self->first;
    }
    (void)pthread_mutex_unlock(&self->lock);
    return call;
}

static void *run(void *ctx)
{
    query_pool *self = ctx;
    for (http_call *call; (call = next_call(self)) != NULL;)
        call->route->handle(call->service, call);
    return NULL;
}

utapi_status query_pool_start(unsigned threads, query_pool **ret, utapi_error *err)
{
    query_pool *self = calloc(1, sizeof *self + threads * sizeof *self->threads);
    if (self == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "%u threads for queries", threads);
    self->end = &self->first;
    (void)pthread_mutex_init(&self->lock, NULL);
    (void)pthread_cond_init(&self->changed, NULL);

    /* Signals are the main thread's. */
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = 0;
    while (rc == 0 && self->started < threads) {
        rc = pthread_create(&self->threads[self->started], NULL, run, self);
        self->started += rc == 0;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        query_pool_stop(self);
        return utapi_fail(err, UTAPI_NO_MEMORY, "a thread for queries: %s", strerror(rc));
    }
    *ret = self;
    return UTAPI_OK;
}

void query_pool_add(query_pool *self, http_call *call)
{
    call->next = NULL;
    (void)pthread_mutex_lock(&self->lock);
    *self->end = call;
    self->end = &call->next;
    (void)pthread_cond_signal(&self->changed);
    (void)pthread_mutex_unlock(&self->lock);
}

void query_pool_stop(query_pool *self)
{
    if (self == NULL)
        return;
    (void)pthread_mutex_lock(&self->lock);
    self->stopping = true;
    (void)pthread_cond_broadcast(&self->changed);
    (void)pthread_mutex_unlock(&self->lock);
    for (unsigned i = 0; i < self->started; i++)
        (void)pthread_join(self->threads[i], NULL);
    (void)pthread_cond_destroy(&self->changed);
    (void)pthread_mutex_destroy(&self->lock);
    free(self);
}
