/* SPDX-License-Identifier: Apache-2.0 */
/**
 * connecting.h - a connection to a fake Redis, and commands over it.
 */
#ifndef REDIS_CONNECTING_H
#define REDIS_CONNECTING_H

#include "check.h"

#include "fake_redis.h"
#include "redis_connection.h"
#include "utapi/clock.h"

#include <stdio.h>

enum { CONNECTING_TIMEOUT_MS = 300 };

typedef struct connecting {
    fake_redis fake;
    redis_uri uri;
    redis_connection *connection; /* NULL until connecting_open() */
    utapi_error err;
} connecting;

/** cmocka's setup and teardown of a case: a fake Redis, and a connection to it that is not connected. */
int connecting_setup(void **state);
int connecting_teardown(void **state);

#define CONNECTING_CASE(name) cmocka_unit_test_setup_teardown(name, connecting_setup, connecting_teardown)

/** A new connection to what a URI names; the former is freed. */
void connecting_open_uri(connecting *l, const char *uri);

/** The same, with a URI of printf's kind. */
#define connecting_open(l, ...)                         \
    do {                                                \
        char uri_[512];                                 \
        (void)snprintf(uri_, sizeof uri_, __VA_ARGS__); \
        connecting_open_uri(l, uri_);                   \
    } while (0)

/** Asks a command, whose words are parted by blanks; its reply does not matter. */
utapi_status connecting_call(connecting *l, const char *command);

/** Puts such a command into the pipeline. */
utapi_status connecting_queue(connecting *l, const char *command);

/** Fetches the next reply, which must be this text. */
void connecting_expect(connecting *l, const char *text);

/** A connection answers with what it is asked for, and nobody else's. */
void connecting_check_echo(redis_connection *connection, const char *word);

/** Runs a script without words. */
utapi_status connecting_run(connecting *l);

#endif
