/* SPDX-License-Identifier: Apache-2.0 */
/* serving.c - see serving.h. */
#include "serving.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

void sleep_ms(long ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&time, NULL);
}

static http_world *open_listening(const server_options *options)
{
    http_world *self = calloc(1, sizeof *self);
    assert_non_null(self);
    world_open(self, NULL);
    world_listen(self, options);
    return self;
}

int open_world(void **state)
{
    *state = open_listening(&world_server_options);
    return 0;
}

int open_reading_world(void **state)
{
    server_options options = world_server_options;
    options.workers = 1;
    http_world *self = calloc(1, sizeof *self);
    assert_non_null(self);
    world_open(self, NULL);
    assert_int_equal(query_pool_start(READERS, &self->service.query_pool, NULL), UTAPI_OK);
    world_listen(self, &options);
    *state = self;
    return 0;
}

int open_impatient_world(void **state)
{
    server_options options = world_server_options;
    options.idle_timeout_s = 1;
    options.request_timeout_s = 2;
    *state = open_listening(&options);
    return 0;
}

int open_narrow_world(void **state)
{
    server_options options = world_server_options;
    options.workers = 1;
    options.max_connections = 2;
    *state = open_listening(&options);
    return 0;
}

int close_world(void **state)
{
    world_close(*state);
    free(*state);
    return 0;
}

http_client connect_to(const http_world *world)
{
    http_client client;
    assert_true(client_open(&client, server_port(world->server)));
    return client;
}

void check_reply(http_client *client, int status, const char *body)
{
    client_reply reply;
    assert_int_equal(client_read(client, false, &reply), CLIENT_REPLIED);
    if (reply.status != status)
        print_error("%s%s\n", reply.head, reply.body);
    assert_int_equal(reply.status, status);
    if (body != NULL)
        assert_string_equal(reply.body, body);
    client_reply_done(&reply);
}

int64_t stored(const http_world *world)
{
    int64_t bytes = 0;
    assert_int_equal(utapi_engine_storage(world->engine, UTAPI_BUCKETS, utapi_string_of("b"), &bytes, NULL),
                     UTAPI_OK);
    return bytes;
}

void raise_descriptor_limit(void)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max < 8192 ? limit.rlim_max : 8192;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}
