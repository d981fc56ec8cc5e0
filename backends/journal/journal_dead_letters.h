/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_dead_letters.h - events that were accepted and not counted: kept, shown to the operator, pushed again or
 * acknowledged by him.
 *
 * What is stored lies in the log's environment. Safe from any thread.
 */
#ifndef JOURNAL_JOURNAL_DEAD_LETTERS_H
#define JOURNAL_JOURNAL_DEAD_LETTERS_H

#include "journal_log.h"

#include "utapi/backend_dead_letters.h"

typedef struct journal_dead_letters {
    journal_log *log;  /* borrowed */
    uint64_t sweep_at; /* so many stubs are looked through; guarded by the environment's `writing` */
} journal_dead_letters;

/** An event that is a dead letter: at some levels or, 0, at all. */
typedef struct journal_letter {
    uint64_t sequence;
    utapi_level_set levels;
} journal_letter;

/**
 * Keeps the events of a batch, by their sequences, and why: those of which batch->unfit names levels, at these; all
 * where it is NULL. One that is there already is there once. Errors as in append.
 */
UTAPI_MUST_USE utapi_status utapi_journal_dead_letters_add(journal_dead_letters *self, uint32_t incarnation,
                                                           const utapi_batch *batch, utapi_status why,
                                                           const char *detail, utapi_error *err);

/** An incarnation's first dead letters in [from, until), by ascending sequence: no more than `max`. */
UTAPI_MUST_USE utapi_status utapi_journal_dead_letters_find(journal_dead_letters *self, uint32_t incarnation,
                                                            uint64_t from, uint64_t until,
                                                            journal_letter *ret, size_t max,
                                                            size_t *ret_count, utapi_error *err);

/** As utapi_backend_dead_letters(), and utapi_backend_acknowledge(). */
UTAPI_MUST_USE utapi_status utapi_journal_dead_letters_list(journal_dead_letters *self,
                                                            utapi_dead_letter_cb *on_letter, void *ctx,
                                                            utapi_error *err);
UTAPI_MUST_USE utapi_status utapi_journal_dead_letters_acknowledge(journal_dead_letters *self,
                                                                   const utapi_acknowledgement *what,
                                                                   utapi_error *err);

/** As utapi_backend_dead_letter_stats(); and how many lost events were acknowledged, ever. */
UTAPI_MUST_USE utapi_status utapi_journal_dead_letters_stats(journal_dead_letters *self,
                                                             utapi_dead_letter_stats *ret,
                                                             uint64_t *ret_lost_acknowledged,
                                                             utapi_error *err);

#endif
