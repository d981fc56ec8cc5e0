/* SPDX-License-Identifier: Apache-2.0 */
/**
 * serving.h - a world that serves on a socket, one for each case, and what its clients do again and again. Any of these fails the
 * test if it cannot.
 */
#ifndef HTTP_SERVING_H
#define HTTP_SERVING_H

#include "check.h"

#include "client.h"
#include "world.h"

/** Threads that answer questions in a reading world. */
#define READERS 2

/** A body for /v2/ingest: one byte for bucket "b". */
#define ONE_EVENT "[{\"operationId\":\"putObject\",\"bucket\":\"b\",\"sizeDelta\":1}]"

/* cmocka's setups and teardown of a case; *state is an http_world. */
int open_world(void **state);
int open_reading_world(void **state);   /* a single worker, and READERS that questions are left to */
int open_narrow_world(void **state);    /* a single worker, and two places for connections */
int open_impatient_world(void **state); /* with limits that a test can wait for */
int close_world(void **state);

#define IN_WORLD(test)           cmocka_unit_test_setup_teardown(test, open_world, close_world)
#define IN_READING_WORLD(test)   cmocka_unit_test_setup_teardown(test, open_reading_world, close_world)
#define IN_NARROW_WORLD(test)    cmocka_unit_test_setup_teardown(test, open_narrow_world, close_world)
#define IN_IMPATIENT_WORLD(test) cmocka_unit_test_setup_teardown(test, open_impatient_world, close_world)

http_client connect_to(const http_world *world);

/** Reads a reply, which must be this. body: NULL if it does not matter. */
void check_reply(http_client *client, int status, const char *body);

/** Bytes of bucket "b". */
int64_t stored(const http_world *world);

void sleep_ms(long ms);

/** As many open files as a test with a thousand clients needs. */
void raise_descriptor_limit(void);

#endif
