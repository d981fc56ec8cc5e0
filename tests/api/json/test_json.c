/* SPDX-License-Identifier: Apache-2.0 */
/**
 * test_json.c - text that is written, events that are read while they arrive, and what reading takes.
 */
#include "check.h"

#include "json/json_event.h"
#include "json/json_text.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH_OF(table) (sizeof(table) / sizeof *(table))

static void check_text(utapi_string seen, const char *expected)
{
    assert_int_equal(seen.size, strlen(expected));
    assert_memory_equal(seen.size > 0 ? seen.data : "", expected, seen.size);
}

/* ---- text ---------------------------------------------------------------------------------- */

static void strings_are_escaped(void **state)
{
    (void)state;
    static const struct {
        const char *text, *json;
    } rows[] = {
        {"", "\"\""},
        {"a\"b\\c/", "\"a\\\"b\\\\c/\""},
        {"\b\f\n\r\t\x01\x1f\x7f", "\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\""},
        {"\xC3\xA9\xF0\x9F\x98\x80", "\"\xC3\xA9\xF0\x9F\x98\x80\""},
        {"a\xFFz\xC3", "\"a?z?\""},
    };
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        utapi_text text = {0};
        json_text_add_string(&text, utapi_string_of(rows[i].text));
        size_t size;
        char *json = utapi_text_take(&text, &size);
        assert_string_equal(json, rows[i].json);
        assert_int_equal(size, strlen(rows[i].json));
        free(json);
    }
}

static void integers_are_written_to_the_edge(void **state)
{
    (void)state;
    utapi_text text = {0};
    json_text_add_integer(&text, 0);
    JSON_TEXT_LITERAL(&text, " ");
    json_text_add_integer(&text, INT64_MAX);
    JSON_TEXT_LITERAL(&text, " ");
    json_text_add_integer(&text, INT64_MIN);
    size_t size;
    char *json = utapi_text_take(&text, &size);
    assert_string_equal(json, "0 9223372036854775807 -9223372036854775808");
    free(json);
}

static void events_are_read_while_they_arrive(void **state)
{
    enum { EVENTS = 400 };
    static char body[EVENTS * 64];
    (void)state;
    size_t size = 0, calls = 0;
    for (int i = 0; i < EVENTS; i++)
        size +=
            (size_t)snprintf(body + size, sizeof body - size, "%c{\"operationId\":\"%s\",\"bucket\":\"b%d\"}",
                             i == 0 ? '[' : ',', i == 7 ? "noSuchThing" : "putObject", i);
    body[size++] = ']';
    json_events events = {0};
    for (size_t so_far = 1; so_far < size; so_far++) { /* each time at another place */
        const size_t before = events.scan.at;
        char *copy = malloc(so_far);
        assert_non_null(copy);
        memcpy(copy, body, so_far);
        json_events_on_body((utapi_string){copy, so_far}, EVENTS, &events);
        calls += events.scan.at != before;
        free(copy);
    }
    assert_in_range(events.scan.count, EVENTS / 2, EVENTS);
    assert_in_range(calls, 2, size / 4096 + 1); /* not for each byte */
    assert_int_equal(json_events_read(JSON_EVENT_V2, (utapi_string){body, size}, EVENTS, &events, NULL),
                     UTAPI_OK);
    assert_int_equal(events.count, EVENTS);
    check_text(events.events[0].bucket, "b0");
    check_text(events.events[EVENTS - 1].bucket, "b399");
    assert_int_equal(events.unknown_operations, 1);
    check_text(events.unknown_operation, "noSuchThing");
    json_events_done(&events);
}

/* ---- what reading takes -------------------------------------------------------------------- */

static size_t live_bytes, peak_bytes;

/* What glibc takes for an allocation. */
static size_t chunk_bytes(size_t size)
{
    return size < 24 ? 32 : (size + 8 + 15) / 16 * 16;
}

/* Room for a size before what is handed out, which stays aligned. */
enum { PREFIX = 16 };

static void *counted_malloc(size_t size)
{
    char *made = malloc(PREFIX + size);
    assert_non_null(made);
    memcpy(made, &size, sizeof size);
    live_bytes += chunk_bytes(size);
    peak_bytes = live_bytes > peak_bytes ? live_bytes : peak_bytes;
    return made + PREFIX;
}

static void counted_free(void *handed_out)
{
    size_t size;
    if (handed_out == NULL)
        return;
    char *made = (char *)handed_out - PREFIX;
    memcpy(&size, made, sizeof size);
    live_bytes -= chunk_bytes(size);
    free(made);
}

/* Reads a text of many items, and compares what that took with what was foretold. Each '#' is the item's number. */
static void check_tree_bytes(const char *begin, const char *item, const char *end)
{
    enum { ITEMS = 9000, ITEM_MOST = 100 };
    json_events events = {0};
    char *body = malloc(ITEMS * ITEM_MOST);
    assert_non_null(body);
    char *at = stpcpy(body, begin);
    for (int i = 0; i < ITEMS; i++) {
        at = i > 0 ? stpcpy(at, ",") : at;
        for (const char *from = item; *from != '\0'; from++)
            if (*from == '#')
                at += snprintf(at, ITEM_MOST, "%d", i);
            else
                *at++ = *from;
    }
    at = stpcpy(at, end);
    const utapi_string text = {.data = body, .size = (size_t)(at - body)};
    live_bytes = peak_bytes = 0;
    json_set_alloc_funcs(counted_malloc, counted_free);
    (void)!json_events_read_any(JSON_EVENT_V1, text, ITEMS, &events, NULL);
    json_events_done(&events);
    json_set_alloc_funcs(malloc, free);
    assert_int_equal(live_bytes, 0);
    assert_in_range(peak_bytes, 1, json_events_tree(text, ITEMS));
    free(body);
}

static void what_a_tree_takes_is_foretold(void **state)
{
    static const struct {
        const char *begin, *item, *end;
    } bodies[] = {
        {"[", "1", "]"},
        {"[", "1.5", "]"},
        {"[", "\"\"", "]"},
        {"[", "[]", "]"},
        {"[", "{}", "]"},
        {"[", "[[[[1]]]]", "]"},
        {"[", "{\"\":{\"\":1}}", "]"},
        {"[", "{\"a\":1,\"b\":\"x\"}", "]"},
        {"{", "\"#\":1", "}"},
        {"{", "\"#\":\"#\"", "}"},
        {"[", "{\"action\":\"getObject\",\"params\":{\"bucket\":\"b#\",\"newByteLength\":1}}", "]"},
    };
    (void)state;
    for (size_t i = 0; i < LENGTH_OF(bodies); i++)
        check_tree_bytes(bodies[i].begin, bodies[i].item, bodies[i].end);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_escaped),
        cmocka_unit_test(integers_are_written_to_the_edge),
        cmocka_unit_test(events_are_read_while_they_arrive),
        cmocka_unit_test(what_a_tree_takes_is_foretold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
