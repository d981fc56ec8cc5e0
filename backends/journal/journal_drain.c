/* SPDX-License-Identifier: Apache-2.0 */
/* journal_drain.c - the thread that hands over what was taken: in order, exactly once.
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
typedef struct drain {
    journal *self;
    int64_t back_off_ms; /* the next one; 0: all is well */
    size_t most;         /* events in a step: halved around one that is refused */
    int64_t upkeep_at_ms, check_at_ms, tend_at_ms;
    int64_t gathered_at_ms; /* when it handed over last, or had nothing to */
    unsigned seed;
} drain;

/* ---- trouble ------------------------------------------------------------------------------ */

static void trouble_set(journal *self, const char *text)
{
    pthread_mutex_lock(&self->lock);
    snprintf(self->trouble, sizeof self->trouble, "%.*s", (int)sizeof self->trouble - 1, text);
    pthread_mutex_unlock(&self->lock);
}

static void trouble_over(drain *d)
{
    if (d->back_off_ms == 0)
        return;
    d->back_off_ms = 0;
    trouble_set(d->self, "");
}

/* Waits before the storage is asked again; ends at once when the journal is closed. */
static void back_off(drain *d, const utapi_error *err)
{
    journal *self = d->self;
    trouble_set(self, err->detail);
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
static void applied_set(journal *self, journal_epoch *epoch, uint64_t applied)
{
    epoch->applied = applied;
    if (epoch == self->newest)
        utapi_journal_pending_drop(self);
    if (utapi_journal_waiting_epoch(self) == NULL)
        self->oldest_ms = 0;
    pthread_cond_broadcast(&self->changed);
}

/* Somebody else writes under our name: a copy of this process's memory, or of its disk while it ran. What is left
 * of the epoch cannot be told from theirs any more. */
static void fence_is_foreign(journal *self, journal_epoch *epoch, uint64_t fence)
{
    epoch->foreign = true;
    snprintf(
        self->alarm, sizeof self->alarm,
        "the storage's fence stands at %llu, beyond all that was handed over: a copy of this journal is in use",
        (unsigned long long)fence);
}

/* Takes up where the storage's fence stands. It went back: the storage lost its newest part, perhaps of other
 * epochs too. It went on: a reply was lost, or a copy of this journal handed over the same leftovers. */
static void fence_adopt(journal *self, journal_epoch *epoch, uint64_t fence)
{
    pthread_mutex_lock(&self->lock);
    const bool mine = epoch == self->newest;
    if (fence < epoch->applied) {
        self->check_wanted = true;
        epoch->mark_count = 0;
    }
    if (mine && fence > epoch->handed && fence > epoch->applied)
        fence_is_foreign(self, epoch, fence);
    else
        applied_set(self, epoch, fence < epoch->next ? fence : epoch->next);
    pthread_mutex_unlock(&self->lock);
}

/* Asks where the fences stand: of the newest epoch, and of each that ever had an event. */
static utapi_status fences_check(drain *d, utapi_error *err)
{
    journal *self = d->self;
    pthread_mutex_lock(&self->lock);
    self->check_wanted = false;
    journal_epoch *epoch = self->oldest;
    pthread_mutex_unlock(&self->lock);
    while (epoch != NULL) { /* this thread alone ends epochs */
        pthread_mutex_lock(&self->lock);
        while (epoch->next == 0 && epoch != self->newest)
            epoch = epoch->next_epoch;
        pthread_mutex_unlock(&self->lock);
        utapi_query query = {.level = UTAPI_SERVICE};
        uint64_t fence = 0;
        memcpy(query.writer, epoch->writer, sizeof query.writer);
        const utapi_status status = utapi_backend_read(self->storage, &query, NULL, &fence, err);
        if (status != UTAPI_OK)
            return status;
        if (fence != epoch->applied && !epoch->foreign)
            fence_adopt(self, epoch, fence);
        pthread_mutex_lock(&self->lock);
        epoch = epoch->next_epoch;
        pthread_mutex_unlock(&self->lock);
    }
    return UTAPI_OK;
}

static bool fences_ask(drain *d)
{
    utapi_error err;
    utapi_error_clear(&err);
    if (fences_check(d, &err) == UTAPI_OK) {
        d->check_at_ms = utapi_journal_monotonic_ms() + d->self->tuning.tick_ms;
        pthread_mutex_lock(&d->self->lock);
        const bool idle = utapi_journal_waiting_epoch(d->self) == NULL;
        pthread_mutex_unlock(&d->self->lock);
        if (idle) /* else a hand-over has to show it: a storage may answer, and take nothing */
            trouble_over(d);
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

static utapi_status step_hand_over(journal *self, journal_epoch *epoch, journal_step *step,
                                   utapi_applied *applied, utapi_error *err)
{
    memcpy(step->batch.fence.writer, epoch->writer, WRITER_SIZE);
    step->batch.fence.from = step->from;
    step->batch.fence.to = step->to;
    pthread_mutex_lock(&self->lock);
    if (epoch->handed < step->to)
        epoch->handed = step->to;
    if (step->oldest_ms != 0)
        self->oldest_ms = step->oldest_ms;
    pthread_mutex_unlock(&self->lock);
    return utapi_backend_apply(self->storage, &step->batch, applied, err);
}

/* The storage's own upkeep, as of a time that it has reached. */
static utapi_status storage_tend(drain *d, int64_t now_ms, int64_t accepted_ms, utapi_error *err)
{
    d->tend_at_ms = utapi_journal_monotonic_ms() + d->self->tuning.tick_ms;
    return utapi_backend_maintain(d->self->storage, now_ms, accepted_ms, err);
}

static void step_taken(drain *d, journal_epoch *epoch, const journal_step *step)
{
    utapi_error err;
    utapi_error_clear(&err);
    pthread_mutex_lock(&d->self->lock);
    applied_set(d->self, epoch, step->to);
    pthread_mutex_unlock(&d->self->lock);
    trouble_over(d);
    if (d->most < d->self->tuning.step_events)
        d->most *= 2;
    /* While events keep coming nobody finds it idle. */
    if (utapi_journal_monotonic_ms() >= d->tend_at_ms &&
        storage_tend(d, step->batch.now_ms, step->batch.accepted_ms, &err) != UTAPI_OK)
        back_off(d, &err);
}

/* It can never be applied as it is: half of it is tried next, down to the one event that is to blame. */
static void step_refused(drain *d, const journal_epoch *epoch, const journal_step *step,
                         const utapi_error *why)
{
    utapi_error err;
    utapi_error_clear(&err);
    if (step->batch.count > 1)
        d->most = step->batch.count / 2;
    else if (step->batch.count == 0)
        back_off(d, why);
    else if (utapi_journal_refuse(d->self, epoch->number, step, why->status, why->detail, &err) != UTAPI_OK)
        back_off(d, &err);
}

static void step_judge(drain *d, journal_epoch *epoch, journal_step *step)
{
    utapi_error err;
    utapi_applied applied = {.fence = step->from};
    utapi_error_clear(&err);
    switch (verdict_of(step_hand_over(d->self, epoch, step, &applied, &err))) {
    case TAKEN:
        step_taken(d, epoch, step);
        break;
    case ELSEWHERE:
        fence_adopt(d->self, epoch, applied.fence);
        if (applied.fence == step->from)
            back_off(d, &err); /* it cannot be: nothing is to be hurried */
        break;
    case LATER:
        pthread_mutex_lock(&d->self->lock);
        d->self->check_wanted = true;
        pthread_mutex_unlock(&d->self->lock);
        back_off(d, &err);
        break;
    case NEVER:
        step_refused(d, epoch, step, &err);
        break;
    }
}

/* What is left of an epoch under whose name somebody else writes. */
static utapi_status foreign_refuse(drain *d, journal_epoch *epoch, const journal_step *step, utapi_error *err)
{
    journal *self = d->self;
    utapi_status status = UTAPI_OK;
    if (epoch == self->newest)
        status = utapi_journal_epoch_begin(self, err);
    if (status == UTAPI_OK && step->kind == STEP_EVENTS)
        status = utapi_journal_refuse(self, epoch->number, step, UTAPI_FENCED, self->alarm, err);
    if (status == UTAPI_OK && step->kind == STEP_GAP)
        status = utapi_journal_gap_note(self, epoch, step->from, step->to, err);
    if (status == UTAPI_OK) {
        pthread_mutex_lock(&self->lock);
        applied_set(self, epoch, step->to);
        pthread_mutex_unlock(&self->lock);
    }
    return status;
}

static void step_run(drain *d, journal_epoch *epoch, uint64_t from, uint64_t until)
{
    journal *self = d->self;
    journal_step step;
    utapi_error err;
    utapi_error_clear(&err);
    utapi_status status = utapi_journal_step_read(self, epoch->number, from, until, d->most, &step, &err);
    if (status == UTAPI_OK && epoch->foreign)
        status = foreign_refuse(d, epoch, &step, &err);
    else if (status == UTAPI_OK) {
        if (step.kind == STEP_GAP)
            status = utapi_journal_gap_note(self, epoch, step.from, step.to, &err);
        if (status == UTAPI_OK)
            step_judge(d, epoch, &step);
    }
    if (status != UTAPI_OK)
        back_off(d, &err);
    utapi_journal_step_free(&step);
}

/* ---- the thread --------------------------------------------------------------------------- */

/* Takes a copy of the storage's figures, for whoever asks; not while it is in trouble, which would last longer. */
static void figures_look(const drain *d)
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
    self->figures = figures;
    pthread_mutex_unlock(&self->lock);
}

static void upkeep_run(drain *d, int64_t at_ms)
{
    utapi_error err;
    utapi_error_clear(&err);
    d->upkeep_at_ms = at_ms + d->self->tuning.tick_ms;
    if (utapi_journal_upkeep(d->self, &err) != UTAPI_OK && d->back_off_ms == 0)
        trouble_set(d->self, err.detail);
    figures_look(d);
}

/* Forgettings that are due go with a fence, as all else does: the storage may have lost what came before them, and what
 * is sent again must come first. *ret_behind: that is so. */
static utapi_status due_hand_over(drain *d, int64_t now_ms, int64_t accepted_ms, bool *ret_behind,
                                  utapi_error *err)
{
    journal *self = d->self;
    pthread_mutex_lock(&self->lock);
    journal_epoch *epoch = self->newest;
    const bool foreign = epoch->foreign;
    journal_step nothing = {.kind = STEP_EVENTS,
                            .batch = {.now_ms = now_ms, .accepted_ms = accepted_ms},
                            .from = epoch->applied,
                            .to = epoch->applied};
    *ret_behind = utapi_journal_waiting_epoch(self) != NULL;
    pthread_mutex_unlock(&self->lock);
    if (foreign || *ret_behind)
        return UTAPI_OK;
    utapi_applied applied = {.fence = nothing.from};
    const utapi_status status = step_hand_over(self, epoch, &nothing, &applied, err);
    if (verdict_of(status) != ELSEWHERE)
        return status;
    *ret_behind = true;
    fence_adopt(self, epoch, applied.fence);
    return UTAPI_OK;
}

/* With everything applied, the storage may see to what is due now. */
static void tend_run(drain *d, int64_t now_ms, int64_t accepted_ms)
{
    utapi_error err;
    bool behind = false;
    utapi_error_clear(&err);
    if (!fences_ask(d))
        return;
    utapi_status status = due_hand_over(d, now_ms, accepted_ms, &behind, &err);
    if (behind)
        return;
    if (status == UTAPI_OK)
        status = storage_tend(d, now_ms, accepted_ms, &err);
    figures_look(d); /* who waits for the upkeep finds its outcome there */
    pthread_mutex_lock(&d->self->lock);
    d->self->tend_wanted = false;
    pthread_cond_broadcast(&d->self->changed);
    pthread_mutex_unlock(&d->self->lock);
    if (status == UTAPI_OK)
        trouble_over(d);
    else
        back_off(d, &err);
}

/* A storage that nobody else reads is told of many events at once: what a commit there costs is pages, and many events
 * share them. Questions add what waits meanwhile. */
static bool gathers_on(const drain *d, const journal_epoch *epoch, int64_t at_ms)
{
    const journal *self = d->self;
    return epoch == self->newest && !self->hurried && at_ms < d->gathered_at_ms + self->tuning.gather_ms &&
           utapi_journal_waiting(self) < self->tuning.step_events;
}

void utapi_journal_hurry(journal *self)
{
    self->hurried = true;
    pthread_cond_signal(&self->wake);
}

/* One round; returns whether there may be more to do at once. The lock is held, and let go of meanwhile. */
static bool drain_round(drain *d)
{
    journal *self = d->self;
    const int64_t at_ms = utapi_journal_monotonic_ms();
    self->beat_ms = at_ms;
    journal_epoch *epoch = utapi_journal_waiting_epoch(self);
    const bool idle = epoch == NULL;
    self->gathering = !idle && gathers_on(d, epoch, at_ms);
    if (self->gathering)
        epoch = NULL;
    else
        d->gathered_at_ms = at_ms;
    self->hurried = self->hurried && !idle;
    const uint64_t from = epoch != NULL ? epoch->applied : 0;
    const uint64_t until = epoch != NULL ? epoch->next : 0;
    const bool check = self->check_wanted || (idle && at_ms >= d->check_at_ms);
    const bool upkeep = at_ms >= d->upkeep_at_ms;
    const bool tend = idle && self->tend_wanted;
    const int64_t now_ms = self->now_ms, accepted_ms = self->accepted_ms;
    if (epoch == NULL && !check && !upkeep && !tend)
        return false;
    pthread_mutex_unlock(&self->lock);
    if (upkeep)
        upkeep_run(d, at_ms);
    if ((!check || fences_ask(d)) && !check && !upkeep && epoch != NULL)
        step_run(d, epoch, from, until);
    else if (tend && !check && !upkeep)
        tend_run(d, now_ms, accepted_ms);
    pthread_mutex_lock(&self->lock);
    return true;
}

/* When the next round is due although nobody wakes the thread. */
static int64_t next_round_ms(const drain *d)
{
    const journal *self = d->self;
    int64_t soonest_ms = d->upkeep_at_ms;
    if (!self->gathering && d->check_at_ms < soonest_ms)
        soonest_ms = d->check_at_ms;
    if (self->gathering && d->gathered_at_ms + self->tuning.gather_ms < soonest_ms)
        soonest_ms = d->gathered_at_ms + self->tuning.gather_ms;
    return soonest_ms;
}

static void *drain_main(void *arg)
{
    journal *self = arg;
    drain d = {
        .self = self, .most = self->tuning.step_events, .seed = (unsigned)utapi_journal_monotonic_ms()};
    pthread_mutex_lock(&self->lock);
    while (!self->stopping) {
        if (drain_round(&d))
            continue;
        (void)utapi_journal_wait_until(self, &self->wake, next_round_ms(&d));
    }
    pthread_mutex_unlock(&self->lock);
    return NULL;
}

utapi_status utapi_journal_drain_start(journal *self, utapi_error *err)
{
    self->check_wanted = true;
    self->beat_ms = utapi_journal_monotonic_ms();
    const int rc = pthread_create(&self->thread, NULL, drain_main, self);
    if (rc != 0)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "the journal's thread: %s", strerror(rc));
    self->started = true;
    return UTAPI_OK;
}

void utapi_journal_drain_stop(journal *self)
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
