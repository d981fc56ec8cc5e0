/* SPDX-License-Identifier: Apache-2.0 */
/**
 * json_answer.c - answers, written straight into a buffer: their members stand in a fixed order
 * (docs/specification.md#reply), and a tree of 60 members a name would cost more than all the rest of a query.
 */
#include "json/json_list.h"
#include "json/json_text.h"

#include <stddef.h>
#include <string.h>

/** The member that names the resource, by level. */
static const char *const name_members[UTAPI_LEVEL_COUNT] = {
#define X(name, path, member) [UTAPI_##name] = member,
    UTAPI_LEVEL_MAP(X)
#undef X
};

/** One operation, with the comma before it. */
#define NO_OPERATION(reported) ",\"s3:" reported "\":0"

/** The operations of one who did nothing, `"s3:DeleteBucket":0,...`: what most of an answer says. */
static const char no_operations[] =
#define UTAPI_OPERATION(name, reported) NO_OPERATION(reported)
#include "utapi/operations.def"
#undef UTAPI_OPERATION
    ;

/** How it is made up, and where each operation ends in it. */
typedef struct operation_texts {
#define UTAPI_OPERATION(name, reported) char name[sizeof NO_OPERATION(reported) - 1];
#include "utapi/operations.def"
#undef UTAPI_OPERATION
} operation_texts;

static const unsigned short operation_ends[UTAPI_OPERATION_COUNT] = {
#define UTAPI_OPERATION(name, reported) \
    [UTAPI_OP_##name] = offsetof(operation_texts, name) + sizeof NO_OPERATION(reported) - 1,
#include "utapi/operations.def"
#undef UTAPI_OPERATION
};

/** More than an answer takes of one name, but for the name itself. */
enum { USAGE_BYTES_MAX = sizeof no_operations + 512 };

/** A figure was cut to 64 bits before (utapi_usage_clamp()). */
static void add_figure(utapi_text *text, utapi_wide figure)
{
    json_text_add_integer(text, (int64_t)figure);
}

static void add_pair(utapi_text *text, utapi_wide first, utapi_wide second)
{
    JSON_TEXT_LITERAL(text, "[");
    add_figure(text, first);
    JSON_TEXT_LITERAL(text, ",");
    add_figure(text, second);
    JSON_TEXT_LITERAL(text, "]");
}

/** Copies the zeros in the pieces between what is not zero. */
static void add_operations(utapi_text *text, const utapi_amounts *flows)
{
    size_t copied = 1; /* the first one has no comma */
    JSON_TEXT_LITERAL(text, "{");
    for (uint64_t rest = flows->present >> UTAPI_FIRST_OPERATION; rest != 0; rest &= rest - 1) {
        const unsigned operation = (unsigned)__builtin_ctzll(rest);
        const utapi_wide count = flows->of[UTAPI_FIRST_OPERATION + operation];
        if (count == 0)
            continue;
        utapi_text_add(text, no_operations + copied, operation_ends[operation] - 1 - copied);
        add_figure(text, count);
        copied = operation_ends[operation];
    }
    utapi_text_add(text, no_operations + copied, sizeof no_operations - 1 - copied);
    JSON_TEXT_LITERAL(text, "}");
}

static void add_usage(utapi_text *text, const char *name_member, utapi_string name, utapi_range range,
                      const utapi_usage *usage)
{
    JSON_TEXT_LITERAL(text, "{\"timeRange\":");
    add_pair(text, range.start_ms, range.end_ms);
    JSON_TEXT_LITERAL(text, ",\"storageUtilized\":");
    add_pair(text, usage->storage_utilized[0], usage->storage_utilized[1]);
    JSON_TEXT_LITERAL(text, ",\"incomingBytes\":");
    add_figure(text, utapi_amounts_get(&usage->flows, UTAPI_INCOMING_BYTES));
    JSON_TEXT_LITERAL(text, ",\"outgoingBytes\":");
    add_figure(text, utapi_amounts_get(&usage->flows, UTAPI_OUTGOING_BYTES));
    JSON_TEXT_LITERAL(text, ",\"numberOfObjects\":");
    add_pair(text, usage->number_of_objects[0], usage->number_of_objects[1]);
    JSON_TEXT_LITERAL(text, ",\"operations\":");
    add_operations(text, &usage->flows);
    JSON_TEXT_LITERAL(text, ",\"");
    utapi_text_add(text, name_member, strlen(name_member));
    JSON_TEXT_LITERAL(text, "\":");
    json_text_add_string(text, name);
    JSON_TEXT_LITERAL(text, "}");
}

char *json_answer(utapi_level level, const json_query *query, const utapi_usage *usages, size_t *ret_size)
{
    utapi_text text = {0};
    (void)utapi_text_reserve(&text, query->count * USAGE_BYTES_MAX);
    JSON_TEXT_LITERAL(&text, "[");
    for (size_t i = 0; i < query->count; i++) {
        if (i > 0)
            JSON_TEXT_LITERAL(&text, ",");
        add_usage(&text, name_members[level], query->names[i], query->range, &usages[i]);
    }
    JSON_TEXT_LITERAL(&text, "]");
    return utapi_text_take(&text, ret_size);
}

char *json_storage_answer(utapi_level level, utapi_string name, int64_t bytes, size_t *ret_size)
{
    utapi_text text = {0};
    JSON_TEXT_LITERAL(&text, "{\"storageUtilized\":");
    json_text_add_integer(&text, bytes);
    JSON_TEXT_LITERAL(&text, ",\"resource\":");
    json_text_add_string(&text, name);
    JSON_TEXT_LITERAL(&text, ",\"level\":");
    json_text_add_string(&text, utapi_string_of(utapi_level_name(level)));
    JSON_TEXT_LITERAL(&text, "}");
    return utapi_text_take(&text, ret_size);
}

char *json_failure(const http_failure *failure, size_t *ret_size)
{
    utapi_text text = {0};
    JSON_TEXT_LITERAL(&text, "{\"code\":");
    json_text_add_string(&text, utapi_string_of(http_error_code(failure->error)));
    JSON_TEXT_LITERAL(&text, ",\"message\":");
    json_text_add_string(&text, utapi_string_of(http_failure_message(failure)));
    JSON_TEXT_LITERAL(&text, "}");
    return utapi_text_take(&text, ret_size);
}
