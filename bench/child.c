/* SPDX-License-Identifier: Apache-2.0 */
/* child.c - fork, exec, read lines, end. */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LINE_WAIT_MS = 60000, STOP_ROUNDS = 30000, END_ROUNDS = 1000, ROUND_NS = 1000000 };

/* In the child: nothing but system calls. */
static _Noreturn void become(const char *const *arguments, int out_fd, int log_fd, pid_t parent)
{
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    const int in_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (getppid() == parent && dup2(in_fd, STDIN_FILENO) >= 0 && dup2(out_fd, STDOUT_FILENO) >= 0 &&
        dup2(log_fd, STDERR_FILENO) >= 0)
        (void)execvp(arguments[0], (char *const *)(uintptr_t)arguments);
    _exit(CHILD_CANNOT_START);
}

utapi_status child_start(const char *const *arguments, const char *log, child *ret, utapi_error *err)
{
    int pipe_fds[2];
    const int log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "%s: %s", log, strerror(errno));
    if (pipe2(pipe_fds, O_CLOEXEC) != 0) {
        (void)close(log_fd);
        return utapi_fail(err, UTAPI_UNAVAILABLE, "pipe: %s", strerror(errno));
    }
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid == 0)
        become(arguments, pipe_fds[1], log_fd, parent);
    const int reason = errno;
    (void)close(pipe_fds[1]);
    (void)close(log_fd);
    if (pid < 0) {
        (void)close(pipe_fds[0]);
        return utapi_fail(err, UTAPI_UNAVAILABLE, "fork: %s", strerror(reason));
    }
    *ret = (child){.pid = pid, .out_fd = pipe_fds[0]};
    return UTAPI_OK;
}

/* One byte at a time: it is a line or two. 0: the end; -1: nothing came in time. */
static int read_byte(const child *self, char *ret)
{
    struct pollfd fd = {.fd = self->out_fd, .events = POLLIN};
    int ready;
    while ((ready = poll(&fd, 1, LINE_WAIT_MS)) < 0 && errno == EINTR)
        continue;
    if (ready <= 0)
        return -1;
    return read(self->out_fd, ret, 1) == 1 ? 1 : 0;
}

/* Whether it has ended; then it is none. */
static bool reap(child *self, int *ret_status)
{
    if (waitpid(self->pid, ret_status, WNOHANG) != self->pid)
        return false;
    (void)close(self->out_fd);
    *self = (child){.pid = 0};
    return true;
}

/* Whether it ends within so many milliseconds. */
static bool ends_within(child *self, unsigned rounds, int *ret_status)
{
    for (unsigned i = 0; i < rounds; i++) {
        if (reap(self, ret_status))
            return true;
        (void)nanosleep(&(struct timespec){.tv_nsec = ROUND_NS}, NULL);
    }
    return false;
}

/* Says how one ended that closed what it prints to. */
static utapi_status fail_by_end(child *self, utapi_error *err)
{
    int status;
    if (!ends_within(self, END_ROUNDS, &status))
        return utapi_fail(err, UTAPI_UNAVAILABLE, "it closed its output");
    if (WIFSIGNALED(status))
        return utapi_fail(err, UTAPI_UNAVAILABLE, "signal %d ended it", WTERMSIG(status));
    if (WEXITSTATUS(status) == CHILD_CANNOT_START)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "it cannot be executed");
    return utapi_fail(err, UTAPI_UNAVAILABLE, "it ended with exit status %d", WEXITSTATUS(status));
}

utapi_status child_wait_line(child *self, const char *prefix, char *ret, size_t size, utapi_error *err)
{
    char line[512];
    size_t length = 0;
    for (;;) {
        char byte;
        const int got = read_byte(self, &byte);
        if (got == 0)
            return fail_by_end(self, err);
        if (got < 0)
            return utapi_fail(err, UTAPI_UNAVAILABLE, "it did not say that it is ready");
        if (byte != '\n') {
            if (length < sizeof line - 1)
                line[length++] = byte;
            continue;
        }
        line[length] = '\0';
        length = 0;
        if (strncmp(line, prefix, strlen(prefix)) == 0) {
            (void)snprintf(ret, size, "%s", line + strlen(prefix));
            return UTAPI_OK;
        }
    }
}

bool child_has_ended(child *self)
{
    return self->pid == 0 || reap(self, NULL);
}

int child_finish(child *self)
{
    int status = 0;
    if (self->pid == 0)
        return -1;
    while (waitpid(self->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    (void)close(self->out_fd);
    *self = (child){.pid = 0};
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void child_stop(child *self)
{
    if (self->pid == 0)
        return;
    (void)kill(self->pid, SIGTERM);
    if (ends_within(self, STOP_ROUNDS, NULL))
        return;
    (void)kill(self->pid, SIGKILL);
    (void)child_finish(self);
}

static bool line_kib(const char *line, const char *name, uint64_t *ret_bytes)
{
    const size_t size = strlen(name);
    if (strncmp(line, name, size) != 0)
        return false;
    *ret_bytes = (uint64_t)strtoull(line + size, NULL, 10) * 1024;
    return true;
}

bool child_memory(const child *self, uint64_t *ret_bytes, uint64_t *ret_anonymous_bytes)
{
    char path[64];
    char line[256];
    unsigned found = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)self->pid);
    FILE *file = self->pid != 0 ? fopen(path, "re") : NULL;
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        found += line_kib(line, "VmRSS:", ret_bytes) || line_kib(line, "RssAnon:", ret_anonymous_bytes);
    if (file != NULL)
        (void)fclose(file);
    return found == 2;
}
