/* SPDX-License-Identifier: Apache-2.0 */
#include "connecting.h"

#include <stdlib.h>
#include <string.h>

int connecting_setup(void **state)
{
    connecting *l = calloc(1, sizeof *l);
    assert_non_null(l);
    fake_redis_start(&l->fake, NULL);
    connecting_open(l, "redis://127.0.0.1:%u?timeout=%d", l->fake.port, CONNECTING_TIMEOUT_MS);
    *state = l;
    return 0;
}

int connecting_teardown(void **state)
{
    connecting *l = *state;
    utapi_redis_connection_free(l->connection);
    utapi_redis_uri_done(&l->uri);
    fake_redis_stop(&l->fake);
    free(l);
    return 0;
}

void connecting_open_uri(connecting *l, const char *uri)
{
    utapi_redis_connection_free(l->connection);
    utapi_redis_uri_done(&l->uri);
    utapi_error_clear(&l->err);
    CHECK_OK(utapi_redis_uri_parse(uri, &l->uri, &l->err), &l->err);
    l->connection = utapi_redis_connection_new(&l->uri);
    assert_non_null(l->connection);
}

utapi_status connecting_queue(connecting *l, const char *command)
{
    char text[256], *rest = NULL;
    (void)snprintf(text, sizeof text, "%s", command);
    for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest))
        utapi_redis_args_add(&l->connection->args, word);
    utapi_error_clear(&l->err);
    return utapi_redis_connection_queue(l->connection, &l->err);
}

utapi_status connecting_call(connecting *l, const char *command)
{
    redisReply *reply = NULL;
    utapi_status status = connecting_queue(l, command);
    if (status == UTAPI_OK)
        status = utapi_redis_connection_next(l->connection, &reply, &l->err);
    freeReplyObject(reply);
    return status;
}

void connecting_expect(connecting *l, const char *text)
{
    redisReply *reply = NULL;
    CHECK_OK(utapi_redis_connection_next(l->connection, &reply, &l->err), &l->err);
    assert_non_null(reply);
    assert_string_equal(reply->str, text);
    freeReplyObject(reply);
}

void connecting_check_echo(redis_connection *connection, const char *word)
{
    redisReply *reply = NULL;
    utapi_error err;
    utapi_error_clear(&err);
    utapi_redis_args_words(&connection->args, "ECHO", word, NULL);
    CHECK_OK(utapi_redis_connection_call(connection, &reply, &err), &err);
    assert_non_null(reply);
    assert_string_equal(reply->str, word);
    freeReplyObject(reply);
}

utapi_status connecting_run(connecting *l)
{
    redisReply *reply = NULL;
    utapi_error_clear(&l->err);
    utapi_redis_args_script(&l->connection->args, 0);
    const utapi_status status =
        utapi_redis_connection_run(l->connection, REDIS_SCRIPT_CORRECT, &reply, &l->err);
    freeReplyObject(reply);
    return status;
}
