/* SPDX-License-Identifier: Apache-2.0 */
/**
 * sigv4.h - AWS Signature Version 4 in stages, each a function that can be called alone.
 *
 *     Authorization header  -> sigv4_parse, sigv4_parse_credential, sigv4_parse_signed_headers
 *     request               -> sigv4_canonical_request
 *     canonical request     -> sigv4_string_to_sign
 *     secret and scope      -> sigv4_signing_key
 *     both                  -> sigv4_signature, compared by sigv4_signature_equal
 *
 * The stages judge form only; auth.c decides what is acceptable and in which order. No state, so any
 * thread may call. Strings that come out of a parser borrow from what went in.
 */
#ifndef AUTH_SIGV4_H
#define AUTH_SIGV4_H

#include "auth/crypto.h"
#include "http/message.h"
#include "utapi/text.h"

#define SIGV4_ALGORITHM          "AWS4-HMAC-SHA256"
#define SIGV4_TERMINATOR         "aws4_request"
#define SIGV4_SECRET_MAX         256 /* bytes */
#define SIGV4_SIGNED_HEADERS_MAX 100 /* keeps the work of a hostile request small */

/** What SigV4 takes for white space. */
static inline bool sigv4_is_blank(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/** The three fields of an Authorization header. */
typedef struct sigv4_authorization {
    utapi_string credential;
    utapi_string signed_headers; /* "host;x-amz-date" */
    utapi_string signature;      /* may be empty */
} sigv4_authorization;

/** The five parts of a credential; the last four are the scope. Parts but access may be empty. */
typedef struct sigv4_credential {
    utapi_string access;
    utapi_string date;
    utapi_string region;
    utapi_string service;
    utapi_string terminator;
    utapi_string scope; /* "20261123/us-east-1/s3/aws4_request" */
} sigv4_credential;

/** The names of the signed headers, sorted by bytes. */
typedef struct sigv4_signed_headers {
    utapi_string names[SIGV4_SIGNED_HEADERS_MAX];
    size_t count;
} sigv4_signed_headers;

/** How a path becomes canonical. */
typedef enum sigv4_path_rule {
    SIGV4_PATH_AS_IS,     /* S3: as it came, encoded once */
    SIGV4_PATH_NORMALIZED /* other services: no dots, no empty segments; what is encoded is encoded again */
} sigv4_path_rule;

/**
 * Takes an Authorization header apart: the algorithm, then Credential (with a slash in it), SignedHeaders and
 * Signature, in this order, between commas. Further fields are ignored.
 */
bool sigv4_parse(utapi_string header, sigv4_authorization *ret);

/** Takes "access/date/region/service/terminator" apart: five parts, an access key that is not empty. */
bool sigv4_parse_credential(utapi_string credential, sigv4_credential *ret);

/** Takes "host;x-amz-date" apart. False for more than SIGV4_SIGNED_HEADERS_MAX names. */
bool sigv4_parse_signed_headers(utapi_string list, sigv4_signed_headers *ret);

/** Whether two names of headers are the same; case does not count. */
bool sigv4_name_equal(utapi_string left, utapi_string right);

/** Whether a header's name, in lower case, is among the signed ones: Utapi accepts no other case there. */
bool sigv4_is_signed(const sigv4_signed_headers *signed_headers, utapi_string name);

/**
 * Adds the canonical form of a request: what a signature covers. A signed header that the request lacks
 * has an empty value, but `expect` always has 100-continue, because proxies take it away.
 *
 * @param payload_hash  as the request tells it
 */
void sigv4_canonical_request(const http_request *request, const sigv4_signed_headers *signed_headers,
                             utapi_string payload_hash, sigv4_path_rule rule, utapi_text *text);

/**
 * Adds the canonical form of a raw query: parameters decoded once ("+" is a blank, as in forms) and
 * encoded again, sorted by encoded name, then value.
 */
void sigv4_canonical_query(utapi_string query, utapi_text *text);

/**
 * Adds the string to sign of a canonical request.
 *
 * @param time  "20261123T135051Z"
 * @return false if out of memory
 */
UTAPI_MUST_USE bool sigv4_string_to_sign(utapi_string time, utapi_string scope,
                                         utapi_string canonical_request, utapi_text *text);

/**
 * Derives the key that signs for a day, a region and a service.
 *
 * @param secret  at most SIGV4_SECRET_MAX bytes
 * @param ret     a secret: wipe it when done
 * @return false if out of memory, or if the secret is too long
 */
UTAPI_MUST_USE bool sigv4_signing_key(utapi_string secret, utapi_string date, utapi_string region,
                                      utapi_string service, unsigned char ret[CRYPTO_HASH_BYTES]);

/** Signs: lower-case hex and a NUL. False if out of memory. */
UTAPI_MUST_USE bool sigv4_signature(const unsigned char signing_key[CRYPTO_HASH_BYTES],
                                    utapi_string string_to_sign, char ret[CRYPTO_HEX_BYTES + 1]);

/** Whether a given signature is the computed one, in a time that does not depend on its bytes. */
bool sigv4_signature_equal(const char computed[CRYPTO_HEX_BYTES + 1], utapi_string given);

#endif
