/* SPDX-License-Identifier: Apache-2.0 */
/**
 * routes.c - the table of routes, first match first.
 *
 * What no other row matches is a query (POST /{level}?Action=...), whatever its method or path: Utapi's checks
 * decide what is wrong with it (docs/authentication.md#request-checks).
 */
#include "handlers/routes.h"

#include <string.h>

/* clang-format off */
#define FROM(list, key) {.allow_key = key, .allow = offsetof(http_service, list##_allow)}
#define HEALTH   FROM(health, "healthChecks.allowFrom")
#define INGEST   FROM(ingest, "ingest.allowFrom")
#define STORAGE  FROM(storage, "storage.allowFrom")
#define METRICS  FROM(prometheus, "prometheus.allowFrom")
#define OPENAPI  FROM(openapi, "openapi.allowFrom")
#define ADMIN    {.allow_key = "admin.allowFrom", .allow = offsetof(http_service, admin.allow), .needs_token = true}
#define SIGNED   {.is_signed = true}
#define JSON     HTTP_JSON
#define PROMTEXT "text/plain; version=0.0.4; charset=utf-8"
#define PAGE     "text/html; charset=utf-8"
#define ROUTE(action_, method_, path_, pool_, access_, limit_, answers_, handler_, ...)                             \
    {.action = action_, .method = {method_, sizeof method_ - 1}, .path = {path_, sizeof path_ - 1},                 \
     .is_query = pool_, .access = access_, .body_limit = offsetof(http_service, limit_##_max_bytes),                \
     .content_type = answers_, .handle = handle_##handler_, __VA_ARGS__}

const http_route http_routes[HTTP_ROUTES] = {
    /*    action                    method  path                      pool   access   body    answers   handler */
    ROUTE("Healthcheck",            "GET",  "/_/healthcheck",         false, HEALTH,  list,   JSON,     health),
    ROUTE("Healthcheck",            "POST", "/_/healthcheck",         false, HEALTH,  list,   JSON,     health),
    ROUTE("GetMetrics",             "GET",  "/_/metrics?",            false, METRICS, list,   PROMTEXT, metrics),
    ROUTE("GetOpenapi",             "GET",  "/openapi.json",          false, OPENAPI, list,   JSON,     openapi),
    ROUTE("GetDocs",                "GET",  "/_/docs",                false, OPENAPI, list,   PAGE,     docs),
    ROUTE("ListDeadLetters",        "GET",  "/_/dead-letters",        true,  HEALTH,  list,   JSON,     dead_letters),
    ROUTE("PushDeadLetters",        "POST", "/_/dead-letters/push",   true,  INGEST,  list,   JSON,     push_letters),
    ROUTE("AcknowledgeDeadLetters", "POST", "/_/dead-letters/acknowledge", true, INGEST, list, JSON,
          acknowledge_letters),
    ROUTE("ListDeadLetters",        "GET",  "/_/journal/refused",     true,  HEALTH,  list,   JSON,     refused),
    ROUTE("AcknowledgeDeadLetters", "POST", "/_/journal/acknowledge", true,  INGEST,  list,   JSON,     acknowledge),
    ROUTE("Adjust",                 "POST", "/_/admin/adjust",        true,  ADMIN,   list,   JSON,     adjust),
    ROUTE("Expire",                 "POST", "/_/admin/expire",        true,  ADMIN,   list,   JSON,     expire),
    ROUTE("ListAudit",              "GET",  "/_/admin/audit?",        true,  ADMIN,   list,   JSON,     audit),
    ROUTE("Ingest",                 "POST", "/v2/ingest?",            false, INGEST,  ingest, JSON,     ingest_v2,
          .on_body = on_body_ingest_v2),
    ROUTE("Push",                   "POST", "/v1/push?",              false, INGEST,  ingest, JSON,     ingest_v1),
    ROUTE("GetStorage",             "GET",  "/v2/storage/*",          true,  STORAGE, list,   JSON,     storage),
    ROUTE("ListMetrics",            "",     "*",                      true,  SIGNED,  list,   JSON,     list),
};
/* clang-format on */

static bool path_matches(utapi_string pattern, const http_request *request)
{
    const utapi_string path = request->path;
    const char last = pattern.data[pattern.size - 1];
    const utapi_string fixed = {pattern.data, pattern.size - (last == '*' || last == '?')};
    if (last == '*')
        return path.size >= fixed.size && memcmp(path.data, fixed.data, fixed.size) == 0;
    return utapi_string_equal(fixed, path) && (last == '?' || request->query.data == NULL);
}

const http_route *http_route_find(const http_request *request)
{
    const http_route *route = http_routes;
    while (!path_matches(route->path, request) ||
           (route->method.size > 0 && !utapi_string_equal(route->method, request->method)))
        route++;
    return route;
}
