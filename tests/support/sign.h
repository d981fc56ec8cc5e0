/* SPDX-License-Identifier: Apache-2.0 */
/**
 * sign.h - signs requests in tests, with whatever is to be wrong about them.
 *
 * Built on the stages of auth/sigv4.h. A failure aborts the test.
 *
 *     const sign_options options = {.access = "accessKey1", .secret = "verySecretKey1", .now_ms = now_ms};
 *     signed_request signed_;
 *     sign_request(&signed_, &plain, &options);       plain has method, target, host header and body
 *     ... use signed_.request ...
 *     signed_request_done(&signed_);
 */
#ifndef SUPPORT_SIGN_H
#define SUPPORT_SIGN_H

#include "auth/sigv4.h"

#include <stdint.h>

#define SIGN_HEADERS_MAX 64

/** What is not set has the value that a well-behaved client gives it. */
typedef struct sign_options {
    const char *access;
    const char *secret;
    int64_t now_ms;             /* makes the timestamp */
    const char *timestamp;      /* instead of now_ms: "20261123T135051Z", or garbage */
    const char *region;         /* "us-east-1" */
    const char *service;        /* "s3" */
    const char *key_service;    /* the service that the key is derived for; as service */
    const char *scope_date;     /* the first eight bytes of the timestamp */
    const char *terminator;     /* "aws4_request" */
    const char *signed_headers; /* every header of the request, sorted */
    const char *payload_hash;   /* the header x-amz-content-sha256, or the SHA-256 of the body */
    sigv4_path_rule path_rule;
} sign_options;

/** A request with the headers that sign_request() adds. Do not copy it: it points into itself. */
typedef struct signed_request {
    http_request request;
    http_header headers[SIGN_HEADERS_MAX];
    char timestamp[32];
    char payload_hash[CRYPTO_HEX_BYTES + 1];
    char *authorization; /* owned: freed by signed_request_done() */
} signed_request;

/**
 * The value of the Authorization header for a request as it stands: nothing is added to it.
 *
 * @return owned: free with free()
 */
char *sign_authorization(const http_request *request, const sign_options *options);

/**
 * Adds x-amz-date (unless it or Date is there), x-amz-content-sha256 (unless it is there) and
 * Authorization to a request.
 *
 * @param plain  borrowed: must outlive *ret, as must options
 * @param ret    owned: free with signed_request_done()
 */
void sign_request(signed_request *ret, const http_request *plain, const sign_options *options);

void signed_request_done(signed_request *signed_);

#endif
