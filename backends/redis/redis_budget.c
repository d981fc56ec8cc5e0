/* SPDX-License-Identifier: Apache-2.0 */
/* redis_budget.c - how much of a batch one script stores.
 *
 * Redis serves nobody else while a script runs. What a script costs is its keys, so a batch is weighed in deltas, one for each
 * resource and interval: a delta is several keys, each further operation of it is one more, a uuid is a field, and a late delta
 * changes later states too. The beginning of a bucket looks at all that may be left of it, its end takes all away. A script
 * of the whole budget takes three to eight milliseconds (tests/system/test_redis_limits.py), most where twice as many deltas
 * are warm and each gets several operations. */
#include "redis_write.h"

#include "utapi/hash.h"

#include <stdlib.h>

enum {
    BUDGET_DELTAS = REDIS_BUDGET_DELTAS,
    LATE_DELTA = 4,    /* a late delta weighs as much as so many others */
    BUCKET_LIFE = 2,   /* an entry that creates its bucket, or expires it, weighs so much more, */
    LATE_EXPIRY = 100, /* and a late one that expires it so much */
    WARM_DELTAS =
        2, /* so many deltas that were written lately, so that their keys are there and cached, weigh one; */
    DELTA_OPERATIONS = 8, /* so do so many operations in deltas, the first of each delta aside, */
    DELTA_ENTRIES = 20    /* and so many entries for what each brings of its own: a uuid, a notice */
};

/* What a prefix of a batch weighs so far. Deltas and the operations in them are told apart by hash: a collision makes the
 * prefix too long by one. */
typedef struct budget {
    uint64_t *known; /* a hash table; 0: free */
    size_t mask;
    uint64_t *warm; /* the backend's: a delta that was written lately lies where its hash says */
    size_t warm_deltas, cold_deltas, operations, entries;
} budget;

/* Adds a hash if it is new; returns whether it was. */
static bool known_add(budget *self, uint64_t hash)
{
    size_t at = (size_t)(hash >> 1) & self->mask;
    while (self->known[at] != 0 && self->known[at] != hash)
        at = (at + 1) & self->mask;
    if (self->known[at] == hash)
        return false;
    self->known[at] = hash;
    return true;
}

static void delta_weigh(budget *self, uint64_t hash, utapi_operation operation, size_t weight)
{
    uint64_t *warm = &self->warm[(hash >> 1) % REDIS_WARM_DELTAS];
    const bool is_new = known_add(self, hash);
    if (operation != UTAPI_OP_NONE &&
        known_add(self, (hash + (uint64_t)operation * UINT64_C(0x9e3779b97f4a7c15)) | 1))
        self->operations += !is_new;
    if (!is_new)
        return;
    if (weight == 1 && *warm == hash)
        self->warm_deltas++;
    else
        self->cold_deltas += weight;
    *warm = hash;
}

/* Adds an entry; false if it does not fit. It may well bring nothing new; but a look ahead would have to be taken back. */
static bool entry_weigh(budget *self, const utapi_entry *entry, int64_t now_ms)
{
    const utapi_interval interval = utapi_interval_of(entry->time_ms);
    const bool is_late = interval < utapi_interval_of(now_ms) - UTAPI_INTERVAL_MS;
    const size_t weight = is_late ? LATE_DELTA : 1;
    size_t life = entry->operation == UTAPI_OP_CREATE_BUCKET ? BUCKET_LIFE : 0;
    if (entry->expiry == UTAPI_EXPIRE_NOW)
        life = is_late ? LATE_EXPIRY : BUCKET_LIFE;
    const size_t so_far = self->cold_deltas + self->warm_deltas / WARM_DELTAS +
                          self->operations / DELTA_OPERATIONS + self->entries / DELTA_ENTRIES;
    if (self->entries > 0 && so_far + weight * UTAPI_LEVEL_COUNT + life + 1 > BUDGET_DELTAS)
        return false;
    self->entries++;
    self->cold_deltas += life;
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT; level++) {
        const utapi_string name = entry->resource[level];
        if (name.size == 0)
            continue;
        uint64_t hash = utapi_hash_add(UTAPI_HASH_SEED + level, &interval, sizeof interval);
        hash = utapi_hash_end(utapi_hash_add(hash, name.data, name.size));
        delta_weigh(self, hash | 1, entry->operation, weight);
    }
    return true;
}

utapi_status utapi_redis_budget(redis_backend *self, const utapi_batch *batch, size_t *ret_count,
                                utapi_error *err)
{
    budget so_far = {.mask = 15, .warm = self->warm};
    while (so_far.mask < 2 * (WARM_DELTAS + DELTA_OPERATIONS) * (BUDGET_DELTAS + 8))
        so_far.mask = 2 * so_far.mask + 1;
    so_far.known = calloc(so_far.mask + 1, sizeof *so_far.known);
    if (so_far.known == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "weighing %zu events", batch->count);
    *ret_count = 0;
    while (*ret_count < batch->count && entry_weigh(&so_far, &batch->entries[*ret_count], batch->now_ms))
        ++*ret_count;
    free(so_far.known);
    return UTAPI_OK;
}
