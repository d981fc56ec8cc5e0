/* SPDX-License-Identifier: Apache-2.0 */
/* random_stream.c - a seeded stream of batches, late events, repetitions, expiries, adjustments and restarts;
 * after each step every answer equals that of the memory backend. */
#include "contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 6, BATCH_MAX = 12, DAYS = 3, STEPS = 1500 };

typedef struct model {
    contract *c;
    utapi_backend *oracle;
    uint64_t random;
    char names[BUCKETS][8];
    char uuids[64][12];
} model;

static uint64_t next_random(model *m, uint64_t below)
{
    m->random = m->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (m->random >> 33) % below;
}

static int64_t random_time(model *m)
{
    const bool late = next_random(m, 4) == 0;
    const int64_t back_ms = (int64_t)next_random(m, (uint64_t)(late ? DAYS * DAY : HOUR));
    return m->c->now_ms - back_ms;
}

static utapi_entry random_entry(model *m)
{
    const char *bucket = m->names[next_random(m, BUCKETS)];
    const int64_t time_ms = random_time(m);
    const int64_t bytes = (int64_t)next_random(m, 2000) - 500;
    switch (next_random(m, 24)) {
    case 0:
        return entry_delete(bucket, time_ms);
    case 1: {
        utapi_entry entry = entry_delete(bucket, time_ms);
        entry.expiry = UTAPI_EXPIRE_LATER;
        entry.expire_at_ms = m->c->now_ms + 1 + (int64_t)next_random(m, (uint64_t)(2 * HOUR));
        return entry;
    }
    case 2: {
        utapi_entry entry = entry_put(bucket, time_ms, INT64_MAX - (int64_t)next_random(m, 1000));
        entry.resource[UTAPI_SERVICE].size = 0;
        return entry;
    }
    case 3:
    case 4:
    case 5:
    case 6: /* few uuids at few times, so that some come again */
        return entry_put_uuid(m->uuids[next_random(m, 64)], bucket, m->c->now_ms - m->c->now_ms % HOUR,
                              bytes);
    default:
        return entry_put(bucket, time_ms, bytes);
    }
}

static void same_status(model *m, utapi_status ours, utapi_status expected)
{
    if (ours != expected)
        print_error("%s (%s), the oracle says %s\n", utapi_status_text(ours), m->c->err.detail,
                    utapi_status_text(expected));
    assert_int_equal(ours, expected);
    utapi_error_clear(&m->c->err);
}

static void step_batch(model *m)
{
    utapi_entry entries[BATCH_MAX];
    const size_t count = 1 + (size_t)next_random(m, BATCH_MAX);
    for (size_t i = 0; i < count; i++)
        entries[i] = random_entry(m);
    const utapi_batch batch = {.entries = entries, .count = count, .now_ms = m->c->now_ms};
    utapi_applied applied = {.repeated = 0}, expected = {.repeated = 0};
    const utapi_status status = apply_batch(m->c, m->oracle, &batch, &expected, NULL);
    same_status(m, apply_batch(m->c, m->c->backend, &batch, &applied, &m->c->err), status);
    if (status == UTAPI_OK)
        assert_int_equal(applied.repeated, expected.repeated);
}

static void step_adjust(model *m)
{
    utapi_amounts delta = {.present = 0};
    utapi_amounts_set(&delta, UTAPI_STORAGE_UTILIZED, (int64_t)next_random(m, 100) - 50);
    utapi_amounts_set(&delta, UTAPI_FIRST_OPERATION + UTAPI_OP_GET_OBJECT, 1);
    const utapi_adjustment adjustment = {.level = UTAPI_BUCKETS,
                                         .name = utapi_string_of(m->names[next_random(m, BUCKETS)]),
                                         .interval = utapi_interval_of(random_time(m)),
                                         .delta = &delta};
    const utapi_status status = adjust_all(m->oracle, &adjustment, 1, NULL);
    same_status(m, adjust_all(m->c->backend, &adjustment, 1, &m->c->err), status);
}

static void step_expire(model *m)
{
    const utapi_string name = utapi_string_of(m->names[next_random(m, BUCKETS)]);
    const int64_t time_ms = random_time(m);
    const utapi_status status = utapi_backend_expire(m->oracle, UTAPI_BUCKETS, name, time_ms, NULL);
    same_status(m, utapi_backend_expire(m->c->backend, UTAPI_BUCKETS, name, time_ms, &m->c->err), status);
}

static void step_time(model *m)
{
    const int64_t passed_ms = (int64_t)next_random(m, (uint64_t)(2 * HOUR));
    m->c->now_ms += passed_ms;
    m->c->accepted_ms += passed_ms;
    CHECK_OK(utapi_backend_maintain(m->oracle, m->c->now_ms, m->c->accepted_ms, &m->c->err), &m->c->err);
    CHECK_OK(utapi_backend_maintain(m->c->backend, m->c->now_ms, m->c->accepted_ms, &m->c->err), &m->c->err);
}

static void compare_range(model *m, utapi_level level, const utapi_string *names, size_t count,
                          utapi_interval start, utapi_interval end)
{
    const utapi_query query = {.level = level, .names = names, .count = count, .start = start, .end = end};
    utapi_usage ours[BUCKETS], expected[BUCKETS];
    const utapi_status status = utapi_backend_read(m->oracle, &query, expected, NULL, NULL);
    same_status(m, utapi_backend_read(m->c->backend, &query, ours, NULL, &m->c->err), status);
    for (size_t i = 0; status == UTAPI_OK && i < count; i++) {
        assert_true(ours[i].storage_utilized[0] == expected[i].storage_utilized[0]);
        assert_true(ours[i].storage_utilized[1] == expected[i].storage_utilized[1]);
        assert_true(ours[i].number_of_objects[1] == expected[i].number_of_objects[1]);
        assert_true(utapi_amounts_equal(&ours[i].flows, &expected[i].flows));
    }
}

static void compare(model *m)
{
    utapi_string names[BUCKETS];
    for (size_t i = 0; i < BUCKETS; i++)
        names[i] = utapi_string_of(m->names[i]);
    const utapi_string service = utapi_string_of("s3");
    const utapi_interval newest = utapi_interval_of(m->c->now_ms);
    compare_range(m, UTAPI_BUCKETS, names, BUCKETS, 0, newest);
    compare_range(m, UTAPI_SERVICE, &service, 1, 0, newest);
    for (int i = 0; i < 3; i++) {
        const utapi_interval start = utapi_interval_of(random_time(m));
        const utapi_interval end = start + (int64_t)next_random(m, 200) * UTAPI_INTERVAL_MS;
        compare_range(m, UTAPI_BUCKETS, names, BUCKETS, start, end);
    }
    utapi_storage_stats ours, expected;
    CHECK_OK(utapi_backend_stats(m->oracle, &expected, &m->c->err), &m->c->err);
    CHECK_OK(utapi_backend_stats(m->c->backend, &ours, &m->c->err), &m->c->err);
    if (!contract_keeps_totals(m->c))
        return; /* nor does it count resources */
    assert_int_equal(ours.resources, expected.resources);
}

static void stream_run(contract *c, uint64_t seed, uint64_t steps)
{
    model m = {.c = c, .random = seed};
    for (size_t i = 0; i < BUCKETS; i++)
        snprintf(m.names[i], sizeof m.names[i], "b%zu", i);
    for (size_t i = 0; i < 64; i++)
        snprintf(m.uuids[i], sizeof m.uuids[i], "uuid-%zu", i);
    CHECK_OK(utapi_backend_open(contract_oracle(), &m.c->options, &m.oracle, &m.c->err), &m.c->err);
    for (uint64_t step = 0; step < steps; step++) {
        switch (next_random(&m, 16)) {
        case 0:
            step_adjust(&m);
            break;
        case 1:
            step_expire(&m);
            break;
        case 2:
        case 3:
        case 4:
            step_time(&m);
            break;
        case 5:
            if (contract_is_durable(c))
                contract_reopen(c);
            break;
        default:
            step_batch(&m);
        }
        compare(&m);
    }
    utapi_backend_close(m.oracle);
}

static void every_answer_equals_the_oracles(void **state)
{
    contract *c = *state;
    const uint64_t steps = contract_chance.steps > 0 ? contract_chance.steps : STEPS;
    for (uint64_t round = 0; round < contract_chance.rounds; round++) {
        c->now_ms = c->accepted_ms = T0 + DAY;
        contract_begin_anew(c);
        stream_run(c, contract_seed(round, steps), steps);
    }
}

const struct CMUnitTest contract_random_stream[] = {
    CASE(every_answer_equals_the_oracles),
    {.name = NULL},
};
