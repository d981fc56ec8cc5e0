/* SPDX-License-Identifier: Apache-2.0 */
/* table.c - keeps all cells until the end, since widths are known only then. */
#include "cli/table.h"

#include "cli/format.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define GAP 2 /* spaces between columns */

bool table_init(table *self, const char *const *headings, size_t columns)
{
    const char *cells[TABLE_MAX_COLUMNS] = {NULL};
    *self = (table){.columns = columns};
    for (size_t i = 0; i < columns; i++) {
        self->right[i] = *headings[i] == '>';
        cells[i] = headings[i] + (self->right[i] ? 1 : 0);
    }
    return table_add(self, cells);
}

bool table_add(table *self, const char *const *cells)
{
    char **longer = realloc(self->cells, (self->cell_count + self->columns) * sizeof *longer);
    if (longer == NULL)
        return false;
    self->cells = longer;
    for (size_t i = 0; i < self->columns; i++) {
        assert(cells[i] != NULL);
        char *copy = strdup(cells[i]);
        if (copy == NULL)
            return false; /* table_done() frees the part of a row that there is */
        self->cells[self->cell_count++] = copy;
    }
    return true;
}

static size_t column_width(const table *self, size_t column)
{
    size_t widest = 0;
    for (size_t i = column; i < self->cell_count; i += self->columns) {
        const size_t width = format_width(self->cells[i]);
        widest = width > widest ? width : widest;
    }
    return widest;
}

static void print_row(const table *self, const size_t *widths, char *const *cells, FILE *out)
{
    for (size_t i = 0; i < self->columns; i++) {
        const bool is_last = i + 1 == self->columns;
        const int space = (int)(widths[i] - format_width(cells[i]));
        fprintf(out, "%*s%s", self->right[i] ? space : 0, "", cells[i]);
        fprintf(out, "%*s", is_last ? 0 : GAP + (self->right[i] ? 0 : space), "");
    }
    fputc('\n', out);
}

void table_print(const table *self, FILE *out)
{
    size_t widths[TABLE_MAX_COLUMNS] = {0};
    for (size_t i = 0; i < self->columns; i++)
        widths[i] = column_width(self, i);
    for (size_t i = 0; i < self->cell_count; i += self->columns)
        print_row(self, widths, self->cells + i, out);
}

void table_done(table *self)
{
    for (size_t i = 0; i < self->cell_count; i++)
        free(self->cells[i]);
    free(self->cells);
    *self = (table){0};
}
