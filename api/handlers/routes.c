/* SPDX-License-Identifier: Apache-2.0 */
/**
 * routes.c - the table of routes, first match first.
 *
 * What no other row matches is a question (POST /{level}?Action=...), whatever its method or path: Utapi's checks decide what
 * is wrong with it (docs/authentication.md#request-checks).
 */
#include "handlers/routes.h"

#include <string.h>

#define ALLOW(list) offsetof(http_service, list##_allow)
#define LIMIT(what) offsetof(http_service, what##_max_bytes)

/* clang-format off */
#define TEXT(text) {text, sizeof text - 1}
#define ANY        {NULL, 0}

static const http_route routes[] = {
    /* method        path                            query  asks   may ask         body           handler             before it is whole */
    {TEXT("GET"),    TEXT("/_/healthcheck"),         false, false, ALLOW(health),  LIMIT(list),   handle_health,      NULL},
    {TEXT("POST"),   TEXT("/_/healthcheck"),         false, false, ALLOW(health),  LIMIT(list),   handle_health,      NULL},
    {TEXT("GET"),    TEXT("/_/journal/refused"),     false, true,  ALLOW(health),  LIMIT(list),   handle_dead_letters,     NULL},
    {TEXT("POST"),   TEXT("/_/journal/acknowledge"), false, true,  ALLOW(ingest),  LIMIT(list),   handle_acknowledge, NULL},
    {TEXT("POST"),   TEXT("/v2/ingest"),             true,  false, ALLOW(ingest),  LIMIT(ingest), handle_ingest_v2,   on_body_ingest_v2},
    {TEXT("POST"),   TEXT("/v1/push"),               true,  false, ALLOW(ingest),  LIMIT(ingest), handle_ingest_v1,   NULL},
    {TEXT("GET"),    TEXT("/v2/storage/*"),          true,  true,  ALLOW(storage), LIMIT(list),   handle_storage,     NULL},
    {ANY,            TEXT("*"),                      true,  true,  ROUTE_ANYBODY,  LIMIT(list),   handle_list,        NULL},
};
/* clang-format on */

static bool path_matches(utapi_string pattern, utapi_string path)
{
    if (pattern.data[pattern.size - 1] != '*')
        return utapi_string_equal(pattern, path);
    return path.size >= pattern.size - 1 && memcmp(path.data, pattern.data, pattern.size - 1) == 0;
}

static bool route_matches(const http_route *route, const http_request *request)
{
    return path_matches(route->path, request->path) &&
           (route->method.data == NULL || utapi_string_equal(route->method, request->method)) &&
           (route->takes_query || request->query.data == NULL);
}

const http_route *http_route_find(const http_request *request)
{
    const http_route *route = routes;
    while (!route_matches(route, request))
        route++;
    return route;
}
