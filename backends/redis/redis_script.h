/* SPDX-License-Identifier: Apache-2.0 */
/**
 * redis_script.h - the Lua scripts, compiled in from lua/: each runs as one step, and serves nobody else meanwhile.
 */
#ifndef REDIS_REDIS_SCRIPT_H
#define REDIS_REDIS_SCRIPT_H

typedef enum redis_script {
#define REDIS_SCRIPT(name, file) REDIS_SCRIPT_##name,
#include "redis_scripts.def"
#undef REDIS_SCRIPT
    REDIS_SCRIPT_COUNT
} redis_script;

/** The text of a script. Static storage. */
const char *utapi_redis_script_text(redis_script script);

#endif
