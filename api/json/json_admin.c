/* SPDX-License-Identifier: Apache-2.0 */
/**
 * json_admin.c - acts, read; the audit's rows, written straight into a buffer.
 */
#include "json/json_admin.h"

#include "json/json_parse.h"

#include <string.h>

#define S3 "s3:"

/* ---- reading ------------------------------------------------------------------------------- */

static utapi_status read_amount(const char *name, const json_t *value, unsigned metric, utapi_amounts *ret,
                                utapi_error *err)
{
    if (!json_is_integer(value))
        return utapi_fail(err, UTAPI_INVALID, "amounts.%.100s: expected an integer", name);
    utapi_amounts_add_one(ret, metric, json_integer_value(value));
    return UTAPI_OK;
}

static utapi_status read_operations(json_t *list, utapi_amounts *ret, utapi_error *err)
{
    const char *name;
    json_t *value;
    utapi_status status = UTAPI_OK;
    if (!json_is_object(list))
        return utapi_fail(err, UTAPI_INVALID, "amounts.operations: expected an object");
    json_object_foreach (list, name, value) {
        utapi_operation operation;
        const size_t prefix = strncmp(name, S3, strlen(S3)) == 0 ? strlen(S3) : 0;
        if (!utapi_operation_find(utapi_string_of(name + prefix), &operation))
            return utapi_fail(err, UTAPI_INVALID, "amounts.operations: there is no operation \"%.100s\"",
                              name);
        status = read_amount(name, value, UTAPI_FIRST_OPERATION + (unsigned)operation, ret, err);
        if (status != UTAPI_OK)
            break;
    }
    return status;
}

static utapi_status read_amounts(json_t *amounts, utapi_amounts *ret, utapi_error *err)
{
    const char *name;
    json_t *value;
    utapi_status status = UTAPI_OK;
    if (!json_is_object(amounts))
        return utapi_fail(err, UTAPI_INVALID, "amounts: expected an object");
    json_object_foreach (amounts, name, value) {
        const unsigned metric = utapi_metric_find(utapi_string_of(name));
        if (strcmp(name, "operations") == 0)
            status = read_operations(value, ret, err);
        else if (metric < UTAPI_FIRST_OPERATION)
            status = read_amount(name, value, metric, ret, err);
        else
            status = utapi_fail(err, UTAPI_INVALID, "amounts: there is no metric \"%.100s\"", name);
        if (status != UTAPI_OK)
            break;
    }
    return status;
}

static utapi_status read_member(const char *name, json_t *value, json_act *ret, utapi_error *err)
{
    utapi_admin_act *act = &ret->act;
    const struct {
        const char *name;
        utapi_string *to;
    } texts[] = {{"resource", &act->name}, {"reason", &act->reason}, {"who", &act->who}, {"id", &act->id}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp(name, texts[i].name) == 0) {
            *texts[i].to = json_string_of(value);
            return json_is_string(value) ? UTAPI_OK
                                         : utapi_fail(err, UTAPI_INVALID, "%s: expected a text", name);
        }
    if (strcmp(name, "level") == 0)
        return utapi_level_find(json_string_of(value), &act->level)
                   ? UTAPI_OK
                   : utapi_fail(err, UTAPI_INVALID,
                                "level: expected buckets, accounts, users, service or locations");
    if (strcmp(name, "amounts") == 0 && act->kind == UTAPI_ADMIN_ADJUST)
        return read_amounts(value, &act->amounts, err);
    if (strcmp(name, "at") == 0) {
        act->time_ms = json_integer_value(value);
        return json_is_integer(value)
                   ? UTAPI_OK
                   : utapi_fail(err, UTAPI_INVALID, "at: expected milliseconds since 1970");
    }
    if (strcmp(name, "dryRun") == 0) {
        ret->is_dry_run = json_is_true(value);
        return json_is_boolean(value) ? UTAPI_OK
                                      : utapi_fail(err, UTAPI_INVALID, "dryRun: expected true or false");
    }
    return utapi_fail(err, UTAPI_INVALID, "there is no member \"%.100s\"", name);
}

utapi_status json_act_read(utapi_string body, utapi_admin_kind kind, int64_t now_ms, json_act *ret,
                           utapi_error *err)
{
    const char *name;
    json_t *value;
    ret->act = (utapi_admin_act){.kind = kind, .level = UTAPI_LEVEL_COUNT, .time_ms = now_ms};
    if (json_size_of(body).weight > JSON_WEIGHT_SMALL)
        return utapi_fail(err, UTAPI_INVALID, "expected an object");
    utapi_status status = json_parse(body, &ret->document, err);
    if (status == UTAPI_OK && !json_is_object(ret->document))
        return utapi_fail(err, UTAPI_INVALID, "expected an object");
    if (status != UTAPI_OK)
        return status;
    json_object_foreach (ret->document, name, value) {
        status = read_member(name, value, ret, err);
        if (status != UTAPI_OK)
            return status;
    }
    return ret->act.level != UTAPI_LEVEL_COUNT ? UTAPI_OK
                                               : utapi_fail(err, UTAPI_INVALID, "level: is missing");
}

void json_act_done(json_act *self)
{
    json_decref(self->document);
    self->document = NULL;
}

/* ---- writing ------------------------------------------------------------------------------- */

static void add_text(utapi_text *text, const char *head, utapi_string value)
{
    utapi_text_add_literal(text, head);
    json_text_add_string(text, value);
}

static void add_number(utapi_text *text, const char *head, int64_t value)
{
    utapi_text_add_literal(text, head);
    json_text_add_integer(text, value);
}

/* The amounts of a set of metrics, as a query's answer names them. */
static void add_amounts(utapi_text *text, const char *head, uint64_t metrics, const utapi_amounts *amounts)
{
    const char *comma = "";
    utapi_text_add_literal(text, head);
    for (uint64_t left = metrics; left != 0; left &= left - 1, comma = ",") {
        const unsigned metric = (unsigned)__builtin_ctzll(left);
        const bool is_first = (metrics & ((UINT64_C(1) << metric) - 1)) >> UTAPI_FIRST_OPERATION == 0;
        utapi_text_add_literal(text, comma);
        if (metric >= UTAPI_FIRST_OPERATION)
            utapi_text_add_literal(text, is_first ? "\"operations\":{\"" S3 : "\"" S3);
        else
            JSON_TEXT_LITERAL(text, "\"");
        utapi_text_add_literal(text, utapi_metric_name(metric));
        add_number(text, "\":", utapi_wide_cut(utapi_amounts_get(amounts, metric)));
    }
    if (metrics >> UTAPI_FIRST_OPERATION != 0)
        JSON_TEXT_LITERAL(text, "}");
    JSON_TEXT_LITERAL(text, "}");
}

void json_audit_row(utapi_text *text, const utapi_audit_row *row)
{
    const utapi_admin_act *act = &row->act;
    const uint64_t watched = utapi_admin_watched(act);
    add_text(text, "{\"id\":", act->id);
    add_text(text, ",\"action\":", utapi_string_of(utapi_admin_kind_name(act->kind)));
    add_text(text, ",\"level\":", utapi_string_of(utapi_level_name(act->level)));
    add_text(text, ",\"resource\":", act->name);
    add_number(text, ",\"at\":", act->time_ms);
    add_number(text, ",\"interval\":", row->interval);
    add_number(text, ",\"askedAt\":", act->asked_ms);
    add_text(text, ",\"who\":", act->who);
    add_text(text, ",\"reason\":", act->reason);
    if (act->kind == UTAPI_ADMIN_ADJUST) {
        uint64_t adjusted = watched;
        for (unsigned m = 0; m < UTAPI_INCOMING_BYTES; m++) /* states are watched, adjusted or not */
            if (utapi_amounts_get(&act->amounts, m) == 0)
                adjusted &= ~(UINT64_C(1) << m);
        add_amounts(text, ",\"amounts\":{", adjusted, &act->amounts);
    }
    if (act->refused.size > 0) {
        add_text(text, ",\"refused\":", act->refused);
    } else {
        add_amounts(text, ",\"before\":{", watched, &row->before);
        add_amounts(text, ",\"after\":{", watched, &row->after);
    }
    JSON_TEXT_LITERAL(text, "}");
}
