/* SPDX-License-Identifier: Apache-2.0 */
/**
 * test_recorded.c - every request of tests/golden/http_errors.json, in process and through a server's socket.
 *
 * The signatures are the recorded ones: the host that they cover is known, and the clock stands at their time.
 *
 *     test_recorded <http_errors.json> <authdata.json>
 */
#include "check.h"

#include "call.h"
#include "client.h"
#include "recorded.h"
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *authdata_path;
static json_t *cases;

/** Plays a case; false, after saying why, if the answer is not the one that is owed. */
typedef bool play_fn(http_world *world, const recorded_case *played);

typedef struct play_tally {
    size_t played, failed;
} play_tally;

/** Plays those of the given kinds that were recorded with authentication, or those without. */
static play_tally play_with(bool with_auth, unsigned kinds, bool with_server, play_fn *play)
{
    http_world world;
    world_open(&world, authdata_path);
    world.service.auth = with_auth ? world.auth : NULL;
    if (with_server)
        world_listen(&world, &world_server_options);

    play_tally tally = {0};
    size_t index;
    json_t *json;
    json_array_foreach (cases, index, json) {
        recorded_case played;
        recorded_case_read(json, &played);
        if ((kinds >> played.kind & 1U) != 0 && played.with_auth == with_auth) {
            tally.played++;
            tally.failed += !play(&world, &played);
        }
        recorded_case_done(&played);
    }
    world_close(&world);
    return tally;
}

/** Plays all cases of the given kinds. */
static void play_all(unsigned kinds, bool with_server, play_fn *play, size_t expected_count)
{
    const play_tally open = play_with(false, kinds, with_server, play);
    const play_tally signed_ = play_with(true, kinds, with_server, play);
    assert_int_equal(open.failed + signed_.failed, 0);
    assert_int_equal(open.played + signed_.played, expected_count);
}

static bool play_in_process(http_world *world, const recorded_case *played)
{
    http_call call;
    support_call(&world->service, played->method, played->target, played->headers, played->header_count,
                 (utapi_string){played->body, played->body_size}, &call);
    const bool fits = recorded_case_fits(played, call.reply.status, call.reply.body, call.reply.size);
    http_call_done(&call);
    return fits;
}

/** Writes a case as bytes of the wire. */
static char *write_request(const recorded_case *played, size_t *ret_size)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, ret_size);
    assert_non_null(out);
    bool is_framed = false;
    (void)fprintf(out, "%s %s HTTP/1.1\r\n", played->method, played->target);
    for (size_t i = 0; i < played->header_count; i++) {
        (void)fprintf(out, "%s: %s\r\n", played->headers[i].name.data, played->headers[i].value.data);
        is_framed |= strcmp(played->headers[i].name.data, "Content-Length") == 0;
    }
    if (played->has_body && played->kind != RECORDED_CODED && !is_framed)
        (void)fprintf(out, "Content-Length: %zu\r\n", played->body_size);
    (void)fputs("\r\n", out);
    (void)fwrite(played->body != NULL ? played->body : "", 1, played->body_size, out);
    (void)fclose(out);
    return text;
}

static client_outcome exchange_bytes(http_world *world, const recorded_case *played, client_reply *ret)
{
    http_client client;
    assert_true(client_open(&client, server_port(world->server)));
    size_t size = played->raw_size;
    char *made = played->raw == NULL ? write_request(played, &size) : NULL;
    (void)client_send(&client, made != NULL ? made : played->raw, size);
    const bool is_head = played->method != NULL && strcmp(played->method, "HEAD") == 0;
    const client_outcome outcome = client_read(&client, is_head, ret);
    free(made);
    client_close(&client);
    return outcome;
}

static bool has_our_headers(const recorded_case *played, const client_reply *reply)
{
    const char *id = client_reply_header(reply, "x-scal-request-id");
    const bool has_id = id != NULL && strlen(id) == 20 && strspn(id, "0123456789abcdef") == 20;
    const char *maker = client_reply_header(reply, "server");
    const bool has_server = maker != NULL && strcmp(maker, "ScalityS3") == 0;
    const char *type = client_reply_header(reply, "content-type");
    const bool has_type = type != NULL && strcmp(type, "application/json") == 0;
    if (!has_id || !has_server || !has_type)
        print_error("%s: headers are missing in\n%s", played->name, reply->head);
    return has_id && has_server && has_type;
}

static bool play_over_socket(http_world *world, const recorded_case *played)
{
    client_reply reply;
    if (exchange_bytes(world, played, &reply) != CLIENT_REPLIED) {
        print_error("%s: no answer\n", played->name);
        return false;
    }
    const bool fits = recorded_case_fits(played, reply.status, reply.body, reply.body_size) &&
                      has_our_headers(played, &reply);
    client_reply_done(&reply);
    return fits;
}

/** Refused by us or by libmicrohttpd, with the recorded status or by closing. */
static bool play_noted(http_world *world, const recorded_case *played)
{
    client_reply reply;
    const client_outcome outcome = exchange_bytes(world, played, &reply);
    if (outcome != CLIENT_REPLIED)
        return outcome == CLIENT_CLOSED;
    const bool fits = reply.status == played->status;
    if (!fits)
        print_error("%s: status %d, expected %d\n", played->name, reply.status, played->status);
    client_reply_done(&reply);
    return fits;
}

#define KIND(kind) (1U << RECORDED_##kind)

static void every_case_is_answered_in_process(void **state)
{
    (void)state;
    play_all(KIND(PLAIN), false, play_in_process, 268);
}

static void every_case_is_answered_over_a_socket(void **state)
{
    (void)state;
    play_all(KIND(PLAIN) | KIND(CODED) | KIND(RAW), true, play_over_socket, 271);
}

static void malformed_requests_are_refused_or_cut(void **state)
{
    (void)state;
    play_all(KIND(NOTED), true, play_noted, 6);
}

static bool play_waiting(http_world *world, const recorded_case *played)
{
    (void)world;
    (void)played;
    return true;
}

/* Vault's (6), policies (5), presigned queries (1), metrics (1). */
static void as_many_cases_wait_as_we_know_of(void **state)
{
    (void)state;
    play_all(KIND(WAITING), false, play_waiting, 13);
    assert_int_equal(json_array_size(cases), 290);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    cases = json_load_file(argv[1], 0, NULL);
    authdata_path = argv[2];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_is_answered_in_process),
        cmocka_unit_test(every_case_is_answered_over_a_socket),
        cmocka_unit_test(malformed_requests_are_refused_or_cut),
        cmocka_unit_test(as_many_cases_wait_as_we_know_of),
    };
    const int failures = cmocka_run_group_tests_name("http.recorded", tests, NULL, NULL);
    json_decref(cases);
    return failures;
}
