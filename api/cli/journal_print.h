/* SPDX-License-Identifier: Apache-2.0 */
/**
 * journal_print.h - the journal's figures out of a healthcheck, and how they are printed.
 */
#ifndef CLI_JOURNAL_PRINT_H
#define CLI_JOURNAL_PRINT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct journal_figures {
    const char *status;  /* "ok", "degraded", "unavailable"; borrowed from the JSON, as the next */
    const char *trouble; /* "": none */
    bool has_journal;    /* the members that follow are filled */
    int64_t waiting, oldest_age_ms, used_bytes, capacity_bytes, refused, lost;
    int64_t refused_acknowledged, lost_acknowledged; /* of those two */
} journal_figures;

/** Reads the body of a healthcheck; false if it is none. */
bool journal_figures_read(const json_t *health, journal_figures *ret);

/** "1,204 events wait, the oldest for 35 s" */
void journal_print_waiting(const journal_figures *figures, FILE *out);

/** One line for each figure. */
void journal_print_figures(const journal_figures *figures, FILE *out);

/** A table of the events that were kept aside, from an array of /_/journal/refused; false if it is none. */
bool journal_print_refused(const json_t *events, FILE *out);

#endif
