/* SPDX-License-Identifier: Apache-2.0 */
/* interval.c - the ranges that may be asked for (docs/specification.md#time-ranges). */
#include "utapi/interval.h"

#include <stdbool.h>

/* The times that a JavaScript Date can hold (ECMA-262, 21.4.1.1), which is what Utapi takes. */
static bool is_date(int64_t time_ms)
{
    const int64_t farthest_ms = INT64_C(8640000000000000);
    return time_ms >= -farthest_ms && time_ms <= farthest_ms;
}

utapi_status utapi_range_of(int64_t start_ms, const int64_t *end_ms, int64_t now_ms, utapi_range *ret,
                            utapi_error *err)
{
    if (!is_date(start_ms) || (end_ms != NULL && !is_date(*end_ms)))
        return utapi_fail(err, UTAPI_INVALID, "timeRange: a time is out of range");
    if (utapi_interval_of(start_ms) != start_ms)
        return utapi_fail(err, UTAPI_INVALID, "timeRange: start is not the first millisecond of an interval");
    if (end_ms != NULL && *end_ms - utapi_interval_of(*end_ms) != UTAPI_INTERVAL_MS - 1)
        return utapi_fail(err, UTAPI_INVALID, "timeRange: end is not the last millisecond of an interval");
    const int64_t end = end_ms != NULL ? *end_ms : now_ms;
    if (start_ms > end)
        return utapi_fail(err, UTAPI_INVALID, "timeRange: start is after end");
    *ret = (utapi_range){.start_ms = start_ms, .end_ms = end};
    return UTAPI_OK;
}

utapi_range utapi_range_recent(int64_t now_ms)
{
    return (utapi_range){.start_ms = utapi_interval_of(now_ms) - UTAPI_INTERVAL_MS, .end_ms = now_ms};
}
