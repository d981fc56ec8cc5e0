/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_local.c - a server on a Unix socket: whose it is, what becomes of one that somebody left behind, and that only
 * root and its own user are answered.
 */
#include "check.h"
#include "client.h"
#include "folder.h"
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NOBODY = 65534 };

typedef struct place {
    http_world world;
    char folder[256], path[300];
    server_options options;
    utapi_error err;
} place;

static int place_begin(void **state)
{
    place *self = calloc(1, sizeof *self);
    assert_non_null(self);
    world_open(&self->world, NULL);
    self->world.service.admin.is_local = true;
    support_folder_make(self->folder);
    (void)snprintf(self->path, sizeof self->path, "%s/admin.sock", self->folder);
    self->options = world_server_options;
    self->options.socket_path = self->path;
    self->options.workers = 1;
    *state = self;
    return 0;
}

static int place_end(void **state)
{
    place *self = *state;
    world_close(&self->world);
    support_folder_remove(self->folder);
    free(self);
    return 0;
}

static utapi_status start(place *self)
{
    utapi_error_clear(&self->err);
    return server_start(&self->options, &self->world.service, &self->world.server, &self->err);
}

static void stop(place *self)
{
    server_stop(self->world.server);
    self->world.server = NULL;
}

static int local_socket(const char *path, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    (void)memcpy(ret->sun_path, path, strlen(path) + 1);
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

/* The status of a healthcheck; 0: no connection. */
static int asked(const char *path)
{
    struct sockaddr_un address;
    http_client client = {.fd = local_socket(path, &address)};
    client_reply reply;
    int status = 0;
    if (client.fd >= 0 && connect(client.fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
        client_send_text(&client, "GET /_/healthcheck HTTP/1.1\r\nHost: localhost\r\n\r\n") &&
        client_read(&client, false, &reply) == CLIENT_REPLIED) {
        status = reply.status;
        client_reply_done(&reply);
    }
    client_close(&client);
    return status;
}

static void the_socket_is_its_own_users_alone_and_goes_with_it(void **state)
{
    place *self = *state;
    struct stat file;
    CHECK_OK(start(self), &self->err);
    assert_int_equal(lstat(self->path, &file), 0);
    assert_true(S_ISSOCK(file.st_mode));
    assert_int_equal(file.st_mode & 0777, 0600);
    assert_int_equal(file.st_uid, geteuid());
    assert_int_equal(asked(self->path), 200);
    stop(self);
    assert_int_equal(lstat(self->path, &file), -1);
}

static void one_that_a_dead_process_left_is_replaced(void **state)
{
    place *self = *state;
    struct sockaddr_un address;
    const int left = local_socket(self->path, &address);
    assert_int_equal(bind(left, (const struct sockaddr *)&address, sizeof address), 0);
    (void)close(left);
    CHECK_OK(start(self), &self->err);
    assert_int_equal(asked(self->path), 200);
    stop(self);
}

static void one_of_a_living_process_is_not(void **state)
{
    place *self = *state;
    CHECK_OK(start(self), &self->err);
    server *second = NULL;
    utapi_error err = {0};
    CHECK_STATUS(UTAPI_LOCKED, server_start(&self->options, &self->world.service, &second, &err), &err);
    assert_int_equal(asked(self->path), 200);
    stop(self);
}

static void what_is_no_socket_stays(void **state)
{
    place *self = *state;
    struct stat file;
    const int fd = open(self->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    CHECK_STATUS(UTAPI_UNAVAILABLE, start(self), &self->err);
    assert_int_equal(lstat(self->path, &file), 0);
    assert_true(S_ISREG(file.st_mode));
}

/* Somebody may put another file in its place: that one is not ours to take away. */
static void what_took_its_place_stays(void **state)
{
    place *self = *state;
    struct stat file;
    CHECK_OK(start(self), &self->err);
    assert_int_equal(unlink(self->path), 0);
    const int fd = open(self->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    stop(self);
    assert_int_equal(lstat(self->path, &file), 0);
}

static void a_path_that_is_too_long_is_refused(void **state)
{
    place *self = *state;
    char path[600];
    (void)snprintf(path, sizeof path, "%s/%0200d", self->folder, 0);
    self->options.socket_path = path;
    CHECK_STATUS(UTAPI_INVALID, start(self), &self->err);
}

/* Another user, who gets past the file's mode. */
static void another_user_is_refused(void **state)
{
    place *self = *state;
    int result = 0;
    if (geteuid() != 0)
        return; /* only root can be somebody else */
    CHECK_OK(start(self), &self->err);
    assert_int_equal(chmod(self->path, 0666), 0);
    assert_int_equal(chmod(self->folder, 0755), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(setuid(NOBODY) == 0 && asked(self->path) == 403 ? 0 : 1);
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
    stop(self);
}

int main(void)
{
#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, place_begin, place_end)
    const struct CMUnitTest cases[] = {
        IN_PLACE(the_socket_is_its_own_users_alone_and_goes_with_it),
        IN_PLACE(one_that_a_dead_process_left_is_replaced),
        IN_PLACE(one_of_a_living_process_is_not),
        IN_PLACE(what_is_no_socket_stays),
        IN_PLACE(what_took_its_place_stays),
        IN_PLACE(a_path_that_is_too_long_is_refused),
        IN_PLACE(another_user_is_refused),
    };
    return cmocka_run_group_tests_name("http.local", cases, NULL, NULL);
}
