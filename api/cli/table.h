/* SPDX-License-Identifier: Apache-2.0 */
/**
 * table.h - rows of cells, printed in columns as wide as their widest cell.
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

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
