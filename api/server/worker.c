/* SPDX-License-Identifier: Apache-2.0 */
/**
 * worker.c - a thread that drives one libmicrohttpd daemon.
 *
 * The daemon has an epoll descriptor and no thread; the worker polls that and an eventfd, runs the daemon, and sees to
 * its connections in between (connection.c). What the daemon calls is in request.c.
 */
#include "server/worker.h"
#include "server/tls.h"

#include "handlers/log.h"
#include "utapi/clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CONNECTION_MEMORY_BYTES ((size_t)32 * 1024) /* headers of 16 KiB, and what else a request needs */
#define SWEEP_MS                1000                /* how often deadlines are looked at */

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
        worker_resume_done(self);
        if (MHD_run(self->daemon) != MHD_YES)
            log_write(LOG_LEVEL_ERROR, NULL, "libmicrohttpd refuses to run");
        worker_suspend_waiting(self);
        if (utapi_monotonic_ms() - swept_ms >= SWEEP_MS) {
            worker_close_late(self);
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
    enum { PLAIN = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG };
    const char *client_ca = tls_client_ca();
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_PRIORITIES, 0, TLS_PRIORITIES},
        {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)(intptr_t)tls_retrieve},
        {*client_ca != '\0' ? MHD_OPTION_HTTPS_MEM_TRUST : MHD_OPTION_END, 0, (void *)(uintptr_t)client_ca},
        {MHD_OPTION_END, 0, NULL}};
    if (!self->options.is_tls)
        tls[0].option = MHD_OPTION_END;
    return MHD_start_daemon(
        PLAIN | (self->options.is_tls ? MHD_USE_TLS : 0), 0, NULL, NULL, mhd_request_handle, self,
        MHD_OPTION_EXTERNAL_LOGGER, log_library, NULL, MHD_OPTION_LISTEN_SOCKET, listen_fd,
        MHD_OPTION_URI_LOG_CALLBACK, mhd_request_begin, self, MHD_OPTION_NOTIFY_COMPLETED, mhd_request_end,
        self, MHD_OPTION_NOTIFY_CONNECTION, mhd_request_connection_notify, self,
        MHD_OPTION_CONNECTION_TIMEOUT, self->options.idle_timeout_s, MHD_OPTION_CONNECTION_LIMIT,
        self->options.max_connections + SERVER_EXCESS_CONNECTIONS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        CONNECTION_MEMORY_BYTES, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
}

utapi_status worker_init(worker *self, const server_options *options, const http_service *service,
                         int listen_fd, atomic_uint *connection_count, utapi_error *err)
{
    static atomic_uint workers;
    *self = (worker){.slot = atomic_fetch_add(&workers, 1) % HTTP_CALL_SLOTS,
                     .service = service,
                     .options = *options,
                     .connection_count = connection_count};
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
    (void)pthread_mutex_init(&self->service_lock, NULL);
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

void worker_replace_service(worker *self, const http_service *service)
{
    (void)pthread_mutex_lock(&self->service_lock);
    self->service = service;
    (void)pthread_mutex_unlock(&self->service_lock);
}

void worker_stop(worker *self)
{
    atomic_store(&self->stopping, true);
    worker_wake(self);
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
    (void)pthread_mutex_destroy(&self->service_lock);
    (void)close(self->wake_fd);
}
