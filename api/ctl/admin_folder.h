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
 * @return owned, as a server would answer; NULL after saying on stderr what is wrong
 */
json_t *admin_folder_act(const char *folder, utapi_admin_kind kind, const json_t *question);

/** The rows of the audit, of one resource or (level NULL) of all. Likewise. */
json_t *admin_folder_audit(const char *folder, const char *level, const char *name);

#endif
