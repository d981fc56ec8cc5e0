/* SPDX-License-Identifier: Apache-2.0 */
/* batch.c - sorts a batch's deltas into the order of storage and sums them.
 *
 * A fold is an array of references, one for each resource that an entry counts for, sorted by level,
 * name, segment, interval and place in the batch. Nothing is summed until somebody walks it: a run of
 * equal references is added up on the stack of the walker, so a fold costs a few words a reference
 * whatever the number of metrics. */
#include "utapi/batch.h"

#include "utapi/scoped.h"

#include <string.h>

typedef struct fold_ref {
    uint64_t prefix; /* the name's first 8 bytes, big-endian: settles most comparisons */
    utapi_interval interval;
    const utapi_entry *entry;
    uint32_t segment; /* of its bucket level; 0 at the other levels */
    uint32_t level;
} fold_ref;

struct utapi_fold {
    size_t count, next;
    fold_ref refs[];
};

UTAPI_AUTO_DEFINE(utapi_fold, utapi_fold_free)

bool utapi_fence_is_set(const utapi_fence *fence)
{
    static const unsigned char nobody[sizeof fence->writer];
    return memcmp(fence->writer, nobody, sizeof nobody) != 0;
}

static utapi_string ref_name(const fold_ref *ref)
{
    return ref->entry->resource[ref->level];
}

static uint64_t name_prefix(utapi_string name)
{
    unsigned char bytes[8] = {0};
    memcpy(bytes, name.data, name.size < sizeof bytes ? name.size : sizeof bytes);
    uint64_t prefix = 0;
    for (size_t i = 0; i < sizeof bytes; i++)
        prefix = prefix << 8 | bytes[i];
    return prefix;
}

#define ORDER(left, right) (((left) > (right)) - ((left) < (right)))

static int ref_order_resource(const fold_ref *left, const fold_ref *right)
{
    if (left->level != right->level)
        return ORDER(left->level, right->level);
    if (left->prefix != right->prefix)
        return ORDER(left->prefix, right->prefix);
    return utapi_string_compare(ref_name(left), ref_name(right));
}

static bool ref_same_run(const fold_ref *left, const fold_ref *right)
{
    return left->segment == right->segment && ref_order_resource(left, right) == 0;
}

static int ref_order(const void *left_ref, const void *right_ref)
{
    const fold_ref *left = left_ref;
    const fold_ref *right = right_ref;
    const int resource = ref_order_resource(left, right);
    if (resource != 0)
        return resource;
    if (left->segment != right->segment)
        return ORDER(left->segment, right->segment);
    if (left->interval != right->interval)
        return ORDER(left->interval, right->interval);
    return ORDER(left->entry, right->entry);
}

/* The order of the taking, for each resource. */
static int ref_order_taken(const void *left_ref, const void *right_ref)
{
    const fold_ref *left = left_ref;
    const fold_ref *right = right_ref;
    const int resource = ref_order_resource(left, right);
    return resource != 0 ? resource : ORDER(left->entry, right->entry);
}

/* Numbers the segments of each bucket: a forgetting ends one, of its own bucket alone. */
static void fold_part(utapi_fold *fold)
{
    qsort(fold->refs, fold->count, sizeof *fold->refs, ref_order_taken);
    for (size_t i = 1; i < fold->count && fold->refs[i].level == UTAPI_BUCKETS; i++) {
        const fold_ref *before = &fold->refs[i - 1];
        if (ref_order_resource(before, &fold->refs[i]) == 0)
            fold->refs[i].segment = before->segment + (before->entry->forget != UTAPI_KEEP);
    }
}

static void fold_add_entry(utapi_fold *fold, const utapi_entry *entry)
{
    for (uint32_t level = 0; level < UTAPI_LEVEL_COUNT; level++) {
        if (entry->resource[level].size == 0)
            continue;
        fold->refs[fold->count++] = (fold_ref){
            .prefix = name_prefix(entry->resource[level]),
            .interval = utapi_interval_of(entry->time_ms),
            .entry = entry,
            .level = level,
        };
    }
}

utapi_status utapi_fold_new(const utapi_batch *batch, const bool *skip, utapi_fold **ret, utapi_error *err)
{
    const size_t most = batch->count * UTAPI_LEVEL_COUNT;
    UTAPI_AUTO(utapi_fold) *fold = malloc(sizeof *fold + most * sizeof *fold->refs);
    if (fold == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "folding %zu events", batch->count);
    fold->count = 0;
    fold->next = 0;

    bool forgets = false;
    for (size_t i = 0; i < batch->count; i++) {
        if (skip != NULL && skip[i])
            continue;
        fold_add_entry(fold, &batch->entries[i]);
        forgets = forgets || batch->entries[i].forget != UTAPI_KEEP;
    }
    if (forgets)
        fold_part(fold);
    qsort(fold->refs, fold->count, sizeof *fold->refs, ref_order);
    *ret = UTAPI_TAKE(fold);
    return UTAPI_OK;
}

void utapi_fold_free(utapi_fold *fold)
{
    free(fold);
}

bool utapi_fold_next(utapi_fold *fold, utapi_run *ret)
{
    if (fold->next == fold->count)
        return false;
    const fold_ref *first = &fold->refs[fold->next];
    *ret = (utapi_run){.level = (utapi_level)first->level, .name = ref_name(first), .first = fold->next};
    while (fold->next < fold->count && ref_same_run(first, &fold->refs[fold->next])) {
        const utapi_entry *entry = fold->refs[fold->next++].entry;
        if (first->level == UTAPI_BUCKETS && entry->forget != UTAPI_KEEP)
            ret->forget = entry; /* at most one: it ends its segment */
    }
    ret->end = fold->next;
    return true;
}

static void sums_add_entry(utapi_sums *sums, const utapi_entry *entry)
{
    for (unsigned m = 0; m < UTAPI_FIRST_OPERATION; m++)
        if (entry->delta[m] != 0)
            utapi_sums_add(sums, m, entry->delta[m]);
    if (entry->operation != UTAPI_OP_NONE)
        utapi_sums_add(sums, UTAPI_FIRST_OPERATION + (unsigned)entry->operation, 1);
}

bool utapi_fold_sum(const utapi_fold *fold, utapi_run *run, int64_t not_before_ms, utapi_cell *ret)
{
    while (run->first < run->end && fold->refs[run->first].entry->time_ms < not_before_ms)
        run->first++;
    if (run->first == run->end)
        return false;

    ret->interval = fold->refs[run->first].interval;
    ret->sums.present = 0;
    for (; run->first < run->end && fold->refs[run->first].interval == ret->interval; run->first++)
        if (fold->refs[run->first].entry->time_ms >= not_before_ms)
            sums_add_entry(&ret->sums, fold->refs[run->first].entry);
    return true;
}
