/* SPDX-License-Identifier: Apache-2.0 */
/* redis_sight.c - takes names out of keys. A name may hold colons and may look like an interval, so a key is read by its
 * known last words first. */
#include "redis_sight.h"

#include <string.h>

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
    for (unsigned m = first; m < end; m++) {
        const char *name = utapi_metric_name(m);
        if (word.size > 0 && *name == *word.data && utapi_string_equal(word, utapi_string_of(name))) {
            *ret = (utapi_metric)m;
            key->size -= word.size + 1;
            return true;
        }
    }
    return false;
}

/* Reads "<number>:" at the front, as V1 writes one: it begins with no 0. Returns how many bytes that is; 0: there is none. */
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

static bool name_fits(utapi_string name)
{
    return name.size > 0 && name.size <= UTAPI_NAME_MAX;
}

bool utapi_redis_key_parse(utapi_string rest, redis_parsed_key *ret)
{
    *ret = (redis_parsed_key){.name = rest, .is = REDIS_KEY_OF_FLOW};
    if (metric_cut(&ret->name, UTAPI_INCOMING_BYTES, UTAPI_METRIC_COUNT, &ret->metric)) {
        ret->interval = interval_cut(&ret->name);
        return name_fits(ret->name);
    }
    ret->is = word_cut(&ret->name, "counter") ? REDIS_KEY_OF_COUNTER : REDIS_KEY_OF_STATES;
    return metric_cut(&ret->name, 0, UTAPI_INCOMING_BYTES, &ret->metric) && name_fits(ret->name);
}

bool utapi_redis_key_parse_location(utapi_string rest, redis_parsed_key *ret)
{
    *ret = (redis_parsed_key){.name = rest, .metric = UTAPI_STORAGE_UTILIZED, .is = REDIS_KEY_OF_COUNTER};
    return word_cut(&ret->name, "locationStorage") && name_fits(ret->name);
}
