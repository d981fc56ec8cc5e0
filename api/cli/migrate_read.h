/* SPDX-License-Identifier: Apache-2.0 */
/**
 * migrate_read.h - all that a storage holds, as changes.
 */
#ifndef CLI_MIGRATE_READ_H
#define CLI_MIGRATE_READ_H

#include "cli/migrate_spill.h"
#include "cli/progress.h"

/**
 * Reads a whole storage.
 *
 * @param ret_changes  how many were found
 * @return as the storage answers; UTAPI_OVERFLOW if a change does not fit 64 bits
 */
UTAPI_MUST_USE utapi_status migrate_read(utapi_backend *storage, spill_side side, spill *to, progress *shown,
                                         size_t *ret_changes, utapi_error *err);

#endif
