/* SPDX-License-Identifier: Apache-2.0 */
/* list_print.c - one row for each resource: what is stored at the range's end and how that changed, what went
 * in and out. Operations follow as text, since most of them are zero. */
#include "cli/list_print.h"

#include "cli/format.h"
#include "cli/table.h"
#include "cli/times.h"
#include "utapi/interval.h"
#include "utapi/scoped.h"

#include <string.h>

#define LINE_CHARACTERS 96

static const char *const members[] = {
#define X(name, path, member) [UTAPI_##name] = (member),
    UTAPI_LEVEL_MAP(X)
#undef X
};

static const char *const headings[] = {
    [UTAPI_BUCKETS] = "BUCKET",  [UTAPI_ACCOUNTS] = "ACCOUNT",   [UTAPI_USERS] = "USER",
    [UTAPI_SERVICE] = "SERVICE", [UTAPI_LOCATIONS] = "LOCATION",
};

/* One object of the answer, with what the table needs of it. */
typedef struct entry {
    const char *name; /* borrowed from the JSON, as the next */
    const json_t *operations;
    int64_t stored[2];
    int64_t objects[2];
    int64_t in, out;
} entry;

bool list_print_json(const json_t *answer, FILE *out)
{
    return json_dumpf(answer, out, JSON_INDENT(2)) == 0 && fputc('\n', out) != EOF;
}

/* ---- reading ------------------------------------------------------------------------------ */

static bool read_pair(const json_t *object, const char *name, int64_t ret[2])
{
    const json_t *pair = json_object_get(object, name);
    for (size_t i = 0; i < 2; i++) {
        const json_t *value = json_array_get(pair, i);
        if (!json_is_integer(value))
            return false;
        ret[i] = json_integer_value(value);
    }
    return true;
}

static bool read_integer(const json_t *object, const char *name, int64_t *ret)
{
    const json_t *value = json_object_get(object, name);
    *ret = json_integer_value(value);
    return json_is_integer(value);
}

static bool read_entry(utapi_level level, const json_t *object, entry *ret)
{
    ret->name = json_string_value(json_object_get(object, members[level]));
    ret->operations = json_object_get(object, "operations");
    return ret->name != NULL && json_is_object(ret->operations) &&
           read_pair(object, "storageUtilized", ret->stored) &&
           read_pair(object, "numberOfObjects", ret->objects) &&
           read_integer(object, "incomingBytes", &ret->in) &&
           read_integer(object, "outgoingBytes", &ret->out);
}

static int64_t count_operations(const json_t *operations)
{
    uint64_t sum = 0;
    const char *name;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)operations, name, value)
        sum += (uint64_t)json_integer_value(value);
    return sum > INT64_MAX ? INT64_MAX : (int64_t)sum;
}

/* ---- the table ---------------------------------------------------------------------------- */

/* The change of a state. States are never below zero, so it fits; a server that says otherwise gets no more
 * than odd figures. */
static int64_t change(const int64_t states[2])
{
    return (int64_t)((uint64_t)states[1] - (uint64_t)states[0]);
}

static bool add_entry(table *rows, const entry *self)
{
    char stored[FORMAT_BYTES], stored_change[FORMAT_BYTES], objects[FORMAT_BYTES],
        objects_change[FORMAT_BYTES];
    char in[FORMAT_BYTES], out[FORMAT_BYTES], operations[FORMAT_BYTES];
    UTAPI_AUTO_FREE char *name = format_name(self->name);
    if (name == NULL)
        return false;
    format_bytes(self->stored[1], stored);
    format_bytes_change(change(self->stored), stored_change);
    format_count(self->objects[1], objects);
    format_count_change(change(self->objects), objects_change);
    format_bytes(self->in, in);
    format_bytes(self->out, out);
    format_count(count_operations(self->operations), operations);
    const char *const cells[] = {name, stored, stored_change, objects, objects_change, in, out, operations};
    return table_add(rows, cells);
}

static void print_range(const json_t *answer, FILE *out)
{
    int64_t range[2];
    char start[TIME_TEXT_BYTES];
    char end[TIME_TEXT_BYTES];
    if (!read_pair(json_array_get(answer, 0), "timeRange", range))
        return;
    time_format(range[0], start);
    /* The last millisecond of an interval reads better as the first of the next. */
    const bool is_whole = (range[1] + 1) % UTAPI_INTERVAL_MS == 0;
    time_format(is_whole ? range[1] + 1 : range[1], end);
    fprintf(out, "%s to %s UTC\n\n", start, end);
}

/* "name: PutObject 3, GetObject 1", broken into lines. */
static void print_operations(const entry *self, FILE *out)
{
    UTAPI_AUTO_FREE char *name = format_name(self->name);
    size_t used = (size_t)fprintf(out, "%s:", name != NULL ? name : "");
    const char *separator = "";
    const char *operation;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)self->operations, operation, value) {
        char count[FORMAT_BYTES];
        char item[96];
        if (json_integer_value(value) == 0)
            continue;
        const char *colon = strchr(operation, ':'); /* "s3:PutObject" */
        format_count(json_integer_value(value), count);
        const int size =
            snprintf(item, sizeof item, " %.50s %s", colon != NULL ? colon + 1 : operation, count);
        fputs(separator, out);
        if (used + (size_t)size > LINE_CHARACTERS) {
            fputs("\n   ", out);
            used = 3;
        }
        fputs(item, out);
        used += (size_t)size + 1;
        separator = ",";
    }
    fputc('\n', out);
}

static bool print_rows(utapi_level level, const json_t *answer, table *rows, FILE *out)
{
    entry resource;
    for (size_t i = 0; i < json_array_size(answer); i++) {
        if (!read_entry(level, json_array_get(answer, i), &resource) || !add_entry(rows, &resource))
            return false;
    }
    print_range(answer, out);
    table_print(rows, out);
    fputc('\n', out);
    for (size_t i = 0; i < json_array_size(answer); i++) {
        if (read_entry(level, json_array_get(answer, i), &resource) &&
            count_operations(resource.operations) > 0)
            print_operations(&resource, out);
    }
    return true;
}

bool list_print_table(utapi_level level, const json_t *answer, FILE *out)
{
    const char *const columns[] = {headings[level], ">STORED", ">CHANGE", ">OBJECTS",
                                   ">CHANGE",       ">IN",     ">OUT",    ">OPERATIONS"};
    table rows;
    if (!json_is_array(answer) || !table_init(&rows, columns, sizeof columns / sizeof *columns))
        return false;
    const bool is_done = print_rows(level, answer, &rows, out);
    table_done(&rows);
    return is_done;
}
