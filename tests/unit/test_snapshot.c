/* SPDX-License-Identifier: Apache-2.0 */
/* test_snapshot.c - rows survive their stored form, and nothing else is read as a row. */
#include "check.h"
#include "utapi/snapshot.h"

#include <stdlib.h>
#include <string.h>

static utapi_error err;

static void check_round_trip(const utapi_amounts *totals)
{
    unsigned char buffer[UTAPI_SNAPSHOT_MAX];
    const size_t size = utapi_snapshot_encode(totals, buffer);
    assert_in_range(size, 6, UTAPI_SNAPSHOT_MAX);
    utapi_amounts back;
    CHECK_OK(utapi_snapshot_decode(buffer, size, &back, &err), &err);
    assert_true(utapi_amounts_equal(totals, &back));
}

static void totals_come_back_as_they_went(void **state)
{
    (void)state;
    static const int64_t edges[] = {0, 1, -1, 63, 64, -64, -65, INT32_MAX, INT64_MAX, INT64_MIN};
    utapi_amounts totals = {.present = 0};
    check_round_trip(&totals);
    for (unsigned m = 0; m < UTAPI_METRIC_COUNT; m++) {
        utapi_amounts_set(&totals, m, edges[m % (sizeof edges / sizeof *edges)]);
        check_round_trip(&totals);
    }
    for (unsigned m = 0; m < UTAPI_METRIC_COUNT; m++)
        utapi_amounts_set(&totals, m, INT64_MIN); /* the longest there is */
    check_round_trip(&totals);
}

static void the_format_is_version_1_to_the_byte(void **state)
{
    (void)state;
    utapi_amounts totals = {.present = 0};
    utapi_amounts_set(&totals, UTAPI_STORAGE_UTILIZED, 300);
    utapi_amounts_set(&totals, UTAPI_NUMBER_OF_OBJECTS, -1);
    utapi_amounts_set(&totals, UTAPI_INCOMING_BYTES, 0);
    unsigned char buffer[UTAPI_SNAPSHOT_MAX];
    static const unsigned char expected[] = {1, 0x03, 0xD8, 0x04, 0x01};
    assert_int_equal(utapi_snapshot_encode(&totals, buffer), sizeof expected + 4);
    assert_memory_equal(buffer, expected, sizeof expected);
    /* CRC-32C of the five bytes above, computed independently. */
    static const unsigned char checksum[] = {0xAA, 0xC6, 0x11, 0xA7};
    assert_memory_equal(buffer + sizeof expected, checksum, sizeof checksum);
}

static void a_changed_bit_or_a_cut_is_noticed(void **state)
{
    (void)state;
    utapi_amounts totals = {.present = 0};
    for (unsigned m = 0; m < UTAPI_METRIC_COUNT; m += 7)
        utapi_amounts_set(&totals, m, (int64_t)m << m % 50);
    unsigned char buffer[UTAPI_SNAPSHOT_MAX];
    const size_t size = utapi_snapshot_encode(&totals, buffer);
    utapi_amounts untouched = {.present = 1, .of = {42}};
    for (size_t bit = 0; bit < size * 8; bit++) {
        buffer[bit / 8] ^= (unsigned char)(1U << bit % 8);
        CHECK_STATUS(UTAPI_CORRUPT, utapi_snapshot_decode(buffer, size, &untouched, &err), &err);
        buffer[bit / 8] ^= (unsigned char)(1U << bit % 8);
    }
    for (size_t cut = 0; cut < size; cut++)
        CHECK_STATUS(UTAPI_CORRUPT, utapi_snapshot_decode(buffer, cut, &untouched, &err), &err);
    assert_int_equal(utapi_amounts_get(&untouched, 0), 42);
}

static void any_bytes_may_be_given(void **state)
{
    (void)state;
    srandom(20231114);
    for (int i = 0; i < 20000; i++) {
        unsigned char noise[40];
        const size_t size = (size_t)random() % sizeof noise;
        for (size_t b = 0; b < size; b++)
            noise[b] = (unsigned char)random();
        if (size > 0)
            noise[0] = 1;
        utapi_amounts ignored;
        (void)!utapi_snapshot_decode(noise, size, &ignored, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(totals_come_back_as_they_went),
        cmocka_unit_test(the_format_is_version_1_to_the_byte),
        cmocka_unit_test(a_changed_bit_or_a_cut_is_noticed),
        cmocka_unit_test(any_bytes_may_be_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
