/* SPDX-License-Identifier: Apache-2.0 */
/* batch.c - sorts a batch's deltas into the order of storage and sums them.
 *
 * An aggregation is an array of references, one for each resource that an entry counts for, sorted by level,
 * name, segment and interval. Nothing is summed until somebody walks it: a run of equal references is
 * added up on the stack of the walker, so an aggregation costs three words a reference whatever the number of metrics.
 *
 * Names are sorted eight bytes at a time by a quicksort that parts into three: what is equal so far is looked at
 * again only from the next eight bytes on. So names that begin alike, and a service that all entries name, cost
 * one pass. [R. Sedgewick, J. Bentley: Fast algorithms for sorting and searching strings, 1997] */
#include "utapi/batch.h"

#include "utapi/scoped.h"

#include <string.h>

enum { WORD = 8, FEW = 12 };

typedef struct aggregation_ref {
    uint64_t key; /* what it is sorted by at the moment: eight bytes of the name, or its position */
    const utapi_entry *entry;
    uint32_t segment; /* of its bucket; 0 at the other levels */
    uint32_t level;
} aggregation_ref;

struct utapi_aggregation {
    size_t count, next;
    aggregation_ref refs[];
};

UTAPI_AUTO_DEFINE(utapi_aggregation, utapi_aggregation_free)

/* Moves a string's bytes to `at`; returns where they end. */
static char *string_move(utapi_string *string, char *at)
{
    if (string->size > 0)
        string->data = memcpy(at, string->data, string->size);
    return at + string->size;
}

utapi_entry *utapi_entry_copy(const utapi_entry *entry)
{
    size_t size = entry->uuid.size + entry->action.size + entry->keys.size + entry->letter.size;
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT; level++)
        size += entry->resource[level].size;
    utapi_entry *copy = malloc(sizeof *copy + size);
    if (copy == NULL)
        return NULL;
    *copy = *entry;
    copy->refused = NULL;
    char *at = string_move(&copy->uuid, (char *)(copy + 1));
    at = string_move(&copy->action, at);
    at = string_move(&copy->keys, at);
    at = string_move(&copy->letter, at);
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT; level++)
        at = string_move(&copy->resource[level], at);
    return copy;
}

bool utapi_fence_is_set(const utapi_fence *fence)
{
    static const unsigned char nobody[sizeof fence->writer];
    return memcmp(fence->writer, nobody, sizeof nobody) != 0;
}

utapi_batch utapi_batch_prefix(const utapi_batch *batch, size_t count)
{
    utapi_batch prefix = *batch;
    if (count < batch->count) {
        prefix.count = count;
        prefix.fence.to = count > 0 ? batch->entries[count - 1].sequence + 1 : batch->fence.from;
    }
    return prefix;
}

int64_t utapi_batch_accepted_ms(const utapi_batch *batch)
{
    int64_t earliest_ms = batch->count > 0 ? INT64_MAX : INT64_MIN;
    for (size_t i = 0; i < batch->count; i++)
        if (batch->entries[i].accepted_ms < earliest_ms)
            earliest_ms = batch->entries[i].accepted_ms;
    return earliest_ms;
}

static utapi_string ref_name(const aggregation_ref *ref)
{
    return ref->entry->resource[ref->level];
}

static utapi_interval ref_interval(const aggregation_ref *ref)
{
    return utapi_interval_of(ref->entry->time_ms);
}

static bool ref_same_resource(const aggregation_ref *left, const aggregation_ref *right)
{
    return left->level == right->level && utapi_string_equal(ref_name(left), ref_name(right));
}

/* ---- sorting ------------------------------------------------------------------------------ */

/* Where a reference stands among those of its resource. */
typedef uint64_t position_fn(const aggregation_ref *ref);

typedef struct sorter {
    position_fn *position;
    uint64_t draw; /* pivots are drawn: no order of names is slow */
} sorter;

/* Eight bytes of a name as a number; zeros where it ends, which no name holds (docs/specification.md#names). */
static uint64_t name_word(utapi_string name, size_t from)
{
    unsigned char bytes[WORD] = {0};
    if (from < name.size)
        memcpy(bytes, name.data + from, name.size - from < WORD ? name.size - from : WORD);
    uint64_t word = 0;
    for (size_t i = 0; i < WORD; i++)
        word = word << 8 | bytes[i];
    return word;
}

static void ref_swap(aggregation_ref *left, aggregation_ref *right)
{
    const aggregation_ref kept = *left;
    *left = *right;
    *right = kept;
}

static void equal_sort(sorter *self, aggregation_ref *refs, size_t count, size_t from);

static void few_sort(sorter *self, aggregation_ref *refs, size_t count, size_t from)
{
    for (size_t i = 1; i < count; i++) {
        const aggregation_ref moved = refs[i];
        size_t at = i;
        for (; at > 0 && refs[at - 1].key > moved.key; at--)
            refs[at] = refs[at - 1];
        refs[at] = moved;
    }
    for (size_t first = 0, end; first < count; first = end) {
        for (end = first + 1; end < count && refs[end].key == refs[first].key; end++)
            continue;
        equal_sort(self, refs + first, end - first, from);
    }
}

/* Sorts by the keys; where those are equal, by what follows the word that begins at `from`. */
static void refs_sort(sorter *self, aggregation_ref *refs, size_t count, size_t from)
{
    while (count > FEW) {
        self->draw = self->draw * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        const uint64_t pivot = refs[(self->draw >> 33) % count].key;
        size_t less = 0, at = 0, more = count;
        while (at < more) {
            if (refs[at].key < pivot)
                ref_swap(&refs[less++], &refs[at++]);
            else if (refs[at].key > pivot)
                ref_swap(&refs[at], &refs[--more]);
            else
                at++;
        }
        equal_sort(self, refs + less, more - less, from);
        if (less < count - more) { /* the smaller part by recursion: the stack stays flat */
            refs_sort(self, refs, less, from);
            refs += more;
            count -= more;
        } else {
            refs_sort(self, refs + more, count - more, from);
            count = less;
        }
    }
    few_sort(self, refs, count, from);
}

/* From one word of the name to the next, and from the last one to the positions. */
static void equal_sort(sorter *self, aggregation_ref *refs, size_t count, size_t from)
{
    enum { AT_PLACES = UTAPI_NAME_MAX + WORD }; /* no name has a word there */
    if (count < 2 || from == AT_PLACES)
        return;
    const bool name_ends = (refs->key & 0xFF) == 0;
    const size_t next = name_ends ? AT_PLACES : from + WORD;
    for (size_t i = 0; i < count; i++)
        refs[i].key = name_ends ? self->position(&refs[i]) : name_word(ref_name(&refs[i]), next);
    refs_sort(self, refs, count, next);
}

static void aggregation_sort(utapi_aggregation *self, position_fn *position)
{
    sorter by = {.position = position, .draw = (uint64_t)(uintptr_t)self};
    for (size_t first = 0, end; first < self->count; first = end) { /* they were added level by level */
        for (end = first; end < self->count && self->refs[end].level == self->refs[first].level; end++)
            self->refs[end].key = name_word(ref_name(&self->refs[end]), 0);
        refs_sort(&by, self->refs + first, end - first, 0);
    }
}

static uint64_t position_in_batch(const aggregation_ref *ref)
{
    return (uint64_t)(uintptr_t)ref->entry; /* entries are an array */
}

static uint64_t position_in_storage(const aggregation_ref *ref)
{
    return (uint64_t)ref->segment << 32 | utapi_interval_number(ref_interval(ref));
}

/* ---- aggregating -------------------------------------------------------------------------- */

/* Numbers the segments of each bucket: an expiry ends one, of its own bucket alone. */
static void aggregation_part(utapi_aggregation *self)
{
    aggregation_sort(self, position_in_batch);
    for (size_t i = 1; i < self->count && self->refs[i].level == UTAPI_BUCKETS; i++) {
        const aggregation_ref *before = &self->refs[i - 1];
        if (ref_same_resource(before, &self->refs[i]))
            self->refs[i].segment = before->segment + (before->entry->expiry != UTAPI_EXPIRE_NEVER);
    }
}

utapi_status utapi_aggregation_new(const utapi_batch *batch, const bool *skip, utapi_aggregation **ret,
                                   utapi_error *err)
{
    const size_t max_refs = batch->count * UTAPI_LEVEL_COUNT;
    UTAPI_AUTO(utapi_aggregation) *self = malloc(sizeof *self + max_refs * sizeof *self->refs);
    if (self == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "aggregating %zu events", batch->count);
    self->count = 0;
    self->next = 0;

    bool expires = false;
    for (uint32_t level = 0; level < UTAPI_LEVEL_COUNT; level++)
        for (size_t i = 0; i < batch->count; i++) {
            const utapi_entry *entry = &batch->entries[i];
            if (entry->resource[level].size == 0 || (skip != NULL && skip[i]))
                continue;
            self->refs[self->count++] = (aggregation_ref){.entry = entry, .level = level};
            expires = expires || entry->expiry != UTAPI_EXPIRE_NEVER;
        }
    if (expires)
        aggregation_part(self);
    aggregation_sort(self, position_in_storage);
    *ret = UTAPI_TAKE(self);
    return UTAPI_OK;
}

void utapi_aggregation_free(utapi_aggregation *self)
{
    free(self);
}

bool utapi_aggregation_next(utapi_aggregation *self, utapi_resource_run *ret)
{
    if (self->next == self->count)
        return false;
    const aggregation_ref *first = &self->refs[self->next];
    *ret = (utapi_resource_run){
        .level = (utapi_level)first->level, .name = ref_name(first), .first = self->next};
    for (const aggregation_ref *ref = first; self->next < self->count; ref = &self->refs[self->next]) {
        if (ref->segment != first->segment || !ref_same_resource(first, ref))
            break;
        if (first->level == UTAPI_BUCKETS && ref->entry->expiry != UTAPI_EXPIRE_NEVER)
            ret->expiry = ref->entry; /* at most one: it ends its segment */
        self->next++;
    }
    ret->end = self->next;
    return true;
}

bool utapi_aggregation_sum(const utapi_aggregation *self, utapi_resource_run *run, int64_t not_before_ms,
                           utapi_interval_delta *ret)
{
    while (run->first < run->end && self->refs[run->first].entry->time_ms < not_before_ms)
        run->first++;
    if (run->first == run->end)
        return false;

    ret->interval = ref_interval(&self->refs[run->first]);
    ret->sums.present = 0;
    for (; run->first < run->end && ref_interval(&self->refs[run->first]) == ret->interval; run->first++) {
        const utapi_entry *entry = self->refs[run->first].entry;
        if (entry->time_ms < not_before_ms)
            continue;
        for (unsigned m = 0; m < UTAPI_FIRST_OPERATION; m++)
            if (entry->delta[m] != 0)
                utapi_amounts_add_one(&ret->sums, m, entry->delta[m]);
        if (entry->operation != UTAPI_OP_NONE)
            utapi_amounts_add_one(&ret->sums, UTAPI_FIRST_OPERATION + (unsigned)entry->operation, 1);
    }
    return true;
}
