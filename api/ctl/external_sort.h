/* SPDX-License-Identifier: Apache-2.0 */
/**
 * external_sort.h - what two storages hold, change by change, in temporary files: more than memory may hold.
 *
 * Changes come in no order. Each goes into one of many files by its resource, so that a file holds all of a
 * resource, from both sides, and fits in memory: there it is sorted. The files have no name and go with the process.
 */
#ifndef CTL_EXTERNAL_SORT_H
#define CTL_EXTERNAL_SORT_H

#include "utapi/backend.h"

enum { SORT_FILES = 128 };

typedef enum sort_side { SORT_SOURCE, SORT_TARGET } sort_side;

/** How much one metric of a resource changed in an interval, on one side. */
typedef struct sort_row {
    utapi_string name;
    utapi_interval interval;
    utapi_wide amount;
    utapi_level level;
    utapi_metric metric;
    sort_side side;
} sort_row;

typedef struct external_sort external_sort;

/**
 * Makes the files, in $TMPDIR or /tmp.
 *
 * @param ret  owned: external_sort_free()
 * @return UTAPI_UNAVAILABLE if they cannot be made; UTAPI_NO_MEMORY
 */
UTAPI_MUST_USE utapi_status external_sort_new(external_sort **ret, utapi_error *err);
void external_sort_free(external_sort *self); /* NULL is fine */

/** Adds a change; its name is copied. UTAPI_UNAVAILABLE if the disk is full. */
UTAPI_MUST_USE utapi_status external_sort_add(external_sort *self, const sort_row *change, utapi_error *err);

/**
 * All of one file, sorted by level, name, interval, metric and side; a change that was added twice comes once.
 *
 * @param ret      borrowed: valid until the next call
 * @param ret_end  behind the last one
 */
UTAPI_MUST_USE utapi_status external_sort_load(external_sort *self, size_t file, const sort_row **ret,
                                               const sort_row **ret_end, utapi_error *err);

/** Whether both are of one resource. */
bool sort_same_resource(const sort_row *left, const sort_row *right);

#endif
