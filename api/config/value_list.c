/* SPDX-License-Identifier: Apache-2.0 */
/* value_list.c - the kinds that are lists: levels, operations, addresses, tokens, endpoints. In JSON they are arrays of
 * texts, as text they are separated by commas; either way each item goes through the kind's own add function, into a
 * fresh value that replaces the older one only when all of it was fine. */
#include "config/value.h"

#include "config/config.h"
#include "http/allow.h"
#include "utapi/metric.h"
#include "utapi/scoped.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Adds one item to the value that is being built. */
typedef utapi_status add_fn(void *list, const char *item, const config_origin *origin, utapi_error *err);

static utapi_status add_at(add_fn *add, void *list, const char *item, size_t index,
                           const config_origin *origin, utapi_error *err)
{
    char name[200];
    (void)snprintf(name, sizeof name, "%.170s[%zu]", origin->name, index);
    return add(list, item, &(config_origin){.name = name, .folder = origin->folder}, err);
}

/* Adds the items of one of both: an array of texts, or a text that lists them. */
static utapi_status add_all(add_fn *add, void *list, const char *text, const json_t *value,
                            const config_origin *origin, utapi_error *err)
{
    utapi_status status = UTAPI_OK;
    UTAPI_AUTO_FREE char *copy = text != NULL ? strdup(text) : NULL;
    if (text != NULL && copy == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "configuration");
    if (text == NULL && !json_is_array(value))
        return utapi_fail(err, UTAPI_INVALID, "%s: expected an array of texts", origin->name);
    for (size_t i = 0; i < json_array_size(value) && status == UTAPI_OK; i++) {
        const char *item = json_string_value(json_array_get(value, i));
        status = item != NULL ? add_at(add, list, item, i, origin, err)
                              : utapi_fail(err, UTAPI_INVALID, "%s[%zu]: expected a text", origin->name, i);
    }
    char *rest = copy != NULL && *copy != '\0' ? copy : NULL;
    for (size_t i = 0; rest != NULL && status == UTAPI_OK; i++) {
        char *item = strsep(&rest, ",");
        item += strspn(item, " ");
        item[strcspn(item, " ")] = '\0';
        status = add_at(add, list, item, i, origin, err);
    }
    return status;
}

/* Declares the two ways in which a kind is read as calls of NAME_read(), which gets a text or a value. */
#define READ_BOTH_WAYS(name)                                                                       \
    static utapi_status name##_from_text(const config_key *key, const char *text,                  \
                                         const config_origin *origin, void *ret, utapi_error *err) \
    {                                                                                              \
        return name##_read(key, text, NULL, origin, ret, err);                                     \
    }                                                                                              \
    static utapi_status name##_from_json(const config_key *key, const json_t *value,               \
                                         const config_origin *origin, void *ret, utapi_error *err) \
    {                                                                                              \
        return name##_read(key, NULL, value, origin, ret, err);                                    \
    }

/* ---- levels ------------------------------------------------------------------------------- */

static utapi_status level_add(void *list, const char *item, const config_origin *origin, utapi_error *err)
{
    utapi_level level;
    /* Both words are good (docs/specification.md#recording). */
    const char *name = strcmp(item, "location") == 0 ? "locations" : item;
    if (!utapi_level_find(utapi_string_of(name), &level))
        return utapi_fail(err, UTAPI_INVALID,
                          "%s: expected buckets, accounts, users, service or locations, not \"%.40s\"",
                          origin->name, item);
    *(utapi_level_set *)list |= UTAPI_LEVEL_BIT(level);
    return UTAPI_OK;
}

static utapi_status levels_read(const config_key *key, const char *text, const json_t *value,
                                const config_origin *origin, void *ret, utapi_error *err)
{
    (void)key;
    utapi_level_set levels = 0;
    const utapi_status status = add_all(level_add, &levels, text, value, origin, err);
    if (status != UTAPI_OK)
        return status;
    if (levels == 0)
        return utapi_fail(err, UTAPI_INVALID, "%s: expected at least one level", origin->name);
    *(utapi_level_set *)ret = levels;
    return UTAPI_OK;
}

READ_BOTH_WAYS(levels)

const config_kind config_levels = {"a list of levels", levels_from_text, levels_from_json, NULL};

/* ---- operations --------------------------------------------------------------------------- */

/* Utapi accepts any list, so a name that no operation bears is kept to be warned of. */
static utapi_status operation_add(void *list, const char *item, const config_origin *origin, utapi_error *err)
{
    (void)origin;
    config_counters *counters = list;
    utapi_operation operation;
    if (utapi_operation_find(utapi_string_of(item), &operation)) {
        counters->operations |= UTAPI_OPERATION_BIT(operation);
        return UTAPI_OK;
    }
    char quoted[64];
    (void)snprintf(quoted, sizeof quoted, "\"%.60s\"", item);
    return config_text_join(&counters->unknown, ", ", quoted, err);
}

static void operations_release(void *member)
{
    free(((config_counters *)member)->unknown);
    *(config_counters *)member = (config_counters){0};
}

static utapi_status operations_read(const config_key *key, const char *text, const json_t *value,
                                    const config_origin *origin, void *ret, utapi_error *err)
{
    (void)key;
    config_counters counters = {0};
    const utapi_status status = add_all(operation_add, &counters, text, value, origin, err);
    operations_release(status == UTAPI_OK ? ret : &counters);
    if (status == UTAPI_OK)
        *(config_counters *)ret = counters;
    return status;
}

READ_BOTH_WAYS(operations)

const config_kind config_operations = {"a list of operations", operations_from_text, operations_from_json,
                                       operations_release};

/* ---- addresses ---------------------------------------------------------------------------- */

static void addresses_release(void *member)
{
    allow_list_done(member);
    *(allow_list *)member = (allow_list){0};
}

static utapi_status address_add(void *list, const char *item, const config_origin *origin, utapi_error *err)
{
    utapi_error inner = {0};
    const utapi_status status = allow_list_add(list, item, &inner);
    return status == UTAPI_OK ? UTAPI_OK : utapi_fail(err, status, "%s: %s", origin->name, inner.detail);
}

static utapi_status addresses_read(const config_key *key, const char *text, const json_t *value,
                                   const config_origin *origin, void *ret, utapi_error *err)
{
    allow_list list = {0};
    utapi_status status = UTAPI_OK;
    if (key->kind == &config_addresses_added)
        status = add_all(address_add, &list, key->fallback, NULL, origin, err);
    if (status == UTAPI_OK)
        status = add_all(address_add, &list, text, value, origin, err);
    addresses_release(status == UTAPI_OK ? ret : &list);
    if (status == UTAPI_OK)
        *(allow_list *)ret = list;
    return status;
}

READ_BOTH_WAYS(addresses)

const config_kind config_addresses = {"a list of addresses", addresses_from_text, addresses_from_json,
                                      addresses_release};
const config_kind config_addresses_added = {"a list of addresses", addresses_from_text, addresses_from_json,
                                            addresses_release};

/* ---- tokens ------------------------------------------------------------------------------- */

enum { TOKEN_MIN = 16, TOKEN_MAX = 255 };

/* No message quotes one. */
static utapi_status token_add(void *list, const char *item, const config_origin *origin, utapi_error *err)
{
    const size_t size = strlen(item);
    bool is_token = size >= TOKEN_MIN && size <= TOKEN_MAX;
    for (size_t i = 0; i < size && is_token; i++)
        is_token = item[i] > ' ' && item[i] < 0x7F && item[i] != ',';
    if (!is_token)
        return utapi_fail(err, UTAPI_INVALID,
                          "%s: expected %d to %d characters of ASCII, without blanks and commas",
                          origin->name, TOKEN_MIN, TOKEN_MAX);
    return config_text_join(list, ",", item, err);
}

static utapi_status tokens_read(const config_key *key, const char *text, const json_t *value,
                                const config_origin *origin, void *ret, utapi_error *err)
{
    (void)key;
    char *tokens = NULL;
    const utapi_status status = add_all(token_add, &tokens, text, value, origin, err);
    config_text_release(status == UTAPI_OK ? ret : &tokens);
    if (status == UTAPI_OK)
        *(char **)ret = tokens;
    return status;
}

READ_BOTH_WAYS(tokens)

const config_kind config_tokens = {"a list of tokens", tokens_from_text, tokens_from_json,
                                   config_text_release};

/* ---- endpoints ---------------------------------------------------------------------------- */

enum { PORT_MAX = 65535, SENTINEL_PORT = 26379 };

/* A whole port number, and nothing after it; 0 if it is none. */
static long long port_of(const char *text)
{
    char *rest = NULL;
    errno = 0;
    const long long port = *text >= '0' && *text <= '9' ? strtoll(text, &rest, 10) : 0;
    return rest != NULL && *rest == '\0' && errno == 0 && port <= PORT_MAX ? port : 0;
}

/* "host", "host:port", "[::1]", "[::1]:port": with its port, in the form that Utapi's variable has. */
static utapi_status endpoint_add(void *list, const char *item, const config_origin *origin, utapi_error *err)
{
    const bool is_bracketed = *item == '[';
    const char *host = item + is_bracketed;
    const size_t size = strcspn(host, is_bracketed ? "]" : ":");
    const char *rest = host + size + (is_bracketed && host[size] == ']');
    const bool is_closed = !is_bracketed || host[size] == ']';
    const long long port = *rest == ':' ? port_of(rest + 1) : *rest == '\0' ? SENTINEL_PORT : 0;
    if (!is_closed || !config_is_host(host, size) || port == 0)
        return utapi_fail(err, UTAPI_INVALID,
                          "%s: expected a host and a port: \"host:26379\", \"[::1]:26379\", or in a file "
                          "{\"host\": \"host\", \"port\": 26379}",
                          origin->name);
    char endpoint[CONFIG_HOST_MAX_BYTES + sizeof "[]:65535"];
    const bool is_ipv6 = memchr(host, ':', size) != NULL;
    (void)snprintf(endpoint, sizeof endpoint, is_ipv6 ? "[%.*s]:%lld" : "%.*s:%lld", (int)size, host, port);
    return config_text_join(list, ",", endpoint, err);
}

/* An object as a text; "", which is refused in its turn, for what is neither. */
static json_t *endpoint_text(json_t *item)
{
    const char *host;
    json_int_t port = SENTINEL_PORT;
    if (json_is_string(item))
        return json_incref(item);
    return json_unpack(item, "{s:s, s?I!}", "host", &host, "port", &port) == 0
               ? json_sprintf("[%s]:%lld", host, (long long)port)
               : json_string("");
}

static utapi_status endpoints_read(const config_key *key, const char *text, const json_t *value,
                                   const config_origin *origin, void *ret, utapi_error *err)
{
    UTAPI_AUTO_FREE char *list = NULL;
    json_auto_t *texts = json_array();
    const char *listed = text != NULL ? text : json_string_value(value);
    if (listed == NULL && !json_is_array(value))
        return utapi_fail(err, UTAPI_INVALID, "%s: expected %s", origin->name, key->kind->name);
    for (size_t i = 0; i < json_array_size(value); i++)
        if (json_array_append_new(texts, endpoint_text(json_array_get(value, i))) != 0)
            return utapi_fail(err, UTAPI_NO_MEMORY, "configuration");
    const utapi_status status = add_all(endpoint_add, &list, listed, texts, origin, err);
    if (status == UTAPI_OK && list == NULL)
        return utapi_fail(err, UTAPI_INVALID, "%s: expected at least one host and port", origin->name);
    return status == UTAPI_OK ? config_text_replace(UTAPI_TAKE(list), ret, err) : status;
}

READ_BOTH_WAYS(endpoints)

const config_kind config_endpoints = {"an array of hosts and ports, or a text that lists them",
                                      endpoints_from_text, endpoints_from_json, config_text_release};
