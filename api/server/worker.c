/* SPDX-License-Identifier: Apache-2.0 */
/**
 * worker.c - a thread that drives one libmicrohttpd daemon.
 *
 * The daemon has an epoll descriptor and no thread; the worker polls that and an eventfd. Whoever has made a
 * call ready for which a connection sleeps puts it on the done-queue and writes the eventfd; the worker resumes it, for a
 * connection that another thread resumes may wait for the poll's time-out.
 */
#include "server/worker.h"

#include "handlers/log.h"
#include "handlers/routes.h"
#include "utapi/clock.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTION_MEMORY_BYTES ((size_t)32 * 1024) /* headers of 16 KiB, and what else a request needs */
#define SILENT_MS               1000 /* a connection that asked nothing for so long may have to go */
#define SWEEP_MS                1000 /* how often deadlines are looked at */

/* ---- the done-queue ------------------------------------------------------------------------ */

static void wake(worker *self)
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
        wake(self); /* under the lock: once it is released, the server may be gone */
    (void)pthread_mutex_unlock(&self->done_lock);
}

void worker_suspend(worker *self, mhd_request *to_suspend)
{
    to_suspend->is_suspended = true;
    to_suspend->next_to_suspend = self->to_suspend;
    self->to_suspend = to_suspend;
}

/** Puts to sleep what waits since the last run. Not within that: a connection that is suspended by its handler is read from
 * again when it wakes, before it is asked for its reply, and closed without one where its client has sent its last byte. */
static void suspend_waiting(worker *self)
{
    for (; self->to_suspend != NULL; self->to_suspend = self->to_suspend->next_to_suspend)
        MHD_suspend_connection(self->to_suspend->connection->mhd);
}

static void resume_done(worker *self)
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
static void note_head(connection *link, int64_t now_ms)
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

/** Says 408 to a client whose request did not become whole. libmicrohttpd takes a reply only where it asks for one, and
 * not between two pieces of a body; but of this request it has sent nothing yet, and it will read no more. */
static void send_timeout(int fd)
{
    static const char body[] =
        "{\"code\":\"RequestTimeout\",\"message\":\"The request was not whole in time.\"}";
    char reply[512];
    const int size =
        snprintf(reply, sizeof reply,
                 "HTTP/1.1 408 Request Timeout\r\nserver: ScalityS3\r\ncontent-type: application/json\r\n"
                 "content-length: %zu\r\nconnection: close\r\n\r\n%s",
                 sizeof body - 1, body);
    (void)send(fd, reply, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL); /* or it goes unanswered */
}

/** Ends connections that are late or left. */
static void close_connections(worker *self)
{
    const int64_t now_ms = utapi_monotonic_ms();
    for (connection *link = self->connections; link != NULL; link = link->next) {
        const int fd = socket_of(link);
        note_head(link, now_ms);
        const bool late = is_late(self, link, now_ms);
        const mhd_request *const request = link->request;
        if (late && !link->is_closed && request != NULL && request->is_begun && request->is_reading)
            send_timeout(fd);
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

/* ---- the loop ------------------------------------------------------------------------------ */

/** Never for ever: a daemon that was full listens again only in the run after connections have gone. */
static int poll_timeout_ms(worker *self)
{
    MHD_UNSIGNED_LONG_LONG timeout_ms = 0;
    const bool is_set = MHD_get_timeout(self->daemon, &timeout_ms) == MHD_YES;
    return is_set && timeout_ms < SWEEP_MS ? (int)timeout_ms : SWEEP_MS;
}

static void wait_for_events(worker *self, int epoll_fd)
{
    struct pollfd fds[] = {{.fd = epoll_fd, .events = POLLIN}, {.fd = self->wake_fd, .events = POLLIN}};
    if (poll(fds, sizeof fds / sizeof *fds, poll_timeout_ms(self)) <= 0)
        return;
    uint64_t wakings;
    if (fds[1].revents != 0 && read(self->wake_fd, &wakings, sizeof wakings) < 0 && errno != EAGAIN)
        log_write(LOG_LEVEL_ERROR, NULL, "a worker's eventfd: %s", strerror(errno));
}

/** Stops accepting, once. */
static void notice_stop(worker *self)
{
    if (self->stopping_since_ms != 0 || !atomic_load(&self->stopping))
        return;
    self->stopping_since_ms = utapi_monotonic_ms();
    const MHD_socket listen_fd = MHD_quiesce_daemon(self->daemon);
    if (listen_fd != MHD_INVALID_SOCKET)
        (void)close(listen_fd);
}

static void *run(void *ctx)
{
    worker *self = ctx;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(self->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    int64_t swept_ms = utapi_monotonic_ms();

    /* When it stops, one more round reads what clients have sent by then. */
    for (bool is_over = false; !is_over;) {
        wait_for_events(self, info->epoll_fd);
        notice_stop(self);
        resume_done(self);
        if (MHD_run(self->daemon) != MHD_YES)
            log_write(LOG_LEVEL_ERROR, NULL, "libmicrohttpd refuses to run");
        suspend_waiting(self);
        if (utapi_monotonic_ms() - swept_ms >= SWEEP_MS) {
            close_connections(self);
            swept_ms = utapi_monotonic_ms();
        }
        is_over = self->stopping_since_ms != 0 && self->request_count == 0;
    }
    MHD_stop_daemon(self->daemon);
    self->daemon = NULL;
    return NULL;
}

/* ---- life ---------------------------------------------------------------------------------- */

static void log_library(void *ctx, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

static void log_library(void *ctx, const char *format, va_list arguments)
{
    (void)ctx;
    char line[256];
    (void)vsnprintf(line, sizeof line, format, arguments);
    line[strcspn(line, "\n")] = '\0';
    log_write(LOG_LEVEL_DEBUG, NULL, "libmicrohttpd: %s", line);
}

static struct MHD_Daemon *start_daemon(worker *self, int listen_fd)
{
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, mhd_request_handle, self,
        MHD_OPTION_EXTERNAL_LOGGER, log_library, NULL, MHD_OPTION_LISTEN_SOCKET, listen_fd,
        MHD_OPTION_URI_LOG_CALLBACK, mhd_request_begin, self, MHD_OPTION_NOTIFY_COMPLETED, mhd_request_end,
        self, MHD_OPTION_NOTIFY_CONNECTION, mhd_request_connection_notify, self,
        MHD_OPTION_CONNECTION_TIMEOUT, self->options.idle_timeout_s, MHD_OPTION_CONNECTION_LIMIT,
        self->options.max_connections + SERVER_EXCESS_CONNECTIONS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        CONNECTION_MEMORY_BYTES, MHD_OPTION_END);
}

utapi_status worker_init(worker *self, const server_options *options, const http_service *service,
                         int listen_fd, atomic_uint *connection_count, utapi_error *err)
{
    *self = (worker){.service = service, .options = *options, .connection_count = connection_count};
    self->budget.max_bytes = http_budget_max(service);
    self->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (self->wake_fd < 0)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "eventfd: %s", strerror(errno));
    self->daemon = start_daemon(self, listen_fd);
    if (self->daemon == NULL) {
        (void)close(self->wake_fd);
        return utapi_fail(err, UTAPI_UNAVAILABLE, "libmicrohttpd does not start");
    }
    (void)pthread_mutex_init(&self->done_lock, NULL);
    return UTAPI_OK;
}

utapi_status worker_start(worker *self, utapi_error *err)
{
    /* Signals are the main thread's. */
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    const int rc = pthread_create(&self->thread, NULL, run, self);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0 ? UTAPI_OK : utapi_fail(err, UTAPI_NO_MEMORY, "a worker's thread: %s", strerror(rc));
}

void worker_stop(worker *self)
{
    atomic_store(&self->stopping, true);
    wake(self);
}

void worker_join(worker *self)
{
    (void)pthread_join(self->thread, NULL);
}

void worker_done(worker *self)
{
    if (self->daemon != NULL)
        MHD_stop_daemon(self->daemon); /* never started: it closes its listen socket itself */
    (void)pthread_mutex_destroy(&self->done_lock);
    (void)close(self->wake_fd);
}
