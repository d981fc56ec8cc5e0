/* SPDX-License-Identifier: Apache-2.0 */
/**
 * format.h - figures and names as people like to read them.
 */
#ifndef CLI_FORMAT_H
#define CLI_FORMAT_H

#include "utapi/metric.h"

#include <stddef.h>
#include <stdint.h>

/** Bytes that format_bytes() and format_count() write at most. */
#define FORMAT_BYTES 32

/** "0 B", "1023 B", "100.0 MiB". */
void format_bytes(int64_t bytes, char ret[FORMAT_BYTES]);

/** As format_bytes(), with a sign: "+1.0 KiB", "-3 B"; "0 B". */
void format_bytes_change(int64_t bytes, char ret[FORMAT_BYTES]);

/** "1,234,567" */
void format_count(int64_t count, char ret[FORMAT_BYTES]);

/** As format_count(), with a sign. */
void format_count_change(int64_t count, char ret[FORMAT_BYTES]);

/**
 * A name, safe for a terminal: control characters become \xNN, for names may hold any (docs/specification.md#names).
 *
 * @return owned: free(); NULL if out of memory
 */
char *format_name(const char *name);

/** How many columns of a terminal a text takes: one for each character of UTF-8. */
size_t format_width(const char *text);

#endif
