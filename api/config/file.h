/* SPDX-License-Identifier: Apache-2.0 */
/**
 * file.h - reads config.json, Utapi's or CloudServer's. Internal to config/.
 */
#ifndef CONFIG_FILE_H
#define CONFIG_FILE_H

#include "config/config.h"

/** What a file says besides the values that it sets. */
typedef struct config_file_facts {
    /* Where its objects of these names are: "redis" or "utapi.redis"; NULL: nowhere. Static storage. */
    const char *redis, *local_cache;
} config_file_facts;

/**
 * Reads a file into *ret, whose other members stay; ret->ignored gets the keys that do not apply.
 *
 * @param is_set  one for each key of config_keys(): set to true where the file sets it
 * @return as config_load(); *ret may have been changed in part
 */
UTAPI_MUST_USE utapi_status config_file_read(const char *path, config *ret, bool *is_set,
                                             config_file_facts *ret_facts, utapi_error *err);

#endif
