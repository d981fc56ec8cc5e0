/* SPDX-License-Identifier: Apache-2.0 */
/* registry.c - the kinds of storage that this program was built with: a new one is one more line. */
#include "backends/registry.h"

#include "lmdb_backend.h"
#include "memory.h"

#include <string.h>

static const utapi_backend_ops *const kinds[] = {
    &utapi_lmdb_backend,
    &utapi_memory_backend,
    NULL,
};

const utapi_backend_ops *utapi_registry_find(const char *name)
{
    for (size_t i = 0; kinds[i] != NULL; i++)
        if (strcmp(kinds[i]->name, name) == 0)
            return kinds[i];
    return NULL;
}

const utapi_backend_ops *const *utapi_registry_all(void)
{
    return kinds;
}
