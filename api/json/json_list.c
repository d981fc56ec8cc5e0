/* SPDX-License-Identifier: Apache-2.0 */
/**
 * json_list.c - reading a question member by member, as Utapi's validators do.
 *
 * Utapi looks each member's name up in a JavaScript object, which also finds what every object inherits:
 * a member named so is refused as of wrong format. Other unknown members are ignored.
 */
#include "json/json_list.h"

#include "json/json_cursor.h"
#include "json/json_parse.h"

#include <stdlib.h>
#include <string.h>

/** What Object.prototype has, but for __proto__, which JSON.parse makes an own member that passes. */
static const char *const inherited_members[] = {
    "__defineGetter__", "__defineSetter__", "__lookupGetter__", "__lookupSetter__",
    "constructor",      "hasOwnProperty",   "isPrototypeOf",    "propertyIsEnumerable",
    "toLocaleString",   "toString",         "valueOf",
};

static bool is_inherited(const char *member)
{
    for (size_t i = 0; i < sizeof inherited_members / sizeof *inherited_members; i++) {
        if (strcmp(member, inherited_members[i]) == 0)
            return true;
    }
    return false;
}

utapi_string json_action_name(json_action action)
{
    return utapi_string_of(action == JSON_LIST_METRICS ? "ListMetrics" : "ListRecentMetrics");
}

/* ---- plain bodies ------------------------------------------------------------------------- */

/** Room for one more name; false if there is none. It doubles whenever their number is a power of two. */
static bool names_grow(json_query *ret)
{
    if ((ret->count & (ret->count - 1)) != 0)
        return true;
    const size_t room = ret->count == 0 ? 1 : ret->count * 2;
    utapi_string *grown = realloc(ret->names, room * sizeof *grown);
    if (grown == NULL)
        return false;
    ret->names = grown;
    return true;
}

static bool plain_names_take(json_cursor *s, size_t max_names, json_query *ret)
{
    if (ret->count > 0 || !json_char_take(s, '['))
        return false; /* of another level, or the same member again */
    do {
        if (ret->count == max_names || !names_grow(ret) || !json_string_take(s, &ret->names[ret->count]) ||
            ret->names[ret->count].size > UTAPI_NAME_MAX)
            return false;
        ret->count++;
    } while (json_char_take(s, ','));
    return json_char_take(s, ']');
}

static bool plain_range_take(json_cursor *s, json_query *ret)
{
    if (ret->plain_time_count > 0 || !json_char_take(s, '['))
        return false;
    do {
        json_space_skip(s);
        if (ret->plain_time_count == 2 || !json_integer_take(s, &ret->plain_times_ms[ret->plain_time_count]))
            return false;
        ret->plain_time_count++;
    } while (json_char_take(s, ','));
    return json_char_take(s, ']');
}

static bool plain_member_take(json_cursor *s, size_t max_names, json_query *ret)
{
    utapi_string name;
    if (!json_string_take(s, &name) || !json_char_take(s, ':'))
        return false;
    if (utapi_string_equal(name, utapi_string_of("timeRange")))
        return plain_range_take(s, ret);
    if (utapi_string_equal(name, utapi_string_of("Action")))
        return ret->plain_action.size == 0 && json_string_take(s, &ret->plain_action) &&
               ret->plain_action.size > 0;
    return utapi_level_find(name, &ret->plain_level) && plain_names_take(s, max_names, ret);
}

/** Whether a body is plain, whole, and has names. */
static bool plain_take(utapi_string body, size_t max_names, json_query *ret)
{
    json_cursor s = {body.data, body.data + body.size};
    if (!json_char_take(&s, '{'))
        return false;
    do {
        if (!plain_member_take(&s, max_names, ret))
            return false;
    } while (json_char_take(&s, ','));
    if (!json_char_take(&s, '}'))
        return false;
    json_space_skip(&s);
    return s.at == s.end && ret->count > 0;
}

http_error json_query_open(utapi_string body, size_t max_names, json_query *ret, http_failure *failure)
{
    *ret = (json_query){0};
    if (body.size > 0 && plain_take(body, max_names, ret))
        return HTTP_OK;
    json_query_done(ret);
    return json_query_open_any(body, max_names, ret, failure);
}

/* ---- any body ----------------------------------------------------------------------------- */

http_error json_query_open_any(utapi_string body, size_t max_names, json_query *ret, http_failure *failure)
{
    if (json_size_of(body).weight > JSON_WEIGHT_SMALL + max_names)
        return http_fail(failure, HTTP_ENTITY_TOO_LARGE, "more values than a question of %zu names may have",
                         max_names);
    json_t *document = NULL;
    utapi_error err;
    utapi_error_clear(&err);
    const utapi_status status = json_parse(body, &document, &err);
    if (status == UTAPI_NO_MEMORY)
        return http_fail(failure, HTTP_INTERNAL_ERROR, NULL);
    if (status != UTAPI_OK)
        return http_fail(failure, HTTP_INVALID_PARAMETER_VALUE, NULL); /* Utapi's text says no more */
    *ret = (json_query){.document = document};
    return HTTP_OK;
}

static bool is_falsy(const json_t *value)
{
    return json_is_null(value) || json_is_false(value) ||
           (json_is_string(value) && json_string_length(value) == 0) ||
           (json_is_number(value) && json_number_value(value) == 0.0);
}

json_body_action json_query_action(const json_query *question)
{
    if (question->document == NULL && question->plain_action.size > 0)
        return (json_body_action){.is = JSON_ACTION_TEXT, .text = question->plain_action};
    const json_t *value = json_object_get(question->document, "Action");
    if (value == NULL)
        return (json_body_action){.is = JSON_ACTION_ABSENT};
    if (is_falsy(value))
        return (json_body_action){.is = JSON_ACTION_EMPTY};
    if (!json_is_string(value))
        return (json_body_action){.is = JSON_ACTION_OTHER};
    return (json_body_action){.is = JSON_ACTION_TEXT, .text = json_string_of(value)};
}

static http_error read_names(const json_t *list, const char *member, size_t max_names, json_query *ret,
                             http_failure *failure)
{
    const size_t count = json_array_size(list); /* 0 for all that is no array */
    if (count == 0)
        return http_fail(failure, HTTP_INVALID_PARAMETER_VALUE, NULL);
    if (count > max_names)
        return http_fail(failure, HTTP_ENTITY_TOO_LARGE, "%s: %zu names; a question may have %zu", member,
                         count, max_names);
    ret->names = calloc(count, sizeof *ret->names);
    if (ret->names == NULL)
        return http_fail(failure, HTTP_INTERNAL_ERROR, NULL);

    for (size_t i = 0; i < count; i++) {
        const json_t *name = json_array_get(list, i);
        if (!json_is_string(name))
            return http_fail(failure, HTTP_INVALID_PARAMETER_VALUE, NULL);
        if (json_string_length(name) > UTAPI_NAME_MAX)
            return http_fail(failure, HTTP_INVALID_PARAMETER_VALUE, "%s[%zu]: longer than %d bytes", member,
                             i, UTAPI_NAME_MAX);
        ret->names[i] = json_string_of(name);
    }
    ret->count = count;
    return HTTP_OK;
}

#define TIME_MAX_EXACT 9007199254740991.0 /* 2^53 - 1: what a double holds to the millisecond */

/** Of one or two times. */
static http_error read_times(const int64_t *times_ms, size_t count, int64_t now_ms, utapi_range *ret,
                             http_failure *failure)
{
    const int64_t *end_ms = count == 2 ? &times_ms[1] : NULL;
    if (utapi_range_of(times_ms[0], end_ms, now_ms, ret, NULL) != UTAPI_OK)
        return http_fail(failure, HTTP_INVALID_TIME_RANGE, NULL);
    return HTTP_OK;
}

/** A time may be written as JavaScript does not: 1796073300000.0 is an integer, 1796073300000.5 is none. */
static bool read_time(const json_t *value, int64_t *ret)
{
    const double real = json_real_value(value); /* 0 for an integer */
    if (json_is_real(value) && (real < 0 || real > TIME_MAX_EXACT || real != (double)(int64_t)real))
        return false;
    *ret = json_is_real(value) ? (int64_t)real : json_integer_value(value);
    return json_is_number(value);
}

static http_error read_range(const json_t *list, int64_t now_ms, utapi_range *ret, http_failure *failure)
{
    const size_t count = json_array_size(list); /* 0 for all that is no array */
    int64_t times_ms[2];
    bool are_times = count == 1 || count == 2;
    for (size_t i = 0; i < count && are_times; i++)
        are_times = read_time(json_array_get(list, i), &times_ms[i]);
    return are_times ? read_times(times_ms, count, now_ms, ret, failure)
                     : http_fail(failure, HTTP_INVALID_TIME_RANGE, NULL);
}

/** Each member in its order; whether there was a range. */
static http_error read_members(json_query *question, const char *names_member, bool takes_range,
                               size_t max_names, int64_t now_ms, bool *ret_has_range, http_failure *failure)
{
    const char *member;
    json_t *value;
    json_object_foreach (question->document, member, value) {
        http_error error = HTTP_OK;
        if (strcmp(member, names_member) == 0) {
            error = read_names(value, member, max_names, question, failure);
        } else if (strcmp(member, "timeRange") == 0 && takes_range) {
            error = read_range(value, now_ms, &question->range, failure);
            *ret_has_range = true;
        } else if (is_inherited(member)) {
            error = http_fail(failure, HTTP_WRONG_FORMAT, NULL);
        }
        if (error != HTTP_OK)
            return error;
    }
    return HTTP_OK;
}

/** As read_members(): plain names have nothing wrong with them, so only the range may have. */
static http_error read_plain(json_query *question, utapi_level level, bool takes_range, int64_t now_ms,
                             bool *ret_has_range, http_failure *failure)
{
    if (question->plain_level != level)
        question->count = 0;
    if (!takes_range || question->plain_time_count == 0)
        return HTTP_OK;
    *ret_has_range = true;
    return read_times(question->plain_times_ms, question->plain_time_count, now_ms, &question->range,
                      failure);
}

http_error json_query_read(json_query *question, utapi_level level, json_action action, size_t max_names,
                           int64_t now_ms, http_failure *failure)
{
    const bool takes_range = action == JSON_LIST_METRICS;
    bool has_range = !takes_range;
    if (!takes_range)
        question->range = utapi_range_recent(now_ms);
    const http_error error = question->document == NULL
                                 ? read_plain(question, level, takes_range, now_ms, &has_range, failure)
                                 : read_members(question, utapi_level_name(level), takes_range, max_names,
                                                now_ms, &has_range, failure);
    if (error != HTTP_OK)
        return error;
    return question->count > 0 && has_range ? HTTP_OK : http_fail(failure, HTTP_WRONG_FORMAT, NULL);
}

void json_query_done(json_query *question)
{
    free(question->names);
    json_decref(question->document);
    *question = (json_query){0};
}
