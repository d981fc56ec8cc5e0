/* SPDX-License-Identifier: Apache-2.0 */
/**
 * asking.h - requests to a world without a socket, and the answers that they must get.
 */
#ifndef HTTP_ASKING_H
#define HTTP_ASKING_H

#include "check.h"

#include "world.h"

#define CANONICAL_ID_1     "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"
#define BUCKET_QUERY(name) "{\"buckets\":[\"" name "\"],\"timeRange\":[1795440600000,1795442399999]}"

/** The identities of the worlds that are opened below; NULL: there are none. */
extern const char *asking_authdata;

/** A world for each test. */
int asking_open(void **state);
int asking_close(void **state);
#define ASKING_CASE(test) cmocka_unit_test_setup_teardown(test, asking_open, asking_close)

/** Asks, and waits for the answer. Each of the checks below ends it; else http_call_done(). */
http_call ask(const http_world *world, const char *method, const char *target, const char *body);
http_call ask_sized(const http_world *world, const char *method, const char *target, utapi_string body);

/** The call must have been answered so. */
void check_answer(http_call call, int status, const char *text);

/** The call must have been refused so. */
void check_refusal(http_call call, int status, const char *code, const char *message);
void check_invalid(http_call call, const char *message);

#endif
