/* SPDX-License-Identifier: Apache-2.0 */
/**
 * test_server.c - what only shows on a socket: connections that stay, pipelines, chunks, clients that leave, trickle
 * or stall, many of them at once, and the end.
 *
 * Nothing measures how long something takes; a reply that does not come within CLIENT_TIMEOUT_S is a stall.
 */
#include "check.h"

#include "client.h"
#include "world.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define READERS   2
#define ONE_EVENT "[{\"operationId\":\"putObject\",\"bucket\":\"b\",\"sizeDelta\":1}]"

static void sleep_ms(long ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&time, NULL);
}

static http_world *open_listening(const server_options *options)
{
    http_world *self = calloc(1, sizeof *self);
    assert_non_null(self);
    world_open(self, NULL);
    world_listen(self, options);
    return self;
}

static int open_world(void **state)
{
    *state = open_listening(&world_server_options);
    return 0;
}

/** A single worker, and readers that questions are left to. */
static int open_reading_world(void **state)
{
    server_options options = world_server_options;
    options.workers = 1;
    http_world *self = calloc(1, sizeof *self);
    assert_non_null(self);
    world_open(self, NULL);
    assert_int_equal(readers_start(&self->service, READERS, &self->service.readers, NULL), UTAPI_OK);
    world_listen(self, &options);
    *state = self;
    return 0;
}

/** With limits that a test can wait for. */
static int open_impatient_world(void **state)
{
    server_options options = world_server_options;
    options.idle_timeout_s = 1;
    options.request_timeout_s = 2;
    *state = open_listening(&options);
    return 0;
}

/** With two places for connections. */
static int open_narrow_world(void **state)
{
    server_options options = world_server_options;
    options.workers = 1;
    options.max_connections = 2;
    *state = open_listening(&options);
    return 0;
}

static int close_world(void **state)
{
    world_close(*state);
    free(*state);
    return 0;
}

static http_client connect_to(const http_world *world)
{
    http_client client;
    assert_true(client_open(&client, server_port(world->server)));
    return client;
}

static void check_reply(http_client *client, int status, const char *body)
{
    client_reply reply;
    assert_int_equal(client_read(client, false, &reply), CLIENT_REPLIED);
    if (reply.status != status)
        print_error("%s%s\n", reply.head, reply.body);
    assert_int_equal(reply.status, status);
    if (body != NULL)
        assert_string_equal(reply.body, body);
    client_reply_done(&reply);
}

static int64_t stored(const http_world *world)
{
    int64_t bytes = 0;
    assert_int_equal(utapi_engine_storage(world->engine, UTAPI_BUCKETS, utapi_string_of("b"), &bytes, NULL),
                     UTAPI_OK);
    return bytes;
}

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
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max < 8192 ? limit.rlim_max : 8192;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

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

#define IN_WORLD(test)           cmocka_unit_test_setup_teardown(test, open_world, close_world)
#define IN_READING_WORLD(test)   cmocka_unit_test_setup_teardown(test, open_reading_world, close_world)
#define IN_NARROW_WORLD(test)    cmocka_unit_test_setup_teardown(test, open_narrow_world, close_world)
#define IN_IMPATIENT_WORLD(test) cmocka_unit_test_setup_teardown(test, open_impatient_world, close_world)

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
        IN_NARROW_WORLD(a_new_connection_takes_the_place_of_the_longest_idle),
        IN_NARROW_WORLD(a_connection_too_many_is_503_and_closed),
        IN_WORLD(a_body_beyond_the_limit_is_413),
        IN_WORLD(strangers_take_no_room_for_their_bodies),
        IN_READING_WORLD(answers_that_nobody_reads_are_bounded),
        IN_WORLD(bodies_under_way_take_no_more_room_than_the_largest_few),
        IN_WORLD(a_client_that_asks_first_is_refused_at_once),
        IN_WORLD(a_length_that_is_declared_is_not_believed),
        IN_WORLD(ambiguous_requests_are_refused_and_the_connection_closed),
        IN_WORLD(clients_that_leave_while_suspended_harm_nobody),
        IN_WORLD(clients_that_leave_in_the_middle_harm_nobody),
        IN_IMPATIENT_WORLD(trickling_clients_are_cut_off),
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
