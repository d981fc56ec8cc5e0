/* SPDX-License-Identifier: Apache-2.0 */
/**
 * identity.h - accounts of CloudServer's authdata.json and their keys (docs/authentication.md#identities).
 *
 * Loaded once and never changed, so any thread may ask. Secrets stay in memory only, are wiped when
 * freed, and are never logged.
 */
#ifndef AUTH_IDENTITY_H
#define AUTH_IDENTITY_H

#include "utapi/status.h"
#include "utapi/string.h"

typedef struct identity identity;

/** An access key and what it opens. Valid until the identity is freed. */
typedef struct identity_key {
    utapi_string access;
    utapi_string secret;
    utapi_string account_id; /* 12 digits ("shortid") */
    utapi_string canonical_id;
} identity_key;

/**
 * Reads an authdata.json.
 *
 * @param path  borrowed for the call
 * @param ret   owned: free with identity_free()
 * @return UTAPI_INVALID with a sentence that names the file and the member, or the line of a syntax error;
 *         UTAPI_UNAVAILABLE if the file cannot be read; UTAPI_NO_MEMORY
 */
UTAPI_MUST_USE utapi_status identity_load(const char *path, identity **ret, utapi_error *err);

/** An identity without accounts: it knows no key and maps no account. NULL if out of memory. */
identity *identity_new_empty(void);

/** Wipes the secrets and frees. NULL is fine. */
void identity_free(identity *self);

/** The key of that access key ID; NULL if nobody has it. self may be NULL: it knows nobody. */
const identity_key *identity_find_key(const identity *self, utapi_string access);

/** The canonical ID of an account ID, or the ID itself (docs/specification.md#accounts). self may be NULL. */
utapi_string identity_canonical_id(const identity *self, utapi_string account_id);

#endif
