/* SPDX-License-Identifier: Apache-2.0 */
/**
 * json_admin.h - what an operator asks for, and the rows of the audit. Pure.
 */
#ifndef JSON_ADMIN_H
#define JSON_ADMIN_H

#include "utapi/admin_act.h"
#include "json/json_text.h"

struct json_t;

/** An act as it was asked for. */
typedef struct json_act {
    utapi_admin_act act;     /* .who is what the asker says of himself; no amount is checked */
    bool is_dry_run;         /* nothing is to be done */
    struct json_t *document; /* owned: json_act_done(); the act's strings lie in it */
} json_act;

/**
 * Reads {"level", "resource", "amounts": {"storageUtilized", …, "operations": {"s3:PutObject", …}}, "at", "reason",
 * "who", "id", "dryRun"}. Members that are not known are refused: a word misspelt must not do something else.
 *
 * @param now_ms  where "at" is absent
 * @param ret     all zero before; json_act_done() whatever is returned
 * @return UTAPI_INVALID, UTAPI_OVERFLOW, naming the member; UTAPI_NO_MEMORY
 */
UTAPI_MUST_USE utapi_status json_act_read(utapi_string body, utapi_admin_kind kind, int64_t now_ms,
                                          json_act *ret, utapi_error *err);
void json_act_done(json_act *self);

/** Adds a row, as an object. */
void json_audit_row(utapi_text *text, const utapi_audit_row *row);

#endif
