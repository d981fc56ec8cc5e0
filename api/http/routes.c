/* SPDX-License-Identifier: Apache-2.0 */
/**
 * routes.c - the table of routes, first match first.
 *
 * What no other row matches is a question (POST /{level}?Action=...), whatever its method or path: Utapi's checks decide what
 * is wrong with it (golden/auth_rules.md).
 */
#include "http/routes.h"

#include <string.h>

#define ALLOW(list) offsetof(http_service, list##_allow)
#define LIMIT(what) offsetof(http_service, what##_max_bytes)

/* clang-format off */
static const http_route routes[] = {
    /* method  path                      query  asks   may ask         body           handler             before it is whole */
    {"GET",    "/_/healthcheck",         false, false, ALLOW(health),  LIMIT(list),   handle_health,      NULL},
    {"POST",   "/_/healthcheck",         false, false, ALLOW(health),  LIMIT(list),   handle_health,      NULL},
    {"GET",    "/_/journal/refused",     false, true,  ALLOW(health),  LIMIT(list),   handle_refused,     NULL},
    {"POST",   "/_/journal/acknowledge", false, true,  ALLOW(ingest),  LIMIT(list),   handle_acknowledge, NULL},
    {"POST",   "/v2/ingest",             true,  false, ALLOW(ingest),  LIMIT(ingest), handle_ingest_v2,   arrive_ingest_v2},
    {"POST",   "/v1/push",               true,  false, ALLOW(ingest),  LIMIT(ingest), handle_ingest_v1,   NULL},
    {"GET",    "/v2/storage/*",          true,  true,  ALLOW(storage), LIMIT(list),   handle_storage,     NULL},
    {NULL,     "*",                      true,  true,  ROUTE_ANYBODY,  LIMIT(list),   handle_list,        NULL},
};
/* clang-format on */

static bool path_matches(const char *pattern, utapi_string path)
{
    const size_t size = strlen(pattern);
    if (size > 0 && pattern[size - 1] == '*')
        return path.size >= size - 1 && memcmp(path.data, pattern, size - 1) == 0;
    return path.size == size && memcmp(path.data, pattern, size) == 0;
}

static bool route_matches(const http_route *route, const http_request *request)
{
    if (route->method != NULL && !utapi_string_equal(utapi_string_of(route->method), request->method))
        return false;
    if (!route->takes_query && request->query.data != NULL)
        return false;
    return path_matches(route->path, request->path);
}

const http_route *http_route_find(const http_request *request)
{
    const http_route *route = routes;
    while (!route_matches(route, request))
        route++;
    return route;
}
