/* SPDX-License-Identifier: Apache-2.0 */
/* memory_letters.c - dead letters, in the order in which they were kept. A write adds new ones and marks those that it
 * takes; its end makes that good, or takes it back. */
#include "memory_internal.h"

#include "utapi/codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { RANDOM_SIZE = 16, ID_SIZE = 2 * (8 + RANDOM_SIZE) };

void utapi_memory_letter_drop(memory_backend *self, memory_letter *letter)
{
    free(letter->entry);
    utapi_memory_drop(&self->letters, &letter->node);
}

static memory_letter *letter_find(memory_backend *self, utapi_string id)
{
    return utapi_memory_get(&self->letters, 0, id, 0);
}

/* An id: how many letters there ever were, and random digits. False: there are none to be had. */
static bool id_draw(const memory_backend *self, char ret[static ID_SIZE])
{
    unsigned char bytes[RANDOM_SIZE] = {0};
    char number[17];
    uint64_t ever = 0;
    for (unsigned reason = 0; reason < UTAPI_REASON_COUNT; reason++)
        ever += self->letter_stats_then.ever[reason];
    (void)snprintf(number, sizeof number, "%016llx", (unsigned long long)ever);
    memcpy(ret, number, 16);
    const bool is_random = getrandom(bytes, sizeof bytes, 0) == RANDOM_SIZE;
    utapi_hex_put(ret + 16, bytes, sizeof bytes);
    return is_random;
}

/* Counts an event that is not kept: by its source, or without it where too many sources have a count. */
static void dropped_count(utapi_dead_letter_stats *stats, const utapi_refusal *why)
{
    const utapi_string cut = utapi_string_cut(why->source, UTAPI_SOURCE_MAX);
    for (utapi_string source = cut;; source.size = 0) {
        const bool has_room =
            stats->dropped_count < UTAPI_DROPPED_MAX - UTAPI_REASON_COUNT || source.size == 0;
        size_t i = 0;
        while (i < stats->dropped_count &&
               (stats->dropped[i].reason != why->reason ||
                !utapi_string_equal(utapi_string_of(stats->dropped[i].source), source)))
            i++;
        if (i == stats->dropped_count && !has_room)
            continue;
        utapi_dropped *dropped = &stats->dropped[i];
        if (i == stats->dropped_count) {
            stats->dropped_count++;
            *dropped = (utapi_dropped){.reason = why->reason};
            (void)snprintf(dropped->source, sizeof dropped->source, "%.*s", (int)source.size, source.data);
        }
        dropped->count++;
        return;
    }
}

static utapi_status letter_keep(memory_backend *self, const utapi_entry *entry, int64_t now_ms,
                                utapi_error *err)
{
    char id[ID_SIZE];
    const utapi_refusal *why = entry->refused;
    self->letter_stats_then.ever[why->reason]++;
    if (!id_draw(self, id))
        return utapi_fail(err, UTAPI_UNAVAILABLE, "no random numbers");
    memory_letter *letter =
        utapi_memory_get(&self->letters, 0, (utapi_string){id, sizeof id}, sizeof *letter);
    utapi_entry kept = *entry;
    if (kept.keys.size > UTAPI_LETTER_KEYS_MAX)
        kept.keys.size = 0;
    if (letter == NULL || (letter->entry = utapi_entry_copy(&kept)) == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a dead letter");
    const utapi_string source = utapi_string_cut(why->source, UTAPI_SOURCE_MAX);
    letter->reason = why->reason;
    letter->kept_ms = now_ms;
    (void)snprintf(letter->detail, sizeof letter->detail, "%s", why->detail);
    (void)snprintf(letter->source, sizeof letter->source, "%.*s", (int)source.size, source.data);
    return UTAPI_OK;
}

utapi_status utapi_memory_letters_draft(memory_backend *self, const utapi_batch *batch, bool *skip,
                                        size_t *repeated, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    self->letters_taken = 0;
    self->letter_stats_then = self->letter_stats;
    for (size_t i = 0; i < batch->count && status == UTAPI_OK; i++) {
        const utapi_entry *entry = &batch->entries[i];
        memory_letter *letter = entry->letter.size > 0 ? letter_find(self, entry->letter) : NULL;
        if (letter != NULL && !letter->is_taken) {
            letter->is_taken = true;
            self->letters_taken++;
        } else if (entry->letter.size > 0) {
            skip[i] = true;
            ++*repeated;
        } else if (entry->refused != NULL && !skip[i]) {
            skip[i] = true;
            if (self->letters.count - self->letters_taken < self->max_letters)
                status = letter_keep(self, entry, batch->now_ms, err);
            else {
                self->letter_stats_then.ever[entry->refused->reason]++;
                dropped_count(&self->letter_stats_then, entry->refused);
            }
        }
    }
    return status;
}

void utapi_memory_letters_end(memory_backend *self, uint64_t before, bool stored)
{
    memory_node *next;
    while (!stored && self->letters.count > before)
        utapi_memory_letter_drop(self, (memory_letter *)TAILQ_LAST(&self->letters.nodes, memory_nodes));
    for (memory_node *node = TAILQ_FIRST(&self->letters.nodes); node != NULL && self->letters_taken > 0;
         node = next) {
        memory_letter *letter = (memory_letter *)node;
        next = TAILQ_NEXT(node, link);
        self->letters_taken -= letter->is_taken;
        if (stored && letter->is_taken)
            utapi_memory_letter_drop(self, letter);
        else
            letter->is_taken = false;
    }
    if (stored)
        self->letter_stats = self->letter_stats_then;
}

/* ---- slots -------------------------------------------------------------------------------- */

static utapi_status memory_letters_list(utapi_backend *base, utapi_dead_letter_cb *on_letter, void *ctx,
                                        utapi_error *err)
{
    memory_backend *self = (memory_backend *)base;
    const memory_node *node;
    (void)err;
    pthread_rwlock_rdlock(&self->lock);
    TAILQ_FOREACH (node, &self->letters.nodes, link) {
        const memory_letter *kept = (const memory_letter *)node;
        char id[ID_SIZE + 1];
        (void)snprintf(id, sizeof id, "%.*s", (int)node->text.size, node->text.data);
        const utapi_dead_letter letter = {.id = id,
                                          .entry = kept->entry,
                                          .reason = kept->reason,
                                          .detail = kept->detail,
                                          .source = utapi_string_of(kept->source),
                                          .kept_ms = kept->kept_ms,
                                          .levels = UTAPI_ALL_LEVELS};
        if (!on_letter(ctx, &letter))
            break;
    }
    pthread_rwlock_unlock(&self->lock);
    return UTAPI_OK;
}

static utapi_status memory_letters_acknowledge(utapi_backend *base, const utapi_acknowledgement *what,
                                               utapi_error *err)
{
    unsigned char bytes[ID_SIZE / 2];
    if (what->lost > 0)
        return utapi_fail(err, UTAPI_INVALID, "lost: without a journal nothing is");
    for (size_t i = 0; i < what->count; i++)
        if (what->ids[i].size != ID_SIZE || !utapi_hex_get(what->ids[i].data, bytes, sizeof bytes))
            return utapi_fail_at(err, UTAPI_INVALID, i, "expected an id, as letters are listed with");
    memory_backend *self = utapi_memory_write_begin(base);
    for (size_t i = 0; i < what->count; i++) {
        memory_letter *letter = letter_find(self, what->ids[i]);
        if (letter == NULL)
            continue;
        const utapi_entry *entry = letter->entry;
        memory_node *uuid = utapi_memory_get(&self->uuids, entry->uuid_time_ms, entry->uuid, 0);
        if (entry->uuid.size > 0 && uuid != NULL)
            utapi_memory_drop(&self->uuids, uuid);
        utapi_memory_letter_drop(self, letter);
    }
    return utapi_memory_write_end(self, UTAPI_OK);
}

static utapi_status memory_letters_stats(utapi_backend *base, utapi_dead_letter_stats *ret, utapi_error *err)
{
    memory_backend *self = (memory_backend *)base;
    (void)err;
    pthread_rwlock_rdlock(&self->lock);
    *ret = self->letter_stats;
    ret->kept = self->letters.count;
    pthread_rwlock_unlock(&self->lock);
    return UTAPI_OK;
}

const utapi_dead_letter_ops utapi_memory_letters = {
    .list = memory_letters_list,
    .acknowledge = memory_letters_acknowledge,
    .stats = memory_letters_stats,
};
