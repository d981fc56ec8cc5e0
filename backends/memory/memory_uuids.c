/* SPDX-License-Identifier: Apache-2.0 */
/* memory_uuids.c - which uuids were taken within the window. */
#include "memory_internal.h"

#include "utapi/scoped.h"

#include <search.h>
#include <string.h>

static int uuid_order(const void *left_uuid, const void *right_uuid)
{
    const memory_uuid *left = left_uuid;
    const memory_uuid *right = right_uuid;
    if (left->time_ms != right->time_ms)
        return left->time_ms < right->time_ms ? -1 : 1;
    return utapi_string_compare(left->uuid, right->uuid);
}

void utapi_memory_uuids_expire(memory_backend *self, int64_t accepted_ms)
{
    for (memory_uuid *uuid; (uuid = self->oldest) != NULL; free(uuid)) {
        if (uuid->accepted_ms >= accepted_ms - self->window_ms)
            return;
        self->oldest = uuid->next;
        if (self->oldest == NULL)
            self->newest = &self->oldest;
        tdelete(uuid, &self->uuids, uuid_order);
        self->uuid_count--;
    }
}

/* Takes back the uuids that were taken after those that end at `end`. */
void utapi_memory_uuids_undo(memory_backend *self, memory_uuid **end)
{
    memory_uuid *uuid = *end;
    for (memory_uuid *next; uuid != NULL; uuid = next) {
        next = uuid->next;
        tdelete(uuid, &self->uuids, uuid_order);
        self->uuid_count--;
        free(uuid);
    }
    *end = NULL;
    self->newest = end;
}

static utapi_status uuid_take(memory_backend *self, const utapi_entry *entry, int64_t accepted_ms,
                              bool *known, utapi_error *err)
{
    UTAPI_AUTO_FREE memory_uuid *uuid = malloc(sizeof *uuid + entry->uuid.size);
    if (uuid == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a uuid");
    *uuid = (memory_uuid){.time_ms = entry->uuid_time_ms, .accepted_ms = accepted_ms};
    memcpy(uuid->bytes, entry->uuid.data, entry->uuid.size);
    uuid->uuid = (utapi_string){.data = uuid->bytes, .size = entry->uuid.size};
    memory_uuid *const *found = tsearch(uuid, &self->uuids, uuid_order);
    if (found == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "a uuid");
    *known = *found != uuid;
    if (*known)
        return UTAPI_OK;
    *self->newest = uuid;
    self->newest = &uuid->next;
    self->uuid_count++;
    uuid = NULL;
    return UTAPI_OK;
}

utapi_status utapi_memory_uuids_take(memory_backend *self, const utapi_batch *batch, bool *skip,
                                     size_t *ret_repeated, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    *ret_repeated = 0;
    for (size_t i = 0; i < batch->count && self->window_ms > 0 && status == UTAPI_OK; i++) {
        if (batch->entries[i].uuid.size > 0)
            status = uuid_take(self, &batch->entries[i], batch->accepted_ms, &skip[i], err);
        *ret_repeated += skip[i];
    }
    return status;
}
