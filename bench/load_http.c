/* SPDX-License-Identifier: Apache-2.0 */
/* load_http.c - connections: what is sent, and just so much of the answers as tells where they end.
 *
 * An answer must have a Content-Length, as the servers that are measured here give one. Any other status than 200 is
 * a failure, of which the beginning is kept. */
#include "load_http.h"

#include "utapi/clock.h"
#include "utapi/scoped.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD_MAX = 4096, READ_BYTES = 65536, EVENTS_AT_ONCE = 256 };

typedef struct http_client {
    int fd;
    unsigned events; /* that epoll looks for */
    ingest_text ingest;
    char *question; /* owned: a copy, for the texts are shared */
    size_t question_room;

    const char *out; /* what is still to be sent: of one of the two above */
    size_t out_left;

    char head[HEAD_MAX + 1]; /* of the answer, until it is whole */
    size_t head_size;
    bool is_in_body;
    size_t body_left;
    int status;
} http_client;

struct load_http {
    const bench_workload *workload;
    bench_generator *generator;
    const http_endpoint *endpoint;
    question_texts questions;
    bench_accounts accounts;
    int epoll_fd;
    http_client *clients; /* owned */
    unsigned client_count;
    size_t answer_bytes;
    char scratch[READ_BYTES];
};

UTAPI_AUTO_DEFINE(load_http, load_http_free)

/* ---- connections -------------------------------------------------------------------------- */

static utapi_status client_connect(load_http *self, http_client *client, unsigned number, utapi_error *err)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(self->endpoint->port)};
    if (inet_pton(AF_INET, self->endpoint->host, &address.sin_addr) != 1)
        return utapi_fail(err, UTAPI_INVALID, "%s: expected an IPv4 address", self->endpoint->host);
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0 || connect(client->fd, (struct sockaddr *)&address, sizeof address) != 0)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "connecting to %s port %u: %s", self->endpoint->host,
                          (unsigned)self->endpoint->port, strerror(errno));
    (void)setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    client->events = EPOLLIN;
    struct epoll_event event = {.events = client->events, .data.u32 = number};
    if (epoll_ctl(self->epoll_fd, EPOLL_CTL_ADD, client->fd, &event) != 0)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "epoll: %s", strerror(errno));
    return UTAPI_OK;
}

static utapi_status clients_connect(load_http *self, unsigned count, utapi_error *err)
{
    self->clients = calloc(count, sizeof *self->clients);
    if (self->clients == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "%u clients", count);
    utapi_status status = UTAPI_OK;
    for (unsigned i = 0; i < count; i++)
        self->clients[i].fd = -1;
    for (; self->client_count < count && status == UTAPI_OK; self->client_count++)
        status = client_connect(self, &self->clients[self->client_count], self->client_count, err);
    return status;
}

utapi_status load_http_new(const bench_workload *workload, bench_generator *generator,
                           const http_endpoint *endpoint, unsigned clients, load_http **ret, utapi_error *err)
{
    UTAPI_AUTO(load_http) *self = calloc(1, sizeof *self);
    if (self == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "the load");
    self->workload = workload;
    self->generator = generator;
    self->endpoint = endpoint;
    bench_accounts_make(&self->accounts);
    self->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (self->epoll_fd < 0)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "epoll: %s", strerror(errno));
    utapi_status status =
        question_texts_make(&self->questions, workload, endpoint, generator->origin_ms, err);
    if (status == UTAPI_OK)
        status = clients_connect(self, clients, err);
    if (status == UTAPI_OK)
        *ret = UTAPI_TAKE(self);
    return status;
}

void load_http_free(load_http *self)
{
    if (self == NULL)
        return;
    for (unsigned i = 0; i < self->client_count; i++) {
        if (self->clients[i].fd >= 0)
            (void)close(self->clients[i].fd);
        ingest_text_done(&self->clients[i].ingest);
        free(self->clients[i].question);
    }
    if (self->epoll_fd >= 0)
        (void)close(self->epoll_fd);
    question_texts_done(&self->questions);
    free(self->clients);
    free(self);
}

size_t load_http_answer_bytes(const load_http *self)
{
    return self->answer_bytes;
}

/* ---- sending ------------------------------------------------------------------------------ */

static utapi_status client_watch(const load_http *self, http_client *client, unsigned events,
                                 utapi_error *err)
{
    if (client->events == events)
        return UTAPI_OK;
    client->events = events;
    struct epoll_event event = {.events = events, .data.u32 = (uint32_t)(client - self->clients)};
    if (epoll_ctl(self->epoll_fd, EPOLL_CTL_MOD, client->fd, &event) != 0)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "epoll: %s", strerror(errno));
    return UTAPI_OK;
}

static utapi_status client_send(const load_http *self, http_client *client, utapi_error *err)
{
    while (client->out_left > 0) {
        const ssize_t sent = send(client->fd, client->out, client->out_left, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno != EAGAIN)
            return utapi_fail(err, UTAPI_UNAVAILABLE, "sending a request: %s", strerror(errno));
        if (sent < 0)
            break;
        client->out += sent;
        client->out_left -= (size_t)sent;
    }
    return client_watch(self, client, client->out_left > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN, err);
}

static utapi_status write_events(load_http *self, http_client *client, unsigned count, utapi_error *err)
{
    ingest_text *text = &client->ingest;
    const bool has_uuids = self->workload->uuids;
    if (text->count != count) {
        const utapi_status status = ingest_text_lay_out(text, self->endpoint, count, has_uuids, err);
        if (status != UTAPI_OK)
            return status;
    }
    for (unsigned i = 0; i < count; i++) {
        bench_item item;
        bench_generator_item(self->generator, &item);
        ingest_text_put(text, i, &item, &self->accounts);
    }
    client->out = text->data;
    client->out_left = text->size;
    return UTAPI_OK;
}

static utapi_status write_question(load_http *self, http_client *client, uint32_t number, utapi_error *err)
{
    utapi_string text;
    const utapi_status status = question_texts_get(&self->questions, number, &text, err);
    if (status != UTAPI_OK)
        return status;
    if (client->question_room < text.size) {
        free(client->question);
        client->question_room = 2 * text.size;
        client->question = malloc(client->question_room);
        if (client->question == NULL)
            return utapi_fail(err, UTAPI_NO_MEMORY, "a question");
    }
    memcpy(client->question, text.data, text.size);
    client->out = client->question;
    client->out_left = text.size;
    return UTAPI_OK;
}

static utapi_status http_start(void *ctx, load *driver, unsigned number, const bench_request *request,
                               utapi_error *err)
{
    (void)driver;
    load_http *self = ctx;
    http_client *client = &self->clients[number];
    client->head_size = 0;
    client->is_in_body = false;
    const utapi_status status = request->is_query ? write_question(self, client, request->first_name, err)
                                                  : write_events(self, client, request->item_count, err);
    return status == UTAPI_OK ? client_send(self, client, err) : status;
}

/* ---- answers ------------------------------------------------------------------------------ */

/* Adds bytes to the head until it is whole. Returns how many it took; SIZE_MAX: this is no answer. */
static size_t head_take(http_client *client, const char *bytes, size_t size)
{
    const size_t before = client->head_size;
    const size_t room = HEAD_MAX - before;
    const size_t taken = size < room ? size : room;
    memcpy(client->head + before, bytes, taken);
    client->head_size += taken;
    client->head[client->head_size] = '\0';
    const char *end = strstr(client->head, "\r\n\r\n");
    if (end == NULL)
        return client->head_size < HEAD_MAX ? taken : SIZE_MAX;
    const size_t head_size = (size_t)(end - client->head) + 4;
    const char *length = strcasestr(client->head, "\r\ncontent-length:");
    if (strncmp(client->head, "HTTP/1.1 ", 9) != 0 || length == NULL || length > end)
        return SIZE_MAX;
    client->status = (int)strtoll(client->head + 9, NULL, 10);
    client->body_left = (size_t)strtoull(length + sizeof "\r\ncontent-length:" - 1, NULL, 10);
    client->is_in_body = true;
    return head_size - before;
}

static void client_done(load_http *self, load *driver, http_client *client, const char *body, size_t size)
{
    char failure[160];
    if (client->status != 200)
        (void)snprintf(failure, sizeof failure, "HTTP status %d: %.*s", client->status,
                       (int)(size < 120 ? size : 120), body);
    load_done(driver, (unsigned)(client - self->clients), utapi_monotonic_ns(),
              client->status != 200 ? failure : NULL);
}

static utapi_status answer_take(load_http *self, load *driver, http_client *client, const char *bytes,
                                size_t size, utapi_error *err)
{
    if (!client->is_in_body) {
        const size_t taken = head_take(client, bytes, size);
        if (taken == SIZE_MAX)
            return utapi_fail(err, UTAPI_UNAVAILABLE, "what came is no HTTP answer with a length");
        bytes += taken;
        size -= taken;
        self->answer_bytes = client->is_in_body ? client->body_left : self->answer_bytes;
    }
    if (!client->is_in_body)
        return UTAPI_OK;
    if (size > client->body_left)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "an answer is longer than it says");
    client->body_left -= size;
    if (client->body_left == 0)
        client_done(self, driver, client, bytes, size);
    return UTAPI_OK;
}

static utapi_status client_receive(load_http *self, load *driver, http_client *client, utapi_error *err)
{
    const ssize_t size = recv(client->fd, self->scratch, sizeof self->scratch, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return UTAPI_OK;
    if (size <= 0)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "the server closed a connection%s%s", size < 0 ? ": " : "",
                          size < 0 ? strerror(errno) : "");
    return answer_take(self, driver, client, self->scratch, (size_t)size, err);
}

static utapi_status http_wait(void *ctx, load *driver, int64_t most_ns, utapi_error *err)
{
    load_http *self = ctx;
    struct epoll_event events[EVENTS_AT_ONCE];
    const struct timespec most = {.tv_sec = most_ns / 1000000000, .tv_nsec = most_ns % 1000000000};
    const int count = epoll_pwait2(self->epoll_fd, events, EVENTS_AT_ONCE, &most, NULL);
    if (count < 0 && errno != EINTR)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "epoll: %s", strerror(errno));
    utapi_status status = UTAPI_OK;
    for (int i = 0; i < count && status == UTAPI_OK; i++) {
        http_client *client = &self->clients[events[i].data.u32];
        if ((events[i].events & EPOLLOUT) != 0)
            status = client_send(self, client, err);
        if (status == UTAPI_OK && (events[i].events & ~(uint32_t)EPOLLOUT) != 0)
            status = client_receive(self, driver, client, err);
    }
    return status;
}

load_transport load_http_transport(load_http *self)
{
    return (load_transport){.ctx = self, .start = http_start, .wait = http_wait};
}
