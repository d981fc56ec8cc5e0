/* SPDX-License-Identifier: Apache-2.0 */
/**
 * test_http.c - the ground: headers, addresses, targets, percent-encoding, framing, errors.
 */
#include "check.h"

#include "http/allow.h"
#include "http/errors.h"
#include "http/framing.h"
#include "http/message.h"
#include "http/uri.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH_OF(table) (sizeof(table) / sizeof *(table))

static void check_text(utapi_string seen, const char *expected)
{
    assert_int_equal(seen.size, strlen(expected));
    assert_memory_equal(seen.size > 0 ? seen.data : "", expected, seen.size);
}

/* ---- headers ------------------------------------------------------------------------------- */

static void blanks_behind_a_value_are_no_part_of_it(void **state)
{
    (void)state;
    static const http_header headers[] = {{{"X-Amz-Date", 10}, {"20261128T000000Z \t ", 19}},
                                          {{"Expect", 6}, {"  ", 2}}};
    const http_request request = {.headers = headers, .header_count = LENGTH_OF(headers)};
    check_text(http_request_header(&request, "x-amz-date"), "20261128T000000Z");
    check_text(http_request_header(&request, "expect"), "");
    assert_non_null(http_request_header(&request, "expect").data);
    assert_null(http_request_header(&request, "date").data);
}

/* ---- addresses ----------------------------------------------------------------------------- */

static bool list_has(const allow_list *list, const char *address)
{
    struct sockaddr_in ipv4 = {.sin_family = AF_INET};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, address, &ipv4.sin_addr) == 1)
        return allow_list_has(list, (const struct sockaddr *)&ipv4);
    assert_int_equal(inet_pton(AF_INET6, address, &ipv6.sin6_addr), 1);
    return allow_list_has(list, (const struct sockaddr *)&ipv6);
}

static void a_block_has_the_addresses_that_share_its_bits(void **state)
{
    (void)state;
    static const struct {
        const char *block, *address;
        bool has;
    } rows[] = {
        {"127.0.0.1/8", "127.1.2.3", true},
        {"127.0.0.1/8", "128.0.0.1", false},
        {"127.0.0.1/8", "::ffff:127.0.0.9", true},
        {"127.0.0.1/8", "::1", false},
        {"10.1.2.3", "10.1.2.3", true},
        {"10.1.2.3", "10.1.2.4", false},
        {"10.1.2.3/31", "10.1.2.2", true},
        {"10.1.2.3/31", "10.1.2.4", false},
        {"0.0.0.0/0", "255.1.2.3", true},
        {"0.0.0.0/0", "::1", false},
        {"::1", "::1", true},
        {"::1", "::2", false},
        {"::/0", "10.0.0.1", true},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
    };
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        allow_list list = {0};
        assert_int_equal(allow_list_add(&list, rows[i].block, NULL), UTAPI_OK);
        if (list_has(&list, rows[i].address) != rows[i].has)
            print_error("%s has %s: expected %d\n", rows[i].block, rows[i].address, rows[i].has);
        assert_int_equal(list_has(&list, rows[i].address), rows[i].has);
        allow_list_done(&list);
    }
}

static void what_is_no_address_is_refused_by_name(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",       "localhost", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8x",
        "::/129", "10.0.0",    "1.2.3.4/ 8",
    };
    allow_list list = {0};
    for (size_t i = 0; i < LENGTH_OF(texts); i++) {
        utapi_error err;
        utapi_error_clear(&err);
        assert_int_equal(allow_list_add(&list, texts[i], &err), UTAPI_INVALID);
        assert_non_null(strstr(err.detail, texts[i]));
    }
    assert_int_equal(list.count, 0);
    assert_false(list_has(&list, "127.0.0.1"));
    assert_true(allow_list_has(&list, NULL));
    allow_list_done(&list);
}

/* ---- targets ------------------------------------------------------------------------------- */

static void a_target_is_split_into_path_and_query(void **state)
{
    (void)state;
    static const struct {
        const char *target, *path, *query;
        bool has_query;
    } rows[] = {
        {"/a/b?c=d&e", "/a/b", "c=d&e", true},
        {"/a", "/a", "", false},
        {"/a?", "/a", "", true},
        {"/a?b?c", "/a", "b?c", true},
        {"/a?b#c?d", "/a", "b", true},
        {"/a#b", "/a", "", false},
        {"http://host:1/a?b", "/a", "b", true},
        {"HTTPS://host", "", "", false},
        {"//a?b", "//a", "b", true},
        {"*", "*", "", false},
        {"", "", "", false},
    };
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        http_request request = {0};
        http_request_set_target(&request, utapi_string_of(rows[i].target));
        check_text(request.target, rows[i].target);
        check_text(request.path, rows[i].path);
        check_text(request.query, rows[i].query);
        assert_int_equal(request.query.data != NULL, rows[i].has_query);
    }
}

static void headers_are_found_without_regard_to_case(void **state)
{
    (void)state;
    const http_header headers[] = {
        {utapi_string_of("X-One"), utapi_string_of("1")},
        {utapi_string_of("x-one"), utapi_string_of("2")},
    };
    const http_request request = {.headers = headers, .header_count = LENGTH_OF(headers)};
    check_text(http_request_header(&request, "x-ONE"), "1");
    assert_null(http_request_header(&request, "x-on").data);
}

/* ---- percent-encoding ---------------------------------------------------------------------- */

static void percent_encoding_is_decoded_once(void **state)
{
    (void)state;
    char buffer[32];
    utapi_string decoded;
    assert_true(uri_decode(utapi_string_of("a%2Fb%2520+"), buffer, &decoded));
    check_text(decoded, "a/b%20+");
}

static void only_text_is_a_valid_uri(void **state)
{
    (void)state;
    static const char *const valid[] = {"", "/", "%25", "%C3%A9", "%2525", "\xC3\xA9"};
    static const char *const invalid[] = {"%", "%2", "%zz", "a%", "%C3%28", "%ff", "%E0%A4%A", "%00", "\xFF"};
    for (size_t i = 0; i < LENGTH_OF(valid); i++)
        assert_int_equal(uri_check(utapi_string_of(valid[i])), UTAPI_OK);
    for (size_t i = 0; i < LENGTH_OF(invalid); i++)
        assert_int_equal(uri_check(utapi_string_of(invalid[i])), UTAPI_INVALID);
}

static void parameters_come_one_by_one(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {{"a", "1"}, {"", ""}, {"b", ""}, {"c", "=d"}, {"", "e"}};
    utapi_string query = utapi_string_of("a=1&&b&c==d&=e"), name, value;
    for (size_t i = 0; i < LENGTH_OF(pairs); i++) {
        assert_true(uri_next_parameter(&query, &name, &value));
        check_text(name, pairs[i][0]);
        check_text(value, pairs[i][1]);
    }
    assert_false(uri_next_parameter(&query, &name, &value));
}

static void encoded_text_means_its_decoded_form(void **state)
{
    (void)state;
    assert_true(uri_means(utapi_string_of("%41ction"), utapi_string_of("Action")));
    assert_true(uri_means(utapi_string_of("a+b%2B"), utapi_string_of("a b+")));
    assert_false(uri_means(utapi_string_of("Actio"), utapi_string_of("Action")));
    assert_false(uri_means(utapi_string_of("Actions"), utapi_string_of("Action")));
    assert_false(uri_means(utapi_string_of("Action%4"), utapi_string_of("Action")));
}

/* ---- framing ------------------------------------------------------------------------------- */

static void framing_that_two_readers_may_read_differently_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *version;
        const char *pairs[6]; /* names and values */
        http_error error;
        size_t declared;
    } rows[] = {
        {"HTTP/1.1", {"Host", "x"}, HTTP_OK, 0},
        {"HTTP/1.0", {NULL}, HTTP_OK, 0},
        {"HTTP/1.1", {"Host", "x", "Content-Length", "12"}, HTTP_OK, 12},
        {"HTTP/1.1", {"Host", "x", "Transfer-Encoding", "Chunked"}, HTTP_OK, 0},
        {"HTTP/1.1", {"host", "x", "Content-Length", "5", "content-length", "5"}, HTTP_OK, 5},
        {"HTTP/1.1", {NULL}, HTTP_INVALID_ARGUMENT, 0},
        {"HTTP/1.1", {"Host", "x", "host", "x"}, HTTP_INVALID_ARGUMENT, 0},
        {"HTTP/1.1", {"Host", "x", "Content-Length", "5", "content-length", "6"}, HTTP_INVALID_ARGUMENT, 0},
        {"HTTP/1.1",
         {"Host", "x", "Content-Length", "5", "Transfer-Encoding", "chunked"},
         HTTP_INVALID_ARGUMENT,
         0},
        {"HTTP/1.1", {"Host", "x", "Content-Length", "+5"}, HTTP_INVALID_ARGUMENT, 0},
        {"HTTP/1.1", {"Host", "x", "Content-Length", ""}, HTTP_INVALID_ARGUMENT, 0},
        {"HTTP/1.1", {"Host", "x", "Transfer-Encoding", "gzip, chunked"}, HTTP_INVALID_ARGUMENT, 0},
        {"HTTP/1.1",
         {"Host", "x", "Transfer-Encoding", "chunked", "Transfer-Encoding", "chunked"},
         HTTP_INVALID_ARGUMENT,
         0},
        {"HTTP/1.1", {"Host", "x", "Content-Length ", "5"}, HTTP_INVALID_ARGUMENT, 0},
        {"HTTP/1.1", {"Host", "x", "Transfer-Encoding\t", "chunked"}, HTTP_INVALID_ARGUMENT, 0},
        {"", {"Host", "x"}, HTTP_INVALID_ARGUMENT, 0},
        {"HTTP/2.0", {"Host", "x"}, HTTP_INVALID_ARGUMENT, 0},
    };
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        http_header headers[3];
        http_request request = {.headers = headers};
        for (size_t k = 0; k < 3 && rows[i].pairs[2 * k] != NULL; k++)
            headers[request.header_count++] = (http_header){utapi_string_of(rows[i].pairs[2 * k]),
                                                            utapi_string_of(rows[i].pairs[2 * k + 1])};
        http_framing framing = {0};
        http_failure failure;
        const http_error error = http_framing_check(&request, rows[i].version, &framing, &failure);
        if (error != rows[i].error)
            print_error("row %zu\n", i);
        assert_int_equal(error, rows[i].error);
        assert_int_equal(framing.declared_size, rows[i].declared);
    }
}

static void a_length_beyond_all_measure_is_as_large_as_can_be(void **state)
{
    (void)state;
    const http_header headers[] = {
        {utapi_string_of("Host"), utapi_string_of("x")},
        {utapi_string_of("Content-Length"), utapi_string_of("99999999999999999999999999")},
    };
    const http_request request = {.headers = headers, .header_count = LENGTH_OF(headers)};
    http_framing framing;
    http_failure failure;
    assert_int_equal(http_framing_check(&request, "HTTP/1.1", &framing, &failure), HTTP_OK);
    assert_true(framing.declared_size > SIZE_MAX / 20);
}

/* ---- errors -------------------------------------------------------------------------------- */

static void a_failure_has_its_rows_message_or_its_own(void **state)
{
    (void)state;
    http_failure failure;
    assert_int_equal(http_fail(&failure, HTTP_ACCESS_DENIED, NULL), HTTP_ACCESS_DENIED);
    assert_string_equal(http_failure_message(&failure), "Access Denied");
    assert_int_equal(http_fail(&failure, HTTP_INVALID_ARGUMENT, "%s: no", "x"), HTTP_INVALID_ARGUMENT);
    assert_string_equal(http_failure_message(&failure), "x: no");
    assert_string_equal(http_error_code(failure.error), "InvalidArgument");
    assert_int_equal(http_error_status(failure.error), 400);
    assert_int_equal(http_error_status(HTTP_OK), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_has_the_addresses_that_share_its_bits),
        cmocka_unit_test(what_is_no_address_is_refused_by_name),
        cmocka_unit_test(a_target_is_split_into_path_and_query),
        cmocka_unit_test(headers_are_found_without_regard_to_case),
        cmocka_unit_test(percent_encoding_is_decoded_once),
        cmocka_unit_test(only_text_is_a_valid_uri),
        cmocka_unit_test(parameters_come_one_by_one),
        cmocka_unit_test(encoded_text_means_its_decoded_form),
        cmocka_unit_test(framing_that_two_readers_may_read_differently_is_refused),
        cmocka_unit_test(a_length_beyond_all_measure_is_as_large_as_can_be),
        cmocka_unit_test(blanks_behind_a_value_are_no_part_of_it),
        cmocka_unit_test(a_failure_has_its_rows_message_or_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
