/* SPDX-License-Identifier: Apache-2.0 */
/**
 * worker.h - a worker thread of the server, its connections, and the request that each of them is at.
 *
 * For the files of this folder alone: server.c makes workers, a worker (worker.c) has libmicrohttpd call request.c, and
 * both see to connections by connection.c. All but the done-queue belongs to the worker's own thread.
 */
#ifndef SERVER_WORKER_H
#define SERVER_WORKER_H

#include "server/server.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

typedef struct mhd_request mhd_request;
typedef struct worker worker;

/** What a connection has sent was not looked at since its last request. */
#define RECEIVED_UNKNOWN UINT64_MAX

/** A connection, from accept to close. */
typedef struct connection {
    worker *owner;
    struct MHD_Connection *mhd;
    mhd_request *request; /* the request under way; NULL between two of them */
    int64_t since_ms;     /* when that request began, or the last one ended; utapi_monotonic_ms() */
    int64_t head_ms;      /* when bytes of the next request's line were first seen; 0: none were */
    uint64_t received;    /* what its client had sent when it was first looked at after the last request */
    bool has_served;      /* a request of its was answered: between two of them it may be closed */
    bool is_excess;       /* it came when all places were taken, and none could be made */
    bool is_closed;       /* its socket was shut down by us */
    struct connection *previous, *next;
} connection;

/** How far a request is. Whoever makes it READY finds out whether its owner waits for it. */
typedef enum mhd_request_state {
    REQUEST_RUNNING, /* read, or dispatched by its owner just now */
    REQUEST_WAITING, /* its owner waits to be told */
    REQUEST_READY    /* call.reply is complete */
} mhd_request_state;

/** A request and its reply, from the request line to the last byte sent. */
struct mhd_request {
    http_call call;
    connection *connection;
    _Atomic mhd_request_state state;
    bool is_begun;     /* the headers were seen */
    bool is_reading;   /* not all of its bytes have arrived yet */
    bool is_last;      /* its connection is closed after the reply */
    bool is_suspended; /* its connection sleeps, or is about to, until the reply is there */

    char *target;         /* owned: the raw one, of the request line */
    http_header *headers; /* owned; the strings are libmicrohttpd's */
    size_t header_capacity;

    char *body; /* owned */
    size_t body_size;
    size_t body_capacity;
    size_t body_limit;
    size_t declared_size; /* Content-Length; 0 without one */
    size_t discarded;     /* bytes read and thrown away since it was refused */
    http_error refused;   /* HTTP_OK, or what it will be answered once it is read */

    size_t reply_size; /* what it adds to its worker's reply_bytes */

    mhd_request *next_to_suspend, *next_done;
};

struct worker {
    const http_service *service; /* guarded by service_lock; requests take what is there when they begin */
    pthread_mutex_t service_lock;
    unsigned slot; /* in which it counts the requests of a service */
    server_options options;
    struct MHD_Daemon *daemon;
    pthread_t thread;
    int wake_fd; /* eventfd: something was done, or the server stops */
    atomic_bool stopping;
    int64_t stopping_since_ms; /* 0: not yet noticed */

    connection *connections;       /* a list */
    atomic_uint *connection_count; /* of all workers; the server's */
    size_t request_count;
    mhd_request *to_suspend;   /* that wait since the last run: their connections are to sleep */
    size_t body_bytes;         /* that the bodies of all requests have room for */
    http_budget budget;        /* of what was read of them */
    atomic_size_t reply_bytes; /* that replies take from when they are ready until they are sent */

    pthread_mutex_t done_lock; /* guards what follows */
    mhd_request *done;         /* ready, and their connections asleep */
};

/**
 * Makes a worker that accepts on a socket. Its thread is not started.
 *
 * @param connection_count  of all workers of a server; borrowed
 * @param listen_fd  taken by *self on success
 * @return UTAPI_UNAVAILABLE, UTAPI_NO_MEMORY; *self then holds nothing
 */
UTAPI_MUST_USE utapi_status worker_init(worker *self, const server_options *options,
                                        const http_service *service, int listen_fd,
                                        atomic_uint *connection_count, utapi_error *err);

/** Starts the thread. */
UTAPI_MUST_USE utapi_status worker_start(worker *self, utapi_error *err);

/** Requests that begin from now on get another service. From any thread. */
void worker_replace_service(worker *self, const http_service *service);

/** Tells a started worker to stop; worker_join() waits until it has. From any thread. */
void worker_stop(worker *self);
void worker_join(worker *self);

/** Frees what a worker holds that was never started, or was joined. */
void worker_done(worker *self);

/* ---- connection.c ------------------------------------------------------------------------- */

/** Makes a worker look at what there is to do. From any thread. */
void worker_wake(worker *self);

/** Has a worker put a connection to sleep until its request is finished. From its own thread. */
void worker_suspend(worker *self, mhd_request *to_suspend);

/** Wakes a worker to finish a request. From any thread. */
void worker_finish(worker *self, mhd_request *finished);

/** Closes the connection that has waited longest for its next request; false if none does. */
bool worker_evict_idle(worker *self);

/** Between two runs of the daemon: puts to sleep what waits since the last run, and resumes what is done. */
void worker_suspend_waiting(worker *self);
void worker_resume_done(worker *self);

/** Ends connections that are late, or whose clients have left. Now and then. */
void worker_close_late(worker *self);

/* ---- request.c: what libmicrohttpd calls -------------------------------------------------- */

void mhd_request_connection_notify(void *ctx, struct MHD_Connection *mhd, void **socket_ctx,
                                   enum MHD_ConnectionNotificationCode code);
void *mhd_request_begin(void *ctx, const char *target, struct MHD_Connection *mhd);
enum MHD_Result mhd_request_handle(void *ctx, struct MHD_Connection *mhd, const char *url, const char *method,
                                   const char *version, const char *upload, size_t *upload_size,
                                   void **request_ctx);
void mhd_request_end(void *ctx, struct MHD_Connection *mhd, void **request_ctx,
                     enum MHD_RequestTerminationCode code);

#endif
