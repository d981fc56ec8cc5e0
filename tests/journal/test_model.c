/* SPDX-License-Identifier: Apache-2.0 */
/* test_model.c - a seeded stream of groups, batches that are stored in part, dead letters, lost replies, absences, lost
 * tails, flushed databases, restarts, times that make a journal let go of what it kept, and restored and cloned
 * journals: what is stored in the end is what was accepted, each event once, less exactly what is counted as lost or
 * as a dead letter. Half as many runs repeat operators' acts instead of letting time pass: each counts once.
 *
 *     model RUNS [FIRST_SEED]      the seed is printed when a run fails */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUCKETS = 3, STEPS = 40, PATIENCE = 20000 };

static const char *const names[BUCKETS] = {"a", "b", "c"};
static uint64_t runs = 20, first_seed = 1, lossy;

typedef struct model {
    bench *b;
    uint64_t seed, random;
    int64_t objects[BUCKETS], bytes[BUCKETS]; /* accepted */
    unsigned acts;
    size_t floor; /* batches that the server must not lose: no journal has them any more */
    char copy[320], twin[320];
} model;

static uint64_t below(model *m, uint64_t limit)
{
    m->random = m->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (m->random >> 33) % limit;
}

static void take(model *m, bench *b)
{
    const size_t bucket = (size_t)below(m, BUCKETS);
    const size_t count = 1 + (size_t)below(m, 40);
    const int64_t bytes = 1 + (int64_t)below(m, 1000);
    CHECK_OK(bench_take(b, names[bucket], count, bytes), &b->err);
    m->objects[bucket] += (int64_t)count;
    m->bytes[bucket] += (int64_t)count * bytes;
}

/* An operator's act, new or repeated: one of a number always does the same. */
static void act(model *m)
{
    char id[UTAPI_ADMIN_ID_MAX];
    const bool is_new = m->acts == 0 || below(m, 2) == 0;
    const unsigned number = is_new ? m->acts++ : (unsigned)below(m, m->acts);
    const size_t bucket = number % BUCKETS;
    const int64_t bytes = 1000 + (int64_t)number;
    utapi_admin_act act = {.kind = UTAPI_ADMIN_ADJUST,
                           .name = utapi_string_of(names[bucket]),
                           .time_ms = 900000,
                           .id = {id, (size_t)snprintf(id, sizeof id, "%032x", number)},
                           .who = utapi_string_of("model"),
                           .reason = utapi_string_of("to see")};
    utapi_amounts_set(&act.amounts, UTAPI_STORAGE_UTILIZED, bytes);
    const utapi_entry entry = utapi_admin_entry(&act);
    const utapi_batch batch = {.entries = &entry, .count = 1, .now_ms = 900000};
    utapi_applied applied;
    CHECK_OK(utapi_backend_apply(m->b->journal, &batch, &applied, &m->b->err), &m->b->err);
    m->bytes[bucket] += is_new ? bytes : 0;
}

static void lose(model *m, bool all)
{
    const size_t count = server_count(&m->b->server);
    const size_t kept =
        all || count <= m->floor ? m->floor : m->floor + (size_t)below(m, count - m->floor + 1);
    server_lose(&m->b->server, kept);
}

/* What was accepted, less what is known to be lost, or to be a dead letter. */
static bool is_exact(model *m)
{
    int64_t missing = 0;
    bench_drained(m->b);
    const utapi_journal_stats stats = bench_stats(m->b).journal;
    const int64_t lost = (int64_t)(stats.lost + bench_letters(m->b));
    for (size_t i = 0; i < BUCKETS; i++) {
        int64_t objects, bytes;
        server_totals(&m->b->server, names[i], &objects, &bytes);
        if (objects > m->objects[i] || (lost == 0 && bytes != m->bytes[i]))
            return false;
        missing += m->objects[i] - objects;
    }
    return missing == lost;
}

static void model_show(model *m)
{
    const utapi_health stats = bench_stats(m->b);
    print_error("seed %llu: lost %llu, dead letters %llu, warning \"%s\"\n", (unsigned long long)m->seed,
                (unsigned long long)stats.journal.lost, (unsigned long long)bench_letters(m->b),
                stats.warning);
    for (size_t i = 0; i < BUCKETS; i++) {
        int64_t objects, bytes;
        server_totals(&m->b->server, names[i], &objects, &bytes);
        print_error("  %s: %lld of %lld objects, %lld of %lld bytes\n", names[i], (long long)objects,
                    (long long)m->objects[i], (long long)bytes, (long long)m->bytes[i]);
    }
}

/* A loss may not be noticed yet. */
static void settle(model *m)
{
    server_set(&m->b->server, false, SERVER_WELL);
    for (int i = 0; !is_exact(m); i++) {
        if (i == PATIENCE)
            model_show(m);
        assert_in_range(i, 0, PATIENCE - 1);
        usleep(1000);
    }
    const utapi_journal_stats stats = bench_stats(m->b).journal;
    for (size_t i = 0; i < BUCKETS && stats.lost + bench_letters(m->b) == 0; i++)
        assert_int_equal(bench_objects(m->b, names[i]), m->objects[i]);
}

static void restart(model *m)
{
    bench_close(m->b);
    bench_open(m->b);
}

/* What the older copy does not hold is stored, and must not be lost from now on. What is lost it knows already; a
 * dead letter of what is accepted now it would not know. */
static void restore(model *m)
{
    server_poison(&m->b->server, NULL);
    settle(m);
    server_set(&m->b->server, true, SERVER_WELL);
    take(m, m->b);
    bench_close(m->b);
    bench_copy(m->b->location, m->copy);
    bench_open(m->b);
    take(m, m->b);
    settle(m);
    bench_close(m->b);
    bench_copy(m->copy, m->b->location);
    m->floor = server_count(&m->b->server);
    bench_open(m->b);
}

static void duplicate(model *m)
{
    server_poison(&m->b->server, NULL);
    settle(m);
    server_set(&m->b->server, true, SERVER_WELL);
    take(m, m->b);
    bench_close(m->b);
    bench_copy(m->b->location, m->twin);
    bench *twin = m->b; /* the same server: only the folder is another */
    utapi_journal_options mine = m->b->options;
    bench_open(m->b);
    utapi_backend *original = m->b->journal;
    m->b->options.location = m->twin;
    bench_open(twin);
    take(m, twin);
    server_set(&m->b->server, false, SERVER_LOST_REPLY);
    bench_drained(twin);
    bench_close(twin);
    m->b->options = mine;
    m->b->journal = original;
    bench_drained(m->b);
    m->floor = server_count(&m->b->server);
}

static void step(model *m)
{
    switch (below(m, 28)) {
    case 0:
        lose(m, false);
        break;
    case 1:
        lose(m, true);
        break;
    case 2:
        restart(m);
        break;
    case 3:
        if (below(m, 3) == 0)
            restore(m);
        break;
    case 4:
        if (below(m, 3) == 0)
            duplicate(m);
        break;
    case 5:
    case 6:
        server_set(&m->b->server, below(m, 2) == 0, SERVER_WELL);
        break;
    case 7:
    case 8:
    case 9:
    case 10:
        server_set(&m->b->server, false, (server_fault)below(m, 4));
        break;
    case 11:
        usleep((useconds_t)below(m, 3000));
        break;
    case 12: /* what was stored may be kept no longer: if it is lost, that is counted */
        bench_pass(KEEP_MS / (1 + (int64_t)below(m, 4)));
        break;
    case 13: /* it stores parts of batches, of a random size */
        server_cut(&m->b->server, (size_t)below(m, 30), below(m, 2) == 0 ? 0 : m->random);
        break;
    case 14: /* some events can never be stored, for a while */
        server_poison(&m->b->server, below(m, 2) == 0 ? names[0] : NULL);
        break;
    default:
        take(m, m->b);
    }
}

/* What may count as lost, or as a dead letter, is left out: a repeated act would count there too. */
static void step_with_acts(model *m)
{
    switch (below(m, 12)) {
    case 0:
        lose(m, below(m, 2) == 0);
        break;
    case 1:
        restart(m);
        break;
    case 2:
    case 3:
    case 4:
        server_set(&m->b->server, below(m, 4) == 0, (server_fault)below(m, 4));
        break;
    case 5:
        server_cut(&m->b->server, (size_t)below(m, 30), m->random);
        break;
    case 6:
        usleep((useconds_t)below(m, 3000));
        break;
    case 7:
    case 8:
        take(m, m->b);
        break;
    default:
        act(m);
    }
}

static bool row_count(void *ctx, const utapi_audit_row *row)
{
    (void)row;
    ++*(unsigned *)ctx;
    return true;
}

static void run_with_acts(uint64_t seed)
{
    void *state = NULL;
    unsigned rows = 0;
    bench_setup(&state);
    model m = {.b = state, .seed = seed, .random = seed};
    for (int i = 0; i < STEPS; i++)
        step_with_acts(&m);
    settle(&m);
    const utapi_audit_query every = {.level = UTAPI_LEVEL_COUNT};
    CHECK_OK(utapi_backend_audit(m.b->journal, &every, row_count, &rows, &m.b->err), &m.b->err);
    assert_int_equal(rows, m.acts);
    assert_int_equal(bench_stats(m.b).journal.lost, 0);
    bench_teardown(&state);
}

static void run(uint64_t seed)
{
    void *state = NULL;
    bench_setup(&state);
    model m = {.b = state, .seed = seed, .random = seed};
    snprintf(m.copy, sizeof m.copy, "%s/copy", m.b->folder);
    snprintf(m.twin, sizeof m.twin, "%s/twin", m.b->folder);
    for (int i = 0; i < STEPS; i++)
        step(&m);
    settle(&m);
    lossy += bench_stats(m.b).journal.lost > 0;
    bench_teardown(&state);
}

static void every_run_is_exact(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < runs; i++) {
        if (getenv("UTAPI_MODEL_SHOW") != NULL)
            print_message("seed %llu\n", (unsigned long long)first_seed + i);
        run(first_seed + i);
        if (i % 2 == 0)
            run_with_acts(first_seed + i);
    }
    print_message("%llu runs, each exact; %llu of them lost what was kept no longer\n",
                  (unsigned long long)runs, (unsigned long long)lossy);
}

static uint64_t number_of(const char *text)
{
    char *end;
    errno = 0;
    const unsigned long long number = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' ? number : 0;
}

int main(int argc, char **argv)
{
    runs = argc > 1 ? number_of(argv[1]) : runs;
    first_seed = argc > 2 ? number_of(argv[2]) : first_seed;
    const struct CMUnitTest cases[] = {cmocka_unit_test(every_run_is_exact)};
    return cmocka_run_group_tests(cases, NULL, NULL);
}
