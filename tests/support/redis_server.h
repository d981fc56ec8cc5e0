/* SPDX-License-Identifier: Apache-2.0 */
/**
 * redis_server.h - a redis-server of a test's own, on a Unix socket in a temporary folder.
 */
#ifndef SUPPORT_REDIS_SERVER_H
#define SUPPORT_REDIS_SERVER_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <sys/types.h>

typedef struct redis_server {
    pid_t pid; /* 0: not running */
    char folder[256];
    char socket[288];
    char uri[320];         /* what a redis backend is opened with */
    redisContext *context; /* the test's own connection */
} redis_server;

/** Starts a server and waits until it answers; false if there is no redis-server on this machine. */
bool redis_server_start(redis_server *ret);

/** Ends it and removes what it left. Takes one that was never started, if it was zeroed. */
void redis_server_stop(redis_server *server);

/** Sends a command; its reply is owned: freeReplyObject(). Fails the test if there is none, or an error. */
redisReply *redis_server_ask(redis_server *server, const char *format, ...);

/** Sends a command whose reply does not matter. */
void redis_server_tell(redis_server *server, const char *command);

#endif
