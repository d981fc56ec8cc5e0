/* SPDX-License-Identifier: Apache-2.0 */
/* value_redis.c - the kinds of values that say where a Redis is and how to get in. What may hold a password is
 * never repeated in a message. Sentinels are kept as one text, in the form that Utapi's variable has. */
#include "config/value.h"

#include "utapi/scoped.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PORT_MAX      65535
#define SENTINEL_PORT 26379
#define HOST_BYTES    255

/* What names and addresses are made of; a colon is in IPv6 addresses alone. */
static const char host_bytes[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:";

static utapi_status json_text(const config_key *key, const json_t *value, const config_origin *origin,
                              void *ret, utapi_error *err)
{
    if (!json_is_string(value))
        return utapi_fail(err, UTAPI_INVALID, "%s: expected %s", origin->name, key->kind->name);
    return key->kind->from_text(key, json_string_value(value), origin, ret, err);
}

/* ---- single texts ------------------------------------------------------------------------- */

static bool is_host(const char *text, size_t size)
{
    return size > 0 && size <= HOST_BYTES && strspn(text, host_bytes) >= size;
}

static utapi_status host_from_text(const config_key *key, const char *text, const config_origin *origin,
                                   void *ret, utapi_error *err)
{
    if (!is_host(text, strlen(text)))
        return utapi_fail(err, UTAPI_INVALID, "%s: expected %s", origin->name, key->kind->name);
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
    return utapi_fail(err, UTAPI_INVALID,
                      "%s: expected a URI that begins with redis://, redis+unix:// or redis-sentinel://",
                      origin->name);
}

const config_kind config_host = {"a host's name or address", host_from_text, json_text, config_text_release};
const config_kind config_secret = {"a text", secret_from_text, json_text, config_text_release};
const config_kind config_redis_url = {"a URI", url_from_text, json_text, config_text_release};

/* ---- lists of endpoints ------------------------------------------------------------------- */

/* Adds "host:port" to a list; what it was is freed. */
static utapi_status endpoint_add(char **list, const char *host, size_t size, long long port, utapi_error *err)
{
    char *longer = NULL;
    const bool is_ipv6 = memchr(host, ':', size) != NULL;
    if (asprintf(&longer, "%s%s%s%.*s%s:%lld", *list != NULL ? *list : "", *list != NULL ? "," : "",
                 is_ipv6 ? "[" : "", (int)size, host, is_ipv6 ? "]" : "", port) < 0)
        longer = NULL;
    return config_text_replace(longer, list, err);
}

static utapi_status endpoint_refuse(const config_origin *origin, size_t index, utapi_error *err)
{
    return utapi_fail(err, UTAPI_INVALID,
                      "%s[%zu]: expected a host and a port: \"host:26379\", \"[::1]:26379\", or in a file "
                      "{\"host\": \"host\", \"port\": 26379}",
                      origin->name, index);
}

/* A whole port number, and nothing after it; 0 if it is none. */
static long long port_of(const char *text)
{
    char *rest = NULL;
    errno = 0;
    const long long port = *text >= '0' && *text <= '9' ? strtoll(text, &rest, 10) : 0;
    return rest != NULL && *rest == '\0' && errno == 0 && port <= PORT_MAX ? port : 0;
}

/* "host", "host:port", "[::1]", "[::1]:port" */
static utapi_status endpoint_add_text(char **list, const char *item, size_t index,
                                      const config_origin *origin, utapi_error *err)
{
    const bool is_bracketed = *item == '[';
    const char *host = is_bracketed ? item + 1 : item;
    const size_t size = strcspn(host, is_bracketed ? "]" : ":");
    const char *rest = host + size;
    if (is_bracketed && *rest++ != ']')
        return endpoint_refuse(origin, index, err);
    const long long port = *rest == ':' ? port_of(rest + 1) : *rest == '\0' ? SENTINEL_PORT : 0;
    if (!is_host(host, size) || port == 0)
        return endpoint_refuse(origin, index, err);
    return endpoint_add(list, host, size, port, err);
}

static utapi_status endpoint_add_json(char **list, const json_t *item, size_t index,
                                      const config_origin *origin, utapi_error *err)
{
    const json_t *host = json_object_get(item, "host");
    const json_t *port = json_object_get(item, "port");
    const size_t size = json_string_length(host);
    const size_t members = (host != NULL ? 1U : 0U) + (port != NULL ? 1U : 0U);
    const json_int_t number = port != NULL ? json_integer_value(port) : SENTINEL_PORT;
    if (json_is_string(item))
        return endpoint_add_text(list, json_string_value(item), index, origin, err);
    if (!json_is_string(host) || !is_host(json_string_value(host), size) ||
        json_object_size(item) != members || number < 1 || number > PORT_MAX)
        return endpoint_refuse(origin, index, err);
    return endpoint_add(list, json_string_value(host), size, number, err);
}

/* list is taken. */
static utapi_status endpoints_keep(char *list, utapi_status status, const config_origin *origin, void *ret,
                                   utapi_error *err)
{
    if (status == UTAPI_OK && list == NULL)
        status = utapi_fail(err, UTAPI_INVALID, "%s: expected at least one host and port", origin->name);
    if (status == UTAPI_OK)
        return config_text_replace(list, ret, err);
    free(list);
    return status;
}

static utapi_status endpoints_from_text(const config_key *key, const char *text, const config_origin *origin,
                                        void *ret, utapi_error *err)
{
    (void)key;
    char *list = NULL;
    utapi_status status = UTAPI_OK;
    UTAPI_AUTO_FREE char *copy = strdup(text);
    if (copy == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "configuration");
    char *rest = *copy == '\0' ? NULL : copy;
    for (size_t i = 0; rest != NULL && status == UTAPI_OK; i++) {
        char *item = strsep(&rest, ",");
        item += strspn(item, " ");
        item[strcspn(item, " ")] = '\0';
        status = endpoint_add_text(&list, item, i, origin, err);
    }
    return endpoints_keep(list, status, origin, ret, err);
}

static utapi_status endpoints_from_json(const config_key *key, const json_t *value,
                                        const config_origin *origin, void *ret, utapi_error *err)
{
    char *list = NULL;
    utapi_status status = UTAPI_OK;
    if (json_is_string(value))
        return endpoints_from_text(key, json_string_value(value), origin, ret, err);
    if (!json_is_array(value))
        return utapi_fail(err, UTAPI_INVALID, "%s: expected %s", origin->name, key->kind->name);
    for (size_t i = 0; i < json_array_size(value) && status == UTAPI_OK; i++)
        status = endpoint_add_json(&list, json_array_get(value, i), i, origin, err);
    return endpoints_keep(list, status, origin, ret, err);
}

const config_kind config_endpoints = {"an array of hosts and ports, or a text that lists them",
                                      endpoints_from_text, endpoints_from_json, config_text_release};
