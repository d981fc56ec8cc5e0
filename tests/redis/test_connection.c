/* SPDX-License-Identifier: Apache-2.0 */
/* test_connection.c - commands over one connection, and what a connection makes of each way in which they fail. */
#include "connecting.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

/* ---- replies that do not come ------------------------------------------------------------- */

static void a_reply_lost_after_execution_is_uncertain(void **state)
{
    connecting *l = *state;
    fake_redis_rule(&l->fake, "EVALSHA", "", 1, FAKE_HANGS_UP);
    CHECK_STATUS(UTAPI_UNCERTAIN, connecting_run(l), &l->err);
    assert_int_equal(fake_redis_heard(&l->fake, "EVALSHA"),
                     1); /* not sent again: it may have been carried out */
    assert_int_equal(fake_redis_connections(&l->fake), 1);

    CHECK_OK(connecting_run(l), &l->err); /* at once: a connection that broke is no reason to wait */
    assert_int_equal(fake_redis_connections(&l->fake), 2);
}

static void a_server_that_never_answers_is_given_up_in_time(void **state)
{
    connecting *l = *state;
    fake_redis_rule(&l->fake, "GET", "", 1, FAKE_GOES_ON);
    CHECK_OK(connecting_call(l, "PING"), &l->err);
    const int64_t begin_ms = utapi_monotonic_ms();
    assert_int_equal(connecting_call(l, "GET photos"), UTAPI_UNCERTAIN);
    assert_true(utapi_monotonic_ms() - begin_ms >=
                CONNECTING_TIMEOUT_MS - 20); /* of the kernel's coarser clock */
    assert_string_equal(l->err.detail, "Redis: no reply in time");
    CHECK_OK(connecting_call(l, "GET photos"), &l->err);
    assert_int_equal(fake_redis_connections(&l->fake), 2);
}

/* Whatever comes back, it is not known what was done, and the connection is not used again. */
static void a_reply_that_is_none_is_uncertain(void **state)
{
    static const struct {
        const char *what, *bytes;
        fake_end end;
    } replies[] = {
        {"half a line", "+O", FAKE_HANGS_UP},
        {"half a text", "$10\r\n12345", FAKE_HANGS_UP},
        {"half a text, and then silence", "$10\r\n12345", FAKE_GOES_ON},
        {"half a list", "*3\r\n:1\r\n", FAKE_HANGS_UP},
        {"no type", "HTTP/1.1 400 Bad Request\r\n\r\n", FAKE_GOES_ON},
        {"a length that is no number", "$many\r\n", FAKE_GOES_ON},
        {"a negative length", "$-7\r\n", FAKE_GOES_ON},
        {"more bytes than there are", "$1099511627776\r\n", FAKE_GOES_ON},
        {"more bytes than a number holds", "$99999999999999999999\r\n", FAKE_GOES_ON},
        {"more elements than a list may have", "*4294967296\r\n", FAKE_GOES_ON},
        {"lists in lists", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", FAKE_GOES_ON},
    };
    connecting *l = *state;
    for (unsigned i = 0; i < sizeof replies / sizeof *replies; i++) {
        fake_redis_behave(&l->fake);
        fake_redis_rule(&l->fake, "GET", replies[i].bytes, 1, replies[i].end);
        if (connecting_call(l, "GET photos") != UTAPI_UNCERTAIN)
            fail_msg("%s is not uncertain: %s", replies[i].what, l->err.detail);
        connecting_check_echo(l->connection, replies[i].what);
        assert_int_equal(fake_redis_connections(&l->fake), i + 2);
    }
}

static void a_connection_that_was_closed_while_idle_is_replaced(void **state)
{
    connecting *l = *state;
    fake_redis_rule(&l->fake, "PING", "+PONG\r\n", 1, FAKE_HANGS_UP);
    CHECK_OK(connecting_call(l, "PING"), &l->err);
    struct pollfd closed = {.fd = l->connection->context->fd, .events = POLLIN};
    assert_int_equal(poll(&closed, 1, 10000), 1);
    CHECK_OK(connecting_run(l), &l->err);
    assert_int_equal(fake_redis_connections(&l->fake), 2);
}

/* What begins on one server is not finished on another. */
static void a_pinned_connection_makes_no_other(void **state)
{
    connecting *l = *state;
    fake_redis_rule(&l->fake, "PING", "+PONG\r\n", 1, FAKE_HANGS_UP);
    CHECK_OK(connecting_call(l, "PING"), &l->err);
    l->connection->pinned = true;
    struct pollfd closed = {.fd = l->connection->context->fd, .events = POLLIN};
    assert_int_equal(poll(&closed, 1, 10000), 1);
    for (int i = 0; i < 2; i++)
        CHECK_STATUS(UTAPI_UNCERTAIN, connecting_call(l, "PING"), &l->err);
    assert_int_equal(fake_redis_connections(&l->fake), 1);
    l->connection->pinned = false;
    CHECK_OK(connecting_run(l), &l->err);
    assert_int_equal(fake_redis_connections(&l->fake), 2);
}

/* ---- replies that refuse ------------------------------------------------------------------ */

typedef struct refusal {
    const char *reply;
    utapi_status status;
    unsigned connections; /* after the next command */
} refusal;

/* Each as Redis words it. */
static const refusal refusals[] = {
    {"-READONLY You can't write against a read only replica.\r\n", UTAPI_UNAVAILABLE, 2},
    {"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n",
     UTAPI_UNAVAILABLE, 2},
    {"-LOADING Redis is loading the dataset in memory\r\n", UTAPI_UNAVAILABLE, 1},
    {"-BUSY Redis is busy running a script.\r\n", UTAPI_UNAVAILABLE, 1},
    {"-OOM command not allowed when used memory > 'maxmemory'.\r\n", UTAPI_UNAVAILABLE, 1},
    {"-MISCONF Redis is configured to save RDB snapshots, but it cannot.\r\n", UTAPI_UNAVAILABLE, 1},
    {"-NOREPLICAS Not enough good replicas to write.\r\n", UTAPI_UNAVAILABLE, 1},
    {"-NOAUTH Authentication required.\r\n", UTAPI_UNAVAILABLE, 2},
    {"-WRONGPASS invalid username-password pair or user is disabled.\r\n", UTAPI_UNAVAILABLE, 2},
    {"-NOPERM this user has no permissions to run the 'get' command\r\n", UTAPI_UNAVAILABLE, 2},
    {"-EXECABORT Transaction discarded because of previous errors.\r\n", UTAPI_UNAVAILABLE, 1},
    {"-CLUSTERDOWN The cluster is down\r\n", UTAPI_UNAVAILABLE, 2},
    {"-MOVED 3999 127.0.0.1:6381\r\n", UTAPI_UNAVAILABLE, 2},
    {"-NOSCRIPT No matching script. Please use EVAL.\r\n", UTAPI_UNAVAILABLE, 2},
    {"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n", UTAPI_CORRUPT, 1},
    {"-ERR upstream failure\r\n", UTAPI_UNCERTAIN, 2},
    {"-OOMPH a word that only begins like one that is known\r\n", UTAPI_UNCERTAIN, 2},
    {"-\r\n", UTAPI_UNCERTAIN, 2},
    {"-ERR Error running script (call to f_1): @user_script:3: -READONLY You can't write.\r\n",
     UTAPI_UNCERTAIN, 2}, /* so says Redis 6: what the script wrote before is not known */
};

static void refusal_check(connecting *l, const refusal *expected)
{
    const unsigned before = fake_redis_connections(&l->fake);
    const size_t size = strcspn(expected->reply, "\r");
    fake_redis_behave(&l->fake);
    fake_redis_rule(&l->fake, "GET", expected->reply, 1, FAKE_GOES_ON);
    const utapi_status status = connecting_call(l, "GET photos");
    if (status != expected->status)
        fail_msg("%s: %s", expected->reply, utapi_status_text(status));
    assert_memory_equal(l->err.detail, "Redis: ", 7);
    assert_memory_equal(l->err.detail + 7, expected->reply + 1, size - 1); /* its own words */
    connecting_check_echo(l->connection, "again");
    if (fake_redis_connections(&l->fake) - before != expected->connections - 1)
        fail_msg("%s: %u new connections, expected %u", expected->reply,
                 fake_redis_connections(&l->fake) - before, expected->connections - 1);
}

static void each_refusal_has_its_status_and_its_way_on(void **state)
{
    connecting *l = *state;
    CHECK_OK(connecting_call(l, "PING"), &l->err);
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        refusal_check(l, &refusals[i]);
}

static void a_script_that_was_flushed_is_loaded_and_run_again(void **state)
{
    connecting *l = *state;
    fake_redis_rule(&l->fake, "EVALSHA", "-NOSCRIPT No matching script. Please use EVAL.\r\n", 1,
                    FAKE_GOES_ON);
    CHECK_OK(connecting_run(l), &l->err);
    assert_int_equal(fake_redis_heard(&l->fake, "EVALSHA"), 2);
    assert_int_equal(fake_redis_heard(&l->fake, "SCRIPT LOAD"), 2 * REDIS_SCRIPT_COUNT);
}

static void a_script_that_stays_away_is_tried_once_more_and_not_for_ever(void **state)
{
    connecting *l = *state;
    fake_redis_rule(&l->fake, "EVALSHA", "-NOSCRIPT No matching script. Please use EVAL.\r\n", FAKE_FOREVER,
                    FAKE_GOES_ON);
    CHECK_STATUS(UTAPI_UNAVAILABLE, connecting_run(l), &l->err);
    assert_int_equal(fake_redis_heard(&l->fake, "EVALSHA"), 2);
}

static void a_refusal_that_speaks_of_noscript_is_not_one(void **state)
{
    connecting *l = *state;
    fake_redis_rule(&l->fake, "EVALSHA", "-OOM no memory for s3:buckets:NOSCRIPT\r\n", FAKE_FOREVER,
                    FAKE_GOES_ON);
    CHECK_STATUS(UTAPI_UNAVAILABLE, connecting_run(l), &l->err);
    assert_int_equal(fake_redis_heard(&l->fake, "EVALSHA"), 1);
}

/* ---- pipelines ---------------------------------------------------------------------------- */

static void replies_come_in_the_order_of_commands(void **state)
{
    connecting *l = *state;
    CHECK_OK(connecting_queue(l, "ECHO first"), &l->err);
    CHECK_OK(connecting_queue(l, "ECHO second"), &l->err);
    connecting_expect(l, "first");
    connecting_expect(l, "second");
}

static void what_was_queued_behind_a_refusal_is_gone(void **state)
{
    connecting *l = *state;
    redisReply *reply = NULL;
    fake_redis_rule(&l->fake, "GET", "-OOM no memory\r\n", 1, FAKE_GOES_ON);
    CHECK_OK(connecting_queue(l, "ECHO first"), &l->err);
    CHECK_OK(connecting_queue(l, "GET photos"), &l->err);
    CHECK_OK(connecting_queue(l, "ECHO last"), &l->err);
    connecting_expect(l, "first");
    CHECK_STATUS(UTAPI_UNAVAILABLE, utapi_redis_connection_next(l->connection, &reply, &l->err), &l->err);
    connecting_check_echo(l->connection, "mine");
    assert_int_equal(fake_redis_connections(&l->fake), 1);
}

static void a_pipeline_that_breaks_is_uncertain(void **state)
{
    connecting *l = *state;
    redisReply *reply = NULL;
    fake_redis_rule(&l->fake, "GET", "$10\r\n12", 1, FAKE_HANGS_UP);
    CHECK_OK(connecting_queue(l, "ECHO first"), &l->err);
    CHECK_OK(connecting_queue(l, "GET photos"), &l->err);
    CHECK_OK(connecting_queue(l, "ECHO last"), &l->err);
    connecting_expect(l, "first");
    CHECK_STATUS(UTAPI_UNCERTAIN, utapi_redis_connection_next(l->connection, &reply, &l->err), &l->err);
    CHECK_STATUS(UTAPI_UNAVAILABLE, utapi_redis_connection_next(l->connection, &reply, &l->err), &l->err);
    connecting_check_echo(l->connection, "mine");
}

static void a_command_without_memory_takes_what_was_queued_with_it(void **state)
{
    connecting *l = *state;
    CHECK_OK(connecting_queue(l, "MULTI"), &l->err);
    l->connection->args.failed = true;
    CHECK_STATUS(UTAPI_NO_MEMORY, utapi_redis_connection_queue(l->connection, &l->err), &l->err);
    connecting_check_echo(l->connection, "mine"); /* and not MULTI's reply */
    assert_int_equal(fake_redis_heard(&l->fake, "MULTI"), 0);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        CONNECTING_CASE(a_reply_lost_after_execution_is_uncertain),
        CONNECTING_CASE(a_server_that_never_answers_is_given_up_in_time),
        CONNECTING_CASE(a_reply_that_is_none_is_uncertain),
        CONNECTING_CASE(a_connection_that_was_closed_while_idle_is_replaced),
        CONNECTING_CASE(a_pinned_connection_makes_no_other),
        CONNECTING_CASE(each_refusal_has_its_status_and_its_way_on),
        CONNECTING_CASE(a_script_that_was_flushed_is_loaded_and_run_again),
        CONNECTING_CASE(a_script_that_stays_away_is_tried_once_more_and_not_for_ever),
        CONNECTING_CASE(a_refusal_that_speaks_of_noscript_is_not_one),
        CONNECTING_CASE(replies_come_in_the_order_of_commands),
        CONNECTING_CASE(what_was_queued_behind_a_refusal_is_gone),
        CONNECTING_CASE(a_pipeline_that_breaks_is_uncertain),
        CONNECTING_CASE(a_command_without_memory_takes_what_was_queued_with_it),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
