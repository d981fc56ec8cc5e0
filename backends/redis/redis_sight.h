/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis_sight.h - what a key of the shared key space is of (redis_keys.h): for those who walk through all keys.
 */
#ifndef REDIS_REDIS_SIGHT_H
#define REDIS_REDIS_SIGHT_H

#include "redis_keys.h"

/** What a key is of. */
typedef struct redis_sighting {
    utapi_string name; /* borrowed from the key */
    utapi_metric metric;
    enum {
        REDIS_SEES_COUNTER, /* a state as it is now */
        REDIS_SEES_STATES,  /* the sorted set of a state */
        REDIS_SEES_FLOW
    } is;
    utapi_interval interval; /* of a flow; else 0 */
} redis_sighting;

/** Reads what follows "P:<level>:" in a key; false for a key that is none of V1's. */
bool redis_sight(utapi_string rest, redis_sighting *ret);

/** Reads what follows "P:location:": a location as V1 knows it, which has a counter alone. */
bool redis_sight_location(utapi_string rest, redis_sighting *ret);

/**
 * Whether what seems to be a name, of a flow at interval 0, begins with a time of Utapi's that is no interval's first
 * millisecond: most likely somebody counted there what nobody will ever list.
 */
bool redis_sight_is_between(utapi_string name);

#endif
