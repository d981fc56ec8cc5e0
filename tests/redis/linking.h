/* SPDX-License-Identifier: Apache-2.0 */
/**
 * linking.h - a link to a fake Redis, and commands over it.
 */
#ifndef REDIS_LINKING_H
#define REDIS_LINKING_H

#include "check.h"

#include "fake_redis.h"
#include "redis_link_internal.h"
#include "utapi/clock.h"

#include <stdio.h>

enum { LINKING_TIMEOUT_MS = 300 };

typedef struct linking {
    fake_redis fake;
    redis_uri uri;
    redis_connection *link; /* NULL until linking_open() */
    utapi_error err;
} linking;

/** cmocka's setup and teardown of a case: a fake Redis, and a link to it that is not connected. */
int linking_setup(void **state);
int linking_teardown(void **state);

#define LINKING_CASE(name) cmocka_unit_test_setup_teardown(name, linking_setup, linking_teardown)

/** A new link to what a URI names; the former is freed. */
void linking_open_uri(linking *l, const char *uri);

/** The same, with a URI of printf's kind. */
#define linking_open(l, ...)                            \
    do {                                                \
        char uri_[512];                                 \
        (void)snprintf(uri_, sizeof uri_, __VA_ARGS__); \
        linking_open_uri(l, uri_);                      \
    } while (0)

/** Asks a command, whose words are parted by blanks; its reply does not matter. */
utapi_status linking_ask(linking *l, const char *command);

/** Puts such a command into the pipeline. */
utapi_status linking_queue(linking *l, const char *command);

/** Fetches the next reply, which must be this text. */
void linking_expect(linking *l, const char *text);

/** A link answers with what it is asked for, and nobody else's. */
void linking_check_echo(redis_connection *link, const char *word);

/** Runs a script without words. */
utapi_status linking_run(linking *l);

#endif
