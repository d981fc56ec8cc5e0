/* SPDX-License-Identifier: Apache-2.0 */
/**
 * test_queries.c - queries without a socket: usage over a range, and what is stored now.
 *
 *     test_queries <authdata.json>
 */
#include "asking.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* ---- usage --------------------------------------------------------------------------------- */

static void an_answer_has_its_members_in_order(void **state)
{
    http_call call = ask(*state, "POST", "/buckets?Action=ListMetrics", BUCKET_QUERY("a\\\"\\u0001\\u00e9"));
    assert_int_equal(call.reply.status, 200);
    static const char begin[] =
        "[{\"timeRange\":[1795440600000,1795442399999],\"storageUtilized\":[0,0],\"incomingBytes\":0,"
        "\"outgoingBytes\":0,"
        "\"numberOfObjects\":[0,0],\"operations\":{\"s3:DeleteBucket\":0,\"s3:DeleteBucketCors\":0,";
    static const char end[] = "\"s3:PutBucketTagging\":0},\"bucketName\":\"a\\\"\\u0001\xC3\xA9\"}]";
    assert_memory_equal(call.reply.body, begin, sizeof begin - 1);
    assert_string_equal(call.reply.body + call.reply.size - (sizeof end - 1), end);
    http_call_done(&call);
}

static void each_level_names_its_resource(void **state)
{
    static const struct {
        const char *target, *body, *end;
    } queries[] = {
        {"/buckets?Action=ListRecentMetrics", "{\"buckets\":[\"n\"]}", "\"bucketName\":\"n\"}]"},
        {"/accounts?Action=ListRecentMetrics", "{\"accounts\":[\"123456789012\"]}",
         "\"accountId\":\"123456789012\"}]"},
        {"/users?Action=ListRecentMetrics", "{\"users\":[\"n\"]}", "\"userId\":\"n\"}]"},
        {"/service?Action=ListRecentMetrics", "{\"service\":[\"s3\"]}", "\"serviceName\":\"s3\"}]"},
        {"/locations?Action=ListRecentMetrics", "{\"locations\":[\"n\"]}", "\"locationName\":\"n\"}]"},
    };
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        http_call call = ask(*state, "POST", queries[i].target, queries[i].body);
        assert_int_equal(call.reply.status, 200);
        assert_string_equal(call.reply.body + call.reply.size - strlen(queries[i].end), queries[i].end);
        http_call_done(&call);
    }
}

static void names_are_answered_in_order_twice_if_asked_twice(void **state)
{
    http_call call =
        ask(*state, "POST", "/buckets?Action=ListRecentMetrics", "{\"buckets\":[\"b\",\"a\",\"b\"]}");
    json_auto_t *json = json_loads(call.reply.body, 0, NULL);
    static const char *const names[] = {"b", "a", "b"};
    assert_int_equal(json_array_size(json), 3);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(json_string_value(json_object_get(json_array_get(json, i), "bucketName")),
                            names[i]);
    http_call_done(&call);
}

static void a_range_without_end_reaches_until_now(void **state)
{
    http_call call = ask(*state, "POST", "/buckets?Action=ListMetrics",
                         "{\"buckets\":[\"a\"],\"timeRange\":[1795440600000]}");
    assert_non_null(strstr(call.reply.body, "\"timeRange\":[1795440600000,1795441850000]"));
    http_call_done(&call);
}

static void a_time_may_have_a_fraction_of_nothing(void **state)
{
    static const char *const integers[] = {"[1795440600000.0]", "[1795440600000.0,1795442399999.0]",
                                           "[1795440600000,1.795442399999e12]", "[-0.0,1795442399999]"};
    static const char *const others[] = {"[1795440600000.5]",
                                         "[1795440600000,1795442399999.5]",
                                         "[-900000.0]",
                                         "[1e300]",
                                         "[1795440600000,1e16]",
                                         "[true]",
                                         "[1795440600000,false]",
                                         "[\"1795440600000\"]",
                                         "[1795440600000.0,null]",
                                         "[]"};
    char body[128];
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
        (void)snprintf(body, sizeof body, "{\"buckets\":[\"a\"],\"timeRange\":%s}", integers[i]);
        http_call call = ask(*state, "POST", "/buckets?Action=ListMetrics", body);
        assert_int_equal(call.reply.status, 200);
        http_call_done(&call);
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        (void)snprintf(body, sizeof body, "{\"buckets\":[\"a\"],\"timeRange\":%s}", others[i]);
        http_call call = ask(*state, "POST", "/buckets?Action=ListMetrics", body);
        assert_int_equal(call.reply.status, 400);
        assert_non_null(strstr(call.reply.body, "Timestamps must be one of"));
        http_call_done(&call);
    }
}

static void the_first_error_in_the_order_of_members_is_told(void **state)
{
    check_refusal(ask(*state, "POST", "/buckets?Action=ListMetrics", "{\"valueOf\":1,\"buckets\":[]}"), 400,
                  "WrongFormat", "Data entered by the user has a wrong format.");
    check_invalid(ask(*state, "POST", "/buckets?Action=ListMetrics", "{\"buckets\":[],\"valueOf\":1}"),
                  "An invalid or out-of-range value was supplied for the input parameter.");
}

static void an_action_in_query_and_body_must_agree(void **state)
{
    http_call call = ask(*state, "POST", "/buckets?Action=ListRecentMetrics",
                         "{\"Action\":\"ListRecentMetrics\",\"buckets\":[\"a\"]}");
    assert_int_equal(call.reply.status, 200);
    http_call_done(&call);
    static const char *const others[] = {"\"ListMetrics\"", "null", "5", "\"\""};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char body[128];
        (void)snprintf(body, sizeof body, "{\"Action\":%s,\"buckets\":[\"a\"]}", others[i]);
        check_invalid(ask(*state, "POST", "/buckets?Action=ListRecentMetrics", body),
                      "An invalid or out-of-range value was supplied for the input parameter.");
    }
}

static void too_many_names_are_413(void **state)
{
    http_world *world = *state;
    world->service.list_max_names = 1;
    check_refusal(ask(world, "POST", "/buckets?Action=ListRecentMetrics", "{\"buckets\":[\"a\",\"b\"]}"), 413,
                  "EntityTooLarge", "buckets: 2 names; a query may have 1");
}

static void a_name_that_nothing_can_have_is_refused(void **state)
{
    char body[400];
    (void)snprintf(body, sizeof body, "{\"buckets\":[\"%0256d\"]}", 0);
    check_invalid(ask(*state, "POST", "/buckets?Action=ListRecentMetrics", body),
                  "buckets[0]: longer than 255 bytes");
}

static void a_query_that_storage_cannot_answer_is_5xx(void **state)
{
    http_world *world = *state;
    world->trouble.read_says = UTAPI_UNAVAILABLE;
    http_call call = ask(world, "POST", "/buckets?Action=ListRecentMetrics", "{\"buckets\":[\"a\"]}");
    assert_string_equal(http_reply_header(&call.reply, "retry-after"), "1");
    check_refusal(call, 503, "ServiceUnavailable",
                  "The storage does not answer, so usage cannot be read now. Try again.");
    world->trouble.read_says = UTAPI_CORRUPT;
    check_refusal(ask(world, "POST", "/buckets?Action=ListRecentMetrics", "{\"buckets\":[\"a\"]}"), 500,
                  "InternalError",
                  "What is stored has to be mended before it can be read: trouble while reading");
    world->trouble.read_says = UTAPI_OVERFLOW;
    check_refusal(ask(world, "GET", "/v2/storage/buckets/a", ""), 500, "InternalError",
                  "What is stored has to be mended before it can be read: trouble while reading");
    world->trouble.read_says = UTAPI_NO_MEMORY;
    check_refusal(ask(world, "GET", "/v2/storage/buckets/a", ""), 500, "InternalError",
                  "We encountered an internal error. Please try again.");
}

/* ---- storage ------------------------------------------------------------------------------- */

static void storage_is_told_by_level_and_name(void **state)
{
    check_answer(
        ask(*state, "POST", "/v2/ingest",
            "[{\"operationId\":\"putObject\",\"bucket\":\"a/b \\\"c\\\"\",\"account\":\"" CANONICAL_ID_1
            "\",\"user\":\"u\",\"location\":\"l\",\"sizeDelta\":5}]"),
        200, "");
    static const struct {
        const char *target, *answer;
    } queries[] = {
        {"/v2/storage/buckets/a%2Fb%20%22c%22",
         "{\"storageUtilized\":5,\"resource\":\"a/b \\\"c\\\"\",\"level\":\"buckets\"}"},
        {"/v2/storage/accounts/123456789012?x=1",
         "{\"storageUtilized\":5,\"resource\":\"123456789012\",\"level\":\"accounts\"}"},
        {"/v2/storage/accounts/" CANONICAL_ID_1,
         "{\"storageUtilized\":5,\"resource\":\"" CANONICAL_ID_1 "\",\"level\":\"accounts\"}"},
        {"/v2/storage/users/u", "{\"storageUtilized\":5,\"resource\":\"u\",\"level\":\"users\"}"},
        {"/v2/storage/service/s3", "{\"storageUtilized\":5,\"resource\":\"s3\",\"level\":\"service\"}"},
        {"/v2/storage/locations/l", "{\"storageUtilized\":5,\"resource\":\"l\",\"level\":\"locations\"}"},
        {"/v2/storage/locations/none",
         "{\"storageUtilized\":0,\"resource\":\"none\",\"level\":\"locations\"}"},
    };
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++)
        check_answer(ask(*state, "GET", queries[i].target, ""), 200, queries[i].answer);
}

static void storage_of_nothing_is_refused(void **state)
{
    static const char *const unknown = "A header you provided implies functionality that is not implemented.";
    check_refusal(ask(*state, "GET", "/v2/storage/", ""), 501, "NotImplemented", unknown);
    check_refusal(ask(*state, "GET", "/v2/storage/nonesuch/x", ""), 501, "NotImplemented", unknown);
    check_invalid(ask(*state, "GET", "/v2/storage/buckets", ""), "resource: expected a name");
    check_invalid(ask(*state, "GET", "/v2/storage/buckets/", ""), "resource: expected a name");
    check_refusal(ask(*state, "GET", "/v2/storage/buckets/%00", ""), 400, "InvalidURI",
                  "Couldn't parse the specified URI.");
    char target[300];
    (void)snprintf(target, sizeof target, "/v2/storage/buckets/%0256d", 0);
    check_invalid(ask(*state, "GET", target, ""), "resource: longer than 255 bytes");
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    asking_authdata = argv[1];
    const struct CMUnitTest tests[] = {
        ASKING_CASE(an_answer_has_its_members_in_order),
        ASKING_CASE(each_level_names_its_resource),
        ASKING_CASE(names_are_answered_in_order_twice_if_asked_twice),
        ASKING_CASE(a_range_without_end_reaches_until_now),
        ASKING_CASE(a_time_may_have_a_fraction_of_nothing),
        ASKING_CASE(the_first_error_in_the_order_of_members_is_told),
        ASKING_CASE(an_action_in_query_and_body_must_agree),
        ASKING_CASE(too_many_names_are_413),
        ASKING_CASE(a_name_that_nothing_can_have_is_refused),
        ASKING_CASE(a_query_that_storage_cannot_answer_is_5xx),
        ASKING_CASE(storage_is_told_by_level_and_name),
        ASKING_CASE(storage_of_nothing_is_refused),
    };
    return cmocka_run_group_tests_name("http.queries", tests, NULL, NULL);
}
