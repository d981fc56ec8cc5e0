/* SPDX-License-Identifier: Apache-2.0 */
/**
 * handle_storage.c - GET /v2/storage/{level}/{resource}: the bytes that one resource stores now.
 */
#include "handlers/routes.h"

#include "http/uri.h"
#include "utapi/scoped.h"
#include "json/json_list.h"

#include <stdio.h>
#include <string.h>

/** Splits "/v2/storage/{level}/{resource}"; the resource is the rest of the path, and still encoded. */
static http_error split_path(utapi_string path, utapi_level *ret_level, utapi_string *ret_resource,
                             http_failure *failure)
{
    const size_t prefix = strlen("/v2/storage/");
    const utapi_string rest = {path.data + prefix, path.size - prefix};
    const char *slash = rest.size > 0 ? memchr(rest.data, '/', rest.size) : NULL;
    const size_t level_size = slash != NULL ? (size_t)(slash - rest.data) : rest.size;

    if (!utapi_level_find((utapi_string){rest.data, level_size}, ret_level))
        return http_fail(failure, HTTP_NOT_IMPLEMENTED, NULL);
    if (slash == NULL || level_size + 1 == rest.size)
        return http_fail(failure, HTTP_INVALID_PARAMETER_VALUE, "resource: expected a name");
    *ret_resource = (utapi_string){slash + 1, rest.size - level_size - 1};
    return HTTP_OK;
}

/** Asks for the resource of that name, and writes the answer. */
static http_error read_storage(const http_service *service, const http_call *call, utapi_level level,
                               utapi_string name, char **ret_body, size_t *ret_size, http_failure *failure)
{
    if (name.size > UTAPI_NAME_MAX)
        return http_fail(failure, HTTP_INVALID_PARAMETER_VALUE, "resource: longer than %d bytes",
                         UTAPI_NAME_MAX);
    utapi_string stored = name;
    if (level == UTAPI_ACCOUNTS && service->identity != NULL)
        stored = identity_canonical_id(service->identity, name);

    utapi_error err;
    utapi_error_clear(&err);
    int64_t bytes = 0;
    const utapi_status status = utapi_engine_storage(service->engine, level, stored, &bytes, &err);
    if (status != UTAPI_OK) {
        char about[64];
        (void)snprintf(about, sizeof about, "what one of %s stores", utapi_level_name(level));
        return http_fail_query(failure, call, about, status, &err);
    }
    *ret_body = json_storage_answer(level, name, bytes, ret_size);
    return *ret_body != NULL ? HTTP_OK : http_fail(failure, HTTP_INTERNAL_ERROR, NULL);
}

static http_error answer_storage(const http_service *service, const http_call *call, char **ret_body,
                                 size_t *ret_size, http_failure *failure)
{
    utapi_level level = UTAPI_BUCKETS;
    utapi_string encoded = {NULL, 0};
    const http_error error = split_path(call->request.path, &level, &encoded, failure);
    if (error != HTTP_OK)
        return error;

    UTAPI_AUTO_FREE char *buffer = malloc(encoded.size);
    utapi_string name;
    if (buffer == NULL)
        return http_fail(failure, HTTP_INTERNAL_ERROR, NULL);
    if (!uri_decode(encoded, buffer, &name))
        return http_fail(failure, HTTP_INVALID_URI, NULL);
    return read_storage(service, call, level, name, ret_body, ret_size, failure);
}

void handle_storage(const http_service *service, http_call *call)
{
    http_failure failure;
    char *body = NULL;
    size_t size = 0;
    if (answer_storage(service, call, &body, &size, &failure) == HTTP_OK)
        http_call_answer(call, http_error_status(HTTP_OK), body, size);
    else
        http_call_refuse(call, &failure);
}
