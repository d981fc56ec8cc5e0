/* SPDX-License-Identifier: Apache-2.0 */
/**
 * sign.h - the client's side of Signature Version 4, out of the stages that the server verifies with.
 */
#ifndef BENCH_SIGN_H
#define BENCH_SIGN_H

#include "utapi/status.h"
#include "utapi/string.h"

#include <stdint.h>

/** What is signed: a POST with the headers that bench_sign() makes, and a host. */
typedef struct bench_signing {
    const char *host;   /* value of the Host header */
    const char *target; /* "/buckets?Action=ListMetrics" */
    utapi_string body;
    const char *access_key, *secret_key;
    int64_t now_ms; /* wall clock */
} bench_signing;

enum { BENCH_SIGNED_MAX = 1024 };

/** Writes the headers x-amz-date, x-amz-content-sha256 and Authorization, each with its CRLF, and a NUL. */
UTAPI_MUST_USE utapi_status bench_sign(const bench_signing *signing, char ret[BENCH_SIGNED_MAX],
                                       utapi_error *err);

#endif
