/* SPDX-License-Identifier: Apache-2.0 */
/* replay.c - the thread that takes over a local cache: lock, take, count, done with, until nothing is left; then it sleeps.
 *
 * Each step may fail, or the process end, after any of the others: the next round begins with what was taken and not done
 * with, and the engine knows the uuids of what counts already. */
#include "cli/replay.h"

#include "cli/replay_batch.h"
#include "http/log.h"
#include "utapi/clock.h"
#include "utapi/scoped.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

/* Between two rounds: where all went well, and where somebody else has the lock or something is away. */
#define PERIOD_S 60
#define RETRY_S  5

struct replay {
    utapi_replay *cache;
    utapi_engine *engine;
    pthread_t thread;
    pthread_mutex_t lock; /* guards stopping */
    pthread_cond_t wake;
    bool stopping;
    bool is_troubled; /* and the log knows */
};

static bool is_stopping(replay *self)
{
    pthread_mutex_lock(&self->lock);
    const bool stopping = self->stopping;
    pthread_mutex_unlock(&self->lock);
    return stopping;
}

static void sleep_for(replay *self, int64_t seconds)
{
    const struct timespec until = utapi_timespec_of_ms(utapi_monotonic_ms() + seconds * 1000);
    pthread_mutex_lock(&self->lock);
    while (!self->stopping && pthread_cond_timedwait(&self->wake, &self->lock, &until) == 0)
        continue;
    pthread_mutex_unlock(&self->lock);
}

/* What a step of a round came to. */
typedef enum progress { COUNTED_SOME, NOTHING_LEFT, LOCKED_BY_ANOTHER } progress;

static utapi_status step(replay *self, size_t *counted, progress *ret, utapi_error *err)
{
    const utapi_leftover *leftovers = NULL;
    size_t count = 0, durable = 0;
    bool is_ours = false;
    utapi_status status = utapi_replay_lock(self->cache, &is_ours, err);
    if (status == UTAPI_OK && is_ours)
        status = utapi_replay_take(self->cache, &leftovers, &count, err);
    if (status == UTAPI_OK && count > 0)
        status = replay_batch_count(self->engine, self->cache, leftovers, count, &durable, err);
    if (status == UTAPI_OK && count > 0)
        status = utapi_replay_done(self->cache, err);
    if (status != UTAPI_OK)
        return status;
    *counted += durable;
    *ret = count > 0 ? COUNTED_SOME : is_ours ? NOTHING_LEFT : LOCKED_BY_ANOTHER;
    return UTAPI_OK;
}

static void trouble_tell(replay *self, utapi_status status, const utapi_error *err)
{
    char told[sizeof((utapi_stats *)0)->aside];
    const char *why = *err->detail != '\0' ? err->detail : utapi_status_text(status);
    if (status != UTAPI_OK && !self->is_troubled)
        log_write(LOG_LEVEL_WARN, NULL, "local cache: %s; trying again every %d s", why, RETRY_S);
    if (status == UTAPI_OK && self->is_troubled)
        log_write(LOG_LEVEL_INFO, NULL, "local cache: all is well again");
    self->is_troubled = status != UTAPI_OK;
    const unsigned long long refused = utapi_replay_refused(self->cache);
    *told = '\0';
    if (self->is_troubled)
        (void)snprintf(told, sizeof told, "local cache: %.140s", why);
    else if (refused > 0)
        (void)snprintf(
            told, sizeof told,
            "local cache: %llu event%s can never be counted: see the list s3:utapid:replay:refused", refused,
            refused == 1 ? "" : "s");
    utapi_engine_note(self->engine, told);
}

/* Returns how many seconds to wait for the next round. */
static int64_t go_round(replay *self)
{
    utapi_error err = {0};
    size_t counted = 0;
    progress reached = COUNTED_SOME;
    utapi_status status = UTAPI_OK;
    while (reached == COUNTED_SOME && status == UTAPI_OK && !is_stopping(self))
        status = step(self, &counted, &reached, &err);
    if (counted > 0)
        log_write(LOG_LEVEL_INFO, NULL, "local cache: %zu events that clients could not deliver were counted",
                  counted);
    trouble_tell(self, status, &err);
    if (reached == LOCKED_BY_ANOTHER)
        return RETRY_S;
    if (status == UTAPI_OK) /* otherwise it ends by itself */
        status = utapi_replay_unlock(self->cache, NULL);
    return status == UTAPI_OK ? PERIOD_S : RETRY_S;
}

static void *replay_main(void *ctx)
{
    replay *self = ctx;
    while (!is_stopping(self))
        sleep_for(self, go_round(self));
    return NULL;
}

/* ---- starting and stopping ---------------------------------------------------------------- */

static void replay_free(replay *self)
{
    if (self == NULL)
        return;
    utapi_replay_close(self->cache);
    free(self);
}

UTAPI_AUTO_DEFINE(replay, replay_free)

static utapi_status thread_start(replay *self, utapi_error *err)
{
    utapi_cond_init(&self->wake);
    pthread_mutex_init(&self->lock, NULL);
    if (pthread_create(&self->thread, NULL, replay_main, self) == 0)
        return UTAPI_OK;
    pthread_mutex_destroy(&self->lock);
    pthread_cond_destroy(&self->wake);
    return utapi_fail(err, UTAPI_NO_MEMORY, "the thread that replays");
}

utapi_status replay_start(const char *uri, utapi_engine *engine, replay **ret, utapi_error *err)
{
    UTAPI_AUTO(replay) *self = calloc(1, sizeof *self);
    if (self == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "replay");
    self->engine = engine;
    utapi_status status = utapi_replay_open(uri, &self->cache, err);
    if (status == UTAPI_OK)
        status = thread_start(self, err);
    if (status == UTAPI_OK)
        *ret = UTAPI_TAKE(self);
    return status;
}

void replay_stop(replay *self)
{
    if (self == NULL)
        return;
    pthread_mutex_lock(&self->lock);
    self->stopping = true;
    pthread_cond_signal(&self->wake);
    pthread_mutex_unlock(&self->lock);
    pthread_join(self->thread, NULL);
    pthread_mutex_destroy(&self->lock);
    pthread_cond_destroy(&self->wake);
    replay_free(self);
}
