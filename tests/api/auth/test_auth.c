/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_auth.c - each rule of docs/authentication.md#signature-checks, on requests signed here.
 *
 * A row of trials[] says what is unusual about a request and what must be answered; the rows stand in the order
 * of the checks. Everything that a row leaves out is as a well-behaved client has it.
 */
#include "auth/auth.h"
#include "authdata.h"
#include "check.h"
#include "sign.h"

#include <string.h>

#define NOW_MS  INT64_C(1795441850000) /* 2026-11-23T13:50:50Z */
#define MINUTE  INT64_C(60000)
#define HOST    "127.0.0.1:8100"
#define TARGET  "/buckets?Action=ListMetrics"
#define BODY    "{\"buckets\":[\"foo\"],\"timeRange\":[1795437900000,1795441499999]}"
#define EMPTY   "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define BODY_UP "92CF74103177EE849E052F03F0EB6C5BB4BD9BD48E52B917E70B551D5395CD72"
/* SHA-256 of "Action=ListMetrics&Version=20160815" */
#define QUERY_HASH "165795b84c6e114597a336fd5b0c7682a38c821f3e7b311fe854a5a4703c60c6"
#define SCOPE      "accessKey1/20261123/us-east-1/s3/aws4_request"
#define NAMES      "host;x-amz-content-sha256;x-amz-date"
#define FIELDS     "Credential=" SCOPE ", SignedHeaders=" NAMES ", Signature=deadbeef"

#define HEADERS_MAX 8

typedef struct name_value {
    const char *name;
    const char *value;
} name_value;

typedef struct auth_trial {
    const char *name;
    http_error expected;
    bool without_authorization;
    bool without_payload_hash; /* x-amz-content-sha256 is neither signed nor sent */
    bool compatible;           /* auth.payloadHash: "compatible" */
    const char *message;       /* NULL: the error's own */
    const char *target;        /* NULL: TARGET */
    const char *body;          /* NULL: BODY */
    name_value headers[4];     /* besides Host; signed */
    name_value late[2];        /* added after signing */
    const char *late_target;   /* sent instead of the signed one */
    const char *late_body;     /* sent instead of the signed one */
    const char *authorization; /* sent instead of the right one */
    int64_t clock_ms;          /* the client's clock, against ours */
    sign_options sign;         /* access, secret and now_ms are filled in where they are not set */
} auth_trial;

#define DATE_MESSAGE "Authentication requires a valid Date or x-amz-date header"
#define NO_BODY_MESSAGE                                                                                    \
    "The provided 'x-amz-content-sha256' header does not cover the body. Sign the body's SHA-256, or let " \
    "the server's configuration say auth.payloadHash: \"compatible\"."

static const auth_trial trials[] = {
    {.name = "a request that is signed well is accepted", .expected = HTTP_OK},
    {"another account's key is as good", HTTP_OK,
     .sign = {.access = "accessKey2", .secret = "verySecretKey2"}},

    /* 1: the scheme */
    {"without an Authorization header: V4 is asked for", HTTP_INVALID_REQUEST, .without_authorization = true},
    {"an empty Authorization header is none", HTTP_INVALID_REQUEST, .authorization = ""},
    {"V2 is not accepted", HTTP_INVALID_REQUEST, .authorization = "AWS accessKey1:abcdef"},
    {"Basic is not accepted", HTTP_INVALID_REQUEST, .authorization = "Basic Zm9vOmJhcg=="},
    {"the scheme's case counts", HTTP_INVALID_REQUEST, .authorization = "aws4-hmac-sha256 x"},
    {"a missing header is told before a bad token", HTTP_INVALID_REQUEST, .without_authorization = true,
     .headers = {{"x-amz-security-token", "-"}}},

    /* 2: the session token */
    {"a session token has letters, digits, / + and =", HTTP_INVALID_TOKEN,
     .headers = {{"x-amz-security-token", "bad token!"}}},
    {"a bad token is told before a bad header", HTTP_INVALID_TOKEN, .authorization = "AWS4",
     .headers = {{"x-amz-security-token", "-"}}},
    {"a session token of the right form means nothing", HTTP_OK,
     .headers = {{"x-amz-security-token", "aZ0/+="}}},
    {"an empty session token is of the right form", HTTP_OK, .headers = {{"x-amz-security-token", ""}}},

    /* 3: the form of the header */
    {"the scheme alone is not enough", HTTP_INVALID_ARGUMENT, .authorization = "AWS4"},
    {"commas are not fields", HTTP_INVALID_ARGUMENT, .authorization = "AWS4-HMAC-SHA256 ,,"},
    {"SHA-512 is not accepted", HTTP_INVALID_ARGUMENT, .authorization = "AWS4-HMAC-SHA512 " FIELDS},
    {"the algorithm must be named", HTTP_INVALID_ARGUMENT, .authorization = "AWS4 " FIELDS},
    {"fields have an order", HTTP_INVALID_ARGUMENT,
     .authorization = "AWS4-HMAC-SHA256 Signature=aa, Credential=" SCOPE ", SignedHeaders=host"},
    {"a credential has a slash", HTTP_INVALID_ARGUMENT,
     .authorization = "AWS4-HMAC-SHA256 Credential=accessKey1, SignedHeaders=" NAMES ", Signature=aa"},
    {"a bad header is told before a missing hash", HTTP_INVALID_ARGUMENT,
     .authorization = "AWS4-HMAC-SHA256 x", .without_payload_hash = true},

    /* 4, 5: the payload's hash is there, and of a kind */
    {"the payload's hash must be there", HTTP_MISSING_SECURITY_HEADER, .without_payload_hash = true},
    {"an empty hash is none", HTTP_MISSING_SECURITY_HEADER, .headers = {{"x-amz-content-sha256", ""}}},
    {"streaming is not accepted", HTTP_INVALID_ARGUMENT,
     .headers = {{"x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}}},
    {"a missing hash is told before an unsigned header", HTTP_MISSING_SECURITY_HEADER,
     .without_payload_hash = true, .late = {{"x-scal-foo", "bar"}}},

    /* 6: the signed headers */
    {"host must be signed", HTTP_ACCESS_DENIED,
     .sign = {.signed_headers = "x-amz-content-sha256;x-amz-date"}},
    {"no header signed: host is missing", HTTP_ACCESS_DENIED, .sign = {.signed_headers = ""}},
    {"x-amz-date must be signed", HTTP_ACCESS_DENIED,
     .sign = {.signed_headers = "host;x-amz-content-sha256"}},
    {"every x-amz- header must be signed", HTTP_ACCESS_DENIED, .late = {{"X-Amz-Foo", "bar"}}},
    {"every x-scal- header must be signed", HTTP_ACCESS_DENIED, .late = {{"x-scal-foo", "bar"}}},
    {"a signed x-scal- header is fine", HTTP_OK, .headers = {{"x-scal-foo", "bar"}}},
    {"a header of another name need not be signed", HTTP_OK, .late = {{"x-amazon", "bar"}, {"x-am", ""}}},
    {"the list may be unsorted", HTTP_OK, .sign = {.signed_headers = "x-amz-date;host;x-amz-content-sha256"}},
    {"an unsigned header is told before a bad date", HTTP_ACCESS_DENIED, .late = {{"x-scal-foo", "bar"}},
     .headers = {{"x-amz-date", "garbage"}}},

    /* 7: the date */
    {"x-amz-date must be a date", HTTP_INVALID_DATE, .message = DATE_MESSAGE,
     .sign = {.timestamp = "garbage"}},
    {"x-amz-date has a T", HTTP_INVALID_DATE, .message = DATE_MESSAGE,
     .sign = {.timestamp = "20261123 135050Z"}},
    {"x-amz-date has digits", HTTP_INVALID_DATE, .message = DATE_MESSAGE,
     .sign = {.timestamp = "20261123Txx0000Z"}},
    {"x-amz-date exists", HTTP_INVALID_DATE, .message = DATE_MESSAGE,
     .sign = {.timestamp = "20261131T135050Z"}},
    {"the epoch's first day is no date", HTTP_INVALID_DATE, .message = DATE_MESSAGE,
     .sign = {.timestamp = "19700101T000000Z"}},
    {"the day after it is one, and long ago", HTTP_REQUEST_TIME_TOO_SKEWED,
     .sign = {.timestamp = "19700102T000000Z"}},
    {"some date must be there", HTTP_INVALID_DATE, .message = DATE_MESSAGE, .headers = {{"date", ""}}},
    {"a Date that cannot be read is refused", HTTP_INVALID_DATE, .message = DATE_MESSAGE,
     .headers = {{"date", "garbage"}}},
    {"a Date will do", HTTP_OK, .headers = {{"Date", "Mon, 23 Nov 2026 13:50:50 GMT"}}},
    {"a Date of RFC 850 will do", HTTP_OK, .headers = {{"Date", "Monday, 23-Nov-26 13:50:50 GMT"}}},
    {"a Date of asctime will do", HTTP_OK, .headers = {{"Date", "Mon Nov 23 13:50:50 2026"}}},
    {"a Date of ISO 8601 will do", HTTP_OK, .headers = {{"Date", "20261123T135050Z"}}},
    {"an empty x-amz-date gives way to Date", HTTP_OK,
     .headers = {{"x-amz-date", ""}, {"Date", "Mon, 23 Nov 2026 13:50:50 GMT"}}},
    {"x-amz-date wins over Date", HTTP_OK,
     .headers = {{"x-amz-date", "20261123T135050Z"}, {"Date", "Mon, 23 Nov 2020 13:50:50 GMT"}}},
    {"a bad date is told before a bad credential", HTTP_INVALID_DATE,
     .sign = {.access = "", .timestamp = "garbage"}},

    /* 8: the credential */
    {"a credential has more than four parts", HTTP_INVALID_ARGUMENT,
     .authorization = "AWS4-HMAC-SHA256 Credential=accessKey1/20261123/us-east-1/s3, SignedHeaders=" NAMES
                      ", Signature=aa"},
    {"a credential has fewer than six parts", HTTP_INVALID_ARGUMENT,
     .authorization = "AWS4-HMAC-SHA256 Credential=" SCOPE "/x, SignedHeaders=" NAMES ", Signature=aa"},
    {"an access key ID is not empty", HTTP_INVALID_ARGUMENT, .sign = {.access = ""}},

    /* 9, 10, 11: the scope */
    {"the scope's date is the request's", HTTP_REQUEST_TIME_TOO_SKEWED, .sign = {.scope_date = "20200101"}},
    {"the scope's date is whole", HTTP_REQUEST_TIME_TOO_SKEWED, .sign = {.scope_date = "2026"}},
    {"the scope's date is told before its service", HTTP_REQUEST_TIME_TOO_SKEWED,
     .sign = {.scope_date = "20200101", .service = "utapi"}},
    {"any region will do", HTTP_OK, .sign = {.region = "eu-west-3"}},
    {"a region may be empty", HTTP_OK, .sign = {.region = ""}},
    {"a region may be long", HTTP_OK,
     .sign = {.region = "a-region-whose-name-is-longer-than-what-is-kept-of-keys"}},
    {"service utapi is not accepted", HTTP_INVALID_ARGUMENT, .sign = {.service = "utapi"}},
    {"service iam is not accepted", HTTP_INVALID_ARGUMENT, .sign = {.service = "iam"}},
    {"service ring is not accepted", HTTP_INVALID_ARGUMENT, .sign = {.service = "ring"}},
    {"service sts is not accepted", HTTP_INVALID_ARGUMENT, .sign = {.service = "sts"}},
    {"a scope ends with aws4_request", HTTP_INVALID_ARGUMENT, .sign = {.terminator = "aws3_request"}},
    {"a scope's end is told before a skew", HTTP_INVALID_ARGUMENT, .clock_ms = 16 * MINUTE,
     .sign = {.terminator = "aws3_request"}},

    /* 12: the clock */
    {"a clock may be 15 minutes behind", HTTP_OK, .clock_ms = -15 * MINUTE},
    {"a clock may be 15 minutes ahead", HTTP_OK, .clock_ms = 15 * MINUTE},
    {"a clock is not further behind", HTTP_REQUEST_TIME_TOO_SKEWED, .clock_ms = -15 * MINUTE - 1000},
    {"a clock is not further ahead", HTTP_REQUEST_TIME_TOO_SKEWED, .clock_ms = 15 * MINUTE + 1000},
    {"yesterday is too late", HTTP_REQUEST_TIME_TOO_SKEWED, .clock_ms = INT64_C(-24) * 60 * MINUTE},
    {"a skew is told before an empty signature", HTTP_REQUEST_TIME_TOO_SKEWED, .clock_ms = 16 * MINUTE,
     .authorization = "AWS4-HMAC-SHA256 Credential=" SCOPE ", SignedHeaders=" NAMES ", Signature="},

    /* 13: proxy_path means nothing here */
    {"proxy_path changes nothing", HTTP_OK, .late = {{"proxy_path", "/prefix/buckets"}}},
    {"proxy_path may be anything", HTTP_OK, .late = {{"proxy_path", "/%zz"}}},
    {"proxy_path does not replace the path", HTTP_SIGNATURE_DOES_NOT_MATCH, .target = "/prefix" TARGET,
     .late_target = TARGET, .late = {{"proxy_path", "/prefix/buckets"}}},

    /* 14, 15: a signature, and somebody's */
    {"a signature is not empty", HTTP_INVALID_ARGUMENT,
     .authorization = "AWS4-HMAC-SHA256 Credential=" SCOPE ", SignedHeaders=" NAMES ", Signature="},
    {"an access key ID must be known", HTTP_INVALID_ACCESS_KEY_ID, .sign = {.access = "nosuchkey"}},
    {"a skew is told before an unknown key", HTTP_REQUEST_TIME_TOO_SKEWED, .clock_ms = 16 * MINUTE,
     .sign = {.access = "nosuchkey"}},
    {"an empty signature is told before an unknown key", HTTP_INVALID_ARGUMENT,
     .authorization =
         "AWS4-HMAC-SHA256 Credential=nosuchkey/20261123/us-east-1/s3/aws4_request, SignedHeaders=" NAMES
         ", Signature="},

    /* 16: the signature */
    {"another secret does not match", HTTP_SIGNATURE_DOES_NOT_MATCH, .sign = {.secret = "notTheSecret"}},
    {"a short signature does not match", HTTP_SIGNATURE_DOES_NOT_MATCH,
     .authorization = "AWS4-HMAC-SHA256 " FIELDS},
    {"a key derived for another service does not match", HTTP_SIGNATURE_DOES_NOT_MATCH,
     .sign = {.key_service = "utapi"}},
    {"a query is signed", HTTP_SIGNATURE_DOES_NOT_MATCH, .late_target = TARGET "&foo=bar"},
    {"a path is signed", HTTP_SIGNATURE_DOES_NOT_MATCH, .late_target = "/accounts?Action=ListMetrics"},
    {"a parameter of any kind may be signed", HTTP_OK, .target = TARGET "&foo=b%20r%2A"},
    {"a parameter may be spelled in another way", HTTP_OK, .target = TARGET "&foo=b%20r%2A",
     .late_target = "/buckets?foo=b+r*&Action=List%4Detrics"},
    {"a header that is signed must be sent", HTTP_SIGNATURE_DOES_NOT_MATCH,
     .authorization = "AWS4-HMAC-SHA256 Credential=" SCOPE
                      ", SignedHeaders=host;nosuch;x-amz-content-sha256;x-amz-date, Signature="
                      "fcad332d15ae9e05cd9c933a8f89f0f75ad5d72fbc973606c1a4821f94396482"},
    {"a repeated header is signed whole", HTTP_OK, .headers = {{"x-amz-a", "b"}, {"x-amz-a", "a"}}},
    {"a repetition that is not signed does not match", HTTP_SIGNATURE_DOES_NOT_MATCH,
     .headers = {{"x-amz-a", "b"}}, .late = {{"x-amz-a", "a"}}},

    /* The payload's hash is the body's. */
    {"a hash may be in capitals", HTTP_OK, .headers = {{"x-amz-content-sha256", BODY_UP}}},
    {"an empty body has a hash too", HTTP_OK, .body = ""},
    {"another body does not match its hash", HTTP_PAYLOAD_HASH_MISMATCH, .late_body = "{}"},
    {"the empty body's hash is refused, and the setting named", HTTP_PAYLOAD_HASH_MISMATCH,
     .message = NO_BODY_MESSAGE, .sign = {.payload_hash = EMPTY}},
    {"garbage does not match", HTTP_PAYLOAD_HASH_MISMATCH, .sign = {.payload_hash = "garbage"}},
    {"an unsigned payload is refused, and the setting named", HTTP_PAYLOAD_HASH_MISMATCH,
     .message = NO_BODY_MESSAGE, .sign = {.payload_hash = "UNSIGNED-PAYLOAD"}},
    {"the query's hash is refused, and the setting named", HTTP_PAYLOAD_HASH_MISMATCH,
     .message = NO_BODY_MESSAGE, .target = "/buckets?Version=20160815&Action=ListMetrics",
     .sign = {.payload_hash = QUERY_HASH}},
    {"a bad signature is told before a bad hash", HTTP_SIGNATURE_DOES_NOT_MATCH,
     .sign = {.secret = "notTheSecret", .payload_hash = "garbage"}},
    {"compatible: an unsigned payload is accepted", HTTP_OK, .compatible = true,
     .sign = {.payload_hash = "UNSIGNED-PAYLOAD"}},
    {"compatible: the query's hash is accepted", HTTP_OK, .compatible = true,
     .target = "/buckets?Version=20160815&Action=ListMetrics", .sign = {.payload_hash = QUERY_HASH}},
    {"compatible: the empty body's hash is accepted", HTTP_OK, .compatible = true,
     .sign = {.payload_hash = EMPTY}},
    {"compatible: the body's hash is accepted", HTTP_OK, .compatible = true},
    {"compatible: garbage does not match", HTTP_PAYLOAD_HASH_MISMATCH, .compatible = true,
     .sign = {.payload_hash = "garbage"}},
    {"compatible: another body does not match its hash", HTTP_PAYLOAD_HASH_MISMATCH, .compatible = true,
     .late_body = "{}"},
};

#define TRIALS (sizeof trials / sizeof *trials)

static utapi_string text_or(const char *given, const char *otherwise)
{
    return utapi_string_of(given != NULL ? given : otherwise);
}

static size_t add_headers(http_header *to, const name_value *headers, size_t count)
{
    size_t added = 0;
    for (size_t i = 0; i < count && headers[i].name != NULL; i++)
        to[added++] = (http_header){utapi_string_of(headers[i].name), utapi_string_of(headers[i].value)};
    return added;
}

static sign_options options_of(const auth_trial *trial)
{
    sign_options options = trial->sign;
    options.access = options.access != NULL ? options.access : "accessKey1";
    options.secret = options.secret != NULL ? options.secret : "verySecretKey1";
    options.now_ms = NOW_MS + trial->clock_ms;
    return options;
}

static void drop_header(signed_request *from, const char *name)
{
    size_t kept = 0;
    for (size_t i = 0; i < from->request.header_count; i++) {
        if (!sigv4_name_equal(from->headers[i].name, utapi_string_of(name)))
            from->headers[kept++] = from->headers[i];
    }
    from->request.header_count = kept;
}

/* What happens to a request after it was signed. */
static void spoil(signed_request *sent, const auth_trial *trial)
{
    if (trial->without_authorization || trial->authorization != NULL)
        drop_header(sent, "authorization");
    if (trial->authorization != NULL)
        sent->headers[sent->request.header_count++] =
            (http_header){utapi_string_of("authorization"), utapi_string_of(trial->authorization)};
    if (trial->without_payload_hash)
        drop_header(sent, "x-amz-content-sha256");
    sent->request.header_count += add_headers(sent->headers + sent->request.header_count, trial->late, 2);
    if (trial->late_target != NULL)
        http_request_set_target(&sent->request, utapi_string_of(trial->late_target));
    if (trial->late_body != NULL)
        sent->request.body = utapi_string_of(trial->late_body);
}

static void is_answered_as_the_rules_say(void **state)
{
    const auth_trial *trial = *state;
    http_header headers[HEADERS_MAX] = {{utapi_string_of("Host"), utapi_string_of(HOST)}};
    http_request plain = {
        .method = utapi_string_of("POST"), .headers = headers, .body = text_or(trial->body, BODY)};
    plain.header_count = 1 + add_headers(headers + 1, trial->headers, 4);
    http_request_set_target(&plain, text_or(trial->target, TARGET));
    const sign_options options = options_of(trial);
    signed_request sent;
    sign_request(&sent, &plain, &options);
    spoil(&sent, trial);

    identity *known = authdata_new();
    auth *auth_ = NULL;
    utapi_error err = {0};
    CHECK_OK(auth_new(known, trial->compatible ? AUTH_PAYLOAD_COMPATIBLE : AUTH_PAYLOAD_STRICT, &auth_, &err),
             &err);
    for (int round = 0; round < 2; round++) { /* again, with what is cached by now */
        const identity_key *key = NULL;
        http_failure failure = {.error = HTTP_OK};
        assert_int_equal(auth_verify(auth_, &sent.request, NOW_MS, &key, &failure), trial->expected);
        assert_int_equal(failure.error, trial->expected);
        if (trial->expected == HTTP_OK)
            assert_true(utapi_string_equal(key->access, utapi_string_of(options.access)));
        else
            assert_null(key);
        if (trial->message != NULL)
            assert_string_equal(http_failure_message(&failure), trial->message);
    }
    auth_free(auth_);
    identity_free(known);
    signed_request_done(&sent);
}

static void without_identities_no_key_is_known(void **state)
{
    (void)state;
    const http_header host = {utapi_string_of("host"), utapi_string_of(HOST)};
    http_request plain = {.method = utapi_string_of("POST"), .headers = &host, .header_count = 1};
    http_request_set_target(&plain, utapi_string_of(TARGET));
    const sign_options options = {.access = "accessKey1", .secret = "verySecretKey1", .now_ms = NOW_MS};
    signed_request sent;
    sign_request(&sent, &plain, &options);
    identity *nobody = identity_new_empty();
    auth *auth_ = NULL;
    utapi_error err = {0};
    CHECK_OK(auth_new(nobody, AUTH_PAYLOAD_STRICT, &auth_, &err), &err);
    const identity_key *key = NULL;
    http_failure failure = {.error = HTTP_OK};
    assert_int_equal(auth_verify(auth_, &sent.request, NOW_MS, &key, &failure), HTTP_INVALID_ACCESS_KEY_ID);
    auth_free(auth_);
    auth_free(NULL);
    identity_free(nobody);
    signed_request_done(&sent);
}

static void a_request_without_anything_is_refused(void **state)
{
    (void)state;
    identity *known = authdata_new();
    auth *auth_ = NULL;
    utapi_error err = {0};
    CHECK_OK(auth_new(known, AUTH_PAYLOAD_STRICT, &auth_, &err), &err);
    const http_request nothing = {.path = {NULL, 0}};
    const identity_key *key = NULL;
    http_failure failure = {.error = HTTP_OK};
    assert_int_equal(auth_verify(auth_, &nothing, NOW_MS, &key, &failure), HTTP_INVALID_REQUEST);
    auth_free(auth_);
    identity_free(known);
}

int main(void)
{
    const struct CMUnitTest facts[] = {
        cmocka_unit_test(without_identities_no_key_is_known),
        cmocka_unit_test(a_request_without_anything_is_refused),
    };
    struct CMUnitTest rules[TRIALS];
    for (size_t i = 0; i < TRIALS; i++)
        rules[i] =
            (struct CMUnitTest){trials[i].name, is_answered_as_the_rules_say, NULL, NULL, (void *)&trials[i]};
    return cmocka_run_group_tests_name("auth", facts, NULL, NULL) +
           cmocka_run_group_tests_name("auth: rules", rules, NULL, NULL);
}
