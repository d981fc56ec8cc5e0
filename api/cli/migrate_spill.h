/* SPDX-License-Identifier: Apache-2.0 */
/**
 * migrate_spill.h - what two storages hold, change by change, in temporary files: more than memory may hold.
 *
 * Changes come in no order. Each goes into one of many files by its resource, so that a file holds all of a
 * resource, from both sides, and fits in memory: there it is sorted. The files have no name and go with the process.
 */
#ifndef CLI_MIGRATE_SPILL_H
#define CLI_MIGRATE_SPILL_H

#include "utapi/backend.h"

enum { SPILL_FILES = 128 };

typedef enum spill_side { SPILL_SOURCE, SPILL_TARGET } spill_side;

/** How much one metric of a resource changed in an interval, on one side. */
typedef struct spill_change {
    utapi_string name;
    utapi_interval interval;
    int64_t amount;
    utapi_level level;
    utapi_metric metric;
    spill_side side;
} spill_change;

typedef struct spill spill;

/**
 * Makes the files, in $TMPDIR or /tmp.
 *
 * @param ret  owned: spill_free()
 * @return UTAPI_UNAVAILABLE if they cannot be made; UTAPI_NO_MEMORY
 */
UTAPI_MUST_USE utapi_status spill_new(spill **ret, utapi_error *err);
void spill_free(spill *self); /* NULL is fine */

/** Adds a change; its name is copied. UTAPI_UNAVAILABLE if the disk is full. */
UTAPI_MUST_USE utapi_status spill_add(spill *self, const spill_change *change, utapi_error *err);

/**
 * All of one file, sorted by level, name, interval, metric and side; a change that was told twice comes once.
 *
 * @param ret  borrowed: valid until the next call
 */
UTAPI_MUST_USE utapi_status spill_load(spill *self, size_t file, const spill_change **ret, size_t *ret_count,
                                       utapi_error *err);

/** Whether both are of one resource. */
bool spill_same_resource(const spill_change *left, const spill_change *right);

#endif
