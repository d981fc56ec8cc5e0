/* SPDX-License-Identifier: Apache-2.0 */
/* test_log.c - levels of the log. */
#include "check.h"

#include "handlers/log.h"

static void log_levels_have_names(void **state)
{
    (void)state;
    log_level level = LOG_LEVEL_INFO;
    assert_false(log_level_find("loud", &level));
    assert_true(log_level_find("warn", &level));
    assert_int_equal(level, LOG_LEVEL_WARN);
    log_open("test", LOG_LEVEL_WARN);
    assert_true(log_wants(LOG_LEVEL_ERROR));
    assert_false(log_wants(LOG_LEVEL_INFO));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_levels_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
