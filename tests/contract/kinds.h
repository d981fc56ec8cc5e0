/* SPDX-License-Identifier: Apache-2.0 */
/**
 * kinds.h - what the suites run on: each kind of storage, and each with a journal before it.
 */
#ifndef CONTRACT_KINDS_H
#define CONTRACT_KINDS_H

#include "check.h"
#include "utapi/backend.h"

/**
 * Finds a kind: "memory", "lmdb", "journal+lmdb", ... and makes ready what it needs.
 *
 * @return NULL if there is none. Static storage.
 */
const utapi_backend_ops *kind_find(const char *name);

/** Ends what kind_find() started. */
void kind_done(void);

/** Runs those of the cases whose promise the kind can hold; says which it left out, and why. Returns how many failed. */
int kind_run(const char *kind, const char *topic, const struct CMUnitTest *cases, size_t count);

#endif
