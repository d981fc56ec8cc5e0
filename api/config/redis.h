/* SPDX-License-Identifier: Apache-2.0 */
/**
 * redis.h - the keys that say where a Redis is, put together as one URI. Internal to config/.
 */
#ifndef CONFIG_REDIS_H
#define CONFIG_REDIS_H

#include "config/config.h"

/**
 * Makes the URI of a Redis. The first that is there of url, path, sentinels, host says where it is.
 *
 * @param group   "redis", "localCache": for messages
 * @param prefix  first word of every key that is stored there; NULL: not to be said
 * @param ret     owned: free(). Never to be shown: it holds passwords
 * @return UTAPI_INVALID with a sentence that names the key; UTAPI_NO_MEMORY
 */
UTAPI_MUST_USE utapi_status config_redis_uri(const config_redis *redis, const char *group, const char *prefix,
                                             char **ret, utapi_error *err);

#endif
