/* SPDX-License-Identifier: Apache-2.0 */
/**
 * redis_dump.h - the Redis that vectors are played on: what they start from, and what they leave there.
 */
#ifndef GOLDEN_REDIS_DUMP_H
#define GOLDEN_REDIS_DUMP_H

#include <jansson.h>

/** Starts the server; its URI (static storage), or NULL if there is no redis-server on this machine. */
const char *redis_dump_start(void);
void redis_dump_stop(void);

/** Empties the server, sends a vector's `redisSetup`, and listens to all events from now on. */
void redis_dump_begin(const json_t *vector);

/** How many resources' old flows are still to be deleted in the background. */
long long redis_dump_sweeps_left(void);

/**
 * Compares keys with `redisDump` and messages with `published`, where a vector has them; prints each difference.
 * Our own keys are left out; so are TTLs, and messages about no bucket, or one whose level is not recorded, which we do
 * not send.
 *
 * @return how many differences
 */
size_t redis_dump_compare(const char *name, const json_t *vector);

#endif
