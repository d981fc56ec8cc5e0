/* SPDX-License-Identifier: Apache-2.0 */
/* table.c - keeps all cells until the end, since widths are known only then. */
#include "cli/table.h"

#include "cli/format.h"

#include <stdlib.h>
#include <string.h>

#define GAP 2 /* spaces between columns */

bool table_init(table *self, const char *const *headings, size_t columns)
{
    const char *cells[TABLE_MAX_COLUMNS];
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
        char *copy = strdup(cells[i]);
        if (copy == NULL) {
            while (i-- > 0)
                free(self->cells[self->cell_count + i]);
            return false;
        }
        self->cells[self->cell_count + i] = copy;
    }
    self->cell_count += self->columns;
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

void table_print(const table *self, FILE *out)
{
    size_t widths[TABLE_MAX_COLUMNS];
    for (size_t i = 0; i < self->columns; i++)
        widths[i] = column_width(self, i);
    for (size_t i = 0; i < self->cell_count; i++) {
        const size_t column = i % self->columns;
        const bool is_last = column + 1 == self->columns;
        const int space = (int)(widths[column] - format_width(self->cells[i]));
        const bool right = self->right[column];
        fprintf(out, "%*s%s%*s", right ? space : 0, "", self->cells[i], right || is_last ? 0 : space, "");
        fprintf(out, "%*s", is_last ? 0 : GAP, "");
        if (is_last)
            fputc('\n', out);
    }
}

void table_done(table *self)
{
    for (size_t i = 0; i < self->cell_count; i++)
        free(self->cells[i]);
    free(self->cells);
    *self = (table){0};
}
