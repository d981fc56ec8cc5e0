/* SPDX-License-Identifier: Apache-2.0 */
/* test_string.c - order and equality of bytes, and what counts as text (RFC 3629). */
#include "check.h"
#include "utapi/string.h"

static void order_is_by_bytes_then_length(void **state)
{
    (void)state;
    assert_true(utapi_string_compare(utapi_string_of("a"), utapi_string_of("ab")) < 0);
    assert_true(utapi_string_compare(utapi_string_of("b"), utapi_string_of("ab")) > 0);
    assert_true(utapi_string_compare(utapi_string_of("\x7f"), utapi_string_of("\xc3\xa9")) < 0);
    assert_int_equal(utapi_string_compare(utapi_string_of(NULL), utapi_string_of("")), 0);
    assert_true(utapi_string_equal(utapi_string_of(NULL), utapi_string_of("")));
    assert_false(utapi_string_equal(utapi_string_of("a"), utapi_string_of("b")));
}

static void text_is_well_formed_utf8_without_nul(void **state)
{
    (void)state;
    static const struct {
        utapi_string bytes;
        bool is_text;
    } rows[] = {
#define BYTES(literal) {.data = literal, .size = sizeof literal - 1}
        {BYTES(""), true},
        {BYTES("plain: /\"\\\n"), true},
        {BYTES("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"), true},
        {BYTES("\xf4\x8f\xbf\xbf"), true},         /* U+10FFFF */
        {BYTES("\xed\x9f\xbf\xee\x80\x80"), true}, /* around the surrogates */
        {BYTES("a\0b"), false},
        {BYTES("\x80"), false},
        {BYTES("\xc0\xaf"), false},         /* overlong */
        {BYTES("\xe0\x80\xaf"), false},     /* overlong */
        {BYTES("\xf0\x80\x80\xaf"), false}, /* overlong */
        {BYTES("\xed\xa0\xbd"), false},     /* a surrogate */
        {BYTES("\xf4\x90\x80\x80"), false}, /* above U+10FFFF */
        {BYTES("\xc3"), false},
        {BYTES("\xe2\x82"), false},
        {BYTES("\xe2\x28\xa1"), false},
        {BYTES("\xff"), false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (utapi_string_is_text(rows[i].bytes) != rows[i].is_text)
            fail_msg("row %zu: expected %d", i, rows[i].is_text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_is_by_bytes_then_length),
        cmocka_unit_test(text_is_well_formed_utf8_without_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
