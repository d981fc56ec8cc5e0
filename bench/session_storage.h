/* SPDX-License-Identifier: Apache-2.0 */
/**
 * session_storage.h - the storage of a session: opened here with an engine, or by a utapid that is a child, or in a
 * server that somebody else runs.
 */
#ifndef BENCH_SESSION_STORAGE_H
#define BENCH_SESSION_STORAGE_H

#include "http_text.h"
#include "utapi/engine.h"
#include "world.h"

typedef struct session_storage {
    const bench_world *world;
    bench_transport transport;
    char kind[32]; /* without "journal+" */
    bool has_journal;
    char folder[BENCH_PATH_MAX];
    char data[BENCH_PATH_MAX + 16];    /* in the folder */
    char journal[BENCH_PATH_MAX + 16]; /* in the folder */
    char redis_uri[BENCH_PATH_MAX + 32];
    child redis;

    utapi_backend *backend; /* in process */
    utapi_engine *engine;

    child server; /* over HTTP */
    char host[64];
    http_target target;
} session_storage;

/** The port in "http://127.0.0.1:8100"; the host, an IPv4 address, is written in front of it. False if it is not of that form. */
bool session_parse_url(const char *url, char *ret_host, size_t host_size, uint16_t *ret_port);

/** Whether a name stands for a storage: one of the registry, or one with "journal+" before it. */
bool session_storage_is_known(const char *backend);

/** Whether a storage can be measured by a transport: redis without a journal cannot over HTTP, for utapid has one. */
bool session_storage_can(const char *backend, bench_transport transport);

/** Opens what a name stands for. On failure it is to be closed all the same. */
UTAPI_MUST_USE utapi_status session_storage_open(session_storage *self, const bench_world *world,
                                                 const char *backend, bench_transport transport,
                                                 utapi_error *err);

/** Ends the engine or the server, and starts it again on what is stored. */
void session_storage_stop(session_storage *self);
UTAPI_MUST_USE utapi_status session_storage_start(session_storage *self, utapi_error *err);

/** Ends everything and removes the folder. */
void session_storage_close(session_storage *self);

#endif
