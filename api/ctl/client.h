/* SPDX-License-Identifier: Apache-2.0 */
/**
 * client.h - asks a utapid and posts to it, signed if there is a key. The only file of
 * utapictl that knows libcurl.
 */
#ifndef CTL_CLIENT_H
#define CTL_CLIENT_H

#include "ctl/command.h"
#include "utapi/status.h"
#include "utapi/string.h"
#include "utapi/text.h"

#include <jansson.h>
#include <stdint.h>

/** Where the server is, and who asks. All strings borrowed. */
typedef struct client_endpoint {
    const char *host; /* NULL: by `server`, else 127.0.0.1 */
    int64_t port;     /* 0: likewise, 8100 */
    bool ssl;
    bool insecure; /* take any certificate */
    const char
        *server; /* "https://10.0.0.4:8100": the three above in one; NULL: UTAPICTL_SERVER, if that is set */
    const char *ca;         /* PEM file of who signs the server's certificate; NULL: whom the system trusts */
    const char *cert, *key; /* PEM files of the client's own; NULL: none */
    const char *socket;     /* path of a Unix socket, instead of host and port; NULL: none */
    bool verbose;           /* heads of request and answer on stderr */
    const char *access_key; /* NULL: not signed */
    const char *secret_key;
    const char *session_token; /* of temporary keys; NULL: none */
} client_endpoint;

/* clang-format off */
#define CLIENT_ENDPOINT_DEFAULTS {.host = NULL}

/** The rows that fill in an endpoint, for each command that talks to a server. */
#define CLIENT_OPTIONS(to) \
    {'h', "host",     "HOST", "host of the server (127.0.0.1)",                    CTL_TEXT((to).host)}, \
    {'p', "port",     "PORT", "port of the server (8100)",                         CTL_NUMBER((to).port, 1, 65535)}, \
    {0,   "server",   "URL",  "host and port in one: https://host:8100 (UTAPICTL_SERVER)", CTL_TEXT((to).server)}, \
    {0,   "ssl",      NULL,   "use https",                                         CTL_FLAG((to).ssl)}, \
    {0,   "cacert",   "FILE", "who signs the server's certificate (whom the system trusts)", CTL_TEXT((to).ca)}, \
    {0,   "cert",     "FILE", "the client's own certificate",                      CTL_TEXT((to).cert)}, \
    {0,   "key",      "FILE", "its private key",                                   CTL_TEXT((to).key)}, \
    {0,   "insecure", NULL,   "with https: take any certificate",                  CTL_FLAG((to).insecure)}, \
    {'v', "verbose",  NULL,   "print the request and the answer's head to stderr", CTL_FLAG((to).verbose)}
/* clang-format on */

typedef struct client_answer {
    long status;           /* 200 */
    json_t *body;          /* owned: json_decref(); null where it is empty; NULL: it is not JSON */
    int64_t retry_after_s; /* of a 503; 0: it did not say */
    const char *message;   /* of an error; borrowed from the body; "" if that did not say */
    char code[64];         /* of an error: "InvalidParameterValue" */
} client_answer;

/**
 * Posts JSON, or asks with GET where there is no body, and waits for the answer, whatever its status is.
 *
 * @param path  with the query: "/buckets?Action=ListMetrics"
 * @param body  data NULL: none
 * @param ret   filled on success
 * @return UTAPI_UNAVAILABLE  no connection: nothing was sent
 *         UTAPI_UNCERTAIN    it was sent, perhaps in part, and no answer came
 *         UTAPI_INVALID      the command line names no server, or files that cannot be used
 *         UTAPI_NO_MEMORY
 */
UTAPI_MUST_USE utapi_status client_request(const client_endpoint *to, const char *path, utapi_string body,
                                           client_answer *ret, utapi_error *err);

/**
 * As client_request(), with JSON both ways.
 *
 * @param question     NULL: GET
 * @param busy_member  a 503 with this member is an answer, too: that of a healthcheck; NULL: none is
 * @param ret_code     set where NULL is returned
 * @return owned; null for an empty answer; NULL after saying on stderr what is wrong
 */
json_t *client_request_json(const client_endpoint *to, const char *path, const json_t *question,
                            const char *busy_member, int *ret_code);

/** The exit code of a request that did not succeed, or was not answered 200. */
int client_exit_code(utapi_status status, const client_answer *answer);

/** Adds a text to a path, percent-encoded. */
void client_add_encoded(utapi_text *path, const char *text);

/** Prints an answer as JSON. Gives the exit code. */
int client_print_json(const json_t *answer);

#endif
