/* SPDX-License-Identifier: Apache-2.0 */
/**
 * kinds.h - what the suites run on: each kind of storage, and each with a journal before it.
 */
#ifndef CONTRACT_KINDS_H
#define CONTRACT_KINDS_H

#include "check.h"
#include "utapi/backend.h"

/**
 * Chooses the kind that the suite runs on: "memory", "lmdb", "journal+lmdb", ...; makes ready what it needs, or ends
 * the program with 77 if that is not on this machine.
 *
 * @return false: there is no such kind
 */
bool kind_choose(const char *name);

/** The kind that was chosen. */
const utapi_backend_ops *kind_chosen(void);

/** Ends what kind_choose() started. */
void kind_done(void);

/**
 * Runs those of the cases whose promise the kind can hold; says which it left out, and why. Returns how many
 * failed.
 */
int kind_run(const char *topic, const struct CMUnitTest *cases, size_t count);

#endif
