/* SPDX-License-Identifier: Apache-2.0 */
/**
 * migrate_copy.h - makes a target hold what a source holds: whatever is missing there, and nothing else, is written; and
 * the fences of those who wrote the source.
 */
#ifndef CLI_MIGRATE_COPY_H
#define CLI_MIGRATE_COPY_H

#include "cli/migrate_spill.h"
#include "cli/progress.h"

/** How two storages differ. */
typedef struct migrate_difference {
    size_t differing; /* changes of the source that the target lacks, or has with another amount */
    size_t foreign;   /* changes of the target that the source knows nothing of */
    size_t resources; /* of either */
} migrate_difference;

/** Told of a difference. The amounts are of the same metric and interval; 0: nothing there. Borrowed for the call. */
typedef void migrate_difference_cb(void *ctx, const spill_change *of, int64_t in_source, int64_t in_target);

/** Compares the sides of a spill. on_difference may be NULL. */
UTAPI_MUST_USE utapi_status migrate_compare(spill *both, migrate_difference_cb *on_difference, void *ctx,
                                            migrate_difference *ret, utapi_error *err);

/**
 * Writes the differences into the target, in steps that happen wholly or not at all. The sides of the spill are as they
 * were before.
 *
 * @return as the target answers; after any error some steps may be written: what is still missing shows when both
 *         are read again
 */
UTAPI_MUST_USE utapi_status migrate_copy(spill *both, utapi_backend *target, progress *shown,
                                         utapi_error *err);

/**
 * Sets each fence of the source in the target, once the figures are there: a journal that goes on before the target
 * knows then what these hold already. What the target alone has of fences stays.
 *
 * @return as either answers; after any error some may be set
 */
UTAPI_MUST_USE utapi_status migrate_fences(utapi_backend *source, utapi_backend *target, progress *shown,
                                           utapi_error *err);

#endif
