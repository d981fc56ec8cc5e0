/* SPDX-License-Identifier: Apache-2.0 */
/**
 * server.h - the sockets: libmicrohttpd daemons on threads of our own (docs/architecture.md#threads).
 *
 * Each worker thread polls its daemon's epoll descriptor and an eventfd, resumes the calls on its
 * done-queue, and lets the daemon run. A call that becomes ready on another thread is put on its owner's
 * queue; nobody else ever touches a connection. No other file knows libmicrohttpd.
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "handlers/router.h"

#include <stdint.h>

typedef struct server server;

typedef struct server_options {
    const char *bind;         /* address to listen on: "127.0.0.1", "::", ... */
    uint16_t port;            /* 0: any free one */
    const char *socket_path;  /* a Unix socket instead, of root and of this process's own user; NULL: none */
    bool is_tls;              /* with the certificate of tls.h, which is loaded by then */
    unsigned workers;         /* threads; at least 1 */
    unsigned max_connections; /* of all workers; see SERVER_EXCESS_CONNECTIONS */
    unsigned idle_timeout_s;  /* a connection on which nothing moves is closed */
    unsigned request_timeout_s; /* a request must be whole by then, however its bytes trickle */
} server_options;

/**
 * A connection beyond max_connections takes the place of the one that has been idle longest on the same worker.
 * When all of these are busy its request is answered 503 and it is closed; so many of those a worker takes at a
 * time, and others wait to be accepted.
 */
enum { SERVER_EXCESS_CONNECTIONS = 32 };

/**
 * Listens and starts the workers.
 *
 * @param service  borrowed: must outlive the server
 * @param ret      owned: stop with server_stop()
 * @return UTAPI_INVALID for an address that cannot be parsed; UTAPI_UNAVAILABLE if it cannot be bound; UTAPI_LOCKED if
 *         another process listens on the Unix socket. One that nobody listens on any more is replaced
 */
UTAPI_MUST_USE utapi_status server_start(const server_options *options, const http_service *service,
                                         server **ret, utapi_error *err);

/**
 * Requests that begin from now on get another service; those that are under way keep theirs (http_service.calls). The
 * size that bodies may have together stays as it was. From any thread.
 */
void server_replace_service(server *server, const http_service *service);

/** The port that it listens on. */
uint16_t server_port(const server *server);

/** Stops accepting, and answers what is in flight: for a server that is stopped later. NULL is fine. */
void server_quiesce(server *server);

/** Stops accepting, lets what is in flight finish, joins the workers, frees. NULL is fine. */
void server_stop(server *server);

#endif
