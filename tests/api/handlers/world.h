/* SPDX-License-Identifier: Apache-2.0 */
/**
 * world.h - all that stands behind the HTTP side in a test: storage, engine, clock, identities, and a server.
 */
#ifndef HTTP_WORLD_H
#define HTTP_WORLD_H

#include "handlers/query_pool.h"
#include "server/server.h"
#include "trouble_backend.h"

/** The time at which the errors were recorded (tests/golden/README.md); a world's clock stands still there. */
#define WORLD_NOW_MS INT64_C(1795441850000)

typedef struct http_world {
    utapi_backend *memory;
    trouble_backend trouble;
    utapi_engine *engine;
    identity *identity; /* of authdata.json */
    auth *auth;
    http_service service; /* .query_pool: owned; the test starts them, if any */
    server *server;       /* NULL until world_listen() */
} http_world;

/**
 * Opens a world on an empty memory backend, without authentication (service.auth is NULL, self->auth is there to be
 * put into it). Fails the test if it cannot.
 *
 * @param authdata  path of authdata.json; NULL: nobody is known
 */
void world_open(http_world *self, const char *authdata);

/** Limits that a server in a test has unless the test says otherwise. */
extern const server_options world_server_options;

/** Starts a server on a free port of the loopback. */
void world_listen(http_world *self, const server_options *options);

void world_close(http_world *self);

#endif
