/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis_survey.h - which keys hold the flows of the names of a question, found by one walk through all keys.
 *
 * Without it every key that a day may have is asked for: 5,568 of them, for a question about a year of a hundred names
 * 200 million. A walk takes as long as the database is large, and then those are asked for that are there.
 */
#ifndef REDIS_REDIS_SURVEY_H
#define REDIS_REDIS_SURVEY_H

#include "redis_read.h"

/** A flow that was met. */
typedef struct redis_candidate {
    uint32_t name;    /* its place in redis_survey.names */
    uint32_t quarter; /* its interval, counted in intervals */
    uint16_t metric;
} redis_candidate;

/** What was met of one name. */
typedef struct redis_candidates {
    const redis_candidate *flows; /* in closed days of the range; ascending by interval, none twice */
    size_t count;
    utapi_interval low_watermark; /* no day before it has a flow, whatever the range */
} redis_candidates;

typedef struct redis_keyscan {
    utapi_string *names; /* owned; ascending, none twice. The name that is being answered is among them */
    size_t count;        /* 0: a walk is not worth it */
    utapi_interval *low_watermark; /* owned; of each name */
    redis_candidate *flows;        /* owned; by name */
    size_t flow_count, flow_capacity;
    size_t head;         /* bytes of "P:L:" in a key */
    redis_span closed;   /* the part of the range that closed days cover, in whole days */
    utapi_interval open; /* the first day that is not closed */
} redis_keyscan;

/**
 * Walks through the keys if that takes less than asking for each that `missing` days may have; for the name that is being
 * answered, and those of the same question that have no `since`, so that nobody asked for them before.
 *
 * @param ret  utapi_redis_keyscan_done(), whatever is returned
 * @return UTAPI_UNAVAILABLE when reading->give_up_ms is over
 */
UTAPI_MUST_USE utapi_status utapi_redis_keyscan_make(redis_reading *reading, size_t missing,
                                                     redis_keyscan *ret, utapi_error *err);

/** What was met of one of its names. Borrowed. */
redis_candidates utapi_redis_keyscan_candidates(const redis_keyscan *keyscan, utapi_string name);

void utapi_redis_keyscan_done(redis_keyscan *keyscan);

/** When a flow was counted. */
utapi_interval utapi_redis_candidate_interval(const redis_candidate *met);

#endif
