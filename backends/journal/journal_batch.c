/* SPDX-License-Identifier: Apache-2.0 */
/* journal_batch.c - see journal_batch.h. */
#include "journal_batch.h"

#include <stdlib.h>
#include <string.h>

enum { JOIN_MS = 1000, LETTERS_MAX = 512 };

/* A batch that is being made. Its fence.to is how far it is. */
typedef struct joining {
    journal_batch *out;
    journal_letter
        letters[LETTERS_MAX + 1]; /* the dead letters from its beginning on, ascending, and the next */
    size_t letter_count, letter;
    uint64_t until; /* it may not go beyond */
    size_t max;
    int64_t due_ms;    /* the first scheduled expiry after its first group */
    int64_t raised_ms; /* an expiry of which the log knew another time; INT64_MAX: none */
} joining;

/* Whether the next event is a dead letter as a whole: then it is passed over. */
static bool letter_pass(joining *at)
{
    utapi_fence *fence = &at->out->batch.fence;
    const journal_letter *letter = &at->letters[at->letter];
    if (at->letter == at->letter_count || letter->sequence != fence->to || letter->levels != 0)
        return false;
    at->letter++;
    fence->to++;
    return true;
}

/* Takes away from an event the levels at which it is a letter. */
static void levels_leave(joining *at, utapi_entry *entry)
{
    const journal_letter *letter = &at->letters[at->letter];
    if (at->letter == at->letter_count || letter->sequence != entry->sequence)
        return;
    at->letter++;
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT; level++)
        if ((letter->levels & UTAPI_LEVEL_BIT(level)) != 0)
            entry->resource[level].size = 0;
}

static bool may_join(const joining *at, const utapi_record *record)
{
    const utapi_batch *batch = &at->out->batch;
    if (batch->count == 0)
        return true;
    if (utapi_batch_act(batch) != NULL || record->entries[0].admin != NULL)
        return false;
    if (record->now_ms < batch->now_ms || record->now_ms - at->out->oldest_ms > JOIN_MS)
        return false;
    return record->now_ms == batch->now_ms || record->now_ms < at->due_ms;
}

/* Takes the bytes of a group over, an act, and makes room for its entries. */
static utapi_status group_take(joining *at, const journal_group *group, utapi_error *err)
{
    journal_batch *out = at->out;
    void **groups = realloc(out->groups, (out->group_count + 2) * sizeof *groups);
    if (groups == NULL) {
        free(group->bytes);
        return utapi_fail(err, UTAPI_NO_MEMORY, "a delivery");
    }
    out->groups = groups;
    out->groups[out->group_count++] = group->bytes;
    if (group->record.entries[0].admin != NULL) {
        utapi_admin_act *act = out->groups[out->group_count++] = malloc(sizeof *act);
        if (act == NULL)
            return utapi_fail(err, UTAPI_NO_MEMORY, "a delivery");
        *act = *group->record.entries[0].admin;
        group->record.entries[0].admin = act;
    }
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
    const utapi_record *record = &group->record;
    const uint64_t end = group->first + record->count;
    *ret_more = false;
    if (!may_join(at, record)) {
        free(group->bytes);
        return UTAPI_OK;
    }
    const utapi_status status = group_take(at, group, err);
    if (status != UTAPI_OK)
        return status;
    const size_t before = batch->count;
    while (batch->fence.to < end && batch->fence.to < at->until && batch->count < at->max)
        if (!letter_pass(at)) {
            utapi_entry *entry = &at->out->entries[batch->count++];
            *entry = record->entries[batch->fence.to++ - group->first];
            levels_leave(at, entry);
        }
    *ret_more = batch->fence.to == end;
    at->due_ms = group->due_ms < at->due_ms ? group->due_ms : at->due_ms;
    if (record->is_raised) {
        at->raised_ms = record->now_ms + 1;
        at->due_ms = at->raised_ms < at->due_ms ? at->raised_ms : at->due_ms;
    }
    if (batch->count == before)
        return UTAPI_OK;
    if (before == 0)
        at->out->oldest_ms = record->now_ms;
    batch->now_ms = record->now_ms;
    return UTAPI_OK;
}

/* Finds the dead letters on its way, and passes those that it begins with. */
static utapi_status letters_load(joining *at, journal_dead_letters *letters, const journal_span *span,
                                 utapi_error *err)
{
    const utapi_status status =
        utapi_journal_dead_letters_find(letters, span->incarnation, span->stored, span->next, at->letters,
                                        LETTERS_MAX + 1, &at->letter_count, err);
    if (status == UTAPI_OK && at->letter_count > LETTERS_MAX)
        at->until = at->letters[--at->letter_count].sequence;
    while (status == UTAPI_OK && letter_pass(at))
        continue;
    return status;
}

utapi_status utapi_journal_batch_read(journal_log *log, journal_dead_letters *letters,
                                      const journal_span *span, size_t max, journal_batch *ret,
                                      utapi_error *err)
{
    joining at = {.out = ret, .until = span->next, .max = max, .due_ms = INT64_MAX, .raised_ms = INT64_MAX};
    *ret = (journal_batch){.batch.fence = {.from = span->stored, .to = span->stored}};
    utapi_fence *fence = &ret->batch.fence;
    memcpy(fence->writer, span->writer, sizeof fence->writer);
    utapi_status status = letters_load(&at, letters, span, err);
    if (status != UTAPI_OK || fence->to >= at.until)
        return status;
    const uint64_t begin = fence->to;
    uint64_t next = begin;
    status = utapi_journal_log_read(log, span->incarnation, begin, at.until, group_join, &at, &next, err);
    ret->batch.unfit = calloc(ret->batch.count + 1, sizeof *ret->batch.unfit);
    if (status == UTAPI_OK && ret->batch.unfit == NULL)
        status = utapi_fail(err, UTAPI_NO_MEMORY, "a delivery");
    if (status == UTAPI_OK && at.raised_ms != INT64_MAX)
        status = utapi_journal_log_schedule(log, at.raised_ms, err);
    if (status != UTAPI_OK || fence->to > begin)
        return status;
    if (at.letter < at.letter_count && at.letters[at.letter].sequence < next)
        next = at.letters[at.letter].sequence;
    fence->to = next;
    return utapi_journal_log_lose(log, span->incarnation, begin, next, err);
}

void utapi_journal_batch_free(journal_batch *batch)
{
    for (size_t i = 0; i < batch->group_count; i++)
        free(batch->groups[i]);
    free(batch->groups);
    free(batch->entries);
    free(batch->batch.unfit);
    *batch = (journal_batch){.batch.count = 0};
}
