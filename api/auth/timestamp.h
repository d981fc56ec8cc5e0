/* SPDX-License-Identifier: Apache-2.0 */
/**
 * timestamp.h - the time at which a request says that it was signed.
 *
 * Pure functions.
 */
#ifndef AUTH_TIMESTAMP_H
#define AUTH_TIMESTAMP_H

#include "utapi/string.h"

#include <stdint.h>

#define TIMESTAMP_BYTES 16U /* of "20261123T135051Z", without the NUL */

typedef struct timestamp {
    int64_t time_ms;                /* since the epoch */
    char text[TIMESTAMP_BYTES + 1]; /* ISO 8601 basic, which is what a signature covers */
} timestamp;

/** Reads an x-amz-date: ISO 8601 basic, a day and a time that exist. */
bool timestamp_parse_amz(utapi_string text, timestamp *ret);

/** Reads a Date header: the three forms of HTTP (RFC 9110 5.6.7), or ISO 8601 basic. */
bool timestamp_parse_date(utapi_string text, timestamp *ret);

/** The date of a timestamp: "20261123". Valid as long as the timestamp is. */
utapi_string timestamp_day(const timestamp *time);

#endif
