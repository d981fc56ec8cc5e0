/* SPDX-License-Identifier: Apache-2.0 */
/**
 * admin_folder.h - administration where no server runs: what it would do, done in the folder of an LMDB storage.
 */
#ifndef CTL_ADMIN_FOLDER_H
#define CTL_ADMIN_FOLDER_H

#include "utapi/admin_act.h"

#include <jansson.h>

/**
 * Does an act, or shows what it would come to.
 *
 * @param question  as it would be posted to a server
 * @param ret       owned, as a server would answer
 * @return UTAPI_LOCKED  another process has the folder: perhaps a server that does not listen yet
 *         UTAPI_INVALID there is no such storage, or it is a server's to do
 *         as utapi_backend_open(), utapi_backend_preview(), utapi_backend_apply() and utapi_backend_audit()
 */
UTAPI_MUST_USE utapi_status admin_folder_act(const char *folder, utapi_admin_kind kind,
                                             const json_t *question, json_t **ret, utapi_error *err);

/** The rows of the audit, of one resource or (level NULL) of all. Likewise. */
UTAPI_MUST_USE utapi_status admin_folder_audit(const char *folder, const char *level, const char *name,
                                               json_t **ret, utapi_error *err);

#endif
