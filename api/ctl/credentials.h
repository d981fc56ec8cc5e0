/* SPDX-License-Identifier: Apache-2.0 */
/**
 * credentials.h - the key that queries are signed with, from where the AWS tools have it.
 */
#ifndef CTL_CREDENTIALS_H
#define CTL_CREDENTIALS_H

#include "ctl/client.h"

/**
 * Fills in the key of an endpoint, as far as its owner did not: from the profile that is named, else from the
 * environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN), else from the profile AWS_PROFILE, or
 * "default". Profiles are those of AWS_SHARED_CREDENTIALS_FILE, or ~/.aws/credentials.
 * https://docs.aws.amazon.com/cli/latest/userguide/cli-configure-files.html
 *
 * @param profile      NULL: none was named
 * @param secret_file  the secret key is its first line, "-" standard input; NULL: none was named
 * @return false, after saying on stderr what is wrong or missing
 */
bool credentials_find(client_endpoint *endpoint, const char *profile, const char *secret_file);

#endif
