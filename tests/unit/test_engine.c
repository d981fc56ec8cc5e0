/* SPDX-License-Identifier: Apache-2.0 */
/* test_engine.c - what the engine hands to storage, whom it tells what, and what it does with answers. */
#include "check.h"
#include "fake_backend.h"
#include "utapi/engine.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const int64_t now_ms = 1700006462313;
static utapi_error err;

typedef struct fixture {
    fake_backend fake;
    utapi_engine_settings settings;
    utapi_engine *engine;
    int64_t wall_ms, monotonic_ms;
} fixture;

static int64_t test_wall_ms(void *ctx)
{
    return ((fixture *)ctx)->wall_ms;
}

static int64_t test_steady_ms(void *ctx)
{
    return ((fixture *)ctx)->monotonic_ms;
}

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    fake_backend_init(&f->fake);
    f->wall_ms = now_ms;
    f->monotonic_ms = 1000;
    f->settings = utapi_engine_defaults;
    f->settings.clock = (utapi_clock){.wall_ms = test_wall_ms, .monotonic_ms = test_steady_ms, .ctx = f};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    utapi_engine_free(f->engine);
    free(f);
    return 0;
}

static utapi_engine *start(fixture *f)
{
    CHECK_OK(utapi_engine_new(&f->fake.base, &f->settings, &f->engine, &err), &err);
    return f->engine;
}

static utapi_event put(int64_t bytes)
{
    return (utapi_event){
        .operation = UTAPI_OP_PUT_OBJECT,
        .timestamp_ms = now_ms,
        .bucket = utapi_string_of("photos"),
        .account = utapi_string_of("canonical"),
        .storage_delta = bytes,
        .object_delta = 1,
    };
}

static bool counts_at(const fixture *f, utapi_level level)
{
    return f->fake.last.resource[level].size != 0;
}

static void an_event_counts_for_each_level_that_it_names_and_the_service(void **state)
{
    fixture *f = *state;
    const utapi_event event = put(5);
    CHECK_OK(utapi_engine_ingest(start(f), &event, 1, &err), &err);
    assert_true(counts_at(f, UTAPI_BUCKETS) && counts_at(f, UTAPI_ACCOUNTS) && counts_at(f, UTAPI_SERVICE));
    assert_false(counts_at(f, UTAPI_USERS) || counts_at(f, UTAPI_LOCATIONS));
    assert_int_equal(f->fake.last.operation, UTAPI_OP_PUT_OBJECT);
    assert_int_equal(f->fake.last.time_ms, now_ms);
    assert_int_equal(f->fake.last.uuid_time_ms, now_ms);
}

static void an_event_without_a_time_counts_now(void **state)
{
    fixture *f = *state;
    utapi_event event = put(5);
    event.timestamp_ms = UTAPI_NO_TIMESTAMP;
    CHECK_OK(utapi_engine_ingest(start(f), &event, 1, &err), &err);
    assert_int_equal(f->fake.last.time_ms, now_ms);
    assert_int_equal(f->fake.last.uuid_time_ms, 0);
}

static void a_location_metric_counts_at_its_location_alone(void **state)
{
    fixture *f = *state;
    const utapi_event event = {.operation = UTAPI_OP_NONE,
                               .timestamp_ms = now_ms,
                               .location = utapi_string_of("here"),
                               .bucket = utapi_string_of("photos"),
                               .location_only = true};
    CHECK_OK(utapi_engine_ingest(start(f), &event, 1, &err), &err);
    assert_true(counts_at(f, UTAPI_LOCATIONS));
    assert_false(counts_at(f, UTAPI_BUCKETS) || counts_at(f, UTAPI_SERVICE));
    utapi_engine_free(f->engine);

    f->settings.levels = UTAPI_LEVEL_BIT(UTAPI_BUCKETS); /* whatever is recorded */
    CHECK_OK(utapi_engine_ingest(start(f), &event, 1, &err), &err);
    assert_true(counts_at(f, UTAPI_LOCATIONS));
    assert_false(counts_at(f, UTAPI_BUCKETS));
}

static void only_configured_levels_and_operations_are_recorded(void **state)
{
    fixture *f = *state;
    f->settings.levels = UTAPI_LEVEL_BIT(UTAPI_BUCKETS);
    f->settings.operations = UTAPI_OPERATION_BIT(UTAPI_OP_GET_OBJECT);
    const utapi_event event = put(5);
    CHECK_OK(utapi_engine_ingest(start(f), &event, 1, &err), &err);
    assert_true(counts_at(f, UTAPI_BUCKETS));
    assert_false(counts_at(f, UTAPI_ACCOUNTS) || counts_at(f, UTAPI_SERVICE));
    assert_int_equal(f->fake.last.operation, UTAPI_OP_NONE);
    assert_int_equal(f->fake.last.delta[UTAPI_STORAGE_UTILIZED], 5);

    const utapi_string name = utapi_string_of("canonical");
    utapi_usage usage;
    f->fake.read_storage = 7;
    CHECK_OK(utapi_engine_list(f->engine, UTAPI_ACCOUNTS, &name, 1, utapi_range_recent(now_ms), &usage, &err),
             &err);
    assert_int_equal(usage.storage_utilized[1], 0);
}

static void a_deleted_bucket_expires_as_configured(void **state)
{
    fixture *f = *state;
    utapi_event event = put(0);
    event.operation = UTAPI_OP_DELETE_BUCKET;
    CHECK_OK(utapi_engine_ingest(start(f), &event, 1, &err), &err);
    assert_int_equal(f->fake.last.expiry, UTAPI_EXPIRE_NEVER);
    utapi_engine_free(f->engine);

    f->settings.expire_metrics = true;
    CHECK_OK(utapi_engine_ingest(start(f), &event, 1, &err), &err);
    assert_int_equal(f->fake.last.expiry, UTAPI_EXPIRE_NOW);
    utapi_engine_free(f->engine);

    f->settings.expire_ttl_ms = 3600000;
    f->settings.operations = 0; /* an expiry needs no counter */
    CHECK_OK(utapi_engine_ingest(start(f), &event, 1, &err), &err);
    assert_int_equal(f->fake.last.expiry, UTAPI_EXPIRE_LATER);
    assert_int_equal(f->fake.last.expire_at_ms, now_ms + 3600000);
}

static void ignore_outcome(void *ctx, utapi_status status, const utapi_error *outcome_err)
{
    (void)ctx;
    (void)status;
    (void)outcome_err;
}

static void a_scheduled_expiry_is_never_due_within_its_own_group(void **state)
{
    fixture *f = *state;
    f->settings.expire_metrics = true;
    f->settings.expire_ttl_ms = 1000;
    utapi_event events[2] = {put(0), put(0)};
    events[1].operation = UTAPI_OP_DELETE_BUCKET;
    start(f);
    fake_backend_hold(&f->fake, true);
    CHECK_OK(utapi_engine_submit(f->engine, &events[0], 1, ignore_outcome, NULL, &err), &err);
    fake_backend_wait_applies(&f->fake, 1);
    CHECK_OK(utapi_engine_submit(f->engine, &events[1], 1, ignore_outcome, NULL, &err), &err);
    f->wall_ms += 5000;
    f->monotonic_ms += 5000;
    fake_backend_hold(&f->fake, false);
    utapi_engine_free(f->engine);
    f->engine = NULL;
    assert_int_equal(f->fake.last.expire_at_ms, now_ms + 5001);
}

static void what_expires_a_bucket_is_put_in_the_order_of_time(void **state)
{
    fixture *f = *state;
    f->settings.expire_metrics = true;
    utapi_event events[2] = {put(1), put(0)};
    events[0].timestamp_ms = now_ms;
    events[1].timestamp_ms = now_ms - 5;
    events[1].operation = UTAPI_OP_DELETE_BUCKET;
    CHECK_OK(utapi_engine_ingest(start(f), events, 2, &err), &err);
    assert_int_equal(f->fake.last.time_ms, now_ms);
}

/* The sender's first event may be another one then. */
static void the_place_of_a_guilty_event_is_told_only_in_the_order_of_its_sender(void **state)
{
    fixture *f = *state;
    f->settings.expire_metrics = true;
    utapi_event events[2] = {put(1), put(0)};
    f->fake.answer = UTAPI_OVERFLOW;
    assert_int_equal(utapi_engine_ingest(start(f), events, 2, &err), UTAPI_OVERFLOW);
    assert_int_equal(err.index, 0);
    utapi_error_clear(&err);
    events[1].operation = UTAPI_OP_DELETE_BUCKET;
    events[1].timestamp_ms = now_ms - 5;
    assert_int_equal(utapi_engine_ingest(f->engine, events, 2, &err), UTAPI_OVERFLOW);
    assert_true(err.index == UTAPI_NO_INDEX);
    assert_string_equal(err.detail, "as told");
    utapi_error_clear(&err);
}

static void one_invalid_event_refuses_the_request_and_is_blamed(void **state)
{
    fixture *f = *state;
    utapi_event events[3] = {put(1), put(2), put(3)};
    events[2].incoming_bytes = -1;
    assert_int_equal(utapi_engine_ingest(start(f), events, 3, &err), UTAPI_INVALID);
    assert_int_equal(err.index, 2);
    assert_string_equal(err.detail, "incomingBytes: must not be negative");
    utapi_error_clear(&err);
    assert_int_equal(f->fake.applies, 0);
}

static void nothing_is_at_once_done(void **state)
{
    fixture *f = *state;
    CHECK_OK(utapi_engine_ingest(start(f), NULL, 0, &err), &err);
    assert_int_equal(f->fake.applies, 0);
}

/* ---- groups ------------------------------------------------------------------------------- */

typedef struct answers {
    atomic_size_t done;
    utapi_status status[64];
} answers;

typedef struct answer_slot {
    answers *all;
    size_t index;
} answer_slot;

static void on_answer(void *ctx, utapi_status status, const utapi_error *answer_err)
{
    (void)answer_err;
    const answer_slot *slot = ctx;
    slot->all->status[slot->index] = status;
    atomic_fetch_add(&slot->all->done, 1);
}

/* Holds storage with a first request, lets the others gather behind it, then lets go. */
static void submit_as_one_group(fixture *f, const utapi_event *events, size_t count, answers *all,
                                answer_slot *slots)
{
    const utapi_event opener = put(0);
    static answers first;
    atomic_store(&first.done, 0);
    static answer_slot first_slot = {.all = &first};
    fake_backend_hold(&f->fake, true);
    CHECK_OK(utapi_engine_submit(f->engine, &opener, 1, on_answer, &first_slot, &err), &err);
    fake_backend_wait_applies(&f->fake, 1);
    for (size_t i = 0; i < count; i++) {
        slots[i] = (answer_slot){.all = all, .index = i};
        CHECK_OK(utapi_engine_submit(f->engine, &events[i], 1, on_answer, &slots[i], &err), &err);
    }
    fake_backend_hold(&f->fake, false);
    utapi_engine_free(f->engine); /* answers all that waits */
    f->engine = NULL;
    assert_int_equal(atomic_load(&first.done), 1);
    assert_int_equal(atomic_load(&all->done), count);
}

static void what_gathers_behind_a_slow_commit_is_one_group(void **state)
{
    fixture *f = *state;
    start(f);
    utapi_event events[64];
    answer_slot slots[64];
    answers all = {.done = 0};
    for (size_t i = 0; i < 64; i++)
        events[i] = put(1);
    submit_as_one_group(f, events, 64, &all, slots);
    assert_int_equal(f->fake.applies, 2);
    assert_int_equal(f->fake.largest_batch, 64);
    for (size_t i = 0; i < 64; i++)
        assert_int_equal(all.status[i], UTAPI_OK);
}

static void a_storage_that_fails_fails_the_whole_group(void **state)
{
    fixture *f = *state;
    start(f);
    f->fake.answer = UTAPI_UNCERTAIN;
    utapi_event events[3] = {put(1), put(2), put(3)};
    answer_slot slots[3];
    answers all = {.done = 0};
    submit_as_one_group(f, events, 3, &all, slots);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(all.status[i], UTAPI_UNCERTAIN);
    assert_int_equal(f->fake.applies, 2);
}

static void a_full_queue_is_answered_at_once(void **state)
{
    fixture *f = *state;
    f->settings.queue_events = 2;
    start(f);
    const utapi_event event = put(1);
    answers all = {.done = 0};
    answer_slot slots[3] = {{&all, 0}, {&all, 1}, {&all, 2}};
    fake_backend_hold(&f->fake, true);
    CHECK_OK(utapi_engine_submit(f->engine, &event, 1, on_answer, &slots[0], &err), &err);
    fake_backend_wait_applies(&f->fake, 1); /* it has left the queue */
    CHECK_OK(utapi_engine_submit(f->engine, &event, 1, on_answer, &slots[1], &err), &err);
    CHECK_OK(utapi_engine_submit(f->engine, &event, 1, on_answer, &slots[2], &err), &err);
    CHECK_STATUS(UTAPI_UNAVAILABLE, utapi_engine_submit(f->engine, &event, 1, on_answer, &slots[2], &err),
                 &err);
    fake_backend_hold(&f->fake, false);
    utapi_engine_free(f->engine);
    f->engine = NULL;
    assert_int_equal(atomic_load(&all.done), 3);
}

/* One request alone may be larger than the queue; behind it nothing has room. */
static void nothing_waits_behind_a_request_that_is_larger_than_the_queue(void **state)
{
    enum { LARGER = 5 };
    fixture *f = *state;
    f->settings.queue_events = 2;
    start(f);
    const utapi_event events[LARGER] = {put(1), put(1), put(1), put(1), put(1)};
    answers all = {.done = 0};
    answer_slot slots[2] = {{&all, 0}, {&all, 1}};
    fake_backend_hold(&f->fake, true);
    CHECK_OK(utapi_engine_submit(f->engine, events, 1, on_answer, &slots[0], &err), &err);
    fake_backend_wait_applies(&f->fake, 1);
    CHECK_OK(utapi_engine_submit(f->engine, events, LARGER, on_answer, &slots[1], &err), &err);
    CHECK_STATUS(UTAPI_UNAVAILABLE, utapi_engine_submit(f->engine, events, 1, on_answer, &slots[1], &err),
                 &err);
    CHECK_STATUS(UTAPI_UNAVAILABLE,
                 utapi_engine_submit(f->engine, events, LARGER, on_answer, &slots[1], &err), &err);
    fake_backend_hold(&f->fake, false);
    utapi_engine_free(f->engine);
    f->engine = NULL;
    assert_int_equal(atomic_load(&all.done), 2);
}

static void a_stepped_wall_clock_does_not_move_the_window(void **state)
{
    fixture *f = *state;
    const utapi_event event = put(1);
    CHECK_OK(utapi_engine_ingest(start(f), &event, 1, &err), &err);
    assert_int_equal(f->fake.last_accepted_ms, now_ms);
    f->wall_ms += 86400000;
    f->monotonic_ms += 10;
    CHECK_OK(utapi_engine_ingest(f->engine, &event, 1, &err), &err);
    assert_int_equal(f->fake.last_accepted_ms, now_ms + 10);
}

static void an_idle_engine_maintains_its_storage(void **state)
{
    fixture *f = *state;
    start(f);
    pthread_mutex_lock(&f->fake.lock);
    while (f->fake.maintained == 0)
        pthread_cond_wait(&f->fake.changed, &f->fake.lock);
    pthread_mutex_unlock(&f->fake.lock);
}

/* ---- health ------------------------------------------------------------------------------- */

/* Takes an event, and returns what is told afterwards. */
static utapi_health health_after(fixture *f, int64_t bytes, utapi_status outcome)
{
    const utapi_event event = put(bytes);
    utapi_health health;
    CHECK_STATUS(outcome, utapi_engine_ingest(f->engine, &event, 1, &err), &err);
    CHECK_OK(utapi_engine_health(f->engine, &health, &err), &err);
    return health;
}

static void what_cannot_be_stored_is_told_until_something_is(void **state)
{
    static const utapi_status failures[] = {UTAPI_UNAVAILABLE, UTAPI_UNCERTAIN};
    fixture *f = *state;
    f->fake.is_well = true;
    start(f);
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
        f->fake.answer = failures[i];
        const utapi_health failed = health_after(f, 1, failures[i]);
        assert_true(failed.refuses);
        assert_string_equal(failed.warning, "as told");
        f->fake.answer = UTAPI_OK;
        const utapi_health stored = health_after(f, 1, UTAPI_OK);
        assert_false(stored.refuses);
        assert_string_equal(stored.warning, "");
    }
}

static void a_failure_is_reported_for_ten_seconds(void **state)
{
    fixture *f = *state;
    utapi_health health;
    f->fake.is_well = true;
    f->fake.answer = UTAPI_UNAVAILABLE;
    start(f);
    assert_true(health_after(f, 1, UTAPI_UNAVAILABLE).refuses);
    f->monotonic_ms += 9999;
    CHECK_OK(utapi_engine_health(f->engine, &health, &err), &err);
    assert_true(health.refuses);
    f->monotonic_ms += 1;
    CHECK_OK(utapi_engine_health(f->engine, &health, &err), &err);
    assert_false(health.refuses);
    assert_string_equal(health.warning, "");
    assert_true(health.recovering); /* whatever the time, nothing shows that events can be stored again */
    assert_true(health_after(f, 1, UTAPI_UNAVAILABLE).refuses);
    f->fake.answer = UTAPI_OK;
    assert_false(health_after(f, 1, UTAPI_OK).recovering);
}

static void a_request_that_is_wrong_itself_is_no_failure(void **state)
{
    fixture *f = *state;
    f->fake.is_well = true;
    start(f);
    assert_false(health_after(f, INT64_MAX, UTAPI_OK).refuses);
    assert_false(health_after(f, 1, UTAPI_OVERFLOW).refuses);
    f->fake.answer = UTAPI_INVALID;
    assert_false(health_after(f, 0, UTAPI_INVALID).refuses);
    f->fake.answer = UTAPI_UNAVAILABLE;
    assert_true(health_after(f, 0, UTAPI_UNAVAILABLE).refuses);
    assert_true(health_after(f, 1, UTAPI_OVERFLOW).refuses); /* nor does it show that there is none */
}

/* ---- questions ---------------------------------------------------------------------------- */

static void a_question_is_asked_by_intervals_and_clamped(void **state)
{
    fixture *f = *state;
    start(f);
    f->fake.read_storage = -5;
    const utapi_string names[2] = {utapi_string_of("a"), utapi_string_of("b")};
    utapi_usage usage[2];
    const utapi_range range = {.start_ms = 1700006400000, .end_ms = 1700010902234};
    CHECK_OK(utapi_engine_list(f->engine, UTAPI_BUCKETS, names, 2, range, usage, &err), &err);
    assert_int_equal(f->fake.last_query.start, 1700006400000);
    assert_int_equal(f->fake.last_query.end, 1700010900000);
    assert_int_equal(usage[1].storage_utilized[0], 0);
}

static void storage_asks_for_the_current_states(void **state)
{
    fixture *f = *state;
    start(f);
    f->fake.read_storage = 12;
    int64_t bytes = 0;
    CHECK_OK(utapi_engine_storage(f->engine, UTAPI_BUCKETS, utapi_string_of("a"), &bytes, &err), &err);
    assert_int_equal(bytes, 12);
    assert_int_equal(f->fake.last_query.start, UTAPI_INTERVAL_MAX);
    assert_int_equal(f->fake.last_query.end, UTAPI_INTERVAL_MAX);
}

static void settings_that_cannot_work_are_refused(void **state)
{
    fixture *f = *state;
    f->settings.component = "";
    CHECK_STATUS(UTAPI_INVALID, utapi_engine_new(&f->fake.base, &f->settings, &f->engine, &err), &err);
    f->settings.component = "s3";
    f->settings.queue_events = 0;
    CHECK_STATUS(UTAPI_INVALID, utapi_engine_new(&f->fake.base, &f->settings, &f->engine, &err), &err);
    f->settings.queue_events = 1;
    utapi_health health;
    CHECK_STATUS(UTAPI_UNAVAILABLE, utapi_engine_health(start(f), &health, &err), &err);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(an_event_counts_for_each_level_that_it_names_and_the_service),
        CASE(an_event_without_a_time_counts_now),
        CASE(a_location_metric_counts_at_its_location_alone),
        CASE(only_configured_levels_and_operations_are_recorded),
        CASE(a_deleted_bucket_expires_as_configured),
        CASE(a_scheduled_expiry_is_never_due_within_its_own_group),
        CASE(what_expires_a_bucket_is_put_in_the_order_of_time),
        CASE(the_place_of_a_guilty_event_is_told_only_in_the_order_of_its_sender),
        CASE(one_invalid_event_refuses_the_request_and_is_blamed),
        CASE(nothing_is_at_once_done),
        CASE(what_gathers_behind_a_slow_commit_is_one_group),
        CASE(a_storage_that_fails_fails_the_whole_group),
        CASE(a_full_queue_is_answered_at_once),
        CASE(nothing_waits_behind_a_request_that_is_larger_than_the_queue),
        CASE(a_stepped_wall_clock_does_not_move_the_window),
        CASE(an_idle_engine_maintains_its_storage),
        CASE(what_cannot_be_stored_is_told_until_something_is),
        CASE(a_failure_is_reported_for_ten_seconds),
        CASE(a_request_that_is_wrong_itself_is_no_failure),
        CASE(a_question_is_asked_by_intervals_and_clamped),
        CASE(storage_asks_for_the_current_states),
        CASE(settings_that_cannot_work_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
