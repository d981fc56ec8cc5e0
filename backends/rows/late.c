/* SPDX-License-Identifier: Apache-2.0 */
/* late.c - see late.h. */
#include "late.h"

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
