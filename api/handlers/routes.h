/* SPDX-License-Identifier: Apache-2.0 */
/**
 * routes.h - which handler answers what, who may ask it, what its answer is, and how large its body may be; and what
 * handlers answer with. For this folder, the server and the daemon.
 */
#ifndef HANDLERS_ROUTES_H
#define HANDLERS_ROUTES_H

#include "handlers/router.h"
#include "utapi/text.h"

/** Answers a call with http_call_answer(), http_call_complete() or http_call_refuse(), now or later, exactly once. */
typedef void http_handler_fn(const http_service *service, http_call *call);

/** Called for each piece of a body that is not whole yet: call->request.body is what has arrived. */
typedef void http_on_body_fn(const http_service *service, http_call *call);

/** Who may ask. */
typedef struct http_access {
    const char *allow_key; /* of the list of addresses, in the configuration; NULL: any address */
    size_t allow;          /* the list's offset in http_service */
    bool needs_token;      /* administration: one of admin.tokens too, unless it comes through the socket */
    bool
        is_signed; /* the handler asks for a signature where Utapi's order of checks has it: http_call_verify() */
} http_access;

typedef struct http_route {
    const char *action;  /* what it does, as the log and the metrics call it; rows may share one */
    utapi_string method; /* empty: any */
    utapi_string path;   /* raw; "x*" matches what begins so, "x?" with or without a query of the URI */
    bool is_query; /* storage is asked for figures, and may take its time: see http_service.query_pool */
    http_access access;
    size_t body_limit;        /* offset in http_service of the most bytes that a body may have */
    const char *content_type; /* of its answers; errors are always JSON */
    http_handler_fn *handle;
    http_on_body_fn *on_body; /* NULL: it has nothing to do before the body is whole */
} http_route;

enum { HTTP_ROUTES = 17 };

extern const http_route http_routes[HTTP_ROUTES];

/** The first route that matches; there always is one, for the last matches all. */
const http_route *http_route_find(const http_request *request);

/** Completes a call whose reply has its status, and a body or a stream; the route's content type unless it has one. The
 * call is not to be touched afterwards. */
void http_call_complete(http_call *call);

/** Completes a call: reply, then on_ready. The call is not to be touched afterwards.
 *  @param body  taken; NULL: an empty body */
void http_call_answer(http_call *call, int status, char *body, size_t size);

/** Likewise, with what was written: 200; 500 where memory ran out. @param text  empty afterwards */
void http_call_answer_text(http_call *call, utapi_text *text);

/** Completes a call with an error. Where the client is at fault the log says so, though not for each (telemetry.h). */
void http_call_refuse(http_call *call, const http_failure *failure);

/** Likewise. @param reason  for the log, where that may know more than the client; NULL: what the client is told */
void http_call_refuse_because(http_call *call, const http_failure *failure, const char *reason);

/** Likewise, with the error's own message. */
void http_call_fail(http_call *call, http_error error);

/** Asks for the signature that the call's route may want. */
http_error http_call_verify(const http_service *service, http_call *call, http_failure *failure);

/** What a client is told when core fails; 5xx are logged with the detail that the client does not get. */
http_error http_fail_status(http_failure *failure, const http_call *call, utapi_status status,
                            const utapi_error *err);

/**
 * As http_fail_status(), for a query: no fault of its own can make it fail, so that an overflow is ours. Where only
 * mending what is stored helps, the client is told what it is.
 *
 * @param about  what was asked for, for the log: "3 names of buckets"
 */
http_error http_fail_query(http_failure *failure, const http_call *call, const char *about,
                           utapi_status status, const utapi_error *err);

http_handler_fn handle_acknowledge;
http_handler_fn handle_acknowledge_letters;
http_handler_fn handle_adjust;
http_handler_fn handle_audit;
http_handler_fn handle_dead_letters;
http_handler_fn handle_docs;
http_handler_fn handle_expire;
http_handler_fn handle_health;
http_handler_fn handle_ingest_v1;
http_handler_fn handle_ingest_v2;
http_handler_fn handle_list;
http_handler_fn handle_metrics;
http_handler_fn handle_openapi;
http_handler_fn handle_push_letters;
http_handler_fn handle_refused;
http_handler_fn handle_storage;

http_on_body_fn on_body_ingest_v2;

#endif
