/* SPDX-License-Identifier: Apache-2.0 */
/**
 * connection.c - the connections of a worker: which sleep until their reply is there, and which have had their time.
 *
 * Whoever has made a call ready for which a connection sleeps puts it on the done-queue and wakes the worker, which
 * resumes it: a connection that another thread resumes may wait for the poll's time-out.
 */
#include "server/worker.h"

#include "handlers/log.h"
#include "handlers/routes.h"
#include "utapi/clock.h"
#include "utapi/scoped.h"
#include "json/json_list.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define SILENT_MS 1000 /* a connection that asked nothing for so long may have to go */

/* ---- the done-queue ------------------------------------------------------------------------ */

void worker_wake(worker *self)
{
    const uint64_t one = 1;
    /* It fails only if 2^64 - 1 wakings wait already. */
    if (write(self->wake_fd, &one, sizeof one) < 0 && errno != EAGAIN)
        log_write(LOG_LEVEL_ERROR, NULL, "waking a worker: %s", strerror(errno));
}

void worker_finish(worker *self, mhd_request *finished)
{
    (void)pthread_mutex_lock(&self->done_lock);
    finished->next_done = self->done;
    self->done = finished;
    if (finished->next_done == NULL)
        worker_wake(self); /* under the lock: once it is released, the server may be gone */
    (void)pthread_mutex_unlock(&self->done_lock);
}

void worker_suspend(worker *self, mhd_request *to_suspend)
{
    to_suspend->is_suspended = true;
    to_suspend->next_to_suspend = self->to_suspend;
    self->to_suspend = to_suspend;
}

/**
 * Puts to sleep what waits since the last run. Not within that: a connection that is suspended by its handler is
 * read from again when it wakes, before it is asked for its reply, and closed without one where its client has sent
 * its last byte.
 */
void worker_suspend_waiting(worker *self)
{
    for (; self->to_suspend != NULL; self->to_suspend = self->to_suspend->next_to_suspend)
        MHD_suspend_connection(self->to_suspend->connection->mhd);
}

void worker_resume_done(worker *self)
{
    (void)pthread_mutex_lock(&self->done_lock);
    mhd_request *done = self->done;
    self->done = NULL;
    (void)pthread_mutex_unlock(&self->done_lock);

    while (done != NULL) {
        mhd_request *const next = done->next_done;
        done->is_suspended = false;
        MHD_resume_connection(done->connection->mhd);
        done = next;
    }
}

/* ---- deadlines ----------------------------------------------------------------------------- */

/** The socket of a connection; -1 if libmicrohttpd does not tell. */
static int socket_of(const connection *link)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(link->mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info != NULL ? info->connect_fd : -1;
}

/** The bytes that the client of a connection has sent, ever, read or not; 0 if the system does not tell. */
static uint64_t received_of(const connection *link)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    return getsockopt(socket_of(link), IPPROTO_TCP, TCP_INFO, &info, &size) == 0 ? info.tcpi_bytes_received
                                                                                 : 0;
}

/** libmicrohttpd tells of a request when its line is whole: that one has begun, the socket alone tells. */
static void record_head(connection *link, int64_t now_ms)
{
    if (link->request != NULL || link->head_ms != 0)
        return;
    const uint64_t received = received_of(link);
    if (link->received == RECEIVED_UNKNOWN)
        link->received = received;
    else if (received > link->received)
        link->head_ms = now_ms;
}

/** Whether a connection has had its time. What is suspended waits for us, not for its client. */
static bool is_late(const worker *self, const connection *link, int64_t now_ms)
{
    const int64_t request_ms = (int64_t)self->options.request_timeout_s * 1000;
    const int64_t idle_ms = (int64_t)self->options.idle_timeout_s * 1000;
    const int64_t waited_ms = now_ms - link->since_ms;

    /* libmicrohttpd ends what is idle; longer than that between two requests is a request line that trickles. */
    if (link->request == NULL)
        return waited_ms > idle_ms + request_ms ||
               (link->head_ms != 0 && now_ms - link->head_ms > request_ms);
    if (link->request->is_reading)
        return waited_ms > request_ms;
    if (atomic_load(&link->request->state) == REQUEST_WAITING)
        return false;
    return self->stopping_since_ms != 0 && now_ms - self->stopping_since_ms > request_ms;
}

/** There is no call that closes a connection, but it is noticed when its socket is shut down. */
static void connection_close(connection *link, int fd)
{
    (void)shutdown(fd, SHUT_RDWR);
    link->is_closed = true;
}

/** Whether the client has closed, and nothing that it sent is left to read or to answer. libmicrohttpd does not see
 * that if the end came together with the last bytes, for it waits for another event. */
static bool has_left(const connection *link, int fd)
{
    char byte;
    return (link->request == NULL || link->request->is_reading) &&
           recv(fd, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/**
 * Answers 408 to a client whose request did not become whole. libmicrohttpd takes a reply only where it asks for
 * one, and not between two pieces of a body; but of this request it has sent nothing yet, and it will read no more.
 */
static void send_timeout(const worker *self, mhd_request *late, int fd)
{
    char head[256];
    size_t size = 0;
    http_failure failure;
    (void)http_fail(&failure, HTTP_REQUEST_TIMEOUT, NULL);
    UTAPI_AUTO_FREE char *body = json_failure(&failure, &size);
    const int head_size =
        snprintf(head, sizeof head,
                 "HTTP/1.1 %d Request Timeout\r\nserver: ScalityS3\r\nx-scal-request-id: %s\r\n"
                 "content-type: " HTTP_JSON "\r\ncontent-length: %zu\r\nconnection: close\r\n\r\n",
                 http_error_status(failure.error), late->call.request_id, size);
    struct iovec parts[] = {{head, (size_t)head_size}, {body, size}};
    const struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    if (!self->options.is_tls) /* of which libmicrohttpd has the only end */
        (void)sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL); /* or it goes unanswered */
    telemetry_log_refusal(late->call.service->telemetry, &late->call, &failure, NULL);
    late->call.reply.status = http_error_status(failure.error); /* counted when it ends */
}

/** Ends connections that are late or left. */
void worker_close_late(worker *self)
{
    const int64_t now_ms = utapi_monotonic_ms();
    for (connection *link = self->connections; link != NULL; link = link->next) {
        const int fd = socket_of(link);
        record_head(link, now_ms);
        const bool late = is_late(self, link, now_ms);
        mhd_request *const request = link->request;
        if (late && !link->is_closed && request != NULL && request->is_begun && request->is_reading)
            send_timeout(self, request, fd);
        if (late || has_left(link, fd))
            connection_close(link, fd);
    }
}

bool worker_evict_idle(worker *self)
{
    char byte;
    const int64_t now_ms = utapi_monotonic_ms();
    connection *longest = NULL;
    for (connection *link = self->connections; link != NULL; link = link->next) {
        const bool is_idle = link->request == NULL && !link->is_closed &&
                             (link->has_served || now_ms - link->since_ms >= SILENT_MS);
        if (is_idle && (longest == NULL || link->since_ms < longest->since_ms))
            longest = link;
    }
    const int fd = longest != NULL ? socket_of(longest) : -1;
    if (fd < 0 || recv(fd, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT) > 0)
        return false; /* its next request has arrived */
    connection_close(longest, fd);
    return true;
}
