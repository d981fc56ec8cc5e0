/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sign.c - the client's side of Signature Version 4, out of the server's stages.
 *
 * AWS's vectors (tests/sigv4) check it against signatures that were made elsewhere, so it is no mirror
 * that only ever agrees with itself.
 */
#include "sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *either(const char *given, const char *otherwise)
{
    return given != NULL ? given : otherwise;
}

static void format_timestamp(const sign_options *options, char *ret, size_t size)
{
    const time_t seconds = (time_t)(options->now_ms / 1000);
    struct tm parts;
    if (options->timestamp != NULL)
        snprintf(ret, size, "%s", options->timestamp);
    else if (gmtime_r(&seconds, &parts) == NULL || strftime(ret, size, "%Y%m%dT%H%M%SZ", &parts) == 0)
        abort();
}

static void add_lower(utapi_text *list, utapi_string name)
{
    for (size_t i = 0; i < name.size; i++)
        utapi_text_add_char(
            list, (char)(name.data[i] >= 'A' && name.data[i] <= 'Z' ? name.data[i] + 32 : name.data[i]));
}

static bool came_before(const http_request *request, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (sigv4_name_equal(request->headers[i].name, request->headers[index].name))
            return true;
    }
    return false;
}

/* Every header's name once; sorting is the parser's. */
static void list_headers(const http_request *request, utapi_text *list)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (came_before(request, i))
            continue;
        if (list->size > 0)
            utapi_text_add_char(list, ';');
        add_lower(list, request->headers[i].name);
    }
}

static void join_names(const sigv4_signed_headers *names, utapi_text *text)
{
    for (size_t i = 0; i < names->count; i++) {
        if (i > 0)
            utapi_text_add_char(text, ';');
        utapi_text_add_string(text, names->names[i]);
    }
}

static utapi_string payload_hash_of(const http_request *request, const sign_options *options,
                                    char hash[CRYPTO_HEX_BYTES + 1])
{
    if (options->payload_hash != NULL)
        return utapi_string_of(options->payload_hash);
    const utapi_string header = http_request_header(request, "x-amz-content-sha256");
    if (header.data != NULL)
        return header;
    if (!crypto_sha256_hex(request->body, hash))
        abort();
    return utapi_string_of(hash);
}

/* Everything that a signature is made of. */
typedef struct signing {
    sign_options options; /* every member set */
    char timestamp[32];
    char date[9];
    char scope[256];
    sigv4_signed_headers names;
} signing;

static void complete(signing *ret, const sign_options *options)
{
    *ret = (signing){.options = *options};
    format_timestamp(options, ret->timestamp, sizeof ret->timestamp);
    snprintf(ret->date, sizeof ret->date, "%.8s", ret->timestamp);
    ret->options.region = either(options->region, "us-east-1");
    ret->options.service = either(options->service, "s3");
    ret->options.key_service = either(options->key_service, ret->options.service);
    ret->options.scope_date = either(options->scope_date, ret->date);
    ret->options.terminator = either(options->terminator, SIGV4_TERMINATOR);
    snprintf(ret->scope, sizeof ret->scope, "%s/%s/%s/%s", ret->options.scope_date, ret->options.region,
             ret->options.service, ret->options.terminator);
}

static void compute_signature(const http_request *request, const signing *with,
                              char ret[CRYPTO_HEX_BYTES + 1])
{
    const sign_options *options = &with->options;
    char hash[CRYPTO_HEX_BYTES + 1];
    unsigned char key[CRYPTO_HASH_BYTES];
    utapi_text canonical = {0};
    utapi_text to_sign = {0};
    sigv4_canonical_request(request, &with->names, payload_hash_of(request, options, hash),
                            options->path_rule, &canonical);
    if (canonical.failed ||
        !sigv4_string_to_sign(utapi_string_of(with->timestamp), utapi_string_of(with->scope),
                              utapi_text_view(&canonical), &to_sign) ||
        !sigv4_signing_key(utapi_string_of(options->secret), utapi_string_of(options->scope_date),
                           utapi_string_of(options->region), utapi_string_of(options->key_service), key) ||
        !sigv4_signature(key, utapi_text_view(&to_sign), ret))
        abort();
    utapi_text_done(&canonical);
    utapi_text_done(&to_sign);
}

/* Names every header of the request, sorted. */
static void list_every_header(const http_request *request, utapi_text *ret)
{
    utapi_text unsorted = {0};
    sigv4_signed_headers sorted;
    list_headers(request, &unsorted);
    if (!sigv4_parse_signed_headers(utapi_text_view(&unsorted), &sorted))
        abort();
    join_names(&sorted, ret);
    utapi_text_done(&unsorted);
}

/* Writes the list as it is sent, and takes it apart again: the names borrow from *ret. */
static void write_signed_headers(const http_request *request, signing *with, utapi_text *ret)
{
    if (with->options.signed_headers != NULL)
        utapi_text_add_literal(ret, with->options.signed_headers);
    else
        list_every_header(request, ret);
    if (!sigv4_parse_signed_headers(utapi_text_view(ret), &with->names))
        abort();
}

char *sign_authorization(const http_request *request, const sign_options *options)
{
    signing with;
    char signature[CRYPTO_HEX_BYTES + 1];
    utapi_text signed_headers = {0};
    utapi_text value = {0};
    complete(&with, options);
    write_signed_headers(request, &with, &signed_headers);
    compute_signature(request, &with, signature);

    utapi_text_add_literal(&value, SIGV4_ALGORITHM " Credential=");
    utapi_text_add_literal(&value, options->access);
    utapi_text_add_char(&value, '/');
    utapi_text_add_literal(&value, with.scope);
    utapi_text_add_literal(&value, ", SignedHeaders=");
    utapi_text_add_string(&value, utapi_text_view(&signed_headers));
    utapi_text_add_literal(&value, ", Signature=");
    utapi_text_add_literal(&value, signature);
    utapi_text_add_char(&value, '\0');
    utapi_text_done(&signed_headers);
    if (value.failed)
        abort();
    return value.data;
}

static void add_header(signed_request *target, const char *name, const char *value)
{
    if (target->request.header_count == SIGN_HEADERS_MAX)
        abort();
    target->headers[target->request.header_count++] =
        (http_header){utapi_string_of(name), utapi_string_of(value)};
}

static bool has_header(const signed_request *target, const char *name)
{
    return http_request_header(&target->request, name).data != NULL;
}

void sign_request(signed_request *ret, const http_request *plain, const sign_options *options)
{
    *ret = (signed_request){.request = *plain};
    if (plain->header_count > SIGN_HEADERS_MAX)
        abort();
    if (plain->header_count > 0)
        memcpy(ret->headers, plain->headers, plain->header_count * sizeof *plain->headers);
    ret->request.headers = ret->headers;

    format_timestamp(options, ret->timestamp, sizeof ret->timestamp);
    if (!has_header(ret, "x-amz-date") && !has_header(ret, "date"))
        add_header(ret, "x-amz-date", ret->timestamp);
    if (!has_header(ret, "x-amz-content-sha256")) {
        if (options->payload_hash == NULL && !crypto_sha256_hex(plain->body, ret->payload_hash))
            abort();
        add_header(ret, "x-amz-content-sha256", either(options->payload_hash, ret->payload_hash));
    }
    ret->authorization = sign_authorization(&ret->request, options);
    add_header(ret, "Authorization", ret->authorization);
}

void signed_request_done(signed_request *signed_)
{
    free(signed_->authorization);
    signed_->authorization = NULL;
}
