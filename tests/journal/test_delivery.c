/* SPDX-License-Identifier: Apache-2.0 */
/* test_delivery.c - what becomes of a batch of which the storage stores a part: the rest, dead letters, expiries, and
 * whose fence it is. */
#include "bench.h"

#include "folder.h"
#include "journal_store.h"
#include "utapi/codec.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define T0 INT64_C(1700006400000)

static int64_t stored(bench *b, const char *bucket)
{
    int64_t objects, bytes;
    bench_drained(b);
    server_totals(&b->server, bucket, &objects, &bytes);
    return objects;
}

static utapi_entry put(const char *bucket, int64_t time_ms)
{
    return (utapi_entry){.time_ms = time_ms,
                         .accepted_ms = T0,
                         .resource = {[UTAPI_BUCKETS] = utapi_string_of(bucket)},
                         .operation = UTAPI_OP_PUT_OBJECT,
                         .delta = {[UTAPI_NUMBER_OF_OBJECTS] = 1}};
}

static void accept_group(bench *b, const utapi_entry *entries, size_t count, int64_t now_ms)
{
    const utapi_batch batch = {.entries = entries, .count = count, .now_ms = now_ms};
    utapi_applied applied;
    CHECK_OK(utapi_backend_apply(b->journal, &batch, &applied, &b->err), &b->err);
}

/* Opens the journal again before an empty server; its sequences begin at 0. */
static void begin_anew(bench *b)
{
    bench_close(b);
    support_folder_remove(b->location);
    server_lose(&b->server, 0);
    bench_open(b);
}

/* ---- how much ----------------------------------------------------------------------------- */

static void the_rest_of_a_part_follows(void **state)
{
    static const size_t most[] = {1, 2, 7, 99};
    bench *b = *state;
    for (size_t i = 0; i < sizeof most / sizeof *most; i++)
        for (uint64_t cuts = 0; cuts < 2; cuts++) {
            begin_anew(b);
            server_cut(&b->server, most[i], cuts);
            server_set(&b->server, true, SERVER_WELL);
            for (int group = 0; group < 5; group++)
                CHECK_OK(bench_take(b, "b", 60, 1), &b->err);
            server_set(&b->server, false, SERVER_WELL);
            assert_int_equal(stored(b, "b"), 300);
            assert_int_equal(bench_letters(b), 0);
            server_lose(&b->server, server_count(&b->server) / 2);
            while (bench_objects(b, "b") != 300)
                usleep(1000);
            assert_int_equal(stored(b, "b"), 300);
        }
}

/* Else a storage with a budget would be given all that waits again and again. */
static void a_batch_is_about_twice_what_was_stored_last(void **state)
{
    bench *b = *state;
    server_cut(&b->server, 50, 0);
    server_fill(&b->server, true);
    for (int group = 0; group < 100; group++)
        CHECK_OK(bench_take(b, "b", 100, 1), &b->err);
    usleep(10000);
    const size_t before = server_given(&b->server);
    server_fill(&b->server, false);
    assert_int_equal(stored(b, "b"), 10000);
    assert_in_range(server_given(&b->server) - before, 10000, 10000 + 2 * 10000 + 100);
}

/* ---- dead letters ------------------------------------------------------------------------- */

static bool letter_count(void *ctx, const utapi_dead_letter *letter)
{
    (void)letter;
    ++*(size_t *)ctx;
    return true;
}

static size_t letters(bench *b)
{
    size_t count = 0;
    CHECK_OK(utapi_backend_dead_letters(b->journal, letter_count, &count, &b->err), &b->err);
    return count;
}

static void a_dead_letter_is_a_hole_in_the_middle_of_a_batch(void **state)
{
    enum { COUNT = 40 };
    static const bool is_poison[COUNT] = {[7] = true, [8] = true, [21] = true, [39] = true};
    bench *b = *state;
    utapi_entry entries[COUNT];
    server_stamp stamp;
    server_poison(&b->server, "poison");
    for (size_t i = 0; i < COUNT; i++)
        entries[i] = put(is_poison[i] ? "poison" : "b", T0);
    accept_group(b, entries, COUNT, T0);
    assert_int_equal(stored(b, "b"), COUNT - 4);
    for (int round = 0; round < 2; round++) { /* the storage loses all, and is sent it again */
        for (size_t i = 0; i < COUNT; i++)
            assert_int_equal(server_find(&b->server, i, &stamp), !is_poison[i]);
        assert_int_equal(stored(b, "poison"), 0);
        assert_int_equal(letters(b), 4);
        server_lose(&b->server, 0);
        while (bench_objects(b, "b") != COUNT - 4)
            usleep(1000);
        bench_drained(b);
    }
}

typedef struct told {
    size_t count;
    utapi_level_set levels;
    char id[UTAPI_LETTER_ID_MAX];
    utapi_reason reason;
} told;

static bool letter_told(void *ctx, const utapi_dead_letter *letter)
{
    told *seen = ctx;
    seen->count++;
    seen->levels = letter->levels;
    seen->reason = letter->reason;
    (void)snprintf(seen->id, sizeof seen->id, "%s", letter->id);
    return true;
}

static int64_t at_service(bench *b)
{
    const utapi_string name = utapi_string_of("s3");
    const utapi_query query = {.level = UTAPI_SERVICE, .names = &name, .count = 1, .end = UTAPI_INTERVAL_MAX};
    utapi_usage usage;
    CHECK_OK(utapi_backend_read(b->journal, &query, &usage, NULL, &b->err), &b->err);
    return (int64_t)usage.number_of_objects[1];
}

/* The letter names the level, the other levels count, also where the storage loses all; and pushed again, once the
 * storage has room, it counts at that level alone. */
static void an_event_that_fits_at_some_levels_counts_there(void **state)
{
    bench *b = *state;
    utapi_entry entries[] = {put("b", T0), put("poison", T0), put("b", T0)};
    for (size_t i = 0; i < 3; i++)
        entries[i].resource[UTAPI_SERVICE] = utapi_string_of("s3");
    b->server.tells = true;
    server_poison(&b->server, "poison");
    accept_group(b, entries, 3, T0);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(stored(b, "b"), 2);
        bench_drained(b);
        assert_int_equal(bench_objects(b, "poison"), 0);
        assert_int_equal(at_service(b), 3);
        told seen = {.count = 0};
        CHECK_OK(utapi_backend_dead_letters(b->journal, letter_told, &seen, &b->err), &b->err);
        assert_int_equal(seen.count, 1);
        assert_int_equal(seen.levels, UTAPI_LEVEL_BIT(UTAPI_BUCKETS));
        assert_int_equal(seen.reason, UTAPI_REASON_OVERFLOW);
        server_lose(&b->server, 0);
        while (at_service(b) != 3)
            usleep(1000);
    }
    told seen = {.count = 0};
    CHECK_OK(utapi_backend_dead_letters(b->journal, letter_told, &seen, &b->err), &b->err);
    server_poison(&b->server, NULL);
    utapi_entry again = put("poison", T0); /* as the engine makes it, of the letter's levels */
    again.letter = utapi_string_of(seen.id);
    accept_group(b, &again, 1, T0);
    bench_drained(b);
    assert_int_equal(stored(b, "poison"), 1);
    assert_int_equal(at_service(b), 3);
    assert_int_equal(letters(b), 0);
}

static void an_event_that_is_refused_for_ever_lets_all_others_flow(void **state)
{
    bench *b = *state;
    server_poison(&b->server, "poison");
    server_set(&b->server, true, SERVER_WELL);
    CHECK_OK(bench_take(b, "poison", 1, 1), &b->err);
    for (int group = 0; group < 20; group++)
        CHECK_OK(bench_take(b, "b", 100, 1), &b->err);
    const size_t asked = server_asked(&b->server);
    const size_t given = server_given(&b->server);
    server_set(&b->server, false, SERVER_WELL);
    assert_int_equal(stored(b, "b"), 2000);
    assert_in_range(server_asked(&b->server) - asked, 1, 100);
    assert_in_range(server_given(&b->server) - given, 2000, 16000);
    for (int i = 1; i <= 20; i++) { /* and goes on to */
        CHECK_OK(bench_take(b, "poison", 1, 1), &b->err);
        CHECK_OK(bench_take(b, "b", 1, 1), &b->err);
        assert_int_equal(stored(b, "b"), 2000 + i);
        assert_int_equal(letters(b), 1 + i);
    }
    assert_int_equal(bench_stats(b).journal.lost, 0);
}

/* More of them in a row than one batch passes over. */
static void any_number_of_dead_letters_is_passed(void **state)
{
    bench *b = *state;
    server_poison(&b->server, "poison");
    for (int group = 0; group < 12; group++)
        CHECK_OK(bench_take(b, "poison", 100, 1), &b->err);
    CHECK_OK(bench_take(b, "b", 1, 1), &b->err);
    assert_int_equal(stored(b, "b"), 1);
    assert_int_equal(letters(b), 1200);
    server_lose(&b->server, 0);
    while (bench_objects(b, "b") != 1)
        usleep(1000);
    bench_close(b);
    bench_open(b);
    assert_int_equal(stored(b, "b"), 1);
    assert_int_equal(letters(b), 1200);
    assert_int_equal(bench_stats(b).journal.lost, 0);
}

/* Each of them would be the first entry of a batch that is called corrupt. */
static void a_storage_that_is_damaged_itself_makes_no_dead_letters(void **state)
{
    bench *b = *state;
    server_damage(&b->server, true);
    CHECK_OK(bench_take(b, "b", 10, 1), &b->err);
    while (*bench_stats(b).warning == '\0')
        usleep(1000);
    assert_string_equal(bench_stats(b).warning, "a damaged page");
    assert_int_equal(bench_stats(b).journal.waiting, 10);
    assert_int_equal(letters(b), 0);
    server_damage(&b->server, false);
    assert_int_equal(stored(b, "b"), 10);
}

/* ---- times -------------------------------------------------------------------------------- */

static void entries_keep_the_time_at_which_their_own_group_was_accepted(void **state)
{
    static const int64_t accepted_ms[] = {T0, T0, T0 + 10, T0 - 700, T0 + 10, T0 + 20};
    bench *b = *state;
    server_stamp stamp;
    server_fill(&b->server, true);
    for (size_t i = 0; i < 3; i++) { /* two of a group, each of its own: nothing forbids that */
        utapi_entry entries[] = {put("b", T0), put("b", T0)};
        entries[0].accepted_ms = accepted_ms[2 * i];
        entries[1].accepted_ms = accepted_ms[2 * i + 1];
        accept_group(b, entries, 2, T0);
    }
    server_cut(&b->server, 4, 0);
    server_fill(&b->server, false);
    assert_int_equal(stored(b, "b"), 6);
    for (size_t i = 0; i < 6; i++) {
        assert_true(server_find(&b->server, i, &stamp));
        assert_int_equal(stamp.accepted_ms, accepted_ms[i]);
    }
}

/* However a group is cut, the event that cancels an expiry comes before it. */
static void an_expiry_is_never_due_within_its_own_group(void **state)
{
    bench *b = *state;
    for (size_t most = 0; most < 3; most++) {
        begin_anew(b);
        server_cut(&b->server, most, 0);
        server_fill(&b->server, true);
        utapi_entry entries[] = {put("b", T0), put("b", T0), put("b", T0)};
        entries[0].expiry = UTAPI_EXPIRE_LATER;
        entries[0].expire_at_ms = T0 + 10; /* it took a while to be accepted */
        accept_group(b, entries, 2, T0 + 50);
        accept_group(b, &entries[2], 1, T0 + 60);
        server_fill(&b->server, false);
        assert_int_equal(stored(b, "b"), 3);
    }
}

/* Makes the first group what an earlier version wrote: accepted after the expiry that one of its entries schedules. */
static void first_group_postdate(bench *b, uint64_t until, int64_t now_ms)
{
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    MDB_dbi table;
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, JOURNAL_TABLE_COUNT), 0);
    assert_int_equal(mdb_env_open(env, b->location, MDB_NOTLS, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "entry", 0, &table), 0);
    assert_int_equal(mdb_cursor_open(txn, table, &cursor), 0);
    for (uint64_t sequence; mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0 &&
                            utapi_journal_key_is_of(key, 1, &sequence) && sequence < until;) {
        static unsigned char bytes[65536];
        const unsigned char *from = value.mv_data, *end = from + value.mv_size - UTAPI_CHECKSUM_SIZE;
        uint64_t count = 0, old_now = 0;
        assert_in_range(value.mv_size, 1, sizeof bytes - 64);
        const unsigned char *at = utapi_varint_get(from + 1, end, &count);
        if (at != NULL)
            at = utapi_varint_get(at, end, &old_now);
        if (at == NULL)
            break; /* the case fails */
        bytes[0] = from[0];
        unsigned char *to = utapi_varint_put(utapi_varint_put(bytes + 1, count), utapi_zigzag(now_ms));
        memcpy(to, at, (size_t)(end - at));
        to = utapi_checksum_put(bytes, to + (end - at));
        value = (MDB_val){.mv_data = bytes, .mv_size = (size_t)(to - bytes)};
        assert_int_equal(mdb_cursor_put(cursor, &key, &value, MDB_CURRENT), 0);
    }
    mdb_cursor_close(cursor);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

/* The group is longer than a record: where it is cut, nothing that is read says any more what it began with. */
static void an_expiry_of_an_earlier_version_is_not_due_within_its_own_group(void **state)
{
    enum { COUNT = 300 };
    bench *b = *state;
    utapi_entry entries[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        entries[i] = put("other", T0);
    entries[0] = entries[COUNT - 1] = put("b", T0);
    entries[0].expiry = UTAPI_EXPIRE_LATER;
    entries[0].expire_at_ms = T0 + 10;
    for (size_t most = 0; most < 300; most += 99) {
        begin_anew(b);
        server_fill(&b->server, true);
        accept_group(b, entries, COUNT, T0);
        accept_group(b, &entries[1], 1, T0 + 60);
        const utapi_entry later = put("b", T0);
        accept_group(b, &later, 1, T0 + 70);
        bench_close(b);
        first_group_postdate(b, COUNT, T0 + 50);
        bench_open(b);
        server_cut(&b->server, most, 0);
        server_fill(&b->server, false);
        assert_int_equal(stored(b, "b"), 3);
        assert_int_equal(stored(b, "other"), COUNT - 1);
        server_cut(&b->server, 0, 0);
    }
}

/* ---- whose fence it is -------------------------------------------------------------------- */

/* The storage said for certain that it stored nothing, so what stands there now is a copy's. */
static void what_was_not_stored_for_certain_is_not_taken_for_ours(void **state)
{
    static const utapi_status answers[] = {UTAPI_UNAVAILABLE, UTAPI_NO_MEMORY};
    bench *b = *state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        utapi_applied applied;
        begin_anew(b);
        const size_t asked = server_asked(&b->server);
        server_fill(&b->server, true);
        CHECK_OK(bench_take(b, "b", 10, 1), &b->err);
        while (server_asked(&b->server) == asked)
            usleep(1000);
        server_answer(&b->server, answers[i]);
        utapi_batch theirs = {.now_ms = T0, .fence = {.from = 0, .to = 5}};
        const journal_log *log = ((journal *)b->journal)->log;
        memcpy(theirs.fence.writer, log->newest->writer, sizeof theirs.fence.writer);
        pthread_mutex_lock(&b->server.lock);
        CHECK_OK(utapi_backend_apply(b->server.memory, &theirs, &applied, &b->err), &b->err);
        b->server.full = false;
        pthread_mutex_unlock(&b->server.lock);
        bench_drained(b);
        assert_non_null(strstr(bench_stats(b).warning, "a copy of this journal is in use"));
        assert_int_equal(letters(b), 10);
    }
}

/* ---- administration ----------------------------------------------------------------------- */

static bool any_resource(void *ctx, utapi_string name)
{
    (void)name;
    ++*(size_t *)ctx;
    return true;
}

static void a_storage_without_administration_says_so_through_a_journal(void **state)
{
    bench *b = *state;
    size_t count = 0;
    CHECK_OK(bench_take(b, "b", 1, 1), &b->err);
    CHECK_OK(utapi_backend_list(b->journal, UTAPI_BUCKETS, any_resource, &count, &b->err), &b->err);
    assert_int_equal(count, 1);
    bench_close(b);
    b->server.has_no_admin = true;
    bench_open(b);
    CHECK_STATUS(UTAPI_NOT_SUPPORTED,
                 utapi_backend_list(b->journal, UTAPI_BUCKETS, any_resource, &count, &b->err), &b->err);
    CHECK_STATUS(UTAPI_NOT_SUPPORTED,
                 utapi_backend_expire(b->journal, UTAPI_BUCKETS, utapi_string_of("b"), T0, &b->err), &b->err);
    assert_int_equal(bench_objects(b, "b"), 1);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest cases[] = {
        CASE(the_rest_of_a_part_follows),
        CASE(a_batch_is_about_twice_what_was_stored_last),
        CASE(a_dead_letter_is_a_hole_in_the_middle_of_a_batch),
        CASE(an_event_that_is_refused_for_ever_lets_all_others_flow),
        CASE(an_event_that_fits_at_some_levels_counts_there),
        CASE(any_number_of_dead_letters_is_passed),
        CASE(a_storage_that_is_damaged_itself_makes_no_dead_letters),
        CASE(entries_keep_the_time_at_which_their_own_group_was_accepted),
        CASE(an_expiry_is_never_due_within_its_own_group),
        CASE(an_expiry_of_an_earlier_version_is_not_due_within_its_own_group),
        CASE(what_was_not_stored_for_certain_is_not_taken_for_ours),
        CASE(a_storage_without_administration_says_so_through_a_journal),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
