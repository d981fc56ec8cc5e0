/* SPDX-License-Identifier: Apache-2.0 */
/* redis_keys.c - names of keys, put together on the caller's stack: a batch needs hundreds of them.
 *
 * Prefix and names are bounded (redis_uri.h, docs/specification.md#names), so a key always fits. */
#include "redis_keys.h"

#include "utapi/codec.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Level locations keeps its bytes under a name of V1's own. */
#define LOCATION_STORAGE "locationStorage"
#define STORAGE_COUNTER  "storageUtilized:counter"

static void key_add(redis_key *key, const char *bytes, size_t size)
{
    assert(size <= sizeof key->bytes - key->size);
    memcpy(key->bytes + key->size, bytes, size);
    key->size += size;
}

/* P:<word>:N:<last> */
static void key_make(redis_key *ret, const char *prefix, const char *word, utapi_string name,
                     const char *last)
{
    ret->size = 0;
    key_add(ret, prefix, strlen(prefix));
    key_add(ret, ":", 1);
    key_add(ret, word, strlen(word));
    key_add(ret, ":", 1);
    key_add(ret, name.data, name.size);
    key_add(ret, ":", 1);
    key_add(ret, last, strlen(last));
}

void utapi_redis_key_resource(redis_key *ret, const char *prefix, utapi_level level, utapi_string name,
                              const char *what)
{
    if (level == UTAPI_LOCATIONS && strcmp(what, STORAGE_COUNTER) == 0)
        key_make(ret, prefix, REDIS_LOCATION, name, LOCATION_STORAGE);
    else
        key_make(ret, prefix, utapi_level_name(level), name, what);
}

void utapi_redis_key_flow(redis_key *ret, const char *prefix, utapi_level level, utapi_interval interval,
                          utapi_string name, utapi_metric metric)
{
    char word[48];
    (void)snprintf(word, sizeof word, "%s:%lld", utapi_level_name(level), (long long)interval);
    /* V1 leaves interval 0 out. */
    key_make(ret, prefix, interval != 0 ? word : utapi_level_name(level), name, utapi_metric_name(metric));
}

void utapi_redis_key_own(redis_key *ret, const char *prefix, const char *what)
{
    ret->size = (size_t)snprintf(ret->bytes, sizeof ret->bytes, "%s:utapid:%s", prefix, what);
}

void utapi_redis_key_fence(redis_key *ret, const char *prefix, const unsigned char writer[16])
{
    char what[sizeof "fence:" + 32] = "fence:";
    *utapi_hex_put(what + strlen(what), writer, 16) = '\0';
    utapi_redis_key_own(ret, prefix, what);
}

void utapi_redis_args_key(redis_args *args, const redis_key *key)
{
    utapi_redis_args_copy(args, key->bytes, key->size);
}

void utapi_redis_args_resource(redis_args *args, const char *prefix, utapi_level level, utapi_string name,
                               const char *what)
{
    redis_key key;
    utapi_redis_key_resource(&key, prefix, level, name, what);
    utapi_redis_args_key(args, &key);
}

void utapi_redis_args_own(redis_args *args, const char *prefix, const char *what)
{
    redis_key key;
    utapi_redis_key_own(&key, prefix, what);
    utapi_redis_args_key(args, &key);
}

void utapi_redis_args_rollup(redis_args *args, const char *prefix, utapi_level level, utapi_string name,
                             const char *kind, utapi_interval first)
{
    char what[48];
    (void)snprintf(what, sizeof what, "%s%lld", kind, (long long)first);
    utapi_redis_args_resource(args, prefix, level, name, what);
}

/* ---- what a key is of ---------------------------------------------------------------------- */

/* A name may hold colons and may look like an interval, so a key is read by its known last words first. */

/* More digits than any interval has. */
enum { INTERVAL_DIGITS = 16 };

/* Takes ":<word>" off the end. */
static bool word_cut(utapi_string *key, const char *word)
{
    const size_t size = strlen(word);
    if (key->size < size + 1 || key->data[key->size - size - 1] != ':' ||
        memcmp(key->data + key->size - size, word, size) != 0)
        return false;
    key->size -= size + 1;
    return true;
}

static bool metric_cut(utapi_string *key, unsigned first, unsigned end, utapi_metric *ret)
{
    const char *colon = memrchr(key->data, ':', key->size);
    if (colon == NULL)
        return false;
    const utapi_string word = {colon + 1, key->size - (size_t)(colon + 1 - key->data)};
    const unsigned metric = utapi_metric_find(word);
    if (metric < first || metric >= end)
        return false;
    *ret = (utapi_metric)metric;
    key->size -= word.size + 1;
    return true;
}

/* Reads "<number>:" at the front, as V1 writes one: it begins with no 0. Returns how many bytes that is; 0:
 * there is none. */
static size_t number_read(utapi_string key, int64_t *ret)
{
    int64_t number = 0;
    size_t digits = 0;
    while (digits < key.size && digits < INTERVAL_DIGITS && key.data[digits] >= '0' &&
           key.data[digits] <= '9')
        number = number * 10 + (key.data[digits++] - '0');
    if (digits == 0 || digits + 1 >= key.size || *key.data == '0' || key.data[digits] != ':')
        return 0;
    *ret = number;
    return digits + 1;
}

/* Takes "<interval>:" off the front. V1 leaves the interval out where it is 0, so it need not be there. */
static utapi_interval interval_cut(utapi_string *key)
{
    int64_t number;
    const size_t size = number_read(*key, &number);
    if (size == 0 || number % UTAPI_INTERVAL_MS != 0)
        return 0;
    key->data += size;
    key->size -= size;
    return number;
}

bool utapi_redis_key_is_between(utapi_string name)
{
    int64_t number;
    return number_read(name, &number) > 0 && number >= REDIS_FIRST_DAY && number % UTAPI_INTERVAL_MS != 0;
}

bool utapi_redis_key_parse(utapi_string rest, bool is_location, redis_parsed_key *ret)
{
    bool is_known = true;
    *ret = (redis_parsed_key){.name = rest, .metric = UTAPI_STORAGE_UTILIZED, .is = REDIS_KEY_OF_COUNTER};
    if (is_location) {
        ret->is = REDIS_KEY_OF_LOCATION;
        is_known = word_cut(&ret->name, LOCATION_STORAGE);
    } else if (metric_cut(&ret->name, UTAPI_INCOMING_BYTES, UTAPI_METRIC_COUNT, &ret->metric)) {
        ret->is = REDIS_KEY_OF_FLOW;
        ret->interval = interval_cut(&ret->name);
    } else {
        ret->is = word_cut(&ret->name, "counter") ? REDIS_KEY_OF_COUNTER : REDIS_KEY_OF_STATES;
        is_known = metric_cut(&ret->name, 0, UTAPI_INCOMING_BYTES, &ret->metric);
    }
    return is_known && ret->name.size > 0 && ret->name.size <= UTAPI_NAME_MAX;
}
