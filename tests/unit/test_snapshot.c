/* SPDX-License-Identifier: Apache-2.0 */
/* test_snapshot.c - rows survive their stored form, and nothing else is read as a row. */
#include "check.h"
#include "utapi/codec.h"
#include "utapi/snapshot.h"

#include <stdlib.h>
#include <string.h>

static utapi_error err;

static void check_round_trip(const utapi_amounts *totals)
{
    unsigned char buffer[UTAPI_SNAPSHOT_MAX];
    const size_t size = utapi_snapshot_encode(totals, NULL, buffer);
    assert_in_range(size, 6, UTAPI_SNAPSHOT_MAX);
    utapi_amounts back;
    CHECK_OK(utapi_snapshot_decode(buffer, size, &back, NULL, &err), &err);
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
    assert_int_equal(utapi_snapshot_encode(&totals, NULL, buffer), sizeof expected + 4);
    assert_memory_equal(buffer, expected, sizeof expected);
    /* CRC-32C of the five bytes above, computed independently. */
    static const unsigned char checksum[] = {0xAA, 0xC6, 0x11, 0xA7};
    assert_memory_equal(buffer + sizeof expected, checksum, sizeof checksum);
}

static void version_2_is_written_only_where_version_1_cannot_say_it(void **state)
{
    (void)state;
    unsigned char buffer[UTAPI_SNAPSHOT_MAX];
    utapi_amounts totals = {.present = 0}, back;
    utapi_snapshot_fields none = {.has_late = false}, fields;
    utapi_amounts_set(&totals, UTAPI_STORAGE_UTILIZED, INT64_MAX);
    size_t size = utapi_snapshot_encode(&totals, &none, buffer);
    assert_int_equal(utapi_snapshot_version(buffer), 1);
    CHECK_OK(utapi_snapshot_decode(buffer, size, &back, &fields, &err), &err);
    assert_true(!fields.has_late && fields.base == 0);

    utapi_amounts_add_one(&totals, UTAPI_STORAGE_UTILIZED, 1);
    utapi_amounts_set(&totals, UTAPI_OUTGOING_BYTES, -((utapi_wide)1 << 120));
    utapi_amounts_set(&totals, UTAPI_NUMBER_OF_OBJECTS, (utapi_wide)1 << 120);
    check_round_trip(&totals);
    (void)utapi_snapshot_encode(&totals, NULL, buffer);
    assert_int_equal(utapi_snapshot_version(buffer), 2);
    utapi_amounts_add_one(&totals, UTAPI_NUMBER_OF_OBJECTS, 1);
    size = utapi_snapshot_encode(&totals, NULL, buffer);
    CHECK_STATUS(UTAPI_CORRUPT, utapi_snapshot_decode(buffer, size, &back, NULL, &err), &err);
}

static void fields_come_back_and_only_where_they_may_be(void **state)
{
    (void)state;
    static unsigned char held[UTAPI_SNAPSHOT_HELD_MAX];
    static const utapi_snapshot_fields all[] = {
        {.has_late = true},
        {.base = UTAPI_INTERVAL_MAX},
        {.has_late = true, .base = UTAPI_INTERVAL_MS},
        {.held = held, .held_size = 1},
        {.has_late = true, .base = UTAPI_INTERVAL_MS, .held = held, .held_size = sizeof held},
    };
    for (size_t i = 0; i < sizeof held; i++)
        held[i] = (unsigned char)(7 * i);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        unsigned char buffer[UTAPI_SNAPSHOT_MAX];
        utapi_amounts totals = {.present = 0}, back;
        utapi_snapshot_fields fields;
        utapi_amounts_set(&totals, UTAPI_INCOMING_BYTES, 77);
        const size_t size = utapi_snapshot_encode(&totals, &all[i], buffer);
        assert_int_equal(utapi_snapshot_version(buffer), 2);
        CHECK_OK(utapi_snapshot_decode(buffer, size, &back, &fields, &err), &err);
        assert_true(utapi_amounts_equal(&totals, &back));
        assert_int_equal(fields.has_late, all[i].has_late);
        assert_int_equal(fields.base, all[i].base);
        assert_int_equal(fields.held_size, all[i].held_size);
        if (fields.held_size > 0)
            assert_memory_equal(fields.held, held, fields.held_size);
        CHECK_STATUS(UTAPI_CORRUPT, utapi_snapshot_decode(buffer, size, &back, NULL, &err), &err);
    }
}

/* Rows of a later version whose checksum is right: what is not understood is not passed over. */
static void an_unknown_field_is_corrupt(void **state)
{
    (void)state;
    static const unsigned char fields[][6] = {
        {4, 0},             /* unknown */
        {3, 0},             /* empty */
        {1, 1, 0},          /* too long */
        {2, 4, 1, 0, 0},    /* cut */
        {1, 0, 1, 0},       /* twice */
        {2, 4, 1, 0, 0, 0}, /* right */
    };
    static const size_t sizes[] = {2, 2, 3, 5, 4, 6};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        unsigned char row[32] = {2, 0};
        utapi_amounts totals;
        utapi_snapshot_fields ret;
        memcpy(row + 2, fields[i], sizes[i]);
        const size_t size = (size_t)(utapi_checksum_put(row, row + 2 + sizes[i]) - row);
        const utapi_status status = utapi_snapshot_decode(row, size, &totals, &ret, &err);
        assert_int_equal(status, i == 5 ? UTAPI_OK : UTAPI_CORRUPT);
        utapi_error_clear(&err);
    }
}

static void a_changed_bit_or_a_cut_is_noticed(void **state)
{
    (void)state;
    utapi_amounts totals = {.present = 0};
    for (unsigned m = 0; m < UTAPI_METRIC_COUNT; m += 7)
        utapi_amounts_set(&totals, m, (int64_t)m << m % 50);
    unsigned char buffer[UTAPI_SNAPSHOT_MAX];
    const size_t size = utapi_snapshot_encode(&totals, NULL, buffer);
    utapi_amounts untouched = {.present = 1, .of = {42}};
    for (size_t bit = 0; bit < size * 8; bit++) {
        buffer[bit / 8] ^= (unsigned char)(1U << bit % 8);
        CHECK_STATUS(UTAPI_CORRUPT, utapi_snapshot_decode(buffer, size, &untouched, NULL, &err), &err);
        buffer[bit / 8] ^= (unsigned char)(1U << bit % 8);
    }
    for (size_t cut = 0; cut < size; cut++)
        CHECK_STATUS(UTAPI_CORRUPT, utapi_snapshot_decode(buffer, cut, &untouched, NULL, &err), &err);
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
            noise[0] = (unsigned char)(1 + i % 2);
        if (size > UTAPI_CHECKSUM_SIZE && i % 4 < 2)
            (void)utapi_checksum_put(noise, noise + size - UTAPI_CHECKSUM_SIZE);
        utapi_amounts ignored;
        utapi_snapshot_fields fields;
        (void)!utapi_snapshot_decode(noise, size, &ignored, i % 3 == 0 ? NULL : &fields, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(totals_come_back_as_they_went),
        cmocka_unit_test(the_format_is_version_1_to_the_byte),
        cmocka_unit_test(version_2_is_written_only_where_version_1_cannot_say_it),
        cmocka_unit_test(fields_come_back_and_only_where_they_may_be),
        cmocka_unit_test(an_unknown_field_is_corrupt),
        cmocka_unit_test(a_changed_bit_or_a_cut_is_noticed),
        cmocka_unit_test(any_bytes_may_be_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
