/* SPDX-License-Identifier: Apache-2.0 */
/* redis_server.c - see redis_server.h. */
#include "redis_server.h"

#include "check.h"
#include "folder.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ATTEMPTS = 3000, PAUSE_MS = 20, NO_SUCH_PROGRAM = 127 };

static void pause_ms(long ms)
{
    const struct timespec pause = {.tv_sec = 0, .tv_nsec = ms * 1000000};
    nanosleep(&pause, NULL);
}

/* In the child: becomes the server. It dies with the test, whatever ends that. */
static void server_become(const redis_server *server)
{
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nowhere >= 0)
        (void)dup2(nowhere, STDOUT_FILENO);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", server->socket, "--dir",
           server->folder, "--save", "", "--appendonly", "no", "--slowlog-log-slower-than", "10000",
           (char *)NULL);
    _exit(NO_SUCH_PROGRAM);
}

static bool server_answers(redis_server *server)
{
    redisFree(server->context);
    server->context = redisConnectUnix(server->socket);
    if (server->context == NULL || server->context->err != 0)
        return false;
    redisReply *pong = redisCommand(server->context, "PING");
    const bool ready = pong != NULL && pong->type == REDIS_REPLY_STATUS;
    freeReplyObject(pong);
    return ready;
}

bool redis_server_start(redis_server *ret)
{
    *ret = (redis_server){.pid = 0};
    support_folder_make(ret->folder);
    (void)snprintf(ret->socket, sizeof ret->socket, "%s/redis.sock", ret->folder);
    (void)snprintf(ret->uri, sizeof ret->uri, "redis+unix://%s", ret->socket);
    ret->pid = fork();
    assert_true(ret->pid >= 0);
    if (ret->pid == 0)
        server_become(ret);
    for (int i = 0; i < ATTEMPTS; i++) {
        int status;
        if (server_answers(ret))
            return true;
        if (waitpid(ret->pid, &status, WNOHANG) == ret->pid) {
            ret->pid = 0;
            redis_server_stop(ret);
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) == NO_SUCH_PROGRAM);
            return false;
        }
        pause_ms(PAUSE_MS);
    }
    redis_server_stop(ret);
    fail_msg("redis-server does not answer");
    return false;
}

void redis_server_stop(redis_server *server)
{
    redisFree(server->context);
    if (server->pid != 0) {
        kill(server->pid, SIGKILL);
        waitpid(server->pid, NULL, 0);
    }
    if (server->folder[0] != '\0')
        support_folder_remove(server->folder);
    *server = (redis_server){.pid = 0};
}

static redisReply *reply_check(redis_server *server, redisReply *reply)
{
    if (reply == NULL)
        fail_msg("redis: %s", server->context->errstr);
    else if (reply->type == REDIS_REPLY_ERROR)
        fail_msg("redis: %s", reply->str);
    return reply;
}

redisReply *redis_server_ask(redis_server *server, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    redisReply *reply = redisvCommand(server->context, format, arguments);
    va_end(arguments);
    return reply_check(server, reply);
}

void redis_server_tell(redis_server *server, const char *command)
{
    freeReplyObject(reply_check(server, redisCommand(server->context, command)));
}
