/* SPDX-License-Identifier: Apache-2.0 */
/* journal_read.c - questions: what the storage says, and what is taken and not yet there.
 *
 * A question settles on a moment first: all that was taken until then, and nothing later. It asks the storage for
 * one name at a time, without a lock; the answer says how far the storage was. Events between that and the moment
 * are added, or taken away where the storage was further already. The events are in memory: what was not applied
 * when the question began stays until it ends. Where sums are not enough (a forgetting is under way) or events
 * are not in memory, it waits for the storage. */
#include "journal_internal.h"

#include <string.h>
#include <time.h>

/* ---- waiting ------------------------------------------------------------------------------ */

int64_t utapi_journal_monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool utapi_journal_wait_until(journal *self, pthread_cond_t *condition, int64_t until_ms)
{
    const struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                                   .tv_nsec = (long)(until_ms % 1000) * 1000000};
    return pthread_cond_timedwait(condition, &self->lock, &until) == 0;
}

static utapi_status fail_waiting(const journal *self, utapi_error *err)
{
    return utapi_fail(
        err, UTAPI_UNAVAILABLE, "the storage has not caught up with the journal: %llu events wait%s%s",
        (unsigned long long)utapi_journal_waiting(self), *self->trouble != '\0' ? ": " : "", self->trouble);
}

/* Whether all of the epochs until one is applied, and of that one the events before a sequence. */
static bool applied_until(const journal *self, uint32_t epoch, uint64_t sequence)
{
    const journal_epoch *waiting = utapi_journal_waiting_epoch(self);
    return waiting == NULL || waiting->number > epoch ||
           (waiting->number == epoch && waiting->applied >= sequence);
}

/* With the lock held: waits for all that was taken before the call. */
static utapi_status wait_for_all(journal *self, int64_t until_ms, utapi_error *err)
{
    const uint32_t epoch = self->newest->number;
    const uint64_t sequence = self->newest->next;
    utapi_journal_hurry(self);
    while (!applied_until(self, epoch, sequence))
        if (!utapi_journal_wait_until(self, &self->changed, until_ms) &&
            !applied_until(self, epoch, sequence))
            return fail_waiting(self, err);
    return UTAPI_OK;
}

utapi_status utapi_journal_wait_drained(journal *self, utapi_error *err)
{
    pthread_mutex_lock(&self->lock);
    const utapi_status status = wait_for_all(self, utapi_journal_monotonic_ms() + self->tuning.wait_ms, err);
    pthread_mutex_unlock(&self->lock);
    return status;
}

/* ---- adding what waits -------------------------------------------------------------------- */

/* A question, and the moment that it answers for. */
typedef struct question {
    const utapi_query *query;
    uint32_t epoch;
    uint64_t upper; /* everything before this event, nothing from it on */
    journal_reader reader;
} question;

typedef struct difference {
    utapi_wide state[2][2]; /* bytes and objects, at the start and at the end of the range */
    utapi_sums flows;
} difference;

static void difference_add(difference *sums, const journal_event *event, const utapi_query *query, int sign)
{
    const utapi_interval interval = utapi_interval_of(event->time_ms);
    if (interval > query->end)
        return;
    for (unsigned m = 0; m < UTAPI_INCOMING_BYTES; m++) {
        sums->state[m][0] += interval <= query->start ? (utapi_wide)event->delta[m] * sign : 0;
        sums->state[m][1] += (utapi_wide)event->delta[m] * sign;
    }
    if (interval < query->start)
        return;
    utapi_sums one = {.present = 0};
    for (unsigned m = UTAPI_INCOMING_BYTES; m < UTAPI_FIRST_OPERATION; m++)
        if (event->delta[m] != 0) {
            utapi_sums_add(&one, m, 0);
            one.of[m] = (utapi_wide)event->delta[m] * sign;
        }
    if (event->operation != UTAPI_OP_NONE)
        utapi_sums_add(&one, UTAPI_FIRST_OPERATION + (unsigned)event->operation, sign);
    utapi_sums_merge(&sums->flows, &one);
}

static bool state_add(int64_t *total, utapi_wide more)
{
    const utapi_wide sum = *total + more;
    if (sum > INT64_MAX || sum < INT64_MIN)
        return false;
    *total = (int64_t)sum;
    return true;
}

static bool usage_add(utapi_usage *usage, const difference *sums)
{
    for (unsigned at = 0; at < 2; at++)
        if (!state_add(&usage->storage_utilized[at], sums->state[UTAPI_STORAGE_UTILIZED][at]) ||
            !state_add(&usage->number_of_objects[at], sums->state[UTAPI_NUMBER_OF_OBJECTS][at]))
            return false;
    return utapi_amounts_add(&usage->flows, &sums->flows, NULL) == UTAPI_OK;
}

/* Brings what the storage said at a fence to the question's moment; false if that cannot be done in memory. With
 * the lock held. */
static bool usage_settle(const journal *self, const question *q, utapi_string name, uint64_t fence,
                         utapi_usage *usage)
{
    const uint64_t low = fence < q->upper ? fence : q->upper;
    const uint64_t high = fence < q->upper ? q->upper : fence;
    if (self->newest->number != q->epoch || self->oldest->foreign || low < self->pending.first ||
        (low < self->settle && low != high) || high > self->newest->next)
        return false;
    const journal_event *event = utapi_journal_pending_find(self, q->query->level, name);
    difference sums = {.flows.present = 0};
    for (; event != NULL && event->sequence < high; event = event->links[q->query->level].next) {
        if (event->sequence < low)
            continue;
        if (event->time_ms < self->gone_newest_ms[q->query->level] || event->time_ms < usage->expired_ms)
            return false; /* it may count nowhere: its resource may have been forgotten since */
        difference_add(&sums, event, q->query, fence < q->upper ? 1 : -1);
    }
    return usage_add(usage, &sums);
}

/* ---- a question --------------------------------------------------------------------------- */

static void question_begin(journal *self, question *q, utapi_query *one)
{
    const journal_epoch *epoch = self->newest;
    q->epoch = epoch->number;
    q->upper = epoch->next;
    memcpy(one->writer, epoch->writer, sizeof one->writer);
    q->reader = (journal_reader){.next = self->readers, .self = &self->readers, .floor = epoch->applied};
    if (self->readers != NULL)
        self->readers->self = &q->reader.next;
    self->readers = &q->reader;
}

static void question_end(journal *self, question *q)
{
    *q->reader.self = q->reader.next;
    if (q->reader.next != NULL)
        q->reader.next->self = q->reader.self;
    utapi_journal_pending_drop(self);
}

/* Asks once; *ret_settled is false if the storage has to catch up first. */
static utapi_status question_ask(journal *self, question *q, utapi_query *one, utapi_usage *ret,
                                 bool *ret_settled, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    *ret_settled = true;
    for (size_t i = 0; i < q->query->count && status == UTAPI_OK && *ret_settled; i++) {
        uint64_t fence = 0;
        one->names = &q->query->names[i];
        status = utapi_backend_read(self->storage, one, &ret[i], &fence, err);
        pthread_mutex_lock(&self->lock);
        if (status == UTAPI_OK)
            *ret_settled = usage_settle(self, q, *one->names, fence, &ret[i]);
        pthread_mutex_unlock(&self->lock);
    }
    return status;
}

static bool older_wait(const journal *self)
{
    const journal_epoch *waiting = utapi_journal_waiting_epoch(self);
    return waiting != NULL && waiting != self->newest;
}

utapi_status utapi_journal_read(utapi_backend *base, const utapi_query *query, utapi_usage *ret,
                                uint64_t *ret_fence, utapi_error *err)
{
    journal *self = (journal *)base;
    const int64_t until_ms = utapi_journal_monotonic_ms() + self->tuning.wait_ms;
    utapi_status status = UTAPI_OK;
    if (ret_fence != NULL)
        *ret_fence = 0; /* nobody hands fenced batches to a journal */
    bool settled = false, waits = false;
    pthread_mutex_lock(&self->lock);
    while (!settled && status == UTAPI_OK) {
        if (waits || older_wait(self) || self->newest->applied < self->pending.first)
            status = wait_for_all(self, until_ms, err);
        if (status != UTAPI_OK)
            break;
        question q = {.query = query};
        utapi_query one = *query;
        one.count = 1;
        one.all = query->names;
        one.all_count = query->count;
        one.until_ms = utapi_journal_monotonic_ms() + self->tuning.read_ms;
        question_begin(self, &q, &one);
        pthread_mutex_unlock(&self->lock);
        status = question_ask(self, &q, &one, ret, &settled, err);
        pthread_mutex_lock(&self->lock);
        question_end(self, &q);
        if (status == UTAPI_OK && !settled && waits && utapi_journal_monotonic_ms() >= until_ms)
            status = fail_waiting(self, err);
        if (status == UTAPI_OK && !settled && applied_until(self, q.epoch, q.upper))
            self->check_wanted = true; /* the storage may have lost its newest part */
        waits = true;
    }
    pthread_cond_signal(&self->wake);
    pthread_mutex_unlock(&self->lock);
    return status;
}
