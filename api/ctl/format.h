/* SPDX-License-Identifier: Apache-2.0 */
/**
 * format.h - figures, names and tables as people like to read them.
 */
#ifndef CTL_FORMAT_H
#define CTL_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/** A short text by value: `puts(format_count(n).text)`, valid until the statement ends. */
typedef struct format_text {
    char text[32];
} format_text;

/** "0 B", "1023 B", "100.0 MiB". */
format_text format_bytes(int64_t bytes);

/** "1,234,567" */
format_text format_count(int64_t count);

/** "35 s", "2 min", "5 h", "3 d": the largest unit of which there is one. */
format_text format_age(int64_t age_ms);

/** Either of these as a change: with a + where it is more than zero. */
format_text format_change(format_text amount);

/**
 * A name, safe for a terminal: control characters become \xNN, for names may hold any (docs/specification.md#names).
 *
 * @return owned: free(); NULL if out of memory
 */
char *format_name(const char *name);

/** How many columns of a terminal a text takes: one for each character of UTF-8. */
size_t format_width(const char *text);

/* ---- tables ------------------------------------------------------------------------------- */

#define TABLE_MAX_COLUMNS 12

typedef struct table {
    size_t columns;
    bool right[TABLE_MAX_COLUMNS]; /* aligned to the right */
    char **cells;                  /* owned: row by row */
    size_t cell_count;
} table;

/** Starts a table with its headings; a heading that begins with '>' makes a column aligned to the right.
 * False if out of memory. */
bool table_init(table *self, const char *const *headings, size_t columns);

/** Adds a row of as many cells as there are columns; copied. False if out of memory. */
bool table_add(table *self, const char *const *cells);

/** Prints all rows, without spaces at their ends. */
void table_print(const table *self, FILE *out);

void table_done(table *self);

#endif
