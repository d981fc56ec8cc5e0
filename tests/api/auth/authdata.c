/* SPDX-License-Identifier: Apache-2.0 */
/*
 * authdata.c - see authdata.h.
 */
#include "authdata.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char authdata_two_accounts[] =
    "{\"accounts\": ["
    "{\"name\": \"Bart\", \"email\": \"bart@example.com\", \"arn\": \"arn:aws:iam::123456789012:root\","
    " \"canonicalID\": \"79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be\","
    " \"shortid\": \"123456789012\","
    " \"keys\": [{\"access\": \"accessKey1\", \"secret\": \"verySecretKey1\"}]},"
    "{\"name\": \"Lisa\", \"email\": \"lisa@example.com\", \"arn\": \"arn:aws:iam::123456789013:root\","
    " \"canonicalID\": \"79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2bf\","
    " \"shortid\": \"123456789013\", \"quota\": 7,"
    " \"keys\": [{\"access\": \"accessKey2\", \"secret\": \"verySecretKey2\", \"note\": \"\"}]}]}";

utapi_status authdata_load(const char *text, char ret_path[64], identity **ret, utapi_error *err)
{
    char path[64] = "/tmp/utapi-authdata-XXXXXX";
    const int file = mkstemp(path);
    if (file < 0 || write(file, text, strlen(text)) != (ssize_t)strlen(text))
        abort();
    close(file);
    const utapi_status status = identity_load(path, ret, err);
    unlink(path);
    if (ret_path != NULL)
        memcpy(ret_path, path, sizeof path);
    return status;
}

identity *authdata_new(void)
{
    identity *loaded = NULL;
    utapi_error err = {0};
    if (authdata_load(authdata_two_accounts, NULL, &loaded, &err) != UTAPI_OK) {
        fprintf(stderr, "%s\n", err.detail);
        abort();
    }
    return loaded;
}
