/* SPDX-License-Identifier: Apache-2.0 */
/* serve.c - the kinds of servers that are floors. */
#include "serve.h"

#include "noop_backend.h"
#include "server/server.h"
#include "utapi/clock.h"
#include "utapi/scoped.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WORKERS_MAX = 8, CONNECTIONS_MAX = 4096, POLL_MS = 200, HEADERS_MAX = 32, MIB = 1 << 20 };

/* ---- libmicrohttpd alone ------------------------------------------------------------------ */

/* What every request is answered with. */
static struct {
    auth *auth; /* NULL: nothing is verified */
    char *body; /* owned */
    size_t size;
    atomic_bool is_over;
} bare;

/* A request's target and body. */
typedef struct bare_request {
    char *target;
    char *body;
    size_t size;
    bool is_begun;
} bare_request;

static void *bare_begin(void *ctx, const char *target, struct MHD_Connection *mhd)
{
    (void)ctx;
    (void)mhd;
    bare_request *request = calloc(1, sizeof *request);
    if (request != NULL)
        request->target = strdup(target);
    return request;
}

static void bare_end(void *ctx, struct MHD_Connection *mhd, void **request_ctx,
                     enum MHD_RequestTerminationCode code)
{
    (void)ctx;
    (void)mhd;
    (void)code;
    bare_request *request = *request_ctx;
    if (request == NULL)
        return;
    free(request->target);
    free(request->body);
    free(request);
    *request_ctx = NULL;
}

typedef struct header_list {
    http_header headers[HEADERS_MAX];
    size_t count;
} header_list;

static enum MHD_Result header_add(void *ctx, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    header_list *list = ctx;
    if (list->count < HEADERS_MAX)
        list->headers[list->count++] = (http_header){utapi_string_of(name), utapi_string_of(value)};
    return MHD_YES;
}

static bool is_verified(struct MHD_Connection *mhd, const char *method, const bare_request *bare_of)
{
    header_list list = {.count = 0};
    http_failure failure;
    const identity_key *key;
    (void)MHD_get_connection_values(mhd, MHD_HEADER_KIND, header_add, &list);
    http_request request = {.method = utapi_string_of(method),
                            .headers = list.headers,
                            .header_count = list.count,
                            .body = {bare_of->body, bare_of->size}};
    http_request_set_target(&request, utapi_string_of(bare_of->target));
    return auth_verify(bare.auth, &request, utapi_wall_ms(), &key, &failure) == HTTP_OK;
}

static enum MHD_Result bare_answer(struct MHD_Connection *mhd, unsigned status)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(bare.size, bare.body, MHD_RESPMEM_PERSISTENT);
    if (response == NULL)
        return MHD_NO;
    (void)MHD_add_response_header(response, "content-type", "application/json");
    const enum MHD_Result result = MHD_queue_response(mhd, status, response);
    MHD_destroy_response(response);
    return result;
}

static bool bare_gather(bare_request *request, const char *upload, size_t size)
{
    if (bare.auth == NULL)
        return true;
    char *body = realloc(request->body, request->size + size);
    if (body == NULL)
        return false;
    memcpy(body + request->size, upload, size);
    request->body = body;
    request->size += size;
    return true;
}

static enum MHD_Result bare_handle(void *ctx, struct MHD_Connection *mhd, const char *url, const char *method,
                                   const char *version, const char *upload, size_t *upload_size,
                                   void **request_ctx)
{
    (void)ctx;
    (void)url;
    (void)version;
    bare_request *request = *request_ctx;
    if (request == NULL || request->target == NULL)
        return MHD_NO;
    if (!request->is_begun) {
        request->is_begun = true;
        return MHD_YES;
    }
    if (*upload_size > 0) {
        const size_t size = *upload_size;
        *upload_size = 0;
        return bare_gather(request, upload, size) ? MHD_YES : MHD_NO;
    }
    const bool is_welcome = bare.auth == NULL || is_verified(mhd, method, request);
    return bare_answer(mhd, is_welcome ? 200 : 403);
}

static void *bare_run(void *ctx)
{
    struct MHD_Daemon *daemon = ctx;
    struct pollfd fd = {.fd = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd,
                        .events = POLLIN};
    while (!atomic_load(&bare.is_over)) {
        MHD_UNSIGNED_LONG_LONG timeout_ms = 0;
        const bool is_set = MHD_get_timeout(daemon, &timeout_ms) == MHD_YES;
        (void)poll(&fd, 1, is_set && timeout_ms < POLL_MS ? (int)timeout_ms : POLL_MS);
        (void)MHD_run(daemon);
    }
    MHD_stop_daemon(daemon);
    return NULL;
}

static struct MHD_Daemon *bare_start(int listen_fd)
{
    return MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, bare_handle, NULL, MHD_OPTION_LISTEN_SOCKET,
                            listen_fd, MHD_OPTION_URI_LOG_CALLBACK, bare_begin, NULL,
                            MHD_OPTION_NOTIFY_COMPLETED, bare_end, NULL, MHD_OPTION_CONNECTION_LIMIT,
                            (unsigned)CONNECTIONS_MAX, MHD_OPTION_END);
}

static int listen_anywhere(uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, SOMAXCONN) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        return -1;
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static unsigned worker_count(void)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 1 ? 1 : cores > WORKERS_MAX ? WORKERS_MAX : (unsigned)cores;
}

/* ---- until SIGTERM ------------------------------------------------------------------------ */

static void announce_and_wait(uint16_t port)
{
    sigset_t signals;
    int received;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    printf("listening on http://127.0.0.1:%u\n", (unsigned)port);
    (void)fflush(stdout);
    while (sigwait(&signals, &received) != 0)
        continue;
}

static bool serve_bare(void)
{
    uint16_t port;
    pthread_t threads[WORKERS_MAX];
    unsigned count = 0;
    const int fd = listen_anywhere(&port);
    for (unsigned i = 0; fd >= 0 && i < worker_count(); i++) {
        struct MHD_Daemon *daemon = bare_start(i == 0 ? fd : dup(fd));
        if (daemon == NULL || pthread_create(&threads[count], NULL, bare_run, daemon) != 0)
            break;
        count++;
    }
    if (count > 0)
        announce_and_wait(port);
    atomic_store(&bare.is_over, true);
    for (unsigned i = 0; i < count; i++)
        (void)pthread_join(threads[i], NULL);
    return count > 0;
}

/* utapid's own: the engine, the committer, reading of events; nothing is stored. */
static bool serve_noop(const identity *known, auth *auth_)
{
    utapi_engine *engine = NULL;
    utapi_backend *backend = NULL;
    server *running = NULL;
    const utapi_backend_options options = {.location = ""};
    utapi_status status = utapi_backend_open(&bench_noop_backend, &options, &backend, NULL);
    if (status == UTAPI_OK)
        status = utapi_engine_new(backend, &utapi_engine_defaults, &engine, NULL);
    const http_service service = {.engine = engine,
                                  .auth = auth_,
                                  .identity = known,
                                  .ingest_max_events = 10000,
                                  .ingest_max_bytes = 64 * (size_t)MIB,
                                  .list_max_bytes = MIB,
                                  .list_max_names = 10000};
    const server_options serving = {.bind = "127.0.0.1",
                                    .workers = worker_count(),
                                    .max_connections = CONNECTIONS_MAX,
                                    .idle_timeout_s = 120,
                                    .request_timeout_s = 60};
    http_service allowing = service;
    if (status == UTAPI_OK)
        status = allow_list_add(&allowing.ingest_allow, "127.0.0.1/8", NULL);
    if (status == UTAPI_OK)
        status = server_start(&serving, &allowing, &running, NULL);
    if (status == UTAPI_OK)
        announce_and_wait(server_port(running));
    server_stop(running);
    utapi_engine_free(engine);
    utapi_backend_close(backend);
    allow_list_done(&allowing.ingest_allow);
    return status == UTAPI_OK;
}

static bool serve_kind(const char *kind, const identity *known, auth *auth_)
{
    if (strcmp(kind, "noop") == 0)
        return serve_noop(known, auth_);
    if (strcmp(kind, "verify") == 0)
        bare.auth = auth_;
    else if (strcmp(kind, "empty") != 0)
        return false;
    return serve_bare();
}

int serve_main(int count, char **arguments)
{
    if (count != 3) {
        fprintf(stderr, "usage: utapi-bench serve empty|verify|noop BODY-BYTES AUTHDATA\n");
        return 2;
    }
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    identity *known = NULL;
    auth *auth_ = NULL;
    bare.size = (size_t)strtoull(arguments[1], NULL, 10);
    bare.body = calloc(1, bare.size + 1);
    bool is_done = bare.body != NULL && identity_load(arguments[2], &known, NULL) == UTAPI_OK &&
                   auth_new(known, AUTH_PAYLOAD_STRICT, &auth_, NULL) == UTAPI_OK;
    if (is_done)
        memset(bare.body, ' ', bare.size);
    is_done = is_done && serve_kind(arguments[0], known, auth_);
    auth_free(auth_);
    identity_free(known);
    free(bare.body);
    return is_done ? EXIT_SUCCESS : EXIT_FAILURE;
}
