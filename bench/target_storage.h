/* SPDX-License-Identifier: Apache-2.0 */
/**
 * target_storage.h - the storage of a target: opened here with an engine, or by a utapid that is a child, or in a
 * server that somebody else runs.
 */
#ifndef BENCH_TARGET_STORAGE_H
#define BENCH_TARGET_STORAGE_H

#include "http_text.h"
#include "utapi/engine.h"
#include "workspace.h"

typedef struct target_storage {
    const bench_workspace *workspace;
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
    http_endpoint endpoint;
} target_storage;

/**
 * The port in "http://127.0.0.1:8100"; the host, an IPv4 address, is written in front of it. False if it is not of
 * that form.
 */
bool target_parse_url(const char *url, char *ret_host, size_t host_size, uint16_t *ret_port);

/** Whether a name stands for a storage: one of the registry, or one with "journal+" before it. */
bool target_storage_is_known(const char *backend);

/** Whether a storage can be measured by a transport: redis without a journal cannot over HTTP, for utapid has one. */
bool target_storage_can(const char *backend, bench_transport transport);

/** Opens what a name stands for. On failure it is to be closed all the same. */
UTAPI_MUST_USE utapi_status target_storage_open(target_storage *self, const bench_workspace *workspace,
                                                const char *backend, bench_transport transport,
                                                utapi_error *err);

/** Ends the engine or the server, and starts it again on what is stored. */
void target_storage_stop(target_storage *self);
UTAPI_MUST_USE utapi_status target_storage_start(target_storage *self, utapi_error *err);

/** Ends everything and removes the folder. */
void target_storage_close(target_storage *self);

#endif
