/* SPDX-License-Identifier: Apache-2.0 */
/* test_admin_act.c - which acts may be asked for; rows of the audit, written and read; and how an act is handed to a
 * storage. */
#include "check.h"
#include "utapi/backend_admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW INT64_C(1700006400000)
#define ID  "00112233445566778899aabbccddeeff"

static utapi_admin_act some_act(void)
{
    utapi_admin_act act = {.kind = UTAPI_ADMIN_ADJUST,
                           .level = UTAPI_USERS,
                           .name = utapi_string_of("lisa"),
                           .time_ms = NOW - 5,
                           .id = utapi_string_of(ID),
                           .who = utapi_string_of("uid 0"),
                           .reason = utapi_string_of("ticket 5"),
                           .asked_ms = NOW};
    utapi_amounts_set(&act.amounts, UTAPI_NUMBER_OF_OBJECTS, INT64_MIN);
    utapi_amounts_set(&act.amounts, UTAPI_INCOMING_BYTES, 0);
    utapi_amounts_set(&act.amounts, UTAPI_FIRST_OPERATION + UTAPI_OP_GET_OBJECT, 7);
    return act;
}

static void what_may_be_asked_for_is_judged_by_field(void **state)
{
    char longer[UTAPI_ADMIN_TEXT_MAX + 1];
    utapi_error err = {0};
    (void)state;
    memset(longer, 'a', sizeof longer);
    utapi_admin_act acts[16];
    for (size_t i = 0; i < 16; i++)
        acts[i] = some_act();
    CHECK_OK(utapi_admin_act_check(&acts[0], NOW, &err), &err);
    acts[1].name.size = 0;
    acts[2].name = (utapi_string){longer, UTAPI_NAME_MAX + 1};
    acts[3].id.size--;
    acts[4].id = (utapi_string){longer, UTAPI_ADMIN_ID_MAX + 1};
    acts[5].id = utapi_string_of("00112233445566778899AABBCCDDEEFF");
    acts[6].reason.size = 0;
    acts[7].reason = (utapi_string){longer, sizeof longer};
    acts[8].who.size = 0;
    acts[9].reason = utapi_string_of("\xff");
    acts[10].time_ms = -1;
    acts[11].time_ms = NOW + 2 * UTAPI_INTERVAL_MS;
    utapi_amounts_clear(&acts[12].amounts);
    utapi_amounts_set(&acts[13].amounts, UTAPI_STORAGE_UTILIZED, (utapi_wide)INT64_MAX + 1);
    acts[14].time_ms = UTAPI_INTERVAL_MAX + 1;
    static const char *const fields[] = {"",
                                         "name",
                                         "name",
                                         "id",
                                         "id",
                                         "id",
                                         "reason",
                                         "reason",
                                         "who",
                                         "reason",
                                         "at",
                                         "at",
                                         "nothing is to be adjusted",
                                         "storageUtilized",
                                         "at"};
    for (size_t i = 1; i <= 14; i++) {
        utapi_error_clear(&err);
        assert_int_equal(utapi_admin_act_check(&acts[i], NOW, &err), UTAPI_INVALID);
        assert_memory_equal(err.detail, fields[i], strlen(fields[i]));
    }
    utapi_error_clear(&err);
    acts[15].kind = UTAPI_ADMIN_EXPIRE; /* which needs no amounts */
    utapi_amounts_clear(&acts[15].amounts);
    CHECK_OK(utapi_admin_act_check(&acts[15], NOW, &err), &err);
}

static utapi_audit_row some_row(void)
{
    utapi_audit_row row = {.act = some_act(), .interval = utapi_interval_of(NOW) - UTAPI_INTERVAL_MS};
    row.act.refused = utapi_string_of("it cannot be");
    utapi_amounts_set(&row.before, UTAPI_STORAGE_UTILIZED, (utapi_wide)INT64_MAX * 1000);
    utapi_amounts_set(&row.after, UTAPI_STORAGE_UTILIZED, (utapi_wide)INT64_MIN * 1000);
    return row;
}

static void a_row_is_read_as_it_was_written(void **state)
{
    utapi_error err = {0};
    const utapi_audit_row row = some_row();
    unsigned char *bytes = malloc(utapi_audit_row_max(&row.act));
    utapi_audit_row read;
    (void)state;
    assert_non_null(bytes);
    const size_t size = utapi_audit_row_encode(&row, bytes);
    assert_in_range(size, 1, utapi_audit_row_max(&row.act));
    CHECK_OK(utapi_audit_row_decode(bytes, size, &read, &err), &err);
    assert_true(read.act.kind == row.act.kind && read.act.level == row.act.level);
    assert_true(read.act.time_ms == row.act.time_ms && read.act.asked_ms == row.act.asked_ms);
    assert_true(read.interval == row.interval);
    assert_true(utapi_string_equal(read.act.name, row.act.name) &&
                utapi_string_equal(read.act.id, row.act.id));
    assert_true(utapi_string_equal(read.act.who, row.act.who));
    assert_true(utapi_string_equal(read.act.reason, row.act.reason));
    assert_true(utapi_string_equal(read.act.refused, row.act.refused));
    assert_true(utapi_amounts_equal(&read.act.amounts, &row.act.amounts));
    assert_true(utapi_amounts_equal(&read.before, &row.before));
    assert_true(utapi_amounts_equal(&read.after, &row.after));
    assert_true(utapi_admin_watched(&read.act) == utapi_admin_watched(&row.act)); /* a zero is no amount */
    free(bytes);
}

static void a_row_that_is_not_whole_is_refused(void **state)
{
    utapi_error err = {0};
    const utapi_audit_row row = some_row();
    unsigned char *bytes = malloc(utapi_audit_row_max(&row.act));
    utapi_audit_row read;
    (void)state;
    assert_non_null(bytes);
    const size_t size = utapi_audit_row_encode(&row, bytes);
    for (size_t i = 0; i < 8 * size; i++) {
        bytes[i / 8] ^= (unsigned char)(1U << i % 8);
        assert_int_equal(utapi_audit_row_decode(bytes, size, &read, &err), UTAPI_CORRUPT);
        bytes[i / 8] ^= (unsigned char)(1U << i % 8);
    }
    for (size_t i = 0; i < size; i++)
        assert_int_equal(utapi_audit_row_decode(bytes, i, &read, NULL), UTAPI_CORRUPT);
    free(bytes);
}

/* ---- a storage that refuses acts ----------------------------------------------------------- */

typedef struct refusing {
    utapi_backend base;
    utapi_status answer; /* to acts that are not refused yet */
    unsigned applies;
    char refused[100]; /* of the last act */
} refusing;

static utapi_status refusing_apply(utapi_backend *base, const utapi_batch *batch, utapi_applied *ret,
                                   utapi_error *err)
{
    refusing *self = (refusing *)base;
    const utapi_admin_act *act = utapi_batch_act(batch);
    self->applies++;
    *ret = (utapi_applied){.fence = batch->fence.to};
    if (act == NULL)
        return UTAPI_OK;
    (void)snprintf(self->refused, sizeof self->refused, "%.*s", (int)act->refused.size,
                   act->refused.size > 0 ? act->refused.data : "");
    return act->refused.size > 0 || self->answer == UTAPI_OK ? UTAPI_OK
                                                             : utapi_fail(err, self->answer, "because");
}

static utapi_status no_audit(utapi_backend *self, utapi_audit_cb *on_row, void *ctx, utapi_error *err)
{
    (void)self;
    (void)on_row;
    (void)ctx;
    (void)err;
    return UTAPI_OK;
}

static void what_lasts_ends_as_refused_and_what_may_pass_does_not(void **state)
{
    static const struct {
        utapi_status answer, becomes;
        unsigned applies;
        const char *refused;
    } cases[] = {
        {UTAPI_OK, UTAPI_OK, 1, ""},
        {UTAPI_OVERFLOW, UTAPI_OK, 2, "because"},
        {UTAPI_INVALID, UTAPI_OK, 2, "because"},
        {UTAPI_CORRUPT, UTAPI_OK, 2, "because"},
        {UTAPI_UNAVAILABLE, UTAPI_UNAVAILABLE, 1, ""},
        {UTAPI_UNCERTAIN, UTAPI_UNCERTAIN, 1, ""},
        {UTAPI_FENCED, UTAPI_FENCED, 1, ""},
    };
    const utapi_admin_ops admin = {.audit = no_audit};
    const utapi_backend_ops ops = {.apply = refusing_apply, .admin = &admin};
    const utapi_admin_act act = some_act();
    const utapi_entry entry = utapi_admin_entry(&act);
    utapi_applied applied;
    (void)state;
    for (size_t fenced = 0; fenced < 2; fenced++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            refusing storage = {.base.ops = &ops, .answer = cases[i].answer};
            utapi_error err = {0};
            utapi_batch batch = {.entries = &entry, .count = 1, .fence = {.to = 1}};
            batch.fence.writer[0] = fenced > 0;
            assert_int_equal(utapi_backend_apply(&storage.base, &batch, &applied, &err), cases[i].becomes);
            assert_int_equal(storage.applies, cases[i].applies);
            assert_string_equal(storage.refused, cases[i].refused);
        }
}

static void a_storage_without_an_audit_takes_no_act(void **state)
{
    const utapi_admin_ops admin = {.list = NULL};
    const utapi_backend_ops ops = {.name = "bare", .apply = refusing_apply, .admin = &admin};
    refusing storage = {.base.ops = &ops};
    const utapi_admin_act act = some_act();
    const utapi_entry entry = utapi_admin_entry(&act);
    const utapi_batch batch = {.entries = &entry, .count = 1};
    utapi_applied applied;
    utapi_error err = {0};
    (void)state;
    CHECK_STATUS(UTAPI_NOT_SUPPORTED, utapi_backend_apply(&storage.base, &batch, &applied, &err), &err);
    assert_int_equal(storage.applies, 0);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(what_may_be_asked_for_is_judged_by_field),
        cmocka_unit_test(a_row_is_read_as_it_was_written),
        cmocka_unit_test(a_row_that_is_not_whole_is_refused),
        cmocka_unit_test(what_lasts_ends_as_refused_and_what_may_pass_does_not),
        cmocka_unit_test(a_storage_without_an_audit_takes_no_act),
    };
    return cmocka_run_group_tests_name("unit.admin_act", cases, NULL, NULL);
}
