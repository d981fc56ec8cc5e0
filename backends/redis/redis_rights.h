/* SPDX-License-Identifier: Apache-2.0 */
/**
 * redis_rights.h - whether the user may do all that a link's commands need, asked without doing any of it.
 *
 * A script is not rolled back: what an ACL refuses in its middle leaves half of it done, and a hand-over that is repeated
 * counts that half each time. So a connection whose scripts change something begins with this question.
 */
#ifndef REDIS_REDIS_RIGHTS_H
#define REDIS_REDIS_RIGHTS_H

#include "redis_link.h"

/** A command of each kind, with "%s" where the prefix stands in its key; a NULL ends them. */
typedef const char *redis_acl;

extern const redis_acl utapi_redis_acl_writer[]; /* scripts and commands of a backend */
extern const redis_acl utapi_redis_acl_replay[]; /* of utapi_replay.h */

/**
 * Asks a server, to which somebody has just connected, for these rights. A server without ACLs grants all.
 *
 * @return UTAPI_UNAVAILABLE, with the first command that is refused and Redis's own words
 */
UTAPI_MUST_USE utapi_status utapi_redis_acl_check(redis_connection *connection, utapi_error *err);

/** Each connection of this link begins with utapi_redis_acl_check(). rights: borrowed. */
void utapi_redis_connection_check_acl(redis_connection *connection, const redis_acl *acl);

#endif
