/* SPDX-License-Identifier: Apache-2.0 */
/* fake_redis.c - one thread, one poll(): hiredis's own reader takes commands apart, for they are replies in form. */
#include "fake_redis.h"

#include "check.h"

#include <arpa/inet.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

typedef struct fake_client {
    int fd; /* -1: the place is free */
    redisReader *reader;
} fake_client;

/* ---- what it says ------------------------------------------------------------------------- */

static bool begins_with(const char *line, const char *beginning)
{
    return strncmp(line, beginning, strlen(beginning)) == 0;
}

static const char *habit_of(const char *line, const redisReply *command, char *room, size_t size)
{
    const redisReply *last = command->element[command->elements - 1];
    if (begins_with(line, "SCRIPT LOAD"))
        return "$40\r\n0123456789abcdef0123456789abcdef01234567\r\n";
    if (begins_with(line, "ROLE"))
        return "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n";
    if (!begins_with(line, "ECHO"))
        return "+OK\r\n";
    (void)snprintf(room, size, "$%zu\r\n%s\r\n", (size_t)last->len, last->str);
    return room;
}

/* The rule for a line, which is used up by that; a reply of NULL: there is none. With the lock held. */
static fake_rule rule_take(fake_redis *fake, const char *line)
{
    for (unsigned i = 0; i < fake->rule_count; i++) {
        fake_rule *rule = &fake->rules[i];
        if (rule->times > 0 && begins_with(line, rule->command)) {
            rule->times--;
            return *rule;
        }
    }
    return (fake_rule){.end = FAKE_GOES_ON};
}

/* The words with blanks between them, as many as there is room for. */
static void line_make(const redisReply *command, char ret[static FAKE_LINE_SIZE])
{
    size_t size = 0;
    ret[0] = '\0';
    for (size_t i = 0; i < command->elements && size < FAKE_LINE_SIZE; i++)
        size += (size_t)snprintf(ret + size, FAKE_LINE_SIZE - size, "%s%s", i > 0 ? " " : "",
                                 command->element[i]->str);
}

/* Whether the connection goes on. */
static bool command_answer(fake_redis *fake, int fd, const redisReply *command)
{
    char line[FAKE_LINE_SIZE], room[FAKE_LINE_SIZE];
    line_make(command, line);
    pthread_mutex_lock(&fake->lock);
    if (fake->line_count < FAKE_LINES)
        memcpy(fake->lines[fake->line_count++], line, sizeof line);
    const fake_rule rule = rule_take(fake, line);
    pthread_mutex_unlock(&fake->lock);
    const char *reply = rule.reply != NULL ? rule.reply : habit_of(line, command, room, sizeof room);
    const size_t size = strlen(reply);
    return send(fd, reply, size, MSG_NOSIGNAL) == (ssize_t)size && rule.end == FAKE_GOES_ON;
}

/* ---- connections -------------------------------------------------------------------------- */

static void client_end(fake_client *client)
{
    close(client->fd);
    redisReaderFree(client->reader);
    client->fd = -1;
}

static void client_begin(fake_redis *fake, fake_client *clients)
{
    fake_client *place = clients;
    const int fd = accept(fake->listener, NULL, NULL);
    while (place < clients + FAKE_CONNECTIONS && place->fd >= 0)
        place++;
    if (fd < 0 || place == clients + FAKE_CONNECTIONS) {
        close(fd);
        return;
    }
    *place = (fake_client){.fd = fd, .reader = redisReaderCreate()};
    pthread_mutex_lock(&fake->lock);
    fake->connections++;
    pthread_mutex_unlock(&fake->lock);
}

static bool client_serve(fake_redis *fake, fake_client *client)
{
    char bytes[4096];
    void *command = NULL;
    const ssize_t size = recv(client->fd, bytes, sizeof bytes, 0);
    if (size <= 0 || redisReaderFeed(client->reader, bytes, (size_t)size) != REDIS_OK)
        return false;
    while (redisReaderGetReply(client->reader, &command) == REDIS_OK && command != NULL) {
        const bool goes_on = command_answer(fake, client->fd, command);
        freeReplyObject(command);
        if (!goes_on)
            return false;
    }
    return true;
}

static void *fake_main(void *arg)
{
    fake_redis *fake = arg;
    fake_client clients[FAKE_CONNECTIONS];
    struct pollfd polled[FAKE_CONNECTIONS + 2];
    for (size_t i = 0; i < FAKE_CONNECTIONS; i++)
        clients[i] = (fake_client){.fd = -1};
    for (;;) {
        for (size_t i = 0; i < FAKE_CONNECTIONS; i++)
            polled[i] = (struct pollfd){.fd = clients[i].fd, .events = POLLIN};
        polled[FAKE_CONNECTIONS] = (struct pollfd){.fd = fake->listener, .events = POLLIN};
        polled[FAKE_CONNECTIONS + 1] = (struct pollfd){.fd = fake->wake[0], .events = POLLIN};
        if (poll(polled, FAKE_CONNECTIONS + 2, -1) < 0)
            continue;
        if (polled[FAKE_CONNECTIONS + 1].revents != 0)
            break;
        for (size_t i = 0; i < FAKE_CONNECTIONS; i++)
            if (clients[i].fd >= 0 && polled[i].revents != 0 && !client_serve(fake, &clients[i]))
                client_end(&clients[i]);
        if (polled[FAKE_CONNECTIONS].revents != 0)
            client_begin(fake, clients);
    }
    for (size_t i = 0; i < FAKE_CONNECTIONS; i++)
        if (clients[i].fd >= 0)
            client_end(&clients[i]);
    return NULL;
}

/* ---- the case's side ---------------------------------------------------------------------- */

static void listen_unix(fake_redis *fake, const char *folder)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(fake->path, sizeof fake->path, "%s/fake.sock", folder);
    assert_true(strlen(fake->path) < sizeof address.sun_path);
    memcpy(address.sun_path, fake->path, strlen(fake->path));
    fake->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fake->listener >= 0);
    assert_int_equal(bind(fake->listener, (struct sockaddr *)&address, sizeof address), 0);
}

static void listen_tcp(fake_redis *fake)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    fake->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fake->listener >= 0);
    assert_int_equal(bind(fake->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fake->listener, (struct sockaddr *)&address, &size), 0);
    fake->port = ntohs(address.sin_port);
}

void fake_redis_start(fake_redis *fake, const char *folder)
{
    *fake = (fake_redis){.listener = -1};
    pthread_mutex_init(&fake->lock, NULL);
    if (folder != NULL)
        listen_unix(fake, folder);
    else
        listen_tcp(fake);
    assert_int_equal(listen(fake->listener, FAKE_CONNECTIONS), 0);
    assert_int_equal(pipe(fake->wake), 0);
    assert_int_equal(pthread_create(&fake->thread, NULL, fake_main, fake), 0);
}

void fake_redis_stop(fake_redis *fake)
{
    assert_int_equal(write(fake->wake[1], "!", 1), 1);
    pthread_join(fake->thread, NULL);
    close(fake->wake[0]);
    close(fake->wake[1]);
    close(fake->listener);
    pthread_mutex_destroy(&fake->lock);
}

void fake_redis_rule(fake_redis *fake, const char *command, const char *reply, unsigned times, fake_end end)
{
    pthread_mutex_lock(&fake->lock);
    const bool fits = fake->rule_count < FAKE_RULES;
    if (fits)
        fake->rules[fake->rule_count++] =
            (fake_rule){.command = command, .reply = reply, .times = times, .end = end};
    pthread_mutex_unlock(&fake->lock);
    assert_true(fits);
}

void fake_redis_behave(fake_redis *fake)
{
    pthread_mutex_lock(&fake->lock);
    fake->rule_count = 0;
    pthread_mutex_unlock(&fake->lock);
}

unsigned fake_redis_heard(fake_redis *fake, const char *command)
{
    unsigned heard = 0;
    pthread_mutex_lock(&fake->lock);
    for (unsigned i = 0; i < fake->line_count; i++)
        heard += begins_with(fake->lines[i], command);
    pthread_mutex_unlock(&fake->lock);
    return heard;
}

unsigned fake_redis_place(fake_redis *fake, const char *command)
{
    unsigned place = 0;
    pthread_mutex_lock(&fake->lock);
    while (place < fake->line_count && !begins_with(fake->lines[place], command))
        place++;
    const bool found = place < fake->line_count;
    pthread_mutex_unlock(&fake->lock);
    if (!found)
        fail_msg("nobody sent %s", command);
    return place;
}

unsigned fake_redis_connections(fake_redis *fake)
{
    pthread_mutex_lock(&fake->lock);
    const unsigned connections = fake->connections;
    pthread_mutex_unlock(&fake->lock);
    return connections;
}
