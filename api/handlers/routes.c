/* SPDX-License-Identifier: Apache-2.0 */
/**
 * routes.c - the table of routes, first match first.
 *
 * What no other row matches is a query (POST /{level}?Action=...), whatever its method or path: Utapi's checks decide what
 * is wrong with it (docs/authentication.md#request-checks).
 */
#include "handlers/routes.h"

#include <string.h>

#define LIMIT(what) offsetof(http_service, what##_max_bytes)

/* clang-format off */
#define FROM(list, key) {.allow_key = key, .allow = offsetof(http_service, list##_allow)}
#define HEALTH     FROM(health, "healthChecks.allowFrom")
#define INGEST     FROM(ingest, "ingest.allowFrom")
#define STORAGE    FROM(storage, "storage.allowFrom")
#define PROMETHEUS FROM(prometheus, "prometheus.allowFrom")
#define SIGNED     {.is_signed = true}
#define TEXT(text) {text, sizeof text - 1}
#define ANY        {NULL, 0}
#define JSON       HTTP_JSON
#define EXPOSITION "text/plain; version=0.0.4; charset=utf-8"

const http_route http_routes[HTTP_ROUTES] = {
    /* action                  method        path                            query  pool   access      body           answers     handler              before it is whole */
    {"Healthcheck",            TEXT("GET"),  TEXT("/_/healthcheck"),         false, false, HEALTH,     LIMIT(list),   JSON,       handle_health,       NULL},
    {"Healthcheck",            TEXT("POST"), TEXT("/_/healthcheck"),         false, false, HEALTH,     LIMIT(list),   JSON,       handle_health,       NULL},
    {"GetMetrics",             TEXT("GET"),  TEXT("/_/metrics"),             true,  false, PROMETHEUS, LIMIT(list),   EXPOSITION, handle_metrics,      NULL},
    {"ListDeadLetters",        TEXT("GET"),  TEXT("/_/journal/refused"),     false, true,  HEALTH,     LIMIT(list),   JSON,       handle_dead_letters, NULL},
    {"AcknowledgeDeadLetters", TEXT("POST"), TEXT("/_/journal/acknowledge"), false, true,  INGEST,     LIMIT(list),   JSON,       handle_acknowledge,  NULL},
    {"Ingest",                 TEXT("POST"), TEXT("/v2/ingest"),             true,  false, INGEST,     LIMIT(ingest), JSON,       handle_ingest_v2,    on_body_ingest_v2},
    {"Push",                   TEXT("POST"), TEXT("/v1/push"),               true,  false, INGEST,     LIMIT(ingest), JSON,       handle_ingest_v1,    NULL},
    {"GetStorage",             TEXT("GET"),  TEXT("/v2/storage/*"),          true,  true,  STORAGE,    LIMIT(list),   JSON,       handle_storage,      NULL},
    {"ListMetrics",            ANY,          TEXT("*"),                      true,  true,  SIGNED,     LIMIT(list),   JSON,       handle_list,         NULL},
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
    const http_route *route = http_routes;
    while (!route_matches(route, request))
        route++;
    return route;
}
