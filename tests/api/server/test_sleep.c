/* SPDX-License-Identifier: Apache-2.0 */
/**
 * test_sleep.c - an answer may come while its connection is being put to sleep: it must not wait for the worker's time-out.
 *
 * The linker puts what begins with __wrap_ before the calls of that name: so the storage stands still until a connection goes to
 * sleep, which waits for the answer; and a worker that waits for events although it has woken a connection is found out.
 */
#include "serving.h"

#include "handlers/routes.h"

#include <microhttpd.h>
#include <poll.h>
#include <stdatomic.h>

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the linker's names
void __real_http_call_answer(http_call *call, int status, char *body, size_t size);
void __real_MHD_suspend_connection(struct MHD_Connection *mhd);
void __real_MHD_resume_connection(struct MHD_Connection *mhd);
enum MHD_Result __real_MHD_run(struct MHD_Daemon *daemon);
int __real_poll(struct pollfd *fds, nfds_t count, int timeout_ms);

void __wrap_http_call_answer(http_call *call, int status, char *body, size_t size);
void __wrap_MHD_suspend_connection(struct MHD_Connection *mhd);
void __wrap_MHD_resume_connection(struct MHD_Connection *mhd);
enum MHD_Result __wrap_MHD_run(struct MHD_Daemon *daemon);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms);

static trouble_backend *storage;
static atomic_uint answered, put_to_sleep, waits_too_early;
static _Thread_local bool has_woken; /* a connection, since the daemon last ran */

void __wrap_http_call_answer(http_call *call, int status, char *body, size_t size)
{
    __real_http_call_answer(call, status, body, size);
    atomic_fetch_add(&answered, 1);
}

void __wrap_MHD_suspend_connection(struct MHD_Connection *mhd)
{
    const unsigned number = atomic_fetch_add(&put_to_sleep, 1) + 1;
    trouble_backend_hold(storage, false);
    while (atomic_load(&answered) < number)
        sleep_ms(1);
    __real_MHD_suspend_connection(mhd);
}

void __wrap_MHD_resume_connection(struct MHD_Connection *mhd)
{
    has_woken = true;
    __real_MHD_resume_connection(mhd);
}

enum MHD_Result __wrap_MHD_run(struct MHD_Daemon *daemon)
{
    has_woken = false;
    return __real_MHD_run(daemon);
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    if (has_woken && timeout_ms != 0)
        atomic_fetch_add(&waits_too_early, 1);
    return __real_poll(fds, count, timeout_ms);
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

static void an_answer_before_the_sleep_is_sent_at_once(void **state)
{
    enum { REQUESTS = 20 };
    http_world *world = *state;
    http_client client = connect_to(world);
    storage = &world->trouble;
    for (unsigned i = 0; i < REQUESTS; i++) {
        trouble_backend_hold(storage, true);
        assert_true(client_send_text(
            &client, "POST /v2/ingest HTTP/1.1\r\nHost: x\r\nContent-Length: 56\r\n\r\n" ONE_EVENT));
        check_reply(&client, 200, "");
    }
    client_close(&client);
    assert_int_equal(stored(world), REQUESTS);
    assert_int_equal(atomic_load(&put_to_sleep), REQUESTS);
    assert_int_equal(atomic_load(&waits_too_early), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {IN_NARROW_WORLD(an_answer_before_the_sleep_is_sent_at_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
