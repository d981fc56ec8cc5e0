/* SPDX-License-Identifier: Apache-2.0 */
/* test_backend.c - a table that breaks the contract is refused by the slot's name; optional slots are optional. */
#include "check.h"
#include "utapi/backend.h"

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

static utapi_status bare_apply(utapi_backend *self, const utapi_batch *batch, utapi_applied *ret,
                               utapi_error *apply_err)
{
    (void)self;
    *ret = (utapi_applied){.repeated = batch->count};
    (void)apply_err;
    return UTAPI_OK;
}

static utapi_status bare_read(utapi_backend *self, const utapi_query *query, utapi_usage *ret,
                              uint64_t *ret_fence, utapi_error *read_err)
{
    (void)self;
    (void)query;
    (void)ret;
    (void)ret_fence;
    return utapi_fail(read_err, UTAPI_UNAVAILABLE, "never there");
}

static utapi_status bare_stats(utapi_backend *self, utapi_stats *ret, utapi_error *stats_err)
{
    (void)self;
    (void)stats_err;
    *ret = (utapi_stats){.resources = 1};
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

static bool no_row(void *ctx, utapi_interval interval, const utapi_amounts *totals)
{
    (void)ctx;
    (void)interval;
    (void)totals;
    return true;
}

static void a_missing_optional_slot_answers_not_supported(void **state)
{
    (void)state;
    const utapi_backend_options options = {.location = NULL};
    utapi_backend *backend = NULL;
    CHECK_OK(utapi_backend_open(&bare_ops, &options, &backend, &err), &err);
    const utapi_string name = utapi_string_of("n");
    const utapi_adjustment adjustment = {.name = name};
    CHECK_STATUS(UTAPI_NOT_SUPPORTED, utapi_backend_list(backend, UTAPI_BUCKETS, no_resource, NULL, &err),
                 &err);
    CHECK_STATUS(UTAPI_NOT_SUPPORTED,
                 utapi_backend_rows(backend, UTAPI_BUCKETS, name, 0, 0, no_row, NULL, &err), &err);
    CHECK_STATUS(UTAPI_NOT_SUPPORTED, utapi_backend_adjust(backend, &adjustment, 1, &err), &err);
    CHECK_STATUS(UTAPI_NOT_SUPPORTED, utapi_backend_expire(backend, UTAPI_BUCKETS, name, 0, &err), &err);
    CHECK_OK(utapi_backend_maintain(backend, 0, 0, &err), &err);
    CHECK_STATUS(UTAPI_UNAVAILABLE, utapi_backend_read(backend, NULL, NULL, NULL, &err), &err);
    utapi_stats stats;
    CHECK_OK(utapi_backend_stats(backend, &stats, &err), &err);
    assert_int_equal(stats.resources, 1);
    utapi_backend_close(backend);
    utapi_backend_close(NULL);
    assert_int_equal(closed, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_without_a_required_slot_is_refused_by_its_name),
        cmocka_unit_test(a_missing_optional_slot_answers_not_supported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
