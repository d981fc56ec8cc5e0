/* SPDX-License-Identifier: Apache-2.0 */
/**
 * fake_redis.h - a Redis that answers by a script: it lies, falls silent and hangs up as a case wants it to.
 *
 * A thread listens, on a free port of the loopback or on a Unix socket, and serves any number of connections. What no
 * rule is for is answered as a healthy master would: SCRIPT LOAD with a digest, ROLE with "master", ECHO with its
 * word, all else with OK. It remembers what it heard.
 */
#ifndef REDIS_FAKE_REDIS_H
#define REDIS_FAKE_REDIS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    FAKE_RULES = 8,
    FAKE_CONNECTIONS = 16,
    FAKE_LINES = 512,
    FAKE_LINE_SIZE = 128,
    FAKE_FOREVER = 1000000
};

/** What happens to the connection once the reply, or what there is of it, was sent. */
typedef enum fake_end { FAKE_GOES_ON, FAKE_HANGS_UP } fake_end;

typedef struct fake_rule {
    const char *command; /* how it begins: "GET", "SENTINEL get-master"; "" is any */
    const char *reply;   /* bytes as they go over the wire; "" is none; borrowed */
    unsigned times;      /* how often it still holds */
    fake_end end;
} fake_rule;

typedef struct fake_redis {
    int listener, wake[2];
    uint16_t port; /* 0: a Unix socket */
    char path[320];
    pthread_t thread;
    pthread_mutex_t lock; /* guards all below */
    fake_rule rules[FAKE_RULES];
    unsigned rule_count, connections, line_count;
    char lines[FAKE_LINES][FAKE_LINE_SIZE];
} fake_redis;

/** Starts; on a Unix socket in `folder`, or on TCP if that is NULL. */
void fake_redis_start(fake_redis *fake, const char *folder);
void fake_redis_stop(fake_redis *fake);

/** From now on, and so many times, a command that begins so is answered so. Earlier rules come first. */
void fake_redis_rule(fake_redis *fake, const char *command, const char *reply, unsigned times, fake_end end);

/** Drops all rules. */
void fake_redis_behave(fake_redis *fake);

/** How many commands it heard that begin so. */
unsigned fake_redis_heard(fake_redis *fake, const char *command);

/** Where the first such command stands in all that it heard; the case fails if there is none. */
unsigned fake_redis_place(fake_redis *fake, const char *command);

/** How many connections it has accepted. */
unsigned fake_redis_connections(fake_redis *fake);

#endif
