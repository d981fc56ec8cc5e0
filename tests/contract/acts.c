/* SPDX-License-Identifier: Apache-2.0 */
/* acts.c - what an operator does goes the way of an event: in its order, once by its id, and a row of the audit tells.
 */
#include "contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 512, BUCKETS = 4 };

/* An id that ends in a number. */
static const char *id_of(unsigned number, char text[static 40])
{
    (void)snprintf(text, 40, "%032x", number);
    return text;
}

static utapi_admin_act act_on(const char *bucket, int64_t time_ms, const char *id)
{
    return (utapi_admin_act){.kind = UTAPI_ADMIN_EXPIRE,
                             .level = UTAPI_BUCKETS,
                             .name = S(bucket),
                             .time_ms = time_ms,
                             .id = S(id),
                             .who = S("uid 0"),
                             .reason = S("ticket 17"),
                             .asked_ms = T0};
}

static utapi_admin_act adjusting(const char *bucket, int64_t time_ms, int64_t bytes, const char *id)
{
    utapi_admin_act act = act_on(bucket, time_ms, id);
    act.kind = UTAPI_ADMIN_ADJUST;
    utapi_amounts_set(&act.amounts, UTAPI_STORAGE_UTILIZED, bytes);
    return act;
}

static utapi_status do_act(contract *c, const utapi_admin_act *act)
{
    return apply_entry(c, utapi_admin_entry(act));
}

/* ---- the audit ---------------------------------------------------------------------------- */

/* A copy of a row, as text where that compares as well. */
typedef struct seen_row {
    utapi_admin_kind kind;
    utapi_level level;
    int64_t time_ms, asked_ms;
    utapi_interval interval;
    char texts[400];
    utapi_wide before[UTAPI_METRIC_COUNT], after[UTAPI_METRIC_COUNT];
} seen_row;

typedef struct seen {
    size_t count, most;
    seen_row rows[ROWS_MAX];
} seen;

static bool row_see(void *ctx, const utapi_audit_row *row)
{
    seen *all = ctx;
    const utapi_admin_act *act = &row->act;
    seen_row *to = &all->rows[all->count++];
    memset(to, 0, sizeof *to);
    *to = (seen_row){.kind = act->kind,
                     .level = act->level,
                     .time_ms = act->time_ms,
                     .asked_ms = act->asked_ms,
                     .interval = row->interval};
    (void)snprintf(to->texts, sizeof to->texts, "%.*s|%.*s|%.*s|%.*s|%.*s", (int)act->name.size,
                   act->name.data, (int)act->id.size, act->id.data, (int)act->who.size, act->who.data,
                   (int)act->reason.size, act->reason.data, (int)act->refused.size,
                   act->refused.size > 0 ? act->refused.data : "");
    const uint64_t watched = act->refused.size == 0 ? utapi_admin_watched(act) : 0;
    for (unsigned m = 0; m < UTAPI_METRIC_COUNT; m++)
        if ((watched >> m & 1) != 0) {
            to->before[m] = utapi_amounts_get(&row->before, m);
            to->after[m] = utapi_amounts_get(&row->after, m);
        }
    return all->count < (all->most > 0 ? all->most : ROWS_MAX);
}

static void audit_see(contract *c, utapi_backend *backend, const utapi_audit_query *what, seen *ret)
{
    ret->count = 0;
    CHECK_OK(utapi_backend_audit(backend, what, row_see, ret, &c->err), &c->err);
}

static const utapi_audit_query everything = {.level = UTAPI_LEVEL_COUNT};

/* ---- one by one --------------------------------------------------------------------------- */

static void an_act_counts_once_and_tells_before_and_after(void **state)
{
    contract *c = *state;
    char id[40];
    seen *all = calloc(1, sizeof *all);
    assert_non_null(all);
    put(c, "b", INTERVAL(0), 10);
    put(c, "b", INTERVAL(9), 5);
    apply(c);
    utapi_admin_act act = adjusting("b", INTERVAL(4) + 77, -3, id_of(1, id));
    utapi_amounts_set(&act.amounts, UTAPI_INCOMING_BYTES, -2);
    utapi_amounts_set(&act.amounts, UTAPI_FIRST_OPERATION + UTAPI_OP_PUT_OBJECT, 7);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(do_act(c, &act), &c->err);
        expect_rows(c, "b", "0:10 4:7 9:12 ");
        if (contract_is_durable(c))
            contract_reopen(c);
    }
    const utapi_usage usage = usage_of(c, UTAPI_BUCKETS, S("b"), INTERVAL(4), INTERVAL(4));
    assert_int_equal(utapi_amounts_get(&usage.flows, UTAPI_INCOMING_BYTES), -2);
    assert_int_equal(utapi_amounts_get(&usage.flows, UTAPI_FIRST_OPERATION + UTAPI_OP_PUT_OBJECT), 7);
    assert_int_equal(service_bytes(c), 15); /* one resource alone */

    audit_see(c, c->backend, &everything, all);
    assert_int_equal(all->count, 1);
    const seen_row *row = &all->rows[0];
    assert_string_equal(row->texts, "b|00000000000000000000000000000001|uid 0|ticket 17|");
    assert_int_equal(row->kind, UTAPI_ADMIN_ADJUST);
    assert_true(row->interval == INTERVAL(4) && row->time_ms == INTERVAL(4) + 77 && row->asked_ms == T0);
    assert_true(row->before[UTAPI_STORAGE_UTILIZED] == 15 && row->after[UTAPI_STORAGE_UTILIZED] == 12);
    assert_true(row->before[UTAPI_NUMBER_OF_OBJECTS] == 2 && row->after[UTAPI_NUMBER_OF_OBJECTS] == 2);
    assert_true(row->before[UTAPI_INCOMING_BYTES] == 0 && row->after[UTAPI_INCOMING_BYTES] == -2);
    assert_true(row->after[UTAPI_FIRST_OPERATION + UTAPI_OP_PUT_OBJECT] == 7);
    free(all);
}

static void an_id_is_known_after_the_window_too(void **state)
{
    contract *c = *state;
    char id[40];
    const utapi_admin_act act = adjusting("b", INTERVAL(1000), 5, id_of(2, id));
    CHECK_OK(do_act(c, &act), &c->err);
    c->now_ms += 400 * DAY;
    c->accepted_ms += 400 * DAY;
    CHECK_OK(utapi_backend_maintain(c->backend, c->now_ms, c->accepted_ms, &c->err), &c->err);
    CHECK_OK(do_act(c, &act), &c->err);
    assert_int_equal(bucket_bytes(c, "b"), 5);
}

static void an_act_expires_in_its_order(void **state)
{
    contract *c = *state;
    char id[40];
    const int64_t at_ms = INTERVAL(5) + 10;
    seen *all = calloc(1, sizeof *all);
    assert_non_null(all);
    put(c, "b", at_ms + 5, 1); /* before it, in its interval: goes */
    put(c, "b", INTERVAL(7), 20);
    apply(c);
    const utapi_admin_act act = act_on("b", at_ms, id_of(3, id));
    CHECK_OK(do_act(c, &act), &c->err);
    put(c, "b", at_ms + 5, 400);   /* after it: stays */
    put(c, "b", at_ms - 1, 80000); /* older than it: counts nowhere */
    apply(c);
    CHECK_OK(do_act(c, &act), &c->err); /* again: nothing goes */
    expect_rows(c, "b", "5:400 7:420 ");
    audit_see(c, c->backend, &everything, all);
    assert_int_equal(all->count, 1);
    assert_int_equal(all->rows[0].kind, UTAPI_ADMIN_EXPIRE);
    assert_true(all->rows[0].before[UTAPI_STORAGE_UTILIZED] == 21);
    assert_true(all->rows[0].after[UTAPI_STORAGE_UTILIZED] == 20);

    /* What is earlier than an expiry counts at it, and the row says so. */
    const utapi_admin_act late = adjusting("b", INTERVAL(1), 1000, id_of(4, id));
    CHECK_OK(do_act(c, &late), &c->err);
    expect_rows(c, "b", "5:1400 7:1420 ");
    audit_see(c, c->backend, &everything, all);
    assert_int_equal(all->count, 2);
    assert_true(all->rows[0].interval == INTERVAL(5) && all->rows[0].time_ms == INTERVAL(1));
    free(all);
}

static void the_audit_is_read_by_id_level_and_name(void **state)
{
    contract *c = *state;
    char id[40];
    seen *all = calloc(1, sizeof *all);
    assert_non_null(all);
    for (unsigned i = 0; i < 250; i++) {
        utapi_admin_act act = adjusting(i % 2 == 0 ? "even" : "odd", INTERVAL(3), 1, id_of(i, id));
        act.level = i % 5 == 0 ? UTAPI_USERS : UTAPI_BUCKETS;
        CHECK_OK(do_act(c, &act), &c->err);
    }
    audit_see(c, c->backend, &everything, all);
    assert_int_equal(all->count, 250);
    assert_non_null(strstr(all->rows[0].texts, id_of(249, id)));
    assert_non_null(strstr(all->rows[249].texts, id_of(0, id)));
    audit_see(c, c->backend, &(utapi_audit_query){.level = UTAPI_USERS, .name = S("odd")}, all);
    assert_int_equal(all->count, 25);
    audit_see(c, c->backend, &(utapi_audit_query){.level = UTAPI_LEVEL_COUNT, .id = S(id_of(77, id))}, all);
    assert_int_equal(all->count, 1);
    assert_true(all->rows[0].after[UTAPI_STORAGE_UTILIZED] == 31); /* 1, 3, 7, 9, 11 ... 77: four of five */
    all->most = 3;
    audit_see(c, c->backend, &everything, all);
    assert_int_equal(all->count, 3); /* false stops */
    free(all);
}

static void the_oldest_rows_go_where_there_are_too_many(void **state)
{
    enum { MOST = 5, ACTS = 12 };
    contract *c = *state;
    char id[40];
    if (c->kind->admin == NULL || c->kind->admin->audit == NULL || c->kind->is_shared)
        skip(); /* in a Redis they are kept */
    seen *all = calloc(1, sizeof *all);
    assert_non_null(all);
    c->options.max_acts = MOST;
    contract_begin_anew(c);
    for (unsigned i = 0; i < ACTS; i++) {
        const utapi_admin_act act = adjusting("b", INTERVAL(1), 1 << i, id_of(i, id));
        CHECK_OK(do_act(c, &act), &c->err);
    }
    audit_see(c, c->backend, &everything, all);
    assert_int_equal(all->count, MOST);
    for (unsigned i = 0; i < MOST; i++)
        assert_non_null(strstr(all->rows[i].texts, id_of(ACTS - 1 - i, id)));
    const utapi_admin_act kept = adjusting("b", INTERVAL(1), 1, id_of(ACTS - MOST, id));
    CHECK_OK(do_act(c, &kept), &c->err);
    assert_int_equal(bucket_bytes(c, "b"), (1 << ACTS) - 1);
    const utapi_admin_act gone = adjusting("b", INTERVAL(1), 1, id_of(ACTS - MOST - 1, id));
    CHECK_OK(do_act(c, &gone), &c->err); /* it is forgotten */
    assert_int_equal(bucket_bytes(c, "b"), 1 << ACTS);
    contract_check(c);
    free(all);
}

static void rows_of_another_storage_are_noted_once_in_their_order(void **state)
{
    enum { OURS = 3, THEIRS = 4 };
    contract *c = *state;
    char id[40], ids[THEIRS][40];
    utapi_audit_row rows[THEIRS];
    if (c->kind->admin == NULL || c->kind->admin->note == NULL)
        skip();
    seen *all = calloc(1, sizeof *all);
    assert_non_null(all);
    for (unsigned i = 0; i < OURS; i++) {
        const utapi_admin_act act = adjusting("b", INTERVAL(1), 1, id_of(i, id));
        CHECK_OK(do_act(c, &act), &c->err);
    }
    for (unsigned i = 0; i < THEIRS; i++) { /* the first is known */
        rows[i] = (utapi_audit_row){.act = adjusting("b", INTERVAL(7) + 3, 500, id_of(OURS - 1 + i, ids[i])),
                                    .interval = INTERVAL(8)};
        utapi_amounts_set(&rows[i].before, UTAPI_STORAGE_UTILIZED, -70 - (int)i);
        utapi_amounts_set(&rows[i].after, UTAPI_STORAGE_UTILIZED, INT64_MAX);
    }
    rows[THEIRS - 1].act.refused = S("for a reason");
    for (int twice = 0; twice < 2; twice++) {
        CHECK_OK(utapi_backend_note(c->backend, rows, THEIRS, &c->err), &c->err);
        audit_see(c, c->backend, &everything, all);
        assert_int_equal(all->count, OURS + THEIRS - 1);
        if (contract_is_durable(c))
            contract_reopen(c);
    }
    assert_non_null(strstr(all->rows[0].texts, "for a reason"));
    for (unsigned i = 0; i < OURS + THEIRS - 1; i++)
        assert_non_null(strstr(all->rows[i].texts, id_of(OURS + THEIRS - 2 - i, id)));
    const seen_row *row = &all->rows[1];
    assert_true(row->before[UTAPI_STORAGE_UTILIZED] == -72 &&
                row->after[UTAPI_STORAGE_UTILIZED] == INT64_MAX);
    assert_true(row->interval == INTERVAL(8) && row->time_ms == INTERVAL(7) + 3 && row->asked_ms == T0);
    assert_int_equal(bucket_bytes(c, "b"), OURS); /* nothing else changed */
    CHECK_OK(do_act(c, &rows[2].act), &c->err);
    assert_int_equal(bucket_bytes(c, "b"), OURS);
    contract_check(c);
    free(all);
}

static void an_act_comes_alone(void **state)
{
    contract *c = *state;
    char id[40];
    const utapi_admin_act act = adjusting("b", INTERVAL(3), 1, id_of(5, id));
    const utapi_entry both[] = {entry_put("b", INTERVAL(3), 10), utapi_admin_entry(&act)};
    CHECK_STATUS(UTAPI_INVALID, apply_entries(c, both, 2), &c->err);
    assert_false(has_usage(c, "b"));
}

/* ---- fenced: journals have fences of their own --------------------------------------------- */

static utapi_status deliver(contract *c, uint64_t from, const utapi_entry *entries, size_t count,
                            uint64_t *ret)
{
    const utapi_batch batch = {.entries = entries,
                               .count = count,
                               .now_ms = c->now_ms,
                               .fence = {.writer = {7}, .from = from, .to = from + count}};
    utapi_applied applied = {.fence = 0};
    const utapi_status status = apply_batch(c, c->backend, &batch, &applied, &c->err);
    *ret = applied.fence;
    return status;
}

static void a_fenced_act_moves_the_fence_known_or_not(void **state)
{
    contract *c = *state;
    char id[40];
    uint64_t fence = 0;
    const utapi_admin_act act = adjusting("b", INTERVAL(3), 1, id_of(6, id));
    const utapi_entry entries[] = {utapi_admin_entry(&act), entry_put("b", INTERVAL(3), 10),
                                   utapi_admin_entry(&act)};
    for (uint64_t expected = 1; expected <= 3; expected++) { /* an act ends a part, and begins one */
        CHECK_OK(deliver(c, fence, entries + fence, 3 - fence, &fence), &c->err);
        assert_int_equal(fence, expected);
    }
    assert_int_equal(bucket_bytes(c, "b"), 11);
    CHECK_STATUS(UTAPI_FENCED, deliver(c, 0, entries, 1, &fence), &c->err);
    assert_int_equal(fence, 3);
    CHECK_OK(deliver(c, 3, entries, 1, &fence), &c->err);
    assert_int_equal(fence, 4);
    assert_int_equal(bucket_bytes(c, "b"), 11);
}

/* ---- refused ------------------------------------------------------------------------------ */

static void a_refused_act_leaves_its_row_alone(void **state)
{
    contract *c = *state;
    char id[40];
    seen *all = calloc(1, sizeof *all);
    assert_non_null(all);
    utapi_admin_act act = adjusting("b", INTERVAL(3), 1, id_of(7, id));
    act.refused = S("it cannot be");
    CHECK_OK(do_act(c, &act), &c->err);
    act.refused.size = 0;
    CHECK_OK(do_act(c, &act), &c->err); /* its id is known */
    assert_false(has_usage(c, "b"));
    audit_see(c, c->backend, &everything, all);
    assert_int_equal(all->count, 1);
    assert_non_null(strstr(all->rows[0].texts, "|it cannot be"));
    free(all);
}

/* V1's counters have 64 bits: what leaves those is told by the row, and holds nobody up. */
static void an_act_that_does_not_fit_ends_as_refused(void **state)
{
    contract *c = *state;
    char ids[2][40];
    seen *all = calloc(1, sizeof *all);
    assert_non_null(all);
    const utapi_admin_act first = adjusting("b", INTERVAL(3), INT64_MAX, id_of(8, ids[0]));
    const utapi_admin_act second = adjusting("b", INTERVAL(4), 1, id_of(9, ids[1]));
    CHECK_OK(do_act(c, &first), &c->err);
    CHECK_OK(do_act(c, &second), &c->err);
    put(c, "other", INTERVAL(5), 1);
    apply(c);
    audit_see(c, c->backend, &everything, all);
    assert_int_equal(all->count, 2);
    if (contract_keeps_totals(c)) {
        expect_rows(c, "b", "3:9223372036854775807 4:9223372036854775808 ");
        assert_null(strstr(all->rows[0].texts, "64 bits"));
    } else {
        assert_non_null(strstr(all->rows[0].texts, "does not fit 64 bits"));
        assert_true(bytes_at(c, "b", INTERVAL(5)) == INT64_MAX);
    }
    assert_int_equal(bucket_bytes(c, "other"), 1);
    free(all);
}

/* Expiring makes room, so it may use what is kept for that. */
static void an_act_expires_in_a_full_storage(void **state)
{
    contract *c = *state;
    char names[100][UTAPI_NAME_MAX + 1], ids[2][40];
    utapi_entry entries[100];
    utapi_storage_stats stats;
    utapi_status status = UTAPI_OK;
    c->options.capacity_bytes = 8 << 20;
    contract_reopen(c);
    CHECK_OK(utapi_backend_stats(c->backend, &stats, &c->err), &c->err);
    if (stats.capacity_bytes == 0)
        return; /* it knows no limit */
    for (size_t i = 0; status == UTAPI_OK; i++) {
        for (size_t k = 0; k < 100; k++) {
            memset(names[k], 'f', UTAPI_NAME_MAX);
            names[k][snprintf(names[k], 32, "%010zu", i * 100 + k)] = 'f';
            names[k][UTAPI_NAME_MAX] = '\0';
            entries[k] = entry_put(names[k], T0, 1);
        }
        status = apply_entries(c, entries, 100);
    }
    CHECK_STATUS(UTAPI_UNAVAILABLE, status, &c->err);
    const utapi_admin_act more = adjusting("b", INTERVAL(3), 1, id_of(10, ids[0]));
    CHECK_STATUS(UTAPI_UNAVAILABLE, do_act(c, &more), &c->err);
    memset(names[0], 'f', UTAPI_NAME_MAX);
    names[0][snprintf(names[0], 32, "%010d", 0)] = 'f';
    const utapi_admin_act less = act_on(names[0], T0 + DAY, id_of(11, ids[1]));
    CHECK_OK(do_act(c, &less), &c->err);
    assert_false(has_usage(c, names[0]));
}

/* ---- beside the oracle -------------------------------------------------------------------- */

typedef struct life {
    contract *c;
    utapi_backend *oracle;
    uint64_t random;
    unsigned acts;
    seen *ours, *expected;
} life;

static uint64_t draw(life *l, uint64_t below)
{
    l->random = l->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (l->random >> 33) % below;
}

static void both_apply(life *l, const utapi_entry *entries, size_t count)
{
    contract *c = l->c;
    const utapi_batch batch = {.entries = entries, .count = count, .now_ms = c->now_ms};
    utapi_applied applied = {.repeated = 0}, expected = {.repeated = 0};
    CHECK_OK(apply_batch(c, l->oracle, &batch, &expected, &c->err), &c->err);
    CHECK_OK(apply_batch(c, c->backend, &batch, &applied, &c->err), &c->err);
    if (strstr(c->kind->name, "journal") == NULL) /* which finds that out later */
        assert_int_equal(applied.repeated, expected.repeated);
}

static int64_t some_time(life *l)
{
    return l->c->now_ms - (int64_t)draw(l, 40) * UTAPI_INTERVAL_MS - (int64_t)draw(l, 3000);
}

static void step_act(life *l)
{
    static const char *const names[] = {"a", "b", "c", "s3"};
    char id[40];
    const bool again = l->acts > 0 && draw(l, 3) == 0;
    const unsigned number = again ? (unsigned)draw(l, l->acts) : l->acts++;
    utapi_admin_act act = act_on(names[draw(l, BUCKETS)], some_time(l), id_of(number, id));
    act.level = draw(l, 5) == 0 ? UTAPI_SERVICE : UTAPI_BUCKETS;
    if (draw(l, 3) > 0) {
        act.kind = UTAPI_ADMIN_ADJUST;
        utapi_amounts_set(&act.amounts, UTAPI_STORAGE_UTILIZED, (int64_t)draw(l, 2000) - 1000);
        if (draw(l, 2) == 0)
            utapi_amounts_set(&act.amounts, UTAPI_FIRST_OPERATION + UTAPI_OP_GET_OBJECT,
                              (int64_t)draw(l, 9) - 4);
    }
    const utapi_entry entry = utapi_admin_entry(&act);
    both_apply(l, &entry, 1);
}

static void step_events(life *l)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    utapi_entry entries[8];
    const size_t count = 1 + (size_t)draw(l, 8);
    for (size_t i = 0; i < count; i++) {
        const char *name = names[draw(l, BUCKETS)];
        entries[i] = draw(l, 20) == 0 ? entry_delete(name, some_time(l))
                                      : entry_put(name, some_time(l), (int64_t)draw(l, 5000) - 1000);
        if (entries[i].expiry == UTAPI_EXPIRE_NOW && draw(l, 2) == 0) {
            entries[i].expiry = UTAPI_EXPIRE_LATER;
            entries[i].expire_at_ms = l->c->now_ms + 1 + (int64_t)draw(l, (uint64_t)(3 * HOUR));
        }
    }
    both_apply(l, entries, count);
}

static void same_answers(life *l)
{
    static const char *const names[] = {"a", "b", "c", "d", "s3"};
    contract *c = l->c;
    for (unsigned i = 0; i < 10; i++) {
        const utapi_string name = S(names[i % 5]);
        const utapi_query query = {.level = i < 5 ? UTAPI_BUCKETS : UTAPI_SERVICE,
                                   .names = &name,
                                   .count = 1,
                                   .start = utapi_interval_of(some_time(l)),
                                   .end = LAST};
        utapi_usage ours, expected;
        CHECK_OK(utapi_backend_read(c->backend, &query, &ours, NULL, &c->err), &c->err);
        CHECK_OK(utapi_backend_read(l->oracle, &query, &expected, NULL, &c->err), &c->err);
        for (unsigned at = 0; at < 2; at++) {
            assert_true(ours.storage_utilized[at] == expected.storage_utilized[at]);
            assert_true(ours.number_of_objects[at] == expected.number_of_objects[at]);
        }
        assert_true(utapi_amounts_equal(&ours.flows, &expected.flows));
    }
}

static void same_audit(life *l)
{
    audit_see(l->c, l->c->backend, &everything, l->ours);
    audit_see(l->c, l->oracle, &everything, l->expected);
    assert_int_equal(l->ours->count, l->expected->count);
    for (size_t i = 0; i < l->ours->count; i++)
        assert_memory_equal(&l->ours->rows[i], &l->expected->rows[i], sizeof l->ours->rows[i]);
}

static void acts_beside_events_are_as_the_oracle_has_them(void **state)
{
    contract *c = *state;
    const uint64_t steps = contract_chance.steps > 0 ? contract_chance.steps : 150;
    for (uint64_t round = 0; round < contract_chance.rounds; round++) {
        life l = {.c = c, .random = contract_seed(round, steps)};
        l.ours = calloc(1, sizeof *l.ours);
        l.expected = calloc(1, sizeof *l.expected);
        assert_true(l.ours != NULL && l.expected != NULL);
        if (round > 0)
            contract_begin_anew(c);
        c->now_ms = c->accepted_ms = INTERVAL(1000); /* or a later round would come to LAST */
        CHECK_OK(utapi_backend_open(contract_oracle(), &c->options, &l.oracle, &c->err), &c->err);
        for (uint64_t step = 0; step < steps; step++) {
            if (draw(&l, 3) == 0 && l.acts < ROWS_MAX - 1)
                step_act(&l);
            else
                step_events(&l);
            c->now_ms += (int64_t)draw(&l, (uint64_t)(2 * HOUR));
            c->accepted_ms = c->now_ms;
            if (draw(&l, 40) == 0 && contract_is_durable(c))
                contract_reopen(c);
            same_answers(&l);
            if (step % 25 == 24)
                same_audit(&l);
        }
        utapi_backend_close(l.oracle);
        free(l.ours);
        free(l.expected);
    }
}

const struct CMUnitTest contract_acts[] = {
    CASE(an_act_counts_once_and_tells_before_and_after),
    CASE(an_id_is_known_after_the_window_too),
    CASE(an_act_expires_in_its_order),
    CASE(the_audit_is_read_by_id_level_and_name),
    CASE(the_oldest_rows_go_where_there_are_too_many),
    CASE(rows_of_another_storage_are_noted_once_in_their_order),
    CASE(an_act_comes_alone),
    CASE(a_fenced_act_moves_the_fence_known_or_not),
    CASE(a_refused_act_leaves_its_row_alone),
    CASE(an_act_that_does_not_fit_ends_as_refused),
    CASE(an_act_expires_in_a_full_storage),
    CASE(acts_beside_events_are_as_the_oracle_has_them),
    {.name = NULL},
};
