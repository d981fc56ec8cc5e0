/* SPDX-License-Identifier: Apache-2.0 */
/* test_letters.c - dead letters of a journal beyond what tests/contract asks of each: those of its delivery, pushed
 * again; those that earlier versions kept; and what stays of them. */
#include "bench.h"

#include "check.h"
#include "journal_internal.h"
#include "journal_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define T0 INT64_C(1700006400000)

enum { SHOWN_MAX = 16 };

typedef struct shown {
    size_t count;
    char ids[SHOWN_MAX][UTAPI_LETTER_ID_MAX];
    utapi_reason reasons[SHOWN_MAX];
    int64_t bytes[SHOWN_MAX];
} shown;

static bool letter_note(void *ctx, const utapi_dead_letter *letter)
{
    shown *to = ctx;
    (void)snprintf(to->ids[to->count], sizeof *to->ids, "%s", letter->id);
    to->reasons[to->count] = letter->reason;
    to->bytes[to->count] = letter->entry->delta[UTAPI_STORAGE_UTILIZED];
    assert_int_equal(letter->levels, UTAPI_ALL_LEVELS);
    return ++to->count < SHOWN_MAX;
}

static shown letters(bench *b)
{
    shown found = {.count = 0};
    CHECK_OK(utapi_backend_dead_letters(b->journal, letter_note, &found, &b->err), &b->err);
    return found;
}

/* Pushes a letter of one object again; returns how many were not there. */
static size_t push(bench *b, const char *id, const char *bucket, int64_t bytes)
{
    const utapi_entry entry = {.time_ms = T0,
                               .accepted_ms = T0,
                               .resource = {[UTAPI_BUCKETS] = utapi_string_of(bucket)},
                               .operation = UTAPI_OP_PUT_OBJECT,
                               .delta = {[UTAPI_STORAGE_UTILIZED] = bytes, [UTAPI_NUMBER_OF_OBJECTS] = 1},
                               .letter = utapi_string_of(id)};
    const utapi_batch batch = {.entries = &entry, .count = 1, .now_ms = T0};
    utapi_applied applied;
    CHECK_OK(utapi_backend_apply(b->journal, &batch, &applied, &b->err), &b->err);
    return applied.repeated;
}

static int64_t objects(bench *b, const char *bucket)
{
    bench_drained(b);
    return bench_objects(b, bucket);
}

static void what_a_storage_refused_is_pushed_once_that_is_mended(void **state)
{
    bench *b = *state;
    b->server.poison = "poison";
    CHECK_OK(bench_take(b, "poison", 2, 1), &b->err);
    bench_drained(b);
    const shown first = letters(b);
    assert_int_equal(first.count, 2);
    assert_int_equal(first.reasons[0], UTAPI_REASON_OVERFLOW);
    assert_true(strlen(first.ids[0]) >= 2 * (size_t)16); /* its place alone could be guessed */

    assert_int_equal(push(b, first.ids[0], "poison", 1), 0); /* nothing is mended yet */
    bench_drained(b);
    const shown second = letters(b);
    assert_int_equal(second.count, 2);
    assert_string_equal(second.ids[0], first.ids[1]);
    assert_string_not_equal(second.ids[1], first.ids[0]);

    b->server.poison = NULL;
    assert_int_equal(push(b, first.ids[0], "poison", 1), 1);
    assert_int_equal(push(b, second.ids[0], "poison", 1), 0);
    assert_int_equal(push(b, second.ids[1], "poison", 1), 0);
    assert_int_equal(objects(b, "poison"), 2);
    assert_int_equal(letters(b).count, 0);
    server_lose(&b->server, 0); /* all is sent again, but for what was refused */
    CHECK_OK(bench_take(b, "b", 1, 1), &b->err);
    while (bench_objects(b, "b") != 1)
        usleep(1000);
    assert_int_equal(objects(b, "poison"), 2);
    assert_int_equal(letters(b).count, 0);
}

static void an_event_that_is_refused_twice_is_one_letter(void **state)
{
    bench *b = *state;
    journal_dead_letters *to = &((journal *)b->journal)->letters;
    const utapi_entry entries[] = {{.sequence = 7}, {.sequence = 8}};
    for (size_t count = 1; count <= 2; count++) { /* the outcome of the first time was not known */
        const utapi_batch batch = {.entries = entries, .count = count, .now_ms = T0};
        CHECK_OK(utapi_journal_dead_letters_add(to, 1, &batch, UTAPI_INVALID, "why", &b->err), &b->err);
        assert_int_equal(letters(b).count, count);
        assert_int_equal(bench_letters(b), count);
    }
}

/* It is no part of the log: what is delivered has its numbers one after the other. */
static void what_a_policy_refuses_leaves_no_hole(void **state)
{
    bench *b = *state;
    const utapi_refusal late = {.reason = UTAPI_REASON_LATE, .detail = "late"};
    utapi_entry entries[6];
    for (size_t i = 0; i < 6; i++)
        entries[i] = (utapi_entry){.time_ms = T0,
                                   .accepted_ms = T0,
                                   .resource = {[UTAPI_BUCKETS] = utapi_string_of("b")},
                                   .operation = UTAPI_OP_PUT_OBJECT,
                                   .delta = {[UTAPI_NUMBER_OF_OBJECTS] = 1},
                                   .refused = i % 2 == 0 ? &late : NULL};
    const utapi_batch batch = {.entries = entries, .count = 6, .now_ms = T0};
    utapi_applied applied;
    for (int i = 0; i < 3; i++)
        CHECK_OK(utapi_backend_apply(b->journal, &batch, &applied, &b->err), &b->err);
    assert_int_equal(objects(b, "b"), 9);
    assert_int_equal(letters(b).count, 9);
    bench_close(b);
    bench_open(b);
    assert_int_equal(objects(b, "b"), 9);
    assert_int_equal(bench_stats(b).journal.lost, 0);
}

/* ---- earlier versions --------------------------------------------------------------------- */

typedef struct raw {
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi refused;
} raw;

static raw raw_begin(const bench *b)
{
    raw it;
    assert_int_equal(mdb_env_create(&it.env), 0);
    assert_int_equal(mdb_env_set_maxdbs(it.env, 16), 0);
    assert_int_equal(mdb_env_set_mapsize(it.env, (size_t)64 << 20), 0);
    assert_int_equal(mdb_env_open(it.env, b->location, MDB_NOSYNC, 0600), 0);
    assert_int_equal(mdb_txn_begin(it.env, NULL, 0, &it.txn), 0);
    assert_int_equal(mdb_dbi_open(it.txn, "refused", 0, &it.refused), 0);
    return it;
}

static void raw_end(raw *it)
{
    assert_int_equal(mdb_txn_commit(it->txn), 0);
    mdb_env_close(it->env);
}

/* A row as version 0.1 wrote it: status, length, reason, the event as a record of one. */
static void old_row_put(const raw *it, uint64_t sequence, const char *uuid, int64_t bytes)
{
    const utapi_entry entry = {.uuid = utapi_string_of(uuid),
                               .uuid_time_ms = T0,
                               .time_ms = T0,
                               .resource = {[UTAPI_BUCKETS] = utapi_string_of("old")},
                               .operation = UTAPI_OP_PUT_OBJECT,
                               .delta = {[UTAPI_STORAGE_UTILIZED] = bytes, [UTAPI_NUMBER_OF_OBJECTS] = 1}};
    const utapi_batch one = {.entries = &entry, .count = 1, .now_ms = T0};
    unsigned char place[JOURNAL_KEY_SIZE], row[1024] = {UTAPI_OVERFLOW, 3, 'w', 'h', 'y'};
    assert_in_range(utapi_record_max(&one), 1, sizeof row - 5);
    utapi_journal_key(1, sequence, place);
    MDB_val key = utapi_lmdbenv_val(place, sizeof place);
    MDB_val value = utapi_lmdbenv_val(row, 5 + utapi_record_encode(&one, NULL, row + 5));
    assert_int_equal(mdb_put(it->txn, it->refused, &key, &value, 0), 0);
}

static void letters_of_earlier_versions_are_shown_pushed_and_acknowledged(void **state)
{
    bench *b = *state;
    bench_close(b);
    raw it = raw_begin(b);
    for (uint64_t i = 0; i < 3; i++)
        old_row_put(&it, i, (const char *[]){"u", "v", "w"}[i], (int64_t)i + 1);
    raw_end(&it);
    bench_open(b);
    b->server.poison = "poison";
    CHECK_OK(bench_take(b, "poison", 1, 9), &b->err);
    bench_drained(b);
    const shown all = letters(b);
    assert_int_equal(all.count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(all.bytes[i], i < 3 ? (int64_t)i + 1 : 9);
    assert_string_equal(all.ids[0], "000000010000000000000000");
    assert_int_equal(all.reasons[0], UTAPI_REASON_OVERFLOW);
    assert_int_equal(bench_stats(b).letters.kept, 4);
    assert_int_equal(bench_stats(b).letters.ever[UTAPI_REASON_OTHER], 3);

    assert_int_equal(push(b, all.ids[1], "old", 2), 0);
    assert_int_equal(push(b, all.ids[1], "old", 2), 1);
    assert_int_equal(objects(b, "old"), 1);
    const utapi_string ids[] = {utapi_string_of(all.ids[0]), utapi_string_of(all.ids[3])};
    const utapi_acknowledgement what = {.ids = ids, .count = 2};
    CHECK_OK(utapi_backend_acknowledge(b->journal, &what, &b->err), &b->err);
    bench_close(b);
    bench_open(b);
    const shown left = letters(b);
    assert_int_equal(left.count, 1);
    assert_string_equal(left.ids[0], all.ids[2]);
    assert_int_equal(bench_stats(b).letters.kept, 1);
    assert_int_equal(bench_letters(b), 4);
    assert_int_equal(push(b, all.ids[0], "old", 1), 1);
    assert_int_equal(push(b, all.ids[2], "old", 3), 0);
    assert_int_equal(objects(b, "old"), 2);
}

/* ---- what stays --------------------------------------------------------------------------- */

static size_t stubs_of(bench *b)
{
    MDB_stat stat;
    bench_close(b);
    raw it = raw_begin(b);
    assert_int_equal(mdb_stat(it.txn, it.refused, &stat), 0);
    raw_end(&it);
    bench_open(b);
    return stat.ms_entries;
}

/* Though nobody ever acknowledges a letter. */
static void places_go_with_what_is_kept(void **state)
{
    enum { LETTERS = 4300, BOUND = 10 };
    bench *b = *state;
    bench_close(b);
    b->options.keep_ms = 0;
    b->options.max_dead_letters = BOUND;
    bench_open(b);
    b->server.poison = "poison";
    for (int i = 0; i < LETTERS / 100; i++) {
        CHECK_OK(bench_take(b, "poison", 100, 1), &b->err);
        bench_drained(b);
    }
    assert_int_equal(bench_letters(b), LETTERS);
    assert_int_equal(bench_stats(b).letters.kept, BOUND);
    assert_in_range(stubs_of(b), 1, 2000);
    assert_int_equal(bench_stats(b).letters.kept, BOUND);
    assert_int_equal(bench_letters(b), LETTERS);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)

int main(void)
{
    const struct CMUnitTest cases[] = {
        CASE(what_a_storage_refused_is_pushed_once_that_is_mended),
        CASE(an_event_that_is_refused_twice_is_one_letter),
        CASE(what_a_policy_refuses_leaves_no_hole),
        CASE(letters_of_earlier_versions_are_shown_pushed_and_acknowledged),
        CASE(places_go_with_what_is_kept),
    };
    return cmocka_run_group_tests_name("journal.letters", cases, NULL, NULL);
}
