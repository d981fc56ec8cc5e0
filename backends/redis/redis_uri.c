/* SPDX-License-Identifier: Apache-2.0 */
/* redis_uri.c - reads the URI of a Redis, part by part: scheme, who, where, which, options.
 *
 * A part is cut off as it stands and decoded afterwards, so an encoded '@' or '/' separates nothing. No sentence
 * quotes the text: where a separator in a password was not encoded, any part may hold a piece of it. */
#include "redis_uri.h"

#include "utapi/string.h"

#include <ctype.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT_MS 2000U
#define TIMEOUT_MS         5000U
#define TIMEOUT_MAX_MS     600000U
#define DATABASE_MAX       INT_MAX
#define PREFIX_MAX         255U
#define DEFAULT_PREFIX     "s3"

typedef enum uri_kind { URI_SERVER, URI_SOCKET, URI_SENTINELS } uri_kind;

static const struct uri_scheme {
    const char *text;
    uri_kind kind;
    uint16_t port;
} schemes[] = {
    {"redis://", URI_SERVER, 6379},
    {"redis+unix://", URI_SOCKET, 0},
    {"redis-sentinel://", URI_SENTINELS, 26379},
};

/* ---- pieces of text ----------------------------------------------------------------------- */

/* Cuts off what stands before the first of the separators; *rest begins with it, or is empty. */
static utapi_string text_until(utapi_string *rest, const char *separators)
{
    size_t size = 0;
    while (size < rest->size && strchr(separators, rest->data[size]) == NULL)
        size++;
    const utapi_string piece = {.data = rest->data, .size = size};
    *rest = (utapi_string){.data = rest->data + size, .size = rest->size - size};
    return piece;
}

/* Takes a character off the front, if it is there. */
static bool text_skip(utapi_string *rest, char expected)
{
    if (rest->size == 0 || rest->data[0] != expected)
        return false;
    rest->data++;
    rest->size--;
    return true;
}

/* Decodes percent signs. A NUL is refused: all that becomes of these texts ends with one. Replaces *ret. */
static utapi_status text_decode(utapi_string text, const char *what, char **ret, utapi_error *err)
{
    char *decoded = malloc(text.size + 1);
    if (decoded == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "the URI of the Redis");
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        int byte = (unsigned char)text.data[i];
        if (byte == '%') {
            char digits[3] = "";
            if (text.size - i > 2)
                memcpy(digits, text.data + i + 1, 2);
            const bool is_hex = isxdigit((unsigned char)digits[0]) && isxdigit((unsigned char)digits[1]);
            byte = is_hex ? (int)strtoul(digits, NULL, 16) : 0;
            i += 2;
        }
        if (byte == 0) {
            free(decoded);
            return utapi_fail(err, UTAPI_INVALID,
                              "Redis URI: %s: expected two hexadecimal digits, not 00, behind each %%", what);
        }
        decoded[size++] = (char)byte;
    }
    decoded[size] = '\0';
    free(*ret);
    *ret = decoded;
    return UTAPI_OK;
}

static utapi_status number_read(utapi_string text, const char *what, unsigned min, unsigned max,
                                unsigned *ret, utapi_error *err)
{
    unsigned long long number = 0;
    bool good = text.size > 0 && text.size <= 10;
    for (size_t i = 0; i < text.size && good; i++) {
        good = text.data[i] >= '0' && text.data[i] <= '9';
        number = number * 10 + (unsigned)(text.data[i] - '0');
    }
    if (!good || number < min || number > max)
        return utapi_fail(err, UTAPI_INVALID, "Redis URI: %s: expected a number from %u to %u", what, min,
                          max);
    *ret = (unsigned)number;
    return UTAPI_OK;
}

/* ---- who ---------------------------------------------------------------------------------- */

/* Takes "[user]:password@" off the front of what stands before the path. The last '@' ends it. */
static utapi_status login_take(utapi_string *where, redis_uri *uri, utapi_error *err)
{
    const char *at = where->size > 0 ? memrchr(where->data, '@', where->size) : NULL;
    if (at == NULL)
        return UTAPI_OK;
    utapi_string login = {.data = where->data, .size = (size_t)(at - where->data)};
    *where = (utapi_string){.data = at + 1, .size = where->size - login.size - 1};
    const utapi_string user = text_until(&login, ":");
    if (!text_skip(&login, ':') || login.size == 0)
        return utapi_fail(err, UTAPI_INVALID,
                          "Redis URI: expected a password: \"user:password@\", or \":password@\"");
    const utapi_status status = text_decode(login, "password", &uri->password, err);
    return status == UTAPI_OK && user.size > 0 ? text_decode(user, "user", &uri->user, err) : status;
}

/* ---- where -------------------------------------------------------------------------------- */

/* "host[:port]"; the host is a name, an IPv4 address, or an IPv6 address in brackets. */
static utapi_status endpoint_read(utapi_string text, uint16_t port, redis_endpoint *ret, utapi_error *err)
{
    const bool bracketed = text_skip(&text, '[');
    const utapi_string host = text_until(&text, bracketed ? "]" : ":");
    bool is_plausible = host.size > 0 && (!bracketed || text_skip(&text, ']'));
    for (size_t i = 0; i < host.size; i++)
        is_plausible &=
            isalnum((unsigned char)host.data[i]) || strchr(bracketed ? ":.%-_" : ".-_", host.data[i]) != NULL;
    if (!is_plausible)
        return utapi_fail(err, UTAPI_INVALID,
                          "Redis URI: expected host or host:port; an IPv6 address stands in brackets");
    unsigned number = port;
    if (text.size > 0) {
        if (!text_skip(&text, ':'))
            return utapi_fail(err, UTAPI_INVALID, "Redis URI: expected \":port\" behind the brackets");
        const utapi_status status = number_read(text, "port", 1, UINT16_MAX, &number, err);
        if (status != UTAPI_OK)
            return status;
    }
    ret->host = strndup(host.data, host.size);
    ret->port = (uint16_t)number;
    return ret->host != NULL ? UTAPI_OK : utapi_fail(err, UTAPI_NO_MEMORY, "the URI of the Redis");
}

static utapi_status endpoints_read(utapi_string where, const struct uri_scheme *scheme, redis_uri *uri,
                                   utapi_error *err)
{
    size_t count = 1;
    for (size_t i = 0; i < where.size; i++)
        count += where.data[i] == ',';
    if (count > 1 && scheme->kind != URI_SENTINELS)
        return utapi_fail(err, UTAPI_INVALID, "Redis URI: more than one host is for redis-sentinel:// alone");
    uri->endpoints = calloc(count, sizeof *uri->endpoints);
    if (uri->endpoints == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "the URI of the Redis");
    do {
        const utapi_string text = text_until(&where, ",");
        const utapi_status status =
            endpoint_read(text, scheme->port, &uri->endpoints[uri->endpoint_count++], err);
        if (status != UTAPI_OK)
            return status;
    } while (text_skip(&where, ','));
    return UTAPI_OK;
}

/* ---- which -------------------------------------------------------------------------------- */

/* "", "/", or "/N"; of Sentinels "/name", and then as before. */
static utapi_status path_read(utapi_string where, utapi_string path, const struct uri_scheme *scheme,
                              redis_uri *uri, utapi_error *err)
{
    if (scheme->kind == URI_SOCKET) {
        if (where.size > 0 || path.size < 2)
            return utapi_fail(err, UTAPI_INVALID, "Redis URI: expected redis+unix:///path/to/socket");
        return text_decode(path, "path", &uri->socket_path, err);
    }
    utapi_status status = endpoints_read(where, scheme, uri, err);
    if (status == UTAPI_OK && scheme->kind == URI_SENTINELS) {
        text_skip(&path, '/');
        const utapi_string name = text_until(&path, "/");
        if (name.size == 0)
            return utapi_fail(
                err, UTAPI_INVALID,
                "Redis URI: expected the name that the Sentinels call the master by: \"host:port/name\"");
        status = text_decode(name, "name", &uri->master_name, err);
    }
    if (status != UTAPI_OK || !text_skip(&path, '/') || path.size == 0)
        return status;
    return number_read(path, "database", 0, DATABASE_MAX, &uri->database, err);
}

/* ---- options ------------------------------------------------------------------------------ */

/* A text where `max` is 0, else a number. */
static const struct uri_option {
    const char *name;
    size_t offset;
    unsigned min, max;
} options[] = {
    {"connectTimeout", offsetof(redis_uri, connect_timeout_ms), 1, TIMEOUT_MAX_MS},
    {"timeout", offsetof(redis_uri, timeout_ms), 1, TIMEOUT_MAX_MS},
    {"database", offsetof(redis_uri, database), 0, DATABASE_MAX},
    {"prefix", offsetof(redis_uri, prefix), 0, 0},
    {"sentinelUser", offsetof(redis_uri, sentinel_user), 0, 0},
    {"sentinelPassword", offsetof(redis_uri, sentinel_password), 0, 0},
};

static utapi_status option_read(utapi_string text, redis_uri *uri, utapi_error *err)
{
    const utapi_string name = text_until(&text, "=");
    const struct uri_option *option = options, *end = options + sizeof options / sizeof *options;
    while (option < end && !utapi_string_equal(name, utapi_string_of(option->name)))
        option++;
    if (option == end || !text_skip(&text, '='))
        return utapi_fail(
            err, UTAPI_INVALID,
            "Redis URI: options are connectTimeout=, timeout=, database=, prefix=, sentinelUser= and "
            "sentinelPassword=");
    void *member = (char *)uri + option->offset;
    if (option->max != 0)
        return number_read(text, option->name, option->min, option->max, member, err);
    if (text.size == 0)
        return utapi_fail(err, UTAPI_INVALID, "Redis URI: %s: expected a text", option->name);
    return text_decode(text, option->name, member, err);
}

static utapi_status options_read(utapi_string text, redis_uri *uri, utapi_error *err)
{
    while (text_skip(&text, '?') || text_skip(&text, '&')) {
        const utapi_status status = option_read(text_until(&text, "&"), uri, err);
        if (status != UTAPI_OK)
            return status;
    }
    if (uri->prefix != NULL && strlen(uri->prefix) > PREFIX_MAX)
        return utapi_fail(err, UTAPI_INVALID, "Redis URI: prefix: more than %u bytes", PREFIX_MAX);
    if (uri->sentinel_user != NULL && uri->sentinel_password == NULL)
        return utapi_fail(err, UTAPI_INVALID, "Redis URI: sentinelUser needs sentinelPassword");
    if (uri->sentinel_password != NULL && uri->master_name == NULL)
        return utapi_fail(err, UTAPI_INVALID, "Redis URI: sentinelPassword is for redis-sentinel:// alone");
    return UTAPI_OK;
}

/* ---- the whole ---------------------------------------------------------------------------- */

static utapi_status uri_read(utapi_string rest, const struct uri_scheme *scheme, redis_uri *uri,
                             utapi_error *err)
{
    utapi_string where = text_until(&rest, "/?");
    const utapi_string path = text_until(&rest, "?");
    utapi_status status = login_take(&where, uri, err);
    if (status == UTAPI_OK)
        status = path_read(where, path, scheme, uri, err);
    if (status == UTAPI_OK)
        status = options_read(rest, uri, err);
    if (status == UTAPI_OK && uri->prefix == NULL)
        status = text_decode(utapi_string_of(DEFAULT_PREFIX), "prefix", &uri->prefix, err);
    return status;
}

utapi_status utapi_redis_uri_parse(const char *text, redis_uri *ret, utapi_error *err)
{
    const struct uri_scheme *scheme = schemes, *end = schemes + sizeof schemes / sizeof *schemes;
    while (scheme < end && strncmp(text, scheme->text, strlen(scheme->text)) != 0)
        scheme++;
    if (scheme == end)
        return utapi_fail(
            err, UTAPI_INVALID,
            "Redis URI: expected redis://, redis+unix:// or redis-sentinel:// (there is no TLS)");
    redis_uri uri = {.connect_timeout_ms = CONNECT_TIMEOUT_MS, .timeout_ms = TIMEOUT_MS};
    const utapi_status status = uri_read(utapi_string_of(text + strlen(scheme->text)), scheme, &uri, err);
    if (status == UTAPI_OK)
        *ret = uri;
    else
        utapi_redis_uri_done(&uri);
    return status;
}

void utapi_redis_uri_done(redis_uri *uri)
{
    for (size_t i = 0; i < uri->endpoint_count; i++)
        free(uri->endpoints[i].host);
    free(uri->endpoints);
    free(uri->socket_path);
    free(uri->master_name);
    free(uri->user);
    free(uri->password);
    free(uri->sentinel_user);
    free(uri->sentinel_password);
    free(uri->prefix);
    *uri = (redis_uri){0};
}
