/* SPDX-License-Identifier: Apache-2.0 */
/* test_generator.c - what is sent: the same for the same seed, each bucket once in a rollover, and texts of the right
 * length. */
#include "check.h"
#include "http_text.h"
#include "utapi/interval.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ORIGIN = 1900000 }; /* an interval of our time, for texts have room for 13 digits */

static const bench_workload some = {.name = "some",
                                    .kind = BENCH_INGEST,
                                    .clients = 1,
                                    .batch = 10,
                                    .buckets = 50,
                                    .history = 1,
                                    .uuids = true};

static bench_generator generator_of(const bench_workload *workload, uint64_t seed)
{
    return (bench_generator){
        .workload = workload, .origin_ms = ORIGIN * UTAPI_INTERVAL_MS, .random = seed, .uuid_salt = seed + 7};
}

static void a_seed_gives_the_same_events_again(void **state)
{
    (void)state;
    bench_generator first = generator_of(&some, 1);
    bench_generator again = generator_of(&some, 1);
    bench_generator other = generator_of(&some, 2);
    unsigned differences = 0;
    bench_generator_measure(&first);
    bench_generator_measure(&again);
    bench_generator_measure(&other);
    for (unsigned i = 0; i < 100; i++) {
        bench_item items[3];
        bench_generator_item(&first, &items[0]);
        bench_generator_item(&again, &items[1]);
        bench_generator_item(&other, &items[2]);
        assert_memory_equal(&items[0], &items[1], sizeof items[0]);
        differences += memcmp(&items[0], &items[2], sizeof items[0]) != 0;
    }
    assert_int_equal(differences, 100);
}

static void time_passes_from_one_repetition_to_the_next(void **state)
{
    (void)state;
    bench_generator generator = generator_of(&some, 1);
    bench_item item;
    bench_generator_measure(&generator);
    for (unsigned i = 0; i < 100; i++)
        bench_generator_item(&generator, &item);
    const int64_t last_ms = item.time_ms;
    bench_generator_measure(&generator);
    bench_generator_item(&generator, &item);
    assert_true(item.time_ms > last_ms);
}

static void a_rollover_touches_each_bucket_once(void **state)
{
    (void)state;
    bench_workload turn = some;
    bool is_touched[50] = {false};
    bench_request request;
    int64_t last_ms = 0;
    turn.kind = BENCH_ROLLOVER;
    turn.batch = 7;
    bench_generator generator = generator_of(&turn, 1);
    bench_generator_measure(&generator);
    while (bench_generator_next(&generator, &request)) {
        for (unsigned i = 0; i < request.item_count; i++) {
            bench_item item;
            bench_generator_item(&generator, &item);
            assert_in_range(item.bucket, 0, 49);
            assert_false(is_touched[item.bucket]);
            is_touched[item.bucket] = true;
            assert_int_equal(item.time_ms / UTAPI_INTERVAL_MS, ORIGIN + 1);
            assert_true(item.time_ms >= last_ms); /* time passes */
            last_ms = item.time_ms;
        }
    }
    for (unsigned i = 0; i < 50; i++)
        assert_true(is_touched[i]);
}

static void a_filling_has_a_row_for_each_bucket_and_interval_in_the_order_of_time(void **state)
{
    (void)state;
    bench_workload filled = some;
    bench_request request;
    int64_t last_ms = 0;
    unsigned count = 0;
    filled.history = 3;
    bench_generator generator = generator_of(&filled, 1);
    bench_generator_fill(&generator);
    while (bench_generator_next(&generator, &request)) {
        for (unsigned i = 0; i < request.item_count; i++, count++) {
            bench_item item;
            bench_generator_item(&generator, &item);
            assert_true(item.time_ms >= last_ms);
            last_ms = item.time_ms;
            assert_int_equal(item.bucket, count % 50);
        }
    }
    assert_int_equal(count, 150);
    assert_int_equal(utapi_interval_of(last_ms), generator.origin_ms);
}

static void a_request_s_text_is_whole_json_of_the_length_that_it_says(void **state)
{
    (void)state;
    const http_endpoint target = {.host = "127.0.0.1", .port = 8100};
    utapi_error err;
    ingest_text text = {.data = NULL};
    bench_generator generator = generator_of(&some, 1);
    bench_generator_measure(&generator);
    CHECK_OK(ingest_text_lay_out(&text, &target, 3, true, &err), &err);
    bench_item item = {0};
    bench_accounts accounts;
    bench_accounts_make(&accounts);
    for (unsigned i = 0; i < 3; i++) {
        bench_generator_item(&generator, &item);
        ingest_text_put(&text, i, &item, &accounts);
    }
    char *copy = strndup(text.data, text.size);
    assert_non_null(copy);
    const char *body = strstr(copy, "\r\n\r\n") + 4;
    const char *length = strstr(copy, "Content-Length: ");
    assert_non_null(length);
    assert_int_equal(strtoll(length + sizeof "Content-Length: " - 1, NULL, 10), strlen(body));
    char expected[128];
    snprintf(expected, sizeof expected, "\"bucket\":\"" BENCH_BUCKET_FORMAT "\"", item.bucket);
    assert_non_null(strstr(body, expected));
    snprintf(expected, sizeof expected, "\"sizeDelta\":%u,\"incomingBytes\":%u,", item.size_bytes,
             item.size_bytes);
    assert_non_null(strstr(body, expected));
    snprintf(expected, sizeof expected, "%.32s\",\"timestamp\":%lld,\"uuid\":\"",
             accounts.ids[bench_account_of(item.bucket)] + BENCH_ACCOUNT_SIZE - 32, (long long)item.time_ms);
    assert_non_null(strstr(body, expected));
    assert_string_equal(body + strlen(body) - 3, "\"}]");
    free(copy);
    ingest_text_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_gives_the_same_events_again),
        cmocka_unit_test(time_passes_from_one_repetition_to_the_next),
        cmocka_unit_test(a_rollover_touches_each_bucket_once),
        cmocka_unit_test(a_filling_has_a_row_for_each_bucket_and_interval_in_the_order_of_time),
        cmocka_unit_test(a_request_s_text_is_whole_json_of_the_length_that_it_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
