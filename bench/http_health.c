/* SPDX-License-Identifier: Apache-2.0 */
/* http_health.c - one GET on a connection of its own, which the server closes after the answer. */
#include "http_health.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define QUESTION "GET /_/healthcheck HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

/* Sends the question and reads all that comes; the bytes read, or -1. */
static ssize_t answer_read(int fd, const struct sockaddr_in *address, char *ret, size_t room)
{
    size_t size = 0;
    ssize_t got = -1;
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 ||
        send(fd, QUESTION, sizeof QUESTION - 1, MSG_NOSIGNAL) != (ssize_t)sizeof QUESTION - 1)
        return -1;
    while (size < room && (got = recv(fd, ret + size, room - size, 0)) != 0) {
        if (got < 0 && errno != EINTR)
            return -1;
        size += got > 0 ? (size_t)got : 0;
    }
    return (ssize_t)size;
}

utapi_status http_health_waiting(const http_endpoint *endpoint, uint64_t *ret, utapi_error *err)
{
    static const char member[] = "\"waiting\":";
    char answer[4096];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(endpoint->port)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ssize_t size = -1;
    if (fd >= 0 && inet_pton(AF_INET, endpoint->host, &address.sin_addr) == 1)
        size = answer_read(fd, &address, answer, sizeof answer - 1);
    if (fd >= 0)
        (void)close(fd);
    if (size <= 0)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "the healthcheck does not answer");
    answer[size] = '\0';
    const char *found = strstr(answer, member);
    *ret = found != NULL ? (uint64_t)strtoull(found + sizeof member - 1, NULL, 10) : 0;
    return UTAPI_OK;
}
