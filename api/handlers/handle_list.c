/* SPDX-License-Identifier: Apache-2.0 */
/**
 * handle_list.c - POST /{level}?Action=ListMetrics|ListRecentMetrics.
 *
 * The checks stand in Utapi's order (docs/authentication.md#request-checks): method GET, body, action, what is
 * not implemented, validators, signature. So a wrong question is told what is wrong whoever asks, as Utapi does.
 */
#include "handlers/routes.h"

#include "http/uri.h"
#include "utapi/scoped.h"
#include "json/json_list.h"

#include <stdio.h>
#include <string.h>

/** What is asked for. */
typedef struct question {
    utapi_level level;
    json_action action;
    json_query body;
} question;

/** What the query says of "Action". */
typedef struct query_action {
    size_t count;
    utapi_string encoded; /* the last one */
} query_action;

static query_action find_query_action(utapi_string query)
{
    query_action found = {0};
    utapi_string name, value;
    while (uri_next_parameter(&query, &name, &value)) {
        if (uri_means(name, utapi_string_of("Action")))
            found = (query_action){found.count + 1, value};
    }
    return found;
}

static bool find_action(utapi_string name, bool is_encoded, json_action *ret)
{
    static const json_action actions[] = {JSON_LIST_METRICS, JSON_LIST_RECENT_METRICS};
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++) {
        const utapi_string known = json_action_name(actions[i]);
        if (is_encoded ? uri_means(name, known) : utapi_string_equal(name, known)) {
            *ret = actions[i];
            return true;
        }
    }
    return false;
}

/** The action stands in the query or in the body; two must agree (docs/specification.md#queries). */
static http_error read_action(utapi_string raw_query, const json_query *body, json_action *ret,
                              http_failure *failure)
{
    const query_action query = find_query_action(raw_query);
    const json_body_action member = json_query_action(body);
    const bool in_query = query.count > 1 || query.encoded.size > 0;

    if (in_query && member.is != JSON_ACTION_ABSENT) {
        if (query.count > 1 || member.is != JSON_ACTION_TEXT || !uri_means(query.encoded, member.text))
            return http_fail(failure, HTTP_INVALID_PARAMETER_VALUE, NULL);
    }
    if (!in_query && (member.is == JSON_ACTION_ABSENT || member.is == JSON_ACTION_EMPTY))
        return http_fail(failure, HTTP_INVALID_ACTION, NULL);

    const bool is_single = in_query ? query.count == 1 : member.is == JSON_ACTION_TEXT;
    if (!is_single || !find_action(in_query ? query.encoded : member.text, in_query, ret))
        return http_fail(failure, HTTP_NOT_IMPLEMENTED, NULL);
    return HTTP_OK;
}

/** "/" is the service; any other path is a level's name, unencoded. */
static bool find_level(utapi_string path, utapi_level *ret)
{
    if (path.size <= 1) {
        *ret = UTAPI_SERVICE;
        return path.size == 0 || path.data[0] == '/';
    }
    return path.data[0] == '/' && utapi_level_find((utapi_string){path.data + 1, path.size - 1}, ret);
}

static http_error read_query(const http_service *service, const http_request *request, question *ret,
                             http_failure *failure)
{
    if (utapi_string_equal(request->method, utapi_string_of("GET")))
        return http_fail(failure, HTTP_ACCESS_FORBIDDEN, NULL);
    http_error error = json_query_open(request->body, service->list_max_names, &ret->body, failure);
    if (error == HTTP_OK)
        error = read_action(request->query, &ret->body, &ret->action, failure);
    if (error != HTTP_OK)
        return error;

    const bool is_post = utapi_string_equal(request->method, utapi_string_of("POST"));
    if (!is_post || !find_level(request->path, &ret->level))
        return http_fail(failure, HTTP_NOT_IMPLEMENTED, NULL);
    return json_query_read(&ret->body, ret->level, ret->action, service->list_max_names,
                           utapi_engine_now_ms(service->engine), failure);
}

/** The names that usage is stored under: accounts by account ID (docs/specification.md#accounts). NULL: no memory. */
static utapi_string *map_names(const http_service *service, const question *asked)
{
    utapi_string *names = calloc(asked->body.count, sizeof *names);
    if (names == NULL)
        return NULL;
    const bool is_mapped = asked->level == UTAPI_ACCOUNTS && service->identity != NULL;
    for (size_t i = 0; i < asked->body.count; i++) {
        const utapi_string name = asked->body.names[i];
        names[i] = is_mapped ? identity_canonical_id(service->identity, name) : name;
    }
    return names;
}

static http_error read_usage(const http_service *service, const http_call *call, const question *asked,
                             char **ret_body, size_t *ret_size, http_failure *failure)
{
    UTAPI_AUTO_FREE utapi_string *names = map_names(service, asked);
    UTAPI_AUTO_FREE utapi_usage *usages = calloc(asked->body.count, sizeof *usages);
    if (names == NULL || usages == NULL)
        return http_fail(failure, HTTP_INTERNAL_ERROR, NULL);

    utapi_error err;
    utapi_error_clear(&err);
    const utapi_status status = utapi_engine_list(service->engine, asked->level, names, asked->body.count,
                                                  asked->body.range, usages, &err);
    if (status != UTAPI_OK) {
        char about[64];
        (void)snprintf(about, sizeof about, "%zu names of %s", asked->body.count,
                       utapi_level_name(asked->level));
        return http_fail_query(failure, call, about, status, &err);
    }

    *ret_body = json_answer(asked->level, &asked->body, usages, ret_size);
    return *ret_body != NULL ? HTTP_OK : http_fail(failure, HTTP_INTERNAL_ERROR, NULL);
}

void handle_list(const http_service *service, http_call *call)
{
    http_failure failure;
    question asked = {0};
    char *body = NULL;
    size_t size = 0;

    http_error error = read_query(service, &call->request, &asked, &failure);
    if (error == HTTP_OK)
        error = http_call_verify(service, call, &failure);
    if (error == HTTP_OK)
        error = read_usage(service, call, &asked, &body, &size, &failure);
    json_query_done(&asked.body);

    if (error == HTTP_OK)
        http_call_answer(call, http_error_status(HTTP_OK), body, size);
    else
        http_call_refuse(call, &failure);
}
