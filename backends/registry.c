/* SPDX-License-Identifier: Apache-2.0 */
/* registry.c - the kinds of storage that this program was built with: a new one is one more line. */
#include "backends/registry.h"

#include "lmdb_backend.h"
#include "memory.h"
#include "redis_backend.h"
#include "utapi_journal.h"

#include <string.h>

static const utapi_backend_ops *const kinds[] = {
    &utapi_lmdb_backend,
    &utapi_memory_backend,
    &utapi_redis_backend,
    NULL,
};

const utapi_backend_ops *utapi_registry_find(const char *name)
{
    for (size_t i = 0; kinds[i] != NULL; i++)
        if (strcmp(kinds[i]->name, name) == 0)
            return kinds[i];
    return NULL;
}

utapi_status utapi_registry_open(const char *name, const utapi_backend_options *options,
                                 const utapi_journal_options *journal, utapi_backend **ret, utapi_error *err)
{
    utapi_backend *storage = NULL;
    const utapi_backend_ops *kind = utapi_registry_find(name);
    if (kind == NULL)
        return utapi_fail(err, UTAPI_NOT_SUPPORTED, "%s: no such kind of storage", name);
    const utapi_status status = utapi_backend_open(kind, options, &storage, err);
    if (status == UTAPI_OK && journal != NULL)
        return utapi_journal_open(storage, journal, ret, err);
    if (status == UTAPI_OK)
        *ret = storage;
    return status;
}

const utapi_backend_ops *const *utapi_registry_all(void)
{
    return kinds;
}
