/* SPDX-License-Identifier: Apache-2.0 */
/**
 * migrate_wait.h - patience with a storage that answers and cannot be used yet: a Redis that writes its file anew, perhaps.
 */
#ifndef CLI_MIGRATE_WAIT_H
#define CLI_MIGRATE_WAIT_H

#include "cli/progress.h"
#include "utapi/backend.h"

/** How long it lasts: one call of a storage has one, {0} at first. */
typedef struct migrate_wait {
    int64_t until_ms; /* on the steady clock; 0: nobody waits yet */
} migrate_wait;

/**
 * After a call, whether it is to be repeated; waits a moment before it says yes, and tells the user at the first time.
 *
 * @param status  what the call answered; only after UTAPI_UNAVAILABLE nothing was done
 * @param shown   cleared before anything is said
 * @return false where there is nothing to wait for: another status, a storage that cannot be reached, or eleven minutes
 */
bool migrate_wait_more(migrate_wait *self, utapi_backend *storage, utapi_status status,
                       const utapi_error *why, progress *shown);

#endif
