/* SPDX-License-Identifier: Apache-2.0 */
/* asking.c - see asking.h. */
#include "asking.h"

#include "call.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

const char *asking_authdata;

int asking_open(void **state)
{
    http_world *self = calloc(1, sizeof *self);
    assert_non_null(self);
    world_open(self, asking_authdata);
    *state = self;
    return 0;
}

int asking_close(void **state)
{
    world_close(*state);
    free(*state);
    return 0;
}

http_call ask_sized(const http_world *world, const char *method, const char *target, utapi_string body)
{
    http_call call;
    support_call(&world->service, method, target, NULL, 0, body, &call);
    return call;
}

http_call ask(const http_world *world, const char *method, const char *target, const char *body)
{
    return ask_sized(world, method, target, utapi_string_of(body));
}

void check_answer(http_call call, int status, const char *text)
{
    if (call.reply.status != status || strcmp(call.reply.body != NULL ? call.reply.body : "", text) != 0)
        print_error("%d %s\n", call.reply.status, call.reply.body != NULL ? call.reply.body : "(nothing)");
    assert_int_equal(call.reply.status, status);
    assert_string_equal(call.reply.body != NULL ? call.reply.body : "", text);
    http_call_done(&call);
}

void check_refusal(http_call call, int status, const char *code, const char *message)
{
    json_auto_t *json = json_loads(call.reply.body != NULL ? call.reply.body : "", 0, NULL);
    const char *seen = json_string_value(json_object_get(json, "message"));
    if (call.reply.status != status || seen == NULL || strcmp(seen, message) != 0)
        print_error("%d %s\n", call.reply.status, call.reply.body != NULL ? call.reply.body : "(nothing)");
    assert_int_equal(call.reply.status, status);
    assert_string_equal(json_string_value(json_object_get(json, "code")), code);
    assert_string_equal(seen, message);
    http_call_done(&call);
}

void check_invalid(http_call call, const char *message)
{
    check_refusal(call, 400, "InvalidParameterValue", message);
}
