/* SPDX-License-Identifier: Apache-2.0 */
/**
 * message.c - looking things up in a request, and freeing a reply.
 */
#include "http/message.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/** Blanks behind a value are no part of it (RFC 9112 section 5.1), and libmicrohttpd leaves them there. */
static utapi_string trimmed(utapi_string value)
{
    while (value.size > 0 && (value.data[value.size - 1] == ' ' || value.data[value.size - 1] == '\t'))
        value.size--;
    return value;
}

utapi_string http_request_header(const http_request *request, const char *name)
{
    const size_t size = strlen(name);
    for (size_t i = 0; i < request->header_count; i++) {
        const http_header *header = &request->headers[i];
        if (header->name.size == size && strncasecmp(header->name.data, name, size) == 0)
            return trimmed(header->value);
    }
    return (utapi_string){NULL, 0};
}

/** What is left of a target behind "http://host", or the target itself if it is not of that form. */
static utapi_string skip_authority(utapi_string target)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        const size_t size = strlen(schemes[i]);
        if (target.size < size || strncasecmp(target.data, schemes[i], size) != 0)
            continue;
        size_t at = size;
        while (at < target.size && strchr("/?#", target.data[at]) == NULL)
            at++;
        return (utapi_string){target.data + at, target.size - at};
    }
    return target;
}

void http_request_set_target(http_request *request, utapi_string target)
{
    request->target = target;
    utapi_string rest = skip_authority(target);

    const char *fragment = rest.size > 0 ? memchr(rest.data, '#', rest.size) : NULL;
    if (fragment != NULL)
        rest.size = (size_t)(fragment - rest.data);

    const char *mark = rest.size > 0 ? memchr(rest.data, '?', rest.size) : NULL;
    if (mark == NULL) {
        request->path = rest;
        request->query = (utapi_string){NULL, 0};
        return;
    }
    request->path = (utapi_string){rest.data, (size_t)(mark - rest.data)};
    request->query = (utapi_string){mark + 1, rest.size - request->path.size - 1};
}

void http_reply_add_header(http_reply *reply, const char *name, const char *value)
{
    assert(reply->header_count < HTTP_REPLY_HEADERS_MAX);
    reply->headers[reply->header_count].name = name;
    reply->headers[reply->header_count++].value = value;
}

const char *http_reply_header(const http_reply *reply, const char *name)
{
    for (size_t i = 0; i < reply->header_count; i++)
        if (strcmp(reply->headers[i].name, name) == 0)
            return reply->headers[i].value;
    return NULL;
}

void http_reply_done(http_reply *reply)
{
    if (reply->stream.read != NULL && reply->stream.done != NULL)
        reply->stream.done(reply->stream.ctx);
    free(reply->body);
    *reply = (http_reply){0};
}
