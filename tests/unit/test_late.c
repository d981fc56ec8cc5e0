/* SPDX-License-Identifier: Apache-2.0 */
/* test_late.c - the ranges of late sums hold every interval up to one exactly once, whenever that is; and what a row
 * holds comes back as it went. */
#include "check.h"
#include "late.h"

#include <string.h>

/* Each range begins where the one before it ended, the first at 0, the last ends at the interval. */
static void check_ranges(uint32_t interval)
{
    utapi_late_range ranges[UTAPI_LATE_RESOLUTIONS];
    const unsigned count = utapi_late_ranges(interval, ranges);
    uint64_t from = 0;
    assert_in_range(count, 1, UTAPI_LATE_RESOLUTIONS);
    for (unsigned i = 0; i < count; i++) {
        const utapi_late_range *range = &ranges[i];
        const unsigned bits = UTAPI_LATE_BITS * range->resolution;
        assert_true(range->resolution < UTAPI_LATE_RESOLUTIONS);
        assert_true(i == 0 || range->resolution < ranges[i - 1].resolution);
        assert_true(range->first <= range->last);
        assert_int_equal((uint64_t)range->first << bits, from);
        from = ((uint64_t)range->last + 1) << bits;
        if (range->resolution + 1 < UTAPI_LATE_RESOLUTIONS)
            assert_true(range->last - range->first < 127);
    }
    assert_int_equal(from, (uint64_t)interval + 1);
}

static void each_interval_is_in_one_range(void **state)
{
    (void)state;
    static const uint32_t starts[] = {0, 1888889, 2279136 /* 2035 */, UINT32_C(1) << 31, UINT32_MAX - 40000};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        for (uint32_t n = 0; n <= 40000; n++)
            check_ranges(starts[i] + n);
}

/* Beside a plain list of deltas: keys are added to as a storage does it, and summed by the ranges. */
static void the_ranges_sum_up_to_what_a_list_does(void **state)
{
    enum { SPAN = 50000, DELTAS = 3000, ASKED = 3000 };
    static int64_t keys[UTAPI_LATE_RESOLUTIONS][SPAN + 1], list[SPAN];
    const uint32_t begin = 16384 * 138; /* in 2034; all keys are kept less what they are there */
    uint64_t random = 42;
    (void)state;
    memset(keys, 0, sizeof keys);
    memset(list, 0, sizeof list);
    for (int i = 0; i < DELTAS; i++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        const uint32_t at = (uint32_t)(random >> 33) % SPAN;
        const int64_t delta = (int64_t)(random >> 50) - 8000;
        list[at] += delta;
        for (unsigned r = 0; r < UTAPI_LATE_RESOLUTIONS; r++)
            keys[r][utapi_late_key(begin + at, r) - utapi_late_key(begin, r)] += delta;
    }
    int64_t expected = 0;
    for (uint32_t at = 0; at < SPAN; at++) {
        utapi_late_range ranges[UTAPI_LATE_RESOLUTIONS];
        int64_t sum = 0;
        expected += list[at];
        if (at % (SPAN / ASKED) != 0)
            continue;
        const unsigned count = utapi_late_ranges(begin + at, ranges);
        for (unsigned i = 0; i < count; i++) {
            const uint32_t first = utapi_late_key(begin, ranges[i].resolution);
            for (uint32_t key = ranges[i].first; key <= ranges[i].last; key++)
                sum += key >= first ? keys[ranges[i].resolution][key - first] : 0;
        }
        assert_int_equal(sum, expected);
    }
}

/* As many as there is room for, of any sizes, from the first interval to the last. */
static void what_a_row_holds_comes_back(void **state)
{
    uint64_t random = 42;
    (void)state;
    for (int round = 0; round < 2000; round++) {
        static utapi_interval_delta put[UTAPI_SNAPSHOT_HELD_MAX], got;
        utapi_late_holding holding = {.size = 0};
        size_t count = 0;
        uint64_t number = round % 3 == 0 ? 0 : UINT32_MAX - 1000U * (unsigned)(round % 7);
        for (; number <= UINT32_MAX; number += 1 + (random >> 33) % (round % 2 == 0 ? 1 : 300)) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
            utapi_interval_delta *one = &put[count];
            one->interval = utapi_interval_at((uint32_t)number);
            utapi_amounts_clear(&one->sums);
            for (unsigned m = 0; m < (random >> 40) % 4; m++) {
                const utapi_wide amount = (utapi_wide)(random >> (random >> 10) % 64) << (random >> 20) % 50;
                utapi_amounts_set(&one->sums, (unsigned)(random >> (30 + 5 * m)) % UTAPI_METRIC_COUNT,
                                  random >> 63 == 0 ? amount : -amount);
            }
            if (!utapi_late_hold(&holding, one))
                break;
            count++;
        }
        assert_in_range(count, 1, UTAPI_SNAPSHOT_HELD_MAX / 2);
        const utapi_snapshot_fields fields = {.held = holding.bytes, .held_size = holding.size};
        utapi_late_walk walk = utapi_late_held(&fields);
        for (size_t i = 0; i < count; i++) {
            assert_true(utapi_late_held_next(&walk, &got));
            assert_int_equal(got.interval, put[i].interval);
            assert_true(utapi_amounts_equal(&got.sums, &put[i].sums));
        }
        assert_false(utapi_late_held_next(&walk, &got));
        assert_int_equal(utapi_late_held_end(&walk, NULL), UTAPI_OK);
    }
}

static void held_bytes_that_mean_nothing_are_corrupt(void **state)
{
    static const unsigned char cases[][8] = {
        {0x80},                               /* cut in the interval's number */
        {5},                                  /* no delta */
        {5, 1},                               /* no amount */
        {0x80, 0x80, 0x80, 0x80, 0x10, 0},    /* 2^32 */
        {0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0, 0}, /* one after the last interval */
    };
    static const size_t sizes[] = {1, 1, 2, 6, 7};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const utapi_snapshot_fields fields = {.held = cases[i], .held_size = sizes[i]};
        utapi_late_walk walk = utapi_late_held(&fields);
        static utapi_interval_delta got;
        while (utapi_late_held_next(&walk, &got))
            continue;
        assert_false(utapi_late_held_next(&walk, &got));
        assert_int_equal(utapi_late_held_end(&walk, NULL), UTAPI_CORRUPT);
    }
    const utapi_snapshot_fields none = {.has_late = true};
    utapi_late_walk walk = utapi_late_held(&none);
    static utapi_interval_delta got;
    assert_false(utapi_late_held_next(&walk, &got));
    assert_int_equal(utapi_late_held_end(&walk, NULL), UTAPI_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_interval_is_in_one_range),
        cmocka_unit_test(the_ranges_sum_up_to_what_a_list_does),
        cmocka_unit_test(what_a_row_holds_comes_back),
        cmocka_unit_test(held_bytes_that_mean_nothing_are_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
