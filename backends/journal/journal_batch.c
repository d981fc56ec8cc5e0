/* SPDX-License-Identifier: Apache-2.0 */
/* journal_batch.c - see journal_batch.h. */
#include "journal_batch.h"

#include <stdlib.h>
#include <string.h>

enum { JOIN_MS = 1000 };

/* A batch that is being made. */
typedef struct joining {
    journal_batch *out;
    uint64_t until; /* the sequence that it may not go beyond */
    size_t max;
    int64_t due_ms; /* the first scheduled expiry after its first group */
    bool schedules; /* one of its entries schedules an expiry */
    journal_weights *weights;
} joining;

static bool may_join(const joining *at, const journal_record *record)
{
    const utapi_batch *batch = &at->out->batch;
    if (batch->count == 0)
        return true;
    if (record->now_ms < batch->now_ms || record->now_ms - at->out->oldest_ms > JOIN_MS)
        return false;
    return record->now_ms == batch->now_ms || (record->now_ms < at->due_ms && !at->schedules);
}

/* Takes the bytes of a group over, and makes room for its entries. */
static utapi_status group_take(joining *at, const journal_group *group, utapi_error *err)
{
    journal_batch *out = at->out;
    void **groups = realloc(out->groups, (out->group_count + 1) * sizeof *groups);
    if (groups == NULL) {
        free(group->bytes);
        return utapi_fail(err, UTAPI_NO_MEMORY, "a delivery");
    }
    out->groups = groups;
    out->groups[out->group_count++] = group->bytes;
    utapi_entry *entries = realloc(out->entries, (out->batch.count + group->record.count) * sizeof *entries);
    if (entries == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a delivery");
    out->batch.entries = out->entries = entries;
    return UTAPI_OK;
}

/* Adds what is new of a group to the batch, as far as it fits. */
static utapi_status group_join(void *ctx, const journal_group *group, bool *ret_more, utapi_error *err)
{
    joining *at = ctx;
    utapi_batch *batch = &at->out->batch;
    const journal_record *record = &group->record;
    *ret_more = false;
    if (!may_join(at, record)) {
        free(group->bytes);
        return UTAPI_OK;
    }
    const utapi_status status = group_take(at, group, err);
    if (status != UTAPI_OK)
        return status;
    const size_t before = batch->count;
    size_t i = (size_t)(batch->fence.to - group->first);
    for (; i < record->count && batch->fence.to < at->until && batch->count < at->max; i++) {
        const utapi_entry *entry = &record->entries[i];
        if (!utapi_journal_weights_add(at->weights, entry, record->now_ms, batch->count == 0))
            break;
        at->out->entries[batch->count++] = *entry;
        at->schedules |= entry->expiry == UTAPI_EXPIRE_LATER;
        batch->fence.to++;
    }
    *ret_more = i == record->count;
    if (batch->count == before)
        return UTAPI_OK;
    if (before == 0) {
        at->out->oldest_ms = record->now_ms;
        at->due_ms = group->due_ms;
    }
    batch->now_ms = record->now_ms;
    batch->accepted_ms = record->accepted_ms > batch->accepted_ms ? record->accepted_ms : batch->accepted_ms;
    return UTAPI_OK;
}

utapi_status utapi_journal_batch_read(journal_log *log, journal_dead_letters *letters,
                                      const journal_span *span, size_t max, journal_weights *weights,
                                      journal_batch *ret, utapi_error *err)
{
    uint64_t letter = 0, next = 0;
    *ret = (journal_batch){.kind = BATCH_EVENTS};
    utapi_fence *fence = &ret->batch.fence;
    *fence = (utapi_fence){.from = span->stored, .to = span->stored};
    memcpy(fence->writer, span->writer, sizeof fence->writer);
    utapi_status status =
        utapi_journal_dead_letters_next(letters, span->incarnation, span->stored, span->next, &letter, err);
    if (status == UTAPI_OK && letter == span->stored) {
        ret->kind = BATCH_DEAD_LETTER;
        fence->to = span->stored + 1;
        return UTAPI_OK;
    }
    joining at = {.out = ret, .until = letter, .max = max, .due_ms = INT64_MAX, .weights = weights};
    if (status == UTAPI_OK)
        status =
            utapi_journal_log_read(log, span->incarnation, span->stored, letter, group_join, &at, &next, err);
    if (status == UTAPI_OK && ret->batch.count == 0) {
        ret->kind = BATCH_GAP;
        fence->to = next;
    }
    return status;
}

void utapi_journal_batch_free(journal_batch *batch)
{
    for (size_t i = 0; i < batch->group_count; i++)
        free(batch->groups[i]);
    free(batch->groups);
    free(batch->entries);
    *batch = (journal_batch){.kind = BATCH_EVENTS};
}
