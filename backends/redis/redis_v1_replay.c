/* SPDX-License-Identifier: Apache-2.0 */
/* redis_v1_replay.c - taking over a Node client's local cache: each function is one script, or one command, on a
 * connection of its own. It shares the way to a Redis with the storage, and nothing else.
 *
 * What was taken stays in Redis's reply, which the caller's strings point into. */
#include "redis_connection.h"
#include "utapi_replay.h"

#include "utapi/codec.h"
#include "utapi/scoped.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define LIST    "s3:utapireplay"
#define LOCK    "s3:utapireplay:lock"
#define TAKEN   "s3:utapid:replay"
#define LAST    "s3:utapid:replay:last"
#define ORIGIN  "s3:utapid:replay:origin"
#define REFUSED "s3:utapid:replay:refused"

#define UUID_PREFIX "replay-"

enum { RANDOM_BYTES = 8, RANDOM_DIGITS = 2 * RANDOM_BYTES, STEP_ELEMENTS = 100, STEP_BYTES = 1 << 20 };

/* What replay_take.lua answers before the members: the origin, and how many were refused. */
enum { HEAD_ELEMENTS = 2 };

struct utapi_replay {
    redis_uri uri;
    redis_connection *connection;
    char word[sizeof "utapid:" + RANDOM_DIGITS]; /* of the lock */
    redisReply *reply;                           /* owned: what was taken last */
    utapi_leftover leftovers[STEP_ELEMENTS];
    char uuids[STEP_ELEMENTS][UTAPI_NAME_MAX + 1];
    size_t count;
    uint64_t refused; /* as of that taking */
};

/* ---- opening and closing ------------------------------------------------------------------ */

void utapi_replay_close(utapi_replay *replay)
{
    if (replay == NULL)
        return;
    utapi_redis_connection_free(replay->connection);
    freeReplyObject(replay->reply);
    utapi_redis_uri_done(&replay->uri);
    free(replay);
}

UTAPI_AUTO_DEFINE(redisReply, freeReplyObject)
UTAPI_AUTO_DEFINE(utapi_replay, utapi_replay_close)

utapi_status utapi_replay_open(const char *uri, utapi_replay **ret, utapi_error *err)
{
    unsigned char random[RANDOM_BYTES];
    UTAPI_AUTO(utapi_replay) *replay = calloc(1, sizeof *replay);
    if (replay == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "taking over the local cache");
    const utapi_status status = utapi_redis_uri_parse(uri, &replay->uri, err);
    if (status != UTAPI_OK)
        return status;
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return utapi_fail(err, UTAPI_UNAVAILABLE, "the system has no random numbers");
    *utapi_hex_put(stpcpy(replay->word, "utapid:"), random, sizeof random) = '\0';
    replay->connection = utapi_redis_connection_new(&replay->uri);
    if (replay->connection == NULL)
        return utapi_fail(err, UTAPI_NO_MEMORY, "taking over the local cache");
    replay->connection->acl = utapi_redis_acl_replay;
    *ret = UTAPI_TAKE(replay);
    return UTAPI_OK;
}

/* ---- the lock ----------------------------------------------------------------------------- */

static utapi_status lock_run(utapi_replay *replay, int64_t seconds, bool *ret, utapi_error *err)
{
    redis_args *args = &replay->connection->args;
    int64_t held = 0;
    utapi_redis_args_script(args, 1);
    utapi_redis_args_words(args, LOCK, replay->word, NULL);
    utapi_redis_args_number(args, seconds);
    const utapi_status status =
        utapi_redis_connection_run_number(replay->connection, REDIS_SCRIPT_REPLAY_LOCK, &held, err);
    if (status == UTAPI_OK)
        *ret = held == 1;
    return status;
}

utapi_status utapi_replay_lock(utapi_replay *replay, bool *ret, utapi_error *err)
{
    return lock_run(replay, UTAPI_REPLAY_LOCK_S, ret, err);
}

utapi_status utapi_replay_unlock(utapi_replay *replay, utapi_error *err)
{
    bool held;
    return lock_run(replay, 0, &held, err);
}

/* ---- taking ------------------------------------------------------------------------------- */

/* "<N>-<digest>:<element>" into its parts. */
static bool leftover_parse(const redisReply *origin, const redisReply *member, char *uuid,
                           utapi_leftover *ret)
{
    if (member->type != REDIS_REPLY_STRING)
        return false;
    const char *colon = memchr(member->str, ':', member->len);
    char *dash = NULL;
    const long long number = strtoll(member->str, &dash, 10);
    if (colon == NULL || dash == member->str || *dash != '-' || number < 0)
        return false;
    const int size = snprintf(uuid, UTAPI_NAME_MAX + 1, UUID_PREFIX "%.*s-%.*s", (int)origin->len,
                              origin->str, (int)(colon - member->str), member->str);
    const size_t label = (size_t)(colon + 1 - member->str);
    *ret = (utapi_leftover){.number = number,
                            .uuid = {.data = uuid, .size = (size_t)size},
                            .text = {.data = colon + 1, .size = member->len - label}};
    return size > 0 && size <= UTAPI_NAME_MAX;
}

static utapi_status reply_parse(utapi_replay *replay, utapi_error *err)
{
    const redisReply *reply = replay->reply;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < HEAD_ELEMENTS ||
        reply->elements > HEAD_ELEMENTS + STEP_ELEMENTS || reply->element[0]->type != REDIS_REPLY_STRING ||
        reply->element[1]->type != REDIS_REPLY_INTEGER)
        return utapi_fail(err, UTAPI_CORRUPT, "%s: a script's reply of another shape", TAKEN);
    replay->refused = (uint64_t)reply->element[1]->integer;
    for (size_t i = 0; HEAD_ELEMENTS + i < reply->elements; i++, replay->count++)
        if (!leftover_parse(reply->element[0], reply->element[HEAD_ELEMENTS + i], replay->uuids[i],
                            &replay->leftovers[i]))
            return utapi_fail(err, UTAPI_CORRUPT, "%s: a member that no utapid wrote", TAKEN);
    return UTAPI_OK;
}

utapi_status utapi_replay_take(utapi_replay *replay, const utapi_leftover **ret, size_t *ret_count,
                               utapi_error *err)
{
    redis_args *args = &replay->connection->args;
    replay->count = 0;
    freeReplyObject(replay->reply);
    replay->reply = NULL;
    utapi_redis_args_script(args, 5);
    utapi_redis_args_words(args, LIST, TAKEN, LAST, ORIGIN, REFUSED, NULL);
    utapi_redis_args_number(args, STEP_ELEMENTS);
    utapi_redis_args_number(args, STEP_BYTES);
    utapi_status status =
        utapi_redis_connection_run(replay->connection, REDIS_SCRIPT_REPLAY_TAKE, &replay->reply, err);
    if (status == UTAPI_OK)
        status = reply_parse(replay, err);
    if (status != UTAPI_OK)
        return status;
    *ret = replay->leftovers;
    *ret_count = replay->count;
    return UTAPI_OK;
}

uint64_t utapi_replay_refused(const utapi_replay *replay)
{
    return replay->refused;
}

/* ---- what becomes of them ----------------------------------------------------------------- */

utapi_status utapi_replay_done(utapi_replay *replay, utapi_error *err)
{
    UTAPI_AUTO(redisReply) *reply = NULL;
    redis_args *args = &replay->connection->args;
    if (replay->count == 0)
        return UTAPI_OK;
    /* They were the first of the set, and numbers only rise: nothing else stands between them. */
    utapi_redis_args_words(args, "ZREMRANGEBYSCORE", TAKEN, NULL);
    utapi_redis_args_number(args, replay->leftovers[0].number);
    utapi_redis_args_number(args, replay->leftovers[replay->count - 1].number);
    return utapi_redis_connection_call(replay->connection, &reply, err);
}

utapi_status utapi_replay_refuse(utapi_replay *replay, const utapi_leftover *leftover, const char *reason,
                                 utapi_error *err)
{
    redis_args *args = &replay->connection->args;
    int64_t moved;
    utapi_redis_args_script(args, 2);
    utapi_redis_args_words(args, TAKEN, REFUSED, NULL);
    utapi_redis_args_number(args, leftover->number);
    utapi_redis_args_add(args, reason);
    return utapi_redis_connection_run_number(replay->connection, REDIS_SCRIPT_REPLAY_REFUSE, &moved, err);
}
