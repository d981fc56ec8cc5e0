/* SPDX-License-Identifier: Apache-2.0 */
/* format.c - see format.h. Amounts are signed 64-bit, so the smallest has no negative of its own: sizes are
 * handled as unsigned. A table keeps all cells until the end, since widths are known only then. */
#include "ctl/format.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS_PER_S INT64_C(1000)
#define MINUTE_S INT64_C(60)
#define HOUR_S   (60 * MINUTE_S)
#define DAY_S    (24 * HOUR_S)

static uint64_t size_of_number(int64_t number)
{
    return number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
}

format_text format_bytes(int64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    const uint64_t size = size_of_number(bytes);
    const char *sign = bytes < 0 ? "-" : "";
    format_text ret;
    double scaled = (double)size;
    size_t unit = 0;
    /* 1023.95 would be printed as 1024.0. */
    for (; scaled >= (unit == 0 ? 1024.0 : 1023.95); unit++)
        scaled /= 1024.0;
    if (unit == 0)
        (void)snprintf(ret.text, sizeof ret.text, "%s%llu B", sign, (unsigned long long)size);
    else
        (void)snprintf(ret.text, sizeof ret.text, "%s%.1f %s", sign, scaled, units[unit]);
    return ret;
}

format_text format_count(int64_t count)
{
    char digits[24];
    format_text ret;
    const int size = snprintf(digits, sizeof digits, "%llu", (unsigned long long)size_of_number(count));
    char *out = ret.text;
    if (count < 0)
        *out++ = '-';
    for (int i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0)
            *out++ = ',';
        *out++ = digits[i];
    }
    *out = '\0';
    return ret;
}

format_text format_age(int64_t age_ms)
{
    static const struct {
        int64_t seconds;
        const char *name;
    } units[] = {{DAY_S, "d"}, {HOUR_S, "h"}, {MINUTE_S, "min"}, {1, "s"}};
    const int64_t age_s = age_ms / MS_PER_S;
    format_text ret;
    size_t i = 0;
    while (units[i].seconds > 1 && age_s < units[i].seconds)
        i++;
    (void)snprintf(ret.text, sizeof ret.text, "%lld %s", (long long)(age_s / units[i].seconds),
                   units[i].name);
    return ret;
}

format_text format_change(format_text amount)
{
    format_text ret = {"+"};
    if (*amount.text == '-' || *amount.text == '0')
        return amount;
    memcpy(ret.text + 1, amount.text, strlen(amount.text) + 1);
    return ret;
}

/* How many bytes of text are a control character: 0x00-0x1F, 0x7F, or U+0080-U+009F in UTF-8; 0: none. */
static size_t control_size(const unsigned char *text)
{
    if (*text < 0x20 || *text == 0x7F)
        return 1;
    return *text == 0xC2 && text[1] >= 0x80 && text[1] <= 0x9F ? 2 : 0;
}

char *format_name(const char *name)
{
    char *clean = malloc(4 * strlen(name) + 1);
    if (clean == NULL)
        return NULL;
    char *out = clean;
    for (const unsigned char *in = (const unsigned char *)name; *in != '\0'; in++) {
        const size_t control = control_size(in);
        if (control == 0) {
            *out++ = (char)*in;
            continue;
        }
        in += control - 1;
        out += snprintf(out, 5, "\\x%02x", *in);
    }
    *out = '\0';
    return clean;
}

size_t format_width(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xC0U) != 0x80U;
    return width;
}

/* ---- tables ------------------------------------------------------------------------------- */

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
