/* SPDX-License-Identifier: Apache-2.0 */
/**
 * router.h - from a whole request to its reply: routes, checks in Utapi's order, handlers.
 *
 * docs/authentication.md#request-checks fixes the order of the checks; routes.c holds the table of routes.
 * Thread-safe: one service serves every worker thread.
 */
#ifndef HANDLERS_ROUTER_H
#define HANDLERS_ROUTER_H

#include "auth/auth.h"
#include "handlers/telemetry.h"
#include "http/allow.h"
#include "http/message.h"
#include "utapi/engine.h"

#include <stdalign.h>
#include <stdatomic.h>

/** How administration is reached through a server. */
typedef struct http_admin_door {
    bool is_local; /* only whoever may administer gets in: a Unix socket. No list of addresses matters then */
    const char *tokens; /* separated by commas; NULL: unless it is local, there is no administration here */
    allow_list allow;   /* who may come with a token */
} http_admin_door;

enum { HTTP_CALL_SLOTS = 16 };

/** How many requests hold a service. A worker counts in a slot of its own, on a cache line of its own. */
typedef struct http_calls {
    struct {
        alignas(64) atomic_size_t count;
    } slots[HTTP_CALL_SLOTS];
} http_calls;

/** What handlers work with. All borrowed; must outlive every call. */
typedef struct http_service {
    http_calls *calls; /* how many requests hold it, counted by the server; NULL: nobody asks */
    utapi_engine *engine;
    struct query_pool *query_pool; /* answers queries (query_pool.h); NULL: whoever dispatches them does */
    auth *auth;                    /* NULL: nobody is asked for a signature (--no-auth) */
    const identity *identity;      /* maps account IDs, with or without auth; NULL: none is known */
    allow_list health_allow;       /* who may ask for the healthcheck */
    allow_list ingest_allow;       /* who may post events */
    allow_list storage_allow;      /* who may ask for /v2/storage */
    allow_list prometheus_allow;   /* who may ask for /_/metrics */
    allow_list ready_allow;        /* who may ask for /_/ready */
    allow_list openapi_allow;      /* who may ask for /openapi.json and /_/docs */
    http_admin_door admin;
    struct policy *policy; /* judges events (policy.h); NULL: there is no limit */
    struct wake *wake;     /* tells storage servers that an outage is over (wake.h); NULL: nobody does */
    telemetry *telemetry;  /* counts requests, and logs refusals; NULL: nobody does */
    int64_t (*certificate_expires_s)(void); /* when it ends, since the epoch; 0, or NULL: there is none */
    struct sources *sources;                /* who posts events (sources.h); NULL: nobody keeps that */
    const char *data_dir;                   /* whose disk is watched; NULL: none is */
    const char *backend;                    /* the kind of storage, for people; NULL: not known */
    int64_t ready_min_free;                 /* per cent: docs/specification.md#readiness */
    int64_t ready_max_delay_ms;
    size_t ingest_max_events; /* docs/specification.md#limits */
    size_t ingest_max_bytes;
    size_t list_max_bytes; /* docs/specification.md#queries */
    size_t list_max_names;
} http_service;

/** Room for the events of requests, from their reading until they are answered. A worker has one of its own. */
typedef struct http_budget {
    size_t used_bytes, max_bytes;
} http_budget;

/** The room that a worker needs: what the largest request takes. */
size_t http_budget_max(const http_service *service);

/**
 * One request on its way. Whoever makes it (server, test) begins with http_call_init(), fills request, and ends with
 * http_call_done() once it is ready.
 */
typedef struct http_call {
    http_request request;
    http_reply reply;
    const http_service *service;    /* NULL until the router has seen it */
    const struct http_route *route; /* likewise (routes.h) */
    const identity_key *key;        /* that signed it, once that is verified; NULL: none */
    int64_t began_ns;               /* utapi_monotonic_ns() */
    http_error denied;              /* why router_admit() did not admit it; HTTP_OK */

    /** Called exactly once, when reply is complete: perhaps before router_dispatch() returns, perhaps later; on
     * the thread that dispatches, on one of the query pool's or on the committer's. Must be quick. */
    void (*on_ready)(struct http_call *call);
    void *ctx; /* the maker's own */

    http_budget *budget; /* that what is read of its events takes; NULL: any; borrowed, as long as the call */
    size_t reserved_bytes;               /* so much of it is this call's; given back by http_call_done() */
    char request_id[21];                 /* 20 hex digits: header x-scal-request-id, and log lines */
    void *pending;                       /* the handler's own: events that are read, and on their way */
    void (*pending_free)(void *pending); /* called for it by http_call_done(), unless it is NULL */
    struct http_call *next;              /* the query pool's own */
} http_call;

/** Makes a call without a request, and gives it a request_id. */
void http_call_init(http_call *call, void (*on_ready)(http_call *call), void *ctx);

/** Records how much what was read of a call takes by now; false, and nothing changes, if there is no room for it. */
bool http_call_reserve(http_call *call, size_t bytes);

/**
 * Finds a call's route by its method and path, and whether its address, or its token, may ask for that.
 *
 * @param ret_body_limit  the most bytes that its body may have: the server stops reading beyond, and answers
 *                        EntityTooLarge
 * @return false: router_deny() is to answer it, before anything of its body is kept
 */
bool router_admit(const http_service *service, http_call *call, size_t *ret_body_limit);

/** Answers a call that was not admitted. */
void router_deny(http_call *call);

/**
 * Tells the route of a call that was admitted that more of its body has arrived: request.body is all of it so far,
 * and not whole yet.
 */
void router_on_body(http_call *call);

/** Answers a call; see http_call.on_ready. It need not have been admitted before. */
void router_dispatch(const http_service *service, http_call *call);

/** Frees what a call owns: its reply, and what its events kept. */
void http_call_done(http_call *call);

#endif
