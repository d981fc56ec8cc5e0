/* SPDX-License-Identifier: Apache-2.0 */
/* redis_keys.c - names of keys, put together on the caller's stack: a batch needs hundreds of them.
 *
 * Prefix and names are bounded (redis_uri.h, docs/specification.md#names), so a key always fits. */
#include "redis_keys.h"

#include "utapi/codec.h"

#include <assert.h>
#include <string.h>

/* Level locations keeps its bytes under a name of V1's own. */
#define LOCATION_LEVEL   "location"
#define LOCATION_STORAGE "locationStorage"
#define STORAGE_COUNTER  "storageUtilized:counter"

static void key_add(redis_key *key, const char *bytes, size_t size)
{
    assert(size <= sizeof key->bytes - key->size);
    memcpy(key->bytes + key->size, bytes, size);
    key->size += size;
}

static void key_add_text(redis_key *key, const char *text)
{
    key_add(key, text, strlen(text));
}

static void key_add_number(redis_key *key, int64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    uint64_t left = number < 0 ? -(uint64_t)number : (uint64_t)number;
    do {
        digits[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left != 0);
    if (number < 0)
        digits[--at] = '-';
    key_add(key, digits + at, sizeof digits - at);
}

/* P:<word>: */
static void key_begin(redis_key *key, const char *prefix, const char *word)
{
    key->size = 0;
    key_add_text(key, prefix);
    key_add(key, ":", 1);
    key_add_text(key, word);
    key_add(key, ":", 1);
}

void utapi_redis_key_resource(redis_key *ret, const char *prefix, utapi_level level, utapi_string name,
                              const char *what)
{
    const bool is_location_storage = level == UTAPI_LOCATIONS && strcmp(what, STORAGE_COUNTER) == 0;
    key_begin(ret, prefix, is_location_storage ? LOCATION_LEVEL : utapi_level_name(level));
    key_add(ret, name.data, name.size);
    key_add(ret, ":", 1);
    key_add_text(ret, is_location_storage ? LOCATION_STORAGE : what);
}

void utapi_redis_key_flow(redis_key *ret, const char *prefix, utapi_level level, utapi_interval interval,
                          utapi_string name, utapi_metric metric)
{
    key_begin(ret, prefix, utapi_level_name(level));
    if (interval != 0) { /* V1 leaves that one out */
        key_add_number(ret, interval);
        key_add(ret, ":", 1);
    }
    key_add(ret, name.data, name.size);
    key_add(ret, ":", 1);
    key_add_text(ret, utapi_metric_name(metric));
}

void utapi_redis_key_daily(redis_key *ret, const char *prefix, utapi_level level, utapi_string name,
                           utapi_interval first_of_day)
{
    utapi_redis_key_resource(ret, prefix, level, name, REDIS_OWN);
    key_add_number(ret, first_of_day);
}

void utapi_redis_key_monthly(redis_key *ret, const char *prefix, utapi_level level, utapi_string name,
                             utapi_interval first_of_block)
{
    utapi_redis_key_resource(ret, prefix, level, name, REDIS_OWN "m");
    key_add_number(ret, first_of_block);
}

void utapi_redis_key_fence(redis_key *ret, const char *prefix, const unsigned char writer[16])
{
    char digits[32];
    (void)utapi_hex_put(digits, writer, 16);
    utapi_redis_key_own(ret, prefix, "fence:");
    key_add(ret, digits, sizeof digits);
}

void utapi_redis_key_own(redis_key *ret, const char *prefix, const char *what)
{
    key_begin(ret, prefix, "utapid");
    key_add_text(ret, what);
}

void utapi_redis_args_key(redis_args *args, const redis_key *key)
{
    utapi_redis_args_copy(args, key->bytes, key->size);
}
