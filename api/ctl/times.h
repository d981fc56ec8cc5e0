/* SPDX-License-Identifier: Apache-2.0 */
/**
 * times.h - times as people write them, rounded out to the intervals of the meter. All in UTC.
 */
#ifndef CTL_TIMES_H
#define CTL_TIMES_H

#include "ctl/format.h"
#include "utapi/status.h"

#include <stdint.h>

/** What a text means: the first millisecond, and the first one after. A point in time is an empty span. */
typedef struct time_span {
    int64_t first_ms;
    int64_t after_ms;
} time_span;

/**
 * Reads a time:
 *
 *     1700000000000                    milliseconds since the epoch
 *     @1700000000                      seconds since the epoch
 *     now
 *     today, yesterday                 that whole day
 *     2024-05-01, 2024-05              that whole day, month
 *     2024-05-01T10:30[:15[.5]][Z]     also with a space for the T, and an offset: +02:00
 *     7d, 7d ago, 2 weeks ago          before now: s, min, h, d, w, also in words
 *
 * @return UTAPI_INVALID, quoting the text
 */
UTAPI_MUST_USE utapi_status time_parse(const char *text, int64_t now_ms, time_span *ret, utapi_error *err);

/** The first millisecond of the interval that a range from this time on begins in. */
int64_t time_round_start(const time_span *span);

/** The last millisecond of the interval that a range up to this time ends in: an exact bound is not passed. */
int64_t time_round_end(const time_span *span);

/** "2024-05-01 10:30", with seconds where there are some. */
format_text time_format(int64_t time_ms);

#endif
