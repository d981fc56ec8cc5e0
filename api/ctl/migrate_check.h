/* SPDX-License-Identifier: Apache-2.0 */
/**
 * migrate_check.h - whether two storages answer the same questions alike.
 */
#ifndef CTL_MIGRATE_CHECK_H
#define CTL_MIGRATE_CHECK_H

#include "ctl/external_sort.h"
#include "ctl/progress.h"

/** What is asked of whom, and what came of it. */
typedef struct migrate_check {
    utapi_backend *source, *target; /* borrowed */
    progress *shown;                /* borrowed */
    bool is_quick;                  /* single days alone: a long range may be slow where there are no rows */
    size_t listed;                  /* resources that were asked for so far */
    size_t differing;               /* answers that were not alike: found so far */
    size_t unanswered;              /* resources that one of them cannot answer for */
} migrate_check;

/**
 * Asks both for the usage of every resource of a sort: over all of its time and that of its like (those of its
 * level whose last change is of about the same time: a storage may find out for all of them at once), its first
 * day, its last one, and one interval in the middle. Differences are reported on stderr, the first of them. A resource
 * with a key that cannot be read is passed over, and counted.
 */
UTAPI_MUST_USE utapi_status migrate_check_usage(migrate_check *self, external_sort *both, utapi_error *err);

#endif
