/* SPDX-License-Identifier: Apache-2.0 */
/* test_connect.c - the way to a connection: time-outs, waiting between tries, logins, rights, Sentinels; and
 * connections for many. */
#include "connecting.h"

#include "folder.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SLAVE  "*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:1\r\n$9\r\nconnected\r\n:0\r\n"
#define MASTER "SENTINEL get-master-addr-by-name utapi"

/* A port that nobody listens at, and that nobody else is given meanwhile. */
static int dead_port(uint16_t *ret)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *ret = ntohs(address.sin_port);
    return fd;
}

/* ---- time-outs ---------------------------------------------------------------------------- */

/* One whose queue of connections is full drops what knocks, as a firewall does. */
static void a_server_that_does_not_accept_is_given_up_in_time(void **state)
{
    enum { CALLERS = 4, CONNECT_TIMEOUT_MS = 200 };
    connecting *l = *state;
    uint16_t port;
    int callers[CALLERS];
    const int fd = dead_port(&port);
    assert_int_equal(listen(fd, 0), 0);
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(callers[i], (const struct sockaddr *)&address, sizeof address);
    }
    connecting_open(l, "redis://127.0.0.1:%u?connectTimeout=%d", port, CONNECT_TIMEOUT_MS);
    const int64_t begin_ms = utapi_monotonic_ms();
    assert_int_equal(connecting_call(l, "PING"), UTAPI_UNAVAILABLE);
    assert_true(utapi_monotonic_ms() - begin_ms >= CONNECT_TIMEOUT_MS - 20);
    assert_non_null(strstr(l->err.detail, "Connection timed out"));
    for (int i = 0; i < CALLERS; i++)
        close(callers[i]);
    close(fd);
}

static void a_server_that_accepts_and_is_silent_is_given_up_in_time(void **state)
{
    connecting *l = *state;
    fake_redis_rule(&l->fake, "", "", FAKE_FOREVER, FAKE_GOES_ON);
    const int64_t begin_ms = utapi_monotonic_ms();
    assert_int_equal(connecting_call(l, "PING"), UTAPI_UNAVAILABLE); /* PING itself was never sent */
    assert_true(utapi_monotonic_ms() - begin_ms >= CONNECTING_TIMEOUT_MS - 20);
    assert_non_null(strstr(l->err.detail, "no reply in time"));
}

/* ---- between tries ------------------------------------------------------------------------ */

static void a_try_that_failed_is_not_repeated_at_once(void **state)
{
    connecting *l = *state;
    fake_redis_rule(&l->fake, "SCRIPT", "-LOADING Redis is loading the dataset in memory\r\n", 2,
                    FAKE_GOES_ON);
    CHECK_STATUS(UTAPI_UNAVAILABLE, connecting_call(l, "PING"), &l->err);
    assert_int_equal(fake_redis_connections(&l->fake), 1);

    l->connection->retry_at_ms = INT64_MAX;
    assert_int_equal(connecting_call(l, "PING"), UTAPI_UNAVAILABLE);
    assert_non_null(strstr(l->err.detail, "LOADING")); /* why it failed is reported again */
    assert_int_equal(fake_redis_connections(&l->fake), 1);

    l->connection->retry_at_ms = 0;
    CHECK_STATUS(UTAPI_UNAVAILABLE, connecting_call(l, "PING"), &l->err);
    l->connection->retry_at_ms = 0;
    CHECK_OK(connecting_call(l, "PING"), &l->err);
    assert_int_equal(fake_redis_connections(&l->fake), 3);
}

/* How long a connection waits after each of its failures; the last ones at its most. */
static void waits_measure(connecting *l, int64_t *waits, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        l->connection->retry_at_ms = 0;
        const int64_t before_ms = utapi_monotonic_ms();
        CHECK_STATUS(UTAPI_UNAVAILABLE, connecting_call(l, "PING"), &l->err);
        const int64_t took_ms = utapi_monotonic_ms() - before_ms;
        waits[i] = l->connection->retry_at_ms - before_ms;
        const int64_t doubled = i < 7 ? INT64_C(50) << i : 5000, most = doubled < 5000 ? doubled : 5000;
        if (waits[i] < most / 2 || waits[i] > most + took_ms)
            fail_msg("failure %zu: it waits for %lld ms", i, (long long)waits[i]);
    }
}

static void waiting_doubles_and_has_an_end_and_is_spread(void **state)
{
    enum { FAILURES = 24, FIRST_AT_MOST = 8 };
    connecting *l = *state;
    int64_t mine[FAILURES], others[FAILURES];
    unsigned differ = 0, change = 0;
    uint16_t port;
    const int fd = dead_port(&port);
    connecting_open(l, "redis://127.0.0.1:%u", port);
    waits_measure(l, mine, FAILURES);
    redis_connection *first = l->connection; /* kept: another connection in its place would be the same one */
    l->connection = utapi_redis_connection_new(&l->uri);
    assert_non_null(l->connection);
    waits_measure(l, others, FAILURES);
    for (size_t i = FIRST_AT_MOST; i < FAILURES; i++) { /* from 2,500 to 5,000 ms: chance is no cause */
        differ += mine[i] - others[i] > 100 || others[i] - mine[i] > 100;
        change += mine[i] - mine[i - 1] > 100 || mine[i - 1] - mine[i] > 100;
    }
    assert_true(differ > 2);
    assert_true(change > 2);
    utapi_redis_connection_free(first);
    close(fd);
}

static void a_connection_ends_the_waiting(void **state)
{
    connecting *l = *state;
    fake_redis_rule(&l->fake, "SCRIPT", "-LOADING\r\n", 6, FAKE_GOES_ON);
    for (int i = 0; i < 6; i++) {
        l->connection->retry_at_ms = 0;
        CHECK_STATUS(UTAPI_UNAVAILABLE, connecting_call(l, "PING"), &l->err);
    }
    l->connection->retry_at_ms = 0;
    fake_redis_rule(&l->fake, "GET", "", 1, FAKE_HANGS_UP);
    CHECK_STATUS(UTAPI_UNCERTAIN, connecting_call(l, "GET photos"), &l->err);
    fake_redis_rule(&l->fake, "SCRIPT", "-LOADING\r\n", 1, FAKE_GOES_ON);
    CHECK_STATUS(UTAPI_UNAVAILABLE, connecting_call(l, "PING"), &l->err);
    assert_int_equal(l->connection->delay_ms, 50); /* it begins anew */
}

/* ---- logins ------------------------------------------------------------------------------- */

static void user_password_and_database_come_before_all_else(void **state)
{
    connecting *l = *state;
    connecting_open(l, "redis://meter:p%%40ss%%2Fword@127.0.0.1:%u/3", l->fake.port);
    CHECK_OK(connecting_call(l, "PING"), &l->err);
    assert_int_equal(fake_redis_place(&l->fake, "AUTH meter p@ss/word"), 0);
    assert_int_equal(fake_redis_place(&l->fake, "SELECT 3"), 1);
    assert_int_equal(fake_redis_place(&l->fake, "SCRIPT LOAD"), 2);
}

static void a_password_alone_is_the_default_users(void **state)
{
    connecting *l = *state;
    connecting_open(l, "redis://:geheim@127.0.0.1:%u", l->fake.port);
    CHECK_OK(connecting_call(l, "PING"), &l->err);
    assert_int_equal(fake_redis_place(&l->fake, "AUTH geheim"), 0);
    assert_int_equal(fake_redis_heard(&l->fake, "SELECT"), 0); /* database 0 needs none */
}

static void a_unix_socket_takes_login_and_database_too(void **state)
{
    connecting *l = *state;
    fake_redis fake;
    char folder[256];
    support_folder_make(folder);
    fake_redis_start(&fake, folder);
    connecting_open(l, "redis+unix://meter:geheim@%s?database=7", fake.path);
    CHECK_OK(connecting_run(l), &l->err);
    assert_int_equal(fake_redis_place(&fake, "AUTH meter geheim"), 0);
    assert_int_equal(fake_redis_place(&fake, "SELECT 7"), 1);
    assert_int_equal(fake_redis_heard(&fake, "EVALSHA"), 1);
    assert_int_equal(fake_redis_heard(&l->fake, ""), 0);
    fake_redis_stop(&fake);
    support_folder_remove(folder);
}

/* Redis itself repeats what it does not understand; a command may be renamed, and a Sentinel may be old. */
static void a_login_that_fails_is_reported_and_shows_no_secret(void **state)
{
    static const struct {
        const char *reply, *reported;
    } answers[] = {
        {"-WRONGPASS invalid username-password pair or user is disabled.\r\n", "AUTH: WRONGPASS invalid"},
        {"-ERR unknown command 'AUTH', with args beginning with: 'meter' 'geheim' \r\n",
         "AUTH: ERR unknown command 'AUTH'"},
        {"-ERR unknown command `AUTH`, with args beginning with: `meter`, `gehe`, \r\n",
         "AUTH: ERR unknown command `AUTH`"},
        {"-ERR no user meter with geheim here\r\n", "AUTH: ERR"},
        {"-geheim\r\n", "AUTH: refused"},
        {"-ERR Client sent AUTH, but no password is set\r\n", "AUTH: ERR Client sent AUTH"},
    };
    connecting *l = *state;
    connecting_open(l, "redis://meter:geheim@127.0.0.1:%u", l->fake.port);
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        fake_redis_behave(&l->fake);
        fake_redis_rule(&l->fake, "AUTH", answers[i].reply, 1, FAKE_GOES_ON);
        l->connection->retry_at_ms = 0;
        assert_int_equal(connecting_call(l, "PING"), UTAPI_UNAVAILABLE);
        if (strstr(l->err.detail, answers[i].reported) == NULL || strstr(l->err.detail, "gehe") != NULL)
            fail_msg("%s is reported as: %s", answers[i].reply, l->err.detail);
        assert_int_equal(fake_redis_heard(&l->fake, "PING"), 0);
    }
}

/* ---- rights ------------------------------------------------------------------------------- */

static void a_right_that_is_lacking_is_reported_before_anything_is_done(void **state)
{
    connecting *l = *state;
    connecting_open(l, "redis://127.0.0.1:%u?prefix=cmp", l->fake.port);
    l->connection->acl = utapi_redis_acl_writer;
    fake_redis_rule(&l->fake, "ZADD", "-NOPERM this user may not\r\n", 1, FAKE_GOES_ON);
    assert_int_equal(connecting_run(l), UTAPI_UNAVAILABLE);
    assert_string_equal(
        l->err.detail, "Redis: the user lacks a right: ZADD cmp:utapid:rights 0 0: NOPERM this user may not");
    assert_int_equal(fake_redis_heard(&l->fake, "MULTI"), 1);
    assert_int_equal(fake_redis_heard(&l->fake, "PUBLISH cmp:event:"), 1);
    assert_int_equal(fake_redis_heard(&l->fake, "DISCARD"), 1);
    assert_int_equal(fake_redis_heard(&l->fake, "SCRIPT"), 0);
    l->connection->retry_at_ms = 0;
    CHECK_OK(connecting_run(l), &l->err);
}

/* What is not answered by +QUEUED would be carried out. */
static void without_multi_no_right_is_asked_for(void **state)
{
    connecting *l = *state;
    l->connection->acl = utapi_redis_acl_writer;
    fake_redis_rule(&l->fake, "MULTI", "-LOADING Redis is loading the dataset in memory\r\n", 1,
                    FAKE_GOES_ON);
    assert_int_equal(connecting_run(l), UTAPI_UNAVAILABLE);
    assert_non_null(strstr(l->err.detail, "LOADING"));
    assert_int_equal(fake_redis_heard(&l->fake, ""), 3); /* with SELECT and EXEC */
}

/* It would carry out what stands between MULTI and it. */
static void exec_is_asked_for_before_there_is_anything_to_carry_out(void **state)
{
    connecting *l = *state;
    l->connection->acl = utapi_redis_acl_writer;
    fake_redis_rule(&l->fake, "EXEC", "-EXECABORT because of: NOPERM this user may not\r\n", 1, FAKE_GOES_ON);
    assert_int_equal(connecting_run(l), UTAPI_UNAVAILABLE);
    assert_string_equal(
        l->err.detail, "Redis: the user lacks a right: EXEC: EXECABORT because of: NOPERM this user may not");
    fake_redis_rule(&l->fake, "EXEC", "-ERR EXEC without MULTI\r\n", 1, FAKE_GOES_ON);
    l->connection->retry_at_ms = 0;
    CHECK_OK(connecting_run(l), &l->err);
    assert_int_equal(fake_redis_heard(&l->fake, "EXEC"), 2);
    assert_true(fake_redis_place(&l->fake, "EXEC") < fake_redis_place(&l->fake, "MULTI"));
}

/* Whether the file must be written anew is not known then. */
static void a_writer_waits_for_a_server_that_does_not_tell_of_its_file(void **state)
{
    connecting *l = *state;
    l->connection->checks_aof = true;
    fake_redis_rule(&l->fake, "INFO", "-BUSY Redis is busy running a script.\r\n", 1, FAKE_GOES_ON);
    fake_redis_rule(&l->fake, "INFO", "$15\r\naof_enabled:0\r\n\r\n", FAKE_FOREVER, FAKE_GOES_ON);
    assert_int_equal(connecting_run(l), UTAPI_UNAVAILABLE);
    assert_non_null(strstr(l->err.detail, "INFO: BUSY"));
    l->connection->retry_at_ms = 0;
    CHECK_OK(connecting_run(l), &l->err);
}

static void other_refusals_say_nothing_of_rights(void **state)
{
    connecting *l = *state;
    l->connection->acl = utapi_redis_acl_writer;
    fake_redis_rule(&l->fake, "H", "-ERR unknown command\r\n", FAKE_FOREVER, FAKE_GOES_ON);
    fake_redis_rule(&l->fake, "SET", "-OOM command not allowed\r\n", FAKE_FOREVER, FAKE_GOES_ON);
    CHECK_OK(connecting_run(l), &l->err);
}

/* ---- Sentinels ---------------------------------------------------------------------------- */

/* Where a Sentinel says that the master is: text of its own. */
static const char *address_reply(char ret[static 64], uint16_t port)
{
    char digits[8];
    const int size = snprintf(digits, sizeof digits, "%u", port);
    (void)snprintf(ret, 64, "*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%s\r\n", size, digits);
    return ret;
}

/* The first Sentinel is dead, the second names a replica, the third the master: our own fake. */
typedef struct watched {
    fake_redis late, right, replica;
    char late_says[64], right_says[64];
    int dead;
} watched;

static void watched_start(watched *w, connecting *l)
{
    uint16_t port;
    w->dead = dead_port(&port);
    fake_redis_start(&w->late, NULL);
    fake_redis_start(&w->right, NULL);
    fake_redis_start(&w->replica, NULL);
    fake_redis_rule(&w->replica, "ROLE", SLAVE, FAKE_FOREVER, FAKE_GOES_ON);
    fake_redis_rule(&w->late, MASTER, address_reply(w->late_says, w->replica.port), FAKE_FOREVER,
                    FAKE_GOES_ON);
    fake_redis_rule(&w->right, MASTER, address_reply(w->right_says, l->fake.port), FAKE_FOREVER,
                    FAKE_GOES_ON);
    connecting_open(l,
                    "redis-sentinel://meter:geheim@127.0.0.1:%u,127.0.0.1:%u,127.0.0.1:%u/utapi/2"
                    "?sentinelUser=watch&sentinelPassword=guard",
                    port, w->late.port, w->right.port);
}

static void watched_stop(watched *w, connecting *l)
{
    utapi_redis_connection_drop(l->connection);
    fake_redis_stop(&w->late);
    fake_redis_stop(&w->right);
    fake_redis_stop(&w->replica);
    close(w->dead);
}

static void the_master_is_found_past_dead_and_late_sentinels(void **state)
{
    connecting *l = *state;
    watched w;
    watched_start(&w, l);
    CHECK_OK(connecting_run(l), &l->err);
    assert_int_equal(fake_redis_heard(&w.late, MASTER), 1);
    assert_int_equal(fake_redis_heard(&w.replica, "ROLE"), 1);
    assert_int_equal(fake_redis_heard(&w.replica, "SCRIPT"), 0); /* refused for what it says of itself */
    assert_int_equal(fake_redis_heard(&w.replica, "EVALSHA"), 0);
    assert_int_equal(fake_redis_heard(&l->fake, "SELECT 2"), 1);
    assert_int_equal(fake_redis_heard(&l->fake, "EVALSHA"), 1);
    watched_stop(&w, l);
}

static void passwords_go_where_they_belong(void **state)
{
    connecting *l = *state;
    watched w;
    watched_start(&w, l);
    CHECK_OK(connecting_call(l, "PING"), &l->err);
    fake_redis *const sentinels[] = {&w.late, &w.right}, *const servers[] = {&w.replica, &l->fake};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(fake_redis_heard(sentinels[i], "AUTH watch guard"), 1);
        assert_int_equal(fake_redis_heard(sentinels[i], "AUTH"), 1);
        assert_int_equal(fake_redis_heard(servers[i], "AUTH meter geheim"), 1);
        assert_int_equal(fake_redis_heard(servers[i], "AUTH"), 1);
    }
    watched_stop(&w, l);
}

static void the_master_is_looked_up_anew_for_each_connection(void **state)
{
    connecting *l = *state;
    watched w;
    char says[64];
    watched_start(&w, l);
    CHECK_OK(connecting_call(l, "PING"), &l->err);
    assert_int_equal(fake_redis_heard(&w.right, MASTER), 1);

    fake_redis_behave(&w.replica); /* it is promoted, and the old one demoted */
    fake_redis_behave(&w.right);
    fake_redis_rule(&w.right, MASTER, address_reply(says, w.replica.port), FAKE_FOREVER, FAKE_GOES_ON);
    fake_redis_rule(&l->fake, "EVALSHA", "-READONLY You can't write against a read only replica.\r\n",
                    FAKE_FOREVER, FAKE_GOES_ON);
    CHECK_STATUS(UTAPI_UNAVAILABLE, connecting_run(l), &l->err);
    CHECK_OK(connecting_run(l), &l->err);
    assert_int_equal(fake_redis_heard(&w.right, MASTER), 2);
    assert_int_equal(fake_redis_heard(&w.late, MASTER), 1); /* who answered last is asked first */
    assert_int_equal(fake_redis_heard(&w.replica, "EVALSHA"), 1);
    watched_stop(&w, l);
}

static void without_a_master_the_last_reason_is_reported(void **state)
{
    connecting *l = *state;
    watched w;
    watched_start(&w, l);
    fake_redis_behave(&w.right);
    fake_redis_rule(&w.right, MASTER, "*-1\r\n", FAKE_FOREVER, FAKE_GOES_ON);
    assert_int_equal(connecting_call(l, "PING"), UTAPI_UNAVAILABLE);
    assert_non_null(strstr(l->err.detail, "knows no master \"utapi\""));
    fake_redis_behave(&w.right);
    fake_redis_rule(&w.right, MASTER, "*2\r\n$9\r\n127.0.0.1\r\n$5\r\n99999\r\n", FAKE_FOREVER, FAKE_GOES_ON);
    l->connection->retry_at_ms = 0;
    assert_int_equal(connecting_call(l, "PING"), UTAPI_UNAVAILABLE);
    assert_non_null(strstr(l->err.detail, "tells no port"));
    watched_stop(&w, l);
}

/* Whoever looks must mend what is wrong, not a Sentinel that does not matter. */
static void a_sentinel_that_is_away_hides_no_reason(void **state)
{
    connecting *l = *state;
    uint16_t port;
    char says[64];
    fake_redis sentinel;
    const int dead = dead_port(&port);
    fake_redis_start(&sentinel, NULL);
    fake_redis_rule(&sentinel, MASTER, address_reply(says, l->fake.port), FAKE_FOREVER, FAKE_GOES_ON);
    fake_redis_rule(&l->fake, "AUTH", "-WRONGPASS no\r\n", FAKE_FOREVER, FAKE_GOES_ON);
    connecting_open(l, "redis-sentinel://meter:geheim@127.0.0.1:%u,127.0.0.1:%u/utapi", sentinel.port, port);
    assert_int_equal(connecting_call(l, "PING"), UTAPI_UNAVAILABLE);
    assert_non_null(strstr(l->err.detail, "WRONGPASS"));
    fake_redis_behave(&sentinel);
    fake_redis_rule(&sentinel, MASTER, "*-1\r\n", FAKE_FOREVER, FAKE_GOES_ON);
    l->connection->retry_at_ms = 0;
    assert_int_equal(connecting_call(l, "PING"), UTAPI_UNAVAILABLE);
    assert_non_null(strstr(l->err.detail, "knows no master \"utapi\""));
    fake_redis_stop(&sentinel);
    l->connection->retry_at_ms = 0;
    assert_int_equal(connecting_call(l, "PING"), UTAPI_UNAVAILABLE);
    assert_non_null(strstr(l->err.detail, "the Sentinel at 127.0.0.1:"));
    close(dead);
}

/* ---- connections for many ----------------------------------------------------------------------- */

enum { USERS = 4, ROUNDS = 50 };

static void a_connection_that_broke_is_connected_anew_for_its_next_user(void **state)
{
    connecting *l = *state;
    redis_pool *pool = utapi_redis_pool_new(&l->uri);
    redisReply *reply = NULL;
    assert_non_null(pool);
    fake_redis_rule(&l->fake, "GET", "$10\r\n12", 1, FAKE_GOES_ON);
    redis_connection *connection = utapi_redis_pool_take(pool);
    utapi_redis_args_add(&connection->args, "GET");
    CHECK_STATUS(UTAPI_UNCERTAIN, utapi_redis_connection_call(connection, &reply, &l->err), &l->err);
    utapi_redis_pool_give(pool, connection);
    connection = utapi_redis_pool_take(pool);
    connecting_check_echo(connection, "mine");
    utapi_redis_pool_give(pool, connection);
    assert_int_equal(fake_redis_connections(&l->fake), 2);
    utapi_redis_pool_free(pool);
}

/* Where no more connections can be made (maxclients), those that there are answer. */
static void one_that_is_not_connected_is_taken_last(void **state)
{
    connecting *l = *state;
    redis_pool *pool = utapi_redis_pool_new(&l->uri);
    redis_connection *connections[3];
    assert_non_null(pool);
    for (size_t i = 0; i < 3; i++) {
        connections[i] = utapi_redis_pool_take(pool);
        connecting_check_echo(connections[i], "mine");
    }
    for (size_t i = 0; i < 3; i++)
        utapi_redis_pool_give(pool, connections[i]);
    redis_connection *broken = utapi_redis_pool_take(pool);
    assert_ptr_equal(broken, connections[2]); /* the warmest */
    utapi_redis_connection_drop(broken);
    utapi_redis_pool_give(pool, broken);
    for (size_t i = 0; i < 3; i++)
        connections[i] = utapi_redis_pool_take(pool);
    assert_ptr_equal(connections[2], broken);
    for (size_t i = 0; i < 3; i++)
        utapi_redis_pool_give(pool, connections[i]);
    utapi_redis_pool_free(pool);
}

static void *pool_user(void *arg)
{
    redis_pool *pool = arg;
    char word[40];
    for (unsigned i = 0; i < ROUNDS; i++) {
        redis_connection *connection = utapi_redis_pool_take(pool);
        (void)snprintf(word, sizeof word, "%p-%u", (void *)&word, i);
        connecting_check_echo(connection, word);
        utapi_redis_pool_give(pool, connection);
    }
    return NULL;
}

static void there_are_no_more_connections_than_users_at_once(void **state)
{
    connecting *l = *state;
    redis_pool *pool;
    pthread_t users[USERS];
    connecting_open(l, "redis://127.0.0.1:%u", l->fake.port); /* with time enough for a busy machine */
    pool = utapi_redis_pool_new(&l->uri);
    assert_non_null(pool);
    for (size_t i = 0; i < USERS; i++)
        assert_int_equal(pthread_create(&users[i], NULL, pool_user, pool), 0);
    for (size_t i = 0; i < USERS; i++)
        pthread_join(users[i], NULL);
    const unsigned connections = fake_redis_connections(&l->fake);
    assert_true(connections >= 1 && connections <= USERS);
    utapi_redis_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        CONNECTING_CASE(a_server_that_does_not_accept_is_given_up_in_time),
        CONNECTING_CASE(a_server_that_accepts_and_is_silent_is_given_up_in_time),
        CONNECTING_CASE(a_try_that_failed_is_not_repeated_at_once),
        CONNECTING_CASE(waiting_doubles_and_has_an_end_and_is_spread),
        CONNECTING_CASE(a_connection_ends_the_waiting),
        CONNECTING_CASE(user_password_and_database_come_before_all_else),
        CONNECTING_CASE(a_password_alone_is_the_default_users),
        CONNECTING_CASE(a_unix_socket_takes_login_and_database_too),
        CONNECTING_CASE(a_login_that_fails_is_reported_and_shows_no_secret),
        CONNECTING_CASE(a_right_that_is_lacking_is_reported_before_anything_is_done),
        CONNECTING_CASE(without_multi_no_right_is_asked_for),
        CONNECTING_CASE(exec_is_asked_for_before_there_is_anything_to_carry_out),
        CONNECTING_CASE(a_writer_waits_for_a_server_that_does_not_tell_of_its_file),
        CONNECTING_CASE(other_refusals_say_nothing_of_rights),
        CONNECTING_CASE(the_master_is_found_past_dead_and_late_sentinels),
        CONNECTING_CASE(passwords_go_where_they_belong),
        CONNECTING_CASE(the_master_is_looked_up_anew_for_each_connection),
        CONNECTING_CASE(without_a_master_the_last_reason_is_reported),
        CONNECTING_CASE(a_sentinel_that_is_away_hides_no_reason),
        CONNECTING_CASE(one_that_is_not_connected_is_taken_last),
        CONNECTING_CASE(a_connection_that_broke_is_connected_anew_for_its_next_user),
        CONNECTING_CASE(there_are_no_more_connections_than_users_at_once),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
