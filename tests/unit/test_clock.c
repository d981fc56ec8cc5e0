/* SPDX-License-Identifier: Apache-2.0 */
/* test_clock.c - clocks go forward in their units, and a timed wait is on the monotonic one. */
#include "check.h"
#include "utapi/clock.h"

#include <errno.h>

static void clocks_agree_with_the_systems(void **state)
{
    (void)state;
    const time_t now_s = time(NULL);
    assert_in_range(utapi_wall_ms() / 1000, now_s - 1, now_s + 60);
    const int64_t before_ms = utapi_monotonic_ms();
    const int64_t now_ns = utapi_monotonic_ns();
    const int64_t after_ms = utapi_monotonic_ms();
    assert_true(before_ms <= now_ns / 1000000 && now_ns / 1000000 <= after_ms);
    assert_true(utapi_boottime_ms() >= before_ms);
}

static void a_time_is_cut_into_seconds_and_nanoseconds(void **state)
{
    (void)state;
    const struct timespec time = utapi_timespec_of_ms(INT64_C(1796073300001));
    assert_true(time.tv_sec == INT64_C(1796073300));
    assert_int_equal(time.tv_nsec, 1000000);
    assert_int_equal(utapi_timespec_of_ms(999).tv_nsec, 999000000);
}

static void a_wait_ends_at_its_monotonic_time(void **state)
{
    (void)state;
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t condition;
    utapi_cond_init(&condition);
    const int64_t until_ms = utapi_monotonic_ms() + 20;
    const struct timespec until = utapi_timespec_of_ms(until_ms);
    pthread_mutex_lock(&lock);
    int rc = 0;
    while (rc == 0) /* it may wake for no reason */
        rc = pthread_cond_timedwait(&condition, &lock, &until);
    pthread_mutex_unlock(&lock);
    assert_int_equal(rc, ETIMEDOUT);
    assert_true(utapi_monotonic_ms() >= until_ms);
    pthread_cond_destroy(&condition);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clocks_agree_with_the_systems),
        cmocka_unit_test(a_time_is_cut_into_seconds_and_nanoseconds),
        cmocka_unit_test(a_wait_ends_at_its_monotonic_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
