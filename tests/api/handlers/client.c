/* SPDX-License-Identifier: Apache-2.0 */
/* client.c - see client.h. */
#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

bool client_open(http_client *self, uint16_t port)
{
    return client_open_from(self, "127.0.0.1", port);
}

bool client_open_from(http_client *self, const char *from, uint16_t port)
{
    struct sockaddr_in own = {.sin_family = AF_INET};
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    const struct timeval patience = {.tv_sec = CLIENT_TIMEOUT_S};

    *self = (http_client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (self->fd < 0)
        return false;
    (void)setsockopt(self->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)setsockopt(self->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    (void)setsockopt(self->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    return inet_pton(AF_INET, from, &own.sin_addr) == 1 &&
           bind(self->fd, (const struct sockaddr *)&own, sizeof own) == 0 &&
           connect(self->fd, (const struct sockaddr *)&address, sizeof address) == 0;
}

void client_close(http_client *self)
{
    if (self->fd >= 0)
        (void)close(self->fd);
    free(self->data);
    *self = (http_client){.fd = -1};
}

bool client_send(http_client *self, const char *data, size_t size)
{
    while (size > 0) {
        const ssize_t sent = send(self->fd, data, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        data += sent;
        size -= (size_t)sent;
    }
    return true;
}

bool client_send_text(http_client *self, const char *text)
{
    return client_send(self, text, strlen(text));
}

void client_end_sending(http_client *self)
{
    (void)shutdown(self->fd, SHUT_WR);
}

/** Receives more. */
static client_outcome receive(http_client *self)
{
    if (self->capacity - self->size < 4096) {
        const size_t capacity = self->capacity > 0 ? self->capacity * 2 : 16384;
        char *data = realloc(self->data, capacity);
        if (data == NULL)
            return CLIENT_CLOSED;
        self->data = data;
        self->capacity = capacity;
    }
    const ssize_t got = recv(self->fd, self->data + self->size, self->capacity - self->size, 0);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return CLIENT_TIMED_OUT;
    if (got <= 0)
        return CLIENT_CLOSED;
    self->size += (size_t)got;
    return CLIENT_REPLIED;
}

/** Hands out the first bytes of what was received. */
static char *take(http_client *self, size_t size)
{
    char *text = malloc(size + 1);
    if (text == NULL)
        return NULL;
    if (size > 0)
        memcpy(text, self->data, size);
    text[size] = '\0';
    self->size -= size;
    if (self->size > 0)
        memmove(self->data, self->data + size, self->size);
    return text;
}

static client_outcome read_head(http_client *self, client_reply *ret)
{
    for (;;) {
        const char *end = self->size > 0 ? memmem(self->data, self->size, "\r\n\r\n", 4) : NULL;
        if (end != NULL) {
            ret->head = take(self, (size_t)(end - self->data) + 4);
            ret->status =
                ret->head != NULL && strlen(ret->head) > 12 ? (int)strtoll(ret->head + 9, NULL, 10) : 0;
            return ret->head != NULL ? CLIENT_REPLIED : CLIENT_CLOSED;
        }
        const client_outcome outcome = receive(self);
        if (outcome != CLIENT_REPLIED)
            return outcome;
    }
}

client_outcome client_read(http_client *self, bool has_no_body, client_reply *ret)
{
    *ret = (client_reply){0};
    client_outcome outcome;
    while ((outcome = read_head(self, ret)) == CLIENT_REPLIED && ret->status < 200)
        client_reply_done(ret);
    if (outcome != CLIENT_REPLIED)
        return outcome;

    const char *length = client_reply_header(ret, "content-length");
    const size_t size = length != NULL && !has_no_body ? (size_t)strtoll(length, NULL, 10) : 0;
    while (self->size < size && outcome == CLIENT_REPLIED)
        outcome = receive(self);
    if (outcome != CLIENT_REPLIED) {
        client_reply_done(ret);
        return outcome;
    }
    ret->body = take(self, size);
    ret->body_size = size;
    return ret->body != NULL ? CLIENT_REPLIED : CLIENT_CLOSED;
}

void client_reply_done(client_reply *reply)
{
    free(reply->head);
    free(reply->body);
    *reply = (client_reply){0};
}

const char *client_reply_header(const client_reply *reply, const char *name)
{
    static _Thread_local char value[256];
    const size_t name_size = strlen(name);
    for (const char *line = strstr(reply->head, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, name_size) != 0 || line[name_size] != ':')
            continue;
        line += name_size + 1;
        line += strspn(line, " ");
        (void)snprintf(value, sizeof value, "%.*s", (int)strcspn(line, "\r"), line);
        return value;
    }
    return NULL;
}

client_outcome client_post(http_client *self, const char *target, const char *body, client_reply *ret)
{
    char head[1024];
    (void)snprintf(head, sizeof head, "POST %s HTTP/1.1\r\nHost: test\r\nContent-Length: %zu\r\n\r\n", target,
                   strlen(body));
    if (!client_send_text(self, head) || !client_send_text(self, body))
        return CLIENT_CLOSED;
    return client_read(self, false, ret);
}
