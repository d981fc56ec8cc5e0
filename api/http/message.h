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
#include <sys/types.h>

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
    unsigned peer_uid;           /* whose process a client of a Unix socket is */
} http_request;

/**
 * The first header of that name, without regard to case and without blanks behind it; absent (data NULL) if there
 * is none.
 */
utapi_string http_request_header(const http_request *request, const char *name);

/** Splits a raw target into path and query as described above. */
void http_request_set_target(http_request *request, utapi_string target);

#define HTTP_JSON              "application/json"
#define HTTP_REPLY_HEADERS_MAX 4

/** A body that is made while it is sent, on the thread that sends it: a piece must not be long in coming. */
typedef struct http_stream {
    /** Writes the next bytes, at most size of them, and returns how many. 0: that was all. -1: the rest cannot be had,
     * and the connection is closed so that the client sees it. NULL: there is no stream. */
    ssize_t (*read)(void *ctx, char *buffer, size_t size);
    void (*done)(void *ctx); /* called once, whether all was read or not; NULL: there is nothing to free */
    void *ctx;
} http_stream;

typedef struct http_reply {
    int status;
    const char *content_type; /* static storage */
    struct {
        const char *name, *value; /* static storage */
    } headers[HTTP_REPLY_HEADERS_MAX];
    size_t header_count;
    char *body;         /* owned: malloc'ed, freed by http_reply_done(); NULL: an empty body, or the stream */
    size_t size;        /* bytes */
    http_stream stream; /* owned */
} http_reply;

/** Adds a header. There are never more than HTTP_REPLY_HEADERS_MAX. Both strings in static storage. */
void http_reply_add_header(http_reply *reply, const char *name, const char *value);

/** The value of a header that was added; NULL if it was not. Names in lower case. */
const char *http_reply_header(const http_reply *reply, const char *name);

/** Frees what a reply owns. */
void http_reply_done(http_reply *reply);

#endif
