/* SPDX-License-Identifier: Apache-2.0 */
/**
 * uri.h - percent-encoding, and the parameters of a query (RFC 3986).
 *
 * Used by the router and the handlers. Pure functions.
 */
#ifndef HTTP_URI_H
#define HTTP_URI_H

#include "utapi/status.h"
#include "utapi/string.h"

/** The byte that stands at *at, which moves behind it; -1, and *at stays, for a '%' that no two hex digits follow. */
int uri_next_byte(utapi_string text, size_t *at);

/**
 * Decodes %XX once.
 *
 * @param buffer  at least text.size bytes; may be text.data itself
 * @param ret     the decoded text, in buffer: valid as long as that is
 * @return false, and *ret untouched, if a '%' is not followed by two hex digits
 */
bool uri_decode(utapi_string text, char *buffer, utapi_string *ret);

/**
 * Checks that text decodes, and to UTF-8 without NUL.
 *
 * @return UTAPI_INVALID if not; UTAPI_NO_MEMORY if it cannot be told now
 */
UTAPI_MUST_USE utapi_status uri_check(utapi_string text);

/**
 * Takes the next parameter off a raw query.
 *
 * @param query  what is left of it; advances
 * @param name   raw, as the value; borrowed from the query
 * @return false when nothing is left
 */
bool uri_next_parameter(utapi_string *query, utapi_string *name, utapi_string *value);

/** Whether an encoded piece of a query ('+' means a space there) stands for exactly this text. */
bool uri_means(utapi_string encoded, utapi_string text);

#endif
