/* SPDX-License-Identifier: Apache-2.0 */
/* admin_folder.c - see admin_folder.h. The storage is opened as a server opens it, so that no server can have it
 * meanwhile. What waits in a journal would come after an act that was asked for later: then a server has to do it. */
#include "ctl/admin_folder.h"

#include "backends/registry.h"
#include "utapi/backend_admin.h"
#include "utapi/clock.h"
#include "utapi/scoped.h"
#include "json/json_admin.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

UTAPI_AUTO_DEFINE(utapi_backend, utapi_backend_close)

static bool is_there(const char *folder, const char *file)
{
    char path[PATH_MAX];
    const int size = snprintf(path, sizeof path, "%s/%s", folder, file);
    return size > 0 && (size_t)size < sizeof path && access(path, F_OK) == 0;
}

static utapi_status folder_open(const char *folder, utapi_backend **ret, utapi_error *err)
{
    const utapi_backend_options options = {.location = folder};
    if (!is_there(folder, "data.mdb"))
        return utapi_fail(
            err, UTAPI_INVALID,
            "no utapid listens at %s/admin.sock, and there is no LMDB storage in that folder (--data)",
            folder);
    if (is_there(folder, "journal/data.mdb"))
        return utapi_fail(
            err, UTAPI_INVALID,
            "no utapid listens at %s/admin.sock, and a journal stands before that storage: start "
            "utapid, which keeps the order",
            folder);
    return utapi_registry_open("lmdb", &options, NULL, ret, err);
}

/* ---- rows --------------------------------------------------------------------------------- */

typedef struct rows {
    utapi_text text;
    size_t count;
} rows;

static bool row_add(void *ctx, const utapi_audit_row *row)
{
    rows *self = ctx;
    if (self->count++ > 0)
        JSON_TEXT_LITERAL(&self->text, ",");
    json_audit_row(&self->text, row);
    return !self->text.failed;
}

/* What was written, as JSON. */
static utapi_status rows_take(rows *self, json_t **ret, utapi_error *err)
{
    size_t size = 0;
    UTAPI_AUTO_FREE char *text = utapi_text_take(&self->text, &size);
    *ret = text != NULL ? json_loadb(text, size, 0, NULL) : NULL;
    return *ret != NULL ? UTAPI_OK : utapi_fail(err, UTAPI_NO_MEMORY, "out of memory");
}

/* ---- acts --------------------------------------------------------------------------------- */

static utapi_status act_apply(utapi_backend *storage, const utapi_admin_act *act, rows *ret, utapi_error *err)
{
    const utapi_entry entry = utapi_admin_entry(act);
    const utapi_batch batch = {.entries = &entry, .count = 1, .now_ms = act->asked_ms};
    const utapi_audit_query wanted = {.id = act->id, .level = UTAPI_LEVEL_COUNT};
    utapi_applied applied;
    const utapi_status status = utapi_backend_apply(storage, &batch, &applied, err);
    return status == UTAPI_OK ? utapi_backend_audit(storage, &wanted, row_add, ret, err) : status;
}

static utapi_status act_do(const char *folder, json_act *asked, rows *ret, utapi_error *err)
{
    char who[64];
    utapi_text said = {0};
    utapi_audit_row preview;
    utapi_admin_act *act = &asked->act;
    (void)snprintf(who, sizeof who, "uid %u, without a server: ", (unsigned)geteuid());
    utapi_text_add_literal(&said, who);
    utapi_text_add_string(&said, utapi_string_cut(act->who, UTAPI_ADMIN_TEXT_MAX - sizeof who));
    act->who = utapi_text_view(&said);
    act->asked_ms = utapi_wall_ms();
    UTAPI_AUTO(utapi_backend) *storage = NULL;
    utapi_status status = utapi_admin_act_check(act, act->asked_ms, err);
    if (status == UTAPI_OK)
        status = folder_open(folder, &storage, err);
    if (status == UTAPI_OK && asked->is_dry_run) {
        status = utapi_backend_preview(storage, act, &preview, err);
        if (status == UTAPI_OK)
            (void)row_add(ret, &preview);
    } else if (status == UTAPI_OK)
        status = act_apply(storage, act, ret, err);
    utapi_text_done(&said);
    return status;
}

utapi_status admin_folder_act(const char *folder, utapi_admin_kind kind, const json_t *question, json_t **ret,
                              utapi_error *err)
{
    UTAPI_AUTO_FREE char *body = json_dumps(question, JSON_COMPACT);
    json_act asked = {.document = NULL};
    rows row = {.count = 0};
    if (body == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "out of memory");
    utapi_status status = json_act_read(utapi_string_of(body), kind, utapi_wall_ms(), &asked, err);
    if (status == UTAPI_OK)
        status = act_do(folder, &asked, &row, err);
    json_act_done(&asked);
    if (status == UTAPI_OK)
        return rows_take(&row, ret, err);
    utapi_text_done(&row.text);
    return status;
}

utapi_status admin_folder_audit(const char *folder, const char *level, const char *name, json_t **ret,
                                utapi_error *err)
{
    utapi_audit_query wanted = {.level = UTAPI_LEVEL_COUNT, .name = utapi_string_of(name)};
    rows all = {.count = 0};
    if (level != NULL && !utapi_level_find(utapi_string_of(level), &wanted.level))
        return utapi_fail(err, UTAPI_INVALID,
                          "level: expected buckets, accounts, users, service or locations");
    UTAPI_AUTO(utapi_backend) *storage = NULL;
    utapi_status status = folder_open(folder, &storage, err);
    if (status != UTAPI_OK)
        return status;
    JSON_TEXT_LITERAL(&all.text, "[");
    status = utapi_backend_audit(storage, &wanted, row_add, &all, err);
    JSON_TEXT_LITERAL(&all.text, "]");
    if (status == UTAPI_OK)
        return rows_take(&all, ret, err);
    utapi_text_done(&all.text);
    return status;
}
