/* SPDX-License-Identifier: Apache-2.0 */
/* redis_script.c - the texts of the scripts; redis_scripts.cmake makes the included file from lua/. */
#include "redis_script.h"

static const char *const script_texts[REDIS_SCRIPT_COUNT] = {
#define REDIS_SCRIPT_TEXT(name, text) [REDIS_SCRIPT_##name] = text,
#include "redis_scripts.inc"
#undef REDIS_SCRIPT_TEXT
};

const char *utapi_redis_script_text(redis_script script)
{
    return script_texts[script];
}
