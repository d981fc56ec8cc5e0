/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_auth_threads.c - many threads, one auth: each thread's contexts are its own, the key cache is shared.
 *
 * Built to be run under ThreadSanitizer; threads come in two waves, so that contexts are freed and made anew.
 */
#include "auth/auth.h"
#include "authdata.h"
#include "check.h"
#include "sign.h"

#include <pthread.h>
#include <stdio.h>

#define NOW_MS  INT64_C(1795441850000)
#define WAVES   2
#define THREADS 4
#define ROUNDS  150
#define REGIONS 12

typedef struct worker {
    auth *auth;
    pthread_t thread;
    int wrong; /* answers other than expected */
} worker;

static http_error sign_and_verify(auth *shared, int round)
{
    char region[16];
    snprintf(region, sizeof region, "region-%d", round % REGIONS);
    const http_header host = {utapi_string_of("host"), utapi_string_of("localhost:8100")};
    http_request plain = {.method = utapi_string_of("POST"), .headers = &host, .header_count = 1};
    http_request_set_target(&plain, utapi_string_of("/buckets?Action=ListMetrics"));
    const sign_options options = {
        .access = round % 2 == 0 ? "accessKey1" : "accessKey2",
        .secret = round % 3 == 0   ? "notTheSecret"
                  : round % 2 == 0 ? "verySecretKey1"
                                   : "verySecretKey2",
        .region = region,
        .now_ms = NOW_MS,
    };
    signed_request sent;
    sign_request(&sent, &plain, &options);
    const identity_key *key = NULL;
    http_failure failure;
    const http_error error = auth_verify(shared, &sent.request, NOW_MS, &key, &failure);
    signed_request_done(&sent);
    return error;
}

static void *work(void *argument)
{
    worker *self = argument;
    for (int round = 0; round < ROUNDS; round++) {
        const http_error expected = round % 3 == 0 ? HTTP_SIGNATURE_DOES_NOT_MATCH : HTTP_OK;
        self->wrong += sign_and_verify(self->auth, round) != expected;
    }
    return NULL;
}

static void threads_share_one_auth(void **state)
{
    (void)state;
    identity *known = authdata_new();
    auth *shared = NULL;
    utapi_error err = {0};
    CHECK_OK(auth_new(known, AUTH_PAYLOAD_STRICT, &shared, &err), &err);
    for (int wave = 0; wave < WAVES; wave++) {
        worker workers[THREADS];
        for (int i = 0; i < THREADS; i++) {
            workers[i] = (worker){.auth = shared};
            assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
        }
        for (int i = 0; i < THREADS; i++) {
            pthread_join(workers[i].thread, NULL);
            assert_int_equal(workers[i].wrong, 0);
        }
    }
    auth_free(shared);
    identity_free(known);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(threads_share_one_auth)};
    return cmocka_run_group_tests_name("auth threads", tests, NULL, NULL);
}
