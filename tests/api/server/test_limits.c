/* SPDX-License-Identifier: Apache-2.0 */
/**
 * test_limits.c - a server that is asked for more than it has room for: connections, bodies, answers that nobody reads.
 *
 * Nothing measures how long something takes; a reply that does not come within CLIENT_TIMEOUT_S is a stall.
 */
#include "serving.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- more connections than there may be ------------------------------------------------------ */

#define HEALTH "GET /_/healthcheck HTTP/1.1\r\nHost: x\r\n\r\n"
#define EVENTS "POST /v2/ingest HTTP/1.1\r\nHost: x\r\nContent-Length: 56\r\n\r\n" ONE_EVENT

static http_client served_client(const http_world *world)
{
    http_client client = connect_to(world);
    assert_true(client_send_text(&client, HEALTH));
    check_reply(&client, 200, "{}");
    return client;
}

static void a_new_connection_takes_the_place_of_the_longest_idle(void **state)
{
    client_reply reply;
    http_client first = served_client(*state);
    sleep_ms(20); /* of a coarse clock */
    http_client second = served_client(*state);
    http_client third = served_client(*state);
    assert_int_equal(client_read(&first, false, &reply), CLIENT_CLOSED);
    assert_true(client_send_text(&second, HEALTH));
    check_reply(&second, 200, "{}");
    client_close(&first);
    client_close(&second);
    client_close(&third);
}

static void a_connection_too_many_is_503_and_closed(void **state)
{
    static const char *const requests[] = {HEALTH, EVENTS};
    http_world *world = *state;
    http_client busy[2];
    trouble_backend_hold(&world->trouble, true);
    for (size_t i = 0; i < 2; i++) {
        busy[i] = connect_to(world);
        assert_true(client_send_text(&busy[i], EVENTS));
    }
    trouble_backend_wait_applies(&world->trouble, 1);
    sleep_ms(100); /* so that both are under way */
    for (size_t i = 0; i < 2; i++) {
        client_reply reply;
        http_client excess = connect_to(world);
        assert_true(client_send_text(&excess, requests[i]));
        assert_int_equal(client_read(&excess, false, &reply), CLIENT_REPLIED);
        assert_int_equal(reply.status, 503);
        assert_non_null(strstr(reply.body, "ServiceUnavailable"));
        assert_non_null(client_reply_header(&reply, "retry-after"));
        assert_string_equal(client_reply_header(&reply, "connection"), "close");
        client_reply_done(&reply);
        assert_int_equal(client_read(&excess, false, &reply), CLIENT_CLOSED);
        client_close(&excess);
    }
    trouble_backend_hold(&world->trouble, false);
    for (size_t i = 0; i < 2; i++)
        check_reply(&busy[i], 200, "");
    assert_int_equal(stored(world), 2);
    http_client late = served_client(world);
    client_close(&late);
    for (size_t i = 0; i < 2; i++)
        client_close(&busy[i]);
}

/* ---- bodies that are too large ------------------------------------------------------------- */

static void check_too_large(const http_world *world, const char *framing, bool is_chunked)
{
    http_client client = connect_to(world);
    assert_true(client_send_text(&client, framing));
    char piece[1024];
    memset(piece, ' ', sizeof piece);
    for (int i = 0; i < 8; i++) {
        if (is_chunked)
            assert_true(client_send_text(&client, "400\r\n"));
        assert_true(client_send(&client, piece, sizeof piece));
        if (is_chunked)
            assert_true(client_send_text(&client, "\r\n"));
    }
    if (is_chunked)
        assert_true(client_send_text(&client, "0\r\n\r\n"));
    client_reply reply;
    assert_int_equal(client_read(&client, false, &reply), CLIENT_REPLIED);
    assert_int_equal(reply.status, 413);
    assert_non_null(strstr(reply.body, "EntityTooLarge"));
    client_reply_done(&reply);
    client_close(&client);
}

static void a_body_beyond_the_limit_is_413(void **state)
{
    http_world *world = *state;
    server_stop(world->server);
    world->service.ingest_max_bytes = 4096;
    world_listen(world, &world_server_options);
    check_too_large(world, "POST /v2/ingest HTTP/1.1\r\nHost: x\r\nContent-Length: 8192\r\n\r\n", false);
    check_too_large(world, "POST /v2/ingest HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", true);
}

/* Each declares as much as one may, sends all but the last byte, and waits. */
static void strangers_take_no_room_for_their_bodies(void **state)
{
    enum { LIMIT = 65536, STRANGERS = 12 };
    static char body[LIMIT];
    http_world *world = *state;
    http_client strangers[STRANGERS], friend;
    utapi_error err;
    utapi_error_clear(&err);
    server_stop(world->server);
    world->service.ingest_max_bytes = world->service.list_max_bytes = LIMIT;
    allow_list_done(&world->service.ingest_allow);
    CHECK_OK(allow_list_add(&world->service.ingest_allow, "127.0.0.2", &err), &err);
    world_listen(world, &world_server_options);
    memset(body, ' ', sizeof body);
    for (int i = 0; i < STRANGERS; i++) {
        strangers[i] = connect_to(world);
        assert_true(client_send_text(&strangers[i],
                                     "POST /v2/ingest HTTP/1.1\r\nHost: x\r\nContent-Length: 65536\r\n\r\n"));
        assert_true(client_send(&strangers[i], body, LIMIT - 1));
    }
    usleep(200000); /* so that all of it has arrived */
    assert_true(client_open_from(&friend, "127.0.0.2", server_port(world->server)));
    client_reply reply;
    assert_int_equal(client_post(&friend, "/v2/ingest", ONE_EVENT, &reply), CLIENT_REPLIED);
    assert_int_equal(reply.status, 200);
    client_reply_done(&reply);
    client_close(&friend);
    for (int i = 0; i < STRANGERS; i++) {
        assert_true(client_send(&strangers[i], body, 1));
        check_reply(&strangers[i], 403, NULL);
        client_close(&strangers[i]);
    }
}

/** Each answer is of 15 MB, and stays in memory until its client reads it. */
static void answers_that_nobody_reads_are_bounded(void **state)
{
    enum { NAMES = 10000, UNREAD = 8 };
    http_world *world = *state;
    http_client clients[UNREAD];
    char *body = malloc(NAMES * 4 + 64);
    assert_non_null(body);
    size_t size = (size_t)snprintf(body, 64, "{\"buckets\":[\"a\"");
    for (int i = 1; i < NAMES; i++)
        size += (size_t)snprintf(body + size, 8, ",\"a\"");
    (void)snprintf(body + size, 64, "],\"timeRange\":[0]}");
    int refused = 0;
    for (int i = 0; i < UNREAD; i++) {
        char head[128];
        (void)snprintf(head, sizeof head,
                       "POST /buckets?Action=ListMetrics HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
                       strlen(body));
        clients[i] = connect_to(world);
        assert_true(client_send_text(&clients[i], head));
        assert_true(client_send_text(&clients[i], body));
        struct pollfd answered = {.fd = clients[i].fd, .events = POLLIN};
        assert_int_equal(poll(&answered, 1, CLIENT_TIMEOUT_S * 1000), 1);
    }
    for (int i = 0; i < UNREAD; i++) {
        client_reply reply;
        assert_int_equal(client_read(&clients[i], false, &reply), CLIENT_REPLIED);
        assert_true(reply.status == 200 || reply.status == 503);
        refused += reply.status == 503;
        client_reply_done(&reply);
    }
    assert_int_equal(refused, UNREAD - 4);
    client_reply reply;
    assert_int_equal(client_post(&clients[0], "/buckets?Action=ListMetrics", body, &reply), CLIENT_REPLIED);
    assert_int_equal(reply.status, 200);
    client_reply_done(&reply);
    for (int i = 0; i < UNREAD; i++)
        client_close(&clients[i]);
    free(body);
}

static void bodies_under_way_take_no_more_room_than_the_largest_few(void **state)
{
    enum { LIMIT = 65536, CLIENTS = 12 }; /* of two workers, with room for four each */
    static char body[LIMIT];
    http_world *world = *state;
    http_client clients[CLIENTS];
    int refused = 0;
    server_stop(world->server);
    world->service.ingest_max_bytes = world->service.list_max_bytes = LIMIT;
    world_listen(world, &world_server_options);
    memset(body, ' ', sizeof body);
    body[0] = '[';
    body[LIMIT - 1] = ']';
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = connect_to(world);
        assert_true(client_send_text(&clients[i],
                                     "POST /v2/ingest HTTP/1.1\r\nHost: x\r\nContent-Length: 65536\r\n\r\n"));
        assert_true(client_send(&clients[i], body, LIMIT - 1));
    }
    usleep(200000);
    for (int i = 0; i < CLIENTS; i++)
        assert_true(client_send(&clients[i], body + LIMIT - 1, 1));
    for (int i = 0; i < CLIENTS; i++) {
        client_reply reply;
        assert_int_equal(client_read(&clients[i], false, &reply), CLIENT_REPLIED);
        assert_true(reply.status == 200 || reply.status == 503);
        refused += reply.status == 503;
        client_reply_done(&reply);
        client_close(&clients[i]);
    }
    assert_in_range(refused, CLIENTS - 8, CLIENTS - 4); /* the kernel shares them out as it likes */
}

/* Small bodies, large trees: one of them is read at a time on a worker, of which there are two. */
static void events_that_were_read_are_bounded_until_they_are_answered(void **state)
{
    enum { KEYS = 55000, CLIENTS = 3 };
    http_world *world = *state;
    http_client clients[CLIENTS];
    client_reply reply;
    char *body = malloc(2 * KEYS + 256);
    assert_non_null(body);
    char *end = stpcpy(
        body, "{\"action\":\"getObject\",\"params\":{\"bucket\":\"b\",\"newByteLength\":1,\"keys\":[1");
    for (int i = 1; i < KEYS; i++)
        end = stpcpy(end, ",1");
    (void)stpcpy(end, "]}}");
    server_stop(world->server);
    world->service.ingest_max_bytes = (size_t)128 << 10;
    world->service.ingest_max_events = 2;
    world_listen(world, &world_server_options);
    trouble_backend_hold(&world->trouble, true);
    char head[128];
    (void)snprintf(head, sizeof head, "POST /v1/push HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
                   strlen(body));
    struct pollfd answered[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = connect_to(world);
        answered[i] = (struct pollfd){.fd = clients[i].fd, .events = POLLIN};
        assert_true(client_send_text(&clients[i], head));
        assert_true(client_send_text(&clients[i], body));
    }
    assert_in_range(poll(answered, CLIENTS, CLIENT_TIMEOUT_S * 1000), 1, CLIENTS - 1);
    trouble_backend_hold(&world->trouble, false);
    int refused = 0;
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(client_read(&clients[i], false, &reply), CLIENT_REPLIED);
        assert_true(reply.status == 200 || reply.status == 503);
        refused += reply.status == 503;
        client_reply_done(&reply);
    }
    assert_in_range(refused, 1, CLIENTS - 1);
    for (int i = 0; i < CLIENTS; i++) { /* what was answered takes no room */
        assert_int_equal(client_post(&clients[i], "/v1/push", body, &reply), CLIENT_REPLIED);
        assert_int_equal(reply.status, 200);
        client_reply_done(&reply);
        client_close(&clients[i]);
    }
    free(body);
}

static void a_client_that_asks_first_is_refused_at_once(void **state)
{
    http_client client = connect_to(*state);
    assert_true(client_send_text(&client,
                                 "POST /v2/ingest HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n"
                                 "Expect: 100-continue\r\n\r\n"));
    check_reply(&client, 413, NULL);
    client_close(&client);
}

static void a_length_that_is_declared_is_not_believed(void **state)
{
    /* Were it, 512 connections with a length of 60 MB each would need 30 GB. */
    http_client clients[512];
    for (size_t i = 0; i < 512; i++) {
        clients[i] = connect_to(*state);
        assert_true(client_send_text(
            &clients[i], "POST /v2/ingest HTTP/1.1\r\nHost: x\r\nContent-Length: 60000000\r\n\r\n["));
    }
    http_client other = connect_to(*state);
    assert_true(client_send_text(&other, "GET /_/healthcheck HTTP/1.1\r\nHost: x\r\n\r\n"));
    check_reply(&other, 200, "{}");
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    assert_true(usage.ru_maxrss < 4L * 1024 * 1024); /* KiB */
    client_close(&other);
    for (size_t i = 0; i < 512; i++)
        client_close(&clients[i]);
}

int main(void)
{
    raise_descriptor_limit();
    const struct CMUnitTest tests[] = {
        IN_NARROW_WORLD(a_new_connection_takes_the_place_of_the_longest_idle),
        IN_NARROW_WORLD(a_connection_too_many_is_503_and_closed),
        IN_WORLD(a_body_beyond_the_limit_is_413),
        IN_WORLD(strangers_take_no_room_for_their_bodies),
        IN_READING_WORLD(answers_that_nobody_reads_are_bounded),
        IN_WORLD(bodies_under_way_take_no_more_room_than_the_largest_few),
        IN_WORLD(events_that_were_read_are_bounded_until_they_are_answered),
        IN_WORLD(a_client_that_asks_first_is_refused_at_once),
        IN_WORLD(a_length_that_is_declared_is_not_believed),
    };
    return cmocka_run_group_tests_name("http.limits", tests, NULL, NULL);
}
