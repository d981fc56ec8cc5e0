/* SPDX-License-Identifier: Apache-2.0 */
/* test_text.c - a text grows by pieces of every kind, and remembers that memory ran out. */
#include "check.h"
#include "utapi/text.h"

#include <stdint.h>
#include <stdlib.h>

static void a_text_grows(void **state)
{
    (void)state;
    utapi_text text = {0};
    for (int i = 0; i < 5000; i++)
        utapi_text_add_literal(&text, "abc");
    assert_false(text.failed);
    assert_int_equal(text.size, 15000);
    assert_memory_equal(text.data + 14997, "abc", 3);
    utapi_text_done(&text);
    assert_null(utapi_text_view(&text).data);
}

static void pieces_of_every_kind_stand_in_order(void **state)
{
    (void)state;
    utapi_text text = {0};
    assert_true(utapi_text_reserve(&text, 3));
    utapi_text_add_string(&text, (utapi_string){.size = 0}); /* an absent one adds nothing */
    utapi_text_add_string(&text, utapi_string_of("a"));
    utapi_text_add_char(&text, 'b');
    utapi_text_add(&text, "cde", 2);
    utapi_text_add_literal(&text, "e");
    assert_true(utapi_string_equal(utapi_text_view(&text), utapi_string_of("abcde")));
    size_t size = 0;
    char *taken = utapi_text_take(&text, &size);
    assert_int_equal(size, 5);
    assert_string_equal(taken, "abcde");
    assert_int_equal(text.size, 0);
    free(taken);
}

static void a_text_remembers_that_memory_ran_out(void **state)
{
    (void)state;
    utapi_text text = {0};
    utapi_text_add_literal(&text, "abc");
    volatile size_t too_much = SIZE_MAX / 2 + 1; /* a compiler that knows it warns */
    utapi_text_add_string(&text, (utapi_string){"", too_much});
    assert_true(text.failed);
    utapi_text_add_char(&text, 'd');
    assert_true(utapi_string_equal(utapi_text_view(&text), utapi_string_of("abc")));
    assert_false(utapi_text_reserve(&text, 0));
    size_t size = 7;
    assert_null(utapi_text_take(&text, &size));
    assert_int_equal(size, 7);
    assert_null(text.data);
    assert_false(text.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_grows),
        cmocka_unit_test(pieces_of_every_kind_stand_in_order),
        cmocka_unit_test(a_text_remembers_that_memory_ran_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
