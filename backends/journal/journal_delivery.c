/* SPDX-License-Identifier: Apache-2.0 */
/* journal_delivery.c - the thread that hands over what was taken: in order, exactly once.
 *
 * Each hand-over says which events it brings; the storage takes it only where its fence for the writer stands at
 * the first of them. So a reply that was lost, a hand-over that is cut differently when it is repeated, and a
 * storage that lost its newest part are one and the same question: where does the fence stand? */
#include "journal_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BACK_OFF_MOST_MS = 1000 };

/* The thread's own. */
typedef struct delivery {
    journal *self;
    int64_t back_off_ms; /* the next one; 0: all is well */
    size_t most;         /* events in a step: halved around one that is refused */
    int64_t upkeep_at_ms, check_at_ms, tend_at_ms;
    int64_t gathered_at_ms; /* when it handed over last, or had nothing to */
    unsigned seed;
} delivery;

/* ---- trouble ------------------------------------------------------------------------------ */

static void warning_set(journal *self, const char *text)
{
    pthread_mutex_lock(&self->lock);
    snprintf(self->warning, sizeof self->warning, "%.*s", (int)sizeof self->warning - 1, text);
    pthread_mutex_unlock(&self->lock);
}

static void warning_over(delivery *d)
{
    if (d->back_off_ms == 0)
        return;
    d->back_off_ms = 0;
    warning_set(d->self, "");
}

/* Waits before the storage is asked again; ends at once when the journal is closed. */
static void back_off(delivery *d, const utapi_error *err)
{
    journal *self = d->self;
    warning_set(self, err->detail);
    if (d->back_off_ms == 0)
        d->back_off_ms = self->tuning.back_off_ms;
    const int64_t jitter_ms = (int64_t)(rand_r(&d->seed) % 64) * d->back_off_ms / 128;
    const int64_t until_ms = utapi_journal_monotonic_ms() + d->back_off_ms - jitter_ms;
    d->back_off_ms = 2 * d->back_off_ms < BACK_OFF_MOST_MS ? 2 * d->back_off_ms : BACK_OFF_MOST_MS;
    pthread_mutex_lock(&self->lock);
    while (!self->stopping && utapi_journal_wait_until(self, &self->wake, until_ms))
        continue;
    pthread_mutex_unlock(&self->lock);
}

/* ---- the fence ---------------------------------------------------------------------------- */

/* Moves on to what is known to be applied; with the lock held. */
static void applied_set(journal *self, journal_incarnation *incarnation, uint64_t applied)
{
    incarnation->applied = applied;
    if (incarnation == self->newest)
        utapi_journal_pending_drop(self);
    if (utapi_journal_waiting_incarnation(self) == NULL)
        self->oldest_ms = 0;
    pthread_cond_broadcast(&self->changed);
}

/* Somebody else writes under our name: a copy of this process's memory, or of its disk while it ran. What is left
 * of the incarnation cannot be told from theirs any more. */
static void fence_is_foreign(journal *self, journal_incarnation *incarnation, uint64_t fence)
{
    incarnation->foreign = true;
    snprintf(
        self->fatal, sizeof self->fatal,
        "the storage's fence stands at %llu, beyond all that was handed over: a copy of this journal is in use",
        (unsigned long long)fence);
}

/* Takes up where the storage's fence stands. It went back: the storage lost its newest part, perhaps of other
 * incarnations too. It went on: a reply was lost, or a copy of this journal handed over the same leftovers. */
static void fence_adopt(journal *self, journal_incarnation *incarnation, uint64_t fence)
{
    pthread_mutex_lock(&self->lock);
    const bool mine = incarnation == self->newest;
    if (fence < incarnation->applied) {
        self->check_wanted = true;
        incarnation->mark_count = 0;
    }
    if (mine && fence > incarnation->handed && fence > incarnation->applied)
        fence_is_foreign(self, incarnation, fence);
    else
        applied_set(self, incarnation, fence < incarnation->next ? fence : incarnation->next);
    pthread_mutex_unlock(&self->lock);
}

/* Asks where the fences stand: of the newest incarnation, and of each that ever had an event. */
static utapi_status fences_check(delivery *d, utapi_error *err)
{
    journal *self = d->self;
    pthread_mutex_lock(&self->lock);
    self->check_wanted = false;
    journal_incarnation *incarnation = self->oldest;
    pthread_mutex_unlock(&self->lock);
    while (incarnation != NULL) { /* this thread alone ends incarnations */
        pthread_mutex_lock(&self->lock);
        while (incarnation->next == 0 && incarnation != self->newest)
            incarnation = incarnation->next_incarnation;
        pthread_mutex_unlock(&self->lock);
        utapi_query query = {.level = UTAPI_SERVICE};
        uint64_t fence = 0;
        memcpy(query.writer, incarnation->writer, sizeof query.writer);
        const utapi_status status = utapi_backend_read(self->storage, &query, NULL, &fence, err);
        if (status != UTAPI_OK)
            return status;
        if (fence != incarnation->applied && !incarnation->foreign)
            fence_adopt(self, incarnation, fence);
        pthread_mutex_lock(&self->lock);
        incarnation = incarnation->next_incarnation;
        pthread_mutex_unlock(&self->lock);
    }
    return UTAPI_OK;
}

static bool fences_ask(delivery *d)
{
    utapi_error err;
    utapi_error_clear(&err);
    if (fences_check(d, &err) == UTAPI_OK) {
        d->check_at_ms = utapi_journal_monotonic_ms() + d->self->tuning.tick_ms;
        pthread_mutex_lock(&d->self->lock);
        const bool idle = utapi_journal_waiting_incarnation(d->self) == NULL;
        pthread_mutex_unlock(&d->self->lock);
        if (idle) /* else a hand-over has to show it: a storage may answer, and take nothing */
            warning_over(d);
        return true;
    }
    pthread_mutex_lock(&d->self->lock);
    d->self->check_wanted = true;
    pthread_mutex_unlock(&d->self->lock);
    back_off(d, &err);
    return false;
}

/* ---- a hand-over -------------------------------------------------------------------------- */

/* What the storage says of a step, and what is done about it. */
typedef enum verdict { TAKEN, ELSEWHERE, LATER, NEVER } verdict;

static verdict verdict_of(utapi_status status)
{
    static const verdict verdicts[] = {
        [UTAPI_OK] = TAKEN,
        [UTAPI_INVALID] = NEVER,
        [UTAPI_OVERFLOW] = NEVER,
        [UTAPI_UNAVAILABLE] = LATER,
        [UTAPI_UNCERTAIN] = LATER,
        [UTAPI_FENCED] = ELSEWHERE,
        [UTAPI_NOT_SUPPORTED] = NEVER,
        [UTAPI_LOCKED] = LATER,
        [UTAPI_CORRUPT] = NEVER,
        [UTAPI_NO_MEMORY] = LATER,
    };
    return (size_t)status < sizeof verdicts / sizeof *verdicts ? verdicts[status] : LATER;
}

static utapi_status batch_deliver(journal *self, journal_incarnation *incarnation, journal_batch *step,
                                  utapi_applied *applied, utapi_error *err)
{
    memcpy(step->batch.fence.writer, incarnation->writer, WRITER_SIZE);
    step->batch.fence.from = step->from;
    step->batch.fence.to = step->to;
    pthread_mutex_lock(&self->lock);
    if (incarnation->handed < step->to)
        incarnation->handed = step->to;
    if (step->oldest_ms != 0)
        self->oldest_ms = step->oldest_ms;
    pthread_mutex_unlock(&self->lock);
    return utapi_backend_apply(self->storage, &step->batch, applied, err);
}

/* The storage's own upkeep, as of a time that it has reached. */
static utapi_status storage_tend(delivery *d, int64_t now_ms, int64_t taken_ms, utapi_error *err)
{
    d->tend_at_ms = utapi_journal_monotonic_ms() + d->self->tuning.tick_ms;
    return utapi_backend_tend(d->self->storage, now_ms, taken_ms, err);
}

static void batch_stored(delivery *d, journal_incarnation *incarnation, const journal_batch *step)
{
    utapi_error err;
    utapi_error_clear(&err);
    pthread_mutex_lock(&d->self->lock);
    applied_set(d->self, incarnation, step->to);
    pthread_mutex_unlock(&d->self->lock);
    warning_over(d);
    if (d->most < d->self->tuning.batch_events)
        d->most *= 2;
    /* While events keep coming nobody finds it idle. */
    if (utapi_journal_monotonic_ms() >= d->tend_at_ms &&
        storage_tend(d, step->batch.now_ms, step->batch.taken_ms, &err) != UTAPI_OK)
        back_off(d, &err);
}

/* It can never be applied as it is: half of it is tried next, down to the one event that is to blame. */
static void batch_refused(delivery *d, const journal_incarnation *incarnation, const journal_batch *step,
                          const utapi_error *why)
{
    utapi_error err;
    utapi_error_clear(&err);
    if (step->batch.count > 1)
        d->most = step->batch.count / 2;
    else if (step->batch.count == 0)
        back_off(d, why);
    else if (utapi_journal_dead_letter(d->self, incarnation->number, step, why->status, why->detail, &err) !=
             UTAPI_OK)
        back_off(d, &err);
}

static void batch_judge(delivery *d, journal_incarnation *incarnation, journal_batch *step)
{
    utapi_error err;
    utapi_applied applied = {.fence = step->from};
    utapi_error_clear(&err);
    switch (verdict_of(batch_deliver(d->self, incarnation, step, &applied, &err))) {
    case TAKEN:
        batch_stored(d, incarnation, step);
        break;
    case ELSEWHERE:
        fence_adopt(d->self, incarnation, applied.fence);
        if (applied.fence == step->from)
            back_off(d, &err); /* it cannot be: nothing is to be rushed */
        break;
    case LATER:
        pthread_mutex_lock(&d->self->lock);
        d->self->check_wanted = true;
        pthread_mutex_unlock(&d->self->lock);
        back_off(d, &err);
        break;
    case NEVER:
        batch_refused(d, incarnation, step, &err);
        break;
    }
}

/* What is left of an incarnation under whose name somebody else writes. */
static utapi_status foreign_refuse(delivery *d, journal_incarnation *incarnation, const journal_batch *step,
                                   utapi_error *err)
{
    journal *self = d->self;
    utapi_status status = UTAPI_OK;
    if (incarnation == self->newest)
        status = utapi_journal_incarnation_begin(self, err);
    if (status == UTAPI_OK && step->kind == BATCH_EVENTS)
        status = utapi_journal_dead_letter(self, incarnation->number, step, UTAPI_FENCED, self->fatal, err);
    if (status == UTAPI_OK && step->kind == BATCH_GAP)
        status = utapi_journal_gap_note(self, incarnation, step->from, step->to, err);
    if (status == UTAPI_OK) {
        pthread_mutex_lock(&self->lock);
        applied_set(self, incarnation, step->to);
        pthread_mutex_unlock(&self->lock);
    }
    return status;
}

static void batch_run(delivery *d, journal_incarnation *incarnation, uint64_t from, uint64_t until)
{
    journal *self = d->self;
    journal_batch step;
    utapi_error err;
    utapi_error_clear(&err);
    utapi_status status =
        utapi_journal_batch_read(self, incarnation->number, from, until, d->most, &step, &err);
    if (status == UTAPI_OK && incarnation->foreign)
        status = foreign_refuse(d, incarnation, &step, &err);
    else if (status == UTAPI_OK) {
        if (step.kind == BATCH_GAP)
            status = utapi_journal_gap_note(self, incarnation, step.from, step.to, &err);
        if (status == UTAPI_OK)
            batch_judge(d, incarnation, &step);
    }
    if (status != UTAPI_OK)
        back_off(d, &err);
    utapi_journal_batch_free(&step);
}

/* ---- the thread --------------------------------------------------------------------------- */

/* Takes a copy of the storage's figures, for whoever asks; not while it is in trouble, which would last longer. */
static void storage_stats_query(const delivery *d)
{
    journal *self = d->self;
    utapi_stats figures = {.resources = 0};
    utapi_error err;
    utapi_error_clear(&err);
    if (d->back_off_ms != 0)
        return;
    if (utapi_backend_stats(self->storage, &figures, &err) != UTAPI_OK) {
        figures = (utapi_stats){.resources = 0};
        snprintf(figures.trouble, sizeof figures.trouble, "%.*s", (int)sizeof figures.trouble - 1,
                 *err.detail != '\0' ? err.detail : utapi_status_text(err.status));
    }
    pthread_mutex_lock(&self->lock);
    self->storage_stats = figures;
    pthread_mutex_unlock(&self->lock);
}

static void upkeep_run(delivery *d, int64_t at_ms)
{
    utapi_error err;
    utapi_error_clear(&err);
    d->upkeep_at_ms = at_ms + d->self->tuning.tick_ms;
    if (utapi_journal_upkeep(d->self, &err) != UTAPI_OK && d->back_off_ms == 0)
        warning_set(d->self, err.detail);
    storage_stats_query(d);
}

/* Forgettings that are due go with a fence, as all else does: the storage may have lost what came before them, and what
 * is sent again must come first. *ret_behind: that is so. */
static utapi_status due_hand_over(delivery *d, int64_t now_ms, int64_t taken_ms, bool *ret_behind,
                                  utapi_error *err)
{
    journal *self = d->self;
    pthread_mutex_lock(&self->lock);
    journal_incarnation *incarnation = self->newest;
    const bool foreign = incarnation->foreign;
    journal_batch nothing = {.kind = BATCH_EVENTS,
                             .batch = {.now_ms = now_ms, .taken_ms = taken_ms},
                             .from = incarnation->applied,
                             .to = incarnation->applied};
    *ret_behind = utapi_journal_waiting_incarnation(self) != NULL;
    pthread_mutex_unlock(&self->lock);
    if (foreign || *ret_behind)
        return UTAPI_OK;
    utapi_applied applied = {.fence = nothing.from};
    const utapi_status status = batch_deliver(self, incarnation, &nothing, &applied, err);
    if (verdict_of(status) != ELSEWHERE)
        return status;
    *ret_behind = true;
    fence_adopt(self, incarnation, applied.fence);
    return UTAPI_OK;
}

/* With everything applied, the storage may see to what is due now. */
static void tend_run(delivery *d, int64_t now_ms, int64_t taken_ms)
{
    utapi_error err;
    bool behind = false;
    utapi_error_clear(&err);
    if (!fences_ask(d))
        return;
    utapi_status status = due_hand_over(d, now_ms, taken_ms, &behind, &err);
    if (behind)
        return;
    if (status == UTAPI_OK)
        status = storage_tend(d, now_ms, taken_ms, &err);
    storage_stats_query(d); /* who waits for the upkeep finds its outcome there */
    pthread_mutex_lock(&d->self->lock);
    d->self->maintain_wanted = false;
    pthread_cond_broadcast(&d->self->changed);
    pthread_mutex_unlock(&d->self->lock);
    if (status == UTAPI_OK)
        warning_over(d);
    else
        back_off(d, &err);
}

/* A storage that nobody else reads is told of many events at once: what a commit there costs is pages, and many events
 * share them. Questions add what waits meanwhile. */
static bool gathers_on(const delivery *d, const journal_incarnation *incarnation, int64_t at_ms)
{
    const journal *self = d->self;
    return incarnation == self->newest && !self->flush_wanted &&
           at_ms < d->gathered_at_ms + self->tuning.gather_ms &&
           utapi_journal_waiting(self) < self->tuning.batch_events;
}

void utapi_journal_flush(journal *self)
{
    self->flush_wanted = true;
    pthread_cond_signal(&self->wake);
}

/* One round; returns whether there may be more to do at once. The lock is held, and let go of meanwhile. */
static bool delivery_round(delivery *d)
{
    journal *self = d->self;
    const int64_t at_ms = utapi_journal_monotonic_ms();
    self->heartbeat_ms = at_ms;
    journal_incarnation *incarnation = utapi_journal_waiting_incarnation(self);
    const bool idle = incarnation == NULL;
    self->gathering = !idle && gathers_on(d, incarnation, at_ms);
    if (self->gathering)
        incarnation = NULL;
    else
        d->gathered_at_ms = at_ms;
    self->flush_wanted = self->flush_wanted && !idle;
    const uint64_t from = incarnation != NULL ? incarnation->applied : 0;
    const uint64_t until = incarnation != NULL ? incarnation->next : 0;
    const bool check = self->check_wanted || (idle && at_ms >= d->check_at_ms);
    const bool upkeep = at_ms >= d->upkeep_at_ms;
    const bool tend = idle && self->maintain_wanted;
    const int64_t now_ms = self->now_ms, taken_ms = self->taken_ms;
    if (incarnation == NULL && !check && !upkeep && !tend)
        return false;
    pthread_mutex_unlock(&self->lock);
    if (upkeep)
        upkeep_run(d, at_ms);
    if ((!check || fences_ask(d)) && !check && !upkeep && incarnation != NULL)
        batch_run(d, incarnation, from, until);
    else if (tend && !check && !upkeep)
        tend_run(d, now_ms, taken_ms);
    pthread_mutex_lock(&self->lock);
    return true;
}

/* When the next round is due although nobody wakes the thread. */
static int64_t next_round_ms(const delivery *d)
{
    const journal *self = d->self;
    int64_t soonest_ms = d->upkeep_at_ms;
    if (!self->gathering && d->check_at_ms < soonest_ms)
        soonest_ms = d->check_at_ms;
    if (self->gathering && d->gathered_at_ms + self->tuning.gather_ms < soonest_ms)
        soonest_ms = d->gathered_at_ms + self->tuning.gather_ms;
    return soonest_ms;
}

static void *delivery_main(void *arg)
{
    journal *self = arg;
    delivery d = {
        .self = self, .most = self->tuning.batch_events, .seed = (unsigned)utapi_journal_monotonic_ms()};
    pthread_mutex_lock(&self->lock);
    while (!self->stopping) {
        if (delivery_round(&d))
            continue;
        (void)utapi_journal_wait_until(self, &self->wake, next_round_ms(&d));
    }
    pthread_mutex_unlock(&self->lock);
    return NULL;
}

utapi_status utapi_journal_delivery_start(journal *self, utapi_error *err)
{
    self->check_wanted = true;
    self->heartbeat_ms = utapi_journal_monotonic_ms();
    const int rc = pthread_create(&self->thread, NULL, delivery_main, self);
    if (rc != 0)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "the journal's thread: %s", strerror(rc));
    self->started = true;
    return UTAPI_OK;
}

void utapi_journal_delivery_stop(journal *self)
{
    if (!self->started)
        return;
    pthread_mutex_lock(&self->lock);
    self->stopping = true;
    pthread_cond_broadcast(&self->wake);
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
    pthread_join(self->thread, NULL);
}
