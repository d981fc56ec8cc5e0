/* SPDX-License-Identifier: Apache-2.0 */
/**
 * generation.h - what a server can be told anew while it runs, made as a whole: who may ask, who signs, limits.
 * Requests that are under way keep the generation that they began with; it goes when the last of them is answered.
 */
#ifndef DAEMON_GENERATION_H
#define DAEMON_GENERATION_H

#include "config/config.h"
#include "handlers/router.h"

#include <stdatomic.h>

typedef struct generation {
    struct generation *older; /* that still has requests */
    config settings;          /* owned */
    identity *identity;
    auth *auth; /* NULL: nobody is asked for a signature */
    struct policy *policy;
    http_service service, admin_service;
    http_calls calls; /* requests that hold it */
} generation;

/**
 * Reads the identities that settings name.
 *
 * @param settings  taken, whatever is returned
 * @param ret       owned: generation_free()
 */
UTAPI_MUST_USE utapi_status generation_new(config *settings, generation **ret, utapi_error *err);

/**
 * Makes its services out of what all generations share: engine, query pool, telemetry, wake, sources.
 *
 * @param shared  these members of it alone are used; what they point to is borrowed
 */
UTAPI_MUST_USE utapi_status generation_serve(generation *self, const http_service *shared, utapi_error *err);

/** Frees the older ones of a generation that no request holds any more. */
void generation_free_older(generation *self);

/** Frees it and all older ones. NULL is fine. */
void generation_free(generation *self);

#endif
