/* SPDX-License-Identifier: Apache-2.0 */
/**
 * redis_uri.h - where a Redis is and how to get in, as one line of text.
 *
 *     redis://[[user]:password@]host[:port][/database][?option=value&...]
 *     redis+unix://[[user]:password@]/path/to/socket[?database=N&...]
 *     redis-sentinel://[[user]:password@]host[:port][,host[:port]...]/name[/database][?option=value&...]
 *
 * Options: connectTimeout and timeout (milliseconds), sentinelUser and sentinelPassword, database, and prefix,
 * the first word of every key ("s3"; Utapi V1 takes the service's name). User, password and values are
 * percent-encoded; an IPv6 address stands in brackets. A password alone is Redis's `requirepass`.
 */
#ifndef REDIS_REDIS_URI_H
#define REDIS_REDIS_URI_H

#include "utapi/status.h"

#include <stdint.h>

typedef struct redis_endpoint {
    char *host; /* owned; a name or an address */
    uint16_t port;
} redis_endpoint;

typedef struct redis_uri {
    redis_endpoint *endpoints; /* owned: the server, or the Sentinels; none for a Unix socket */
    size_t endpoint_count;
    char *socket_path;     /* owned; NULL: TCP */
    char *master_name;     /* owned; not NULL: the endpoints are Sentinels that know it by this name */
    char *user, *password; /* owned; NULL: none */
    char *sentinel_user, *sentinel_password; /* owned; NULL: none */
    char *prefix;                            /* owned; default "s3" */
    unsigned database;
    unsigned connect_timeout_ms; /* default 2,000 */
    unsigned timeout_ms;         /* of one reply; default 5,000 */
} redis_uri;

/**
 * Reads a URI.
 *
 * @param ret  owned: utapi_redis_uri_done(). Written on success only.
 * @return UTAPI_INVALID, with a sentence that names the part, never a password; UTAPI_NO_MEMORY
 */
UTAPI_MUST_USE utapi_status utapi_redis_uri_parse(const char *text, redis_uri *ret, utapi_error *err);

void utapi_redis_uri_done(redis_uri *uri);

#endif
