/* SPDX-License-Identifier: Apache-2.0 */
/* test_backend.c - a table that breaks the contract is refused by the slot's name; optional tables are optional; of a
 * fenced batch that cannot be stored whole, a prefix is. */
#include "check.h"
#include "utapi/backend_admin.h"
#include "utapi/backend_dead_letters.h"
#include "utapi/backend_journal.h"

#include <string.h>

static utapi_error err;

static utapi_backend_open_fn bare_open;
static utapi_backend_apply_fn bare_apply;
static utapi_backend_read_fn bare_read;
static utapi_backend_stats_fn bare_stats;
static utapi_backend_close_fn bare_close;

static const utapi_backend_ops bare_ops = {
    .version = UTAPI_BACKEND_VERSION,
    .name = "bare",
    .open = bare_open,
    .apply = bare_apply,
    .read = bare_read,
    .stats = bare_stats,
    .close = bare_close,
};
static utapi_backend bare = {.ops = &bare_ops};
static unsigned closed;

static utapi_status bare_open(const utapi_backend_options *options, utapi_backend **ret,
                              utapi_error *open_err)
{
    (void)options;
    (void)open_err;
    *ret = &bare;
    return UTAPI_OK;
}

/* The sequence of the one entry that can never be stored, and why. */
static uint64_t poison = UINT64_MAX;
static utapi_status poison_status = UTAPI_OVERFLOW;
static utapi_status empty_status; /* of a batch without entries */
static unsigned applies;

static utapi_status bare_apply(utapi_backend *self, const utapi_batch *batch, utapi_applied *ret,
                               utapi_error *apply_err)
{
    (void)self;
    applies++;
    if (batch->count == 0 && empty_status != UTAPI_OK)
        return utapi_fail(apply_err, empty_status, "a damaged page");
    for (size_t i = 0; i < batch->count; i++)
        if (batch->entries[i].sequence == poison)
            return utapi_fail_at(apply_err, poison_status, i, "poison in %zu", batch->count);
    *ret = (utapi_applied){.repeated = batch->count, .fence = batch->fence.to};
    return UTAPI_OK;
}

static utapi_status bare_read(utapi_backend *self, const utapi_query *query, utapi_usage *ret,
                              uint64_t *ret_fences, utapi_error *read_err)
{
    (void)self;
    (void)query;
    (void)ret;
    (void)ret_fences;
    return utapi_fail(read_err, UTAPI_UNAVAILABLE, "never there");
}

static utapi_status bare_stats(utapi_backend *self, utapi_storage_stats *ret, utapi_error *stats_err)
{
    (void)self;
    (void)stats_err;
    *ret = (utapi_storage_stats){.resources = 1};
    return UTAPI_OK;
}

static void bare_close(utapi_backend *self)
{
    (void)self;
    closed++;
}

static void a_table_without_a_required_slot_is_refused_by_its_name(void **state)
{
    (void)state;
    const utapi_backend_options options = {.location = NULL};
    utapi_backend *backend = NULL;
    utapi_backend_ops ops = bare_ops;
    ops.read = NULL;
    assert_int_equal(utapi_backend_open(&ops, &options, &backend, &err), UTAPI_NOT_SUPPORTED);
    assert_non_null(strstr(err.detail, "\"read\""));
    utapi_error_clear(&err);
    ops = bare_ops;
    ops.version++;
    CHECK_STATUS(UTAPI_NOT_SUPPORTED, utapi_backend_open(&ops, &options, &backend, &err), &err);
    assert_null(backend);
}

static bool no_resource(void *ctx, utapi_string name)
{
    (void)ctx;
    (void)name;
    return true;
}

static bool no_row(void *ctx, const utapi_export_row *row)
{
    (void)ctx;
    (void)row;
    return true;
}

static bool no_fence(void *ctx, const unsigned char writer[16], uint64_t fence)
{
    (void)ctx;
    (void)writer;
    (void)fence;
    return true;
}

static bool no_letter(void *ctx, const utapi_dead_letter *letter)
{
    (void)ctx;
    (void)letter;
    return true;
}

static void a_missing_table_answers_not_supported(void **state)
{
    (void)state;
    const utapi_backend_options options = {.location = NULL};
    utapi_backend *backend = NULL;
    CHECK_OK(utapi_backend_open(&bare_ops, &options, &backend, &err), &err);
    const utapi_string name = utapi_string_of("n");
    const utapi_adjustment adjustment = {.name = name};
    const utapi_export everything = {.level = UTAPI_LEVEL_COUNT};
    const utapi_acknowledgement nothing = {.count = 0};
    size_t adjusted;
    const utapi_status answers[] = {
        utapi_backend_list(backend, UTAPI_BUCKETS, no_resource, NULL, &err),
        utapi_backend_export(backend, &everything, no_row, NULL, NULL, &err),
        utapi_backend_adjust(backend, &adjustment, 1, &adjusted, &err),
        utapi_backend_expire(backend, UTAPI_BUCKETS, name, 0, &err),
        utapi_backend_fences(backend, no_fence, NULL, &err),
        utapi_backend_dead_letters(backend, no_letter, NULL, &err),
        utapi_backend_acknowledge(backend, &nothing, &err),
    };
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        assert_int_equal(answers[i], UTAPI_NOT_SUPPORTED);
    utapi_error_clear(&err);
    utapi_dead_letter_stats letters = {.kept = 7};
    CHECK_OK(utapi_backend_dead_letter_stats(backend, &letters, &err), &err);
    assert_int_equal(letters.kept, 0);
    utapi_journal_stats journal = {.waiting = 7};
    utapi_backend_journal_stats(backend, &journal);
    assert_int_equal(journal.waiting, 0);
    CHECK_OK(utapi_backend_maintain(backend, 0, 0, &err), &err);
    CHECK_STATUS(UTAPI_UNAVAILABLE, utapi_backend_read(backend, NULL, NULL, NULL, &err), &err);
    utapi_storage_stats stats;
    CHECK_OK(utapi_backend_stats(backend, &stats, &err), &err);
    assert_int_equal(stats.resources, 1);
    utapi_backend_close(backend);
    utapi_backend_close(NULL);
    assert_int_equal(closed, 1);
}

static void a_second_table_is_complete_or_refused(void **state)
{
    (void)state;
    const utapi_backend_options options = {.location = NULL};
    const utapi_admin_ops no_admin = {.list = NULL};
    const utapi_dead_letter_ops no_letters = {.list = NULL};
    const utapi_journal_ops no_journal = {.stats = NULL};
    utapi_backend *backend = NULL;
    utapi_backend_ops ops = bare_ops;
    ops.admin = &no_admin;
    assert_int_equal(utapi_backend_open(&ops, &options, &backend, &err), UTAPI_NOT_SUPPORTED);
    assert_non_null(strstr(err.detail, "\"admin.list\""));
    utapi_error_clear(&err);
    ops = bare_ops;
    ops.dead_letters = &no_letters;
    assert_int_equal(utapi_backend_open(&ops, &options, &backend, &err), UTAPI_NOT_SUPPORTED);
    assert_non_null(strstr(err.detail, "\"dead_letters.list\""));
    utapi_error_clear(&err);
    ops = bare_ops;
    ops.journal = &no_journal;
    assert_int_equal(utapi_backend_open(&ops, &options, &backend, &err), UTAPI_NOT_SUPPORTED);
    assert_non_null(strstr(err.detail, "\"journal.stats\""));
    utapi_error_clear(&err);
}

static void a_storage_without_letters_is_given_none(void **state)
{
    (void)state;
    const utapi_refusal late = {.reason = UTAPI_REASON_LATE, .detail = "late"};
    const utapi_entry entries[] = {{.refused = &late}, {.letter = utapi_string_of("00")}};
    utapi_applied applied;
    for (size_t i = 0; i < 2; i++) {
        const utapi_batch batch = {.entries = &entries[i], .count = 1};
        const unsigned before = applies;
        CHECK_STATUS(UTAPI_NOT_SUPPORTED, utapi_backend_apply(&bare, &batch, &applied, &err), &err);
        assert_int_equal(applies, before);
    }
}

/* ---- a part of a batch -------------------------------------------------------------------- */

enum { ENTRIES = 10 };

/* Sequences with a hole: 100, 101, 102, 103, 104, 115, 116, ... */
static utapi_batch fenced_batch(utapi_entry entries[static ENTRIES])
{
    for (size_t i = 0; i < ENTRIES; i++)
        entries[i] = (utapi_entry){.sequence = 100 + i + (i >= 5 ? 10 : 0), .accepted_ms = (int64_t)(50 - i)};
    return (utapi_batch){
        .entries = entries, .count = ENTRIES, .fence = {.writer = {1}, .from = 90, .to = 200}};
}

static void a_prefix_ends_behind_its_last_entry(void **state)
{
    (void)state;
    utapi_entry entries[ENTRIES];
    const utapi_batch batch = fenced_batch(entries);
    assert_int_equal(utapi_batch_prefix(&batch, ENTRIES).fence.to, 200);
    const utapi_batch half = utapi_batch_prefix(&batch, 5);
    assert_int_equal(half.count, 5);
    assert_int_equal(half.fence.to, 105);
    assert_int_equal(half.fence.from, 90);
    assert_int_equal(utapi_batch_prefix(&batch, 0).fence.to, 90);
    assert_int_equal(utapi_batch_accepted_ms(&batch), 41);
}

static void what_precedes_an_entry_that_cannot_be_stored_is_stored(void **state)
{
    static const utapi_status lasting[] = {UTAPI_OVERFLOW, UTAPI_INVALID, UTAPI_CORRUPT};
    (void)state;
    utapi_entry entries[ENTRIES];
    const utapi_batch batch = fenced_batch(entries);
    for (size_t i = 0; i < sizeof lasting / sizeof *lasting; i++) {
        utapi_applied applied = {.fence = 0};
        poison_status = lasting[i];
        poison = 115; /* the sixth */
        CHECK_OK(utapi_backend_apply(&bare, &batch, &applied, &err), &err);
        assert_int_equal(applied.fence, 105);
        assert_int_equal(applied.repeated, 5);
        poison = 100;
        assert_int_equal(utapi_backend_apply(&bare, &batch, &applied, &err), lasting[i]);
        assert_string_equal(err.detail, "poison in 1");
        assert_int_equal(err.index, 0);
        utapi_error_clear(&err);
    }
    poison = UINT64_MAX;
}

static void only_what_lasts_and_is_fenced_is_tried_in_part(void **state)
{
    static const utapi_status passing[] = {UTAPI_UNAVAILABLE, UTAPI_UNCERTAIN, UTAPI_FENCED, UTAPI_NO_MEMORY};
    (void)state;
    utapi_entry entries[ENTRIES];
    utapi_batch batch = fenced_batch(entries);
    utapi_applied applied;
    poison = 102;
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++) {
        poison_status = passing[i];
        applies = 0;
        assert_int_equal(utapi_backend_apply(&bare, &batch, &applied, &err), passing[i]);
        assert_int_equal(applies, 1);
        utapi_error_clear(&err);
    }
    poison_status = UTAPI_OVERFLOW;
    batch.fence = (utapi_fence){.from = 0};
    applies = 0;
    assert_int_equal(utapi_backend_apply(&bare, &batch, &applied, &err), UTAPI_OVERFLOW);
    assert_int_equal(applies, 1);
    assert_int_equal(err.index, 2);
    utapi_error_clear(&err);
    poison = UINT64_MAX;
}

/* An entry is not to blame for a storage that cannot even carry out what is due. */
static void a_storage_that_is_corrupt_itself_is_unavailable(void **state)
{
    static const struct {
        utapi_status empty, answer;
    } cases[] = {{UTAPI_OK, UTAPI_CORRUPT},
                 {UTAPI_CORRUPT, UTAPI_UNAVAILABLE},
                 {UTAPI_INVALID, UTAPI_UNAVAILABLE},
                 {UTAPI_FENCED, UTAPI_FENCED},
                 {UTAPI_UNCERTAIN, UTAPI_UNCERTAIN}};
    (void)state;
    utapi_entry entries[ENTRIES];
    utapi_batch batch = fenced_batch(entries);
    utapi_applied applied;
    poison = 100;
    poison_status = UTAPI_CORRUPT;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (batch.count = ENTRIES; batch.count > 0; batch.count /= 4) {
            empty_status = cases[i].empty;
            assert_int_equal(utapi_backend_apply(&bare, &batch, &applied, &err), cases[i].answer);
            assert_string_equal(err.detail,
                                cases[i].answer == UTAPI_CORRUPT ? "poison in 1" : "a damaged page");
            utapi_error_clear(&err);
        }
    batch.count = ENTRIES;
    poison_status = UTAPI_OVERFLOW;
    assert_int_equal(utapi_backend_apply(&bare, &batch, &applied, &err), UTAPI_OVERFLOW); /* it was judged */
    utapi_error_clear(&err);
    empty_status = UTAPI_OK;
    poison = UINT64_MAX;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_without_a_required_slot_is_refused_by_its_name),
        cmocka_unit_test(a_missing_table_answers_not_supported),
        cmocka_unit_test(a_second_table_is_complete_or_refused),
        cmocka_unit_test(a_storage_without_letters_is_given_none),
        cmocka_unit_test(a_prefix_ends_behind_its_last_entry),
        cmocka_unit_test(what_precedes_an_entry_that_cannot_be_stored_is_stored),
        cmocka_unit_test(only_what_lasts_and_is_fenced_is_tried_in_part),
        cmocka_unit_test(a_storage_that_is_corrupt_itself_is_unavailable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
