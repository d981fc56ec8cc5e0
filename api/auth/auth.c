/* SPDX-License-Identifier: Apache-2.0 */
/*
 * auth.c - the checks on a signed request, in the order of docs/authentication.md#signature-checks: the first
 * failure is the answer. The document says where ours differ from Utapi's.
 *
 * Each check is a function that reads the attempt and fills what later ones need; checks[] is their order.
 */
#include "auth/auth.h"
#include "auth/key_cache.h"
#include "auth/sigv4.h"
#include "auth/timestamp.h"
#include "utapi/scoped.h"

#include <stdlib.h>
#include <string.h>

#define SERVICE     "s3"
#define MAX_SKEW_MS (INT64_C(15) * 60 * 1000)
#define DAY_MS      (INT64_C(24) * 3600 * 1000)

#define STREAMING_PAYLOAD "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
#define UNSIGNED_PAYLOAD  "UNSIGNED-PAYLOAD"
#define EMPTY_HASH        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" /* of an empty body */

struct auth {
    const identity *identity;
    auth_payload_rule rule;
    key_cache *signing_keys;
};

/* A request on its way through the checks. */
typedef struct auth_attempt {
    const auth *self;
    const http_request *request;
    int64_t now_ms;
    utapi_string payload_hash; /* as the client tells it */
    sigv4_authorization authorization;
    sigv4_signed_headers signed_headers;
    timestamp time;
    sigv4_credential credential;
    const identity_key *key;
} auth_attempt;

/* HTTP_OK: go on. Otherwise failure is filled, and it is the answer. */
typedef http_error auth_check_fn(auth_attempt *attempt, http_failure *failure);

static void done_text(utapi_text *text)
{
    utapi_text_done(text);
}
#define AUTO_TEXT __attribute__((cleanup(done_text))) utapi_text

static bool has_prefix(utapi_string text, const char *prefix)
{
    return text.size >= strlen(prefix) && memcmp(text.data, prefix, strlen(prefix)) == 0;
}

static bool is_text(utapi_string text, const char *expected)
{
    return utapi_string_equal(text, utapi_string_of(expected));
}

static http_error check_scheme(auth_attempt *attempt, http_failure *failure)
{
    if (!has_prefix(http_request_header(attempt->request, "authorization"), "AWS4"))
        return http_fail(failure, HTTP_INVALID_REQUEST, NULL);
    return HTTP_OK;
}

static bool is_token_byte(char byte)
{
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') ||
           byte == '/' || byte == '+' || byte == '=';
}

/* A session token's form is checked; tokens themselves mean nothing here. */
static http_error check_token(auth_attempt *attempt, http_failure *failure)
{
    const utapi_string token = http_request_header(attempt->request, "x-amz-security-token");
    for (size_t i = 0; i < token.size; i++) {
        if (!is_token_byte(token.data[i]))
            return http_fail(failure, HTTP_INVALID_TOKEN, NULL);
    }
    return HTTP_OK;
}

static http_error check_form(auth_attempt *attempt, http_failure *failure)
{
    const utapi_string header = http_request_header(attempt->request, "authorization");
    if (!sigv4_parse(header, &attempt->authorization))
        return http_fail(failure, HTTP_INVALID_ARGUMENT, NULL);
    if (!sigv4_parse_signed_headers(attempt->authorization.signed_headers, &attempt->signed_headers))
        return http_fail(failure, HTTP_INVALID_ARGUMENT, "SignedHeaders: more than %d names",
                         SIGV4_SIGNED_HEADERS_MAX);
    return HTTP_OK;
}

static http_error check_payload_header(auth_attempt *attempt, http_failure *failure)
{
    attempt->payload_hash = http_request_header(attempt->request, "x-amz-content-sha256");
    if (attempt->payload_hash.size == 0)
        return http_fail(failure, HTTP_MISSING_SECURITY_HEADER, NULL);
    if (is_text(attempt->payload_hash, STREAMING_PAYLOAD))
        return http_fail(failure, HTTP_INVALID_ARGUMENT, NULL);
    return HTTP_OK;
}

static bool must_be_signed(utapi_string name)
{
    static const char *const prefixes[] = {"x-amz-", "x-scal-"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        const utapi_string prefix = utapi_string_of(prefixes[i]);
        if (name.size >= prefix.size && sigv4_name_equal((utapi_string){name.data, prefix.size}, prefix))
            return true;
    }
    return false;
}

static http_error check_signed_headers(auth_attempt *attempt, http_failure *failure)
{
    bool complete = sigv4_is_signed(&attempt->signed_headers, utapi_string_of("host"));
    for (size_t i = 0; complete && i < attempt->request->header_count; i++) {
        const utapi_string name = attempt->request->headers[i].name;
        complete = !must_be_signed(name) || sigv4_is_signed(&attempt->signed_headers, name);
    }
    return complete ? HTTP_OK : http_fail(failure, HTTP_ACCESS_DENIED, NULL);
}

/* x-amz-date wins over Date, and is never of the epoch's first day. */
static http_error check_date(auth_attempt *attempt, http_failure *failure)
{
    const utapi_string amz_date = http_request_header(attempt->request, "x-amz-date");
    const utapi_string date = http_request_header(attempt->request, "date");
    const bool valid = amz_date.size > 0
                           ? timestamp_parse_amz(amz_date, &attempt->time) && attempt->time.time_ms >= DAY_MS
                           : timestamp_parse_date(date, &attempt->time);
    return valid ? HTTP_OK : http_fail(failure, HTTP_INVALID_DATE, NULL);
}

/* Any region will do. */
static http_error check_scope(auth_attempt *attempt, http_failure *failure)
{
    sigv4_credential *credential = &attempt->credential;
    if (!sigv4_parse_credential(attempt->authorization.credential, credential))
        return http_fail(failure, HTTP_INVALID_ARGUMENT, NULL);
    if (!utapi_string_equal(credential->date, timestamp_day(&attempt->time)))
        return http_fail(failure, HTTP_REQUEST_TIME_TOO_SKEWED, NULL);
    if (!is_text(credential->service, SERVICE) || !is_text(credential->terminator, SIGV4_TERMINATOR))
        return http_fail(failure, HTTP_INVALID_ARGUMENT, NULL);
    return HTTP_OK;
}

static http_error check_skew(auth_attempt *attempt, http_failure *failure)
{
    const int64_t time_ms = attempt->time.time_ms;
    if (time_ms > attempt->now_ms + MAX_SKEW_MS || time_ms < attempt->now_ms - MAX_SKEW_MS)
        return http_fail(failure, HTTP_REQUEST_TIME_TOO_SKEWED, NULL);
    return HTTP_OK;
}

static http_error check_signature_is_given(auth_attempt *attempt, http_failure *failure)
{
    if (attempt->authorization.signature.size == 0)
        return http_fail(failure, HTTP_INVALID_ARGUMENT, NULL);
    return HTTP_OK;
}

static http_error check_key(auth_attempt *attempt, http_failure *failure)
{
    attempt->key = identity_find_key(attempt->self->identity, attempt->credential.access);
    return attempt->key != NULL ? HTTP_OK : http_fail(failure, HTTP_INVALID_ACCESS_KEY_ID, NULL);
}

/* The signature that the request should have. False if out of memory. */
static bool sign_again(const auth_attempt *attempt, const unsigned char signing_key[CRYPTO_HASH_BYTES],
                       char ret[CRYPTO_HEX_BYTES + 1])
{
    AUTO_TEXT canonical = {0};
    AUTO_TEXT to_sign = {0};
    sigv4_canonical_request(attempt->request, &attempt->signed_headers, attempt->payload_hash,
                            SIGV4_PATH_AS_IS, &canonical);
    return !canonical.failed &&
           sigv4_string_to_sign(utapi_string_of(attempt->time.text), attempt->credential.scope,
                                utapi_text_view(&canonical), &to_sign) &&
           sigv4_signature(signing_key, utapi_text_view(&to_sign), ret);
}

static http_error check_signature(auth_attempt *attempt, http_failure *failure)
{
    const sigv4_credential *credential = &attempt->credential;
    const key_cache_scope scope = {attempt->key, credential->date, credential->region};
    unsigned char signing_key[CRYPTO_HASH_BYTES];
    const bool known = key_cache_get(attempt->self->signing_keys, &scope, signing_key);
    char expected[CRYPTO_HEX_BYTES + 1];
    http_error error = HTTP_OK;

    if ((!known && !sigv4_signing_key(attempt->key->secret, credential->date, credential->region,
                                      credential->service, signing_key)) ||
        !sign_again(attempt, signing_key, expected))
        error = http_fail(failure, HTTP_INTERNAL_ERROR, NULL);
    else if (!sigv4_signature_equal(expected, attempt->authorization.signature))
        error = http_fail(failure, HTTP_SIGNATURE_DOES_NOT_MATCH, NULL);
    else if (!known)
        key_cache_put(attempt->self->signing_keys, &scope, signing_key);
    crypto_wipe(signing_key, sizeof signing_key);
    return error;
}

/* Whether the client signed no body: it says so, or sent the hash of nothing or of its query instead. */
static bool is_bodiless(const auth_attempt *attempt)
{
    if (is_text(attempt->payload_hash, UNSIGNED_PAYLOAD) ||
        sigv4_name_equal(attempt->payload_hash, utapi_string_of(EMPTY_HASH)))
        return true;
    AUTO_TEXT query = {0};
    char hash[CRYPTO_HEX_BYTES + 1];
    sigv4_canonical_query(attempt->request->query, &query);
    return !query.failed && crypto_sha256_hex(utapi_text_view(&query), hash) &&
           sigv4_name_equal(attempt->payload_hash, utapi_string_of(hash));
}

static http_error check_payload(auth_attempt *attempt, http_failure *failure)
{
    char hash[CRYPTO_HEX_BYTES + 1];
    if (!crypto_sha256_hex(attempt->request->body, hash))
        return http_fail(failure, HTTP_INTERNAL_ERROR, NULL);
    if (sigv4_name_equal(attempt->payload_hash, utapi_string_of(hash))) /* hex of either case */
        return HTTP_OK;
    if (!is_bodiless(attempt))
        return http_fail(failure, HTTP_PAYLOAD_HASH_MISMATCH, NULL);
    if (attempt->self->rule == AUTH_PAYLOAD_COMPATIBLE)
        return HTTP_OK;
    return http_fail(failure, HTTP_PAYLOAD_HASH_MISMATCH,
                     "The provided 'x-amz-content-sha256' header does not cover the body. Sign the body's "
                     "SHA-256, or let the server's configuration say auth.payloadHash: \"compatible\".");
}

static auth_check_fn *const checks[] = {
    check_scheme,    check_token,   check_form, check_payload_header,     check_signed_headers,
    check_date,      check_scope,   check_skew, check_signature_is_given, check_key,
    check_signature, check_payload,
};

utapi_status auth_new(const identity *known, auth_payload_rule rule, auth **ret, utapi_error *err)
{
    auth *self = calloc(1, sizeof *self);
    if (self == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "auth");
    self->identity = known;
    self->rule = rule;
    self->signing_keys = key_cache_new();
    if (self->signing_keys == NULL) {
        auth_free(self);
        return utapi_fail(err, UTAPI_NO_MEMORY, "auth");
    }
    *ret = self;
    return UTAPI_OK;
}

void auth_free(auth *self)
{
    if (self == NULL)
        return;
    key_cache_free(self->signing_keys);
    free(self);
}

http_error auth_verify(auth *self, const http_request *request, int64_t now_ms, const identity_key **ret_key,
                       http_failure *failure)
{
    auth_attempt attempt = {.self = self, .request = request, .now_ms = now_ms};
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        const http_error error = checks[i](&attempt, failure);
        if (error != HTTP_OK)
            return error;
    }
    *ret_key = attempt.key;
    return HTTP_OK;
}
