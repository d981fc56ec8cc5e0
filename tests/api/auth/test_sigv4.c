/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_sigv4.c - the stages one by one, and the cryptography under them, on what AWS's vectors leave out.
 */
#include "auth/sigv4.h"
#include "check.h"

#include <string.h>

static void assert_text(const char *expected, utapi_string actual)
{
    if (!utapi_string_equal(utapi_string_of(expected), actual))
        fail_msg("\"%.*s\", expected \"%s\"", (int)actual.size, actual.data, expected);
}

static void the_header_is_cut_into_its_fields(void **state)
{
    (void)state;
    sigv4_authorization got;
    assert_true(sigv4_parse(utapi_string_of("AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host;x-amz-date, "
                                            "Signature=0f"),
                            &got));
    assert_text("a/b", got.credential);
    assert_text("host;x-amz-date", got.signed_headers);
    assert_text("0f", got.signature);
}

static void fields_may_be_empty_padded_and_followed_by_others(void **state)
{
    (void)state;
    sigv4_authorization got;
    assert_true(sigv4_parse(
        utapi_string_of("AWS4-HMAC-SHA256   Credential=/ ,\tSignedHeaders=,Signature= , Signature=x"), &got));
    assert_text("/", got.credential);
    assert_text("", got.signed_headers);
    assert_text("", got.signature);
}

static void another_form_is_refused(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "",
        "AWS4",
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 ",
        "AWS4-HMAC-SHA256 ,,",
        "AWS4-HMAC-SHA512 Credential=a/b, SignedHeaders=host, Signature=0f",
        "AWS4 Credential=a/b, SignedHeaders=host, Signature=0f",
        "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host",
        "AWS4-HMAC-SHA256 Credential=ab, SignedHeaders=host, Signature=0f",
        "AWS4-HMAC-SHA256 credential=a/b, SignedHeaders=host, Signature=0f",
        "AWS4-HMAC-SHA256 Credential=a/b, Signature=0f, SignedHeaders=host",
        "AWS4-HMAC-SHA256 Signature=0f, Credential=a/b, SignedHeaders=host",
    };
    sigv4_authorization got;
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        if (sigv4_parse(utapi_string_of(headers[i]), &got))
            fail_msg("accepted: %s", headers[i]);
    }
    assert_false(sigv4_parse((utapi_string){NULL, 0}, &got));
}

static void a_credential_has_five_parts(void **state)
{
    (void)state;
    sigv4_credential got;
    assert_true(sigv4_parse_credential(utapi_string_of("key/20261123//s3/aws4_request"), &got));
    assert_text("key", got.access);
    assert_text("20261123", got.date);
    assert_text("", got.region);
    assert_text("s3", got.service);
    assert_text("aws4_request", got.terminator);
    assert_text("20261123//s3/aws4_request", got.scope);
    assert_false(sigv4_parse_credential(utapi_string_of("key/20261123/s3/aws4_request"), &got));
    assert_false(sigv4_parse_credential(utapi_string_of("key/20261123/r/s3/aws4_request/"), &got));
    assert_false(sigv4_parse_credential(utapi_string_of("/20261123/r/s3/aws4_request"), &got));
}

static void signed_headers_are_sorted(void **state)
{
    (void)state;
    sigv4_signed_headers got;
    assert_true(sigv4_parse_signed_headers(utapi_string_of("x-amz-date;host;x-amz-content-sha256"), &got));
    assert_int_equal(got.count, 3);
    assert_text("host", got.names[0]);
    assert_text("x-amz-content-sha256", got.names[1]);
    assert_text("x-amz-date", got.names[2]);
}

static void a_hundred_headers_may_be_signed(void **state)
{
    (void)state;
    char list[2 * SIGV4_SIGNED_HEADERS_MAX + 2];
    for (size_t i = 0; i < sizeof list; i++)
        list[i] = i % 2 == 0 ? 'a' : ';';
    sigv4_signed_headers got;
    assert_true(sigv4_parse_signed_headers((utapi_string){list, 2 * SIGV4_SIGNED_HEADERS_MAX - 1}, &got));
    assert_int_equal(got.count, SIGV4_SIGNED_HEADERS_MAX);
    assert_false(sigv4_parse_signed_headers((utapi_string){list, 2 * SIGV4_SIGNED_HEADERS_MAX + 1}, &got));
}

/* A raw query or path, and its canonical form. */
typedef struct pair {
    const char *raw;
    const char *canonical;
} pair;

static void a_query_is_decoded_once_sorted_and_encoded(void **state)
{
    (void)state;
    static const pair pairs[] = {
        {"", ""},
        {"Action=ListMetrics&Version=20160815", "Action=ListMetrics&Version=20160815"},
        {"b=1&a=2&a=1&a", "a=&a=1&a=2&b=1"},
        {"a-b=1&a=2", "a=2&a-b=1"}, /* by name first: '-' sorts before '=' */
        {"B=1&a=2", "B=1&a=2"},
        {"a=%7e%2a%c3%A9*", "a=~%2A%C3%A9%2A"},
        {"a=b+c%20d%2Be", "a=b%20c%20d%2Be"},
        {"a=%2525", "a=%2525"},
        {"a=%", "a=%25"},
        {"a=%4&b=%zz", "a=%254&b=%25zz"},
        {"&&a=1&&", "a=1"},
        {"=", "="},
        {"a=b=c", "a=b%3Dc"},
        {"a/b=/", "a%2Fb=%2F"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        utapi_text text = {0};
        sigv4_canonical_query(utapi_string_of(pairs[i].raw), &text);
        assert_false(text.failed);
        assert_text(pairs[i].canonical, utapi_text_view(&text));
        utapi_text_done(&text);
    }
}

/* The second line of a canonical request. */
static void assert_path(const char *expected, const char *raw, sigv4_path_rule rule)
{
    http_request request = {.method = utapi_string_of("GET")};
    const sigv4_signed_headers names = {.count = 0};
    utapi_text text = {0};
    http_request_set_target(&request, utapi_string_of(raw));
    sigv4_canonical_request(&request, &names, utapi_string_of("hash"), rule, &text);
    assert_false(text.failed);
    const char *path = text.data + strlen("GET\n");
    const char *end = memchr(path, '\n', text.size - strlen("GET\n"));
    assert_text(expected, (utapi_string){path, (size_t)(end - path)});
    utapi_text_done(&text);
}

static void s3_takes_a_path_as_it_is_and_encodes_once(void **state)
{
    (void)state;
    static const pair pairs[] = {
        {"/buckets?Action=x", "/buckets"},
        {"/a//b/./c/../", "/a//b/./c/../"},
        {"/a%20b%2fc%7E", "/a%20b%2Fc~"},
        {"/a b+c", "/a%20b%2Bc"},
        {"/100%", "/100%25"},
        {"http://host/a", "/a"},
        {"?a=b", "/"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        assert_path(pairs[i].canonical, pairs[i].raw, SIGV4_PATH_AS_IS);
}

static void other_services_normalize_and_encode_twice(void **state)
{
    (void)state;
    static const pair pairs[] = {
        {"/a//b/./c/../", "/a/b/"}, {"/..", "/"},           {"/a/../../b", "/b"},
        {"/a/..b/.", "/a/..b/"},    {"/a%20b", "/a%2520b"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        assert_path(pairs[i].canonical, pairs[i].raw, SIGV4_PATH_NORMALIZED);
}

static void header_values_are_trimmed_collapsed_and_joined(void **state)
{
    (void)state;
    const http_header headers[] = {
        {utapi_string_of("Host"), utapi_string_of(" localhost:8100\t")},
        {utapi_string_of("X-Amz-A"), utapi_string_of("b   c\r\n d")},
        {utapi_string_of("Other"), utapi_string_of("not signed")},
        {utapi_string_of("x-amz-a"), utapi_string_of("")},
        {utapi_string_of("x-amz-a"), utapi_string_of("a")},
        {utapi_string_of("Expect"), utapi_string_of("something else")},
    };
    http_request request = {.method = utapi_string_of("POST"), .headers = headers, .header_count = 6};
    sigv4_signed_headers names;
    utapi_text text = {0};
    http_request_set_target(&request, utapi_string_of("/?b&a"));
    assert_true(sigv4_parse_signed_headers(utapi_string_of("x-amz-a;host;expect;absent"), &names));
    sigv4_canonical_request(&request, &names, utapi_string_of("hash"), SIGV4_PATH_AS_IS, &text);
    assert_text("POST\n/\na=&b=\nabsent:\nexpect:100-continue\nhost:localhost:8100\nx-amz-a:b c d,,a\n\n"
                "absent;expect;host;x-amz-a\nhash",
                utapi_text_view(&text));
    utapi_text_done(&text);
}

static void a_string_to_sign_holds_the_hash_of_the_request(void **state)
{
    (void)state;
    utapi_text text = {0};
    assert_true(sigv4_string_to_sign(utapi_string_of("20261123T135051Z"),
                                     utapi_string_of("20261123/r/s3/aws4_request"), utapi_string_of(""),
                                     &text));
    assert_text("AWS4-HMAC-SHA256\n20261123T135051Z\n20261123/r/s3/aws4_request\n"
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                utapi_text_view(&text));
    utapi_text_done(&text);
}

static void a_secret_has_a_longest_form(void **state)
{
    (void)state;
    char secret[SIGV4_SECRET_MAX + 1];
    memset(secret, 's', sizeof secret);
    unsigned char key[CRYPTO_HASH_BYTES];
    const utapi_string word = utapi_string_of("x");
    assert_true(sigv4_signing_key((utapi_string){secret, SIGV4_SECRET_MAX}, word, word, word, key));
    assert_false(sigv4_signing_key((utapi_string){secret, SIGV4_SECRET_MAX + 1}, word, word, word, key));
}

static void signatures_are_compared_whole(void **state)
{
    (void)state;
    char computed[CRYPTO_HEX_BYTES + 1];
    assert_true(crypto_sha256_hex(utapi_string_of("a"), computed));
    char given[CRYPTO_HEX_BYTES + 1];
    memcpy(given, computed, sizeof given);
    assert_true(sigv4_signature_equal(computed, utapi_string_of(given)));
    assert_false(sigv4_signature_equal(computed, (utapi_string){given, CRYPTO_HEX_BYTES - 1}));
    assert_false(sigv4_signature_equal(computed, (utapi_string){NULL, 0}));
    given[CRYPTO_HEX_BYTES - 1] ^= 1;
    assert_false(sigv4_signature_equal(computed, utapi_string_of(given)));
}

/* RFC 4231, cases 1 and 2: the context is keyed anew each time. */
static void hmac_agrees_with_its_rfc(void **state)
{
    (void)state;
    unsigned char key[20];
    memset(key, 0x0b, sizeof key);
    unsigned char hash[CRYPTO_HASH_BYTES];
    char hex[CRYPTO_HEX_BYTES + 1];
    for (int round = 0; round < 2; round++) {
        assert_true(crypto_hmac(key, sizeof key, utapi_string_of("Hi There"), hash));
        crypto_hex(hash, hex);
        assert_string_equal(hex, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
        assert_true(crypto_hmac("Jefe", 4, utapi_string_of("what do ya want for nothing?"), hash));
        crypto_hex(hash, hex);
        assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }
}

/* FIPS 180-4's own examples. */
static void sha256_agrees_with_its_standard(void **state)
{
    (void)state;
    char hex[CRYPTO_HEX_BYTES + 1];
    assert_true(crypto_sha256_hex(utapi_string_of("abc"), hex));
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_true(crypto_sha256_hex((utapi_string){NULL, 0}, hex));
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_header_is_cut_into_its_fields),
        cmocka_unit_test(fields_may_be_empty_padded_and_followed_by_others),
        cmocka_unit_test(another_form_is_refused),
        cmocka_unit_test(a_credential_has_five_parts),
        cmocka_unit_test(signed_headers_are_sorted),
        cmocka_unit_test(a_hundred_headers_may_be_signed),
        cmocka_unit_test(a_query_is_decoded_once_sorted_and_encoded),
        cmocka_unit_test(s3_takes_a_path_as_it_is_and_encodes_once),
        cmocka_unit_test(other_services_normalize_and_encode_twice),
        cmocka_unit_test(header_values_are_trimmed_collapsed_and_joined),
        cmocka_unit_test(a_string_to_sign_holds_the_hash_of_the_request),
        cmocka_unit_test(a_secret_has_a_longest_form),
        cmocka_unit_test(signatures_are_compared_whole),
        cmocka_unit_test(hmac_agrees_with_its_rfc),
        cmocka_unit_test(sha256_agrees_with_its_standard),
    };
    return cmocka_run_group_tests_name("sigv4", tests, NULL, NULL);
}
