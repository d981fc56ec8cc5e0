/* SPDX-License-Identifier: Apache-2.0 */
/**
 * registry.h - the kinds of storage that this program was built with. Only a main includes this.
 */
#ifndef BACKENDS_REGISTRY_H
#define BACKENDS_REGISTRY_H

#include "utapi/backend.h"

/** The kind that a configuration calls by this name; NULL if there is none. Static storage. */
const utapi_backend_ops *utapi_registry_find(const char *name);

/** Every kind, in a table that ends with NULL: for messages, and for tests that run on each. */
const utapi_backend_ops *const *utapi_registry_all(void);

#endif
