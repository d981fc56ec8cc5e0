/* SPDX-License-Identifier: Apache-2.0 */
/**
 * framing.c - one walk over the headers counts what matters; then the rules.
 */
#include "http/framing.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#define HEADERS_MAX_BYTES (16U * 1024U) /* as in Node */

typedef struct header_tally {
    size_t bytes;
    size_t hosts;
    size_t encodings;
    size_t lengths;
    utapi_string encoding, length; /* the last ones */
    bool lengths_differ;
    bool has_blank_name; /* a proxy before us may read "Content-Length :" otherwise than we do */
} header_tally;

static bool is_named(utapi_string text, const char *name)
{
    return text.size == strlen(name) && strncasecmp(text.data, name, text.size) == 0;
}

static void tally_header(header_tally *tally, const http_header *header)
{
    tally->bytes += header->name.size + header->value.size + strlen(": \r\n");
    tally->has_blank_name |= header->name.size == 0 ||
                             memchr(header->name.data, ' ', header->name.size) != NULL ||
                             memchr(header->name.data, '\t', header->name.size) != NULL;
    if (is_named(header->name, "host")) {
        tally->hosts++;
    } else if (is_named(header->name, "transfer-encoding")) {
        tally->encodings++;
        tally->encoding = header->value;
    } else if (is_named(header->name, "content-length")) {
        tally->lengths_differ |= tally->lengths > 0 && !utapi_string_equal(tally->length, header->value);
        tally->lengths++;
        tally->length = header->value;
    }
}

/** Reads digits; false for anything else. What does not fit is as large as can be. */
static bool read_size(utapi_string digits, size_t *ret)
{
    size_t size = 0;
    for (size_t i = 0; i < digits.size; i++) {
        const char digit = digits.data[i];
        if (digit < '0' || digit > '9')
            return false;
        size = size > SIZE_MAX / 10 - 1 ? SIZE_MAX / 10 : size * 10 + (size_t)(digit - '0');
    }
    *ret = size;
    return digits.size > 0;
}

http_error http_framing_check(const http_request *request, const char *version, http_framing *ret,
                              http_failure *failure)
{
    header_tally tally = {0};
    for (size_t i = 0; i < request->header_count; i++)
        tally_header(&tally, &request->headers[i]);

    const bool is_http_1_1 = strcmp(version, "HTTP/1.1") == 0;
    if (!is_http_1_1 && strcmp(version, "HTTP/1.0") != 0)
        return http_fail(failure, HTTP_INVALID_ARGUMENT, "expected HTTP/1.1");
    if (tally.bytes > HEADERS_MAX_BYTES)
        return http_fail(failure, HTTP_HEADERS_TOO_LARGE, NULL);
    if (tally.has_blank_name) /* RFC 9112, 5.1 */
        return http_fail(failure, HTTP_INVALID_ARGUMENT, "a header's name has a blank in it");
    if (tally.hosts > 1 || (is_http_1_1 && tally.hosts == 0))
        return http_fail(failure, HTTP_INVALID_ARGUMENT, "Host: expected one");
    if (tally.lengths > 0 && tally.encodings > 0)
        return http_fail(failure, HTTP_INVALID_ARGUMENT,
                         "Content-Length: not together with Transfer-Encoding");
    if (tally.lengths_differ)
        return http_fail(failure, HTTP_INVALID_ARGUMENT, "Content-Length: expected one");
    if (tally.encodings > 0 && (tally.encodings > 1 || !is_named(tally.encoding, "chunked")))
        return http_fail(failure, HTTP_INVALID_ARGUMENT, "Transfer-Encoding: expected chunked");

    *ret =
        (http_framing){.expects_continue = is_named(http_request_header(request, "expect"), "100-continue")};
    if (tally.lengths > 0 && !read_size(tally.length, &ret->declared_size))
        return http_fail(failure, HTTP_INVALID_ARGUMENT, "Content-Length: expected a number");
    return HTTP_OK;
}
