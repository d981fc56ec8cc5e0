/* SPDX-License-Identifier: Apache-2.0 */
/**
 * test_replies.c - answers of readers are bounded from when they are ready, not from when their worker comes to
 * send them.
 *
 * The linker puts what begins with __wrap_ before the calls of that name: so the storage answers when every
 * question has come, and then the worker stands still at the first answer until the readers have given all of them.
 */
#include "serving.h"

#include "handlers/routes.h"

#include <microhttpd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES = 10000, QUESTIONS = 8, FITTING = 4 }; /* an answer of 10,000 names is of some 15 MB */

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the linker's names
void __real_http_call_answer(http_call *call, int status, char *body, size_t size);
void __real_http_call_fail(http_call *call, http_error error);
void __real_MHD_resume_connection(struct MHD_Connection *mhd);
void __real_MHD_suspend_connection(struct MHD_Connection *mhd);

void __wrap_http_call_answer(http_call *call, int status, char *body, size_t size);
void __wrap_http_call_fail(http_call *call, http_error error);
void __wrap_MHD_resume_connection(struct MHD_Connection *mhd);
void __wrap_MHD_suspend_connection(struct MHD_Connection *mhd);

static trouble_backend *storage;
static unsigned asleep;
static atomic_uint answered, refused, refused_in_time;

void __wrap_http_call_answer(http_call *call, int status, char *body, size_t size)
{
    __real_http_call_answer(call, status, body, size);
    atomic_fetch_add(&answered, 1);
}

void __wrap_http_call_fail(http_call *call, http_error error)
{
    atomic_fetch_add(&refused, 1);
    __real_http_call_fail(call, error);
}

void __wrap_MHD_resume_connection(struct MHD_Connection *mhd)
{
    while (atomic_load(&answered) < QUESTIONS)
        sleep_ms(1);
    if (atomic_load(&refused_in_time) == 0)
        atomic_store(&refused_in_time, atomic_load(&refused));
    __real_MHD_resume_connection(mhd);
}

void __wrap_MHD_suspend_connection(struct MHD_Connection *mhd)
{
    __real_MHD_suspend_connection(mhd);
    if (++asleep == QUESTIONS)
        trouble_backend_hold_reads(storage, false);
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

/** A question about so many names. Owned. */
static char *long_question(void)
{
    char *body = malloc(NAMES * 4 + 64);
    assert_non_null(body);
    char *end = stpcpy(body, "{\"buckets\":[\"a\"");
    for (int i = 1; i < NAMES; i++)
        end = stpcpy(end, ",\"a\"");
    (void)stpcpy(end, "],\"timeRange\":[0]}");
    return body;
}

static void ready_answers_take_bounded_room_while_the_worker_is_busy(void **state)
{
    http_world *world = *state;
    http_client clients[QUESTIONS];
    char head[128];
    char *body = long_question();
    storage = &world->trouble;
    trouble_backend_hold_reads(storage, true);
    (void)snprintf(head, sizeof head,
                   "POST /buckets?Action=ListMetrics HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
                   strlen(body));
    for (int i = 0; i < QUESTIONS; i++) {
        clients[i] = connect_to(world);
        assert_true(client_send_text(&clients[i], head));
        assert_true(client_send_text(&clients[i], body));
    }
    for (int i = 0; i < QUESTIONS; i++) {
        client_reply reply;
        assert_int_equal(client_read(&clients[i], false, &reply), CLIENT_REPLIED);
        assert_true(reply.status == 200 || reply.status == 503);
        client_reply_done(&reply);
        client_close(&clients[i]);
    }
    assert_int_equal(atomic_load(&refused_in_time), QUESTIONS - FITTING);
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_READING_WORLD(ready_answers_take_bounded_room_while_the_worker_is_busy)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
