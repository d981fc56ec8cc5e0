/* SPDX-License-Identifier: Apache-2.0 */
/* value.c - the kinds of single values. A kind's from_json checks the JSON type; its from_text does the rest, so each
 * rule has one home. What may hold a password is never repeated in a message. */
#include "config/value.h"

#include "utapi/scoped.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static utapi_status refuse(const config_origin *origin, utapi_error *err, const char *expected)
{
    return utapi_fail(err, UTAPI_INVALID, "%s: expected %s", origin->name, expected);
}

/* The text stands for a whole number, with nothing after it but *ret_rest. */
static bool parse_number(const char *text, int64_t *ret, const char **ret_rest)
{
    const bool is_digit = *text >= '0' && *text <= '9';
    if (!is_digit && !(*text == '-' && text[1] >= '0' && text[1] <= '9'))
        return false;
    char *rest = NULL;
    errno = 0;
    *ret = strtoll(text, &rest, 10);
    *ret_rest = rest;
    return errno == 0;
}

/* ---- numbers ------------------------------------------------------------------------------ */

static utapi_status number_set(const config_key *key, int64_t value, const config_origin *origin, void *ret,
                               utapi_error *err)
{
    if (value < key->min || value > key->max)
        return utapi_fail(err, UTAPI_INVALID, "%s: expected %s from %lld to %lld%s, not %lld", origin->name,
                          key->kind->name, (long long)key->min, (long long)key->max,
                          key->kind == &config_size ? " bytes" : "", (long long)value);
    *(int64_t *)ret = value;
    return UTAPI_OK;
}

/* What is no number is refused as the text "", which is none either. */
static utapi_status number_from_json(const config_key *key, const json_t *value, const config_origin *origin,
                                     void *ret, utapi_error *err)
{
    char digits[24] = "";
    const char *text = key->kind != &config_integer ? json_string_value(value) : NULL;
    if (json_is_integer(value))
        (void)snprintf(digits, sizeof digits, "%lld", (long long)json_integer_value(value));
    return key->kind->from_text(key, text != NULL ? text : digits, origin, ret, err);
}

static utapi_status integer_from_text(const config_key *key, const char *text, const config_origin *origin,
                                      void *ret, utapi_error *err)
{
    int64_t value;
    const char *rest;
    if (!parse_number(text, &value, &rest) || *rest != '\0')
        return utapi_fail(err, UTAPI_INVALID, "%s: expected a whole number from %lld to %lld", origin->name,
                          (long long)key->min, (long long)key->max);
    return number_set(key, value, origin, ret, err);
}

const config_kind config_integer = {"a whole number", integer_from_text, number_from_json, NULL};

/* ---- sizes -------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    unsigned shift; /* of a byte */
} size_units[] = {{"", 0}, {"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}};

static const char size_form[] = "a size, in bytes or as \"64 MiB\" (KiB, MiB, GiB, TiB)";

static utapi_status size_from_text(const config_key *key, const char *text, const config_origin *origin,
                                   void *ret, utapi_error *err)
{
    int64_t number;
    const char *unit;
    if (!parse_number(text, &number, &unit))
        return refuse(origin, err, size_form);
    while (*unit == ' ')
        unit++;
    for (size_t i = 0; i < sizeof size_units / sizeof *size_units; i++) {
        int64_t bytes;
        if (strcasecmp(unit, size_units[i].name) != 0)
            continue;
        if (__builtin_mul_overflow(number, INT64_C(1) << size_units[i].shift, &bytes))
            return refuse(origin, err, "a size that fits 64 bits");
        return number_set(key, bytes, origin, ret, err);
    }
    return refuse(origin, err, size_form);
}

const config_kind config_size = {"a size", size_from_text, number_from_json, NULL};

/* ---- times -------------------------------------------------------------------------------- */

static const char time_form[] = "a time, in ms since the epoch or as \"2006-03-14T00:00Z\"";

/* A day, or a minute or second of it, in UTC. */
static bool date_read(const char *text, int64_t *ret)
{
    static const char *const forms[] = {"%Y-%m-%d", "%Y-%m-%dT%H:%MZ", "%Y-%m-%dT%H:%M:%SZ"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct tm date = {.tm_isdst = 0};
        const char *rest = strptime(text, forms[i], &date);
        if (rest == NULL || *rest != '\0')
            continue;
        const int day = date.tm_mday;
        *ret = (int64_t)timegm(&date) * 1000;
        return date.tm_mday == day; /* no day that the month does not have */
    }
    return false;
}

static utapi_status time_from_text(const config_key *key, const char *text, const config_origin *origin,
                                   void *ret, utapi_error *err)
{
    int64_t time_ms;
    const char *rest;
    const bool is_time = date_read(text, &time_ms) || (parse_number(text, &time_ms, &rest) && *rest == '\0');
    if (!is_time || time_ms < key->min || time_ms > key->max)
        return refuse(origin, err, time_form);
    *(int64_t *)ret = time_ms;
    return UTAPI_OK;
}

const config_kind config_time = {"a time", time_from_text, number_from_json, NULL};

/* ---- booleans ----------------------------------------------------------------------------- */

static utapi_status boolean_from_text(const config_key *key, const char *text, const config_origin *origin,
                                      void *ret, utapi_error *err)
{
    (void)key;
    const bool is_true = strcmp(text, "true") == 0;
    if (!is_true && strcmp(text, "false") != 0)
        return refuse(origin, err, "true or false");
    *(bool *)ret = is_true;
    return UTAPI_OK;
}

static utapi_status boolean_from_json(const config_key *key, const json_t *value, const config_origin *origin,
                                      void *ret, utapi_error *err)
{
    (void)key;
    if (!json_is_boolean(value))
        return refuse(origin, err, "true or false");
    *(bool *)ret = json_is_true(value);
    return UTAPI_OK;
}

const config_kind config_boolean = {"true or false", boolean_from_text, boolean_from_json, NULL};

/* ---- texts -------------------------------------------------------------------------------- */

void config_text_release(void *member)
{
    free(*(char **)member);
    *(char **)member = NULL;
}

utapi_status config_text_replace(char *text, void *ret, utapi_error *err)
{
    if (text == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "configuration");
    config_text_release(ret);
    *(char **)ret = text;
    return UTAPI_OK;
}

utapi_status config_text_join(char **list, const char *separator, const char *item, utapi_error *err)
{
    char *longer = NULL;
    const char *before = *list;
    if (asprintf(&longer, "%s%s%s", before != NULL ? before : "", before != NULL ? separator : "", item) < 0)
        longer = NULL;
    return config_text_replace(longer, list, err);
}

static utapi_status name_from_text(const config_key *key, const char *text, const config_origin *origin,
                                   void *ret, utapi_error *err)
{
    (void)key;
    if (*text == '\0' || strlen(text) > (size_t)key->max)
        return utapi_fail(err, UTAPI_INVALID, "%s: expected a text of 1 to %lld bytes", origin->name,
                          (long long)key->max);
    return config_text_replace(strdup(text), ret, err);
}

static utapi_status path_from_text(const config_key *key, const char *text, const config_origin *origin,
                                   void *ret, utapi_error *err)
{
    (void)key;
    if (*text == '\0')
        return refuse(origin, err, "a path");
    char *path = NULL;
    if (*text == '/' || origin->folder == NULL)
        path = strdup(text);
    else if (asprintf(&path, "%s/%s", origin->folder, text) < 0)
        path = NULL;
    return config_text_replace(path, ret, err);
}

static utapi_status address_from_text(const config_key *key, const char *text, const config_origin *origin,
                                      void *ret, utapi_error *err)
{
    unsigned char address[sizeof(struct in6_addr)];
    (void)key;
    if (inet_pton(AF_INET, text, address) != 1 && inet_pton(AF_INET6, text, address) != 1)
        return utapi_fail(err, UTAPI_INVALID, "%s: expected an IPv4 or IPv6 address, not \"%.60s\"",
                          origin->name, text);
    return config_text_replace(strdup(text), ret, err);
}

/* What names and addresses are made of; a colon is in IPv6 addresses alone. */
static const char host_bytes[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:";

bool config_is_host(const char *text, size_t size)
{
    return size > 0 && size <= CONFIG_HOST_MAX_BYTES && strspn(text, host_bytes) >= size;
}

static utapi_status host_from_text(const config_key *key, const char *text, const config_origin *origin,
                                   void *ret, utapi_error *err)
{
    if (!config_is_host(text, strlen(text)))
        return refuse(origin, err, key->kind->name);
    return config_text_replace(strdup(text), ret, err);
}

/* CloudServer's files may have "password": "", which means none. */
static utapi_status secret_from_text(const config_key *key, const char *text, const config_origin *origin,
                                     void *ret, utapi_error *err)
{
    if (strlen(text) > (size_t)key->max)
        return utapi_fail(err, UTAPI_INVALID, "%s: expected a text of at most %lld bytes", origin->name,
                          (long long)key->max);
    if (*text != '\0')
        return config_text_replace(strdup(text), ret, err);
    config_text_release(ret);
    return UTAPI_OK;
}

static utapi_status url_from_text(const config_key *key, const char *text, const config_origin *origin,
                                  void *ret, utapi_error *err)
{
    static const char *const schemes[] = {"redis://", "redis+unix://", "redis-sentinel://"};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes && strlen(text) <= (size_t)key->max; i++) {
        if (strncmp(text, schemes[i], strlen(schemes[i])) == 0)
            return config_text_replace(strdup(text), ret, err);
    }
    return refuse(origin, err, "a URI that begins with redis://, redis+unix:// or redis-sentinel://");
}

static utapi_status text_from_json(const config_key *key, const json_t *value, const config_origin *origin,
                                   void *ret, utapi_error *err)
{
    if (!json_is_string(value))
        return refuse(origin, err, key->kind->name);
    return key->kind->from_text(key, json_string_value(value), origin, ret, err);
}

const config_kind config_name = {"a text", name_from_text, text_from_json, config_text_release};
const config_kind config_path = {"a path", path_from_text, text_from_json, config_text_release};
const config_kind config_address = {"an IPv4 or IPv6 address", address_from_text, text_from_json,
                                    config_text_release};
const config_kind config_host = {"a host's name or address", host_from_text, text_from_json,
                                 config_text_release};
const config_kind config_secret = {"a text", secret_from_text, text_from_json, config_text_release};
const config_kind config_redis_url = {"a URI", url_from_text, text_from_json, config_text_release};

/* ---- choices ------------------------------------------------------------------------------ */

static utapi_status choice_from_text(const config_key *key, const char *text, const config_origin *origin,
                                     void *ret, utapi_error *err)
{
    char known[96] = "";
    size_t used = 0;
    for (int i = 0; key->choices[i] != NULL; i++) {
        if (strcmp(text, key->choices[i]) == 0) {
            *(int *)ret = i;
            return UTAPI_OK;
        }
        const int written =
            snprintf(known + used, sizeof known - used, "%s\"%s\"", i > 0 ? ", " : "", key->choices[i]);
        used += written > 0 && (size_t)written < sizeof known - used ? (size_t)written : 0;
    }
    return utapi_fail(err, UTAPI_INVALID, "%s: expected one of %s, not \"%.40s\"", origin->name, known, text);
}

const config_kind config_choice = {"one of the names that it may have", choice_from_text, text_from_json,
                                   NULL};
