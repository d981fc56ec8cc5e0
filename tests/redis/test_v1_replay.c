/* SPDX-License-Identifier: Apache-2.0 */
/* test_v1_replay.c - taking over a local cache, step by step, on a Redis of the test's own: what is there after
 * each step is what a crash between two of them leaves behind. */
#include "check.h"

#include "redis_server.h"
#include "utapi_replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct cache {
    redis_server server;
    utapi_replay *replay;
    const utapi_leftover *leftovers;
    size_t count;
    utapi_error err;
} cache;

/* ---- a cache ------------------------------------------------------------------------------ */

static long long raw(cache *c, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    redisReply *reply = redisvCommand(c->server.context, format, arguments);
    va_end(arguments);
    assert_non_null(reply);
    if (reply->type == REDIS_REPLY_ERROR)
        fail_msg("%s: %s", format, reply->str);
    const long long number = reply->integer;
    freeReplyObject(reply);
    return number;
}

static void expect_text(cache *c, const char *expected, const char *command)
{
    redisReply *reply = redis_server_ask(&c->server, command);
    assert_int_equal(reply->type, REDIS_REPLY_STRING);
    assert_string_equal(reply->str, expected);
    freeReplyObject(reply);
}

static int cache_setup(void **state)
{
    cache *c = calloc(1, sizeof *c);
    assert_non_null(c);
    assert_true(redis_server_start(&c->server));
    CHECK_OK(utapi_replay_open(c->server.uri, &c->replay, &c->err), &c->err);
    *state = c;
    return 0;
}

static int cache_teardown(void **state)
{
    cache *c = *state;
    utapi_replay_close(c->replay);
    redis_server_stop(&c->server);
    free(c);
    return 0;
}

static void leave(cache *c, int first, int end)
{
    for (int i = first; i < end; i++)
        raw(c, "LPUSH s3:utapireplay element-%d", i);
}

static void take(cache *c)
{
    CHECK_OK(utapi_replay_take(c->replay, &c->leftovers, &c->count, &c->err), &c->err);
}

static void uuid_keep(const cache *c, size_t at, char ret[static 256])
{
    (void)snprintf(ret, 256, "%.*s", (int)c->leftovers[at].uuid.size, c->leftovers[at].uuid.data);
}

static void expect_element(const cache *c, size_t at, int number)
{
    char expected[32];
    snprintf(expected, sizeof expected, "element-%d", number);
    assert_true(utapi_string_equal(c->leftovers[at].text, utapi_string_of(expected)));
}

/* A process that died, and the next one. */
static void crash(cache *c)
{
    utapi_replay_close(c->replay);
    CHECK_OK(utapi_replay_open(c->server.uri, &c->replay, &c->err), &c->err);
}

/* ---- taking ------------------------------------------------------------------------------- */

static void the_oldest_elements_come_first(void **state)
{
    cache *c = *state;
    leave(c, 0, 250);
    take(c);
    assert_int_equal(c->count, 100);
    expect_element(c, 0, 0);
    expect_element(c, 99, 99);
    assert_int_equal(raw(c, "LLEN s3:utapireplay"), 150);
    CHECK_OK(utapi_replay_done(c->replay, &c->err), &c->err);
    take(c);
    expect_element(c, 0, 100);
    CHECK_OK(utapi_replay_done(c->replay, &c->err), &c->err);
    take(c);
    assert_int_equal(c->count, 50);
    CHECK_OK(utapi_replay_done(c->replay, &c->err), &c->err);
    take(c);
    assert_int_equal(c->count, 0);
    assert_int_equal(raw(c, "EXISTS s3:utapireplay s3:utapid:replay"), 0);
}

static void what_was_not_done_with_comes_again_with_its_uuids(void **state)
{
    cache *c = *state;
    char uuids[3][256];
    leave(c, 0, 3);
    take(c);
    for (size_t i = 0; i < 3; i++)
        uuid_keep(c, i, uuids[i]);
    crash(c);
    leave(c, 3, 9);
    take(c);
    assert_int_equal(c->count, 3);
    for (size_t i = 0; i < 3; i++) {
        expect_element(c, i, (int)i);
        assert_true(utapi_string_equal(c->leftovers[i].uuid, utapi_string_of(uuids[i])));
    }
    assert_string_not_equal(uuids[0], uuids[1]);
}

static void equal_elements_are_two(void **state)
{
    cache *c = *state;
    raw(c, "LPUSH s3:utapireplay same same");
    take(c);
    assert_int_equal(c->count, 2);
    assert_false(utapi_string_equal(c->leftovers[0].uuid, c->leftovers[1].uuid));
}

/* As when it starts again from an older file: numbers are given a second time. */
static void a_redis_that_lost_writes_gives_an_element_its_old_uuid_and_no_other_one(void **state)
{
    cache *c = *state;
    char uuid[256];
    leave(c, 0, 1);
    take(c);
    uuid_keep(c, 0, uuid);
    raw(c, "DEL s3:utapid:replay s3:utapid:replay:last");
    leave(c, 0, 1);
    take(c);
    assert_true(utapi_string_equal(c->leftovers[0].uuid, utapi_string_of(uuid)));
    raw(c, "DEL s3:utapid:replay s3:utapid:replay:last");
    leave(c, 1, 2);
    take(c);
    assert_false(utapi_string_equal(c->leftovers[0].uuid, utapi_string_of(uuid)));
}

/* It came back from before the first taking: nothing of ours is there any more. */
static void a_redis_that_lost_all_gives_the_same_uuids(void **state)
{
    cache *c = *state;
    char uuids[3][256];
    leave(c, 0, 3);
    take(c);
    for (size_t i = 0; i < 3; i++)
        uuid_keep(c, i, uuids[i]);
    raw(c, "DEL s3:utapid:replay s3:utapid:replay:last s3:utapid:replay:origin");
    leave(c, 0, 3);
    take(c);
    for (size_t i = 0; i < 3; i++)
        assert_true(utapi_string_equal(c->leftovers[i].uuid, utapi_string_of(uuids[i])));
    raw(c, "DEL s3:utapid:replay s3:utapid:replay:last s3:utapid:replay:origin");
    leave(c, 3, 4); /* another cache's */
    leave(c, 1, 3);
    take(c);
    for (size_t i = 0; i < 3; i++)
        assert_false(utapi_string_equal(c->leftovers[i].uuid, utapi_string_of(uuids[i])));
}

static void large_elements_are_taken_a_few_at_a_time(void **state)
{
    cache *c = *state;
    const size_t size = 700000;
    char *large = malloc(size);
    assert_non_null(large);
    memset(large, 'x', size);
    for (int i = 0; i < 3; i++)
        raw(c, "LPUSH s3:utapireplay %b", large, size);
    free(large);
    for (int i = 0; i < 3; i++) {
        take(c);
        assert_int_equal(c->count, 1);
        assert_int_equal(c->leftovers[0].text.size, size);
        CHECK_OK(utapi_replay_done(c->replay, &c->err), &c->err);
    }
}

static void any_bytes_may_stand_in_an_element(void **state)
{
    cache *c = *state;
    raw(c, "LPUSH s3:utapireplay %b", "\0:\n\xff", (size_t)4);
    take(c);
    assert_int_equal(c->count, 1);
    assert_int_equal(c->leftovers[0].text.size, 4);
    assert_memory_equal(c->leftovers[0].text.data, "\0:\n\xff", 4);
}

static void a_failure_in_between_loses_nothing(void **state)
{
    cache *c = *state;
    leave(c, 0, 3);
    raw(c, "SET s3:utapid:replay nonsense");
    CHECK_STATUS(UTAPI_CORRUPT, utapi_replay_take(c->replay, &c->leftovers, &c->count, &c->err), &c->err);
    assert_int_equal(raw(c, "LLEN s3:utapireplay"), 3);
    raw(c, "DEL s3:utapid:replay");
    take(c);
    assert_int_equal(c->count, 3);
}

static void an_error_names_its_key(void **state)
{
    static const struct {
        const char *set, *reported;
    } odd[] = {
        {"LPUSH s3:utapid:replay:last x", "WRONGTYPE s3:utapid:replay:last: "},
        {"SET s3:utapid:replay:last x", "ERR s3:utapid:replay:last: value is not an integer"},
        {"SET s3:utapid:replay:last -900", "ERR s3:utapid:replay:last: below zero"},
        {"LPUSH s3:utapid:replay:origin x", "WRONGTYPE s3:utapid:replay:origin: "},
        {"SET s3:utapid:replay:origin 12345678901234567890123456789012345678901234567890123456789012345",
         "ERR s3:utapid:replay:origin: no utapid wrote it"},
        {"SET s3:utapid:replay:origin a\xff", "ERR s3:utapid:replay:origin: no utapid wrote it"},
        {"SET s3:utapid:replay x", "WRONGTYPE s3:utapid:replay: "},
        {"SET s3:utapid:replay:refused x", "WRONGTYPE s3:utapid:replay:refused: "},
    };
    cache *c = *state;
    leave(c, 0, 3);
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        raw(c, odd[i].set);
        utapi_error_clear(&c->err);
        assert_int_not_equal(utapi_replay_take(c->replay, &c->leftovers, &c->count, &c->err), UTAPI_OK);
        if (strstr(c->err.detail, odd[i].reported) == NULL)
            fail_msg("%s: %s", odd[i].set, c->err.detail);
        raw(c, "DEL s3:utapid:replay s3:utapid:replay:last s3:utapid:replay:origin s3:utapid:replay:refused");
        assert_int_equal(raw(c, "LLEN s3:utapireplay"), 3);
    }
    take(c);
    assert_int_equal(c->count, 3);
}

static void a_member_of_somebody_else_is_set_aside(void **state)
{
    cache *c = *state;
    leave(c, 0, 3);
    take(c);
    raw(c, "ZADD s3:utapid:replay 1 nonsense 1.5 1.5-0123456789abcdef:x 2 7-0123456789abcdef:x "
           "1e20 100000000000000000000-0123456789abcdef:x");
    crash(c);
    leave(c, 3, 4);
    take(c);
    assert_int_equal(c->count, 3);
    for (size_t i = 0; i < 3; i++)
        expect_element(c, i, (int)i);
    assert_int_equal(raw(c, "LLEN s3:utapid:replay:refused"), 4);
    expect_text(c, "no utapid wrote it into s3:utapid:replay\nnonsense", "LINDEX s3:utapid:replay:refused 0");
    CHECK_OK(utapi_replay_done(c->replay, &c->err), &c->err);
    take(c);
    assert_int_equal(c->count, 1);
}

/* ---- setting aside ------------------------------------------------------------------------ */

static void a_refused_element_is_kept_with_its_reason(void **state)
{
    cache *c = *state;
    leave(c, 0, 3);
    take(c);
    CHECK_OK(utapi_replay_refuse(c->replay, &c->leftovers[1], "no: event", &c->err), &c->err);
    CHECK_OK(utapi_replay_refuse(c->replay, &c->leftovers[1], "again", &c->err), &c->err);
    assert_int_equal(raw(c, "LLEN s3:utapid:replay:refused"), 1);
    expect_text(c, "no: event\nelement-1", "LINDEX s3:utapid:replay:refused 0");
    assert_int_equal(utapi_replay_refused(c->replay), 0);
    crash(c);
    take(c);
    assert_int_equal(c->count, 2);
    expect_element(c, 1, 2);
    assert_int_equal(utapi_replay_refused(c->replay), 1);
    CHECK_OK(utapi_replay_done(c->replay, &c->err), &c->err);
    raw(c, "DEL s3:utapid:replay:refused");
    take(c);
    assert_int_equal(utapi_replay_refused(c->replay), 0);
}

/* ---- the lock ----------------------------------------------------------------------------- */

static bool lock(cache *c)
{
    bool is_ours = false;
    CHECK_OK(utapi_replay_lock(c->replay, &is_ours, &c->err), &c->err);
    return is_ours;
}

static void the_lock_is_taken_and_given_back(void **state)
{
    cache *c = *state;
    assert_true(lock(c));
    assert_true(lock(c));
    const long long left = raw(c, "TTL s3:utapireplay:lock");
    assert_true(left > 0 && left <= UTAPI_REPLAY_LOCK_S);
    CHECK_OK(utapi_replay_unlock(c->replay, &c->err), &c->err);
    assert_int_equal(raw(c, "EXISTS s3:utapireplay:lock"), 0);
    CHECK_OK(utapi_replay_unlock(c->replay, &c->err), &c->err);
}

static void somebody_elses_lock_stays(void **state)
{
    cache *c = *state;
    raw(c, "SET s3:utapireplay:lock true EX 900");
    assert_false(lock(c));
    CHECK_OK(utapi_replay_unlock(c->replay, &c->err), &c->err);
    expect_text(c, "true", "GET s3:utapireplay:lock");
    assert_true(raw(c, "TTL s3:utapireplay:lock") > UTAPI_REPLAY_LOCK_S);
}

static void the_lock_of_a_crash_is_not_ours(void **state)
{
    cache *c = *state;
    assert_true(lock(c));
    crash(c);
    assert_false(lock(c));
    raw(c, "DEL s3:utapireplay:lock");
    assert_true(lock(c));
}

/* ---- trouble ------------------------------------------------------------------------------ */

static void a_uri_that_cannot_be_read_is_refused_without_its_password(void **state)
{
    utapi_error err = {0};
    utapi_replay *replay = NULL;
    (void)state;
    const utapi_status status = utapi_replay_open("redis://:secret@:x/", &replay, &err);
    assert_int_equal(status, UTAPI_INVALID);
    assert_null(strstr(err.detail, "secret"));
    utapi_replay_close(NULL);
}

static void a_redis_that_is_away_is_unavailable(void **state)
{
    utapi_error err = {0};
    utapi_replay *replay = NULL;
    const utapi_leftover *leftovers = NULL;
    size_t count = 0;
    (void)state;
    CHECK_OK(utapi_replay_open("redis+unix:///nowhere/socket", &replay, &err), &err);
    CHECK_STATUS(UTAPI_UNAVAILABLE, utapi_replay_take(replay, &leftovers, &count, &err), &err);
    utapi_replay_close(replay);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, cache_setup, cache_teardown)

int main(void)
{
    const struct CMUnitTest cases[] = {
        CASE(the_oldest_elements_come_first),
        CASE(what_was_not_done_with_comes_again_with_its_uuids),
        CASE(equal_elements_are_two),
        CASE(a_redis_that_lost_writes_gives_an_element_its_old_uuid_and_no_other_one),
        CASE(a_redis_that_lost_all_gives_the_same_uuids),
        CASE(large_elements_are_taken_a_few_at_a_time),
        CASE(any_bytes_may_stand_in_an_element),
        CASE(a_failure_in_between_loses_nothing),
        CASE(an_error_names_its_key),
        CASE(a_member_of_somebody_else_is_set_aside),
        CASE(a_refused_element_is_kept_with_its_reason),
        CASE(the_lock_is_taken_and_given_back),
        CASE(somebody_elses_lock_stays),
        CASE(the_lock_of_a_crash_is_not_ours),
        cmocka_unit_test(a_uri_that_cannot_be_read_is_refused_without_its_password),
        cmocka_unit_test(a_redis_that_is_away_is_unavailable),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
