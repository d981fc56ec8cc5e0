/* SPDX-License-Identifier: Apache-2.0 */
/* journal_read.c - queries: what the storage says, and what is accepted and not yet there.
 *
 * A query is for one moment: all that was accepted until then, and nothing later. It asks the storage for all
 * names at once, without a lock; the answer says for each how far the storage was. Events between that and the moment
 * are added, or taken away where the storage was further already. The events are in memory: what was not stored
 * when the query began stays until it ends. Where sums are not enough (an expiry or an act is under way) or events are
 * not in memory, the query waits for the storage. */
#include "journal_pending.h"

#include "utapi/clock.h"
#include "utapi/scoped.h"

#include <string.h>

/* ---- adding what waits -------------------------------------------------------------------- */

typedef struct difference {
    utapi_wide state[2][2]; /* bytes and objects, at the start and at the end of the range */
    utapi_amounts flows;
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
    for (unsigned m = UTAPI_INCOMING_BYTES; m < UTAPI_FIRST_OPERATION; m++)
        if (event->delta[m] != 0)
            utapi_amounts_add_one(&sums->flows, m, (utapi_wide)event->delta[m] * sign);
    if (event->operation != UTAPI_OP_NONE)
        utapi_amounts_add_one(&sums->flows, UTAPI_FIRST_OPERATION + (unsigned)event->operation, sign);
}

static void usage_add(utapi_usage *usage, const difference *sums)
{
    for (unsigned at = 0; at < 2; at++) {
        usage->storage_utilized[at] += sums->state[UTAPI_STORAGE_UTILIZED][at];
        usage->number_of_objects[at] += sums->state[UTAPI_NUMBER_OF_OBJECTS][at];
    }
    utapi_amounts_add(&usage->flows, &sums->flows);
}

/* Brings what the storage said of a resource at a fence to the query's moment; false if that cannot be done
 * in memory. With the lock held. */
static bool usage_resolve(const journal_pending *pending, const journal_reading *reading,
                          const utapi_query *query, utapi_string name, uint64_t fence, utapi_usage *usage)
{
    const uint64_t low = fence < reading->until ? fence : reading->until;
    const uint64_t high = fence < reading->until ? reading->until : fence;
    if (pending->standing.incarnation != reading->incarnation || low < pending->first ||
        (low < pending->resolve && low != high) || high > pending->standing.next)
        return false;
    const int64_t tombstone_ms = pending->standing.tombstone_ms[query->level];
    const journal_event *event = utapi_journal_pending_find(pending, query->level, name);
    difference sums = {.flows.present = 0};
    for (; event != NULL && event->sequence < high; event = event->links[query->level].next) {
        if (event->sequence < low)
            continue;
        if (event->time_ms < tombstone_ms || event->time_ms < usage->expired_ms)
            return false; /* it may count nowhere: its resource may have expired since */
        if (event->is_act)
            return false; /* its id may be known, by another journal too */
        difference_add(&sums, event, query, fence < reading->until ? 1 : -1);
    }
    usage_add(usage, &sums);
    return true;
}

/* ---- a query ------------------------------------------------------------------------------ */

static void reading_begin(journal_pending *pending, journal_reading *reading)
{
    pthread_mutex_lock(&pending->lock);
    const journal_standing *now = &pending->standing;
    *reading = (journal_reading){.next = pending->readings,
                                 .self = &pending->readings,
                                 .incarnation = now->incarnation,
                                 .stored = now->stored,
                                 .until = now->next};
    memcpy(reading->writer, now->writer, sizeof reading->writer);
    if (pending->readings != NULL)
        pending->readings->self = &reading->next;
    pending->readings = reading;
    pthread_mutex_unlock(&pending->lock);
}

/* A storage that is said to have everything, and does not answer so, may have lost its newest part. */
static void reading_end(journal_pending *pending, journal_reading *reading, bool is_answered)
{
    pthread_mutex_lock(&pending->lock);
    *reading->self = reading->next;
    if (reading->next != NULL)
        reading->next->self = reading->self;
    utapi_journal_pending_drop(pending);
    const bool is_stored = utapi_journal_pending_is_stored(pending, reading->incarnation, reading->until);
    pthread_mutex_unlock(&pending->lock);
    if (!is_answered && is_stored)
        utapi_journal_pending_wake(pending, JOURNAL_CHECK);
}

/* Asks once; *ret_answered is false if the storage has to catch up first. */
static utapi_status reading_ask(journal_pending *pending, utapi_backend *storage, const utapi_query *query,
                                utapi_usage *ret, bool *ret_answered, utapi_error *err)
{
    UTAPI_AUTO_FREE uint64_t *fences = calloc(query->count + 1, sizeof *fences);
    if (fences == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a query of %zu names", query->count);
    journal_reading reading;
    reading_begin(pending, &reading);
    utapi_query asked = *query;
    memcpy(asked.writer, reading.writer, sizeof asked.writer);
    const utapi_status status = utapi_backend_read(storage, &asked, ret, fences, err);
    bool is_answered = true;
    pthread_mutex_lock(&pending->lock);
    for (size_t i = 0; i < query->count && status == UTAPI_OK && is_answered; i++)
        is_answered = usage_resolve(pending, &reading, query, query->names[i], fences[i], &ret[i]);
    pthread_mutex_unlock(&pending->lock);
    reading_end(pending, &reading, is_answered);
    *ret_answered = is_answered;
    return status;
}

/* Whether all that waits is in memory. */
static bool is_whole(journal_pending *pending)
{
    pthread_mutex_lock(&pending->lock);
    const bool whole = pending->standing.older == 0 && pending->standing.stored >= pending->first;
    pthread_mutex_unlock(&pending->lock);
    return whole;
}

utapi_status utapi_journal_read(journal_pending *self, utapi_backend *storage,
                                const journal_patience *patience, const utapi_query *query, utapi_usage *ret,
                                utapi_error *err)
{
    utapi_query asked = *query;
    int64_t until_ms = utapi_monotonic_ms() + patience->wait_ms;
    if (query->deadline_ms != 0 && query->deadline_ms < until_ms)
        until_ms = query->deadline_ms;
    for (bool waits = !is_whole(self);; waits = true) {
        bool is_answered = false;
        utapi_status status = waits ? utapi_journal_pending_wait(self, until_ms, err) : UTAPI_OK;
        asked.deadline_ms = utapi_monotonic_ms() + patience->read_ms;
        if (query->deadline_ms != 0 && query->deadline_ms < asked.deadline_ms)
            asked.deadline_ms = query->deadline_ms;
        if (status == UTAPI_OK)
            status = reading_ask(self, storage, &asked, ret, &is_answered, err);
        if (status != UTAPI_OK || is_answered)
            return status;
        if (waits && utapi_monotonic_ms() >= until_ms)
            return utapi_journal_pending_fail(self, err);
    }
}
