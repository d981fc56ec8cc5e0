/* SPDX-License-Identifier: Apache-2.0 */
/**
 * handle_dead_letters.c - the events that were accepted and not counted: GET /_/dead-letters shows them, POST
 * /_/dead-letters/push counts them after all, POST /_/dead-letters/acknowledge drops them. GET /_/journal/refused and
 * POST /_/journal/acknowledge are older names, with lost events beside them; they know letters as a whole alone.
 */
#include "handlers/routes.h"

#include "json/json_health.h"

/** The most that one answer lists: the oldest of them, for those that follow tend to say the same. */
#define LISTED_MAX 10000

typedef struct listing {
    utapi_text text;
    json_letter_form form;
    size_t count;
} listing;

/**
 * Whether an event counts at other levels: whoever read it from the older list and sent it again would count it
 * twice.
 */
static bool counts_elsewhere(const utapi_dead_letter *letter)
{
    bool does = false;
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT; level++)
        does = does ||
               (letter->entry->resource[level].size > 0 && (letter->levels & UTAPI_LEVEL_BIT(level)) == 0);
    return does && letter->levels != 0;
}

static bool list_letter(void *ctx, const utapi_dead_letter *letter)
{
    listing *self = ctx;
    if (self->form == JSON_LETTER_REFUSED && counts_elsewhere(letter))
        return true;
    if (self->count++ > 0)
        JSON_TEXT_LITERAL(&self->text, ",");
    json_dead_letter(&self->text, self->form, letter);
    return self->count < LISTED_MAX && !self->text.failed;
}

/* Answers with what was written, or with why it could not be. */
static void answer_text(http_call *call, utapi_text *text, utapi_status status, const utapi_error *err)
{
    http_failure failure;
    if (status == UTAPI_OK) {
        http_call_answer_text(call, text);
        return;
    }
    utapi_text_done(text);
    if (status == UTAPI_NOT_SUPPORTED)
        (void)http_fail(&failure, HTTP_NOT_IMPLEMENTED, "this storage keeps no dead letters");
    else
        (void)http_fail_query(&failure, call, "dead letters", status, err);
    http_call_refuse(call, &failure);
}

void handle_dead_letters(const http_service *service, http_call *call)
{
    utapi_error err;
    utapi_error_clear(&err);
    utapi_health health;
    listing list = {.form = JSON_LETTER};
    utapi_status status = utapi_engine_health(service->engine, &health, &err);
    JSON_TEXT_LITERAL(&list.text, "{");
    json_letter_stats(&list.text, &health.letters);
    JSON_TEXT_LITERAL(&list.text, ",\"letters\":[");
    if (status == UTAPI_OK)
        status = utapi_engine_dead_letters(service->engine, list_letter, &list, &err);
    JSON_TEXT_LITERAL(&list.text, "]}");
    answer_text(call, &list.text, status, &err);
}

void handle_refused(const http_service *service, http_call *call)
{
    utapi_error err;
    utapi_error_clear(&err);
    listing list = {.form = JSON_LETTER_REFUSED};
    JSON_TEXT_LITERAL(&list.text, "[");
    utapi_status status = utapi_engine_dead_letters(service->engine, list_letter, &list, &err);
    if (status == UTAPI_NOT_SUPPORTED)
        status = UTAPI_OK; /* then there never are any */
    JSON_TEXT_LITERAL(&list.text, "]");
    answer_text(call, &list.text, status, &err);
}

typedef utapi_status letters_fn(utapi_engine *engine, const utapi_letter_choice *which, size_t *ret_count,
                                utapi_error *err);

/* Pushes or acknowledges letters, and answers how many were and how many are left. */
static void change_letters(const http_service *service, http_call *call, letters_fn *with, const char *name)
{
    utapi_error err;
    utapi_error_clear(&err);
    http_failure failure;
    utapi_health health = {.refuses = false};
    json_acknowledgement read = {0};
    utapi_text text = {0};
    size_t count = 0;
    utapi_status status = json_letter_choice_read(call->request.body, &read, &err);
    const utapi_letter_choice which = {.ids = read.all ? NULL : read.ids, .count = read.what.count};
    if (status == UTAPI_OK)
        status = with(service->engine, &which, &count, &err);
    json_acknowledgement_done(&read);
    if (status == UTAPI_OK)
        status = utapi_engine_health(service->engine, &health, &err);
    if (status == UTAPI_UNAVAILABLE || status == UTAPI_UNCERTAIN || status == UTAPI_OVERFLOW) {
        (void)http_fail_status(&failure, call, status, &err);
        http_call_refuse(call, &failure);
        return;
    }
    JSON_TEXT_LITERAL(&text, "{");
    json_text_add_string(&text, utapi_string_of(name));
    JSON_TEXT_LITERAL(&text, ":");
    json_text_add_integer(&text, (int64_t)count);
    JSON_TEXT_LITERAL(&text, ",\"left\":");
    json_text_add_integer(&text, (int64_t)health.letters.kept);
    JSON_TEXT_LITERAL(&text, "}");
    answer_text(call, &text, status, &err);
}

void handle_push_letters(const http_service *service, http_call *call)
{
    change_letters(service, call, utapi_engine_push_letters, "pushed");
}

void handle_acknowledge_letters(const http_service *service, http_call *call)
{
    change_letters(service, call, utapi_engine_acknowledge_letters, "acknowledged");
}

void handle_acknowledge(const http_service *service, http_call *call)
{
    utapi_error err;
    utapi_error_clear(&err);
    http_failure failure;
    json_acknowledgement read = {0};
    utapi_status status = json_acknowledgement_read(call->request.body, &read, &err);
    if (status == UTAPI_OK)
        status = utapi_engine_acknowledge(service->engine, &read.what, &err);
    json_acknowledgement_done(&read);
    if (status == UTAPI_OK) {
        http_call_answer(call, http_error_status(HTTP_OK), NULL, 0);
        return;
    }
    if (status == UTAPI_NOT_SUPPORTED)
        (void)http_fail(&failure, HTTP_NOT_IMPLEMENTED, "there is no journal before the storage");
    else if (status == UTAPI_INVALID && err.index != UTAPI_NO_INDEX)
        (void)http_fail(&failure, HTTP_INVALID_PARAMETER_VALUE, "refused[%zu]: %s", err.index, err.detail);
    else
        (void)http_fail_status(&failure, call, status, &err);
    http_call_refuse(call, &failure);
}
