/* SPDX-License-Identifier: Apache-2.0 */
/**
 * authdata.h - identity files that tests make for themselves.
 */
#ifndef SIGV4_AUTHDATA_H
#define SIGV4_AUTHDATA_H

#include "auth/identity.h"

/** Two accounts: 123456789012 with accessKey1 / verySecretKey1, 123456789013 with accessKey2 / verySecretKey2. */
extern const char authdata_two_accounts[];

/**
 * Writes a text to a file of its own and removes the file again; what identity_load() says of it comes back.
 *
 * @param ret_path  as identity_load() was told; may be NULL
 */
utapi_status authdata_load(const char *text, char ret_path[64], identity **ret, utapi_error *err);

/** The identity of authdata_two_accounts. Owned: free with identity_free(). A failure aborts. */
identity *authdata_new(void);

#endif
