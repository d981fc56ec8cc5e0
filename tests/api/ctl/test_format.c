/* SPDX-License-Identifier: Apache-2.0 */
/* test_format.c - figures and names for people, and the columns they stand in. */
#include "check.h"
#include "ctl/format.h"

#include <stdlib.h>
#include <string.h>

static void bytes_have_the_unit_that_keeps_them_short(void **state)
{
    static const struct {
        int64_t bytes;
        const char *text;
        const char *change;
    } cases[] = {
        {0, "0 B", "0 B"},
        {1, "1 B", "+1 B"},
        {1023, "1023 B", "+1023 B"},
        {1024, "1.0 KiB", "+1.0 KiB"},
        {1048575, "1.0 MiB", "+1.0 MiB"},
        {104857600, "100.0 MiB", "+100.0 MiB"},
        {-1536, "-1.5 KiB", "-1.5 KiB"},
        {INT64_MAX, "8.0 EiB", "+8.0 EiB"},
        {INT64_MIN, "-8.0 EiB", "-8.0 EiB"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_string_equal(format_bytes(cases[i].bytes).text, cases[i].text);
        assert_string_equal(format_change(format_bytes(cases[i].bytes)).text, cases[i].change);
    }
}

static void counts_have_groups_of_three(void **state)
{
    static const struct {
        int64_t count;
        const char *text;
    } cases[] = {{0, "0"},
                 {999, "+999"},
                 {1000, "+1,000"},
                 {-123456, "-123,456"},
                 {1234567, "+1,234,567"},
                 {INT64_MIN, "-9,223,372,036,854,775,808"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(format_change(format_count(cases[i].count)).text, cases[i].text);
    assert_string_equal(format_count(1000).text, "1,000");
}

static void names_cannot_steer_a_terminal(void **state)
{
    (void)state;
    char *name = format_name("a\x1b[2Jb\n\x7f\xc2\x9b\xc3\xa9");
    assert_string_equal(name, "a\\x1b[2Jb\\x0a\\x7f\\x9b\xc3\xa9");
    free(name);
    assert_int_equal(format_width("\xc3\xa9t\xc3\xa9"), 3);
}

static void columns_are_as_wide_as_their_widest_cell(void **state)
{
    static const char *const headings[] = {"NAME", ">SIZE", "X"};
    static const char *const rows[][3] = {{"\xc3\xa9t\xc3\xa9s", "1", ""}, {"b", "12,345", "y"}};
    table rows_of = {0};
    char *text = NULL;
    size_t size = 0;
    (void)state;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    assert_true(table_init(&rows_of, headings, 3));
    assert_true(table_add(&rows_of, rows[0]));
    assert_true(table_add(&rows_of, rows[1]));
    table_print(&rows_of, out);
    table_done(&rows_of);
    (void)fclose(out);
    assert_string_equal(text, "NAME    SIZE  X\n"
                              "\xc3\xa9t\xc3\xa9s       1  \n"
                              "b     12,345  y\n");
    free(text);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_have_the_unit_that_keeps_them_short),
        cmocka_unit_test(counts_have_groups_of_three),
        cmocka_unit_test(names_cannot_steer_a_terminal),
        cmocka_unit_test(columns_are_as_wide_as_their_widest_cell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
