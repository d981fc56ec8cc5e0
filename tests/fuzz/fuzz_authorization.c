/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_authorization.c - requests from strangers, through auth_verify().
 *
 * An input is a request as text: the target on the first line, then "name: value" lines, a blank line, the body.
 * Promises: nothing crashes; nobody is let in who cannot sign; a canonical query is its own canonical form; whatever
 * the target, the values and the body are, a request that is signed here is accepted.
 */
#include "auth/auth.h"
#include "authdata.h"
#include "fuzz_target.h"
#include "sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW_MS      INT64_C(1795441850000)
#define HEADERS_MAX 40

typedef struct parsed {
    http_request request;
    http_header headers[HEADERS_MAX];
} parsed;

static auth *verifier(void)
{
    static auth *made = NULL;
    utapi_error err = {0};
    if (made == NULL && auth_new(authdata_new(), AUTH_PAYLOAD_STRICT, &made, &err) != UTAPI_OK)
        abort();
    return made;
}

static utapi_string take_line(utapi_string *rest)
{
    const char *end = rest->size > 0 ? memchr(rest->data, '\n', rest->size) : NULL;
    const size_t size = end != NULL ? (size_t)(end - rest->data) : rest->size;
    const utapi_string line = {rest->data, size};
    const size_t taken = end != NULL ? size + 1 : size;
    *rest = (utapi_string){rest->data + taken, rest->size - taken};
    return line;
}

static void add_line(parsed *ret, utapi_string line)
{
    const char *colon = memchr(line.data, ':', line.size);
    if (colon == NULL || ret->request.header_count == HEADERS_MAX)
        return;
    utapi_string value = {colon + 1, line.size - (size_t)(colon + 1 - line.data)};
    if (value.size > 0 && value.data[0] == ' ')
        value = (utapi_string){value.data + 1, value.size - 1};
    ret->headers[ret->request.header_count++] =
        (http_header){{line.data, (size_t)(colon - line.data)}, value};
}

static void parse_input(utapi_string input, parsed *ret)
{
    ret->request = (http_request){.method = {"POST", 4}, .headers = ret->headers};
    http_request_set_target(&ret->request, take_line(&input));
    for (utapi_string line = take_line(&input); line.size > 0; line = take_line(&input))
        add_line(ret, line);
    ret->request.body = input;
}

static void check_canonical_query(utapi_string query)
{
    utapi_text once = {0};
    utapi_text twice = {0};
    sigv4_canonical_query(query, &once);
    sigv4_canonical_query(utapi_text_view(&once), &twice);
    FUZZ_CHECK(!once.failed && !twice.failed);
    FUZZ_CHECK(utapi_string_equal(utapi_text_view(&once), utapi_text_view(&twice)));
    utapi_text_done(&once);
    utapi_text_done(&twice);
}

/* Both rules take any path. */
static void check_paths(const http_request *request)
{
    const sigv4_signed_headers names = {.count = 0};
    const sigv4_path_rule rules[] = {SIGV4_PATH_AS_IS, SIGV4_PATH_NORMALIZED};
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        utapi_text text = {0};
        sigv4_canonical_request(request, &names, (utapi_string){"", 0}, rules[i], &text);
        FUZZ_CHECK(!text.failed);
        utapi_text_done(&text);
    }
}

/* Whether a header may be signed again: a name that a list can hold, and none that signing adds or rules judge. */
static bool is_plain_header(const http_header *header)
{
    static const char name_bytes[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    static const char *const reserved[] = {"authorization", "date"};
    for (size_t i = 0; i < header->name.size; i++) {
        if (memchr(name_bytes, header->name.data[i], sizeof name_bytes - 1) == NULL)
            return false;
    }
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
        if (sigv4_name_equal(header->name, utapi_string_of(reserved[i])))
            return false;
    }
    const utapi_string start = {header->name.data, header->name.size < 6 ? header->name.size : 6};
    return header->name.size > 0 && !sigv4_name_equal(start, utapi_string_of("x-amz-"));
}

static void check_signed_anew(parsed *input)
{
    const sign_options options = {.access = "accessKey1", .secret = "verySecretKey1", .now_ms = NOW_MS};
    parsed plain = {.request = input->request};
    plain.request.headers = plain.headers;
    plain.request.header_count = 0;
    plain.headers[plain.request.header_count++] = (http_header){{"host", 4}, {"localhost", 9}};
    for (size_t i = 0; i < input->request.header_count && plain.request.header_count < HEADERS_MAX; i++) {
        if (is_plain_header(&input->headers[i]))
            plain.headers[plain.request.header_count++] = input->headers[i];
    }
    signed_request sent;
    sign_request(&sent, &plain.request, &options);
    const identity_key *key = NULL;
    http_failure failure = {.error = HTTP_OK};
    FUZZ_CHECK(auth_verify(verifier(), &sent.request, NOW_MS, &key, &failure) == HTTP_OK);
    signed_request_done(&sent);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    parsed input;
    const identity_key *key = NULL;
    http_failure failure = {.error = HTTP_OK};
    parse_input((utapi_string){(const char *)data, size}, &input);

    const http_error error = auth_verify(verifier(), &input.request, NOW_MS, &key, &failure);
    FUZZ_CHECK(error != HTTP_OK && error == failure.error && key == NULL);
    check_canonical_query(input.request.query);
    check_paths(&input.request);
    check_signed_anew(&input);
    return 0;
}
