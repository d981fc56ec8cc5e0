/* SPDX-License-Identifier: Apache-2.0 */
/**
 * handle_dead_letters.c - GET /_/journal/refused: the events that were taken and can never be counted; POST
 * /_/journal/acknowledge: an operator has taken note of them.
 */
#include "handlers/routes.h"

#include "json/json_health.h"

#include <stdlib.h>

/** The most that one answer lists: the oldest of them, for those that follow tend to say the same. */
#define LISTED_MAX 10000

typedef struct listing {
    utapi_text text;
    size_t count;
} listing;

static bool list_event(void *ctx, const char *id, const utapi_entry *entry, utapi_status status,
                       const char *reason)
{
    listing *self = ctx;
    if (self->count++ > 0)
        JSON_TEXT_LITERAL(&self->text, ",");
    json_dead_letter(&self->text, id, entry, *reason != '\0' ? reason : utapi_status_text(status));
    return self->count < LISTED_MAX && !self->text.failed;
}

void handle_dead_letters(const http_service *service, http_call *call)
{
    utapi_error err;
    utapi_error_clear(&err);
    http_failure failure;
    listing list = {0};
    size_t size = 0;
    utapi_status status = UTAPI_OK;

    JSON_TEXT_LITERAL(&list.text, "[");
    if (service->dead_letters != NULL)
        status = service->dead_letters(service->storage, list_event, &list, &err);
    JSON_TEXT_LITERAL(&list.text, "]");
    char *body = utapi_text_take(&list.text, &size);
    if (status == UTAPI_OK && body != NULL) {
        http_call_answer(call, http_error_status(HTTP_OK), body, size);
        return;
    }
    free(body);
    (void)http_fail_query(&failure, call, "events kept aside", status != UTAPI_OK ? status : UTAPI_NO_MEMORY,
                          &err);
    http_call_refuse(call, &failure);
}

void handle_acknowledge(const http_service *service, http_call *call)
{
    utapi_error err;
    utapi_error_clear(&err);
    http_failure failure;
    json_acknowledgement what = {0};
    if (service->acknowledge == NULL) {
        (void)http_fail(&failure, HTTP_NOT_IMPLEMENTED, "there is no journal before the storage");
        http_call_refuse(call, &failure);
        return;
    }
    utapi_status status = json_acknowledgement_read(call->request.body, &what, &err);
    if (status == UTAPI_OK)
        status = service->acknowledge(service->storage, what.refused, what.count, what.lost, &err);
    json_acknowledgement_done(&what);
    if (status == UTAPI_OK) {
        http_call_answer(call, http_error_status(HTTP_OK), NULL, 0);
        return;
    }
    (void)http_fail_status(&failure, call, status, &err);
    http_call_refuse(call, &failure);
}
