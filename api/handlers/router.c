/* SPDX-License-Identifier: Apache-2.0 */
/**
 * router.c - the checks that come before any handler, and how a call is completed.
 */
#include "handlers/routes.h"

#include "handlers/log.h"
#include "handlers/query_pool.h"
#include "http/uri.h"
#include "utapi/codec.h"
#include "json/json_event.h"
#include "json/json_list.h"

#include <stdio.h>
#include <sys/random.h>
#include <time.h>

/* Methods that are one; any other token is refused, as Node's parser does. */
static const char *const methods[] = {
    "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT",
};

#define RETRY_AFTER_S 1U /* a queue that was full is empty again after one commit */

static bool is_method(utapi_string method)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (utapi_string_equal(method, utapi_string_of(methods[i])))
            return true;
    }
    return false;
}

static bool may_ask(const http_service *service, const http_route *route, const http_request *request)
{
    if (route->allow == ROUTE_ANYBODY)
        return true;
    const void *list = (const char *)service + route->allow;
    return allow_list_has(list, request->peer);
}

void router_dispatch(const http_service *service, http_call *call)
{
    const http_request *request = &call->request;
    http_failure failure;
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

    const http_route *route = http_route_find(request);
    if (!may_ask(service, route, request)) {
        (void)http_fail(&failure, HTTP_ACCESS_DENIED, NULL);
        http_call_refuse(call, &failure);
        return;
    }
    if (route->is_query && service->query_pool != NULL)
        query_pool_add(service->query_pool, call);
    else
        route->handle(service, call);
}

bool router_may_ask(const http_service *service, const http_request *request)
{
    return may_ask(service, http_route_find(request), request);
}

void router_on_body(const http_service *service, http_call *call)
{
    const http_route *route = http_route_find(&call->request);
    if (route->on_body != NULL && may_ask(service, route, &call->request))
        route->on_body(service, call);
}

size_t router_body_limit(const http_service *service, const http_request *request)
{
    const void *limit = (const char *)service + http_route_find(request)->body_limit;
    return *(const size_t *)limit;
}

void http_call_answer(http_call *call, int status, char *body, size_t size)
{
    call->reply = (http_reply){.status = status, .body = body, .size = size};
    if (status == http_error_status(HTTP_SERVICE_UNAVAILABLE))
        call->reply.retry_after_s = RETRY_AFTER_S;
    if (log_wants(LOG_LEVEL_DEBUG))
        log_write(LOG_LEVEL_DEBUG, call->request_id, "%.*s %.*s: %d", (int)call->request.method.size,
                  call->request.method.data, (int)call->request.path.size, call->request.path.data, status);
    call->on_ready(call);
}

void http_call_refuse(http_call *call, const http_failure *failure)
{
    size_t size = 0;
    char *body = json_failure(failure, &size); /* without memory: the status alone */
    http_call_answer(call, http_error_status(failure->error), body, size);
}

http_error http_fail_status(http_failure *failure, const http_call *call, utapi_status status,
                            const utapi_error *err)
{
    switch (status) {
    case UTAPI_INVALID:
    case UTAPI_OVERFLOW:
        return http_fail(failure, HTTP_INVALID_PARAMETER_VALUE, "%s", err->detail);
    case UTAPI_UNAVAILABLE:
    case UTAPI_UNCERTAIN:
    case UTAPI_FENCED:
        log_write(LOG_LEVEL_WARN, call->request_id, "%s: %s", utapi_status_text(status), err->detail);
        return http_fail(failure, HTTP_SERVICE_UNAVAILABLE, NULL);
    default:
        log_write(LOG_LEVEL_ERROR, call->request_id, "%s: %s", utapi_status_text(status), err->detail);
        return http_fail(failure, HTTP_INTERNAL_ERROR, NULL);
    }
}

static bool may_pass(utapi_status status)
{
    return status == UTAPI_UNAVAILABLE || status == UTAPI_UNCERTAIN || status == UTAPI_FENCED;
}

http_error http_fail_query(http_failure *failure, const http_call *call, const char *about,
                           utapi_status status, const utapi_error *err)
{
    if (status == UTAPI_INVALID)
        return http_fail(failure, HTTP_INVALID_PARAMETER_VALUE, "%s", err->detail);
    const char *reason = *err->detail != '\0' ? err->detail : utapi_status_text(status);
    log_write(may_pass(status) ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR, call->request_id,
              "a question about %s failed: %s", about, reason);
    if (may_pass(status))
        return http_fail(failure, HTTP_SERVICE_UNAVAILABLE,
                         "The storage does not answer, so usage cannot be read now. Try again.");
    if (status == UTAPI_CORRUPT || status == UTAPI_OVERFLOW)
        return http_fail(failure, HTTP_INTERNAL_ERROR,
                         "What is stored has to be mended before it can be read: %s", reason);
    return http_fail(failure, HTTP_INTERNAL_ERROR, NULL);
}

/** A generator that is quick, not secret: request ids only need to differ (splitmix64). */
static uint64_t next_random(void)
{
    static _Thread_local uint64_t state;
    if (state == 0 && getrandom(&state, sizeof state, 0) != (ssize_t)sizeof state)
        state = (uint64_t)time(NULL) ^ (uint64_t)(uintptr_t)&state;

    state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t mixed = (state ^ state >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    mixed = (mixed ^ mixed >> 27) * UINT64_C(0x94D049BB133111EB);
    return mixed ^ mixed >> 31;
}

void http_call_init(http_call *call, void (*on_ready)(http_call *call), void *ctx)
{
    const uint64_t random[2] = {next_random(), next_random()};
    *call = (http_call){.on_ready = on_ready, .ctx = ctx};
    utapi_hex_put(call->request_id, random, sizeof call->request_id / 2);
}

size_t http_budget_max(const http_service *service)
{
    return json_events_tree_max(service->ingest_max_bytes, service->ingest_max_events);
}

bool http_call_reserve(http_call *call, size_t bytes)
{
    http_budget *budget = call->budget;
    if (budget == NULL)
        return true;
    const size_t others_bytes = budget->used_bytes - call->reserved_bytes;
    if (bytes > budget->max_bytes - others_bytes)
        return false;
    budget->used_bytes = others_bytes + bytes;
    call->reserved_bytes = bytes;
    return true;
}

void http_call_done(http_call *call)
{
    http_reply_done(&call->reply);
    handle_ingest_done(call->pending);
    call->pending = NULL;
    (void)http_call_reserve(call, 0);
}
