/* SPDX-License-Identifier: Apache-2.0 */
/* journal_delivery.c - see journal_delivery.h.
 *
 * Each batch says from where on it brings events; the storage stores it only where its fence for the writer stands
 * there. So a reply that was lost, a batch that is cut differently when it is repeated, and a storage that lost its
 * newest part are one and the same question: where does the fence stand? */
#include "journal_delivery.h"

#include "utapi/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BACK_OFF_MAX_MS = 1000 };

/* The thread's own. */
typedef struct worker {
    journal_delivery *of;
    int64_t back_off_ms; /* the next one; 0: all is well */
    size_t max_events;   /* events in a batch: twice what the storage stored of the last one that it cut */
    int64_t retain_at_ms, check_at_ms, maintain_at_ms;
    int64_t gathered_at_ms; /* when it delivered last, or had nothing to */
    uint32_t incarnation;   /* the one that was delivered last; and of it, */
    uint64_t reached;       /* the furthest that the fence ever was, by us, */
    uint64_t perhaps;       /* and where it may be by a call of which the outcome is not known */
    unsigned seed;
} worker;

/* ---- a storage that fails ----------------------------------------------------------------- */

static void recover(worker *w)
{
    if (w->back_off_ms == 0)
        return;
    w->back_off_ms = 0;
    utapi_journal_pending_warn(w->of->pending, "");
}

/* Waits before the storage is asked again; ends at once when the journal is closed. */
static void back_off(worker *w, const utapi_error *err)
{
    utapi_journal_pending_warn(w->of->pending, err->detail);
    if (w->back_off_ms == 0)
        w->back_off_ms = w->of->pace.back_off_ms;
    const int64_t jitter_ms = (int64_t)(rand_r(&w->seed) % 64) * w->back_off_ms / 128;
    const int64_t until_ms = utapi_monotonic_ms() + w->back_off_ms - jitter_ms;
    w->back_off_ms = 2 * w->back_off_ms < BACK_OFF_MAX_MS ? 2 * w->back_off_ms : BACK_OFF_MAX_MS;
    utapi_journal_pending_sleep(w->of->pending, until_ms);
}

/* ---- the fence ---------------------------------------------------------------------------- */

/* Somebody else writes under our name: a copy of this process's memory, or of its disk while it ran. What is
 * left of the incarnation cannot be told from theirs any more. */
static utapi_status fence_is_foreign(worker *w, uint64_t fence, utapi_error *err)
{
    journal_delivery *self = w->of;
    pthread_mutex_lock(&self->lock);
    snprintf(
        self->fatal, sizeof self->fatal,
        "the storage's fence stands at %llu, beyond all that was delivered: a copy of this journal is in use",
        (unsigned long long)fence);
    pthread_mutex_unlock(&self->lock);
    return utapi_journal_log_renew(self->log, err);
}

/* Goes on from where the storage's fence stands. It went back: the storage lost its newest part, perhaps of other
 * incarnations too. It went on: a reply was lost, or a copy of this journal delivered the same leftovers. */
static utapi_status fence_adopt(worker *w, const journal_span *span, uint64_t fence, utapi_error *err)
{
    const bool is_last = w->incarnation == span->incarnation;
    if (span->is_newest && fence > span->stored && (!is_last || (fence > w->reached && fence > w->perhaps)))
        return fence_is_foreign(w, fence, err);
    if (fence < span->stored)
        utapi_journal_pending_wake(w->of->pending, JOURNAL_CHECK);
    utapi_journal_log_stored(w->of->log, span->incarnation, fence);
    return UTAPI_OK;
}

/* Asks where the fences stand: of the newest incarnation, and of each that ever had an event. */
static utapi_status fences_check(worker *w, utapi_error *err)
{
    journal_delivery *self = w->of;
    utapi_status status = UTAPI_OK;
    journal_span span = {.incarnation = 0};
    utapi_journal_pending_did(self->pending, JOURNAL_CHECK);
    while (status == UTAPI_OK && utapi_journal_log_span_after(self->log, span.incarnation, &span)) {
        utapi_query query = {.level = UTAPI_SERVICE};
        uint64_t fence = 0;
        if (span.given_up)
            continue;
        memcpy(query.writer, span.writer, sizeof query.writer);
        status = utapi_backend_read(self->storage, &query, NULL, &fence, err);
        if (status == UTAPI_OK && fence != span.stored)
            status = fence_adopt(w, &span, fence, err);
    }
    return status;
}

static bool fences_ask(worker *w)
{
    utapi_error err;
    journal_span span;
    utapi_error_clear(&err);
    if (fences_check(w, &err) != UTAPI_OK) {
        utapi_journal_pending_wake(w->of->pending, JOURNAL_CHECK);
        back_off(w, &err);
        return false;
    }
    w->check_at_ms = utapi_monotonic_ms() + w->of->pace.tick_ms;
    if (!utapi_journal_log_waiting(
            w->of->log, &span)) /* else a batch has to show it: a storage may answer, and take nothing */
        recover(w);
    return true;
}

/* ---- a batch ------------------------------------------------------------------------------ */

/* The storage's own maintenance, as of a time that it has reached. */
static utapi_status storage_maintain(worker *w, int64_t now_ms, int64_t accepted_ms, utapi_error *err)
{
    w->maintain_at_ms = utapi_monotonic_ms() + w->of->pace.tick_ms;
    return utapi_backend_maintain(w->of->storage, now_ms, accepted_ms, err);
}

/* How far the fence may be is raised before the call, and again what it was after an answer that is definite: else
 * what a copy of this journal stores there would be taken for ours. */
static utapi_status batch_apply(worker *w, uint32_t incarnation, const utapi_batch *batch,
                                utapi_applied *applied, utapi_error *err)
{
    const utapi_fence *fence = &batch->fence;
    if (w->incarnation != incarnation)
        w->reached = w->perhaps = 0;
    w->incarnation = incarnation;
    const uint64_t before = w->perhaps;
    w->perhaps = before < fence->to ? fence->to : before;
    *applied = (utapi_applied){.fence = fence->from};
    const utapi_status status = utapi_backend_apply(w->of->storage, batch, applied, err);
    if (status == UTAPI_UNCERTAIN)
        return status;
    w->perhaps = before;
    if (status != UTAPI_OK)
        return status;
    if (applied->fence > fence->to || (applied->fence <= fence->from && fence->to > fence->from))
        return utapi_fail(err, UTAPI_UNAVAILABLE, "the storage stored a batch, and its fence stands at %llu",
                          (unsigned long long)applied->fence);
    w->perhaps = 0;
    w->reached = w->reached < applied->fence ? applied->fence : w->reached;
    return UTAPI_OK;
}

static utapi_status batch_stored(worker *w, const journal_span *span, const journal_batch *delivered,
                                 uint64_t fence, utapi_error *err)
{
    const utapi_batch *batch = &delivered->batch;
    size_t stored = batch->count;
    utapi_journal_log_stored(w->of->log, span->incarnation, fence);
    recover(w);
    while (stored > 0 && batch->entries[stored - 1].sequence >= fence)
        stored--;
    /* What a storage leaves of a batch was read and decoded for nothing. */
    if (stored < batch->count || 2 * stored > w->max_events)
        w->max_events = 2 * stored < w->of->pace.batch_events ? 2 * stored : w->of->pace.batch_events;
    if (batch->count == 0 || utapi_monotonic_ms() < w->maintain_at_ms)
        return UTAPI_OK;
    /* While events keep coming nobody finds it idle. Nothing that is still to come is of an earlier time. */
    return storage_maintain(w, delivered->oldest_ms, utapi_batch_accepted_ms(batch), err);
}

/* Keeps what the storage says that it can never store: entries that it names, at their levels, or the first one, which
 * it judged alone. Durable before the rest is stored: none is lost between the two. */
static utapi_status batch_refused(worker *w, const journal_span *span, const utapi_batch *batch,
                                  utapi_status status, utapi_error *err)
{
    const utapi_error why = *err;
    utapi_batch refused = *batch;
    size_t named = 0;
    for (size_t i = 0; i < batch->count; i++)
        named += batch->unfit[i] != 0;
    if (named == 0) {
        refused = utapi_batch_prefix(batch, 1);
        refused.unfit = NULL;
        w->max_events = 1;
    }
    utapi_error_clear(err);
    return utapi_journal_dead_letters_add(w->of->letters, span->incarnation, &refused, status, why.detail,
                                          err);
}

static utapi_status batch_deliver(worker *w, const journal_span *span, const journal_batch *delivered,
                                  utapi_error *err)
{
    const utapi_batch *batch = &delivered->batch;
    utapi_applied applied;
    if (delivered->oldest_ms != 0)
        utapi_journal_pending_oldest(w->of->pending, delivered->oldest_ms);
    const utapi_status status = batch_apply(w, span->incarnation, batch, &applied, err);
    if (status == UTAPI_OK)
        return batch_stored(w, span, delivered, applied.fence, err);
    if (status == UTAPI_FENCED) {
        if (applied.fence == span->stored) /* it cannot be: nothing is to be rushed */
            return status;
        utapi_error_clear(err);
        return fence_adopt(w, span, applied.fence, err);
    }
    if (batch->count > 0 && (status == UTAPI_INVALID || status == UTAPI_OVERFLOW || status == UTAPI_CORRUPT))
        return batch_refused(w, span, batch, status, err);
    /* It may be there, and it may pass: the fence tells. */
    utapi_journal_pending_wake(w->of->pending, JOURNAL_CHECK);
    return status;
}

/* What is left of an incarnation under whose name somebody else writes. Whether an act was done its id tells: it is
 * delivered under the new name. */
static utapi_status batch_give_up(worker *w, const journal_span *span, const utapi_batch *batch,
                                  utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    utapi_batch whole = *batch;
    whole.unfit = NULL;
    if (utapi_batch_act(batch) != NULL) {
        const utapi_batch again = {.entries = batch->entries, .count = 1, .now_ms = batch->now_ms};
        utapi_applied applied;
        status = utapi_journal_log_append(w->of->log, &again, &applied, err);
    } else if (batch->count > 0)
        status = utapi_journal_dead_letters_add(w->of->letters, span->incarnation, &whole, UTAPI_FENCED,
                                                w->of->fatal, err);
    if (status == UTAPI_OK)
        utapi_journal_log_stored(w->of->log, span->incarnation, batch->fence.to);
    return status;
}

static void deliver(worker *w)
{
    journal_delivery *self = w->of;
    journal_span span;
    journal_batch batch;
    utapi_error err;
    utapi_error_clear(&err);
    if (!utapi_journal_log_waiting(self->log, &span))
        return;
    utapi_status status =
        utapi_journal_batch_read(self->log, self->letters, &span, w->max_events, &batch, &err);
    if (status == UTAPI_OK && span.given_up)
        status = batch_give_up(w, &span, &batch.batch, &err);
    else if (status == UTAPI_OK)
        status = batch_deliver(w, &span, &batch, &err);
    utapi_journal_batch_free(&batch);
    if (status != UTAPI_OK)
        back_off(w, &err);
}

/* ---- retention and maintenance ------------------------------------------------------------ */

/* Keeps the storage's figures, for whoever asks; not while it fails, which would then last longer. */
static void storage_stats_keep(const worker *w)
{
    journal_delivery *self = w->of;
    utapi_storage_stats stats = {.resources = 0};
    utapi_error err;
    utapi_error_clear(&err);
    if (w->back_off_ms != 0)
        return;
    if (utapi_backend_stats(self->storage, &stats, &err) != UTAPI_OK) {
        stats = (utapi_storage_stats){.resources = 0};
        snprintf(stats.warning, sizeof stats.warning, "%.*s", (int)sizeof stats.warning - 1,
                 *err.detail != '\0' ? err.detail : utapi_status_text(err.status));
    }
    pthread_mutex_lock(&self->lock);
    self->stats = stats;
    pthread_mutex_unlock(&self->lock);
}

static void retain(worker *w, const journal_work *work, int64_t at_ms)
{
    utapi_error err;
    utapi_error_clear(&err);
    w->retain_at_ms = at_ms + w->of->pace.tick_ms;
    if (utapi_journal_log_retain(w->of->log, work->accepted_ms, &err) != UTAPI_OK && w->back_off_ms == 0)
        utapi_journal_pending_warn(w->of->pending, err.detail);
    storage_stats_keep(w);
}

/* With everything stored, the storage may see to what is due now. Expiries that are due go with a fence, as all
 * else does: the storage may have lost what came before them, and what is sent again must come first. */
static void maintain(worker *w, const journal_work *work)
{
    utapi_applied applied;
    journal_span span;
    utapi_error err;
    utapi_error_clear(&err);
    if (!fences_ask(w) || utapi_journal_log_waiting(w->of->log, &span))
        return;
    utapi_batch due = {.now_ms = work->now_ms, .fence = {.from = span.stored, .to = span.stored}};
    memcpy(due.fence.writer, span.writer, sizeof due.fence.writer);
    utapi_status status = batch_apply(w, span.incarnation, &due, &applied, &err);
    if (status == UTAPI_FENCED) {
        utapi_error_clear(&err);
        if (fence_adopt(w, &span, applied.fence, &err) != UTAPI_OK)
            back_off(w, &err);
        return;
    }
    if (status == UTAPI_OK)
        status = storage_maintain(w, work->now_ms, work->accepted_ms, &err);
    storage_stats_keep(w); /* who waits for the maintenance finds its outcome there */
    utapi_journal_pending_did(w->of->pending, JOURNAL_MAINTAIN);
    if (status == UTAPI_OK)
        recover(w);
    else
        back_off(w, &err);
}

/* ---- the thread --------------------------------------------------------------------------- */

typedef enum job { REST, RETAIN, CHECK, DELIVER, MAINTAIN } job;

/* A storage that nobody else reads is given many events at once: what a commit there costs is pages, and many
 * events share them. Queries add what waits meanwhile. */
static bool gathers(const worker *w, const journal_work *work, int64_t at_ms)
{
    const journal_pace *pace = &w->of->pace;
    return work->waiting > 0 && work->older == 0 &&
           (work->wanted & (JOURNAL_FLUSH | JOURNAL_MAINTAIN)) == 0 && work->waiting < pace->batch_events &&
           at_ms < w->gathered_at_ms + pace->gather_ms;
}

static job job_choose(const worker *w, const journal_work *work, bool is_gathering, int64_t at_ms)
{
    if (at_ms >= w->retain_at_ms)
        return RETAIN;
    if ((work->wanted & JOURNAL_CHECK) != 0 || (work->waiting == 0 && at_ms >= w->check_at_ms))
        return CHECK;
    if (work->waiting > 0)
        return is_gathering ? REST : DELIVER;
    return (work->wanted & JOURNAL_MAINTAIN) != 0 ? MAINTAIN : REST;
}

/* Until there is something to do although nobody wakes the thread. */
static void rest(const worker *w, bool is_gathering)
{
    const journal_pace *pace = &w->of->pace;
    const int64_t other_ms = is_gathering ? w->gathered_at_ms + pace->gather_ms : w->check_at_ms;
    utapi_journal_pending_rest(w->of->pending, is_gathering ? pace->batch_events : 1,
                               other_ms < w->retain_at_ms ? other_ms : w->retain_at_ms);
}

static void heartbeat(journal_delivery *self, int64_t at_ms)
{
    pthread_mutex_lock(&self->lock);
    self->heartbeat_ms = at_ms;
    pthread_mutex_unlock(&self->lock);
}

static void *delivery_main(void *arg)
{
    journal_delivery *self = arg;
    worker w = {.of = self, .max_events = self->pace.batch_events, .seed = (unsigned)utapi_monotonic_ms()};
    journal_work work;
    for (utapi_journal_pending_work(self->pending, &work); !work.stopping;
         utapi_journal_pending_work(self->pending, &work)) {
        const int64_t at_ms = utapi_monotonic_ms();
        const bool is_gathering = gathers(&w, &work, at_ms);
        if (!is_gathering)
            w.gathered_at_ms = at_ms;
        heartbeat(self, at_ms);
        switch (job_choose(&w, &work, is_gathering, at_ms)) {
        case REST:
            rest(&w, is_gathering);
            break;
        case RETAIN:
            retain(&w, &work, at_ms);
            break;
        case CHECK:
            (void)!fences_ask(&w);
            break;
        case DELIVER:
            deliver(&w);
            break;
        case MAINTAIN:
            maintain(&w, &work);
            break;
        }
    }
    return NULL;
}

utapi_status utapi_journal_delivery_start(journal_delivery *self, utapi_error *err)
{
    pthread_mutex_init(&self->lock, NULL);
    self->heartbeat_ms = utapi_monotonic_ms();
    utapi_journal_pending_wake(self->pending, JOURNAL_CHECK);
    const int rc = pthread_create(&self->thread, NULL, delivery_main, self);
    self->started = rc == 0;
    if (rc == 0)
        return UTAPI_OK;
    pthread_mutex_destroy(&self->lock);
    return utapi_fail(err, UTAPI_UNAVAILABLE, "the journal's thread: %s", strerror(rc));
}

void utapi_journal_delivery_stop(journal_delivery *self)
{
    if (!self->started)
        return;
    utapi_journal_pending_stop(self->pending);
    pthread_join(self->thread, NULL);
    pthread_mutex_destroy(&self->lock);
    self->started = false;
}

void utapi_journal_delivery_stats(journal_delivery *self, utapi_storage_stats *ret)
{
    pthread_mutex_lock(&self->lock);
    *ret = self->stats;
    const int64_t silent_ms = utapi_monotonic_ms() - self->heartbeat_ms;
    memcpy(ret->warning, self->fatal, sizeof ret->warning);
    if (*ret->warning == '\0')
        utapi_journal_pending_warning(self->pending, ret->warning);
    if (*ret->warning == '\0' &&
        silent_ms > self->pace.stalled_ms) /* a round begins each tick, unless the storage keeps it */
        snprintf(ret->warning, sizeof ret->warning, "the storage has not answered for %lld s",
                 (long long)(silent_ms / 1000));
    if (*ret->warning == '\0')
        memcpy(ret->warning, self->stats.warning, sizeof ret->warning);
    pthread_mutex_unlock(&self->lock);
}
