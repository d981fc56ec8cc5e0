/* SPDX-License-Identifier: Apache-2.0 */
/**
 * json_parse.c - one call of jansson, and what its errors mean.
 *
 * jansson gives up on a number of more than 64 bits while it parses, so nobody ever sees the member. Its
 * name is found by walking the text up to the place of the error: what lies before is well-formed.
 */
#include "json/json_parse.h"

#include <stdlib.h>

/** Where a walk over well-formed JSON has come to. */
typedef struct place {
    bool in_string;
    unsigned depth;
    size_t string_start; /* of the string that was seen last, after its quote */
    size_t string_end;
    utapi_string member; /* the name before the last ':' */
    bool is_list;        /* the outermost value is an array */
    size_t element;      /* how many of its elements are complete */
    size_t weight;       /* as json_size has it */
} place;

enum { CONTAINER_WEIGHT = 8 };

static void step_in_string(place *where, utapi_string text, size_t *at)
{
    if (text.data[*at] == '\\') {
        (*at)++;
    } else if (text.data[*at] == '"') {
        where->in_string = false;
        where->string_end = *at;
    }
}

static void step(place *where, utapi_string text, size_t at)
{
    switch (text.data[at]) {
    case '"':
        where->in_string = true;
        where->string_start = at + 1;
        break;
    case ':':
        where->weight++;
        where->member.data = text.data + where->string_start;
        where->member.size = where->string_end - where->string_start;
        break;
    case '[':
    case '{':
        where->is_list |= where->depth == 0 && text.data[at] == '[';
        where->depth++;
        where->weight += CONTAINER_WEIGHT;
        break;
    case ']':
    case '}':
        where->depth--;
        break;
    case ',':
        where->weight++;
        where->element += where->depth == 1;
        break;
    default:
        break;
    }
}

/* As far as a position, or where the parser gives up: it allows no deeper nesting. */
static place walk(utapi_string text, size_t end)
{
    place where = {0};
    for (size_t at = 0; at < end && at < text.size && where.depth <= JSON_PARSER_MAX_DEPTH; at++) {
        if (where.in_string)
            step_in_string(&where, text, &at);
        else
            step(&where, text, at);
    }
    return where;
}

json_size json_size_of(utapi_string text)
{
    const place end = walk(text, text.size);
    return (json_size){.weight = end.weight, .elements = end.is_list ? end.element + 1 : 0};
}

/** Fails with the member that the number before position belongs to. */
static utapi_status fail_overflow(utapi_string text, size_t position, utapi_error *err)
{
    const place where = walk(text, position);
    const size_t index = where.is_list ? where.element : 0;
    if (where.member.size == 0)
        return utapi_fail_at(err, UTAPI_OVERFLOW, index, "a number does not fit 64 bits");
    return utapi_fail_at(err, UTAPI_OVERFLOW, index, "%.*s: does not fit 64 bits",
                         (int)(where.member.size < 100 ? where.member.size : 100), where.member.data);
}

/* jansson does not tell reliably that memory ran out: it may call the text no JSON, and a string that it has no room
 * for loses a byte without any error. So its allocations are watched. */
static _Thread_local bool ran_out;

static void *watched_malloc(size_t size)
{
    void *memory = malloc(size);
    ran_out |= memory == NULL;
    return memory;
}

/* Before main(): nobody else uses jansson yet. */
__attribute__((constructor)) static void watch(void)
{
    json_set_alloc_funcs(watched_malloc, free);
}

utapi_status json_parse(utapi_string text, json_t **ret, utapi_error *err)
{
    json_error_t error;
    ran_out = false;
    json_t *value = json_loadb(text.size > 0 ? text.data : "", text.size,
                               JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (ran_out) {
        json_decref(value);
        return utapi_fail(err, UTAPI_NO_MEMORY, "JSON of %zu bytes", text.size);
    }
    if (value != NULL) {
        *ret = value;
        return UTAPI_OK;
    }
    if (json_error_code(&error) == json_error_numeric_overflow)
        return fail_overflow(text, error.position > 0 ? (size_t)error.position : 0, err);
    return utapi_fail(err, UTAPI_INVALID, "not JSON: line %d, column %d: %s", error.line, error.column,
                      error.text);
}

utapi_string json_string_of(const json_t *value)
{
    return (utapi_string){json_string_value(value), json_string_length(value)};
}
