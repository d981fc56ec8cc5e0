/* SPDX-License-Identifier: Apache-2.0 */
/**
 * handle_admin.c - POST /_/admin/adjust and /_/admin/expire: an operator's act; GET /_/admin/audit: what came of acts.
 */
#include "handlers/routes.h"

#include "handlers/policy.h"
#include "http/uri.h"
#include "utapi/scoped.h"
#include "json/json_admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** The most rows that one answer lists: the newest of them. */
enum { LISTED_MAX = 1000 };

typedef struct listing {
    utapi_text text;
    size_t count;
} listing;

static bool list_row(void *ctx, const utapi_audit_row *row)
{
    listing *self = ctx;
    if (self->count++ > 0)
        JSON_TEXT_LITERAL(&self->text, ",");
    json_audit_row(&self->text, row);
    return self->count < LISTED_MAX && !self->text.failed;
}

static void refuse(http_call *call, utapi_status status, const utapi_error *err)
{
    http_failure failure;
    if (status == UTAPI_NOT_SUPPORTED)
        (void)http_fail(&failure, HTTP_NOT_IMPLEMENTED, "%s", err->detail);
    else
        (void)http_fail_status(&failure, call, status, err);
    http_call_refuse(call, &failure);
}

/* ---- acts --------------------------------------------------------------------------------- */

/** How the asker got in, and what he says of himself. */
static void who_write(const http_service *service, const http_call *call, utapi_string said,
                      char ret[static UTAPI_ADMIN_TEXT_MAX + 1])
{
    char address[UTAPI_SOURCE_MAX + 1];
    policy_source(call->request.peer, address);
    char proof[64];
    if (service->admin.is_local)
        (void)snprintf(proof, sizeof proof, "uid %u", call->request.peer_uid);
    else
        (void)snprintf(proof, sizeof proof, "token from %s", address);
    said = utapi_string_cut(said, UTAPI_ADMIN_TEXT_MAX - sizeof proof);
    (void)snprintf(ret, UTAPI_ADMIN_TEXT_MAX + 1, "%s%s%.*s", proof, said.size > 0 ? ": " : "",
                   (int)said.size, said.size > 0 ? said.data : "");
}

/** Tells what came of an act: its row; that it waits, behind a journal; or why it was refused. */
static void answer_act(const http_service *service, http_call *call, const utapi_admin_act *act)
{
    const utapi_audit_query wanted = {.id = act->id, .level = UTAPI_LEVEL_COUNT};
    listing rows = {0};
    utapi_error err;
    utapi_error_clear(&err);
    const utapi_status status = utapi_engine_audit(service->engine, &wanted, list_row, &rows, &err);
    if (status != UTAPI_OK || rows.count == 0) { /* it is durable, and will be done */
        rows.text.size = 0;
        JSON_TEXT_LITERAL(&rows.text, "{\"id\":");
        json_text_add_string(&rows.text, act->id);
        JSON_TEXT_LITERAL(&rows.text, ",\"waits\":true}");
    }
    http_call_answer_text(call, &rows.text);
}

static void act_do(const http_service *service, http_call *call, json_act *asked)
{
    char who[UTAPI_ADMIN_TEXT_MAX + 1];
    utapi_admin_act *act = &asked->act;
    utapi_audit_row preview;
    utapi_error err;
    utapi_error_clear(&err);
    who_write(service, call, act->who, who);
    act->who = utapi_string_of(who);
    if (act->level == UTAPI_ACCOUNTS && service->identity != NULL)
        act->name = identity_canonical_id(service->identity, act->name);
    const utapi_status status = asked->is_dry_run ? utapi_engine_preview(service->engine, act, &preview, &err)
                                                  : utapi_engine_act(service->engine, act, &err);
    if (status != UTAPI_OK) {
        refuse(call, status, &err);
    } else if (asked->is_dry_run) {
        utapi_text text = {0};
        json_audit_row(&text, &preview);
        http_call_answer_text(call, &text);
    } else
        answer_act(service, call, act);
}

static void handle_act(const http_service *service, http_call *call, utapi_admin_kind kind)
{
    json_act asked = {.document = NULL};
    utapi_error err;
    utapi_error_clear(&err);
    const utapi_status status =
        json_act_read(call->request.body, kind, utapi_engine_now_ms(service->engine), &asked, &err);
    if (status == UTAPI_OK)
        act_do(service, call, &asked);
    else
        refuse(call, status, &err);
    json_act_done(&asked);
}

void handle_adjust(const http_service *service, http_call *call)
{
    handle_act(service, call, UTAPI_ADMIN_ADJUST);
}

void handle_expire(const http_service *service, http_call *call)
{
    handle_act(service, call, UTAPI_ADMIN_EXPIRE);
}

/* ---- the audit ---------------------------------------------------------------------------- */

/** Reads ?id=…&level=…&resource=…; decoded in `buffer`, which has the query's size. */
static utapi_status read_query(utapi_string query, char *buffer, utapi_audit_query *ret, utapi_error *err)
{
    utapi_string name, value;
    while (uri_next_parameter(&query, &name, &value)) {
        utapi_string decoded;
        if (!uri_decode(value, buffer, &decoded))
            return utapi_fail(err, UTAPI_INVALID, "a parameter that cannot be decoded");
        buffer += decoded.size;
        if (uri_means(name, utapi_string_of("id")))
            ret->id = decoded;
        else if (uri_means(name, utapi_string_of("resource")))
            ret->name = decoded;
        else if (!uri_means(name, utapi_string_of("level")))
            return utapi_fail(err, UTAPI_INVALID, "expected the parameters id, level or resource");
        else if (!utapi_level_find(decoded, &ret->level))
            return utapi_fail(err, UTAPI_INVALID,
                              "level: expected buckets, accounts, users, service or locations");
    }
    return UTAPI_OK;
}

void handle_audit(const http_service *service, http_call *call)
{
    utapi_audit_query wanted = {.level = UTAPI_LEVEL_COUNT};
    listing rows = {0};
    utapi_error err;
    utapi_error_clear(&err);
    UTAPI_AUTO_FREE char *buffer = malloc(call->request.query.size + 1);
    utapi_status status = buffer != NULL ? read_query(call->request.query, buffer, &wanted, &err)
                                         : utapi_fail(&err, UTAPI_NO_MEMORY, "a query");
    if (wanted.level == UTAPI_ACCOUNTS && service->identity != NULL && wanted.name.size > 0)
        wanted.name = identity_canonical_id(service->identity, wanted.name);
    JSON_TEXT_LITERAL(&rows.text, "[");
    if (status == UTAPI_OK)
        status = utapi_engine_audit(service->engine, &wanted, list_row, &rows, &err);
    JSON_TEXT_LITERAL(&rows.text, "]");
    if (status == UTAPI_OK) {
        http_call_answer_text(call, &rows.text);
        return;
    }
    utapi_text_done(&rows.text);
    refuse(call, status, &err);
}
