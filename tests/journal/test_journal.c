/* SPDX-License-Identifier: Apache-2.0 */
/* test_journal.c - the promises of backends/journal one by one, before a server that fails on demand. */
#include "bench.h"

#include "folder.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int64_t stored(bench *b, const char *bucket)
{
    int64_t objects, bytes;
    bench_drained(b);
    server_totals(&b->server, bucket, &objects, &bytes);
    return objects;
}

static void what_is_accepted_is_delivered_once(void **state)
{
    bench *b = *state;
    for (int i = 0; i < 50; i++) {
        server_set(&b->server, false, (server_fault)(i % 4));
        CHECK_OK(bench_take(b, "b", 2, 3), &b->err);
    }
    assert_int_equal(stored(b, "b"), 100);
}

static void a_question_sees_what_was_accepted_before_it(void **state)
{
    bench *b = *state;
    for (int i = 1; i <= 200; i++) {
        CHECK_OK(bench_take(b, "b", 1, 1), &b->err);
        assert_int_equal(bench_objects(b, "b"), i);
    }
}

static void events_gather_before_a_storage_that_nobody_else_reads(void **state)
{
    bench *b = *state;
    bench_close(b);
    b->server.alone = true;
    b->tuning.pace.gather_ms = 60000;
    bench_open(b);
    const size_t asked = server_asked(&b->server);
    for (int i = 1; i <= 200; i++) {
        CHECK_OK(bench_take(b, "b", 1, 1), &b->err);
        assert_int_equal(bench_objects(b, "b"), i);
    }
    assert_int_equal(bench_stats(b).journal.waiting, 200);
    assert_int_equal(server_asked(&b->server), asked);
    CHECK_OK(utapi_backend_expire(b->journal, UTAPI_BUCKETS, utapi_string_of("x"), 1, &b->err), &b->err);
    assert_int_equal(bench_stats(b).journal.waiting, 0); /* who needs the storage hurries it */
    assert_int_equal(stored(b, "b"), 200);
    assert_in_range(server_asked(&b->server), asked + 1, asked + 3);
}

/* Nobody asks for it here, as nobody does while the committer is busy. */
static void the_storage_is_maintained_while_events_keep_coming(void **state)
{
    bench *b = *state;
    for (int i = 0; i < 20000 && atomic_load(&b->server.maintained) < 3; i++)
        CHECK_OK(bench_take(b, "b", 1, 1), &b->err);
    assert_in_range(atomic_load(&b->server.maintained), 3, SIZE_MAX);
}

static void accepting_goes_on_while_the_storage_is_gone(void **state)
{
    bench *b = *state;
    server_set(&b->server, true, SERVER_WELL);
    for (int i = 0; i < 30; i++)
        CHECK_OK(bench_take(b, "b", 10, 1), &b->err);
    utapi_health stats = bench_stats(b);
    for (int i = 0; *stats.warning == '\0'; i++, stats = bench_stats(b)) { /* its thread finds out */
        assert_in_range(i, 0, 10000);
        usleep(1000);
    }
    assert_int_equal(stats.journal.waiting, 300);
    assert_true(stats.journal.oldest_ms > 0);
    server_set(&b->server, false, SERVER_WELL);
    assert_int_equal(stored(b, "b"), 300);
    assert_in_range(b->server.largest_batch, 1, 300);
}

static void figures_are_told_while_the_storage_hangs(void **state)
{
    bench *b = *state;
    bench_close(b);
    b->tuning.pace.stalled_ms = 200;
    bench_open(b);
    CHECK_OK(bench_take(b, "b", 1, 1), &b->err);
    while (bench_stats(b).storage.resources != 1) /* it looks again and again */
        usleep(1000);
    assert_string_equal(bench_stats(b).warning, "");
    atomic_store(&b->server.hangs, true);
    CHECK_OK(bench_take(b, "b", 1, 1), &b->err);
    while (strstr(bench_stats(b).warning, "the storage has not answered for") == NULL)
        usleep(1000);
    assert_int_equal(bench_stats(b).storage.resources, 1);
    assert_int_equal(bench_stats(b).journal.waiting, 1);
    atomic_store(&b->server.hangs, false);
    while (*bench_stats(b).warning != '\0')
        usleep(1000);
    assert_int_equal(stored(b, "b"), 2);
}

static void warning_lasts_while_the_storage_answers_and_stores_nothing(void **state)
{
    bench *b = *state;
    server_fill(&b->server, true);
    CHECK_OK(bench_take(b, "b", 1, 1), &b->err);
    while (*bench_stats(b).warning == '\0')
        usleep(100);
    const size_t asked = server_asked(&b->server);
    for (int i = 0; i < 1000; i++) {
        assert_string_equal(bench_stats(b).warning, "the server is gone");
        usleep(100);
    }
    assert_in_range(server_asked(&b->server) - asked, 0, 20); /* it waits longer and longer */
    server_fill(&b->server, false);
    assert_int_equal(stored(b, "b"), 1);
    while (*bench_stats(b).warning != '\0')
        usleep(100);
}

static void leftovers_are_delivered_after_restarts(void **state)
{
    bench *b = *state;
    for (int i = 0; i < 3; i++) {
        server_set(&b->server, true, SERVER_WELL);
        CHECK_OK(bench_take(b, "b", 5, 1), &b->err);
        bench_close(b);
        bench_open(b);
    }
    server_set(&b->server, false, SERVER_WELL);
    assert_int_equal(bench_objects(b, "b"), 15);
    assert_int_equal(stored(b, "b"), 15);
}

static void what_the_storage_lost_is_sent_again(void **state)
{
    bench *b = *state;
    for (int i = 0; i < 20; i++) {
        CHECK_OK(bench_take(b, "b", 3, 1), &b->err);
        bench_drained(b);
    }
    server_lose(&b->server, server_count(&b->server) / 2);
    while (bench_objects(b, "b") != 60)
        usleep(1000);
    server_lose(&b->server, 0);
    CHECK_OK(bench_take(b, "b", 1, 1), &b->err);
    while (bench_objects(b, "b") != 61)
        usleep(1000);
    assert_int_equal(bench_stats(b).journal.lost, 0);
}

static void what_is_lost_and_not_kept_is_counted(void **state)
{
    bench *b = *state;
    CHECK_OK(bench_take(b, "b", 7, 1), &b->err);
    bench_drained(b);
    usleep(20000); /* a mark is set */
    for (int i = 0; i < 8; i++) {
        bench_pass(KEEP_MS);
        usleep(10000);
    }
    CHECK_OK(bench_take(b, "b", 2, 1), &b->err);
    bench_drained(b);
    server_lose(&b->server, 0);
    while (bench_stats(b).journal.lost == 0)
        usleep(1000);
    assert_int_equal(stored(b, "b") + (int64_t)bench_stats(b).journal.lost, 9);
}

/* The dead letters that are shown: how many, and the ids of the first of them. */
typedef struct letters {
    size_t count;
    char ids[3000][UTAPI_LETTER_ID_MAX];
    utapi_string list[3000];
} letters;

static bool letter_note(void *ctx, const utapi_dead_letter *letter)
{
    letters *seen = ctx;
    assert_int_equal(letter->reason, UTAPI_REASON_OVERFLOW);
    assert_string_equal(letter->detail, "poisoned");
    assert_int_equal(letter->entry->resource[UTAPI_BUCKETS].size, 6);
    (void)snprintf(seen->ids[seen->count], sizeof *seen->ids, "%s", letter->id);
    seen->list[seen->count] = utapi_string_of(seen->ids[seen->count]);
    return ++seen->count < sizeof seen->ids / sizeof *seen->ids;
}

static const letters *letters_list(bench *b)
{
    static letters seen;
    seen.count = 0;
    CHECK_OK(utapi_backend_dead_letters(b->journal, letter_note, &seen, &b->err), &b->err);
    return &seen;
}

/* Acknowledges all that is shown, or the first so many. */
static void letters_acknowledge(bench *b, size_t most)
{
    const letters *seen = letters_list(b);
    const utapi_acknowledgement what = {.ids = seen->list, .count = seen->count < most ? seen->count : most};
    CHECK_OK(utapi_backend_acknowledge(b->journal, &what, &b->err), &b->err);
    CHECK_OK(utapi_backend_acknowledge(b->journal, &what, &b->err), &b->err); /* its answer was lost */
}

static void an_event_that_can_never_be_stored_holds_up_no_other(void **state)
{
    bench *b = *state;
    server_set(&b->server, true, SERVER_WELL);
    b->server.poison = "poison";
    CHECK_OK(bench_take(b, "b", 20, 1), &b->err);
    CHECK_OK(bench_take(b, "poison", 2, 1), &b->err);
    CHECK_OK(bench_take(b, "b", 20, 1), &b->err);
    server_set(&b->server, false, SERVER_WELL);
    assert_int_equal(stored(b, "b"), 40);
    assert_int_equal(bench_letters(b), 2);
    server_lose(&b->server, 0); /* sent again, and not twice letters */
    CHECK_OK(bench_take(b, "b", 1, 1), &b->err);
    while (bench_objects(b, "b") != 41)
        usleep(1000);
    assert_int_equal(letters_list(b)->count, 2);
}

static void a_single_event_is_lost_to_no_warning_that_may_pass(void **state)
{
    static const utapi_status passing[] = {UTAPI_UNAVAILABLE, UTAPI_UNCERTAIN, UTAPI_LOCKED, UTAPI_NO_MEMORY,
                                           UTAPI_NOT_SUPPORTED};
    bench *b = *state;
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++) {
        server_answer(&b->server, passing[i]);
        CHECK_OK(bench_take(b, "b", 1, 1), &b->err);
        assert_int_equal(stored(b, "b"), i + 1);
        assert_int_equal(bench_letters(b), 0);
    }
}

static void a_single_event_that_is_refused_for_ever_is_a_dead_letter(void **state)
{
    static const utapi_status lasting[] = {UTAPI_INVALID, UTAPI_OVERFLOW, UTAPI_CORRUPT};
    bench *b = *state;
    for (size_t i = 0; i < sizeof lasting / sizeof *lasting; i++) {
        server_answer(&b->server, lasting[i]);
        CHECK_OK(bench_take(b, "b", 1, 1), &b->err);
        assert_int_equal(stored(b, "b"), 0);
        assert_int_equal(bench_letters(b), i + 1);
    }
}

/* How many are shown, how many there ever were, and how many of those were acknowledged. */
static void check_letters(bench *b, size_t shown, uint64_t refused, uint64_t acknowledged)
{
    const utapi_health stats = bench_stats(b);
    assert_int_equal(letters_list(b)->count, shown);
    assert_int_equal(bench_letters(b), refused);
    assert_int_equal(refused - stats.letters.kept, acknowledged);
}

static void what_was_acknowledged_is_shown_no_more_and_never_comes_back(void **state)
{
    bench *b = *state;
    b->server.poison = "poison";
    CHECK_OK(bench_take(b, "poison", 1, 1), &b->err);
    CHECK_OK(bench_take(b, "poison", 1, 1), &b->err);
    bench_drained(b);
    letters_acknowledge(b, 1);
    check_letters(b, 1, 2, 1);

    server_lose(&b->server, 0); /* all is sent again: what was refused is known, acknowledged or not */
    CHECK_OK(bench_take(b, "poison", 1, 1), &b->err);
    while (bench_letters(b) != 3)
        usleep(1000);
    bench_drained(b);
    check_letters(b, 2, 3, 1);
    bench_close(b);
    bench_open(b);
    check_letters(b, 2, 3, 1);
    letters_acknowledge(b, SIZE_MAX);
    check_letters(b, 0, 3, 3);
}

/* What becomes a dead letter between being shown and being acknowledged may stand before what was shown: it is of an
 * earlier event, which was delivered again. */
static void what_was_not_shown_is_not_acknowledged(void **state)
{
    bench *b = *state;
    CHECK_OK(bench_take(b, "before", 1, 1), &b->err);
    bench_drained(b);
    b->server.poison = "poison";
    CHECK_OK(bench_take(b, "poison", 1, 1), &b->err);
    bench_drained(b);
    const letters shown = *letters_list(b);
    assert_int_equal(shown.count, 1);

    b->server.poison = "before";
    server_lose(&b->server, 0);
    while (bench_letters(b) != 2)
        usleep(1000);
    const utapi_acknowledgement what = {.ids = shown.list, .count = 1};
    CHECK_OK(utapi_backend_acknowledge(b->journal, &what, &b->err), &b->err);
    const letters *left = letters_list(b);
    assert_int_equal(left->count, 1);
    assert_string_not_equal(left->ids[0], shown.ids[0]);
}

static void what_cannot_be_acknowledged_changes_nothing(void **state)
{
    static const char *const wrong[] = {"", "1", "00000001000000000000000g", "0000000100000000000000000"};
    bench *b = *state;
    b->server.poison = "poison";
    CHECK_OK(bench_take(b, "poison", 1, 1), &b->err);
    bench_drained(b);
    utapi_string ids[] = {letters_list(b)->list[0], {NULL, 0}};
    utapi_acknowledgement what = {.ids = ids, .count = 2};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ids[1] = utapi_string_of(wrong[i]);
        CHECK_STATUS(UTAPI_INVALID, utapi_backend_acknowledge(b->journal, &what, &b->err), &b->err);
    }
    what = (utapi_acknowledgement){.ids = ids, .count = 1, .lost = 1};
    CHECK_STATUS(UTAPI_INVALID, utapi_backend_acknowledge(b->journal, &what, &b->err), &b->err);
    check_letters(b, 1, 1, 0);
}

/* In a journal that has room for them and for little else. */
static void a_nearly_full_journal_acknowledges_all_the_same(void **state)
{
    bench *b = *state;
    bench_close(b);
    b->options.capacity_bytes = 2 << 20;
    support_folder_remove(b->location); /* a map is never made smaller */
    bench_open(b);
    b->server.poison = "poison";
    for (int i = 0; i < 100; i++) {
        utapi_error_clear(&b->err);
        (void)!bench_take(b, "poison", 100, 1); /* as many as there is room for */
        bench_drained(b);
    }
    const uint64_t all = bench_letters(b);
    assert_true(all >= 2000);
    utapi_error_clear(&b->err);
    while (letters_list(b)->count > 0)
        letters_acknowledge(b, SIZE_MAX);
    check_letters(b, 0, all, all);
}

/* Nothing of them is left, not even a stub, where they cannot be delivered again. */
static void what_is_not_kept_any_more_is_acknowledged_too(void **state)
{
    bench *b = *state;
    bench_close(b);
    b->options.keep_ms = 0;
    bench_open(b);
    b->server.poison = "poison";
    CHECK_OK(bench_take(b, "poison", 5, 1), &b->err);
    bench_drained(b);
    bench_close(b);
    bench_open(b);
    check_letters(b, 5, 5, 0);
    letters_acknowledge(b, SIZE_MAX);
    check_letters(b, 0, 5, 5);
    bench_close(b);
    bench_open(b);
    check_letters(b, 0, 5, 5);
}

/* Opens a small journal before a storage that stores nothing, and fills it; returns how many events it accepted. */
static int64_t journal_fill(bench *b, const char *bucket)
{
    int64_t accepted = 0;
    utapi_status status;
    bench_close(b);
    b->options.capacity_bytes = 2 << 20;
    support_folder_remove(b->location); /* a map is never made smaller */
    bench_open(b);
    server_set(&b->server, true, SERVER_WELL);
    while ((status = bench_take(b, bucket, 50, 1)) == UTAPI_OK)
        accepted += 50;
    CHECK_STATUS(UTAPI_UNAVAILABLE, status, &b->err);
    utapi_error_clear(&b->err);
    return accepted;
}

static void check_full(bench *b)
{
    assert_true(bench_stats(b).refuses);
    assert_memory_equal(bench_stats(b).warning, "the journal is full, and events are refused", 43);
}

static void a_full_journal_says_so_and_recovers(void **state)
{
    bench *b = *state;
    char bucket[200];
    memset(bucket, 'x', sizeof bucket - 1);
    bucket[sizeof bucket - 1] = '\0';
    const int64_t accepted = journal_fill(b, bucket);
    check_full(b);
    server_set(&b->server, false, SERVER_WELL);
    bench_drained(b);
    while (bench_stats(b).refuses) /* although nobody pushes */
        usleep(1000);
    CHECK_OK(bench_take(b, bucket, 50, 1), &b->err);
    assert_int_equal(stored(b, bucket), accepted + 50);
}

/* By what waits: what is stored makes room by itself. */
static void a_journal_that_fills_up_is_told_of_before_it_is_full(void **state)
{
    bench *b = *state;
    bench_close(b);
    b->options.capacity_bytes = 2 << 20;
    support_folder_remove(b->location);
    bench_open(b);
    for (uint64_t used_bytes = 0; used_bytes < (2 << 20) * UINT64_C(70) / 100;) { /* a quarter is a reserve */
        CHECK_OK(bench_take(b, "b", 100, 1), &b->err);
        bench_drained(b);
        const utapi_health stats = bench_stats(b);
        assert_string_equal(stats.storage.room_warning, "");
        used_bytes = stats.journal.used_bytes;
    }
    server_set(&b->server, true, SERVER_WELL);
    int untold = 0, told = 0;
    while (bench_take(b, "b", 50, 1) == UTAPI_OK) {
        const bool is_told =
            strstr(bench_stats(b).storage.room_warning, "the journal is nearly full") != NULL;
        assert_true(is_told || told == 0);
        untold += !is_told;
        told += is_told;
    }
    utapi_error_clear(&b->err);
    assert_in_range(told, 3, untold);
    server_set(&b->server, false, SERVER_WELL);
    bench_drained(b);
    assert_string_equal(bench_stats(b).storage.room_warning, "");
}

/* And accepts nothing: what a start forgot must not let it go on into the reserve. */
static void a_full_journal_says_so_as_soon_as_it_is_opened(void **state)
{
    bench *b = *state;
    (void)journal_fill(b, "b");
    bench_close(b);
    bench_open(b);
    check_full(b);
    CHECK_STATUS(UTAPI_UNAVAILABLE, bench_take(b, "b", 1, 1), &b->err);
    bench_close(b);
    server_set(&b->server, false, SERVER_WELL);
    bench_open(b);
    while (bench_stats(b).refuses)
        usleep(1000);
}

static void a_killed_writer_loses_nothing_that_was_acknowledged(void **state)
{
    bench *b = *state;
    bench_close(b);
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    const pid_t child = fork();
    if (child == 0) {
        server_set(&b->server, true, SERVER_WELL);
        bench_open(b);
        for (char acknowledged = 0; bench_take(b, "b", 1, 1) == UTAPI_OK; acknowledged++)
            if (write(fds[1], &acknowledged, 1) != 1)
                break;
        _exit(0);
    }
    close(fds[1]);
    int64_t acknowledged = 0;
    for (char byte; acknowledged < 40 && read(fds[0], &byte, 1) == 1;)
        acknowledged++;
    kill(child, SIGKILL);
    for (char byte; read(fds[0], &byte, 1) == 1;)
        acknowledged++;
    close(fds[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    bench_open(b);
    assert_in_range(stored(b, "b"), acknowledged, acknowledged + 1);
}

static void a_second_opener_is_refused(void **state)
{
    bench *b = *state;
    utapi_backend *second = NULL;
    CHECK_STATUS(UTAPI_LOCKED, utapi_journal_open(server_connect(&b->server), &b->options, &second, &b->err),
                 &b->err);
    assert_null(second);
}

static void a_journal_copied_back_doubles_nothing(void **state)
{
    bench *b = *state;
    char copy[320];
    snprintf(copy, sizeof copy, "%s/copy", b->folder);
    server_set(&b->server, true, SERVER_WELL);
    CHECK_OK(bench_take(b, "b", 30, 1), &b->err);
    bench_close(b);
    bench_copy(b->location, copy);
    server_set(&b->server, false, SERVER_WELL);
    bench_open(b);
    assert_int_equal(stored(b, "b"), 30);
    bench_close(b);
    bench_copy(copy, b->location);
    bench_open(b);
    CHECK_OK(bench_take(b, "b", 1, 1), &b->err);
    assert_int_equal(stored(b, "b"), 31);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)
    const struct CMUnitTest cases[] = {
        CASE(what_is_accepted_is_delivered_once),
        CASE(a_question_sees_what_was_accepted_before_it),
        CASE(events_gather_before_a_storage_that_nobody_else_reads),
        CASE(the_storage_is_maintained_while_events_keep_coming),
        CASE(accepting_goes_on_while_the_storage_is_gone),
        CASE(figures_are_told_while_the_storage_hangs),
        CASE(warning_lasts_while_the_storage_answers_and_stores_nothing),
        CASE(leftovers_are_delivered_after_restarts),
        CASE(what_the_storage_lost_is_sent_again),
        CASE(what_is_lost_and_not_kept_is_counted),
        CASE(an_event_that_can_never_be_stored_holds_up_no_other),
        CASE(a_single_event_is_lost_to_no_warning_that_may_pass),
        CASE(a_single_event_that_is_refused_for_ever_is_a_dead_letter),
        CASE(what_was_acknowledged_is_shown_no_more_and_never_comes_back),
        CASE(what_was_not_shown_is_not_acknowledged),
        CASE(what_cannot_be_acknowledged_changes_nothing),
        CASE(a_nearly_full_journal_acknowledges_all_the_same),
        CASE(what_is_not_kept_any_more_is_acknowledged_too),
        CASE(a_full_journal_says_so_and_recovers),
        CASE(a_full_journal_says_so_as_soon_as_it_is_opened),
        CASE(a_journal_that_fills_up_is_told_of_before_it_is_full),
        CASE(a_killed_writer_loses_nothing_that_was_acknowledged),
        CASE(a_second_opener_is_refused),
        CASE(a_journal_copied_back_doubles_nothing),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
