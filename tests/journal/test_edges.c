/* SPDX-License-Identifier: Apache-2.0 */
/* test_edges.c - what becomes of a journal over many starts, on a bad disk, and beside a copy of itself; and expiry
 * through it, compared with a storage that has none. */
#include "bench.h"

#include "folder.h"
#include "journal_store.h"
#include "memory.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define T0 INT64_C(1700006400000)

static journal_log *inside(bench *b)
{
    return ((journal *)b->journal)->log;
}

static int64_t stored(bench *b, const char *bucket)
{
    int64_t objects, bytes;
    bench_drained(b);
    server_totals(&b->server, bucket, &objects, &bytes);
    return objects;
}

static void reopen(bench *b)
{
    bench_close(b);
    bench_open(b);
}

/* Lets what was stored grow old: marks are set while time passes. */
static void grow_old(bench *b)
{
    bench_drained(b);
    for (int i = 0; i < 8; i++) {
        usleep(10000);
        bench_pass(KEEP_MS);
    }
    usleep(20000);
}

static utapi_entry put_at(const char *bucket, int64_t time_ms)
{
    return (utapi_entry){.time_ms = time_ms,
                         .accepted_ms = time_ms,
                         .resource = {[UTAPI_BUCKETS] = utapi_string_of(bucket)},
                         .operation = UTAPI_OP_PUT_OBJECT,
                         .delta = {[UTAPI_NUMBER_OF_OBJECTS] = 1}};
}

/* ---- starts ------------------------------------------------------------------------------- */

static void a_uuid_is_known_after_a_restart(void **state)
{
    bench *b = *state;
    utapi_applied applied;
    utapi_entry entry = put_at("b", T0);
    entry.uuid = utapi_string_of("0b3f7a1e-6f0c-4a53-9a57-1f1f5b6f0d11");
    entry.uuid_time_ms = T0;
    const utapi_batch batch = {.entries = &entry, .count = 1, .now_ms = T0};
    for (size_t i = 0; i < 3; i++) {
        CHECK_OK(utapi_backend_apply(b->journal, &batch, &applied, &b->err), &b->err);
        assert_int_equal(applied.repeated, i > 0);
        reopen(b);
    }
    assert_int_equal(stored(b, "b"), 1);
}

static void a_deleted_journal_begins_anew(void **state)
{
    bench *b = *state;
    CHECK_OK(bench_take(b, "b", 5, 1), &b->err);
    bench_drained(b);
    bench_close(b);
    support_folder_remove(b->location);
    bench_open(b);
    CHECK_OK(bench_take(b, "b", 2, 1), &b->err);
    assert_int_equal(stored(b, "b"), 7);
    assert_int_equal(bench_stats(b).journal.lost, 0);
}

static size_t incarnations_of(bench *b)
{
    size_t count = 0;
    pthread_mutex_lock(&inside(b)->lock);
    for (const journal_incarnation *incarnation = inside(b)->oldest; incarnation != NULL;
         incarnation = incarnation->next_one)
        count++;
    pthread_mutex_unlock(&inside(b)->lock);
    return count;
}

static size_t groups_of(bench *b)
{
    utapi_lmdbenv *env = &inside(b)->env;
    utapi_lmdbenv_reader *reader = NULL;
    MDB_stat stat;
    CHECK_OK(utapi_lmdbenv_read_begin(env, &reader, &b->err), &b->err);
    assert_int_equal(mdb_stat(reader->txn, env->tables[JOURNAL_ENTRY], &stat), 0);
    utapi_lmdbenv_read_end(env, reader);
    return stat.ms_entries;
}

static void any_number_of_starts_leaves_nothing_behind(void **state)
{
    enum { STARTS = 150 };
    bench *b = *state;
    server_set(&b->server, true, SERVER_WELL);
    for (int i = 0; i < STARTS; i++) {
        CHECK_OK(bench_take(b, "b", 1, 1), &b->err);
        reopen(b);
    }
    assert_int_equal(bench_stats(b).journal.waiting, STARTS);
    assert_int_equal(groups_of(b), STARTS);
    server_set(&b->server, false, SERVER_WELL);
    assert_int_equal(stored(b, "b"), STARTS);
    grow_old(b);
    for (int i = 0; groups_of(b) > 0 || incarnations_of(b) > 16; i++) {
        assert_in_range(i, 0, 10000);
        usleep(1000);
    }
}

static void room_is_made_in_every_epoch(void **state)
{
    enum { STARTS = 100 };
    bench *b = *state;
    size_t dropped = 0, all = 0;
    for (int i = 0; i < STARTS; i++) {
        CHECK_OK(bench_take(b, "b", 1, 1), &b->err);
        bench_drained(b);
        reopen(b);
    }
    do {
        CHECK_OK(utapi_journal_drop_stored(inside(b), 1000, &dropped, &b->err), &b->err);
        all += dropped;
    } while (dropped > 0);
    assert_int_equal(all, STARTS);
    assert_int_equal(groups_of(b), 0);
}

static void what_the_storage_loses_of_a_former_start_is_counted(void **state)
{
    bench *b = *state;
    CHECK_OK(bench_take(b, "b", 7, 1), &b->err);
    bench_drained(b);
    reopen(b);
    grow_old(b);
    assert_int_equal(groups_of(b), 0);
    CHECK_OK(bench_take(b, "b", 2, 1), &b->err);
    bench_drained(b);
    server_lose(&b->server, 0);
    while (bench_stats(b).journal.lost < 7)
        usleep(1000);
    assert_int_equal(stored(b, "b"), 2);
    assert_int_equal(bench_stats(b).journal.lost, 7);
    server_lose(&b->server, 0); /* and once */
    CHECK_OK(bench_take(b, "b", 1, 1), &b->err);
    while (bench_objects(b, "b") != 3)
        usleep(1000);
    reopen(b);
    assert_int_equal(bench_stats(b).journal.lost, 7);
}

/* ---- a bad disk --------------------------------------------------------------------------- */

static void an_environment_that_was_given_up_is_opened_again(void **state)
{
    bench *b = *state;
    for (int i = 0; i < 20; i++) {
        CHECK_OK(bench_take(b, "b", 1, 1), &b->err);
        pthread_mutex_lock(&inside(b)->env.writing);
        inside(b)->outcome_unknown = true;
        atomic_store(&inside(b)->env.broken, true);
        pthread_mutex_unlock(&inside(b)->env.writing);
    }
    assert_int_equal(stored(b, "b"), 20);
}

/* A commit that was stored, although its taker was told that this is not known. */
static void a_group_whose_outcome_was_not_known_is_found(void **state)
{
    bench *b = *state;
    server_fill(&b->server, true);
    CHECK_OK(bench_take(b, "b", 3, 1), &b->err);
    CHECK_OK(bench_take(b, "b", 4, 1), &b->err);
    pthread_mutex_lock(&inside(b)->env.writing);
    pthread_mutex_lock(&inside(b)->lock);
    inside(b)->newest->next = 3; /* as if it had not been published */
    utapi_journal_observe(inside(b), NULL);
    pthread_mutex_unlock(&inside(b)->lock);
    inside(b)->outcome_unknown = true;
    atomic_store(&inside(b)->env.broken, true);
    pthread_mutex_unlock(&inside(b)->env.writing);
    CHECK_OK(bench_take(b, "b", 5, 1), &b->err); /* it must not take the place of the one before */
    server_fill(&b->server, false);
    assert_int_equal(stored(b, "b"), 12);
}

/* Flips a bit of the group with a number, counted from 0. */
static void group_damage(bench *b, int number)
{
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    MDB_dbi table;
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    unsigned char bytes[4096];
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, JOURNAL_TABLE_COUNT), 0);
    assert_int_equal(mdb_env_open(env, b->location, MDB_NOTLS, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "entry", 0, &table), 0);
    assert_int_equal(mdb_cursor_open(txn, table, &cursor), 0);
    for (int i = 0; i <= number; i++)
        assert_int_equal(mdb_cursor_get(cursor, &key, &value, MDB_NEXT), 0);
    assert_in_range(value.mv_size, 1, sizeof bytes);
    memcpy(bytes, value.mv_data, value.mv_size);
    bytes[value.mv_size / 2] ^= 4;
    value.mv_data = bytes;
    assert_int_equal(mdb_cursor_put(cursor, &key, &value, MDB_CURRENT), 0);
    mdb_cursor_close(cursor);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static void a_damaged_group_is_counted_as_lost(void **state)
{
    bench *b = *state;
    server_set(&b->server, true, SERVER_WELL);
    CHECK_OK(bench_take(b, "b", 3, 1), &b->err);
    CHECK_OK(bench_take(b, "b", 4, 1), &b->err);
    CHECK_OK(bench_take(b, "b", 5, 1), &b->err);
    bench_close(b);
    group_damage(b, 1);
    bench_open(b);
    server_set(&b->server, false, SERVER_WELL);
    assert_int_equal(stored(b, "b"), 8);
    assert_int_equal(bench_stats(b).journal.lost, 4);
}

/* ---- a copy of itself --------------------------------------------------------------------- */

static void what_is_left_behind_a_fence_beyond_ours_becomes_dead_letters(void **state)
{
    bench *b = *state;
    utapi_applied applied;
    CHECK_OK(bench_take(b, "b", 3, 1), &b->err);
    bench_drained(b);
    server_fill(&b->server, true);
    CHECK_OK(bench_take(b, "b", 4, 1), &b->err);
    utapi_batch theirs = {.now_ms = T0, .fence = {.from = 3, .to = 50}};
    memcpy(theirs.fence.writer, inside(b)->newest->writer, sizeof theirs.fence.writer);
    pthread_mutex_lock(&b->server.lock);
    CHECK_OK(utapi_backend_apply(b->server.memory, &theirs, &applied, &b->err), &b->err);
    pthread_mutex_unlock(&b->server.lock);
    server_fill(&b->server, false);
    while (bench_letters(b) < 4)
        usleep(1000);
    assert_non_null(strstr(bench_stats(b).warning, "a copy of this journal is in use"));
    CHECK_OK(bench_take(b, "b", 5, 1), &b->err); /* under another name */
    assert_int_equal(stored(b, "b"), 8);
    assert_int_equal(bench_letters(b), 4);
}

/* ---- operators' acts ----------------------------------------------------------------------- */

static utapi_status act_on(bench *b, utapi_admin_kind kind, int64_t time_ms, const char *id)
{
    utapi_admin_act act = {.kind = kind,
                           .name = utapi_string_of("b"),
                           .time_ms = time_ms,
                           .id = utapi_string_of(id),
                           .who = utapi_string_of("uid 0"),
                           .reason = utapi_string_of("a test")};
    utapi_amounts_set(&act.amounts, UTAPI_NUMBER_OF_OBJECTS, 100);
    const utapi_entry entry = utapi_admin_entry(&act);
    const utapi_batch batch = {.entries = &entry, .count = 1, .now_ms = T0};
    utapi_applied applied;
    return utapi_backend_apply(b->journal, &batch, &applied, &b->err);
}

#define SOME_ID "00000000000000000000000000000abc"

static void an_act_goes_on_under_another_name(void **state)
{
    bench *b = *state;
    utapi_applied applied;
    server_fill(&b->server, true);
    CHECK_OK(bench_take(b, "b", 1, 1), &b->err);
    CHECK_OK(act_on(b, UTAPI_ADMIN_ADJUST, T0, SOME_ID), &b->err);
    CHECK_OK(bench_take(b, "b", 2, 1), &b->err);
    utapi_batch theirs = {.now_ms = T0, .fence = {.from = 0, .to = 50}};
    memcpy(theirs.fence.writer, inside(b)->newest->writer, sizeof theirs.fence.writer);
    pthread_mutex_lock(&b->server.lock);
    CHECK_OK(utapi_backend_apply(b->server.memory, &theirs, &applied, &b->err), &b->err);
    pthread_mutex_unlock(&b->server.lock);
    server_fill(&b->server, false);
    while (bench_letters(b) < 3)
        usleep(1000);
    assert_int_equal(stored(b, "b"), 100);
    assert_int_equal(bench_letters(b), 3);
}

/* What an act comes to the storage alone knows; nobody else waits for that. */
static void questions_about_the_resource_of_an_act_wait_for_it(void **state)
{
    bench *b = *state;
    const utapi_string name = utapi_string_of("b");
    const utapi_query query = {.names = &name, .count = 1, .end = UTAPI_INTERVAL_MAX};
    utapi_usage usage;
    b->tuning.patience.wait_ms = 50;
    reopen(b);
    server_fill(&b->server, true);
    CHECK_OK(bench_take(b, "b", 3, 1), &b->err);
    CHECK_OK(bench_take(b, "other", 2, 1), &b->err);
    CHECK_OK(act_on(b, UTAPI_ADMIN_ADJUST, T0, SOME_ID), &b->err);
    assert_int_equal(bench_objects(b, "other"), 2);
    CHECK_STATUS(UTAPI_UNAVAILABLE, utapi_backend_read(b->journal, &query, &usage, NULL, &b->err), &b->err);
    server_fill(&b->server, false);
    bench_drained(b);
    assert_int_equal(bench_objects(b, "b"), 103);
}

/* It is known after a restart that events before it count no more. */
static void an_act_that_expires_is_heeded_before_it_is_stored(void **state)
{
    bench *b = *state;
    const utapi_string name = utapi_string_of("b");
    const utapi_query query = {.names = &name, .count = 1, .end = UTAPI_INTERVAL_MAX};
    const utapi_entry older = put_at("b", T0 + 5);
    const utapi_batch batch = {.entries = &older, .count = 1, .now_ms = T0 + 20};
    utapi_applied applied;
    utapi_usage usage;
    b->tuning.patience.wait_ms = 50;
    CHECK_OK(bench_take(b, "b", 3, 1), &b->err);
    CHECK_OK(act_on(b, UTAPI_ADMIN_EXPIRE, T0 + 10, SOME_ID), &b->err);
    bench_drained(b);
    reopen(b);
    server_fill(&b->server, true);
    CHECK_OK(utapi_backend_apply(b->journal, &batch, &applied, &b->err), &b->err);
    CHECK_STATUS(UTAPI_UNAVAILABLE, utapi_backend_read(b->journal, &query, &usage, NULL, &b->err), &b->err);
    server_fill(&b->server, false);
    bench_drained(b);
    assert_int_equal(bench_objects(b, "b"), 0);
}

/* An earlier version would take the record of an act for a gap. */
static void the_first_act_raises_the_format(void **state)
{
    bench *b = *state;
    CHECK_OK(bench_take(b, "b", 3, 1), &b->err);
    reopen(b);
    assert_int_equal(inside(b)->env.format, 1);
    CHECK_OK(act_on(b, UTAPI_ADMIN_ADJUST, T0, SOME_ID), &b->err);
    assert_int_equal(inside(b)->env.format, 2);
    reopen(b);
    assert_int_equal(inside(b)->env.format, 2);
    bench_drained(b);
    assert_int_equal(bench_objects(b, "b"), 103);
}

static void a_storage_without_administration_gets_no_act(void **state)
{
    bench *b = *state;
    b->server.has_no_admin = true;
    reopen(b);
    CHECK_STATUS(UTAPI_NOT_SUPPORTED, act_on(b, UTAPI_ADMIN_ADJUST, T0, SOME_ID), &b->err);
    b->server.has_no_admin = false;
}

/* ---- questions ---------------------------------------------------------------------------- */

static void a_question_of_many_names_is_asked_as_one(void **state)
{
    bench *b = *state;
    const utapi_string names[] = {utapi_string_of("a"), utapi_string_of("b"), utapi_string_of("c")};
    const utapi_query query = {.names = names, .count = 3, .end = UTAPI_INTERVAL_MAX};
    utapi_usage usages[3];
    CHECK_OK(bench_take(b, "b", 3, 1), &b->err);
    CHECK_OK(utapi_backend_read(b->journal, &query, usages, NULL, &b->err), &b->err);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(usages[i].number_of_objects[1], i == 1 ? 3 : 0);
    assert_int_equal(b->server.names, 3);
    assert_int_equal(b->server.reads, 1);
}

/* ---- expiry ------------------------------------------------------------------------------- */

static void an_expiry_by_hand_is_known_after_a_restart(void **state)
{
    bench *b = *state;
    const utapi_string name = utapi_string_of("b");
    const utapi_query query = {.names = &name, .count = 1, .end = UTAPI_INTERVAL_MAX};
    const utapi_entry older = put_at("b", T0 + 5);
    const utapi_batch batch = {.entries = &older, .count = 1, .now_ms = T0 + 20};
    utapi_usage usage;
    utapi_applied applied;
    CHECK_OK(bench_take(b, "b", 3, 1), &b->err);
    CHECK_OK(utapi_backend_expire(b->journal, UTAPI_BUCKETS, name, T0 + 10, &b->err), &b->err);
    b->tuning.patience.wait_ms = 50;
    reopen(b);
    while (bench_objects(b, "b") != 0)
        usleep(1000);
    server_fill(&b->server, true);
    CHECK_OK(utapi_backend_apply(b->journal, &batch, &applied, &b->err), &b->err);
    CHECK_STATUS(UTAPI_UNAVAILABLE, utapi_backend_read(b->journal, &query, &usage, NULL, &b->err), &b->err);
    server_fill(&b->server, false);
    bench_drained(b);
    assert_int_equal(bench_objects(b, "b"), 0);
}

/* By another process, into a storage that is shared: this journal heard nothing of it. */
static void an_expiry_by_somebody_else_is_heeded(void **state)
{
    bench *b = *state;
    const utapi_string name = utapi_string_of("b");
    const utapi_query query = {.names = &name, .count = 1, .end = UTAPI_INTERVAL_MAX};
    utapi_usage usage;
    b->tuning.patience.wait_ms = 50;
    reopen(b);
    server_fill(&b->server, true);
    CHECK_OK(bench_take(b, "b", 3, 1), &b->err);
    assert_int_equal(bench_objects(b, "b"), 3);
    CHECK_OK(utapi_backend_expire(b->server.memory, UTAPI_BUCKETS, name, UTAPI_INTERVAL_MAX, &b->err),
             &b->err);
    CHECK_STATUS(UTAPI_UNAVAILABLE, utapi_backend_read(b->journal, &query, &usage, NULL, &b->err), &b->err);
    server_fill(&b->server, false);
    bench_drained(b);
    assert_int_equal(bench_objects(b, "b"), 0);
}

/* A failover to a replica that has the scheduled expiry, and lacks the event that cancelled it. */
static void what_is_due_is_expired_only_behind_what_the_storage_lost(void **state)
{
    bench *b = *state;
    utapi_applied applied;
    utapi_entry entries[] = {put_at("b", T0), put_at("b", T0 + 20)};
    b->tuning.pace.tick_ms = 60000; /* nobody else looks at the fences */
    reopen(b);
    entries[0].expiry = UTAPI_EXPIRE_LATER;
    entries[0].expire_at_ms = T0 + 1000;
    for (size_t i = 0; i < 2; i++) {
        const utapi_batch batch = {.entries = &entries[i], .count = 1, .now_ms = T0 + 20};
        CHECK_OK(utapi_backend_apply(b->journal, &batch, &applied, &b->err), &b->err);
        bench_drained(b);
    }
    server_lose(&b->server, 1);
    CHECK_OK(utapi_backend_maintain(b->journal, T0 + 2000, T0 + 2000, &b->err), &b->err);
    bench_drained(b);
    CHECK_OK(utapi_backend_maintain(b->journal, T0 + 3000, T0 + 3000, &b->err), &b->err);
    assert_int_equal(bench_objects(b, "b"), 2);
}

static uint64_t below(uint64_t *random, uint64_t limit)
{
    *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*random >> 33) % limit;
}

static utapi_entry any_entry(uint64_t *random, int64_t now_ms)
{
    static const char *const names[] = {"a", "b", "c"};
    utapi_entry entry = put_at(names[below(random, 3)], now_ms - (int64_t)below(random, 3000));
    entry.resource[UTAPI_SERVICE] = utapi_string_of("s3");
    entry.accepted_ms = now_ms;
    if (below(random, 6) == 0)
        entry.expiry = UTAPI_EXPIRE_NOW;
    else if (below(random, 4) == 0) {
        entry.expiry = UTAPI_EXPIRE_LATER;
        entry.expire_at_ms = now_ms + 1 + (int64_t)below(random, 1500); /* as an engine has it */
    }
    return entry;
}

static void apply_to_both(bench *b, utapi_backend *oracle, uint64_t *random, int64_t now_ms)
{
    utapi_entry entries[6];
    utapi_applied applied;
    const utapi_batch batch = {.entries = entries, .count = 1 + (size_t)below(random, 6), .now_ms = now_ms};
    for (size_t i = 0; i < batch.count; i++)
        entries[i] = any_entry(random, now_ms);
    CHECK_OK(utapi_backend_apply(oracle, &batch, &applied, &b->err), &b->err);
    CHECK_OK(utapi_backend_apply(b->journal, &batch, &applied, &b->err), &b->err);
}

static void compare(bench *b, utapi_backend *oracle, uint64_t seed)
{
    static const struct {
        utapi_level level;
        const char *name;
    } asked[] = {{UTAPI_BUCKETS, "a"}, {UTAPI_BUCKETS, "b"}, {UTAPI_BUCKETS, "c"}, {UTAPI_SERVICE, "s3"}};
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        const utapi_string name = utapi_string_of(asked[i].name);
        const utapi_query query = {
            .level = asked[i].level, .names = &name, .count = 1, .end = UTAPI_INTERVAL_MAX};
        utapi_usage mine, theirs;
        CHECK_OK(utapi_backend_read(b->journal, &query, &mine, NULL, &b->err), &b->err);
        CHECK_OK(utapi_backend_read(oracle, &query, &theirs, NULL, &b->err), &b->err);
        if (mine.number_of_objects[1] != theirs.number_of_objects[1])
            print_error("seed %llu: %s\n", (unsigned long long)seed, asked[i].name);
        assert_int_equal(mine.number_of_objects[1], theirs.number_of_objects[1]);
        assert_true(utapi_amounts_equal(&mine.flows, &theirs.flows));
    }
}

/* Scheduled expiries fall due between groups that could be delivered together, and within them. */
static void expiry_through_a_journal_is_that_of_the_storage(void **state)
{
    enum { SEEDS = 40, BATCHES = 40 };
    bench *b = *state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        const utapi_backend_options options = {.location = ""};
        utapi_backend *oracle = NULL;
        uint64_t random = seed;
        int64_t now_ms = T0;
        bench_close(b);
        support_folder_remove(b->location);
        server_lose(&b->server, 0);
        bench_open(b);
        server_cut(&b->server, 0, seed % 3 == 0 ? 0 : seed);
        CHECK_OK(utapi_backend_open(&utapi_memory_backend, &options, &oracle, &b->err), &b->err);
        for (int i = 0; i < BATCHES; i++) {
            now_ms += (int64_t)below(&random, 700);
            server_fill(&b->server, below(&random, 4) != 0);
            apply_to_both(b, oracle, &random, now_ms);
            if (below(&random, 10) == 0)
                reopen(b);
        }
        server_fill(&b->server, false);
        bench_drained(b);
        compare(b, oracle, seed);
        utapi_backend_close(oracle);
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest cases[] = {
        CASE(a_uuid_is_known_after_a_restart),
        CASE(a_deleted_journal_begins_anew),
        CASE(any_number_of_starts_leaves_nothing_behind),
        CASE(room_is_made_in_every_epoch),
        CASE(what_the_storage_loses_of_a_former_start_is_counted),
        CASE(an_environment_that_was_given_up_is_opened_again),
        CASE(a_group_whose_outcome_was_not_known_is_found),
        CASE(a_damaged_group_is_counted_as_lost),
        CASE(what_is_left_behind_a_fence_beyond_ours_becomes_dead_letters),
        CASE(an_act_goes_on_under_another_name),
        CASE(questions_about_the_resource_of_an_act_wait_for_it),
        CASE(an_act_that_expires_is_heeded_before_it_is_stored),
        CASE(the_first_act_raises_the_format),
        CASE(a_storage_without_administration_gets_no_act),
        CASE(a_question_of_many_names_is_asked_as_one),
        CASE(an_expiry_by_hand_is_known_after_a_restart),
        CASE(an_expiry_by_somebody_else_is_heeded),
        CASE(what_is_due_is_expired_only_behind_what_the_storage_lost),
        CASE(expiry_through_a_journal_is_that_of_the_storage),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
