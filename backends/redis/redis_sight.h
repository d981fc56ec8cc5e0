/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis_sight.h - what a key of the shared key space is of (redis_keys.h): for those who walk through all keys.
 */
#ifndef REDIS_REDIS_SIGHT_H
#define REDIS_REDIS_SIGHT_H

#include "redis_keys.h"

/** What a key is of. */
typedef struct redis_parsed_key {
    utapi_string name; /* borrowed from the key */
    utapi_metric metric;
    enum {
        REDIS_KEY_OF_COUNTER, /* a state as it is now */
        REDIS_KEY_OF_STATES,  /* the sorted set of a state */
        REDIS_KEY_OF_FLOW
    } is;
    utapi_interval interval; /* of a flow; else 0 */
} redis_parsed_key;

/** Reads what follows "P:<level>:" in a key; false for a key that is none of V1's. */
bool utapi_redis_key_parse(utapi_string rest, redis_parsed_key *ret);

/** Reads what follows "P:location:": a location as V1 knows it, which has a counter alone. */
bool utapi_redis_key_parse_location(utapi_string rest, redis_parsed_key *ret);

/**
 * Whether what seems to be a name, of a flow at interval 0, begins with a time of Utapi's that is no interval's first
 * millisecond: most likely somebody counted there what nobody will ever list.
 */
bool utapi_redis_key_is_between(utapi_string name);

#endif
