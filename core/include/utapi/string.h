/* SPDX-License-Identifier: Apache-2.0 */
/**
 * string.h - a borrowed run of bytes: the names that events and queries carry.
 *
 * Names (docs/specification.md#names) are opaque, 1-255 bytes of UTF-8 with any character but NUL. A utapi_string with
 * size 0 stands for an absent name.
 */
#ifndef UTAPI_STRING_H
#define UTAPI_STRING_H

#include <stdbool.h>
#include <stddef.h>

/** Longest name and longest uuid, in bytes (docs/specification.md#names). */
#define UTAPI_NAME_MAX 255

typedef struct utapi_string {
    const char *data; /* borrowed; not NUL-terminated; may be NULL when size is 0 */
    size_t size;      /* bytes */
} utapi_string;

/** Wraps a NUL-terminated text; NULL gives the absent string. The text stays borrowed. */
utapi_string utapi_string_of(const char *text);

/** Whether both hold the same bytes. */
bool utapi_string_equal(utapi_string left, utapi_string right);

/** Compares bytes, then lengths: negative, 0 or positive, as memcmp does. */
int utapi_string_compare(utapi_string left, utapi_string right);

/**
 * Whether text is UTF-8 without NUL: no overlong form, no surrogate, nothing above U+10FFFF
 * (RFC 3629). The empty string is.
 */
bool utapi_string_is_text(utapi_string text);

/** The beginning of a UTF-8 text, of at most so many bytes; no character is cut in two. */
utapi_string utapi_string_cut(utapi_string text, size_t max);

#endif
