/* SPDX-License-Identifier: Apache-2.0 */
/* test_read.c - answers from keys as Node clients, scripts and accidents leave them; and who is there at all. */
#include "reading.h"

#include <string.h>

#define T0 INT64_C(1700006400000)

static utapi_status read_one(reading *r, utapi_level level, utapi_string name, utapi_interval interval,
                             utapi_usage *ret)
{
    const utapi_query query = {
        .level = level, .names = &name, .count = 1, .start = interval, .end = interval};
    return utapi_redis_read(&r->backend.base, &query, ret, NULL, &r->err);
}

/* ---- states ------------------------------------------------------------------------------- */

/* A Node database may hold several members at one score: V1 takes the last in the order of their bytes. */
static void states_are_those_of_the_newest_member_until_a_bound(void **state)
{
    reading *r = *state;
    raw(r, "ZADD s3:buckets:b:storageUtilized %lld 50:1111-1 %lld 70:2222-2", T0, T0 + 2 * INTERVAL);
    raw(r, "ZADD s3:buckets:b:numberOfObjects %lld 5:1111-1 %lld 7:2222-2 %lld 9", T0, T0, T0 + INTERVAL);
    static const struct {
        int start, end;
        int64_t bytes[2], objects[2];
    } expected[] = {
        {-2, -1, {0, 0}, {0, 0}},
        {-1, 0, {0, 50}, {0, 7}},
        {0, 1, {50, 50}, {7, 9}},
        {1, 9, {50, 70}, {9, 9}},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const utapi_usage usage =
            query_bucket(r, "b", T0 + expected[i].start * INTERVAL, T0 + expected[i].end * INTERVAL);
        for (int bound = 0; bound < 2; bound++) {
            assert_int_equal(usage.storage_utilized[bound], expected[i].bytes[bound]);
            assert_int_equal(usage.number_of_objects[bound], expected[i].objects[bound]);
        }
    }
}

/* V1 stops at the first state that it reads below zero. */
static void a_node_client_s_state_below_zero_blanks_what_follows(void **state)
{
    reading *r = *state;
    raw(r, "ZADD s3:buckets:b:storageUtilized %lld 50:1111-1 %lld -1:2222-2", T0, T0 + 2 * INTERVAL);
    raw(r, "ZADD s3:buckets:b:numberOfObjects %lld 5:1111-1", T0);
    utapi_usage usage = query_bucket(r, "b", T0, T0 + INTERVAL);
    assert_int_equal(usage.number_of_objects[1], 5);
    usage = query_bucket(r, "b", T0, T0 + 2 * INTERVAL);
    assert_int_equal(usage.storage_utilized[0], 50);
    assert_int_equal(usage.storage_utilized[1], 0);
    assert_int_equal(usage.number_of_objects[0], 0);
    assert_int_equal(usage.number_of_objects[1], 0);
}

static utapi_status query_current(reading *r, utapi_level level, const char *name, utapi_usage *ret)
{
    const utapi_string names[] = {utapi_string_of(name)};
    const utapi_query query = {
        .level = level, .names = names, .count = 1, .start = UTAPI_INTERVAL_MAX, .end = UTAPI_INTERVAL_MAX};
    utapi_error_clear(&r->err);
    return utapi_redis_read(&r->backend.base, &query, ret, NULL, &r->err);
}

/* A Node client's NaN, or a race of two that wrote their members in the wrong order, does not reach the counter. */
static void current_states_are_the_counters(void **state)
{
    reading *r = *state;
    utapi_usage usage;
    write_put(r, "b", r->now_ms);
    raw(r, "INCRBY s3:buckets:b:storageUtilized:counter 41");
    raw(r, "ZADD s3:buckets:b:storageUtilized %lld NaN:node",
        (long long)interval_now(r) + (long long)INTERVAL);
    raw(r, "ZADD s3:buckets:b:numberOfObjects %lld 8:node", (long long)interval_now(r) + (long long)INTERVAL);
    CHECK_OK(query_current(r, UTAPI_BUCKETS, "b", &usage), &r->err);
    assert_int_equal(usage.storage_utilized[0], 42);
    assert_int_equal(usage.storage_utilized[1], 42);
    assert_int_equal(usage.number_of_objects[1], 1);
    raw(r, "SET s3:buckets:b:storageUtilized:counter -3");
    raw(r, "DEL s3:buckets:b:numberOfObjects:counter");
    CHECK_OK(query_current(r, UTAPI_BUCKETS, "b", &usage), &r->err);
    assert_int_equal(usage.storage_utilized[1], -3);
    assert_int_equal(usage.number_of_objects[1], 0);
    raw(r, "INCRBY s3:location:l:locationStorage 17");
    CHECK_OK(query_current(r, UTAPI_LOCATIONS, "l", &usage), &r->err);
    assert_int_equal(usage.storage_utilized[1], 17);
    raw(r, "RPUSH s3:accounts:a:storageUtilized:counter x");
    assert_int_equal(query_current(r, UTAPI_ACCOUNTS, "a", &usage), UTAPI_CORRUPT);
    assert_non_null(strstr(r->err.detail, "s3:accounts:a:storageUtilized:counter: WRONGTYPE"));
}

static void a_member_of_ours_tells_what_is_below_zero(void **state)
{
    reading *r = *state;
    static const struct {
        const char *member;
        int64_t value;
    } expected[] = {
        {"0:1f-2:-123", -123},
        {"0:1f-2:-9223372036854775808", INT64_MIN},
        {"0:1f-2:", 0},
        {"0:1f-2:-1x", 0},
        {"12", 12},
        {"12:uuid", 12},
        {"NaN:uuid", 0},
        {"1.5:uuid", 1},
        {"", 0},
        {":", 0},
        {" 7:uuid", 7},
        {"9223372036854775807:u", INT64_MAX},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        raw(r, "DEL s3:buckets:b:storageUtilized");
        raw(r, "ZADD s3:buckets:b:storageUtilized %lld %s", T0, expected[i].member);
        assert_int_equal(query_bucket(r, "b", T0, T0).storage_utilized[1], expected[i].value);
    }
}

/* A pending correction belongs to every member from its interval on that lies before the cursor. */
static void pending_corrections_are_in_the_answer(void **state)
{
    reading *r = *state;
    for (int i = 2; i <= 6; i += 2)
        raw(r, "ZADD s3:buckets:b:storageUtilized %lld %d:uuid", T0 + i * INTERVAL, i * 10);
    raw(r, "RPUSH s3:buckets:b:+utapid:shifts %b", "o 0 7 1700006400000", (size_t)19);
    char shift[96];
    const int size = snprintf(shift, sizeof shift, "s %lld 1000 %lld", (long long)(T0 + INTERVAL),
                              (long long)(T0 + 6 * INTERVAL));
    raw(r, "RPUSH s3:buckets:b:+utapid:shifts %b", shift, (size_t)size);
    static const int64_t bytes[] = {0, 1000, 1020, 1020, 1040, 1040, 60, 60};
    for (int i = 0; i < 8; i++) {
        const utapi_usage usage = query_bucket(r, "b", T0, T0 + i * INTERVAL);
        assert_int_equal(usage.storage_utilized[1], bytes[i]);
        assert_int_equal(usage.number_of_objects[1], 7);
    }
}

static void a_location_holds_what_its_counter_says_from_the_newest_member_on(void **state)
{
    reading *r = *state;
    raw(r, "SET s3:location:us-east-1:locationStorage 600");
    utapi_usage usage = ask(r, UTAPI_LOCATIONS, "us-east-1", T0, interval_now(r));
    assert_int_equal(usage.storage_utilized[0], 600);
    assert_int_equal(usage.storage_utilized[1], 600);
    /* 500 of ours in two intervals; then Node clients take 100 away. */
    raw(r, "ZADD s3:locations:us-east-1:storageUtilized %lld 650:1-1", T0 + INTERVAL);
    raw(r, "ZADD s3:locations:us-east-1:storageUtilized %lld 1100:1-2", T0 + 2 * INTERVAL);
    raw(r, "SET s3:location:us-east-1:locationStorage 1000");
    usage = ask(r, UTAPI_LOCATIONS, "us-east-1", T0, interval_now(r));
    assert_int_equal(usage.storage_utilized[0], 0);
    assert_int_equal(usage.storage_utilized[1], 1000);
    usage = ask(r, UTAPI_LOCATIONS, "us-east-1", T0 + INTERVAL, T0 + 2 * INTERVAL);
    assert_int_equal(usage.storage_utilized[0], 650);
    assert_int_equal(usage.storage_utilized[1], 1000);
}

/* ---- what should not be there ------------------------------------------------------------- */

static void flows_are_read_as_v1_reads_them(void **state)
{
    reading *r = *state;
    static const struct {
        const char *value;
        int64_t amount;
    } expected[] = {{"12abc", 12}, {"abc", 0}, {"-5", -5}, {"", 0}, {"+3", 3}, {"1e3", 1}, {" 4", 4}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        raw(r, "SET s3:buckets:%lld:b:PutObject %s", T0, expected[i].value);
        const utapi_usage usage = query_bucket(r, "b", T0, T0);
        assert_int_equal(puts_of(&usage), expected[i].amount);
    }
    raw(r, "DEL s3:buckets:%lld:b:PutObject", T0);
    raw(r, "LPUSH s3:buckets:%lld:b:PutObject 5", T0);
    const utapi_usage usage = query_bucket(r, "b", T0, T0);
    assert_int_equal(puts_of(&usage), 0);
}

static void what_cannot_be_read_is_named(void **state)
{
    reading *r = *state;
    utapi_usage usage;
    const utapi_string name = utapi_string_of("b");
    raw(r, "SET s3:buckets:b:numberOfObjects 5");
    assert_int_equal(read_one(r, UTAPI_BUCKETS, name, T0, &usage), UTAPI_CORRUPT);
    assert_non_null(strstr(r->err.detail, "s3:buckets:b:numberOfObjects"));
    utapi_error_clear(&r->err);
    raw(r, "DEL s3:buckets:b:numberOfObjects");
    raw(r, "SET s3:buckets:%lld:b:PutObject 9223372036854775808", T0);
    CHECK_STATUS(UTAPI_OVERFLOW, read_one(r, UTAPI_BUCKETS, name, T0, &usage), &r->err);
    raw(r, "SET s3:buckets:%lld:b:PutObject 1", T0);
    raw(r, "RPUSH s3:buckets:b:+utapid:shifts nonsense");
    CHECK_STATUS(UTAPI_CORRUPT, read_one(r, UTAPI_BUCKETS, name, T0, &usage), &r->err);
    raw(r, "DEL s3:buckets:b:+utapid:shifts");
    raw(r, "SADD s3:location:b:locationStorage text");
    assert_int_equal(read_one(r, UTAPI_LOCATIONS, name, T0, &usage), UTAPI_CORRUPT);
    assert_memory_equal(r->err.detail, "s3:location:b:locationStorage: ", 31);
    utapi_error_clear(&r->err);
    CHECK_OK(read_one(r, UTAPI_BUCKETS, name, T0, &usage), &r->err); /* the connection is still good */
    assert_int_equal(puts_of(&usage), 1);
}

static void sums_go_beyond_64_bits(void **state)
{
    reading *r = *state;
    utapi_usage usage;
    raw(r, "SET s3:buckets:%lld:b:PutObject 9223372036854775807", T0);
    raw(r, "SET s3:buckets:%lld:b:PutObject 1", T0 + INTERVAL);
    const utapi_string name = utapi_string_of("b");
    const utapi_query query = {
        .level = UTAPI_BUCKETS, .names = &name, .count = 1, .start = T0, .end = T0 + DAY - INTERVAL};
    for (int again = 0; again < 2; again++) { /* the second time from a rollup */
        CHECK_OK(utapi_redis_read(&r->backend.base, &query, &usage, NULL, &r->err), &r->err);
        const utapi_wide puts = utapi_amounts_get(&usage.flows, UTAPI_FIRST_OPERATION + UTAPI_OP_PUT_OBJECT);
        assert_true(puts == (utapi_wide)INT64_MAX + 1);
    }
    raw(r, "SET s3:buckets:%lld:b:PutObject -1", T0 + DAY);
    const utapi_query two_days = {
        .level = UTAPI_BUCKETS, .names = &name, .count = 1, .start = T0, .end = T0 + 2 * DAY - INTERVAL};
    CHECK_OK(utapi_redis_read(&r->backend.base, &two_days, &usage, NULL, &r->err), &r->err);
    assert_true(puts_of(&usage) == INT64_MAX);
}

/* ---- names -------------------------------------------------------------------------------- */

static void names_are_opaque(void **state)
{
    reading *r = *state;
    static const char *const names[] = {"a:b",         "a*",         "a[b]",          "a\\",
                                        "caf\xC3\xA9", "counter:1",  "1700006400000", "1700007300000:x",
                                        "a b\"\n",     "utapid:late"};
    enum { COUNT = sizeof names / sizeof *names };
    for (int i = 0; i < COUNT; i++) {
        raw(r, "SET s3:buckets:%lld:%s:PutObject %d", T0, names[i], i + 1);
        raw(r, "ZADD s3:buckets:%s:storageUtilized %lld %d:uuid", names[i], T0, i + 1);
    }
    for (int i = 0; i < COUNT; i++) {
        const utapi_usage usage = query_bucket(r, names[i], T0 - DAY, T0 + 2 * DAY);
        assert_int_equal(puts_of(&usage), i + 1);
        assert_int_equal(usage.storage_utilized[1], i + 1);
    }
}

static void names_that_no_key_can_have_have_no_usage(void **state)
{
    reading *r = *state;
    char longest[UTAPI_NAME_MAX + 1];
    memset(longest, 'n', sizeof longest);
    raw(r, "SET s3:buckets:%lld:%b:PutObject 5", T0, longest, (size_t)UTAPI_NAME_MAX);
    const utapi_string names[] = {{longest, sizeof longest}, {NULL, 0}, {longest, UTAPI_NAME_MAX}};
    const utapi_query query = {.level = UTAPI_BUCKETS, .names = names, .count = 3, .start = T0, .end = T0};
    utapi_usage usage[3];
    CHECK_OK(utapi_redis_read(&r->backend.base, &query, usage, NULL, &r->err), &r->err);
    assert_int_equal(puts_of(&usage[0]) + puts_of(&usage[1]), 0);
    assert_int_equal(puts_of(&usage[2]), 5);
}

static void an_expired_time_does_not_count(void **state)
{
    reading *r = *state;
    for (int i = 0; i < 4 * 96; i++)
        raw_flow(r, "b", T0 + i * INTERVAL, "PutObject", 1);
    utapi_usage usage = query_bucket(r, "b", T0, T0 + 4 * DAY - INTERVAL);
    assert_int_equal(puts_of(&usage), 4 * 96);
    assert_int_equal(usage.expired_ms, 0);
    raw(r, "SET s3:buckets:b:+utapid:gone %lld", T0 + 2 * DAY + 5 * INTERVAL + 7);
    usage =
        query_bucket(r, "b", T0, T0 + 4 * DAY - INTERVAL); /* its own interval was cleared, if it is gone */
    assert_int_equal(puts_of(&usage), 2 * 96 - 5);
    assert_int_equal(usage.expired_ms, T0 + 2 * DAY + 5 * INTERVAL + 7);
}

/* ---- fences, and a Redis that is away ----------------------------------------------------- */

static void each_name_comes_with_the_fence_of_its_snapshot(void **state)
{
    reading *r = *state;
    redis_key key;
    const utapi_string names[] = {{NULL, 0}, utapi_string_of("b"), utapi_string_of("c")};
    utapi_query query = {
        .level = UTAPI_BUCKETS, .names = names, .count = 3, .start = T0, .end = T0, .writer = {7}};
    utapi_usage usage[3];
    uint64_t fences[3] = {99, 99, 99};
    CHECK_OK(utapi_redis_read(&r->backend.base, &query, usage, fences, &r->err), &r->err);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(fences[i], 0);
    utapi_redis_key_fence(&key, "s3", query.writer);
    raw(r, "SET %b 12", key.bytes, key.size);
    for (query.count = 0; query.count <= 3; query.count++) {
        memset(fences, 0, sizeof fences);
        CHECK_OK(utapi_redis_read(&r->backend.base, &query, usage, fences, &r->err), &r->err);
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(fences[i], i < query.count || i == 0 ? 12 : 0);
    }
    query.count = 1;
    memset(query.writer, 0, sizeof query.writer);
    CHECK_OK(utapi_redis_read(&r->backend.base, &query, usage, fences, &r->err), &r->err);
    assert_int_equal(fences[0], 0);
    raw(r, "SET %b unfenced", key.bytes, key.size);
    query.writer[0] = 7;
    CHECK_STATUS(UTAPI_CORRUPT, utapi_redis_read(&r->backend.base, &query, usage, fences, &r->err), &r->err);
}

static void a_fence_never_expires(void **state)
{
    reading *r = *state;
    redis_key key;
    utapi_applied applied;
    utapi_batch batch = {.now_ms = r->now_ms, .fence = {.writer = {7}, .to = 2}};
    CHECK_OK(utapi_redis_apply(&r->backend.base, &batch, &applied, &r->err), &r->err);
    utapi_redis_key_fence(&key, "s3", batch.fence.writer);
    assert_int_equal(raw_number(r, "PTTL %b", key.bytes, key.size), -1);

    raw(r, "PEXPIRE %b 315360000000", key.bytes, key.size); /* as older versions of utapid did */
    batch.fence.from = 2;
    batch.fence.to = 3;
    CHECK_OK(utapi_redis_apply(&r->backend.base, &batch, &applied, &r->err), &r->err);
    assert_int_equal(raw_number(r, "PTTL %b", key.bytes, key.size), -1);
    assert_int_equal(raw_number(r, "GET %b", key.bytes, key.size), 3);
}

static void a_connection_that_was_closed_meanwhile_is_made_again(void **state)
{
    reading *r = *state;
    utapi_usage usage;
    const utapi_string name = utapi_string_of("b");
    raw_flow(r, "b", T0, "PutObject", 3);
    CHECK_OK(read_one(r, UTAPI_BUCKETS, name, T0, &usage), &r->err);
    raw(r, "CLIENT KILL TYPE normal SKIPME yes");
    usage = query_bucket(r, "b", T0, T0);
    assert_int_equal(puts_of(&usage), 3);
}

static void a_redis_that_is_away_answers_nothing(void **state)
{
    reading *r = *state;
    utapi_usage usage;
    const utapi_string name = utapi_string_of("b");
    CHECK_OK(read_one(r, UTAPI_BUCKETS, name, T0, &usage), &r->err);
    redis_server_stop(&r->server);
    for (int i = 0; i < 3; i++)
        CHECK_STATUS(UTAPI_UNAVAILABLE, read_one(r, UTAPI_BUCKETS, name, T0, &usage), &r->err);
}

/* ---- who is there ------------------------------------------------------------------------- */

enum { MET_MAX = 16 };

typedef struct listed {
    char names[MET_MAX][64];
    size_t count, stop_after;
} listed;

static bool meet(void *ctx, utapi_string name)
{
    listed *all = ctx;
    assert_true(all->count < MET_MAX);
    snprintf(all->names[all->count++], sizeof all->names[0], "%.*s", (int)name.size, name.data);
    return all->count != all->stop_after;
}

static size_t listed_times(const listed *all, const char *name)
{
    size_t times = 0;
    for (size_t i = 0; i < all->count; i++)
        times += strcmp(all->names[i], name) == 0;
    return times;
}

static void list_level(reading *r, utapi_level level, listed *ret)
{
    ret->count = 0;
    CHECK_OK(utapi_redis_list(&r->backend.base, level, meet, ret, &r->err), &r->err);
}

static void each_resource_is_listed_once(void **state)
{
    reading *r = *state;
    listed all = {.stop_after = 0};
    list_level(r, UTAPI_BUCKETS, &all);
    assert_int_equal(all.count, 0);
    for (int i = 0; i < 2000; i++) /* more than a step of a SCAN */
        raw_flow(r, "flows", T0 + i * INTERVAL, "PutObject", 1);
    raw(r, "SET s3:buckets:counter:1:storageUtilized:counter 1");
    raw(r, "SET s3:buckets:%lld:counter:1:PutObject 1", T0);
    raw(r, "ZADD s3:buckets:1700006400000:numberOfObjects 0 1:uuid");
    raw(r, "SET s3:buckets:%lld:1700006400000:GetObject 1", T0);
    raw(r, "SET s3:buckets:%lld:1700007300000:x:incomingBytes 1", T0);
    raw(r, "SET s3:buckets:epoch:PutObject 1");
    raw(r, "SET s3:accounts:%lld:account:PutObject 1", T0);
    raw(r, "SET s3:buckets:own:+utapid:since 1"); /* no sign of life */
    raw(r, "SET other:buckets:own:storageUtilized:counter 1");
    list_level(r, UTAPI_BUCKETS, &all);
    assert_int_equal(all.count, 5);
    static const char *const names[] = {"flows", "counter:1", "1700006400000", "1700007300000:x", "epoch"};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(listed_times(&all, names[i]), 1);
    list_level(r, UTAPI_ACCOUNTS, &all);
    assert_int_equal(all.count, 1);
    all.stop_after = 2;
    list_level(r, UTAPI_BUCKETS, &all);
    assert_int_equal(all.count, 2);
}

static void flows_of_an_expired_time_are_no_sign_of_life(void **state)
{
    reading *r = *state;
    listed all = {.stop_after = 0};
    raw_flow(r, "b", T0, "PutObject", 1);
    raw_flow(r, "again", T0, "PutObject", 1);
    raw_flow(r, "again", T0 + 5 * INTERVAL, "PutObject", 1);
    raw(r, "MSET s3:buckets:b:+utapid:gone %lld s3:buckets:again:+utapid:gone %lld", T0 + INTERVAL,
        T0 + INTERVAL);
    list_level(r, UTAPI_BUCKETS, &all);
    assert_int_equal(all.count, 1);
    assert_int_equal(listed_times(&all, "again"), 1);
}

static void locations_are_known_by_node_clients_keys_too(void **state)
{
    reading *r = *state;
    listed all = {.stop_after = 0};
    raw(r, "SET s3:location:a:b:locationStorage 1");
    raw(r, "ZADD s3:locations:us-east-1:storageUtilized %lld 1:1-1", T0);
    raw(r, "SET s3:location:us-east-1:locationStorage 1");
    list_level(r, UTAPI_LOCATIONS, &all);
    assert_int_equal(all.count, 2);
    assert_int_equal(listed_times(&all, "a:b"), 1);
}

/* What a pattern gives a meaning to may stand in the prefix. */
static void a_prefix_means_itself(void **state)
{
    reading *r = *state;
    listed all = {.stop_after = 0};
    char *before = r->backend.uri.prefix;
    char prefix[] = "s[3]*?^-\\";
    r->backend.uri.prefix = prefix;
    raw(r, "SET %s:buckets:mine:storageUtilized:counter 1", prefix);
    raw(r, "SET %s:buckets:%lld:mine:PutObject 4", prefix, T0);
    raw(r, "SET s3:buckets:theirs:storageUtilized:counter 1");
    list_level(r, UTAPI_BUCKETS, &all);
    const utapi_usage usage = query_bucket(r, "mine", T0 - DAY, T0 + DAY);
    r->backend.uri.prefix = before;
    assert_int_equal(all.count, 1);
    assert_int_equal(listed_times(&all, "mine"), 1);
    assert_int_equal(puts_of(&usage), 4);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        READING_CASE(states_are_those_of_the_newest_member_until_a_bound),
        READING_CASE(a_node_client_s_state_below_zero_blanks_what_follows),
        READING_CASE(current_states_are_the_counters),
        READING_CASE(a_member_of_ours_tells_what_is_below_zero),
        READING_CASE(pending_corrections_are_in_the_answer),
        READING_CASE(a_location_holds_what_its_counter_says_from_the_newest_member_on),
        READING_CASE(flows_are_read_as_v1_reads_them),
        READING_CASE(what_cannot_be_read_is_named),
        READING_CASE(sums_go_beyond_64_bits),
        READING_CASE(names_are_opaque),
        READING_CASE(names_that_no_key_can_have_have_no_usage),
        READING_CASE(an_expired_time_does_not_count),
        READING_CASE(each_name_comes_with_the_fence_of_its_snapshot),
        READING_CASE(a_fence_never_expires),
        READING_CASE(a_connection_that_was_closed_meanwhile_is_made_again),
        READING_CASE(a_redis_that_is_away_answers_nothing),
        READING_CASE(each_resource_is_listed_once),
        READING_CASE(flows_of_an_expired_time_are_no_sign_of_life),
        READING_CASE(locations_are_known_by_node_clients_keys_too),
        READING_CASE(a_prefix_means_itself),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
