/* SPDX-License-Identifier: Apache-2.0 */
/**
 * call.c - one request on its way: its room, its failures, and how it is completed. Handlers stand on it.
 */
#include "handlers/routes.h"

#include "handlers/log.h"
#include "utapi/clock.h"
#include "utapi/codec.h"
#include "json/json_event.h"
#include "json/json_list.h"

#include <sys/random.h>
#include <time.h>

#define RETRY_AFTER_S "1" /* a queue that was full is empty again after one commit */

http_error http_call_verify(const http_service *service, http_call *call, http_failure *failure)
{
    if (!call->route->access.is_signed || service->auth == NULL)
        return HTTP_OK;
    return auth_verify(service->auth, &call->request, utapi_engine_now_ms(service->engine), &call->key,
                       failure);
}

void http_call_complete(http_call *call)
{
    http_reply *reply = &call->reply;
    if (reply->content_type == NULL)
        reply->content_type = call->route != NULL ? call->route->content_type : HTTP_JSON;
    if (reply->status == http_error_status(HTTP_SERVICE_UNAVAILABLE))
        http_reply_add_header(reply, "retry-after", RETRY_AFTER_S);
    if (reply->status == http_error_status(HTTP_NO_TOKEN))
        http_reply_add_header(reply, "www-authenticate", "Bearer");
    if (log_wants(LOG_LEVEL_DEBUG))
        log_write(LOG_LEVEL_DEBUG, call->request_id, "%.*s %.*s: %d", (int)call->request.method.size,
                  call->request.method.data, (int)call->request.path.size, call->request.path.data,
                  reply->status);
    call->on_ready(call);
}

void http_call_answer(http_call *call, int status, char *body, size_t size)
{
    call->reply = (http_reply){.status = status, .body = body, .size = size};
    http_call_complete(call);
}

void http_call_refuse_because(http_call *call, const http_failure *failure, const char *reason)
{
    enum { CLIENT_ERRORS = 400, SERVER_ERRORS = 500 };
    size_t size = 0;
    const int status = http_error_status(failure->error);
    char *body = json_failure(failure, &size); /* without memory: the status alone */
    if (call->service != NULL && status >= CLIENT_ERRORS && status < SERVER_ERRORS)
        telemetry_log_refusal(call->service->telemetry, call, failure, reason);
    call->reply = (http_reply){.status = status, .content_type = HTTP_JSON, .body = body, .size = size};
    http_call_complete(call);
}

void http_call_refuse(http_call *call, const http_failure *failure)
{
    http_call_refuse_because(call, failure, NULL);
}

void http_call_fail(http_call *call, http_error error)
{
    http_failure failure;
    (void)http_fail(&failure, error, NULL);
    http_call_refuse(call, &failure);
}

void http_call_answer_text(http_call *call, utapi_text *text)
{
    size_t size = 0;
    char *body = utapi_text_take(text, &size);
    if (body != NULL)
        http_call_answer(call, http_error_status(HTTP_OK), body, size);
    else
        http_call_fail(call, HTTP_INTERNAL_ERROR);
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
              "a query about %s failed: %s", about, reason);
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
    *call = (http_call){.on_ready = on_ready, .ctx = ctx, .began_ns = utapi_monotonic_ns()};
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
    if (call->service != NULL && call->reply.status != 0)
        telemetry_count_request(call->service->telemetry, call);
    http_reply_done(&call->reply);
    if (call->pending != NULL)
        call->pending_free(call->pending);
    call->pending = NULL;
    (void)http_call_reserve(call, 0);
}
