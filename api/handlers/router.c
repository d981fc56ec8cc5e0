/* SPDX-License-Identifier: Apache-2.0 */
/**
 * router.c - the checks that come before any handler.
 */
#include "handlers/routes.h"

#include "auth/crypto.h"
#include "handlers/query_pool.h"
#include "http/uri.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

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

/* Whether a request bears one of the tokens. Digests are compared, each of them, and in constant time: how long that
 * takes tells nothing of any. */
static bool has_token(const http_request *request, const char *tokens)
{
    static const char scheme[] = "Bearer ";
    const size_t scheme_size = sizeof scheme - 1;
    unsigned char wanted[CRYPTO_HASH_BYTES], digest[CRYPTO_HASH_BYTES];
    const utapi_string header = http_request_header(request, "authorization");
    if (header.size <= scheme_size || strncasecmp(header.data, scheme, scheme_size) != 0 ||
        !crypto_sha256((utapi_string){header.data + scheme_size, header.size - scheme_size}, digest))
        return false;
    bool found = false;
    for (const char *at = tokens; *at != '\0'; at += *at == ',') {
        const size_t size = strcspn(at, ",");
        found |=
            crypto_sha256((utapi_string){at, size}, wanted) && crypto_equal(wanted, digest, sizeof wanted);
        at += size;
    }
    return found;
}

static http_error admit(const http_service *service, const http_call *call)
{
    const http_access *access = &call->route->access;
    const void *list = (const char *)service + access->allow;
    if (service->admin.is_local || access->allow_key == NULL)
        return HTTP_OK;
    if (access->needs_token && service->admin.tokens == NULL)
        return HTTP_NO_SUCH_ROUTE;
    if (!allow_list_has(list, call->request.peer))
        return HTTP_ACCESS_DENIED;
    return access->needs_token && !has_token(&call->request, service->admin.tokens) ? HTTP_NO_TOKEN : HTTP_OK;
}

bool router_admit(const http_service *service, http_call *call, size_t *ret_body_limit)
{
    call->service = service;
    call->route = http_route_find(&call->request);
    *ret_body_limit = *(const size_t *)(const void *)((const char *)service + call->route->body_limit);
    call->denied = admit(service, call);
    return call->denied == HTTP_OK;
}

void router_deny(http_call *call)
{
    http_failure failure;
    char reason[64];
    (void)http_fail(&failure, call->denied, NULL);
    if (call->denied == HTTP_ACCESS_DENIED)
        (void)snprintf(reason, sizeof reason, "the address is not in %s", call->route->access.allow_key);
    else
        (void)snprintf(reason, sizeof reason, "%s",
                       call->denied == HTTP_NO_TOKEN ? "no token of admin.tokens" : "admin.tokens is empty");
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
        http_call_fail(call, target == UTAPI_INVALID ? HTTP_INVALID_URI : HTTP_SERVICE_UNAVAILABLE);
        return;
    }
    if (!is_admitted)
        router_deny(call);
    else if (call->route->is_query && service->query_pool != NULL)
        query_pool_add(service->query_pool, call);
    else
        call->route->handle(service, call);
}
