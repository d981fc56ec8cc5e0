/* SPDX-License-Identifier: Apache-2.0 */
/**
 * routes.h - which handler answers what, who may ask it, and how large its body may be. For this folder alone.
 */
#ifndef HANDLERS_ROUTES_H
#define HANDLERS_ROUTES_H

#include "handlers/router.h"

/** Answers a call with http_call_answer() or http_call_refuse(), now or later, exactly once. */
typedef void http_handler_fn(const http_service *service, http_call *call);

/** Told of each piece of a body that is not whole yet: call->request.body is what has arrived. */
typedef void http_on_body_fn(const http_service *service, http_call *call);

/** Offset of a member of http_service that a route has no use for. */
#define ROUTE_ANYBODY ((size_t)-1)

typedef struct http_route {
    utapi_string method; /* absent: any */
    utapi_string path;   /* raw; one that ends with '*' matches what begins so */
    bool takes_query;    /* whether it still matches when there is a '?' */
    bool is_query;     /* storage is asked for figures, and may take its time: see http_service.query_pool */
    size_t allow;      /* offset in http_service of the list of addresses; or ROUTE_ANYBODY */
    size_t body_limit; /* offset in http_service of the most bytes that a body may have */
    http_handler_fn *handle;
    http_on_body_fn *on_body; /* NULL: it has nothing to do before the body is whole */
} http_route;

/** The first route that matches; there always is one, for the last matches all. */
const http_route *http_route_find(const http_request *request);

/** Completes a call: reply, then on_ready. The call is not to be touched afterwards.
 *  @param body  taken; NULL: an empty body */
void http_call_answer(http_call *call, int status, char *body, size_t size);

/** Completes a call with an error. */
void http_call_refuse(http_call *call, const http_failure *failure);

/** What a client is told when core fails; 5xx are logged with the detail that the client does not get. */
http_error http_fail_status(http_failure *failure, const http_call *call, utapi_status status,
                            const utapi_error *err);

/**
 * As http_fail_status(), for a question: no fault of its own can make it fail, so that an overflow is ours. Where only
 * mending what is stored helps, the client is told what it is.
 *
 * @param about  what was asked for, for the log: "3 names of buckets"
 */
http_error http_fail_query(http_failure *failure, const http_call *call, const char *about,
                           utapi_status status, const utapi_error *err);

http_handler_fn handle_acknowledge;
http_handler_fn handle_health;
http_handler_fn handle_ingest_v1;
http_handler_fn handle_ingest_v2;
http_handler_fn handle_list;
http_handler_fn handle_dead_letters;
http_handler_fn handle_storage;

http_on_body_fn on_body_ingest_v2;

/** Frees http_call.pending of an ingest call. NULL is fine. */
void handle_ingest_done(void *pending);

#endif
