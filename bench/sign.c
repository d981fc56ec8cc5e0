/* SPDX-License-Identifier: Apache-2.0 */
/* sign.c - signs one shape of request: POST, three signed headers, region us-east-1, service s3. */
#include "sign.h"

#include "auth/sigv4.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define SIGNED_HEADERS "host;x-amz-content-sha256;x-amz-date"
#define REGION         "us-east-1"
#define SERVICE        "s3"

typedef struct sign_parts {
    char time[24]; /* "20261123T135051Z" */
    char scope[64];
    char hash[CRYPTO_HEX_BYTES + 1];
    char signature[CRYPTO_HEX_BYTES + 1];
} sign_parts;

static bool parts_of_time(int64_t now_ms, sign_parts *ret)
{
    const time_t seconds = (time_t)(now_ms / 1000);
    struct tm parts;
    if (gmtime_r(&seconds, &parts) == NULL ||
        strftime(ret->time, sizeof ret->time, "%Y%m%dT%H%M%SZ", &parts) == 0)
        return false;
    (void)snprintf(ret->scope, sizeof ret->scope, "%.8s/" REGION "/" SERVICE "/" SIGV4_TERMINATOR, ret->time);
    return true;
}

static bool string_to_sign(const bench_signing *signing, const sign_parts *parts, utapi_text *ret)
{
    const http_header headers[] = {
        {utapi_string_of("host"), utapi_string_of(signing->host)},
        {utapi_string_of("x-amz-content-sha256"), utapi_string_of(parts->hash)},
        {utapi_string_of("x-amz-date"), utapi_string_of(parts->time)},
    };
    http_request request = {.method = utapi_string_of("POST"),
                            .headers = headers,
                            .header_count = sizeof headers / sizeof *headers,
                            .body = signing->body};
    sigv4_signed_headers names;
    utapi_text canonical = {0};
    http_request_set_target(&request, utapi_string_of(signing->target));
    bool is_done = sigv4_parse_signed_headers(utapi_string_of(SIGNED_HEADERS), &names);
    if (is_done)
        sigv4_canonical_request(&request, &names, utapi_string_of(parts->hash), SIGV4_PATH_AS_IS, &canonical);
    is_done = is_done && !canonical.failed &&
              sigv4_string_to_sign(utapi_string_of(parts->time), utapi_string_of(parts->scope),
                                   utapi_text_view(&canonical), ret);
    utapi_text_done(&canonical);
    return is_done;
}

static bool signature_make(const bench_signing *signing, sign_parts *parts)
{
    unsigned char key[CRYPTO_HASH_BYTES];
    utapi_text text = {0};
    const bool is_done =
        crypto_sha256_hex(signing->body, parts->hash) && string_to_sign(signing, parts, &text) &&
        sigv4_signing_key(utapi_string_of(signing->secret_key), (utapi_string){parts->time, 8},
                          utapi_string_of(REGION), utapi_string_of(SERVICE), key) &&
        sigv4_signature(key, utapi_text_view(&text), parts->signature);
    crypto_wipe(key, sizeof key);
    utapi_text_done(&text);
    return is_done;
}

utapi_status bench_sign(const bench_signing *signing, char ret[BENCH_SIGNED_MAX], utapi_error *err)
{
    sign_parts parts;
    if (!parts_of_time(signing->now_ms, &parts) || !signature_make(signing, &parts))
        return utapi_fail(err, UTAPI_NO_MEMORY, "signing a request");
    const int size = snprintf(ret, BENCH_SIGNED_MAX,
                              "x-amz-date: %s\r\nx-amz-content-sha256: %s\r\n"
                              "Authorization: " SIGV4_ALGORITHM
                              " Credential=%s/%s, SignedHeaders=" SIGNED_HEADERS ", Signature=%s\r\n",
                              parts.time, parts.hash, signing->access_key, parts.scope, parts.signature);
    if (size < 0 || size >= BENCH_SIGNED_MAX)
        return utapi_fail(err, UTAPI_INVALID, "the access key is too long");
    return UTAPI_OK;
}
