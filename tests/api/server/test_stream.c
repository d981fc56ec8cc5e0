/* SPDX-License-Identifier: Apache-2.0 */
/**
 * test_stream.c - a reply whose body is made while it is sent, with a content type and headers of its own.
 *
 * The linker puts __wrap_http_call_answer() before the call of that name: so the healthcheck answers with a stream.
 */
#include "serving.h"

#include "handlers/routes.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { LINES = 20000, LINE_BYTES = 8 };

/* What the next reply streams, and what became of it. */
static struct {
    unsigned lines, next;
    unsigned fails_at; /* a line; 0: never */
    atomic_uint done;
} stream;

static ssize_t stream_read(void *ctx, char *buffer, size_t size)
{
    assert_ptr_equal(ctx, &stream);
    size_t used = 0;
    for (; used + LINE_BYTES < size && stream.next < stream.lines; used += LINE_BYTES) {
        if (stream.fails_at != 0 && stream.next == stream.fails_at)
            return -1;
        (void)snprintf(buffer + used, LINE_BYTES + 1, "%07u\n", stream.next++);
    }
    return (ssize_t)used;
}

static void stream_done(void *ctx)
{
    assert_ptr_equal(ctx, &stream);
    atomic_fetch_add(&stream.done, 1);
}

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the linker's names
void __wrap_http_call_answer(http_call *call, int status, char *body, size_t size);

void __wrap_http_call_answer(http_call *call, int status, char *body, size_t size)
{
    (void)size;
    free(body);
    call->reply = (http_reply){.status = status, .content_type = "text/csv"};
    call->reply.stream = (http_stream){stream_read, stream_done, &stream};
    http_reply_add_header(&call->reply, "content-disposition", "attachment");
    http_call_complete(call);
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

static void stream_begin(unsigned lines, unsigned fails_at)
{
    stream.lines = lines;
    stream.next = 0;
    stream.fails_at = fails_at;
    atomic_store(&stream.done, 0);
}

static void wait_until_done(void)
{
    for (unsigned i = 0; i < 500 && atomic_load(&stream.done) == 0; i++)
        sleep_ms(10);
    assert_int_equal(atomic_load(&stream.done), 1);
}

/** All that a server sends to a client until it closes. Owned. */
static char *receive_all(const http_world *world, const char *request)
{
    http_client client = connect_to(world);
    char *all = NULL;
    size_t size = 0;
    assert_true(client_send_text(&client, request));
    for (ssize_t got = 1; got > 0; size += (size_t)got) {
        all = realloc(all, size + 65537);
        assert_non_null(all);
        got = recv(client.fd, all + size, 65536, 0);
        got = got > 0 ? got : 0;
        all[size + (size_t)got] = '\0';
    }
    client_close(&client);
    return all;
}

static void a_stream_arrives_whole_with_its_headers(void **state)
{
    stream_begin(LINES, 0);
    char *reply = receive_all(*state, "GET /_/healthcheck HTTP/1.0\r\nhost: h\r\n\r\n");
    const char *body = strstr(reply, "\r\n\r\n");
    assert_non_null(body);
    assert_non_null(strcasestr(reply, "\r\ncontent-type: text/csv\r\n"));
    assert_non_null(strcasestr(reply, "\r\ncontent-disposition: attachment\r\n"));
    assert_null(strcasestr(reply, "application/json"));
    body += 4;
    assert_int_equal(strlen(body), LINES * LINE_BYTES);
    for (unsigned i = 0; i < LINES; i++)
        assert_int_equal(strtoll(body + (size_t)i * LINE_BYTES, NULL, 10), i);
    free(reply);
    wait_until_done();
}

static void a_stream_of_nothing_is_an_empty_body(void **state)
{
    stream_begin(0, 0);
    char *reply = receive_all(*state, "GET /_/healthcheck HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    assert_non_null(strcasestr(reply, "transfer-encoding: chunked"));
    assert_string_equal(strstr(reply, "\r\n\r\n"), "\r\n\r\n0\r\n\r\n");
    free(reply);
    wait_until_done();
}

static void a_stream_that_breaks_off_has_no_end(void **state)
{
    stream_begin(LINES, LINES / 2);
    char *reply = receive_all(*state, "GET /_/healthcheck HTTP/1.1\r\nhost: h\r\n\r\n");
    assert_non_null(strstr(reply, "0000001\n"));
    assert_null(strstr(reply, "\r\n0\r\n\r\n"));
    free(reply);
    wait_until_done();
}

static void a_client_that_leaves_ends_its_stream(void **state)
{
    stream_begin(UINT32_MAX, 0);
    http_client client = connect_to(*state);
    char some[64];
    assert_true(client_send_text(&client, "GET /_/healthcheck HTTP/1.1\r\nhost: h\r\n\r\n"));
    assert_true(recv(client.fd, some, sizeof some, 0) > 0);
    assert_int_equal(atomic_load(&stream.done), 0);
    client_close(&client);
    wait_until_done();
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(a_stream_arrives_whole_with_its_headers),
        IN_WORLD(a_stream_of_nothing_is_an_empty_body),
        IN_WORLD(a_stream_that_breaks_off_has_no_end),
        IN_WORLD(a_client_that_leaves_ends_its_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
