/* SPDX-License-Identifier: Apache-2.0 */
/**
 * request.c - a request between libmicrohttpd and the router.
 *
 * libmicrohttpd calls, on the worker's thread and in this order: mhd_request_begin() with the raw request line; then
 * mhd_request_handle() when the headers are there, for each piece of the body, when it is whole, and again until
 * there is a reply, but not while the connection is suspended; mhd_request_end() when the reply is sent or the
 * connection lost. A connection is never closed while it is suspended, so a client that goes away meanwhile is
 * noticed when its reply is written.
 */
#include "server/tls.h"
#include "server/worker.h"

#include "handlers/routes.h"
#include "http/framing.h"
#include "utapi/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A body that is too large is still read, up to this many bytes, so that the client reads our answer instead of
 * a reset connection. */
#define DISCARD_MAX_BYTES  ((size_t)64 << 20)
#define BODY_MIN_BYTES     ((size_t)4096)
#define SMALL_REPLY_BYTES  ((size_t)4096) /* up to here a reply is part of what a connection takes */
#define STREAM_PIECE_BYTES ((size_t)32768)
#define REPLIES_MAX_BYTES  ((size_t)64 << 20) /* of others that a worker has not sent yet; beyond: 503 */
#define BODIES_MAX         ((size_t)4)        /* of the largest size, on a worker at a time; beyond: 503 */

/* ---- from the request line to the headers -------------------------------------------------- */

static connection *connection_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info != NULL ? info->socket_context : NULL;
}

void mhd_request_connection_notify(void *ctx, struct MHD_Connection *mhd, void **socket_ctx,
                                   enum MHD_ConnectionNotificationCode code)
{
    worker *owner = ctx;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        connection *self = calloc(1, sizeof *self);
        *socket_ctx = self;
        if (self == NULL)
            return; /* its first request will be refused */
        const unsigned count = atomic_fetch_add(owner->connection_count, 1) + 1;
        *self = (connection){.owner = owner,
                             .mhd = mhd,
                             .since_ms = utapi_monotonic_ms(),
                             .is_excess = count > owner->options.max_connections && !worker_evict_idle(owner),
                             .next = owner->connections};
        if (self->next != NULL)
            self->next->previous = self;
        owner->connections = self;
        return;
    }
    connection *self = *socket_ctx;
    *socket_ctx = NULL;
    if (self == NULL)
        return;
    if (self->next != NULL)
        self->next->previous = self->previous;
    if (self->previous != NULL)
        self->previous->next = self->next;
    else
        owner->connections = self->next;
    atomic_fetch_sub(owner->connection_count, 1);
    free(self);
}

/** Counts a reply in, which stays in memory until its client has read it; false where too many do. */
static bool reply_reserve(mhd_request *self)
{
    worker *owner = self->connection->owner;
    const size_t size = self->call.reply.size;
    if (size <= SMALL_REPLY_BYTES)
        return true;
    const size_t others = atomic_fetch_add(&owner->reply_bytes, size);
    if (others > 0 && others + size > REPLIES_MAX_BYTES) {
        atomic_fetch_sub(&owner->reply_bytes, size);
        return false;
    }
    self->reply_size = size;
    return true;
}

/** Any thread: the reply is there. */
static void on_ready(http_call *call)
{
    mhd_request *self = call->ctx;
    worker *owner = self->connection->owner;
    if (!reply_reserve(self)) {
        http_reply_done(&call->reply);
        http_call_fail(call, HTTP_SERVICE_UNAVAILABLE); /* comes here again */
        return;
    }
    if (atomic_exchange(&self->state, REQUEST_READY) == REQUEST_WAITING)
        worker_finish(owner, self);
}

/** The service of a request, which it holds until it ends. */
static const http_service *service_take(worker *owner)
{
    (void)pthread_mutex_lock(&owner->service_lock);
    const http_service *service = owner->service;
    if (service->calls != NULL)
        atomic_fetch_add(&service->calls->slots[owner->slot].count, 1);
    (void)pthread_mutex_unlock(&owner->service_lock);
    return service;
}

void *mhd_request_begin(void *ctx, const char *target, struct MHD_Connection *mhd)
{
    worker *owner = ctx;
    connection *link = connection_of(mhd);
    mhd_request *self = link != NULL ? calloc(1, sizeof *self) : NULL;
    if (self == NULL)
        return NULL;
    self->target = strdup(target); /* libmicrohttpd decodes its own in place */
    if (self->target == NULL) {
        free(self);
        return NULL;
    }

    http_call_init(&self->call, on_ready, self);
    self->call.service = service_take(owner);
    self->call.budget = &owner->budget;
    atomic_init(&self->state, REQUEST_RUNNING);
    self->connection = link;
    self->is_reading = true;
    link->request = self;
    link->since_ms = link->head_ms != 0 ? link->head_ms : utapi_monotonic_ms();
    link->head_ms = 0;
    owner->request_count++;
    return self;
}

static void drop_body(mhd_request *self)
{
    self->connection->owner->body_bytes -= self->body_capacity;
    self->body_capacity = 0;
    free(self->body);
    self->body = NULL;
    self->call.request.body = (utapi_string){NULL, 0};
}

void mhd_request_end(void *ctx, struct MHD_Connection *mhd, void **request_ctx,
                     enum MHD_RequestTerminationCode code)
{
    (void)mhd;
    (void)code;
    worker *owner = ctx;
    mhd_request *self = *request_ctx;
    *request_ctx = NULL;
    if (self == NULL)
        return;
    self->connection->request = NULL;
    self->connection->has_served = true;
    self->connection->since_ms = utapi_monotonic_ms();
    self->connection->received = RECEIVED_UNKNOWN;
    owner->request_count--;
    atomic_fetch_sub(&owner->reply_bytes, self->reply_size);
    const http_service *service = self->call.service;
    http_call_done(&self->call);
    drop_body(self);
    if (service->calls != NULL)
        atomic_fetch_sub(&service->calls->slots[owner->slot].count, 1);
    free(self->target);
    free(self->headers);
    free(self);
}

/* ---- the reply ----------------------------------------------------------------------------- */

static bool add_headers(struct MHD_Response *response, const http_call *call, bool is_last)
{
    const http_reply *reply = &call->reply;
    bool fits = MHD_add_response_header(response, "server", "ScalityS3") == MHD_YES &&
                MHD_add_response_header(response, "x-scal-request-id", call->request_id) == MHD_YES &&
                MHD_add_response_header(response, "content-type", reply->content_type) == MHD_YES &&
                (!is_last || MHD_add_response_header(response, "connection", "close") == MHD_YES);
    for (size_t i = 0; i < reply->header_count && fits; i++)
        fits = MHD_add_response_header(response, reply->headers[i].name, reply->headers[i].value) == MHD_YES;
    return fits;
}

static ssize_t read_stream(void *ctx, uint64_t position, char *buffer, size_t size)
{
    (void)position;
    const http_stream *stream = ctx;
    const ssize_t count = stream->read(stream->ctx, buffer, size);
    return count > 0    ? count
           : count == 0 ? MHD_CONTENT_READER_END_OF_STREAM
                        : MHD_CONTENT_READER_END_WITH_ERROR;
}

/**
 * Makes a response that takes over the reply's body; a stream stays the reply's, which lives until the response is
 * sent.
 */
static struct MHD_Response *make_response(http_reply *reply)
{
    if (reply->stream.read != NULL)
        return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_PIECE_BYTES, read_stream,
                                                 &reply->stream, NULL);
    struct MHD_Response *response =
        reply->body != NULL ? MHD_create_response_from_buffer(reply->size, reply->body, MHD_RESPMEM_MUST_FREE)
                            : MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    if (response != NULL)
        reply->body = NULL;
    return response;
}

/** Queues the reply; MHD_NO closes the connection. */
static enum MHD_Result send_reply(mhd_request *self, struct MHD_Connection *mhd)
{
    struct MHD_Response *response = make_response(&self->call.reply);
    if (response == NULL)
        return MHD_NO;
    enum MHD_Result queued = MHD_NO;
    if (add_headers(response, &self->call, self->is_last || atomic_load(&self->connection->owner->stopping)))
        queued = MHD_queue_response(mhd, (unsigned)self->call.reply.status, response);
    MHD_destroy_response(response);
    return queued;
}

/** Answers before the body is read: libmicrohttpd closes the connection afterwards. */
static enum MHD_Result refuse_now(mhd_request *self, struct MHD_Connection *mhd, const http_failure *failure)
{
    self->is_reading = false;
    http_call_refuse(&self->call, failure);
    return send_reply(self, mhd);
}

/* ---- the request --------------------------------------------------------------------------- */

static enum MHD_Result collect_header(void *ctx, enum MHD_ValueKind kind, const char *name, size_t name_size,
                                      const char *value, size_t value_size)
{
    (void)kind;
    mhd_request *self = ctx;
    http_request *request = &self->call.request;
    if (request->header_count == self->header_capacity) {
        const size_t capacity = self->header_capacity > 0 ? self->header_capacity * 2 : 16;
        http_header *headers = realloc(self->headers, capacity * sizeof *headers);
        if (headers == NULL)
            return MHD_NO;
        self->headers = headers;
        self->header_capacity = capacity;
    }
    /* A header without a value comes as NULL, and is there all the same. */
    self->headers[request->header_count++] =
        (http_header){{name, name_size}, {value != NULL ? value : "", value_size}};
    return MHD_YES;
}

/** Whose process the client of a Unix socket is; nobody's where it has no other end that tells. */
static unsigned peer_uid(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct ucred peer;
    socklen_t size = sizeof peer;
    return info != NULL && getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0
               ? peer.uid
               : (unsigned)-1;
}

/** Fills the call's request, without its body; false if out of memory. */
static bool read_head(mhd_request *self, struct MHD_Connection *mhd, const char *method)
{
    http_request *request = &self->call.request;
    request->method = utapi_string_of(method);
    http_request_set_target(request, utapi_string_of(self->target));

    const int total = MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, NULL, NULL);
    (void)MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, collect_header, self);
    request->headers = self->headers;

    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    request->peer = info != NULL ? info->client_addr : NULL;
    request->peer_uid = peer_uid(mhd);
    return total >= 0 && request->header_count == (size_t)total && request->peer != NULL;
}

/** Answers what was found out before the body was whole. */
static void refuse(mhd_request *self)
{
    if (self->refused == HTTP_ACCESS_DENIED)
        router_deny(&self->call);
    else
        http_call_fail(&self->call, self->refused);
}

/** Who may ask through a Unix socket. Its file's mode says so too; but a descriptor can be handed on. */
static bool is_operator(unsigned uid)
{
    return uid == 0 || uid == geteuid();
}

static bool is_known_client(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    return info != NULL && tls_client_is_known(info->tls_session);
}

static enum MHD_Result begin_request(mhd_request *self, struct MHD_Connection *mhd, const char *method,
                                     const char *version)
{
    http_failure failure;
    http_framing framing;
    self->is_begun = true;
    if (!read_head(self, mhd, method))
        return MHD_NO;
    if (http_framing_check(&self->call.request, version, &framing, &failure) != HTTP_OK)
        return refuse_now(self, mhd, &failure);

    const worker *owner = self->connection->owner;
    if (owner->options.socket_path != NULL && !is_operator(self->call.request.peer_uid)) {
        (void)http_fail(&failure, HTTP_ACCESS_DENIED, NULL);
        return refuse_now(self, mhd, &failure);
    }
    if (owner->options.is_tls && *tls_client_ca() != '\0' && !is_known_client(mhd)) {
        (void)http_fail(&failure, HTTP_ACCESS_DENIED, NULL);
        return refuse_now(self, mhd, &failure);
    }
    const bool is_admitted = router_admit(self->call.service, &self->call, &self->body_limit);
    self->declared_size = framing.declared_size;
    if (self->connection->is_excess &&
        atomic_load(owner->connection_count) > owner->options.max_connections) {
        self->refused = HTTP_SERVICE_UNAVAILABLE;
        self->is_last = true;
    } else if (!is_admitted) {
        self->refused = HTTP_ACCESS_DENIED; /* nobody else's memory is taken for its body */
    } else if (framing.declared_size > self->body_limit) {
        self->refused = HTTP_ENTITY_TOO_LARGE;
    } else {
        return MHD_YES;
    }

    if (!framing.expects_continue && framing.declared_size <= self->body_limit + DISCARD_MAX_BYTES)
        return MHD_YES;
    self->is_reading = false;
    refuse(self);
    return send_reply(self, mhd);
}

/**
 * Makes room for more bytes of body: no more than twice what has arrived, whatever was declared; and for all bodies
 * of a worker no more than the largest ones take.
 */
static bool grow_body(mhd_request *self, size_t more)
{
    const size_t needed = self->body_size + more;
    if (needed <= self->body_capacity)
        return true;

    size_t capacity = needed < BODY_MIN_BYTES ? BODY_MIN_BYTES : needed * 2;
    if (self->declared_size >= needed && capacity > self->declared_size)
        capacity = self->declared_size;
    worker *owner = self->connection->owner;
    const http_service *service = self->call.service;
    const size_t largest = service->ingest_max_bytes > service->list_max_bytes ? service->ingest_max_bytes
                                                                               : service->list_max_bytes;
    const size_t more_room = capacity - self->body_capacity;
    if (more_room > BODIES_MAX * largest - owner->body_bytes)
        return false;
    char *body = realloc(self->body, capacity);
    if (body == NULL)
        return false;
    self->body = body;
    self->body_capacity = capacity;
    owner->body_bytes += more_room;
    return true;
}

static enum MHD_Result gather_body(mhd_request *self, const char *upload, size_t *upload_size)
{
    const size_t size = *upload_size;
    if (self->refused == HTTP_OK && size > self->body_limit - self->body_size)
        self->refused = HTTP_ENTITY_TOO_LARGE;
    if (self->refused == HTTP_OK && !grow_body(self, size))
        self->refused = HTTP_SERVICE_UNAVAILABLE;

    *upload_size = 0;
    if (self->refused == HTTP_OK) {
        memcpy(self->body + self->body_size, upload, size);
        self->body_size += size;
        self->call.request.body = (utapi_string){self->body, self->body_size};
        if (self->body_size != self->declared_size)
            router_on_body(&self->call);
        return MHD_YES;
    }
    drop_body(self);
    self->discarded += size;
    return self->discarded <= self->body_limit + DISCARD_MAX_BYTES ? MHD_YES : MHD_NO;
}

static void dispatch(mhd_request *self)
{
    self->is_reading = false;
    if (self->refused != HTTP_OK)
        refuse(self);
    else
        router_dispatch(self->call.service, &self->call);
}

/** Dispatches a whole request; unless it is answered by then, the worker puts its connection to sleep. */
static enum MHD_Result dispatch_or_suspend(mhd_request *self, struct MHD_Connection *mhd)
{
    dispatch(self);
    mhd_request_state running = REQUEST_RUNNING;
    if (!atomic_compare_exchange_strong(&self->state, &running, REQUEST_WAITING))
        return send_reply(self, mhd);
    worker_suspend(self->connection->owner, self);
    return MHD_YES;
}

enum MHD_Result mhd_request_handle(void *ctx, struct MHD_Connection *mhd, const char *url, const char *method,
                                   const char *version, const char *upload, size_t *upload_size,
                                   void **request_ctx)
{
    (void)ctx;
    (void)url; /* decoded: a signature covers the raw one */
    mhd_request *self = *request_ctx;
    /* What was shut down is not dispatched, whatever its socket still holds: its client was told 408, or nothing. */
    if (self == NULL || self->connection->is_closed)
        return MHD_NO;
    if (!self->is_begun)
        return begin_request(self, mhd, method, version);
    if (*upload_size > 0)
        return gather_body(self, upload, upload_size);
    if (self->is_suspended)
        return MHD_YES; /* libmicrohttpd asks again before the connection sleeps */
    if (atomic_load(&self->state) == REQUEST_READY)
        return send_reply(self, mhd);
    return dispatch_or_suspend(self, mhd);
}
