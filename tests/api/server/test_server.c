/* SPDX-License-Identifier: Apache-2.0 */
/**
 * test_server.c - what only shows on a socket: connections that stay, pipelines, chunks, clients that leave, trickle
 * or stall, many of them at once, and the end.
 *
 * Nothing measures how long something takes; a reply that does not come within CLIENT_TIMEOUT_S is a stall.
 */
#include "serving.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- connections --------------------------------------------------------------------------- */

static void a_connection_serves_many_requests(void **state)
{
    http_client client = connect_to(*state);
    for (int i = 0; i < 20; i++) {
        client_reply reply;
        assert_int_equal(client_post(&client, "/v2/ingest", ONE_EVENT, &reply), CLIENT_REPLIED);
        assert_int_equal(reply.status, 200);
        assert_string_equal(reply.body, "");
        assert_string_equal(client_reply_header(&reply, "content-type"), "application/json");
        client_reply_done(&reply);
    }
    client_close(&client);
    assert_int_equal(stored(*state), 20);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    http_client client = connect_to(*state);
    char body[256], request[4096] = "";
    size_t size = 0;
    for (int i = 0; i < 8; i++) {
        (void)snprintf(body, sizeof body,
                       "[{\"operationId\":\"putObject\",\"bucket\":\"b\",\"sizeDelta\":%d}]", 1 << i);
        size += (size_t)snprintf(request + size, sizeof request - size,
                                 "POST /v2/ingest HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s"
                                 "GET /v2/storage/buckets/b HTTP/1.1\r\nHost: x\r\n\r\n",
                                 strlen(body), body);
    }
    assert_true(client_send(&client, request, size));
    for (int i = 0; i < 8; i++) {
        (void)snprintf(body, sizeof body, "{\"storageUtilized\":%d,\"resource\":\"b\",\"level\":\"buckets\"}",
                       (2 << i) - 1);
        check_reply(&client, 200, "");
        check_reply(&client, 200, body);
    }
    client_close(&client);
}

static void chunked_bodies_are_joined(void **state)
{
    http_client client = connect_to(*state);
    assert_true(client_send_text(
        &client, "POST /v2/ingest HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"));
    for (const char *at = ONE_EVENT; *at != '\0'; at++) {
        char chunk[16];
        (void)snprintf(chunk, sizeof chunk, "1\r\n%c\r\n", *at);
        assert_true(client_send_text(&client, chunk));
    }
    assert_true(client_send_text(&client, "0\r\n\r\n"));
    check_reply(&client, 200, "");
    assert_int_equal(stored(*state), 1);
    client_close(&client);
}

static void a_large_body_arrives_whole(void **state)
{
    const size_t padding = (size_t)8 << 20;
    http_client client = connect_to(*state);
    char *body = malloc(padding + 1);
    assert_non_null(body);
    memset(body, ' ', padding);
    memcpy(body + padding - strlen(ONE_EVENT), ONE_EVENT, strlen(ONE_EVENT));
    body[padding] = '\0';
    client_reply reply;
    assert_int_equal(client_post(&client, "/v2/ingest", body, &reply), CLIENT_REPLIED);
    assert_int_equal(reply.status, 200);
    client_reply_done(&reply);
    free(body);
    client_close(&client);
    assert_int_equal(stored(*state), 1);
}

static void a_client_that_closes_its_side_is_answered_and_let_go(void **state)
{
    http_client client = connect_to(*state);
    client_reply reply;
    assert_true(client_send_text(&client, "GET /_/healthcheck HTTP/1.1\r\nHost: x\r\n\r\n"));
    client_end_sending(&client);
    check_reply(&client, 200, "{}");
    assert_int_equal(client_read(&client, false, &reply), CLIENT_CLOSED);
    client_close(&client);
}

/* ---- questions that take their time -------------------------------------------------------- */

/** Has as many questions wait for storage as there are readers, and as many more for a reader. */
static void ask_and_wait(http_world *world, http_client waiting[2 * READERS])
{
    trouble_backend_hold_reads(&world->trouble, true);
    for (size_t i = 0; i < 2 * READERS; i++) {
        waiting[i] = connect_to(world);
        assert_true(client_send_text(&waiting[i], "GET /v2/storage/buckets/b HTTP/1.1\r\nHost: x\r\n\r\n"));
    }
    trouble_backend_wait_reads(&world->trouble, READERS);
}

static void check_answers(http_client waiting[2 * READERS], const char *body)
{
    for (size_t i = 0; i < 2 * READERS; i++) {
        check_reply(&waiting[i], 200, body);
        client_close(&waiting[i]);
    }
}

/** More of them than there are readers; the only worker has other things to do. */
static void questions_that_wait_hold_up_nothing_else(void **state)
{
    http_world *world = *state;
    http_client waiting[2 * READERS];
    ask_and_wait(world, waiting);

    http_client client = connect_to(world);
    client_reply reply;
    assert_int_equal(client_post(&client, "/v2/ingest", ONE_EVENT, &reply), CLIENT_REPLIED);
    assert_int_equal(reply.status, 200);
    client_reply_done(&reply);
    assert_true(client_send_text(&client, "GET /_/healthcheck HTTP/1.1\r\nHost: x\r\n\r\n"));
    check_reply(&client, 200, "{}");
    client_close(&client);

    trouble_backend_hold_reads(&world->trouble, false);
    check_answers(waiting, "{\"storageUtilized\":1,\"resource\":\"b\",\"level\":\"buckets\"}");
}

static void clients_that_have_closed_their_side_are_answered_when_the_storage_is(void **state)
{
    http_world *world = *state;
    http_client waiting[2 * READERS], client = connect_to(world);
    trouble_backend_hold(&world->trouble, true);
    assert_true(client_send_text(
        &client, "POST /v2/ingest HTTP/1.1\r\nHost: x\r\nContent-Length: 56\r\n\r\n" ONE_EVENT));
    trouble_backend_wait_applies(&world->trouble, 1);
    client_end_sending(&client);
    trouble_backend_hold(&world->trouble, false);
    check_reply(&client, 200, "");
    client_close(&client);

    ask_and_wait(world, waiting);
    for (size_t i = 0; i < 2 * READERS; i++)
        client_end_sending(&waiting[i]);
    trouble_backend_hold_reads(&world->trouble, false);
    check_answers(waiting, "{\"storageUtilized\":1,\"resource\":\"b\",\"level\":\"buckets\"}");
}

/* ---- framing ------------------------------------------------------------------------------- */

static void ambiguous_requests_are_refused_and_the_connection_closed(void **state)
{
    static const char *const requests[] = {
        "POST /v2/ingest HTTP/1.1\r\nContent-Length: 2\r\n\r\n[]",
        "POST /v2/ingest HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /v2/ingest HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n[]x",
        "POST /v2/ingest HTTP/1.1\r\nHost: x\r\nHost: y\r\nContent-Length: 2\r\n\r\n[]",
    };
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        http_client client = connect_to(*state);
        client_reply reply;
        assert_true(client_send_text(&client, requests[i]));
        check_reply(&client, 400, NULL);
        assert_int_equal(client_read(&client, false, &reply), CLIENT_CLOSED);
        client_close(&client);
    }
}

/* ---- clients that leave, trickle, stay silent ---------------------------------------------- */

static void clients_that_leave_while_suspended_harm_nobody(void **state)
{
    http_world *world = *state;
    trouble_backend_hold(&world->trouble, true);
    for (int i = 0; i < 16; i++) {
        http_client client = connect_to(world);
        assert_true(client_send_text(
            &client, "POST /v2/ingest HTTP/1.1\r\nHost: x\r\nContent-Length: 56\r\n\r\n" ONE_EVENT));
        if (i == 0)
            trouble_backend_wait_applies(&world->trouble, 1);
        client_close(&client);
    }
    sleep_ms(50);
    trouble_backend_hold(&world->trouble, false);
    http_client client = connect_to(world);
    client_reply reply;
    assert_int_equal(client_post(&client, "/v2/ingest", ONE_EVENT, &reply), CLIENT_REPLIED);
    client_reply_done(&reply);
    client_close(&client);
}

static void clients_that_leave_in_the_middle_harm_nobody(void **state)
{
    static const char request[] =
        "POST /v2/ingest HTTP/1.1\r\nHost: x\r\nContent-Length: 56\r\n\r\n" ONE_EVENT;
    for (size_t size = 0; size < sizeof request - 1; size += 5) {
        http_client client = connect_to(*state);
        assert_true(client_send(&client, request, size));
        client_close(&client);
    }
    http_client client = connect_to(*state);
    assert_true(client_send(&client, request, sizeof request - 1));
    check_reply(&client, 200, "");
    client_close(&client);
    assert_int_equal(stored(*state), 1);
}

static void trickling_clients_are_cut_off(void **state)
{
    static const char *const beginnings[] = {
        "POST /v2/ingest HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n",
        "POST /v2/ingest HTTP/1.1\r\nHost: x\r\nX-Long: ",
        "POST /",
    };
    http_client clients[sizeof beginnings / sizeof *beginnings];
    const size_t count = sizeof beginnings / sizeof *beginnings;
    for (size_t i = 0; i < count; i++) {
        clients[i] = connect_to(*state);
        assert_true(client_send_text(&clients[i], beginnings[i]));
    }

    /* A byte four times a second keeps a connection from being idle; ten seconds are enough for every deadline. */
    unsigned open = (1U << count) - 1;
    for (int round = 0; round < 4 * 10 && open != 0; round++) {
        sleep_ms(250);
        for (size_t i = 0; i < count; i++) {
            if ((open >> i & 1U) != 0 && !client_send_text(&clients[i], "x"))
                open &= ~(1U << i);
        }
    }
    assert_int_equal(open, 0);
    for (size_t i = 0; i < count; i++)
        client_close(&clients[i]);
}

/* Even where an idle connection may stay for long: in a new one, and after a request. */
static void a_request_line_that_trickles_has_the_time_of_a_request(void **state)
{
    http_world *world = *state;
    server_options options = world_server_options;
    options.request_timeout_s = 2;
    server_stop(world->server);
    world_listen(world, &options);
    for (int served = 0; served < 2; served++) {
        http_client client = connect_to(world);
        bool is_open = true;
        if (served == 1) {
            assert_true(client_send_text(&client, "GET /_/healthcheck HTTP/1.1\r\nHost: x\r\n\r\n"));
            check_reply(&client, 200, "{}");
        }
        for (int round = 0; round < 4 * 10 && is_open; round++) {
            is_open = client_send_text(&client, "x");
            sleep_ms(250);
        }
        assert_false(is_open);
        client_close(&client);
    }
}

static void a_body_that_trickles_is_408(void **state)
{
    http_client client = connect_to(*state);
    client_reply reply;
    assert_true(
        client_send_text(&client, "POST /v2/ingest HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n["));
    while (client_send_text(&client, " "))
        sleep_ms(250);
    assert_int_equal(client_read(&client, false, &reply), CLIENT_REPLIED);
    assert_int_equal(reply.status, 408);
    assert_non_null(strstr(reply.body, "RequestTimeout"));
    assert_string_equal(client_reply_header(&reply, "connection"), "close");
    client_reply_done(&reply);
    client_close(&client);
}

static void silent_connections_are_closed(void **state)
{
    http_client client = connect_to(*state);
    client_reply reply;
    assert_int_equal(client_read(&client, false, &reply), CLIENT_CLOSED);
    client_close(&client);
}

static void a_suspended_request_has_no_deadline(void **state)
{
    http_world *world = *state;
    trouble_backend_hold(&world->trouble, true);
    http_client client = connect_to(world);
    assert_true(client_send_text(
        &client, "POST /v2/ingest HTTP/1.1\r\nHost: x\r\nContent-Length: 56\r\n\r\n" ONE_EVENT));
    sleep_ms(4000);
    trouble_backend_hold(&world->trouble, false);
    check_reply(&client, 200, "");
    client_close(&client);
}

/* ---- many at once -------------------------------------------------------------------------- */

#define IDLE_CLIENTS 1000
#define BUSY_CLIENTS 64
#define BUSY_ROUNDS  20

typedef struct busy_fleet {
    uint16_t port;
    atomic_uint replied, failed;
} busy_fleet;

static void *be_busy(void *ctx)
{
    busy_fleet *fleet = ctx;
    http_client client;
    bool is_open = client_open(&client, fleet->port);
    for (int i = 0; i < BUSY_ROUNDS; i++) {
        client_reply reply;
        const bool replied =
            is_open && client_post(&client, "/v2/ingest", ONE_EVENT, &reply) == CLIENT_REPLIED;
        atomic_fetch_add(replied && reply.status == 200 ? &fleet->replied : &fleet->failed, 1);
        if (replied)
            client_reply_done(&reply);
        is_open = replied;
    }
    client_close(&client);
    return NULL;
}

/** Descriptors for both ends of all connections. */
static void a_thousand_idle_and_64_busy_clients_never_stall(void **state)
{
    http_world *world = *state;
    world->trouble.apply_ms = 1;
    http_client *idle = calloc(IDLE_CLIENTS, sizeof *idle);
    assert_non_null(idle);
    for (size_t i = 0; i < IDLE_CLIENTS; i++)
        idle[i] = connect_to(world);

    busy_fleet fleet = {.port = server_port(world->server)};
    pthread_t threads[BUSY_CLIENTS];
    for (size_t i = 0; i < BUSY_CLIENTS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, be_busy, &fleet), 0);
    for (size_t i = 0; i < BUSY_CLIENTS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(fleet.failed, 0);
    assert_int_equal(fleet.replied, BUSY_CLIENTS * BUSY_ROUNDS);
    assert_int_equal(stored(world), BUSY_CLIENTS * BUSY_ROUNDS);

    for (size_t i = 0; i < IDLE_CLIENTS; i++) {
        assert_true(client_send_text(&idle[i], "GET /_/healthcheck HTTP/1.1\r\nHost: x\r\n\r\n"));
        check_reply(&idle[i], 200, "{}");
        client_close(&idle[i]);
    }
    free(idle);
}

/* ---- the end ------------------------------------------------------------------------------- */

static void *let_go_later(void *ctx)
{
    sleep_ms(300);
    trouble_backend_hold(ctx, false);
    trouble_backend_hold_reads(ctx, false);
    return NULL;
}

static void stopping_answers_what_is_in_flight(void **state)
{
    http_world *world = *state;
    trouble_backend_hold(&world->trouble, true);
    http_client clients[8];
    for (size_t i = 0; i < 8; i++) {
        clients[i] = connect_to(world);
        assert_true(client_send_text(
            &clients[i], "POST /v2/ingest HTTP/1.1\r\nHost: x\r\nContent-Length: 56\r\n\r\n" ONE_EVENT));
    }
    http_client idle = connect_to(world);
    trouble_backend_wait_applies(&world->trouble, 1);
    sleep_ms(100); /* so that all of them are under way */

    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, let_go_later, &world->trouble), 0);
    const uint16_t port = server_port(world->server);
    server_stop(world->server);
    world->server = NULL;
    assert_int_equal(pthread_join(thread, NULL), 0);

    for (size_t i = 0; i < 8; i++) {
        client_reply reply;
        assert_int_equal(client_read(&clients[i], false, &reply), CLIENT_REPLIED);
        assert_int_equal(reply.status, 200);
        assert_string_equal(client_reply_header(&reply, "connection"), "close");
        client_reply_done(&reply);
        client_close(&clients[i]);
    }
    client_reply reply;
    assert_int_equal(client_read(&idle, false, &reply), CLIENT_CLOSED);
    client_close(&idle);
    assert_int_equal(stored(world), 8);
    http_client late;
    assert_false(client_open(&late, port));
    client_close(&late);
}

static void stopping_answers_questions_that_wait_for_a_reader(void **state)
{
    http_world *world = *state;
    http_client waiting[2 * READERS];
    ask_and_wait(world, waiting);
    sleep_ms(100); /* so that all of them are under way */

    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, let_go_later, &world->trouble), 0);
    server_stop(world->server);
    world->server = NULL;
    assert_int_equal(pthread_join(thread, NULL), 0);
    check_answers(waiting, NULL);
}

static void stopping_does_not_wait_for_ever_for_half_a_request(void **state)
{
    http_world *world = *state;
    http_client client = connect_to(world);
    assert_true(
        client_send_text(&client, "POST /v2/ingest HTTP/1.1\r\nHost: x\r\nContent-Length: 56\r\n\r\n["));
    sleep_ms(100);
    server_stop(world->server);
    world->server = NULL;
    client_close(&client);
}

static void a_server_says_why_it_cannot_start(void **state)
{
    const http_world *world = *state;
    utapi_error err;
    server *started;
    server_options options = world_server_options;
    options.bind = "nowhere";
    utapi_error_clear(&err);
    assert_int_equal(server_start(&options, &world->service, &started, &err), UTAPI_INVALID);
    assert_non_null(strstr(err.detail, "nowhere"));

    options = world_server_options;
    options.port = server_port(world->server);
    utapi_error_clear(&err);
    assert_int_equal(server_start(&options, &world->service, &started, &err), UTAPI_UNAVAILABLE);
    assert_non_null(strstr(err.detail, "in use"));

    options = world_server_options;
    options.workers = 0;
    utapi_error_clear(&err);
    assert_int_equal(server_start(&options, &world->service, &started, &err), UTAPI_INVALID);
    server_stop(NULL);
}

static void it_listens_on_ipv6_too(void **state)
{
    http_world *world = *state;
    server_options options = world_server_options;
    options.bind = "::";
    server *started;
    utapi_error err;
    utapi_error_clear(&err);
    const utapi_status status = server_start(&options, &world->service, &started, &err);
    if (status != UTAPI_OK) /* a machine without IPv6 */
        return;
    http_client client;
    assert_true(client_open(&client, server_port(started)));
    assert_true(client_send_text(&client, "GET /_/healthcheck HTTP/1.1\r\nHost: x\r\n\r\n"));
    check_reply(&client, 200, "{}");
    client_close(&client);
    server_stop(started);
}

int main(void)
{
    raise_descriptor_limit();
    const struct CMUnitTest tests[] = {
        IN_WORLD(a_connection_serves_many_requests),
        IN_WORLD(pipelined_requests_are_answered_in_order),
        IN_WORLD(chunked_bodies_are_joined),
        IN_WORLD(a_large_body_arrives_whole),
        IN_WORLD(a_client_that_closes_its_side_is_answered_and_let_go),
        IN_READING_WORLD(questions_that_wait_hold_up_nothing_else),
        IN_READING_WORLD(clients_that_have_closed_their_side_are_answered_when_the_storage_is),
        IN_WORLD(ambiguous_requests_are_refused_and_the_connection_closed),
        IN_WORLD(clients_that_leave_while_suspended_harm_nobody),
        IN_WORLD(clients_that_leave_in_the_middle_harm_nobody),
        IN_IMPATIENT_WORLD(trickling_clients_are_cut_off),
        IN_WORLD(a_request_line_that_trickles_has_the_time_of_a_request),
        IN_IMPATIENT_WORLD(a_body_that_trickles_is_408),
        IN_IMPATIENT_WORLD(silent_connections_are_closed),
        IN_IMPATIENT_WORLD(a_suspended_request_has_no_deadline),
        IN_WORLD(a_thousand_idle_and_64_busy_clients_never_stall),
        IN_WORLD(stopping_answers_what_is_in_flight),
        IN_READING_WORLD(stopping_answers_questions_that_wait_for_a_reader),
        IN_IMPATIENT_WORLD(stopping_does_not_wait_for_ever_for_half_a_request),
        IN_WORLD(a_server_says_why_it_cannot_start),
        IN_WORLD(it_listens_on_ipv6_too),
    };
    return cmocka_run_group_tests_name("http.server", tests, NULL, NULL);
}
