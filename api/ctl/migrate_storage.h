/* SPDX-License-Identifier: Apache-2.0 */
/**
 * migrate_storage.h - all that a migration asks of the two storages, with patience where one answers that it cannot
 * work yet: a Redis that writes its file anew, perhaps. Such a call is repeated for up to eleven minutes, and the
 * user is told.
 *
 * Each function takes a progress, which is cleared before anything is said.
 */
#ifndef CTL_MIGRATE_STORAGE_H
#define CTL_MIGRATE_STORAGE_H

#include "ctl/external_sort.h"
#include "ctl/progress.h"
#include "utapi/backend_admin.h"

/**
 * Opens "lmdb:DIRECTORY" or a URI.
 *
 * @param option         what errors begin with: "--from"
 * @param must_be_there  a directory is not made
 * @param ret            owned: utapi_backend_close()
 * @return UTAPI_INVALID for a place that is none; otherwise as the storage answers
 */
UTAPI_MUST_USE utapi_status migrate_open(const char *option, const char *place, bool must_be_there,
                                         utapi_backend **ret, utapi_error *err);

/** What an export found. */
typedef struct migrate_found {
    size_t changes;
    size_t unreadable; /* keys, and members of them, that hold what nobody can read */
} migrate_found;

/**
 * Reads a whole storage. What cannot be read is left out in the source; in the target it is an error, for it cannot be
 * written either.
 *
 * @param reports whether what is left out is named on stderr
 * @return as the storage answers; UTAPI_OVERFLOW if a change does not fit 64 bits
 */
UTAPI_MUST_USE utapi_status migrate_export(utapi_backend *storage, sort_side side, bool reports,
                                           external_sort *to, progress *shown, migrate_found *ret,
                                           utapi_error *err);

/** Writes corrections, in steps that happen wholly or not at all. After any error some of them may be written. */
UTAPI_MUST_USE utapi_status migrate_adjust(utapi_backend *storage, const utapi_adjustment *adjustments,
                                           size_t count, progress *shown, utapi_error *err);

/** Asks for usage. ret: one for each name of the query. */
UTAPI_MUST_USE utapi_status migrate_query(utapi_backend *storage, const utapi_query *query, progress *shown,
                                          utapi_usage *ret, utapi_error *err);

/**
 * Sets each fence of the source in the target, once the figures are there: a journal that goes on before the target
 * knows then what these hold already. What the target alone has of fences stays.
 *
 * @return as either answers; after any error some may be set
 */
UTAPI_MUST_USE utapi_status migrate_fences(utapi_backend *source, utapi_backend *target, progress *shown,
                                           utapi_error *err);

/**
 * Takes what operators did along, oldest first: rows whose ids the target knows are passed over.
 *
 * @param ret_count  rows of the source
 * @return as either answers; after any error some may be written
 */
UTAPI_MUST_USE utapi_status migrate_audit(utapi_backend *source, utapi_backend *target, progress *shown,
                                          size_t *ret_count, utapi_error *err);

#endif
