/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sigv4.c - the stages of Signature Version 4 but the canonical request (sigv4_canonical.c).
 *
 * Parsers cut a header into borrowed pieces with take_part(), which moves a rest forward. The form of the
 * Authorization header is Utapi's: fixed order of the fields, blanks round each of them allowed.
 */
#include "auth/sigv4.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static utapi_string trim(utapi_string text)
{
    while (text.size > 0 && sigv4_is_blank(text.data[0]))
        text = (utapi_string){text.data + 1, text.size - 1};
    while (text.size > 0 && sigv4_is_blank(text.data[text.size - 1]))
        text.size--;
    return text;
}

static bool skip_prefix(utapi_string *text, const char *prefix)
{
    const size_t size = strlen(prefix);
    if (text->size < size || memcmp(text->data, prefix, size) != 0)
        return false;
    *text = (utapi_string){text->data + size, text->size - size};
    return true;
}

/* Cuts the next part off; the rest is absent (data NULL) after the last one. False if there is none left. */
static bool take_part(utapi_string *rest, char separator, utapi_string *ret)
{
    if (rest->data == NULL)
        return false;
    const char *end = memchr(rest->data, separator, rest->size);
    if (end == NULL) {
        *ret = *rest;
        *rest = (utapi_string){NULL, 0};
        return true;
    }
    *ret = (utapi_string){rest->data, (size_t)(end - rest->data)};
    *rest = (utapi_string){end + 1, rest->size - ret->size - 1};
    return true;
}

static bool take_field(utapi_string *rest, const char *name, utapi_string *ret)
{
    utapi_string field;
    if (!take_part(rest, ',', &field))
        return false;
    field = trim(field);
    if (!skip_prefix(&field, name))
        return false;
    *ret = field;
    return true;
}

bool sigv4_parse(utapi_string header, sigv4_authorization *ret)
{
    sigv4_authorization parsed;
    if (!skip_prefix(&header, SIGV4_ALGORITHM " ") ||
        !take_field(&header, "Credential=", &parsed.credential) ||
        !take_field(&header, "SignedHeaders=", &parsed.signed_headers) ||
        !take_field(&header, "Signature=", &parsed.signature))
        return false;
    if (parsed.credential.size == 0 || memchr(parsed.credential.data, '/', parsed.credential.size) == NULL)
        return false;
    *ret = parsed;
    return true;
}

bool sigv4_parse_credential(utapi_string credential, sigv4_credential *ret)
{
    sigv4_credential parsed;
    utapi_string rest = credential;
    if (!take_part(&rest, '/', &parsed.access) || parsed.access.size == 0)
        return false;
    parsed.scope = rest;
    if (!take_part(&rest, '/', &parsed.date) || !take_part(&rest, '/', &parsed.region) ||
        !take_part(&rest, '/', &parsed.service) || !take_part(&rest, '/', &parsed.terminator) ||
        rest.data != NULL)
        return false;
    *ret = parsed;
    return true;
}

/* Insertion sort: lists are short, and nearly always sorted already. */
static void insert_name(sigv4_signed_headers *list, utapi_string name)
{
    size_t i = list->count++;
    for (; i > 0 && utapi_string_compare(list->names[i - 1], name) > 0; i--)
        list->names[i] = list->names[i - 1];
    list->names[i] = name;
}

bool sigv4_parse_signed_headers(utapi_string list, sigv4_signed_headers *ret)
{
    ret->count = 0;
    utapi_string name;
    while (take_part(&list, ';', &name)) {
        if (ret->count == SIGV4_SIGNED_HEADERS_MAX)
            return false;
        insert_name(ret, name);
    }
    return true;
}

bool sigv4_name_equal(utapi_string left, utapi_string right)
{
    return left.size == right.size && (left.size == 0 || strncasecmp(left.data, right.data, left.size) == 0);
}

static bool is_lower_case_of(utapi_string text, utapi_string name)
{
    if (text.size != name.size)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] != tolower((unsigned char)name.data[i]))
            return false;
    }
    return true;
}

bool sigv4_is_signed(const sigv4_signed_headers *signed_headers, utapi_string name)
{
    for (size_t i = 0; i < signed_headers->count; i++) {
        if (is_lower_case_of(signed_headers->names[i], name))
            return true;
    }
    return false;
}

bool sigv4_string_to_sign(utapi_string time, utapi_string scope, utapi_string canonical_request,
                          utapi_text *text)
{
    char hash[CRYPTO_HEX_BYTES + 1];
    if (!crypto_sha256_hex(canonical_request, hash))
        return false;
    utapi_text_add_literal(text, SIGV4_ALGORITHM "\n");
    utapi_text_add_string(text, time);
    utapi_text_add_char(text, '\n');
    utapi_text_add_string(text, scope);
    utapi_text_add_char(text, '\n');
    utapi_text_add_literal(text, hash);
    return !text->failed;
}

bool sigv4_signing_key(utapi_string secret, utapi_string date, utapi_string region, utapi_string service,
                       unsigned char ret[CRYPTO_HASH_BYTES])
{
    static const char prefix[4] = "AWS4";
    char first[sizeof prefix + SIGV4_SECRET_MAX];
    if (secret.size > SIGV4_SECRET_MAX)
        return false;
    memcpy(first, prefix, sizeof prefix);
    if (secret.size > 0)
        memcpy(first + sizeof prefix, secret.data, secret.size);

    unsigned char key[CRYPTO_HASH_BYTES];
    const bool derived = crypto_hmac(first, sizeof prefix + secret.size, date, key) &&
                         crypto_hmac(key, sizeof key, region, key) &&
                         crypto_hmac(key, sizeof key, service, key) &&
                         crypto_hmac(key, sizeof key, utapi_string_of(SIGV4_TERMINATOR), key);
    if (derived)
        memcpy(ret, key, sizeof key);
    crypto_wipe(first, sizeof first);
    crypto_wipe(key, sizeof key);
    return derived;
}

bool sigv4_signature(const unsigned char signing_key[CRYPTO_HASH_BYTES], utapi_string string_to_sign,
                     char ret[CRYPTO_HEX_BYTES + 1])
{
    unsigned char hash[CRYPTO_HASH_BYTES];
    if (!crypto_hmac(signing_key, CRYPTO_HASH_BYTES, string_to_sign, hash))
        return false;
    crypto_hex(hash, ret);
    return true;
}

bool sigv4_signature_equal(const char computed[CRYPTO_HEX_BYTES + 1], utapi_string given)
{
    return given.size == CRYPTO_HEX_BYTES && crypto_equal(computed, given.data, CRYPTO_HEX_BYTES);
}
