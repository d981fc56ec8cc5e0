/* SPDX-License-Identifier: Apache-2.0 */
/* journal_weights.c - see journal_weights.h. */
#include "journal_weights.h"

#include "utapi/hash.h"

#include <stdlib.h>

static uint64_t cell_hash(unsigned level, utapi_string name, utapi_interval interval)
{
    const uint64_t hash = UTAPI_HASH_SEED ^ (uint64_t)interval * UINT64_C(0x9e3779b97f4a7c15) ^ level;
    return utapi_hash_end(utapi_hash_add(hash, name.data, name.size)) | 1;
}

/* Adds it if it is new; returns whether it was. */
static bool cell_add(journal_weights *self, uint64_t hash)
{
    size_t at = (size_t)(hash >> 1) & self->mask;
    while (self->slots[at] != 0 && self->slots[at] != hash)
        at = (at + 1) & self->mask;
    if (self->slots[at] == hash)
        return false;
    self->slots[at] = hash;
    return true;
}

/* Counts a cell if it is new to the batch, or else an operation that is new to it. A cell that was delivered
 * lately lies where its hash says, until another one takes its place. */
static void cell_count(journal_weights *self, uint64_t hash, utapi_operation operation, size_t weight)
{
    uint64_t *place = &self->lately[(hash >> 1) % JOURNAL_LATELY];
    const bool is_new = cell_add(self, hash);
    const uint64_t with_operation = (hash + (uint64_t)operation * UINT64_C(0x9e3779b97f4a7c15)) | 1;
    if (operation != UTAPI_OP_NONE && cell_add(self, with_operation))
        self->operations += !is_new;
    if (!is_new)
        return;
    if (weight == 1 && *place == hash)
        self->warm++;
    else
        self->cold += weight;
    *place = hash;
}

/* What an entry weighs for the beginning or the end of its bucket. */
static size_t life_weight(const utapi_entry *entry, bool late)
{
    if (entry->expiry == UTAPI_EXPIRE_NOW)
        return late ? UTAPI_STEP_LATE_FORGETTING : UTAPI_STEP_BUCKET_LIFE;
    return entry->operation == UTAPI_OP_CREATE_BUCKET ? UTAPI_STEP_BUCKET_LIFE : 0;
}

bool utapi_journal_weights_new(journal_weights *ret, size_t max, uint64_t *lately)
{
    size_t slots = 16;
    *ret = (journal_weights){.max = max, .lately = lately};
    if (max == 0)
        return true;
    while (slots < 2 * (UTAPI_STEP_WARM_CELLS + UTAPI_STEP_OPERATIONS_A_CELL) * (max + 8))
        slots *= 2;
    ret->mask = slots - 1;
    ret->slots = calloc(slots, sizeof *ret->slots);
    return ret->slots != NULL;
}

bool utapi_journal_weights_add(journal_weights *self, const utapi_entry *entry, int64_t now_ms, bool first)
{
    if (self->max == 0)
        return true;
    const utapi_interval interval = utapi_interval_of(entry->time_ms);
    const bool late = interval < utapi_interval_of(now_ms) - UTAPI_INTERVAL_MS;
    const size_t weight = late ? UTAPI_STEP_LATE_CELL : 1, life = life_weight(entry, late);
    const size_t count = self->cold + self->warm / UTAPI_STEP_WARM_CELLS +
                         self->operations / UTAPI_STEP_OPERATIONS_A_CELL +
                         self->entries / UTAPI_STEP_ENTRIES_A_CELL;
    if (!first && count + weight * UTAPI_LEVEL_COUNT + life + 1 > self->max) {
        /* It may well bring nothing new; but a look ahead would have to be taken back. */
        return false;
    }
    self->entries++;
    self->cold += life;
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT; level++)
        if (entry->resource[level].size > 0)
            cell_count(self, cell_hash(level, entry->resource[level], interval), entry->operation, weight);
    return true;
}
