/* SPDX-License-Identifier: Apache-2.0 */
/**
 * migrate_read.h - all that a storage holds, as changes.
 */
#ifndef CLI_MIGRATE_READ_H
#define CLI_MIGRATE_READ_H

#include "cli/migrate_spill.h"
#include "cli/progress.h"

/** What was found. */
typedef struct migrate_found {
    size_t changes;
    size_t unreadable; /* keys, and members of them, that hold what nobody can read */
} migrate_found;

/**
 * Reads a whole storage. What cannot be read is left out in the source; in the target it is an error, for it cannot be
 * written either.
 *
 * @param tells  whether what is left out is named on stderr
 * @return as the storage answers; UTAPI_OVERFLOW if a change does not fit 64 bits
 */
UTAPI_MUST_USE utapi_status migrate_read(utapi_backend *storage, spill_side side, bool tells, spill *to,
                                         progress *shown, migrate_found *ret, utapi_error *err);

#endif
