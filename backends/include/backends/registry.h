/* SPDX-License-Identifier: Apache-2.0 */
/**
 * registry.h - the kinds of storage that this program was built with. Only a main includes this.
 */
#ifndef BACKENDS_REGISTRY_H
#define BACKENDS_REGISTRY_H

#include "utapi/backend.h"
#include "utapi_journal.h"
#include "utapi_replay.h"

/** The kind that a configuration calls by this name; NULL if there is none. Static storage. */
const utapi_backend_ops *utapi_registry_find(const char *name);

/** Every kind, in a table that ends with NULL: for messages, and for tests that run on each. */
const utapi_backend_ops *const *utapi_registry_all(void);

/**
 * Opens a storage, with a journal before it if one is asked for.
 *
 * @param name     as for utapi_registry_find()
 * @param journal  NULL: none
 * @param ret      owned: close with utapi_backend_close()
 * @return UTAPI_NOT_SUPPORTED for an unknown name; as the two opens
 */
UTAPI_MUST_USE utapi_status utapi_registry_open(const char *name, const utapi_backend_options *options,
                                                const utapi_journal_options *journal, utapi_backend **ret,
                                                utapi_error *err);

#endif
