/* SPDX-License-Identifier: Apache-2.0 */
/**
 * json_text.h - JSON as it is written: a growing text, with the escapes of RFC 8259.
 */
#ifndef JSON_TEXT_H
#define JSON_TEXT_H

#include "utapi/text.h"

#include <stdint.h>

/** Adds a piece of JSON that stands in the source: JSON_TEXT_LITERAL(text, "{\"code\":"). */
#define JSON_TEXT_LITERAL(text, literal) utapi_text_add((text), "" literal, sizeof(literal) - 1)

/** Adds a string with its quotes. Bytes that are not UTF-8 become "?", so that the JSON stays valid. */
void json_text_add_string(utapi_text *text, utapi_string value);

/** Adds a number. */
void json_text_add_integer(utapi_text *text, int64_t value);

/** Adds the name of a member to an object, after a comma unless it is the first. */
void json_text_add_name(utapi_text *text, const char *name);

/** Adds a member. A count beyond 2^63 - 1 is cut; an absent or empty text is no member. */
void json_text_add_integer_member(utapi_text *text, const char *name, int64_t value);
void json_text_add_count_member(utapi_text *text, const char *name, uint64_t value);
void json_text_add_string_member(utapi_text *text, const char *name, utapi_string value);

#endif
