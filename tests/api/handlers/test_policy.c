/* SPDX-License-Identifier: Apache-2.0 */
/* test_policy.c - events beyond a limit are answered as all others and kept as dead letters; they are judged at the
 * door alone, so that they count when they are pushed again. */
#include "asking.h"

#include "handlers/policy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EARLIEST INT64_C(1142294400000)
#define LATENESS INT64_C(3600000)
#define HOUR     INT64_C(3600000)
#define NOW      WORLD_NOW_MS

static int64_t now_ms; /* of the engine that a case makes for itself */

static int open_world(void **state)
{
    http_world *self = calloc(1, sizeof *self);
    assert_non_null(self);
    world_open(self, NULL);
    *state = self;
    return 0;
}

static int close_world(void **state)
{
    http_world *self = *state;
    policy_free(self->service.policy);
    world_close(self);
    free(self);
    return 0;
}

static void limit(http_world *world, policy_limits limits)
{
    policy_free(world->service.policy);
    world->service.policy = policy_new(&limits, world->engine);
    assert_non_null(world->service.policy);
}

/* Posts a V2 event of bucket "b" with these members: it is accepted. */
static void post(const http_world *world, const char *members)
{
    char body[512];
    (void)snprintf(body, sizeof body, "[{\"operationId\":\"putObject\",\"bucket\":\"b\"%s%s}]",
                   *members != '\0' ? "," : "", members);
    check_answer(ask(world, "POST", "/v2/ingest", body), 200, "");
}

static void post_at(const http_world *world, int64_t time_ms)
{
    char members[64];
    (void)snprintf(members, sizeof members, "\"timestamp\":%lld", (long long)time_ms);
    post(world, members);
}

static utapi_dead_letter_stats letters(const http_world *world)
{
    utapi_health health;
    assert_int_equal(utapi_engine_health(world->engine, &health, NULL), UTAPI_OK);
    return health.letters;
}

/* How many letters there are, and how many ever were for a reason. */
static void check_letters(const http_world *world, utapi_reason reason, uint64_t kept, uint64_t ever)
{
    const utapi_dead_letter_stats stats = letters(world);
    assert_int_equal(stats.kept, kept);
    assert_int_equal(stats.ever[reason], ever);
}

static int64_t objects_put(const http_world *world)
{
    const utapi_string name = utapi_string_of("b");
    utapi_usage usage;
    assert_int_equal(utapi_engine_list(world->engine, UTAPI_BUCKETS, &name, 1,
                                       (utapi_range){0, UTAPI_INTERVAL_MAX}, &usage, NULL),
                     UTAPI_OK);
    return (int64_t)utapi_amounts_get(&usage.flows, UTAPI_FIRST_OPERATION + UTAPI_OP_PUT_OBJECT);
}

static void an_event_of_an_earlier_time_is_kept(void **state)
{
    http_world *world = *state;
    limit(world, (policy_limits){.earliest_ms = EARLIEST});
    post_at(world, EARLIEST);
    check_letters(world, UTAPI_REASON_EARLY, 0, 0);
    post_at(world, EARLIEST - 1);
    post(world, ""); /* it has no time of its own */
    check_letters(world, UTAPI_REASON_EARLY, 1, 1);
    assert_int_equal(objects_put(world), 2);
}

static void an_event_that_comes_too_late_is_kept(void **state)
{
    http_world *world = *state;
    limit(world, (policy_limits){.max_lateness_ms = LATENESS});
    post_at(world, NOW - LATENESS);
    check_letters(world, UTAPI_REASON_LATE, 0, 0);
    post_at(world, NOW - LATENESS - 1);
    post(world, "");
    check_letters(world, UTAPI_REASON_LATE, 1, 1);
    assert_int_equal(objects_put(world), 2);
}

static void an_event_with_too_large_an_amount_is_kept(void **state)
{
    static const char *const within[] = {"\"sizeDelta\":100", "\"sizeDelta\":-100", "\"objectDelta\":100",
                                         "\"incomingBytes\":100", "\"outgoingBytes\":100"};
    static const char *const beyond[] = {"\"sizeDelta\":101",
                                         "\"sizeDelta\":-101",
                                         "\"sizeDelta\":-9223372036854775808",
                                         "\"objectDelta\":101",
                                         "\"objectDelta\":-101",
                                         "\"incomingBytes\":101",
                                         "\"outgoingBytes\":101",
                                         "\"sizeDelta\":9223372036854775807"};
    http_world *world = *state;
    const size_t count = sizeof beyond / sizeof *beyond;
    limit(world, (policy_limits){.max_amount = 100});
    for (size_t i = 0; i < sizeof within / sizeof *within; i++)
        post(world, within[i]);
    check_letters(world, UTAPI_REASON_AMOUNT, 0, 0);
    for (size_t i = 0; i < count; i++)
        post(world, beyond[i]);
    check_letters(world, UTAPI_REASON_AMOUNT, count, count);
    assert_int_equal(objects_put(world), sizeof within / sizeof *within);
}

static void a_limit_of_zero_is_none(void **state)
{
    http_world *world = *state;
    limit(world, (policy_limits){0});
    post(world, "\"timestamp\":0,\"sizeDelta\":-9223372036854775808");
    post_at(world, NOW - 1000 * HOUR);
    assert_int_equal(letters(world).kept, 0);
    assert_int_equal(objects_put(world), 2);
}

static void others_of_the_request_count_and_malformed_ones_refuse_it(void **state)
{
    http_world *world = *state;
    limit(world, (policy_limits){.max_amount = 100});
    check_answer(ask(world, "POST", "/v2/ingest",
                     "[{\"operationId\":\"putObject\",\"bucket\":\"b\",\"sizeDelta\":1,\"uuid\":\"1\"},"
                     "{\"operationId\":\"putObject\",\"bucket\":\"b\",\"sizeDelta\":101,\"uuid\":\"2\"}]"),
                 200, "");
    check_invalid(ask(world, "POST", "/v2/ingest",
                      "[{\"operationId\":\"putObject\",\"bucket\":\"b\",\"sizeDelta\":101},"
                      "{\"operationId\":\"putObject\",\"bucket\":\"b\",\"incomingBytes\":-1}]"),
                  "events[1].incomingBytes: must not be negative");
    check_answer(ask(world, "POST", "/v1/push",
                     "{\"action\":\"putObject\",\"timestamp\":1700000000000,\"params\":{\"bucket\":\"b\","
                     "\"newByteLength\":101,\"oldByteLength\":null}}"),
                 200, "");
    check_letters(world, UTAPI_REASON_AMOUNT, 2, 2);
    assert_int_equal(objects_put(world), 1);
    post(world, "\"sizeDelta\":101,\"uuid\":\"2\""); /* without a timestamp, as before: it is known */
    check_letters(world, UTAPI_REASON_AMOUNT, 2, 2);
}

static void the_first_limit_is_the_reason(void **state)
{
    http_world *world = *state;
    limit(world, (policy_limits){.earliest_ms = EARLIEST, .max_lateness_ms = LATENESS, .max_amount = 100});
    post(world, "\"timestamp\":1,\"sizeDelta\":101");
    check_letters(world, UTAPI_REASON_EARLY, 1, 1);
    post(world, "\"timestamp\":1142294400000,\"sizeDelta\":101");
    check_letters(world, UTAPI_REASON_LATE, 2, 1);
}

static void limits_are_judged_at_the_door_alone(void **state)
{
    http_world *world = *state;
    const utapi_event event = {.operation = UTAPI_OP_PUT_OBJECT,
                               .timestamp_ms = 1,
                               .bucket = utapi_string_of("b"),
                               .storage_delta = 101};
    limit(world, (policy_limits){.earliest_ms = EARLIEST, .max_amount = 100});
    assert_int_equal(utapi_engine_ingest(world->engine, &event, 1, NULL), UTAPI_OK);
    assert_int_equal(objects_put(world), 1);
    post(world, "\"timestamp\":1,\"sizeDelta\":101");
    check_answer(ask(world, "POST", "/_/dead-letters/push", "{\"all\":true}"), 200,
                 "{\"pushed\":1,\"left\":0}");
    check_letters(world, UTAPI_REASON_EARLY, 0, 1);
    assert_int_equal(objects_put(world), 2);
}

/* ---- new names ---------------------------------------------------------------------------- */

static int64_t settable_clock(void *ctx)
{
    (void)ctx;
    return now_ms;
}

/* Whether an event of these names, from 10.0.0.source, is let in. */
static bool let_in(policy *judge, unsigned source, const char *bucket, const char *user)
{
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0A000000U + source)};
    policy_verdict verdict;
    utapi_event event = {.operation = UTAPI_OP_PUT_OBJECT,
                         .timestamp_ms = UTAPI_NO_TIMESTAMP,
                         .bucket = utapi_string_of(bucket),
                         .user = utapi_string_of(user)};
    policy_judge(judge, (const struct sockaddr *)&peer, &event, 1, &verdict);
    if (event.refused == NULL)
        return true;
    char address[32];
    (void)snprintf(address, sizeof address, "10.0.%u.%u", source / 256, source % 256);
    assert_int_equal(event.refused->reason, UTAPI_REASON_NEW_RESOURCE);
    assert_true(utapi_string_equal(event.refused->source, utapi_string_of(address)));
    assert_int_equal(verdict.counts[UTAPI_REASON_NEW_RESOURCE], 1);
    return false;
}

/* An engine whose clock a case sets, on the world's storage. */
static utapi_engine *engine_open(http_world *world)
{
    utapi_engine *engine = NULL;
    utapi_engine_settings settings = utapi_engine_defaults;
    settings.clock = (utapi_clock){settable_clock, settable_clock, NULL};
    now_ms = NOW - NOW % HOUR;
    assert_int_equal(utapi_engine_new(&world->trouble.base, &settings, &engine, NULL), UTAPI_OK);
    return engine;
}

static void new_names_are_limited_by_hour_and_source(void **state)
{
    http_world *world = *state;
    utapi_engine *engine = engine_open(world);
    policy *judge = policy_new(&(policy_limits){.max_new_resources = 3}, engine);
    const utapi_event stored = {
        .operation = UTAPI_OP_PUT_OBJECT, .timestamp_ms = now_ms, .bucket = utapi_string_of("stored")};
    assert_int_equal(utapi_engine_ingest(engine, &stored, 1, NULL), UTAPI_OK);
    assert_true(let_in(judge, 1, "stored", NULL)); /* it is not new */
    assert_true(let_in(judge, 1, "a", "u"));       /* two names */
    assert_true(let_in(judge, 1, "a", "u"));
    assert_false(let_in(judge, 1, "b", "v")); /* two more: none of them is let in */
    assert_true(let_in(judge, 1, "b", NULL));
    assert_false(let_in(judge, 1, "c", NULL));
    assert_true(let_in(judge, 1, "a", "u")); /* what is known counts on */
    assert_true(let_in(judge, 2, "c", NULL));
    assert_true(let_in(judge, 1, "c", NULL)); /* by another's doing */
    now_ms += HOUR - 1;
    assert_false(let_in(judge, 1, "d", NULL));
    now_ms += 1;
    assert_true(let_in(judge, 1, "d", NULL));
    policy_free(judge);
    utapi_engine_free(engine);
}

static void where_the_storage_cannot_tell_a_name_is_new_once(void **state)
{
    http_world *world = *state;
    utapi_engine *engine = engine_open(world);
    world->trouble.ops.admin = NULL;
    policy *judge = policy_new(&(policy_limits){.max_new_resources = 5000}, engine);
    char name[16];
    for (int i = 0; i < 5000; i++) {
        (void)snprintf(name, sizeof name, "%d", i);
        assert_true(let_in(judge, 1, name, NULL));
    }
    assert_false(let_in(judge, 1, "5000", NULL));
    for (int i = 0; i < 5000; i++) {
        (void)snprintf(name, sizeof name, "%d", i);
        assert_true(let_in(judge, 1, name, NULL));
    }
    policy_free(judge);
    utapi_engine_free(engine);
}

static void sources_beyond_a_number_share_a_count(void **state)
{
    http_world *world = *state;
    utapi_engine *engine = engine_open(world);
    policy *judge = policy_new(&(policy_limits){.max_new_resources = 2}, engine);
    char name[24];
    int refused[2] = {0};
    for (int hour = 0; hour < 2; hour++, now_ms += HOUR)
        for (unsigned i = 1; i <= 1000; i++) {
            (void)snprintf(name, sizeof name, "%d %u", hour, i);
            refused[hour] += !let_in(judge, i, name, NULL);
        }
    assert_in_range(refused[0], 500, 998);
    assert_int_equal(refused[1], refused[0]);
    policy_free(judge);
    utapi_engine_free(engine);
}

static void a_name_that_no_level_records_is_not_new(void **state)
{
    http_world *world = *state;
    utapi_engine *engine = NULL;
    utapi_engine_settings settings = utapi_engine_defaults;
    settings.levels = UTAPI_LEVEL_BIT(UTAPI_BUCKETS);
    assert_int_equal(utapi_engine_new(&world->trouble.base, &settings, &engine, NULL), UTAPI_OK);
    policy *judge = policy_new(&(policy_limits){.max_new_resources = 1}, engine);
    assert_true(let_in(judge, 1, "a", "u"));
    assert_true(let_in(judge, 1, "a", "v"));
    assert_false(let_in(judge, 1, "b", NULL));
    policy_free(judge);
    utapi_engine_free(engine);
}

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(an_event_of_an_earlier_time_is_kept),
        IN_WORLD(an_event_that_comes_too_late_is_kept),
        IN_WORLD(an_event_with_too_large_an_amount_is_kept),
        IN_WORLD(a_limit_of_zero_is_none),
        IN_WORLD(others_of_the_request_count_and_malformed_ones_refuse_it),
        IN_WORLD(the_first_limit_is_the_reason),
        IN_WORLD(limits_are_judged_at_the_door_alone),
        IN_WORLD(new_names_are_limited_by_hour_and_source),
        IN_WORLD(where_the_storage_cannot_tell_a_name_is_new_once),
        IN_WORLD(sources_beyond_a_number_share_a_count),
        IN_WORLD(a_name_that_no_level_records_is_not_new),
    };
    return cmocka_run_group_tests_name("http.policy", tests, NULL, NULL);
}
