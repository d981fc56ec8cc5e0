/* SPDX-License-Identifier: Apache-2.0 */
/**
 * server.c - the listening socket, of a port or of a file, and as many workers on it as the options say.
 *
 * Each worker has a duplicate of the socket, so that each may close its own; the kernel shares new connections out.
 */
#include "server/worker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct server {
    worker *workers;
    unsigned initialized; /* how many of them there are to free */
    unsigned started;     /* and how many of those have a thread */
    atomic_uint connection_count;
    uint16_t port;
    char *socket_path;       /* owned; NULL: it listens on a port */
    struct stat socket_file; /* ours, not what somebody may put in its place */
};

typedef union socket_address {
    struct sockaddr any;
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
    struct sockaddr_un local;
} socket_address;

static bool parse_address(const char *text, uint16_t port, socket_address *ret, socklen_t *ret_size)
{
    *ret = (socket_address){0};
    if (inet_pton(AF_INET, text, &ret->ipv4.sin_addr) == 1) {
        ret->ipv4.sin_family = AF_INET;
        ret->ipv4.sin_port = htons(port);
        *ret_size = sizeof ret->ipv4;
        return true;
    }
    ret->ipv6.sin6_family = AF_INET6;
    ret->ipv6.sin6_port = htons(port);
    *ret_size = sizeof ret->ipv6;
    return inet_pton(AF_INET6, text, &ret->ipv6.sin6_addr) == 1;
}

static utapi_status listen_on(const server_options *options, int *ret_fd, uint16_t *ret_port,
                              utapi_error *err)
{
    socket_address address;
    socklen_t size;
    if (!parse_address(options->bind, options->port, &address, &size))
        return utapi_fail(err, UTAPI_INVALID,
                          "\"%.64s\": expected an address to listen on, as 127.0.0.1 or ::", options->bind);

    const int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "socket: %s", strerror(errno));
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (address.any.sa_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, sizeof(int));

    if (bind(fd, &address.any, size) != 0 || listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, &address.any, &size) != 0) {
        const int reason = errno;
        (void)close(fd);
        return utapi_fail(err, UTAPI_UNAVAILABLE, "%s port %u: %s", options->bind, options->port,
                          strerror(reason));
    }
    /* The port stands at the same place in both forms. */
    *ret_port = ntohs(address.ipv4.sin_port);
    *ret_fd = fd;
    return UTAPI_OK;
}

/* Makes way for a socket: a file that nobody listens on any more was left by a process that died. */
static utapi_status make_way(int fd, const socket_address *address, utapi_error *err)
{
    const char *path = address->local.sun_path;
    struct stat file;
    if (lstat(path, &file) != 0)
        return errno == ENOENT ? UTAPI_OK
                               : utapi_fail(err, UTAPI_UNAVAILABLE, "%s: %s", path, strerror(errno));
    if (!S_ISSOCK(file.st_mode))
        return utapi_fail(err, UTAPI_UNAVAILABLE, "%s: is no socket", path);
    if (connect(fd, &address->any, sizeof address->local) == 0 || errno == EAGAIN)
        return utapi_fail(err, UTAPI_LOCKED, "%s: another process listens there", path);
    if (errno != ECONNREFUSED || unlink(path) != 0)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "%s: %s", path, strerror(errno));
    return UTAPI_OK;
}

static int local_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* The file is nobody else's from its beginning on. */
static utapi_status bind_local(int fd, const socket_address *address, struct stat *ret, utapi_error *err)
{
    const char *path = address->local.sun_path;
    const mode_t before = umask(0177);
    const bool is_bound = bind(fd, &address->any, sizeof address->local) == 0;
    const int reason = errno;
    (void)umask(before);
    if (!is_bound || listen(fd, SOMAXCONN) != 0 || lstat(path, ret) != 0)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "%s: %s", path, strerror(is_bound ? errno : reason));
    return UTAPI_OK;
}

static utapi_status listen_locally(server *self, const char *path, int *ret_fd, utapi_error *err)
{
    socket_address address = {.local = {.sun_family = AF_UNIX}};
    if (strlen(path) >= sizeof address.local.sun_path)
        return utapi_fail(err, UTAPI_INVALID, "%s: a socket's path has %zu bytes at most", path,
                          sizeof address.local.sun_path - 1);
    (void)memcpy(address.local.sun_path, path, strlen(path) + 1);
    const int probe = local_socket();
    const int fd = local_socket();
    utapi_status status = probe < 0 || fd < 0
                              ? utapi_fail(err, UTAPI_UNAVAILABLE, "socket: %s", strerror(errno))
                              : make_way(probe, &address, err);
    if (probe >= 0)
        (void)close(probe);
    if (status == UTAPI_OK)
        status = bind_local(fd, &address, &self->socket_file, err);
    if (status == UTAPI_OK && (self->socket_path = strdup(path)) == NULL)
        status = utapi_fail(err, UTAPI_NO_MEMORY, "the server");
    if (status == UTAPI_OK)
        *ret_fd = fd;
    else if (fd >= 0)
        (void)close(fd);
    return status;
}

/* Takes the socket's file away, if it is ours still. */
static void leave_locally(const server *self)
{
    struct stat file;
    if (self->socket_path != NULL && lstat(self->socket_path, &file) == 0 &&
        file.st_dev == self->socket_file.st_dev && file.st_ino == self->socket_file.st_ino)
        (void)unlink(self->socket_path);
}

static utapi_status init_worker(server *self, const server_options *options, const http_service *service,
                                int fd, utapi_error *err)
{
    const int own_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own_fd < 0)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "duplicating the listening socket: %s", strerror(errno));
    const utapi_status status = worker_init(&self->workers[self->initialized], options, service, own_fd,
                                            &self->connection_count, err);
    if (status != UTAPI_OK)
        (void)close(own_fd);
    else
        self->initialized++;
    return status;
}

static utapi_status start_workers(server *self, const server_options *options, const http_service *service,
                                  int fd, utapi_error *err)
{
    self->workers = calloc(options->workers, sizeof *self->workers);
    if (self->workers == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "%u workers", options->workers);

    utapi_status status = UTAPI_OK;
    while (status == UTAPI_OK && self->initialized < options->workers)
        status = init_worker(self, options, service, fd, err);
    while (status == UTAPI_OK && self->started < self->initialized) {
        status = worker_start(&self->workers[self->started], err);
        self->started += status == UTAPI_OK;
    }
    return status;
}

utapi_status server_start(const server_options *options, const http_service *service, server **ret,
                          utapi_error *err)
{
    if (options->workers == 0)
        return utapi_fail(err, UTAPI_INVALID, "workers: must be at least 1");
    server *self = calloc(1, sizeof *self);
    if (self == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "the server");

    int fd = -1;
    utapi_status status = options->socket_path != NULL ? listen_locally(self, options->socket_path, &fd, err)
                                                       : listen_on(options, &fd, &self->port, err);
    if (status == UTAPI_OK) {
        status = start_workers(self, options, service, fd, err);
        (void)close(fd);
    }
    if (status != UTAPI_OK) {
        server_stop(self);
        return status;
    }
    *ret = self;
    return UTAPI_OK;
}

void server_replace_service(server *self, const http_service *service)
{
    for (unsigned i = 0; self != NULL && i < self->initialized; i++)
        worker_replace_service(&self->workers[i], service);
}

uint16_t server_port(const server *self)
{
    return self->port;
}

void server_quiesce(server *self)
{
    for (unsigned i = 0; self != NULL && i < self->started; i++)
        worker_stop(&self->workers[i]);
}

void server_stop(server *self)
{
    if (self == NULL)
        return;
    leave_locally(self);
    server_quiesce(self);
    for (unsigned i = 0; i < self->started; i++)
        worker_join(&self->workers[i]);
    for (unsigned i = 0; i < self->initialized; i++)
        worker_done(&self->workers[i]);
    free(self->workers);
    free(self->socket_path);
    free(self);
}
