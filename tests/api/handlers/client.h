/* SPDX-License-Identifier: Apache-2.0 */
/**
 * client.h - an HTTP client that sends what it is told, byte for byte, and reads replies one by one.
 *
 * Any thread may use one; nothing here fails a test by itself.
 */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Longest wait for a reply. Nothing here takes that long: a time-out is a stall. */
#define CLIENT_TIMEOUT_S 5

typedef struct http_client {
    int fd;
    char *data; /* received, and not yet handed out; owned */
    size_t size;
    size_t capacity;
} http_client;

typedef enum client_outcome {
    CLIENT_REPLIED,
    CLIENT_CLOSED, /* by the server, before a whole reply came */
    CLIENT_TIMED_OUT
} client_outcome;

typedef struct client_reply {
    int status;
    char *head; /* status line and headers; owned: client_reply_done() */
    char *body; /* NUL-terminated; owned */
    size_t body_size;
} client_reply;

/** Connects to a port of the loopback; false if that fails. */
bool client_open(http_client *self, uint16_t port);

/** The same, from another address of the loopback: "127.0.0.2". */
bool client_open_from(http_client *self, const char *address, uint16_t port);
void client_close(http_client *self);

/** Sends bytes; false if the connection is lost. */
bool client_send(http_client *self, const char *data, size_t size);
bool client_send_text(http_client *self, const char *text);

/** Ends the sending, as a client that closes its side. */
void client_end_sending(http_client *self);

/**
 * Reads a reply; interim ones (100) are passed over.
 *
 * @param has_no_body  the request was HEAD
 * @param ret          with CLIENT_REPLIED: owned, client_reply_done()
 */
client_outcome client_read(http_client *self, bool has_no_body, client_reply *ret);
void client_reply_done(client_reply *reply);

/** The value of a header of a reply, in lower case letters as it was asked for; NULL if it is not there. Valid until
 *  the next call on the same thread. */
const char *client_reply_header(const client_reply *reply, const char *name);

/** Sends "POST target" with a body and reads the reply. */
client_outcome client_post(http_client *self, const char *target, const char *body, client_reply *ret);

#endif
