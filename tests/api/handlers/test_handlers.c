/* SPDX-License-Identifier: Apache-2.0 */
/**
 * test_handlers.c - the router and its handlers without a socket: events in, addresses.
 *
 *     test_handlers <authdata.json>
 */
#include "asking.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** One member of the first answer to a query: the figure at an index of it, or it itself (index -1). */
static json_int_t figure(const http_world *world, const char *target, const char *body, const char *member,
                         int index)
{
    http_call call = ask(world, "POST", target, body);
    assert_int_equal(call.reply.status, 200);
    json_auto_t *json = json_loads(call.reply.body, 0, NULL);
    const json_t *value = json_object_get(json_array_get(json, 0), member);
    if (index >= 0)
        value = json_array_get(value, (size_t)index);
    assert_true(json_is_integer(value));
    const json_int_t seen = json_integer_value(value);
    http_call_done(&call);
    return seen;
}

static json_int_t stored_in(const http_world *world, const char *body)
{
    return figure(world, "/buckets?Action=ListMetrics", body, "storageUtilized", 1);
}

/* ---- events in ----------------------------------------------------------------------------- */

static void v2_events_are_counted_as_they_stand(void **state)
{
    http_world *world = *state;
    check_answer(
        ask(world, "POST", "/v2/ingest",
            "[{\"operationId\":\"putObject\",\"bucket\":\"photos\",\"object\":\"o\",\"versionId\":null,\"account\":"
            "\"" CANONICAL_ID_1 "\",\"user\":null,\"location\":\"\",\"objectDelta\":1,\"sizeDelta\":10,"
            "\"incomingBytes\":12,\"timestamp\":1795441800000,\"uuid\":\"u-1\",\"more\":{}}]"),
        200, "");
    assert_int_equal(stored_in(world, BUCKET_QUERY("photos")), 10);
    assert_int_equal(
        figure(world, "/buckets?Action=ListMetrics", BUCKET_QUERY("photos"), "incomingBytes", -1), 12);
    assert_int_equal(figure(world, "/accounts?Action=ListRecentMetrics", "{\"accounts\":[\"123456789012\"]}",
                            "numberOfObjects", 1),
                     1);
    assert_int_equal(
        figure(world, "/?Action=ListRecentMetrics", "{\"service\":[\"s3\"]}", "storageUtilized", 1), 10);
}

static void v1_events_are_counted_by_their_action(void **state)
{
    http_world *world = *state;
    const char *put =
        "{\"action\":\"putObject\",\"reqUid\":\"r\",\"timestamp\":1795441800000,\"params\":{\"bucket\":"
        "\"photos\",\"keys\":[\"k\"],\"newByteLength\":7,\"oldByteLength\":null}}";
    check_answer(ask(world, "POST", "/v1/push", put), 200, "");
    assert_int_equal(stored_in(world, BUCKET_QUERY("photos")), 7);

    char both[1024];
    (void)snprintf(both, sizeof both, "[%s,%s]", put, put);
    check_answer(ask(world, "POST", "/v1/push", both), 200, "");
    assert_int_equal(stored_in(world, BUCKET_QUERY("photos")), 21);
}

static void a_deletion_may_add_objects(void **state)
{
    check_answer(ask(*state, "POST", "/v1/push",
                     "{\"action\":\"multiObjectDelete\",\"timestamp\":1795441800000,\"params\":{\"bucket\":"
                     "\"photos\",\"keys\":[\"a\",\"b\"],\"byteLength\":0,\"numberOfObjects\":-1}}"),
                 200, "");
    assert_int_equal(
        figure(*state, "/buckets?Action=ListMetrics", BUCKET_QUERY("photos"), "numberOfObjects", 1), 1);
    check_invalid(ask(*state, "POST", "/v1/push",
                      "{\"action\":\"multiObjectDelete\",\"params\":{\"byteLength\":0,\"numberOfObjects\":"
                      "-9223372036854775808}}"),
                  "events[0].numberOfObjects: -9223372036854775808 has no opposite that fits 64 bits");
}

static void no_events_are_fine(void **state)
{
    check_answer(ask(*state, "POST", "/v2/ingest", "[]"), 200, "");
    check_answer(ask(*state, "POST", "/v1/push", "[]"), 200, "");
}

static void an_event_without_params_is_a_plain_count(void **state)
{
    check_answer(ask(*state, "POST", "/v1/push", "{\"action\":\"headBucket\"}"), 200, "");
    check_answer(
        ask(*state, "POST", "/v1/push", "{\"action\":\"headBucket\",\"params\":null,\"timestamp\":null}"),
        200, "");
}

static void a_repeated_uuid_is_acknowledged_and_not_counted(void **state)
{
    const char *event =
        "[{\"operationId\":\"putObject\",\"bucket\":\"photos\",\"sizeDelta\":10,\"uuid\":\"u\","
        "\"timestamp\":1795441800000}]";
    check_answer(ask(*state, "POST", "/v2/ingest", event), 200, "");
    check_answer(ask(*state, "POST", "/v2/ingest", event), 200, "");
    assert_int_equal(stored_in(*state, BUCKET_QUERY("photos")), 10);
}

static void one_bad_event_refuses_the_whole_request(void **state)
{
    check_invalid(ask(*state, "POST", "/v2/ingest",
                      "[{\"operationId\":\"putObject\",\"bucket\":\"photos\",\"sizeDelta\":10},"
                      "{\"operationId\":\"putObject\",\"bucket\":\"photos\",\"sizeDelta\":\"10\"}]"),
                  "events[1].sizeDelta: expected an integer");
    check_invalid(ask(*state, "POST", "/v1/push",
                      "[{\"action\":\"getObject\",\"params\":{\"bucket\":\"photos\",\"newByteLength\":1}},"
                      "{\"action\":\"getObject\",\"params\":{\"bucket\":\"photos\"}}]"),
                  "events[1].newByteLength: expected an integer");
    assert_int_equal(stored_in(*state, BUCKET_QUERY("photos")), 0);
    assert_int_equal(
        figure(*state, "/?Action=ListRecentMetrics", "{\"service\":[\"s3\"]}", "outgoingBytes", -1), 0);
}

/** A body, and the message that refuses it. */
typedef struct refusal {
    const char *body;
    const char *message;
} refusal;

static void v2_refusals_name_the_field(void **state)
{
    static const refusal refusals[] = {
        {"", "not JSON: line 1, column 0: unexpected token near end of file"},
        {"{}", "expected an array of events"},
        {"null", "expected an array of events"},
        {"[1]", "events[0]: expected an object"},
        {"[{}]", "events[0].operationId: expected a string"},
        {"[{\"operationId\":1}]", "events[0].operationId: expected a string"},
        {"[{\"operationId\":\"putObject\",\"bucket\":1}]", "events[0].bucket: expected a string"},
        {"[{\"operationId\":\"putObject\",\"account\":{}}]", "events[0].account: expected a string"},
        {"[{\"operationId\":\"putObject\",\"uuid\":5}]", "events[0].uuid: expected a string"},
        {"[{\"operationId\":\"putObject\",\"objectDelta\":1.0}]",
         "events[0].objectDelta: expected an integer"},
        {"[{\"operationId\":\"putObject\",\"incomingBytes\":-1}]",
         "events[0].incomingBytes: must not be negative"},
        {"[{\"operationId\":\"putObject\",\"timestamp\":-1}]", "events[0].timestamp: must not be negative"},
        {"[{\"operationId\":\"putObject\",\"timestamp\":\"now\"}]",
         "events[0].timestamp: expected an integer"},
        {"[{\"operationId\":\"putObject\",\"timestamp\":1795443300000}]",
         "events[0].timestamp: lies too far in the future"},
        {"[{\"operationId\":\"putObject\"},{\"sizeDelta\": 9223372036854775808}]",
         "events[1].sizeDelta: does not fit 64 bits"},
        {"[{\"operationId\":\"a,b]\\\"\",\"sizeDelta\":-9223372036854775809}]",
         "events[0].sizeDelta: does not fit 64 bits"},
        {"[{\"operationId\":\"putObject\",\"bucket\":\"a\",\"bucket\":\"b\"}]",
         "not JSON: line 1, column 49: duplicate object key near '\"bucket\"'"},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        check_invalid(ask(*state, "POST", "/v2/ingest", refusals[i].body), refusals[i].message);
}

#define NAME_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void v1_refusals_name_the_field(void **state)
{
    static const refusal refusals[] = {
        {"5", "expected an event or an array of events"},
        {"{}", "events[0].action: expected a string"},
        {"{\"action\":\"nonesuch\"}", "events[0].action: unknown action \"nonesuch\""},
        {"{\"action\":\"listBucket\",\"params\":{\"accountId\":\"" NAME_64 NAME_64 NAME_64 NAME_64 "\"}}",
         "events[0].accountId: longer than 255 bytes"},
        {"{\"action\":\"listBucket\",\"params\":7}", "events[0].params: expected an object"},
        {"{\"action\":\"listBucket\",\"params\":{\"userId\":{\"a\":1}}}",
         "events[0].userId: expected a string"},
        {"{\"action\":\"getObject\",\"params\":{\"newByteLength\":2.5}}",
         "events[0].newByteLength: expected an integer"},
        {"{\"action\":\"getObject\",\"params\":{\"newByteLength\":9223372036854775808}}",
         "events[0].newByteLength: does not fit 64 bits"},
        {"{\"action\":\"getObject\",\"params\":{\"newByteLength\":-5}}",
         "events[0].newByteLength: must not be negative"},
        {"{\"action\":\"putDeleteMarkerObject\",\"params\":{\"byteLength\":\"x\"}}",
         "events[0].byteLength: expected an integer"},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        check_invalid(ask(*state, "POST", "/v1/push", refusals[i].body), refusals[i].message);
}

static void bodies_that_are_not_text_are_refused(void **state)
{
    static const char nul[] = "[{\"operationId\":\"putObject\",\"bucket\":\"a\0b\"}]";
    static const char wrong[] = "[{\"operationId\":\"putObject\",\"bucket\":\"\xFF\"}]";
    http_call call = ask_sized(*state, "POST", "/v2/ingest", (utapi_string){nul, sizeof nul - 1});
    assert_int_equal(call.reply.status, 400);
    http_call_done(&call);
    call = ask_sized(*state, "POST", "/v2/ingest", (utapi_string){wrong, sizeof wrong - 1});
    assert_int_equal(call.reply.status, 400);
    assert_true(utapi_string_is_text((utapi_string){call.reply.body, call.reply.size}));
    http_call_done(&call);
}

static void an_unknown_operation_counts_its_amounts(void **state)
{
    check_answer(
        ask(*state, "POST", "/v2/ingest",
            "[{\"operationId\":\"putObjectFancy\",\"bucket\":\"photos\",\"sizeDelta\":10,\"objectDelta\":1}]"),
        200, "");
    assert_int_equal(stored_in(*state, BUCKET_QUERY("photos")), 10);
}

/* Answers are cut to 64 bits, and each figure that was is counted; what is stored goes on. */
static void an_answer_beyond_64_bits_is_cut_and_counted(void **state)
{
    http_world *world = *state;
    utapi_health health;
    for (int i = 0; i < 3; i++)
        check_answer(
            ask(world, "POST", "/v2/ingest",
                "[{\"operationId\":\"putObject\",\"bucket\":\"photos\",\"sizeDelta\":9223372036854775807}]"),
            200, "");
    assert_true(stored_in(world, BUCKET_QUERY("photos")) == INT64_MAX);
    assert_int_equal(utapi_engine_health(world->service.engine, &health, NULL), UTAPI_OK);
    assert_int_equal(health.anomalies, 1);
    for (int i = 0; i < 3; i++)
        check_answer(
            ask(world, "POST", "/v2/ingest",
                "[{\"operationId\":\"putObject\",\"bucket\":\"photos\",\"sizeDelta\":-9223372036854775806}]"),
            200, "");
    assert_int_equal(stored_in(world, BUCKET_QUERY("photos")), 3);
}

static void too_many_events_are_413(void **state)
{
    http_world *world = *state;
    world->service.ingest_max_events = 2;
    check_answer(ask(world, "POST", "/v2/ingest", "[{\"operationId\":\"a\"},{\"operationId\":\"b\"}]"), 200,
                 "");
    check_refusal(ask(world, "POST", "/v2/ingest",
                      "[{\"operationId\":\"a\"},{\"operationId\":\"b\"},{\"operationId\":\"c\"}]"),
                  413, "EntityTooLarge", "3 events; a request may have 2");
}

/* Fills a body with so many of something, and returns what it is answered with. */
static http_call ask_with_many(const http_world *world, const char *target, const char *begin,
                               const char *item, const char *end)
{
    enum { ITEMS = 300000, ROOM = 3 * ITEMS + 100 };
    char *body = malloc(ROOM);
    assert_non_null(body);
    char *at = stpcpy(body, begin);
    for (size_t i = 0; i < ITEMS; i++)
        at = stpcpy(at, item);
    at = stpcpy(at, end);
    http_call call = ask_sized(world, "POST", target, (utapi_string){body, (size_t)(at - body)});
    free(body);
    return call;
}

/* None of these is JSON to its end: so a refusal for another reason shows that no tree was built. */
static void bodies_of_very_many_values_are_413_before_they_are_parsed(void **state)
{
    http_world *world = *state;
    world->service.ingest_max_events = 1000;
    world->service.list_max_names = 1000;
    check_refusal(ask_with_many(world, "/v2/ingest", "[", "{},", "{}"), 413, "EntityTooLarge",
                  "300001 events; a request may have 1000");
    check_refusal(ask_with_many(world, "/v1/push", "[", "{},", "{}"), 413, "EntityTooLarge",
                  "300001 events; a request may have 1000");
    check_refusal(ask_with_many(world, "/v2/ingest", "[{\"object\":[", "[],", "0"), 413, "EntityTooLarge",
                  "more values than 1000 events may have");
    check_refusal(ask_with_many(world, "/v1/push", "{\"action\":[", "[],", "0"), 413, "EntityTooLarge",
                  "more values than 1000 events may have");
    check_refusal(ask_with_many(world, "/buckets?Action=ListRecentMetrics", "{\"buckets\":[", "0,", "0"), 413,
                  "EntityTooLarge", "more values than a query of 1000 names may have");
    http_call in_a_string = ask_with_many(world, "/v2/ingest", "[\"", "[],", ""); /* no values there */
    assert_int_equal(in_a_string.reply.status, 400);
    http_call_done(&in_a_string);
}

static void storage_that_fails_is_503_with_retry_after(void **state)
{
    static const utapi_status failures[] = {UTAPI_UNAVAILABLE, UTAPI_UNCERTAIN};
    http_world *world = *state;
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
        world->trouble.apply_says = failures[i];
        http_call call =
            ask(world, "POST", "/v2/ingest", "[{\"operationId\":\"putObject\",\"sizeDelta\":1}]");
        assert_string_equal(http_reply_header(&call.reply, "retry-after"), "1");
        check_refusal(call, 503, "ServiceUnavailable",
                      "Events cannot be stored now: trouble while applying. Send them again.");
    }
    world->trouble.apply_says = UTAPI_OK;
    check_answer(ask(world, "POST", "/v2/ingest", "[{\"operationId\":\"putObject\",\"sizeDelta\":1}]"), 200,
                 "");
}

/* ---- addresses ------------------------------------------------------------------------------ */

/** Denied before any handler runs, or answered by one that answers at once: there is nothing to wait for. */
static void ignore_ready(http_call *call)
{
    (void)call;
}

static http_call ask_from(const http_world *world, const char *address, const char *method,
                          const char *target)
{
    struct sockaddr_in6 peer = {.sin6_family = AF_INET6};
    assert_int_equal(inet_pton(AF_INET6, address, &peer.sin6_addr), 1);
    http_call call;
    http_call_init(&call, ignore_ready, NULL);
    call.request = (http_request){.method = utapi_string_of(method), .peer = (const struct sockaddr *)&peer};
    http_request_set_target(&call.request, utapi_string_of(target));
    router_dispatch(&world->service, &call);
    return call;
}

static void other_addresses_are_denied(void **state)
{
    static const struct {
        const char *method, *target;
    } requests[] = {
        {"GET", "/_/healthcheck"}, {"POST", "/_/healthcheck"},     {"POST", "/v2/ingest"},
        {"POST", "/v1/push"},      {"GET", "/v2/storage/users/u"}, {"GET", "/_/journal/refused"},
        {"GET", "/_/metrics"},
    };
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
        check_refusal(ask_from(*state, "::ffff:10.0.0.1", requests[i].method, requests[i].target), 403,
                      "AccessDenied", "Access Denied");
    check_answer(ask_from(*state, "::ffff:127.9.9.9", "GET", "/_/healthcheck"), 200, "{}");
}

static void a_call_has_an_id_of_its_own(void **state)
{
    http_call one = ask(*state, "GET", "/_/healthcheck", "");
    http_call other = ask(*state, "GET", "/_/healthcheck", "");
    assert_int_equal(strlen(one.request_id), 20);
    assert_string_not_equal(one.request_id, other.request_id);
    http_call_done(&one);
    http_call_done(&other);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    asking_authdata = argv[1];
    const struct CMUnitTest tests[] = {
        ASKING_CASE(v2_events_are_counted_as_they_stand),
        ASKING_CASE(v1_events_are_counted_by_their_action),
        ASKING_CASE(a_deletion_may_add_objects),
        ASKING_CASE(no_events_are_fine),
        ASKING_CASE(an_event_without_params_is_a_plain_count),
        ASKING_CASE(a_repeated_uuid_is_acknowledged_and_not_counted),
        ASKING_CASE(one_bad_event_refuses_the_whole_request),
        ASKING_CASE(v2_refusals_name_the_field),
        ASKING_CASE(v1_refusals_name_the_field),
        ASKING_CASE(bodies_that_are_not_text_are_refused),
        ASKING_CASE(an_unknown_operation_counts_its_amounts),
        ASKING_CASE(an_answer_beyond_64_bits_is_cut_and_counted),
        ASKING_CASE(too_many_events_are_413),
        ASKING_CASE(bodies_of_very_many_values_are_413_before_they_are_parsed),
        ASKING_CASE(storage_that_fails_is_503_with_retry_after),
        ASKING_CASE(other_addresses_are_denied),
        ASKING_CASE(a_call_has_an_id_of_its_own),
    };
    return cmocka_run_group_tests_name("http.handlers", tests, NULL, NULL);
}
