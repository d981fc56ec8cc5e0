/* SPDX-License-Identifier: Apache-2.0 */
/**
 * framing.h - what a request's headers must be like before its body is read: checks that libmicrohttpd leaves
 * out, and that keep two readers of one connection from seeing two different requests (RFC 9112 section 6).
 */
#ifndef HTTP_FRAMING_H
#define HTTP_FRAMING_H

#include "http/errors.h"
#include "http/message.h"

/** What the headers say of the body. */
typedef struct http_framing {
    size_t declared_size; /* Content-Length; 0 without one */
    bool expects_continue;
} http_framing;

/**
 * Refuses a missing or second Host with HTTP/1.1, Content-Length beside Transfer-Encoding, two different
 * Content-Lengths, another Transfer-Encoding than chunked, and headers of more than 16 KiB.
 *
 * @param version  "HTTP/1.1"
 */
http_error http_framing_check(const http_request *request, const char *version, http_framing *ret,
                              http_failure *failure);

#endif
