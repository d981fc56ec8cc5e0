/* SPDX-License-Identifier: Apache-2.0 */
/* late.c - see late.h. */
#include "late.h"

#include "utapi/codec.h"

#include <string.h>

unsigned utapi_late_ranges(uint32_t interval, utapi_late_range ret[static UTAPI_LATE_RESOLUTIONS])
{
    const uint64_t end = (uint64_t)interval + 1;
    uint64_t from = 0; /* all before it is covered */
    unsigned count = 0;
    for (unsigned resolution = UTAPI_LATE_RESOLUTIONS; resolution-- > 0;) {
        const unsigned bits = UTAPI_LATE_BITS * resolution;
        const uint64_t first = from >> bits, past = end >> bits;
        if (past > first)
            ret[count++] = (utapi_late_range){resolution, (uint32_t)first, (uint32_t)(past - 1)};
        from = past << bits;
    }
    return count;
}

/* ---- deltas that a row holds ---------------------------------------------------------------- */

bool utapi_late_hold(utapi_late_holding *holding, const utapi_interval_delta *delta)
{
    unsigned char bytes[UTAPI_VARINT_MAX + UTAPI_SNAPSHOT_AMOUNTS_MAX];
    const uint64_t number = utapi_interval_number(delta->interval);
    unsigned char *end = utapi_varint_put(bytes, number - holding->from);
    end = utapi_snapshot_amounts_put(end, &delta->sums);
    const size_t size = (size_t)(end - bytes);
    if (size > sizeof holding->bytes - holding->size)
        return false;
    memcpy(holding->bytes + holding->size, bytes, size);
    holding->size += size;
    holding->from = number + 1;
    return true;
}

bool utapi_late_held_next(utapi_late_walk *walk, utapi_interval_delta *ret)
{
    uint64_t gap = 0;
    if (walk->at == walk->end || walk->at == NULL)
        return false;
    walk->at = utapi_varint_get(walk->at, walk->end, &gap);
    if (walk->at != NULL && gap <= UINT32_MAX && walk->from + gap <= UINT32_MAX)
        walk->at = utapi_snapshot_amounts_get(walk->at, walk->end, &ret->sums);
    else
        walk->at = NULL;
    if (walk->at == NULL)
        return false;
    ret->interval = utapi_interval_at((uint32_t)(walk->from + gap));
    walk->from += gap + 1;
    return true;
}

utapi_status utapi_late_held_end(const utapi_late_walk *walk, utapi_error *err)
{
    return walk->at != NULL || walk->end == NULL
               ? UTAPI_OK
               : utapi_fail(err, UTAPI_CORRUPT, "late deltas that a row holds cannot be read");
}
