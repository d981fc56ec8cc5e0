/* SPDX-License-Identifier: Apache-2.0 */
/* load_process.c - each client has room for a request's events; the committer puts clients that are done on a
 * list, and wakes the load if it waits. */
#include "load_process.h"

#include "utapi/clock.h"
#include "utapi/scoped.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

typedef struct process_client {
    load_process *owner;
    utapi_event *events;            /* owned */
    char (*uuids)[BENCH_UUID_SIZE]; /* owned */
    struct process_client *next_done;
    int64_t done_ns;
    utapi_status status;
    char failure[160];
} process_client;

struct load_process {
    const bench_workload *workload;
    bench_generator *generator;
    utapi_engine *engine;
    char (*buckets)[BENCH_BUCKET_SIZE]; /* owned; by number */
    bench_accounts accounts;
    utapi_string *names; /* owned; of a question */
    utapi_usage *usages; /* owned; its answer */
    process_client *clients;
    unsigned client_count;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t any_done;
    process_client *done;
    unsigned under_way; /* requests that the engine has not answered */
};

UTAPI_AUTO_DEFINE(load_process, load_process_free)

static bool names_make(load_process *self)
{
    char text[32];
    self->buckets = calloc(self->workload->buckets, sizeof *self->buckets);
    for (unsigned i = 0; self->buckets != NULL && i < self->workload->buckets; i++) {
        (void)snprintf(text, sizeof text, BENCH_BUCKET_FORMAT, i);
        memcpy(self->buckets[i], text, BENCH_BUCKET_SIZE);
    }
    bench_accounts_make(&self->accounts);
    const unsigned names = self->workload->names;
    self->names = calloc(names + 1, sizeof *self->names);
    self->usages = calloc(names + 1, sizeof *self->usages);
    return self->buckets != NULL && self->names != NULL && self->usages != NULL;
}

static bool clients_make(load_process *self, unsigned count, unsigned batch)
{
    self->clients = calloc(count, sizeof *self->clients);
    for (; self->clients != NULL && self->client_count < count; self->client_count++) {
        process_client *client = &self->clients[self->client_count];
        client->owner = self;
        client->events = calloc(batch, sizeof *client->events);
        client->uuids = calloc(batch, sizeof *client->uuids);
        if (client->events == NULL || client->uuids == NULL) {
            self->client_count++;
            return false;
        }
    }
    return self->clients != NULL;
}

utapi_status load_process_new(const bench_workload *workload, bench_generator *generator,
                              utapi_engine *engine, unsigned clients, unsigned batch, load_process **ret,
                              utapi_error *err)
{
    UTAPI_AUTO(load_process) *self = calloc(1, sizeof *self);
    if (self == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "the load");
    self->workload = workload;
    self->generator = generator;
    self->engine = engine;
    pthread_mutex_init(&self->lock, NULL);
    utapi_cond_init(&self->any_done);
    if (!names_make(self) || !clients_make(self, clients, batch))
        return utapi_fail(err, UTAPI_NO_MEMORY, "%u clients", clients);
    *ret = UTAPI_TAKE(self);
    return UTAPI_OK;
}

void load_process_free(load_process *self)
{
    if (self == NULL)
        return;
    pthread_mutex_lock(&self->lock); /* a load that failed leaves requests behind: the engine answers each */
    while (self->under_way > 0)
        pthread_cond_wait(&self->any_done, &self->lock);
    pthread_mutex_unlock(&self->lock);
    for (unsigned i = 0; i < self->client_count; i++) {
        free(self->clients[i].events);
        free(self->clients[i].uuids);
    }
    pthread_cond_destroy(&self->any_done);
    pthread_mutex_destroy(&self->lock);
    free(self->clients);
    free(self->buckets);
    free(self->names);
    free(self->usages);
    free(self);
}

/* ---- events ------------------------------------------------------------------------------- */

/* The committer's thread. */
static void on_done(void *ctx, utapi_status status, const utapi_error *err)
{
    process_client *client = ctx;
    load_process *self = client->owner;
    client->status = status;
    client->done_ns = utapi_monotonic_ns();
    if (status != UTAPI_OK)
        (void)snprintf(client->failure, sizeof client->failure, "%s: %.100s", utapi_status_text(status),
                       err != NULL ? err->detail : "");
    pthread_mutex_lock(&self->lock);
    const bool was_empty = self->done == NULL;
    client->next_done = self->done;
    self->done = client;
    self->under_way--;
    if (was_empty || self->under_way == 0)
        pthread_cond_signal(&self->any_done);
    pthread_mutex_unlock(&self->lock);
}

static void event_make(load_process *self, process_client *client, unsigned place)
{
    bench_item item;
    bench_generator_item(self->generator, &item);
    utapi_event *event = &client->events[place];
    *event = (utapi_event){
        .operation = UTAPI_OP_PUT_OBJECT,
        .timestamp_ms = item.time_ms,
        .bucket = {self->buckets[item.bucket], BENCH_BUCKET_SIZE},
        .account = {self->accounts.ids[bench_account_of(item.bucket)], BENCH_ACCOUNT_SIZE},
        .location = {BENCH_LOCATION, sizeof BENCH_LOCATION - 1},
        .storage_delta = item.size_bytes,
        .object_delta = 1,
        .incoming_bytes = item.size_bytes,
    };
    if (item.uuid[0] == 0 && item.uuid[1] == 0)
        return;
    bench_uuid_write(item.uuid, client->uuids[place]);
    event->uuid = (utapi_string){client->uuids[place], BENCH_UUID_SIZE};
}

static void under_way_add(load_process *self, unsigned more)
{
    pthread_mutex_lock(&self->lock);
    self->under_way += more;
    pthread_mutex_unlock(&self->lock);
}

static utapi_status events_start(load_process *self, process_client *client, unsigned count, utapi_error *err)
{
    for (unsigned i = 0; i < count; i++)
        event_make(self, client, i);
    under_way_add(self, 1);
    const utapi_status status =
        utapi_engine_submit(self->engine, client->events, count, on_done, client, err);
    if (status != UTAPI_OK)
        under_way_add(self, (unsigned)-1);
    return status;
}

/* ---- questions ---------------------------------------------------------------------------- */

/* Each interval of the history holds one event for each bucket, and some that came late: an answer that says otherwise
 * has no time. */
static const char *answer_check(const load_process *self)
{
    if (self->workload->kind != BENCH_LIST)
        return NULL;
    for (unsigned i = 0; i < self->workload->names; i++) {
        const utapi_wide more =
            utapi_amounts_get(&self->usages[i].flows, UTAPI_FIRST_OPERATION + UTAPI_OP_PUT_OBJECT) -
            (utapi_wide)self->workload->intervals;
        if (more < 0 || more > self->workload->late_filled)
            return "an answer is wrong";
    }
    return NULL;
}

static utapi_status question_ask(load_process *self, load *driver, unsigned client,
                                 const bench_request *request, utapi_error *err)
{
    const bench_workload *workload = self->workload;
    const int64_t end_ms = self->generator->origin_ms + UTAPI_INTERVAL_MS;
    const utapi_range range = {.start_ms = end_ms - (int64_t)workload->intervals * UTAPI_INTERVAL_MS,
                               .end_ms = end_ms - 1};
    for (unsigned i = 0; i < workload->names; i++)
        self->names[i] =
            (utapi_string){self->buckets[(request->first_name + i) % workload->buckets], BENCH_BUCKET_SIZE};
    const utapi_status status = utapi_engine_list(self->engine, UTAPI_BUCKETS, self->names, workload->names,
                                                  range, self->usages, err);
    if (status == UTAPI_OK)
        load_done(driver, client, utapi_monotonic_ns(), answer_check(self));
    return status;
}

/* ---- the transport ------------------------------------------------------------------------ */

static utapi_status process_start(void *ctx, load *driver, unsigned client, const bench_request *request,
                                  utapi_error *err)
{
    load_process *self = ctx;
    return request->is_query ? question_ask(self, driver, client, request, err)
                             : events_start(self, &self->clients[client], request->item_count, err);
}

static void wait_for_done(load_process *self, int64_t most_ns)
{
    const int64_t until_ns = utapi_monotonic_ns() + most_ns;
    const struct timespec until = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};
    while (self->done == NULL && most_ns > 0)
        if (pthread_cond_timedwait(&self->any_done, &self->lock, &until) == ETIMEDOUT)
            break;
}

static utapi_status process_wait(void *ctx, load *driver, int64_t most_ns, utapi_error *err)
{
    (void)err;
    load_process *self = ctx;
    pthread_mutex_lock(&self->lock);
    wait_for_done(self, most_ns);
    process_client *done = self->done;
    self->done = NULL;
    pthread_mutex_unlock(&self->lock);
    while (done != NULL) {
        process_client *const next = done->next_done;
        load_done(driver, (unsigned)(done - self->clients), done->done_ns,
                  done->status == UTAPI_OK ? NULL : done->failure);
        done = next;
    }
    return UTAPI_OK;
}

load_transport load_process_transport(load_process *self)
{
    return (load_transport){.ctx = self, .start = process_start, .wait = process_wait};
}
