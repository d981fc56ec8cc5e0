/* SPDX-License-Identifier: Apache-2.0 */
/**
 * router.c - the checks that come before any handler.
 */
#include "handlers/routes.h"

#include "handlers/query_pool.h"
#include "http/uri.h"

#include <stdio.h>

/* Methods that are one; any other token is refused, as Node's parser does. */
static const char *const methods[] = {
    "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT",
};

static bool is_method(utapi_string method)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (utapi_string_equal(method, utapi_string_of(methods[i])))
            return true;
    }
    return false;
}

bool router_admit(const http_service *service, http_call *call, size_t *ret_body_limit)
{
    call->service = service;
    call->route = http_route_find(&call->request);
    const http_access *access = &call->route->access;
    *ret_body_limit = *(const size_t *)(const void *)((const char *)service + call->route->body_limit);
    const void *list = (const char *)service + access->allow;
    return access->allow_key == NULL || allow_list_has(list, call->request.peer);
}

void router_deny(http_call *call)
{
    http_failure failure;
    char reason[64];
    (void)http_fail(&failure, HTTP_ACCESS_DENIED, NULL);
    (void)snprintf(reason, sizeof reason, "the address is not in %s", call->route->access.allow_key);
    http_call_refuse_because(call, &failure, reason);
}

void router_on_body(http_call *call)
{
    if (call->route->on_body != NULL)
        call->route->on_body(call->service, call);
}

void router_dispatch(const http_service *service, http_call *call)
{
    const http_request *request = &call->request;
    http_failure failure;
    size_t body_limit;
    const bool is_admitted = router_admit(service, call, &body_limit);
    if (!is_method(request->method)) {
        (void)http_fail(&failure, HTTP_INVALID_ARGUMENT, "unknown method");
        http_call_refuse(call, &failure);
        return;
    }
    utapi_status target = uri_check(request->path);
    if (target == UTAPI_OK)
        target = uri_check(request->query);
    if (target != UTAPI_OK) {
        (void)http_fail(&failure, target == UTAPI_INVALID ? HTTP_INVALID_URI : HTTP_SERVICE_UNAVAILABLE,
                        NULL);
        http_call_refuse(call, &failure);
        return;
    }
    if (!is_admitted)
        router_deny(call);
    else if (call->route->is_query && service->query_pool != NULL)
        query_pool_add(service->query_pool, call);
    else
        call->route->handle(service, call);
}
