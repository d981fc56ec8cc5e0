/* SPDX-License-Identifier: Apache-2.0 */
/* test_event_reader.c - events are cut out of every shape of input, with the lines that they begin on. */
#include "check.h"
#include "ctl/event_reader.h"

#include <stdlib.h>
#include <string.h>

/* What reading some text came to: "2@1 1@3 | message": the form and line of each event, then the error. */
static void read_all(const char *text, size_t size, char *ret, size_t room)
{
    FILE *stream = fmemopen((void *)(uintptr_t)text, size, "r");
    assert_non_null(stream);
    event_reader reader = {.stream = stream, .line = 1};
    size_t used = 0;
    *ret = '\0';
    for (;;) {
        event_text event;
        utapi_error err = {0};
        const utapi_status status = event_reader_next(&reader, &event, &err);
        if (status != UTAPI_OK)
            used += (size_t)snprintf(ret + used, room - used, "| %s", err.detail);
        if (status != UTAPI_OK || event.text.size == 0)
            break;
        used +=
            (size_t)snprintf(ret + used, room - used, "%d@%zu ", event.form == EVENT_V2 ? 2 : 1, event.line);
    }
    utapi_text_done(&reader.event);
    (void)fclose(stream);
}

#define V1 "{\"action\":\"putObject\"}"
#define V2 "{\"operationId\":\"putObject\"}"

static const char *const inputs[][2] = {
    {" ", ""},
    {"[]", ""},
    {"[]\n[]\n", ""},
    {V2 "\n" V1 "\n\n" V2, "2@1 1@2 2@4 "},
    {"[" V2 ",\n" V1 "]", "2@1 1@2 "},
    {"[\n  " V2 ",\n  " V2 "\n]\n", "2@2 2@3 "},
    {"[" V2 "," V2 "]\r\n[" V1 "]\r\n" V2 "\r\n", "2@1 2@1 1@2 2@3 "},
    {"{\"operationId\":\n\"x\",\"object\":\"}]\\\"{\\\\\"}\n" V1, "2@1 1@3 "},
    {"{\"operationId\":null,\"action\":\"x\"}", "1@1 "},
    {"{\"operationId\":\"a\",\"params\":{\"keys\":[[1],{\"x\":2}]}}", "2@1 "},

    {"x", "| line 1: expected an event, or an array of events"},
    {"[" V2 " " V2 "]", "2@1 | line 1: expected , or ]"},
    {"[" V2 ",]", "2@1 | line 1: expected an event"},
    {"[,]", "| line 1: expected an event or ]"},
    {"[[" V2 "]]", "| line 1: expected an event or ]"},
    {V2 "," V2, "2@1 | line 1: expected an event, or an array of events"},
    {"[\n" V2, "2@2 | line 1: the array that begins here does not end"},
    {V2 "\n{\"operationId\":\"x\"\n" V2, "2@1 | line 2: the event that begins here does not end"},
    {"{}", "| line 1: an event needs an operationId or an action"},
    {V2 "\n{\"operationId\":1,\"operationId\":2}",
     "2@1 | line 2: duplicate object key near '\"operationId\"'"},
    {V2 "\n{\"operationId\":\n\n1;}", "2@1 | line 4: '}' expected near ';'"},
    {"\n{\"a\":]", "| line 2: unexpected token near ']'"},
    {"{\"operationId\":\"\xff\"}", "| line 1: unable to decode byte 0xff"},
};

static void every_shape_of_input_is_cut_into_events(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++) {
        char seen[512];
        read_all(inputs[i][0], strlen(inputs[i][0]), seen, sizeof seen);
        if (strncmp(seen, inputs[i][1], strlen(inputs[i][1])) != 0 ||
            (strchr(inputs[i][1], '|') == NULL && strcmp(seen, inputs[i][1]) != 0))
            fail_msg("%s: \"%s\", not \"%s\"", inputs[i][0], seen, inputs[i][1]);
    }
}

/* Longer than the stream's buffer, so that events lie across its end. */
static void events_may_lie_anywhere_in_a_long_input(void **state)
{
    enum { COUNT = 20000, ROOM = 64 };
    (void)state;
    char *text = malloc((size_t)COUNT * ROOM);
    char *seen = malloc((size_t)COUNT * 16);
    char *expected = malloc((size_t)COUNT * 16);
    assert_true(text != NULL && seen != NULL && expected != NULL);
    size_t size = 0;
    size_t used = 0;
    for (int i = 0; i < COUNT; i++) {
        size += (size_t)snprintf(text + size, ROOM, "{\"operationId\":\"op\",\"object\":\"%d}\"}\n", i);
        used += (size_t)snprintf(expected + used, 16, "2@%d ", i + 1);
    }
    read_all(text, size, seen, (size_t)COUNT * 16);
    assert_int_equal(strcmp(seen, expected), 0);
    free(text);
    free(seen);
    free(expected);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape_of_input_is_cut_into_events),
        cmocka_unit_test(events_may_lie_anywhere_in_a_long_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
