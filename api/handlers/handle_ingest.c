/* SPDX-License-Identifier: Apache-2.0 */
/**
 * handle_ingest.c - POST /v2/ingest and POST /v1/push: events in.
 *
 * The events are read on the request's thread and handed to the engine's committer, which says later, on its own
 * thread, how it went. The document that their strings point into lives in call->pending until the call is done.
 */
#include "handlers/routes.h"

#include "handlers/log.h"
#include "handlers/policy.h"
#include "handlers/wake.h"
#include "json/json_event.h"

#include <stdlib.h>
#include <string.h>

/** What a call keeps until it is answered. */
typedef struct arrival {
    json_events events;
    policy_verdict verdict; /* which they borrow */
} arrival;

/** Whether a detail begins with a field's name: "bucket: expected a string", not "expected an object". */
static bool names_field(const char *detail)
{
    return detail[strcspn(detail, ": ")] == ':';
}

/** As http_fail_status(), naming the event: "events[3].newByteLength: expected an integer". */
static void fail_events(http_failure *failure, const http_call *call, utapi_status status,
                        const utapi_error *err)
{
    if (status == UTAPI_NOT_SUPPORTED) {
        (void)http_fail(failure, HTTP_ENTITY_TOO_LARGE, "%s", err->detail);
    } else if ((status == UTAPI_INVALID || status == UTAPI_OVERFLOW) && err->index != UTAPI_NO_INDEX) {
        (void)http_fail(failure, HTTP_INVALID_PARAMETER_VALUE, "events[%zu]%s%s", err->index,
                        names_field(err->detail) ? "." : ": ", err->detail);
    } else if (status == UTAPI_NO_MEMORY) {
        /* As a full queue: the client repeats, and by then there may be room. */
        (void)http_fail_status(failure, call, UTAPI_UNAVAILABLE, err);
    } else {
        (void)http_fail_status(failure, call, status, err);
    }
    if (failure->error == HTTP_SERVICE_UNAVAILABLE)
        wake_failed(call->service->wake);
}

/**
 * Where storage accepts nothing, a slower client changes nothing, so the reply says what is in the way. A total that
 * is at its limit is for an operator to mend, so the log says it too.
 */
static void fail_commit(http_failure *failure, const http_call *call, utapi_status status,
                        const utapi_error *err)
{
    const bool has_reason = status != UTAPI_NO_MEMORY && *err->detail != '\0';
    fail_events(failure, call, status, err);
    if (status == UTAPI_OVERFLOW)
        log_write(LOG_LEVEL_WARN, call->request_id, "%s: %s", utapi_status_text(status),
                  http_failure_message(failure));
    if (failure->error == HTTP_SERVICE_UNAVAILABLE)
        (void)http_fail(failure, HTTP_SERVICE_UNAVAILABLE,
                        "Events cannot be stored now: %s. Send them again.",
                        has_reason ? err->detail : utapi_status_text(status));
}

/**
 * Counts a call's events by what came of them: of a request that cannot be read those up to the first that is
 * wrong.
 */
static void count_events(const http_call *call, utapi_status status, const utapi_error *err)
{
    const arrival *arrived = call->pending;
    const bool is_refused =
        status == UTAPI_INVALID || status == UTAPI_OVERFLOW || status == UTAPI_NOT_SUPPORTED;
    const telemetry_outcome outcome = status == UTAPI_OK ? TELEMETRY_ACCEPTED
                                      : is_refused       ? TELEMETRY_REFUSED
                                                         : TELEMETRY_UNAVAILABLE;
    size_t count = arrived != NULL ? arrived->events.count : 0;
    if (count == 0 && status != UTAPI_OK && err->index != UTAPI_NO_INDEX)
        count = err->index + 1;
    telemetry_count_events(call->service->telemetry, outcome, count);
}

/** The committer's answer, on its thread. */
static void on_committed(void *ctx, utapi_status status, const utapi_error *err)
{
    http_call *call = ctx;
    count_events(call, status, err);
    http_failure failure;
    if (status != UTAPI_OK) {
        fail_commit(&failure, call, status, err);
        http_call_refuse(call, &failure);
        return;
    }
    const arrival *arrived = call->pending;
    const policy_verdict *verdict = &arrived->verdict;
    for (unsigned reason = 0; reason < POLICY_REASONS; reason++)
        telemetry_log_letters(call->service->telemetry, call, &verdict->refusals[reason],
                              verdict->counts[reason]);
    if (!wake_wants(call->service->wake, &call->request, arrived->events.events, arrived->events.count)) {
        http_call_answer(call, http_error_status(HTTP_OK), NULL, 0);
        return;
    }
    (void)http_fail(&failure, HTTP_SERVICE_UNAVAILABLE,
                    "The event is counted. Send it again, with others that you kept: it counts once.");
    http_call_refuse(call, &failure);
}

static void log_unknown_operations(const http_call *call, const json_events *events)
{
    if (events->unknown_operations == 0)
        return;
    const utapi_string name = utapi_string_cut(events->unknown_operation, 64);
    log_write(
        LOG_LEVEL_WARN, call->request_id,
        "%zu events of operations that are not known (the first: \"%.*s\"): their amounts count, no operation does",
        events->unknown_operations, (int)name.size, name.data);
}

static void arrival_free(void *pending)
{
    json_events_done(&((arrival *)pending)->events);
    free(pending);
}

/** Where the call's events are, or will be; NULL: no memory. */
static json_events *events_of(http_call *call)
{
    if (call->pending == NULL)
        call->pending = calloc(1, sizeof(arrival));
    call->pending_free = arrival_free;
    return call->pending != NULL ? &((arrival *)call->pending)->events : NULL;
}

/** Reads the events into call->pending. */
static utapi_status read_events(const http_service *service, http_call *call, json_event_form form,
                                utapi_error *err)
{
    json_events *events = events_of(call);
    if (events == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "events");
    const utapi_string body = call->request.body;
    const size_t max_events = service->ingest_max_events;
    const bool is_plain = json_events_read_plain(form, body, max_events, events);
    if (!http_call_reserve(call, is_plain ? json_events_plain(events) : json_events_tree(body, max_events)))
        return utapi_fail(err, UTAPI_NO_MEMORY, "other requests take all the room for events");
    return is_plain ? UTAPI_OK : json_events_read_any(form, body, max_events, events, err);
}

void on_body_ingest_v2(const http_service *service, http_call *call)
{
    json_events *events = events_of(call);
    if (events == NULL)
        return;
    json_events_on_body(call->request.body, service->ingest_max_events, events);
    if (!http_call_reserve(call, json_events_plain(events))) {
        json_events_done(events);
        events->next_at = SIZE_MAX; /* whether there is room is seen when the body is whole */
    }
}

static void ingest_events(const http_service *service, http_call *call, json_event_form form)
{
    utapi_error err;
    utapi_error_clear(&err);
    utapi_status status = read_events(service, call, form, &err);
    arrival *arrived = call->pending;
    if (status == UTAPI_OK && arrived->events.count == 0) {
        http_call_answer(call, http_error_status(HTTP_OK), NULL, 0);
        return;
    }
    if (status == UTAPI_OK) {
        json_events *events = &arrived->events;
        log_unknown_operations(call, events);
        policy_judge(service->policy, call->request.peer, events->events, events->count, &arrived->verdict);
        status =
            utapi_engine_submit(service->engine, events->events, events->count, on_committed, call, &err);
        if (status == UTAPI_OK)
            return; /* the call may be over by now */
    }
    http_failure failure;
    count_events(call, status, &err);
    fail_events(&failure, call, status, &err);
    http_call_refuse(call, &failure);
}

void handle_ingest_v1(const http_service *service, http_call *call)
{
    ingest_events(service, call, JSON_EVENT_V1);
}

void handle_ingest_v2(const http_service *service, http_call *call)
{
    ingest_events(service, call, JSON_EVENT_V2);
}
