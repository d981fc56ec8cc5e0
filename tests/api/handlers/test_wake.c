/* SPDX-License-Identifier: Apache-2.0 */
/* test_wake.c - a storage server is told that its post failed, though its event counts, so that it sends what it kept:
 * for a while after a start or an outage, and never at the cost of an event. */
#include "asking.h"
#include "call.h"

#include "handlers/wake.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#define PERIOD INT64_C(60000)

static const char client[] = "Needle/3.3.1 (Node.js v20.20.2; linux x64)";

static _Atomic int64_t now_ms;
static unsigned posted; /* numbers of uuids */

static int64_t clock_ms(void)
{
    return now_ms;
}

static int open_world(void **state)
{
    http_world *self = calloc(1, sizeof *self);
    assert_non_null(self);
    now_ms = 1000000;
    world_open(self, NULL);
    self->service.wake = wake_new(PERIOD, clock_ms);
    *state = self;
    return 0;
}

static int close_world(void **state)
{
    http_world *self = *state;
    wake_free(self->service.wake);
    world_close(self);
    free(self);
    return 0;
}

static int ask_as(const http_world *world, const char *agent, const char *address, const char *method,
                  const char *target, const char *body)
{
    http_call call;
    const http_header header = {utapi_string_of("user-agent"), utapi_string_of(agent)};
    struct sockaddr_in peer = {.sin_family = AF_INET};
    assert_int_equal(inet_pton(AF_INET, address, &peer.sin_addr), 1);
    support_call_from(&world->service, (const struct sockaddr *)&peer, method, target, &header, 1,
                      utapi_string_of(body), &call);
    const int status = call.reply.status;
    http_call_done(&call);
    return status;
}

/* Posts events, each with this text of members, and gives the status. */
static int post_as(const http_world *world, const char *agent, const char *address, unsigned count,
                   const char *members)
{
    char body[4096] = "[";
    size_t size = 1;
    for (unsigned i = 0; i < count; i++)
        size += (size_t)snprintf(body + size, sizeof body - size,
                                 "%s{\"operationId\":\"putObject\",\"bucket\":\"b\"%s,\"uuid\":\"u%u\"}",
                                 i > 0 ? "," : "", members, posted++);
    (void)snprintf(body + size, sizeof body - size, "]");
    return ask_as(world, agent, address, "POST", "/v2/ingest", body);
}

static int post(const http_world *world)
{
    return post_as(world, client, "127.0.0.1", 1, ",\"timestamp\":1795441850000");
}

static int64_t objects_put(const http_world *world)
{
    const utapi_string name = utapi_string_of("b");
    utapi_usage usage;
    assert_int_equal(utapi_engine_list(world->engine, UTAPI_BUCKETS, &name, 1,
                                       (utapi_range){0, UTAPI_INTERVAL_MAX}, &usage, NULL),
                     UTAPI_OK);
    return (int64_t)utapi_amounts_get(&usage.flows, UTAPI_FIRST_OPERATION + UTAPI_OP_PUT_OBJECT);
}

static void an_event_that_is_told_to_have_failed_counts_once(void **state)
{
    const http_world *world = *state;
    assert_int_equal(post(world), 503);
    assert_int_equal(objects_put(world), 1);
    posted--; /* the same again, as the client does when it sends what it kept */
    assert_int_equal(ask_as(world, client, "127.0.0.1", "GET", "/_/healthcheck", ""), 200);
    assert_int_equal(post(world), 200);
    assert_int_equal(objects_put(world), 1);
}

static void after_a_while_nobody_is_told(void **state)
{
    const http_world *world = *state;
    now_ms += PERIOD - 1;
    assert_int_equal(post(world), 503);
    now_ms += 1;
    assert_int_equal(post(world), 200);
}

static void ten_of_a_source_are_told_in_a_second(void **state)
{
    const http_world *world = *state;
    for (unsigned i = 0; i < WAKE_A_SECOND; i++)
        assert_int_equal(post(world), 503);
    assert_int_equal(post(world), 200);
    assert_int_equal(post_as(world, client, "127.0.0.2", 1, ",\"timestamp\":1795441850000"), 503);
    now_ms += 1000;
    assert_int_equal(post(world), 503);
}

static void others_are_not_told(void **state)
{
    const http_world *world = *state;
    assert_int_equal(post_as(world, "curl/7.88.1", "127.0.0.1", 1, ",\"timestamp\":1795441850000"), 200);
    assert_int_equal(post_as(world, client, "127.0.0.1", 1, ""), 200); /* it could count twice, like */
    assert_int_equal(ask_as(world, client, "127.0.0.1", "POST", "/v2/ingest",
                            "[{\"operationId\":\"putObject\",\"bucket\":\"b\",\"timestamp\":1795441850000}]"),
                     200); /* one without a uuid */
    assert_int_equal(post(world), 503);
}

/* Its last piece may be a single event, however long the others take. */
static void what_was_kept_is_taken(void **state)
{
    const http_world *world = *state;
    assert_int_equal(ask_as(world, client, "127.0.0.1", "GET", "/_/healthcheck", ""), 200);
    for (unsigned i = 0; i < 5; i++) {
        now_ms += 1500;
        assert_int_equal(post_as(world, client, "127.0.0.1", 2, ",\"timestamp\":1795441850000"), 200);
    }
    now_ms += 1500;
    assert_int_equal(post(world), 200);
    now_ms += 2000;
    assert_int_equal(post(world), 503);
}

static void a_monitor_that_asks_for_health_changes_nothing(void **state)
{
    const http_world *world = *state;
    assert_int_equal(ask_as(world, "curl/7.88.1", "127.0.0.1", "GET", "/_/healthcheck", ""), 200);
    assert_int_equal(post(world), 503);
}

static void after_events_could_not_be_stored_it_begins_anew(void **state)
{
    http_world *world = *state;
    now_ms += PERIOD;
    assert_int_equal(post(world), 200);
    world->trouble.apply_says = UTAPI_UNAVAILABLE;
    assert_int_equal(post(world), 503);
    world->trouble.apply_says = UTAPI_OK;
    assert_int_equal(objects_put(world), 1);
    assert_int_equal(post(world), 503);
    assert_int_equal(objects_put(world), 2);
    now_ms += PERIOD;
    assert_int_equal(post(world), 200);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
    const struct CMUnitTest cases[] = {
        CASE(an_event_that_is_told_to_have_failed_counts_once),
        CASE(after_a_while_nobody_is_told),
        CASE(ten_of_a_source_are_told_in_a_second),
        CASE(others_are_not_told),
        CASE(what_was_kept_is_taken),
        CASE(a_monitor_that_asks_for_health_changes_nothing),
        CASE(after_events_could_not_be_stored_it_begins_anew),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
