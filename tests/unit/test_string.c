/* SPDX-License-Identifier: Apache-2.0 */
/* test_string.c - order and equality of bytes, and what counts as text (RFC 3629). */
#include "check.h"
#include "utapi/string.h"

#include <string.h>

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

static void a_cut_leaves_whole_characters(void **state)
{
    (void)state;
    const utapi_string text = utapi_string_of("a\xc3\xa9\xe2\x82\xac"); /* of one, two and three bytes */
    static const size_t left[] = {0, 1, 1, 3, 3, 3, 6, 6};
    for (size_t most = 0; most < sizeof left / sizeof *left; most++)
        assert_int_equal(utapi_string_cut(text, most).size, left[most]);
}

static void text_is_judged_wherever_its_bytes_lie(void **state)
{
    (void)state;
    char bytes[40];
    for (size_t at = 0; at < sizeof bytes; at++) {
        memset(bytes, 'a', sizeof bytes);
        const utapi_string text = {bytes, sizeof bytes};
        assert_true(utapi_string_is_text(text));
        bytes[at] = '\0';
        assert_false(utapi_string_is_text(text));
        bytes[at] = (char)0x80;
        assert_false(utapi_string_is_text(text));
        bytes[at] = (char)0x7F;
        assert_true(utapi_string_is_text(text));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_is_by_bytes_then_length),
        cmocka_unit_test(text_is_well_formed_utf8_without_nul),
        cmocka_unit_test(text_is_judged_wherever_its_bytes_lie),
        cmocka_unit_test(a_cut_leaves_whole_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
