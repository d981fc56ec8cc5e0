/* SPDX-License-Identifier: Apache-2.0 */
/**
 * handle_docs.c - GET /openapi.json, GET /_/docs: the API's description, for programs and for people.
 */
#include "handlers/routes.h"

#include "openapi/openapi.h"

#include <stdlib.h>
#include <string.h>

static void answer_copy(http_call *call, const char *text, size_t size)
{
    char *copy = malloc(size);
    if (copy == NULL) {
        http_call_fail(call, HTTP_INTERNAL_ERROR);
        return;
    }
    memcpy(copy, text, size);
    http_call_answer(call, http_error_status(HTTP_OK), copy, size);
}

void handle_openapi(const http_service *service, http_call *call)
{
    (void)service;
    answer_copy(call, openapi_document, openapi_document_size);
}

void handle_docs(const http_service *service, http_call *call)
{
    (void)service;
    answer_copy(call, openapi_page, openapi_page_size);
}
