/* SPDX-License-Identifier: Apache-2.0 */
/**
 * json_parse.h - text to jansson's tree, with errors that name the place. For this folder alone.
 */
#ifndef JSON_PARSE_H
#define JSON_PARSE_H

#include "utapi/status.h"
#include "utapi/string.h"

#include <jansson.h>

/**
 * Parses any JSON value. Duplicate members, NUL, lone surrogates and bad UTF-8 are refused. A program with this in
 * it has jansson allocate by functions of this file's, which nobody may replace.
 *
 * @param ret  owned: json_decref()
 * @return UTAPI_INVALID   with line, column and reason
 *         UTAPI_OVERFLOW  a number does not fit: the detail names the member that it belongs to, and err->index
 *                         is the element of the outermost array that it stands in (0 without one)
 *         UTAPI_NO_MEMORY
 */
UTAPI_MUST_USE utapi_status json_parse(utapi_string text, json_t **ret, utapi_error *err);

/** What a text's tree would be, from a look at its bytes alone: exact if it is JSON. */
typedef struct json_size {
    size_t weight;   /* its values, more or less; an object or array takes more room, and counts as eight */
    size_t elements; /* of the outermost array; 0: it is none */
} json_size;

/** A tree of this weight takes some megabytes: worth building, if only to say exactly what is wrong. */
enum { JSON_WEIGHT_SMALL = 65536 };

/** No tree takes more than so many bytes for each of its weight, beside the bytes of its strings. */
enum { JSON_WEIGHT_BYTES = 128 };

/** One pass, without memory: a tree may take a hundred times its text's size, so large texts are weighed first. */
json_size json_size_of(utapi_string text);

/** A JSON string's bytes: valid as long as the value is. Absent for any other value, NULL too. */
utapi_string json_string_of(const json_t *value);

#endif
