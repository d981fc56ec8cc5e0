/* SPDX-License-Identifier: Apache-2.0 */
/**
 * message.h - a request and its reply, free of any HTTP library's types.
 *
 * The server makes a request out of what came over the wire; tests make one out of thin air. All
 * strings are borrowed from whoever made it and stay valid until the call is over.
 */
#ifndef HTTP_MESSAGE_H
#define HTTP_MESSAGE_H

#include "utapi/string.h"

#include <stdbool.h>

struct sockaddr;

typedef struct http_header {
    utapi_string name; /* as it came: compare without case */
    utapi_string value;
} http_header;

typedef struct http_request {
    utapi_string method; /* "POST" */
    utapi_string target; /* raw, as in the request line (a signature covers it) */
    utapi_string path;   /* raw; the target up to '?', without scheme and authority of an absolute form */
    utapi_string query;  /* raw; after '?', up to '#'; absent if there is none */
    const http_header *headers; /* in the order of the wire, repeated ones too */
    size_t header_count;
    utapi_string body;
    const struct sockaddr *peer; /* NULL: the request came from within (tests) */
} http_request;

/** The first header of that name, without regard to case and without blanks behind it; absent (data NULL) if there is none. */
utapi_string http_request_header(const http_request *request, const char *name);

/** Splits a raw target into path and query as described above. */
void http_request_set_target(http_request *request, utapi_string target);

typedef struct http_reply {
    int status;
    char *body;             /* owned: malloc'ed JSON text, freed by http_reply_done(); NULL: an empty body */
    size_t size;            /* bytes */
    unsigned retry_after_s; /* with a 503: the Retry-After header; 0: none */
} http_reply;

/** Frees what a reply owns. */
void http_reply_done(http_reply *reply);

#endif
