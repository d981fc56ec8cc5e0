/* SPDX-License-Identifier: Apache-2.0 */
/**
 * client.h - asks a utapid and posts to it, signed if there is a key. The only file of
 * utapictl that knows libcurl.
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include "utapi/status.h"
#include "utapi/string.h"

#include <stdint.h>

typedef struct client client;

/** Where the server is, and who asks. All strings borrowed for as long as the client lives. */
typedef struct client_endpoint {
    const char *host;
    int64_t port;
    bool ssl;
    bool insecure;          /* take any certificate */
    bool verbose;           /* heads of request and answer on stderr */
    const char *access_key; /* NULL: not signed */
    const char *secret_key;
} client_endpoint;

extern const client_endpoint client_endpoint_defaults;

typedef struct client_answer {
    long status; /* 200 */
    char *body;  /* owned: client_answer_done(); ends with NUL; never NULL after a call */
    size_t size;
    int64_t retry_after_s; /* of a 503; 0: it did not say */
    char code[64];         /* of an error: "InvalidParameterValue"; "" if the body did not say */
    char message[512];     /* likewise */
} client_answer;

/**
 * @param ret  owned: client_free()
 * @return UTAPI_NO_MEMORY
 */
UTAPI_MUST_USE utapi_status client_new(const client_endpoint *endpoint, client **ret, utapi_error *err);
void client_free(client *self);

/**
 * Posts JSON, and waits for the answer, whatever its status is.
 *
 * @param path  with the query: "/buckets?Action=ListMetrics"
 * @param ret   filled on success
 * @return UTAPI_UNAVAILABLE  no connection: nothing was sent
 *         UTAPI_UNCERTAIN    it was sent, perhaps in part, and no answer came
 *         UTAPI_NO_MEMORY
 */
UTAPI_MUST_USE utapi_status client_post(client *self, const char *path, utapi_string body, client_answer *ret,
                                        utapi_error *err);

/** As client_post(), with GET and no body. */
UTAPI_MUST_USE utapi_status client_get(client *self, const char *path, client_answer *ret, utapi_error *err);

void client_answer_done(client_answer *answer);

#endif
