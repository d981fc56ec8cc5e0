/* SPDX-License-Identifier: Apache-2.0 */
/* redis_dump.c - see redis_dump.h. A member of a sorted set counts by what stands before its first colon: behind it
 * is a UUID at V1, and something as unique here. Messages of one push may come in any order. */
#include "redis_dump.h"

#include "check.h"
#include "redis_server.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#define CHANNEL  "s3:event:"
#define LAST_ONE "s3:event:the last one"

/* What V1 left otherwise than it says, vector by vector. */
static const struct {
    const char *name; /* its beginning */
    const char *key;
} defects[] = {
    /* A bucket "storageUtilized" is forgotten, and V1's pattern for its keys meets another's counter. */
    {"130-", "s3:buckets:victim:storageUtilized:counter"},
};

enum { WORDS_MAX = 16 };

static redis_server server;
static redisContext *asker, *listener;

static redisContext *server_connect(void)
{
    redisContext *context = redisConnectUnix(server.socket);
    assert_non_null(context);
    assert_int_equal(context->err, 0);
    return context;
}

const char *redis_dump_start(void)
{
    if (!redis_server_start(&server))
        return NULL;
    asker = server_connect();
    return server.uri;
}

void redis_dump_stop(void)
{
    redisFree(asker);
    redisFree(listener);
    asker = listener = NULL;
    redis_server_stop(&server);
}

/* Owned: freeReplyObject(). */
static redisReply *reply_check(redisReply *reply)
{
    assert_non_null(reply);
    if (reply->type == REDIS_REPLY_ERROR)
        fail_msg("redis: %s", reply->str);
    return reply;
}

static redisReply *ask(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    redisReply *reply = redisvCommand(asker, format, arguments);
    va_end(arguments);
    return reply_check(reply);
}

/* ---- the beginning ------------------------------------------------------------------------ */

static void setup_send(const json_t *command)
{
    const char *words[WORDS_MAX];
    const size_t count = json_array_size(command);
    assert_in_range(count, 1, WORDS_MAX);
    for (size_t i = 0; i < count; i++)
        words[i] = json_string_value(json_array_get(command, i));
    freeReplyObject(reply_check(redisCommandArgv(asker, (int)count, words, NULL)));
}

static void listen_anew(void)
{
    redisFree(listener);
    listener = server_connect();
    freeReplyObject(reply_check(redisCommand(listener, "PSUBSCRIBE %s", CHANNEL "*")));
}

void redis_dump_begin(const json_t *vector)
{
    size_t i;
    json_t *command;
    freeReplyObject(ask("FLUSHALL"));
    json_array_foreach (json_object_get(vector, "redisSetup"), i, command)
        setup_send(command);
    listen_anew();
}

long long redis_dump_sweeps_left(void)
{
    redisReply *reply = ask("HLEN s3:utapid:sweeping");
    const long long left = reply->integer;
    freeReplyObject(reply);
    return left;
}

/* ---- keys --------------------------------------------------------------------------------- */

static bool key_is_ours(const char *key)
{
    return strstr(key, "utapid:") != NULL || strncmp(key, "s3:locations:", strlen("s3:locations:")) == 0;
}

static bool string_equals(const char *key, const json_t *value)
{
    redisReply *reply = ask("GET %s", key);
    const bool equal = reply->type == REDIS_REPLY_STRING && strcmp(reply->str, json_string_value(value)) == 0;
    freeReplyObject(reply);
    return equal;
}

static bool member_equals(const redisReply *member, const redisReply *score, const json_t *expected)
{
    const char *value = json_string_value(json_array_get(expected, 0));
    const size_t size = strcspn(member->str, ":");
    return strlen(value) == size && memcmp(member->str, value, size) == 0 &&
           strtoll(score->str, NULL, 10) == json_integer_value(json_array_get(expected, 1));
}

static bool set_equals(const char *key, const json_t *members)
{
    redisReply *reply = ask("ZRANGE %s 0 -1 WITHSCORES", key);
    bool equal = reply->elements == 2 * json_array_size(members);
    for (size_t i = 0; equal && i < json_array_size(members); i++)
        equal = member_equals(reply->element[2 * i], reply->element[2 * i + 1], json_array_get(members, i));
    freeReplyObject(reply);
    return equal;
}

static bool key_equals(const json_t *expected)
{
    const char *key = json_string_value(json_object_get(expected, "key"));
    const char *type = json_string_value(json_object_get(expected, "type"));
    const json_t *value = json_object_get(expected, "value");
    redisReply *reply = ask("TYPE %s", key);
    const bool same_type = strcmp(reply->str, type) == 0;
    freeReplyObject(reply);
    return same_type && (strcmp(type, "string") == 0 ? string_equals(key, value) : set_equals(key, value));
}

static const json_t *dump_find(const json_t *dump, const char *key)
{
    for (size_t i = 0; i < json_array_size(dump); i++)
        if (strcmp(json_string_value(json_object_get(json_array_get(dump, i), "key")), key) == 0)
            return json_array_get(dump, i);
    return NULL;
}

static bool key_is_a_defect(const char *name, const char *key)
{
    for (size_t i = 0; i < sizeof defects / sizeof *defects; i++)
        if (strncmp(name, defects[i].name, strlen(defects[i].name)) == 0 && strcmp(key, defects[i].key) == 0)
            return true;
    return false;
}

static size_t keys_compare(const char *name, const json_t *dump)
{
    size_t i, differences = 0;
    json_t *expected;
    json_array_foreach (dump, i, expected) {
        if (key_is_ours(json_string_value(json_object_get(expected, "key"))) || key_equals(expected))
            continue;
        print_error("%s: %s differs\n", name, json_string_value(json_object_get(expected, "key")));
        differences++;
    }
    redisReply *keys = ask("KEYS *");
    for (i = 0; i < keys->elements; i++) {
        const char *key = keys->element[i]->str;
        if (key_is_ours(key) || key_is_a_defect(name, key) || dump_find(dump, key) != NULL)
            continue;
        print_error("%s: %s is too much\n", name, key);
        differences++;
    }
    freeReplyObject(keys);
    return differences;
}

/* ---- messages ----------------------------------------------------------------------------- */

/* All messages since redis_dump_begin(), as [channel, text]. */
static json_t *messages_take(void)
{
    json_t *messages = json_array();
    freeReplyObject(ask("PUBLISH %s %s", LAST_ONE, ""));
    for (;;) {
        void *taken = NULL;
        assert_int_equal(redisGetReply(listener, &taken), REDIS_OK);
        const redisReply *message = taken;
        assert_int_equal(message->elements, 4); /* "pmessage", pattern, channel, text */
        const bool last = strcmp(message->element[2]->str, LAST_ONE) == 0;
        if (!last)
            json_array_append_new(messages,
                                  json_pack("[ss]", message->element[2]->str, message->element[3]->str));
        freeReplyObject(taken);
        if (last)
            return messages;
    }
}

/* Takes an equal one away; false if there is none. */
static bool message_strike(json_t *messages, const json_t *message)
{
    size_t i;
    json_t *each;
    json_array_foreach (messages, i, each) {
        if (json_equal(each, message)) {
            json_array_remove(messages, i);
            return true;
        }
    }
    return false;
}

/* V1 speaks of buckets that a push did not name, and of buckets where that level is not recorded. */
static bool message_is_owed(const json_t *vector, const char *channel)
{
    const json_t *levels = json_object_get(json_object_get(vector, "config"), "metrics");
    bool buckets = levels == NULL;
    for (size_t i = 0; i < json_array_size(levels); i++)
        buckets = buckets || strcmp(json_string_value(json_array_get(levels, i)), "buckets") == 0;
    return buckets && strcmp(channel, CHANNEL) != 0 && strcmp(channel, CHANNEL "undefined") != 0;
}

static size_t messages_compare(const char *name, const json_t *vector)
{
    const json_t *published = json_object_get(vector, "published");
    json_auto_t *messages = messages_take();
    size_t i, differences = 0;
    json_t *expected;
    json_array_foreach (published, i, expected) {
        const char *channel = json_string_value(json_array_get(expected, 0));
        if (!message_is_owed(vector, channel) || message_strike(messages, expected))
            continue;
        print_error("%s: nothing said to %s\n", name, channel);
        differences++;
    }
    json_array_foreach (messages, i, expected)
        print_error("%s: too much said to %s\n", name, json_string_value(json_array_get(expected, 0)));
    return differences + json_array_size(messages);
}

size_t redis_dump_compare(const char *name, const json_t *vector)
{
    const json_t *dump = json_object_get(vector, "redisDump");
    const bool told = json_object_get(vector, "published") != NULL;
    return (dump != NULL ? keys_compare(name, dump) : 0) + (told ? messages_compare(name, vector) : 0);
}
