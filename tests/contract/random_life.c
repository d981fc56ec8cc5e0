/* SPDX-License-Identifier: Apache-2.0 */
/* random_life.c - a long random life, beside the same life in the memory backend: every answer must be equal.
 *
 * What happens follows from a seed alone, which each round prints. The clock of acceptance stands on an interval's last
 * millisecond, where a backend that keeps the interval of a uuid and one that keeps the millisecond agree. */
#include "contract.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 400, ENTRIES = 40, NAMES = 7, SPAN = 60 };

typedef struct model {
    contract *c;
    utapi_backend *oracle;
    uint64_t random;
    int64_t now_ms;
    utapi_interval first, last; /* about all that happens */
    int64_t expired_ms;         /* the time of some expiry */
    uint64_t fence;
    bool is_moved; /* to a second storage, without fences */
    unsigned step;
    char uuids[ENTRIES][40];
} model;

static uint64_t next(model *m)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return m->random;
}

static int64_t below(model *m, int64_t limit)
{
    return (int64_t)(next(m) % (uint64_t)limit);
}

static utapi_string some_name(model *m)
{
    static const char *const names[NAMES] = {"a",         "ab",        "abcdefgh", "abcdefghi",
                                             "b:counter", "\xC3\xA9/", "s3"};
    return S(names[below(m, NAMES)]);
}

/* Mostly small; now and then at the edge. */
static int64_t some_amount(model *m)
{
    static const int64_t extremes[] = {INT64_MAX, INT64_MIN, INT64_MAX / 2, -INT64_MAX / 3};
    if (below(m, 400) == 0 && !m->c->kind->is_shared) /* V1's counters have 64 bits */
        return extremes[below(m, 4)];
    return below(m, 2001) - 1000;
}

static int64_t some_time(model *m)
{
    if (below(m, 12) == 0 && !m->c->kind->is_shared) /* far, for the steps that late sums are kept in */
        return m->now_ms - below(m, 40000) * UTAPI_INTERVAL_MS;
    const int64_t age = below(m, 3) != 0 ? below(m, UTAPI_INTERVAL_MS) : below(m, SPAN * UTAPI_INTERVAL_MS);
    return m->now_ms + UTAPI_INTERVAL_MS / 2 - age;
}

static void some_entry(model *m, utapi_entry *entry, char *uuid, size_t uuid_size)
{
    *entry = (utapi_entry){.time_ms = some_time(m), .operation = UTAPI_OP_NONE};
    if (below(m, 2) == 0) {
        snprintf(uuid, uuid_size, below(m, 2) ? "%08x-1234-4321-8888-abcdefabcdef" : "raw-%u",
                 (unsigned)below(m, 500));
        entry->uuid = S(uuid);
        entry->uuid_time_ms = below(m, 2) == 0 ? 0 : m->now_ms - m->now_ms % (20 * UTAPI_INTERVAL_MS);
    }
    entry->resource[UTAPI_SERVICE] = S("s3");
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT; level++)
        if (level != UTAPI_SERVICE && below(m, 2) == 0)
            entry->resource[level] = some_name(m);
    for (unsigned i = 0; i < UTAPI_FIRST_OPERATION; i++)
        entry->delta[i] = some_amount(m);
    if (below(m, 5) != 0)
        entry->operation = (utapi_operation)below(m, UTAPI_OPERATION_COUNT);
    const int64_t fate = below(m, 60);
    if (fate == 0)
        entry->expiry = UTAPI_EXPIRE_NOW;
    if (fate == 1 || fate == 2) {
        entry->expiry = UTAPI_EXPIRE_LATER;
        entry->expire_at_ms = m->now_ms + 1 + below(m, 10 * UTAPI_INTERVAL_MS);
    }
}

static void expect_status(model *m, utapi_status expected, utapi_status status)
{
    if (expected != status)
        print_error("step %u: %s, expected %s\n", m->step, utapi_status_text(status),
                    utapi_status_text(expected));
    assert_int_equal(status, expected);
}

/* ---- what happens ------------------------------------------------------------------------- */

/* Applies a batch, and what is left of it where only the beginning was stored, until all is or the next entry
 * cannot be. */
static utapi_status deliver(const contract *c, utapi_backend *backend, utapi_batch batch, utapi_applied *ret)
{
    const uint64_t to = batch.fence.to;
    size_t repeated = 0;
    utapi_status status;
    do {
        const uint64_t from = batch.fence.from;
        status = apply_batch(c, backend, &batch, ret, NULL);
        if (status != UTAPI_OK)
            break;
        repeated += ret->repeated;
        assert_true(!utapi_fence_is_set(&batch.fence) || batch.count == 0 || ret->fence > from);
        const size_t stored = ret->fence < to ? (size_t)(ret->fence - from) : batch.count;
        batch.entries += stored;
        batch.count -= stored;
        batch.fence.from = ret->fence;
    } while (batch.count > 0);
    ret->repeated = repeated;
    if (status != UTAPI_FENCED) /* else it tells where the fence stands */
        ret->fence = batch.fence.from;
    return status;
}

static void step_apply(model *m)
{
    contract *c = m->c;
    const size_t count = (size_t)below(m, below(m, 4) == 0 ? ENTRIES : 6);
    for (size_t i = 0; i < count; i++)
        some_entry(m, &c->entries[i], m->uuids[i], sizeof m->uuids[i]);
    utapi_batch batch = {.entries = c->entries, .count = count, .now_ms = m->now_ms};
    c->accepted_ms = utapi_interval_of(m->now_ms) + UTAPI_INTERVAL_MS - 1;
    if (below(m, 3) == 0) {
        memset(batch.fence.writer, 7, sizeof batch.fence.writer);
        batch.fence.from = m->fence + (below(m, 6) == 0);
        batch.fence.to = m->fence + count;
    }
    utapi_applied mine = {.fence = 0}, theirs = {.fence = 0};
    const utapi_status expected = deliver(c, m->oracle, batch, &theirs);
    expect_status(m, expected, deliver(c, c->backend, batch, &mine));
    assert_int_equal(mine.repeated, theirs.repeated);
    assert_int_equal(mine.fence, theirs.fence);
    if (utapi_fence_is_set(&batch.fence) && theirs.fence > m->fence)
        m->fence = theirs.fence;
}

/* Rows of a name, far enough apart now and then that they cross every step that late sums are kept in. */
static void step_rows(model *m)
{
    static const int64_t strides[] = {1, 1, 2, 128, 450};
    contract *c = m->c;
    const int64_t stride = m->c->kind->is_shared ? 1 : strides[below(m, 5)];
    const utapi_string name = some_name(m);
    utapi_batch batch = {.entries = c->entries, .count = ENTRIES, .now_ms = m->now_ms};
    utapi_applied applied;
    c->accepted_ms = utapi_interval_of(m->now_ms) + UTAPI_INTERVAL_MS - 1;
    for (int i = 0; i < ENTRIES; i++) {
        c->entries[i] = entry_put("", m->now_ms - (ENTRIES - i) * stride * UTAPI_INTERVAL_MS, some_amount(m));
        c->entries[i].resource[UTAPI_BUCKETS] = name;
        c->entries[i].resource[UTAPI_ACCOUNTS] = below(m, 2) == 0 ? name : S("");
    }
    expect_status(m, UTAPI_OK, deliver(c, m->oracle, batch, &applied));
    expect_status(m, UTAPI_OK, deliver(c, c->backend, batch, &applied));
}

/* A batch meets a disk that fails. Whether it was stored its fence tells: it is handed over until it was. */
static void step_fault(model *m)
{
    contract *c = m->c;
    if (strcmp(c->kind->name, "lmdb") != 0)
        return;
    for (size_t i = 0; i < 3; i++)
        some_entry(m, &c->entries[i], m->uuids[i], sizeof m->uuids[i]);
    utapi_batch batch = {.entries = c->entries, .count = 3, .now_ms = m->now_ms};
    utapi_applied applied = {.fence = 0};
    c->accepted_ms = utapi_interval_of(m->now_ms) + UTAPI_INTERVAL_MS - 1;
    memset(batch.fence.writer, 7, sizeof batch.fence.writer);
    batch.fence.from = m->fence;
    batch.fence.to = m->fence + 3;
    expect_status(m, UTAPI_OK, apply_batch(c, m->oracle, &batch, &applied, NULL));
    contract_disk_fail(1 + (int)below(m, 4), below(m, 2) == 0, EIO);
    (void)!apply_batch(c, c->backend, &batch, &applied, NULL);
    contract_disk_repair();
    const utapi_status status = apply_batch(c, c->backend, &batch, &applied, NULL);
    assert_true(status == UTAPI_OK || status == UTAPI_FENCED);
    assert_int_equal(applied.fence, batch.fence.to);
    m->fence = batch.fence.to;
}

/* Often at the same time as one before, or at what is the newest interval. */
static void step_expire(model *m)
{
    const utapi_level level = (utapi_level)below(m, UTAPI_LEVEL_COUNT);
    const utapi_string name = some_name(m);
    const int64_t kind = below(m, 4);
    const int64_t time_ms = kind == 0 ? m->expired_ms : kind == 1 ? m->now_ms : some_time(m);
    m->expired_ms = time_ms;
    const utapi_status expected = utapi_backend_expire(m->oracle, level, name, time_ms, NULL);
    expect_status(m, expected, utapi_backend_expire(m->c->backend, level, name, time_ms, NULL));
}

static void step_adjust(model *m)
{
    utapi_amounts delta;
    utapi_amounts_clear(&delta);
    for (int i = 0; i < 3; i++)
        utapi_amounts_set(&delta, (unsigned)below(m, UTAPI_METRIC_COUNT), some_amount(m));
    const utapi_adjustment adjustment = {
        .level = (utapi_level)below(m, UTAPI_LEVEL_COUNT),
        .name = some_name(m),
        .interval = utapi_interval_of(some_time(m)),
        .delta = &delta,
    };
    const utapi_status expected = adjust_all(m->oracle, &adjustment, 1, NULL);
    expect_status(m, expected, adjust_all(m->c->backend, &adjustment, 1, NULL));
}

static void step_maintain(model *m)
{
    const int64_t accepted_ms = utapi_interval_of(m->now_ms) + UTAPI_INTERVAL_MS - 1;
    CHECK_OK(utapi_backend_maintain(m->oracle, m->now_ms, accepted_ms, NULL), &m->c->err);
    CHECK_OK(utapi_backend_maintain(m->c->backend, m->now_ms, accepted_ms, NULL), &m->c->err);
}

static void step_reopen(model *m)
{
    if (contract_is_durable(m->c))
        contract_reopen(m->c);
}

static void step_time(model *m)
{
    m->now_ms += below(m, 4) == 0 ? below(m, 20 * UTAPI_INTERVAL_MS) : below(m, UTAPI_INTERVAL_MS);
}

/* ---- what must be equal ------------------------------------------------------------------- */

static void compare_usage(const utapi_usage *mine, const utapi_usage *theirs)
{
    for (int i = 0; i < 2; i++) {
        assert_int_equal(mine->storage_utilized[i], theirs->storage_utilized[i]);
        assert_int_equal(mine->number_of_objects[i], theirs->number_of_objects[i]);
    }
    assert_true(utapi_amounts_equal(&mine->flows, &theirs->flows));
}

/* A question may be too much for 64 bits: then it is for both. */
static void compare_answers(model *m, utapi_level level, utapi_string name, utapi_interval start,
                            utapi_interval end)
{
    utapi_usage mine, theirs;
    uint64_t my_fence = 0, their_fence = 0;
    utapi_query query = {.level = level, .names = &name, .count = 1, .start = start, .end = end};
    memset(query.writer, 7, sizeof query.writer);
    const utapi_status expected = utapi_backend_read(m->oracle, &query, &theirs, &their_fence, NULL);
    expect_status(m, expected, utapi_backend_read(m->c->backend, &query, &mine, &my_fence, NULL));
    if (expected != UTAPI_OK)
        return;
    compare_usage(&mine, &theirs);
    if (!m->is_moved)
        assert_int_equal(my_fence, their_fence);
}

typedef struct digest {
    uint64_t sum;
    size_t rows;
    utapi_amounts before;
} digest;

static bool digest_row(void *ctx, utapi_interval interval, const utapi_amounts *totals)
{
    digest *all = ctx;
    if (utapi_amounts_equal(totals, &all->before)) /* one in which nothing changed may be told or not */
        return true;
    utapi_amounts_copy(totals, &all->before);
    all->rows++;
    all->sum = all->sum * 31 + (uint64_t)interval;
    for (unsigned i = 0; i < UTAPI_METRIC_COUNT; i++)
        all->sum = all->sum * 31 + (uint64_t)utapi_amounts_get(totals, i);
    return true;
}

static void compare_rows(model *m, utapi_level level, utapi_string name, utapi_interval start,
                         utapi_interval end)
{
    digest mine = {.rows = 0}, theirs = {.rows = 0};
    if (!contract_keeps_totals(m->c))
        return;
    CHECK_OK(export_rows(m->oracle, level, name, start, end, digest_row, &theirs, NULL), &m->c->err);
    CHECK_OK(export_rows(m->c->backend, level, name, start, end, digest_row, &mine, NULL), &m->c->err);
    assert_int_equal(mine.rows, theirs.rows);
    assert_int_equal(mine.sum, theirs.sum);
}

static bool digest_name(void *ctx, utapi_string name)
{
    digest *all = ctx;
    uint64_t sum = 1;
    for (size_t i = 0; i < name.size; i++)
        sum = sum * 31 + (unsigned char)name.data[i];
    all->sum += sum * sum; /* in no certain order */
    all->rows++;
    return true;
}

static void compare_names(model *m, utapi_level level)
{
    digest mine = {.rows = 0}, theirs = {.rows = 0};
    CHECK_OK(utapi_backend_list(m->oracle, level, digest_name, &theirs, NULL), &m->c->err);
    CHECK_OK(utapi_backend_list(m->c->backend, level, digest_name, &mine, NULL), &m->c->err);
    assert_int_equal(mine.rows, theirs.rows);
    assert_int_equal(mine.sum, theirs.sum);
}

static void compare_all(model *m)
{
    utapi_storage_stats mine, theirs;
    CHECK_OK(utapi_backend_stats(m->oracle, &theirs, NULL), &m->c->err);
    CHECK_OK(utapi_backend_stats(m->c->backend, &mine, NULL), &m->c->err);
    if (contract_keeps_totals(m->c))
        assert_int_equal(mine.resources, theirs.resources);
    for (unsigned level = 0; level < UTAPI_LEVEL_COUNT; level++) {
        compare_names(m, (utapi_level)level);
        for (int i = 0; i < 4; i++) {
            const utapi_string name = some_name(m);
            const utapi_interval start = utapi_interval_of(some_time(m)) - below(m, 5) * UTAPI_INTERVAL_MS;
            const utapi_interval end = start + below(m, SPAN) * UTAPI_INTERVAL_MS;
            compare_answers(m, (utapi_level)level, name, start, end);
            compare_answers(m, (utapi_level)level, name, m->first, m->last);
            compare_rows(m, (utapi_level)level, name, start, end);
            compare_rows(m, (utapi_level)level, name, m->first, m->last);
        }
    }
}

/* ---- a whole life ------------------------------------------------------------------------- */

/* When it all happens: now; where each step of late sums begins; in 2035; where numbers need 32 bits; at the end. */
static int64_t some_origin(model *m)
{
    static const uint32_t numbers[] = {1888889, 16384 * 116, 2280000, UINT32_C(1) << 31, UINT32_MAX - 20000};
    return utapi_interval_at(numbers[m->c->kind->is_shared ? 0 : below(m, 5)]);
}

static void life_run(contract *c, uint64_t seed, uint64_t steps)
{
    static void (*const kinds[])(model *) = {
        step_apply, step_apply, step_apply,  step_apply,  step_apply,    step_apply,  step_apply, step_time,
        step_time,  step_time,  step_expire, step_adjust, step_maintain, step_reopen, step_rows,  step_fault,
    };
    model m = {.c = c, .random = seed * 2 + 1};
    const int64_t origin_ms = m.now_ms = m.expired_ms = some_origin(&m);
    m.first = origin_ms - 100000 * UTAPI_INTERVAL_MS;
    m.last = origin_ms + 19000 * UTAPI_INTERVAL_MS;
    CHECK_OK(utapi_backend_open(contract_oracle(), &c->options, &m.oracle, &c->err), &c->err);
    for (m.step = 0; m.step < steps; m.step++) {
        kinds[below(&m, sizeof kinds / sizeof *kinds)](&m);
        compare_all(&m);
    }
    contract_check(c);
    if (contract_keeps_totals(c)) {
        contract_move(c, m.first, m.last, next(&m));
        m.is_moved = true;
        for (int i = 0; i < 3; i++)
            compare_all(&m);
        contract_check(c);
    }
    utapi_backend_close(m.oracle);
}

static void a_random_life_is_that_of_the_oracle(void **state)
{
    contract *c = *state;
    const uint64_t steps = contract_chance.steps > 0 ? contract_chance.steps : STEPS;
    c->options.dedup_window_ms = 8 * UTAPI_INTERVAL_MS;
    for (uint64_t round = 0; round < contract_chance.rounds; round++) {
        contract_begin_anew(c);
        life_run(c, contract_seed(round, steps), steps);
    }
}

/* ---- late events and expiries, in one batch ------------------------------------------------ */

enum { MEETINGS = 40, HISTORY = 100, LATE = 12 };

static void both_apply(model *m)
{
    contract *c = m->c;
    const utapi_batch batch = {.entries = c->entries, .count = c->count, .now_ms = c->now_ms};
    c->count = 0;
    CHECK_OK(apply_batch(m->c, m->oracle, &batch, &c->applied, &c->err), &c->err);
    CHECK_OK(apply_batch(c, c->backend, &batch, &c->applied, &c->err), &c->err);
}

static void compare_states(model *m, const char *bucket)
{
    for (int i = -1; i <= HISTORY; i++)
        compare_answers(m, UTAPI_BUCKETS, S(bucket), INTERVAL(i), INTERVAL(i + 1));
    compare_answers(m, UTAPI_BUCKETS, S(bucket), FIRST, LAST);
}

/* Every second interval has an event of its own; then some come late, and in between the bucket is deleted. */
static void late_events_meet_expiries(model *m, const char *bucket)
{
    contract *c = m->c;
    const int step = 1 + (int)below(m, 2);
    for (int i = 0; i < HISTORY; i += step)
        put(c, bucket, INTERVAL(i), 1 + below(m, 9));
    both_apply(m);
    for (int i = 0; i < LATE; i++) {
        const int64_t time_ms = INTERVAL(0) + below(m, HISTORY * UTAPI_INTERVAL_MS);
        if (below(m, 4) == 0)
            delete_bucket(c, bucket, time_ms);
        else
            put(c, bucket, below(m, 2) == 0 ? INTERVAL(below(m, 8)) : time_ms, 1000 + below(m, 9000));
    }
    both_apply(m);
}

static void late_events_and_expiries_meet_in_a_batch(void **state)
{
    contract *c = *state;
    model m = {.c = c, .random = contract_chance.seed * 2 + 1};
    CHECK_OK(utapi_backend_open(contract_oracle(), &c->options, &m.oracle, &c->err), &c->err);
    for (m.step = 0; m.step < MEETINGS; m.step++) {
        char bucket[24];
        (void)snprintf(bucket, sizeof bucket, "b%u", m.step);
        late_events_meet_expiries(&m, bucket);
        compare_states(&m, bucket);
        for (int i = 0; i < 3; i++)
            CHECK_OK(utapi_backend_maintain(c->backend, c->now_ms, c->accepted_ms, &c->err), &c->err);
        compare_states(&m, bucket);
    }
    utapi_backend_close(m.oracle);
}

const struct CMUnitTest contract_random_life[] = {
    CASE(a_random_life_is_that_of_the_oracle),
    CASE(late_events_and_expiries_meet_in_a_batch),
    {.name = NULL},
};
