/* SPDX-License-Identifier: Apache-2.0 */
#include "linking.h"

#include <stdlib.h>
#include <string.h>

int linking_setup(void **state)
{
    linking *l = calloc(1, sizeof *l);
    assert_non_null(l);
    fake_redis_start(&l->fake, NULL);
    linking_open(l, "redis://127.0.0.1:%u?timeout=%d", l->fake.port, LINKING_TIMEOUT_MS);
    *state = l;
    return 0;
}

int linking_teardown(void **state)
{
    linking *l = *state;
    utapi_redis_connection_free(l->link);
    utapi_redis_uri_done(&l->uri);
    fake_redis_stop(&l->fake);
    free(l);
    return 0;
}

void linking_open_uri(linking *l, const char *uri)
{
    utapi_redis_connection_free(l->link);
    utapi_redis_uri_done(&l->uri);
    utapi_error_clear(&l->err);
    CHECK_OK(utapi_redis_uri_parse(uri, &l->uri, &l->err), &l->err);
    l->link = utapi_redis_connection_new(&l->uri);
    assert_non_null(l->link);
}

utapi_status linking_queue(linking *l, const char *command)
{
    char text[256], *rest = NULL;
    redis_args args = {0};
    (void)snprintf(text, sizeof text, "%s", command);
    for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
        utapi_redis_args_add(&args, word);
    utapi_error_clear(&l->err);
    const utapi_status status = utapi_redis_connection_queue(l->link, &args, &l->err);
    utapi_redis_args_done(&args);
    return status;
}

utapi_status linking_ask(linking *l, const char *command)
{
    redisReply *reply = NULL;
    utapi_status status = linking_queue(l, command);
    if (status == UTAPI_OK)
        status = utapi_redis_connection_next(l->link, &reply, &l->err);
    freeReplyObject(reply);
    return status;
}

void linking_expect(linking *l, const char *text)
{
    redisReply *reply = NULL;
    CHECK_OK(utapi_redis_connection_next(l->link, &reply, &l->err), &l->err);
    assert_non_null(reply);
    assert_string_equal(reply->str, text);
    freeReplyObject(reply);
}

void linking_check_echo(redis_connection *link, const char *word)
{
    redis_args args = {0};
    redisReply *reply = NULL;
    utapi_error err;
    utapi_error_clear(&err);
    utapi_redis_args_add(&args, "ECHO");
    utapi_redis_args_add(&args, word);
    CHECK_OK(utapi_redis_connection_call(link, &args, &reply, &err), &err);
    assert_non_null(reply);
    assert_string_equal(reply->str, word);
    freeReplyObject(reply);
    utapi_redis_args_done(&args);
}

utapi_status linking_run(linking *l)
{
    redis_args args = {0};
    redisReply *reply = NULL;
    utapi_error_clear(&l->err);
    utapi_redis_args_add(&args, "0");
    const utapi_status status =
        utapi_redis_connection_run(l->link, REDIS_SCRIPT_CORRECT, &args, &reply, &l->err);
    freeReplyObject(reply);
    utapi_redis_args_done(&args);
    return status;
}
