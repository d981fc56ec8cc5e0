/* SPDX-License-Identifier: Apache-2.0 */
/* test_codec.c - numbers, checksums and hex, and what is none of them. */
#include "check.h"
#include "utapi/codec.h"

#include <string.h>

static void varints_come_back_as_they_went(void **state)
{
    (void)state;
    static const struct {
        uint64_t number;
        ptrdiff_t size;
    } rows[] = {
        {0, 1}, {1, 1}, {127, 1}, {128, 2}, {300, 2}, {UINT64_C(1) << 62, 9}, {UINT64_MAX, UTAPI_VARINT_MAX}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned char bytes[UTAPI_VARINT_MAX];
        uint64_t back = 0;
        const unsigned char *end = utapi_varint_put(bytes, rows[i].number);
        assert_int_equal(end - bytes, rows[i].size);
        assert_ptr_equal(utapi_varint_get(bytes, end, &back), end);
        assert_true(back == rows[i].number);
        for (const unsigned char *early = bytes; early < end; early++)
            assert_null(utapi_varint_get(bytes, early, &back));
    }
    static const unsigned char three_hundred[] = {0xAC, 0x02};
    unsigned char bytes[UTAPI_VARINT_MAX];
    utapi_varint_put(bytes, 300);
    assert_memory_equal(bytes, three_hundred, 2);
}

static void a_varint_of_more_than_64_bits_is_none(void **state)
{
    (void)state;
    static const unsigned char large[] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02};
    static const unsigned char long_one[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
                                             0x80, 0x80, 0x80, 0x80, 0x00};
    uint64_t number = 7;
    assert_null(utapi_varint_get(large, large + sizeof large, &number));
    assert_null(utapi_varint_get(long_one, long_one + sizeof long_one, &number));
    assert_int_equal(number, 7);
}

static void wide_varints_are_those_of_64_bits_and_more(void **state)
{
    (void)state;
    const utapi_unsigned_wide most = ~(utapi_unsigned_wide)0;
    const utapi_unsigned_wide numbers[] = {0, 127, 128, UINT64_MAX, (utapi_unsigned_wide)1 << 64, most};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        unsigned char bytes[UTAPI_VARINT_WIDE_MAX], narrow[UTAPI_VARINT_MAX];
        utapi_unsigned_wide back = 0;
        const unsigned char *end = utapi_varint_wide_put(bytes, numbers[i]);
        assert_ptr_equal(utapi_varint_wide_get(bytes, end, &back), end);
        assert_true(back == numbers[i]);
        for (const unsigned char *early = bytes; early < end; early++)
            assert_null(utapi_varint_wide_get(bytes, early, &back));
        if (numbers[i] <= UINT64_MAX)
            assert_memory_equal(bytes, narrow,
                                (size_t)(utapi_varint_put(narrow, (uint64_t)numbers[i]) - narrow));
        else if (numbers[i] == most) {
            assert_int_equal(end - bytes, UTAPI_VARINT_WIDE_MAX);
            bytes[UTAPI_VARINT_WIDE_MAX - 1]++; /* a 129th bit */
            assert_null(utapi_varint_wide_get(bytes, end, &back));
        }
    }
}

static void small_numbers_of_both_signs_are_short(void **state)
{
    (void)state;
    assert_int_equal(utapi_zigzag(0), 0);
    assert_int_equal(utapi_zigzag(-1), 1);
    assert_int_equal(utapi_zigzag(1), 2);
    static const int64_t edges[] = {0, 1, -1, 1000, -1000, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
        assert_true(utapi_unzigzag(utapi_zigzag(edges[i])) == edges[i]);
}

/* The polynomial once more, bit by bit. */
static uint32_t crc_by_bits(const unsigned char *data, size_t size)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < 8 * size; i++) {
        crc ^= (uint32_t)(data[i / 8] >> (i % 8) & 1);
        crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82F63B78 : 0);
    }
    return ~crc;
}

static void the_checksum_is_crc32c(void **state)
{
    (void)state;
    assert_int_equal(utapi_crc32c("123456789", 9), 0xE3069283); /* the catalogues' check value */
    unsigned char bytes[67];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 37 + 11);
    for (size_t from = 0; from < 8; from++)
        for (size_t size = 0; from + size <= sizeof bytes; size++)
            assert_int_equal(utapi_crc32c(bytes + from, size), crc_by_bits(bytes + from, size));
}

static void a_checksum_fits_its_own_bytes_alone(void **state)
{
    (void)state;
    unsigned char bytes[9 + UTAPI_CHECKSUM_SIZE] = "123456789";
    static const unsigned char little_endian[] = {0x83, 0x92, 0x06, 0xE3};
    assert_ptr_equal(utapi_checksum_put(bytes, bytes + 9), bytes + sizeof bytes);
    assert_memory_equal(bytes + 9, little_endian, sizeof little_endian);
    assert_true(utapi_checksum_fits(bytes, sizeof bytes));
    assert_false(utapi_checksum_fits(bytes, sizeof bytes - 1));
    assert_false(utapi_checksum_fits(bytes, UTAPI_CHECKSUM_SIZE - 1));
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1U << bit % 8);
        assert_false(utapi_checksum_fits(bytes, sizeof bytes));
        bytes[bit / 8] ^= (unsigned char)(1U << bit % 8);
    }
}

static void hex_is_read_as_it_is_written(void **state)
{
    (void)state;
    static const unsigned char bytes[] = {0x00, 0x9a, 0xff};
    char digits[7] = "??????";
    unsigned char back[3];
    assert_ptr_equal(utapi_hex_put(digits, bytes, sizeof bytes), digits + 6);
    assert_string_equal(digits, "009aff");
    assert_true(utapi_hex_get(digits, back, sizeof back));
    assert_memory_equal(back, bytes, sizeof bytes);
    static const char *const others[] = {"009aFF", "00 9af", "009ag0", "009a/:", "009a`@"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(utapi_hex_get(others[i], back, sizeof back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(varints_come_back_as_they_went),
        cmocka_unit_test(a_varint_of_more_than_64_bits_is_none),
        cmocka_unit_test(wide_varints_are_those_of_64_bits_and_more),
        cmocka_unit_test(small_numbers_of_both_signs_are_short),
        cmocka_unit_test(the_checksum_is_crc32c),
        cmocka_unit_test(a_checksum_fits_its_own_bytes_alone),
        cmocka_unit_test(hex_is_read_as_it_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
